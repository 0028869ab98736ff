"""Cuts: the places where thresholds are worth trying, and what each of them gets right.

Lowering a threshold past a score that only negatives have can but lower F1. So the places worth trying lie
just below the scores of positives: as many a category as it has positives, however many documents there are.
A cut lies midway between such a score and the next lower one that occurs, in float64, so that no float32
score ever rounds across it.

Shape letters: N documents, C categories, M positives.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from linnaea.decision.predictions import Predictions
from linnaea.errors import RunError
from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy


def scores_at(predictions: Predictions, rows_M: np.ndarray, columns_M: np.ndarray) -> np.ndarray:
    """``[M]`` float32: single scores, 0 where none was kept."""
    if not len(rows_M):
        return np.zeros(0, dtype=np.float32)
    return np.asarray(predictions.scores[rows_M, columns_M]).reshape(-1)


@dataclass(frozen=True, eq=False)
class Evidence:
    """What thresholds are tuned on.

    Attributes:
        predictions: scores of N labelled documents, as thresholds will see them (after the top-k cap and the
            decoder's part).
        gold: their columns, closed as the task says; rows without repeats.
        support_C: training documents of each category; without any it is never decided.
    """

    predictions: Predictions
    gold: Ragged
    support_C: np.ndarray

    @property
    def taxonomy(self) -> Taxonomy:
        return self.predictions.taxonomy

    @cached_property
    def active_C(self) -> np.ndarray:
        """bool: the categories that may be decided at all."""
        return np.asarray(self.support_C) > 0

    @cached_property
    def positives_C(self) -> np.ndarray:
        """int64: gold documents of each category, those of inactive categories included."""
        return self.gold.counts(len(self.taxonomy))

    @cached_property
    def positives(self) -> Ragged:
        """The scores above 0 of each active category's gold documents, ascending."""
        rows, columns = self.gold.rows, self.gold.values
        scores = scores_at(self.predictions, rows, columns)
        kept = (scores > 0) & self.active_C[columns]
        scores, columns = scores[kept], columns[kept]
        order = np.lexsort((scores, columns))
        return Ragged.from_lengths(scores[order], np.bincount(columns, minlength=len(self.taxonomy)))

    def check_numbers(self) -> None:
        """Refuse scores that are not numbers.

        Raises:
            RunError: an active category has one.
        """
        scores, bad_C = self.predictions.scores, np.zeros(len(self.taxonomy), dtype=bool)
        if isinstance(scores, np.ndarray):
            for _, block in self.predictions.blocks():
                bad_C |= np.isnan(block.min(axis=0))
        else:
            bad_C[scores.indices[np.isnan(scores.data)]] = True
        if (bad_C & self.active_C).any():
            raise _no_number(self.taxonomy.ids[int((bad_C & self.active_C).argmax())])

    def columns(self, above: float = 0.0) -> Iterator[tuple[int, np.ndarray]]:
        """Each active category with its scores of at least ``above`` and above 0, in no order.

        Raises:
            RunError: a score is not a number.
        """
        for column, _, scores in self.predictions.columns():
            if not self.active_C[column]:
                continue
            scores = np.ascontiguousarray(scores)
            if not scores.size:
                yield column, scores
                continue
            if np.isnan(scores.min()):
                raise _no_number(self.taxonomy.ids[column])
            yield column, scores[(scores >= scores.dtype.type(above)) & (scores > 0)]

    def next_below(self, score: float) -> float:
        """The highest score of any active category below ``score``; 0 where there is none."""
        scores = self.predictions.scores
        if not isinstance(scores, np.ndarray):
            below = (scores.data < scores.dtype.type(score)) & self.active_C[scores.indices]
            return float(np.max(scores.data, initial=0, where=below))
        highest = 0.0
        for _, block in self.predictions.blocks():
            lower = block < block.dtype.type(score)
            lower &= self.active_C
            highest = max(highest, float(np.max(block, initial=0, where=lower)))
        return highest


def _no_number(category: str) -> RunError:
    return RunError("scores that are not numbers cannot be tuned on", where=f"category {category}")


@dataclass(frozen=True, eq=False)
class Cuts:
    """The cuts of all categories, one category after another, within one from the highest threshold down.

    The first cut of a category decides nothing: its threshold lies midway between the highest score and 1.

    Attributes:
        starts_C1: int64, where each category's cuts start; the last is the total.
        thresholds: float64.
        hits: int64, documents decided rightly (true positives).
        decided: int64, documents decided.
        positives_C: int64, documents with the category.
    """

    starts_C1: np.ndarray
    thresholds: np.ndarray
    hits: np.ndarray
    decided: np.ndarray
    positives_C: np.ndarray

    @classmethod
    def of(cls, evidence: Evidence) -> Cuts:
        """All cuts, by one sort a category: O(N·C·log N)."""
        never = (np.array([np.inf]), np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64))
        parts = [never] * len(evidence.taxonomy)
        for column, scores in evidence.columns():
            parts[column] = category_cuts(scores, evidence.positives[column])
        starts = np.zeros(len(parts) + 1, dtype=np.int64)
        np.cumsum([len(part[0]) for part in parts], out=starts[1:])
        thresholds, hits, decided = (np.concatenate([part[i] for part in parts]) for i in range(3))
        return cls(starts, thresholds, hits, decided, evidence.positives_C)

    @cached_property
    def category(self) -> np.ndarray:
        """int64: the category of each cut."""
        return np.repeat(np.arange(len(self.positives_C)), np.diff(self.starts_C1))

    @cached_property
    def f1(self) -> np.ndarray:
        """float64: the category's F1 at each cut, 0/0 = 0."""
        return f1(self.hits, self.decided + self.positives_C[self.category])

    def best(self, values: np.ndarray) -> np.ndarray:
        """``[C]`` int64: each category's cut with the largest value; of equal ones the highest threshold."""
        largest = np.maximum.reduceat(values, self.starts_C1[:-1])
        found = np.flatnonzero(values == largest[self.category])
        best_C = np.empty(len(largest), dtype=np.int64)
        best_C[self.category[found[::-1]]] = found[::-1]
        return best_C


def category_cuts(scores: np.ndarray, positives: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The cuts of one category: thresholds falling, hits, decided.

    Args:
        scores: of all documents, above 0, in any order.
        positives: of the documents with the category, above 0, ascending.
    """
    ordered = np.sort(scores)
    distinct, first = np.unique(positives, return_index=True)
    place = np.searchsorted(ordered, distinct)
    below = np.where(place > 0, ordered[np.maximum(place, 1) - 1] if len(ordered) else 0, 0)
    middle = (distinct.astype(np.float64) + below.astype(np.float64)) / 2
    highest = float(ordered[-1]) if len(ordered) else 0.0
    never = (highest + 1) / 2 if highest < 1 else float(np.nextafter(1, 2))
    thresholds = np.concatenate([[never], middle[::-1]])
    hits = np.concatenate([[0], (len(positives) - first)[::-1]])
    decided = np.concatenate([[0], (len(ordered) - place)[::-1]])
    return thresholds, hits, decided


def f1(hits: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """F1 from hits and decided + positives, 0/0 = 0."""
    return np.asarray(2 * hits / np.maximum(sizes, 1))
