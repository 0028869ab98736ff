"""RCNN of Lai: every token between what a recurrent network knows of the text on its left and on its right.

Paper: Lai 2015, "Recurrent Convolutional Neural Networks for Text Classification"
(https://ojs.aaai.org/index.php/AAAI/article/view/9513).
Formula: c_l(w_i) = f(W_l c_l(w_{i-1}) + W_sl e(w_{i-1}) + b_l), c_r mirrored; x_i = [c_l(w_i); e(w_i); c_r(w_i)];
y_i = f(W_2 x_i + b_2); doc = max_i y_i over real tokens.
Differences: from the paper: the recurrences have a bias; the contexts beyond the two ends of a text, c_l(w_1) and
c_r(w_n), are what the recurrence makes of a learned vector that stands before the first token and of one behind the
last, where the paper learns the contexts themselves. f is tanh or ReLU in both places; the paper has tanh in y and leaves
the other open. What earlier toolkits call RCNN is another network: textrcnn.
Shapes: [B, T, E] -> [B, D], D = output; states [B, T, E + 2 · hidden] are x_i.
Cost: O(T · hidden · (hidden + E) + T · output · (2 · hidden + E)); T + 2 steps, one after another. Memory
O(T · (E + hidden + output)).
When to use: where the sense of a word depends on far context; it takes T steps, so a GPU has little to do at a time.

Shape letters: B documents, T tokens, E embedding, H hidden, X = E + 2 · H, D encoded.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from linnaea.config.encoders_recurrent import RCNNLaiConfig
from linnaea.config.registry import encoders
from linnaea.nn.layers.activations import ACTIVATIONS
from linnaea.nn.layers.convolution import LargestResponses
from linnaea.nn.layers.pooling import masked_mean
from linnaea.nn.layers.recurrent import Recurrent
from linnaea.nn.network import Encoded, SequenceEncoder


@encoders.register("rcnn_lai")
class RCNNLai(SequenceEncoder):
    """``output_dim`` = output; ``state_dim`` = E + 2 · hidden.

    Args:
        config: the settings.
        input_dim: E.
        vector: whether the document vector is read; otherwise it is the mean of the states.
    """

    def __init__(self, config: RCNNLaiConfig, *, input_dim: int, vector: bool = True) -> None:
        super().__init__()
        self.hidden, self.state_dim = config.hidden, input_dim + 2 * config.hidden
        self.output_dim = config.output if vector else self.state_dim
        self.activation = ACTIVATIONS[config.activation]
        self.context = Recurrent("rnn", input_dim, config.hidden, nonlinearity=config.activation)
        self.edges = nn.Parameter(torch.empty(2, input_dim).uniform_(-1, 1) / input_dim**0.5)
        self.perceptron = nn.Linear(self.state_dim, self.output_dim) if vector else None

    def encode(self, vectors_BTE: Tensor, mask_BT: Tensor) -> Encoded:
        lengths_B1, H = mask_BT.sum(1, keepdim=True), self.hidden
        filled_B1 = lengths_B1 > 0
        context_BUS = self.context(*self._between_edges(vectors_BTE, lengths_B1))
        # One position holds the edge, then the first token: the state there is the context of the next position.
        parts = [context_BUS[:, :-2, :H], vectors_BTE.to(context_BUS.dtype), context_BUS[:, 2:, H:]]
        states_BTX = torch.cat(parts, 2)
        if self.perceptron is None:
            return Encoded(masked_mean(states_BTX, mask_BT), states_BTX, mask_BT)
        # A kernel of width 1 is a matrix; f rises, so the largest of f is f of the largest.
        kernel = self.perceptron.weight[..., None]
        largest = LargestResponses.apply(states_BTX, kernel, mask_BT, 1, None)  # type: ignore[no-untyped-call]
        response_BD = torch.where(filled_B1, largest[0][..., 0], 0.0) + self.perceptron.bias
        return Encoded(torch.where(filled_B1, self.activation(response_BD), 0.0), states_BTX, mask_BT)

    def _between_edges(self, vectors_BTE: Tensor, lengths_B1: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors ``[B, T + 2, E]`` with an edge before and behind each text, and their mask."""
        U = vectors_BTE.shape[1] + 2
        place_U = torch.arange(U, device=vectors_BTE.device)
        mask_BU = (place_U < lengths_B1 + 2) & (lengths_B1 > 0)
        around = nn.functional.pad(vectors_BTE, (0, 0, 1, 1))
        last_BU1 = (place_U == lengths_B1 + 1)[..., None]
        left_E, right_E = self.edges.to(vectors_BTE.dtype)
        first_U1 = (place_U == 0)[:, None]
        return torch.where(first_U1, left_E, torch.where(last_BU1, right_E, around)), mask_BU
