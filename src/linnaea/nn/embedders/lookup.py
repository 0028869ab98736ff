"""Lookup: a table with one vector a feature id, read as a sequence or as bags.

Under encoders that read sequences: one table, "token" or "character", and a vector at each position. Under
encoders that read bags: one table a feature, and one vector a document, the sum over all features' ids
divided by their total count. The unknown token counts like any other, with its own learned vector, so a
document of nothing but unknown tokens has a vector too.

Row 0 of a token or character table is padding: it is zero and receives no gradient (bags never hold it). With
``sparse`` gradients a step touches only the rows that occur: unlike torch's own, the gradient of one backward
pass holds each row once, in ascending order (autograd drops the mark that says so).

Shape letters: B documents, T tokens, E embedding; here also N occurrences, M vectors, U distinct ids, V rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from linnaea.config.heads import LookupConfig
from linnaea.config.registry import embedders, initializers
from linnaea.errors import ConfigError
from linnaea.nn.batch import Bag, Batch
from linnaea.nn.layers.dropout import Dropout
from linnaea.nn.network import Embedded, Embedder, Sizes

PADDED = ("token", "character")
"""Features whose tables keep row 0 for padding."""


def row_gradient(
    ids_N: Tensor, source_N: Tensor, grad_ME: Tensor, weights_N: Tensor | None, like_VE: Tensor
) -> Tensor:
    """Sparse ``[V, E]``, each row once: row v sums weight · ``grad_ME[source]`` over occurrences of v."""
    ids_N, order_N = ids_N.sort()
    ids_U, counts_U = torch.unique_consecutive(ids_N, return_counts=True)
    weights_N = None if weights_N is None else weights_N[order_N].to(grad_ME.dtype)
    starts_U = counts_U.cumsum(0) - counts_U
    rows_UE = functional.embedding_bag(
        source_N[order_N], grad_ME, starts_U, mode="sum", per_sample_weights=weights_N
    )
    return torch.sparse_coo_tensor(
        ids_U[None], rows_UE.to(like_VE.dtype), like_VE.shape, is_coalesced=True, check_invariants=False
    )


class _GatherRows(torch.autograd.Function):
    """``weight[ids_BT]`` with a row-wise gradient; id 0 receives none."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, ids_BT: Tensor) -> Tensor:
        ctx.save_for_backward(weight, ids_BT)
        return functional.embedding(ids_BT, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_BTE: Tensor) -> tuple[Tensor, None]:
        weight, ids_BT = ctx.saved_tensors
        ids_N = ids_BT.reshape(-1)
        real_N = ids_N.nonzero()[:, 0]
        grad_ME = grad_BTE.reshape(len(ids_N), -1)
        return row_gradient(ids_N[real_N], real_N, grad_ME, None, weight), None


class _SumRows(torch.autograd.Function):
    """The weighted sum of the rows of each bag, with a row-wise gradient; ``dense``: spread over the table."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, bag: Bag, dense: bool) -> Tensor:
        ctx.save_for_backward(weight, bag.values, bag.offsets_B1, bag.weights)
        ctx.dense = dense
        return _sum_rows(weight, bag)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_BE: Tensor) -> tuple[Tensor, None, None]:
        weight, values_N, offsets_B1, weights_N = ctx.saved_tensors
        source_N = _rows(Bag(values_N, offsets_B1))
        gradient = row_gradient(values_N, source_N, grad_BE.contiguous(), weights_N, weight)
        if ctx.dense:
            rows_UE = gradient._values()
            gradient = torch.zeros_like(weight).index_copy_(0, gradient._indices()[0], rows_UE)
        return gradient, None, None


def _sum_rows(weight: Tensor, bag: Bag) -> Tensor:
    weights_N = None if bag.weights is None else bag.weights.to(weight.dtype)
    return functional.embedding_bag(
        bag.values, weight, bag.offsets_B1, mode="sum", include_last_offset=True, per_sample_weights=weights_N
    )


def _rows(bag: Bag) -> Tensor:
    """``[N]``: the row of each value."""
    return torch.repeat_interleave(bag.lengths_B, output_size=len(bag.values))


def _total(bag: Bag) -> Tensor:
    """``[B]``: how much each row of a bag weighs."""
    if bag.weights is None:
        return bag.lengths_B
    return bag.weights.new_zeros(len(bag)).index_add(0, _rows(bag), bag.weights)


@embedders.register("lookup")
class Lookup(Embedder):
    """One table a feature; the names of the weights are ``tables.<feature>.weight``.

    Args:
        config: the settings.
        features: names of the tables; exactly one where ``reads`` is "sequence".
        sizes: rows of each table.
        reads: "sequence" gives ``[B, T, E]``, "bags" ``[B, 1, E]``. Dropout acts on these vectors.
        sparse: row-wise gradients (coalesced sparse tensors) instead of dense ones.
    """

    def __init__(
        self, config: LookupConfig, *, features: Sequence[str], sizes: Sizes,
        reads: Literal["sequence", "bags"] = "sequence", sparse: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.output_dim = config.dimension
        self.reads, self.sparse = reads, sparse
        self.dropout = Dropout(config.dropout)
        self.tables = nn.ModuleDict(
            {name: self._table(config, name, sizes.features[name]) for name in features}
        )

    def _table(self, config: LookupConfig, feature: str, rows: int) -> nn.Embedding:
        padding = 0 if feature in PADDED else None
        weight = torch.zeros(rows, config.dimension)
        real = weight[1:] if feature in PADDED else weight
        if real.numel():
            initializers.build(config.initializer, table=real)
        # An nn.Embedding that says ``sparse`` is how data-parallel wrappers learn of sparse gradients.
        return nn.Embedding(rows, config.dimension, padding_idx=padding, sparse=self.sparse, _weight=weight)

    def forward(self, batch: Batch) -> Embedded:
        return self._bags(batch) if self.reads == "bags" else self._sequence(batch)

    def _sequence(self, batch: Batch) -> Embedded:
        if batch.ids_BT is None or batch.mask_BT is None:
            raise ValueError("the batch has no sequence; this network was built to read one")
        (feature,) = self.tables
        weight = self._weight(feature)
        if self.sparse and weight.requires_grad:
            vectors_BTE = _GatherRows.apply(weight, batch.ids_BT)  # type: ignore[no-untyped-call]
        else:
            vectors_BTE = functional.embedding(batch.ids_BT, weight, padding_idx=0)
        repeats = not (self.training and self.dropout.p)
        return Embedded(self.dropout(vectors_BTE), batch.mask_BT, batch.ids_BT, repeats)

    def _bags(self, batch: Batch) -> Embedded:
        sums, totals = [], []
        for feature in self.tables:
            weight, bag = self._weight(feature), batch.bags[feature]
            # On a CPU row-wise sums, spread over the table, take 0.6 times as long as torch's dense backward.
            if weight.requires_grad and (self.sparse or weight.device.type == "cpu"):
                sums.append(_SumRows.apply(weight, bag, not self.sparse))  # type: ignore[no-untyped-call]
            else:
                sums.append(_sum_rows(weight, bag))
            totals.append(_total(bag).to(weight.dtype))
        sum_BE, total_B = torch.stack(sums).sum(0), torch.stack(totals).sum(0)
        mean_BE = sum_BE / torch.where(total_B > 0, total_B, 1)[:, None]
        return Embedded(self.dropout(mean_BE)[:, None], (total_B > 0)[:, None])

    def fill(self, rows: np.ndarray, matrix: np.ndarray) -> None:
        """Put pretrained vectors into the token (or character) table.

        Args:
            rows: ``[n]`` ids, never 0 (padding).
            matrix: ``[n, E]`` their vectors.

        Raises:
            ConfigError: the vectors have another dimension than the table, or no table takes word vectors.
        """
        feature = self._words()
        if feature is None:
            message = f"word vectors need the feature 'token'; this network reads {', '.join(self.tables)}"
            raise ConfigError(message, where="model.embedder.pretrained")
        if matrix.ndim != 2 or matrix.shape[1] != self.output_dim:
            raise ConfigError(
                f"word vectors of shape {tuple(matrix.shape)} for a table with {self.output_dim} columns",
                where="model.embedder.dimension",
                hint=f"set it to {matrix.shape[-1]}",
            )
        if len(rows) and int(np.min(rows)) < 1:
            raise ValueError("row 0 is padding and stays zero")
        weight = self._weight(feature)
        with torch.no_grad():
            values = torch.as_tensor(matrix, dtype=weight.dtype, device=weight.device)
            weight.index_copy_(0, torch.as_tensor(rows, dtype=torch.int64, device=weight.device), values)

    def freeze(self, frozen: bool) -> None:
        """Keep the token (or character) table as it is, or let it learn again; other features always learn.

        A data-parallel wrapper remembers which parameters learn: wrap the network again after a change.
        """
        feature = self._words()
        if feature is not None:
            self._weight(feature).requires_grad_(not frozen)

    def _words(self) -> str | None:
        return next((feature for feature in PADDED if feature in self.tables), None)

    def _weight(self, feature: str) -> Tensor:
        return cast(nn.Embedding, self.tables[feature]).weight
