"""Batch: what a network reads of B documents, on one device.

Shape letters: B documents, T tokens, C categories, U distinct tokens, W characters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Bag:
    """Ragged ids on the device: row ``b`` is ``values[offsets_B1[b] : offsets_B1[b + 1]]``.

    Both are int64; the offsets end with the total.
    """

    values: Tensor
    offsets_B1: Tensor
    weights: Tensor | None = None

    def __len__(self) -> int:
        return len(self.offsets_B1) - 1

    @property
    def lengths_B(self) -> Tensor:
        return self.offsets_B1.diff()

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Bag:
        def move(tensor: Tensor) -> Tensor:
            return tensor.to(device, non_blocking=non_blocking)

        weights = None if self.weights is None else move(self.weights)
        return Bag(move(self.values), move(self.offsets_B1), weights)

    def dense(self, columns: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """``[B, columns]``: 1 where a row holds the column."""
        rows = torch.repeat_interleave(self.lengths_B, output_size=len(self.values))
        out = torch.zeros(len(self), columns, dtype=dtype, device=self.values.device)
        out[rows, self.values] = 1
        return out


@dataclass(frozen=True, eq=False)
class Spelling:
    """The characters of the distinct tokens of a batch.

    Attributes:
        letters_UW: int64 ids of characters, right-padded with 0; row 0 is empty, for padding.
        place_BT: int64, the row of each token.
    """

    letters_UW: Tensor
    place_BT: Tensor

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Spelling:
        return Spelling(
            self.letters_UW.to(device, non_blocking=non_blocking),
            self.place_BT.to(device, non_blocking=non_blocking),
        )


@dataclass(frozen=True, eq=False)
class Batch:
    """B documents as tensors.

    Attributes:
        ids_BT: int64, right-padded with 0; None if the network reads bags or spelling only. T >= 1 even if all are
            empty.
        mask_BT: bool, True at real tokens.
        bags: by feature: token, ngram, char_ngram, keyword, topic. Their ids index that feature's own table.
        labels: taxonomy columns, closed; sparse until the objective.
        rows_B: int64, where in the split each document stands.
        spelling: where an embedder composes tokens from characters.
    """

    rows_B: Tensor
    ids_BT: Tensor | None = None
    mask_BT: Tensor | None = None
    bags: Mapping[str, Bag] = field(default_factory=dict)
    labels: Bag | None = None
    spelling: Spelling | None = None

    def __len__(self) -> int:
        return len(self.rows_B)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        def move(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.to(device, non_blocking=non_blocking)

        return replace(
            self,
            rows_B=self.rows_B.to(device, non_blocking=non_blocking),
            ids_BT=move(self.ids_BT),
            mask_BT=move(self.mask_BT),
            spelling=None if self.spelling is None else self.spelling.to(device, non_blocking),
            bags={name: bag.to(device, non_blocking) for name, bag in self.bags.items()},
            labels=None if self.labels is None else self.labels.to(device, non_blocking),
        )
