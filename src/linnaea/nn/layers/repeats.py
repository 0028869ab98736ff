"""Repeats: which positions of a batch hold the same vector, so that work on one of them will do for all.

Three tokens in four of a batch of news are repeats.

Shape letters: B documents, T tokens, U distinct tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from linnaea.nn.network import Embedded

# From so many positions in a batch on, finding repeated tokens costs less than it saves.
MANY = 1024


@dataclass(frozen=True, eq=False)
class Repeats:
    """Which positions ``[B, T]`` of a batch hold the same vector.

    Attributes:
        place_BT: number of the distinct vector, 0..U-1.
        first_U: a position of each, into all B·T.
    """

    place_BT: Tensor
    first_U: Tensor

    @classmethod
    def of(cls, ids_BT: Tensor) -> Repeats:
        distinct_U, place_BT = torch.unique(ids_BT, return_inverse=True)
        place_N = place_BT.reshape(-1)
        positions_N = torch.arange(len(place_N), device=ids_BT.device)
        return cls(place_BT, torch.empty_like(distinct_U).scatter_(0, place_N, positions_N))

    @classmethod
    def within(cls, embedded: Embedded, margin: int = 0) -> Repeats | None:
        """Of a text with ``margin`` empty positions at both ends; None: not known, or nothing to gain."""
        ids_BT, device = embedded.ids_BT, embedded.vectors_BTE.device
        if ids_BT is None or not embedded.repeats or ids_BT.numel() < MANY or device.type != "cpu":
            return None
        if torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling():
            return None
        # Padding, whatever stands there, is masked to zero: it has a number of its own.
        marked_BT = torch.where(embedded.mask_BT, ids_BT + 1, 0)
        return cls.of(functional.pad(marked_BT, (margin, margin)))
