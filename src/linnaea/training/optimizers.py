"""Optimisers and learning-rate schedules, as the config names them.

One config gives up to two torch optimisers: ``torch.optim``'s own for parameters with dense gradients, a
row-wise one (``rowwise.py``) for embedding tables with sparse gradients. Embedding tables have no weight
decay under either.

A schedule is a pure function of (step, steps in all), so that going on from a checkpoint needs the step only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from linnaea.config import registry
from linnaea.config.training import (
    AdadeltaConfig,
    AdamConfig,
    AdamWConfig,
    ConstantConfig,
    CosineConfig,
    ExponentialConfig,
    LinearDecayConfig,
    OptimizerConfig,
    ScheduleConfig,
    SGDConfig,
    TrainingConfig,
)
from linnaea.errors import ConfigError, suggest
from linnaea.training.rowwise import RowAdadelta, RowAdam, RowSGD

Groups = list[dict[str, Any]]
Schedule = Callable[[int, int], float]

# Where row-wise steps begin to pay, measured on one CPU core with Adam, tables of 2,000 to 120,000 rows of width 64
# and 300, batches of 1,000 to 32,000 ids: from this many numbers in a table on, and from so many rows an id on.
LARGE_TABLE = 2**19
ROWS_PER_ID = 4


def sparse_gradients(setting: bool | Literal["auto"], rows: int, dimension: int, ids: float) -> bool:
    """Whether a table of ``rows`` times ``dimension`` shall have sparse gradients.

    ``auto``: where the table is large (``LARGE_TABLE`` numbers) and has more than ``ROWS_PER_ID`` rows for every
    id of a batch.

    Args:
        ids: of this table in a batch, repeats counted (see ``ids_per_batch``).
    """
    if setting != "auto":
        return setting
    return rows * dimension >= LARGE_TABLE and rows > ROWS_PER_ID * ids


def ids_per_batch(lengths_mean: float, config: TrainingConfig) -> float:
    """Ids that an average batch holds, of a feature with ``lengths_mean`` ids a document."""
    batch = config.batch_size * lengths_mean
    return batch if config.batch_tokens is None else min(batch, float(config.batch_tokens))


def embedding_tables(network: nn.Module) -> dict[str, bool]:
    """Names of the parameters that are embedding tables, and whether their gradients are sparse."""
    tables: dict[str, bool] = {}
    for prefix, module in network.named_modules(remove_duplicate=True):
        if isinstance(module, nn.Embedding | nn.EmbeddingBag):
            tables[f"{prefix}.weight" if prefix else "weight"] = bool(module.sparse)
    return tables


class Optimizers:
    """All optimisers of a network as one; their learning rates follow one schedule.

    Attributes:
        dense, sparse: the parameters with dense and with sparse gradients.
    """

    def __init__(self, parts: list[Optimizer], names: Mapping[Any, str], sparse: list[nn.Parameter]) -> None:
        self.parts = parts
        self._names = names
        self.sparse = sparse
        tables = set(sparse)
        self.dense = [p for p in names if p not in tables]
        self.all = [*self.dense, *self.sparse]
        for group in self._groups():
            group["full_lr"] = group["lr"]

    def _groups(self) -> Iterator[dict[str, Any]]:
        for part in self.parts:
            yield from part.param_groups

    def step(self, factor: float) -> None:
        """One step at ``factor`` times the full learning rates; gradients are dropped after it."""
        for group in self._groups():
            group["lr"] = group["full_lr"] * factor
        for part in self.parts:
            part.step()
        self.drop_gradients()

    def drop_gradients(self) -> None:
        for parameter in self.all:
            parameter.grad = None

    @property
    def learning_rate(self) -> float:
        """Of the last step; where parts have rates of their own, the highest."""
        return max(float(group["lr"]) for group in self._groups())

    def state(self) -> dict[str, Tensor]:
        """The state as named tensors (not copies): ``parameter/what``."""
        return {
            f"{self._names[parameter]}/{key}": value
            for part in self.parts
            for parameter, values in part.state.items()
            for key, value in values.items()
            if isinstance(value, Tensor)
        }

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the state that ``state`` gave."""
        by_name: dict[str, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            parameter, key = name.rsplit("/", 1)
            by_name.setdefault(parameter, {})[key] = tensor
        for part in self.parts:
            parameters = [p for group in part.param_groups for p in group["params"]]
            state = {
                i: by_name[self._names[p]] for i, p in enumerate(parameters) if self._names[p] in by_name
            }
            part.load_state_dict({"state": state, "param_groups": part.state_dict()["param_groups"]})


def build_optimizers(
    network: nn.Module, config: OptimizerConfig, learning_rates: Mapping[str, float] | None = None
) -> Optimizers:
    """The optimisers for all parameters of ``network``.

    Args:
        learning_rates: other full learning rates for parts of the network, by the start of their parameters'
            names
            (``"embedder"``, ``"head.linear"``); the longest start that fits counts.

    Raises:
        ConfigError: a start of ``learning_rates`` fits no parameter.
    """
    names = {parameter: name for name, parameter in network.named_parameters()}
    rates = dict(learning_rates or {})
    for start in rates:
        if not any(_starts(name, start) for name in names.values()):
            hint = suggest(start, {name.split(".")[0] for name in names.values()})
            raise ConfigError(f"no parameter's name starts with {start!r}", hint=hint)
    tables = embedding_tables(network)
    groups: dict[tuple[bool, bool, float | None], list[nn.Parameter]] = {}
    for parameter, name in names.items():
        fitting = [start for start in rates if _starts(name, start)]
        rate = rates[max(fitting, key=len)] if fitting else None
        # Decay would pull the bias of a rare category to a score of one half: the loss is a mean over categories.
        spared = name in tables or "bias" in name.rpartition(".")[2]
        groups.setdefault((tables.get(name, False), spared, rate), []).append(parameter)
    dense: Groups = []
    sparse: Groups = []
    for (is_sparse, spared, rate), parameters in groups.items():
        group: dict[str, Any] = {"params": parameters} if rate is None else {"params": parameters, "lr": rate}
        if spared and not is_sparse:
            group["weight_decay"] = 0.0
        (sparse if is_sparse else dense).append(group)
    parts = registry.optimizers.build(config, dense=dense, sparse=sparse)
    return Optimizers(parts, names, [p for group in sparse for p in group["params"]])


def _starts(name: str, start: str) -> bool:
    return name == start or name.startswith(f"{start}.")


def _fused(groups: Groups) -> dict[str, Any]:
    """One kernel for all parameters where the device has it."""
    kinds = {p.device.type for group in groups for p in group["params"]}
    return {"fused": True} if kinds <= {"cpu", "cuda"} else {"foreach": True}


def _adam(kind: type[torch.optim.Adam], config: AdamConfig, dense: Groups, sparse: Groups) -> list[Optimizer]:
    shared: dict[str, Any] = {"lr": config.learning_rate, "betas": config.betas, "eps": config.eps}
    parts: list[Optimizer] = []
    if dense:
        parts.append(kind(dense, **shared, weight_decay=config.weight_decay, **_fused(dense)))
    if sparse:
        parts.append(RowAdam(sparse, **shared))
    return parts


@registry.optimizers.register("adam")
def adam(config: AdamConfig, *, dense: Groups, sparse: Groups) -> list[Optimizer]:
    return _adam(torch.optim.Adam, config, dense, sparse)


@registry.optimizers.register("adamw")
def adamw(config: AdamWConfig, *, dense: Groups, sparse: Groups) -> list[Optimizer]:
    return _adam(torch.optim.AdamW, config, dense, sparse)


@registry.optimizers.register("adadelta")
def adadelta(config: AdadeltaConfig, *, dense: Groups, sparse: Groups) -> list[Optimizer]:
    shared: dict[str, Any] = {"lr": config.learning_rate, "rho": config.rho, "eps": config.eps}
    parts: list[Optimizer] = []
    if dense:
        parts.append(torch.optim.Adadelta(dense, **shared, weight_decay=config.weight_decay, foreach=True))
    if sparse:
        parts.append(RowAdadelta(sparse, **shared))
    return parts


@registry.optimizers.register("sgd")
def sgd(config: SGDConfig, *, dense: Groups, sparse: Groups) -> list[Optimizer]:
    shared: dict[str, Any] = {
        "lr": config.learning_rate,
        "momentum": config.momentum,
        "nesterov": config.nesterov,
    }
    parts: list[Optimizer] = []
    if dense:
        parts.append(torch.optim.SGD(dense, **shared, weight_decay=config.weight_decay, **_fused(dense)))
    if sparse:
        parts.append(RowSGD(sparse, **shared))
    return parts


@registry.schedules.register("constant")
def constant(config: ConstantConfig) -> Schedule:
    return lambda step, steps: 1.0


@registry.schedules.register("linear")
def linear(config: LinearDecayConfig) -> Schedule:
    return lambda step, steps: 1 - (1 - config.final) * _share(step, steps)


@registry.schedules.register("cosine")
def cosine(config: CosineConfig) -> Schedule:
    return lambda step, steps: (
        config.final + (1 - config.final) * (1 + math.cos(math.pi * _share(step, steps))) / 2
    )


@registry.schedules.register("exponential")
def exponential(config: ExponentialConfig) -> Schedule:
    return lambda step, steps: config.rate ** (step // config.steps)


def _share(step: int, steps: int) -> float:
    return min(1.0, step / (steps - 1)) if steps > 1 else 0.0


def build_schedule(config: ScheduleConfig, warmup_steps: int = 0) -> Schedule:
    """The factor on the learning rate at a step (from 0) of so many in all.

    Warm-up rises in equal parts to 1 at its last step; the schedule acts on the steps behind it.
    """
    schedule: Schedule = registry.schedules.build(config)

    def factor(step: int, steps: int) -> float:
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        return schedule(step - warmup_steps, steps - warmup_steps)

    return factor
