"""Difference: one measure of two runs, and whether it may be chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from linnaea.metrics.bootstrap import CONFIDENCE

LEVEL = 1 - CONFIDENCE  # below it a corrected p counts


@dataclass(frozen=True)
class Difference:
    """One measure of two runs.

    Attributes:
        value: second - first.
        interval: of ``value``; None: it would cost too much.
        p: that chance alone tells the runs apart; ``holm``: the same, corrected.
    """

    first: float
    second: float
    value: float
    interval: tuple[float, float] | None
    p: float
    holm: float

    @property
    def equal(self) -> bool:
        """Whether it is the same in both, whichever documents are drawn."""
        return self.value == 0 and self.interval is not None and not any(self.interval)

    @property
    def winner(self) -> str | None:
        """``first`` or ``second``, where ``holm`` is below 0.05."""
        if self.holm >= LEVEL or self.value == 0:
            return None
        return "second" if self.value > 0 else "first"

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        interval = None if self.interval is None else list(self.interval)
        return {
            "first": self.first,
            "second": self.second,
            "value": self.value,
            "interval": interval,
            "p": self.p,
            "holm": self.holm,
            "winner": self.winner,
        }
