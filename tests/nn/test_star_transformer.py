"""Star-Transformer against its float64 twin, and what the old code broke in it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from linnaea.config.encoders_attention import StarTransformerConfig
from linnaea.nn.encoders.star_transformer import StarTransformer, ring
from tests.references.star_transformer import star_transformer

E = 6
LENGTHS = [9, 0, 1, 2, 3, 5]


def encoder(seed: int = 0, **settings) -> StarTransformer:
    torch.manual_seed(seed)
    small = {"heads": 3, "key_dimension": 4, **settings}
    module = StarTransformer(StarTransformerConfig(**small), input_dim=E).double().eval()
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


def twin(module: StarTransformer, vectors_BTE: Tensor, mask_BT: Tensor) -> np.ndarray:
    cycles = []
    for cycle in module.cycles:
        value = {name: tensor.numpy() for name, tensor in cycle.state_dict().items()}
        cycles.append(
            {
                "tokens": (*np.split(value["project.weight"], 3), value["merge.weight"]),
                "relay": (*np.split(value["relay_project.weight"], 3), value["relay_merge.weight"]),
                "norm": (value["norm.weight"], value["norm.bias"]),
                "relay_norm": (value["relay_norm.weight"], value["relay_norm.bias"]),
            }
        )
    heads = module.cycles[0].heads
    documents = [x[m].numpy() for x, m in zip(vectors_BTE, mask_BT, strict=True)]
    return np.array([star_transformer(document, cycles, heads) for document in documents])


@pytest.mark.parametrize("extra", [0, 3])
@pytest.mark.parametrize(("layers", "heads"), [(1, 3), (2, 1), (4, 2)])
def test_against_the_twin(layers: int, heads: int, extra: int):
    module = encoder(layers=layers, heads=heads)
    batch = padded(LENGTHS, extra=extra)
    with torch.no_grad():
        pooled_BD = module.encode(*batch).pooled_BD
    np.testing.assert_allclose(pooled_BD, twin(module, *batch), rtol=0, atol=1e-10)


@pytest.mark.parametrize("length", [0, 1, 2, 6])
def test_batch_of_one(length: int):
    module = encoder(layers=2)
    batch = padded([length])
    pooled_BD = module.encode(*batch).pooled_BD
    assert pooled_BD.shape == (1, E)
    np.testing.assert_allclose(pooled_BD.detach(), twin(module, *batch), rtol=0, atol=1e-10)


def test_padding_is_in_neither_mean_nor_relay_nor_max():
    """NeuralClassifier has no masks in any of the three, and zeros where the ring should close."""
    module = encoder(layers=3)
    with torch.no_grad():
        vectors, mask = padded([3], extra=6)
        vectors[:, 3:] = 50.0
        alone = module.encode(vectors[:, :3], mask[:, :3]).pooled_BD
        together = module.encode(vectors, mask).pooled_BD
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-12)


def test_the_ring_closes_at_each_documents_own_end():
    tokens_BTE = torch.arange(1.0, 13).view(3, 4, 1)
    mask_BT = torch.arange(4) < torch.tensor([4, 2, 1])[:, None]
    around = ring(tokens_BTE, mask_BT)[..., 0]
    assert around[0].tolist() == [4, 1, 2, 3, 4, 1]
    assert around[1, :4].tolist() == [6, 5, 6, 5]
    assert around[2, :3].tolist() == [9, 9, 9]


def test_a_text_is_a_ring():
    """Turned by some places, it gives the same vector; with two tokens exchanged, another."""
    module, (vectors, mask) = encoder(layers=2), padded([6])
    with torch.no_grad():
        plain = module.encode(vectors, mask).pooled_BD
        turned = module.encode(vectors.roll(2, 1), mask).pooled_BD
        exchanged = module.encode(vectors[:, [1, 0, 2, 3, 4, 5]], mask).pooled_BD
    torch.testing.assert_close(turned, plain, rtol=0, atol=1e-12)
    assert (exchanged - plain).abs().max() > 1e-4


def test_gradients_by_finite_differences():
    module, (vectors, mask) = encoder(layers=2), padded([4, 0, 1, 2])
    assert torch.autograd.gradcheck(lambda v: module.encode(v, mask).pooled_BD, (vectors.requires_grad_(),))


def test_dropout_acts_in_training_only():
    module, batch = encoder(dropout=0.5), padded([7, 3])
    with torch.no_grad():
        still = module.encode(*batch).pooled_BD
        assert torch.equal(module.encode(*batch).pooled_BD, still)
        assert not torch.equal(module.train().encode(*batch).pooled_BD, still)
