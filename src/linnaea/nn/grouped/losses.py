"""The loss of K networks of one category each over the same documents.

Shape letters: K networks, B documents.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from linnaea.config.objective import LossConfig
from linnaea.config.registry import losses
from linnaea.errors import ConfigError
from linnaea.nn.batch import Bag
from linnaea.nn.objectives.base import Loss


class GroupedLoss(nn.Module):
    """Any loss of independent categories; networks with one class weight go through it together.

    Args:
        weights: of positives, of the first K networks.

    Raises:
        ConfigError: the loss goes by the support of each category, which differs within a group.
    """

    def __init__(self, config: LossConfig, weights: Sequence[float]) -> None:
        super().__init__()
        self.loss: nn.Module = losses.build(config)
        if isinstance(self.loss, Loss) and type(self.loss).prepare is not Loss.prepare:
            problem = f"the loss {config.type!r} goes by the support of each category alone"
            place, hint = "training.strategy.executor", 'use "local"'
            raise ConfigError(problem, where=place, hint=hint)
        self.weights = list(weights)

    def forward(self, logits_KB: Tensor, target_KB: np.ndarray, numbers: Sequence[int]) -> Tensor:
        """``[K, B]``.

        Args:
            target_KB: bool, on the CPU.
            numbers: which of the first K these networks are.
        """
        wide_KB = logits_KB if logits_KB.dtype == torch.float64 else logits_KB.float()
        own = [self.weights[number] for number in numbers]
        if len(set(own)) == 1:
            return self._weighted(wide_KB, target_KB, own[0])
        order: list[int] = []
        parts = []
        for weight in dict.fromkeys(own):
            places = [place for place, other in enumerate(own) if other == weight]
            chosen = torch.as_tensor(places, device=wide_KB.device)
            parts.append(self._weighted(wide_KB.index_select(0, chosen), target_KB[places], weight))
            order += places
        back = torch.as_tensor(np.argsort(order), device=wide_KB.device)
        return torch.cat(parts).index_select(0, back)

    def _weighted(self, logits_KB: Tensor, target_KB: np.ndarray, weight: float) -> Tensor:
        flat = torch.from_numpy(target_KB.reshape(-1))
        offsets = torch.zeros(len(flat) + 1, dtype=torch.int64)
        torch.cumsum(flat, 0, out=offsets[1:])
        labels = Bag(torch.zeros(int(offsets[-1]), dtype=torch.int64), offsets).to(logits_KB.device)
        weights = (
            None if weight == 1 else torch.tensor([weight], dtype=logits_KB.dtype, device=logits_KB.device)
        )
        loss: Tensor = self.loss(logits_KB.reshape(-1, 1), labels, weights)
        return loss.view_as(logits_KB)
