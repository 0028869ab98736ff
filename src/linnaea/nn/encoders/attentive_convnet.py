"""AttentiveConvNet: a convolution that sees, besides a token's neighbours, what the token attends to.

Paper: Yin & Schütze 2018, "Attentive Convolution: Equipping CNNs with RNN-style Attention Mechanisms"
    (https://arxiv.org/abs/1710.00519).
Formula: h'_i = σ(W [h_(i-1); h_i; h_(i+1)] + W_c c_i + b), c_i = Σ_j softmax_j(e_ij) m_j over the real tokens, and the
    document vector is max_i h'_i. Match e_ij: m_i·m_j (dot), m_i·W_e m_j (bilinear) or v·tanh(W_e m_i + U_e m_j) (additive).
    Light: m = h = the vectors x. Advanced: m = [gconv_1(x); gconv_3(x)] and h = gconv_1(x) of other weights, with
    gconv(x) = g ⊙ x + (1 - g) ⊙ o, o = σ(W_h [..] + b_h), g = sigmoid(W_g [..] + b_g).
Differences: the text is its own context, so one m serves as the paper's focus and source; a token may attend to itself.
    The last convolution may have another width than x (the paper: one width throughout), and windows other sizes than
    3. The activation σ is a choice (the paper: tanh). No scaling under the softmax, as in the paper.
Shapes: [B, T, E] -> [B, D], D = hidden; token states h' [B, T, D].
Cost: O(T·E·(window·(D + E) + E) + T²·E), additive: O(T²·E) tanh; memory O(T), additive: O(T²), never T² · E.
When to use: where a phrase is to be read in the light of others far away in the same text, with fewer parameters and
    less data than a transformer wants.

Beyond both ends of a text its neighbours are zero.

Shape letters: B documents, T tokens, E embedding, D encoded; M = E or 2·E columns of what is matched.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from linnaea.config.encoders_attention import AttentiveConvNetConfig
from linnaea.config.registry import encoders
from linnaea.nn.layers.activations import ACTIVATIONS
from linnaea.nn.layers.additive import AdditiveScores
from linnaea.nn.layers.attention import attended
from linnaea.nn.layers.pooling import masked_max
from linnaea.nn.layers.time import convolved, opened
from linnaea.nn.network import Encoded, SequenceEncoder


class DotMatch(nn.Module):
    """``(matched [B, T, M], open [B, T]) -> context [B, T, M]``: Σ_j softmax_j(m_i·m_j) m_j."""

    def __init__(self, width: int) -> None:
        super().__init__()

    def forward(self, matched_BTM: Tensor, open_BT: Tensor) -> Tensor:
        key = matched_BTM[:, None]
        context = functional.scaled_dot_product_attention(
            self.queries(matched_BTM)[:, None], key, key, attn_mask=open_BT[:, None, None, :], scale=1.0
        )
        return context[:, 0]

    def queries(self, matched_BTM: Tensor) -> Tensor:
        return matched_BTM


class BilinearMatch(DotMatch):
    """The same with e_ij = m_i·W_e m_j."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.query = nn.Linear(width, width, bias=False)

    def queries(self, matched_BTM: Tensor) -> Tensor:
        return self.query(matched_BTM)  # type: ignore[no-any-return]


class AdditiveMatch(nn.Module):
    """The same with e_ij = v·tanh(W_e m_i + U_e m_j)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query, self.key = (nn.Linear(width, width, bias=False) for _ in range(2))
        self.vector = nn.Parameter(torch.empty(width).uniform_(-1, 1) / math.sqrt(width))

    def forward(self, matched_BTM: Tensor, open_BT: Tensor) -> Tensor:
        query, key = self.query(matched_BTM), self.key(matched_BTM)
        score_BTT = AdditiveScores.apply(query, key, self.vector.to(query.dtype))  # type: ignore[no-untyped-call]
        share_BTT = score_BTT.masked_fill(~open_BT[:, None], -torch.inf).softmax(2)
        return torch.bmm(share_BTT, matched_BTM)


MATCHES = {"dot": DotMatch, "bilinear": BilinearMatch, "additive": AdditiveMatch}


class GatedConvolutions(nn.Module):
    """``[B, T, E] -> (matched [B, T, 2·E], beneficiary [B, T, E])``: three gated convolutions of the vectors."""

    def __init__(self, config: AttentiveConvNetConfig, width: int) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[config.activation]
        # Outputs of the matching and the beneficiary, then their gates.
        self.single = nn.Linear(width, 4 * width)
        self.wide = nn.Conv1d(width, 2 * width, config.window)

    def forward(self, vectors_BTE: Tensor) -> tuple[Tensor, Tensor]:
        alone, beneficiary = self._mixed(vectors_BTE, self.single(vectors_BTE)).unbind(2)
        around = self._mixed(vectors_BTE, convolved(vectors_BTE, self.wide.weight, self.wide.bias))
        return torch.cat([alone, around.squeeze(2)], 2), beneficiary

    def _mixed(self, vectors_BTE: Tensor, responses: Tensor) -> Tensor:
        """``[B, T, n, E]``; the responses are n outputs, then n gates, side by side."""
        old = vectors_BTE[:, :, None]
        output, gate = responses.view(*old.shape[:2], 2, -1, old.shape[3]).unbind(2)
        # Under autocast they are of another type than the vectors.
        new, share = self.activation(output).to(old.dtype), gate.sigmoid().to(old.dtype)
        return torch.lerp(new, old, share)


@encoders.register("attentive_convnet")
class AttentiveConvNet(SequenceEncoder):
    """``output_dim`` = ``state_dim`` = ``hidden``."""

    def __init__(self, config: AttentiveConvNetConfig, *, input_dim: int) -> None:
        super().__init__()
        self.output_dim = self.state_dim = config.hidden
        advanced = config.kind == "advanced"
        matched = 2 * input_dim if advanced else input_dim
        self.gated = GatedConvolutions(config, input_dim) if advanced else None
        self.match = MATCHES[config.attention](matched)
        self.near = nn.Conv1d(input_dim, config.hidden, config.window)
        self.far = nn.Linear(matched, config.hidden, bias=False)
        self.activation = ACTIVATIONS[config.activation]

    def encode(self, vectors_BTE: Tensor, mask_BT: Tensor) -> Encoded:
        open_BT1 = opened(mask_BT, vectors_BTE)
        own_BTE = matched_BTM = vectors_BTE * open_BT1
        if self.gated is not None:
            matched_BTM, own_BTE = self.gated(own_BTE)
            own_BTE = own_BTE * open_BT1
        context_BTM = self.match(matched_BTM, attended(mask_BT))
        near_BTD = convolved(own_BTE, self.near.weight, self.near.bias)
        states_BTD = self.activation(near_BTD + self.far(context_BTM))
        return Encoded(masked_max(states_BTD, mask_BT), states_BTD, mask_BT)
