"""Label attention against its float64 twin, in pieces and at once; padding, empty documents, memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.checkpoint import checkpoint

from linnaea.config.heads import LabelAttentionConfig, ModelConfig
from linnaea.errors import ConfigError
from linnaea.nn.heads import parts
from linnaea.nn.heads.label_attention import LabelAttention
from linnaea.nn.network import Encoded
from tests.nn.head_cases import S, head, moved_to, reordered, rows, texts
from tests.references import label_attention as reference
from tests.references.worlds import flat, taxonomies, tree

OUTPUTS = ["rows", "shared"]
DAG = tree((), (), (0,), (0, 1), (2, 3))


def build(taxonomy=DAG, seed: int = 0, **settings) -> LabelAttention:
    if settings.get("output") == "shared":
        settings.setdefault("hidden", [6, 3])
    made = head("label_attention", taxonomy, seed, **settings)
    assert isinstance(made, LabelAttention)
    return made


def twin(module: LabelAttention, encoded: Encoded) -> np.ndarray:
    query, bias = module.query.tolist(), module.bias.tolist()
    if module.row is not None:
        return np.array([reference.by_rows(text, query, module.row.tolist(), bias) for text in rows(encoded)])
    assert module.network is not None
    *inner, last = [layer for layer in module.network if isinstance(layer, torch.nn.Linear)]
    layers = [(layer.weight.tolist(), layer.bias.tolist()) for layer in inner]
    return np.array(
        [reference.shared(text, query, layers, last.weight[0].tolist(), bias) for text in rows(encoded)]
    )


@pytest.mark.parametrize("output", OUTPUTS)
@settings(max_examples=20, deadline=None)
@given(
    taxonomy=taxonomies(),
    lengths=st.lists(st.integers(0, 6), min_size=1, max_size=4),
    extra=st.integers(0, 3),
    seed=st.integers(0, 1000),
)
def test_equals_the_twin(output, taxonomy, lengths, extra, seed):
    module, encoded = build(taxonomy, seed, output=output), texts(lengths, seed, extra)
    found = module(encoded).logits_BC.detach()
    np.testing.assert_allclose(found, twin(module, encoded), rtol=0, atol=1e-10)


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("piece", [1, 17, 60])
def test_pieces_change_nothing(output, piece, monkeypatch):
    """Logits and gradients, in training too, to rounding."""
    taxonomy, encoded = flat(11), texts([5, 0, 2])
    whole = build(taxonomy, output=output, dropout=0.0)
    cut = build(taxonomy, output=output, dropout=0.0)
    calls: list[int] = []

    def counted(*given, **options):
        calls.append(parts.PIECE)
        return checkpoint(*given, **options)

    monkeypatch.setattr(parts, "checkpoint", counted)
    for module, most in ((whole, 10**9), (cut, piece)):
        monkeypatch.setattr(parts, "PIECE", most)
        encoded.states_BSD.requires_grad_().grad = None
        logits_BC = module.train()(encoded).logits_BC
        logits_BC.sin().sum().backward()
        module.found = logits_BC.detach(), encoded.states_BSD.grad, [p.grad for p in module.parameters()]
        with torch.no_grad():
            torch.testing.assert_close(module(encoded).logits_BC, logits_BC, rtol=0, atol=1e-12)
    assert set(calls) == {piece}
    for one, other in zip(whole.found[:2], cut.found[:2], strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
    for one, other in zip(whole.found[2], cut.found[2], strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@pytest.mark.parametrize("output", OUTPUTS)
def test_training_keeps_no_scores(output, monkeypatch):
    """What is kept for the way back does not grow as documents times tokens times categories."""
    kept: dict[int, int] = {}

    def pack(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.numel()
        return tensor

    monkeypatch.setattr(parts, "PIECE", 1 << 10)
    module, encoded = build(flat(400), output=output), texts([32] * 8)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        logits_BC = module.train()(encoded).logits_BC
    assert logits_BC.shape == (8, 400)
    tables = 400 * S * (2 if output == "rows" else 1)
    assert sum(kept.values()) <= tables + 4 * 8 * 32 * S + 8 * 400 < 8 * 32 * 400 // 8


@pytest.mark.parametrize("output", OUTPUTS)
def test_an_empty_document_has_the_biases(output):
    module = build(output=output)
    assert torch.equal(module(texts([3, 0])).logits_BC[1], module.bias)
    assert torch.equal(module(texts([0])).logits_BC[0], module.bias)


@pytest.mark.parametrize("output", OUTPUTS)
@settings(max_examples=10, deadline=None)
@given(taxonomy=taxonomies(), seed=st.integers(0, 1000))
def test_the_order_of_categories_does_not_matter(output, taxonomy, seed):
    other, old_C = reordered(taxonomy, seed)
    one, two = (build(graph, seed, output=output) for graph in (taxonomy, other))
    two, encoded = moved_to(one, two, old_C, ["query", "row", "bias"]), texts([2, 0, 4], seed)
    found, expected = two(encoded).logits_BC, one(encoded).logits_BC[:, old_C]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_attention_finds_the_word_that_a_category_is_about():
    """Each category looks along its own axis: by hand, with scores so far apart that the softmax picks one state."""
    module = build(flat(2))
    with torch.no_grad():
        module.query.copy_(1000 * torch.eye(2, S))
        module.row.copy_(torch.tensor([[0.0, 0, 1, 0], [0, 0, 0, 1]]))
        module.bias.zero_()
    states = torch.tensor([[[1.0, 0, 3, 4], [0, 1, 5, 6], [0, 0, 7, 8]]], dtype=torch.float64)
    encoded = Encoded(states[:, 0], states, torch.ones(1, 3, dtype=torch.bool))
    assert module(encoded).logits_BC[0].tolist() == pytest.approx([3, 6], abs=1e-9)


def test_dropout_is_not_on_logits():
    module = build(dropout=0.999).train()
    logits_BC = module(texts([3] * 60)).logits_BC
    assert ((logits_BC - module.bias).abs() < 1e-9).double().mean() > 0.5
    assert not (logits_BC == 0).any()


def test_an_encoder_without_states_is_refused():
    with pytest.raises(ConfigError) as caught:
        ModelConfig.read({"encoder": "fasttext", "head": "label_attention"}, "model")
    told = "model.head: the head 'label_attention' needs token states, which the encoder 'fasttext' does not give"
    assert str(caught.value).startswith(told)
    assert "attentive_convnet, drnn, gru_attention, " in str(caught.value.hint)
    assert "fasttext" not in str(caught.value.hint)


def test_the_layers_of_the_shared_network_act_there_only():
    with pytest.raises(ConfigError, match=r'^model\.head\.hidden: acts only with "output": "shared"'):
        LabelAttentionConfig.read({"hidden": [8]}, "model.head")
