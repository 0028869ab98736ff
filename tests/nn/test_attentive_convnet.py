"""AttentiveConvNet against its float64 twin, and what the old code broke in it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from linnaea.config.encoders_attention import AttentiveConvNetConfig
from linnaea.config.heads import ModelConfig
from linnaea.errors import ConfigError
from linnaea.nn.encoders.attentive_convnet import AttentiveConvNet
from linnaea.nn.layers import additive
from linnaea.nn.layers.additive import AdditiveScores
from tests.references.attentive_convnet import attentive_convnet

E = 5
LENGTHS = [9, 0, 1, 2, 6]
CHOICES = [
    (kind, attention) for kind in ("light", "advanced") for attention in ("dot", "bilinear", "additive")
]
every_choice = pytest.mark.parametrize(("kind", "attention"), CHOICES)


def encoder(seed: int = 0, **settings) -> AttentiveConvNet:
    torch.manual_seed(seed)
    return AttentiveConvNet(AttentiveConvNetConfig(**{"hidden": 7, **settings}), input_dim=E).double().eval()


def padded(lengths: list[int], seed: int = 0, extra: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    T = max(1, *lengths) + extra
    mask_BT = torch.arange(T) < torch.tensor(lengths)[:, None]
    # What stands at padding must not matter: it is not zero.
    return torch.randn(len(lengths), T, E, generator=generator, dtype=torch.float64), mask_BT


def twin(
    module: AttentiveConvNet, vectors_BTE: Tensor, mask_BT: Tensor, activation: str = "tanh"
) -> np.ndarray:
    value = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    match: tuple = ("dot",)
    if "match.vector" in value:
        match = ("additive", value["match.query.weight"], value["match.key.weight"], value["match.vector"])
    elif "match.query.weight" in value:
        match = ("bilinear", value["match.query.weight"].T)  # m_i W m_j = (Wᵀ m_i) m_j
    gates = None
    if module.gated is not None:
        single, bias = value["gated.single.weight"][:, :, None], value["gated.single.bias"]
        wide, wide_bias = value["gated.wide.weight"], value["gated.wide.bias"]
        pieces = [(single[i * E : (i + 1) * E], bias[i * E : (i + 1) * E]) for i in range(4)]
        wides = [(wide[:E], wide_bias[:E]), (wide[E:], wide_bias[E:])]
        gates = [pieces[0::2], wides, pieces[1::2]]
    near = value["near.weight"], value["near.bias"]
    documents = [x[m].numpy() for x, m in zip(vectors_BTE, mask_BT, strict=True)]
    far = value["far.weight"]
    return np.array([attentive_convnet(x, near, far, match, gates, activation) for x in documents])


@every_choice
@pytest.mark.parametrize(("window", "activation"), [(3, "tanh"), (1, "relu"), (5, "gelu")])
def test_against_the_twin(kind: str, attention: str, window: int, activation: str):
    module = encoder(kind=kind, attention=attention, window=window, activation=activation)
    batch = padded(LENGTHS, extra=2)
    with torch.no_grad():
        pooled_BD = module.encode(*batch).pooled_BD
    np.testing.assert_allclose(pooled_BD, twin(module, *batch, activation=activation), rtol=0, atol=1e-10)


@every_choice
@pytest.mark.parametrize("length", [0, 1, 6])
def test_batch_of_one(kind: str, attention: str, length: int):
    module = encoder(kind=kind, attention=attention)
    batch = padded([length])
    pooled_BD = module.encode(*batch).pooled_BD
    assert pooled_BD.shape == (1, 7)
    np.testing.assert_allclose(pooled_BD.detach(), twin(module, *batch), rtol=0, atol=1e-10)


@every_choice
def test_every_matrix_is_saved_and_learns(kind: str, attention: str):
    """In NeuralClassifier the matrices of the attention and the convolution are drawn anew at every start."""
    module = encoder(kind=kind, attention=attention)
    expected = {"near.weight", "near.bias", "far.weight"}
    expected |= {"dot": set(), "bilinear": {"match.query.weight"}}.get(
        attention, {"match.query.weight", "match.key.weight", "match.vector"}
    )
    if kind == "advanced":
        expected |= {f"gated.{part}.{name}" for part in ("single", "wide") for name in ("weight", "bias")}
    assert set(module.state_dict()) == expected == {name for name, _ in module.named_parameters()}
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    batch = padded([8, 7, 5])
    optimizer = torch.optim.SGD(module.parameters(), 0.1)
    module.encode(*batch).pooled_BD.square().sum().backward()
    optimizer.step()
    for name, tensor in module.state_dict().items():
        assert (tensor != before[name]).float().mean() > 0.5, name


@every_choice
def test_a_reloaded_model_gives_the_same_numbers(kind: str, attention: str):
    trained, other = encoder(0, kind=kind, attention=attention), encoder(1, kind=kind, attention=attention)
    batch = padded(LENGTHS)
    with torch.no_grad():
        numbers = trained.encode(*batch).pooled_BD
        assert not torch.equal(other.encode(*batch).pooled_BD, numbers)
        other.load_state_dict(load(save(trained.state_dict())))
        assert torch.equal(other.encode(*batch).pooled_BD, numbers)


def test_dot_attention_is_the_plain_product():
    """NeuralClassifier's divides by 1/√d. Two tokens (2, 0) and (0, 1): e = 4, 0 and 0, 1."""
    module = AttentiveConvNet(
        AttentiveConvNetConfig(kind="light", attention="dot", hidden=2, activation="identity"), input_dim=2
    ).double()
    with torch.no_grad():
        module.near.weight.zero_()
        module.near.bias.zero_()
        module.far.weight.copy_(torch.eye(2))
    vectors, mask = (
        torch.tensor([[[2.0, 0], [0, 1]]], dtype=torch.float64),
        torch.ones(1, 2, dtype=torch.bool),
    )
    a, b = np.exp(4) / (np.exp(4) + 1), np.e / (1 + np.e)
    expected = [[2 * a, 1 - a], [2 * (1 - b), b]]
    states = module.encode(vectors, mask).states_BSD
    np.testing.assert_allclose(states[0].detach(), expected, rtol=0, atol=1e-12)


@every_choice
def test_padding_is_neither_attended_to_nor_the_largest(kind: str, attention: str):
    module = encoder(kind=kind, attention=attention)
    with torch.no_grad():
        module.near.bias.fill_(-3)  # real positions come out below what padding would
        module.near.weight.mul_(0.1)
        vectors, mask = padded([3], extra=6)
        vectors[:, 3:] = 50.0
        alone = module.encode(vectors[:, :3], mask[:, :3]).pooled_BD
        together = module.encode(vectors, mask).pooled_BD
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-12)
    assert (alone < 0).all()


class LargestTensor(TorchDispatchMode):
    """Remembers the size of the largest tensor that any operation gave."""

    def __init__(self) -> None:
        super().__init__()
        self.largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        # A view that repeats numbers holds none of its own.
        held = [
            leaf.untyped_storage().nbytes() // leaf.element_size()
            for leaf in tree_leaves(result)
            if _is(leaf)
        ]
        self.largest = max([self.largest, *held])
        return result


def _is(leaf: object) -> bool:
    return isinstance(leaf, Tensor)


@every_choice
def test_no_tensor_holds_all_pairs_times_columns(kind: str, attention: str, monkeypatch: pytest.MonkeyPatch):
    """Forward and backward: at most a number a pair of positions, or a few a token."""
    monkeypatch.setattr(additive, "PIECE", 1 << 10)
    B, T = 3, 40
    module = AttentiveConvNet(AttentiveConvNetConfig(kind=kind, attention=attention), input_dim=16)
    vectors, mask = torch.randn(B, T, 16, requires_grad=True), torch.ones(B, T, dtype=torch.bool)
    with LargestTensor() as seen:
        module.encode(vectors, mask).pooled_BD.sum().backward()
    columns = 32 if kind == "advanced" else 16
    assert seen.largest >= B * T * 16
    assert seen.largest <= max(B * T * T, B * (T + 2) * 5 * 16)
    assert seen.largest < B * T * T * columns / 4


@pytest.mark.parametrize("piece", [1, 60, 150, 1 << 17])
def test_additive_scores_in_pieces(piece: int, monkeypatch: pytest.MonkeyPatch):
    """Whatever the size of the pieces: the plain formula, and its gradients by autograd."""
    monkeypatch.setattr(additive, "PIECE", piece)
    torch.manual_seed(0)
    given = [torch.randn(*shape, dtype=torch.float64) for shape in [(3, 4, 5), (3, 4, 5), (5,)]]
    weight, results = torch.randn(3, 4, 4, dtype=torch.float64), []
    for score in (AdditiveScores.apply, lambda q, k, v: (q[:, :, None] + k[:, None]).tanh() @ v):
        leaves = [tensor.clone().requires_grad_() for tensor in given]
        scores = score(*leaves)
        (scores * weight).sum().backward()
        results.append([scores.detach(), *(leaf.grad for leaf in leaves)])
    for mine, plain in zip(*results, strict=True):
        torch.testing.assert_close(mine, plain, rtol=0, atol=1e-12)


@every_choice
def test_gradients_by_finite_differences(kind: str, attention: str):
    module, (vectors, mask) = encoder(kind=kind, attention=attention), padded([4, 0, 1])
    assert torch.autograd.gradcheck(lambda v: module.encode(v, mask).pooled_BD, (vectors.requires_grad_(),))


def test_an_even_window_is_an_error():
    with pytest.raises(ConfigError, match="must be odd, received 4") as caught:
        ModelConfig.read({"encoder": {"type": "attentive_convnet", "window": 4}})
    assert caught.value.where == "encoder.window"
    assert "3 or 5" in caught.value.hint
