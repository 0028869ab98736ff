"""The linear head: one weight row and bias a category.

Paper: none of its own; a start at the prior: Lin et al. 2017, "Focal Loss for Dense Object Detection", §3.3
(https://arxiv.org/abs/1708.02002).
Formula: z_c = w_c · dropout(d) + b_c. Under ``"bias": "prior"`` b_c starts at ln(p_c / (1 - p_c)) (at ln p_c under a
softmax), p_c = (support_c + ½) / (documents + 1); under ``zero`` at 0.
Differences: from the paper: every category starts at its own share of train, not all at one small number.
Shapes: [B, D] -> logits [B, C].
Cost: O(D · C) a document; (D + 1) · C parameters.
When to use: as the head of any encoder. It does not know the taxonomy; recursive regularisation and decoding bring that
in.

Dropout acts on the document vector, never on logits. A bias that starts at the prior spares rare categories from
unlearning a score of one half.

Shape letters: B documents, D encoded, C categories.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from linnaea.config.heads import LinearHeadConfig
from linnaea.config.registry import heads
from linnaea.nn.heads.parts import first_bias
from linnaea.nn.layers.dropout import Dropout
from linnaea.nn.network import Encoded, Head, HeadOutput, Sizes


@heads.register("linear")
class LinearHead(Head):
    """``logits = dropout(pooled) @ weightᵀ + bias``.

    Args:
        config: the settings.
        input_dim: D.
        sizes: the taxonomy (for C) and the support (for the prior).
        scores: how logits become scores.
        state_dim: width of token states, which this head leaves unread.
    """

    def __init__(
        self, config: LinearHeadConfig, *, input_dim: int, sizes: Sizes,
        scores: Literal["sigmoid", "softmax"] = "sigmoid", state_dim: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.dropout = Dropout(config.dropout)
        self.linear = nn.Linear(input_dim, len(sizes.taxonomy))
        self.linear.bias = first_bias(config.bias, sizes, scores)

    def forward(self, encoded: Encoded) -> HeadOutput:
        return HeadOutput(self.linear(self.dropout(encoded.pooled_BD)))

    def category_rows(self) -> list[Tensor]:
        return [self.linear.weight]

    def biases(self) -> list[Tensor]:
        return [self.linear.bias]
