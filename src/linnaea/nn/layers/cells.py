"""Recurrent cells, step by step: what a step computes, and what of its gradient can be had for many steps at once.

The equations are those of cuDNN and torch, GRU (Cho et al. 2014, https://arxiv.org/abs/1406.1078) among them as
    r = σ(W_ir x + b_ir + W_hr h + b_hr), z alike, n = tanh(W_in x + b_in + r (W_hn h + b_hn)), h' = (1 - z) n + z h.
On a CPU a tanh takes six times as long as a σ. So a cell holds its state as s with h = scale · s + shift, chosen so that
only σ occurs: tanh(a) = 2σ(2a) - 1, and (1 - z) n + z h is the same mean in s. The factors go into the weights.

Shape letters: D directions, n documents of a step, N rows of many steps, H hidden, E input; a row has ``width`` blocks of
H columns, of which the state drives the first ``driven`` and the input the last ``fed``.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

Columns = tuple[tuple[int, int], ...]


class Cell:
    """One kind of cell, without weights: its views, a step forward, and two halves of a step back.

    ``views``, ``back``: the blocks (from, to) that ``step`` and ``step_back`` are handed, each ``[D, n, blocks·H]``.
    ``keeps``: gradients need the gates. ``remembers``: there is a memory beside the state (LSTM).
    """

    width: ClassVar[int]
    driven: ClassVar[int]
    fed: ClassVar[int]
    views: ClassVar[Columns]
    back: ClassVar[Columns]
    keeps: ClassVar[bool] = True
    remembers: ClassVar[bool] = False
    scale: ClassVar[float] = 2.0
    shift: ClassVar[float] = -1.0

    def weights(
        self, input_GE: Tensor, state_GH: Tensor, input_G: Tensor, state_G: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """torch's weights of one direction as ``[E, fed·H]``, ``[H, driven·H]`` and a bias ``[width·H]``."""
        raise NotImplementedError

    def step(
        self,
        views: tuple[Tensor, ...],
        before: Tensor,
        after: Tensor,
        memories: tuple[Tensor, ...],
        weight: Tensor,
    ) -> None:
        """Write the state after a step; ``views`` hold what bias and input give, and then the gates."""
        raise NotImplementedError

    def factors(
        self, gates: Tensor, before: Tensor, after: Tensor, memories: tuple[Tensor, ...], out: Tensor
    ) -> None:
        """All of many steps' gradient that does not depend on later steps: ``[N, D, blocks, H]`` into ``out``."""
        raise NotImplementedError

    def step_back(
        self, views: tuple[Tensor, ...], later: Tensor, earlier: Tensor, memory: Tensor | None, weight: Tensor
    ) -> None:
        """Turn factors into gradients of the gates, add to ``earlier`` what of ``later`` passes through."""
        raise NotImplementedError

    @property
    def start(self) -> float:
        """The state that stands for h = 0."""
        return -self.shift / self.scale

    def _state(self, state_GH: Tensor, state_G: Tensor) -> tuple[Tensor, Tensor]:
        """Weight and bias that act on s as the given ones on h."""
        return self.scale * state_GH, state_G + self.shift * state_GH.sum(1)


def _between(values: Tensor, out: Tensor) -> Tensor:
    """The slope of σ where it is ``values``, times what stands in ``out``: out · (v - v²)."""
    out.mul_(values)
    return out.addcmul_(out, values, value=-1)


class GRU(Cell):
    """Blocks: what the state gives n, r, z, what the input gives n (afterwards σ of all of n)."""

    width, driven, fed = 4, 3, 3
    views = ((0, 3), (0, 1), (1, 3), (1, 2), (2, 3), (3, 4))
    back = ((0, 4), (0, 3), (4, 5))

    def weights(
        self, input_GE: Tensor, state_GH: Tensor, input_G: Tensor, state_G: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        state_GH, state_G = self._state(state_GH, state_G)
        (wr, wz, wn), (br, bz, bn) = input_GE.chunk(3), input_G.chunk(3)
        (vr, vz, vn), (cr, cz, cn) = state_GH.chunk(3), state_G.chunk(3)
        bias = torch.cat([2 * cn, br + cr, bz + cz, 2 * bn])
        return torch.cat([wr, wz, 2 * wn]).mT, torch.cat([2 * vn, vr, vz]).mT, bias

    def step(
        self,
        views: tuple[Tensor, ...],
        before: Tensor,
        after: Tensor,
        memories: tuple[Tensor, ...],
        weight: Tensor,
    ) -> None:
        driven, state_n, both, r, z, n = views
        driven.baddbmm_(before, weight)
        both.sigmoid_()
        n.addcmul_(state_n, r).sigmoid_()
        torch.lerp(n, before, z, out=after)

    def factors(
        self, gates: Tensor, before: Tensor, after: Tensor, memories: tuple[Tensor, ...], out: Tensor
    ) -> None:
        state_n, r, z, n = gates.unbind(2)
        into_state_n, into_r, into_z, into_n, through = out.unbind(2)
        torch.addcmul(n, n, n, value=-1, out=into_n)
        into_n.addcmul_(into_n, z, value=-1)
        torch.mul(into_n, r, out=into_state_n)
        torch.mul(into_state_n, state_n, out=into_r)
        into_r.addcmul_(into_r, r, value=-1)
        _between(z, torch.sub(before, n, out=into_z))
        through.copy_(z)

    def step_back(
        self, views: tuple[Tensor, ...], later: Tensor, earlier: Tensor, memory: Tensor | None, weight: Tensor
    ) -> None:
        blocks, driven, through = views
        D, n, H = later.shape
        blocks.view(D, n, 4, H).mul_(later.unsqueeze(2))
        earlier.addcmul_(later, through)
        earlier.baddbmm_(driven, weight)


class LSTM(Cell):
    """Blocks: i, f, σ of what is new, o. The state is h / 2, the memory 2c."""

    width, driven, fed = 4, 4, 4
    views = ((0, 4), (0, 1), (1, 2), (2, 3), (3, 4))
    back = ((0, 3), (3, 4), (0, 4), (4, 5), (5, 6))
    remembers = True
    shift = 0.0

    def weights(
        self, input_GE: Tensor, state_GH: Tensor, input_G: Tensor, state_G: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        state_GH, state_G = self._state(state_GH, state_G)
        factor_G1 = input_G.new_tensor([1.0, 1.0, 2.0, 1.0]).repeat_interleave(len(input_G) // 4)[:, None]
        bias_G = (input_G + state_G) * factor_G1[:, 0]
        return (factor_G1 * input_GE).mT, (factor_G1 * state_GH).mT, bias_G

    def step(
        self,
        views: tuple[Tensor, ...],
        before: Tensor,
        after: Tensor,
        memories: tuple[Tensor, ...],
        weight: Tensor,
    ) -> None:
        gates, i, f, new, o = views
        memory_before, memory_after = memories
        gates.baddbmm_(before, weight).sigmoid_()
        torch.mul(f, memory_before, out=memory_after)
        memory_after.addcmul_(i, new, value=4).sub_(i, alpha=2)
        torch.sigmoid(memory_after, out=after)
        after.mul_(o).sub_(o, alpha=0.5)

    def factors(
        self, gates: Tensor, before: Tensor, after: Tensor, memories: tuple[Tensor, ...], out: Tensor
    ) -> None:
        i, f, new, o = gates.unbind(2)
        into_i, into_f, into_new, into_o, into_memory, through = out.unbind(2)
        memory_before, memory_after = memories
        shown = memory_after.sigmoid()
        into_memory.copy_(o)
        _between(shown, into_memory)
        _between(i, torch.mul(new, 4, out=into_i).sub_(2))
        _between(f, into_f.copy_(memory_before))
        _between(new, torch.mul(i, 4, out=into_new))
        _between(o, torch.sub(shown, 0.5, out=into_o))
        through.copy_(f)

    def step_back(
        self, views: tuple[Tensor, ...], later: Tensor, earlier: Tensor, memory: Tensor | None, weight: Tensor
    ) -> None:
        inner, o, driven, into_memory, through = views
        assert memory is not None
        D, n, H = later.shape
        memory.addcmul_(later, into_memory)
        inner.view(D, n, 3, H).mul_(memory.unsqueeze(2))
        o.mul_(later)
        memory.mul_(through)
        earlier.baddbmm_(driven, weight)


class Tanh(Cell):
    """Elman's network: h' = tanh(W_i x + b_i + W_h h + b_h)."""

    width, driven, fed = 1, 1, 1
    views = ((0, 1),)
    back = ((0, 1),)
    keeps = False
    gain: ClassVar[float] = 2.0

    def weights(
        self, input_GE: Tensor, state_GH: Tensor, input_G: Tensor, state_G: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        state_GH, state_G = self._state(state_GH, state_G)
        return self.gain * input_GE.mT, self.gain * state_GH.mT, self.gain * (input_G + state_G)

    def step(
        self,
        views: tuple[Tensor, ...],
        before: Tensor,
        after: Tensor,
        memories: tuple[Tensor, ...],
        weight: Tensor,
    ) -> None:
        torch.sigmoid(views[0].baddbmm_(before, weight), out=after)

    def factors(
        self, gates: Tensor, before: Tensor, after: Tensor, memories: tuple[Tensor, ...], out: Tensor
    ) -> None:
        torch.addcmul(after, after, after, value=-1, out=out[:, :, 0])

    def step_back(
        self, views: tuple[Tensor, ...], later: Tensor, earlier: Tensor, memory: Tensor | None, weight: Tensor
    ) -> None:
        earlier.baddbmm_(views[0].mul_(later), weight)


class Relu(Tanh):
    """The same with max(0, ·)."""

    scale, shift, gain = 1.0, 0.0, 1.0

    def step(
        self,
        views: tuple[Tensor, ...],
        before: Tensor,
        after: Tensor,
        memories: tuple[Tensor, ...],
        weight: Tensor,
    ) -> None:
        torch.clamp_min(views[0].baddbmm_(before, weight), 0, out=after)

    def factors(
        self, gates: Tensor, before: Tensor, after: Tensor, memories: tuple[Tensor, ...], out: Tensor
    ) -> None:
        out[:, :, 0].copy_(after > 0)
