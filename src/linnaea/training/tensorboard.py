"""TensorBoard as a listener: the curves of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from linnaea.files import extra
from linnaea.training.history import EpochRecord, History, Progress, Start, summary


class TensorBoard:
    """Curves for TensorBoard (extra ``tensorboard``), in the folder ``tensorboard`` of the run.

    Raises:
        MissingExtraError: the package is not installed.
    """

    def __init__(self, folder: Path) -> None:
        def load() -> Any:
            from torch.utils.tensorboard import SummaryWriter

            return SummaryWriter

        self.folder = folder
        self._writer_class = extra("tensorboard", "the listener tensorboard", load)
        self._writer: Any = None

    def on_start(self, start: Start) -> None:
        # Points behind the checkpoint, of the steps that will be made again, are hidden.
        self._writer = self._writer_class(str(self.folder), purge_step=start.step + 1)

    def on_step(self, progress: Progress) -> None:
        self._writer.add_scalar("train/running_loss", progress.loss, progress.step)

    def on_epoch(self, record: EpochRecord) -> None:
        self._writer.add_scalar("train/loss", record.loss, record.step)
        self._writer.add_scalar("train/learning_rate", record.learning_rate, record.step)
        self._writer.add_scalar("train/documents_per_second", record.time.documents_per_second, record.step)
        for name, value in record.dev.items():
            if value is not None:
                self._writer.add_scalar(f"dev/{name}", value, record.step)
        self._writer.flush()

    def on_end(self, history: History) -> None:
        self._writer.close()

    def on_result(self, metrics: Mapping[str, Any]) -> None:
        values = summary(metrics)
        if not values:
            return
        with self._writer_class(str(self.folder)) as writer:
            for name, value in values.items():
                writer.add_scalar(f"final/{name}", value, 0)

    def on_failure(self, error: BaseException) -> None:
        if self._writer is not None:
            self._writer.close()
