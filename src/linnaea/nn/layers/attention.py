"""What encoders with attention share: which keys are open, and several heads.

A document without tokens attends to its padding, so that no sum is 0 / 0; whoever pools makes it zero again.

Shape letters: B documents, T tokens, E columns, H heads, D columns of a head.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


def attended(mask_BT: Tensor) -> Tensor:
    """``[B, T]``: the positions that attention may look at, at least one a document."""
    return mask_BT | ~mask_BT.any(1, keepdim=True)


class SelfAttention(nn.Module):
    """All tokens of a document attend to each other with several heads: ``[B, T, E] -> [B, T, E]``.

    Vaswani et al. 2017: softmax(q·k / √D) over the keys of a head, the heads side by side, then one matrix. No biases.
    """

    def __init__(self, width: int, heads: int, key_dimension: int) -> None:
        super().__init__()
        self.heads, self.key_dimension = heads, key_dimension
        self.project = nn.Linear(width, 3 * heads * key_dimension, bias=False)
        self.merge = nn.Linear(heads * key_dimension, width, bias=False)

    def forward(self, vectors_BTE: Tensor, open_BT: Tensor) -> Tensor:
        """``open_BT``: what may be attended to; at least one position of each document."""
        parts = self.project(vectors_BTE).unflatten(2, (3, self.heads, self.key_dimension))
        query_BHTD, key_BHTD, value_BHTD = (part.transpose(1, 2) for part in parts.unbind(2))
        found_BHTD = functional.scaled_dot_product_attention(
            query_BHTD, key_BHTD, value_BHTD, attn_mask=open_BT[:, None, None, :]
        )
        return self.merge(found_BHTD.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]
