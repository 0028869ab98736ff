"""Additive matching of all pairs of positions without a tensor of pairs times columns.

Bahdanau et al. 2015, "Neural Machine Translation by Jointly Learning to Align and Translate"
(https://arxiv.org/abs/1409.0473): e_ij = v·tanh(q_i + k_j).

Plain autograd would keep tanh(q_i + k_j), B·T·T·A numbers. Here a few queries are matched at a time, and the backward
pass computes their tanh again; what stays is the B·T·T scores. tanh(x) = 2·sigmoid(2x) - 1: on a CPU torch takes a
sixth of the time for a sigmoid.

Shape letters: B documents, T tokens, A columns of the matching; C documents and Q queries of a piece.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Numbers of a piece: on a CPU it stays in the cache, elsewhere it is large enough to keep the device busy.
PIECE = 1 << 18
PIECE_ELSEWHERE = 1 << 23


def _pieces(shape: torch.Size, device: torch.device) -> Iterator[tuple[slice, slice]]:
    """Documents and queries that are matched together; never all of either where there are several."""
    B, T, A = shape
    most = PIECE if device.type == "cpu" else PIECE_ELSEWHERE
    documents = max(1, min(B, most // (T * A)))
    queries = max(1, min(T, most // (documents * T * A)))
    for first in range(0, B, documents):
        for begin in range(0, T, queries):
            yield slice(first, first + documents), slice(begin, begin + queries)


def _matched(query_BTA: Tensor, key_BTA: Tensor, piece: tuple[slice, slice]) -> Tensor:
    """``[C, Q, T, A]``: sigmoid(q_i + k_j)."""
    documents, queries = piece
    return (query_BTA[documents, queries, None] + key_BTA[documents, None]).sigmoid_()


class AdditiveScores(torch.autograd.Function):
    """``(query [B, T, A], key [B, T, A], vector [A]) -> [B, T, T]``, queries first."""

    @staticmethod
    def forward(query_BTA: Tensor, key_BTA: Tensor, vector_A: Tensor) -> Tensor:
        B, T, _ = query_BTA.shape
        query_BTA, key_BTA, twice_A = 2 * query_BTA, 2 * key_BTA, 2 * vector_A
        score_BTT = query_BTA.new_empty(B, T, T)
        for piece in _pieces(query_BTA.shape, query_BTA.device):
            score_BTT[piece] = _matched(query_BTA, key_BTA, piece) @ twice_A
        return score_BTT.sub_(vector_A.sum())

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_BTT: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query_BTA, key_BTA, vector_A = ctx.saved_tensors
        query_BTA, key_BTA, four_A = 2 * query_BTA, 2 * key_BTA, 4 * vector_A
        into_query, into_key = torch.empty_like(query_BTA), torch.zeros_like(key_BTA)
        into_vector = -grad_BTT.sum().expand_as(vector_A)
        for piece in _pieces(query_BTA.shape, query_BTA.device):
            grad_CQT, matched = grad_BTT[piece], _matched(query_BTA, key_BTA, piece)
            into_vector = into_vector + 2 * (grad_CQT.reshape(-1) @ matched.flatten(0, 2))
            slope = torch.addcmul(matched, matched, matched, value=-1)
            into_query[piece] = (grad_CQT[:, :, None] @ slope)[:, :, 0]
            into_key[piece[0]] += slope.mul_(grad_CQT[..., None]).sum(1)
        return into_query * four_A, into_key * four_A, into_vector
