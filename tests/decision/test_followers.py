"""Followers: decided with their parents under every decoder; one path; promises that count them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linnaea.config.outcome import DecisionConfig
from linnaea.config.task import TaskConfig
from linnaea.decision.asked import with_decoding
from linnaea.decision.decider import Decider
from linnaea.decision.decoding import violations
from linnaea.decision.followers import check_one_path, with_parents
from linnaea.decision.predictions import Predictions
from linnaea.decision.thresholds import fit_decider
from linnaea.errors import ConfigError, UsageError
from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy
from tests.references import caution as promised
from tests.references import decision as plain
from tests.references import followers as reference
from tests.references.worlds import flat, matrices, predictions, taxonomies, thresholds, tree

PATHS: tuple[dict[str, str], ...] = (
    {"type": "one_path"}, {"type": "one_path", "to": "leaf"}, {"type": "one_per_level"},
)  # fmt: skip
CHAIN = tree((), (), (0,), (2,), (2,))
"""Two tops; below the first one category alone, the follower, and below that two."""


def decoding(value: str | dict[str, str]) -> Any:
    return DecisionConfig.read({"decoding": value}).decoding


def rows(decider: Decider, scores: Any, sparse: bool = False) -> list[list[int]]:
    return [row.tolist() for row in decider.decide(predictions(scores, decider.taxonomy, sparse)).chosen]


def parents_of(taxonomy: Taxonomy) -> list[list[int]]:
    return [row.tolist() for row in taxonomy.parents]


def draw_followers(data: st.DataObject, taxonomy: Taxonomy) -> list[int]:
    below = [c for c in range(len(taxonomy)) if len(taxonomy.parents[c])]
    return sorted(data.draw(st.sets(st.sampled_from(below)))) if below else []


@pytest.mark.parametrize("paths", ["many", "one"])
@pytest.mark.parametrize("name", ["none", "ancestors", "top_down", "max", "best", *PATHS])
def test_what_lies_below_a_follower_is_decided(name: str | dict[str, str], paths: Any) -> None:
    scores = [[0.9, 0.1, 0.0, 0.8, 0.2], [0.8, 0.2, 0.0, 0.1, 0.7]]
    decider = Decider(CHAIN, np.full(5, 0.5), decoding(name), paths=paths).following([2])
    assert rows(decider, scores) == [[0, 2, 3], [0, 2, 4]]
    assert decider.thresholds_C[2] == np.inf


def test_a_follower_weighs_nothing_between_a_child_and_its_doubtful_parent() -> None:
    """Log-odds: .9 2.20, .75 1.10, .25 -1.10, .1 -2.20."""
    decider = Decider(tree((), (0,), (1,)), np.full(3, 0.5), decoding("best")).following([1])
    assert rows(decider, [[0.25, 0, 0.9], [0.25, 0, 0.75], [0.1, 1, 0.9], [0.75, 0, 0.1]]) == [
        [0, 1, 2], [], [], [0, 1],
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["none", "ancestors", "top_down", "max", "best"])
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_decoders_equal_the_definition(name: str, data: st.DataObject) -> None:
    taxonomy = data.draw(taxonomies(most=7, kind=data.draw(st.sampled_from(["tree", "any"]))))
    follows = draw_followers(data, taxonomy)
    bounds_C = data.draw(thresholds(len(taxonomy), 8))
    scores = data.draw(matrices(4, len(taxonomy)))
    config = decoding(name)
    before_C = bounds_C.copy()
    before_C[follows] = np.inf
    decider = with_decoding(Decider(taxonomy, before_C).following(follows), config)
    expected = [
        sorted(reference.decide(row, bounds_C.tolist(), parents_of(taxonomy), set(follows), name))
        for row in scores.tolist()
    ]
    assert rows(decider, scores) == expected
    if name != "none":
        chosen = decider.decide(predictions(scores, taxonomy)).chosen
        assert not violations(chosen, taxonomy).any()


@pytest.mark.parametrize("closure", ["ancestors", "path"])
@pytest.mark.parametrize("name", PATHS)
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_paths_with_followers_are_the_best_and_whole(
    name: dict[str, str], closure: Any, data: st.DataObject
) -> None:
    taxonomy = data.draw(taxonomies(most=7, kind=data.draw(st.sampled_from(["tree", "any"]))))
    parents, follows = parents_of(taxonomy), draw_followers(data, taxonomy)
    bounds_C = data.draw(thresholds(len(taxonomy), 8))
    bounds_C[follows] = 0.5
    never_C = np.isinf(bounds_C)
    try:
        check_one_path(taxonomy, closure, decoding(name), never_C, follows, "place", "hint")
    except ConfigError:
        return
    scores = data.draw(matrices(4, len(taxonomy)))
    decider = Decider(taxonomy, bounds_C, decoding(name), closure=closure).following(follows)
    to = "level" if name["type"] == "one_per_level" else name.get("to", "any")
    allowed = plain.whole_paths(parents, bounds_C.tolist(), closure, to)
    whole = plain.whole_paths(parents, bounds_C.tolist(), closure, "any")

    def worth(path: set[int], row: list[float]) -> int:
        return sum(plain.margin(row[c], bounds_C[c]) for c in path if c not in follows)

    for row, chosen in zip(scores.tolist(), map(set, rows(decider, scores)), strict=True):
        assert not chosen or chosen in whole
        assert all((f in chosen) == (set(parents[f]) <= chosen) for f in follows)
        if allowed:
            assert worth(chosen, row) == max(worth(path, row) for path in allowed)


@given(data=st.data())
@settings(max_examples=80, deadline=None)
def test_at_most_one_path_stays_one_with_its_followers(data: st.DataObject) -> None:
    taxonomy = data.draw(taxonomies(most=7))
    parents, follows = parents_of(taxonomy), draw_followers(data, taxonomy)
    bounds_C = data.draw(thresholds(len(taxonomy), 8))
    never_C = np.isinf(bounds_C)
    never_C[follows] = False
    name = data.draw(st.sampled_from(["none", "ancestors", "top_down", "max", "best"]))
    try:
        check_one_path(taxonomy, "ancestors", decoding(name), never_C, follows, "place", "hint")
    except ConfigError:
        return
    scores = data.draw(matrices(4, len(taxonomy)))
    whole = [set(plain.ancestors(c, parents)) for c in range(len(taxonomy))]
    bounds_C[follows] = np.inf
    decider = replace(Decider(taxonomy, bounds_C).following(follows), paths="one")
    for chosen in map(set, rows(with_decoding(decider, name), scores)):
        assert not chosen or chosen in whole
        assert all((f in chosen) == (set(parents[f]) <= chosen) for f in follows)


class TestOnePath:
    @pytest.mark.parametrize(
        ("taxonomy", "closure", "never", "follows"),
        [
            (CHAIN, "ancestors", [], [2]),
            (CHAIN, "path", [], [2]),
            (tree((), (0,), (0,)), "ancestors", [2], [1]),  # its sibling is never decided
            (tree((), (0,), (1,), (1,)), "ancestors", [2], [1, 3]),
            (tree((), (), (0,), (0, 1)), "ancestors", [], [3]),  # no path to 2 holds both parents of 3
            (tree((), (0,), (0, 1)), "ancestors", [], [2]),  # the path to 1 goes on to 2
        ],
    )
    def test_what_every_path_goes_on_to(
        self, taxonomy: Taxonomy, closure: Any, never: list[int], follows: list[int]
    ) -> None:
        never_C = np.isin(np.arange(len(taxonomy)), never)
        check_one_path(taxonomy, closure, decoding("one_path"), never_C, follows, "place", "hint")

    @pytest.mark.parametrize(
        ("taxonomy", "closure", "follows", "message"),
        [
            (CHAIN, "ancestors", [3], "'c3' has no network: it is decided wherever its parents are, also on"),
            (CHAIN, "path", [3], "also on the path to 'c4'"),
            (CHAIN, "none", [2], "also on the path to 'c0'"),
            (tree((), (0,), (0,)), "ancestors", [1, 2], "'c1' has no network"),
            (tree((), (), (0, 1), (0, 1)), "ancestors", [2], "also on the path to 'c3'"),
            (tree((), (), (0, 1)), "path", [2], "all its parents are, and a path holds one of them"),
        ],
    )
    def test_what_stands_beside_is_refused(
        self, taxonomy: Taxonomy, closure: Any, follows: list[int], message: str
    ) -> None:
        never_C = np.zeros(len(taxonomy), dtype=bool)
        with pytest.raises(ConfigError) as raised:
            check_one_path(taxonomy, closure, decoding("none"), never_C, follows, "place", "hint")
        assert message in raised.value.message
        assert (raised.value.where, raised.value.hint) == ("place", "hint")


def test_asked_for_at_prediction() -> None:
    decider = Decider(CHAIN, np.full(5, 0.5)).following([2])
    for value in PATHS:
        assert rows(with_decoding(decider, value), [[0.3, 0.2, 0, 0.1, 0.9]]) == [[0, 2, 4]]
    lowered = with_decoding(replaced(decider, [0.5, 0.5, np.inf, 0.2, 0.3]), "max")
    assert lowered.thresholds_C.tolist() == [0.2, 0.5, np.inf, 0.2, 0.3]
    beside = Decider(tree((), (0,), (0,)), np.full(3, 0.5)).following([2])
    with pytest.raises(UsageError, match="'c2' has no network"):
        with_decoding(beside, "one_path")


def test_one_path_a_document_stays_one_under_another_decoding() -> None:
    """Decoders that add ancestors reach what stood apart; without them a follower is a second category."""
    apart = Decider(
        tree((), (0,), (0,), (1,)), np.array([0.5, np.inf, 0.5, 0.5]), decoding("one_path"), paths="one"
    )
    for asked in ("max", "ancestors"):
        with pytest.raises(UsageError, match="'c2' has no network"):
            with_decoding(apart.following([2]), asked)
    alone = Decider(
        tree((), (0,)), np.full(2, 0.5), decoding("ancestors"), paths="one", closure="none"
    ).following([1])
    with pytest.raises(UsageError, match="'c1' has no network"):
        with_decoding(alone, "none")
    assert with_decoding(alone, None) is alone


def replaced(decider: Decider, bounds: list[float]) -> Decider:
    return Decider(decider.taxonomy, np.array(bounds), decider.decoding).following(decider.follows)


def test_a_model_of_before_decides_with_what_was_saved() -> None:
    """Followers were saved without a threshold, and named: nothing about them has changed in the file."""
    value = json.loads(json.dumps(Decider(CHAIN, np.full(5, 0.5), decoding("best")).following([2]).to_json()))
    assert value["thresholds"]["c2"] is None
    assert value["follows"] == ["c2"]
    assert rows(Decider.from_json(value, CHAIN), [[0.9, 0.1, 0, 0.8, 0.2]]) == [[0, 2, 3]]


def test_a_cap_and_sparse_scores_do_not_hide_a_follower() -> None:
    decider = Decider(CHAIN, np.full(5, 0.5), decoding("top_down"), top_k=2).following([2])
    scores = [[0.9, 0.1, 0.0, 0.8, 0.2]]
    assert rows(decider, scores) == rows(decider, scores, sparse=True) == [[0, 2, 3]]
    printed = decider.decide(predictions(scores, CHAIN)).scores
    np.testing.assert_allclose(printed, [0.9, 0.8, 0.8])  # the cap took its own


# Promises.


@pytest.mark.parametrize("sparse", [False, True])
def test_with_parents(sparse: bool) -> None:
    taxonomy = tree((), (), (0, 1), (2,), (2,))
    found = with_parents(
        predictions([[0.4, 0.7, 0.9, 0.1, 0.2], [0, 0.5, 0, 0, 0]], taxonomy, sparse), [2, 3]
    )
    assert found.sparse == sparse
    dense = found.scores.toarray() if sparse else found.scores  # type: ignore[union-attr]
    np.testing.assert_allclose(dense, [[0.4, 0.7, 0.4, 0.4, 0.2], [0, 0.5, 0, 0, 0]])
    assert with_parents(found, ()) is found


def fitted(
    threshold: dict[str, Any], scored: Predictions, gold: np.ndarray, support: list[int], **more: Any
) -> Decider:
    decider = more.pop("decoding", "max")
    config = DecisionConfig.read({"threshold": threshold, "decoding": decider, **more.pop("config", {})})
    return fit_decider(
        config, TaskConfig(), scored, Ragged.from_dense(gold), np.array(support), scored.taxonomy, **more
    )


@pytest.mark.parametrize("of", ["categories", "documents"])
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_caution_counts_followers_as_decided_with_their_parents(of: str, data: st.DataObject) -> None:
    taxonomy = data.draw(taxonomies(most=6))
    follows, columns, parents = draw_followers(data, taxonomy), len(taxonomy), parents_of(taxonomy)
    scores, gold = data.draw(matrices(9, columns)), data.draw(st.integers(0, 2**30))
    gold_NC = np.random.default_rng(gold).random((9, columns)) < 0.6
    gold_NC = taxonomy.close(Ragged.from_dense(gold_NC)).dense(columns)
    support = [0 if c in follows else data.draw(st.sampled_from([0, 3])) for c in range(columns)]
    found = fitted(
        {"type": "cautious", "error": 0.3, "of": of},
        predictions(scores, taxonomy),
        gold_NC,
        support,
        follows=follows,
    )
    seen = []
    for row in scores.tolist():
        largest = [max(row[d] for d in plain.descendants(c, parents)) for c in range(columns)]
        for f in follows:
            largest[f] = min(largest[p] for p in parents[f])
        seen.append(largest)
    allowed = [any(support[d] for d in plain.descendants(c, parents)) for c in range(columns)]
    for f in follows:
        allowed[f] = allowed[f] or all(allowed[p] for p in parents[f])
    gold_sets = [set(np.flatnonzero(row).tolist()) for row in gold_NC]
    place = promised.cautious(seen, gold_sets, "0.3", allowed, of == "documents")
    # What is decided is what reaches the threshold, followers by the lowest of their parents.
    expected = [
        [c for c in range(columns) if allowed[c] and (place is None or row[c] > place)] for row in seen
    ]
    assert rows(found, scores) == expected


def world(rng: np.random.Generator, documents: int) -> tuple[Predictions, np.ndarray]:
    """A parent that scores tell of, and five categories below it that nobody has written about."""
    taxonomy = tree((), *[(0,)] * 5)
    gold_NC = np.zeros((documents, 6), dtype=bool)
    gold_NC[:, 0] = rng.random(documents) < 0.7
    score_N = np.where(gold_NC[:, 0], rng.beta(6, 2, documents), rng.beta(2, 6, documents))
    return predictions(np.repeat(score_N[:, None], 6, axis=1), taxonomy), gold_NC


def test_caution_holds_with_followers_that_nobody_wrote_about() -> None:
    rng, wrong = np.random.default_rng(0), []
    for _ in range(60):
        scored, gold_NC = world(rng, 100)
        found = fitted(
            {"type": "cautious", "error": 0.1}, scored, gold_NC, [100, *[0] * 5], follows=[1, 2, 3, 4, 5]
        )
        fresh, gold_NC = world(rng, 400)
        chosen_NC = found.decide(fresh).chosen.dense(6)
        wrong.append(((chosen_NC & ~gold_NC).sum(1) / np.maximum(chosen_NC.sum(1), 1)).mean())
        assert found.promise is not None and found.promise.exact
    assert np.mean(wrong) <= 0.1 + 2 * np.std(wrong) / np.sqrt(len(wrong))


def test_a_promised_recall_leaves_followers_out_and_says_so() -> None:
    rng = np.random.default_rng(1)
    taxonomy = tree((), (0,), (0,), (0,), (1,))
    gold_NC = taxonomy.close(Ragged.from_dense(rng.random((60, 5)) < [0.3, 0.2, 0.05, 0.05, 0.3])).dense(5)
    scored = predictions(np.round(rng.random((60, 5)), 2), taxonomy)
    follows = [1, 3]
    found = fitted(
        {"type": "conformal", "recall": 0.8}, scored, gold_NC, [9] * 5, follows=follows, decoding="ancestors"
    )
    allowed = [c not in follows for c in range(5)]
    gold_sets = [set(np.flatnonzero(row).tolist()) for row in gold_NC]
    expected, sharing = promised.conformal(
        np.asarray(scored.scores).astype(float).tolist(), gold_sets, "0.8", allowed
    )
    for c in range(5):
        assert found.thresholds_C[c] == (np.inf if c in follows else expected[c])
    promise = found.promise
    assert promise is not None
    assert promise.followed == ("c1", "c3")
    assert set(promise.shared) == {f"c{c}" for c in sharing}
    assert "not held for 2 that follow their parents: c1, c3" in promise.told(3)
    value = json.loads(json.dumps(found.to_json()))
    assert Decider.from_json(value, taxonomy).promise == promise
    del value["promise"]["followed"]  # as older versions wrote it
    again = Decider.from_json(value, taxonomy).promise
    assert again is not None and again.followed == ()


def test_what_has_no_network_takes_no_part_in_a_promise() -> None:
    """Its scores are 0: a threshold that finds such a category would decide it for every document."""
    gold_NC = np.ones((20, 2), dtype=bool)
    scored = predictions(np.column_stack([np.linspace(0.1, 0.9, 20), np.zeros(20)]), flat(2))
    found_C = np.array([0.5, np.inf])
    found = fitted(
        {"type": "conformal", "recall": 0.8}, scored, gold_NC, [20, 3], found_C=found_C, decoding="none"
    )
    assert np.isfinite(found.thresholds_C).tolist() == [True, False]


def test_other_rules_tune_as_they_did() -> None:
    """Only thresholds with a promise leave followers out of what they look at."""
    rng = np.random.default_rng(2)
    taxonomy = tree((), (0,), (0,))
    gold_NC = taxonomy.close(Ragged.from_dense(rng.random((40, 3)) < 0.4)).dense(3)
    scored = predictions(rng.random((40, 3)), taxonomy)
    rule = {"type": "global", "aim": "micro_f1"}
    with_, without = (fitted(rule, scored, gold_NC, [9] * 3, decoding="none", follows=f) for f in ([2], []))
    assert with_.thresholds_C.tolist() == [*without.thresholds_C[:2].tolist(), np.inf]
