"""Intervals: sums measure as sets do, draws are draws, and what is promised holds in simulation."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from linnaea.decision.decider import Decider
from linnaea.decision.predictions import Predictions
from linnaea.metrics import areas, bootstrap, intervals
from linnaea.metrics.addends import Addends
from linnaea.metrics.bootstrap import drawn_again, ends, exchanged
from linnaea.metrics.counts import Counts
from linnaea.metrics.intervals import wilson
from linnaea.metrics.outcome import Outcome, best_scores
from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy
from tests.references.worlds import flat, matrices, predictions, random_world, sets, taxonomies, tree

DAG = tree((), (), (0,), (0, 1), (1,), (3, 4))
NOT_MEASURES = {"confidence", "resamples", "seed", "left_out"}
WITHOUT = {("calibration", "bins"), ("siblings",), ("documents",)}


def outcome(scores: Predictions, gold: np.ndarray, threshold: float = 0.4) -> Outcome:
    taxonomy = scores.taxonomy
    kept = scores.kept if scores.sparse else None
    decisions = Decider(taxonomy, np.full(len(taxonomy), threshold), top_k=kept).decide(scores)
    support_C = np.arange(len(taxonomy)) * 15
    return Outcome("test", scores, decisions, Ragged.from_dense(gold), support_C, "ancestors")


def world(seed: int = 0, documents: int = 30, taxonomy: Taxonomy = DAG) -> Outcome:
    return outcome(*random_world(np.random.default_rng(seed), documents, taxonomy))


def leaves(value: Any, place: tuple = ()) -> Iterator[tuple[tuple, Any]]:
    """All numbers of a JSON value, by place; a pair of ends is a number here."""
    pair = isinstance(value, list) and len(value) == 2 and all(isinstance(v, float) for v in value)
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*place, key))
    elif isinstance(value, list) and not pair:
        for i, inner in enumerate(value):
            yield from leaves(inner, (*place, i))
    else:
        yield place, value


def caught(made: Outcome, monkeypatch: pytest.MonkeyPatch) -> tuple[Addends, Callable]:
    """The addends of an outcome, and what measures their sums."""
    found: list[Any] = []

    def catch(addends: Addends, measures: Callable, **_: Any) -> dict:
        found.append((addends, measures))
        return {}

    with monkeypatch.context() as patch:
        patch.setattr(intervals, "bootstrap", catch)
        assert made.evaluate().intervals is not None
    return found[0]


def test_every_number_has_an_interval_in_its_place() -> None:
    value = world().evaluate().to_json()
    shown = value.pop("intervals")
    assert list(shown)[:4] == ["confidence", "resamples", "seed", "left_out"]
    assert (shown["confidence"], shown["resamples"], shown["seed"]) == (0.95, 1000, 0)
    assert shown["left_out"] == ["siblings"]
    measured = {
        place: number
        for place, number in leaves(value)
        if place[:2] not in WITHOUT and place[:1] not in WITHOUT
        and place[-1] not in ("level", "group", "id", "categories", "support", "threshold", "support_from", "support_to")
    }  # fmt: skip
    found = {
        place: both
        for place, both in leaves(shown)
        if place[0] not in NOT_MEASURES and place[-1] not in ("level", "group", "id")
    }
    assert set(found) == set(measured)
    for place, (low, high) in found.items():
        assert low - 1e-6 <= measured[place] <= high + 1e-6, place
    assert [row["level"] for row in shown["levels"]] == [1, 2, 3]
    assert [row["group"] for row in shown["groups"]] == [row["group"] for row in value["groups"]]
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown
    assert shown == world().evaluate().to_json()["intervals"]  # the same draws


@pytest.mark.parametrize("cut", [False, True])
def test_weighted_documents_measure_as_repeated_ones(cut: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    for taxonomy in (DAG, flat(3), tree((), (0,))):
        scores, gold = random_world(rng, 25, taxonomy)
        if cut:
            scores = Predictions(scores.ids, taxonomy, best_scores(scores, 2))
        made = outcome(scores, gold)
        addends, measures = caught(made, monkeypatch)
        weights_NR = np.stack([np.ones(25), *(w[:, 0] for w in drawn_again(25, 4, 0, 1))], axis=1)
        found = measures(addends.sums(weights_NR))
        for r in range(weights_NR.shape[1]):
            rows = np.repeat(np.arange(25), weights_NR[:, r].astype(int))
            expected = dict(leaves(made.take(rows).evaluate().to_json(intervals=False)))
            for place, values_R in found.items():
                assert values_R[r] == pytest.approx(expected[place], abs=1e-9), place


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_areas_equal_average_precision(data: st.DataObject) -> None:
    taxonomy = data.draw(taxonomies(most=5))
    columns = len(taxonomy)
    scores, gold = data.draw(matrices(6, columns)), data.draw(sets(6, columns))
    sparse = data.draw(st.booleans())
    made = Outcome(
        "test", predictions(scores, taxonomy, sparse=sparse),
        Decider(taxonomy, np.full(columns, np.inf)).decide(predictions(scores, taxonomy)),
        Ragged.from_dense(gold), np.ones(columns), "none",
    )  # fmt: skip
    steps = areas.Steps.of([made.predictions], made.gold)
    addends = Addends.of(
        {
            **intervals.addends.decided(made.decisions.chosen, made.gold, taxonomy),
            **steps.addends(made.predictions, made.gold),
        }
    )
    found = steps.measures(addends.whole, 6)
    expected = made.evaluate().average_precision
    assert found["average_precision", "micro"].item() == pytest.approx(expected.micro)
    assert found["average_precision", "macro"].item() == pytest.approx(expected.macro)


def test_areas_of_many_documents_read_some_scores_only(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    made = outcome(*random_world(rng, 600, flat(2)))
    exact = made.evaluate().average_precision
    steps = areas.Steps.of([made.predictions], made.gold)
    assert len(steps.micro_M) <= areas.TOGETHER
    assert steps.by_category.lengths_N.max() <= areas.EACH
    lowest = np.asarray(made.predictions.scores)[made.gold.rows, made.gold.values].min()
    assert steps.micro_M[0] == lowest
    addends, measures = caught(made, monkeypatch)
    found = measures(addends.whole)
    assert found["average_precision", "micro"].item() == pytest.approx(exact.micro, abs=0.02)
    # The interval is that of the area by all scores.
    widths = []
    for patched in (10**6, areas.TOGETHER):
        monkeypatch.setattr(areas, "TOGETHER", patched)
        low, high = made.evaluate().to_json()["intervals"]["average_precision"]["micro"]
        assert low < exact.micro < high
        widths.append(high - low)
    assert widths[0] == pytest.approx(widths[1], rel=0.03)


def test_draws_do_not_hang_on_how_many_are_made_at_once() -> None:
    for draws in (drawn_again, exchanged):
        whole = np.concatenate(list(draws(9, 20, 3, 20)), axis=1)
        parts = np.concatenate(list(draws(9, 20, 3, 7)), axis=1)
        assert whole.shape == (9, 20)
        np.testing.assert_array_equal(whole, parts)
        assert not np.array_equal(whole, np.concatenate(list(draws(9, 20, 4, 20)), axis=1))
    drawn = np.concatenate(list(drawn_again(9, 4000, 0, 500)), axis=1)
    assert (drawn.sum(axis=0) == 9).all()
    np.testing.assert_allclose(drawn.mean(axis=1), 1, atol=0.06)
    np.testing.assert_allclose(drawn.var(axis=1), 8 / 9, atol=0.09)  # of a multinomial
    assert set(np.unique(next(exchanged(9, 50, 0, 50)))) == {0.0, 1.0}


def test_large_sets_are_drawn_less_often_and_say_what_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "WORK", 60_000)
    shown = world().evaluate().to_json()["intervals"]
    assert shown["resamples"] == bootstrap.FEWEST
    assert shown["left_out"] == ["average_precision", "calibration.classwise_ece", "siblings"]
    assert "average_precision" not in shown
    assert [bootstrap.draws_for(n) for n in (0, 60, 120, 10**9)] == [1000, 1000, 500, 200]


def test_no_documents_have_no_intervals() -> None:
    nothing = world(documents=0).evaluate()
    assert nothing.intervals is None
    assert "intervals" not in nothing.to_json()
    assert "calibration" not in nothing.to_json()


def test_ends_hold_the_value_and_no_impossible_number() -> None:
    draws = np.linspace(0.2, 0.4, 1001)
    assert ends(draws, 0.3) == pytest.approx((0.205, 0.395))
    assert ends(draws, 0.9) == pytest.approx((0.805, 0.995))  # moved to the value
    assert ends(draws, 0.95) == pytest.approx((0.855, 1))
    assert ends(draws, 0.95, upper=None) == pytest.approx((0.855, 1.045))
    assert ends(draws, 0.05) == pytest.approx((0, 0.145))
    assert ends(np.zeros(10), 0.0) == (0, 0)


@given(st.integers(0, 400), st.integers(1, 400))
@settings(max_examples=80, deadline=None)
def test_wilson_equals_scipy(part: int, whole: int) -> None:
    part = min(part, whole)
    expected = binomtest(part, whole).proportion_ci(0.95, method="wilson")
    found = wilson(np.array([part]), np.array([whole]))[0]
    assert found == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_categories_have_wilsons_interval() -> None:
    gold = Ragged.from_rows([[0], [0], [0, 1], []])
    chosen = Ragged.from_rows([[0], [], [0], [1]])
    found = intervals.by_category(Counts.of(chosen, gold, 3))
    # Two hits among three documents that are decided or right: between 0.208 and 0.939.
    either = np.array(binomtest(2, 3).proportion_ci(0.95, method="wilson"))
    assert found["f1"][0] == pytest.approx(2 * either / (1 + either))
    assert found["precision"][0] == pytest.approx(tuple(binomtest(2, 2).proportion_ci(0.95, method="wilson")))
    assert found["recall"][0] == pytest.approx(tuple(either))
    assert found["f1"][2].tolist() == [0, 1]  # nothing is known


# What is promised


def simulated(rng: np.random.Generator, documents: int, share_C: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gold and decisions ``[N, C]``: documents differ in how hard they are, in all categories alike."""
    hard = rng.random((documents, 1)) < 0.3
    gold = rng.random((documents, len(share_C))) < share_C
    chosen = np.where(
        gold, rng.random(gold.shape) < 0.85 - 0.4 * hard, rng.random(gold.shape) < 0.3 * share_C * (1 + hard)
    )
    return gold, chosen


@pytest.mark.slow
def test_intervals_cover_at_their_promised_rate() -> None:
    """In 300 simulated test sets; 0.95 is promised, and 0.91 to 0.98 is within chance of it (0.0126 a standard deviation)."""
    rng, share_C = np.random.default_rng(11), np.array([0.4, 0.3, 0.2, 0.12, 0.08, 0.05])
    taxonomy, sets_made, documents = flat(6), 300, 200
    # What measures are on average over test sets of this size.
    many = [simulated(rng, documents, share_C) for _ in range(1500)]
    truth: dict[tuple, list[float]] = {}
    places = [
        ("micro", "f1"),
        ("macro", "f1"),
        ("samples", "f1"),
        ("subset_accuracy",),
        ("levels", 0, "micro_f1"),
    ]
    counted = [Counts.of(Ragged.from_dense(c), Ragged.from_dense(g), 6) for g, c in many]
    for made in counted:
        for place, value in zip(
            places,
            (made.micro().f1, made.macro().f1, made.samples_f1(), made.subset_accuracy(), made.micro().f1),
            strict=True,
        ):
            truth.setdefault(place, []).append(value)
    hits, sizes = (sum(getattr(c, n) for c in counted) for n in ("hits_C", "gold_C"))
    chosen = sum(c.chosen_C for c in counted)
    f1_C = 2 * hits / (sizes + chosen)
    covered, of_categories = dict.fromkeys(places, 0), np.zeros(6)
    for _ in range(sets_made):
        gold_NC, chosen_NC = simulated(rng, documents, share_C)
        gold, decided = Ragged.from_dense(gold_NC), Ragged.from_dense(chosen_NC)
        addends = Addends.of(intervals.addends.decided(decided, gold, taxonomy))
        found = bootstrap.bootstrap(
            addends, lambda s: intervals.sums.decided(s, taxonomy, documents), resamples=300, seed=1
        )
        for place in places:
            low, high = found[place]
            covered[place] += low <= np.mean(truth[place]) <= high
        low_C, high_C = intervals.by_category(Counts.of(decided, gold, 6))["f1"].T
        of_categories += (low_C <= f1_C) & (f1_C <= high_C)
    for place, count in covered.items():
        assert 0.91 <= count / sets_made <= 0.98, place
    assert ((of_categories / sets_made >= 0.91) & (of_categories / sets_made <= 0.99)).all()
