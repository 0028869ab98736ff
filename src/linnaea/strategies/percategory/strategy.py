"""per_category: one binary network a category, trained down the taxonomy, each started from its parent's.

Paper: Banerjee et al. 2019, "Hierarchical Transfer Learning for Multi-label Text Classification"
(https://aclanthology.org/P19-1633/).

Shape letters: C categories.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from linnaea.config.config import Config
from linnaea.config.decoding import PathConfig
from linnaea.config.percategory import PerCategoryStrategyConfig
from linnaea.decision.cuts import Cuts, Evidence
from linnaea.decision.enough import check_promise
from linnaea.decision.followers import check_one_path
from linnaea.decision.predictions import Predictions
from linnaea.decision.thresholds import best_global, shrink
from linnaea.errors import ConfigError, DataError, UsageError
from linnaea.reporter import Reporter, Silent
from linnaea.run_folder import RunFolder
from linnaea.strategies.base import Fitted
from linnaea.strategies.classweights import TABLE
from linnaea.strategies.network import find_device
from linnaea.strategies.percategory.category import CategoryWork, pool_of
from linnaea.strategies.percategory.executors import build_executor
from linnaea.strategies.percategory.finished import Finished, identity
from linnaea.strategies.percategory.networks import CategoryScorer
from linnaea.strategies.percategory.plan import Plan
from linnaea.strategies.percategory.ray import load_ray

if TYPE_CHECKING:
    from linnaea.text.store import Corpus


class PerCategoryStrategy:
    """Fits a ``CategoryScorer``."""

    def __init__(self, settings: PerCategoryStrategyConfig, config: Config) -> None:
        self.settings, self.config = settings, config
        try:
            find_device(config.run.device)
        except UsageError as error:
            raise ConfigError(error.message, where="run.device", hint=error.hint) from None
        for key, path in config.model.embedder.vector_files.items():
            if not Path(path).is_file():
                raise DataError("no such file", where=path, hint=f"model.embedder.{key} names it")
        if settings.executor == "ray":
            load_ray()  # refuses a missing package before a document is read

    def fit(
        self, corpus: Corpus, run: RunFolder, *, resume: bool = False, reporter: Reporter | None = None
    ) -> Fitted:
        """Train all categories that are not done.

        Raises:
            ConfigError: there are no dev documents.
            InterruptedRun, RunError: see ``executors``.
        """
        reporter, began = reporter or Silent(), time.perf_counter()
        if corpus.train.labels is None:
            raise ConfigError("the documents to train on have no labels", where="data.train")
        if corpus.dev is None or not len(corpus.dev) or corpus.dev.labels is None:
            raise ConfigError(
                "per_category judges every network by dev documents: there are none", where="data.dev"
            )
        pool = pool_of(corpus, self.settings)
        assert pool.labels is not None  # dev has labels, and so has train
        plan = Plan.of(corpus.taxonomy, self.settings, pool.labels)
        self._check(plan, corpus)
        self._tell(plan, reporter)
        finished = Finished(run.checkpoints / "categories", plan, resume=resume, identity=identity(corpus))
        work = CategoryWork(self.config, corpus, plan)
        if len(finished) < len(plan.trained):
            build_executor(work)(work, finished, reporter)
        finished.write_table(run.path / TABLE)
        scorer = CategoryScorer.assembled(self.config, corpus.taxonomy, corpus.featurizer, finished)
        # With a dev part for each category alone, all others learned from these documents.
        seen = self.settings.dev is not None
        tuning = None if seen else scorer.score(corpus.dev, self.config.evaluation.keep)
        thresholds_C = self._thresholds(plan, finished, tuning, corpus)
        return Fitted(
            scorer, tuning, None if seen else corpus.dev.labels, corpus.train.labels.counts(len(corpus.taxonomy)),
            self._facts(corpus, plan, finished, scorer, began), found_C=thresholds_C, follows=plan.follows,
            fitted_on_dev=seen,
        )  # fmt: skip

    def _check(self, plan: Plan, corpus: Corpus) -> None:
        """Refuse, before anything is trained, what the categories without a network leave without a meaning.

        Raises:
            ConfigError: they stand beside the one path of a document, or a promise has too few documents without them.
        """
        task, decoding = self.config.task, self.config.decision.decoding
        if task.paths == "one" or isinstance(decoding, PathConfig):
            asked = self.settings.without_network == "parent"
            key, hint = ("without_network", "never") if asked else ("negatives", "all")
            check_one_path(
                plan.taxonomy, task.gold_closure, decoding, np.array([kind == "never" for kind in plan.kinds]),
                plan.follows, f"training.strategy.{key}", f'use "{hint}", or let a document have several paths',
            )  # fmt: skip
        assert corpus.train.labels is not None  # its callers see to it
        without = [column for column, kind in enumerate(plan.kinds) if kind in ("parent", "never")]
        dev = None if corpus.dev is None else corpus.dev.labels
        check_promise(self.config, corpus.train.labels, dev, len(plan.taxonomy), without)

    def _tell(self, plan: Plan, reporter: Reporter) -> None:
        """Which categories get no network, where the corpus's own warning about missing documents has not said it."""
        for kind, what in (
            ("never", "are never decided"), ("parent", "are decided wherever all their parents are"),
            ("below", "are decided by what lies below them"), ("always", "are always decided"),
        ):  # fmt: skip
            ids = [
                id for id, own, documents in zip(plan.taxonomy.ids, plan.kinds, plan.support_C.tolist(), strict=True)
                if own == kind and (documents or kind != "never")
            ]  # fmt: skip
            if ids:
                shown = ", ".join(ids[:5]) + (", ..." if len(ids) > 5 else "")
                why = {"always": "stand on every document", "parent": "have no network"}.get(
                    kind, "have too few documents for a network"
                )
                reporter.warn(f"{len(ids)} of {len(plan.taxonomy)} categories {why} and {what}: {shown}")

    def _thresholds(
        self, plan: Plan, finished: Finished, tuning: Predictions | None, corpus: Corpus
    ) -> np.ndarray:
        """``[C]``: those that the run found; +inf: never."""
        assert corpus.dev is not None  # fit sees to it
        assert corpus.dev.labels is not None
        found_C = np.full(len(plan.taxonomy), np.inf)
        for column in plan.trained:
            found_C[column] = finished.facts[column]["threshold"]
        if self.settings.search == "threshold" and tuning is not None:
            # On the scores as they are shipped; with fewer than three positives one cut for all.
            evidence = Evidence(tuning, corpus.dev.labels, plan.support_C)
            cuts = Cuts.of(evidence)
            own_C = cuts.thresholds[cuts.best(cuts.f1)]
            tuned_C = shrink(own_C, best_global(evidence, "macro_f1"), evidence.positives_C, 0.0)
            tuned = [column for column, kind in enumerate(plan.kinds) if kind in ("network", "below")]
            found_C[tuned] = tuned_C[tuned]
        found_C[[column for column, kind in enumerate(plan.kinds) if kind == "always"]] = 0.0
        return found_C

    def _facts(
        self, corpus: Corpus, plan: Plan, finished: Finished, scorer: CategoryScorer, began: float
    ) -> dict[str, Any]:
        return {
            "seed": self.config.run.seed,
            "train_documents": len(corpus.train),
            "dev_documents": 0 if corpus.dev is None else len(corpus.dev),
            "parameters": scorer.parameters,
            "networks": len(plan.trained),
            "documents_read": sum(int(facts["documents_read"]) for facts in finished.facts.values()),
            "category_seconds": round(sum(float(facts["seconds"]) for facts in finished.facts.values()), 2),
            "seconds": round(time.perf_counter() - began, 2),
            "device": scorer.device.type,
        }
