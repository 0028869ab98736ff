"""Recurrences that see no more than the last k tokens: one state a token, all windows in step with each other.

The state at token t is that of an RNN that starts at zero k - 1 tokens before t, or at the first token of the text
where that comes later, and stops at t; the other direction mirrors it. A step is taken for all windows of a batch at
once, so there are k steps whatever the length of the text, and every token is multiplied with the input weights once.

Planes are feature-major, ``[features, positions]``: gates are then blocks of whole rows, and the window's s-th token
is a shifted view of one plane. Documents go through in pieces that stay in a processor's cache. What the steps leave for
the backward pass is kept up to a fixed size; for pieces beyond that it is computed again, one piece after another, and
a piece is small enough for its own to fit that size. So memory does not grow with k, but where a single document has
more: no piece is less than that.

Shape letters: B documents, T tokens, E embedding, H hidden, G rows of gates, R directions, P positions of a piece.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from linnaea.nn.layers.compilation import left_alone
from linnaea.nn.layers.dropout import GOLDEN, Dropout, counted, mixed
from linnaea.nn.layers.windowed_cells import CELLS, Cell

# Numbers in a plane of states. On a CPU a piece's planes fit the second-level cache; a GPU wants work.
PIECE, LARGE_PIECE = 1 << 16, 1 << 23
# Numbers that are kept for the backward pass at most: 64 MiB of float32; on a GPU 1 GiB, so that there a usual batch,
# which is one piece, is not computed twice.
KEPT, LARGE_KEPT = 1 << 24, 1 << 28


def limits(device: torch.device) -> tuple[int, int]:
    """Numbers in a plane of states of a piece, and numbers that are kept."""
    return (PIECE, KEPT) if device.type == "cpu" else (LARGE_PIECE, LARGE_KEPT)


class StateDropout(Dropout):
    """Dropout whose masks can be had again: the backward pass hashes the same keys a second time."""

    def keys(self, documents_B: Tensor) -> Tensor | None:
        """int32, one a document; None where nothing is dropped."""
        if not self.training or not self.p:
            return None
        if self.keys_B is None:
            around = torch.iinfo(torch.int32)
            return torch.randint(
                around.min, around.max, (len(documents_B),), dtype=torch.int32, device=documents_B.device
            )
        if len(self.keys_B) != len(documents_B):
            raise ValueError(
                f"dropout has keys of {len(self.keys_B)} documents and values of {len(documents_B)}"
            )
        return self.keys_B


@dataclass(frozen=True, eq=False)
class Plan:
    """What is the same for all documents.

    Attributes:
        kept_from, scale: of the dropout; unused where there are no keys.
    """

    cell: Cell
    window: int
    directions: int
    hidden: int
    kept_from: int = 0
    scale: float = 1.0

    def step_factor(self, piece: Piece, direction: int, step: int, dtype: torch.dtype) -> Tensor | None:
        """``[H or 1, P]``, what the states are multiplied with after a step; None: nothing.

        A window that hangs over the end of the text has no state yet; dropout has a mask of its own for every step.
        """
        away, factor = self.window - 1 - step, None
        if away:
            factor = (piece.room_RP[direction] >= away).to(dtype)[None]
        if piece.keys_P is None:
            return factor
        first = (direction * self.window + step) * self.hidden
        numbers_H = torch.arange(
            first, first + self.hidden, dtype=torch.int32, device=piece.keys_P.device
        ).mul_(GOLDEN)
        kept = mixed(piece.keys_P ^ numbers_H[:, None]) >= self.kept_from
        dropped = kept.to(dtype)
        return dropped.mul_(self.scale) if factor is None else dropped.mul_(factor.mul_(self.scale))

    def leaves(self, positions: int) -> int:
        """Numbers that the steps of one direction leave for the backward pass: gates, states, dropout."""
        planes = self.cell.blocks + (4 if self.cell.remembers else 3)
        return self.window * positions * self.hidden * planes

    def shifted(self, plane: Tensor, direction: int, step: int) -> Tensor:
        """The rows and columns of ``[R·G, P + margins]`` that this step reads: a view."""
        rows, margin = len(plane) // self.directions, self.window - 1
        away = margin - step
        start = margin + away if direction else margin - away
        return plane[direction * rows : (direction + 1) * rows, start : start + plane.shape[1] - 2 * margin]


@dataclass(frozen=True, eq=False)
class Piece:
    """Some documents: their vectors, how many tokens lie on either side, keys of the dropout."""

    vectors_PE: Tensor
    room_RP: Tensor
    keys_P: Tensor | None


def pieces(plan: Plan, vectors_BTE: Tensor, mask_BT: Tensor, keys_B: Tensor | None) -> list[Piece]:
    """All documents in pieces of whole documents, whose leaves may all be kept unless the piece is one document."""
    B, T, E = vectors_BTE.shape
    before_BT = torch.arange(T, device=mask_BT.device).expand(B, T)
    room_RBT = torch.stack([before_BT, mask_BT.sum(1, keepdim=True) - 1 - before_BT])
    numbers, kept = limits(vectors_BTE.device)
    size = max(1, min(numbers // max(1, T * plan.hidden), kept // max(1, plan.leaves(T))))
    found = []
    for first in range(0, B, size):
        part = slice(first, first + size)
        keys_P = None if keys_B is None else counted(keys_B[part], T).reshape(-1)
        found.append(Piece(vectors_BTE[part].reshape(-1, E), room_RBT[:, part].reshape(2, -1), keys_P))
    return found


def projected(plan: Plan, piece: Piece, weight_RGE: Tensor, bias_RG: Tensor) -> Tensor:
    """``[R·G, P + margins]``: the input of every position, for all directions; margins of window - 1 zeros."""
    margin, count = plan.window - 1, len(piece.vectors_PE)
    plane = weight_RGE.new_zeros(bias_RG.numel(), count + 2 * margin)
    centre = plane[:, margin : margin + count]
    torch.mm(weight_RGE.flatten(0, 1), piece.vectors_PE.T, out=centre)
    centre += bias_RG.reshape(-1, 1)
    return plane


def run_window(
    plan: Plan,
    piece: Piece,
    plane: Tensor,
    direction: int,
    weight_GH: Tensor,
    inner_H: Tensor | None,
    keep: bool,
) -> tuple[Tensor, list[Any]]:
    """The last states ``[H, P]`` of one direction, and with ``keep`` what each step leaves for the way back."""
    states: Any = None
    steps = []
    for step in range(plan.window):
        x_GP = plan.shifted(plane, direction, step)
        states, kept = plan.cell.step(x_GP, states, weight_GH, inner_H)
        factor = plan.step_factor(piece, direction, step, plane.dtype)
        if keep:
            steps.append((kept, factor))
        states = through(plan, piece, direction, step, states, factor)
    return states[0], steps


def through(plan: Plan, piece: Piece, direction: int, step: int, states: Any, factor: Tensor | None) -> Any:
    """States, or their gradients, times the factor; c is dropped nowhere, but is zero before the text too."""
    if factor is None:
        return states
    first = states[0] * factor
    if len(states) == 1:
        return (first,)
    away = plan.window - 1 - step
    second = states[1]
    if away and second is not None:
        second = second * (piece.room_RP[direction] >= away).to(first.dtype)
    return (first, second)


class WindowStates(torch.autograd.Function):
    """``[B, T, R·H]``: the states of all windows. At padding they are finite, and mean nothing."""

    @staticmethod
    def forward(
        ctx: Any, vectors_BTE: Tensor, weight_RGE: Tensor, weight_RGH: Tensor, bias_RG: Tensor,
        inner_RH: Tensor | None, mask_BT: Tensor, keys_B: Tensor | None, plan: Plan,
    ) -> Tensor:  # fmt: skip
        ctx.save_for_backward(vectors_BTE, weight_RGE, weight_RGH, bias_RG, inner_RH, mask_BT, keys_B)
        ctx.plan = plan
        ctx.kept, H = {}, plan.hidden
        left = limits(vectors_BTE.device)[1] if any(ctx.needs_input_grad) else 0
        states = vectors_BTE.new_empty(*mask_BT.shape, plan.directions * H)
        rows = states.view(-1, plan.directions * H)
        first = 0
        for piece in pieces(plan, vectors_BTE, mask_BT, keys_B):
            plane = projected(plan, piece, weight_RGE, bias_RG)
            after = first + len(piece.vectors_PE)
            for way in range(plan.directions):
                inner_H = None if inner_RH is None else inner_RH[way]
                left -= plan.leaves(after - first)
                last, steps = run_window(plan, piece, plane, way, weight_RGH[way], inner_H, keep=left >= 0)
                rows[first:after, way * H : (way + 1) * H] = last.T
                if steps:
                    ctx.kept[first, way] = steps
            first = after
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_BTD: Tensor) -> tuple[Tensor | None, ...]:
        with torch.autocast(grad_BTD.device.type, enabled=False):
            return WindowStates._backward(ctx, grad_BTD)

    @staticmethod
    def _backward(ctx: Any, grad_BTD: Tensor) -> tuple[Tensor | None, ...]:
        vectors_BTE, weight_RGE, weight_RGH, bias_RG, inner_RH, mask_BT, keys_B = ctx.saved_tensors
        plan: Plan = ctx.plan
        H, margin = plan.hidden, plan.window - 1
        sums = [torch.zeros_like(weight) for weight in (weight_RGE, weight_RGH, bias_RG)]
        into_inner = None if inner_RH is None else torch.zeros_like(inner_RH)
        grad_rows = grad_BTD.reshape(-1, plan.directions * H)
        into_vectors = torch.empty_like(vectors_BTE, memory_format=torch.contiguous_format)
        into_rows = into_vectors.view(-1, vectors_BTE.shape[2])
        first = 0
        for piece in pieces(plan, vectors_BTE, mask_BT, keys_B):
            after = first + len(piece.vectors_PE)
            plane = None
            into_plane = weight_RGE.new_zeros(bias_RG.numel(), after - first + 2 * margin)
            for way in range(plan.directions):
                grad_HP = grad_rows[first:after, way * H : (way + 1) * H].T.contiguous()
                inner_H = None if inner_RH is None else inner_RH[way]
                steps = ctx.kept.pop((first, way), None)
                if steps is None:
                    plane = projected(plan, piece, weight_RGE, bias_RG) if plane is None else plane
                    _, steps = run_window(plan, piece, plane, way, weight_RGH[way], inner_H, keep=True)
                into = (into_plane, sums[1][way], None if into_inner is None else into_inner[way])
                _back(plan, piece, way, grad_HP, steps, weight_RGH[way], *into)
            centre = into_plane[:, margin : margin + after - first]
            torch.mm(centre.T, weight_RGE.flatten(0, 1), out=into_rows[first:after])
            sums[0].view(-1, sums[0].shape[2]).addmm_(centre, piece.vectors_PE)
            sums[2].view(-1).add_(centre.sum(1))
            first = after
        return into_vectors, *sums, into_inner, None, None, None


def _back(
    plan: Plan, piece: Piece, way: int, grad_HP: Tensor, steps: list[Any], weight_GH: Tensor,
    into_plane: Tensor, into_weight: Tensor, into_inner: Tensor | None,
) -> None:  # fmt: skip
    """The way back through one direction's steps, the last one first."""
    grads: Any = (grad_HP, None) if plan.cell.remembers else (grad_HP,)
    for step in reversed(range(plan.window)):
        kept, factor = steps[step]
        grads = through(plan, piece, way, step, grads, factor)
        product, grads = plan.cell.back(grads, kept, weight_GH, plan.shifted(into_plane, way, step))
        if kept[0] is not None:
            into_weight.addmm_(product, kept[0][0].T)
        if into_inner is not None:
            into_inner += product[-plan.hidden :].sum(1)
        steps[step] = None


class WindowedRecurrence(nn.Module):
    """``[B, T, E]`` to ``[B, T, R·H]``, and nothing that means anything at padding.

    Args:
        cell: "rnn" (tanh), "gru" or "lstm"; equations and order of the gates are torch's.
        window: k, the tokens that a state has seen.
        bidirectional: R = 2; the second half of the columns has read the k tokens from t on, the last first.
        dropout: on the state after each step; an LSTM's cell c is left alone.
    """

    def __init__(
        self, cell: str, input_dim: int, hidden: int, *, window: int, bidirectional: bool, dropout: float
    ) -> None:
        left_alone(WindowedRecurrence)
        super().__init__()
        kind, directions = CELLS[cell](), 2 if bidirectional else 1
        rows, self.output_dim = kind.blocks * hidden, directions * hidden
        self.dropout = StateDropout(dropout)
        self.plan = Plan(kind, window, directions, hidden, self.dropout.kept_from, 1 / (1 - dropout))
        self.input_weight = nn.Parameter(torch.empty(directions, rows, input_dim))
        self.state_weight = nn.Parameter(torch.empty(directions, rows, hidden))
        self.bias = nn.Parameter(torch.empty(directions, rows))
        self.inner_bias = nn.Parameter(torch.empty(directions, hidden)) if kind.inner else None
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(hidden**-0.5), hidden**-0.5)

    def forward(self, vectors_BTE: Tensor, mask_BT: Tensor) -> Tensor:
        """Under autocast too states are in the weights' own precision."""
        with torch.autocast(vectors_BTE.device.type, enabled=False):
            keys_B = self.dropout.keys(vectors_BTE)
            return WindowStates.apply(  # type: ignore[no-untyped-call,no-any-return]
                vectors_BTE.to(self.bias.dtype), self.input_weight, self.state_weight, self.bias,
                self.inner_bias, mask_BT, keys_B, self.plan,
            )  # fmt: skip
