"""Label attention: every category looks at the text by itself.

Paper: Mullenbach et al. 2018, "Explainable Prediction of Medical Codes from Clinical Text"
(https://aclanthology.org/N18-1100/); the shared form: You et al. 2019, "AttentionXML: Label Tree-based Attention-Aware
Deep Model for High-Performance Extreme Multi-Label Text Classification" (https://arxiv.org/abs/1811.01727).
Formula: α_c = softmax_t(u_c · h_t) over the real tokens, v_c = Σ_t α_ct h_t; z_c = w_c · v_c + b_c, or under
`"output": "shared"` z_c = f(v_c) + b_c with one network f of ReLU layers for all categories.
Differences: padding gets no weight; an empty document has its biases for logits; b_c begins at the log-odds of the
category's share of train; dropout acts on the states. From AttentionXML: a bias a category, no tree of labels.
Shapes: states [B, S, D] -> logits [B, C].
Cost: O(S · D · C) a document, linear in the number of categories; 2 · D + 1 parameters a category (shared: D + 1).
Memory in training does not grow with C but for the logits: a few million scores are held at a time, and computed again
on the way back.
When to use: where a few words of a long text decide on each category, and there are enough documents to learn which. The
shared form spares rare categories from learning a row of their own.

The document vector is not read: under this head an encoder has no parameters for it, and its keys that act on nothing else
are refused.

Shape letters: B documents, S token states, D state, C categories, P categories of a piece.
"""

from __future__ import annotations

import itertools
from typing import Literal

from torch import Tensor, nn

from linnaea.config.heads import LabelAttentionConfig
from linnaea.config.registry import heads
from linnaea.nn.heads.parts import (
    attended_logits,
    attended_vectors,
    first_bias,
    in_pieces,
    states_of,
    uniform,
)
from linnaea.nn.layers.dropout import Dropout
from linnaea.nn.network import Encoded, Head, HeadOutput, Sizes


@heads.register("label_attention")
class LabelAttention(Head):
    """``query`` [C, D]; ``row`` [C, D], or ``network`` for all categories; ``bias`` [C].

    Args:
        config: the settings.
        input_dim: of the document vector, which this head leaves unread.
        state_dim: D.
        sizes: the taxonomy (for C) and the support (for the prior).
        scores: how logits become scores.
    """

    def __init__(
        self, config: LabelAttentionConfig, *, input_dim: int, sizes: Sizes, state_dim: int,
        scores: Literal["sigmoid", "softmax"] = "sigmoid",
    ) -> None:  # fmt: skip
        super().__init__()
        categories = len(sizes.taxonomy)
        self.dropout = Dropout(config.dropout)
        self.query = uniform(categories, state_dim, fan=state_dim)
        self.row: nn.Parameter | None = None
        self.network: nn.Sequential | None = None
        if config.output == "rows":
            self.row = uniform(categories, state_dim, fan=state_dim)
        else:
            widths = [state_dim, *config.hidden]
            layers: list[nn.Module] = []
            for one, other in itertools.pairwise(widths):
                layers += [nn.Linear(one, other), nn.ReLU()]
            # The categories' biases are the last layer's.
            self.network = nn.Sequential(*layers, nn.Linear(widths[-1], 1, bias=False))
        self.width = max(state_dim, *config.hidden)
        self.bias = first_bias(config.bias, sizes, scores)

    def forward(self, encoded: Encoded) -> HeadOutput:
        states_BSD, mask_BS = states_of(encoded)
        states_BSD = self.dropout(states_BSD)
        if self.row is not None:
            logits_BC = in_pieces(attended_logits, states_BSD, mask_BS, [self.query, self.row])
        else:
            logits_BC = in_pieces(self._shared, states_BSD, mask_BS, [self.query], self.width)
        return HeadOutput(logits_BC + self.bias)

    def _shared(self, states_BSD: Tensor, mask_BS: Tensor, query_PD: Tensor) -> Tensor:
        """``[B, P]``; nothing of an empty document."""
        assert self.network is not None
        vectors_BPD = attended_vectors(states_BSD, mask_BS, query_PD)
        logits_BP: Tensor = self.network(vectors_BPD)[..., 0]
        return logits_BP.where(mask_BS.any(1, keepdim=True), 0)

    def category_rows(self) -> list[Tensor]:
        return [self.query] if self.row is None else [self.query, self.row]

    def biases(self) -> list[Tensor]:
        return [self.bias]
