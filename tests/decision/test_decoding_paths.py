"""one_path and one_per_level: by hand, against all paths there are; saved, read and refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linnaea.config.config import Config
from linnaea.config.decoding import OnePathConfig, OnePerLevelConfig
from linnaea.config.outcome import DecisionConfig
from linnaea.decision.decider import Decider
from linnaea.decision.decoding import violations
from linnaea.errors import ConfigError, ModelError
from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy
from tests.references import decision as reference
from tests.references.worlds import flat, matrices, predictions, taxonomies, thresholds, tree

KINDS = {"any": OnePathConfig(), "leaf": OnePathConfig(to="leaf"), "level": OnePerLevelConfig()}


def chosen(taxonomy: Taxonomy, scores: Any, bounds: Any, kind: str, **options: Any) -> list[list[int]]:
    made = Decider(taxonomy, np.array(bounds, dtype=np.float64), KINDS[kind], **options)
    return [row.tolist() for row in made.decide(predictions(scores, taxonomy)).chosen]


# Log-odds: .9 2.20, .75 1.10, .6 .41, .4 -.41, .25 -1.10, .1 -2.20.
# c0 over c2 over c3; c1 over nothing.
UNEVEN = tree((), (), (0,), (2,))


def test_one_path_ends_where_the_sum_is_highest() -> None:
    scores = [[0.6, 0.4, 0.6, 0.4], [0.4, 0.6, 0.9, 0.6], [0.1, 0.25, 0.6, 0.4], [0.4, 0.4, 0.6, 0.9]]
    assert chosen(UNEVEN, scores, [0.5] * 4, "any") == [[0, 2], [0, 2, 3], [1], [0, 2, 3]]


@pytest.mark.parametrize("kind", ["leaf", "level"])
def test_to_a_leaf(kind: str) -> None:
    # .41 + .41 - .41 against -.41; -.41 - .41 - .41 against -1.10: a shorter path has less to lose.
    scores = [[0.6, 0.4, 0.6, 0.4], [0.4, 0.25, 0.4, 0.4], [0.4, 0.1, 0.4, 0.4]]
    assert chosen(UNEVEN, scores, [0.5] * 4, kind) == [[0, 2, 3], [1], [0, 2, 3]]


@pytest.mark.parametrize("kind", ["leaf", "level"])
def test_the_best_leaf_is_not_always_below_the_best_top(kind: str) -> None:
    taxonomy = tree((), (), (0,), (1,))
    assert chosen(taxonomy, [[0.75, 0.6, 0.4, 0.9]], [0.5] * 4, kind) == [[1, 3]]
    assert chosen(taxonomy, [[0.75, 0.6, 0.4, 0.9]], [0.5, 0.9, 0.5, 0.9], kind) == [[0, 2]]


def test_what_is_never_decided_is_on_no_path_and_its_parent_becomes_a_leaf() -> None:
    scores = [[0.6, 0.4, 0.6, 0.9]]
    assert chosen(UNEVEN, scores, [0.5, 0.5, 0.5, np.inf], "leaf") == [[0, 2]]
    assert chosen(UNEVEN, scores, [0.5, 0.5, np.inf, 0.5], "leaf") == [[0]]
    assert chosen(UNEVEN, scores, [np.inf, 0.5, 0.5, 0.5], "any") == [[1]]
    assert chosen(UNEVEN, scores, [np.inf, np.inf, 0.5, 0.5], "any") == [[]]


@pytest.mark.parametrize("kind", list(KINDS))
def test_equal_sums_take_the_lowest_column(kind: str) -> None:
    assert chosen(tree((), (), (0,), (1,)), [[0.5] * 4], [0.4] * 4, kind) == [[0, 2]]
    assert chosen(flat(3), [[0.4, 0.7, 0.7]], [0.5] * 3, kind) == [[1]]


# c2 lies below c0 and c1, c3 below c0 alone, c4 below c3 and c0.
TWO_PARENTS = tree((), (), (0, 1), (0,), (0, 3))


def test_in_a_dag_a_path_holds_all_ancestors_or_a_chain_of_parents_as_closure_says() -> None:
    scores, bounds = [[0.6, 0.4, 0.9, 0.4, 0.6]], [0.5] * 5
    assert chosen(TWO_PARENTS, scores, bounds, "any") == [[0, 1, 2]]
    assert chosen(TWO_PARENTS, scores, bounds, "any", closure="path") == [[0, 2]]
    # One a level: c2 has two parents on level 1; c4 is a child of c0 too, but lies on level 3.
    assert chosen(TWO_PARENTS, scores, bounds, "level") == [[0, 3, 4]]
    assert chosen(TWO_PARENTS, scores, bounds, "level", closure="path") == [[0, 2]]
    only = [0.5, 0.5, np.inf, 0.5, 0.5]
    assert chosen(TWO_PARENTS, scores, only, "leaf", closure="path") == [[0, 4]]
    assert chosen(TWO_PARENTS, scores, only, "level", closure="path") == [[0, 3, 4]]


def test_printed_scores() -> None:
    made = Decider(UNEVEN, np.full(4, 0.5), KINDS["leaf"]).decide(
        predictions([[0.4, 0.1, 0.6, 0.45]], UNEVEN)
    )
    assert made.scores.tolist() == np.array([0.6, 0.6, 0.45], dtype=np.float32).tolist()


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_equal_to_enumeration(data: st.DataObject) -> None:
    taxonomy = data.draw(taxonomies())
    scores, bounds = data.draw(matrices(3, len(taxonomy))), data.draw(thresholds(len(taxonomy), steps=8))
    closure, kind = data.draw(st.sampled_from(["ancestors", "path"])), data.draw(st.sampled_from(list(KINDS)))
    options = {"closure": closure, "paths": data.draw(st.sampled_from(["many", "one"]))}
    parents = [row.tolist() for row in taxonomy.parents]
    paths = reference.whole_paths(parents, bounds.tolist(), closure, kind)
    found = chosen(taxonomy, scores, bounds, kind, **options)
    for row, columns in zip(scores.tolist(), found, strict=True):
        worth = [reference.margin(s, t) for s, t in zip(row, bounds.tolist(), strict=True)]
        assert set(columns) in paths if paths else not columns
        if paths:
            assert sum(worth[c] for c in columns) == max(sum(worth[c] for c in path) for path in paths)
    assert violations(Ragged.from_rows(found), taxonomy, closure).sum() == 0  # type: ignore[arg-type]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_on_a_tree_one_per_level_is_one_path_to_a_leaf(data: st.DataObject) -> None:
    taxonomy = data.draw(taxonomies(most=10, kind="tree"))
    scores, bounds = data.draw(matrices(3, len(taxonomy))), data.draw(thresholds(len(taxonomy)))
    by_level = chosen(taxonomy, scores, bounds, "level")
    assert by_level == chosen(taxonomy, scores, bounds, "leaf")
    levels = [taxonomy.level_C[row].tolist() for row in by_level]
    assert levels == [list(range(1, len(row) + 1)) for row in by_level]


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_where_one_path_is_all_that_is_decided_it_is_chosen(data: st.DataObject) -> None:
    taxonomy = data.draw(taxonomies())
    path = taxonomy.ancestors[data.draw(st.integers(0, len(taxonomy) - 1))]
    scores = np.full((1, len(taxonomy)), 0.25)
    scores[0, path] = 0.75
    assert chosen(taxonomy, scores, np.full(len(taxonomy), 0.5), "any") == [path.tolist()]


# Config, saving


def read(decision: dict[str, Any], **task: Any) -> Config:
    return Config.build({"task": task, "data": {"train": "t.jsonl"}, "decision": decision})


@pytest.mark.parametrize(
    ("decision", "task", "message"),
    [
        (
            {"decoding": "best"},
            {"closure": "path"},
            'decision.decoding: \'best\' cannot act under task.closure "path": it needs "ancestors"',
        ),
        ({"decoding": "best"}, {"closure": "none"}, 'under task.closure "none"'),
        ({"decoding": "one_path"}, {"closure": "none"}, 'it needs "ancestors" or "path"'),
        (
            {"decoding": "one_per_level", "top_k": 3},
            {},
            "decision.top_k: 'one_per_level' takes one whole path a document: no cap acts",
        ),
        (
            {"decoding": {"type": "one_path", "to": "leaves"}},
            {},
            "decision.decoding.to: must be one of any, leaf, not 'leaves' (did you mean 'leaf'?)",
        ),
        ({"decoding": {"type": "best", "to": "leaf"}}, {}, "decision.decoding.to: unknown key"),
        ({"decoding": "one_path"}, {"type": "multilabel"}, "decision.decoding: a multilabel task is flat"),
        ({"decoding": "one_path"}, {"type": "multiclass"}, "decision.decoding: a multiclass task is flat"),
        ({"decoding": "bets"}, {}, "there is no decoding 'bets' (did you mean 'best'?)"),
    ],
)
def test_what_cannot_act_is_refused(decision: dict[str, Any], task: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(decision, **task)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_goes_together() -> None:
    read({"decoding": {"type": "one_path", "to": "leaf"}}, closure="path", paths="one")
    read({"decoding": "best", "top_k": 3}, paths="one")
    kept = Config.build(
        {
            "data": {"train": "t.jsonl"},
            "decision": {"decoding": "one_path"},
            "evaluation": {"keep": 5},
        }
    )
    assert kept.decision.top_k == 5
    assert Config.build(kept.dump()) == kept


@pytest.mark.parametrize("config", [*KINDS.values(), DecisionConfig.read({"decoding": "best"}).decoding])
def test_settings_are_saved(config: Any) -> None:
    made = Decider(UNEVEN, np.array([0.25, 0.5, np.inf, 0.5]), config, closure="ancestors")
    again = Decider.from_json(json.loads(json.dumps(made.to_json())), UNEVEN, "decision.json")
    assert again.decoding == config
    assert again.to_json() == made.to_json()


def test_saved_without_settings_or_for_another_taxonomy() -> None:
    value = Decider(UNEVEN, np.full(4, 0.5), KINDS["leaf"]).to_json()
    assert Decider.from_json({**value, "decoding": {"type": "one_path"}}, UNEVEN).decoding == OnePathConfig()
    with pytest.raises(ModelError, match=r"^decision\.json: thresholds of another taxonomy: .*same model"):
        Decider.from_json(value, flat(4), "decision.json")
    with pytest.raises(ModelError, match=r"^decision\.json: decoding\.to: must be one of any, leaf"):
        Decider.from_json({**value, "decoding": {"type": "one_path", "to": 3}}, UNEVEN, "decision.json")
