"""Optimisers: row-wise rules against torch and a float64 loop twin; groups; schedules by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from linnaea.config.training import TrainingConfig
from linnaea.errors import ConfigError
from linnaea.training.optimizers import (
    LARGE_TABLE,
    ROWS_PER_ID,
    build_optimizers,
    build_schedule,
    embedding_tables,
    ids_per_batch,
    sparse_gradients,
)
from linnaea.training.rowwise import RowAdadelta, RowAdam, RowOptimizer, RowSGD, coalesced
from tests.training import toy

ROWS, WIDTH = 12, 5

RULES: dict[str, tuple[Any, Any]] = {
    "adam": (
        lambda p: RowAdam(p, lr=0.02, betas=(0.8, 0.95), eps=1e-7),
        lambda p: torch.optim.Adam(p, lr=0.02, betas=(0.8, 0.95), eps=1e-7),
    ),
    "adamw": (lambda p: RowAdam(p, lr=0.02), lambda p: torch.optim.AdamW(p, lr=0.02, weight_decay=0.0)),
    "adadelta": (
        lambda p: RowAdadelta(p, lr=1.0, rho=0.95),
        lambda p: torch.optim.Adadelta(p, lr=1.0, rho=0.95),
    ),
    "sgd": (lambda p: RowSGD(p, lr=0.1), lambda p: torch.optim.SGD(p, lr=0.1)),
    "momentum": (
        lambda p: RowSGD(p, lr=0.1, momentum=0.9),
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
    ),
    "nesterov": (
        lambda p: RowSGD(p, lr=0.1, momentum=0.9, nesterov=True),
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    ),
}


def sparse(rows: list[int], values: Tensor, shape: tuple[int, int] = (ROWS, WIDTH)) -> Tensor:
    return torch.sparse_coo_tensor(
        torch.tensor([rows], dtype=torch.int64), values, shape, check_invariants=True
    )


@pytest.mark.parametrize("name", RULES)
def test_equal_to_torch_when_every_row_is_touched(name: str) -> None:
    torch.manual_seed(0)
    start = torch.randn(ROWS, WIDTH)
    mine, theirs = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    row_wise, dense = RULES[name][0]([mine]), RULES[name][1]([theirs])
    for step in range(20):
        gradient = torch.randn(ROWS, WIDTH) * (0.1 + step)
        order = torch.randperm(ROWS).tolist()
        # Twice half of it: rows come in any order and more than once.
        mine.grad = sparse(order + order, torch.cat([gradient[order], gradient[order]]) / 2)
        theirs.grad = gradient
        row_wise.step()
        dense.step()
    torch.testing.assert_close(mine, theirs, atol=1e-6, rtol=1e-6)


def lazily(name: str, table: np.ndarray, steps: list[tuple[list[int], np.ndarray]]) -> np.ndarray:
    """The rules, number by number in float64: rows that are not touched rest, moments included."""
    table = table.astype(np.float64)
    first, second = np.zeros_like(table), np.zeros_like(table)
    for count, (rows, gradients) in enumerate(steps, start=1):
        for row, gradient in zip(rows, gradients.astype(np.float64), strict=True):
            for i, g in enumerate(gradient):
                if name.startswith("adam"):
                    beta1, beta2, eps = (0.8, 0.95, 1e-7) if name == "adam" else (0.9, 0.999, 1e-8)
                    first[row, i] = beta1 * first[row, i] + (1 - beta1) * g
                    second[row, i] = beta2 * second[row, i] + (1 - beta2) * g * g
                    mean = first[row, i] / (1 - beta1**count)
                    table[row, i] -= 0.02 * mean / (math.sqrt(second[row, i] / (1 - beta2**count)) + eps)
                elif name == "adadelta":
                    first[row, i] = 0.95 * first[row, i] + 0.05 * g * g
                    delta = math.sqrt(second[row, i] + 1e-6) / math.sqrt(first[row, i] + 1e-6) * g
                    second[row, i] = 0.95 * second[row, i] + 0.05 * delta * delta
                    table[row, i] -= delta
                else:
                    momentum = 0.0 if name == "sgd" else 0.9
                    first[row, i] = momentum * first[row, i] + g
                    table[row, i] -= 0.1 * (g + 0.9 * first[row, i] if name == "nesterov" else first[row, i])
    return table


@pytest.mark.parametrize("name", RULES)
def test_lazy_rows_against_a_plain_loop(name: str) -> None:
    torch.manual_seed(1)
    table = nn.Parameter(torch.randn(ROWS, WIDTH))
    start, steps = table.detach().numpy().copy(), []
    row_wise: RowOptimizer = RULES[name][0]([table])
    for _ in range(25):
        rows = torch.randperm(ROWS)[: int(torch.randint(1, 6, ()))].sort().values.tolist()
        gradient = torch.randn(len(rows), WIDTH)
        steps.append((rows, gradient.numpy()))
        table.grad = sparse(rows, gradient)
        row_wise.step()
    np.testing.assert_allclose(table.detach().numpy(), lazily(name, start, steps), atol=2e-6)


@pytest.mark.parametrize("name", RULES)
def test_rows_that_are_not_touched_rest(name: str) -> None:
    table = nn.Parameter(torch.ones(ROWS, WIDTH))
    row_wise: RowOptimizer = RULES[name][0]([table])
    for rows in ([1, 2], [2, 3], [7]):
        table.grad = sparse(rows, torch.ones(len(rows), WIDTH))
        row_wise.step()
    moved = (table != 1).any(1).nonzero()[:, 0].tolist()
    assert moved == [1, 2, 3, 7]
    for state in (value for key, value in row_wise.state[table].items() if key != "step"):
        assert set(state.abs().sum(1).nonzero()[:, 0].tolist()) <= {1, 2, 3, 7}


@pytest.mark.parametrize("name", RULES)
def test_a_row_without_gradient_never_moves(name: str) -> None:
    table = nn.Parameter(torch.zeros(ROWS, WIDTH))
    row_wise: RowOptimizer = RULES[name][0]([table])
    for _ in range(5):
        table.grad = sparse([0, 4], torch.stack([torch.zeros(WIDTH), torch.ones(WIDTH)]))
        row_wise.step()
    assert not table[0].any()
    assert table[4].all()


def test_nothing_touched_is_no_step() -> None:
    table = nn.Parameter(torch.ones(ROWS, WIDTH))
    row_wise = RowAdam([table])
    table.grad = sparse([], torch.zeros(0, WIDTH))
    row_wise.step()
    assert not row_wise.state[table]
    table.grad = torch.ones(ROWS, WIDTH)
    with pytest.raises(ValueError, match="takes sparse gradients"):
        row_wise.step()


def test_coalesced_adds_up_rows_that_come_twice() -> None:
    once, twice = sparse([1, 4], torch.ones(2, WIDTH)), sparse([4, 4, 1], torch.ones(3, WIDTH))
    assert coalesced(once).is_coalesced()
    assert coalesced(once).values().data_ptr() == once._values().data_ptr()
    assert coalesced(twice).indices().tolist() == [[1, 4]]
    assert coalesced(twice).values()[:, 0].tolist() == [1.0, 2.0]
    assert coalesced(sparse([3, 2], torch.ones(2, WIDTH))).indices().tolist() == [[2, 3]]


@pytest.mark.parametrize("reads", ["bags", "sequence"])
@pytest.mark.parametrize("kind", ["adam", "adamw", "adadelta", "sgd"])
def test_tables_are_found_and_neither_they_nor_biases_decay(kind: str, reads: str) -> None:
    for is_sparse in (True, False):
        network = toy.network(reads, is_sparse)
        names = ["token", "ngram"] if reads == "bags" else ["token"]
        assert embedding_tables(network) == {f"embedder.tables.{name}.weight": is_sparse for name in names}
        config = TrainingConfig.read({"optimizer": {"type": kind, "weight_decay": 0.5}}).optimizer
        optimizers = build_optimizers(network, config)
        assert len(optimizers.sparse) == (len(names) if is_sparse else 0)
        assert len(optimizers.all) == len(list(network.parameters()))
        for name, parameter in network.named_parameters():
            if "bias" in name:
                torch.nn.init.ones_(parameter)
        before = {name: p.detach().clone() for name, p in network.named_parameters()}
        for name, parameter in network.named_parameters():
            gradient = torch.zeros_like(parameter)
            parameter.grad = gradient.to_sparse(1) if is_sparse and "tables" in name else gradient
        optimizers.step(1.0)
        for name, parameter in network.named_parameters():
            # Only what decays can move on a gradient of zero.
            assert torch.equal(before[name], parameter) == ("tables" in name or "bias" in name)
            assert parameter.grad is None


def test_padding_stays_zero_while_training() -> None:
    for kind in ("adam", "adadelta", {"type": "sgd", "momentum": 0.9}):
        for is_sparse in (True, False):
            end = toy.train(None, sparse=is_sparse, optimizer=kind)
            assert not end.weights["embedder.tables.token.weight"][0].any()
            assert end.weights["embedder.tables.ngram.weight"][0].any()


def test_learning_rates_of_parts() -> None:
    network = toy.network()
    config = TrainingConfig.read({"optimizer": {"type": "sgd", "learning_rate": 1.0}}).optimizer
    optimizers = build_optimizers(network, config, {"embedder": 0.5, "embedder.tables.ngram": 0.25})
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    for name, parameter in network.named_parameters():
        one = torch.ones_like(parameter)
        parameter.grad = one.to_sparse(1) if "tables" in name else one
    optimizers.step(0.1)
    moved = {name: (before[name] - p).mean().item() for name, p in network.named_parameters()}
    assert moved == pytest.approx(
        {
            "embedder.tables.token.weight": 0.05,
            "embedder.tables.ngram.weight": 0.025,
            "head.linear.weight": 0.1,
            "head.linear.bias": 0.1,
        },
        abs=1e-6,
    )
    with pytest.raises(ConfigError, match="did you mean 'embedder'"):
        build_optimizers(network, config, {"embeder": 0.5})


@pytest.mark.parametrize("kind", ["adam", "adamw", "adadelta", {"type": "sgd", "momentum": 0.9}])
def test_state_comes_back(kind: Any) -> None:
    config = TrainingConfig.read({"optimizer": kind}).optimizer

    def stepped(network: nn.Module, optimizers: Any, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        for name, parameter in network.named_parameters():
            gradient = torch.randn(parameter.shape, generator=generator)
            if "tables" in name:
                gradient = sparse([1, 3], gradient[:2], tuple(parameter.shape))
            parameter.grad = gradient
        optimizers.step(0.7)

    one, two = toy.network(), toy.network()
    first, second = build_optimizers(one, config), build_optimizers(two, config)
    stepped(one, first, 1)
    two.load_state_dict(one.state_dict())
    second.load({name: tensor.clone() for name, tensor in first.state().items()})
    for seed in (2, 3):
        stepped(one, first, seed)
        stepped(two, second, seed)
    assert first.state().keys() == second.state().keys()
    assert all(torch.equal(tensor, second.state()[name]) for name, tensor in first.state().items())
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def factors(schedule: Any, steps: int, warmup: int = 0) -> list[float]:
    factor = build_schedule(TrainingConfig.read({"schedule": schedule}).schedule, warmup)
    return [factor(step, steps) for step in range(steps)]


def test_schedules_by_hand() -> None:
    assert factors("constant", 3) == [1, 1, 1]
    assert factors("linear", 5) == pytest.approx([1, 0.75, 0.5, 0.25, 0])
    assert factors({"type": "linear", "final": 0.2}, 3) == pytest.approx([1, 0.6, 0.2])
    assert factors("cosine", 5) == pytest.approx(
        [1, 0.5 + math.sqrt(0.5) / 2, 0.5, 0.5 - math.sqrt(0.5) / 2, 0]
    )
    assert factors({"type": "cosine", "final": 0.5}, 3) == pytest.approx([1, 0.75, 0.5])
    assert factors({"type": "exponential", "rate": 0.5, "steps": 2}, 5) == pytest.approx(
        [1, 1, 0.5, 0.5, 0.25]
    )
    assert factors("linear", 1) == [1]


def test_warm_up_lies_before_the_schedule() -> None:
    assert factors("constant", 5, warmup=4) == pytest.approx([0.25, 0.5, 0.75, 1, 1])
    assert factors("linear", 5, warmup=2) == pytest.approx([0.5, 1, 1, 0.5, 0])
    assert factors("linear", 3, warmup=9) == pytest.approx([1 / 9, 2 / 9, 3 / 9])


def test_when_sparse_gradients_pay() -> None:
    assert sparse_gradients(True, 10, 2, 100)
    assert not sparse_gradients(False, 10**6, 100, 10)
    assert sparse_gradients("auto", 200_000, 64, 64 * 15)
    assert not sparse_gradients("auto", 200_000, 64, 200_000 / ROWS_PER_ID)
    assert not sparse_gradients("auto", LARGE_TABLE // 64 - 1, 64, 1)
    assert sparse_gradients("auto", LARGE_TABLE // 64, 64, 1)


def test_ids_of_a_batch() -> None:
    assert ids_per_batch(10.0, TrainingConfig.read({"batch_size": 64})) == 640
    assert ids_per_batch(10.0, TrainingConfig.read({"batch_size": 64, "batch_tokens": 500})) == 500
