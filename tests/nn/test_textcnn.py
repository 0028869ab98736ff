"""TextCNN against its float64 twin and against plain autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional

from linnaea.config.encoders import TextCNNConfig
from linnaea.nn.encoders.textcnn import TextCNN
from linnaea.nn.layers.activations import ACTIVATIONS
from linnaea.nn.layers.repeats import MANY
from linnaea.nn.network import Embedded
from tests.references.textcnn import textcnn

E = 5


def encoder(seed: int = 0, **settings) -> TextCNN:
    torch.manual_seed(seed)
    return TextCNN(TextCNNConfig(**settings), input_dim=E).double()


def padded(lengths: list[int], seed: int = 0, extra: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    T = max(1, *lengths) + extra
    mask_BT = torch.arange(T) < torch.tensor(lengths)[:, None]
    vectors_BTE = torch.randn(len(lengths), T, E, generator=generator, dtype=torch.float64)
    return vectors_BTE * mask_BT[..., None], mask_BT


def twin(module: TextCNN, vectors_BTE: Tensor, mask_BT: Tensor, **settings) -> np.ndarray:
    weights = [c.weight.tolist() for c in module.convolutions]
    biases = [c.bias.tolist() for c in module.convolutions]
    return np.array(
        [
            textcnn(row[mask].tolist(), weights, biases, **settings)
            for row, mask in zip(vectors_BTE, mask_BT, strict=True)
        ]
    )


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_activations_equal_the_twin(activation: str):
    module = encoder(kernel_sizes=[2, 3], filters=4, activation=activation)
    batch = padded([6, 0, 1, 3])
    expected = twin(module, *batch, activation=activation)
    np.testing.assert_allclose(module.encode(*batch).pooled_BD.detach(), expected, rtol=0, atol=1e-10)


@settings(max_examples=30, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=4),
    kernel_sizes=st.lists(st.integers(1, 6), min_size=1, max_size=3),
    top_k=st.integers(1, 5),
    padding=st.sampled_from(["wide", "narrow"]),
    extra=st.integers(0, 4),
    seed=st.integers(0, 1000),
)
def test_equals_the_twin(lengths, kernel_sizes, top_k, padding, extra, seed):
    chosen = {"top_k": top_k, "padding": padding}
    module = encoder(seed, kernel_sizes=kernel_sizes, filters=3, **chosen)
    batch = padded(lengths, seed, extra)
    features = module.encode(*batch).pooled_BD
    assert features.shape == (len(lengths), module.output_dim)
    np.testing.assert_allclose(features.detach(), twin(module, *batch, **chosen), rtol=0, atol=1e-10)


@settings(max_examples=20, deadline=None)
@given(top_k=st.integers(1, 3), vocabulary=st.integers(1, 3), seed=st.integers(0, 1000))
def test_repeated_windows_keep_the_earliest(top_k, vocabulary, seed):
    """Texts over one to three words: many windows respond exactly alike."""
    module = encoder(seed, kernel_sizes=[1, 2], filters=3, top_k=top_k, activation="identity")
    words = torch.randn(vocabulary, E, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    ids = torch.randint(vocabulary, (1, 8), generator=torch.Generator().manual_seed(seed + 1))
    vectors, mask = words[ids], torch.ones(1, 8, dtype=torch.bool)
    longer, longer_mask = functional.pad(vectors, (0, 0, 0, 5)), functional.pad(mask, (0, 5))
    expected = twin(module, vectors, mask, top_k=top_k, activation="identity")
    for batch in ((vectors, mask), (longer, longer_mask)):
        np.testing.assert_allclose(module.encode(*batch).pooled_BD.detach(), expected, rtol=0, atol=1e-10)


def plain(module: TextCNN, vectors_BTE: Tensor, mask_BT: Tensor) -> Tensor:
    """The wide convolution by torch's own pieces, differentiated by torch."""
    pieces, vectors_BTE = [], vectors_BTE * mask_BT[..., None]
    for convolution in module.convolutions:
        size = convolution.kernel_size[0]
        response_BFS = functional.conv1d(
            vectors_BTE.mT, convolution.weight, convolution.bias, padding=size - 1
        )
        closed_BS = torch.arange(response_BFS.shape[2]) >= mask_BT.sum(1, keepdim=True) + size - 1
        response_BFS = response_BFS.masked_fill(closed_BS[:, None], -torch.inf)
        places = response_BFS.topk(module.convolutions.top_k, dim=2).indices.sort(2).values
        pieces.append(response_BFS.gather(2, places).relu().flatten(1))
    return torch.cat(pieces, 1)


@pytest.mark.parametrize("top_k", [1, 3])
def test_gradients_equal_plain_autograd(top_k: int):
    module = encoder(kernel_sizes=[2, 3, 4], filters=6, top_k=top_k)
    vectors, mask = padded([9, 4, 7], extra=2)
    weight = torch.randn(3, module.output_dim, dtype=torch.float64)
    gradients = []
    for function in (lambda v: module.encode(v, mask).pooled_BD, lambda v: plain(module, v, mask)):
        module.zero_grad()
        leaf = vectors.clone().requires_grad_()
        features = function(leaf)
        (features * weight).sum().backward()
        gradients.append([features, leaf.grad, *[p.grad.clone() for p in module.parameters()]])
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("settings", [{}, {"padding": "narrow", "top_k": 2}], ids=str)
def test_gradcheck(settings: dict):
    module = encoder(kernel_sizes=[2, 4], filters=3, activation="tanh", **settings)
    vectors, mask = padded([6, 0, 1])
    inputs = (vectors.requires_grad_(), *module.parameters())
    names = [name for name, _ in module.named_parameters()]

    class Encode(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = module

        def forward(self, v):
            return self.inner.encode(v, mask).pooled_BD

    def function(v, *parameters):
        state = {f"inner.{name}": p for name, p in zip(names, parameters, strict=True)}
        return functional_call(Encode(), state, (v,))

    assert torch.autograd.gradcheck(function, inputs)


def test_fewer_windows_than_top_k_leave_zeros_behind():
    module = encoder(kernel_sizes=[3], filters=2, top_k=4, padding="narrow", activation="identity")
    features = module.encode(*padded([5, 4])).pooled_BD.view(2, 2, 4)  # three windows, two windows
    assert (features[0, :, :3] != 0).all()
    assert (features[0, :, 3:] == 0).all()
    assert (features[1, :, :2] != 0).all()
    assert (features[1, :, 2:] == 0).all()


def test_a_window_of_padding_only_never_wins():
    """With negative filters and positive tokens an empty window would respond 0, the largest."""
    module = encoder(kernel_sizes=[2], filters=1, activation="identity")
    with torch.no_grad():
        module.convolutions[0].weight.fill_(-1)
        module.convolutions[0].bias.fill_(5)
    vectors = torch.ones(1, 4, E, dtype=torch.float64)
    mask = torch.ones(1, 4, dtype=torch.bool)
    features = module.encode(functional.pad(vectors, (0, 0, 0, 6)), functional.pad(mask, (0, 6))).pooled_BD
    assert features.item() == 5 - E  # one token in the window


def test_no_number_is_not_hidden():
    module = encoder(kernel_sizes=[2], filters=2)
    vectors, mask = padded([4, 4])
    vectors[0, 1, 2] = torch.nan
    features = module.encode(vectors, mask).pooled_BD
    assert features[0].isnan().all()
    assert features[1].isfinite().all()


def test_several_encoders_at_once_under_vmap():
    modules = [encoder(seed, kernel_sizes=[2, 3], filters=4, top_k=2) for seed in range(3)]
    vectors, mask = padded([6, 0, 3])
    state, buffers = stack_module_state(modules)

    class Encode(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, v):
            return self.inner.encode(v, mask).pooled_BD

    def call(parameters):
        named = {f"inner.{name}": p for name, p in parameters.items()}
        return functional_call(Encode(modules[0]), named, (vectors,))

    assert not buffers
    with torch.no_grad():
        stacked = vmap(call)(state)
        each = torch.stack([module.encode(vectors, mask).pooled_BD for module in modules])
    torch.testing.assert_close(stacked, each, rtol=0, atol=1e-12)


@pytest.mark.parametrize("top_k", [1, 3])
@pytest.mark.parametrize("padding", ["wide", "narrow"])
def test_repeated_tokens_are_convolved_once(top_k, padding):
    torch.manual_seed(5)
    module = encoder(kernel_sizes=[2, 3, 4], filters=7, top_k=top_k, padding=padding)
    table = torch.randn(40, E, dtype=torch.float64)
    lengths = torch.tensor([0, 1, 2, 3, *range(20, 60)])
    mask = torch.arange(60) < lengths[:, None]
    ids = torch.randint(0, 40, mask.shape)  # 0 among the tokens, and anything under the padding
    assert ids.numel() >= MANY
    results = []
    for repeats in (False, True):
        vectors = table[ids].requires_grad_()
        module.zero_grad()
        pooled = module(Embedded(vectors, mask, ids, repeats)).pooled_BD
        (pooled * torch.linspace(-1, 1, pooled.numel(), dtype=torch.float64).view_as(pooled)).sum().backward()
        results.append([pooled.detach(), vectors.grad, *(p.grad.clone() for p in module.parameters())])
    assert module.convolutions.repeats(Embedded(vectors, mask, ids, True)) is not None
    for plain, once in zip(*results, strict=True):
        torch.testing.assert_close(once, plain, rtol=0, atol=1e-10)
