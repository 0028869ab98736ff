"""Threshold search: by hand, against brute force over all thresholds, and the rules for rare categories."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linnaea.config.outcome import DecisionConfig
from linnaea.config.task import TaskConfig
from linnaea.decision import thresholds as module
from linnaea.decision.cuts import Cuts, Evidence, category_cuts
from linnaea.decision.predictions import Predictions
from linnaea.decision.thresholds import best_cuts, best_global, fit_decider, shrink
from linnaea.errors import ConfigError, RunError, UsageError
from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy
from tests.references import decision as reference
from tests.references.worlds import flat, matrices, predictions, random_world, sets, tree

AIMS = ["micro_f1", "macro_f1", "both"]
ONES = {n: np.ones(n, dtype=np.int64) for n in range(1, 200)}


def fit(
    scores: Predictions,
    gold: np.ndarray,
    rule: str | dict,
    decoding: str = "none",
    support: np.ndarray | None = None,
    **options: object,
) -> np.ndarray:
    config = DecisionConfig.read({"threshold": rule, "decoding": decoding, **options})
    support = ONES[gold.shape[1]] if support is None else support
    task = TaskConfig()
    return fit_decider(config, task, scores, Ragged.from_dense(gold), support, scores.taxonomy).thresholds_C


def value(scores: Predictions, gold: np.ndarray, thresholds_C: np.ndarray, aim: str) -> float:
    rows = scores.scores if isinstance(scores.scores, np.ndarray) else scores.scores.toarray()
    return reference.aim_value(rows.tolist(), as_sets(gold), thresholds_C.tolist(), aim)


def as_sets(gold: np.ndarray) -> list[set[int]]:
    return [set(np.flatnonzero(row).tolist()) for row in gold]


def test_one_category_by_hand() -> None:
    scores = predictions([[0.9], [0.8], [0.7], [0.6], [0.1]])
    gold = np.array([[1], [0], [1], [1], [0]], dtype=bool)
    # F1 from the top: 2/4, 2/5, 4/6, 6/7, 6/8: cut between 0.6 and 0.1.
    expected = (float(np.float32(0.6)) + float(np.float32(0.1))) / 2
    assert fit(scores, gold, "global").tolist() == [expected]
    assert fit(scores, gold, {"type": "per_category", "shrinkage": 0.0}).tolist() == [expected]


def test_cuts_by_hand() -> None:
    scores = np.array([0.5, 0.25, 0.5, 0.125, 0.75], dtype=np.float32)
    bounds, hits, decided = category_cuts(scores, np.array([0.125, 0.5], dtype=np.float32))
    assert bounds.tolist() == [0.875, 0.375, 0.0625]
    assert (hits.tolist(), decided.tolist()) == ([0, 1, 2], [0, 3, 5])


def test_cuts_hold_between_neighbouring_floats() -> None:
    low = np.float32(0.3)
    high = np.nextafter(low, np.float32(1))
    scores = predictions([[low], [high], [low], [high]])
    gold = np.array([[0], [1], [0], [1]], dtype=bool)
    config = DecisionConfig.read({"threshold": "global"})
    made = fit_decider(config, TaskConfig(), scores, Ragged.from_dense(gold), ONES[1], scores.taxonomy)
    assert float(low) < made.thresholds_C[0] < float(high)
    assert made.decide(scores).chosen.lengths_N.tolist() == [0, 1, 0, 1]


def test_a_perfect_score_can_be_out_of_reach() -> None:
    # Under micro-F1 the first category does more harm than good at every cut, even at score 1.
    scores = predictions([[1.0, 0.9]] * 9 + [[1.0, 0.1]] + [[0.5, 0.1]])
    gold = np.array([[0, 1]] * 9 + [[1, 0]] + [[1, 0]], dtype=bool)
    cuts = Cuts.of(Evidence(scores, Ragged.from_dense(gold), ONES[2]))
    own_C = cuts.thresholds[best_cuts(cuts, "micro_f1")]
    assert own_C[0] > 1
    made = shrink(own_C, 0.5, np.array([2, 9]), 0.0)
    assert made.tolist() == [0.5, own_C[1]]  # 2 positives: the shared one


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_global_is_the_best_of_all(data: st.DataObject) -> None:
    columns = data.draw(st.integers(1, 4))
    scores = predictions(data.draw(matrices(7, columns, steps=12)))
    gold = data.draw(sets(7, columns))
    aim = data.draw(st.sampled_from(AIMS))
    allowed = data.draw(st.lists(st.booleans(), min_size=columns, max_size=columns))
    made = fit(scores, gold, {"type": "global", "aim": aim}, support=np.array(allowed, dtype=int))
    best = reference.best_global_value(scores.scores.tolist(), as_sets(gold), aim, allowed)
    assert np.isinf(made[~np.array(allowed)]).all()
    assert value(scores, gold, made, aim) == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("aim", AIMS)
def test_global_with_branch_and_bound_is_the_best_of_all(aim: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    scores, gold = random_world(rng, 400, flat(6), rate=0.1)
    evidence = Evidence(scores, Ragged.from_dense(gold), ONES[6])
    whole = best_global(evidence, aim)  # type: ignore[arg-type]
    pooled = np.unique(scores.scores[gold]).astype(np.float64)
    values = [value(scores, gold, np.full(6, t), aim) for t in pooled]
    for points in (2, 8, 64):
        monkeypatch.setattr(module, "POINTS", points)
        tried: list[int] = []
        original = module._values_at

        def count(points: np.ndarray, *args: object) -> object:
            tried.append(len(points))  # noqa: B023
            return original(points, *args)  # type: ignore[arg-type] # noqa: B023

        with monkeypatch.context() as patch:
            patch.setattr(module, "_values_at", count)
            assert best_global(evidence, aim) == whole  # type: ignore[arg-type]
        if points == 64:
            assert sum(tried) < len(pooled)
    assert value(scores, gold, np.full(6, whole), aim) == pytest.approx(max(values), abs=1e-12)


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_per_category_is_the_best_of_all_combinations(data: st.DataObject) -> None:
    columns = data.draw(st.integers(1, 3))
    scores = predictions(data.draw(matrices(6, columns, steps=5)))
    gold = data.draw(sets(6, columns))
    aim = data.draw(st.sampled_from(["micro_f1", "macro_f1"]))
    cuts = Cuts.of(Evidence(scores, Ragged.from_dense(gold), ONES[columns]))
    made = cuts.thresholds[best_cuts(cuts, aim)]  # type: ignore[arg-type]
    best = reference.best_per_category_value(scores.scores.tolist(), as_sets(gold), aim)
    assert value(scores, gold, made, aim) == pytest.approx(best, abs=1e-12)


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_both_is_no_worse_than_either_aim_alone(data: st.DataObject) -> None:
    columns = data.draw(st.integers(1, 3))
    scores = predictions(data.draw(matrices(6, columns, steps=5)))
    gold = data.draw(sets(6, columns))
    cuts = Cuts.of(Evidence(scores, Ragged.from_dense(gold), ONES[columns]))
    reached = {aim: value(scores, gold, cuts.thresholds[best_cuts(cuts, aim)], "both") for aim in AIMS}  # type: ignore[arg-type]
    best = reference.best_per_category_value(scores.scores.tolist(), as_sets(gold), "both")
    assert max(reached["micro_f1"], reached["macro_f1"]) - 1e-12 <= reached["both"] <= best + 1e-12


def uneven_world(seed: int) -> tuple[Predictions, np.ndarray]:
    """Three categories, frequent to rare, easy to hard, with all scores different."""
    rng = np.random.default_rng(seed)
    gold = rng.random((10, 3)) < [0.6, 0.3, 0.2]
    noise = rng.normal(0, [0.5, 1.5, 3.0], gold.shape)
    return predictions(1 / (1 + np.exp(-(gold + noise)))), gold


@pytest.mark.parametrize("aim", AIMS)
def test_aims_reach_the_optimum_where_all_combinations_can_be_tried(aim: str) -> None:
    climbed = 0
    for seed in range(12):
        scores, gold = uneven_world(seed)
        cuts = Cuts.of(Evidence(scores, Ragged.from_dense(gold), ONES[3]))
        reached = value(scores, gold, cuts.thresholds[best_cuts(cuts, aim)], aim)  # type: ignore[arg-type]
        best = reference.best_per_category_value(scores.scores.tolist(), as_sets(gold), aim)
        assert reached == pytest.approx(best, abs=1e-12)
        others = [cuts.thresholds[best_cuts(cuts, other)] for other in AIMS if other != aim]  # type: ignore[arg-type]
        climbed += all(value(scores, gold, other, aim) < reached - 1e-9 for other in others)
    assert climbed  # in some worlds each aim has thresholds of its own


def test_micro_f1_cannot_be_raised_where_there_are_many_cuts() -> None:
    # F is the largest micro-F1 if and only if no choice of cuts has 2·hits - F·(decided + positives) above 0.
    for seed in range(10):
        scores, gold = random_world(np.random.default_rng(seed), 1000, flat(8), rate=0.05 + 0.03 * seed)
        cuts = Cuts.of(Evidence(scores, Ragged.from_dense(gold), ONES[8]))
        best_C = best_cuts(cuts, "micro_f1")
        sizes = cuts.decided[best_C].sum() + gold.sum()
        reached = 2 * cuts.hits[best_C].sum() / sizes
        worth = 2 * cuts.hits - reached * cuts.decided
        most = sum(worth[a:b].max() for a, b in itertools.pairwise(cuts.starts_C1))
        assert most - reached * gold.sum() == pytest.approx(0, abs=1e-8)


def test_of_equally_good_thresholds_the_highest() -> None:
    # F1 is 2/3 with 1 of 1 right as with 2 of 4.
    scores = predictions([[0.9], [0.8], [0.7], [0.6]])
    gold = np.array([[1], [0], [0], [1]], dtype=bool)
    expected = pytest.approx((0.9 + 0.8) / 2)
    assert fit(scores, gold, "global")[0] == expected
    cuts = Cuts.of(Evidence(scores, Ragged.from_dense(gold), ONES[1]))
    for aim in AIMS:
        assert cuts.thresholds[best_cuts(cuts, aim)][0] == expected  # type: ignore[arg-type]


def test_categories_that_are_never_decided_do_not_move_a_cut() -> None:
    scores = predictions([[0.9, 0.6], [0.3, 0.7]])
    gold = np.array([[1, 0], [0, 1]], dtype=bool)
    made = fit(scores, gold, "global", support=np.array([1, 0]))
    assert made.tolist() == [pytest.approx((0.9 + 0.3) / 2), np.inf]


def test_shrinkage_by_hand() -> None:
    def odds(p: float) -> float:
        return float(np.log(p / (1 - p)))

    made = shrink(np.array([0.2, 0.2, 0.2]), 0.6, np.array([2, 3, 15]), 5.0)
    expected = [3 / 8 * odds(0.2) + 5 / 8 * odds(0.6), 0.75 * odds(0.2) + 0.25 * odds(0.6)]
    assert made[0] == 0.6
    np.testing.assert_allclose([odds(t) for t in made[1:]], expected, rtol=1e-12)
    assert shrink(np.array([0.2, 0.3]), 0.6, np.array([3, 0]), 0.0).tolist() == [0.2, 0.6]


def test_per_category_is_search_then_shrinkage_then_order() -> None:
    taxonomy = tree((), (0,), (0,), (1,), ())
    scores, gold = random_world(np.random.default_rng(2), 60, taxonomy, rate=0.15)
    evidence = Evidence(scores, Ragged.from_dense(gold), ONES[5])
    cuts = Cuts.of(evidence)
    own_C = cuts.thresholds[best_cuts(cuts, "macro_f1")]
    drawn_C = shrink(own_C, best_global(evidence, "macro_f1"), gold.sum(axis=0), 5.0)
    rule = {"type": "per_category", "aim": "macro_f1"}
    np.testing.assert_array_equal(fit(scores, gold, rule), drawn_C)
    np.testing.assert_array_equal(fit(scores, gold, rule, "ancestors"), drawn_C)
    below = fit(scores, gold, rule, "max")
    parent_E, child_E = taxonomy.edges
    assert (below[parent_E] <= below[child_E]).all()


def test_max_is_tuned_on_the_largest_scores() -> None:
    taxonomy = tree((), (0,))
    # The parent's own scores say nothing; its child's do.
    scores = predictions([[0.1, 0.9], [0.3, 0.8], [0.2, 0.1], [0.4, 0.3]], taxonomy)
    gold = np.array([[1, 1], [1, 1], [0, 0], [0, 0]], dtype=bool)
    made = fit(scores, gold, {"type": "global", "aim": "micro_f1"}, "max")
    assert value(predictions([[0.9, 0.9], [0.8, 0.8], [0.2, 0.1], [0.4, 0.3]]), gold, made, "micro_f1") == 1
    np.testing.assert_allclose(made, 0.6, atol=1e-7)


def test_the_cap_acts_while_tuning() -> None:
    # Only the best category of each document can be decided: the second column's positives are out of reach.
    scores = predictions([[0.9, 0.8], [0.7, 0.6], [0.3, 0.2]])
    gold = np.array([[1, 1], [1, 1], [0, 0]], dtype=bool)
    made = fit(scores, gold, "global", top_k=1)
    np.testing.assert_allclose(made, (0.7 + 0.3) / 2, atol=1e-7)
    np.testing.assert_allclose(fit(scores, gold, "global"), (0.6 + 0.3) / 2, atol=1e-7)


def test_few_positives_share_and_no_training_documents_is_never() -> None:
    taxonomy = flat(3)
    scores, gold = random_world(np.random.default_rng(8), 50, taxonomy)
    gold[:, 1] = False
    gold[:2, 1] = True
    made = fit(scores, gold, "per_category", support=np.array([9, 2, 0]))
    shared = fit(scores, gold, "global", support=np.array([9, 2, 0]))
    assert made[1] == shared[1]
    assert made[0] != shared[0]
    assert np.isinf(made[2]) and np.isinf(shared[2])


@pytest.mark.parametrize("aim", AIMS)
@pytest.mark.parametrize("rule", ["global", "per_category"])
def test_nothing_to_tune_on_gives_one_half(rule: str, aim: str) -> None:
    made = fit(predictions(np.full((4, 2), 0.3)), np.zeros((4, 2), dtype=bool), {"type": rule, "aim": aim})
    assert made.tolist() == [0.5, 0.5]
    empty = predictions(np.zeros((0, 2)))
    assert fit(empty, np.zeros((0, 2), dtype=bool), {"type": rule, "aim": aim}).tolist() == [0.5, 0.5]


@pytest.mark.parametrize("aim", AIMS)
@pytest.mark.parametrize("rule", ["global", "per_category"])
@pytest.mark.parametrize("decoding", ["none", "max"])
def test_sparse_is_dense(rule: str, aim: str, decoding: str) -> None:
    taxonomy = tree((), (), (0,), (0, 1), (2,))
    rng = np.random.default_rng(4)
    scores, gold = random_world(rng, 80, taxonomy)
    matrix = np.where(scores.scores < 0.15, 0, scores.scores)
    made = [
        fit(predictions(matrix, taxonomy, sparse), gold, {"type": rule, "aim": aim}, decoding)
        for sparse in (False, True)
    ]
    np.testing.assert_array_equal(made[0], made[1])


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_order_of_documents_and_categories_does_not_matter(data: st.DataObject) -> None:
    scores, gold = random_world(np.random.default_rng(data.draw(st.integers(0, 99))), 30, flat(4))
    rows = np.array(data.draw(st.permutations(range(30))))
    columns = np.array(data.draw(st.permutations(range(4))))
    aim = data.draw(st.sampled_from(["micro_f1", "macro_f1"]))
    rule = {"type": data.draw(st.sampled_from(["global", "per_category"])), "aim": aim}
    moved = fit(predictions(scores.scores[rows][:, columns]), gold[rows][:, columns], rule)
    np.testing.assert_allclose(moved, fit(scores, gold, rule)[columns], rtol=1e-12)


@given(st.integers(0, 50))
@settings(max_examples=20, deadline=None)
def test_per_category_tunes_no_worse_than_global(seed: int) -> None:
    scores, gold = random_world(np.random.default_rng(seed), 60, flat(5))
    for aim in AIMS:
        alone = fit(scores, gold, {"type": "per_category", "aim": aim, "shrinkage": 0.0})
        shared = fit(scores, gold, {"type": "global", "aim": aim})
        if gold.sum(axis=0).min() >= 3:
            assert value(scores, gold, alone, aim) >= value(scores, gold, shared, aim) - 1e-12


def test_fixed_needs_nothing() -> None:
    taxonomy: Taxonomy = flat(2)
    config = DecisionConfig.read({"threshold": {"type": "fixed", "value": 0.25}})
    made = fit_decider(config, TaskConfig(), None, None, np.array([1, 0]), taxonomy)
    assert made.thresholds_C.tolist() == [0.25, np.inf]
    assert made.positives_C is None


def test_refusals() -> None:
    config = DecisionConfig.read({"threshold": "global"})
    taxonomy = flat(2)
    with pytest.raises(ConfigError, match=r"decision\.threshold: 'global' thresholds need scores"):
        fit_decider(config, TaskConfig(), None, None, ONES[2], taxonomy)
    scores = predictions([[0.5, np.nan]], taxonomy)
    with pytest.raises(RunError, match="category c1: scores that are not numbers"):
        fit_decider(config, TaskConfig(), scores, Ragged.from_rows([[0]]), ONES[2], taxonomy)
    with pytest.raises(UsageError, match="scores of 1 documents cannot be tuned on labels of 2"):
        fit_decider(config, TaskConfig(), scores, Ragged.from_rows([[0], [1]]), ONES[2], taxonomy)
