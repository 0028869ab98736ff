"""Output that nobody reads any more: finished work is finished, quietly; answers that are not read end the work."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest

from linnaea.cli.main import main

from .conftest import Outcome

Call = Callable[..., Outcome]
Unread = Callable[..., tuple[int, str]]

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes are closed in another way")


@pytest.fixture
def closed() -> Iterator[Callable[[], IO[str]]]:
    """Makes streams into a pipe that nobody reads."""
    made = []

    def make() -> IO[str]:
        reading, writing = os.pipe()
        os.close(reading)
        made.append(os.fdopen(writing, "w", encoding="utf-8"))
        return made[-1]

    yield make
    for stream in made:
        stream.close()  # what it holds back fails here, unless it was dropped


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch, closed: Callable[[], IO[str]]) -> Unread:
    """Call ``linnaea ARGUMENTS``: its exit code, and its standard error, unless that is closed as well."""

    def call(*arguments: str, errors: bool = False) -> tuple[int, str]:
        told = closed() if errors else io.StringIO()
        with monkeypatch.context() as patched:
            patched.setattr(sys, "argv", ["linnaea", *arguments])
            patched.setattr(sys, "stdout", closed())
            patched.setattr(sys, "stderr", told)
            with pytest.raises(SystemExit) as left:
                main()
        code = left.value.code
        assert code is None or isinstance(code, int)
        return code or 0, told.getvalue() if isinstance(told, io.StringIO) else ""

    return call


def test_work_that_is_done_is_done(corpus: Path, unread: Unread) -> None:
    code, told = unread("train", "linear.json")
    assert code == 0, told
    assert told.splitlines()[-1] == "report: run/report.html"
    assert "rror" not in told
    assert unread("train", "linear.json", "--set", "run.dir=other", errors=True)[0] == 0
    assert (corpus / "other" / "report.html").exists()
    for arguments in (["test.jsonl"], ["test.jsonl", "--json"]):
        assert unread("evaluate", "run", *arguments) == (0, "")
    assert unread("compare", "run", "other", "--output", "page.html") == (0, "page: page.html\n")
    assert (corpus / "page.html").exists()
    assert unread("compare", "run", "other", "--json") == (0, "")


def test_answers_that_nobody_reads_end_there(corpus: Path, linnaea: Call, unread: Unread) -> None:
    assert linnaea("train", "linear.json").code == 0
    assert unread("predict", "run", "test.jsonl") == (141, "")
    assert unread("predict", "run", "test.jsonl", "--output", "answers.jsonl") == (0, "")
    assert (corpus / "answers.jsonl").read_text().count("\n") == 40
    code, told = unread("predict", "run", "nowhere.jsonl")
    assert code == 3 and told.startswith("error: nowhere.jsonl")


def test_a_broken_pipe_of_something_else_is_a_failure(
    corpus: Path, linnaea: Call, unread: Unread, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error in (BrokenPipeError(errno.EPIPE, "the socket of a listener"), BrokenPipeError("of a process")):

        def broken(*_: object, error: Exception = error, **__: object) -> None:
            raise error

        monkeypatch.setattr("linnaea.commands.train.train", broken)
        done = linnaea("train", "linear.json")
        told = "error: a pipe or connection of the run was closed at its other end\n"
        assert (done.code, done.err) == (1, told)


@pytest.mark.parametrize("arguments", [["--version"], ["schema"], ["check", "taxonomy.tsv"]])
def test_output_that_was_closed_before_we_began(corpus: Path, arguments: list[str]) -> None:
    made = subprocess.run(
        ["sh", "-c", '"$@" >&-', "sh", sys.executable, "-m", "linnaea", *arguments],
        cwd=corpus, stderr=subprocess.PIPE, timeout=60,
    )  # fmt: skip
    assert (made.returncode, made.stderr) == (0, b"")


def test_nothing_is_left_to_fail_when_python_ends() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    for argument, code in (("schema", 0), ("--version", 0), ("--help", 141)):
        made = subprocess.run(
            [sys.executable, "-m", "linnaea", argument], stdout=writing, stderr=subprocess.PIPE, timeout=60
        )
        assert (made.returncode, made.stderr) == (code, b"")
    os.close(writing)
