"""Transformer: layers in which every token attends to every other.

Paper: Vaswani et al. 2017, "Attention Is All You Need" (https://arxiv.org/abs/1706.03762).
Formula: x = √E · vectors; in each layer x = LN(x + Drop(MHA(x))), then x = LN(x + Drop(W_2 σ(W_1 x + b_1) + b_2)),
    MHA(x) = W_O [head_1; ..], head = softmax(q·k / √d_k) v over the real tokens. The document vector is the mean (or
    the largest value of each column) of x over the real tokens.
Differences: the paper's is one half of a translator and pools nothing. Positions come from the embedder, whose sinusoid
    is divided by √E: the factor √E here, which the paper has on the token vectors alone, then gives the paper's
    sum. Dropout on that sum is the embedder's. The activation is a choice.
Shapes: [B, T, E] -> [B, E]; token states [B, T, E] of the last layer.
Cost: O(T·E·(4·H·d_k + 2·inner) + T²·H·d_k) a layer; memory O(T), no T × T matrix is kept where torch has a fused kernel.
When to use: where words far apart matter together and there are many documents, or as a small stand-in for a pretrained
    model. It knows order through position embeddings only. On small corpora convolutions and recurrent networks learn
    faster.

Shape letters: B documents, T tokens, E embedding; H heads.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from linnaea.config.encoders_attention import TransformerConfig
from linnaea.config.registry import encoders
from linnaea.nn.layers.activations import ACTIVATIONS
from linnaea.nn.layers.attention import SelfAttention, attended
from linnaea.nn.layers.dropout import Dropout
from linnaea.nn.layers.pooling import masked_max, masked_mean
from linnaea.nn.network import Encoded, SequenceEncoder

POOLING = {"mean": masked_mean, "max": masked_max}


class Layer(nn.Module):
    """Attention, then a network at each position; each is added to its input and normalised."""

    def __init__(self, config: TransformerConfig, width: int) -> None:
        super().__init__()
        self.attention = SelfAttention(width, config.heads, config.key_dimension)
        self.attention_dropout = Dropout(config.dropout)
        self.attention_norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, config.inner)
        self.activation = ACTIVATIONS[config.activation]
        self.narrow = nn.Linear(config.inner, width)
        self.network_dropout = Dropout(config.dropout)
        self.network_norm = nn.LayerNorm(width)

    def forward(self, tokens_BTE: Tensor, open_BT: Tensor) -> Tensor:
        found_BTE = self.attention_dropout(self.attention(tokens_BTE, open_BT))
        tokens_BTE = self.attention_norm(tokens_BTE + found_BTE)
        further_BTE = self.network_dropout(self.narrow(self.activation(self.widen(tokens_BTE))))
        return self.network_norm(tokens_BTE + further_BTE)  # type: ignore[no-any-return]


@encoders.register("transformer")
class Transformer(SequenceEncoder):
    """``output_dim`` = ``state_dim`` = E."""

    def __init__(self, config: TransformerConfig, *, input_dim: int) -> None:
        super().__init__()
        self.output_dim = self.state_dim = input_dim
        self.layers = nn.ModuleList(Layer(config, input_dim) for _ in range(config.layers))
        self.pool = POOLING[config.pooling]

    def encode(self, vectors_BTE: Tensor, mask_BT: Tensor) -> Encoded:
        open_BT = attended(mask_BT)
        tokens_BTE = vectors_BTE * math.sqrt(self.output_dim)
        for layer in self.layers:
            tokens_BTE = layer(tokens_BTE, open_BT)
        return Encoded(self.pool(tokens_BTE, mask_BT), tokens_BTE, mask_BT)
