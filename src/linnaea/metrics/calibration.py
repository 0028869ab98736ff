"""How far scores are from shares: the expected calibration error and the Brier score.

Over all pairs of document and category, each a yes or no: in 15 bins of equal width, the mean score against the share
of positives, weighted by the bin's pairs (Guo et al. 2017, https://arxiv.org/abs/1706.04599, who look at the best class
only); once over all pairs together, and once in each category alone, averaged over categories that have a positive
(classwise: Kull et al. 2019, https://arxiv.org/abs/1910.12656). Brier: the mean of (score - gold)².

Most pairs are easy negatives, so that all three are small: compare them with each other, not with those of tasks with
few classes.

Shape letters: N documents, C categories, B bins.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from linnaea.decision.cuts import scores_at
from linnaea.decision.predictions import Predictions
from linnaea.errors import UsageError
from linnaea.ragged import Ragged

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


def reliability(predictions: Predictions, gold: Ragged) -> Reliability:
    """How well scores tell shares.

    Args:
        gold: columns of each document, without repeats. A score that was not kept counts as 0.

    Raises:
        UsageError: there are no documents, or they are not the same.
    """
    documents, columns = predictions.scores.shape
    if documents != len(gold) or not documents:
        raise UsageError(f"scores of {documents} documents cannot be held against labels of {len(gold)}")
    own_M = scores_at(predictions, gold.rows, gold.values).astype(np.float64)
    hits_CB = np.bincount(_cells(gold.values, own_M), minlength=columns * BINS)
    scores_CB = np.zeros(columns * BINS)
    squares = len(own_M) - 2 * float(own_M.sum())  # of (score - gold)², but for the scores' own
    for column_M, score_M in _entries(predictions):
        scores_CB += np.bincount(_cells(column_M, score_M), score_M, minlength=columns * BINS)
        squares += float(np.square(score_M, dtype=np.float64).sum())
    gaps_CB = (scores_CB - hits_CB).reshape(columns, BINS)
    own_C = np.abs(gaps_CB).sum(axis=1) / documents
    there_C = hits_CB.reshape(columns, BINS).sum(axis=1) > 0
    return Reliability(
        float(np.abs(gaps_CB.sum(axis=0)).sum() / (documents * columns)),
        float(own_C[there_C].mean()) if there_C.any() else 0.0,
        squares / (documents * columns),
    )


def _cells(column_M: np.ndarray, score_M: np.ndarray) -> np.ndarray:
    """The bin of each score, numbered category after category."""
    bin_M = np.minimum((score_M * BINS).astype(np.int64), BINS - 1)
    return np.asarray(column_M * BINS + bin_M)


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
