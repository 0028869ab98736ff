"""Curves: precision over recall of each category, and how its scores lie, few enough points for a page.

The points of a curve lie just at the scores of the category's own documents, where recall rises; where there are more
than a page needs, those are kept that divide the recall evenly. Between them precision can only be lower.

Shape letters: N documents, C categories, P points.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from linnaea.decision.predictions import Predictions
    from linnaea.ragged import Ragged

POINTS, BINS = 60, 20
ALL_POINTS = 60_000  # on a page


@dataclass(frozen=True, eq=False)
class Curve:
    """One category.

    Attributes:
        recall_P, precision_P: float64, recall rising; empty where it has no documents with a score.
        positives, negatives: documents with and without the category in ``BINS`` bins of score, from 0 to 1.
    """

    recall_P: np.ndarray
    precision_P: np.ndarray
    positives: np.ndarray
    negatives: np.ndarray


def curves(predictions: Predictions, gold: Ragged, points: int | None = None) -> Iterator[Curve]:
    """The curve of each category, in column order.

    Args:
        gold: columns of each document. A score that was not kept is below all others: its curve ends before.
    """
    columns, documents = len(predictions.taxonomy), len(predictions)
    if points is None:
        points = int(np.clip(ALL_POINTS // columns, 6, POINTS))
    with_it = gold.transpose(columns)
    for column, rows, scores in predictions.columns():
        scores = np.ascontiguousarray(scores)
        own_rows = with_it[column]
        # Of sparse predictions those that were kept are there.
        own = scores[own_rows if len(rows) == documents else np.isin(rows, own_rows)]
        every = _bins(scores)
        positives = _bins(own)
        every[0] += documents - len(scores)
        positives[0] += len(own_rows) - len(own)
        recall_P, precision_P = _points(np.sort(scores), np.sort(own[own > 0]), len(own_rows), points)
        yield Curve(recall_P, precision_P, positives, every - positives)


def _bins(scores: np.ndarray) -> np.ndarray:
    return np.bincount(np.minimum((scores * BINS).astype(np.int64), BINS - 1), minlength=BINS)


def _points(
    scores: np.ndarray, own: np.ndarray, positives: int, points: int
) -> tuple[np.ndarray, np.ndarray]:
    """Recall and precision where everything from each of the chosen scores up is decided; both inputs ascend."""
    if not len(own):
        return np.zeros(0), np.zeros(0)
    chosen = np.unique(np.linspace(len(own) - 1, 0, min(points, len(own))).round().astype(np.int64))[::-1]
    at = np.unique(own[chosen])[::-1]
    hits = len(own) - np.searchsorted(own, at, side="left")
    decided = len(scores) - np.searchsorted(scores, at, side="left")
    return hits / positives, hits / decided
