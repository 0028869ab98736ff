"""Interruption: SIGINT and SIGTERM ask the loop to stop after its step; a second one ends the run where it
stands."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from linnaea.errors import InterruptedRun

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """While it is open, the first signal only sets ``received``. In a thread that is not the main one it does
    nothing."""

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._hear) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            raise InterruptedRun("interrupted twice", hint="--resume goes on from the last checkpoint")
        self.received = signal.Signals(number)
