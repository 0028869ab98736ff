"""MaxConstraint: the largest value among a category and its descendants, for trees and DAGs.

Giunchiglia & Lukasiewicz 2020, "Coherent Hierarchical Multi-Label Classification Networks"
(https://arxiv.org/abs/2010.10151), whose code expands values to ``[B, C, C]``. Here categories are worked through from
the deepest level up, and each looks at itself and its children, which are final by then: O(B · E), and the same bits,
since a maximum never rounds. Categories of a level with about as many children are worked on together; rows that are
filled up to the next power of two at most double the work.

The gradient goes to the one value that is the largest. Of equal ones that is the category's own, else that of the child
with the lowest column.

Shape letters: B documents, C categories, P parents of a step, K values that each of them looks at.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from linnaea.taxonomy.taxonomy import Taxonomy


class Step(NamedTuple):
    """``size`` parents from ``first`` on, whose ``width`` values each stand from ``slot`` on."""

    first: int
    size: int
    slot: int
    width: int


class MaxConstraint(nn.Module):
    """``[B, C]`` to the same, each value the largest among its category and the descendants of that.

    Args:
        taxonomy: of the columns.
    """

    parents: Tensor
    slots: Tensor

    def __init__(self, taxonomy: Taxonomy) -> None:
        super().__init__()
        self.steps, parents, slots = _planned(taxonomy)
        self.register_buffer("parents", torch.from_numpy(parents), persistent=False)
        self.register_buffer("slots", torch.from_numpy(slots), persistent=False)

    def forward(self, values_BC: Tensor) -> Tensor:
        if not self.steps:
            return values_BC
        if torch.is_grad_enabled() and values_BC.requires_grad:
            found = _Largest.apply(values_BC, self.parents, self.slots, self.steps)  # type: ignore[no-untyped-call]
            return found[0]  # type: ignore[no-any-return]
        largest_CB = values_BC.t().clone(memory_format=torch.contiguous_format)
        for rows_P, slots_PK in _walk(self.parents, self.slots, self.steps):
            family_PKB = largest_CB.index_select(0, slots_PK.reshape(-1)).view(*slots_PK.shape, -1)
            largest_CB.index_copy_(0, rows_P, family_PKB.amax(1))
        return largest_CB.t()


class _Largest(torch.autograd.Function):
    """The same, and where each of the largest values comes from."""

    @staticmethod
    def forward(
        values_BC: Tensor, parents: Tensor, slots: Tensor, steps: list[Step]
    ) -> tuple[Tensor, Tensor]:
        B, C = values_BC.shape
        largest_CB = values_BC.t().clone(memory_format=torch.contiguous_format)
        origin_CB = torch.arange(C, device=values_BC.device)[:, None].repeat(1, B)
        for rows_P, slots_PK in _walk(parents, slots, steps):
            family_PKB = largest_CB.index_select(0, slots_PK.reshape(-1)).view(*slots_PK.shape, B)
            # Of equal values the first is taken: the category itself, then the lowest column.
            largest_PB, place_PB = family_PKB.max(1)
            largest_CB.index_copy_(0, rows_P, largest_PB)
            origin_CB.index_copy_(0, rows_P, origin_CB.gather(0, slots_PK.gather(1, place_PB)))
        return largest_CB.t(), origin_CB.t()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(output[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_BC: Tensor, _: Tensor) -> tuple[Tensor, None, None, None]:
        (origin_BC,) = ctx.saved_tensors
        return torch.zeros_like(grad_BC).scatter_add_(1, origin_BC, grad_BC), None, None, None


def _walk(parents: Tensor, slots: Tensor, steps: list[Step]) -> Iterator[tuple[Tensor, Tensor]]:
    """Of each step, bottom up, the parents ``[P]`` and the columns ``[P, K]`` that they look at."""
    for first, size, slot, width in steps:
        yield parents[first : first + size], slots[slot : slot + size * width].view(size, width)


def _planned(taxonomy: Taxonomy) -> tuple[list[Step], np.ndarray, np.ndarray]:
    """The steps, the parents of all of them, and the columns that these look at."""
    children = taxonomy.children
    steps: list[Step] = []
    parents: list[np.ndarray] = []
    slots: list[np.ndarray] = []
    first = slot = 0
    for _, part in reversed(taxonomy.levels()):
        columns = np.arange(part.start, part.stop)
        counts = children.lengths_N[columns]
        width_P = np.where(counts > 0, 2 ** np.ceil(np.log2(counts + 1)), 0).astype(np.int64)
        for width in np.unique(width_P[width_P > 0]).tolist():
            rows = columns[width_P == width]
            below = children.take(rows)
            table = np.repeat(rows[:, None], width, axis=1)  # itself first, and where there are no more
            place = np.arange(len(below.values)) - below.offsets_N1[below.rows]
            table[below.rows, place + 1] = below.values
            steps.append(Step(first, len(rows), slot, width))
            parents.append(rows)
            slots.append(table.reshape(-1))
            first, slot = first + len(rows), slot + table.size
    empty = np.zeros(0, dtype=np.int64)
    return steps, np.concatenate([empty, *parents]), np.concatenate([empty, *slots]).astype(np.int64)
