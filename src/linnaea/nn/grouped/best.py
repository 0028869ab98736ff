"""Best: of each of K networks that train together its weights after its own best epoch.

Shape letters: K networks that there were at first.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from linnaea.nn.grouped.stack import Stack


class Best:
    """Copies of a stack's networks; those of networks that have left it stay."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._stacked = {name: tensor.detach().clone() for name, tensor in stack.stacked().items()}
        self._tables: dict[int, dict[str, Tensor]] = {}

    @torch.no_grad()
    def note(self, places: Sequence[int]) -> None:
        """The networks at these places of the stack are at their best."""
        if not places:
            return
        numbers = [self.stack.numbers[place] for place in places]
        for name, tensor in self.stack.stacked().items():
            kept = self._stacked[name]
            into, chosen = (torch.as_tensor(which, device=kept.device) for which in (numbers, places))
            kept.index_copy_(0, into, tensor.detach().index_select(0, chosen))
        if self.stack.learns:
            tables = list(self.stack.embedder.values())
            for number, place in zip(numbers, places, strict=True):
                state = tables[place].state_dict()
                self._tables[number] = {f"embedder.{name}": t.detach().clone() for name, t in state.items()}

    def of(self, number: int) -> dict[str, Tensor]:
        """The best of one network, by the names of a single one; without an embedder that does not learn."""
        return {name: t[number] for name, t in self._stacked.items()} | self._tables.get(number, {})
