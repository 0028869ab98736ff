"""The cells of a recurrence over windows: a step forward and a step back, for all windows at once.

Equations and the order of the gates are torch's and cuDNN's. Unlike the cells of ``layers.cells``, which go along the text
document by document, these hold planes ``[features, positions]``: there are few steps and very many positions.

Shape letters: G rows of gates, H hidden, P positions.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

sigmoid_backward = torch.ops.aten.sigmoid_backward
tanh_backward = torch.ops.aten.tanh_backward


def tanh_(values: Tensor) -> Tensor:
    """In place, by the sigmoid: six times as fast on a CPU, exact to a rounding error of 1."""
    return values.mul_(2).sigmoid_().mul_(2).sub_(1)


class Cell:
    """One step of a recurrence and its way back. ``states`` are (h,) or (h, c), None before the first step.

    Attributes:
        blocks: gates, each of H rows, in torch's order.
        inner: whether there is a bias inside the reset gate.
        remembers: whether there is a c.
    """

    blocks: int
    inner: bool = False
    remembers: bool = False

    def step(self, x_GP: Tensor, states: Any, weight_GH: Tensor, inner_H: Tensor | None) -> tuple[Any, Any]:
        """New states, and what ``back`` needs; ``x_GP`` is the projected input, bias included."""
        raise NotImplementedError

    def back(self, grads: Any, kept: Any, weight_GH: Tensor, into_GP: Tensor) -> tuple[Tensor, Any]:
        """Adds the gradient of ``x_GP`` to ``into_GP``.

        Returns:
            The gradient of ``weight_GH @ h``, and those of the states before this step (None at the first).
        """
        raise NotImplementedError


class RNNCell(Cell):
    """h' = tanh(x + W h)."""

    blocks = 1

    def step(self, x_GP: Tensor, states: Any, weight_GH: Tensor, inner_H: Tensor | None) -> tuple[Any, Any]:
        new = tanh_(x_GP.clone() if states is None else torch.addmm(x_GP, weight_GH, states[0]))
        return (new,), (states, new)

    def back(self, grads: Any, kept: Any, weight_GH: Tensor, into_GP: Tensor) -> tuple[Tensor, Any]:
        states, new = kept
        grad = tanh_backward(grads[0], new)
        into_GP += grad
        return grad, None if states is None else (weight_GH.T @ grad,)


class GRUCell(Cell):
    """r, z = σ(x_rz + W_rz h);  n = tanh(x_n + r ⊙ (W_n h + b));  h' = (1 - z) ⊙ n + z ⊙ h."""

    blocks, inner = 3, True

    def step(self, x_GP: Tensor, states: Any, weight_GH: Tensor, inner_H: Tensor | None) -> tuple[Any, Any]:
        assert inner_H is not None
        H, inner = len(inner_H), inner_H[:, None]
        if states is None:
            gates = torch.sigmoid(x_GP[: 2 * H])
        else:
            product_GP = weight_GH @ states[0]
            gates, inner = product_GP[: 2 * H], product_GP[2 * H :].add_(inner)
            gates.add_(x_GP[: 2 * H]).sigmoid_()
        reset, update = gates[:H], gates[H:]
        fresh = tanh_(torch.addcmul(x_GP[2 * H :], reset, inner))
        new = fresh - update * fresh if states is None else torch.lerp(fresh, states[0], update)
        return (new,), (states, gates, inner, fresh)

    def back(self, grads: Any, kept: Any, weight_GH: Tensor, into_GP: Tensor) -> tuple[Tensor, Any]:
        (grad,), (states, gates, inner, fresh) = grads, kept
        H = len(fresh)
        reset, update = gates[:H], gates[H:]
        into_h = grad * update
        into_fresh = tanh_backward(grad - into_h, fresh)
        product = torch.empty_like(into_GP)
        change = -fresh if states is None else states[0] - fresh
        torch.mul(into_fresh, inner, out=product[:H])
        torch.mul(grad, change, out=product[H : 2 * H])
        sigmoid_backward.grad_input(product[: 2 * H], gates, grad_input=product[: 2 * H])
        torch.mul(into_fresh, reset, out=product[2 * H :])
        into_GP[: 2 * H] += product[: 2 * H]
        into_GP[2 * H :] += into_fresh
        return product, None if states is None else (torch.addmm(into_h, weight_GH.T, product),)


class LSTMCell(Cell):
    """i, f, g, o = σ, σ, tanh, σ (x + W h);  c' = f ⊙ c + i ⊙ g;  h' = o ⊙ tanh(c')."""

    blocks, remembers = 4, True

    def step(self, x_GP: Tensor, states: Any, weight_GH: Tensor, inner_H: Tensor | None) -> tuple[Any, Any]:
        gates = x_GP.clone() if states is None else torch.addmm(x_GP, weight_GH, states[0])
        enter, forget, fresh, leave = gates.chunk(4)
        fresh.mul_(2)
        gates.sigmoid_()
        fresh.mul_(2).sub_(1)
        cell = enter * fresh
        if states is not None:
            cell.addcmul_(forget, states[1])
        shown = tanh_(cell.clone())
        return (leave * shown, cell), (states, gates, shown)

    def back(self, grads: Any, kept: Any, weight_GH: Tensor, into_GP: Tensor) -> tuple[Tensor, Any]:
        (grad, into_cell), (states, gates, shown) = grads, kept
        enter, forget, fresh, leave = gates.chunk(4)
        through = tanh_backward(grad * leave, shown)
        into_cell = through if into_cell is None else through.add_(into_cell)
        product = torch.empty_like(gates)
        first, second, third, fourth = product.chunk(4)
        torch.mul(into_cell, fresh, out=first)
        torch.mul(into_cell, enter, out=third)
        torch.mul(grad, shown, out=fourth)
        if states is None:
            second.zero_()
        else:
            torch.mul(into_cell, states[1], out=second)
        tanh_backward.grad_input(third, fresh, grad_input=third)
        for part, gate in ((product[: 2 * len(first)], gates[: 2 * len(first)]), (fourth, leave)):
            sigmoid_backward.grad_input(part, gate, grad_input=part)
        into_GP += product
        return product, None if states is None else (weight_GH.T @ product, into_cell * forget)


CELLS: dict[str, type[Cell]] = {"rnn": RNNCell, "gru": GRUCell, "lstm": LSTMCell}
