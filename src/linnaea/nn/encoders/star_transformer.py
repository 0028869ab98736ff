"""Star-Transformer: a token attends to its neighbours and to a relay, and the relay to all tokens.

Paper: Guo et al. 2019, "Star-Transformer" (https://arxiv.org/abs/1902.09113).
Formula: h = e (the vectors), s = mean(e); in each cycle h_i = LN(ReLU(MHA(h_i, [h_(i-1); h_i; h_(i+1); e_i; s]))) for
    all i at once, then s = LN(ReLU(MHA(s, [s; h_1 .. h_n]))). The neighbours of the ends are each other: a text is a
    ring of its own n tokens. The document vector is max(h) + s, of each column, over the real tokens.
Differences: dropout, of which the paper does not say the place, acts on what each attention gives, before the ReLU.
    Every cycle has weights of its own.
Shapes: [B, T, E] -> [B, E]; token states [B, T, E] of the last cycle.
Cost: O(T·E·H·d_k) a cycle, with five scores a token and head; memory O(T·H·d_k).
When to use: instead of the transformer where texts are long: its cost grows with T, not T². Words far apart meet in the
    relay only.

A key and a value are computed once a token and used by all who attend to it. The relay, one query a head, reads the
tokens without keys or values of their own: q·(W h) = (Wᵀq)·h, and the sum of W h_j is W times the sum of h_j.

Shape letters: B documents, T tokens, E embedding; H heads, D columns of a head, R = T + 2 positions around the ring.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from linnaea.config.encoders_attention import StarTransformerConfig
from linnaea.config.registry import encoders
from linnaea.nn.layers.dropout import Dropout
from linnaea.nn.layers.neighbours import NeighbourAttention
from linnaea.nn.layers.pooling import masked_max, masked_mean
from linnaea.nn.network import Encoded, SequenceEncoder


def ring(tokens_BTE: Tensor, mask_BT: Tensor) -> Tensor:
    """``[B, R, E]``: the last token of the document, its tokens, its first token; then padding."""
    T = mask_BT.shape[1]
    count_B1 = mask_BT.sum(1, keepdim=True)
    last_B1E = tokens_BTE.take_along_dim(count_B1.sub(1).clamp(min=0)[..., None], 1)
    first_B1E = tokens_BTE[:, :1]
    around_BRE = torch.cat([last_B1E, tokens_BTE, first_B1E], 1)
    after_BR = torch.arange(T + 2, device=mask_BT.device) == count_B1 + 1
    return torch.where(after_BR[..., None], first_B1E, around_BRE)


class Cycle(nn.Module):
    """The tokens are renewed, then the relay, unless nobody reads it afterwards."""

    def __init__(self, config: StarTransformerConfig, width: int, relays: bool) -> None:
        super().__init__()
        self.heads = config.heads
        inner = config.heads * config.key_dimension
        self.project = nn.Linear(width, 3 * inner, bias=False)
        self.merge = nn.Linear(inner, width, bias=False)
        self.dropout, self.norm = Dropout(config.dropout), nn.LayerNorm(width)
        self.relays = relays
        if not relays:
            return
        self.relay_project = nn.Linear(width, 3 * inner, bias=False)
        self.relay_merge = nn.Linear(inner, width, bias=False)
        self.relay_dropout, self.relay_norm = Dropout(config.dropout), nn.LayerNorm(width)

    def forward(
        self, tokens_BTE: Tensor, first_BTE: Tensor, relay_BE: Tensor, mask_BT: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The new tokens and the new relay; ``first_BTE`` are the tokens before the first cycle."""
        found_BTE = self.merge(self._neighbours(tokens_BTE, first_BTE, relay_BE, mask_BT))
        tokens_BTE = self.norm(functional.relu(self.dropout(found_BTE)))
        if not self.relays:
            return tokens_BTE, relay_BE
        found_BE = self.relay_merge(self._relayed(relay_BE, tokens_BTE, mask_BT))
        return tokens_BTE, self.relay_norm(functional.relu(self.relay_dropout(found_BE)))

    def _neighbours(self, tokens_BTE: Tensor, first_BTE: Tensor, relay_BE: Tensor, mask_BT: Tensor) -> Tensor:
        """``[B, T, H·D]``: what each token finds at its neighbours, itself, its vector and the relay."""
        weight = self.project.weight
        shared = weight[len(weight) // 3 :]
        own = None if first_BTE is tokens_BTE else self._times(shared, first_BTE, 2)
        found_BHDT, _ = NeighbourAttention.apply(  # type: ignore[no-untyped-call]
            self._times(weight, ring(tokens_BTE, mask_BT), 3), own, self._times(shared, relay_BE[:, None], 2)
        )
        return found_BHDT.flatten(1, 2).mT  # type: ignore[no-any-return]

    def _times(self, weight: Tensor, vectors_BTE: Tensor, parts: int) -> Tensor:
        """``[B, parts, H, D, T]``: the vectors, projected, time last."""
        B, T = vectors_BTE.shape[:2]
        projected = torch.bmm(weight.expand(B, -1, -1), vectors_BTE.mT)
        return projected.view(B, parts, self.heads, -1, T)

    def _relayed(self, relay_BE: Tensor, tokens_BTE: Tensor, mask_BT: Tensor) -> Tensor:
        """``[B, H·D]``: what the relay finds at itself and at the real tokens."""
        B, E = relay_BE.shape
        query, key, value = self.relay_project.weight.view(3, self.heads, -1, E).unbind(0)
        asked_BHD = functional.linear(relay_BE, query.flatten(0, 1)).view(B, self.heads, -1)
        asked_BHE = torch.einsum("bhd,hde->bhe", asked_BHD * query.shape[1] ** -0.5, key)
        all_BSE = torch.cat([relay_BE[:, None], tokens_BTE], 1)
        open_BS = functional.pad(mask_BT, (1, 0), value=True)
        score_BHS = torch.bmm(asked_BHE, all_BSE.mT).masked_fill(~open_BS[:, None], -torch.inf)
        seen_BHE = torch.bmm(score_BHS.softmax(2), all_BSE)
        return torch.einsum("bhe,hde->bhd", seen_BHE, value).flatten(1)


@encoders.register("star_transformer")
class StarTransformer(SequenceEncoder):
    """``output_dim`` = ``state_dim`` = E.

    Args:
        config: the settings.
        input_dim: E.
        vector: whether the document vector is read; otherwise it is the mean of the states, and the relay is not
            renewed after the last cycle.
    """

    def __init__(self, config: StarTransformerConfig, *, input_dim: int, vector: bool = True) -> None:
        super().__init__()
        self.output_dim = self.state_dim = input_dim
        self.vector = vector
        relayed = [True] * (config.layers - 1) + [vector]
        self.cycles = nn.ModuleList(Cycle(config, input_dim, relays) for relays in relayed)

    def encode(self, vectors_BTE: Tensor, mask_BT: Tensor) -> Encoded:
        tokens_BTE, relay_BE = vectors_BTE, masked_mean(vectors_BTE, mask_BT)
        for cycle in self.cycles:
            tokens_BTE, relay_BE = cycle(tokens_BTE, vectors_BTE, relay_BE, mask_BT)
        if not self.vector:
            return Encoded(masked_mean(tokens_BTE, mask_BT), tokens_BTE, mask_BT)
        pooled_BE = masked_max(tokens_BTE, mask_BT) + relay_BE * mask_BT.any(1, keepdim=True)
        return Encoded(pooled_BE, tokens_BTE, mask_BT)
