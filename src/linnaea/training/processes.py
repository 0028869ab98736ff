"""Processes: the device, the precision and the processes that Lightning Fabric finds, and what they tell each
other.

The only file that imports Fabric. Gradients are not its business here; see ``gradients.py``.
"""

from __future__ import annotations

import atexit
import contextlib
import datetime
import logging
import os
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from lightning_fabric.fabric import Fabric
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor, nn

from linnaea.config.outcome import RunConfig
from linnaea.config.training import TrainingConfig
from linnaea.errors import ConfigError, RunError

# The other processes wait so long while the first one measures dev.
PATIENCE = datetime.timedelta(hours=6)


def connect(run: RunConfig, config: TrainingConfig) -> Fabric:
    """Find the device and join the processes: those of ``torchrun``, else ``run.devices``.

    Raises:
        ConfigError: there is no such device here.
    """
    kind, devices = _device(run), run.devices
    count = devices if isinstance(devices, int) else len(devices)
    nodes = 1
    if TorchElasticEnvironment.detect():
        count = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        nodes, devices = int(os.environ["WORLD_SIZE"]) // count, count
    if kind == "cuda":
        highest = devices - 1 if isinstance(devices, int) else max(devices, default=0)
        if highest >= torch.cuda.device_count():
            problem = f"{run.devices} asks for more than the {torch.cuda.device_count()} here"
            raise ConfigError(problem, where="run.devices")
    if run.threads is not None:
        torch.set_num_threads(run.threads)
    precision = config.precision
    if precision == "auto":
        halves = kind == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        precision = "bf16" if halves else "32"
    with _quiet():
        fabric = Fabric(
            accelerator=kind,
            devices=count if kind == "cpu" else devices,
            num_nodes=nodes,
            strategy=DDPStrategy(timeout=PATIENCE) if count * nodes > 1 else "auto",
            precision="bf16-mixed" if precision == "bf16" else "32-true",
        )
        fabric.launch()
    if fabric.world_size > 1:
        # Fabric leaves its group to the end of the process, where its threads may die noisily.
        atexit.register(_disconnect)
    return fabric


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Fabric tells nothing but warnings and errors."""
    log = logging.getLogger("lightning_fabric")
    before = log.level
    log.setLevel(max(before, logging.WARNING))
    try:
        yield
    finally:
        log.setLevel(before)


def _disconnect() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()


def _device(run: RunConfig) -> str:
    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if run.device == "auto":
        return next(kind for kind, available in here.items() if available)
    if not here[run.device]:
        raise ConfigError(f"there is no {run.device} device here", where="run.device", hint='try "auto"')
    return run.device


@contextlib.contextmanager
def deterministic(on: bool) -> Iterator[None]:
    """Bit-equal repeats on a GPU, while it is open. A CPU gives them anyway.

    Raises:
        RunError: an operation inside has no repeatable form.
    """
    if not on:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    try:
        yield
    except RuntimeError as error:
        if "deterministic" not in str(error):
            raise
        raise RunError(
            f"no repeatable form on this device: {str(error).splitlines()[0]}",
            where="run.deterministic",
            hint="set it to false, or run.device to cpu",
        ) from error
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]


def spread(network: nn.Module, fabric: Fabric) -> None:
    """Give all processes the first one's weights and buffers."""
    if fabric.world_size > 1:
        for tensor in network.state_dict().values():
            dist.broadcast(tensor, 0)


def total(value: Tensor, fabric: Fabric) -> float:
    """The sum of a scalar over all processes."""
    value = value.clone()
    if fabric.world_size > 1:
        dist.all_reduce(value)
    return float(value)


def seed_generators(fabric: Fabric, seed: int, step: int = 0) -> None:
    """Seed torch's generators from (seed, rank, step)."""
    torch.manual_seed(int(np.random.SeedSequence([seed, fabric.global_rank, step]).generate_state(1)[0]))


def generators(fabric: Fabric) -> dict[str, Tensor]:
    """``[world, bytes]`` states of torch's generators, of the CPU and of the device."""
    own = {"cpu": torch.get_rng_state()}
    if fabric.device.type != "cpu":
        own["device"] = torch.get_device_module(fabric.device).get_rng_state()
    everyone: list[Any] = [own]
    if fabric.world_size > 1:
        everyone *= fabric.world_size
        dist.all_gather_object(everyone, own)
    return {name: torch.stack([states[name] for states in everyone]) for name in own}


def set_generators(fabric: Fabric, states: Mapping[str, Tensor], seed: int, step: int) -> None:
    """Take up the states that ``generators`` gave.

    In another world, or on another kind of device, they do not fit: the generators are seeded from (seed,
    rank, step). Batches and dropout go on as they were all the same; neither is drawn from these.
    """
    gpu = fabric.device.type != "cpu"
    if len(states["cpu"]) != fabric.world_size or gpu != ("device" in states):
        seed_generators(fabric, seed, step)
        return
    # Clones: torch reads a row of a larger tensor from the start of its storage.
    torch.set_rng_state(states["cpu"][fabric.global_rank].clone())
    if gpu:
        torch.get_device_module(fabric.device).set_rng_state(states["device"][fabric.global_rank].clone())
