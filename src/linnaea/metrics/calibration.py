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

from dataclasses import dataclass

import numpy as np

from linnaea.decision.predictions import Predictions
from linnaea.errors import UsageError
from linnaea.ragged import Ragged

BINS = 15


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
    scores_CB, hits_CB = np.zeros(columns * BINS), np.zeros(columns * BINS)
    squares = 0.0
    for rows, block_NC in predictions.blocks():
        gold_NC = gold.take(np.arange(rows.start, rows.stop)).dense(columns)
        bins_NC = np.minimum((block_NC * BINS).astype(np.int64), BINS - 1) + np.arange(columns) * BINS
        bins = bins_NC.ravel()
        scores_CB += np.bincount(bins, block_NC.ravel(), minlength=columns * BINS)
        hits_CB += np.bincount(bins, gold_NC.ravel(), minlength=columns * BINS)
        squares += float(((block_NC.astype(np.float64) - gold_NC) ** 2).sum())
    gaps_CB = (scores_CB - hits_CB).reshape(columns, BINS)
    own_C = np.abs(gaps_CB).sum(axis=1) / documents
    there_C = hits_CB.reshape(columns, BINS).sum(axis=1) > 0
    return Reliability(
        float(np.abs(gaps_CB.sum(axis=0)).sum() / (documents * columns)),
        float(own_C[there_C].mean()) if there_C.any() else 0.0,
        squares / (documents * columns),
    )
