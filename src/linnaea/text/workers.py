"""Workers: raw chunks of corpus files -> encoded chunks, in order, in this process or in several others.

The other processes are started as ``python -c`` and spoken to through pipes: unlike ``multiprocessing`` this
needs no ``if __name__ == "__main__"`` in the user's script and forks no process that holds threads or a GPU.
Each has at most one task at a time and tasks are dealt out in turn, so that results come in order, memory
stays bounded and nobody waits for one another.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import traceback
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from linnaea.config.task import DataConfig, InputConfig
from linnaea.corpus.document import Document
from linnaea.corpus.readers import RawChunk, parse_chunk
from linnaea.errors import DataError, LinnaeaError, RunError
from linnaea.text.columns import Chunk, Cutter

# Below this many bytes starting processes costs more than they save.
WORTHWHILE = 20 << 20
# The process that assembles keeps up with about so many that parse.
_MOST = 8
_START = """\
import pickle, sys
sys.path[:] = pickle.load(sys.stdin.buffer)
from linnaea.text.workers import serve
serve()
"""

Encoded = tuple[Chunk, list[DataError]]


@dataclass(frozen=True)
class Job:
    """How chunks are encoded: picklable."""

    data: DataConfig
    input: InputConfig
    columns: tuple[str, ...]
    need_labels: bool

    def runner(self) -> Runner:
        return Runner(self)


class Runner:
    """Encodes one chunk after another."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._cutter = Cutter(job.input, job.columns)

    def __call__(self, raw: RawChunk) -> Encoded:
        """The good documents, encoded, and what is wrong with the others.

        Raises:
            DataError: the whole file is unusable.
        """
        good: list[Document] = []
        bad: list[DataError] = []
        for item in parse_chunk(raw, self._job.data, self._job.need_labels):
            if isinstance(item, Document):
                good.append(item)
            else:
                bad.append(item)
        return self._cutter.encode(good), bad


def worker_count(data: DataConfig, config: InputConfig, files: Collection[str]) -> int:
    """How many processes besides this one: ``data.workers``; ``auto``: one a CPU where the files are large.

    A tokenizer from a plug-in is not known to another process: it works in this one.
    """
    if not type(config.tokenizer).__module__.startswith("linnaea.") or not sys.executable:
        return 0
    if data.workers != "auto":
        return data.workers
    size = sum(Path(file).stat().st_size for file in files if Path(file).is_file())
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return 0 if size < WORTHWHILE or processors < 2 else min(processors, _MOST)


def encode_chunks(raw_chunks: Iterable[RawChunk], job: Job, workers: int) -> Iterator[Encoded]:
    """Encode chunks, in order.

    Args:
        workers: processes besides this one; 0: this one does it.

    Raises:
        DataError: from a chunk whose whole file is unusable.
        RunError: a process died.
    """
    if workers == 0:
        yield from map(job.runner(), raw_chunks)
        return
    processes: list[subprocess.Popen[bytes]] = []
    busy: list[bool] = []
    try:
        turn = 0
        for raw in raw_chunks:
            if turn == len(processes) < workers:
                processes.append(_started(job))
                busy.append(False)
            if busy[turn]:
                yield _received(processes[turn])
            _send(processes[turn], raw)
            busy[turn] = True
            turn = (turn + 1) % workers
        for i in range(len(processes)):
            at = (turn + i) % len(processes)
            if busy[at]:
                yield _received(processes[at])
    finally:
        for process in processes:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()


def _started(job: Job) -> subprocess.Popen[bytes]:
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(threads, "1")}
    command = [sys.executable, "-c", _START]
    try:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    except OSError as bad:
        problem = f"cannot start a reading process: {(bad.strerror or str(bad)).lower()}"
        raise RunError(problem, hint="set data.workers to 0") from None
    _send(process, sys.path)
    _send(process, job)
    return process


def _send(process: subprocess.Popen[bytes], value: object) -> None:
    assert process.stdin is not None
    try:
        pickle.dump(value, process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
        process.stdin.flush()
    except OSError:
        raise _died(process) from None


def _received(process: subprocess.Popen[bytes]) -> Encoded:
    assert process.stdout is not None
    try:
        result = pickle.load(process.stdout)
    except (EOFError, pickle.UnpicklingError):
        raise _died(process) from None
    if isinstance(result, LinnaeaError):
        raise result
    return result  # type: ignore[no-any-return]


def _died(process: subprocess.Popen[bytes]) -> RunError:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=5)
    return RunError(
        f"a reading process died (exit code {process.returncode})",
        hint="set data.workers to 0 to read in one",
    )


def serve() -> None:
    """The life of another process: one task after another, until the pipe ends."""
    # An interrupt is for the process that was asked; it ends us when it goes.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tasks, results = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever prints must not fall among the results
    try:
        run = pickle.load(tasks).runner()
        while True:
            raw = pickle.load(tasks)
            try:
                result: object = run(raw)
            except LinnaeaError as error:
                result = error
            except Exception as error:
                traceback.print_exc()
                result = RunError(
                    f"a reading process failed: {type(error).__name__}: {error}", where=raw.file
                )
            pickle.dump(result, results, protocol=pickle.HIGHEST_PROTOCOL)
            results.flush()
    except (EOFError, BrokenPipeError):
        return
