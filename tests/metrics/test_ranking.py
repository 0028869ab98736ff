"""Ranking measures: by hand, against scikit-learn, and against the mean over all orders of equal scores."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, label_ranking_average_precision_score, ndcg_score

from linnaea.decision.predictions import Predictions
from linnaea.metrics import ranking as module
from linnaea.metrics.ranking import Places, average_precision, micro_average_precision, ranking
from linnaea.ragged import Ragged
from tests.references import metrics as reference
from tests.references.worlds import flat, matrices, predictions, random_world, sets


def as_sets(matrix: np.ndarray) -> list[set[int]]:
    return [set(np.flatnonzero(row).tolist()) for row in matrix]


def test_by_hand() -> None:
    scores = predictions([[0.9, 0.5, 0.1], [0.2, 0.8, 0.4], [0.3, 0.2, 0.1]])
    gold = Ragged.from_rows([[0, 2], [2], []])
    made = ranking(scores, gold, [1, 2])
    second = 1 / np.log2(3)
    assert made == pytest.approx(
        {
            "precision@1": 1 / 3,
            "precision@2": (1 / 2 + 1 / 2 + 0) / 3,
            "r_precision": (1 / 2 + 0) / 2,
            "ndcg@2": (1 / (1 + second) + second + 0) / 3,
        }
    )


def test_equal_scores_have_no_order() -> None:
    scores = predictions([[0.5, 0.5, 0.5, 0.1]])
    places = Places.of(scores, Ragged.from_rows([[1]]))
    assert [places.precision(k) for k in (1, 2, 3, 4)] == pytest.approx([1 / 3, 2 / 3 / 2, 1 / 3, 1 / 4])
    assert places.r_precision() == pytest.approx(1 / 3)


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_equal_to_the_mean_over_all_orders(data: st.DataObject) -> None:
    columns = data.draw(st.integers(1, 5))
    scores, gold = data.draw(matrices(3, columns, steps=3)), data.draw(sets(3, columns))
    k = data.draw(st.integers(1, columns + 2))
    places = Places.of(predictions(scores), Ragged.from_dense(gold))
    rows, wanted = scores.tolist(), as_sets(gold)
    assert places.precision(k) == pytest.approx(reference.precision_at(rows, wanted, k), abs=1e-12)
    assert places.r_precision() == pytest.approx(reference.r_precision(rows, wanted), abs=1e-12)
    assert places.ndcg(k) == pytest.approx(reference.ndcg(rows, wanted, k), abs=1e-12)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_ndcg_equals_scikit_learn(data: st.DataObject) -> None:
    columns = data.draw(st.integers(2, 7))
    scores, gold = data.draw(matrices(5, columns)), data.draw(sets(5, columns))
    k = data.draw(st.integers(1, columns + 2))
    made = Places.of(predictions(scores), Ragged.from_dense(gold)).ndcg(k)
    assert made == pytest.approx(ndcg_score(gold, scores, k=k), abs=1e-12)


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_average_precision_equals_scikit_learn(data: st.DataObject) -> None:
    columns = data.draw(st.integers(1, 5))
    scores, gold = data.draw(matrices(7, columns)), data.draw(sets(7, columns))
    made = average_precision(predictions(scores, sparse=data.draw(st.booleans())), Ragged.from_dense(gold))
    present = [c for c in range(columns) if gold[:, c].any()]
    macro = [average_precision_score(gold[:, c], scores[:, c]) for c in present]
    assert made.macro == pytest.approx(np.mean(macro) if macro else 0, abs=1e-12)
    micro = average_precision_score(gold.ravel(), scores.ravel()) if present else 0
    assert made.micro == pytest.approx(micro, abs=1e-12)


def test_average_precision_equals_its_formula() -> None:
    scores, gold = random_world(np.random.default_rng(1), 40, flat(3))
    made = average_precision(scores, Ragged.from_dense(gold))
    columns = [
        reference.average_precision(scores.scores[:, c].tolist(), gold[:, c].tolist()) for c in range(3)
    ]
    assert made.macro == pytest.approx(np.mean(columns), abs=1e-12)


def test_micro_average_precision_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, gold = random_world(np.random.default_rng(2), 300, flat(5))
    matrix = np.round(scores.scores, 2)
    expected = average_precision_score(gold.ravel(), matrix.ravel())
    pieces = module._pieces
    monkeypatch.setattr(module, "_pieces", lambda p: pieces(p, 97))
    for sparse in (False, True):
        made = micro_average_precision(predictions(matrix, sparse=sparse), Ragged.from_dense(gold))
        assert made == pytest.approx(expected, abs=1e-12)


def test_places_agree_with_label_ranking_average_precision() -> None:
    # For each gold category: gold categories at or above it / all categories at or above it.
    scores, gold = random_world(np.random.default_rng(3), 60, flat(6))
    gold[:, 0] = True  # scikit-learn gives documents without labels 1
    places = Places.of(scores, Ragged.from_dense(gold))
    among = np.array(
        [
            (places.above_M[places.rows_M == row] <= above).sum()
            for row, above in zip(places.rows_M, places.above_M, strict=True)
        ]
    )
    precision = among / (places.above_M + places.equal_M)
    made = (np.bincount(places.rows_M, precision) / gold.sum(axis=1)).mean()
    assert made == pytest.approx(label_ranking_average_precision_score(gold, scores.scores), abs=1e-12)


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_order_of_documents_and_categories_and_storage_do_not_matter(data: st.DataObject) -> None:
    scores, gold = data.draw(matrices(6, 5)), data.draw(sets(6, 5))
    rows, columns = (np.array(data.draw(st.permutations(range(n)))) for n in (6, 5))
    made = ranking(predictions(scores), Ragged.from_dense(gold), [1, 3])
    moved = Ragged.from_dense(gold[rows][:, columns])
    for sparse in (False, True):
        again = ranking(predictions(scores[rows][:, columns], sparse=sparse), moved, [1, 3])
        assert again == pytest.approx(made, abs=1e-12)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, gold = random_world(np.random.default_rng(4), 50, flat(6))
    whole = Places.of(scores, Ragged.from_dense(gold))
    blocks = [(slice(i, i + 7), scores.scores[i : i + 7]) for i in range(0, 50, 7)]
    monkeypatch.setattr(Predictions, "blocks", lambda self: iter(blocks))
    parts = Places.of(scores, Ragged.from_dense(gold))
    np.testing.assert_array_equal(parts.above_M, whole.above_M)
    np.testing.assert_array_equal(parts.equal_M, whole.equal_M)
