"""VDCNN: many small convolutions in four levels, each with half the time and twice the filters of the one before.

Paper: Conneau et al. 2016, "Very Deep Convolutional Networks for Text Classification"
(https://arxiv.org/abs/1606.01781).
Formula: Conv₃, then levels of pairs of ReLU(BN(Conv₃(·))), 2/2/2/2 convolutions at depth 9, 4/4/4/4 at 17, 10/10/4/4 at
29, 16/16/10/6 at 49; between levels time is halved; of each filter of the last level the k largest values in temporal
order; then twice ReLU(W·). Under ``shortcuts`` a pair is ReLU(BN(Conv₃(ReLU(BN(Conv₃(x))))) + P·x), P a matrix where
sizes change, else the identity.
Differences: from the paper: batch normalisation counts real positions only; k-max to the half keeps ceil(n / 2) of a
text's own n positions; a text with fewer than k positions at the end has zeros behind them.
Shapes: [B, T, E] -> [B, D], D = hidden; ceil(n / 8) positions in the last level.
Cost: O(T · F²) a pair of convolutions, F = filters, equal in all levels; two dense layers of 8 · k · F · D and D² weights;
memory O(T · F) for each convolution.
When to use: long sequences of characters and very much training data; on short texts with few documents shallow
encoders learn more from the same.

Shape letters: B documents, T positions, E embedding or columns in, F out, K = ``top_k``, D encoded.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from linnaea.config.encoders_convolutional import VDCNNConfig
from linnaea.config.registry import encoders
from linnaea.nn.layers.normalization import MaskedBatchNorm
from linnaea.nn.layers.time import (
    Convolution,
    convolved,
    halved,
    larger_half,
    largest_in_order,
    largest_of_three,
    opened,
)
from linnaea.nn.network import Encoded, SequenceEncoder

# Pairs of convolutions in each of the four levels; with the first convolution they make up the depth.
PAIRS = {9: (1, 1, 1, 1), 17: (2, 2, 2, 2), 29: (5, 5, 2, 2), 49: (8, 8, 5, 3)}


class NormalizedConvolution(nn.Module):
    """ReLU(BN(Conv₃(x)) + added); zero at masked positions. ``mask_BT`` is that of the result."""

    def __init__(self, into: int, out: int, stride: int = 1) -> None:
        super().__init__()
        # What a bias would add, the normalisation would take away.
        self.convolution = Convolution(into, out, 3, bias=False, stride=stride)
        self.norm = MaskedBatchNorm(out)

    def forward(self, values_BTE: Tensor, mask_BT: Tensor, added_BTF: Tensor | None = None) -> Tensor:
        if self.training:
            response = self.convolution(values_BTE)
            return self.norm(response, mask_BT, added_BTE=added_BTF, relu=True)  # type: ignore[no-any-return]
        # The running statistics are constants: a factor on the kernel and a bias.
        scale_F, shift_F = self.norm.affine()
        weight_FEW = self.convolution.weight * scale_F[:, None, None]
        response = convolved(values_BTE, weight_FEW, shift_F, self.convolution.stride)
        if added_BTF is not None:
            response.add_(added_BTF)
        return response.mul_(opened(mask_BT, response)).relu_()


class Pair(nn.Module):
    """Two convolutions, and a way around them under ``shortcut``."""

    def __init__(self, into: int, out: int, stride: int, shortcut: bool) -> None:
        super().__init__()
        self.first = NormalizedConvolution(into, out, stride)
        self.second = NormalizedConvolution(out, out)
        self.shortcut, changes = shortcut, stride > 1 or into != out
        self.projection = (
            Convolution(into, out, 1, bias=False, stride=stride) if shortcut and changes else None
        )

    def forward(self, values_BTE: Tensor, mask_BT: Tensor) -> Tensor:
        added = values_BTE if self.shortcut else None
        if self.projection is not None:
            added = self.projection(values_BTE)
        return self.second(self.first(values_BTE, mask_BT), mask_BT, added)  # type: ignore[no-any-return]


@encoders.register("vdcnn")
class VDCNN(SequenceEncoder):
    """``output_dim`` = hidden."""

    def __init__(self, config: VDCNNConfig, *, input_dim: int) -> None:
        super().__init__()
        self.top_k, self.downsampling = config.top_k, config.downsampling
        self.first = Convolution(input_dim, config.filters, 3)
        self.levels = nn.ModuleList()
        into = config.filters
        for level, pairs in enumerate(PAIRS[config.depth]):
            out = config.filters * 2**level
            stride = 2 if level and config.downsampling == "convolution" else 1
            sizes = [(into, out, stride), *[(out, out, 1)] * (pairs - 1)]
            self.levels.append(nn.ModuleList(Pair(*size, config.shortcuts) for size in sizes))
            into = out
        hidden = [nn.Linear(self.top_k * into, config.hidden), nn.Linear(config.hidden, config.hidden)]
        for layer in hidden:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        self.hidden = nn.ModuleList(hidden)
        self.output_dim = config.hidden

    def encode(self, vectors_BTE: Tensor, mask_BT: Tensor) -> Encoded:
        open_BT1 = opened(mask_BT, vectors_BTE)
        values, some_B1 = self.first(vectors_BTE * open_BT1, open_BT1), mask_BT.any(1, keepdim=True)
        for number, level in enumerate(self.levels):
            if number:
                values, mask_BT = self._halved(values, mask_BT), halved(mask_BT)
            for pair in level:  # type: ignore[attr-defined]
                values = pair(values, mask_BT)
        hidden_BD = largest_in_order(values, mask_BT, self.top_k).flatten(1)
        for layer in self.hidden:
            hidden_BD = functional.relu(layer(hidden_BD))
        return Encoded(torch.where(some_B1, hidden_BD, 0.0))

    def _halved(self, values_BTE: Tensor, mask_BT: Tensor) -> Tensor:
        """Half the time; under "convolution" the next level's first convolution sees to that."""
        if self.downsampling == "convolution":
            return values_BTE
        if self.downsampling == "kmax":
            return larger_half(values_BTE, mask_BT)
        # Nothing is below zero after ReLU: the zeros of padding never win.
        return largest_of_three(values_BTE).mul_(opened(halved(mask_BT), values_BTE))
