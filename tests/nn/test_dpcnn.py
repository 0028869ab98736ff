"""DPCNN against its float64 twin, and what the old code broke in it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from linnaea.config.encoders_convolutional import DPCNNConfig
from linnaea.config.heads import ModelConfig
from linnaea.errors import ConfigError
from linnaea.nn.encoders.dpcnn import DPCNN
from tests.references.dpcnn import dpcnn

E = 5
LENGTHS = [13, 0, 1, 2, 3, 8, 5]


def encoder(seed: int = 0, **settings) -> DPCNN:
    torch.manual_seed(seed)
    module = DPCNN(DPCNNConfig(**{"filters": 6, **settings}), input_dim=E).double()
    for name, parameter in module.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.uniform_(parameter, -0.5, 0.5)
    return module


def padded(lengths: list[int], seed: int = 0, extra: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    T = max(1, *lengths) + extra
    mask_BT = torch.arange(T) < torch.tensor(lengths)[:, None]
    # What stands at padding must not matter: it is not zero.
    return torch.randn(len(lengths), T, E, generator=generator, dtype=torch.float64), mask_BT


def twin(module: DPCNN, vectors_BTE: Tensor, mask_BT: Tensor, activation: str = "relu") -> np.ndarray:
    def of(layer) -> tuple[np.ndarray, np.ndarray]:
        return layer.weight.detach().numpy(), layer.bias.detach().numpy()

    blocks = [tuple(of(layer) for layer in block) for block in module.blocks]
    documents = [x[m].numpy() for x, m in zip(vectors_BTE, mask_BT, strict=True)]
    return np.array([dpcnn(document, of(module.region), blocks, activation) for document in documents])


@pytest.mark.parametrize("extra", [0, 3])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"blocks": 1, "activation": "tanh"},
        {"blocks": 4, "region_size": 1, "kernel_size": 5},
        {"blocks": 6, "region_size": 5, "activation": "elu"},
        {"blocks": 3, "kernel_size": 1, "activation": "gelu"},
        {"activation": "leaky_relu"},
        {"activation": "identity"},
    ],
    ids=str,
)
def test_against_the_twin(settings: dict, extra: int):
    module = encoder(**settings).eval()
    vectors_BTE, mask_BT = padded(LENGTHS, extra=extra)
    found = module.encode(vectors_BTE, mask_BT).pooled_BD.detach().numpy()
    expected = twin(module, vectors_BTE, mask_BT, settings.get("activation", "relu"))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)
    assert np.abs(expected[0]).min() > 1e-3


@pytest.mark.parametrize("length", [0, 1, 2, 9])
def test_batch_of_one(length: int):
    """A document alone, in training too: no axis is squeezed away with the batch's."""
    module = encoder(blocks=3).train()
    vectors_BTE, mask_BT = padded([length])
    vectors_BTE.requires_grad_()
    pooled_BD = module.encode(vectors_BTE, mask_BT).pooled_BD
    assert pooled_BD.shape == (1, 6)
    np.testing.assert_allclose(
        pooled_BD.detach(), twin(module, vectors_BTE.detach(), mask_BT), rtol=0, atol=1e-10
    )
    pooled_BD.sum().backward()
    assert vectors_BTE.grad.isfinite().all()
    assert (vectors_BTE.grad != 0).any() == (length > 0)


def test_padding_never_leaks():
    """Negative responses are where it showed: zeros of padding won the maximum, and biases grew into them."""
    module = encoder(blocks=3)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.endswith("bias"):
                parameter.fill_(-2.0)
    vectors_BTE, mask_BT = padded([9, 4, 1], extra=7)
    together = module.encode(vectors_BTE, mask_BT).pooled_BD
    assert (together < 0).any()
    for row, length in enumerate([9, 4, 1]):
        alone = module.encode(vectors_BTE[row : row + 1, :length], mask_BT[row : row + 1, :length]).pooled_BD
        torch.testing.assert_close(together[row], alone[0], rtol=0, atol=1e-12)
    (grad,) = torch.autograd.grad(
        module.encode(vectors_BTE.requires_grad_(), mask_BT).pooled_BD.square().sum(), vectors_BTE
    )
    assert (grad[~mask_BT] == 0).all()


def test_the_first_activation_is_the_identity():
    """Block 1 reads negative responses of the regions, later blocks do not."""
    module = encoder(blocks=2)
    with torch.no_grad():
        module.region.weight.fill_(-1.0)
        module.region.bias.zero_()
    vectors_BTE = torch.ones(1, 6, E, dtype=torch.float64)
    mask_BT = torch.ones(1, 6, dtype=torch.bool)
    module.encode(vectors_BTE, mask_BT).pooled_BD.sum().backward()
    assert module.blocks[0][0].weight.grad.abs().sum() > 0
    np.testing.assert_allclose(
        module.encode(vectors_BTE, mask_BT).pooled_BD.detach(), twin(module, vectors_BTE, mask_BT), atol=1e-10
    )


def test_every_convolution_acts_and_learns():
    module, batch = encoder(blocks=3), padded([9, 12])
    before = module.encode(*batch).pooled_BD
    before.square().sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad.abs().sum() > 0, name
        with torch.no_grad():
            kept = parameter.clone()
            parameter.add_(0.1)
            assert not torch.allclose(module.encode(*batch).pooled_BD, before), name
            parameter.copy_(kept)


def test_blocks_halve_the_time():
    """Seen where it counts: in the inputs of the convolutions."""
    module, seen = encoder(blocks=5), []
    for block in module.blocks:
        for layer in block:
            layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[1]))
    module.encode(*padded([13, 4]))
    assert seen == [13, 13, 7, 7, 4, 4, 2, 2, 1, 1]


@pytest.mark.parametrize(("key", "size"), [("region_size", 4), ("kernel_size", 2)])
def test_even_sizes_are_refused(key: str, size: int):
    with pytest.raises(ConfigError) as caught:
        ModelConfig.read({"encoder": {"type": "dpcnn", key: size}})
    assert f"encoder.{key}" in str(caught.value)
    assert f"must be odd, received {size}" in str(caught.value)
    assert f"{size - 1} or {size + 1}" in str(caught.value)
