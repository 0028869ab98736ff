"""What several heads share: how biases and weights begin, and the one attention a category.

The attention holds the scores of a piece of the categories at a time, so memory does not grow with their number; in
training a piece is computed again on the way back (``torch.utils.checkpoint``).

Shape letters: B documents, S token states, D state, C categories, P categories of a piece.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from linnaea.nn.network import Encoded, Sizes

# Numbers of a tensor of a piece: on a CPU few enough to be had, elsewhere enough to keep the device busy.
PIECE = 1 << 22
PIECE_ELSEWHERE = 1 << 26

Work = Callable[..., Tensor]
"""``(states_BSD, mask_BS, tables of the piece...) -> [B, P, ...]``."""


def prior_bias(support_C: np.ndarray, documents: int, scores: Literal["sigmoid", "softmax"]) -> np.ndarray:
    """``[C]`` float64: log-odds (softmax: log) of (support + ½) / (documents + 1), always finite."""
    share_C = (np.asarray(support_C, dtype=np.float64) + 0.5) / (documents + 1)
    logs_C: np.ndarray = np.log(share_C) - (np.log1p(-share_C) if scores == "sigmoid" else 0.0)
    return logs_C


def first_bias(
    kind: Literal["zero", "prior"], sizes: Sizes, scores: Literal["sigmoid", "softmax"]
) -> nn.Parameter:
    """``[C]``: what a head's bias begins as."""
    logs_C = prior_bias(sizes.support_C, sizes.documents, scores)
    return nn.Parameter(torch.from_numpy(logs_C if kind == "prior" else np.zeros_like(logs_C)).float())


def uniform(*shape: int, fan: int) -> nn.Parameter:
    """Evenly between ±1 / sqrt(fan), as torch's linear layers begin."""
    return nn.Parameter(torch.empty(shape).uniform_(-(fan**-0.5), fan**-0.5))


def states_of(encoded: Encoded) -> tuple[Tensor, Tensor]:
    """The token states and their mask, which settings promised.

    Raises:
        ValueError: the encoder gives none.
    """
    if encoded.states_BSD is None or encoded.mask_BS is None:
        raise ValueError("this head reads token states, and the encoder gives none")
    return encoded.states_BSD, encoded.mask_BS


def _weights(states_BSD: Tensor, mask_BS: Tensor, query_PD: Tensor) -> Tensor:
    """``[B, S, P]``: the softmax over a document's states; even over padding where there is nothing else."""
    score_BSP = functional.linear(states_BSD, query_PD)
    lowest = torch.finfo(score_BSP.dtype).min
    return score_BSP.masked_fill(~mask_BS[..., None], lowest).softmax(1)


def attended_logits(states_BSD: Tensor, mask_BS: Tensor, query_PD: Tensor, row_PD: Tensor) -> Tensor:
    """``[B, P]``: row · Σ_s α_s h_s as Σ_s α_s (row · h_s), which needs no vector a category. Empty documents: 0."""
    weight_BSP = _weights(states_BSD, mask_BS, query_PD)
    logits_BP = (weight_BSP * functional.linear(states_BSD, row_PD)).sum(1)
    return torch.where(mask_BS.any(1, keepdim=True), logits_BP, 0)


def attended_vectors(states_BSD: Tensor, mask_BS: Tensor, query_PD: Tensor) -> Tensor:
    """``[B, P, D]``: Σ_s α_s h_s for each category. Empty documents: 0."""
    weight_BSP = _weights(states_BSD, mask_BS, query_PD).to(states_BSD.dtype)
    vectors_BPD = torch.bmm(weight_BSP.transpose(1, 2), states_BSD)
    return torch.where(mask_BS.any(1)[:, None, None], vectors_BPD, 0)


def in_pieces(
    work: Work, states_BSD: Tensor, mask_BS: Tensor, tables: Sequence[Tensor], width: int = 0
) -> Tensor:
    """``work`` over all categories, a piece of them at a time.

    Args:
        work: sees the same rows of each table; never in need of random numbers.
        tables: ``[C, ...]`` each.
        width: numbers that ``work`` holds for a document and category, where they are more than its states.
    """
    categories = len(tables[0])
    most = PIECE if states_BSD.device.type == "cpu" else PIECE_ELSEWHERE
    size = max(1, most // max(1, len(states_BSD) * max(states_BSD.shape[1], width)))
    if size >= categories:
        return work(states_BSD, mask_BS, *tables)
    found = []
    # By split, whose way back joins the pieces' gradients; slices would each make a whole table of them.
    for piece in zip(*(torch.split(table, size) for table in tables), strict=True):
        if torch.is_grad_enabled():
            part = checkpoint(
                work, states_BSD, mask_BS, *piece, use_reentrant=False, preserve_rng_state=False
            )
        else:
            part = work(states_BSD, mask_BS, *piece)
        found.append(part)
    return torch.cat(found, 1)
