"""HiAGM-TP: the text becomes a vector a category, and these pass along the taxonomy.

Paper: Zhou et al. 2020, "Hierarchy-Aware Global Model for Hierarchical Text Classification"
(https://aclanthology.org/2020.acl-main.104/).
Formula: x_c = W_c d + b_c; m = structure(x), a gated graph convolution or a tree-LSTM up and down; z_c = w_c · m_c + b_c,
under `"output": "full"` z = W [m_1 ; ... ; m_C] + b.
Differences: rows is the default: full has C · C · dimension weights, 3 million at 103 categories of the paper's 300 and 300
million at 1,000. Edges weigh what they weigh in the paper, 1 up and P(child | parent) down, and stay so, where the
authors' code has dense matrices that learn; every gate's bias begins at 0, where one began as whatever was in memory;
dropout is never on logits. Down a DAG the tree-LSTM takes the mean over parents.
Shapes: [B, D] -> logits [B, C].
Cost: O(C · dimension · D + edges · dimension) a document (tree_lstm: + C · dimension²), full: + C² · dimension; parameters
and memory C · dimension · (D + 2), the latter times the documents of a batch for what passes along.
When to use: with a few hundred categories and enough documents; plain `linear` beside it tells whether the taxonomy helps.

Shape letters: B documents, D encoded, C categories, F features of a category.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.nn import functional

from linnaea.config.heads import HiAGMTextPropagationConfig
from linnaea.config.registry import heads
from linnaea.nn.heads.parts import first_bias, uniform
from linnaea.nn.heads.structure import CategoryOutput, Structure, check_edges, check_weights, moved
from linnaea.nn.layers.dropout import Dropout
from linnaea.nn.network import Encoded, Head, HeadOutput, Sizes
from linnaea.taxonomy.change import Change


@heads.register("hiagm_tp")
class HiAGMTextPropagation(Head):
    """``weight`` [C, F, D] and ``bias`` [C, F] into the vectors of categories; ``structure``; ``output``.

    Args:
        config: the settings.
        input_dim: D.
        sizes: the taxonomy, and the support (for priors of edges and biases).
        scores: how logits become scores.
        state_dim: width of token states, which this head leaves unread.

    Raises:
        ConfigError: the taxonomy has no edges, or the weights are too many.
    """

    def __init__(
        self, config: HiAGMTextPropagationConfig, *, input_dim: int, sizes: Sizes,
        scores: Literal["sigmoid", "softmax"] = "sigmoid", state_dim: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        categories = len(sizes.taxonomy)
        width = config.dimension * (2 if config.structure == "tree_lstm" else 1)
        check_edges(config, sizes.taxonomy)
        check_weights(config, categories, config.dimension * input_dim, width)
        self.dropout = Dropout(config.dropout)
        self.weight = uniform(categories, config.dimension, input_dim, fan=input_dim)
        self.bias = uniform(categories, config.dimension, fan=input_dim)
        self.structure = Structure(config, sizes, config.structure_dropout)
        start_C = first_bias(config.bias, sizes, scores)
        self.output = CategoryOutput(config.output, categories, self.structure.output_dim, start_C)
        self.held = self.structure.output_dim

    def forward(self, encoded: Encoded) -> HeadOutput:
        vector_BD = self.dropout(encoded.pooled_BD)
        features_BX = functional.linear(vector_BD, self.weight.flatten(0, 1), self.bias.flatten())
        return HeadOutput(self.output(self.structure(features_BX.view(-1, *self.bias.shape))))

    def category_rows(self) -> list[Tensor]:
        return [self.output.weight, self.weight]

    def biases(self) -> list[Tensor]:
        return [self.output.bias]

    def growth_problem(self, change: Change) -> str | None:
        return moved(change)
