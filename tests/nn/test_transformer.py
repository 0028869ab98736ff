"""Transformer against its float64 twin, and what the old code broke in it."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from linnaea.config.encoders_attention import TransformerConfig
from linnaea.nn.encoders.transformer import Transformer
from linnaea.nn.layers.attention import SelfAttention
from tests.references.transformer import transformer

E = 6
LENGTHS = [9, 0, 1, 2, 5]


def encoder(seed: int = 0, **settings) -> Transformer:
    torch.manual_seed(seed)
    small = {"heads": 3, "key_dimension": 4, "inner": 10, **settings}
    module = Transformer(TransformerConfig(**small), input_dim=E).double().eval()
    for name, parameter in module.named_parameters():
        if "norm" in name:  # at first they are 1 and 0, which hides mistakes
            torch.nn.init.uniform_(parameter, 0.5, 1.5)
    return module


def padded(lengths: list[int], seed: int = 0, extra: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    T = max(1, *lengths) + extra
    mask_BT = torch.arange(T) < torch.tensor(lengths)[:, None]
    # What stands at padding must not matter: it is not zero.
    return torch.randn(len(lengths), T, E, generator=generator, dtype=torch.float64), mask_BT


def twin(module: Transformer, vectors_BTE: Tensor, mask_BT: Tensor, **settings) -> np.ndarray:
    layers = []
    for layer in module.layers:
        value = {name: tensor.numpy() for name, tensor in layer.state_dict().items()}
        attention = (*np.split(value["attention.project.weight"], 3), value["attention.merge.weight"])
        parts = ("attention_norm", "widen", "narrow", "network_norm")
        layers.append({part: (value[f"{part}.weight"], value[f"{part}.bias"]) for part in parts})
        layers[-1]["attention"] = attention
    heads = module.layers[0].attention.heads
    documents = [x[m].numpy() for x, m in zip(vectors_BTE, mask_BT, strict=True)]
    return np.array([transformer(document, layers, heads, **settings) for document in documents])


@pytest.mark.parametrize("pooling", ["mean", "max"])
@pytest.mark.parametrize(("layers", "heads", "activation"), [(1, 3, "relu"), (3, 1, "gelu"), (2, 2, "tanh")])
def test_against_the_twin(layers: int, heads: int, activation: str, pooling: str):
    chosen = {"activation": activation, "pooling": pooling}
    module = encoder(layers=layers, heads=heads, **chosen)
    batch = padded(LENGTHS, extra=3)
    with torch.no_grad():
        pooled_BD = module.encode(*batch).pooled_BD
    np.testing.assert_allclose(pooled_BD, twin(module, *batch, **chosen), rtol=0, atol=1e-10)


@pytest.mark.parametrize("pooling", ["mean", "max"])
@pytest.mark.parametrize("length", [0, 1, 6])
def test_batch_of_one(length: int, pooling: str):
    module = encoder(pooling=pooling)
    batch = padded([length])
    pooled_BD = module.encode(*batch).pooled_BD
    assert pooled_BD.shape == (1, E)
    np.testing.assert_allclose(pooled_BD.detach(), twin(module, *batch, pooling=pooling), rtol=0, atol=1e-10)


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_padding_is_neither_attended_to_nor_pooled(pooling: str):
    """NeuralClassifier divides the sum over padding too by the padded length."""
    module = encoder(layers=2, pooling=pooling)
    with torch.no_grad():
        vectors, mask = padded([3], extra=6)
        vectors[:, 3:] = 50.0
        alone = module.encode(vectors[:, :3], mask[:, :3]).pooled_BD
        together = module.encode(vectors, mask).pooled_BD
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-12)


def test_scores_are_divided_by_the_root_of_the_key_dimension():
    """One head of two columns, tokens (√2, 0) and (0, 0): the first scores itself 2 / √2, the second 0."""
    module = SelfAttention(2, 1, 2).double()
    with torch.no_grad():
        module.project.weight.copy_(torch.eye(2).repeat(3, 1))
        module.merge.weight.copy_(torch.eye(2))
    root = math.sqrt(2)
    vectors = torch.tensor([[[root, 0.0], [0.0, 0.0]]], dtype=torch.float64)
    found = module(vectors, torch.ones(1, 2, dtype=torch.bool))
    share = math.exp(root) / (math.exp(root) + 1)
    expected = torch.tensor([[[root * share, 0.0], [root / 2, 0.0]]], dtype=torch.float64)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_without_positions_order_does_not_matter():
    """Order is the embedder's to say: the same tokens in another order, the same vector."""
    module, (vectors, mask) = encoder(layers=2), padded([7])
    order = torch.randperm(7, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(
            module.encode(vectors[:, order], mask).pooled_BD, module.encode(vectors, mask).pooled_BD
        )
    assert TransformerConfig.orderless


def test_gradients_by_finite_differences():
    module, (vectors, mask) = encoder(activation="tanh"), padded([4, 0, 1])
    assert torch.autograd.gradcheck(lambda v: module.encode(v, mask).pooled_BD, (vectors.requires_grad_(),))


def test_dropout_acts_in_training_only():
    module, batch = encoder(dropout=0.5), padded([7, 3])
    with torch.no_grad():
        still = module.encode(*batch).pooled_BD
        assert torch.equal(module.encode(*batch).pooled_BD, still)
        assert not torch.equal(module.train().encode(*batch).pooled_BD, still)
