"""Comparisons: against plain loops and full enumeration, on simulated systems, and what cannot be compared."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from sklearn.metrics import f1_score

from linnaea.decision.predictions import Decisions, Predictions
from linnaea.errors import UsageError
from linnaea.metrics import bootstrap, paired
from linnaea.metrics.alignment import aligned
from linnaea.metrics.exact import exact_p
from linnaea.metrics.outcome import Outcome
from linnaea.metrics.paired import compare_outcomes, holm
from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy
from tests.references.worlds import flat, predictions, sets, tree

TREE = tree((), (), (0,), (0,), (1,))


def outcome(chosen: np.ndarray, gold: np.ndarray, taxonomy: Taxonomy, seed: int = 0) -> Outcome:
    """Decisions as given; scores that agree with them."""
    noise = np.random.default_rng(seed).random(chosen.shape) / 2
    scores = predictions(np.where(chosen, 0.5 + noise, noise), taxonomy)
    rows = Ragged.from_dense(chosen)
    decisions = Decisions(rows, scores.scores[rows.rows, rows.values], np.full(len(taxonomy), 0.5))
    support_C = np.ones(len(taxonomy), dtype=np.int64)
    return Outcome("test", scores, decisions, Ragged.from_dense(gold), support_C, "ancestors")


def system(gold: np.ndarray, rng: np.random.Generator, skill: float) -> np.ndarray:
    return np.where(gold, rng.random(gold.shape) < skill, rng.random(gold.shape) < 0.15)


def two(
    seed: int = 0, documents: int = 40, skills: tuple[float, float] = (0.6, 0.9)
) -> tuple[Outcome, Outcome]:
    rng = np.random.default_rng(seed)
    gold = TREE.close(Ragged.from_dense(rng.random((documents, 5)) < 0.25)).dense(5)
    first, second = (outcome(system(gold, rng, skill), gold, TREE, i) for i, skill in enumerate(skills))
    return first, second


def dense(rows: Ragged) -> np.ndarray:
    return rows.dense(5)


# Numbers


def test_values_are_those_of_each_run() -> None:
    first, second = two()
    found = compare_outcomes(first, second, resamples=50)
    sides = [one.evaluate().to_json(intervals=False) for one in (first, second)]
    for name, place in paired.MEASURES.items():
        difference = found.measures[name]
        values = [side[place[0]][place[1]] for side in sides]
        assert (difference.first, difference.second) == pytest.approx(tuple(values), abs=1e-12)
        assert difference.value == pytest.approx(difference.second - difference.first)
    for i, level in enumerate(found.levels):
        for name, difference in level.items():
            assert (difference.first, difference.second) == pytest.approx(
                tuple(side["levels"][i][name] for side in sides)
            )
    for i, category in enumerate(found.categories):
        assert (category.first, category.second) == pytest.approx(
            tuple(side["categories"][i]["f1"] for side in sides)
        )
    value = found.to_json()
    assert json.loads(json.dumps(value, allow_nan=False)) == value
    assert value["documents"] == 40
    assert [row["support"] for row in value["categories"]] == [r["support"] for r in sides[0]["categories"]]


def test_draws_equal_plain_loops() -> None:
    """Interval and p of micro-F1, with the same draws, counted document by document."""
    first, second = two(documents=15)
    found = compare_outcomes(first, second, resamples=200, seed=3).measures["micro_f1"]
    gold, one, other = (dense(rows) for rows in (first.gold, first.decisions.chosen, second.decisions.chosen))

    def micro(chosen: np.ndarray, right: np.ndarray) -> float:
        return float(f1_score(right, chosen, average="micro", zero_division=0))

    seen = micro(other, gold) - micro(one, gold)
    drawn = []
    for weights in np.concatenate(list(bootstrap.drawn_again(15, 200, 3, 200)), axis=1).T:
        rows = np.repeat(np.arange(15), weights.astype(int))
        drawn.append(micro(other[rows], gold[rows]) - micro(one[rows], gold[rows]))
    moved = np.quantile(drawn, (0.025, 0.975)) - np.mean(drawn) + seen
    assert found.interval == pytest.approx(tuple(moved))
    far = 0
    for swaps in np.concatenate(list(bootstrap.exchanged(15, 200, 4, 200)), axis=1).T:
        swap = swaps[:, None] > 0
        a, b = np.where(swap, other, one), np.where(swap, one, other)
        far += abs(micro(b, gold) - micro(a, gold)) >= abs(seen) - 1e-12
    assert found.p == (1 + far) / 201


def f1(chosen: np.ndarray, gold: np.ndarray) -> float:
    return 2 * (chosen & gold).sum() / max(1, chosen.sum() + gold.sum())


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_p_of_categories_is_that_of_all_exchanges(data: st.DataObject) -> None:
    gold, one, other = (data.draw(sets(7, 2)) for _ in range(3))
    found = exact_p(*(Ragged.from_dense(rows) for rows in (one, other, gold)), 2)
    for c in range(2):
        values = []
        for swaps in itertools.product([False, True], repeat=7):
            a, b = np.where(swaps, other[:, c], one[:, c]), np.where(swaps, one[:, c], other[:, c])
            values.append(abs(f1(a, gold[:, c]) - f1(b, gold[:, c])))
        assert found[c] == pytest.approx(np.mean(np.array(values) >= values[0] - 1e-12))


def test_p_of_categories_with_many_documents() -> None:
    """One run misses 60 % of what the two differ in, of 20,000 documents: a binomial tail, beyond any drawing."""
    gold = Ragged.from_rows([[0]] * 20_000)
    one = Ragged.from_rows([[0]] * 4000 + [[]] * 6000 + [[0]] * 10_000)
    other = Ragged.from_rows([[]] * 4000 + [[0]] * 6000 + [[0]] * 10_000)
    assert exact_p(one, other, gold, 1)[0] == 1e-12
    near = Ragged.from_rows([[]] * 4900 + [[0]] * 15_100)
    far = Ragged.from_rows([[0]] * 4900 + [[]] * 5100 + [[0]] * 10_000)
    assert exact_p(near, far, gold, 1)[0] == pytest.approx(2 * binom.cdf(4900, 10_000, 0.5), rel=1e-6)


def test_holm_by_hand() -> None:
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.5, 0.9])).tolist() == [1, 1]
    assert holm(np.array([])).tolist() == []


def test_a_question_that_is_asked_twice_counts_once() -> None:
    """Without levels below each other micro-F1 and hierarchical F1 are one number."""
    rng = np.random.default_rng(3)
    gold = rng.random((60, 4)) < 0.3
    first, second = (
        outcome(system(gold, rng, skill), gold, flat(4), i) for i, skill in enumerate((0.6, 0.75))
    )
    found = compare_outcomes(first, second).measures
    assert found["micro_f1"] == found["hierarchical_f1"]
    others = [name for name in found if name != "hierarchical_f1"]
    # All categories have documents in nearly every draw, so that two macro-F1 may be one, too.
    distinct = {(found[name].value, found[name].interval): found[name].p for name in others}
    expected = holm(np.array(list(distinct.values())))
    for (value, _), corrected in zip(distinct, expected, strict=True):
        assert next(one.holm for one in found.values() if one.value == value) == pytest.approx(corrected)


def test_a_run_equals_itself() -> None:
    first, _ = two()
    found = compare_outcomes(first, first, resamples=100)
    for difference in (*found.measures.values(), *found.categories):
        assert (difference.value, difference.interval, difference.p, difference.winner) == (
            0,
            (0, 0),
            1,
            None,
        )
    assert found.wins() == {
        "higher": {"first": 0, "second": 0, "equal": 5},
        "surely": {"first": [], "second": []},
    }


def test_a_better_run_wins_and_the_order_of_runs_is_a_sign() -> None:
    first, second = two(documents=300)
    found, turned = compare_outcomes(first, second), compare_outcomes(second, first)
    micro, opposite = found.measures["micro_f1"], turned.measures["micro_f1"]
    assert micro.value == -opposite.value > 0
    assert micro.interval is not None
    assert micro.interval[0] > 0
    assert micro.p == 1 / 2001
    assert (micro.winner, opposite.winner) == ("second", "first")
    assert found.wins()["surely"]["second"] == turned.wins()["surely"]["first"] != []
    assert {c.p for c in found.categories} == {c.p for c in turned.categories}


def test_scores_on_another_scale_rank_as_well() -> None:
    """Exchanged between systems, scores of two scales would make one bad ranking, and every difference look like chance."""
    rng = np.random.default_rng(4)
    gold = rng.random((200, 6)) < 0.3
    margins = [np.where(gold, 1.0, -1.0) + rng.normal(0, noise, gold.shape) for noise in (2.5, 1.0)]
    taxonomy = flat(6)
    sides = []
    for margin, scale in zip(margins, (0.02, 3.0), strict=True):
        scored = predictions(1 / (1 + np.exp(-scale * margin - (0 if scale > 1 else 2))), taxonomy)
        one = outcome(margin > 0, gold, taxonomy)
        sides.append(replace(one, predictions=scored))
    found = compare_outcomes(*sides, resamples=500).measures
    for name in ("average_precision_micro", "average_precision_macro"):
        assert found[name].interval is not None and found[name].interval[0] > 0
        assert found[name].p < 0.01
    same = compare_outcomes(sides[0], replace(sides[0]), resamples=200).measures
    assert same["average_precision_micro"].p == 1


def test_large_sets_leave_average_precision_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "WORK", 60_000)
    monkeypatch.setattr(paired, "DRAWS", 10)
    found = compare_outcomes(*two())
    assert found.resamples == bootstrap.FEWEST
    assert "average_precision_micro" not in found.measures
    assert {category.interval for category in found.categories} == {None}
    assert found.to_json()["categories"][0]["interval"] is None


# What is promised


@pytest.mark.slow
def test_false_alarms_and_coverage_are_as_promised() -> None:
    """Pairs of systems that differ by chance alone: at most 5 % are told apart, and 95 % of the intervals hold 0.

    Of 400 pairs: 0.05 and 0.95 by three standard deviations of a binomial (0.033).
    """
    rng, pairs, alarms, holding, single = np.random.default_rng(5), 400, 0, 0, 0
    taxonomy = flat(3)
    for _ in range(pairs):
        gold = rng.random((60, 3)) < (0.4, 0.3, 0.2)
        first, second = (outcome(system(gold, rng, 0.7), gold, taxonomy) for _ in range(2))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(paired, "steps_for", lambda *_: None)  # no areas: decisions alone
            found = compare_outcomes(first, second, resamples=199, seed=int(rng.integers(2**31)))
        macro = found.measures["macro_f1"]
        assert macro.interval is not None
        alarms += macro.p <= 0.05
        holding += macro.interval[0] <= 0 <= macro.interval[1]
        single += found.categories[0].p <= 0.05
    assert alarms / pairs <= 0.05 + 0.033
    assert alarms / pairs >= 0.05 - 0.033  # it is not idle either
    assert single / pairs <= 0.05 + 0.033
    assert 0.95 - 0.04 <= holding / pairs <= 0.985


# What cannot be compared


def test_order_of_documents_and_columns_does_not_matter() -> None:
    first, second = two()
    expected = compare_outcomes(first, second, resamples=20).to_json()
    order = np.random.default_rng(0).permutation(40)
    assert compare_outcomes(first, second.take(order), resamples=20).to_json() == expected
    # The same categories in another order of the file: other columns.
    turned = Taxonomy.build(["c1", "c0", "c4", "c3", "c2"], list("abcde"), [[], [], ["c1"], ["c0"], ["c0"]])
    to_C = np.array([turned.index[id] for id in TREE.ids])
    scores = np.empty_like(second.predictions.scores)
    scores[:, to_C] = second.predictions.scores
    matrices = {}
    for name, rows in (("chosen", second.decisions.chosen), ("gold", second.gold)):
        matrices[name] = np.empty((40, 5), dtype=bool)
        matrices[name][:, to_C] = dense(rows)
    chosen = Ragged.from_dense(matrices["chosen"])
    decisions = Decisions(chosen, scores[chosen.rows, chosen.values], np.full(5, 0.5))
    moved = Outcome(
        "test", Predictions(second.predictions.ids, turned, scores), decisions,
        Ragged.from_dense(matrices["gold"]), np.arange(5), "ancestors",
    )  # fmt: skip
    back = aligned(first, moved)
    np.testing.assert_array_equal(back.predictions.scores, second.predictions.scores)
    np.testing.assert_array_equal(back.decisions.scores, second.decisions.scores)
    np.testing.assert_array_equal(back.decisions.chosen.values, second.decisions.chosen.values)
    assert back.support_C.tolist() == to_C.tolist()
    assert compare_outcomes(first, moved, resamples=20).to_json() == expected


def renamed(one: Outcome, **changed: Any) -> Outcome:
    return replace(one, predictions=replace(one.predictions, **changed))


def test_what_is_not_the_same_is_told() -> None:
    first, second = two()
    ids = list(first.predictions.ids)
    more = tree((), (), (0,), (0,), (1,), ())
    flipped = tree((), (), (0,), (1,), (1,))
    labels = dense(second.gold)
    labels[7, 0] = ~labels[7, 0]
    wide = np.zeros((40, 6), dtype=bool)
    problems = [
        (second.take(np.arange(39)), "the documents differ: 40 in the first, 39 in the second"),
        (
            renamed(second, ids=[*ids[:4], "new", *ids[5:]]),
            "the documents differ: '4' is 1 times in the first, 0 times in the second",
        ),
        (outcome(wide, wide, more), r"the taxonomies differ: 1 only in the second \('c5'\)"),
        (
            renamed(second, taxonomy=flipped),
            "the taxonomies differ: 'c3' is below 'c0' in the first, below 'c1' in the second",
        ),
        (
            replace(second, gold=Ragged.from_dense(labels)),
            "the labels of document '7' differ: .* in the second",
        ),
        (
            replace(second, gold=Ragged.from_dense(labels), closure="none"),
            "task.closure is ancestors, and none",
        ),
    ]
    for other, message in problems:
        with pytest.raises(UsageError, match=message) as told:
            compare_outcomes(first, other)
        assert "\n" not in str(told.value)
    with pytest.raises(UsageError, match="no documents"):
        compare_outcomes(first.take(np.zeros(0, int)), second.take(np.zeros(0, int)))


def test_documents_of_one_id_keep_their_order() -> None:
    first, second = two()
    ids = ["same", "same", *first.predictions.ids[2:]]
    first, second = renamed(first, ids=ids), renamed(second, ids=ids)
    expected = compare_outcomes(first, second, resamples=20).measures
    moved = second.take(np.array([*range(2, 40), 0, 1]))
    assert compare_outcomes(first, moved, resamples=20).measures == expected


def test_documents_that_are_decided_differently_are_counted() -> None:
    first, second = two()
    rows = [set(a) != set(b) for a, b in zip(first.decisions.chosen, second.decisions.chosen, strict=True)]
    found = compare_outcomes(first, second, resamples=20)
    assert found.differing == sum(rows) > 0
    moved = second.take(np.random.default_rng(0).permutation(len(second)))
    assert compare_outcomes(first, moved, resamples=20).differing == sum(rows)
    same = compare_outcomes(first, first, resamples=20)
    assert same.differing == 0
    assert all(one.equal and one.winner is None for one in same.measures.values())
    assert same.to_json()["differing"] == 0
    assert not any(one.equal for name, one in found.measures.items() if name == "micro_f1")
