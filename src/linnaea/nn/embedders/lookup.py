"""Lookup: a table with one vector a feature id, read as a sequence or as bags.

Paper: the bags are those of Joulin et al. 2017, "Bag of Tricks for Efficient Text Classification"
    (https://arxiv.org/abs/1607.01759); the sequence is what every neural encoder begins with.
Formula: sequence: x_t = table[id_t]; bags: the sum over all features' ids of their rows, divided by their total count.
Differences: the unknown token counts like any other, with its own learned vector, so a document of nothing but unknown
    tokens has a vector too.
Shapes: [B, T] ids -> [B, T, E], E = dimension (and the filters of spelling, where it is read); bags -> [B, 1, E].
Cost: O(T·E) a document; V·E parameters a feature. With sparse gradients a step touches only the rows that occur.
When to use: always, unless the neighbours of a token shall say what it means (region).

Under encoders that read sequences: one table, "token" or "character", and a vector at each position. Under
encoders that read bags: one table a feature, and one vector a document. Row 0 of a token or character table is padding:
it is zero and receives no gradient (bags never hold it).

Shape letters: B documents, T tokens, E embedding, V rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from linnaea.config.embedders import LookupConfig
from linnaea.config.registry import embedders
from linnaea.nn.batch import Bag, Batch
from linnaea.nn.embedders.rows import GatherRows, SumRows, bag_rows, sum_rows
from linnaea.nn.embedders.tables import TableEmbedder
from linnaea.nn.network import Embedded, Sizes


def _total(bag: Bag) -> Tensor:
    """``[B]``: how much each row of a bag weighs."""
    if bag.weights is None:
        return bag.lengths_B
    return bag.weights.new_zeros(len(bag)).index_add(0, bag_rows(bag), bag.weights)


@embedders.register("lookup")
class Lookup(TableEmbedder):
    """Names of the weights, and further arguments: as in ``TableEmbedder``.

    Args:
        reads: "sequence" gives ``[B, T, E]``, "bags" ``[B, 1, E]``. Dropout acts on these vectors.
    """

    def __init__(
        self, config: LookupConfig, *, features: Sequence[str], sizes: Sizes,
        reads: Literal["sequence", "bags"] = "sequence", sparse: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(config, features=features, sizes=sizes, sparse=sparse)
        self.reads = reads

    def forward(self, batch: Batch) -> Embedded:
        if self.reads == "bags":
            return self._bags(batch)
        return self._sequence(batch, self._rows(batch), repeats=True)

    def _rows(self, batch: Batch) -> Tensor | None:
        """``[B, T, E]``: what the table says; None where tokens are known by their spelling alone."""
        feature = self._words()
        if feature is None:
            return None
        if batch.ids_BT is None:
            raise ValueError("the batch has no sequence; this network was built to read one")
        weight = self._weight(feature)
        if self.sparse and weight.requires_grad:
            return GatherRows.apply(weight, batch.ids_BT)  # type: ignore[no-any-return, no-untyped-call]
        return functional.embedding(batch.ids_BT, weight, padding_idx=0)

    def _bags(self, batch: Batch) -> Embedded:
        sums, totals = [], []
        for feature in self.tables:
            weight, bag = self._weight(feature), batch.bags[feature]
            # On a CPU row-wise sums, spread over the table, take 0.6 times as long as torch's dense backward.
            if weight.requires_grad and (self.sparse or weight.device.type == "cpu"):
                sums.append(SumRows.apply(weight, bag, not self.sparse))  # type: ignore[no-untyped-call]
            else:
                sums.append(sum_rows(weight, bag))
            totals.append(_total(bag).to(weight.dtype))
        sum_BE, total_B = torch.stack(sums).sum(0), torch.stack(totals).sum(0)
        mean_BE = sum_BE / torch.where(total_B > 0, total_B, 1)[:, None]
        return Embedded(self.dropout(mean_BE)[:, None], (total_B > 0)[:, None])
