"""Row-wise ("lazy") optimisers for embedding tables: a step costs what a batch touched, not the table.

A table of V rows has a sparse gradient with n of them. Dense Adam reads and writes all V rows of weights and
state; here only the n rows change, state included: a row that no document holds keeps its moments as they
are, as in torch's SparseAdam. Two consequences, both by design:
- When every row is touched in every step the result is that of ``torch.optim``.
- Bias correction of Adam counts the *table's* steps, not the row's, as torch's SparseAdam does; a row's first
  update late in a run is therefore up to (1 - beta1) / sqrt(1 - beta2) = 3.2 times the learning rate (at the
  default betas).

Tables have no weight decay: it would pull at rows that no document mentions. A row whose gradient is always
zero (padding) never moves. Gradients may come uncoalesced (several backward passes a step); rows of a
coalesced one are unique, so the writes below do not depend on their order.

Shape letters: V rows of a table, E its width, n rows touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


def coalesced(gradient: Tensor) -> Tensor:
    """A sparse gradient with each row once, in rising order.

    Autograd forgets that a gradient came so. On a CPU looking costs a third of sorting again; a GPU would
    have to wait for the answer.
    """
    if not gradient.is_coalesced() and gradient.device.type == "cpu":
        rows = gradient._indices()[0]
        if bool((rows[1:] > rows[:-1]).all()):
            return gradient._coalesced_(True)
    return gradient.coalesce()


class RowOptimizer(Optimizer):
    """Base: walks the tables, keeps dense state of the tables' shape, counts a table's steps."""

    states: tuple[str, ...]

    def __init__(self, tables: Iterable[Any], defaults: dict[str, Any]) -> None:
        super().__init__(tables, defaults)

    def update(
        self, group: dict[str, Any], table: Tensor, rows_n: Tensor, gradient_nE: Tensor, state: dict[str, Any]
    ) -> None:
        """Change the rows ``rows_n`` of ``table`` and of its state."""
        raise NotImplementedError

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One step over all tables that have a gradient with a row in it.

        Raises:
            ValueError: a gradient is dense.
        """
        for group, table in self._tables():
            gradient = table.grad
            if gradient is None:
                continue
            if not gradient.is_sparse:
                raise ValueError(
                    f"{type(self).__name__} takes sparse gradients, this {tuple(table.shape)} one is dense"
                )
            gradient = coalesced(gradient)
            rows = gradient.indices()[0]
            if not len(rows):
                continue
            state = self.state[table]
            if not state:
                state["step"] = torch.zeros((), dtype=torch.float32)
                state.update({name: torch.zeros_like(table) for name in self.states})
            state["step"] += 1
            self.update(group, table, rows, gradient.values(), state)

    def _tables(self) -> Iterator[tuple[dict[str, Any], Tensor]]:
        for group in self.param_groups:
            for table in group["params"]:
                yield group, table


class RowAdam(RowOptimizer):
    """Adam (Kingma & Ba 2015) on touched rows; AdamW is the same here, since tables have no weight decay."""

    states = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        tables: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(tables, {"lr": lr, "betas": betas, "eps": eps})

    def update(
        self, group: dict[str, Any], table: Tensor, rows_n: Tensor, gradient_nE: Tensor, state: dict[str, Any]
    ) -> None:
        beta1, beta2 = group["betas"]
        steps = float(state["step"])
        mean = state["exp_avg"].index_select(0, rows_n).lerp_(gradient_nE, 1 - beta1)
        square = (
            state["exp_avg_sq"]
            .index_select(0, rows_n)
            .mul_(beta2)
            .addcmul_(gradient_nE, gradient_nE, value=1 - beta2)
        )
        state["exp_avg"].index_copy_(0, rows_n, mean)
        state["exp_avg_sq"].index_copy_(0, rows_n, square)
        # square and mean are copies: they are overwritten from here on.
        deviation = square.sqrt_().mul_((1 - beta2**steps) ** -0.5).add_(group["eps"])
        rows = table.index_select(0, rows_n).addcdiv_(
            mean, deviation, value=-group["lr"] / (1 - beta1**steps)
        )
        table.index_copy_(0, rows_n, rows)


class RowAdadelta(RowOptimizer):
    """Adadelta (Zeiler 2012) on touched rows."""

    states = ("square_avg", "acc_delta")

    def __init__(self, tables: Iterable[Any], lr: float = 1.0, rho: float = 0.9, eps: float = 1e-6) -> None:
        super().__init__(tables, {"lr": lr, "rho": rho, "eps": eps})

    def update(
        self, group: dict[str, Any], table: Tensor, rows_n: Tensor, gradient_nE: Tensor, state: dict[str, Any]
    ) -> None:
        rho, eps = group["rho"], group["eps"]
        square = (
            state["square_avg"]
            .index_select(0, rows_n)
            .mul_(rho)
            .addcmul_(gradient_nE, gradient_nE, value=1 - rho)
        )
        state["square_avg"].index_copy_(0, rows_n, square)
        moved = state["acc_delta"].index_select(0, rows_n)
        delta = moved.add(eps).sqrt_().div_(square.add_(eps).sqrt_()).mul_(gradient_nE)
        state["acc_delta"].index_copy_(0, rows_n, moved.mul_(rho).addcmul_(delta, delta, value=1 - rho))
        table.index_copy_(0, rows_n, table.index_select(0, rows_n).sub_(delta, alpha=group["lr"]))


class RowSGD(RowOptimizer):
    """Stochastic gradient descent on touched rows; momentum is that of the row, and rests while the row
    does."""

    def __init__(
        self, tables: Iterable[Any], lr: float = 0.1, momentum: float = 0.0, nesterov: bool = False
    ) -> None:
        super().__init__(tables, {"lr": lr, "momentum": momentum, "nesterov": nesterov})
        self.states = ("momentum_buffer",) if momentum else ()

    def update(
        self, group: dict[str, Any], table: Tensor, rows_n: Tensor, gradient_nE: Tensor, state: dict[str, Any]
    ) -> None:
        momentum, move = group["momentum"], gradient_nE
        if momentum:
            buffer = state["momentum_buffer"].index_select(0, rows_n).mul_(momentum).add_(gradient_nE)
            state["momentum_buffer"].index_copy_(0, rows_n, buffer)
            move = gradient_nE.add(buffer, alpha=momentum) if group["nesterov"] else buffer
        table.index_copy_(0, rows_n, table.index_select(0, rows_n).sub_(move, alpha=group["lr"]))
