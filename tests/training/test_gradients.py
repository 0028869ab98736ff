"""Clipping by the norm of all gradients together, dense and sparse."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from linnaea.training.gradients import clip


def parameters() -> list[nn.Parameter]:
    torch.manual_seed(0)
    dense, table, bare = (nn.Parameter(torch.zeros(*shape)) for shape in ((3, 2), (6, 4), (2,)))
    dense.grad = torch.randn(3, 2)
    # Row 4 comes twice: its two gradients add up before they count.
    table.grad = torch.sparse_coo_tensor(
        torch.tensor([[4, 1, 4]]), torch.randn(3, 4), (6, 4), check_invariants=True
    )
    return [dense, table, bare]


@pytest.mark.parametrize("limit", [0.5, 100.0])
def test_clip_against_dense(limit: float) -> None:
    mine, dense = parameters(), parameters()
    for parameter in dense[:2]:
        parameter.grad = parameter.grad.to_dense()
    norm = clip(mine, limit)
    wanted = nn.utils.clip_grad_norm_(dense, limit)
    assert float(norm) == pytest.approx(float(wanted))
    for a, b in zip(mine[:2], dense[:2], strict=True):
        torch.testing.assert_close(a.grad.to_dense(), b.grad)
    assert mine[2].grad is None
    if limit < 1:
        total = sum(float(p.grad.to_dense().square().sum()) for p in mine[:2])
        assert total**0.5 == pytest.approx(limit, rel=1e-4)


def test_nothing_to_clip() -> None:
    assert float(clip([nn.Parameter(torch.zeros(2))], 1.0)) == 0
