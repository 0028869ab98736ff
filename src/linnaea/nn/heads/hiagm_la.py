"""HiAGM-LA: every category looks at the text by itself, and its neighbours in the taxonomy tell it at what.

Paper: Zhou et al. 2020, "Hierarchy-Aware Global Model for Hierarchical Text Classification"
(https://aclanthology.org/2020.acl-main.104/).
Formula: u = V structure(e), e a learned vector a category, structure a gated graph convolution or a tree-LSTM up and down;
α_c = softmax_t(u_c · h_t) over the real tokens, v_c = Σ_t α_ct h_t; z_c = w_c · v_c + b_c, under `"output": "full"`
z = W [v_1 ; ... ; v_C] + b.
Differences: attention is over token states of any encoder, where the paper has the outputs of its three convolutions
(textrcnn gives those); V takes queries to the size of the states. rows is the default, since full has C · C · D weights.
Priors of edges stay as counted, every gate's bias begins at 0; dropout is on the states alone, since what passes along the
taxonomy is the same for all documents; down a DAG the tree-LSTM takes the mean over parents.
Shapes: states [B, S, D] -> logits [B, C].
Cost: O(S · D · C) a document, and O(C · dimension · (dimension + D) + edges · dimension) once a batch; full: + C² · D a
document. Under rows memory in training is that of label_attention.
When to use: as label_attention, where many categories are too rare to learn alone where to look.

The document vector is not read: under this head an encoder has no parameters for it, and its keys that act on nothing else
are refused.

Shape letters: B documents, S token states, D state, C categories, F features of a category.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from linnaea.config.heads import HiAGMLabelAttentionConfig
from linnaea.config.registry import heads
from linnaea.nn.heads.parts import attended_logits, attended_vectors, first_bias, in_pieces, states_of
from linnaea.nn.heads.structure import CategoryOutput, Structure, check_edges, check_weights, moved
from linnaea.nn.layers.dropout import Dropout
from linnaea.nn.network import Encoded, Head, HeadOutput, Sizes
from linnaea.taxonomy.change import Change


@heads.register("hiagm_la")
class HiAGMLabelAttention(Head):
    """``embedding`` [C, F] through ``structure`` and ``query`` to what attends; ``output``.

    Args:
        config: the settings.
        input_dim: of the document vector, which this head leaves unread.
        state_dim: D.
        sizes: the taxonomy, and the support (for priors of edges and biases).
        scores: how logits become scores.

    Raises:
        ConfigError: the taxonomy has no edges, or the weights are too many.
    """

    def __init__(
        self, config: HiAGMLabelAttentionConfig, *, input_dim: int, sizes: Sizes, state_dim: int,
        scores: Literal["sigmoid", "softmax"] = "sigmoid",
    ) -> None:  # fmt: skip
        super().__init__()
        categories = len(sizes.taxonomy)
        check_edges(config, sizes.taxonomy)
        check_weights(config, categories, config.dimension, state_dim)
        self.dropout = Dropout(config.dropout)
        self.embedding = nn.Parameter(torch.randn(categories, config.dimension))
        self.structure = Structure(config, sizes, 0.0)
        self.query = nn.Linear(self.structure.output_dim, state_dim, bias=False)
        self.output = CategoryOutput(
            config.output, categories, state_dim, first_bias(config.bias, sizes, scores)
        )
        self.held = state_dim if self.output.full else 1

    def forward(self, encoded: Encoded) -> HeadOutput:
        states_BSD, mask_BS = states_of(encoded)
        states_BSD = self.dropout(states_BSD)
        query_CD = self.query(self.structure(self.embedding[None])[0])
        if self.output.full:
            vectors_BCD = in_pieces(attended_vectors, states_BSD, mask_BS, [query_CD], states_BSD.shape[2])
            return HeadOutput(self.output(vectors_BCD))
        logits_BC = in_pieces(attended_logits, states_BSD, mask_BS, [query_CD, self.output.weight])
        return HeadOutput(logits_BC + self.output.bias)

    def category_rows(self) -> list[Tensor]:
        return [self.output.weight, self.embedding]

    def biases(self) -> list[Tensor]:
        return [self.output.bias]

    def growth_problem(self, change: Change) -> str | None:
        return moved(change)
