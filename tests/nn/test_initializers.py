"""Initial values: the moments that the papers' formulas promise."""

from __future__ import annotations

import pytest
import torch

from linnaea.config.embedders import LookupConfig
from linnaea.config.registry import initializers
from linnaea.nn.embedders.lookup import Lookup
from linnaea.nn.network import Sizes
from tests.nn.cases import taxonomy

ROWS, DIMENSION = 4001, 64


def table(settings, rows: int = ROWS) -> torch.Tensor:
    torch.manual_seed(0)
    sizes = Sizes({"token": rows}, taxonomy(), None, 0)
    config = LookupConfig.read({"dimension": DIMENSION, "initializer": settings})
    return Lookup(config, features=["token"], sizes=sizes).tables["token"].weight.detach()[1:]


def test_every_initializer_is_covered_here():
    assert set(initializers) == {"uniform", "normal", "xavier", "kaiming", "orthogonal"}


@pytest.mark.parametrize(
    ("settings", "variance"),
    [
        ("uniform", 1 / DIMENSION / 3),
        ({"type": "uniform", "bound": 0.25}, 0.25**2 / 3),
        ("normal", 1 / DIMENSION),
        ({"type": "normal", "std": 0.6}, 0.36),
        ("xavier", 2 / (ROWS - 1 + DIMENSION)),
        ({"type": "xavier", "distribution": "normal"}, 2 / (ROWS - 1 + DIMENSION)),
        ("kaiming", 2 / DIMENSION),
        ({"type": "kaiming", "distribution": "normal", "fan": "out"}, 2 / (ROWS - 1)),
    ],
    ids=str,
)
def test_variance(settings, variance: float):
    weight = table(settings)
    assert weight.mean().item() == pytest.approx(0, abs=4 * (variance / weight.numel()) ** 0.5)
    assert weight.var().item() == pytest.approx(variance, rel=0.03)


def test_uniform_stays_within_its_bound():
    weight = table({"type": "uniform", "bound": 0.25})
    assert 0.24 < weight.abs().max() <= 0.25


@pytest.mark.parametrize("rows", [ROWS, 31])
def test_orthogonal(rows: int):
    weight = table({"type": "orthogonal", "gain": 2.0}, rows).double()
    gram = weight.T @ weight if rows > DIMENSION else weight @ weight.T
    torch.testing.assert_close(gram, 4 * torch.eye(len(gram), dtype=torch.float64), rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", sorted(initializers))
@pytest.mark.parametrize("rows", [1, 2])
def test_tiny_tables(name: str, rows: int):
    assert table(name, rows).isfinite().all()
