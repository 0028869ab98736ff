"""The recurrence of K bidirectional GRUs over the same texts: one set of steps for all of them.

The numbers are those of ``layers/recurrent.py``, whose cell and order of work (``Packing``) it takes: a step is one batched
product over K networks and two directions, and a few operations on all their gates. So a step costs a GPU a handful of
launches, however many networks there are. The backward pass is written by hand for the same reason.

Numbers of one network and direction stand together, ``[K·2, N, ...]``: products read and write whole rows.

Shape letters: K networks, G sources of vectors, B documents, T tokens, P = B·T positions, E input, D = K·2 networks times
directions, H hidden, S = 2·H; N rows, one for each token (``Packing``), n documents of a step, F = 3·H, W = 4·H.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.func import vmap

from linnaea.nn.layers.cells import GRU
from linnaea.nn.layers.packing import Packing, Run

CELL = GRU()
# Rows of a run over all networks and directions: on a CPU few, which stay near the core; elsewhere enough for whole waves
# of blocks, and few enough that the gradients of a run's gates are a small part of the memory.
ROWS = 1024
ROWS_ELSEWHERE = 1 << 20


class Sources:
    """Which vectors each network reads: those of ``[G, P, E]``; ``spans``: K networks stand in the order of their G."""

    def __init__(self, table_K: Sequence[int]) -> None:
        places = list(table_K)
        if places != sorted(places):
            raise ValueError("networks that read the same vectors stand together")
        count = places[-1] + 1
        self.spans = [slice(places.index(g), places.index(g) + places.count(g)) for g in range(count)]
        self.own = len(places) == count
        """Each network has vectors of its own."""

    def add_products(self, out_KNF: Tensor, x_GNE: Tensor, weight_KEF: Tensor) -> None:
        if self.own:
            out_KNF.baddbmm_(x_GNE, weight_KEF)
            return
        for x_NE, span in zip(x_GNE.unbind(0), self.spans, strict=True):
            part_KEF = weight_KEF[span]
            out_KNF[span].baddbmm_(x_NE.expand(len(part_KEF), *x_NE.shape), part_KEF)

    def add_outer(self, out_KEF: Tensor, x_GNE: Tensor, grad_KNF: Tensor) -> None:
        """Gradients of the weights."""
        if self.own:
            out_KEF.baddbmm_(x_GNE.mT, grad_KNF)
            return
        for x_NE, span in zip(x_GNE.unbind(0), self.spans, strict=True):
            part_KNF = grad_KNF[span]
            out_KEF[span].baddbmm_(x_NE.mT.expand(len(part_KNF), *x_NE.mT.shape), part_KNF)

    def back(self, grad_KNF: Tensor, weight_KEF: Tensor) -> Tensor:
        """``[G, N, E]``: gradients of the vectors."""
        into_KNE = grad_KNF @ weight_KEF.mT
        return into_KNE if self.own else torch.stack([into_KNE[span].sum(0) for span in self.spans])


class _States:
    """States of all steps (or their gradients), ``[D, n + N, H]``, the first n before any step."""

    def __init__(self, packing: Packing, like: Tensor, D: int, H: int) -> None:
        self.sizes = [packing.sizes[0], *packing.sizes]
        self.values = like.new_empty(D, sum(self.sizes), H)
        self.views: tuple[Tensor, ...] = torch.split(self.values, self.sizes, 1)

    def before(self, step: int) -> Tensor:
        """``[D, n, H]``: before ``step``, of the documents that take it."""
        return self.views[step][:, : self.sizes[step + 1]]

    def after(self, step: int) -> Tensor:
        return self.views[step + 1]

    def rows_before(self, run: Run) -> Tensor:
        """``before`` of all steps of a run."""
        if self.sizes[run.begin] == self.sizes[run.end]:
            start = sum(self.sizes[: run.begin])
            return self.values[:, start : start + run.stop - run.start]
        return torch.cat([self.before(step) for step in range(run.begin, run.end)], 1)

    def rows_after(self, run: Run) -> Tensor:
        return self.values[:, self.sizes[0] :][:, run.rows]


def _steps(
    packing: Packing, run: Run, values_DNW: Tensor, columns: tuple[tuple[int, int], ...], H: int
) -> Iterator[Any]:
    sizes = packing.sizes[run.begin : run.end]
    return zip(*(torch.split(values_DNW[..., H * a : H * b], sizes, 1) for a, b in columns), strict=True)


def _runs(packing: Packing, D: int, device: torch.device) -> list[Run]:
    return packing.runs(max(1, (ROWS if device.type == "cpu" else ROWS_ELSEWHERE) // D))


def _cut(values: Tensor, axis: int, first: int, second: int) -> Tensor:
    """An axis as two; a view."""
    return values.view(*values.shape[:axis], first, second, *values.shape[axis + 1 :])


def _places(packing: Packing) -> Tensor:
    """``[2, P]``: the row among n + N that holds a position's state; 0, which is before all steps, at padding."""
    return (packing.place_PD // packing.directions).mT.contiguous()


class _GroupedRecurrence(torch.autograd.Function):
    """Vectors ``[G, P, E]`` to states ``[K, P, S]``; ``keep``: there will be a backward pass."""

    @staticmethod
    def forward(
        ctx: Any, x_GPE: Tensor, input_KDEF: Tensor, state_DHF: Tensor, bias_DW: Tensor, packing: Packing,
        sources: Sources, keep: bool,
    ) -> Tensor:  # fmt: skip
        (D, H, _), K = state_DHF.shape, len(input_KDEF)
        runs, states = _runs(packing, D, x_GPE.device), _States(packing, x_GPE, D, H)
        states.views[0].fill_(CELL.start)
        room = runs[-1].stop if keep else max(run.stop - run.start for run in runs)
        gates_DNW = x_GPE.new_empty(D, room, CELL.width * H)
        for run in runs:
            part_DNW = gates_DNW[:, run.rows] if keep else gates_DNW[:, : run.stop - run.start]
            part_DNW.copy_(bias_DW[:, None])
            each_KDNW = _cut(part_DNW, 0, K, 2)
            for d, source_N in enumerate(packing.source_ND[run.rows].unbind(1)):
                into_KNF = each_KDNW[:, d, :, -CELL.fed * H :]
                sources.add_products(into_KNF, x_GPE.index_select(1, source_N), input_KDEF[:, d])
            for step, views in enumerate(_steps(packing, run, part_DNW, CELL.views, H), run.begin):
                CELL.step(views, states.before(step), states.after(step), (), state_DHF)
        if keep:
            ctx.save_for_backward(x_GPE, input_KDEF, state_DHF)
            ctx.kept = packing, sources, states, gates_DNW
        places, each = _places(packing), _cut(states.values, 0, K, 2)
        halves = [each[:, d].index_select(1, places[d]) for d in (0, 1)]
        return torch.cat(halves, 2).mul_(CELL.scale).add_(CELL.shift)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_KPS: Tensor) -> tuple[Tensor | None, ...]:
        x_GPE, input_KDEF, state_DHF = ctx.saved_tensors
        packing, sources, states, gates_DNW = ctx.kept
        (D, H, _), K = state_DHF.shape, len(input_KDEF)
        flow = _States(packing, grad_KPS, D, H)
        rows = _cut(flow.values[:, packing.sizes[0] :], 0, K, 2)
        for d, (source_N, half) in enumerate(
            zip(packing.source_ND.unbind(1), torch.split(grad_KPS, H, 2), strict=True)
        ):
            torch.mul(half.index_select(1, source_N), CELL.scale, out=rows[:, d])
        back_DFH, runs = state_DHF.mT.contiguous(), _runs(packing, D, x_GPE.device)
        into_x = torch.zeros_like(x_GPE) if ctx.needs_input_grad[0] else None
        into_input, into_state = torch.zeros_like(input_KDEF), torch.zeros_like(state_DHF)
        into_bias = state_DHF.new_zeros(D, CELL.width * H)
        blocks = CELL.back[-1][1]
        scratch = grad_KPS.new_empty(D, max(run.stop - run.start for run in runs), blocks, H)
        for run in reversed(runs):
            part, before = scratch[:, : run.stop - run.start], states.rows_before(run)
            gates = _cut(gates_DNW[:, run.rows], 2, CELL.width, H)
            CELL.factors(gates, before, states.rows_after(run), (), part)
            flat = part.flatten(2)
            steps = list(_steps(packing, run, flat, CELL.back, H))
            for step in reversed(range(run.begin, run.end)):
                CELL.step_back(steps[step - run.begin], flow.after(step), flow.before(step), None, back_DFH)
            grad_DNW = flat[..., : CELL.width * H]
            into_bias += grad_DNW.sum(1)
            into_state.baddbmm_(before.mT, grad_DNW[..., : CELL.driven * H])
            from_input = _cut(grad_DNW[..., -CELL.fed * H :], 0, K, 2)
            for d, source_N in enumerate(packing.source_ND[run.rows].unbind(1)):
                sources.add_outer(into_input[:, d], x_GPE.index_select(1, source_N), from_input[:, d])
                if into_x is not None:
                    into_x.index_add_(1, source_N, sources.back(from_input[:, d], input_KDEF[:, d]))
        return into_x, into_input, into_state, into_bias, None, None, None


def grouped_gru(
    vectors_GBTE: Tensor, weights: Sequence[Sequence[Tensor]], packing: Packing, sources: Sources
) -> Tensor:
    """``[K, B, T, S]``: the states of K GRUs of one layer and two directions; 0 at padding.

    Args:
        weights: of each direction input and state weights and their biases, torch's own, ``[K, ...]``.
        packing: of the texts, for two directions.
    """
    G, B, T, E = vectors_GBTE.shape
    K, S = len(weights[0][0]), 2 * weights[0][1].shape[-1]
    if not packing.sizes:
        # Nothing to read. Sums of nothing, so that all that should have a gradient has one, of zeros.
        nothing = sum(w[:0].sum() for w in [vectors_GBTE, *weights[0], *weights[1]])
        return vectors_GBTE.new_zeros(K, B, T, S) + nothing
    each = [vmap(CELL.weights)(*direction) for direction in weights]
    input_KDEF, state_KDHF, bias_KDW = (torch.stack(same, 1) for same in zip(*each, strict=True))
    keep = torch.is_grad_enabled() and any(t.requires_grad for t in (vectors_GBTE, input_KDEF))
    states_KPS = _GroupedRecurrence.apply(  # type: ignore[no-untyped-call]
        vectors_GBTE.reshape(G, B * T, E), input_KDEF, state_KDHF.flatten(0, 1), bias_KDW.flatten(0, 1),
        packing, sources, keep,
    )  # fmt: skip
    return states_KPS.view(K, B, T, S)  # type: ignore[no-any-return]
