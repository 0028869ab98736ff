"""Loss: the base of all losses, and what several of them share.

Shape letters: B documents, C categories.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from linnaea.config.objective import LossConfig
from linnaea.nn.batch import Bag
from linnaea.taxonomy.taxonomy import Taxonomy


class Loss(nn.Module):
    """``(logits_BC, labels, weights_C or None) -> loss_B``; the objective sums over documents."""

    def __init__(self, config: LossConfig) -> None:
        super().__init__()

    def prepare(self, taxonomy: Taxonomy, support_C: np.ndarray, documents: int) -> None:
        """Told once, before the first step, what is known of train. Does nothing unless a loss replaces it.

        Args:
            taxonomy: of the columns.
            support_C: documents of train in each category.
            documents: documents of train.
        """

    def forward(self, logits_BC: Tensor, labels: Bag, weights_C: Tensor | None = None) -> Tensor:
        raise NotImplementedError


class Constant:
    """``[C]`` numbers that a loss meets logits with, exact in float64 until then. No buffer: MPS has no float64."""

    def __init__(self, values_C: np.ndarray) -> None:
        self.values_C = values_C
        self.made: dict[tuple[torch.device, torch.dtype], Tensor] = {}

    def like(self, other: Tensor) -> Tensor:
        """In the type and at the place of ``other``."""
        key = other.device, other.dtype
        if key not in self.made:
            self.made[key] = torch.from_numpy(self.values_C).to(other.dtype).to(other.device)
        return self.made[key]


def margins(logits_BC: Tensor, target_BC: Tensor) -> Tensor:
    """``[B, C]``: the logits of p_t, which is p for positives (``target_BC`` 1) and 1 − p for negatives (0)."""
    return logits_BC * (2 * target_BC - 1)


def focal(margin_BC: Tensor, gamma: float) -> Tensor:
    """``[B, C]``: −(1 − p_t)^γ ln p_t of the logits of p_t."""
    cross_BC = -functional.logsigmoid(margin_BC)
    if gamma == 0:
        return cross_BC
    return torch.exp(gamma * functional.logsigmoid(-margin_BC)) * cross_BC


def unweighted(weights_C: Tensor | None, name: str) -> None:
    """Refuse class weights.

    Raises:
        ValueError: there are some.
    """
    if weights_C is not None:
        raise ValueError(f"the loss {name!r} takes no class weights")
