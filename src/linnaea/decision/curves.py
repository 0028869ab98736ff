"""Curves: what all calibrations share: one curve a category that has enough documents, one for all others, how they are
fitted on held-out scores and applied to dense and sparse ones.

Shape letters: N documents, C categories, M scores of one category.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from scipy.sparse import csr_array

from linnaea.decision.predictions import Predictions
from linnaea.errors import RunError
from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy

POOL = 2**22  # scores that the shared curve is fitted on
# The least score is exp(-30); the largest float32 below 1 is 1 - 2^-24, and what rounds to 1 lies half a step above.
LEAST_SCORE, MOST_SCORE = 1e-13, 1 - 2.0**-25


class Calibration:
    """Base of all calibrations: one curve a category, or the shared one; a plug-in brings its ``Config`` inside.

    Args:
        config: the settings.
        taxonomy: of the scores' columns.
        rows: a document has exactly one category (multiclass): calibrated scores add up to 1.

    Attributes:
        own: curves of categories that have one of their own, by column.
        shared: the curve of all others.
    """

    identity: ClassVar[np.ndarray]

    def __init__(self, config: Any, taxonomy: Taxonomy, rows: bool = False) -> None:
        self.config, self.taxonomy, self.rows = config, taxonomy, rows
        self.own: dict[int, np.ndarray] = {}
        self.shared = self.identity

    def curve(self, scores_M: np.ndarray, hits_M: np.ndarray) -> np.ndarray | None:
        """A rising curve for scores of positives and negatives (there are both); None: there is none."""
        raise NotImplementedError

    def bend(self, scores_M: np.ndarray, curve: np.ndarray) -> np.ndarray:
        """Scores, calibrated."""
        raise NotImplementedError

    def point(self, curve: np.ndarray) -> Any:
        """A curve as JSON."""
        return curve.tolist()

    def parsed(self, value: Any, where: str) -> np.ndarray:
        """What ``point`` gave; a ModelError where it cannot have."""
        raise NotImplementedError

    def fit(self, predictions: Predictions, gold: Ragged, support_C: np.ndarray) -> None:
        """Find the curves.

        Args:
            predictions: scores of documents that the scorer did not learn from.
            gold: their columns.
            support_C: training documents of each category: without any its scores are no part of the pool.

        Raises:
            RunError: a score is not a number.
        """
        columns = [c for c in range(len(self.taxonomy)) if support_C[c] > 0]
        every = max(1, -(-len(predictions) * len(columns) // POOL))
        pool: list[tuple[np.ndarray, np.ndarray]] = []
        for column, rows, scores, hits in _columns(predictions, gold):
            if support_C[column] == 0:
                continue
            pool.append((scores[rows % every == 0], hits[rows % every == 0]))
            if min(hits.sum(), (~hits).sum()) >= self.config.enough:
                found = self.curve(scores, hits)
                if found is not None:
                    self.own[column] = found
        scores, hits = (np.concatenate([part[i] for part in pool] or [np.zeros(0)]) for i in (0, 1))
        if len(self.own) < len(self.taxonomy) and 0 < hits.sum() < len(hits):
            found = self.curve(scores, hits.astype(bool))
            self.shared = self.identity if found is None else found

    def of(self, column: int) -> np.ndarray:
        """The curve of a category."""
        return self.own.get(column, self.shared)

    def dense(self, scores_NC: np.ndarray) -> np.ndarray:
        """``[N, C]`` of the same type, calibrated."""
        bent_NC = np.empty_like(scores_NC)
        for column in range(scores_NC.shape[1]):
            bent_NC[:, column] = self.bend(scores_NC[:, column], self.of(column))
        return bent_NC

    def sparse(self, scores: csr_array) -> csr_array:
        """The kept scores, calibrated."""
        order = np.argsort(scores.indices, kind="stable")
        ends = np.cumsum(np.bincount(scores.indices, minlength=scores.shape[1]))
        data = np.empty_like(scores.data)
        for column, part in enumerate(np.split(order, ends[:-1])):
            data[part] = self.bend(scores.data[part], self.of(column))
        return kept(scores, data)

    def thresholds(self, thresholds_C: np.ndarray) -> np.ndarray:
        """Thresholds that were found on scores as they were, for calibrated ones; never and always stay so."""
        inside_C = np.clip(thresholds_C, 0, 1).astype(np.float32)
        bent_C = self.dense(inside_C[None])[0].astype(np.float64)
        return np.where((thresholds_C > 0) & (thresholds_C <= 1), bent_C, thresholds_C)

    def to_json(self) -> dict[str, Any]:
        """Plain numbers; categories that are not named have the shared curve."""
        ids = self.taxonomy.ids
        own = {ids[column]: self.point(curve) for column, curve in sorted(self.own.items())}
        settings = self.config.model_dump(mode="json", exclude={"on", "folds"})
        return {
            "type": self.config.type, "settings": settings, "rows": self.rows,
            "shared": self.point(self.shared), "own": own,
        }  # fmt: skip


def log_odds(scores: np.ndarray) -> np.ndarray:
    """float64 and finite: scores are brought into [1e-13, 1 - 2^-25]."""
    values = np.clip(np.asarray(scores, dtype=np.float64), LEAST_SCORE, MOST_SCORE)
    return np.asarray(np.log(values) - np.log1p(-values))


def _columns(
    predictions: Predictions, gold: Ragged
) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
    """Each category with rows, scores and whether they are of positives; in sparse predictions those above 0."""
    by_column = gold.transpose(len(predictions.taxonomy))
    for column, rows, scores in predictions.columns():
        if np.isnan(scores).any():
            place = f"category {predictions.taxonomy.ids[column]}"
            raise RunError("scores that are not numbers cannot be calibrated", where=place)
        hits_N = np.zeros(len(predictions), dtype=bool)
        hits_N[by_column[column]] = True
        kept = scores > 0 if predictions.sparse else slice(None)
        yield column, rows[kept], scores[kept], hits_N[rows[kept]]


def kept(scores: csr_array, data: np.ndarray) -> csr_array:
    """``scores`` with other values in their places; what was 0 stays 0."""
    data = np.where(scores.data > 0, data, 0).astype(scores.dtype)
    return csr_array((data, scores.indices, scores.indptr), shape=scores.shape)
