"""Region: the sum (or mean) of the region vectors of a text.

Paper: Qiao et al. 2018, "A New Method of Region Embedding for Text Classification"
    (https://openreview.net/forum?id=BkSDMA36Z).
Formula: d = Σ_i r_i over the real tokens; mean: Σ_i r_i / n. The vectors r_i are the embedder's (``region``).
Differences: the mean is an addition of ours, for texts of very different lengths.
Shapes: [B, T, E] -> [B, D], D = E.
Cost: O(T·E); the work lies in the embedder.
When to use: as a bag of words that knows which words stand beside each other, where convolutions are too slow.

Shape letters: B documents, T tokens, E embedding, D encoded.
"""

from __future__ import annotations

from torch import Tensor

from linnaea.config.encoders import RegionEncoderConfig
from linnaea.config.registry import encoders
from linnaea.nn.network import Encoded, SequenceEncoder


@encoders.register("region")
class RegionSum(SequenceEncoder):
    """``output_dim`` = E."""

    def __init__(self, config: RegionEncoderConfig, *, input_dim: int) -> None:
        super().__init__()
        self.mean, self.output_dim = config.merge == "mean", input_dim

    def encode(self, vectors_BTE: Tensor, mask_BT: Tensor) -> Encoded:
        total_BE = vectors_BTE.masked_fill(~mask_BT[..., None], 0.0).sum(1)
        if self.mean:
            total_BE = total_BE / mask_BT.sum(1, keepdim=True).clamp(min=1)
        return Encoded(total_BE)
