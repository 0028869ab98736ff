"""fastText: the mean of the vectors of all features: tokens, n-grams, keywords, topics.

Paper: Joulin et al. 2016, "Bag of Tricks for Efficient Text Classification" (https://arxiv.org/abs/1607.01759).
Formula: d = Σ_f Σ_i x_{f,i} / Σ_f n_f over the ids i of all features f, n_f in number.
Differences: from the paper: no hierarchical softmax; an unknown token counts with its own learned vector; keywords and
topics may stand beside tokens and n-grams, all with the same weight.
Shapes: bags -> [B, D], D = E; no token states.
Cost: O(n · E) for n ids of a document, all features counted; no parameters besides the embedder's tables.
When to use: as the fastest network, and where single words and word pairs tell the category; with word n-grams it knows
order within them.

The embedder sums the bags and divides by their total count, so one vector a document arrives here; over a sequence of
vectors this encoder is their mean.

Shape letters: B documents, T tokens (1 over bags), E embedding.
"""

from __future__ import annotations

from torch import Tensor

from linnaea.config.encoders import FastTextConfig
from linnaea.config.registry import encoders
from linnaea.nn.network import Encoded, SequenceEncoder


@encoders.register("fasttext")
class FastText(SequenceEncoder):
    """``output_dim`` = the embedding's; an empty document is the zero vector."""

    def __init__(self, config: FastTextConfig, *, input_dim: int) -> None:
        super().__init__()
        self.output_dim = input_dim

    def encode(self, vectors_BTE: Tensor, mask_BT: Tensor) -> Encoded:
        sums_BE = (vectors_BTE * mask_BT[..., None]).sum(1)
        return Encoded(sums_BE / mask_BT.sum(1, keepdim=True).clamp(min=1))
