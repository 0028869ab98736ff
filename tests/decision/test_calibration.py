"""Calibration: against scikit-learn and brute force, rising, sparse as dense, saved, and first in the decider."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.sparse import csr_array
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from linnaea.config.config import Config
from linnaea.config.outcome import DecisionConfig
from linnaea.config.registry import calibrations
from linnaea.config.task import TaskConfig
from linnaea.decision import curves
from linnaea.decision.curves import Calibration, log_odds
from linnaea.decision.decider import Decider
from linnaea.decision.predictions import Predictions
from linnaea.decision.thresholds import fit_decider
from linnaea.errors import ConfigError, ModelError, RunError, UsageError
from linnaea.metrics.calibration import reliability
from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy
from tests.references import caution as reference
from tests.references.worlds import flat, matrices, predictions, sets, tree

NAMES = ["temperature", "platt", "isotonic"]


def world(seed: int = 0, documents: int = 400, columns: int = 3) -> tuple[Predictions, np.ndarray]:
    """Scores that are too sure of themselves and too low, and gold that is drawn from the true shares."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(-0.5, 1.5, (documents, columns))
    gold = rng.random(odds.shape) < 1 / (1 + np.exp(-odds))
    return predictions(1 / (1 + np.exp(-(2.0 * odds - 1.0)))), gold


def fitted(
    name: str | dict, scores: Predictions, gold: np.ndarray, support: Any = None, **task: Any
) -> Calibration:
    support = np.ones(gold.shape[1], dtype=int) if support is None else np.array(support)
    config = DecisionConfig.read({"calibration": name})
    made = fit_decider(
        config, TaskConfig(**task), scores, Ragged.from_dense(gold), support, scores.taxonomy
    ).calibration
    assert made is not None
    return made


def shared_by_all(name: str, scores: Predictions, gold: np.ndarray) -> Calibration:
    """All categories have the pool's curve."""
    return fitted({"type": name, "enough": 10**6}, scores, gold)


def test_temperature_has_the_least_cross_entropy() -> None:
    scores, gold = world()
    made = fitted("temperature", scores, gold)
    for column in range(3):
        pairs = scores.scores[:, column].astype(float).tolist(), gold[:, column].tolist()
        best = minimize_scalar(
            lambda steep, pairs=pairs: reference.cross_entropy(steep, 0.0, *pairs),
            bounds=(1 / 20, 20), method="bounded", options={"xatol": 1e-9},
        )  # fmt: skip
        assert made.of(column)[1] == 0
        assert made.of(column)[0] == pytest.approx(best.x, rel=1e-5)


def test_platt_is_a_logistic_regression_on_the_log_odds() -> None:
    scores, gold = world(1)
    made = fitted("platt", scores, gold)
    for column in range(3):
        odds, hits = log_odds(scores.scores[:, column])[:, None], gold[:, column]
        high, low = (hits.sum() + 1) / (hits.sum() + 2), 1 / ((~hits).sum() + 2)
        targets = np.where(hits, high, low)
        twice = LogisticRegression(C=1e10, tol=1e-10, max_iter=1000).fit(
            np.concatenate([odds, odds]),
            np.repeat([1, 0], len(odds)),
            sample_weight=np.concatenate([targets, 1 - targets]),
        )
        expected = [twice.coef_[0, 0], twice.intercept_[0]]
        np.testing.assert_allclose(made.of(column), expected, rtol=1e-4, atol=1e-5)
        shares = twice.predict_proba(odds)[:, 1]
        np.testing.assert_allclose(made.dense(scores.scores)[:, column], shares, atol=1e-5)


def test_isotonic_is_scikit_learns() -> None:
    scores, gold = world(2)
    made = fitted({"type": "isotonic", "enough": 5}, scores, gold)
    bent = made.dense(scores.scores)
    for column in range(3):
        own = scores.scores[:, column].astype(float)
        model = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(own, gold[:, column])
        np.testing.assert_allclose(bent[:, column], model.predict(own), atol=1e-6)
        between = np.linspace(0, 1, 77)
        np.testing.assert_allclose(made.bend(between, made.of(column)), model.predict(between), atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_few_positives_share_the_curve_of_all(name: str) -> None:
    scores, gold = world(3)
    gold[:, 2] &= np.arange(len(gold)) < 10
    few = int(gold[:, 2].sum())
    made = fitted({"type": name, "enough": few + 1}, scores, gold)
    assert sorted(made.own) == [0, 1]
    pooled = fitted(
        {"type": name, "enough": 1}, predictions(scores.scores.T.reshape(-1, 1)), gold.T.reshape(-1, 1)
    )
    np.testing.assert_allclose(made.of(2), pooled.of(0), rtol=1e-6)
    assert sorted(fitted({"type": name, "enough": few}, scores, gold).own) == [0, 1, 2]


def test_negatives_may_be_few_too() -> None:
    scores, gold = world(3)
    gold[:, 1] |= np.arange(len(gold)) > 4
    assert 1 not in fitted({"type": "platt", "enough": 10}, scores, gold).own


def test_the_pool_may_be_every_kth_document(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, gold = world(4, documents=300)
    monkeypatch.setattr(curves, "POOL", 450)  # of 900
    made = shared_by_all("platt", scores, gold)
    monkeypatch.undo()
    half = predictions(scores.scores[::2])
    np.testing.assert_allclose(made.shared, shared_by_all("platt", half, gold[::2]).shared)


def test_scores_that_fall_with_the_share_take_the_shared_line() -> None:
    scores, gold = world(5)
    gold[:, 0] = scores.scores[:, 0] < 0.5
    made = fitted("platt", scores, gold)
    assert sorted(made.own) == [1, 2]
    assert made.shared[0] > 0
    backwards = fitted("platt", scores, scores.scores < 0.5)
    np.testing.assert_array_equal(backwards.dense(scores.scores), _float32(scores.scores))


def _float32(scores: np.ndarray) -> np.ndarray:
    return (1 / (1 + np.exp(-log_odds(scores)))).astype(np.float32)


def test_categories_without_training_documents_are_no_part_of_the_pool() -> None:
    scores, gold = world(6)
    made = fitted({"type": "platt", "enough": 10**6}, scores, gold, support=[1, 0, 1])
    expected = shared_by_all("platt", predictions(scores.scores[:, [0, 2]]), gold[:, [0, 2]]).shared
    np.testing.assert_allclose(made.shared, expected, rtol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_to_learn_from_changes_nothing(name: str) -> None:
    scores, gold = world(7, documents=30)
    for nothing in (np.zeros_like(gold), np.ones_like(gold)):
        made = fitted(name, scores, nothing)
        np.testing.assert_allclose(made.dense(scores.scores), scores.scores, atol=1e-6)


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_curves_rise_and_stay_finite(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(NAMES))
    columns = data.draw(st.integers(1, 3))
    scores = predictions(data.draw(matrices(12, columns)))
    gold = data.draw(sets(12, columns))
    made = fitted({"type": name, "enough": data.draw(st.integers(1, 4))}, scores, gold)
    drawn = data.draw(st.lists(st.floats(0, 1, width=32), max_size=20))
    near = [0.0, 1e-38, 1e-30, 0.5, 1 - 2**-24, 1.0]
    ascending = np.sort(np.array([*drawn, *near], dtype=np.float32))
    bent = made.dense(np.repeat(ascending[:, None], columns, axis=1))
    assert bent.dtype == np.float32
    assert np.isfinite(bent).all()
    assert ((bent >= 0) & (bent <= 1)).all()
    assert (np.diff(bent, axis=0) >= 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_sparse_scores_as_dense_ones(name: str) -> None:
    scores, gold = world(8)
    made = fitted({"type": name, "enough": 5}, scores, gold)
    kept = np.where(scores.scores > 0.4, scores.scores, 0)
    sparse = csr_array(kept)
    sparse.data[:3] = 0  # stored zeros
    bent = made.sparse(sparse)
    assert bent.nnz == sparse.nnz
    expected = np.where(sparse.toarray() > 0, made.dense(scores.scores), 0)
    np.testing.assert_array_equal(bent.toarray(), expected)
    assert bent.dtype == np.float32


def test_kept_scores_alone_are_fitted_on() -> None:
    scores, gold = world(9, columns=1)
    kept = scores.scores[:, 0] > 0.3
    cut = Predictions(scores.ids, scores.taxonomy, csr_array(np.where(kept[:, None], scores.scores, 0)))
    expected = fitted("platt", predictions(scores.scores[kept]), gold[kept])
    np.testing.assert_allclose(fitted("platt", cut, gold).of(0), expected.of(0), rtol=1e-8)


def softmax_world() -> tuple[Predictions, np.ndarray]:
    rng = np.random.default_rng(10)
    odds = rng.normal(0, 1, (200, 4))
    shares = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
    right = np.array([rng.choice(4, p=row) for row in shares])
    sure = np.exp(3 * odds) / np.exp(3 * odds).sum(axis=1, keepdims=True)
    return predictions(sure), np.eye(4, dtype=bool)[right]


def test_temperature_of_a_multiclass_task() -> None:
    scores, gold = softmax_world()
    made = fitted("temperature", scores, gold, type="multiclass")
    rows, right = scores.scores.astype(float).tolist(), gold.argmax(axis=1).tolist()
    best = minimize_scalar(
        lambda t: reference.row_cross_entropy(t, rows, right), bounds=(0.1, 20), method="bounded"
    )
    assert 1 / made.shared[0] == pytest.approx(best.x, rel=1e-4)
    bent = made.dense(scores.scores)
    np.testing.assert_allclose(bent.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(bent.argmax(axis=1), scores.scores.argmax(axis=1))
    assert bent.max() < scores.scores.max()
    # What was kept keeps its sum; documents whose category was cut tell nothing.
    kept = csr_array(np.where(scores.scores > 0.1, scores.scores, 0))
    np.testing.assert_allclose(made.sparse(kept).sum(axis=1), kept.sum(axis=1), atol=1e-6)
    again = fitted("temperature", Predictions(scores.ids, scores.taxonomy, kept), gold, type="multiclass")
    assert np.isfinite(again.shared).all()


def sigmoid_world(
    seed: int, steep: float, shift: float, documents: int = 2000
) -> tuple[Predictions, np.ndarray]:
    """One category a document, scored by five sigmoids: what a document's scores add up to is anything."""
    rng = np.random.default_rng(seed)
    shares = np.clip(rng.dirichlet(np.full(5, 0.7), documents), 1e-6, 1 - 1e-6)
    right = np.array([rng.choice(5, p=row / row.sum()) for row in shares])
    odds = np.log(shares) - np.log1p(-shares)
    return predictions(1 / (1 + np.exp(-(steep * odds + shift)))), np.eye(5, dtype=bool)[right]


@pytest.mark.parametrize(("steep", "shift"), [(1, 0), (2, 0), (1, -1.5), (1, 1.5), (0.3, 2)])
def test_a_multiclass_task_under_sigmoids(steep: float, shift: float) -> None:
    (scores, gold), (fresh, truth) = sigmoid_world(30, steep, shift), sigmoid_world(31, steep, shift)
    made = fitted("temperature", scores, gold, type="multiclass")
    bent = made.dense(fresh.scores)
    assert bent.dtype == np.float32
    assert bent.max() <= 1
    expected = [
        reference.row_shares(1 / made.shared[0], row) for row in fresh.scores[:200].astype(float).tolist()
    ]
    np.testing.assert_allclose(bent[:200], expected, atol=1e-6)
    np.testing.assert_array_equal(bent.argmax(axis=1), fresh.scores.argmax(axis=1))
    before, after = (reliability(predictions(s), Ragged.from_dense(truth)) for s in (fresh.scores, bent))
    # Scores of (1, 0) are shares already: there the draw decides.
    assert after.ece < (0.5 * before.ece if (steep, shift) != (1, 0) else 0.015)
    assert after.brier <= before.brier * 1.01
    # A sum that passes 1 is brought to it, a lower one stays.
    kept = csr_array(np.where(fresh.scores >= np.sort(fresh.scores)[:, [-2]], fresh.scores, 0))
    cut = made.sparse(kept)
    sums_N = np.minimum(kept.toarray().sum(axis=1, dtype=np.float64), 1)
    expected = [
        [total * share for share in reference.row_shares(1 / made.shared[0], row)]
        for total, row in zip(sums_N[:200], kept.toarray()[:200].astype(float).tolist(), strict=True)
    ]
    np.testing.assert_allclose(cut.toarray()[:200], expected, atol=1e-6)
    assert cut.max() <= 1
    assert reliability(
        Predictions(fresh.ids, fresh.taxonomy, cut), Ragged.from_dense(truth)
    ).brier <= 1.01 * (
        reliability(Predictions(fresh.ids, fresh.taxonomy, kept), Ragged.from_dense(truth)).brier
    )


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_scores_of_a_multiclass_task_add_up_to_one(data: st.DataObject) -> None:
    taxonomy = flat(3)
    config = DecisionConfig.read({"calibration": "temperature"}).calibration
    made = calibrations.build(config, taxonomy=taxonomy, rows=True)
    steep = data.draw(st.floats(1 / 20, 20))
    made.shared = np.array([steep, 0.0])
    value = st.one_of(st.sampled_from([0.0, 1e-38, 1e-20, 1.0]), st.floats(0, 1, width=32))
    scores_NC = np.array(
        data.draw(st.lists(st.lists(value, min_size=3, max_size=3), max_size=5)), dtype=np.float32
    )
    scores_NC = scores_NC.reshape(-1, 3)
    expected_NC = np.array([reference.row_shares(1 / steep, row) for row in scores_NC.astype(float).tolist()])
    expected_NC = expected_NC.reshape(-1, 3)
    # A document without any score has none afterwards.
    np.testing.assert_allclose(made.dense(scores_NC), expected_NC, atol=1e-6)
    sums_N1 = np.minimum(scores_NC.sum(axis=1, keepdims=True, dtype=np.float64), 1)
    bent = made.sparse(csr_array(scores_NC)).toarray()
    np.testing.assert_allclose(bent, expected_NC * sums_N1, atol=1e-6)
    assert bent.max(initial=0) <= 1


def test_no_score_at_all_is_legal() -> None:
    nothing = Predictions([], flat(2), np.zeros((0, 2), dtype=np.float32))
    for name in NAMES:
        made = fitted(name, nothing, np.zeros((0, 2), dtype=bool))
        assert made.dense(nothing.scores).shape == (0, 2)
        assert made.sparse(csr_array((0, 2), dtype=np.float32)).shape == (0, 2)


def test_scores_that_are_not_numbers() -> None:
    scores, gold = world(documents=20)
    scores.scores[3, 1] = np.nan
    with pytest.raises(RunError, match="cannot be calibrated") as raised:
        fitted("platt", scores, gold)
    assert raised.value.where == "category c1"


# ---- in the decider -----------------------------------------------------------------------------------------------


def decider(name: str, scores: Predictions, gold: np.ndarray, **decision: Any) -> Decider:
    config = DecisionConfig.read({"calibration": name, **decision})
    support = np.ones(gold.shape[1], dtype=int)
    return fit_decider(config, TaskConfig(), scores, Ragged.from_dense(gold), support, scores.taxonomy)


@pytest.mark.parametrize("name", NAMES)
def test_thresholds_and_what_is_shown_are_of_calibrated_scores(name: str) -> None:
    scores, gold = world(11)
    made = decider(name, scores, gold)
    assert made.calibration is not None
    bent = made.calibration.dense(scores.scores)
    decisions = made.decide(scores)
    np.testing.assert_array_equal(decisions.chosen.dense(3), bent >= 0.5)
    np.testing.assert_array_equal(decisions.scores, bent[bent >= 0.5])
    np.testing.assert_array_equal(made.scored(scores).scores, bent)
    tuned = decider(name, scores, gold, threshold={"type": "global", "aim": "micro_f1"})
    alone = fit_decider(
        DecisionConfig.read({"threshold": {"type": "global", "aim": "micro_f1"}}), TaskConfig(),
        predictions(bent), Ragged.from_dense(gold), np.ones(3), flat(3),
    )  # fmt: skip
    np.testing.assert_array_equal(tuned.thresholds_C, alone.thresholds_C)


def unfitted(taxonomy: Taxonomy) -> Calibration:
    config = DecisionConfig.read({"calibration": "platt"}).calibration
    return calibrations.build(config, taxonomy=taxonomy)


def test_the_cap_comes_after_calibration() -> None:
    taxonomy, made = flat(2), unfitted(flat(2))
    made.own = {0: np.array([1.0, -3.0])}
    found = Decider(taxonomy, np.full(2, 0.1), top_k=1, calibration=made).decide(
        predictions([[0.8, 0.7]], taxonomy)
    )
    assert found.chosen[0].tolist() == [1]


def test_max_comes_after_calibration() -> None:
    taxonomy = tree((), (0,))
    made = calibrations.build(DecisionConfig.read({"calibration": "platt"}).calibration, taxonomy=taxonomy)
    made.own = {1: np.array([1.0, 4.0])}
    decoding = DecisionConfig.read({"decoding": "max"}).decoding
    scored = Decider(taxonomy, np.full(2, 0.5), decoding, calibration=made).scored(
        predictions([[0.6, 0.5]], taxonomy)
    )
    assert scored.scores[0, 0] == scored.scores[0, 1] > 0.98


def test_thresholds_that_a_strategy_found_are_brought_over() -> None:
    scores, gold = world(12)
    found_C = np.array([0.3, 0.0, np.inf])
    config = DecisionConfig.read({"threshold": "strategy", "calibration": "platt"})
    made = fit_decider(config, TaskConfig(), scores, Ragged.from_dense(gold), np.ones(3), flat(3), found_C)
    np.testing.assert_array_equal(
        made.decide(scores).chosen.dense(3), scores.scores >= np.array([0.3, 0.0, np.inf])
    )


def test_a_threshold_below_what_was_cut_is_seen_in_calibrated_scores() -> None:
    sparse = predictions([[0.6, 0.7, 0.0], [0.8, 0.0, 0.9]], sparse=True)
    made = unfitted(flat(3))
    Decider(flat(3), np.full(3, 0.85), calibration=made).decide(sparse)
    made.shared = np.array([1.0, 2.0])
    with pytest.raises(UsageError, match="lies below what was cut"):
        Decider(flat(3), np.full(3, 0.85), calibration=made).decide(sparse)


# ---- saved --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_saved_and_read(name: str) -> None:
    scores, gold = world(13)
    made = decider(name, scores, gold, threshold="per_category")
    text = json.dumps(made.to_json(), allow_nan=False)
    again = Decider.from_json(json.loads(text), scores.taxonomy)
    assert again.calibration is not None
    np.testing.assert_allclose(again.scored(scores).scores, made.scored(scores).scores, rtol=1e-6)
    assert again.decide(scores).chosen.values.tolist() == made.decide(scores).chosen.values.tolist()
    # One number of a temperature is written as 1 / slope: from then on nothing changes.
    assert json.dumps(again.to_json()) == text or name == "temperature"


def test_multiclass_is_saved() -> None:
    scores, gold = softmax_world()
    made = fit_decider(
        DecisionConfig.read({"calibration": "temperature"}), TaskConfig(type="multiclass"), scores,
        Ragged.from_dense(gold), np.ones(4), scores.taxonomy,
    )  # fmt: skip
    again = Decider.from_json(json.loads(json.dumps(made.to_json())), scores.taxonomy)
    np.testing.assert_allclose(again.scored(scores).scores, made.scored(scores).scores, rtol=1e-6)
    assert again.decide(scores).chosen.lengths_N.tolist() == [1] * len(scores)


def test_models_of_older_versions_have_none() -> None:
    value = Decider(flat(2), np.full(2, 0.5)).to_json()
    assert value.pop("calibration") is None
    assert value.pop("promise") is None
    made = Decider.from_json(value, flat(2))
    assert made.calibration is None
    assert made.promise is None


BROKEN: list[tuple[str, dict[str, Any], str]] = [
    ("platt", {"shared": [1.0]}, "calibration: shared: must be a slope and an offset"),
    ("platt", {"shared": [-1.0, 0.0]}, "calibration: shared: must be a finite number from 0.001"),
    ("platt", {"own": {"c0": [1.0, "x"]}}, "calibration: own: c0: must be a number, not 'x'"),
    ("platt", {"own": {"c9": [1.0, 0.0]}}, "calibration: own: no category 'c9' in the taxonomy"),
    ("platt", {"own": []}, "calibration: own: must be an object"),
    ("platt", {"type": "plat"}, "there is no calibration 'plat'"),
    ("platt", {"settings": {"enogh": 3}}, "unknown key"),
    ("temperature", {"shared": 0}, "calibration: shared: must be a finite number from 0.045"),
    ("temperature", {"shared": None}, "calibration: shared: must be a number, not null"),
    ("isotonic", {"shared": [[0.1, 0.2], [0.0]]}, "calibration: shared: has 2 scores and 1 shares"),
    ("isotonic", {"shared": [[0.2, 0.1], [0.0, 1.0]]}, "calibration: shared: scores and shares must rise"),
    ("isotonic", {"shared": [[0.1, 0.2], [0.5, 0.4]]}, "calibration: shared: scores and shares must rise"),
    ("isotonic", {"shared": [[0.1, 0.2], [0.5, 1.4]]}, "calibration: shared: must be a finite number"),
    ("isotonic", {"shared": 3}, "calibration: shared: must be scores and shares, not 3"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "change", "message"), BROKEN)
def test_broken_files(name: str, change: dict[str, Any], message: str) -> None:
    scores, gold = world(documents=30)
    value = decider(name, scores, gold).to_json()
    value["calibration"] |= change
    with pytest.raises(ModelError) as raised:
        Decider.from_json(value, flat(3), "decision.json")
    assert message in str(raised.value)
    assert raised.value.where is not None
    assert raised.value.where.startswith("decision.json")


def test_what_is_no_calibration() -> None:
    value = Decider(flat(2), np.full(2, 0.5)).to_json()
    for wrong in ("platt", {}, {"type": "platt"}):
        with pytest.raises(ModelError, match="not a calibration"):
            Decider.from_json({**value, "calibration": wrong}, flat(2))


# ---- configs ------------------------------------------------------------------------------------------------------

LINEAR = {"training": {"strategy": "linear"}}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"decision": {"calibration": "plat"}}, "there is no calibration 'plat' (did you mean 'platt'?)"),
        ({"decision": {"calibration": {"type": "platt", "enough": 0}}}, "decision.calibration.enough: must be at least 1"),
        (
            {"decision": {"calibration": {"type": "platt", "folds": 3}}},
            'decision.calibration.folds: acts only with "on": "cross"',
        ),
        (
            {"task": {"type": "multiclass"}, "decision": {"calibration": "isotonic"}},
            "decision.calibration: 'isotonic' looks at one category at a time",
        ),
        (
            {"decision": {"calibration": {"type": "platt", "on": "cross"}, "threshold": {"type": "global", "on": "dev"}}},
            "decision.calibration.on: 'cross', and thresholds are found on 'dev'",
        ),
        (
            {**LINEAR, "decision": {"calibration": {"type": "platt", "folds": 3}, "threshold": {"type": "global", "folds": 4}}},
            "decision.calibration.folds: 3, and thresholds are found on 4",
        ),
        (
            {"training": {"strategy": "per_category"}, "decision": {"calibration": {"type": "platt", "on": "cross"}}},
            "decision.calibration: scores are calibrated on dev documents that all categories share",
        ),
    ],
)  # fmt: skip
def test_configs_that_do_not_hold(value: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Config.build(value)
    assert message in str(raised.value)


def test_one_look_at_held_out_scores() -> None:
    made = Config.build({"decision": {"calibration": "platt"}}).decision
    assert made.tuned is made.calibration
    assert made.calibration is not None
    assert made.calibration.on == "dev"
    linear = Config.build({**LINEAR, "decision": {"calibration": "platt"}})
    assert linear.decision.tuned is not None
    assert linear.decision.tuned.on == "cross"
    threshold = {"type": "global", "on": "cross", "folds": 3}
    both = Config.build({"decision": {"calibration": "platt", "threshold": threshold}})
    assert [(part.on, part.folds) for part in both.decision.held_out.values()] == [("cross", 3)] * 2
    for config in (linear, both, Config.build({"decision": {"calibration": "isotonic"}})):
        assert Config.build(json.loads(json.dumps(config.dump()))) == config


# ---- how well scores tell shares ----------------------------------------------------------------------------------


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_reliability_by_plain_loops(data: st.DataObject) -> None:
    columns = data.draw(st.integers(1, 3))
    scores = predictions(data.draw(matrices(6, columns, steps=7)), sparse=data.draw(st.booleans()))
    gold = data.draw(sets(6, columns))
    dense = scores.scores if isinstance(scores.scores, np.ndarray) else scores.scores.toarray()
    labels = [set(np.flatnonzero(row).tolist()) for row in gold]
    found = reliability(scores, Ragged.from_dense(gold))
    # Bins are those of float32 scores.
    expected = reference.calibration_errors([[float(s) for s in row] for row in dense], labels)
    np.testing.assert_allclose([found.ece, found.classwise_ece, found.brier], expected, atol=1e-6)


def test_calibration_makes_scores_tell_shares() -> None:
    (scores, gold), (fresh, truth) = world(20, 2000), world(21, 2000)
    before = reliability(fresh, Ragged.from_dense(truth))
    for name in NAMES:
        made = fitted(name, scores, gold)
        after = reliability(predictions(made.dense(fresh.scores)), Ragged.from_dense(truth))
        assert after.brier < before.brier
        # A temperature cannot take a shift away.
        assert after.ece < before.ece * (0.8 if name == "temperature" else 0.3)


def test_reliability_wants_the_same_documents() -> None:
    with pytest.raises(UsageError, match="scores of 2 documents cannot be held against labels of 1"):
        reliability(predictions([[0.1], [0.2]]), Ragged.from_rows([[0]]))
