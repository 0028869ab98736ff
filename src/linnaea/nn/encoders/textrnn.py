"""TextRNN: recurrent layers over tokens, their states pooled to one vector.

Paper: Liu, Qiu & Huang 2016, "Recurrent Neural Network for Text Classification with Multi-Task Learning"
(https://www.ijcai.org/Proceedings/16/Papers/408.pdf); attention: Yang et al. 2016, "Hierarchical Attention Networks for
Document Classification" (https://aclanthology.org/N16-1174/).
Formula: with the default cell r = σ(W_ir x + b_ir + W_hr h + b_hr), z alike, n = tanh(W_in x + b_in + r (W_hn h + b_hn)),
h' = (1 - z) n + z h; document = Σ_t α_t h_t with α = softmax_t(v · tanh(W h_t + b)), or the mean of the h_t, or the
state at each direction's end.
Differences: from the paper: it has one direction of LSTM and its last state; here a bidirectional GRU with attention is
the default, and the paper's is `"cell": "lstm", "bidirectional": false, "pooling": "last"`.
Shapes: [B, T, E] -> [B, D], D = hidden, doubled if bidirectional; states [B, T, D].
Cost: O(T · hidden · (E + hidden)) for each layer and direction, and T steps that wait for each other; memory in training
O(T · hidden), some ten numbers of a state's size for each token.
When to use: where the order of words over longer stretches matters. Slower than convolutions, which see a few words
only.

Shape letters: B documents, T tokens, E embedding, D states.
"""

from __future__ import annotations

from torch import Tensor

from linnaea.config.encoders_recurrent import TextRNNConfig
from linnaea.config.registry import encoders
from linnaea.nn.layers.pooling import AdditiveAttention, ends, masked_mean
from linnaea.nn.layers.recurrent import Recurrent
from linnaea.nn.layers.repeats import Repeats
from linnaea.nn.network import Embedded, Encoded, SequenceEncoder


@encoders.register("textrnn")
class TextRNN(SequenceEncoder):
    """``output_dim`` = ``state_dim`` = directions · hidden; an empty document is 0.

    Args:
        config: the settings.
        input_dim: E.
        vector: whether the document vector is read; otherwise it is the mean of the states.
    """

    state_dim: int

    def __init__(self, config: TextRNNConfig, *, input_dim: int, vector: bool = True) -> None:
        super().__init__()
        self.recurrent = Recurrent.of(config, input_dim)
        self.pooling, self.bidirectional = config.pooling if vector else "mean", config.bidirectional
        self.output_dim = self.state_dim = self.recurrent.output_dim
        attends = self.pooling == "attention"
        self.attention = AdditiveAttention(self.state_dim, config.attention) if attends else None

    def forward(self, embedded: Embedded) -> Encoded:
        return self.encode(embedded.vectors_BTE, embedded.mask_BT, self.recurrent.repeats(embedded))

    def encode(self, vectors_BTE: Tensor, mask_BT: Tensor, repeats: Repeats | None = None) -> Encoded:
        """As any sequence encoder; ``repeats`` are those of the vectors."""
        states_BTD = self.recurrent(vectors_BTE, mask_BT, repeats)
        if self.attention is not None:
            pooled_BD = self.attention(states_BTD, mask_BT)
        elif self.pooling == "mean":
            pooled_BD = masked_mean(states_BTD, mask_BT)
        else:
            pooled_BD = ends(states_BTD, mask_BT, self.bidirectional)
        return Encoded(pooled_BD, states_BTD, mask_BT)
