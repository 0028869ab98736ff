"""Interruption: who hears SIGINT and SIGTERM while something runs.

The training loop stops after its step; a second signal ends the run where it stands.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from linnaea.errors import InterruptedRun

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Listening:
    """Base of those who hear signals: while it is open they go to ``hear``. In a thread that is not the main one it
    does nothing."""

    def __init__(self) -> None:
        self._before: dict[signal.Signals, Any] = {}

    @property
    def listening(self) -> bool:
        """Whether signals come here now."""
        return bool(self._before)

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._called) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before = {}

    def _called(self, number: int, frame: FrameType | None) -> None:
        self.hear(signal.Signals(number))

    def hear(self, number: signal.Signals) -> None:
        """A signal came; what is raised here is raised where the program stands."""
        raise NotImplementedError


class Interruption(Listening):
    """While it is open, the first signal only sets ``received``."""

    def __init__(self) -> None:
        super().__init__()
        self.received: signal.Signals | None = None

    def hear(self, number: signal.Signals) -> None:
        if self.received is not None:
            raise InterruptedRun("interrupted twice", hint="--resume goes on from the last checkpoint")
        self.received = number
