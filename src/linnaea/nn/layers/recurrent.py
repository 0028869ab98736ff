"""Recurrent layers over texts of unequal length: torch's weights and numbers, in a fraction of its time on a CPU.

A step works on those documents alone that are still running, and both directions take it together, the second from each
document's own end; padding is never read. What can be done for many steps at once is: the inputs' products before a run
of steps (for distinct tokens only, where they are known), the gradients of weights and inputs after it. The backward
pass is written by hand: it keeps the gates, and a step of it is two to five operations. On CUDA cuDNN does the work.

Shape letters: B documents, T tokens, P = B·T positions, E input, D directions, H hidden, S = D·H, G gates times H;
N rows, one for each token (``Packing``), n documents of a step; U distinct tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from linnaea.config.encoders_recurrent import RecurrentConfig
from linnaea.nn.layers.cells import GRU, LSTM, Cell, Relu, Tanh
from linnaea.nn.layers.compilation import left_alone
from linnaea.nn.layers.dropout import Dropout
from linnaea.nn.layers.packing import Packing, Run, Track
from linnaea.nn.layers.repeats import Repeats
from linnaea.nn.network import Embedded


class _Fed:
    """Fills rows of gates with what bias and inputs give them."""

    def __init__(
        self, x_PE: Tensor, input_DEG: Tensor, bias_DG: Tensor, packing: Packing, repeats: Repeats | None
    ) -> None:
        self.x_PE, self.input_DEG, self.bias_DG, self.packing = x_PE, input_DEG, bias_DG, packing
        self.index_ND, self.table = None, None
        if repeats is not None:
            D = packing.directions
            place_ND = repeats.place_BT.view(-1)[packing.source_ND]
            self.index_ND = place_ND * D + torch.arange(D)
            self.table = x_PE.new_empty(len(repeats.first_U), D, bias_DG.shape[1])
            self._multiply(self.table, [x_PE.index_select(0, repeats.first_U)] * D)

    def fill(self, run: Run, out_NDG: Tensor) -> None:
        if self.table is not None and self.index_ND is not None:
            index_N, flat = self.index_ND[run.rows].view(-1), self.table.view(-1, self.table.shape[2])
            torch.index_select(flat, 0, index_N, out=out_NDG.view(-1, out_NDG.shape[2]))
        else:
            self._multiply(out_NDG, self.inputs(run))

    def inputs(self, run: Run) -> list[Tensor]:
        """``[rows, E]`` of each direction."""
        return [
            self.x_PE.index_select(0, source_N) for source_N in self.packing.source_ND[run.rows].unbind(1)
        ]

    def _multiply(self, out_NDG: Tensor, inputs: list[Tensor]) -> None:
        out_NDG.copy_(self.bias_DG)
        for d, x_NE in enumerate(inputs):
            out_NDG[:, d, -self.input_DEG.shape[2] :].addmm_(x_NE, self.input_DEG[d])


class _Recurrence(torch.autograd.Function):
    """Inputs ``[P, E]`` to states ``[P, S]``; ``keep``: there will be a backward pass."""

    @staticmethod
    def forward(
        ctx: Any, x_PE: Tensor, input_DEG: Tensor, state_DHG: Tensor, bias_DG: Tensor, cell: Cell,
        packing: Packing, repeats: Repeats | None, keep: bool,
    ) -> Tensor:  # fmt: skip
        H, runs, keep_gates = state_DHG.shape[1], packing.runs(), keep and cell.keeps
        tracks = [Track(packing, x_PE, H, cell.start)]
        tracks += [Track(packing, x_PE, H)] if cell.remembers else []
        room = runs[-1].stop if keep_gates else max(run.stop - run.start for run in runs)
        gates_NDG = x_PE.new_empty(room, packing.directions, cell.width * H)
        fed = _Fed(x_PE, input_DEG, bias_DG, packing, repeats)
        for run in runs:
            part_NDG = gates_NDG[run.rows] if keep_gates else gates_NDG[: run.stop - run.start]
            fed.fill(run, part_NDG)
            for step, views in enumerate(packing.steps(run, part_NDG, H, cell.views), run.begin):
                before, *memory_before = (track.before(step) for track in tracks)
                after, *memory_after = (track.after(step) for track in tracks)
                cell.step(views, before, after, (*memory_before, *memory_after), state_DHG)
        if keep:
            ctx.save_for_backward(x_PE, input_DEG, state_DHG, bias_DG)
            ctx.kept = cell, packing, tracks, gates_NDG
        states_PS = packing.unpacked(tracks[0].values).flatten(1)
        return states_PS if cell.scale == 1 else states_PS.mul_(cell.scale).add_(cell.shift)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_PS: Tensor) -> tuple[Tensor | None, ...]:
        x_PE, input_DEG, state_DHG, bias_DG = ctx.saved_tensors
        cell, packing, tracks, gates_NDG = ctx.kept
        H, back = state_DHG.shape[1], _StepsBack(cell, packing, tracks, gates_NDG)
        back.begin(grad_PS, state_DHG)
        fed = _Fed(x_PE, input_DEG, bias_DG, packing, None)
        into_x, into_input, into_state, into_bias = map(
            torch.zeros_like, (x_PE, input_DEG, state_DHG, bias_DG)
        )
        for run in reversed(packing.runs()):
            into_gates = back.run(run)
            into_bias += into_gates.sum(0)
            before = tracks[0].rows_before(run)
            for d, x_NE in enumerate(fed.inputs(run)):
                from_input, from_state = (
                    into_gates[:, d, -cell.fed * H :],
                    into_gates[:, d, : cell.driven * H],
                )
                into_input[d].addmm_(x_NE.mT, from_input)
                into_state[d].addmm_(before[:, d].mT, from_state)
                into_x.index_add_(0, packing.source_ND[run.rows, d], from_input @ input_DEG[d].mT)
        return into_x, into_input, into_state, into_bias, None, None, None, None


class _StepsBack:
    """The steps of a backward pass, from the last to the first."""

    def __init__(self, cell: Cell, packing: Packing, tracks: list[Track], gates_NDG: Tensor) -> None:
        self.cell, self.packing, self.tracks, self.gates_NDG = cell, packing, tracks, gates_NDG

    def begin(self, grad_PS: Tensor, state_DHG: Tensor) -> None:
        """Take in what the states' users send back."""
        D, H, _ = state_DHG.shape
        self.H, self.back_DGH = H, state_DHG.mT.contiguous()
        self.flow = Track(self.packing, grad_PS, H)
        rows_NDH = self.flow.values[self.packing.sizes[0] :]
        self.packing.pack(grad_PS, rows_NDH)
        rows_NDH.mul_(self.cell.scale)
        self.memory = grad_PS.new_zeros(D, self.packing.sizes[0], H) if self.cell.remembers else None
        longest, blocks = max(run.stop - run.start for run in self.packing.runs()), self.cell.back[-1][1]
        self.scratch = grad_PS.new_empty(longest, D, blocks, H)

    def run(self, run: Run) -> Tensor:
        """The gradients of the gates of a run, ``[rows, D, G]``; good until the next."""
        cell, part = self.cell, self.scratch[: run.stop - run.start]
        before, *memory_before = (track.rows_before(run) for track in self.tracks)
        after, *memory_after = (track.rows_after(run) for track in self.tracks)
        gates = self.gates_NDG[run.rows].view(part.shape[0], -1, cell.width, self.H) if cell.keeps else part
        cell.factors(gates, before, after, (*memory_before, *memory_after), part)
        flat = part.flatten(2)
        steps = list(self.packing.steps(run, flat, self.H, cell.back))
        for step in reversed(range(run.begin, run.end)):
            memory = None if self.memory is None else self.memory[:, : self.packing.sizes[step]]
            later, earlier = self.flow.after(step), self.flow.before(step)
            cell.step_back(steps[step - run.begin], later, earlier, memory, self.back_DGH)
        return flat[..., : cell.width * self.H]


CELLS: dict[str, tuple[Cell, Callable[..., nn.Module]]] = {
    "gru": (GRU(), nn.GRU),
    "lstm": (LSTM(), nn.LSTM),
    "rnn": (Tanh(), nn.RNN),
}
NAMES = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")


class Recurrent(nn.Module):
    """States of all tokens, ``[B, T, S]`` with S = directions · hidden; 0 at padding.

    ``layers`` are torch's own modules of one layer each, so weights have torch's names and shapes.

    Args:
        cell: the equations are those of ``torch.nn.GRU``, ``LSTM``, ``RNN``.
        input_dim, hidden: E and H; ``bidirectional`` doubles S.
        layers: each over the states of the one before.
        dropout: on the states between layers.
        nonlinearity: of "rnn".
    """

    def __init__(
        self, cell: Literal["rnn", "lstm", "gru"], input_dim: int, hidden: int, *, layers: int = 1,
        bidirectional: bool = True, dropout: float = 0.0, nonlinearity: Literal["tanh", "relu"] = "tanh",
    ) -> None:  # fmt: skip
        left_alone(Recurrent)
        super().__init__()
        self.cell, kind = CELLS[cell]
        options: dict[str, Any] = {"batch_first": True, "bidirectional": bidirectional}
        if cell == "rnn":
            options["nonlinearity"] = nonlinearity
            self.cell = Relu() if nonlinearity == "relu" else self.cell
        self.directions = 2 if bidirectional else 1
        self.output_dim = hidden * self.directions
        widths = [input_dim] + [self.output_dim] * (layers - 1)
        self.layers = nn.ModuleList(kind(width, hidden, **options) for width in widths)
        self.dropouts = nn.ModuleList(Dropout(dropout) for _ in range(layers - 1))

    @classmethod
    def of(cls, config: RecurrentConfig, input_dim: int) -> Recurrent:
        """As the settings say."""
        return cls(
            config.cell, input_dim, config.hidden, layers=config.layers, bidirectional=config.bidirectional,
            dropout=config.dropout, nonlinearity=config.nonlinearity,
        )  # fmt: skip

    def repeats(self, embedded: Embedded) -> Repeats | None:
        """Those to hand to ``forward``: in training they would save a twentieth of the time, and cost memory."""
        return None if torch.is_grad_enabled() else Repeats.within(embedded)

    def forward(self, vectors_BTE: Tensor, mask_BT: Tensor, repeats: Repeats | None = None) -> Tensor:
        """``repeats`` are those of the vectors. Under autocast too states are in the weights' own precision."""
        with torch.autocast(vectors_BTE.device.type, enabled=False):
            states = vectors_BTE.to(next(self.parameters()).dtype)
            through = self._through(mask_BT, states.is_cuda, repeats)
            for index, layer in enumerate(self.layers):
                states = through(layer, states, index)
                if index < len(self.dropouts):
                    states = self.dropouts[index](states)
        return states

    def _through(self, mask_BT: Tensor, cudnn: bool, repeats: Repeats | None) -> Callable[..., Tensor]:
        """What takes a layer, its inputs and its number, and gives its states."""
        if cudnn:
            lengths_B = mask_BT.sum(1).clamp(min=1).cpu()  # cuDNN wants them there
            return lambda layer, x_BTE, _: _by_cudnn(layer, x_BTE, mask_BT, lengths_B)
        packing = Packing.of(mask_BT, self.directions)
        return lambda layer, x_BTE, index: self._by_steps(layer, x_BTE, packing, None if index else repeats)

    def _by_steps(self, layer: nn.Module, x_BTE: Tensor, packing: Packing, repeats: Repeats | None) -> Tensor:
        B, T, E = x_BTE.shape
        if not packing.sizes:
            # Nothing to read. Sums of nothing, so that all that should have a gradient has one, of zeros.
            return x_BTE.new_zeros(B, T, self.output_dim) + sum(
                p[:0].sum() for p in [x_BTE, *layer.parameters()]
            )
        suffixes = ["", "_reverse"][: self.directions]
        each = [self.cell.weights(*(getattr(layer, name + suffix) for name in NAMES)) for suffix in suffixes]
        weights = [torch.stack(same) for same in zip(*each, strict=True)]
        keep = torch.is_grad_enabled() and (x_BTE.requires_grad or any(w.requires_grad for w in weights))
        states_PS = _Recurrence.apply(  # type: ignore[no-untyped-call]
            x_BTE.reshape(B * T, E), *weights, self.cell, packing, repeats, keep
        )
        return states_PS.view(B, T, -1)  # type: ignore[no-any-return]


def _by_cudnn(layer: nn.Module, x_BTE: Tensor, mask_BT: Tensor, lengths_B: Tensor) -> Tensor:
    closed_BT1 = ~mask_BT[..., None]
    # It refuses empty documents: they count as one token of zeros, whose state goes away afterwards.
    read_BTE = x_BTE.masked_fill(closed_BT1, 0)
    packed = pack_padded_sequence(read_BTE, lengths_B, batch_first=True, enforce_sorted=False)
    # Out of training cuDNN keeps nothing for a backward pass. Nothing else depends on it: the layer has no dropout.
    training = layer.training
    layer.train(training or torch.is_grad_enabled())
    try:
        read = layer(packed)[0]
    finally:
        layer.train(training)
    states = pad_packed_sequence(read, batch_first=True, total_length=x_BTE.shape[1])[0]
    return states.masked_fill(closed_BT1, 0)
