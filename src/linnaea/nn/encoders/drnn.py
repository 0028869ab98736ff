"""DRNN: a recurrent network that sees only the last few tokens, so that it works like a convolution.

Paper: Wang 2018, "Disconnected Recurrent Neural Networks for Text Categorization"
(https://aclanthology.org/P18-1215/).
Formula: h_t = RNN(x_{t-k+1}, ..., x_t) from a zero state, with k = window; m_t = W · BN(h_t) + b; doc = max_t m_t over
real tokens. Dropout acts on the state after each of the k steps.
Differences: from the paper: a window that hangs over the beginning of the text starts later, at its first token, where
the paper reads zero vectors in place of the missing ones. So a text no longer than the window is read as an ordinary
recurrent network reads it. Further cells than GRU; with two directions a second network reads each window of t, ...,
t+k-1 from its far end, and the states are put side by side. Batch normalisation is over real tokens.
Shapes: [B, T, E] -> [B, D], D = output (or hidden where that is null); states [B, T, hidden · directions] are BN(h_t).
Cost: O(T · hidden · E) for the inputs, once a token, and O(k · T · hidden²) for k steps that all windows take together;
the backward pass takes twice that. Memory O(T · (E + hidden)), whatever the window, and beside it in training at most
64 MiB, on a GPU 1 GiB, or what the k steps of one document leave where that is more (8 · k · T · hidden numbers at
most); beyond those the backward pass takes steps once more.
When to use: where short phrases decide and the order within them matters; k steps instead of T make it quick on a GPU.

Shape letters: B documents, T tokens, E embedding, D encoded.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from linnaea.config.encoders_recurrent import DRNNConfig
from linnaea.config.registry import encoders
from linnaea.nn.layers.convolution import LargestResponses
from linnaea.nn.layers.normalization import MaskedBatchNorm
from linnaea.nn.layers.pooling import masked_mean
from linnaea.nn.layers.windowed import WindowedRecurrence
from linnaea.nn.network import Encoded, SequenceEncoder


@encoders.register("drnn")
class DRNN(SequenceEncoder):
    """``output_dim`` = output or hidden; ``state_dim`` = hidden · directions.

    Args:
        config: the settings.
        input_dim: E.
        vector: whether the document vector is read; otherwise it is the mean of the states.
    """

    def __init__(self, config: DRNNConfig, *, input_dim: int, vector: bool = True) -> None:
        super().__init__()
        self.recurrence = WindowedRecurrence(
            config.cell, input_dim, config.hidden, window=config.window,
            bidirectional=config.bidirectional, dropout=config.dropout,
        )  # fmt: skip
        self.state_dim = self.recurrence.output_dim
        self.normalization = MaskedBatchNorm(self.state_dim)
        self.output_dim = (config.output or config.hidden) if vector else self.state_dim
        self.perceptron = nn.Linear(self.state_dim, self.output_dim) if vector else None

    def encode(self, vectors_BTE: Tensor, mask_BT: Tensor) -> Encoded:
        states_BTS = self.normalization(self.recurrence(vectors_BTE, mask_BT), mask_BT)
        if self.perceptron is None:
            return Encoded(masked_mean(states_BTS, mask_BT), states_BTS, mask_BT)
        # A kernel of width 1 is a matrix; only the largest response of each row has a gradient.
        kernel = self.perceptron.weight[..., None]
        largest = LargestResponses.apply(states_BTS, kernel, mask_BT, 1, None)  # type: ignore[no-untyped-call]
        response_BD = largest[0][..., 0] + self.perceptron.bias
        pooled_BD = torch.where(mask_BT.any(1, keepdim=True), response_BD, 0.0)
        return Encoded(pooled_BD, states_BTS, mask_BT)
