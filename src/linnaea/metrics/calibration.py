"""How far scores are from shares: the expected calibration error and the Brier score.

Over all pairs of document and category, each a yes or no: in 15 bins of equal width, the mean score against the share
of positives, weighted by the bin's pairs (Guo et al. 2017, https://arxiv.org/abs/1706.04599, who look at the best class
only); once over all pairs together, once over those of each level, and once in each category alone, averaged over categories
that have a positive (classwise: Kull et al. 2019, https://arxiv.org/abs/1910.12656). Brier: the mean of (score - gold)².

Most pairs are easy negatives, so that all three are small: compare them with each other, not with those of tasks with
few classes.

Shape letters: N documents, C categories, B bins.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from linnaea.decision.cuts import scores_at
from linnaea.decision.predictions import Predictions
from linnaea.errors import UsageError
from linnaea.metrics.counts import ratio
from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy

BINS = 15
MEGABYTES, PAIRS = 8, 2**21  # scores that are looked at at once


@dataclass(frozen=True)
class Reliability:
    """What was measured, over the same documents.

    Attributes:
        ece: expected calibration error over all pairs.
        classwise_ece: the mean of each category's own.
        brier: mean squared error.
    """

    ece: float
    classwise_ece: float
    brier: float


@dataclass(frozen=True, eq=False)
class Binned:
    """Pairs by category and bin of their score.

    Attributes:
        documents: N.
        pairs_CB, hits_CB: int64, all pairs, and those that are right.
        scores_CB: float64, the sum of their scores.
        squares_C: float64, the sum of (score - gold)² of each category.
    """

    documents: int
    pairs_CB: np.ndarray
    hits_CB: np.ndarray
    scores_CB: np.ndarray
    squares_C: np.ndarray

    @classmethod
    def of(cls, predictions: Predictions, gold: Ragged) -> Binned:
        """From columns of each document, without repeats. A score that was not kept counts as 0.

        Raises:
            UsageError: there are no documents, or they are not the same.
        """
        documents, columns = predictions.scores.shape
        if documents != len(gold) or not documents:
            raise UsageError(f"scores of {documents} documents cannot be held against labels of {len(gold)}")
        cells = columns * BINS
        own_M = scores_at(predictions, gold.rows, gold.values).astype(np.float64)
        hits = np.bincount(_cells(gold.values, own_M), minlength=cells)
        # (score - gold)² is the score's own square, and 1 - 2·score more where gold.
        squares_C = np.zeros(columns) + np.bincount(gold.values, 1 - 2 * own_M, minlength=columns)
        pairs, scores = np.zeros(cells, dtype=np.int64), np.zeros(cells)
        for column_M, score_M in _entries(predictions):
            at = _cells(column_M, score_M)
            pairs += np.bincount(at, minlength=cells)
            scores += np.bincount(at, score_M, minlength=cells)
            squares_C += np.bincount(column_M, np.square(score_M, dtype=np.float64), minlength=columns)
        pairs_CB, hits_CB, scores_CB = (each.reshape(columns, BINS) for each in (pairs, hits, scores))
        pairs_CB[:, 0] += documents - pairs_CB.sum(axis=1)
        return cls(documents, pairs_CB, hits_CB, scores_CB, squares_C)

    def ece(self, part: slice = slice(None)) -> float:
        """Over the pairs of some columns together."""
        gaps_CB = (self.scores_CB - self.hits_CB)[part]
        return float(np.abs(gaps_CB.sum(axis=0)).sum() / (self.documents * len(gaps_CB)))

    def brier(self, part: slice = slice(None)) -> float:
        """Over the pairs of some columns together."""
        return float(self.squares_C[part].mean() / self.documents)

    def classwise_ece(self) -> float:
        """The mean over the categories that have a positive."""
        own_C = np.abs(self.scores_CB - self.hits_CB).sum(axis=1) / self.documents
        there_C = self.hits_CB.sum(axis=1) > 0
        return float(own_C[there_C].mean()) if there_C.any() else 0.0

    def to_json(self, taxonomy: Taxonomy) -> dict[str, Any]:
        """All of it, the bins of all pairs together among it."""
        pairs_B, hits_B, scores_B = (
            each.sum(axis=0) for each in (self.pairs_CB, self.hits_CB, self.scores_CB)
        )
        columns = (pairs_B, ratio(scores_B, pairs_B), ratio(hits_B, pairs_B))
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return {
            "ece": self.ece(),
            "classwise_ece": self.classwise_ece(),
            "brier": self.brier(),
            "levels": [
                {"level": level, "ece": self.ece(part), "brier": self.brier(part)}
                for level, part in taxonomy.levels()
            ],
            "bins": [
                {
                    "from": bin / BINS,
                    "to": (bin + 1) / BINS,
                    "pairs": pairs,
                    "mean_score": mean,
                    "share": share,
                }
                for bin, (pairs, mean, share) in enumerate(rows)
            ],
        }


def reliability(predictions: Predictions, gold: Ragged) -> Reliability:
    """How well scores tell shares.

    Args:
        gold: columns of each document, without repeats. A score that was not kept counts as 0.

    Raises:
        UsageError: there are no documents, or they are not the same.
    """
    binned = Binned.of(predictions, gold)
    return Reliability(binned.ece(), binned.classwise_ece(), binned.brier())


def bins(score_M: np.ndarray) -> np.ndarray:
    """int64: the bin of each score, 0 the lowest."""
    return np.minimum((score_M * BINS).astype(np.int64), BINS - 1)


def _cells(column_M: np.ndarray, score_M: np.ndarray) -> np.ndarray:
    """The bin of each score, numbered category after category."""
    return np.asarray(column_M * BINS + bins(score_M))


def _entries(predictions: Predictions) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All scores with their columns, a few million at a time; of sparse predictions those that were kept."""
    scores, columns = predictions.scores, len(predictions.taxonomy)
    if isinstance(scores, np.ndarray):
        for _, block_NC in predictions.blocks(MEGABYTES):
            yield np.tile(np.arange(columns), len(block_NC)), block_NC.ravel()
        return
    for start in range(0, len(scores.data), PAIRS):
        part = slice(start, start + PAIRS)
        yield scores.indices[part].astype(np.int64), scores.data[part]
