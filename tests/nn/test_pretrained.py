"""The encoder ``pretrained`` against BERT in plain loops; every architecture; what learns, at which rate, with which masks."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch

from linnaea.config.encoders_pretrained import ARCHITECTURES, PretrainedConfig
from linnaea.config.training import AdamConfig
from linnaea.errors import ConfigError, MissingExtraError
from linnaea.nn.batch import Batch
from linnaea.nn.encoders.pretrained import Pretrained, all_windows
from linnaea.nn.layers.dropout import Dropout, drawn
from linnaea.nn.network import Sizes
from linnaea.training.optimizers import build_optimizers
from tests.nn.cases import taxonomy
from tests.references import pretrained as twin

pytest.importorskip("transformers", reason="transformers is not installed")

HEADS = 2
BASE: dict[str, Any] = {
    "vocab_size": 40, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": HEADS, "intermediate_size": 48,
    "max_position_embeddings": 24, "initializer_range": 0.3,
}  # fmt: skip
OWN: dict[str, dict[str, Any]] = {
    "albert": {"embedding_size": 16},
    "deberta": {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
    "deberta-v2": {
        "relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 8, "share_att_key": True,
        "norm_rel_ebd": "layer_norm", "position_biased_input": False, "type_vocab_size": 0,
    },
    "distilbert": {"dim": 32, "n_layers": 2, "n_heads": 2, "hidden_dim": 48},
    "electra": {"embedding_size": 16},
    "mobilebert": {"initializer_range": 0.05},  # it keeps no norm, and numbers grow
    "modernbert": {"pad_token_id": 0, "cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3},
    "rembert": {"input_embedding_size": 16, "bos_token_id": 2, "eos_token_id": 3},
}  # fmt: skip
# Their first token has position 2.
COUNT_FROM_TWO = {
    "camembert", "data2vec-text", "mpnet", "roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl",
}  # fmt: skip
BEFORE, AFTER = [2], [3]
LENGTHS = [5, 0, 1, 13, 30, 4]


def encoder(kind: str = "bert", shape: dict[str, Any] | None = None, **settings: Any) -> Pretrained:
    torch.manual_seed(0)
    architecture = {**BASE, **OWN.get(kind, {}), "model_type": kind, **(shape or {})}
    special = {"before": BEFORE, "after": AFTER}
    sizes = Sizes({}, taxonomy(), np.zeros(7), 16, {"architecture": architecture, **special})
    return Pretrained(PretrainedConfig(path="nowhere", **settings), sizes=sizes)


def pieces(lengths: list[int] = LENGTHS, seed: int = 0) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [rng.integers(4, 40, length).tolist() for length in lengths]


def batch(rows: list[list[int]], padding: int = 0) -> Batch:
    longest = max(1, *map(len, rows)) + padding
    ids_BT, mask_BT = torch.zeros(len(rows), longest, dtype=torch.long), torch.zeros(len(rows), longest) > 0
    for b, row in enumerate(rows):
        ids_BT[b, : len(row)], mask_BT[b, : len(row)] = torch.tensor(row, dtype=torch.long), True
    return Batch(torch.arange(len(rows)), ids_BT, mask_BT)


CHUNKS = {"long_texts": "chunks"}
WAYS = {
    "cut": ({}, 22, None),
    "chunks": ({**CHUNKS, "overlap": 5}, 22, 5),
    "small": ({**CHUNKS, "window": 4, "overlap": 1}, 4, 1),
    "apart": ({**CHUNKS, "window": 3, "overlap": 0}, 3, 0),
}


@pytest.mark.parametrize("pooling", ["cls", "mean", "attention"])
@pytest.mark.parametrize("way", WAYS)
def test_equals_bert_in_plain_loops(way: str, pooling: str) -> None:
    settings, size, overlap = WAYS[way]
    module = encoder(pooling=pooling, **settings).double().eval()
    weights = {name: value.numpy() for name, value in module.transformer.state_dict().items()}
    query = None if module.attention is None else module.attention.weight.detach().numpy()[0]
    rows = pieces()
    with torch.no_grad():
        encoded = module(batch(rows, padding=2))
    assert encoded.states_BSD is not None
    assert encoded.mask_BS is not None
    for b, row in enumerate(rows):
        vector, states = twin.document(weights, row, HEADS, pooling, BEFORE, AFTER, size, overlap, query)
        np.testing.assert_allclose(encoded.pooled_BD[b].numpy(), vector, rtol=0, atol=1e-10)
        found = encoded.states_BSD[b][encoded.mask_BS[b]].numpy()
        np.testing.assert_allclose(found, states, rtol=0, atol=1e-10)


@pytest.mark.parametrize("overlap", [0, 1, 3])
def test_windows_are_those_of_the_loop(overlap: int) -> None:
    rows = pieces([0, 1, 3, 4, 5, 7, 8, 9, 12, 13])
    made = batch(rows, padding=1)
    found = all_windows(made.ids_BT, made.mask_BT, 4, overlap)
    expected = [(b, i, w) for b, row in enumerate(rows) for i, w in enumerate(twin.windows(row, 4, overlap))]
    assert found.document_W.tolist() == [b for b, _, _ in expected]
    assert found.number_W.tolist() == [i for _, i, _ in expected]
    read = [ids[mask].tolist() for ids, mask in zip(found.ids_WP, found.mask_WP, strict=True)]
    assert read == [window for _, _, window in expected]


@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_every_architecture(kind: str) -> None:
    """Neighbours and padding change nothing, an empty document is zero, all weights learn, masks are by document."""
    module = encoder(kind).eval()
    window = module.window
    assert window == (20 if kind in COUNT_FROM_TWO else 22)
    rows = pieces([5, 0, 1, window + 3, 9])
    with torch.no_grad():
        together = module(batch(rows, padding=3)).pooled_BD
        for b, row in enumerate(rows):
            torch.testing.assert_close(module(batch([row])).pooled_BD[0], together[b], rtol=0, atol=1e-5)
    assert (together[1] == 0).all() and (together[[0, 2, 3, 4]] != 0).any(1).all()
    module.train()
    made = batch(pieces([12] * 8))
    with drawn(module, 1, 2, made.rows_B):
        module(made).pooled_BD.square().sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("way", WAYS)
def test_dropout_follows_the_document(way: str) -> None:
    module = encoder(shape={"hidden_dropout_prob": 0.4}, pooling="cls", **WAYS[way][0]).train()
    made = batch(pieces(), padding=1)

    def drawn_of(rows: list[int], step: int) -> torch.Tensor:
        part = Batch(made.rows_B[rows], made.ids_BT[rows], made.mask_BT[rows])
        with drawn(module, 7, step, part.rows_B), torch.no_grad():
            return module(part).pooled_BD

    torch.manual_seed(1)
    whole = drawn_of([0, 1, 2, 3, 4, 5], 0)
    state = torch.get_rng_state()
    for row in range(6):
        torch.testing.assert_close(drawn_of([row], 0)[0], whole[row], rtol=0, atol=1e-5)
    assert torch.equal(torch.get_rng_state(), state), "masks came from torch's generator"
    assert not torch.allclose(drawn_of([0], 1)[0], whole[0], atol=1e-3)
    assert not torch.allclose(module.eval()(made).pooled_BD[0], whole[0], atol=1e-3)


def test_windows_of_a_document_have_masks_of_their_own() -> None:
    module = encoder(shape={"hidden_dropout_prob": 0.4}, **CHUNKS, window=4, overlap=0).train()
    seen = []
    dropout = next(m for m in module.transformer.modules() if isinstance(m, Dropout))
    dropout.register_forward_hook(lambda _, __, out: seen.append(out == 0))
    made = batch([[5, 6, 7, 8] * 2])
    with drawn(module, 3, 0, made.rows_B):
        module(made)
    assert seen[0].shape[0] == 2
    assert not torch.equal(seen[0][0], seen[0][1])


@pytest.mark.parametrize("settings", [{}, {**CHUNKS, "window": 4, "overlap": 1}], ids=["cut", "chunks"])
def test_gradient_checkpointing_changes_no_gradient(settings: dict[str, Any]) -> None:
    gradients, calls = [], []
    for again in (False, True):
        module = encoder(shape={"hidden_dropout_prob": 0.3}, gradient_checkpointing=again, **settings).train()
        first = module.transformer.encoder.layer[0].intermediate
        first.register_forward_hook(lambda *_: calls.append(1))
        made = batch(pieces())
        with drawn(module, 3, 4, made.rows_B):
            out = module(made).pooled_BD
        out.square().sum().backward()
        gradients.append({name: p.grad for name, p in module.named_parameters()})
        assert len(calls) == (3 if again else 1)  # twice in the second round
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-5, atol=1e-6)


def test_frozen() -> None:
    module = encoder(pooling="attention", train="none").train()
    assert [name for name, p in module.named_parameters() if p.requires_grad] == ["attention.weight"]
    assert module.training
    assert not any(part.training for part in module.transformer.modules())
    encoded = module(batch(pieces()))
    assert encoded.states_BSD is not None
    assert not encoded.states_BSD.requires_grad
    assert encoded.pooled_BD.requires_grad
    assert module.learning_rates() == {}


def test_top_layers() -> None:
    module = encoder(train="top", top_layers=1, learning_rate=0.5, layer_decay=0.1).train()
    learning = [name for name, p in module.named_parameters() if p.requires_grad]
    assert learning
    assert all(name.startswith("transformer.encoder.layer.1.") for name in learning)
    top = set(module.transformer.encoder.layer[1].modules())
    assert {part for part in module.transformer.modules() if part.training} == top
    module(batch(pieces())).pooled_BD.square().sum().backward()
    assert {name for name, p in module.named_parameters() if p.grad is not None} == set(learning)
    with pytest.raises(ConfigError, match="has 2 layers, not 3"):
        encoder(train="top", top_layers=3)


def test_rates_fall_from_layer_to_layer() -> None:
    module = encoder(shape={"num_hidden_layers": 3}, learning_rate=0.08, layer_decay=0.5, pooling="attention")
    optimizers = build_optimizers(module, AdamConfig(learning_rate=0.3), module.learning_rates())
    names = {parameter: name for name, parameter in module.named_parameters()}
    found = {
        names[p]: group["lr"]
        for part in optimizers.parts
        for group in part.param_groups
        for p in group["params"]
    }
    expected = {"transformer.embeddings": 0.01} | {
        f"transformer.encoder.layer.{i}": 0.02 * 2**i for i in range(3)
    }
    for name, rate in found.items():
        start = next((start for start in expected if name.startswith(start)), None)
        assert rate == pytest.approx(0.3 if start is None else expected[start]), name
    assert sum(name == "attention.weight" for name in found) == 1
    assert encoder(learning_rate=0.08).learning_rates() == {"transformer": 0.08}


@pytest.mark.parametrize(
    "settings", [{"layer_decay": 0.9}, {"train": "top", "top_layers": 1}], ids=["rates", "top"]
)
def test_shared_layers_cannot_be_told_apart(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"the layers of this transformer \(albert\) share their weights"):
        encoder("albert", **settings).learning_rates()


@pytest.mark.parametrize("kind", ["albert", "mpnet"])
def test_kinds_that_cannot_recompute(kind: str) -> None:
    with pytest.raises(ConfigError, match=f"gradient_checkpointing: .* {kind!r} cannot do it"):
        encoder(kind, gradient_checkpointing=True)


def test_unknown_and_broken_architectures() -> None:
    with pytest.raises(ConfigError, match="the architecture 'gpt2' is not among those that are read"):
        encoder("gpt2")
    with pytest.raises(ConfigError, match="describes no bert that can be built: ValueError"):
        encoder(shape={"num_attention_heads": 5})
    with pytest.raises(ConfigError, match="reads 22 pieces at once, not 23"):
        encoder(**CHUNKS, window=23, overlap=0)
    with pytest.raises(ConfigError, match="must be below the window of 22, not 32"):
        encoder(**CHUNKS)


def test_no_code_is_named_by_an_architecture() -> None:
    named = {
        "auto_map": {"AutoModel": "evil--code.Model"},
        "_attn_implementation": "evil/kernel",
        "attn_implementation": "x",
    }
    module = encoder(shape=named)
    assert type(module.transformer).__module__.startswith("transformers.models.bert")
    assert module.transformer.config._attn_implementation in ("sdpa", "eager")


def test_without_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(
        MissingExtraError, match=r'needs an optional package \(pip install "linnaea\[transformers\]"\)'
    ):
        encoder()
