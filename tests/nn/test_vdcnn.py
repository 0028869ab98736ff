"""VDCNN and its layers over time against float64 twins, and what the old code broke in it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from linnaea.config.encoders_convolutional import VDCNNConfig
from linnaea.config.heads import ModelConfig
from linnaea.errors import ConfigError
from linnaea.nn.encoders.vdcnn import VDCNN, NormalizedConvolution
from linnaea.nn.layers.time import halved, larger_half, largest_in_order
from tests.references.vdcnn import LEVELS, k_max, vdcnn

E = 5
LENGTHS = [19, 0, 1, 2, 3, 8, 5, 17]
SMALL = {"filters": 4, "hidden": 7, "top_k": 3}
WAYS = [(way, short) for way in ("max", "convolution", "kmax") for short in (False, True)]


def encoder(seed: int = 0, **options) -> VDCNN:
    torch.manual_seed(seed)
    module = VDCNN(VDCNNConfig(**{**SMALL, **options}), input_dim=E).double()
    for name, tensor in module.state_dict().items():
        if name.endswith(("bias", "running_mean")):
            torch.nn.init.uniform_(tensor, -0.3, 0.3)
        elif name.endswith(("norm.weight", "running_var")):
            torch.nn.init.uniform_(tensor, 0.5, 1.5)
    return module


def padded(lengths: list[int], seed: int = 0, extra: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    T = max(1, *lengths) + extra
    mask_BT = torch.arange(T) < torch.tensor(lengths)[:, None]
    # What stands at padding must not matter: it is not zero.
    return torch.randn(len(lengths), T, E, generator=generator, dtype=torch.float64), mask_BT


def twin(module: VDCNN, vectors_BTE: Tensor, mask_BT: Tensor, **options) -> np.ndarray:
    plain = VDCNNConfig(**{**SMALL, **options}).model_dump(exclude={"type", "hidden"})
    documents = [x[m].numpy() for x, m in zip(vectors_BTE, mask_BT, strict=True)]
    weights = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    return vdcnn(documents, weights, training=module.training, **plain)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("way", "shortcuts"), WAYS)
def test_against_the_twin(way: str, shortcuts: bool, training: bool):
    options = {"downsampling": way, "shortcuts": shortcuts}
    module = encoder(**options).train(training)
    vectors_BTE, mask_BT = padded(LENGTHS, extra=3)
    expected = twin(module, vectors_BTE, mask_BT, **options)
    found = module.encode(vectors_BTE, mask_BT).pooled_BD.detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)
    assert (np.abs(expected).sum(1) > 0).tolist() == [length > 0 for length in LENGTHS]


@pytest.mark.parametrize("shortcuts", [False, True])
@pytest.mark.parametrize("depth", [17, 29, 49])
def test_depths_against_the_twin(depth: int, shortcuts: bool):
    options = {"depth": depth, "shortcuts": shortcuts, "filters": 2}
    module = encoder(**options).train()
    vectors_BTE, mask_BT = padded([9, 4, 12])
    expected = twin(module, vectors_BTE, mask_BT, **options)
    found = module.encode(vectors_BTE, mask_BT).pooled_BD.detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("depth", [9, 17, 29, 49])
def test_depth_counts_the_convolutions(depth: int):
    """As the paper counts: the first, those of the levels, the same number in each as its table says."""
    module = encoder(depth=depth)
    counts = [
        sum(isinstance(part, NormalizedConvolution) for part in level.modules()) for level in module.levels
    ]
    assert tuple(counts) == LEVELS[depth]
    assert sum(counts) + 1 == depth
    outs = [level[-1].second.convolution.weight.shape[0] for level in module.levels]
    assert outs == [4, 8, 16, 32]


@pytest.mark.parametrize(("way", "shortcuts"), WAYS)
def test_every_convolution_acts_and_learns(way: str, shortcuts: bool):
    """Each weight changes the document vectors and gets a gradient: none is computed and thrown away."""
    module, batch = encoder(downsampling=way, shortcuts=shortcuts).eval(), padded([30, 24])
    before = module.encode(*batch).pooled_BD
    before.square().sum().backward()
    kernels = 0
    for name, parameter in module.named_parameters():
        assert parameter.grad.abs().sum() > 0, name
        kernels += name.endswith("convolution.weight")
        with torch.no_grad():
            kept = parameter.clone()
            parameter.add_(0.05)
            assert not torch.allclose(module.encode(*batch).pooled_BD, before), name
            parameter.copy_(kept)
    assert kernels == 8


@pytest.mark.parametrize("way", ["max", "convolution", "kmax"])
def test_levels_halve_the_time_and_nothing_lengthens_it(way: str):
    module, seen = encoder(downsampling=way), []
    for level in module.levels:
        for pair in level:
            for layer in (pair.first, pair.second):
                layer.register_forward_hook(
                    lambda _m, inputs, out: seen.append((out.shape, inputs[1].sum(1)))
                )
    module.encode(*padded([21, 8, 1], extra=2))
    assert [shape[1] for shape, _ in seen] == [23, 23, 12, 12, 6, 6, 3, 3]
    assert [shape[2] for shape, _ in seen] == [4, 4, 8, 8, 16, 16, 32, 32]
    lengths = [lengths_B.tolist() for _, lengths_B in seen[::2]]
    assert lengths == [[21, 8, 1], [11, 4, 1], [6, 2, 1], [3, 1, 1]]


def test_relu_between_the_hidden_layers():
    """Without it two dense layers would be one: the sum of two inputs would come out as a sum."""
    module = encoder().eval()
    seen: list[Tensor] = []
    for layer in module.hidden:
        layer.register_forward_hook(lambda _m, inputs, out: seen.extend((inputs[0], out)))
    pooled_BD = module.encode(*padded([30, 24, 9])).pooled_BD
    (_, first, between, second), zero = seen, torch.zeros(())
    assert (first < 0).any()
    torch.testing.assert_close(between, torch.maximum(first, zero))
    assert (second < 0).any()
    torch.testing.assert_close(pooled_BD, torch.maximum(second, zero))


def test_k_max_keeps_temporal_order():
    values_BTE = torch.tensor([3.0, 9.0, 1.0, 7.0, 9.0, 2.0])[None, :, None]
    open_BT = torch.ones(1, 6, dtype=torch.bool)
    assert largest_in_order(values_BTE, open_BT, 3).flatten().tolist() == [9.0, 7.0, 9.0]
    assert largest_in_order(values_BTE, open_BT, 1).flatten().tolist() == [9.0]
    assert larger_half(values_BTE, open_BT).flatten().tolist() == [9.0, 7.0, 9.0]
    # The earlier of equals: here the zero before the five.
    ties_BTE = torch.tensor([0.0, 5.0, 0.0, 0.0])[None, :, None]
    assert largest_in_order(ties_BTE, open_BT[:, :4], 2).flatten().tolist() == [0.0, 5.0]
    assert larger_half(ties_BTE, open_BT[:, :4]).flatten().tolist() == [0.0, 5.0]


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=4),
    k=st.integers(1, 12),
    extra=st.integers(0, 3),
    seed=st.integers(0, 999),
)
def test_k_max_against_the_twin(lengths: list[int], k: int, extra: int, seed: int):
    """Values in few steps, so that many are equal; negative ones too."""
    T = max(1, *lengths) + extra
    generator = torch.Generator().manual_seed(seed)
    values_BTE = torch.randint(-2, 3, (len(lengths), T, 3), generator=generator).double().requires_grad_()
    mask_BT = torch.arange(T) < torch.tensor(lengths)[:, None]
    for found_BKE, counts in (
        (largest_in_order(values_BTE, mask_BT, k), [k] * len(lengths)),
        (larger_half(values_BTE, mask_BT), [-(-length // 2) for length in lengths]),
    ):
        for row, (length, count) in enumerate(zip(lengths, counts, strict=True)):
            expected = k_max(values_BTE[row, :length].detach().numpy(), count)
            np.testing.assert_array_equal(found_BKE[row, : len(expected)].detach(), expected)
            assert (found_BKE[row, len(expected) :] == 0).all()
        (grad_BTE,) = torch.autograd.grad(found_BKE.sum(), values_BTE)
        assert set(grad_BTE.unique().tolist()) <= {0.0, 1.0}
        taken = [[min(c, n)] * 3 for c, n in zip(counts, lengths, strict=True)]
        assert grad_BTE.sum(1).tolist() == taken


def test_halved_masks():
    lengths = torch.arange(10)
    mask_BT = torch.arange(9) < lengths[:, None]
    assert halved(mask_BT).sum(1).tolist() == [-(-n // 2) for n in range(10)]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("length", [0, 1, 2, 9])
def test_batch_of_one(length: int, training: bool):
    """A document alone, in training too; of a single token there is no variance, the running one is taken."""
    module = encoder().train(training)
    vectors_BTE, mask_BT = padded([length])
    vectors_BTE.requires_grad_()
    pooled_BD = module.encode(vectors_BTE, mask_BT).pooled_BD
    assert pooled_BD.shape == (1, 7)
    assert pooled_BD.isfinite().all()
    assert (pooled_BD != 0).any() == (length > 0)
    pooled_BD.sum().backward()
    assert vectors_BTE.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in module.parameters())


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("way", "shortcuts"), WAYS)
def test_padding_never_leaks(way: str, shortcuts: bool, training: bool):
    """Not through convolutions, pooling or biases, nor through the statistics of a batch in training."""
    module = encoder(downsampling=way, shortcuts=shortcuts).train(training)
    vectors_BTE, mask_BT = padded([9, 4, 13], extra=7)
    vectors_BTE.requires_grad_()
    wide = module.encode(vectors_BTE, mask_BT).pooled_BD
    narrow = module.encode(vectors_BTE[:, :13], mask_BT[:, :13]).pooled_BD
    torch.testing.assert_close(wide, narrow, rtol=0, atol=1e-10)
    (grad_BTE,) = torch.autograd.grad(wide.square().sum(), vectors_BTE)
    assert (grad_BTE[~mask_BT] == 0).all()


def test_characters_are_a_sequence_like_any_other():
    """A longer sequence than any text has words; nothing is cut off and nothing overflows."""
    module = encoder().eval()
    vectors_BTE, mask_BT = padded([1014, 333])
    found = module.encode(vectors_BTE, mask_BT).pooled_BD.detach().numpy()
    np.testing.assert_allclose(found, twin(module, vectors_BTE, mask_BT), rtol=0, atol=1e-9)


def test_a_depth_that_is_not_in_the_list_is_refused():
    with pytest.raises(ConfigError) as caught:
        ModelConfig.read({"encoder": {"type": "vdcnn", "depth": 10}})
    message = str(caught.value)
    assert "encoder.depth" in message
    assert "10" in message
    assert "9" in message
    assert "49" in message
    assert "\n" not in message
