"""TextRCNN: recurrent layers over tokens, then TextCNN over their states.

Paper: none of its own; earlier toolkits ship it as "RCNN", and HiAGM builds on it (Zhou et al. 2020, "Hierarchy-Aware
Global Model for Hierarchical Text Classification", https://aclanthology.org/2020.acl-main.104/). The RCNN of Lai et al.
2015 is another network: `rcnn_lai`.
Formula: h_t from a bidirectional GRU as in TextRNN; feature_f = σ(max_t (W_f · [h_t, ..., h_{t+k-1}]) + b_f) for each
kernel size k.
Differences: from the earlier toolkits: windows without any real token never take part, the backward direction starts at
each text's own end, and dropout is never on the logits.
Shapes: [B, T, E] -> [B, D], D = kernel sizes · filters · top_k; states [B, T, S], S = hidden, doubled if
bidirectional, are those of the recurrent layers.
Cost: TextRNN's, and O(T · S · filters · Σ kernel sizes) for the convolutions, whose backward pass touches the chosen
windows only.
When to use: as TextRNN; phrases are found in states that know their context.

Shape letters: B documents, T tokens, E embedding, D encoded, S states.
"""

from __future__ import annotations

from torch import Tensor

from linnaea.config.encoders_recurrent import TextRCNNConfig
from linnaea.config.registry import encoders
from linnaea.nn.layers.convolution import LargestOverTime
from linnaea.nn.layers.recurrent import Recurrent
from linnaea.nn.layers.repeats import Repeats
from linnaea.nn.network import Embedded, Encoded, SequenceEncoder


@encoders.register("textrcnn")
class TextRCNN(SequenceEncoder):
    """``output_dim`` as TextCNN's; ``state_dim`` = directions · hidden; an empty document is 0."""

    def __init__(self, config: TextRCNNConfig, *, input_dim: int) -> None:
        super().__init__()
        self.recurrent = Recurrent.of(config, input_dim)
        self.state_dim = self.recurrent.output_dim
        self.convolutions = LargestOverTime(config, self.recurrent.output_dim)
        self.output_dim = self.convolutions.output_dim

    def forward(self, embedded: Embedded) -> Encoded:
        return self.encode(embedded.vectors_BTE, embedded.mask_BT, self.recurrent.repeats(embedded))

    def encode(self, vectors_BTE: Tensor, mask_BT: Tensor, repeats: Repeats | None = None) -> Encoded:
        """As any sequence encoder; ``repeats`` are those of the vectors."""
        states_BTS = self.recurrent(vectors_BTE, mask_BT, repeats)
        return Encoded(self.convolutions(states_BTS, mask_BT), states_BTS, mask_BT)
