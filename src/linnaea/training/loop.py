"""The loop: one network, one objective, on whatever device and processes there are.

Every loss is divided by the documents of the *global* step and gradients are summed over processes, so that
two processes make the steps of one, to rounding error.

A run goes on from a checkpoint as if it had never stopped: batches come from (seed, epoch, position),
dropout from (seed, step, document), learning rates from the step; all else (weights, optimiser state, random
generators, running loss, best epoch, patience, history) is in the checkpoint. On a CPU with the same number
of threads the outcome is equal to the last bit.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from linnaea.config.outcome import RunConfig
from linnaea.config.training import TrainingConfig
from linnaea.errors import InterruptedRun, RunError
from linnaea.nn.batch import Batch
from linnaea.nn.layers.dropout import drawn
from linnaea.training.gradients import add_over_processes, clip
from linnaea.training.history import EpochRecord, EpochTime, History, Listener, Progress, Start, tell
from linnaea.training.interruption import Interruption
from linnaea.training.loader import Loader
from linnaea.training.optimizers import Optimizers, build_optimizers, build_schedule
from linnaea.training.processes import connect, deterministic, total
from linnaea.training.state import Keeper, State, copies
from linnaea.training.stopping import Stopping

if TYPE_CHECKING:
    from lightning_fabric.fabric import Fabric

Measure = Callable[[nn.Module], Mapping[str, float]]
# (output, batch, network, documents in the step) -> the batch's share of the step's objective
Objective = Callable[..., Tensor]

# Seconds between two readings of the loss: reading makes a GPU wait, telling costs the listeners' time.
REPORT_EVERY = 0.5
# Batches that are collated ahead while a GPU works. On a CPU that does not pay (FastText on two cores: 30,000
# documents a second without, 28,500 with).
PREFETCH = 4


def fit(
    network: nn.Module,
    objective: Objective,
    loader: Loader,
    measure: Measure | None,
    config: TrainingConfig,
    run: RunConfig,
    folder: Path | None,
    *,
    listeners: Sequence[Listener] = (),
    resume: bool = False,
    identity: Mapping[str, Any] | None = None,
    freeze_epochs: int = 0,
    learning_rates: Mapping[str, float] | None = None,
    fabric: Fabric | None = None,
) -> History:
    """Train ``network``; afterwards it has the weights of the best epoch, on the device it was trained on.

    Args:
        objective: ``(output, batch, network, documents_in_step)`` to the batch's share of the step's
            objective.
        loader: of the training documents; it is shared out to the processes here.
        measure: dev metrics of the network (in eval mode), called in the first process only. None: no dev.
        folder: for checkpoints, theirs alone, within reach of all processes; None: none are written.
        resume: go on from the newest checkpoint in ``folder``; without one, from the start. A finished run is
            not
            trained further: the network takes its weights.
        identity: JSON values that must be those of the checkpoint (digests of corpus and config).
        freeze_epochs: for so many epochs ``network.embedder.freeze(True)`` holds.
        learning_rates: for parts of the network, see ``build_optimizers``.
        fabric: of ``connect``, where several fits share one.

    Raises:
        InterruptedRun: SIGINT or SIGTERM came; a checkpoint was written.
        RunError: the loss is not finite; a checkpoint cannot be written.
        ConfigError: the checkpoint is of another run; the stopping metric is not measured.
        ModelError: there are checkpoints, but none is whole.
    """
    fabric = connect(run, config) if fabric is None else fabric
    device, gpu, first = fabric.device, fabric.device.type == "cuda", fabric.global_rank == 0
    network.to(device)
    if isinstance(objective, nn.Module):
        objective.to(device)
    loader = loader.share(fabric.global_rank, fabric.world_size, prefetch=PREFETCH if gpu else 0, pin=gpu)
    optimizers = build_optimizers(network, config.optimizer, learning_rates)
    facts = {
        "seed": run.seed,
        "training": config.model_dump(mode="json", exclude={"checkpoint_minutes", "strategy"}),
        "freeze_epochs": freeze_epochs,
        "learning_rates": dict(learning_rates or {}),
        "loader": loader.facts(),
        "network": {name: list(tensor.shape) for name, tensor in network.state_dict().items()},
        **(identity or {}),
    }
    keeper = Keeper(fabric, network, optimizers, folder, facts, run.seed)
    wide = torch.float32 if device.type == "mps" else torch.float64
    stopping = Stopping(config.early_stopping if measure else None)
    state = State(torch.zeros((), dtype=wide, device=device), stopping)
    with Interruption() as interruption, deterministic(run.deterministic and device.type != "cpu"):
        training = _Training(
            fabric, network, objective, loader, measure, config, optimizers, keeper, state, interruption,
            listeners if first else (), freeze_epochs,
        )  # fmt: skip
        return training.run(resume)


@dataclass
class _Training:
    """One fit, while it runs."""

    fabric: Fabric
    network: nn.Module
    objective: Objective
    loader: Loader
    measure: Measure | None
    config: TrainingConfig
    optimizers: Optimizers
    keeper: Keeper
    state: State
    interruption: Interruption
    listeners: Sequence[Listener]
    freeze_epochs: int

    def __post_init__(self) -> None:
        self.world, self.device = self.fabric.world_size, self.fabric.device
        self.schedule = build_schedule(self.config.schedule, self.config.warmup_steps)
        counts = [self.loader.count(epoch) for epoch in range(1, self.config.epochs + 1)]
        self.steps = sum(-(-count // self.config.accumulate) for count in counts)
        self._clock = self._next_report = self._next_checkpoint = 0.0

    def run(self, resume: bool) -> History:
        """All epochs that are left."""
        state = self.state
        self.keeper.begin(state, resume)
        metric = state.stopping.metric
        start = Start(tuple(state.records), state.step, self.config.epochs, len(self.loader), metric)
        tell(self.listeners, "on_start", start)
        self._next_checkpoint = time.perf_counter() + 60 * self.config.checkpoint_minutes
        try:
            while not state.finished:
                self._train_epoch()
                self._end_epoch()
        except InterruptedRun:
            raise
        except BaseException:
            self.keeper.settle()
            raise
        self.keeper.wait()
        if self.interruption.received:
            raise InterruptedRun("interrupted when training was done", hint="--resume goes on from here")
        early = len(state.records) < self.config.epochs
        history = History(tuple(state.records), state.stopping.best_epoch, early)
        tell(self.listeners, "on_end", history)
        return history

    def _train_epoch(self) -> None:
        """The steps that are left of the epoch."""
        state, accumulate = self.state, self.config.accumulate
        self.network.train()
        if self.freeze_epochs:
            embedder: Any = self.network.embedder
            embedder.freeze(state.epoch <= self.freeze_epochs)
        plan = self.loader.plan(state.epoch)
        sizes = [len(rows) for rows in plan]
        idle = [self.world > 1 and not len(self.loader.part(rows)) for rows in plan]
        self._clock = time.perf_counter()
        self._next_report = self._clock + REPORT_EVERY
        with contextlib.closing(self.loader.batches(state.epoch, state.batch, plan)) as batches:
            while state.batch < len(plan):
                end = min(state.batch + accumulate, len(plan))
                documents = sum(sizes[state.batch : end])
                for place in range(state.batch, end):
                    self._add(next(batches), documents, idle[place])
                self._step(documents)
                state.batch = end
                self._after_step(last=end == len(plan))

    def _add(self, batch: Batch, documents: int, idle: bool) -> None:
        """Add a batch's share to the gradients of a step of so many documents; idle: it is only for
        company."""
        draws = drawn(self.network, self.keeper.seed, self.state.step, batch.rows_B)
        if idle and batch.mask_BT is not None:
            # Another process reads its document: statistics over positions must not count it twice.
            batch = replace(batch, mask_BT=torch.zeros_like(batch.mask_BT))
        if self.device.type != "cpu":
            batch = batch.to(self.device, non_blocking=True)
        with self.fabric.autocast(), draws:
            output = self.network(batch)
        share = self.objective(output, batch, self.network, documents)
        if idle:
            share = share * 0.0
        torch.autograd.backward(share)
        self.state.loss_sum.add_(share.detach(), alpha=documents)

    def _step(self, documents: int) -> None:
        """Change the weights by the gradients that were added up."""
        state = self.state
        if self.device.type == "cpu":
            self._check_finite()
        self._stop = self.interruption.received is not None
        self._due = self.fabric.global_rank == 0 and time.perf_counter() >= self._next_checkpoint
        if self.world > 1:
            dense = [p for p in self.optimizers.dense if p.requires_grad]
            sparse = [p for p in self.optimizers.sparse if p.requires_grad]
            self._stop, self._due = add_over_processes(dense, sparse, (self._stop, self._due))
        if self.config.gradient_clip is not None:
            clip(self.optimizers.all, self.config.gradient_clip)
        self.optimizers.step(self.schedule(state.step, self.steps))
        state.step += 1
        state.documents += documents

    def _after_step(self, last: bool) -> None:
        """Tell, write a checkpoint, leave: where it is time for that."""
        state = self.state
        now = time.perf_counter()
        if now >= self._next_report:
            self._next_report = now + REPORT_EVERY
            self._check_finite()
            self._tell_progress()
        if self._stop or (self._due and not last):
            self._count_seconds()
            self._save()
        if self._stop:
            self.keeper.wait()
            where = None if self.keeper.folder is None else str(self.keeper.folder)
            written = "no checkpoints are kept here" if where is None else "a checkpoint was written"
            raise InterruptedRun(
                f"interrupted at step {state.step} (epoch {state.epoch}), {written}",
                where=where,
                hint=None if where is None else "--resume goes on from it",
            )

    def _end_epoch(self) -> None:
        """Measure, judge, keep the best, write a checkpoint, tell."""
        state = self.state
        self._count_seconds()
        self._check_finite()
        loss = total(state.loss_sum, self.fabric) / max(1, state.documents)
        start = time.perf_counter()
        dev = self._measured()
        measuring, speed = time.perf_counter() - start, state.documents / max(state.seconds, 1e-9)
        clock = EpochTime(state.seconds, measuring, speed)
        better = state.stopping.judge(state.epoch, dev)
        rate = self.optimizers.learning_rate
        record = EpochRecord(state.epoch, state.step, loss, rate, dev, better, clock)
        state.records.append(record)
        if better and state.stopping.config is not None:
            state.best = copies(self.network.state_dict())
        state.epoch, state.batch, state.documents, state.seconds = state.epoch + 1, 0, 0, 0.0
        state.loss_sum.zero_()
        state.finished = state.epoch > self.config.epochs or state.stopping.exhausted
        if state.finished and state.best is not None:
            self.network.load_state_dict(state.best)
        self._save()
        tell(self.listeners, "on_epoch", record)

    def _measured(self) -> dict[str, float | None]:
        """The dev metrics, the same in all processes; None where one is not finite."""
        dev: dict[str, float | None] = {}
        if self.measure is None:
            return dev
        if self.world > 1:
            # Running statistics differ; all go on with those that were measured.
            for buffer in self.network.buffers():
                dist.broadcast(buffer, 0)
        if self.fabric.global_rank == 0:
            self.network.eval()
            with torch.no_grad():
                measured = self.measure(self.network)
            dev = {name: float(value) if math.isfinite(value) else None for name, value in measured.items()}
        return self.fabric.broadcast(dev) if self.world > 1 else dev

    def _save(self) -> None:
        self._next_checkpoint = time.perf_counter() + 60 * self.config.checkpoint_minutes
        self.keeper.save(self.state)

    def _check_finite(self) -> None:
        if math.isfinite(float(self.state.loss_sum)):
            return
        rate = self.optimizers.learning_rate
        raise RunError(
            f"the loss is not finite at step {self.state.step + 1} (epoch {self.state.epoch})",
            hint=f"try a learning rate below {rate:g}, or training.gradient_clip",
        )

    def _count_seconds(self) -> None:
        now = time.perf_counter()
        self.state.seconds += now - self._clock
        self._clock = now

    def _tell_progress(self) -> None:
        if not self.listeners:
            return
        state, epochs = self.state, self.config.epochs
        self._count_seconds()
        speed = state.documents / max(state.seconds, 1e-9)
        epochs_left = epochs - state.epoch + 1
        seconds_left = (len(self.loader) * epochs_left - state.documents) / max(speed, 1e-9)
        if state.records:
            seconds_left += state.records[-1].time.measure_seconds * epochs_left
        # This process's share stands for the whole: adding up would make the processes wait for each other.
        loss = float(state.loss_sum) * self.world / max(1, state.documents)
        rate, best = self.optimizers.learning_rate, state.stopping.best_value
        tell(
            self.listeners,
            "on_step",
            Progress(state.epoch, epochs, state.step, self.steps, loss, rate, speed, best, seconds_left),
        )
