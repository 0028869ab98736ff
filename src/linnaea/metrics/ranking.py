"""Ranking: how high gold categories stand in a document's order of scores, whatever is decided.

Equal scores have no order: a measure takes its mean over all orders of them, so that neither the order of
columns nor a saturated score changes a number. nDCG equals scikit-learn's ``ndcg_score`` (McSherry & Najork
2008 on ties), average precision its ``average_precision_score``.

In sparse predictions what was not kept counts as score 0, behind all that was.

Shape letters: N documents, C categories, M gold (document, category) pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from linnaea.decision.cuts import Cuts, Evidence, scores_at
from linnaea.decision.predictions import Predictions
from linnaea.metrics.counts import ratio
from linnaea.ragged import Ragged

PAIRS = 2**22  # of a gold category and a kept score that are compared at once


@dataclass(frozen=True, eq=False)
class Places:
    """Where the gold categories stand.

    Attributes:
        rows_M: int64, the document of each gold pair.
        above_M: int64, how many categories of the document have a higher score.
        equal_M: int64, how many have the same score, itself included.
        gold_N: int64, gold categories of each document.
        columns: C.
    """

    rows_M: np.ndarray
    above_M: np.ndarray
    equal_M: np.ndarray
    gold_N: np.ndarray
    columns: int

    @classmethod
    def of(cls, predictions: Predictions, gold: Ragged) -> Places:
        """The places of all gold pairs: from dense blocks of scores, or from the kept ones alone.

        Args:
            gold: columns of each document, without repeats.
        """
        if not isinstance(predictions.scores, np.ndarray):
            return cls._among_kept(predictions, predictions.scores, gold)
        above, equal = (np.zeros(len(gold.values), dtype=np.int64) for _ in range(2))
        lengths_N = gold.lengths_N
        for rows, block_NC in predictions.blocks():
            starts_N, sizes_N = gold.offsets_N1[rows.start : rows.stop], lengths_N[rows]
            for k in range(int(sizes_N.max(initial=0))):  # the k-th gold category of all documents at once
                at = np.flatnonzero(sizes_N > k)
                pairs = starts_N[at] + k
                part = block_NC if len(at) == len(block_NC) else block_NC[at]
                own = part[np.arange(len(at)), gold.values[pairs], None]
                above[pairs] = np.count_nonzero(part > own, axis=1)
                equal[pairs] = np.count_nonzero(part == own, axis=1)
        return cls(gold.rows, above, equal, lengths_N, len(predictions.taxonomy))

    @classmethod
    def _among_kept(cls, predictions: Predictions, scores: csr_array, gold: Ragged) -> Places:
        kept, columns = Ragged(scores.data, scores.indptr.astype(np.int64)), len(predictions.taxonomy)
        rows_M, own_M = gold.rows, scores_at(predictions, gold.rows, gold.values)
        above, equal = (np.zeros(len(rows_M), dtype=np.int64) for _ in range(2))
        step = max(1, PAIRS // max(1, predictions.kept))
        for start in range(0, len(rows_M), step):
            pairs = slice(start, start + step)
            beside, own = kept.take(rows_M[pairs]), own_M[pairs]
            count, own_of = len(own), own[beside.rows]
            above[pairs] = np.bincount(beside.rows[beside.values > own_of], minlength=count)
            equal[pairs] = np.bincount(beside.rows[beside.values == own_of], minlength=count)
        equal += np.where(own_M == 0, columns - kept.lengths_N[rows_M], 0)
        return cls(rows_M, above, equal, gold.lengths_N, columns)

    def precision_N(self, k: int) -> np.ndarray:
        """``[N]`` float64: share of gold among the ``k`` best categories (among all where there are fewer than ``k``)."""
        k = min(k, self.columns)
        return self._summed(self._among(np.full(len(self.rows_M), k))) / k

    def r_precision_N(self) -> np.ndarray:
        """``[N]`` float64: share of gold among as many best categories as a document has; 0 without gold."""
        sizes_M = self.gold_N[self.rows_M]
        return self._summed(self._among(sizes_M) / sizes_M)

    def ndcg_N(self, k: int) -> np.ndarray:
        """``[N]`` float64: nDCG of the ``k`` best; a document without gold has 0."""
        gains = 1 / np.log2(np.arange(2, min(k, self.columns) + 2))
        summed = np.zeros(self.columns + 1)  # over the first 0, 1, ... places
        summed[1 : len(gains) + 1] = np.cumsum(gains)
        summed[len(gains) + 1 :] = summed[len(gains)]
        mean_M = (summed[self.above_M + self.equal_M] - summed[self.above_M]) / self.equal_M
        return ratio(self._summed(mean_M), summed[self.gold_N])

    def precision(self, k: int) -> float:
        """The mean of ``precision_N``."""
        return float(ratio(self.precision_N(k).sum(), len(self.gold_N)))

    def r_precision(self) -> float:
        """The mean of ``r_precision_N`` over the documents with gold."""
        return float(ratio(self.r_precision_N().sum(), (self.gold_N > 0).sum()))

    def ndcg(self, k: int) -> float:
        """The mean of ``ndcg_N``."""
        return float(ratio(self.ndcg_N(k).sum(), len(self.gold_N)))

    def _summed(self, values_M: np.ndarray) -> np.ndarray:
        return np.bincount(self.rows_M, values_M, minlength=len(self.gold_N))

    def _among(self, k_M: np.ndarray) -> np.ndarray:
        """``[M]``: the chance to stand among the first ``k_M``, over all orders of equal scores."""
        return np.asarray(np.clip(k_M - self.above_M, 0, self.equal_M) / self.equal_M)


@dataclass(frozen=True)
class AveragePrecision:
    """Areas under precision over recall, by steps.

    Attributes:
        micro: of all (document, category) pairs in one order.
        macro: mean over the categories with gold documents.
        kept: only the best scores of each document were there.
    """

    micro: float
    macro: float
    kept: bool


def average_precision(predictions: Predictions, gold: Ragged) -> AveragePrecision:
    """Average precision, both ways."""
    evidence = _evidence(predictions, gold)
    return AveragePrecision(_micro(evidence), _macro(evidence), predictions.sparse)


def _evidence(predictions: Predictions, gold: Ragged) -> Evidence:
    return Evidence(predictions, gold, np.ones(len(predictions.taxonomy)))


def macro_average_precision(predictions: Predictions, gold: Ragged) -> float:
    """Mean over the categories with gold documents; 0 where there is none."""
    return _macro(_evidence(predictions, gold))


def _macro(evidence: Evidence) -> float:
    columns, documents, cuts = len(evidence.taxonomy), len(evidence.predictions), Cuts.of(evidence)
    fresh = np.diff(cuts.hits, prepend=0)  # wrong at each category's first cut, whose precision is 0
    sums_C = np.bincount(cuts.category, fresh * ratio(cuts.hits, cuts.decided), minlength=columns)
    # Gold documents with score 0 come last, with all other documents.
    reached_C, gold_C = cuts.hits[cuts.starts_C1[1:] - 1], cuts.positives_C
    sums_C += (gold_C - reached_C) * ratio(gold_C, documents)
    present_C = gold_C > 0
    return float(ratio(ratio(sums_C, gold_C).sum(), present_C.sum()))


def micro_average_precision(predictions: Predictions, gold: Ragged) -> float:
    """Over all (document, category) pairs; 0 where none is gold."""
    return _micro(_evidence(predictions, gold))


def _micro(evidence: Evidence) -> float:
    predictions, total = evidence.predictions, len(evidence.gold.values)
    positives = np.sort(evidence.positives.values)
    points, first = np.unique(positives, return_index=True)
    decided = np.zeros(len(points), dtype=np.int64)
    for scores in _pieces(predictions):
        ordered = np.sort(scores)
        decided += len(ordered) - np.searchsorted(ordered, points)
    hits = len(positives) - first
    fresh = hits - np.append(hits[1:], 0)
    area = (fresh * ratio(hits, decided)).sum()
    area += (total - len(positives)) * ratio(total, len(predictions) * len(evidence.taxonomy))
    return float(ratio(area, total))


def _pieces(predictions: Predictions, values: int = 2**23) -> Iterator[np.ndarray]:
    """All scores, without places, a few million at a time; of sparse predictions those that were kept."""
    scores = predictions.scores
    if isinstance(scores, np.ndarray):
        for _, block in predictions.blocks(values * 4 // 2**20):
            yield block.reshape(-1)
    else:
        for start in range(0, len(scores.data), values):
            yield scores.data[start : start + values]


def ranking(predictions: Predictions, gold: Ragged, ranks: Sequence[int]) -> dict[str, float]:
    """``precision@k`` for all ``ranks``, ``r_precision``, and ``ndcg@k`` for the last of them."""
    return ranked(Places.of(predictions, gold), ranks)


def ranked(places: Places, ranks: Sequence[int]) -> dict[str, float]:
    """The same from the places of gold among the scores."""
    measures = {f"precision@{k}": places.precision(k) for k in ranks}
    return {**measures, "r_precision": places.r_precision(), f"ndcg@{ranks[-1]}": places.ndcg(ranks[-1])}
