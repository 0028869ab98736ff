"""Spelling: a vector for a token, composed of its characters by a small convolutional network.

Paper: dos Santos & Zadrozny 2014, "Learning Character-level Representations for Part-of-Speech Tagging"
    (https://proceedings.mlr.press/v32/santos14.html); Kim et al. 2016, "Character-Aware Neural Language Models"
    (https://arxiv.org/abs/1508.06615).
Formula: s_f = max over windows of characters of σ(W_f * c + b_f); the filters of all kernel sizes one after another.
Differences: from dos Santos & Zadrozny: an activation, several kernel sizes; from Kim et al.: no highway layer; no marks
    for the beginning and end of a token (windows hang over both ends instead).
Shapes: [U, W] characters of the distinct tokens of a batch -> [U, F], and by place [B, T, F]; F = filters · kernel sizes.
Cost: by distinct tokens of a batch, not by positions: O(U·W·F) and a product of each distinct character with the
    kernels.
When to use: where many words of what is to be predicted are missing in train, or misspelled; beside word vectors or
    instead of them. A plain sequence of characters (feature char) needs no words at all, but is five times as long.

Shape letters: B documents, T tokens, U distinct tokens, W characters, F filters.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from linnaea.config.embedders import SpellingConfig
from linnaea.config.encoders import TextCNNConfig
from linnaea.nn.batch import Spelling
from linnaea.nn.layers.convolution import LargestOverTime
from linnaea.nn.network import Embedded


class Speller(nn.Module):
    """Spelling -> ``[U, F]``. ``output_dim`` is F.

    Args:
        rows: of the table of characters; 0 is padding, 1 the unknown character.
    """

    def __init__(self, config: SpellingConfig, *, rows: int) -> None:
        super().__init__()
        self.characters = nn.Embedding(rows, config.dimension, padding_idx=0)
        bound = config.dimension**-0.5
        with torch.no_grad():
            nn.init.uniform_(self.characters.weight[1:], -bound, bound)
        convolutions = TextCNNConfig(
            kernel_sizes=config.kernel_sizes, filters=config.filters, activation=config.activation
        )
        # A token's characters are a short text.
        self.words = LargestOverTime(convolutions, config.dimension)
        self.output_dim = self.words.output_dim

    def forward(self, spelling: Spelling) -> Tensor:
        letters_UW = spelling.letters_UW
        embedded = Embedded(self.characters(letters_UW), letters_UW != 0, letters_UW, repeats=True)
        composed: Tensor = self.words(embedded.vectors_BTE, embedded.mask_BT, self.words.repeats(embedded))
        return composed
