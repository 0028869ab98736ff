"""Streams: standard output and standard error when nobody reads them any more (``| head``).

What is only told (results of finished work, notes, progress) is then dropped, and the work goes on: the exit code is that of
the work. What is itself the work (the answers of ``predict``) ends there, with the code that other tools have.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
from typing import IO

CUT = 141  # 128 + SIGPIPE


def drop(stream: IO[str]) -> None:
    """Send what is still written to ``stream`` nowhere, what it holds back among it."""
    # A stream without a descriptor has no reader to lose.
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)


def tell(text: str) -> None:
    """Write ``text`` to standard output, all at once; nowhere where that was closed before we began (``>&-``)."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        drop(sys.stdout)


def behind(stream: IO[str] | None) -> tuple[int, int] | None:
    """What ``stream`` writes to, as the system counts it; None: nothing that it knows of."""
    if stream is None:
        return None
    try:
        found = os.fstat(stream.fileno())
    except (AttributeError, OSError, ValueError):
        return None
    return found.st_dev, found.st_ino


def unread(left: SystemExit, before: tuple[int, int] | None) -> bool:
    """Whether a command left because nobody reads its output; the parser turns that into exit code 1.

    A pipe or socket of something else, which broke in the middle of the work, is a failure like any other.

    Args:
        before: what was ``behind`` standard output when the command began; a console may have put something else there.
    """
    if not isinstance(left.__context__, BrokenPipeError) or before is None:
        return False
    return behind(sys.stdout) != before or _is_broken(sys.stdout)


def _is_broken(stream: IO[str]) -> bool:
    try:
        stream.flush()  # what could not be written is still there
    except BrokenPipeError:
        return True
    if not hasattr(select, "poll"):
        return False
    poll = select.poll()
    poll.register(stream.fileno(), 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))
