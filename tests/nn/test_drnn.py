"""DRNN against its float64 twin, against torch's own cells and against plain autograd."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from linnaea.config.encoders_recurrent import DRNNConfig
from linnaea.errors import ConfigError
from linnaea.nn.encoders.drnn import DRNN
from linnaea.nn.layers import windowed
from linnaea.nn.layers.dropout import drawn
from linnaea.nn.layers.windowed import StateDropout, WindowedRecurrence
from tests.references.drnn import drnn, window_states

E = 4
CELLS = ["rnn", "gru", "lstm"]
TORCH = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
every_cell = pytest.mark.parametrize("cell", CELLS)


def encoder(seed: int = 0, **settings) -> DRNN:
    torch.manual_seed(seed)
    module = DRNN(DRNNConfig.read({"hidden": 3, **settings}), input_dim=E).double()
    normalization = module.normalization
    with torch.no_grad():
        for values in (normalization.running_mean, normalization.bias):
            values.normal_()
        for values in (normalization.running_var, normalization.weight):
            values.uniform_(0.5, 2)
    return module


def padded(lengths: list[int], seed: int = 0, extra: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    T = max(1, *lengths) + extra
    mask_BT = torch.arange(T) < torch.tensor(lengths)[:, None]
    # Padding is left as it is drawn: nothing may read it.
    return torch.randn(len(lengths), T, E, generator=generator, dtype=torch.float64), mask_BT


def weights(layer: WindowedRecurrence) -> list[tuple]:
    def of(values: Tensor, direction: int) -> np.ndarray:
        return values[direction].detach().numpy()

    inner = layer.inner_bias
    return [
        (*(of(w, d) for w in (layer.input_weight, layer.state_weight, layer.bias)),
         None if inner is None else of(inner, d))
        for d in range(len(layer.bias))
    ]  # fmt: skip


def twin(module: DRNN, vectors_BTE: Tensor, mask_BT: Tensor) -> np.ndarray:
    plan, normalization = module.recurrence.plan, module.normalization
    norm = [normalization.running_mean, normalization.running_var, normalization.weight, normalization.bias]
    perceptron = [p.detach().numpy() for p in (module.perceptron.weight, module.perceptron.bias)]
    cell = next(name for name in CELLS if isinstance(plan.cell, windowed.CELLS[name]))
    return np.array(
        [
            drnn(
                row[mask].numpy(), weights(module.recurrence),
                [*(values.detach().numpy() for values in norm), normalization.eps], perceptron,
                cell=cell, window=plan.window, hidden=plan.hidden,
            )
            for row, mask in zip(vectors_BTE, mask_BT, strict=True)
        ]
    )  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=5),
    cell=st.sampled_from(CELLS),
    window=st.integers(2, 7),
    bidirectional=st.booleans(),
    output=st.sampled_from([None, 5]),
    extra=st.integers(0, 4),
    seed=st.integers(0, 1000),
)
def test_equals_the_twin(lengths, cell, window, bidirectional, output, extra, seed):
    module = encoder(seed, cell=cell, window=window, bidirectional=bidirectional, output=output).eval()
    batch = padded(lengths, seed, extra)
    encoded = module.encode(*batch)
    assert encoded.pooled_BD.shape == (len(lengths), output or 3)
    np.testing.assert_allclose(encoded.pooled_BD.detach(), twin(module, *batch), rtol=0, atol=1e-10)


@pytest.mark.parametrize("piece", [1, 40, 1 << 20])
def test_pieces_change_nothing(monkeypatch: pytest.MonkeyPatch, piece: int):
    monkeypatch.setattr(windowed, "PIECE", piece)
    module = encoder(window=4, bidirectional=True).eval()
    batch = padded([5, 0, 9, 2, 1, 7], extra=2)
    np.testing.assert_allclose(module.encode(*batch).pooled_BD.detach(), twin(module, *batch), atol=1e-10)


@every_cell
@pytest.mark.parametrize("direction", [0, 1])
def test_a_text_within_the_window_is_read_as_torch_reads_it(cell: str, direction: int):
    layer = WindowedRecurrence(cell, E, 3, window=6, bidirectional=True, dropout=0.0).double()
    theirs = TORCH[cell](E, 3, batch_first=True).double()
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(layer.input_weight[direction])
        theirs.weight_hh_l0.copy_(layer.state_weight[direction])
        theirs.bias_ih_l0.copy_(layer.bias[direction])
        theirs.bias_hh_l0.zero_()
        if layer.inner_bias is not None:
            theirs.bias_hh_l0[-3:] = layer.inner_bias[direction]
    vectors, mask = padded([6, 6])
    flip = (lambda values: values.flip(1)) if direction else (lambda values: values)
    expected = flip(theirs(flip(vectors))[0])
    mine = layer(vectors, mask)[..., 3 * direction :][..., :3]
    torch.testing.assert_close(mine, expected, rtol=0, atol=1e-12)


def naive(layer: WindowedRecurrence, vectors_BTE: Tensor, mask_BT: Tensor) -> Tensor:
    """Torch's cells over a copy of every window, differentiated by torch."""
    plan, kinds = layer.plan, {"RNNCell": nn.RNNCell, "GRUCell": nn.GRUCell, "LSTMCell": nn.LSTMCell}
    cell = kinds[type(plan.cell).__name__](E, plan.hidden).double()
    rows = []
    for vectors, length in zip(vectors_BTE, mask_BT.sum(1).tolist(), strict=True):
        for t in range(len(vectors)):
            for direction in range(plan.directions):
                span = range(t - plan.window + 1, t + 1)
                if direction:
                    span = range(t + plan.window - 1, t - 1, -1)
                driven = layer.bias[direction] * 0
                if layer.inner_bias is not None:
                    driven = torch.cat([driven[: -plan.hidden], layer.inner_bias[direction]])
                given = {
                    "weight_ih": layer.input_weight[direction],
                    "weight_hh": layer.state_weight[direction],
                    "bias_ih": layer.bias[direction],
                    "bias_hh": driven,
                }
                state = None
                for place in span:
                    if 0 <= place < length and t < length:
                        step = (vectors[place], state) if state is not None else (vectors[place],)
                        state = torch.func.functional_call(cell, given, step)
                h = state[0] if isinstance(state, tuple) else state
                rows.append(vectors.new_zeros(plan.hidden) if h is None else h)
    return torch.stack(rows).view(*mask_BT.shape, -1)


@every_cell
@pytest.mark.parametrize("window", [2, 4])
@pytest.mark.parametrize("kept", [0, 1000, 1 << 24])
def test_gradients_equal_plain_autograd(monkeypatch: pytest.MonkeyPatch, cell: str, window: int, kept: int):
    """Whether steps are kept for the way back (all, of some pieces, none) or computed again."""
    monkeypatch.setattr(windowed, "PIECE", 40)
    monkeypatch.setattr(windowed, "KEPT", kept)
    torch.manual_seed(1)
    layer = WindowedRecurrence(cell, E, 3, window=window, bidirectional=True, dropout=0.0).double()
    vectors, mask = padded([6, 0, 1, 3, 7], extra=1)
    weight = torch.randn(*mask.shape, 6, dtype=torch.float64) * mask[..., None]
    gradients = []
    for function in (layer, lambda v, m: naive(layer, v, m)):
        layer.zero_grad()
        leaf = vectors.clone().requires_grad_()
        states = function(leaf, mask)
        (states * weight).sum().backward()
        found = [states * mask[..., None], leaf.grad, *[p.grad.clone() for p in layer.parameters()]]
        gradients.append(found)
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-12)


class Allocations(TorchDispatchMode):
    """Bytes of the storages that live at once, at most: of those that are made inside the context."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self.seen: set[int] = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for value in tree_leaves(result):
            storage = value.untyped_storage() if isinstance(value, Tensor) else None
            if storage is not None and id(storage) not in self.seen:
                self.seen.add(id(storage))
                self.live += storage.nbytes()
                weakref.finalize(storage, self.freed, id(storage), storage.nbytes())
        self.peak = max(self.peak, self.live)
        return result

    def freed(self, number: int, size: int) -> None:
        self.seen.remove(number)
        self.live -= size


@pytest.mark.slow
@every_cell
@pytest.mark.parametrize("pieces", ["small", "large"])
def test_memory_does_not_grow_with_the_window(monkeypatch: pytest.MonkeyPatch, cell: str, pieces: str):
    """The original holds every token of every window. Large pieces are a GPU's, on which a batch is one."""
    kept = 1 << 15
    monkeypatch.setattr(windowed, "PIECE", 1 << (10 if pieces == "small" else 23))
    monkeypatch.setattr(windowed, "KEPT", kept)
    vectors, mask = padded([16] * 64)
    peaks, steps = {}, {}
    for window in (2, 32):
        layer = WindowedRecurrence(cell, E, 8, window=window, bidirectional=True, dropout=0.25).double()
        leaf = vectors.clone().requires_grad_()
        with Allocations() as allocations:
            layer(leaf, mask).square().sum().backward()
        peaks[window], steps[window] = allocations.peak, layer.plan.leaves(mask.numel()) * 2
    assert steps[32] > 25 * kept  # it would have grown
    assert peaks[32] - peaks[2] < 1.5 * kept * vectors.element_size()


def test_a_usual_batch_of_a_gpu_is_not_computed_twice():
    plan = WindowedRecurrence("gru", 64, 64, window=15, bidirectional=True, dropout=0.1).plan
    kept = windowed.limits(torch.device("cuda"))[1]
    assert plan.directions * plan.leaves(64 * 256) <= kept


@pytest.mark.parametrize("kept", [0, 1 << 24])
def test_the_way_back_inside_autocast(monkeypatch: pytest.MonkeyPatch, kept: int):
    monkeypatch.setattr(windowed, "KEPT", kept)
    layer = WindowedRecurrence("gru", E, 3, window=3, bidirectional=True, dropout=0.0)
    vectors, mask = padded([5, 2])
    gradients = []
    for enabled in (False, True):
        layer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            layer(vectors.float(), mask).sum().backward()
        gradients.append([p.grad.clone() for p in layer.parameters()])
    torch.testing.assert_close(gradients[1], gradients[0])


def test_a_graph_can_be_read_twice():
    module = encoder(bidirectional=True, dropout=0.4)
    total = module.encode(*padded([5, 2])).pooled_BD.square().sum()
    first = torch.autograd.grad(total, module.recurrence.parameters(), retain_graph=True)
    torch.testing.assert_close(torch.autograd.grad(total, module.recurrence.parameters()), first)


@every_cell
@pytest.mark.parametrize("kept", [0, 1 << 24])
def test_gradcheck_with_dropout(monkeypatch: pytest.MonkeyPatch, cell: str, kept: int):
    monkeypatch.setattr(windowed, "KEPT", kept)
    module = encoder(cell=cell, window=3, bidirectional=True, dropout=0.4)
    vectors, mask = padded([4, 1, 0])

    def states(values: Tensor, *_: Tensor) -> Tensor:
        with drawn(module, seed=5, step=1, rows_B=torch.arange(3)):
            return module.recurrence(values, mask)

    assert torch.autograd.gradcheck(states, (vectors.requires_grad_(), *module.recurrence.parameters()))


def dropped(module: DRNN, lengths: list[int]) -> tuple[np.ndarray, dict]:
    """States of a batch in training, and the factors that dropout puts to each (document, direction, step, token)."""
    vectors, mask = padded(lengths)
    layer, plan = module.recurrence, module.recurrence.plan
    with drawn(module, seed=3, step=2, rows_B=torch.arange(len(lengths))):
        keys = layer.dropout.keys(vectors)
        states = layer(vectors, mask).detach().numpy()
        factors = {}
        for piece_b in range(len(lengths)):
            (piece,) = windowed.pieces(plan, vectors[piece_b : piece_b + 1], mask[piece_b : piece_b + 1],
                                       keys[piece_b : piece_b + 1])  # fmt: skip
            for direction in range(plan.directions):
                for step in range(plan.window):
                    factor = plan.step_factor(piece, direction, step, torch.float64)
                    factors |= {
                        (piece_b, direction, step, t): factor[:, t].numpy() for t in range(lengths[piece_b])
                    }
    return states, factors


@every_cell
def test_dropout_acts_in_every_step_of_both_directions_alike(cell: str):
    """The original leaves out steps of the backward direction."""
    lengths, window = [9, 12, 2], 3
    module = encoder(cell=cell, window=window, bidirectional=True, dropout=0.5, hidden=8)
    states, factors = dropped(module, lengths)
    vectors, _ = padded(lengths)
    for document, length in enumerate(lengths):
        expected = window_states(
            vectors[document, :length].numpy(), weights(module.recurrence), cell=cell, window=window, hidden=8,
            factors=lambda direction, step, t, document=document: factors[document, direction, step, t],
        )  # fmt: skip
        np.testing.assert_allclose(states[document, :length], expected, rtol=0, atol=1e-10)
    for direction in range(2):
        for step in range(window):
            # Tokens whose windows lie within the text, in all of their steps.
            found = np.concatenate([factors[1, direction, step, t] for t in range(2, 10)])
            assert set(found) == {0.0, 2.0}, (direction, step)
            others = [(d, s) for d in range(2) for s in range(window) if (d, s) != (direction, step)]
            for d, s in others:
                assert (found != np.concatenate([factors[1, d, s, t] for t in range(2, 10)])).any()


def test_dropout_drops_its_share():
    layer = WindowedRecurrence("gru", E, 64, window=2, bidirectional=False, dropout=0.25)
    vectors = torch.zeros(64, 30, E)
    keys = layer.dropout.keys(vectors)
    assert keys is not None
    for piece in windowed.pieces(layer.plan, vectors, torch.ones(64, 30, dtype=torch.bool), keys)[:1]:
        factor = layer.plan.step_factor(piece, 0, 1, torch.float64)
        assert abs((factor == 0).double().mean().item() - 0.25) < 0.01
        assert factor.max() == pytest.approx(4 / 3)


def test_dropout_of_a_document_depends_on_neither_batch_nor_padding():
    module = encoder(window=3, bidirectional=True, dropout=0.5)
    vectors, mask = padded([5, 9, 3])
    with drawn(module, seed=1, step=1, rows_B=torch.tensor([7, 8, 9])):
        together = module.recurrence(vectors, mask)[2, :3]
    with drawn(module, seed=1, step=1, rows_B=torch.tensor([9])):
        alone = module.recurrence(vectors[2:, :3], mask[2:, :3])[0]
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-12)


def test_dropout_rejects_keys_of_other_documents():
    layer = StateDropout(0.5)
    layer.keys_B = torch.zeros(3, dtype=torch.int32)
    with pytest.raises(ValueError, match="3 documents and values of 2"):
        layer.keys(torch.zeros(2, 1, 1))


def test_the_lstm_cell_works_and_learns():
    """The original assigns to a tuple and crashes."""
    module = encoder(cell="lstm", window=3, bidirectional=True)
    encoded = module.encode(*padded([5, 2, 8]))
    assert encoded.pooled_BD.isfinite().all()
    encoded.pooled_BD.square().sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


@every_cell
@pytest.mark.parametrize("training", [False, True])
def test_batch_of_one(cell: str, training: bool):
    """The original squeezes the axis of documents away."""
    for length in (0, 1, 6):
        encoded = encoder(cell=cell, bidirectional=True).train(training).encode(*padded([length]))
        assert encoded.pooled_BD.shape == (1, 3)
        assert encoded.states_BSD.shape == (1, max(1, length), 6)
        assert encoded.pooled_BD.isfinite().all()


def test_padding_and_neighbours_change_nothing():
    """Statistics of training are over real tokens too."""
    module = encoder(window=4, bidirectional=True, dropout=0.0).train()
    vectors, mask = padded([6, 3, 8])
    longer = torch.cat([vectors, torch.randn(3, 5, E, dtype=torch.float64)], 1)
    longer_mask = nn.functional.pad(mask, (0, 5))
    with_padding = module.encode(longer, longer_mask).pooled_BD
    torch.testing.assert_close(with_padding, module.encode(vectors, mask).pooled_BD, rtol=0, atol=1e-10)
    module.eval()
    alone = torch.cat([module.encode(vectors[b : b + 1], mask[b : b + 1]).pooled_BD for b in range(3)])
    torch.testing.assert_close(module.encode(longer, longer_mask).pooled_BD, alone, rtol=0, atol=1e-10)


def test_a_state_sees_its_window_and_nothing_else():
    module = encoder(window=3, bidirectional=True).eval()
    vectors, mask = padded([9])
    states = module.recurrence(vectors, mask)
    vectors[0, 4] += 1
    changed = (module.recurrence(vectors, mask) != states)[0]
    assert changed[:, :3].any(1).tolist() == [4 <= t <= 6 for t in range(9)]
    assert changed[:, 3:].any(1).tolist() == [2 <= t <= 4 for t in range(9)]


def test_states_are_normalised_and_zero_at_padding():
    encoded = encoder(bidirectional=True).encode(*padded([4, 0, 7]))
    assert (encoded.states_BSD[~encoded.mask_BS] == 0).all()


@pytest.mark.parametrize(
    "given", [{"window": 1}, {"hidden": 0}, {"cell": "elman"}, {"dropout": 1.0}], ids=str
)
def test_settings_out_of_range(given: dict):
    with pytest.raises(ConfigError):
        DRNNConfig.read(given)
