"""DPCNN: a pyramid of convolutions that halves the text at every block.

Paper: Johnson & Zhang 2017, "Deep Pyramid Convolutional Neural Networks for Text Categorization"
(https://aclanthology.org/P17-1052/).
Formula: z = Conv_r(x), the region embedding; then in every block z ← z + Conv(σ(Conv(σ(z)))), where the very first σ
is the identity; between blocks z ← max over three positions, stride 2; at the end the maximum over time.
Differences: regions are of token vectors, not of one-hot vectors, and there are no further unsupervised embeddings;
σ may be another function than ReLU. At the ends of a text windows see zeros, pooling sees nothing.
Shapes: [B, T, E] -> [B, D], D = filters; a text of n tokens has ceil(n / 2) positions after one halving.
Cost: O(T · E · D) for the regions and O(T · D²) for all blocks together, since each works on half of the one before;
memory O(T · D).
When to use: long texts, where it sees far for little; few filters make it one of the fastest encoders.

Shape letters: B documents, T positions, E embedding, D encoded.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from linnaea.config.encoders_convolutional import DPCNNConfig
from linnaea.config.registry import encoders
from linnaea.nn.layers.activations import ACTIVATIONS
from linnaea.nn.layers.time import Convolution, halved, largest_of_three, opened
from linnaea.nn.network import Encoded, SequenceEncoder


@encoders.register("dpcnn")
class DPCNN(SequenceEncoder):
    """``output_dim`` = filters."""

    def __init__(self, config: DPCNNConfig, *, input_dim: int) -> None:
        super().__init__()
        filters, width = config.filters, config.kernel_size
        self.activation = ACTIVATIONS[config.activation]
        self.region = Convolution(input_dim, filters, config.region_size)
        self.blocks = nn.ModuleList(
            nn.ModuleList(Convolution(filters, filters, width) for _ in range(2))
            for _ in range(config.blocks)
        )
        self.output_dim = filters

    def encode(self, vectors_BTE: Tensor, mask_BT: Tensor) -> Encoded:
        open_BT1 = opened(mask_BT, vectors_BTE)
        z = self.region(vectors_BTE * open_BT1, open_BT1)
        for number, block in enumerate(self.blocks):
            first, second = block.children()
            if number:
                closed = ~mask_BT[..., None]
                mask_BT = halved(mask_BT)
                open_BT1 = opened(mask_BT, z)
                z = largest_of_three(z.masked_fill(closed, -torch.inf)).masked_fill(~mask_BT[..., None], 0.0)
            inner = first(self.activation(z) if number else z, open_BT1)
            z = z + second(self.activation(inner), open_BT1)
        largest_BD = z.masked_fill(~mask_BT[..., None], -torch.inf).amax(1)
        return Encoded(torch.where(mask_BT.any(1, keepdim=True), largest_BD, 0.0))
