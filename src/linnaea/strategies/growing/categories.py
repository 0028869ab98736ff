"""One network a category that grows: those of kept categories are taken over, the others trained as in any run.

The kept networks are put among the finished categories of the new run; what is missing there is trained by the run's own
executor, and a run that was stopped goes on from what it finished. An embedder that several networks read by stays with
the first of them that is kept, also where the category that it came from is gone or fitted again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from linnaea.config.config import Config
from linnaea.config.percategory import PerCategoryStrategyConfig
from linnaea.decision.predictions import Predictions
from linnaea.errors import ConfigError
from linnaea.reporter import Reporter, Silent
from linnaea.run_folder import RunFolder
from linnaea.strategies.base import Fitted
from linnaea.strategies.classweights import TABLE
from linnaea.strategies.grow import Growth
from linnaea.strategies.percategory.category import CategoryFit, CategoryWork
from linnaea.strategies.percategory.executors import build_executor
from linnaea.strategies.percategory.finished import Finished
from linnaea.strategies.percategory.networks import CategoryScorer
from linnaea.strategies.percategory.plan import Plan
from linnaea.strategies.percategory.strategy import PerCategoryStrategy
from linnaea.taxonomy.change import Change

if TYPE_CHECKING:
    from linnaea.text.store import Corpus

Facts = Mapping[str, Mapping[str, Any]]


class GrowingCategories(PerCategoryStrategy):
    """Fits a ``CategoryScorer`` that has most of its networks from another of an older taxonomy.

    Args:
        former: facts of the old run's categories, by old id, as far as they are known.
    """

    def __init__(self, config: Config, growth: Growth, former: Facts | None = None) -> None:
        settings = config.training.strategy
        assert isinstance(settings, PerCategoryStrategyConfig)  # the scorer is of that strategy
        super().__init__(settings, config)
        self.growth, self.former = growth, former or {}

    def fit(
        self, corpus: Corpus, run: RunFolder, *, resume: bool = False, reporter: Reporter | None = None
    ) -> Fitted:
        """Train the categories that are fitted again and are not done.

        Raises:
            ConfigError: there are no dev documents.
            InterruptedRun, RunError: see ``executors``.
        """
        reporter, began, growth = reporter or Silent(), time.perf_counter(), self.growth
        plan = growth.plan
        assert plan is not None  # that of this kind of scorer
        if corpus.dev is None or not len(corpus.dev) or corpus.dev.labels is None:
            problem = "per_category judges every network by dev documents: there are none"
            raise ConfigError(problem, where="data.dev")
        self._check(plan, corpus)
        self._tell(plan, reporter)
        finished = Finished(run.checkpoints / "categories", plan, resume=resume)
        for fit in self._kept(finished):
            finished.put(fit)
        work = CategoryWork(self.config, corpus, plan)
        if len(finished) < len(plan.trained):
            build_executor(work)(work, finished, reporter)
        finished.write_table(run.path / TABLE)
        scorer = CategoryScorer.assembled(self.config, corpus.taxonomy, corpus.featurizer, finished)
        tuning = scorer.score(corpus.dev, self.config.evaluation.keep)
        facts = self._facts(corpus, plan, finished, scorer, began)
        facts["networks_kept"] = len(plan.trained) - len(growth.fitted)
        return Fitted(
            scorer, tuning, corpus.dev.labels, growth.support_C, facts,
            found_C=self._thresholds(plan, finished, tuning, corpus), follows=plan.follows,
        )  # fmt: skip

    def _kept(self, finished: Finished) -> Iterator[CategoryFit]:
        """The old networks of what is kept and not yet there, under their new columns, one after another."""
        growth, scorer = self.growth, self.growth.scorer
        assert isinstance(scorer, CategoryScorer)
        assert growth.plan is not None
        homes: dict[int, int] = {}  # of each embedder: the column that it stays with
        for column in growth.plan.trained:
            if column in growth.reasons:
                continue
            before = int(growth.change.old_C[column])
            k = int(scorer.network_C[before])
            g = int(scorer.table_K[k])
            homes.setdefault(g, column)
            if column in finished:
                continue
            tensors = {name: tensor[k].cpu().numpy().copy() for name, tensor in scorer.stacked.items()}
            if homes[g] == column:
                tensors |= {f"embedder.{n}": t.cpu().numpy() for n, t in scorer.tables[g].items()}
            yield CategoryFit(column, tensors, self._facts_of(column, before, homes[g]))

    def _facts_of(self, column: int, before: int, table: int) -> dict[str, Any]:
        """What is known of a kept category, in the form of a finished one."""
        growth = self.growth
        usual: dict[str, Any] = {
            "f1": 0.0, "loss": None, "weight": None, "epochs": 0, "best_epoch": None, "parent": None, "tried": [],
            "positives": int(growth.support_C[column]),
        }  # fmt: skip
        threshold = float(growth.thresholds_P[before])
        known = self.former.get(growth.change.old.ids[before], {})
        return (
            usual
            | dict(known)
            | {
                "id": growth.taxonomy.ids[column],
                "parent": _now(growth.change, known.get("parent")),
                "table": table,
                "threshold": threshold if np.isfinite(threshold) else 1.0,
                "kept": True,
                # Of this run.
                "documents_read": 0,
                "seconds": 0.0,
            }
        )

    def _thresholds(
        self, plan: Plan, finished: Finished, tuning: Predictions | None, corpus: Corpus
    ) -> np.ndarray:
        """``[C]``: those of kept networks as they were; of what follows a parent that one's."""
        found_C, growth = super()._thresholds(plan, finished, tuning, corpus), self.growth
        for column, kind in enumerate(plan.kinds):
            if kind == "network" and growth.kept_C[column]:
                found_C[column] = growth.thresholds_P[growth.change.old_C[column]]
        return found_C


def _now(change: Change, id: str | None) -> str | None:
    """The present id of a category of the old taxonomy; None where it is gone."""
    column = -1 if id not in change.old.index else int(change.new_P[change.old.index[id]])
    return None if column < 0 else change.new.ids[column]
