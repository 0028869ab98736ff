"""Every dropout key of every head: which modules it sets, and that each of them acts in training."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from linnaea.config.registry import heads
from linnaea.nn.layers.dropout import Dropout
from linnaea.nn.network import Head
from tests.nn.head_cases import head, texts
from tests.references.worlds import tree

DAG = tree((), (), (0,), (0, 1), (2, 3), (4, 0))
LEVELS = [f"layers.dropouts.{level}" for level in range(4)]
CONVOLUTIONS = [f"structure.{layer}.dropouts.{place}" for layer in range(2) for place in range(3)]
ACTING: list[tuple[str, dict[str, Any], str, list[str]]] = [
    ("linear", {}, "dropout", ["dropout"]),
    ("hmcn", {}, "dropout", [*LEVELS, "dropout"]),
    ("hmcn", {"form": "recurrent"}, "dropout", [*LEVELS, "dropout"]),
    ("label_attention", {}, "dropout", ["dropout"]),
    ("label_attention", {"output": "shared"}, "dropout", ["dropout"]),
    ("hiagm_tp", {}, "dropout", ["dropout"]),
    ("hiagm_tp", {"layers": 2}, "structure_dropout", CONVOLUTIONS),
    ("hiagm_tp", {"structure": "tree_lstm"}, "structure_dropout", ["structure.0.dropout"]),
    ("hiagm_la", {}, "dropout", ["dropout"]),
    ("hiagm_la", {"output": "full"}, "dropout", ["dropout"]),
]
"""Head, settings, a key of dropout, and the modules that it sets."""
every_key = pytest.mark.parametrize(("name", "settings", "key", "modules"), ACTING)


def keys_of(name: str) -> list[str]:
    return [key for key in heads.config(name).model_fields if key.endswith("dropout")]


def dropouts(module: Head) -> dict[str, Dropout]:
    return {name: part for name, part in module.named_modules() if isinstance(part, Dropout)}


def build(name: str, settings: dict[str, Any], key: str, share: float) -> Head:
    """In training; the other keys of dropout are 0."""
    return head(name, DAG, **settings, **{k: share if k == key else 0.0 for k in keys_of(name)}).train()


def two_passes(module: Head) -> tuple[torch.Tensor, torch.Tensor]:
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        found.append(module(texts([3] * 20)).logits_BC.detach())
    return found[0], found[1]


@every_key
def test_a_key_sets_the_modules_that_it_names(name, settings, key, modules):
    shares = {place: part.p for place, part in dropouts(build(name, settings, key, 0.4)).items()}
    assert {place for place, share in shares.items() if share} == set(modules)
    assert {shares[place] for place in modules} == {0.4}


@every_key
def test_each_module_acts(name, settings, key, modules):
    """With it alone two draws differ; without any they are equal."""
    module = build(name, settings, key, 0.4)
    parts = dropouts(module)
    for chosen in modules:
        for place, part in parts.items():
            part.p = 0.4 if place == chosen else 0.0
        assert not torch.equal(*two_passes(module)), chosen
    assert torch.equal(*two_passes(build(name, settings, key, 0.0)))


def test_no_key_is_left_out():
    own = [name for name in heads if heads.origin(name) is None]
    tried = {(name, key) for name, _, key, _ in ACTING}
    assert tried == {(name, key) for name in own for key in keys_of(name)}
