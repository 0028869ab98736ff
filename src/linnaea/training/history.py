"""History: what a training run tells of itself: records of its epochs, and the listeners that hear of them.

Listeners only hear: stopping, freezing and checkpoints are the loop's own. Wall-clock figures stand apart
from the rest of a
record: two runs are equal when all but their clocks agree, which is what "a resumed run equals an
uninterrupted one" means.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

from linnaea.config.outcome import RunConfig
from linnaea.errors import RunError
from linnaea.files import atomic
from linnaea.run_folder import RunFolder

# Of metrics.json: tables, and figures about figures, which have a place in the report but no curve.
_TABLES = ("categories", "intervals", "siblings", "bins")


@dataclass(frozen=True)
class EpochTime:
    """The clock's part of a record: seconds of training (dev not counted), of the dev measure, and documents
    a second."""

    seconds: float
    measure_seconds: float
    documents_per_second: float


@dataclass(frozen=True)
class EpochRecord:
    """One epoch.

    Attributes:
        epoch: from 1.
        step: steps since the beginning of the run.
        loss: the objective, mean over the epoch's documents, as seen while the weights were changing.
        learning_rate: of the epoch's last step.
        dev: what the measure gave; None where it was not finite. Empty without dev documents.
        best: whether it was the best epoch so far, when it ended.
        time: left out of comparisons.
    """

    epoch: int
    step: int
    loss: float
    learning_rate: float
    dev: Mapping[str, float | None]
    best: bool
    time: EpochTime = field(compare=False)

    def to_json(self) -> dict[str, Any]:
        """The line in ``history.jsonl``; the clock's figures stand under ``"time"``."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "loss": self.loss,
            "learning_rate": self.learning_rate,
            "dev": dict(self.dev),
            "best": self.best,
            "time": {
                "seconds": round(self.time.seconds, 3),
                "measure_seconds": round(self.time.measure_seconds, 3),
                "documents_per_second": round(self.time.documents_per_second, 1),
            },
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The record that ``to_json`` wrote."""
        return cls(**{**value, "time": EpochTime(**value["time"])})


@dataclass(frozen=True)
class History:
    """A run of ``fit``.

    Attributes:
        records: one an epoch.
        best_epoch: the epoch whose weights the network has now; 0 before the first ended.
        stopped_early: patience ran out before the last epoch.
    """

    records: tuple[EpochRecord, ...] = ()
    best_epoch: int = 0
    stopped_early: bool = False

    @property
    def best(self) -> EpochRecord | None:
        """The record of the best epoch."""
        return next((record for record in self.records if record.epoch == self.best_epoch), None)


@dataclass(frozen=True)
class Start:
    """What is known when training starts or goes on: ``records`` come from the checkpoint it goes on from."""

    records: tuple[EpochRecord, ...]
    step: int
    epochs: int
    documents: int
    metric: str | None


@dataclass(frozen=True)
class Progress:
    """How far it is, at most twice a second.

    Attributes:
        step, steps: done, and expected in all (without early stopping).
        loss: mean over the documents of this epoch so far.
        best: the best dev value of ``Start.metric`` so far.
        seconds_left: until the last epoch, dev measures included.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    learning_rate: float
    documents_per_second: float
    best: float | None
    seconds_left: float


class Listener(Protocol):
    """Hears of a training; never changes one that goes on. What it raises ends it."""

    def on_start(self, start: Start) -> None:
        """Training starts, or goes on from a checkpoint."""

    def on_step(self, progress: Progress) -> None:
        """Steps were made; told at most twice a second."""

    def on_epoch(self, record: EpochRecord) -> None:
        """An epoch ended, dev measured."""

    def on_end(self, history: History) -> None:
        """Training is done. Not told when it failed or was interrupted."""


class RunListener(Listener, Protocol):
    """Hears of a whole run, under every strategy; of epochs only where one network is trained for all categories."""

    def on_result(self, metrics: Mapping[str, Any]) -> None:
        """All files of the run are written; ``metrics`` is the content of ``metrics.json``, empty without one."""

    def on_failure(self, error: BaseException) -> None:
        """The run failed or was interrupted, at whatever point; what this raises is dropped."""


class JsonlHistory:
    """``history.jsonl``: one line an epoch. Going on from a checkpoint cuts it to what the checkpoint
    knows."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_start(self, start: Start) -> None:
        with atomic(self.path, "w") as file:
            file.writelines(_line(record) for record in start.records)

    def on_step(self, progress: Progress) -> None:
        pass

    def on_epoch(self, record: EpochRecord) -> None:
        try:
            with open(self.path, "a", encoding="utf-8", newline="\n") as file:
                file.write(_line(record))
        except OSError as bad:
            raise RunError(
                f"cannot write: {(bad.strerror or str(bad)).lower()}", where=str(self.path)
            ) from bad

    def on_end(self, history: History) -> None:
        pass


def _line(record: EpochRecord) -> str:
    return json.dumps(record.to_json(), allow_nan=False) + "\n"


def build_listeners(run: RunConfig, folder: RunFolder) -> list[Listener]:
    """``history.jsonl`` and what ``run.listeners`` names.

    Raises:
        MissingExtraError: the package of one is not installed.
    """
    from linnaea.training.listeners import trackers  # which needs what stands here

    return [JsonlHistory(folder.history), *trackers(run, folder)]


def summary(metrics: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of ``metrics.json`` that stand for all documents, under names like ``micro_f1``; no tables.

    Levels are numbered: ``level_1_micro_f1``.
    """
    found: dict[str, float] = {}

    def add(name: str, value: object) -> None:
        if isinstance(value, Mapping):
            for key, item in value.items():
                if key not in _TABLES:
                    add(f"{name}_{key}" if name else str(key), item)
        elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
            found[name.replace("@", "_at_")] = float(value)

    add("", {key: value for key, value in metrics.items() if key != "levels"})
    for row in metrics.get("levels", []):
        add(f"level_{row['level']}", {key: value for key, value in row.items() if key != "level"})
    return found


def tell(listeners: Sequence[Listener], event: str, value: Any) -> None:
    """Call ``event`` of every listener."""
    for listener in listeners:
        getattr(listener, event)(value)
