"""Blending scores: against a plain loop over scikit-learn's average precision, and by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score

from linnaea.ragged import Ragged
from linnaea.strategies.blend import STEPS, Blend, _scale, _temperature

from ..references.worlds import flat, predictions


def made(
    seed: int, noise: tuple[float, ...], documents: int = 60, columns: int = 5
) -> tuple[Any, Ragged, np.ndarray]:
    """Scores of members that see the same gold through so much noise each."""
    random = np.random.default_rng(seed)
    gold = random.random((documents, columns)) < 0.3
    margins = [np.where(gold, 1.0, -1.0) + random.normal(0, n, gold.shape) for n in noise]
    taxonomy = flat(columns)
    return (
        [predictions(expit(m), taxonomy) for m in margins],
        Ragged.from_rows([np.flatnonzero(r) for r in gold]),
        gold,
    )


def twin(evidence: list[np.ndarray], gold: np.ndarray) -> np.ndarray:
    """Ensemble selection, one sum at a time."""

    def worth(scores: np.ndarray) -> float:
        present = [c for c in range(gold.shape[1]) if gold[:, c].any()]
        macro = np.mean([average_precision_score(gold[:, c], scores[:, c]) for c in present])
        return average_precision_score(gold.ravel(), scores.ravel()) + macro

    bag: list[int] = []
    best, best_bag = -1.0, list(bag)
    for _ in range(STEPS):
        tried = [
            worth(expit(sum(evidence[m] for m in [*bag, more]) / (len(bag) + 1)))
            for more in range(len(evidence))
        ]
        bag.append(int(np.argmax(tried)))
        if max(tried) > best + 1e-5:
            best, best_bag = max(tried), list(bag)
    return np.bincount(best_bag, minlength=len(evidence)) / len(best_bag)


@pytest.mark.parametrize("seed", range(6))
def test_selection_is_the_plain_loops(seed: int) -> None:
    tunings, rows, gold = made(seed, (1.0, 1.3, 2.5))
    blend = Blend.fit(tunings, rows, "sigmoid", seed=0)
    scales = [_scale(t.scores, rows, "sigmoid", np.random.default_rng(0)) for t in tunings]
    evidence = [a * logit(t.scores.astype(np.float64)) + b for t, (a, b) in zip(tunings, scales, strict=True)]
    np.testing.assert_allclose(blend.shares, twin(evidence, gold), atol=1e-4)
    np.testing.assert_allclose(
        blend.weights, [s * a for s, (a, _) in zip(blend.shares, scales, strict=True)], atol=1e-4
    )
    summed = sum(s * e for s, e in zip(blend.shares, evidence, strict=True))
    chosen = [tunings[m].scores for m in blend.chosen]
    np.testing.assert_allclose(blend(chosen), expit(summed), atol=1e-4)


def test_a_member_that_knows_all_stands_alone() -> None:
    tunings, rows, _ = made(1, (0.0, 5.0))
    blend = Blend.fit(tunings, rows, "sigmoid", seed=0)
    assert (blend.shares, blend.chosen) == ((1.0, 0.0), (0,))


def test_members_that_err_apart_are_better_together() -> None:
    tunings, rows, gold = made(3, (1.5, 1.5), documents=400)
    blend = Blend.fit(tunings, rows, "sigmoid", seed=0)
    together = average_precision_score(gold.ravel(), blend([t.scores for t in tunings]).ravel())
    alone = [average_precision_score(gold.ravel(), t.scores.ravel()) for t in tunings]
    assert min(blend.shares) > 0.2
    assert together > max(alone) + 0.02


def test_scale_and_shift_are_those_of_logistic_regression() -> None:
    tunings, rows, gold = made(5, (2.0,), documents=300)
    evidence = logit(tunings[0].scores.astype(np.float64)).reshape(-1, 1)
    theirs = LogisticRegression(C=np.inf).fit(evidence, gold.ravel())
    scale, shift = _scale(tunings[0].scores, rows, "sigmoid", np.random.default_rng(0))
    assert (scale, shift) == pytest.approx((theirs.coef_[0, 0], theirs.intercept_[0]), abs=2e-3)


def test_a_sample_of_the_pairs_gives_nearly_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    tunings, rows, _ = made(5, (2.0,), documents=3000)
    whole = _scale(tunings[0].scores, rows, "sigmoid", np.random.default_rng(0))
    monkeypatch.setattr("linnaea.strategies.blend.PAIRS", 4000)
    assert _scale(tunings[0].scores, rows, "sigmoid", np.random.default_rng(0)) == pytest.approx(
        whole, abs=0.1
    )


def test_selection_looks_at_a_sample_where_scores_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    tunings, rows, _ = made(7, (1.0, 4.0), documents=2000)
    monkeypatch.setattr("linnaea.strategies.blend.LOOKED_AT", 2000)
    blend = Blend.fit(tunings, rows, "sigmoid", seed=0)
    assert blend.shares[0] > blend.shares[1]
    assert blend == Blend.fit(tunings, rows, "sigmoid", seed=0)


def test_equal_shares() -> None:
    tunings, rows, _ = made(1, (1.0, 5.0, 2.0))
    assert Blend.fit(tunings, rows, "sigmoid", seed=0, equal=True).shares == (0.3333, 0.3333, 0.3333)


def test_one_of_many_stays_one_of_many() -> None:
    random = np.random.default_rng(2)
    own = random.integers(0, 4, 200)
    logs = [2.0 * np.eye(4)[own] + random.normal(0, n, (200, 4)) for n in (1.0, 1.5)]
    shares = [np.exp(m) / np.exp(m).sum(1, keepdims=True) for m in logs]
    taxonomy = flat(4)
    rows = Ragged.from_rows([[c] for c in own])
    blend = Blend.fit([predictions(s, taxonomy) for s in shares], rows, "softmax", seed=0)
    scores = blend([shares[m].astype(np.float32) for m in blend.chosen])
    np.testing.assert_allclose(scores.sum(1), 1, atol=1e-5)
    assert blend.bias == 0
    right = [(s.argmax(1) == own).mean() for s in (scores, *shares)]
    assert right[0] >= max(right[1:]) - 0.01
    # The temperature of least log loss, by trying them all.
    log_shares = np.log(shares[1])
    tried = np.linspace(0.2, 3, 561)
    losses = [
        -(t * log_shares[np.arange(200), own] - np.log(np.exp(t * log_shares).sum(1))).mean() for t in tried
    ]
    assert _temperature(shares[1], rows) == pytest.approx(tried[int(np.argmin(losses))], abs=0.01)


def test_it_is_read_as_it_was_written() -> None:
    tunings, rows, _ = made(1, (1.0, 1.2))
    blend = Blend.fit(tunings, rows, "sigmoid", seed=0)
    assert Blend.from_json(blend.to_json()) == blend


@pytest.mark.parametrize(
    "change",
    [{"scores": "tanh"}, {"weights": [float("nan")], "shares": [1]}, {"weights": [1, 2], "shares": [1]}],
)
def test_a_damaged_blend_is_refused(change: dict[str, Any]) -> None:
    value = {"weights": [1.0], "bias": 0.0, "scores": "sigmoid", "shares": [1.0]}
    with pytest.raises(ValueError, match=r"tanh|not finite"):
        Blend.from_json({**value, **change})
