"""best: every graph of up to five categories and random ones of ten against all coherent sets; large ones against an LP."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from linnaea.config.decoding import AncestorsConfig, BestConfig, TopDownConfig
from linnaea.decision import best as module
from linnaea.decision.best import best_closed, minimum_cut
from linnaea.decision.decider import Decider
from linnaea.decision.entries import Entries
from linnaea.decision.odds import margins
from linnaea.taxonomy.taxonomy import Taxonomy
from tests.references import decision as reference
from tests.references.worlds import flat, matrices, predictions, taxonomies, thresholds, tree


def parents_of(taxonomy: Taxonomy) -> list[list[int]]:
    return [row.tolist() for row in taxonomy.parents]


def chosen(taxonomy: Taxonomy, scores: object, bounds: object, **options: object) -> list[set[int]]:
    made = Decider(taxonomy, np.array(bounds, dtype=np.float64), BestConfig(), **options)  # type: ignore[arg-type]
    return [set(row.tolist()) for row in made.decide(predictions(scores, taxonomy)).chosen]


# By hand. Log-odds: .9 2.20, .75 1.10, .6 .41, .5 0, .4 -.41, .25 -1.10, .1 -2.20.


def test_a_sure_child_takes_its_doubtful_parent_along_and_an_unsure_one_does_not() -> None:
    taxonomy = tree((), (0,))
    scores = [[0.4, 0.6], [0.4, 0.75], [0.25, 0.6], [0.6, 0.4], [0.25, 0.75], [0.1, 0.1]]
    # -.41 + .41 = 0: nothing; .69 > 0; -.69; the parent alone; 0 again; nothing is decided.
    assert chosen(taxonomy, scores, [0.5, 0.5]) == [set(), {0, 1}, set(), {0}, set(), set()]


def test_children_share_the_cost_of_a_parent() -> None:
    taxonomy = tree((), (0,), (0,))
    scores = [[0.25, 0.6, 0.6], [0.25, 0.75, 0.6], [0.25, 0.9, 0.4]]
    assert chosen(taxonomy, scores, [0.5] * 3) == [set(), {0, 1, 2}, {0, 1}]


def test_a_child_pays_for_both_parents_and_shares_with_their_other_children() -> None:
    taxonomy = tree((), (), (0, 1), (1,))
    scores = [[0.25, 0.25, 0.9, 0.1], [0.25, 0.25, 0.8, 0.1], [0.25, 0.25, 0.8, 0.75]]
    # 2.20 - 2.20 = 0; 1.39 - 2.20 < 0; 1.39 + 1.10 - 2.20 > 0.
    assert chosen(taxonomy, scores, [0.5] * 4) == [set(), set(), {0, 1, 2, 3}]


def test_thresholds_are_what_log_odds_are_measured_from() -> None:
    taxonomy = tree((), (0,))
    assert chosen(taxonomy, [[0.4, 0.75]], [0.4, 0.8]) == [{0}]
    assert chosen(taxonomy, [[0.4, 0.9]], [0.6, 0.8]) == [set()]  # 2.20 - 1.39 = .81, as much as 0.6 over 0.4
    assert chosen(taxonomy, [[0.4, 0.9]], [0.6, 0.75]) == [{0, 1}]


def test_nothing_at_or_below_what_is_never_decided() -> None:
    taxonomy = tree((), (), (0,), (2,))
    scores = [[0.9, 0.9, 0.9, 1.0]]
    assert chosen(taxonomy, scores, [0.5, np.inf, np.inf, 0.5]) == [{0}]
    assert chosen(taxonomy, scores, [np.inf, 0.5, 0.5, 0.5]) == [{1}]
    # What lies below it pays for nothing.
    assert chosen(taxonomy, [[0.4, 0.9, 0.9, 1.0]], [0.5, 0.5, np.inf, 0.5]) == [{1}]


def test_ends_of_the_scale_are_clipped() -> None:
    taxonomy = tree((), (0,))
    assert chosen(taxonomy, [[0.0, 1.0]], [0.5, 0.5]) == [set()]
    assert chosen(taxonomy, [[0.0, 1.0]], [0.6, 0.5]) == [set()]
    assert chosen(taxonomy, [[0.0, 1.0]], [0.5, 0.4]) == [{0, 1}]
    assert chosen(taxonomy, [[0.0, 1.0]], [0.0, 1.0]) == [{0, 1}]  # both just decided
    assert chosen(taxonomy, [[0.0, 1.0]], [1.0, 0.0]) == [set()]  # -60 + 60


def test_an_ancestor_that_the_cap_took_counts_as_score_0() -> None:
    taxonomy = tree((), (), (0,))
    assert chosen(taxonomy, [[0.6, 0.9, 0.75]], [0.5] * 3, top_k=2) == [{1}]
    assert chosen(taxonomy, [[0.6, 0.9, 0.75]], [0.5] * 3, top_k=3) == [{0, 1, 2}]


def test_what_the_cap_took_is_never_chosen_for_its_own_sake() -> None:
    assert chosen(flat(2), [[0.3, 0.2]], [0.0, 0.0], top_k=1) == [{0}]
    assert chosen(tree((), (0,)), [[0.3, 0.2]], [0.0, 0.0], top_k=1) == [{0}]


# Against all coherent sets


def graphs(size: int) -> Iterator[Taxonomy]:
    """Every DAG of so many categories, up to their names: each may lie below any of those before it."""
    before = [list(itertools.product((False, True), repeat=i)) for i in range(size)]
    for marks in itertools.product(*before):
        yield tree(*[tuple(p for p, below in enumerate(row) if below) for row in marks])


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_equals_brute_force_on_every_small_graph(size: int) -> None:
    rng = np.random.default_rng(size)
    for taxonomy in graphs(size):
        parents = parents_of(taxonomy)
        sets = reference.coherent_sets(parents)
        bounds = rng.integers(1, 8, size) / 8
        bounds[rng.random(size) < 0.1] = np.inf
        scores = np.where(
            rng.random((8, size)) < 0.5, rng.integers(0, 9, (8, size)) / 8, rng.random((8, size))
        )
        scores = scores.astype(np.float32).astype(np.float64)
        expected = [reference.best(row.tolist(), bounds.tolist(), parents, sets) for row in scores]
        assert chosen(taxonomy, scores, bounds) == expected, parents


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_equals_brute_force_up_to_ten_categories(data: st.DataObject) -> None:
    taxonomy = data.draw(taxonomies(most=10, kind=data.draw(st.sampled_from(["any", "tree"]))))
    scores, bounds = data.draw(matrices(3, len(taxonomy))), data.draw(thresholds(len(taxonomy), steps=8))
    parents = parents_of(taxonomy)
    sets = reference.coherent_sets(parents)
    expected = [reference.best(row.tolist(), bounds.tolist(), parents, sets) for row in scores]
    assert chosen(taxonomy, scores, bounds) == expected


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_one_path_of_the_best_equals_enumeration(data: st.DataObject) -> None:
    taxonomy = data.draw(taxonomies())
    scores, bounds = data.draw(matrices(3, len(taxonomy))), data.draw(thresholds(len(taxonomy), steps=8))
    parents = parents_of(taxonomy)
    paths = reference.whole_paths(parents, bounds.tolist(), "ancestors", "any")
    for row, found in zip(scores.tolist(), chosen(taxonomy, scores, bounds, paths="one"), strict=True):
        worth = [reference.margin(s, t) for s, t in zip(row, bounds.tolist(), strict=True)]
        highest = max((sum(worth[c] for c in path) for path in paths), default=-1)
        decided = any(all(worth[c] >= 0 for c in path) for path in paths)
        if found:
            assert found in paths
            assert sum(worth[c] for c in found) == highest
        assert bool(found) == (highest > 0 or decided)


# Large graphs


def random_dag(rng: np.random.Generator, size: int) -> Taxonomy:
    below = lambda i: tuple(sorted(set(rng.integers(0, i, rng.integers(1, 4)).tolist())))  # noqa: E731
    return tree(*[() if i < 5 else below(i) for i in range(size)])


def highest_sum(margins_C: np.ndarray, taxonomy: Taxonomy) -> float:
    """The heaviest closure as a linear programme: its matrix is totally unimodular, so its corners are sets."""
    parent_E, child_E = taxonomy.edges
    rows = np.zeros((len(parent_E), len(taxonomy)))
    rows[np.arange(len(rows)), child_E], rows[np.arange(len(rows)), parent_E] = 1, -1
    found = linprog(-margins_C / 1e6, A_ub=rows, b_ub=np.zeros(len(rows)), bounds=(0, 1), method="highs")
    return float(-found.fun)


@pytest.mark.parametrize("seed", range(8))
def test_as_good_as_a_linear_programme_on_large_graphs(seed: int) -> None:
    rng = np.random.default_rng(seed)
    taxonomy = random_dag(rng, 60)
    scores = 1 / (1 + np.exp(-rng.normal(0.5 * (taxonomy.level_C - 4), 2, (10, 60))))
    scores = scores.astype(np.float32)
    found = chosen(taxonomy, scores, np.full(60, 0.5))
    assert len({len(row) for row in found}) > 3
    for row, columns in zip(scores, found, strict=True):
        worth_C = margins(row, row >= 0.5, np.full(60, 0.5))
        assert all(set(taxonomy.parents[c].tolist()) <= columns for c in columns)
        assert worth_C[list(columns)].sum() / 1e6 == pytest.approx(highest_sum(worth_C, taxonomy), abs=1e-6)


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_the_cut_alone_is_the_dynamic_programme_on_trees(data: st.DataObject) -> None:
    taxonomy = data.draw(taxonomies(most=10, kind="tree"))
    scores, bounds = data.draw(matrices(3, len(taxonomy))), np.full(len(taxonomy), 0.5)
    entries = Entries.of(np.ones(scores.shape, dtype=bool), taxonomy)
    values = scores[entries.rows, entries.columns]
    margins_M = margins(
        values, values > 0.5, bounds[entries.columns]
    )  # nothing is 0: all is the smallest set
    never_C = np.zeros(len(taxonomy), dtype=bool)
    expected = best_closed(entries, margins_M, never_C, taxonomy)
    found = minimum_cut(entries, margins_M, np.ones(len(margins_M), dtype=bool), taxonomy)
    np.testing.assert_array_equal(found, expected)


def test_sums_beyond_32_bits() -> None:
    # 300 children of +60 share 2 parents of -60 each and 1 grandparent: their sum is 1.8e10 millionths.
    taxonomy = tree((), (0,), (0,), *[(1, 2)] * 300)
    scores = [[0.0, 0.0, 0.0, *[1.0] * most, *[0.0] * (300 - most)] for most in (1, 3, 4, 300)]
    bounds = np.array([1.0, 1.0, 1.0, *[1e-14] * 300])
    found = chosen(taxonomy, scores, bounds)
    assert [len(row) for row in found] == [0, 0, 3 + 4, 3 + 300]
    rows = Entries.of(np.ones((4, 303), dtype=bool), taxonomy)
    values = np.array(scores)[rows.rows, rows.columns]
    margins_M = margins(values, values >= bounds[rows.columns], bounds[rows.columns])
    cut = minimum_cut(rows, margins_M, np.ones(len(margins_M), dtype=bool), taxonomy)
    assert np.bincount(rows.rows[cut], minlength=4).tolist() == [len(row) for row in found]


def test_ways_through_a_deep_graph_do_not_overflow() -> None:
    # Each level's two categories lie below both of the level above: 2^79 ways from the top to the last level.
    parents = [(), (), *[(i - i % 2 - 2, i - i % 2 - 1) for i in range(2, 160)]]
    taxonomy = tree(*parents)
    scores = np.full((2, 160), 0.4)
    scores[:, 158:] = 1.0
    scores[1, :80] = 0.1
    # 158 times -.41 against 60; half of them -2.20.
    bounds = np.full(160, 0.5)
    assert [len(row) for row in chosen(taxonomy, scores, bounds)] == [0, 0]
    bounds[158:] = 1e-14
    assert [len(row) for row in chosen(taxonomy, scores, bounds)] == [160, 0]


# Properties


def decisions(taxonomy: Taxonomy, scores: np.ndarray, bounds: np.ndarray, config: object) -> np.ndarray:
    made = Decider(taxonomy, bounds, config).decide(predictions(scores, taxonomy))  # type: ignore[arg-type]
    return made.chosen.dense(len(taxonomy))


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_lies_between_top_down_and_ancestors(data: st.DataObject) -> None:
    taxonomy = data.draw(taxonomies())
    scores, bounds = data.draw(matrices(4, len(taxonomy))), data.draw(thresholds(len(taxonomy), steps=8))
    least, found, most = (
        decisions(taxonomy, scores, bounds, config)
        for config in (TopDownConfig(), BestConfig(), AncestorsConfig())
    )
    assert not (least & ~found).any()
    assert not (found & ~most).any()
    # What is coherent by itself stays as it is.
    assert (found == least)[(least == (scores >= bounds)).all(axis=1)].all()


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_higher_scores_and_lower_thresholds_take_nothing_away(data: st.DataObject) -> None:
    taxonomy = data.draw(taxonomies())
    scores, more = data.draw(matrices(4, len(taxonomy))), data.draw(matrices(4, len(taxonomy)))
    bounds, lower = (data.draw(thresholds(len(taxonomy), steps=8)) for _ in range(2))
    before = decisions(taxonomy, scores, bounds, BestConfig())
    after = decisions(taxonomy, np.maximum(scores, more), np.minimum(bounds, lower), BestConfig())
    assert not (before & ~after).any()


def test_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    taxonomy = random_dag(rng, 40)
    scores, bounds = rng.random((50, 40), dtype=np.float32), np.full(40, 0.5)
    whole = decisions(taxonomy, scores, bounds, BestConfig())
    monkeypatch.setattr(module, "CELLS", 3 * 40)
    np.testing.assert_array_equal(decisions(taxonomy, scores, bounds, BestConfig()), whole)
