"""Stopping: which epoch is the best, and when patience is at its end."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from linnaea.config.training import EarlyStoppingConfig
from linnaea.errors import ConfigError, suggest

Metrics = Mapping[str, float | None]


@dataclass
class Stopping:
    """Judges epochs by a dev metric: higher is better, for "loss" lower; equal ones by the lower dev loss.

    Without a config, or without dev, there is nothing to judge by: the last epoch is the best.

    Attributes:
        best_epoch: 0 before the first.
        waited: epochs since the best.
    """

    config: EarlyStoppingConfig | None
    best_epoch: int = 0
    best_value: float | None = None
    best_loss: float | None = None
    waited: int = 0

    @property
    def metric(self) -> str | None:
        """The name of the metric that decides."""
        return None if self.config is None else self.config.metric

    @property
    def exhausted(self) -> bool:
        """Patience is at its end."""
        return self.config is not None and self.waited >= self.config.patience

    def judge(self, epoch: int, dev: Metrics) -> bool:
        """Whether ``epoch`` is the best so far.

        Raises:
            ConfigError: the measure gives no such metric.
        """
        if self.config is None or not dev:
            self.best_epoch = epoch
            return True
        name = self.config.metric
        if name not in dev:
            hint = suggest(name, dev) or "measured: " + ", ".join(dev)
            raise ConfigError(
                f"the metric {name!r} is not measured here", where="training.early_stopping.metric", hint=hint
            )
        value, loss = dev[name], dev.get("loss")
        if self.best_epoch and self._key(value, loss) <= self._key(self.best_value, self.best_loss):
            self.waited += 1
            return False
        self.best_epoch, self.best_value, self.best_loss, self.waited = epoch, value, loss, 0
        return True

    def _key(self, value: float | None, loss: float | None) -> tuple[float, float]:
        # What is not a number is worse than any.
        first = -math.inf if value is None else -value if self.metric == "loss" else value
        return first, -math.inf if loss is None else -loss

    def to_json(self) -> dict[str, Any]:
        return {
            "best_epoch": self.best_epoch,
            "best_value": self.best_value,
            "best_loss": self.best_loss,
            "waited": self.waited,
        }
