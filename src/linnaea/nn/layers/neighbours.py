"""Attention of each token to its two neighbours, itself, a vector of its own and one that all share.

Five scores a token and head are no matrix product, so this is bound by memory: plain autograd writes and reads some
thirty tensors as large as the queries. Here a few documents at a time go through all steps while they are in the cache,
time comes last, where it is read in whole vectors, and only the scores' softmax is kept for the backward pass.

Shape letters: B documents, T tokens, H heads, D columns of a head, R = T + 2 positions with the neighbours of the ends;
N neighbours, 3 or 4; C documents of a piece.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Numbers of one tensor of a piece: on a CPU some of them stay in the cache together.
PIECE = 1 << 17
PIECE_ELSEWHERE = 1 << 26


def _pieces(parts: Tensor) -> Iterator[slice]:
    """Documents that are worked on together."""
    most = PIECE if parts.device.type == "cpu" else PIECE_ELSEWHERE
    size = max(1, most // max(1, parts[0, 0].numel()))
    for first in range(0, len(parts), size):
        yield slice(first, first + size)


def _seen(around_CHDR: Tensor, own: Tensor | None, piece: slice, which: int) -> list[Tensor]:
    """N views ``[C, H, D, T]``: left, self, right, and the vector of its own where there is one."""
    T = around_CHDR.shape[3] - 2
    views = [around_CHDR.narrow(3, step, T) for step in range(3)]
    return views if own is None else [*views, own[piece, which]]


class NeighbourAttention(torch.autograd.Function):
    """``(parts [B, 3, H, D, R], own [B, 2, H, D, T] or None, shared [B, 2, H, D, 1]) -> found [B, H, D, T]``.

    ``parts`` are queries, keys and values around the ring; ``own`` and ``shared`` keys and values. Without ``own`` a
    token's own vector is what it is now, so that it is seen twice. The second output is for the backward pass.
    """

    @staticmethod
    def forward(parts: Tensor, own: Tensor | None, shared: Tensor) -> tuple[Tensor, Tensor]:
        B, _, H, D, R = parts.shape
        found_BHDT = parts.new_empty(B, H, D, R - 2)
        share_BNHT = parts.new_empty(B, 4 if own is None else 5, H, R - 2)
        for piece in _pieces(parts):
            query, keys, values = (parts[piece, which] for which in range(3))
            query = query[..., 1:-1] * D**-0.5
            scores = [(query * key).sum(2) for key in _seen(keys, own, piece, 0)]
            if own is None:
                scores[1] += math.log(2)
            scores.append((query * shared[piece, 0]).sum(2))
            share = torch.stack(scores, 1).softmax(1).to(parts.dtype)
            share_BNHT[piece] = share
            weights = share[:, :, :, None].unbind(1)
            found = weights[-1] * shared[piece, 1]
            for weight, value in zip(weights[:-1], _seen(values, own, piece, 1), strict=True):
                found.addcmul_(weight, value)
            found_BHDT[piece] = found
        return found_BHDT, share_BNHT

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(*inputs, output[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_BHDT: Tensor, _: Tensor) -> tuple[Tensor, Tensor | None, Tensor]:
        parts, own, shared, share_BNHT = ctx.saved_tensors
        scale = parts.shape[3] ** -0.5
        into_parts, into_shared = torch.zeros_like(parts), torch.empty_like(shared)
        into_own = None if own is None else torch.zeros_like(own)
        for piece in _pieces(parts):
            grad, query = grad_BHDT[piece], parts[piece, 0][..., 1:-1] * scale
            into_query = into_parts[piece, 0][..., 1:-1]
            told, told_shared = _seen(parts[piece, 2], own, piece, 1), shared[piece, 1]
            slopes = torch.stack([(grad * value).sum(2) for value in (*told, told_shared)], 1)
            share = share_BNHT[piece]
            slopes = share * (slopes - (share * slopes).sum(1, keepdim=True))
            steps, weights = slopes[:, :, :, None].unbind(1), share[:, :, :, None].unbind(1)
            keys = _seen(parts[piece, 1], own, piece, 0)
            into_keys = _seen(into_parts[piece, 1], into_own, piece, 0)
            into_values = _seen(into_parts[piece, 2], into_own, piece, 1)
            for n, key in enumerate(keys):
                into_query.addcmul_(steps[n], key)
                into_keys[n].addcmul_(steps[n], query)
                into_values[n].addcmul_(weights[n], grad)
            into_query.addcmul_(steps[-1], shared[piece, 0]).mul_(scale)
            into_shared[piece, 0] = query @ steps[-1].mT
            into_shared[piece, 1] = grad @ weights[-1].mT
        return into_parts, into_own, into_shared
