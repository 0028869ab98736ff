"""HR-DGCNN: a text as a graph of its words, convolutions over the neighbourhoods of the most central ones.

Paper: Peng et al. 2018, "Large-Scale Hierarchical Text Classification with Recursively Regularized Deep Graph-CNN"
(https://doi.org/10.1145/3178876.3186005).
Formula: two words are neighbours by as many pairs as they form within ``window`` tokens; a word's degree is the sum of
that. The N = ``graph_size`` words of the highest degree are rows, in that order; each has the list of k =
``neighbor_size`` words that a breadth-first search from it meets first, nearer neighbours by their pairs. Then
z_n = ReLU(W [x_1; ...; x_k] + b) for each row and the larger of two rows each; further ReLU(Conv(z)), each with the
larger of two; the rows one after another; ReLU(W z + b) for each of ``hidden``.
Differences: there is one network for all categories, where the paper splits large taxonomies and its code has a
network a category above the first convolution; recursive regularisation is the objective's (``recursive_penalty``).
Local response normalisation, which in the code's settings changes a response of size 1 by a thousandth, is left out.
Equal degrees and equal numbers of pairs are ordered by a word's first place in the text. A word's vector is that at its
first place. Texts with fewer than N words have fewer rows: windows and maxima see zeros beyond them, and nothing else.
Shapes: [B, T, E] and ids [B, T] -> [B, D], D = the last of hidden; no token states.
Cost: O(T · window · log T) for the graph, O(N · k · E · F) and O(N · kernel_size · F²) for the convolutions, F = filters;
memory O(T · window) and O(N · k · E).
When to use: to compare with the paper. Words far apart that share neighbours come together here, but word order beyond
the window is lost, and a long text is its N most central words.

Unknown words are one word to it, unless ``spelling`` tells them apart.

Shape letters: B documents, T tokens, E embedding, N rows, K words of a row, M neighbours that are kept of a word, P pairs,
F filters, D encoded.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from linnaea.config.encoders_convolutional import HRDGCNNConfig
from linnaea.config.registry import encoders
from linnaea.nn.layers.time import Convolution, as_image, halved, opened
from linnaea.nn.network import Embedded, Encoded, Encoder

BEYOND = torch.iinfo(torch.int64).max
"""Sorts behind everything."""


def first_places(ids_BT: Tensor, mask_BT: Tensor) -> Tensor:
    """``[B, T]``: where the word at each position stands first in its document; that is the word's number."""
    marked_BT, order_BT = ids_BT.masked_fill(~mask_BT, BEYOND).sort(stable=True, dim=1)
    return torch.empty_like(ids_BT).scatter_(1, order_BT, order_BT.gather(1, _starts(marked_BT)))


def _starts(sorted_BP: Tensor) -> Tensor:
    """``[B, P]``: where the run of equal values that each position is in begins."""
    return torch.where(_fresh(sorted_BP), _count(sorted_BP), 0).cummax(1).values


def _fresh(sorted_BP: Tensor) -> Tensor:
    """``[B, P]``: whether a run of equal values begins here."""
    before_BP = sorted_BP[:, :-1] != sorted_BP[:, 1:]
    return functional.pad(before_BP, (1, 0), value=True)


def _count(values_BP: Tensor) -> Tensor:
    return torch.arange(values_BP.shape[1], device=values_BP.device).expand_as(values_BP)


def pairs(word_BT: Tensor, mask_BT: Tensor, window: int) -> tuple[Tensor, Tensor, Tensor]:
    """Ordered pairs of different words within a window: one word, the other, and whether the pair is there; ``[B, P]``."""
    sides, others, there = [word_BT[:, :0]], [word_BT[:, :0]], [mask_BT[:, :0]]
    for apart in range(1, min(window, word_BT.shape[1])):
        left, right = word_BT[:, :-apart], word_BT[:, apart:]
        real = mask_BT[:, apart:] & (left != right)
        sides += [left, right]
        others += [right, left]
        there += [real, real]
    return torch.cat(sides, 1), torch.cat(others, 1), torch.cat(there, 1)


def neighbours(side_BP: Tensor, other_BP: Tensor, there_BP: Tensor, words: int, most: int) -> Tensor:
    """``[B, words + 1, M]``: of each word the ``most`` neighbours of the most pairs, then ``words`` for none.

    Of equal ones that with the lower number comes first. The last row is that of no word.
    """
    B, P = side_BP.shape
    if not P:
        return side_BP.new_full((B, words + 1, most), words)
    # Equal pairs come to stand together: as many as there are is their weight.
    key_BP = (side_BP * words + other_BP).masked_fill(~there_BP, BEYOND).sort(1).values
    index_BP = _count(key_BP)
    begins_BP = torch.where(_fresh(key_BP), index_BP, P)
    next_BP = functional.pad(begins_BP[:, 1:], (0, 1), value=P).flip(1).cummin(1).values.flip(1)
    real_BP = (begins_BP < P) & (key_BP != BEYOND)
    lightness_BP = P - (next_BP - index_BP)
    ranked_BP = (key_BP // words * (P + 1) + lightness_BP) * words + key_BP % words
    ranked_BP = ranked_BP.masked_fill(~real_BP, BEYOND).sort(1).values
    word_BP = (ranked_BP // ((P + 1) * words)).clamp(max=words)
    rank_BP = index_BP - _starts(word_BP)
    kept_BP = (ranked_BP != BEYOND) & (rank_BP < most)
    # What is not kept goes to one place more, which is cut off.
    place_BP = torch.where(kept_BP, word_BP * most + rank_BP, (words + 1) * most)
    table = side_BP.new_full((B, (words + 1) * most + 1), words).scatter_(1, place_BP, ranked_BP % words)
    return table[:, :-1].view(B, words + 1, most)


def neighbourhoods(word_BT: Tensor, mask_BT: Tensor, window: int, size: int, k: int) -> Tensor:
    """``[B, N, K]`` positions, N = ``min(size, T)``: of the words of the highest degree, in falling order, the k words
    that a breadth-first search meets first, the word itself before all; T for none."""
    T = word_BT.shape[1]
    side_BP, other_BP, there_BP = pairs(word_BT, mask_BT, window)
    degree_BT = torch.zeros_like(word_BT).scatter_add_(1, side_BP, there_BP.long())
    place_BT = _count(word_BT)
    is_word_BT = mask_BT & (word_BT == place_BT)
    central_BT = torch.where(is_word_BT, degree_BT * T + (T - 1 - place_BT), -1)
    best_BN = central_BT.topk(min(size, T), 1).values  # no two words are alike: each has a place of its own
    root_BN = torch.where(best_BN >= 0, T - 1 - best_BN % T, T)
    found_BNK = functional.pad(root_BN[..., None], (0, k), value=T)  # one place more, which is cut off
    filled_BN = (root_BN < T).long()
    # A list of k words cannot hold more than its first k - 1 neighbours of one word.
    near_BTM = neighbours(side_BP, other_BP, there_BP, T, k - 1)
    for step in range(k - 1):
        from_BNM = found_BNK[..., step, None].expand(-1, -1, k - 1)
        next_BNM = near_BTM.gather(1, from_BNM)
        known_BNM = (next_BNM[..., None] == found_BNK[..., None, :k]).any(-1)
        fresh_BNM = ~known_BNM & (next_BNM < T)
        place_BNM = torch.where(fresh_BNM, filled_BN[..., None] + fresh_BNM.cumsum(2) - 1, k).clamp(max=k)
        found_BNK = found_BNK.scatter(2, place_BNM, next_BNM)
        filled_BN = (filled_BN + fresh_BNM.sum(2)).clamp(max=k)
    return found_BNK[..., :k]


@encoders.register("hr_dgcnn")
class HRDGCNN(Encoder):
    """``output_dim`` = the last of hidden."""

    def __init__(self, config: HRDGCNNConfig, *, input_dim: int) -> None:
        super().__init__()
        self.window, self.size, self.k = config.window, config.graph_size, config.neighbor_size
        filters, rows = config.filters, config.graph_size
        self.neighbourhood = nn.Linear(self.k * input_dim, filters[0])
        self.convolutions = nn.ModuleList(
            Convolution(into, out, config.kernel_size) for into, out in pairwise(filters)
        )
        for _ in filters:
            rows = -(-rows // 2)
        self.rows = rows
        sizes = [rows * filters[-1], *config.hidden]
        self.hidden = nn.ModuleList(nn.Linear(into, out) for into, out in pairwise(sizes))
        for layer in (self.neighbourhood, *self.hidden):
            assert isinstance(layer, nn.Linear)
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
        self.output_dim = config.hidden[-1]

    def forward(self, embedded: Embedded) -> Encoded:
        """Reads which tokens are the same off ``ids_BT``.

        Raises:
            ValueError: there are no ids.
        """
        if embedded.ids_BT is None:
            raise ValueError("the graph of words needs to know which tokens are the same (ids_BT)")
        mask_BT = embedded.mask_BT
        with torch.no_grad():
            words_BT = first_places(embedded.ids_BT, mask_BT)
            found_BNK = neighbourhoods(words_BT, mask_BT, self.window, self.size, self.k)
        values_BNF, real_BN = self._responses(embedded.vectors_BTE, found_BNK)
        for number in range(len(self.convolutions) + 1):
            if number:
                values_BNF = self.convolutions[number - 1](values_BNF, opened(real_BN, values_BNF))
            values_BNF, real_BN = _larger_of_two(functional.relu(values_BNF)), halved(real_BN)
        values_BNF = functional.pad(values_BNF, (0, 0, 0, self.rows - values_BNF.shape[1]))
        hidden_BD = values_BNF.flatten(1)
        for layer in self.hidden:
            hidden_BD = functional.relu(layer(hidden_BD))
        return Encoded(torch.where(mask_BT.any(1, keepdim=True), hidden_BD, 0.0))

    def _responses(self, vectors_BTE: Tensor, found_BNK: Tensor) -> tuple[Tensor, Tensor]:
        """``[B, N, F]`` of the rows, zero at those that are not there, and which are there."""
        B, T, E = vectors_BTE.shape
        there_BNK = found_BNK < T
        place_BR = found_BNK.flatten(1).clamp(max=T - 1)
        word_BRE = vectors_BTE.gather(1, place_BR[..., None].expand(-1, -1, E))
        word_BRE = torch.where(there_BNK.flatten(1)[..., None], word_BRE, 0.0)
        real_BN = there_BNK[..., 0]
        response_BNF = self.neighbourhood(word_BRE.view(B, found_BNK.shape[1], self.k * E))
        return response_BNF * opened(real_BN, response_BNF), real_BN


def _larger_of_two(values_BNF: Tensor) -> Tensor:
    """``[B, ceil(N / 2), F]``; nothing is below zero, so that rows that are not there never win."""
    larger = functional.max_pool2d(as_image(values_BNF), (1, 2), stride=(1, 2), ceil_mode=True)
    return larger.permute(0, 2, 3, 1).squeeze(1)
