"""Tokens composed of their characters, against a float64 twin; and every sequence encoder on characters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from linnaea.config.embedders import SpellingConfig
from linnaea.config.heads import ModelConfig
from linnaea.config.objective import ObjectiveConfig
from linnaea.config.registry import encoders
from linnaea.nn.batch import Spelling
from linnaea.nn.build import build_network
from linnaea.nn.embedders.spelling import Speller
from linnaea.nn.network import Encoder
from linnaea.nn.objectives.objective import Objective
from tests.nn.cases import MISSING, REQUIRED, make_batch, make_documents, make_labels, sizes, taxonomy
from tests.references.spelling import composed

LETTERS = [[], [4], [5, 6], [7, 3, 3, 9, 2, 4], [1, 1, 1]]


def speller(seed: int = 0, **settings) -> Speller:
    torch.manual_seed(seed)
    return Speller(SpellingConfig.read({"dimension": 5, "filters": 4, **settings}), rows=12)


def spelling(words: list[list[int]], padding: int = 0) -> Spelling:
    letters_UW = torch.zeros(len(words), max(1, *map(len, words)) + padding, dtype=torch.int64)
    for row, word in enumerate(words):
        letters_UW[row, : len(word)] = torch.tensor(word, dtype=torch.int64)
    return Spelling(letters_UW, torch.arange(len(words))[None])


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize("sizes_of", [[3], [1, 2, 7]], ids=str)
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_equals_the_twin(sizes_of: list[int], activation: str, padding: int):
    module = speller(kernel_sizes=sizes_of, activation=activation).double()
    weights = [c.weight.tolist() for c in module.words]
    biases = [c.bias.tolist() for c in module.words]
    table = module.characters.weight.tolist()
    expected = [composed(word, table, weights, biases, activation) for word in LETTERS]
    actual = module(spelling(LETTERS, padding)).detach()
    np.testing.assert_allclose(actual, np.array(expected), rtol=0, atol=1e-10)
    assert module.output_dim == actual.shape[1]
    assert (actual[0] == 0).all()


def test_many_tokens_are_multiplied_by_distinct_characters_with_the_same_numbers():
    rng = np.random.default_rng(0)
    words = [rng.integers(1, 12, rng.integers(1, 9)).tolist() for _ in range(400)]
    module = speller().double()
    each = torch.cat([module(spelling([word])) for word in words])
    torch.testing.assert_close(module(spelling(words)), each, rtol=0, atol=1e-12)


def network(features: list[str], dimension: int = 6, **embedder):
    torch.manual_seed(0)
    model = {"embedder": {"dimension": dimension, "spelling": {"filters": 8}, **embedder}}
    return build_network(ModelConfig.read(model), features, sizes())


def test_tokens_and_their_spelling_stand_beside_each_other():
    both, batch = (
        network(["spelling", "token"]).embedder,
        make_batch(make_documents(np.random.default_rng(0), [5, 0, 3])),
    )
    embedded = both(batch)
    assert both.output_dim == embedded.vectors_BTE.shape[2] == 6 + 8
    torch.testing.assert_close(embedded.vectors_BTE[..., :6], both.tables["token"].weight[batch.ids_BT])
    torch.testing.assert_close(
        embedded.vectors_BTE[..., 6:], both.spelling(batch.spelling)[batch.spelling.place_BT]
    )
    assert (embedded.vectors_BTE[~batch.mask_BT] == 0).all()


def test_spelling_alone():
    module = network(["spelling"]).embedder
    batch = replace(make_batch(make_documents(np.random.default_rng(0), [5, 2])), ids_BT=None)
    assert module.output_dim == module(batch).vectors_BTE.shape[2] == 8
    assert not module.tables
    assert not any(name.startswith("tables") for name, _ in module.named_parameters())


def test_unknown_tokens_are_told_apart_by_their_spelling():
    """Two tokens without an id of their own: one row of the table, two vectors, and no repeat of each other."""
    module = network(["token", "spelling"])
    batch = make_batch([{**make_documents(np.random.default_rng(0), [2])[0], "token": [1, 1]}])
    batch = replace(batch, spelling=Spelling(torch.tensor([[0, 0], [3, 4], [5, 0]]), torch.tensor([[1, 2]])))
    embedded = module.embedder.eval()(batch)
    first, second = embedded.vectors_BTE[0]
    assert torch.equal(first[:6], second[:6])
    assert not torch.equal(first[6:], second[6:])
    assert embedded.repeats
    assert embedded.ids_BT.tolist() == [[1, 2]]


def test_a_batch_without_spelling_is_refused():
    batch = replace(make_batch(make_documents(np.random.default_rng(0), [2])), spelling=None)
    with pytest.raises(ValueError, match="no spelling"):
        network(["token", "spelling"]).embedder(batch)


def sequence_encoders() -> list[str]:
    names = sorted({*encoders} - MISSING)
    return [
        name
        for name in names
        if encoders.config(name).reads == "sequence" and not encoders.config(name).embeds
    ]


@pytest.mark.parametrize("name", sequence_encoders())
@pytest.mark.parametrize("features", [["char"], ["token", "spelling"], ["spelling"]], ids="+".join)
def test_every_sequence_encoder_learns_from_characters(name: str, features: list[str]):
    kind = encoders.config(name).embedder or "lookup"
    if kind == "region" and features == ["spelling"]:
        pytest.skip("regions are made of tokens or characters")
    model = {
        "embedder": {"type": kind, "dimension": 12, "spelling": {"filters": 8}},
        "encoder": {"type": name, **REQUIRED.get(name, {})},
    }
    torch.manual_seed(0)
    module = build_network(ModelConfig.read(model), features, sizes())
    assert isinstance(module.encoder, Encoder)
    rng = np.random.default_rng(0)
    sequence = "character" if features == ["char"] else "token"
    documents = make_documents(rng, [12, 0, 1, 5, 9, 3, 7, 12])
    batch = make_batch(documents, labels=make_labels(rng, 8), sequence=sequence)
    if features == ["spelling"]:
        batch = replace(batch, ids_BT=None)
    objective = Objective(ObjectiveConfig(), taxonomy(), sizes().support_C, 8)
    optimizer = torch.optim.Adam(module.parameters(), 0.01)
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        loss = objective(module(batch), batch, module)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
    embedder = module.embedder
    tables = [table.weight for table in embedder.tables.values()]
    composing = [] if embedder.spelling is None else list(embedder.spelling.parameters())
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in (*tables, *composing))
