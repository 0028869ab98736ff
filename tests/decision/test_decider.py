"""Decider: score >= threshold, the cap, exactly one category, sparse scores, saving."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from linnaea.config.outcome import DecisionConfig
from linnaea.config.task import TaskConfig
from linnaea.decision import decider as module
from linnaea.decision.decider import Decider, keep_best
from linnaea.decision.predictions import Predictions
from linnaea.decision.thresholds import fit_decider
from linnaea.errors import ModelError, UsageError
from linnaea.ragged import Ragged
from tests.references.worlds import flat, matrices, predictions, random_world, thresholds, tree


def rows(decider: Decider, scores: Any, sparse: bool = False) -> list[list[int]]:
    return [r.tolist() for r in decider.decide(predictions(scores, decider.taxonomy, sparse)).chosen]


def test_a_score_at_the_threshold_decides() -> None:
    decider = Decider(flat(3), np.array([0.5, 0.5, np.inf]))
    below = np.nextafter(np.float32(0.5), np.float32(0))
    assert rows(decider, [[0.5, below, 1.0]]) == [[0]]


def test_thresholds_are_not_rounded_to_the_scores_precision() -> None:
    score = np.float32(0.1)  # a little more than 0.1
    just_above = float(score) + 1e-12
    assert np.float32(just_above) == score
    assert rows(Decider(flat(1), np.array([just_above])), [[score]]) == [[]]
    assert rows(Decider(flat(1), np.array([float(score) - 1e-12])), [[score]]) == [[0]]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_keep_best_equals_a_stable_sort(data: st.DataObject) -> None:
    columns = data.draw(st.integers(1, 7))
    scores = data.draw(matrices(4, columns, steps=3))
    k = data.draw(st.integers(1, columns))
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    expected = np.zeros_like(scores, dtype=bool)
    np.put_along_axis(expected, order, True, axis=1)
    np.testing.assert_array_equal(keep_best(scores, k), expected)


def test_the_cap_takes_the_best_scores_before_ancestors_are_added() -> None:
    taxonomy = tree((), (), (0,), (1,))
    decoding = DecisionConfig.read({"decoding": "ancestors"}).decoding
    decider = Decider(taxonomy, np.full(4, 0.5), decoding, top_k=1)
    assert rows(decider, [[0.6, 0.7, 0.9, 0.8], [0.4, 0.3, 0.2, 0.1], [0.5, 0.5, 0.5, 0.5]]) == [
        [0, 2],
        [],
        [0],
    ]


def test_a_cap_above_the_number_of_categories_is_legal() -> None:
    assert rows(Decider(flat(2), np.full(2, 0.5), top_k=100), [[0.6, 0.7]]) == [[0, 1]]


def test_what_the_cap_took_is_not_decided_even_at_threshold_0() -> None:
    assert rows(Decider(flat(3), np.zeros(3), top_k=1), [[0.2, 0.3, 0.1]]) == [[1]]
    assert rows(Decider(flat(3), np.zeros(3)), [[0.2, 0.0, 0.1]]) == [[0, 1, 2]]


def test_multiclass_takes_exactly_one() -> None:
    scores = [[0.2, 0.5, 0.3], [0.4, 0.4, 0.2], [0.1, 0.1, 0.8]]
    decider = fit_decider(
        DecisionConfig(), TaskConfig(type="multiclass"), None, None, np.array([3, 1, 0]), flat(3)
    )
    assert rows(decider, scores) == [[1], [0], [0]]
    made = decider.decide(predictions(scores))
    assert made.scores.tolist() == np.array([0.5, 0.4, 0.1], dtype=np.float32).tolist()
    assert rows(decider, scores, sparse=True) == [[1], [0], [0]]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_sparse_is_dense(data: st.DataObject) -> None:
    taxonomy = tree((), (), (0,), (0, 1), (3,))
    scores, bounds = data.draw(matrices(4, 5)), data.draw(thresholds(5))
    decoding = DecisionConfig.read(
        {"decoding": data.draw(st.sampled_from(["none", "max", "ancestors"]))}
    ).decoding
    decider = Decider(taxonomy, bounds, decoding, top_k=data.draw(st.sampled_from([2, 4])))
    dense = decider.decide(predictions(scores, taxonomy))
    sparse = decider.decide(predictions(scores, taxonomy, sparse=True))
    assert dense.chosen.values.tolist() == sparse.chosen.values.tolist()
    assert dense.chosen.offsets_N1.tolist() == sparse.chosen.offsets_N1.tolist()
    assert dense.scores.tolist() == sparse.scores.tolist()


def kept_scores(matrix: np.ndarray, keep: int) -> Predictions:
    """As a scorer keeps them: equally many of every row."""
    order = np.sort(np.argsort(-matrix, axis=1, kind="stable")[:, :keep], axis=1)
    data = np.take_along_axis(matrix, order, axis=1).ravel()
    bounds = np.arange(0, len(data) + 1, keep)
    csr = csr_array((data, order.ravel(), bounds), shape=matrix.shape)
    return Predictions([str(i) for i in range(len(matrix))], flat(matrix.shape[1]), csr)


def test_thresholds_below_what_was_cut_are_refused() -> None:
    matrix = np.array([[0.9, 0.8, 0.7, 0.1], [0.6, 0.3, 0.2, 0.1]], dtype=np.float32)
    scores = kept_scores(matrix, 2)
    assert [r.tolist() for r in Decider(flat(4), np.full(4, 0.85)).decide(scores).chosen] == [[0], []]
    with pytest.raises(UsageError, match=r"document 0: only 2 scores .* 0\.5 lies below .*evaluation\.keep"):
        Decider(flat(4), np.array([0.9, 0.9, 0.9, 0.5])).decide(scores)
    capped = Decider(flat(4), np.full(4, 0.5), top_k=2)
    assert [r.tolist() for r in capped.decide(scores).chosen] == [[0, 1], [0]]


def test_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    matrix = rng.random((3000, 400), dtype=np.float32)
    decoding = DecisionConfig.read({"decoding": "max"}).decoding
    taxonomy = tree(*[() if i < 5 else (int(rng.integers(0, i)),) for i in range(400)])
    decider = Decider(taxonomy, np.full(400, 0.99), decoding)
    whole = decider.decide(predictions(matrix, taxonomy))
    monkeypatch.setattr(module, "MEGABYTES", 1)
    assert len(list(predictions(matrix, taxonomy).blocks(1))) > 1
    small = decider.decide(predictions(matrix, taxonomy))
    np.testing.assert_array_equal(whole.chosen.values, small.chosen.values)
    np.testing.assert_array_equal(whole.chosen.offsets_N1, small.chosen.offsets_N1)
    np.testing.assert_array_equal(whole.scores, small.scores)


def test_no_documents() -> None:
    made = Decider(flat(2), np.full(2, 0.5)).decide(predictions(np.zeros((0, 2))))
    assert len(made.chosen) == 0
    assert made.scores.dtype == np.float32


def test_table_counts_whose_threshold_is_whose() -> None:
    decider = Decider(flat(5), np.array([0.1, 0.2, 0.3, np.inf, 0.5]), positives_C=np.array([3, 2, 90, 7, 0]))
    assert decider.table() == {"own": 2, "shared": 2, "never": 1}


# Saving


def fitted() -> Decider:
    taxonomy = tree((), (), (0,), (0, 1))
    scores, gold = random_world(np.random.default_rng(1), 40, taxonomy)
    config = DecisionConfig.read({"threshold": "per_category", "decoding": "max", "top_k": 3})
    support = np.array([5, 5, 5, 0])
    return fit_decider(config, TaskConfig(), scores, Ragged.from_dense(gold), support, taxonomy)


def test_round_trip_through_json() -> None:
    decider = fitted()
    text = json.dumps(decider.to_json(), allow_nan=False)
    assert json.loads(text)["thresholds"]["c3"] is None
    again = Decider.from_json(json.loads(text), decider.taxonomy)
    np.testing.assert_array_equal(again.thresholds_C, decider.thresholds_C)
    np.testing.assert_array_equal(again.positives_C, decider.positives_C)
    assert again.to_json() == decider.to_json()
    assert (again.decoding, again.top_k, again.paths, again.closure) == (
        decider.decoding,
        decider.top_k,
        decider.paths,
        decider.closure,
    )


def test_another_taxonomy_is_refused() -> None:
    decider = fitted()
    other = tree((), (), (0,), (1,))
    with pytest.raises(ModelError, match=r"^decision\.json: thresholds of another taxonomy"):
        Decider.from_json(decider.to_json(), other, "decision.json")
    with pytest.raises(ModelError, match="another taxonomy"):
        decider.decide(predictions(np.zeros((1, 4)), other))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"thresholds": {"c0": 0.5, "c1": 0.5, "c2": 0.5}}, "thresholds: the category 'c3' is missing"),
        ({"thresholds": {"c9": 0.5}}, "thresholds: no category 'c9'"),
        (
            {"thresholds": {"c0": "x", "c1": 0.5, "c2": 0.5, "c3": 0.5}},
            "thresholds: c0: must be a number, not 'x'",
        ),
        ({"thresholds": [0.5]}, "thresholds: must be an object"),
        ({"positives": {"c0": None, "c1": 1, "c2": 1, "c3": 1}}, "positives: c0: must be a number, not null"),
        ({"decoding": {"type": "mix"}}, "there is no decoding 'mix'"),
        ({"top_k": 0}, "top_k"),
        ({"paths": "two"}, "paths: must be one of many, one, not 'two'"),
        ({"closure": None}, "closure: must be one of"),
    ],
)
def test_broken_files_are_refused(change: dict[str, Any], message: str) -> None:
    decider = fitted()
    with pytest.raises(ModelError) as caught:
        Decider.from_json({**decider.to_json(), **change}, decider.taxonomy, "decision.json")
    assert str(caught.value).startswith("decision.json: ")
    assert message in str(caught.value)


@pytest.mark.parametrize("value", [None, [], {}, {"taxonomy": "x"}])
def test_what_is_no_decider_is_refused(value: object) -> None:
    with pytest.raises(ModelError, match="not the thresholds of a model"):
        Decider.from_json(value, flat(1))
