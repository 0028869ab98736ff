"""Another decoding at prediction: ``--decoding``, ``model.predict(decoding=...)``, and a model that has the new ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import linnaea as package
from linnaea.config.decoding import BestConfig, MaxConfig
from linnaea.config.task import TaskConfig
from linnaea.decision.asked import with_decoding
from linnaea.decision.decider import Decider
from linnaea.errors import UsageError
from tests.cli.conftest import Outcome
from tests.references.worlds import predictions, tree

Call = Callable[..., Outcome]


def rows(text: str) -> list[list[str]]:
    return [[c["id"] for c in json.loads(line)["categories"]] for line in text.splitlines()]


def test_another_decoding_than_the_models(corpus: Path, linnaea: Call) -> None:
    assert (
        linnaea("train", "linear.json", "--set", 'decision.threshold={"type": "fixed", "value": 0.7}').code
        == 0
    )
    own = rows(linnaea("predict", "run", "test.jsonl").out)
    assert any(not row for row in own)
    whole = rows(linnaea("predict", "run", "test.jsonl", "--decoding", "one_path").out)
    leaves = rows(
        linnaea("predict", "run", "test.jsonl", "--decoding", '{"type": "one_path", "to": "leaf"}').out
    )
    taxonomy = package.load("run").taxonomy
    for row, deep in zip(whole, leaves, strict=True):
        assert row
        assert set(row) == {taxonomy.ids[c] for c in taxonomy.ancestors[max(taxonomy.index[i] for i in row)]}
        assert len(deep) == 2 or not len(taxonomy.children[taxonomy.index[deep[0]]])
    coherent = linnaea("evaluate", "run", "test.jsonl", "--decoding", "best", "--json")
    assert coherent.code == 0, coherent.err
    assert coherent.json()["coherence"]["violations"] == 0
    from_python = package.load("run").predict([{"text": "meow purr"}], decoding={"type": "one_per_level"})
    assert [len(answer.categories) for answer in from_python] == [2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--decoding", "bets"], "there is no decoding 'bets' (did you mean 'best'?)"),
        (["--decoding", "{best"], "decoding: not JSON"),
        (["--decoding", '{"type": "one_path", "too": 1}'], "decoding.too: unknown key"),
        (["--decoding", "{}"], 'decoding: this decoding has no "type" (known: ancestors, best, max,'),
        (["--decoding", '{"to": "leaf"}'], 'decoding: this decoding has no "type" (known: ancestors,'),
        (
            ["--decoding", '{"typ": "best"}'],
            "decoding: this decoding has no \"type\" (did you mean 'type' by 'typ'?)",
        ),
        (["--decoding", "one_path", "--top-k", "2"], "top_k: 'one_path' takes one whole path a document"),
    ],
)
def test_what_cannot_act_is_one_line(corpus: Path, linnaea: Call, arguments: list[str], message: str) -> None:
    assert linnaea("train", "linear.json").code == 0
    refused = linnaea("predict", "run", "test.jsonl", *arguments)
    assert refused.code == 2
    assert message in refused.err
    assert len(refused.err.strip().splitlines()) == 1


def test_closure_and_flat_tasks(corpus: Path, linnaea: Call) -> None:
    assert linnaea("train", "linear.json", "--set", "task.closure=none").code == 0
    refused = linnaea("predict", "run", "test.jsonl", "--decoding", "best")
    assert (refused.code, 'cannot act under task.closure "none"' in refused.err) == (2, True)
    flat = ["--set", "task.type=multilabel", "--set", "decision.decoding=none", "--overwrite"]
    assert linnaea("train", "linear.json", *flat).code == 0
    refused = linnaea("evaluate", "run", "test.jsonl", "--decoding", "max")
    assert (refused.code, "a multilabel model is flat: nothing to decode" in refused.err) == (2, True)


def test_a_model_has_the_decoding_it_was_trained_for(corpus: Path, linnaea: Call) -> None:
    decoding = 'decision.decoding={"type": "one_path", "to": "leaf"}'
    trained = linnaea("train", "linear.json", "--set", decoding)
    assert trained.code == 0, trained.err
    saved: dict[str, Any] = json.loads((corpus / "run" / "model" / "decision.json").read_text())
    assert saved["decoding"] == {"type": "one_path", "to": "leaf"}
    found = rows(linnaea("predict", "run", "test.jsonl").out)
    assert all(len(row) >= 1 for row in found)
    assert found == rows(linnaea("predict", "run", "test.jsonl", "--decoding", "one_per_level").out)


def test_one_path_and_what_is_decided_beside_it() -> None:
    names = tree((), (0,), (0,))
    decider = Decider(names, np.full(3, 0.5)).following([2])
    for asked in ("one_path", {"type": "one_path", "to": "leaf"}, "one_per_level"):
        message = (
            "one path a document, and 'c2' has no network: it is decided wherever its parents are, also on"
        )
        with pytest.raises(UsageError, match=message) as raised:
            with_decoding(decider, asked)
        assert raised.value.where == "decoding"
    found = with_decoding(decider, "best").decide(predictions([[0.9, 0.8, 0.1]], names))
    assert found.chosen[0].tolist() == [0, 1, 2]
    assert with_decoding(Decider(names, np.full(3, 0.5)), "one_path").decoding.type == "one_path"
    chain = tree((), (0,), (1,), (1,))
    only = with_decoding(Decider(chain, np.full(4, 0.5)).following([1]), "one_path")
    found = only.decide(predictions([[0.9, 0.0, 0.2, 0.8]], chain))
    assert found.chosen[0].tolist() == [0, 1, 3]


def test_an_object_without_a_type_is_refused() -> None:
    decider = Decider(tree((), (0,)), np.array([0.5, 0.3]))
    with pytest.raises(UsageError, match='this decoding has no "type"') as raised:
        with_decoding(decider, {})
    assert raised.value.where == "decoding"


def test_thresholds_are_put_in_order_for_max() -> None:
    decider = Decider(tree((), (0,)), np.array([0.5, 0.3]), closure=TaskConfig().gold_closure)
    assert with_decoding(decider, "max").thresholds_C.tolist() == [0.3, 0.3]
    assert with_decoding(decider, MaxConfig()).decoding == MaxConfig()
    assert with_decoding(decider, None) is decider
    assert with_decoding(decider, BestConfig()).thresholds_C.tolist() == [0.5, 0.3]
    with pytest.raises(UsageError, match="there is no decoding 'maxx'"):
        with_decoding(decider, "maxx")
