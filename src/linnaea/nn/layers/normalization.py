"""Batch normalisation over the real positions of texts.

Ioffe & Szegedy 2015, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift"
(https://arxiv.org/abs/1502.03167). Differences: padding takes no part in the statistics and stays zero; the
statistics of a step are those of all processes, so that two processes make the steps of one; a batch of fewer than
two real positions, which has no variance, is normalised by the running statistics and does not change them; the running
statistics are the plain mean over the first batches (torch's begin at 0 and 1 and leave them slowly: a corpus of 25
batches an epoch would be judged by them for some epochs).

Shape letters: B documents, T positions, E columns, W processes.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def several_processes() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def _over_processes(count: Tensor, mean_E: Tensor, squares_E: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Count, mean, squared distances from the mean: of all processes, from those of each."""
    mine = torch.cat([count[None], mean_E, squares_E])
    parts = [torch.empty_like(mine) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, mine)
    all_parts, E = torch.stack(parts), len(mean_E)
    counts_W1, means_WE, squares_WE = all_parts[:, :1], all_parts[:, 1 : E + 1], all_parts[:, E + 1 :]
    total = counts_W1.sum()
    joint_E = (counts_W1 * means_WE).sum(0) / total.clamp(min=1)
    return total, joint_E, (squares_WE + counts_W1 * (means_WE - joint_E).square()).sum(0)


class _Normalized(torch.autograd.Function):
    """Statistics, normalisation, addition and ReLU in one step.

    It keeps its input and, under ReLU, its output, which the next convolution keeps anyway. Written out in
    torch's operations the same would keep three tensors more.
    """

    @staticmethod
    def forward(
        values_BTE: Tensor, open_BT1: Tensor, weight_E: Tensor, bias_E: Tensor, mean_E: Tensor, var_E: Tensor,
        added_BTE: Tensor | None, eps: float, relu: bool, several: bool,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
        """The result, then mean, biased variance and 1 / deviation in use, and the count; ``mean_E`` and
        ``var_E`` are used where the count is below 2."""
        own = count = open_BT1.sum()
        own_E = (open_BT1.reshape(1, -1) @ values_BTE.reshape(-1, len(mean_E)))[0] / own.clamp(min=1)
        apart_BTE = (values_BTE - own_E).mul_(open_BT1)
        batch_E, squares_E = own_E, apart_BTE.square().sum((0, 1))
        if several:
            count, batch_E, squares_E = _over_processes(own, own_E, squares_E)
        enough = count > 1
        used_E = torch.where(enough, batch_E, mean_E)
        used_var_E = torch.where(enough, squares_E / count.clamp(min=1), var_E)
        inverse_E = torch.rsqrt(used_var_E + eps)
        scale_E = weight_E * inverse_E
        result = apart_BTE.mul_(scale_E).add_(bias_E + (own_E - used_E) * scale_E)
        if added_BTE is not None:
            result.add_(added_BTE)
        if relu:
            result.relu_()
        return result.mul_(open_BT1), used_E, used_var_E, inverse_E, count

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        result, mean_E, var_E, inverse_E, count = output
        ctx.mark_non_differentiable(mean_E, var_E, inverse_E, count)
        ctx.relu, ctx.several, ctx.added = inputs[8], inputs[9], inputs[6] is not None
        kept = result if ctx.relu else None
        ctx.save_for_backward(inputs[0], inputs[1], inputs[2], mean_E, inverse_E, count, kept)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_BTE: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        values_BTE, open_BT1, weight_E, mean_E, inverse_E, count, result = ctx.saved_tensors
        # Where the result is zero, at padding too, nothing comes back.
        grad_BTE = (
            grad_BTE * open_BT1 if result is None else torch.ops.aten.threshold_backward(grad_BTE, result, 0)
        )
        apart_BTE = values_BTE - mean_E
        into_bias_E = grad_BTE.sum((0, 1))
        into_weight_E = (grad_BTE * apart_BTE).sum((0, 1)) * inverse_E
        sums_2E = torch.stack([into_bias_E, into_weight_E])
        if ctx.several:
            dist.all_reduce(sums_2E)
        # Running statistics do not depend on the values: nothing flows back through them.
        sums_2E = sums_2E * torch.where(count > 1, 1 / count.clamp(min=1), 0.0)
        through_mean_E, through_deviation_E = sums_2E[0], sums_2E[1] * inverse_E
        into_values = apart_BTE.mul_(-through_deviation_E).sub_(through_mean_E).add_(grad_BTE)
        into_values.mul_(weight_E * inverse_E).mul_(open_BT1)
        into_added = grad_BTE if ctx.added else None
        return into_values, None, into_weight_E, into_bias_E, None, None, into_added, None, None, None


class MaskedBatchNorm(nn.Module):
    """``[B, T, E]`` with its mask to the same, normalised in each column; zero at masked positions.

    In training the statistics are those of the batch (over all processes, which must then call it together, in
    the same order), else the running ones, which are buffers and so part of the state dict. Computed in float32 also
    under autocast. A process that is only for company in a step must bring masked positions only.

    Args:
        features: E.
        eps: is added to variances.
        momentum: share of a batch in the running statistics, once 1 / momentum batches have been seen.
    """

    running_mean: Tensor
    running_var: Tensor
    batches: Tensor

    def __init__(self, features: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight, self.bias = nn.Parameter(torch.ones(features)), nn.Parameter(torch.zeros(features))
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("running_var", torch.ones(features))
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    def forward(
        self, values_BTE: Tensor, mask_BT: Tensor, *, added_BTE: Tensor | None = None, relu: bool = False
    ) -> Tensor:
        """``added_BTE`` is added to the normalised values, then ``relu`` applied to the sum."""
        with torch.autocast(values_BTE.device.type, enabled=False):
            values_BTE = values_BTE.to(self.weight.dtype)
            if added_BTE is not None:
                added_BTE = added_BTE.to(self.weight.dtype)
            open_BT1 = mask_BT[..., None].to(values_BTE.dtype)
            if self.training:
                return self._trained(values_BTE, open_BT1, added_BTE, relu)
            scale_E, shift_E = self.affine()
            result = values_BTE * scale_E + shift_E
            if added_BTE is not None:
                result = result + added_BTE
            return (result.relu() if relu else result) * open_BT1

    def affine(self) -> tuple[Tensor, Tensor]:
        """Factor and summand ``[E]`` that make up the layer in eval mode, to be folded into a convolution."""
        scale_E = self.weight * torch.rsqrt(self.running_var + self.eps)
        return scale_E, self.bias - self.running_mean * scale_E

    def _trained(self, values_BTE: Tensor, open_BT1: Tensor, added_BTE: Tensor | None, relu: bool) -> Tensor:
        result, mean_E, var_E, _, count = _Normalized.apply(  # type: ignore[no-untyped-call]
            values_BTE, open_BT1, self.weight, self.bias, self.running_mean, self.running_var,
            added_BTE, self.eps, relu, several_processes(),
        )  # fmt: skip
        with torch.no_grad():
            # Unbiased, as torch's own layer keeps it; below two positions nothing moves.
            unbiased_E = var_E * torch.where(count > 1, count / (count - 1).clamp(min=1), 1.0)
            self.batches += count > 1
            share = self.batches.clamp(min=1).to(mean_E).reciprocal().clamp(min=self.momentum)
            self.running_mean.lerp_(mean_E, share)
            self.running_var.lerp_(unbiased_E, share)
        return result  # type: ignore[no-any-return]
