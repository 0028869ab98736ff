"""TextCNN: convolutions over tokens, the largest responses of each filter over time.

Paper: Kim 2014, "Convolutional Neural Networks for Sentence Classification" (https://arxiv.org/abs/1408.5882).
Formula: feature_f = σ(max_t (W_f · [x_t, ..., x_{t+k-1}]) + b_f) for each kernel size k.
Differences: from the paper: windows may hang over both ends of the text (wide; narrow is the paper's, and wide where a
text is shorter than a kernel); the top_k largest responses a filter are kept, in temporal order; a window without any
real token never takes part. Responses are compared before bias and activation, which gives the same features under
every monotone activation (all but gelu).
Shapes: [B, T, E] -> [B, D], D = kernel sizes · filters · top_k; no token states.
Cost: O(T · E · filters · Σ kernel sizes), on a CPU for distinct tokens of a batch only; the backward pass touches the
chosen windows only. Memory O(T · filters) while a kernel size is worked on.
When to use: as the first network to try: fast, and hard to beat where single phrases tell the category.

Shape letters: B documents, T tokens, E embedding, D encoded.
"""

from __future__ import annotations

from torch import Tensor

from linnaea.config.encoders import TextCNNConfig
from linnaea.config.registry import encoders
from linnaea.nn.layers.convolution import LargestOverTime
from linnaea.nn.layers.repeats import Repeats
from linnaea.nn.network import Embedded, Encoded, SequenceEncoder


@encoders.register("textcnn")
class TextCNN(SequenceEncoder):
    """``output_dim`` = kernel sizes · filters · top_k, ordered by kernel size, filter, time."""

    def __init__(self, config: TextCNNConfig, *, input_dim: int) -> None:
        super().__init__()
        self.convolutions = LargestOverTime(config, input_dim)
        self.output_dim = self.convolutions.output_dim

    def forward(self, embedded: Embedded) -> Encoded:
        return self.encode(embedded.vectors_BTE, embedded.mask_BT, self.convolutions.repeats(embedded))

    def encode(self, vectors_BTE: Tensor, mask_BT: Tensor, repeats: Repeats | None = None) -> Encoded:
        """As any sequence encoder; ``repeats`` are those of the vectors between the margins."""
        return Encoded(self.convolutions(vectors_BTE, mask_BT, repeats))
