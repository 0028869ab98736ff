"""TrainingDisplay: the listener that shows a training on the terminal: loss, dev metric, speed, time left."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from linnaea.cli.display import Display
    from linnaea.training.history import EpochRecord, History, Progress, Start


class TrainingDisplay:
    """Hears of a run; a bar on a terminal, one line an epoch everywhere."""

    def __init__(self, display: Display) -> None:
        self.display = display
        self._metric: str | None = None
        self._epochs = 0

    def on_start(self, start: Start) -> None:
        self._metric, self._epochs = start.metric, start.epochs
        if start.step:
            self.display.note(f"going on from step {start.step:,}")

    def on_step(self, progress: Progress) -> None:
        best = "" if progress.best is None else f" best {progress.best:.4f}"
        detail = (
            f"epoch {progress.epoch}/{progress.epochs} loss {progress.loss:.4f}{best} "
            f"{progress.documents_per_second:,.0f} docs/s {_clock(progress.seconds_left)} left"
        )
        self.display.progress("training", progress.step, max(progress.steps, progress.step + 1), detail)

    def on_epoch(self, record: EpochRecord) -> None:
        shown = ", ".join(
            f"{name} {value:.4f}"
            for name, value in record.dev.items()
            if value is not None and self._shows(name)
        )
        star = " *" if record.best else ""
        self.display.note(
            f"epoch {record.epoch:>3}/{self._epochs}  loss {record.loss:.4f}  dev {shown or '-'}  "
            f"{record.time.documents_per_second:,.0f} docs/s{star}"
        )

    def _shows(self, name: str) -> bool:
        return name in ("loss", "micro_f1", "macro_f1", self._metric)

    def on_end(self, history: History) -> None:
        self.display.close()
        why = "stopped early; " if history.stopped_early else ""
        self.display.note(f"{why}best epoch: {history.best_epoch}")


class OneOfSeveral:
    """Hears of one training of many, a fold's or a member's: a bar on a terminal, one line at its end everywhere. Its
    epochs are in its own ``history.jsonl``."""

    def __init__(self, display: Display, name: str) -> None:
        self.display, self.name = display, name
        self._start: Start | None = None

    def on_start(self, start: Start) -> None:
        self._start = start

    def on_step(self, progress: Progress) -> None:
        best = "" if progress.best is None else f" best {progress.best:.4f}"
        detail = f"epoch {progress.epoch}/{progress.epochs}{best} {_clock(progress.seconds_left)} left"
        self.display.progress(self.name, progress.step, max(progress.steps, progress.step + 1), detail)

    def on_epoch(self, record: EpochRecord) -> None: ...

    def on_end(self, history: History) -> None:
        self.display.progress(self.name, 1, 1)
        self.display.note(f"{self.name}: {self._told(history)}")

    def _told(self, history: History) -> str:
        trained, best = len(history.records), history.best
        epochs = f"{trained} epoch{'' if trained == 1 else 's'}"
        if best is None or not best.dev:
            return epochs + (f", loss {history.records[-1].loss:.4f}" if trained else "")
        metric = (self._start and self._start.metric) or "loss"
        value = best.dev.get(metric)
        reached = "" if value is None else f", dev {metric} {value:.4f}"
        return f"best epoch {best.epoch} of {trained}{reached}"


def _clock(seconds: float) -> str:
    return time.strftime("%H:%M:%S" if seconds >= 3600 else "%M:%S", time.gmtime(seconds))
