"""Position embeddings: a vector for the place of a token, added to the token's own.

Paper: sinusoid: Vaswani et al. 2017, "Attention Is All You Need" (https://arxiv.org/abs/1706.03762); learned: Gehring
    et al. 2017, "Convolutional Sequence to Sequence Learning" (https://arxiv.org/abs/1705.03122).
Formula: x_t + p_t; sinusoid: p_t[2i] = sin(t / 10000^(2i/E)) / √E, p_t[2i+1] = cos(t / 10000^(2i/E)) / √E, t from 0;
    learned: p_t is row t of a table.
Differences: Vaswani multiplies the token vectors by √E instead of dividing the sinusoid by it, which is the same up to
    that common factor; here the token vectors, pretrained ones too, stay as they are. Padding receives no position,
    and none is kept for it: positions begin at 0, where NeuralClassifier and others begin at 1.
Shapes: [B, T, E] -> [B, T, E].
Cost: O(T·E) for the positions of a batch, whatever its size, and one addition; learned: max·E parameters.
When to use: under encoders that do not know the order of tokens by themselves (transformer), where the sinusoid is the
    default. Learned positions know texts of up to ``max`` tokens.

Shape letters: B documents, T tokens, E embedding.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from linnaea.config.embedders import InitializerConfig, LearnedPositionConfig, SinusoidConfig
from linnaea.config.registry import initializers, positions
from linnaea.errors import ConfigError

BASE = 10_000.0


class Position(nn.Module):
    """Adds positions to the vectors of real tokens."""

    def positions(self, mask_BT: Tensor, like: Tensor) -> Tensor:
        """``[T, E]`` in the kind of numbers of ``like``."""
        raise NotImplementedError

    def forward(self, vectors_BTE: Tensor, mask_BT: Tensor) -> Tensor:
        return vectors_BTE + self.positions(mask_BT, vectors_BTE) * mask_BT[..., None]


@positions.register("sinusoid")
class Sinusoid(Position):
    """Fixed waves; nothing is learned."""

    def __init__(self, config: SinusoidConfig, *, dimension: int, initializer: InitializerConfig) -> None:
        super().__init__()
        if dimension % 2:
            raise ConfigError(
                f"a sinusoid has pairs of sine and cosine: it needs an even dimension, not {dimension}",
                where="model.embedder.position",
            )
        self.dimension = dimension

    def positions(self, mask_BT: Tensor, like: Tensor) -> Tensor:
        exact = torch.float64 if like.dtype == torch.float64 else torch.float32
        options: dict[str, Any] = {"dtype": exact, "device": like.device}
        wave_H: Tensor = BASE ** (-torch.arange(0, self.dimension, 2, **options) / self.dimension)
        angle_TH = torch.arange(mask_BT.shape[1], **options)[:, None] * wave_H
        both_THP: Tensor = torch.stack([angle_TH.sin(), angle_TH.cos()], 2)
        return (both_THP.flatten(1) / math.sqrt(self.dimension)).to(like.dtype)


@positions.register("learned")
class Learned(Position):
    """A table with one vector a position.

    Raises (forward):
        ValueError: a text is longer than the table; the checks of a config keep that from happening.
    """

    def __init__(
        self, config: LearnedPositionConfig, *, dimension: int, initializer: InitializerConfig
    ) -> None:
        super().__init__()
        if config.max is None:
            raise ConfigError("is not known here", where="model.embedder.position.max", hint="set it")
        table = torch.zeros(config.max, dimension)
        initializers.build(initializer, table=table)
        self.table = nn.Embedding(config.max, dimension, _weight=table)

    def positions(self, mask_BT: Tensor, like: Tensor) -> Tensor:
        known, longest = self.table.num_embeddings, mask_BT.shape[1]
        if longest > known:
            if bool(mask_BT[:, known:].any()):
                raise ValueError(f"a text is longer than the {known} positions that are known")
            # The rest is padding, which receives none.
            rest = self.table.weight.new_zeros(longest - known, self.table.embedding_dim)
            return torch.cat([self.table.weight, rest]).to(like.dtype)
        return self.table.weight[:longest].to(like.dtype)
