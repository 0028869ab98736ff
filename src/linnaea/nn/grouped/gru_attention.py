"""K networks of gru_attention and a linear head, as one.

What ``encoders/gru_attention.py`` and ``heads/linear.py`` compute, over stacked parameters; the tests hold both to the same
numbers.

Shape letters: K networks, G sources of vectors, B documents, T tokens, P = B·T positions, E embedding, S states, A attention,
D encoded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from linnaea.nn.encoders.gru_attention import GRUAttention
from linnaea.nn.grouped.recurrent import Sources, grouped_gru
from linnaea.nn.heads.linear import LinearHead
from linnaea.nn.layers.dropout import Dropout
from linnaea.nn.layers.packing import Packing
from linnaea.nn.layers.recurrent import NAMES
from linnaea.nn.network import Network

LAYER = "encoder.recurrent.layers.0."


def fits(network: Network) -> bool:
    """Whether ``network`` is one of those that ``logits`` computes."""
    return type(network.encoder) is GRUAttention and type(network.head) is LinearHead


def logits(
    network: Network,
    weights: Mapping[str, Tensor],
    vectors_GBTE: Tensor,
    mask_BT: Tensor,
    table_K: Sequence[int],
) -> Tensor:
    """``[K, B]``.

    Args:
        network: one of them, for its settings and its dropout.
        weights: of encoder and head, by their names in the network, ``[K, ...]``.
        table_K: which of G each network reads, ascending.
    """
    encoder, head = network.encoder, network.head
    assert isinstance(encoder, GRUAttention)
    assert isinstance(head, LinearHead)
    with torch.autocast(vectors_GBTE.device.type, enabled=False):
        directions = [[weights[LAYER + name + end] for name in NAMES] for end in ("", "_reverse")]
        vectors_GBTE = vectors_GBTE.to(directions[0][0].dtype)
        states_KBTS = grouped_gru(vectors_GBTE, directions, Packing.of(mask_BT, 2), Sources(table_K))
    states_KBTS = dropped(encoder.dropout, states_KBTS)
    pooled_KBD = _read(weights, states_KBTS, mask_BT)
    pooled_KBD = dropped(head.dropout, pooled_KBD)
    weight_KD1, bias_K1 = weights["head.linear.weight"].mT, weights["head.linear.bias"]
    return (torch.bmm(pooled_KBD, weight_KD1) + bias_K1[:, None])[..., 0]


def dropped(dropout: Dropout, values: Tensor) -> Tensor:
    """``[K, B, ...]`` with the same mask for each of K."""
    if not dropout.training or not dropout.p:
        return values
    mask: Tensor = dropout(torch.ones_like(values[0]))
    return values * mask


def _read(weights: Mapping[str, Tensor], states_KBTS: Tensor, mask_BT: Tensor) -> Tensor:
    """``[K, B, D]``: attention, maximum and mean beside each other."""
    K, B, T, S = states_KBTS.shape
    closed_BT, states_KPS = ~mask_BT, states_KBTS.view(K, B * T, S)
    into_KSA = weights["encoder.attention.project.weight"].mT
    bias_K1A = weights["encoder.attention.project.bias"][:, None]
    query_KA1 = weights["encoder.attention.query.weight"].mT
    compared_KPA = torch.tanh(torch.bmm(states_KPS, into_KSA) + bias_K1A)
    score_KBT = torch.bmm(compared_KPA, query_KA1).view(K, B, T)
    lowest = torch.finfo(score_KBT.dtype).min
    weight_KBT = score_KBT.masked_fill(closed_BT, lowest).softmax(2).masked_fill(closed_BT, 0)
    attended_KBS = torch.matmul(weight_KBT[:, :, None].to(states_KBTS.dtype), states_KBTS)[:, :, 0]
    largest_KBS = states_KBTS.masked_fill(closed_BT[..., None], -torch.inf).amax(2)
    largest_KBS = torch.where(mask_BT.any(1, keepdim=True), largest_KBS, 0)
    # Padding has the state 0.
    mean_KBS = states_KBTS.sum(2) / mask_BT.sum(1, keepdim=True).clamp(min=1)
    return torch.cat([attended_KBS, largest_KBS, mean_KBS], 2)


def numbers(network: Network, positions: int) -> int:
    """How many numbers a network keeps for the backward pass, and works with in it, at so many positions."""
    encoder = network.encoder
    assert isinstance(encoder, GRUAttention)
    S = encoder.state_dim
    assert encoder.attention is not None  # the head is linear: it reads the document vector
    A = encoder.attention.project.out_features
    # Gates, states of the steps, of the positions, after dropout, for the maximum; what they are compared by; and the
    # gradients of the largest of these.
    return positions * (4 * S + 6 * S + 3 * A)
