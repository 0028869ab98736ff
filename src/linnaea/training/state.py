"""State: where a run stands, and how that becomes a checkpoint and comes back from one."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from linnaea.errors import ModelError, RunError
from linnaea.training.checkpoint import Checkpoint, Checkpoints, refuse_another_run
from linnaea.training.history import EpochRecord
from linnaea.training.optimizers import Optimizers
from linnaea.training.processes import generators, seed_generators, set_generators, spread, total
from linnaea.training.stopping import Stopping

if TYPE_CHECKING:
    from lightning_fabric.fabric import Fabric


@dataclass
class State:
    """Where a run stands.

    Attributes:
        epoch: from 1; after the last one, one more.
        batch: batches of the epoch that are done.
        step: steps since the beginning.
        documents, seconds: of this epoch so far, over all processes.
        loss_sum: scalar on the device, the objective summed over this epoch's documents, of this process.
        best: weights of the best epoch, where there is something to judge by.
        finished: nothing is left to do.
    """

    loss_sum: Tensor
    stopping: Stopping
    epoch: int = 1
    batch: int = 0
    step: int = 0
    documents: int = 0
    seconds: float = 0.0
    records: list[EpochRecord] = field(default_factory=list)
    best: dict[str, Tensor] | None = None
    finished: bool = False

    def to_json(self, loss_sum: float) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "batch": self.batch,
            "documents": self.documents,
            "seconds": self.seconds,
            "loss_sum": loss_sum,
            "stopping": self.stopping.to_json(),
            "records": [record.to_json() for record in self.records],
            "finished": self.finished,
        }

    def take(self, checkpoint: Checkpoint, first: bool) -> None:
        """Become what ``checkpoint`` holds; the running loss goes to the first process."""
        facts = checkpoint.facts["state"]
        for name in ("epoch", "batch", "documents", "seconds", "finished"):
            setattr(self, name, facts[name])
        self.step, self.best = checkpoint.step, checkpoint.best
        self.loss_sum.fill_(facts["loss_sum"] if first else 0.0)
        self.stopping = Stopping(self.stopping.config, **facts["stopping"])
        self.records = [EpochRecord.from_json(record) for record in facts["records"]]


@dataclass
class Keeper:
    """Keeps a run's state in checkpoints; with ``folder`` None it keeps none.

    Args:
        identity: JSON values that a checkpoint must share with this run.
    """

    fabric: Fabric
    network: nn.Module
    optimizers: Optimizers
    folder: Path | None
    identity: Mapping[str, Any]
    seed: int

    def __post_init__(self) -> None:
        self._checkpoints = None if self.folder is None else Checkpoints(self.folder)
        self._first = self.fabric.global_rank == 0

    def begin(self, state: State, resume: bool) -> None:
        """Put everything where the newest checkpoint has it, or to the beginning.

        Raises:
            ConfigError: the checkpoint is of another run.
            ModelError: there are checkpoints, but none is whole.
        """
        checkpoint = None
        if self._checkpoints is not None:
            if self._first and resume:
                self._checkpoints.tidy()
            elif self._first:
                self._checkpoints.clear()
            self.fabric.barrier()
            checkpoint = self._checkpoints.latest() if resume else None
        if checkpoint is None:
            seed_generators(self.fabric, self.seed)
            spread(self.network, self.fabric)
        else:
            self._take(checkpoint, state)
        self.fabric.barrier()

    def _take(self, checkpoint: Checkpoint, state: State) -> None:
        refuse_another_run(checkpoint.facts["run"], self.identity, str(self.folder))
        try:
            self.network.load_state_dict(checkpoint.part("network"))
            self.optimizers.load(checkpoint.part("optimizer"))
        except (RuntimeError, KeyError, ValueError) as bad:
            message = f"the checkpoint does not fit the network: {str(bad).splitlines()[0]}"
            raise ModelError(message, where=str(self.folder)) from bad
        state.take(checkpoint, self._first)
        if not state.finished:
            set_generators(self.fabric, checkpoint.part("random"), self.seed, state.step)

    def save(self, state: State) -> None:
        """Write the state in the background; all processes must call this together.

        Raises:
            RunError: a weight is not finite; this or the checkpoint before it could not be written.
        """
        if self._checkpoints is None:
            return
        loss_sum, random = total(state.loss_sum, self.fabric), generators(self.fabric)
        if not self._first:
            return
        weights = copies(self.network.state_dict())
        for name, tensor in weights.items():
            if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
                rate = self.optimizers.learning_rate
                raise RunError(
                    f"the weights {name!r} are not finite after step {state.step}",
                    hint=f"try a learning rate below {rate:g}, or training.gradient_clip",
                )
        tensors = {f"network/{name}": tensor for name, tensor in weights.items()}
        if not state.finished:
            tensors |= {f"optimizer/{name}": t for name, t in copies(self.optimizers.state()).items()}
            tensors |= {f"random/{name}": t for name, t in random.items()}
        facts = {"run": dict(self.identity), "state": state.to_json(loss_sum)}
        # A finished run ends with the best weights: they are the state.
        best = None if state.finished else state.best
        epoch = 0 if best is None else state.stopping.best_epoch
        self._checkpoints.save(Checkpoint(state.step, facts, tensors, best, epoch), last=state.finished)

    def settle(self) -> None:
        """Let a checkpoint that is being written get to the disk, in this process, when all is lost
        anyway."""
        if self._checkpoints is not None:
            with contextlib.suppress(Exception):
                self._checkpoints.wait()

    def wait(self) -> None:
        """Return when all checkpoints are on the disk, in every process."""
        if self._checkpoints is not None:
            self._checkpoints.wait()
            self.fabric.barrier()


def copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies on the CPU."""
    return {
        name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
    }
