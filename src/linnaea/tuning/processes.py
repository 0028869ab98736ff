"""Processes: several workers of one study on this machine, started as ``python -c`` and stopped through their pipes."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

from linnaea.errors import InterruptedRun, RunError
from linnaea.reporter import Reporter
from linnaea.tuning.folder import StudyFolder
from linnaea.tuning.worker import Stop

POLL = 0.5  # seconds between two looks at what has been done
_START = "import json, sys; sys.path[:] = json.loads(sys.stdin.readline()); from linnaea.tuning.worker import serve; serve()"
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def work_together(
    folder: StudyFolder,
    count: int,
    wanted: int | None,
    stop: Stop,
    reporter: Reporter,
    tell: Callable[[], None],
) -> None:
    """Let ``count`` processes run trials until there are ``wanted``, or time is up.

    Args:
        tell: called now and then.

    Raises:
        InterruptedRun: a signal came; the trials that ran go on when the study is resumed.
        RunError: all of them died, or one cannot be started.
    """
    children: list[subprocess.Popen[str]] = []
    try:
        children += [_started(folder, count, wanted, stop) for _ in range(count)]
        codes = _watch(children, stop, reporter, tell)
    finally:
        _stop(children)
    if stop.received:
        raise InterruptedRun("interrupted", where=str(folder.path), hint="--resume goes on")
    if all(code not in (0, InterruptedRun.exit_code) for code in codes):
        hint = "--resume goes on; if memory was short, with fewer --processes"
        raise RunError(f"all {count} processes died", where=str(folder.path), hint=hint)


def _watch(
    children: list[subprocess.Popen[str]], stop: Stop, reporter: Reporter, tell: Callable[[], None]
) -> list[int]:
    codes: dict[int, int] = {}
    while len(codes) < len(children) and not stop.received:
        time.sleep(POLL)
        for i, child in enumerate(children):
            code = child.poll()
            if code is None or i in codes:
                continue
            codes[i] = code
            if code not in (0, InterruptedRun.exit_code):
                reporter.warn(f"a process of the study died (exit code {code})")
        tell()
    return list(codes.values())


def _started(folder: StudyFolder, count: int, wanted: int | None, stop: Stop) -> subprocess.Popen[str]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    share = dict.fromkeys(_THREADS, str(max(1, cores // count)))
    left = None if stop.deadline is None else max(0.0, stop.deadline - time.monotonic())
    job = {"folder": str(folder.path), "trials": wanted, "seconds": left}
    try:
        # A session of its own: Ctrl-C is for the first process, which lets the others write their checkpoints.
        child = subprocess.Popen(
            [sys.executable, "-c", _START], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
            env={**share, **os.environ}, start_new_session=True,
        )  # fmt: skip
        assert child.stdin is not None
        child.stdin.write(json.dumps(sys.path) + "\n" + json.dumps(job) + "\n")
        child.stdin.flush()
    except OSError as bad:
        raise RunError(f"cannot start a process: {(bad.strerror or str(bad)).lower()}") from None
    return child


def _stop(children: list[subprocess.Popen[str]]) -> None:
    """Ask those that still work to end, and wait for them; when asked twice, end them."""
    for child in children:
        if child.stdin is not None:
            with contextlib.suppress(OSError):
                child.stdin.close()
    try:
        for child in children:
            child.wait()
    except BaseException:
        for child in children:
            child.kill()
            child.wait()
        raise
