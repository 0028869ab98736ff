"""What convolutional encoders do along time: convolve, halve, keep the largest. All of it right under a mask.

Values are ``[B, T, E]`` and **zero at masked positions** before a convolution, so that a text sees zeros beyond its
ends, as if it stood alone. Halving makes ``ceil(n / 2)`` positions of n.

Shape letters: B documents, T positions, E columns in, F out, W kernel size, K positions kept.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def as_image(values_BTE: Tensor) -> Tensor:
    """``[B, E, 1, T]``: an image of height 1 with its channels last, the layout that convolutions like best."""
    return values_BTE.unsqueeze(1).permute(0, 3, 1, 2)


def responses(
    values_BTE: Tensor, weight_FEW: Tensor, bias_F: Tensor | None = None, stride: int = 1, beyond: int = 0
) -> Tensor:
    """``[B, F, 1, S]``: of the windows around every ``stride``-th position, ``beyond`` zeros at both ends."""
    kernel = as_image(weight_FEW.mT.contiguous())
    return functional.conv2d(as_image(values_BTE), kernel, bias_F, stride=(1, stride), padding=(0, beyond))


def k_largest(image: Tensor, k: int) -> list[tuple[Tensor, Tensor]]:
    """Value and place ``[B, F, 1]`` of the largest over time, of the next, ...; ``image`` has -inf there afterwards.

    Ties go to the earliest position, on every device: torch.topk promises no order.
    """
    found = []
    for _ in range(k):
        value, place = functional.max_pool2d(image, (1, image.shape[3]), return_indices=True)
        image.scatter_(3, place, -torch.inf)
        found.append((value[..., 0], place[..., 0]))
    return found


def convolved(
    values_BTE: Tensor, weight_FEW: Tensor, bias_F: Tensor | None = None, stride: int = 1,
    open_BT1: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """``[B, ceil(T / stride), F]``: windows of W (odd) positions around every ``stride``-th one.

    ``open_BT1`` is 1 at real positions of the result, 0 at others, which it makes zero.
    """
    response = responses(values_BTE, weight_FEW, bias_F, stride, beyond=weight_FEW.shape[2] // 2)
    if open_BT1 is not None:
        response = response.mul_(open_BT1.unsqueeze(1).permute(0, 3, 1, 2))
    return response.permute(0, 2, 3, 1).squeeze(1)


class Convolution(nn.Module):
    """``convolved`` with weights of its own, drawn as He et al. 2015 do (https://arxiv.org/abs/1502.01852)."""

    def __init__(self, into: int, out: int, width: int, *, bias: bool = True, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride
        self.weight = nn.Parameter(torch.empty(out, into, width))
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")
        self.bias = nn.Parameter(torch.zeros(out)) if bias else None

    def forward(self, values_BTE: Tensor, open_BT1: Tensor | None = None) -> Tensor:
        return convolved(values_BTE, self.weight, self.bias, self.stride, open_BT1)


def opened(mask_BT: Tensor, values: Tensor) -> Tensor:
    """``[B, T, 1]``: 1 at real positions, in the type of ``values``."""
    return mask_BT[..., None].to(values.dtype)


def halved(mask_BT: Tensor) -> Tensor:
    """The mask after halving."""
    return mask_BT[:, ::2]


def largest_of_three(values_BTE: Tensor) -> Tensor:
    """``[B, ceil(T / 2), E]``: the largest around every second position (size 3, stride 2).

    Masked positions must hold what never wins, -inf or the least value that there is. Behind the end of a text of even
    length one more position sees its last value: mask again.
    """
    largest = functional.max_pool2d(as_image(values_BTE), (1, 3), stride=(1, 2), padding=(0, 1))
    return largest.permute(0, 2, 3, 1).squeeze(1)


def largest_in_order(values_BTE: Tensor, mask_BT: Tensor, k: int) -> Tensor:
    """``[B, k, E]``: of each column the k largest values of real positions, in temporal order.

    Of equals the earlier one is kept. Zeros follow where a text has fewer positions.
    """
    closed_BT1 = ~mask_BT[..., None]
    with torch.no_grad():
        left_BTE = values_BTE.masked_fill(closed_BT1, -torch.inf)
        k_largest(as_image(left_BTE), min(k, left_BTE.shape[1]))
        taken_BTE = (left_BTE == -torch.inf).logical_and_(mask_BT[..., None])
    return _gathered(values_BTE, taken_BTE, k)


def larger_half(values_BTE: Tensor, mask_BT: Tensor) -> Tensor:
    """``[B, ceil(T / 2), E]``: the ceil(n / 2) largest of a text's n values in each column, in temporal order.

    Of equals the earlier one is kept; zeros follow.
    """
    after_BT, mask_BT1 = halved(mask_BT), mask_BT[..., None]
    with torch.no_grad():
        ranked_BTE = values_BTE.masked_fill(~mask_BT1, -torch.inf)
        counts_B11 = after_BT.sum(1)[:, None, None]
        falling_BET = ranked_BTE.transpose(1, 2).contiguous().topk(after_BT.shape[1], dim=2).values
        least = (counts_B11 - 1).clamp(min=0).expand(-1, falling_BET.shape[1], 1)
        least_B1E = falling_BET.gather(2, least).transpose(1, 2)
        above_BTE, equal_BTE = ranked_BTE > least_B1E, ranked_BTE == least_B1E
        room_B1E = counts_B11 - above_BTE.sum(1, keepdim=True)
        equal_BTE = equal_BTE.logical_and_(equal_BTE.cumsum(1) <= room_B1E)
        taken_BTE = above_BTE.logical_or_(equal_BTE).logical_and_(mask_BT1)
    return _gathered(values_BTE, taken_BTE, after_BT.shape[1])


def _gathered(values_BTE: Tensor, taken_BTE: Tensor, most: int) -> Tensor:
    """``[B, most, E]``: the taken values of each column, which are ``most`` at most, moved together; then zeros."""
    # What is not taken goes to one place more, which is cut off.
    place_BTE = torch.where(taken_BTE, taken_BTE.cumsum(1) - 1, most)
    B, _, E = values_BTE.shape
    return values_BTE.new_zeros(B, most + 1, E).scatter(1, place_BTE, values_BTE)[:, :most]
