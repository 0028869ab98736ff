"""TextRCNN: recurrent layers over tokens, then TextCNN over their states.

Paper: none of its own; earlier toolkits ship it as "RCNN", and HiAGM builds on it (Zhou et al. 2020, "Hierarchy-Aware
Global Model for Hierarchical Text Classification", https://aclanthology.org/2020.acl-main.104/). The RCNN of Lai et al.
2015 is another network: `rcnn_lai`.
Formula: h_t from a bidirectional GRU as in TextRNN; feature_f = σ(max_t (W_f · [h_t, ..., h_{t+k-1}]) + b_f) for each
kernel size k; the states, for a head that reads them, σ(W_f · [window of k around t] + b_f), all kernel sizes side by
side, as HiAGM attends over its convolutions.
Differences: from the earlier toolkits: windows without any real token never take part, the backward direction starts at
each text's own end, and dropout is never on the logits. A window of the states hangs over the ends of the text; of
an even number of tokens it has one more after t than before it.
Shapes: [B, T, E] -> [B, D], D = kernel sizes · filters · top_k; states [B, T, S], S = kernel sizes · filters.
Cost: TextRNN's, and O(T · H · filters · Σ kernel sizes) for the convolutions, whose backward pass touches the chosen
windows only where the document vector is read, and all of them where the states are. What the head does not read is not
computed.
When to use: as TextRNN; phrases are found in states that know their context.

Shape letters: B documents, T tokens, E embedding, H states of the recurrent layers, D encoded, S token states.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from linnaea.config.encoders_recurrent import TextRCNNConfig
from linnaea.config.registry import encoders
from linnaea.nn.layers.activations import ACTIVATIONS
from linnaea.nn.layers.convolution import LargestOverTime
from linnaea.nn.layers.pooling import masked_mean
from linnaea.nn.layers.recurrent import Recurrent
from linnaea.nn.layers.repeats import Repeats
from linnaea.nn.layers.time import responses
from linnaea.nn.network import Embedded, Encoded, SequenceEncoder


@encoders.register("textrcnn")
class TextRCNN(SequenceEncoder):
    """``output_dim`` as TextCNN's; ``state_dim`` = kernel sizes · filters; an empty document is 0.

    Args:
        config: the settings.
        input_dim: E.
        vector: whether the document vector is read; otherwise it is the mean of the states.
        states: whether the token states are read; otherwise there are none.
    """

    def __init__(
        self, config: TextRCNNConfig, *, input_dim: int, vector: bool = True, states: bool = True
    ) -> None:
        super().__init__()
        self.recurrent = Recurrent.of(config, input_dim)
        self.convolutions = LargestOverTime(config, self.recurrent.output_dim)
        self.activation, self.vector = ACTIVATIONS[config.activation], vector
        width = len(config.kernel_sizes) * config.filters
        self.state_dim = width if states else None
        self.output_dim = self.convolutions.output_dim if vector else width

    def forward(self, embedded: Embedded) -> Encoded:
        return self.encode(embedded.vectors_BTE, embedded.mask_BT, self.recurrent.repeats(embedded))

    def encode(self, vectors_BTE: Tensor, mask_BT: Tensor, repeats: Repeats | None = None) -> Encoded:
        """As any sequence encoder; ``repeats`` are those of the vectors."""
        hidden_BTH = self.recurrent(vectors_BTE, mask_BT, repeats)
        if self.state_dim is None:
            return Encoded(self.convolutions(hidden_BTH, mask_BT))
        states_BTS = self._states(hidden_BTH * mask_BT[..., None])
        pooled_BD = (
            self.convolutions(hidden_BTH, mask_BT) if self.vector else masked_mean(states_BTS, mask_BT)
        )
        return Encoded(pooled_BD, states_BTS, mask_BT)

    def _states(self, hidden_BTH: Tensor) -> Tensor:
        """What the convolutions say around each token; ``hidden_BTH`` is zero at padding."""
        found = []
        for convolution in self.convolutions:
            assert isinstance(convolution, nn.Conv1d)
            weight, bias = convolution.weight, convolution.bias
            before = (weight.shape[2] - 1) // 2
            around = functional.pad(hidden_BTH, (0, 0, before, weight.shape[2] - 1 - before))
            found.append(responses(around, weight, bias).permute(0, 2, 3, 1).squeeze(1))
        return self.activation(torch.cat(found, 2))
