"""Counts and the measures on sets: by hand on three categories, against scikit-learn and plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, hamming_loss, precision_recall_fscore_support

from linnaea.metrics import counts as module
from linnaea.metrics.counts import Counts, Rates, closed_counts, hierarchical, level_rows, ratio, row_blocks
from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy
from tests.references import metrics as reference
from tests.references.worlds import sets, taxonomies, tree


def count(chosen: np.ndarray, gold: np.ndarray) -> Counts:
    return Counts.of(Ragged.from_dense(chosen), Ragged.from_dense(gold), gold.shape[1])


def as_sets(matrix: np.ndarray) -> list[set[int]]:
    return [set(np.flatnonzero(row).tolist()) for row in matrix]


# Documents by categories; the third category is never chosen, the fourth document empty on both sides.
GOLD = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 1], [0, 0, 0]], dtype=bool)
CHOSEN = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0]], dtype=bool)


def test_by_hand() -> None:
    made = count(CHOSEN, GOLD)
    assert (made.hits_C.tolist(), made.chosen_C.tolist(), made.gold_C.tolist()) == (
        [2, 1, 0],
        [2, 2, 0],
        [2, 2, 1],
    )
    assert made.micro() == Rates(3 / 4, 3 / 5, 6 / 9)
    macro = made.macro()
    assert (macro.precision, macro.recall, macro.f1) == pytest.approx((1.5 / 3, 1.5 / 3, 1.5 / 3))
    assert macro.f1_of_averages == pytest.approx(0.5)
    assert made.samples_f1() == pytest.approx((2 / 3 + 2 / 3 + 2 / 3 + 0) / 4)
    assert made.subset_accuracy() == 1 / 4
    assert made.hamming_loss() == 3 / 12


def test_both_macro_f1_differ_and_absent_categories_count() -> None:
    gold = np.array([[1, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], dtype=bool)
    chosen = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 0]], dtype=bool)
    macro = count(chosen, gold).macro()
    # F1: 1/2, 1/2, 0/0 = 0. Means: precision (1 + 1/2) / 3, recall (1/3 + 1/2) / 3.
    assert macro.f1 == pytest.approx(1 / 3)
    assert macro.present_f1 == pytest.approx(1 / 2)
    p, r = 1.5 / 3, (5 / 6) / 3
    assert macro.f1_of_averages == pytest.approx(2 * p * r / (p + r))


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_equal_to_scikit_learn(data: st.DataObject) -> None:
    columns = data.draw(st.integers(2, 5))  # one column is another task to scikit-learn
    gold, chosen = data.draw(sets(6, columns)), data.draw(sets(6, columns))
    made = count(chosen, gold)
    for average, rates in (("micro", made.micro()), ("macro", made.macro())):
        expected = precision_recall_fscore_support(gold, chosen, average=average, zero_division=0)[:3]
        assert (rates.precision, rates.recall, rates.f1) == pytest.approx(expected, abs=1e-12)
    by_category = precision_recall_fscore_support(gold, chosen, average=None, zero_division=0)
    for values, expected in zip(
        (made.precision_C, made.recall_C, made.f1_C, made.gold_C), by_category, strict=True
    ):
        np.testing.assert_allclose(values, expected, atol=1e-12)
    samples = f1_score(gold, chosen, average="samples", zero_division=0)
    assert made.samples_f1() == pytest.approx(samples, abs=1e-12)
    assert made.subset_accuracy() == pytest.approx(accuracy_score(gold, chosen), abs=1e-12)
    assert made.hamming_loss() == pytest.approx(hamming_loss(gold, chosen), abs=1e-12)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_equal_to_loops(data: st.DataObject) -> None:
    taxonomy = data.draw(taxonomies())
    columns = len(taxonomy)
    gold, chosen = data.draw(sets(5, columns)), data.draw(sets(5, columns))
    made = count(chosen, gold)
    assert vars(made.macro()) == pytest.approx(reference.macro(as_sets(chosen), as_sets(gold), columns))
    assert made.samples_f1() == pytest.approx(reference.samples_f1(as_sets(chosen), as_sets(gold)))
    closed = hierarchical(Ragged.from_dense(chosen), Ragged.from_dense(gold), taxonomy)
    parents = [row.tolist() for row in taxonomy.parents]
    expected = reference.hierarchical(as_sets(chosen), as_sets(gold), parents)
    assert (closed.precision, closed.recall, closed.f1) == pytest.approx(expected)


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_levels_equal_to_scikit_learn_on_their_columns(data: st.DataObject) -> None:
    taxonomy = data.draw(taxonomies())
    columns = len(taxonomy)
    gold, chosen = data.draw(sets(5, columns)), data.draw(sets(5, columns))
    rows = level_rows(count(chosen, gold), taxonomy)
    assert [row["level"] for row in rows] == list(range(1, taxonomy.depth + 1))
    assert sum(row["categories"] for row in rows) == columns
    for row in rows:
        here = np.flatnonzero(taxonomy.level_C == row["level"])
        assert row["categories"] == len(here)
        assert row["support"] == gold[:, here].sum()
        micro = f1_score(gold[:, here].ravel(), chosen[:, here].ravel(), zero_division=0)
        macro = np.mean([f1_score(gold[:, c], chosen[:, c], zero_division=0) for c in here])
        assert (row["micro_f1"], row["macro_f1"]) == pytest.approx((micro, macro), abs=1e-12)


def test_hierarchical_gives_credit_for_ancestors() -> None:
    taxonomy = tree((), (), (0,), (0,))
    chosen, gold = Ragged.from_rows([[2], [1]]), Ragged.from_rows([[3], [1]])
    # Closed: {0, 2} against {0, 3}, {1} against {1}.
    assert hierarchical(chosen, gold, taxonomy) == Rates(2 / 3, 2 / 3, 2 / 3)


def test_hierarchical_in_a_dag_counts_all_ancestors() -> None:
    # 2 lies below 0 and 1, 3 below 1, 4 below 2 and 3.
    taxonomy = tree((), (), (0, 1), (1,), (2, 3))
    chosen, gold = Ragged.from_rows([[4], [2], [0]]), Ragged.from_rows([[2], [3], [4]])
    # Closed: {0..4} against {0, 1, 2}; {0, 1, 2} against {1, 3}; {0} against {0..4}. Hits 3 + 1 + 1.
    found = hierarchical(chosen, gold, taxonomy)
    assert (found.precision, found.recall, found.f1) == pytest.approx((5 / 9, 5 / 10, 10 / 19))
    assert closed_counts(chosen, gold, taxonomy).tolist() == [[3, 1, 1], [5, 3, 1], [3, 2, 5]]


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_order_and_repeats_do_not_matter(data: st.DataObject) -> None:
    gold, chosen = data.draw(sets(6, 4)), data.draw(sets(6, 4))
    rows, columns = (np.array(data.draw(st.permutations(range(n)))) for n in (6, 4))
    made, moved = count(chosen, gold), count(chosen[rows][:, columns], gold[rows][:, columns])
    for name in ("hits", "chosen", "gold"):
        np.testing.assert_array_equal(getattr(made, name + "_C")[columns], getattr(moved, name + "_C"))
        np.testing.assert_array_equal(getattr(made, name + "_N")[rows], getattr(moved, name + "_N"))
    doubled = Ragged.from_rows([[*np.flatnonzero(row)[::-1], *np.flatnonzero(row)] for row in chosen])
    again = Counts.of(doubled, Ragged.from_dense(gold), 4)
    np.testing.assert_array_equal(again.hits_N, made.hits_N)
    np.testing.assert_array_equal(again.chosen_C, made.chosen_C)


def test_row_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    gold, chosen = (Ragged.from_dense(rng.random((50, 6)) < 0.3) for _ in range(2))
    taxonomy: Taxonomy = tree((), (), (0,), (1,), (2,), (2, 3))
    whole, closed = Counts.of(chosen, gold, 6), hierarchical(chosen, gold, taxonomy)
    monkeypatch.setattr(module, "row_blocks", lambda *sets: row_blocks(*sets, size=7))
    parts = Counts.of(chosen, gold, 6)
    for name in vars(whole):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))
    assert hierarchical(chosen, gold, taxonomy) == closed


def test_no_documents() -> None:
    empty = count(np.zeros((0, 3), dtype=bool), np.zeros((0, 3), dtype=bool))
    assert empty.micro() == Rates(0, 0, 0)
    assert (empty.samples_f1(), empty.subset_accuracy(), empty.hamming_loss()) == (0, 0, 0)


def test_ratio_is_zero_over_zero() -> None:
    assert ratio(np.array([1, 0, 3]), np.array([2, 0, 0])).tolist() == [0.5, 0, 0]
    assert float(ratio(1, 4)) == 0.25
