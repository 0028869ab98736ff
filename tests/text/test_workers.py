"""Several reading processes: the same result as one, errors and deaths told, nothing left running."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from linnaea.config.task import DataConfig, InputConfig
from linnaea.corpus import chunks, stream
from linnaea.corpus.policy import ErrorPolicy
from linnaea.corpus.readers import read_chunks
from linnaea.errors import DataError, RunError
from linnaea.text import workers
from linnaea.text.cache import load
from linnaea.text.workers import Job, encode_chunks, worker_count
from tests.text import worlds
from tests.text.worlds import same

ROOT = Path(__file__).resolve().parents[2]
JOB = Job(DataConfig(), InputConfig(), worlds.COLUMNS, need_labels=True)


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (chunks, stream):
        monkeypatch.setattr(module, "BLOCK", 700)


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """All reading processes that were started."""
    found: list[subprocess.Popen[bytes]] = []
    start = workers._started

    def remembered(job: Job) -> subprocess.Popen[bytes]:
        found.append(start(job))
        return found[-1]

    monkeypatch.setattr(workers, "_started", remembered)
    return found


def raw_chunks(*files: Path) -> Any:
    return read_chunks(list(map(str, files)), JOB.data, ErrorPolicy())


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("count", [1, 2, 3])
def test_any_number_of_processes_gives_the_same_columns(
    tmp_path: Path, count: int, processes: list[subprocess.Popen[bytes]]
) -> None:
    lines = worlds.some_lines(60)
    lines[17:17] = ["{broken", worlds.line("Ein roher Text, mit Wörtern", ["B1"])]
    one, two = worlds.write(tmp_path / "a.jsonl", lines[:40]), tmp_path / "b.jsonl.gz"
    two.write_bytes(gzip.compress("\n".join(lines[40:]).encode()))
    assert len(list(raw_chunks(one, two))) > 4
    results = []
    for number in (0, count):
        policy = ErrorPolicy("collect")
        columns = load(worlds.source(one, two, workers=number, cache=False), policy)
        results.append((columns, [str(problem) for problem in policy.problems], policy.documents))
    (alone, problems, documents), (together, theirs, number) = results
    assert same(alone, together) and len(alone) == 61
    assert problems == theirs and len(problems) == 1 and documents == number == 62
    assert len(processes) == count
    assert all(process.returncode is not None for process in processes)


@pytest.mark.usefixtures("small_chunks")
def test_no_more_processes_than_chunks(tmp_path: Path, processes: list[subprocess.Popen[bytes]]) -> None:
    path = worlds.write(tmp_path / "a.jsonl", worlds.some_lines(3))
    assert sum(len(chunk) for chunk, _ in encode_chunks(raw_chunks(path), JOB, 5)) == 3
    assert len(processes) == 1


@pytest.mark.usefixtures("small_chunks")
def test_an_unusable_file_is_the_same_error_from_another_process(
    tmp_path: Path, processes: list[subprocess.Popen[bytes]]
) -> None:
    path = worlds.write(tmp_path / "a.csv", ["text,nothing", *["x,y"] * 400])
    told = []
    for count in (0, 2):
        with pytest.raises(DataError) as caught:
            list(encode_chunks(raw_chunks(path), JOB, count))
        told.append(str(caught.value))
    assert told[0] == told[1] and str(path) in told[0]
    assert processes and all(process.returncode is not None for process in processes)


@pytest.mark.usefixtures("small_chunks")
def test_a_process_that_dies_is_a_run_error(tmp_path: Path, processes: list[subprocess.Popen[bytes]]) -> None:
    path = worlds.write(tmp_path / "a.jsonl", worlds.some_lines(80))
    encoded = encode_chunks(raw_chunks(path), JOB, 2)
    next(encoded)
    for process in processes:
        os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(RunError, match="a reading process died") as caught:
        list(encoded)
    assert "workers" in (caught.value.hint or "")
    assert len(processes) == 2 and all(process.returncode is not None for process in processes)


@pytest.mark.usefixtures("small_chunks")
def test_leaving_early_ends_the_processes(tmp_path: Path, processes: list[subprocess.Popen[bytes]]) -> None:
    path = worlds.write(tmp_path / "a.jsonl", worlds.some_lines(80))
    encoded = encode_chunks(raw_chunks(path), JOB, 2)
    next(encoded)
    encoded.close()  # type: ignore[attr-defined]
    assert processes and all(process.returncode is not None for process in processes)


def test_a_script_needs_no_main_guard(tmp_path: Path) -> None:
    path = worlds.write(tmp_path / "a.jsonl", worlds.some_lines(9))
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from linnaea.corpus.policy import ErrorPolicy\n"
        "from linnaea.text.cache import load\n"
        "from tests.text import worlds\n"
        "from pathlib import Path\n"
        f"print(len(load(worlds.source(Path({str(path)!r}), workers=2), ErrorPolicy())))\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert done.stdout == "9\n" and done.stderr == ""


def test_how_many_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = worlds.write(tmp_path / "a.jsonl", worlds.some_lines(9))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    assert worker_count(DataConfig(), InputConfig(), [str(path)]) == 0  # too small to be worth it
    monkeypatch.setattr(workers, "WORTHWHILE", 10)
    assert worker_count(DataConfig(), InputConfig(), [str(path)]) == 3
    assert worker_count(DataConfig(workers=1), InputConfig(), [str(path)]) == 1
    assert worker_count(DataConfig(workers=0), InputConfig(), [str(path)]) == 0
    assert worker_count(DataConfig(), InputConfig(), ["-"]) == 0
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)
    assert worker_count(DataConfig(), InputConfig(), [str(path)]) == 0
