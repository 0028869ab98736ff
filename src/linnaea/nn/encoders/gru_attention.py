"""GRU with attention: a bidirectional GRU, its states read three ways.

Paper: Banerjee et al. 2019, "Hierarchical Transfer Learning for Multi-label Text Classification"
(https://aclanthology.org/P19-1633/); its attention is that of Yang et al. 2016, "Hierarchical Attention Networks for
Document Classification" (https://aclanthology.org/N16-1174/).
Formula: s_t = dropout([GRU→(x)_t ; GRU←(x)_t]); u_t = tanh(W s_t + b), α = softmax_t(u_t · u); d = [Σ_t α_t s_t ;
max_t s_t ; mean_t s_t].
Differences: maximum, mean and attention see the real tokens alone. What the paper leaves open is set like this: hidden
is per direction, attention compares in 2 · hidden dimensions, dropout acts on the states and nowhere else.
Shapes: [B, T, E] -> [B, D], D = 6 · hidden; token states [B, T, 2 · hidden].
Cost: O(T · hidden · (E + hidden)) in T steps that wait for each other, and O(T · hidden · attention); memory in training
O(T · hidden).
When to use: as the network of the strategy per_category, where a category inherits it from its parent; under joint as a
recurrent encoder of short texts.

Shape letters: B documents, T tokens, E embedding, S states, D encoded.
"""

from __future__ import annotations

import torch
from torch import Tensor

from linnaea.config.encoders_recurrent import GRUAttentionConfig
from linnaea.config.registry import encoders
from linnaea.nn.layers.dropout import Dropout
from linnaea.nn.layers.pooling import AdditiveAttention, masked_max, masked_mean
from linnaea.nn.layers.recurrent import Recurrent
from linnaea.nn.layers.repeats import Repeats
from linnaea.nn.network import Embedded, Encoded, SequenceEncoder


@encoders.register("gru_attention")
class GRUAttention(SequenceEncoder):
    """``output_dim`` = 3 · ``state_dim``, ``state_dim`` = 2 · hidden; an empty document is 0.

    Args:
        config: the settings.
        input_dim: E.
        vector: whether the document vector is read; otherwise it is the mean of the states.
    """

    state_dim: int

    def __init__(self, config: GRUAttentionConfig, *, input_dim: int, vector: bool = True) -> None:
        super().__init__()
        self.recurrent = Recurrent("gru", input_dim, config.hidden)
        self.state_dim = self.recurrent.output_dim
        self.output_dim = 3 * self.state_dim if vector else self.state_dim
        self.dropout = Dropout(config.dropout)
        compared = config.attention or self.state_dim
        self.attention = AdditiveAttention(self.state_dim, compared) if vector else None

    def forward(self, embedded: Embedded) -> Encoded:
        return self.encode(embedded.vectors_BTE, embedded.mask_BT, self.recurrent.repeats(embedded))

    def encode(self, vectors_BTE: Tensor, mask_BT: Tensor, repeats: Repeats | None = None) -> Encoded:
        """As any sequence encoder; ``repeats`` are those of the vectors."""
        states_BTS = self.dropout(self.recurrent(vectors_BTE, mask_BT, repeats))
        if self.attention is None:
            return Encoded(masked_mean(states_BTS, mask_BT), states_BTS, mask_BT)
        read = (
            self.attention(states_BTS, mask_BT),
            masked_max(states_BTS, mask_BT),
            masked_mean(states_BTS, mask_BT),
        )
        return Encoded(torch.cat(read, 1), states_BTS, mask_BT)
