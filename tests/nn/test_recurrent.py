"""The recurrent layer against torch's own on packed sequences, values and all gradients."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from linnaea.nn.layers import packing
from linnaea.nn.layers.dropout import drawn
from linnaea.nn.layers.packing import Packing
from linnaea.nn.layers.pooling import AdditiveAttention, ends, masked_last, masked_max, masked_mean
from linnaea.nn.layers.recurrent import Recurrent
from linnaea.nn.network import Embedded

E, H = 5, 3
KINDS = {
    "gru": {"cell": "gru"},
    "lstm": {"cell": "lstm"},
    "tanh": {"cell": "rnn"},
    "relu": {"cell": "rnn", "nonlinearity": "relu"},
}
every_kind = pytest.mark.parametrize("kind", list(KINDS))


def layer(kind: str, seed: int = 0, **options) -> Recurrent:
    torch.manual_seed(seed)
    options = {**KINDS[kind], **options}
    return Recurrent(options.pop("cell"), E, H, **options).double()


def batch(lengths: list[int], seed: int = 0, extra: int = 0) -> tuple[Tensor, Tensor]:
    mask_BT = torch.arange(max(1, *lengths) + extra) < torch.tensor(lengths)[:, None]
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*mask_BT.shape, E, generator=generator, dtype=torch.float64), mask_BT


def by_torch(module: Recurrent, x_BTE: Tensor, mask_BT: Tensor) -> Tensor:
    lengths = mask_BT.sum(1).clamp(min=1)
    for inner in module.layers:
        packed = pack_padded_sequence(x_BTE, lengths, batch_first=True, enforce_sorted=False)
        states = pad_packed_sequence(inner(packed)[0], batch_first=True, total_length=mask_BT.shape[1])[0]
        x_BTE = states * mask_BT[..., None]
    return x_BTE


def values_and_gradients(function, module: nn.Module, x_BTE: Tensor) -> list[Tensor]:
    module.zero_grad()
    leaf = x_BTE.clone().requires_grad_()
    states = function(leaf)
    generator = torch.Generator().manual_seed(3)
    (states.double() * torch.randn(states.shape, generator=generator, dtype=torch.float64)).sum().backward()
    return [states.detach(), leaf.grad, *(p.grad.clone() for p in module.parameters())]


@every_kind
@settings(max_examples=15, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=6).filter(any),
    bidirectional=st.booleans(),
    layers=st.integers(1, 2),
    extra=st.integers(0, 3),
    rows=st.sampled_from([1, 5, 512]),
    seed=st.integers(0, 1000),
)
def test_equals_torch_with_all_gradients(kind, lengths, bidirectional, layers, extra, rows, seed):
    module = layer(kind, seed, bidirectional=bidirectional, layers=layers)
    x, mask = batch(lengths, seed, extra)
    usual, packing.ROWS = packing.ROWS, rows
    try:
        mine = values_and_gradients(lambda leaf: module(leaf, mask), module, x)
    finally:
        packing.ROWS = usual
    theirs = values_and_gradients(lambda leaf: by_torch(module, leaf, mask), module, x)
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


@every_kind
def test_a_large_batch_in_single_precision(kind):
    """Several runs of steps at the usual size of a run, where documents end in all of them."""
    module = layer(kind, bidirectional=True).float()
    x, mask = batch(list(range(0, 90, 2)))
    mine = values_and_gradients(lambda leaf: module(leaf, mask), module, x.float())
    double = copy.deepcopy(module).double()
    theirs = values_and_gradients(lambda leaf: by_torch(double, leaf, mask), double, x)
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one.double(), other, rtol=1e-4, atol=1e-4)


@every_kind
def test_gradcheck(kind):
    module = layer(kind)
    x, mask = batch([3, 0, 2])

    def function(leaf, *parameters):
        return module(leaf, mask)

    assert torch.autograd.gradcheck(function, (x.requires_grad_(), *module.parameters()))


@every_kind
def test_states_at_padding_are_zero_and_nothing_is_read_there(kind):
    module = layer(kind, layers=2)
    x, mask = batch([4, 0, 2], extra=3)
    x[~mask] = torch.nan
    states = values_and_gradients(lambda leaf: module(leaf, mask), module, x)
    assert (states[0][~mask] == 0).all()
    assert all(tensor.isfinite().all() for tensor in states)


@every_kind
def test_the_same_with_and_without_gradients(kind):
    module, (x, mask) = layer(kind, layers=2), batch([4, 0, 7])
    with torch.inference_mode():
        quiet = module(x, mask)
    assert torch.equal(quiet, module(x, mask).detach())


def test_backward_twice_gives_the_same_gradients():
    module, (x, mask) = layer("lstm"), batch([4, 2])
    loss = module(x, mask).square().sum()
    first = torch.autograd.grad(loss, list(module.parameters()), retain_graph=True)
    again = torch.autograd.grad(loss, list(module.parameters()))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_frozen_weights_pass_gradients_on():
    module, (x, mask) = layer("gru"), batch([4, 2])
    expected = values_and_gradients(lambda leaf: module(leaf, mask), module, x)[1]
    leaf = x.clone().requires_grad_()
    states = module.requires_grad_(False)(leaf, mask)
    generator = torch.Generator().manual_seed(3)
    (states.double() * torch.randn(states.shape, generator=generator, dtype=torch.float64)).sum().backward()
    torch.testing.assert_close(leaf.grad, expected)


@every_kind
def test_the_way_through_cudnn_gives_the_same(kind):
    """Where there is no GPU torch's own layers stand in for cuDNN: packing and masks are those of the GPU."""
    module, (x, mask) = layer(kind, layers=2), batch([4, 0, 7, 1], extra=2)
    x[~mask] = torch.nan
    steps = values_and_gradients(lambda leaf: module(leaf, mask), module, x)
    own = module._through
    module._through = lambda mask_BT, cudnn, repeats: own(mask_BT, True, repeats)
    packed = values_and_gradients(lambda leaf: module(leaf, mask), module, x)
    for one, other in zip(steps, packed, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@every_kind
def test_the_same_on_a_gpu(kind):
    module, (x, mask) = layer(kind, layers=2), batch([4, 0, 7, 1], extra=2)
    here = values_and_gradients(lambda leaf: module(leaf, mask), module, x)
    there = values_and_gradients(lambda leaf: module(leaf.cuda(), mask.cuda()).cpu(), module.cuda(), x)
    for one, other in zip(here, there, strict=True):
        torch.testing.assert_close(one, other.cpu(), rtol=0, atol=1e-10)


@pytest.mark.parametrize("layers", [1, 2])
@every_kind
def test_repeated_tokens_are_multiplied_once(kind, layers):
    module, table = layer(kind, layers=layers), torch.randn(12, E, dtype=torch.float64)
    mask = torch.arange(40) < torch.tensor([0, 1, *range(10, 41)])[:, None]
    ids = torch.randint(0, 12, mask.shape)  # 0 among the tokens, and anything under the padding
    embedded = Embedded(table[ids], mask, ids, True)
    with torch.no_grad():
        repeats = module.repeats(embedded)
    assert module.repeats(embedded) is None
    assert repeats is not None
    assert len(repeats.first_U) == 13
    once = values_and_gradients(lambda leaf: module(leaf, mask, repeats), module, table[ids])
    plain = values_and_gradients(lambda leaf: module(leaf, mask), module, table[ids])
    for one, other in zip(once, plain, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


def test_nothing_but_empty_documents():
    module, (x, mask) = layer("gru"), batch([0, 0])
    values = values_and_gradients(lambda leaf: module(leaf, mask), module, x)
    assert all((tensor == 0).all() for tensor in values)


def test_weights_have_torchs_names_and_shapes():
    theirs = nn.LSTM(E, H, bidirectional=True).state_dict()
    mine = layer("lstm").state_dict()
    assert {name: value.shape for name, value in mine.items()} == {
        f"layers.0.{name}": value.shape for name, value in theirs.items()
    }


def test_dropout_between_layers_acts():
    """In NeuralClassifier it was never handed on. It follows from document and step, not from neighbours."""
    module, (x, mask) = layer("gru", layers=2, dropout=0.5), batch([5, 3])
    plain = module.eval()(x, mask)
    module.train()
    with drawn(module, 1, 0, torch.tensor([7, 8])):
        together = module(x, mask)
    with drawn(module, 1, 0, torch.tensor([8])):
        alone = module(x[1:], mask[1:])
    assert not torch.allclose(together, plain)
    torch.testing.assert_close(together[1:], alone)


def test_autocast_keeps_states_in_single_precision():
    module, (x, mask) = layer("gru").float(), batch([5, 3])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        states = module(x.bfloat16(), mask)
    assert states.dtype == torch.float32
    torch.testing.assert_close(states, module(x.bfloat16().float(), mask))


def test_packing_reads_each_document_from_its_own_end():
    mask_BT = torch.arange(3) < torch.tensor([1, 3])[:, None]
    order = Packing.of(mask_BT, 2)
    assert order.sizes == [2, 1, 1]
    # Positions 3, 4, 5 are the second document's; the first's only one is 0.
    assert order.source_ND.tolist() == [[3, 5], [0, 0], [4, 4], [5, 3]]
    assert order.place_PD.tolist() == [[6, 7], [0, 0], [0, 0], [4, 11], [8, 9], [10, 5]]


class TestPooling:
    states = torch.tensor(
        [[[1.0, -2.0], [3.0, -4.0], [9.0, 9.0]], [[5.0, 6.0], [9.0, 9.0], [9.0, 9.0]], [[9.0] * 2] * 3]
    )
    mask = torch.tensor([[True, True, False], [True, False, False], [False] * 3])

    def test_by_hand(self):
        assert masked_mean(self.states, self.mask).tolist() == [[2, -3], [5, 6], [0, 0]]
        assert masked_max(self.states, self.mask).tolist() == [[3, -2], [5, 6], [0, 0]]
        assert masked_last(self.states, self.mask).tolist() == [[3, -4], [5, 6], [0, 0]]
        assert ends(self.states, self.mask, False).tolist() == [[3, -4], [5, 6], [0, 0]]
        assert ends(self.states, self.mask, True).tolist() == [[3, -2], [5, 6], [0, 0]]

    @pytest.mark.parametrize(
        "pool",
        [masked_mean, masked_max, masked_last, AdditiveAttention(2, 3)],
        ids=["mean", "max", "last", "attention"],
    )
    def test_padding_is_not_read(self, pool):
        states = self.states.masked_fill(~self.mask[..., None], 1e6).requires_grad_()
        pooled = pool(states, self.mask)
        pooled.sum().backward()
        torch.testing.assert_close(pooled, pool(self.states, self.mask), rtol=0, atol=0)
        assert (pooled[2] == 0).all()
        assert (states.grad[~self.mask] == 0).all()

    def test_attention_prefers_what_the_query_likes(self):
        attention = AdditiveAttention(2, 1)
        with torch.no_grad():
            attention.project.weight.copy_(torch.tensor([[10.0, 0.0]]))
            attention.project.bias.fill_(-20)
            attention.query.weight.fill_(50)
        torch.testing.assert_close(attention(self.states, self.mask)[0], torch.tensor([3.0, -4.0]))
