"""TextRCNN against its float64 twin."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from linnaea.config.encoders_recurrent import TextRCNNConfig
from linnaea.errors import ConfigError
from linnaea.nn.encoders.textrcnn import TextRCNN
from tests.nn.test_textrnn import KINDS, E, layers_of, padded
from tests.references.textrcnn import states as states_of
from tests.references.textrcnn import textrcnn


def encoder(seed: int = 0, **settings) -> TextRCNN:
    torch.manual_seed(seed)
    return TextRCNN(TextRCNNConfig(hidden=3, filters=4, **settings), input_dim=E).double().eval()


def twin(module: TextRCNN, vectors_BTE: Tensor, mask_BT: Tensor, **settings) -> np.ndarray:
    weights = [c.weight.tolist() for c in module.convolutions]
    biases = [c.bias.tolist() for c in module.convolutions]
    layers = layers_of(module.recurrent)
    return np.array(
        [
            textrcnn(row[mask].tolist(), layers, weights, biases, **settings)
            for row, mask in zip(vectors_BTE, mask_BT, strict=True)
        ]
    )


@pytest.mark.parametrize("kind", list(KINDS))
@settings(max_examples=10, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 7), min_size=1, max_size=4),
    kernel_sizes=st.lists(st.integers(1, 5), min_size=1, max_size=2),
    top_k=st.integers(1, 3),
    padding=st.sampled_from(["wide", "narrow"]),
    bidirectional=st.booleans(),
    layers=st.integers(1, 2),
    extra=st.integers(0, 3),
    seed=st.integers(0, 1000),
)
def test_equals_the_twin(kind, lengths, kernel_sizes, top_k, padding, bidirectional, layers, extra, seed):
    convolution = {"top_k": top_k, "padding": padding, "activation": "tanh"}
    chosen = {**KINDS[kind], **convolution}
    module = encoder(seed, kernel_sizes=kernel_sizes, bidirectional=bidirectional, layers=layers, **chosen)
    given_batch = padded(lengths, seed, extra)
    pooled = module.encode(*given_batch).pooled_BD
    assert pooled.shape == (len(lengths), module.output_dim)
    np.testing.assert_allclose(pooled.detach(), twin(module, *given_batch, **chosen), rtol=0, atol=1e-10)


@pytest.mark.parametrize("length", [0, 1, 2, 6])
def test_a_batch_of_one(length):
    module = encoder()
    given_batch = padded([length])
    np.testing.assert_allclose(
        module.encode(*given_batch).pooled_BD.detach(), twin(module, *given_batch), rtol=0, atol=1e-10
    )


def test_windows_of_padding_only_never_win():
    """They used to respond with relu(bias), where texts were padded to a longer neighbour."""
    module = encoder(kernel_sizes=[2])
    with torch.no_grad():
        for convolution in module.convolutions:
            convolution.weight.mul_(-1).sub_(1)
            convolution.bias.fill_(50)
    vectors, mask = padded([3])
    longer, longer_mask = padded([3, 9])
    longer[0, :3] = vectors[0]
    beside = module.encode(longer, longer_mask).pooled_BD[:1]
    torch.testing.assert_close(beside, module.encode(vectors, mask).pooled_BD, rtol=0, atol=1e-12)


def test_every_convolution_and_layer_learns():
    module = encoder(layers=2, activation="tanh")
    module.encode(*padded([6, 5, 4])).pooled_BD.sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in module.parameters())


@settings(max_examples=10, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 6), min_size=1, max_size=3),
    kernel_sizes=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    activation=st.sampled_from(["relu", "tanh"]),
    extra=st.integers(0, 2),
    seed=st.integers(0, 1000),
)
def test_states_are_what_the_convolutions_say_around_each_token(
    lengths, kernel_sizes, activation, extra, seed
):
    module = encoder(seed, kernel_sizes=kernel_sizes, activation=activation, top_k=2)
    vectors_BTE, mask_BT = padded(lengths, seed, extra)
    encoded = module.encode(vectors_BTE + 9 * ~mask_BT[..., None], mask_BT)
    assert torch.equal(encoded.mask_BS, mask_BT)
    assert encoded.states_BSD.shape == (*mask_BT.shape, module.state_dim)
    weights = [c.weight.tolist() for c in module.convolutions]
    biases = [c.bias.tolist() for c in module.convolutions]
    layers = layers_of(module.recurrent)
    for row, states, mask in zip(vectors_BTE, encoded.states_BSD.detach(), mask_BT, strict=True):
        wanted = states_of(row[mask].tolist(), layers, weights, biases, activation=activation)
        np.testing.assert_allclose(
            states[mask], np.reshape(wanted, (-1, module.state_dim)), rtol=0, atol=1e-10
        )


def test_states_that_nobody_reads_are_not_computed(monkeypatch):
    torch.manual_seed(0)
    module = TextRCNN(TextRCNNConfig(hidden=3), input_dim=E, states=False).double()
    monkeypatch.setattr(module, "_states", None)
    encoded = module.encode(*padded([3, 1]))
    assert encoded.states_BSD is encoded.mask_BS is module.state_dim is None


def test_settings_that_do_nothing_are_refused():
    with pytest.raises(ConfigError, match=r"encoder\.nonlinearity"):
        TextRCNNConfig.read({"cell": "lstm", "nonlinearity": "tanh"}, "encoder")
