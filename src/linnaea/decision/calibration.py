"""Calibration: rising curves that turn scores into shares: of documents that score .3, three in ten have the category.

Paper: temperature: Guo et al. 2017, https://arxiv.org/abs/1706.04599; platt: Platt 1999, Probabilistic Outputs for
Support Vector Machines; isotonic: Zadrozny and Elkan 2002, https://doi.org/10.1145/775047.775151.

Formula: with z = logit(score), of each category c:
    temperature: σ(z / T_c); of multiclass tasks softmax(log(score) / T) over a document's categories. Where only some
    scores of a document were kept, that times what they added up to, and at most times 1.
    platt: σ(a_c·z + b_c), a_c > 0.
    isotonic: the rising step curve with the least squared error, linear between its steps.
T_c, a_c, b_c minimise the cross-entropy with the targets (n⁺ + 1) / (n⁺ + 2) of a category's n⁺ positives and
1 / (n⁻ + 2) of its n⁻ negatives (Platt's), so that they are finite where scores part them without error.

Differences: the papers have one curve, or one a class. Here a category with fewer than ``enough`` positives or
negatives, and one in which platt would fall with the score, has the curve that is fitted on the scores of all
categories together (at most 2²² of them: every k-th document). T lies between 1/20 and 20. The logits of the paper are
log scores here, up to a number a document: under a softmax nothing else, and under sigmoids (bce and its kin in
multiclass tasks) what makes a document's scores add up to 1 at last, as of its categories one is right.

Shapes: scores [N, C] in, scores [N, C] out. No curve falls: within a category no two documents change places, though
under isotonic many become equal; of multiclass tasks it is a document's categories that keep their places. A score that
was not kept stays 0: in sparse predictions, and so in fitting, only kept scores take part.

Cost: O(N·C) a Newton step, some ten of them; isotonic O(N·C·log N). Applied: O(N·C).

When to use: temperature or platt where dev is small, platt where scores are shifted (class weights, losses other than
cross-entropy, decision values of linear models); isotonic from some hundred positives a category on. Not for F1 alone:
thresholds of their own see to that.

Shape letters: N documents, C categories, M scores of one category, K points of a curve.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from scipy.sparse import csr_array
from scipy.special import expit

from linnaea.config.part import shown
from linnaea.config.registry import calibrations
from linnaea.decision.curves import Calibration, kept, log_odds
from linnaea.decision.cuts import scores_at
from linnaea.decision.newton import HIGHEST, LOWEST, least_line, row_steepness, smoothed, steepness
from linnaea.decision.predictions import Predictions
from linnaea.decision.saved import finite, inside
from linnaea.errors import ModelError
from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy

LEAST = 1e-3  # below it a slope counts as none


class _Lines(Calibration):
    """Lines through the log-odds: ``[slope, offset]``."""

    identity: ClassVar[np.ndarray] = np.array([1.0, 0.0])

    def bend(self, scores_M: np.ndarray, curve: np.ndarray) -> np.ndarray:
        return np.asarray(expit(curve[0] * log_odds(scores_M) + curve[1]))

    def _stacked(self) -> tuple[np.ndarray, np.ndarray]:
        lines_C2 = np.tile(self.shared, (len(self.taxonomy), 1))
        for column, curve in self.own.items():
            lines_C2[column] = curve
        return lines_C2[:, 0], lines_C2[:, 1]

    def dense(self, scores_NC: np.ndarray) -> np.ndarray:
        slope_C, offset_C = self._stacked()
        return np.asarray(expit(slope_C * log_odds(scores_NC) + offset_C), dtype=scores_NC.dtype)

    def sparse(self, scores: csr_array) -> csr_array:
        slope_C, offset_C = self._stacked()
        columns = scores.indices
        return kept(scores, expit(slope_C[columns] * log_odds(scores.data) + offset_C[columns]))


@calibrations.register("temperature")
class Temperature(_Lines):
    """One number a category, and no offset: what scored a half still does."""

    def curve(self, scores_M: np.ndarray, hits_M: np.ndarray) -> np.ndarray | None:
        return np.array([steepness(log_odds(scores_M), smoothed(hits_M)), 0.0])

    def point(self, curve: np.ndarray) -> Any:
        return 1 / float(curve[0])

    def parsed(self, value: Any, where: str) -> np.ndarray:
        return np.array([1 / finite(value, where, 0.9 / HIGHEST, 1.1 / LOWEST), 0.0])

    def fit(self, predictions: Predictions, gold: Ragged, support_C: np.ndarray) -> None:
        if not self.rows:
            super().fit(predictions, gold, support_C)
            return
        # The documents whose one category was kept: of the others nothing is known.
        one = np.flatnonzero(gold.lengths_N == 1)
        right_N = scores_at(predictions, one, gold.values[gold.offsets_N1[one]])
        told = right_N > 0
        if told.any():
            logs = csr_array(predictions.scores[one[told]]).astype(np.float64)
            logs.eliminate_zeros()
            logs.data = np.log(logs.data)
            right_N = np.log(right_N[told].astype(np.float64))
            self.shared = np.array([row_steepness(logs, right_N), 0.0])

    def dense(self, scores_NC: np.ndarray) -> np.ndarray:
        if not self.rows:
            return super().dense(scores_NC)
        highest_N1 = scores_NC.max(axis=1, keepdims=True, initial=0).astype(np.float64)
        power_NC = (scores_NC / _nonzero(highest_N1)) ** self.shared[0]  # no row of small scores becomes 0
        power_NC /= _nonzero(power_NC.sum(axis=1, keepdims=True))
        return np.asarray(power_NC, dtype=scores_NC.dtype)

    def sparse(self, scores: csr_array) -> csr_array:
        if not self.rows:
            return super().sparse(scores)
        documents = scores.shape[0]
        rows = np.repeat(np.arange(documents), np.diff(scores.indptr))
        highest_N = np.zeros(documents)
        np.maximum.at(highest_N, rows, scores.data)
        power = (scores.data / _nonzero(highest_N)[rows]) ** self.shared[0]
        before_N, after_N = (np.bincount(rows, data, minlength=documents) for data in (scores.data, power))
        # What was cut has the rest of the document's 1, if there is any.
        return kept(scores, power * (np.minimum(before_N, 1) / _nonzero(after_N))[rows])


@calibrations.register("platt")
class Platt(_Lines):
    """A slope and an offset a category: logistic regression on the log-odds."""

    def curve(self, scores_M: np.ndarray, hits_M: np.ndarray) -> np.ndarray | None:
        line = least_line(log_odds(scores_M), smoothed(hits_M))
        return line if line[0] > LEAST else None

    def parsed(self, value: Any, where: str) -> np.ndarray:
        if not isinstance(value, list) or len(value) != 2:
            raise ModelError(f"must be a slope and an offset, not {shown(value)}", where=where)
        return np.array([finite(value[0], where, LEAST), finite(value[1], where)])


@calibrations.register("isotonic")
class Isotonic(Calibration):
    """A rising curve through points ``[2, K]``: scores, and the shares that they stand for."""

    identity: ClassVar[np.ndarray] = np.array([[0.0, 1.0], [0.0, 1.0]])

    def curve(self, scores_M: np.ndarray, hits_M: np.ndarray) -> np.ndarray | None:
        from sklearn.isotonic import IsotonicRegression  # slow to import, and only fitting needs it

        fitted = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
        fitted.fit(scores_M.astype(np.float64), hits_M.astype(np.float64))
        return np.stack([fitted.X_thresholds_, fitted.y_thresholds_])

    def bend(self, scores_M: np.ndarray, curve: np.ndarray) -> np.ndarray:
        return np.asarray(np.interp(scores_M, curve[0], curve[1]))

    def parsed(self, value: Any, where: str) -> np.ndarray:
        if not isinstance(value, list) or len(value) != 2 or not all(isinstance(v, list) for v in value):
            raise ModelError(f"must be scores and shares, not {shown(value)}", where=where)
        if len(value[0]) != len(value[1]) or not value[0]:
            raise ModelError(f"has {len(value[0])} scores and {len(value[1])} shares", where=where)
        points = np.array([[finite(number, where, 0, 1) for number in row] for row in value])
        if (np.diff(points[0]) <= 0).any() or (np.diff(points[1]) < 0).any():
            raise ModelError("scores and shares must rise", where=where)
        return points


def build_calibration(config: Any, taxonomy: Taxonomy, rows: bool) -> Calibration:
    """One that is not fitted yet: its curves leave scores as they are."""
    built: Calibration = calibrations.build(config, taxonomy=taxonomy, rows=rows)
    return built


def read_calibration(value: object, taxonomy: Taxonomy, where: str | None) -> Calibration:
    """What ``Calibration.to_json`` gave.

    Raises:
        ModelError: broken.
        ConfigError: of a type, or with settings, that nobody knows.
    """
    keys = ("type", "settings", "rows", "shared", "own")
    if not isinstance(value, Mapping) or any(key not in value for key in keys):
        raise ModelError(f"not a calibration: {shown(value)}", where=where)
    config = calibrations.config(str(value["type"])).read(value["settings"])
    made = build_calibration(config, taxonomy, value["rows"] is True)
    made.shared = made.parsed(value["shared"], inside(where, "shared") or "")
    if not isinstance(value["own"], Mapping):
        raise ModelError(f"must be an object, not {shown(value['own'])}", where=inside(where, "own"))
    for id, curve in value["own"].items():
        if id not in taxonomy.index:
            raise ModelError(f"no category {id!r} in the taxonomy", where=inside(where, "own"))
        made.own[taxonomy.index[id]] = made.parsed(curve, inside(where, f"own: {id}") or "")
    return made


def _nonzero(values: np.ndarray) -> np.ndarray:
    return np.where(values > 0, values, 1)
