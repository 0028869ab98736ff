"""Ensemble: several scorers as one, their log-odds added up with weights that are found on held-out scores.

Each member is fitted by a strategy of its own, on the same documents through its own featurizer: a linear model reads whole
texts and word pairs where a network reads the first 256 tokens. All members leave scores of the same held-out documents, on
which the weights are found (``blend.py``) and then thresholds are tuned. Thresholds that come with a promise need documents
that the weights have not seen: then the weights are found on one half of them, and the promise rests on the other.

Shape letters: N documents, B documents of a block, C categories.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self
from weakref import WeakKeyDictionary

import numpy as np

from linnaea.config.config import Config
from linnaea.config.ensemble import EnsembleStrategyConfig, member_configs
from linnaea.config.promises import promises
from linnaea.decision.enough import halves
from linnaea.decision.predictions import Predictions
from linnaea.errors import ConfigError, ModelError
from linnaea.files import atomic, read_json, write_json
from linnaea.ragged import Ragged
from linnaea.reporter import Part, Reporter, Silent
from linnaea.run_folder import RunFolder
from linnaea.strategies.base import DENSE_SCORES, Fitted, Scorer, ScoreSheet
from linnaea.strategies.blend import Blend, Scores
from linnaea.strategies.build import build_strategy, load_scorer
from linnaea.taxonomy.taxonomy import Taxonomy
from linnaea.text.featurizer import Featurizer

if TYPE_CHECKING:
    from linnaea.text.columns import Columns
    from linnaea.text.store import Corpus, Split

BLEND = "ensemble.json"
MEMBERS = "members"
BLOCK = 2**22  # scores of a member that are there at once


@dataclass(frozen=True, eq=False)
class Member:
    """One scorer, and what it sees of documents."""

    featurizer: Featurizer
    scorer: Scorer


class EnsembleScorer:
    """The blended scores of its members.

    Args:
        members: those that the blend has chosen, by their numbers; the others are not kept.
    """

    kind: ClassVar[str] = "ensemble"

    def __init__(self, taxonomy: Taxonomy, members: Mapping[int, Member], blend: Blend) -> None:
        self.taxonomy, self.members, self.blend = taxonomy, dict(members), blend
        self._views: WeakKeyDictionary[Columns, list[Split]] = WeakKeyDictionary()

    def score(self, split: Split, keep: int | None = None) -> Predictions:
        sheet = ScoreSheet(len(split), len(self.taxonomy), keep)
        step = max(1, BLOCK // len(self.taxonomy))
        for start in range(0, len(split), step):
            rows_B = np.arange(start, min(start + step, len(split)))
            sheet.put(rows_B, self.blend([_dense(part) for part in self._parts(split, rows_B)]))
        return sheet.predictions(split.ids, self.taxonomy)

    def _parts(self, split: Split, rows_B: np.ndarray) -> list[Predictions]:
        """Each member's scores of some documents."""
        # Looking up a store's distinct strings takes longer than scoring a few of its documents.
        views = self._views.get(split.columns)
        if views is None:
            views = [member.featurizer.split(split.columns) for member in self.members.values()]
            self._views[split.columns] = views
        rows = rows_B if split.rows_N is None else split.rows_N[rows_B]
        return [
            member.scorer.score(view.take(rows))
            for member, view in zip(self.members.values(), views, strict=True)
        ]

    def save(self, folder: Path) -> None:
        write_json(folder / BLEND, self.blend.to_json())
        for number, member in self.members.items():
            place = folder / MEMBERS / str(number)
            place.mkdir(parents=True)
            member.scorer.save(place)
            member.featurizer.save(place / "input")

    @classmethod
    def load(cls, folder: Path, config: Config, taxonomy: Taxonomy, *, device: str = "auto") -> Self:
        """What ``save`` wrote.

        Raises:
            ModelError: a member or the blend is missing, damaged, or does not fit the others.
            UsageError: there is no such device here.
        """
        path, members = folder / BLEND, {}
        try:
            blend = Blend.from_json(read_json(path, ModelError))
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"does not hold what it should: {error}", where=str(path)) from None
        configs = member_configs(config)
        if len(configs) != len(blend.weights):
            problem = f"has weights of {len(blend.weights)} members, and there are {len(configs)}"
            raise ModelError(problem, where=str(path))
        for number in blend.chosen:
            place, own = folder / MEMBERS / str(number), configs[number]
            featurizer = Featurizer.load(place / "input", own.input)
            kind = "network" if own.training.strategy.network else "linear"
            scorer = load_scorer(kind, place, own, taxonomy, featurizer, device=device)
            members[number] = Member(featurizer, scorer)
        return cls(taxonomy, members, blend)


def _blended(blend: Blend, tunings: Sequence[Predictions]) -> Predictions:
    """All members' held-out scores as one, some at a time: log-odds take twice the room of scores."""
    first, dense = tunings[0], [_dense(tunings[number]) for number in blend.chosen]
    scores_NC = np.empty_like(dense[0])
    step = max(1, BLOCK // len(first.taxonomy))
    for start in range(0, len(first), step):
        rows = slice(start, start + step)
        scores_NC[rows] = blend([part[rows] for part in dense])
    return Predictions(first.ids, first.taxonomy, scores_NC)


def _dense(predictions: Predictions) -> np.ndarray:
    assert isinstance(predictions.scores, np.ndarray)  # a block is far below what is kept whole
    return predictions.scores


class EnsembleStrategy:
    """Fits an ``EnsembleScorer``."""

    def __init__(self, settings: EnsembleStrategyConfig, config: Config) -> None:
        self.settings, self.config = settings, config
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise ConfigError(
                "an ensemble trains in one process",
                where="training.strategy",
                hint="start it without torchrun",
            )
        self.configs = member_configs(config)
        self.strategies = [build_strategy(own) for own in self.configs]

    def fit(
        self, corpus: Corpus, run: RunFolder, *, resume: bool = False, reporter: Reporter | None = None
    ) -> Fitted:
        """Fit all members, one after another, then the blend.

        Raises:
            ConfigError: there are more held-out scores than can be held, or as a member's strategy.
            InterruptedRun, RunError: see ``training.loop.fit``; finished networks are not trained again.
        """
        reporter, began = reporter or Silent(), time.perf_counter()
        self._check_size(corpus)
        members, tunings, facts = [], [], []
        gold, on_dev = None, False
        for number, (own, strategy) in enumerate(zip(self.configs, self.strategies, strict=True), start=1):
            name = (
                own.model.names
                if own.training.strategy.network
                else f"linear over {', '.join(own.input.features)}"
            )
            reporter.note(f"member {number} of {len(self.configs)}: {name}, seed {own.run.seed}")
            featurizer = Featurizer.fit(own.input, corpus.train.columns, corpus.train.rows_N)
            place = RunFolder(run.checkpoints / f"member-{number}")
            part = Part(reporter, f"member {number} of {len(self.configs)}")
            fitted = strategy.fit(_seen(corpus, featurizer), place, resume=resume, reporter=part)
            assert fitted.tuning is not None  # every member's config asks for held-out scores
            members.append(Member(featurizer, fitted.scorer))
            tunings.append(fitted.tuning)
            gold, on_dev, support_C = fitted.tuning_gold, fitted.fitted_on_dev, fitted.support_C
            facts.append({"name": name, **fitted.facts})
        assert gold is not None
        apart = promises(self.config)
        blend = self._blend(tunings, gold, apart)
        for fact, share in zip(facts, blend.shares, strict=True):
            fact["share"] = share
        self._keep_history(run, blend)
        for number, fact in enumerate(facts, start=1):
            reporter.note(f"member {number} has a share of {fact['share']:.2f}: {fact['name']}")
        whole = {
            "seed": self.config.run.seed,
            "train_documents": len(corpus.train),
            "dev_documents": 0 if corpus.dev is None else len(corpus.dev),
            "parameters": sum(facts[number]["parameters"] for number in blend.chosen),
            "members": facts,
            "seconds": round(time.perf_counter() - began, 2),
        }
        scorer = EnsembleScorer(corpus.taxonomy, {number: members[number] for number in blend.chosen}, blend)
        tuning = _blended(blend, tunings)
        return Fitted(scorer, tuning, gold, support_C, whole, fitted_on_dev=on_dev, half_seen=apart)

    def _keep_history(self, run: RunFolder, blend: Blend) -> None:
        """The epochs of the network with the largest share are the run's; none where no network has one."""
        networks = [number for number in blend.chosen if self.configs[number].training.strategy.network]
        if not networks:
            run.history.unlink(missing_ok=True)
            return
        first = max(networks, key=lambda number: blend.shares[number])
        with atomic(run.history) as file:
            file.write(RunFolder(run.checkpoints / f"member-{first + 1}").history.read_bytes())

    def _check_size(self, corpus: Corpus) -> None:
        tuned, dev = self.config.decision.tuned, 0 if corpus.dev is None else len(corpus.dev)
        on_dev = tuned is not None and tuned.on == "dev"
        documents = dev if on_dev else len(corpus.train) + dev
        if documents * len(corpus.taxonomy) > DENSE_SCORES:
            problem = f"an ensemble holds all scores of {documents:,} documents in {len(corpus.taxonomy):,} categories"
            raise ConfigError(
                f"{problem}, more than {DENSE_SCORES:,}",
                where="training.strategy",
                hint="use one strategy alone",
            )

    def _blend(self, tunings: Sequence[Predictions], gold: Ragged, apart: bool) -> Blend:
        """The blend; ``apart``: found on the half of the documents that no promise rests on."""
        if apart:
            rows = halves(len(gold))[0]
            tunings, gold = [part.take(rows) for part in tunings], gold.take(rows)
        scores: Scores = "softmax" if self.config.task.type == "multiclass" else "sigmoid"
        equal = self.settings.blend == "equal"
        return Blend.fit(tunings, gold, scores, self.config.run.seed, equal=equal)


def _seen(corpus: Corpus, featurizer: Featurizer) -> Corpus:
    """The corpus through a member's featurizer."""
    splits: dict[str, Any] = {name: split.seen_by(featurizer) for name, split in corpus.splits()}
    return replace(corpus, featurizer=featurizer, **splits)
