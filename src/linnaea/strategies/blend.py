"""Blend: the scores of several scorers as one, by a weighted sum of their log-odds.

Ensemble selection (Caruana et al. 2004, https://doi.org/10.1145/1015330.1015432): beginning with nothing, the member whose
addition makes the mean score best is added, the same one as often as it helps; its weight is how often it came. What is made
best is the average precision on held-out scores, over all pairs and in the mean over categories, since thresholds are found
later. Log loss, which stacking goes by, is no guide here: it prefers the scorer whose scores are shares to the one that ranks
better (measured in docs/presets.md).

Members count in one currency: a scale and a shift of all its log-odds, those of least log loss. Under softmax
log-probabilities take the place of log-odds, and there is no shift.

Shape letters: N documents, C categories, M members, P pairs of a document and a category.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_softmax, logit, softmax

from linnaea.decision.predictions import Predictions
from linnaea.metrics.ranking import macro_average_precision, micro_average_precision
from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy

Scores = Literal["sigmoid", "softmax"]
SURE = 1e-7  # scores are kept so far from 0 and 1
PAIRS = 500_000  # that are not positive, and are looked at for scale and shift
LOOKED_AT = 2**22  # scores of a member that selection looks at
STEPS = 12  # members that are added, at most
LEAST = 1e-5  # an addition that brings less is none


@dataclass(frozen=True)
class Blend:
    """Weights of M members.

    Attributes:
        bias: added to the sum; 0 under softmax.
        shares: how often each member was added, of all additions.
    """

    weights: tuple[float, ...]
    bias: float
    scores: Scores
    shares: tuple[float, ...]

    @classmethod
    def fit(
        cls, tunings: Sequence[Predictions], gold: Ragged, scores: Scores, seed: int, *, equal: bool = False
    ) -> Self:
        """The weights of the best average precision.

        Args:
            tunings: dense scores of each member, of the same documents, from which it did not learn.
            gold: columns of each of these documents.
            equal: all members come in alike; only their scales are found.
        """
        random, taxonomy = np.random.default_rng(seed), tunings[0].taxonomy
        dense = [part.scores for part in tunings if isinstance(part.scores, np.ndarray)]
        scales = [_scale(part, gold, scores, random) for part in dense]
        if equal or len(dense) == 1:
            shares_M = np.full(len(dense), 1 / len(dense))
        else:
            rows = _drawn(gold, len(taxonomy), random)
            evidence = [
                a * _evidence(part[rows], scores) + b for part, (a, b) in zip(dense, scales, strict=True)
            ]
            shares_M = _selected(evidence, gold.take(rows), taxonomy, scores)
        weights = tuple(round(float(share * a), 6) for share, (a, _) in zip(shares_M, scales, strict=True))
        bias = float(sum(share * b for share, (_, b) in zip(shares_M, scales, strict=True)))
        return cls(weights, round(bias, 6), scores, tuple(round(float(share), 4) for share in shares_M))

    @property
    def chosen(self) -> tuple[int, ...]:
        """The members that weigh anything."""
        return tuple(number for number, weight in enumerate(self.weights) if weight)

    def __call__(self, scores: Sequence[np.ndarray]) -> np.ndarray:
        """``[B, C]`` float32 scores.

        Args:
            scores: ``[B, C]`` of each of the members ``chosen``, in their order.
        """
        weights = [weight for weight in self.weights if weight]
        summed = np.full(scores[0].shape, self.bias)
        for weight, scores_BC in zip(weights, scores, strict=True):
            summed += weight * _evidence(scores_BC, self.scores)
        return _scores(summed, self.scores)

    def to_json(self) -> dict[str, Any]:
        return {"weights": self.weights, "bias": self.bias, "scores": self.scores, "shares": self.shares}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        if value["scores"] not in ("sigmoid", "softmax"):
            raise ValueError(f"scores {value['scores']!r}")
        weights, shares = (tuple(map(float, value[key])) for key in ("weights", "shares"))
        blend = cls(weights, float(value["bias"]), value["scores"], shares)
        if len(weights) != len(shares) or not np.isfinite([*weights, blend.bias]).all():
            raise ValueError("weights that are not finite, or not one a member")
        return blend


def _evidence(scores: np.ndarray, kind: Scores) -> np.ndarray:
    """Log-odds, or log-probabilities, of scores; finite."""
    kept = np.clip(scores.astype(np.float64), SURE, 1 - SURE)
    return np.asarray(np.log(kept) if kind == "softmax" else logit(kept))


def _scores(evidence: np.ndarray, kind: Scores) -> np.ndarray:
    return np.asarray(softmax(evidence, axis=1) if kind == "softmax" else expit(evidence), dtype=np.float32)


def _drawn(gold: Ragged, columns: int, random: np.random.Generator) -> np.ndarray:
    """The documents that selection looks at: all, or a sample."""
    most = max(1, LOOKED_AT // columns)
    if len(gold) <= most:
        return np.arange(len(gold))
    return np.sort(random.choice(len(gold), most, replace=False))


def _selected(evidence: Sequence[np.ndarray], gold: Ragged, taxonomy: Taxonomy, kind: Scores) -> np.ndarray:
    """``[M]``: the share of each member among all additions."""
    names = [str(row) for row in range(len(gold))]

    def worth(summed: np.ndarray) -> float:
        predictions = Predictions(names, taxonomy, _scores(summed, kind))
        return micro_average_precision(predictions, gold) + macro_average_precision(predictions, gold)

    counts_M, summed = np.zeros(len(evidence)), np.zeros_like(evidence[0])
    best, best_M = -1.0, counts_M
    for step in range(1, STEPS + 1):
        worths = [worth((summed + part) / step) for part in evidence]
        added = int(np.argmax(worths))
        counts_M = counts_M + (np.arange(len(evidence)) == added)
        summed += evidence[added]
        if worths[added] > best + LEAST:
            best, best_M = worths[added], counts_M
    return np.asarray(best_M / best_M.sum())


def _scale(
    scores_NC: np.ndarray, gold: Ragged, kind: Scores, random: np.random.Generator
) -> tuple[float, float]:
    """Scale and shift of least log loss; where pairs are many, over all positives and a sample of the others."""
    if kind == "softmax":
        return _temperature(scores_NC, gold), 0.0
    positives = np.unique(gold.rows * scores_NC.shape[1] + gold.values)
    size, drawn = scores_NC.size, None
    if size - len(positives) > PAIRS:  # some fewer are left, where one was drawn twice or is a positive
        drawn = np.unique(random.integers(size, size=PAIRS))
    others = np.setdiff1d(np.arange(size) if drawn is None else drawn, positives, assume_unique=True)
    places_P = np.concatenate([positives, others])
    weight_P = np.ones(len(places_P))
    weight_P[len(positives) :] = (size - len(positives)) / max(1, len(others))
    gold_P, weight_P = (
        (np.arange(len(places_P)) < len(positives)).astype(np.float64),
        weight_P / weight_P.sum(),
    )
    evidence_P = _evidence(scores_NC.ravel()[places_P], kind)

    def loss(point: np.ndarray) -> tuple[float, np.ndarray]:
        sum_P = point[0] * evidence_P + point[1]
        off_P = weight_P * (expit(sum_P) - gold_P)
        value = float(weight_P @ (np.logaddexp(0, sum_P) - gold_P * sum_P))
        return value, np.array([off_P @ evidence_P, off_P.sum()])

    bounds = [(1e-3, 1e3), (-1e3, 1e3)]
    scale, shift = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=bounds).x
    return float(scale), float(shift)


def _temperature(scores_NC: np.ndarray, gold: Ragged) -> float:
    rows_N = np.flatnonzero(gold.lengths_N)  # a document has exactly one
    own_N, places = gold.values[gold.offsets_N1[rows_N]], np.arange(len(rows_N))
    evidence_NC = _evidence(scores_NC[rows_N], "softmax")

    def loss(point: np.ndarray) -> tuple[float, np.ndarray]:
        logs_NC = log_softmax(point[0] * evidence_NC, axis=1)
        expected_N = (np.exp(logs_NC) * evidence_NC).sum(axis=1)
        slope = float((expected_N - evidence_NC[places, own_N]).mean())
        return -float(logs_NC[places, own_N].mean()), np.array([slope])

    return float(minimize(loss, np.array([1.0]), jac=True, method="L-BFGS-B", bounds=[(1e-3, 1e3)]).x[0])
