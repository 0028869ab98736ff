"""The order in which recurrent layers work on tokens: step by step, at each step the longest documents first.

Documents are sorted by length, so that a step has rows for those alone that are still running. The second direction
reads each document from its own end, at the same rows.

Shape letters: B documents, T tokens, P = B·T positions, D directions, H hidden; N rows, one for each token; n documents
of a step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

# Rows of a run: enough for a fast product of their inputs, few enough to stay in a core's cache.
ROWS = 512


class Run(NamedTuple):
    """Consecutive steps that are prepared together: ``begin`` to ``end``, at rows ``start`` to ``stop``."""

    begin: int
    end: int
    start: int
    stop: int

    @property
    def rows(self) -> slice:
        """Where its rows are among all."""
        return slice(self.start, self.stop)


@dataclass(frozen=True, eq=False)
class Packing:
    """What is worked on when.

    Attributes:
        sizes: documents that are still running, at each step; never 0.
        source_ND: the position, into all P, that each direction reads at a row.
        place_PD: where a position's states are, into ``[(n + N)·D, H]`` with the states before all steps on
            top; padding is at 0, which is such a state.
    """

    sizes: list[int]
    source_ND: Tensor
    place_PD: Tensor

    @classmethod
    def of(cls, mask_BT: Tensor, directions: int) -> Packing:
        """For texts that are padded on the right."""
        (B, T), device = mask_BT.shape, mask_BT.device
        length_B, order_B = mask_BT.sum(1).sort(descending=True, stable=True)
        step_T1 = torch.arange(T, device=device)[:, None]
        running_TB = step_T1 < length_B
        sizes = [size for size in running_TB.sum(1).tolist() if size]
        first_B = order_B * T
        sources = [first_B + step_T1, first_B + length_B - 1 - step_T1][:directions]
        source_ND = torch.stack([source_TB[running_TB] for source_TB in sources], 1)
        place_PD = torch.zeros(B * T, directions, dtype=torch.int64, device=device)
        rows_N = torch.arange(len(source_ND), device=device) + (sizes[0] if sizes else 0)
        for direction, source_N in enumerate(source_ND.unbind(1)):
            place_PD[source_N, direction] = rows_N * directions + direction
        return cls(sizes, source_ND, place_PD)

    @property
    def directions(self) -> int:
        """D."""
        return self.source_ND.shape[1]

    def runs(self, rows: int = ROWS) -> list[Run]:
        """All steps in runs of so many rows or a step more."""
        found, begin, start, row = [], 0, 0, 0
        for step, size in enumerate(self.sizes, 1):
            row += size
            if row - start >= rows or step == len(self.sizes):
                found.append(Run(begin, step, start, row))
                begin, start = step, row
        return found

    def unpacked(self, values: Tensor) -> Tensor:
        """``[P, D, H]`` of ``[n + N, D, H]``."""
        picked = values.view(-1, values.shape[2]).index_select(0, self.place_PD.view(-1))
        return picked.view(len(self.place_PD), self.directions, -1)

    def pack(self, values_PS: Tensor, out_NDH: Tensor) -> None:
        """The other way, without what is before all steps."""
        index_ND = self.source_ND * self.directions + torch.arange(self.directions, device=values_PS.device)
        flat, into = values_PS.reshape(-1, out_NDH.shape[2]), out_NDH.view(-1, out_NDH.shape[2])
        torch.index_select(flat, 0, index_ND.view(-1), out=into)

    def steps(
        self, run: Run, values: Tensor, H: int, columns: tuple[tuple[int, int], ...]
    ) -> Iterator[tuple[Tensor, ...]]:
        """For each step of ``run`` its views ``[D, n, ...]`` of ``[rows, D, blocks·H]``: blocks from, to."""
        turned, sizes = values.transpose(0, 1), self.sizes[run.begin : run.end]
        return zip(*(torch.split(turned[..., H * a : H * b], sizes, 1) for a, b in columns), strict=True)


class Track:
    """States (or memories, or their gradients) ``[n + N, D, H]`` of all steps, the first n before any."""

    def __init__(self, packing: Packing, like: Tensor, hidden: int, start: float = 0.0) -> None:
        self.sizes = [packing.sizes[0], *packing.sizes]
        self.values = like.new_empty(sum(self.sizes), packing.directions, hidden)
        self.values[: self.sizes[0]] = start
        self.views: tuple[Tensor, ...] = torch.split(self.values.transpose(0, 1), self.sizes, 1)

    def before(self, step: int) -> Tensor:
        """``[D, n, H]``: before ``step``, of the documents that take it."""
        view, size = self.views[step], self.sizes[step + 1]
        return view if view.shape[1] == size else view[:, :size]

    def after(self, step: int) -> Tensor:
        """``[D, n, H]``."""
        return self.views[step + 1]

    def rows_before(self, run: Run) -> Tensor:
        """``before`` of all steps of a run, ``[rows, D, H]``."""
        if self.sizes[run.begin] == self.sizes[run.end]:
            start = sum(self.sizes[: run.begin])
            return self.values[start : start + run.stop - run.start]
        return torch.cat([self.before(step) for step in range(run.begin, run.end)], 1).transpose(0, 1)

    def rows_after(self, run: Run) -> Tensor:
        """``after`` of all steps of a run."""
        return self.values[self.sizes[0] :][run.rows]
