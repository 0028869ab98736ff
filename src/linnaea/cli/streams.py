"""Streams: standard output and standard error when nobody reads them any more (``| head``).

What is only told (results of finished work, notes, progress) is then dropped, and the work goes on: the exit code is that of
the work. What is itself the work (the answers of ``predict``) ends there, with the code that other tools have.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import IO

CUT = 141  # 128 + SIGPIPE


def drop(stream: IO[str]) -> None:
    """Send what is still written to ``stream`` nowhere, what it holds back among it."""
    with contextlib.suppress(OSError, ValueError):  # a stream without a descriptor has no reader to lose
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)


def tell(text: str) -> None:
    """Write ``text`` to standard output, all at once."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        drop(sys.stdout)


def unread(left: SystemExit) -> bool:
    """Whether a command left because nobody reads its output; the parser turns that into exit code 1."""
    return isinstance(left.__context__, BrokenPipeError)
