"""Rows of embedding tables: gathered or summed, with gradients that hold the touched rows alone.

Unlike torch's own sparse gradients, that of one backward pass holds each row once, in ascending order (autograd drops
the mark that says so).

Shape letters: B documents, T tokens, E embedding, N occurrences, M vectors, U distinct ids, V rows.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from linnaea.nn.batch import Bag


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


def spread(gradient: Tensor, like_VE: Tensor) -> Tensor:
    """A row-wise gradient as a dense one."""
    return torch.zeros_like(like_VE).index_copy_(0, gradient._indices()[0], gradient._values())


class GatherRows(torch.autograd.Function):
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


class SumRows(torch.autograd.Function):
    """The weighted sum of the rows of each bag, with a row-wise gradient; ``dense``: spread over the table."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, bag: Bag, dense: bool) -> Tensor:
        ctx.save_for_backward(weight, bag.values, bag.offsets_B1, bag.weights)
        ctx.dense = dense
        return sum_rows(weight, bag)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_BE: Tensor) -> tuple[Tensor, None, None]:
        weight, values_N, offsets_B1, weights_N = ctx.saved_tensors
        source_N = bag_rows(Bag(values_N, offsets_B1))
        gradient = row_gradient(values_N, source_N, grad_BE.contiguous(), weights_N, weight)
        return spread(gradient, weight) if ctx.dense else gradient, None, None


def sum_rows(weight: Tensor, bag: Bag) -> Tensor:
    """``[B, E]``: the weighted sum of the rows of each bag."""
    weights_N = None if bag.weights is None else bag.weights.to(weight.dtype)
    return functional.embedding_bag(
        bag.values, weight, bag.offsets_B1, mode="sum", include_last_offset=True, per_sample_weights=weights_N
    )


def bag_rows(bag: Bag) -> Tensor:
    """``[N]``: the row of each value."""
    return torch.repeat_interleave(bag.lengths_B, output_size=len(bag.values))
