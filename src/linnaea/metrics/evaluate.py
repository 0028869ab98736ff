"""Evaluate: predictions, decisions and gold in, all of ``metrics.json`` out; and the few numbers that
training watches.

Shape letters: N documents, C categories, L levels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from linnaea.config.decoding import Closure
from linnaea.config.outcome import EvaluationConfig
from linnaea.decision.decider import Decider
from linnaea.decision.decoding import violations
from linnaea.decision.predictions import Decisions, Predictions
from linnaea.errors import UsageError, suggest
from linnaea.metrics import ranking
from linnaea.metrics.calibration import Binned
from linnaea.metrics.confusion import Confusions
from linnaea.metrics.counts import Counts, Rates, hierarchical, level_rows, row_blocks
from linnaea.metrics.distance import Distances
from linnaea.metrics.further import measure_further
from linnaea.metrics.groups import group_rows
from linnaea.metrics.intervals import Intervals
from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a set of decisions is worth.

    Attributes:
        predictions, decisions, gold: what was measured.
        support_C: documents of train in each category; None: not known, there are no groups then.
        ranks: k of the ranking.
        counts: of decisions as they are, against gold as it is.
        hierarchical: of both sides closed under ancestors.
        places: of gold among the scores.
        violations_N: int64, contradictions of the taxonomy in each document.
        further: the numbers of each further metric that was asked for.
    """

    taxonomy: Taxonomy
    predictions: Predictions
    decisions: Decisions
    gold: Ragged
    support_C: np.ndarray | None
    ranks: Sequence[int]
    counts: Counts
    hierarchical: Rates
    places: ranking.Places
    average_precision: ranking.AveragePrecision
    violations_N: np.ndarray
    further: Mapping[str, dict[str, float]] = field(default_factory=dict)

    def level_table(self) -> list[dict[str, float]]:
        """One row a level: level, categories, support, micro precision, recall, F1, macro and present F1."""
        return level_rows(self.counts, self.taxonomy)

    @cached_property
    def distances(self) -> Distances:
        """From what was decided to what is right, of each document."""
        return Distances.of(self.decisions.chosen, self.gold, self.taxonomy)

    @cached_property
    def intervals(self) -> Intervals | None:
        """How far the measures may move on other documents; made when first asked for. None: there are no documents."""
        if not len(self.gold):
            return None
        return Intervals.of(
            self.predictions, self.decisions, self.gold,
            ranks=self.ranks, violations_N=self.violations_N, places=self.places, away=self.distances,
            areas=self.average_precision, support_C=self.support_C,
        )  # fmt: skip

    def to_json(self, *, intervals: bool = True) -> dict[str, Any]:
        """The content of ``metrics.json``; all finite.

        Args:
            intervals: with them; they take longer than all else.
        """
        counts, keys = self.counts, ("level", "categories", "micro_f1", "macro_f1")
        areas = asdict(self.average_precision).items()
        return {
            "documents": len(counts.gold_N),
            "micro": asdict(counts.micro()),
            "macro": asdict(counts.macro()),
            "samples": {"f1": counts.samples_f1()},
            "subset_accuracy": counts.subset_accuracy(),
            "hamming_loss": counts.hamming_loss(),
            "hierarchical": asdict(self.hierarchical),
            "levels": [{key: row[key] for key in keys} for row in self.level_table()],
            "ranking": ranking.ranked(self.places, self.ranks),
            "average_precision": {key: value for key, value in areas if key != "kept" or value},
            "coherence": {
                "documents_with_violations": int((self.violations_N > 0).sum()),
                "violations": int(self.violations_N.sum()),
            },
            **({"further": dict(self.further)} if self.further else {}),
            **self._beside(),
            **({"intervals": self.intervals.to_json()} if intervals and self.intervals else {}),
            "categories": self._categories(),
        }

    def _beside(self) -> dict[str, Any]:
        """Groups, calibration, distance and confusion, as far as there is something to measure."""
        chosen, gold, found = self.decisions.chosen, self.gold, dict[str, Any]()
        if self.support_C is not None:
            found["groups"] = group_rows(self.counts, self.support_C)
        if len(gold):
            found["calibration"] = Binned.of(self.predictions, gold).to_json(self.taxonomy)
        found["distance"] = self.distances.to_json()
        confusions = Confusions.of(chosen, gold, self.taxonomy)
        return found if confusions is None else {**found, "siblings": confusions.to_json()}

    def _categories(self) -> list[dict[str, Any]]:
        counts = self.counts
        columns = (
            counts.gold_C,
            counts.precision_C,
            counts.recall_C,
            counts.f1_C,
            self.decisions.thresholds_C,
        )
        values = zip(self.taxonomy.ids, *(column.tolist() for column in columns), strict=True)
        names = ("id", "support", "precision", "recall", "f1", "threshold")
        rows = [dict(zip(names, row, strict=True)) for row in values]
        for row in rows:
            row["threshold"] = None if math.isinf(row["threshold"]) else row["threshold"]
        return rows


def evaluate(
    predictions: Predictions,
    decisions: Decisions,
    gold: Ragged,
    config: EvaluationConfig | None = None,
    *,
    closure: Closure = "ancestors",
    support_C: np.ndarray | None = None,
) -> Evaluation:
    """All measures.

    Args:
        gold: columns of each document, closed as the task says, without repeats.
        config: which ranks, and which further metrics; None: the defaults.
        closure: of the task: under ``path`` one parent makes a category coherent.
        support_C: documents of train in each category, for groups and further metrics.

    Raises:
        UsageError: predictions, decisions and gold are not of the same documents, or further metrics are asked
            for and ``support_C`` is not given.
        RunError: a further metric failed, or gave what is no finite number.
    """
    if not len(predictions) == len(decisions.chosen) == len(gold):
        raise UsageError(
            f"scores of {len(predictions)} documents, decisions for {len(decisions.chosen)}, "
            f"labels of {len(gold)}: cannot be compared"
        )
    config, taxonomy = config or EvaluationConfig(), predictions.taxonomy
    areas = ranking.average_precision(predictions, gold)  # first: it refuses scores that are not numbers
    return Evaluation(
        taxonomy,
        predictions,
        decisions,
        gold,
        support_C,
        config.ranks,
        Counts.of(decisions.chosen, gold, len(taxonomy)),
        hierarchical(decisions.chosen, gold, taxonomy),
        ranking.Places.of(predictions, gold),
        areas,
        _violations(decisions.chosen, taxonomy, closure),
        measure_further(config.metrics, predictions, decisions, gold, support_C),
    )


def _violations(chosen: Ragged, taxonomy: Taxonomy, closure: Closure) -> np.ndarray:
    violations_N = np.zeros(len(chosen), dtype=np.int64)
    for rows, (part,) in row_blocks(chosen):
        violations_N[rows] = violations(part, taxonomy, closure)
    return violations_N


class Gathered:
    """What is decided of documents that come in batches and in any order: nothing of [N, C] is kept.

    Args:
        threshold: see ``training_metrics``.
        keep: only so many best scores of a document can be decided; None: all.
    """

    def __init__(
        self, taxonomy: Taxonomy, threshold: float | np.ndarray | None, keep: int | None = None
    ) -> None:
        self.taxonomy, self.threshold, self.keep = taxonomy, threshold, keep
        self._rows: list[np.ndarray] = []
        self._chosen: list[Ragged] = []

    def put(self, rows: np.ndarray, scores_NC: np.ndarray) -> None:
        """The scores of the documents ``rows``, over all categories."""
        names = [str(row) for row in rows.tolist()]
        self._rows.append(rows)
        self._chosen.append(_chosen(Predictions(names, self.taxonomy, scores_NC), self.threshold, self.keep))

    @property
    def chosen(self) -> Ragged:
        """Of all documents, in their order."""
        rows = np.concatenate(self._rows) if self._rows else np.zeros(0, dtype=np.int64)
        return Ragged.concatenate(self._chosen).take(np.argsort(rows))

    def metrics(self, gold: Ragged) -> dict[str, float]:
        """As ``training_metrics`` without names; ``gold`` of all documents, in their order."""
        watched = _Watched(self.taxonomy, gold, None, self.threshold)
        watched.chosen = self.chosen
        return _measured(watched, None)


def _chosen(predictions: Predictions, threshold: float | np.ndarray | None, keep: int | None) -> Ragged:
    thresholds_C = np.full(len(predictions.taxonomy), 0.0 if threshold is None else threshold)
    choice: Any = "best" if threshold is None else "thresholds"
    return Decider(predictions.taxonomy, thresholds_C, top_k=keep, choice=choice).decide(predictions).chosen


class _Watched:
    """The measures that training may ask for, each made when asked for."""

    def __init__(
        self, taxonomy: Taxonomy, gold: Ragged, predictions: Predictions | None,
        threshold: float | np.ndarray | None,
    ) -> None:  # fmt: skip
        self.taxonomy, self.gold, self.threshold, self._predictions = taxonomy, gold, threshold, predictions

    @property
    def predictions(self) -> Predictions:
        assert self._predictions is not None  # asked for by name only, and then they are there
        return self._predictions

    @cached_property
    def chosen(self) -> Ragged:
        # Where only the best scores were kept, they are all that can be decided.
        kept = self.predictions.kept if self.predictions.sparse else None
        return _chosen(self.predictions, self.threshold, kept)

    @cached_property
    def counts(self) -> Counts:
        return Counts.of(self.chosen, self.gold, len(self.taxonomy))


MEASURES: dict[str, Callable[[_Watched], float]] = {
    "micro_f1": lambda w: w.counts.micro().f1,
    "macro_f1": lambda w: w.counts.macro().f1,
    "both_f1": lambda w: (w.counts.micro().f1 + w.counts.macro().f1) / 2,
    "hierarchical_f1": lambda w: hierarchical(w.chosen, w.gold, w.taxonomy).f1,
    "samples_f1": lambda w: w.counts.samples_f1(),
    "weighted_f1": lambda w: w.counts.weighted_f1(),
    "average_precision": lambda w: ranking.macro_average_precision(w.predictions, w.gold),
    "f1": lambda w: w.counts.micro().f1,
}


def training_metrics(
    predictions: Predictions,
    gold: Ragged,
    threshold: float | np.ndarray | None = 0.5,
    *,
    names: Iterable[str] | None = None,
) -> dict[str, float]:
    """The numbers that early stopping and search go by.

    Args:
        threshold: the same for all categories, or ``[C]``; None: the one best category of each document (multiclass).
        names: which; None: all but ``average_precision`` (the macro mean), which sorts all scores. ``f1``, of
            the one category of a binary task, is among all only where there is one category.

    Raises:
        UsageError: an unknown name, or ``f1`` with several categories.
    """
    return _measured(_Watched(predictions.taxonomy, gold, predictions, threshold), names)


def _measured(watched: _Watched, names: Iterable[str] | None) -> dict[str, float]:
    columns, values = len(watched.taxonomy), {}
    if names is None:
        names = [name for name in MEASURES if name != "average_precision" and (name != "f1" or columns == 1)]
    for name in names:
        if name not in MEASURES:
            raise UsageError(f"there is no metric {name!r}", hint=suggest(name, MEASURES))
        if name == "f1" and columns != 1:
            raise UsageError(f'"f1" is for binary tasks, not for {columns} categories', hint="use micro_f1")
        values[name] = MEASURES[name](watched)
    return values
