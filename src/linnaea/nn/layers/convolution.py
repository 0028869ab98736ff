"""Convolutions over time and the largest responses of each filter: what TextCNN and TextRCNN have in common.

Windows may hang over both ends of the text (``wide``; ``narrow``: only where a text is shorter than a kernel); the
``top_k`` largest responses a filter are kept, in temporal order; a window without any real token never takes part.
Responses are compared before bias and activation, which gives the same features under every monotone activation (all
but gelu).

On a CPU a token that occurs several times in a batch is multiplied with the kernels once: three tokens in four of a
batch of news are repeats, and a window's response is a sum of rows of those products. That takes 0.6 of the time of a
convolution, and the same numbers come out, to rounding error.

Shape letters: B documents, T tokens, E embedding, D encoded; here also F filters, S windows, K = ``top_k``,
W kernel size, U distinct tokens.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from linnaea.config.encoders import TextCNNConfig
from linnaea.nn.layers.activations import ACTIVATIONS
from linnaea.nn.layers.repeats import Repeats
from linnaea.nn.layers.time import k_largest, responses
from linnaea.nn.network import Embedded


def responded(vectors_BTE: Tensor, weight_FEW: Tensor, repeats: Repeats | None) -> Tensor:
    """``[B, F, 1, S]``: the responses of all windows."""
    if repeats is None:
        return responses(vectors_BTE, weight_FEW)
    return _responses_once(vectors_BTE, weight_FEW, repeats)


def _responses_once(vectors_BTE: Tensor, weight_FEW: Tensor, repeats: Repeats) -> Tensor:
    """``responses``, each distinct vector multiplied once."""
    filters, width = weight_FEW.shape[0], weight_FEW.shape[2]
    rows_UE = vectors_BTE.reshape(-1, vectors_BTE.shape[2]).index_select(0, repeats.first_U)
    # Row u·W + w: what token u contributes to a window where it is the w-th.
    parts = (rows_UE @ weight_FEW.permute(1, 2, 0).reshape(rows_UE.shape[1], -1)).view(-1, filters)
    windows_BSW = (repeats.place_BT * width).unfold(1, width, 1) + torch.arange(width)
    response = functional.embedding_bag(windows_BSW.reshape(-1, width), parts, mode="sum")
    return response.view(len(vectors_BTE), 1, -1, filters).permute(0, 3, 1, 2)


class LargestResponses(torch.autograd.Function):
    """Convolution and the K largest responses over time in one step.

    Only the chosen windows receive a gradient, B·F·K of B·F·S, so the backward pass gathers and scatters just
    those: it costs a small part of the forward pass instead of twice as much, and keeps no map of responses.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(
        vectors_BTE: Tensor, weight_FEW: Tensor, open_BS: Tensor, top_k: int, repeats: Repeats | None
    ) -> tuple[Tensor, Tensor]:
        """Responses ``[B, F, K]`` in temporal order, then -inf if windows are fewer; where they begin."""
        response = responded(vectors_BTE, weight_FEW, repeats)
        closed_BS = torch.zeros_like(open_BS, dtype=response.dtype).masked_fill(~open_BS, -torch.inf)
        response = response.add_(closed_BS[:, None, None, :])
        values, positions = zip(*k_largest(response, top_k), strict=True)
        value_BFK, position_BFK = torch.cat(values, 2), torch.cat(positions, 2)
        if top_k > 1:
            time_BFK = position_BFK.masked_fill(value_BFK == -torch.inf, response.shape[3])
            order_BFK = time_BFK.argsort(dim=2, stable=True)
            value_BFK, position_BFK = value_BFK.gather(2, order_BFK), position_BFK.gather(2, order_BFK)
        return value_BFK, position_BFK

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(inputs[0], inputs[1], output[1])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_BFK: Tensor, _: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        vectors_BTE, weight_FEW, position_BFK = ctx.saved_tensors
        (B, T, E), (filters, _, width) = vectors_BTE.shape, weight_FEW.shape
        grad_BFK, flat_NE = grad_BFK.to(weight_FEW.dtype), vectors_BTE.reshape(B * T, E).to(weight_FEW.dtype)
        first_BFK = position_BFK + T * torch.arange(B, device=position_BFK.device)[:, None, None]
        first_FN = first_BFK.transpose(0, 1).reshape(filters, -1)
        grad_FN = grad_BFK.transpose(0, 1).reshape(filters, -1)
        weight_WFE = weight_FEW.permute(2, 0, 1).contiguous()
        into_vectors, into_weight = torch.zeros_like(flat_NE), []
        for step in range(width):
            bags_FE = functional.embedding_bag(
                first_FN + step, flat_NE, mode="sum", per_sample_weights=grad_FN
            )
            into_weight.append(bags_FE)
            pieces = grad_BFK[..., None] * weight_WFE[step][None, :, None, :]
            into_vectors.index_add_(0, (first_BFK + step).reshape(-1), pieces.reshape(-1, E))
        return into_vectors.view(B, T, E).to(vectors_BTE.dtype), torch.stack(into_weight, 2), None, None, None


class LargestOverTime(nn.ModuleList):
    """One convolution a kernel size; ``output_dim`` = kernel sizes · filters · top_k, in this order.

    Where a text has fewer windows than ``top_k`` the remaining features are 0; an empty document is 0.
    """

    def __init__(self, config: TextCNNConfig, input_dim: int) -> None:
        super().__init__(nn.Conv1d(input_dim, config.filters, size) for size in config.kernel_sizes)
        self.top_k, self.narrow = config.top_k, config.padding == "narrow"
        # By name: a module among the attributes would be one of the list.
        self.activation = config.activation
        self.margin = max(config.kernel_sizes) - 1
        self.output_dim = len(config.kernel_sizes) * config.filters * config.top_k

    def repeats(self, embedded: Embedded) -> Repeats | None:
        """Those of a text between the margins."""
        return Repeats.within(embedded, self.margin)

    def forward(self, vectors_BTE: Tensor, mask_BT: Tensor, repeats: Repeats | None = None) -> Tensor:
        """``[B, D]``; ``repeats`` are those of the vectors between the margins."""
        lengths_B = mask_BT.sum(1)
        around = (0, 0, self.margin, self.margin)
        padded = functional.pad(vectors_BTE * mask_BT[..., None], around)
        features = [self._features(conv, padded, lengths_B, repeats) for conv in self]
        return torch.cat(features, dim=1)

    def _features(
        self, convolution: nn.Module, padded: Tensor, lengths_B: Tensor, repeats: Repeats | None
    ) -> Tensor:
        """``[B, F·K]`` of one kernel size; ``padded`` has ``margin`` empty positions at both ends."""
        assert isinstance(convolution, nn.Conv1d)
        assert convolution.bias is not None
        weight, bias = convolution.weight, convolution.bias
        open_BS = self._open(lengths_B[:, None], weight.shape[2], padded.shape[1])
        largest = LargestResponses.apply(  # type: ignore[no-untyped-call]
            padded, weight, open_BS, self.top_k, repeats
        )
        response_BFK = largest[0]
        taken = response_BFK != -torch.inf
        feature_BFK = ACTIVATIONS[self.activation](torch.where(taken, response_BFK, 0.0) + bias[:, None])
        return torch.where(taken, feature_BFK, 0.0).flatten(1)

    def _open(self, lengths_B1: Tensor, width: int, positions: int) -> Tensor:
        """``[B, S]``: which windows take part."""
        first_S = torch.arange(positions - width + 1, device=lengths_B1.device) - self.margin
        after_S = first_S + width
        wide = (after_S > 0) & (first_S < lengths_B1) & (lengths_B1 > 0)
        if not self.narrow:
            return wide
        return torch.where(lengths_B1 < width, wide, (first_S >= 0) & (after_S <= lengths_B1))
