"""The recurrent CNN of Lai against its float64 twin."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from linnaea.config.encoders_recurrent import RCNNLaiConfig
from linnaea.errors import ConfigError
from linnaea.nn.encoders.rcnn_lai import RCNNLai
from tests.references.rcnn_lai import rcnn_lai

E = 4


def encoder(seed: int = 0, **settings) -> RCNNLai:
    torch.manual_seed(seed)
    return RCNNLai(RCNNLaiConfig.read({"hidden": 3, "output": 5, **settings}), input_dim=E).double()


def padded(lengths: list[int], seed: int = 0, extra: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    T = max(1, *lengths) + extra
    mask_BT = torch.arange(T) < torch.tensor(lengths)[:, None]
    return torch.randn(len(lengths), T, E, generator=generator, dtype=torch.float64), mask_BT


def twin(module: RCNNLai, vectors_BTE: Tensor, mask_BT: Tensor, activation: str) -> np.ndarray:
    (layer,) = module.context.layers
    sides = [
        (
            getattr(layer, f"weight_ih_l0{way}").detach().numpy(),
            getattr(layer, f"weight_hh_l0{way}").detach().numpy(),
            (getattr(layer, f"bias_ih_l0{way}") + getattr(layer, f"bias_hh_l0{way}")).detach().numpy(),
        )
        for way in ("", "_reverse")
    ]
    perceptron = [p.detach().numpy() for p in (module.perceptron.weight, module.perceptron.bias)]
    edges = module.edges.detach().numpy()
    return np.array(
        [
            rcnn_lai(row[mask].numpy(), edges, *sides, perceptron, activation=activation)
            for row, mask in zip(vectors_BTE, mask_BT, strict=True)
        ]
    )


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=5),
    activation=st.sampled_from(["tanh", "relu"]),
    extra=st.integers(0, 4),
    seed=st.integers(0, 1000),
)
def test_equals_the_twin(lengths, activation, extra, seed):
    module = encoder(seed, activation=activation).eval()
    batch = padded(lengths, seed, extra)
    pooled = module.encode(*batch).pooled_BD
    np.testing.assert_allclose(pooled.detach(), twin(module, *batch, activation), rtol=0, atol=1e-10)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_gradcheck(activation: str):
    module = encoder(activation=activation)
    vectors, mask = padded([5, 0, 1, 3], extra=1)

    def outcome(values: Tensor, *_: Tensor) -> tuple[Tensor, Tensor]:
        encoded = module.encode(values, mask)
        return encoded.pooled_BD, encoded.states_BSD * mask[..., None]

    assert torch.autograd.gradcheck(outcome, (vectors.requires_grad_(), *module.parameters()))


def test_batch_of_one():
    for length in (0, 1, 6):
        encoded = encoder().encode(*padded([length]))
        assert encoded.pooled_BD.shape == (1, 5)
        assert encoded.states_BSD.shape == (1, max(1, length), E + 6)
        assert encoded.pooled_BD.isfinite().all()


def test_padding_and_neighbours_change_nothing():
    """The context on the right begins at each text's own end."""
    module = encoder()
    vectors, mask = padded([6, 3, 8], extra=4)
    together = module.encode(vectors, mask)
    for b, length in enumerate([6, 3, 8]):
        alone = module.encode(vectors[b : b + 1, :length], mask[b : b + 1, :length])
        torch.testing.assert_close(together.pooled_BD[b], alone.pooled_BD[0], rtol=0, atol=1e-12)
        torch.testing.assert_close(together.states_BSD[b, :length], alone.states_BSD[0], rtol=0, atol=1e-12)


def test_contexts_are_of_what_lies_on_either_side():
    module = encoder()
    vectors, mask = padded([7])
    before = module.encode(vectors, mask).states_BSD
    vectors[0, 3] += 1
    changed = (module.encode(vectors, mask).states_BSD != before)[0]
    assert changed[:, :3].any(1).tolist() == [t > 3 for t in range(7)]
    assert changed[:, 3 : 3 + E].any(1).tolist() == [t == 3 for t in range(7)]
    assert changed[:, 3 + E :].any(1).tolist() == [t < 3 for t in range(7)]


def test_what_stands_beyond_the_ends_is_learned():
    module = encoder()
    vectors, mask = padded([1, 4])
    module.encode(vectors, mask).pooled_BD.sum().backward()
    assert (module.edges.grad.abs().sum(1) > 0).all()


@pytest.mark.parametrize("given", [{"hidden": 0}, {"output": 0}, {"activation": "gelu"}], ids=str)
def test_settings_out_of_range(given: dict):
    with pytest.raises(ConfigError):
        RCNNLaiConfig.read(given)
