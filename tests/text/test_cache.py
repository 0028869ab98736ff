"""The store on disk: hit, miss, damage, two runs at once, killed runs, places that cannot be written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from linnaea.config.task import InputConfig
from linnaea.corpus.policy import ErrorPolicy
from linnaea.errors import DataError
from linnaea.files import cache_folder
from linnaea.text import cache, sinks
from linnaea.text.cache import Source, load
from linnaea.text.workers import Job
from tests.text import worlds
from tests.text.worlds import same

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def train(tmp_path: Path) -> Path:
    return worlds.write(tmp_path / "train.jsonl", worlds.some_lines(30))


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Hears of every time that files are really read."""
    heard: list[str] = []
    run = cache._Build._run

    def counted(self: Any, *args: Any) -> Any:
        heard.append(self.source.split)
        return run(self, *args)

    monkeypatch.setattr(cache._Build, "_run", counted)
    return heard


def stores() -> list[Path]:
    return [path for path in (cache_folder() / "store").iterdir() if path.is_dir()]


def test_the_second_time_is_read_from_the_cache(train: Path, builds: list[str]) -> None:
    first, second = (load(worlds.source(train), ErrorPolicy()) for _ in range(2))
    assert same(first, second) and len(first) == 30
    assert builds == ["train"] and len(stores()) == 1
    assert (
        isinstance(second.values["token"].values.base, np.memmap)
        and not second.values["token"].values.flags.writeable
    )


def test_what_the_store_holds_is_what_the_lines_hold(train: Path) -> None:
    columns = load(worlds.source(train), ErrorPolicy())
    data, offset = train.read_bytes(), 0
    for row, raw in enumerate(data.splitlines(keepends=True)):
        value = json.loads(raw)
        for column, field in {"token": "doc_token", "label": "doc_label", "keyword": "doc_keyword"}.items():
            assert [columns.tables[column][n] for n in columns.values[column][row]] == value[field]
        origin = columns.origin(row)
        assert origin is not None and (origin.file, origin.line, origin.offset) == (
            str(train),
            row + 1,
            offset,
        )
        offset += len(raw)


@pytest.mark.parametrize(
    "change",
    [
        {"data": {"fields": {"keywords": "doc_topic"}}},
        {"data": {"label_delimiter": "|"}},
        {"data": {"format": "jsonl"}},
        {"columns": ("character", "keyword", "topic", "label")},
        {"input": {"tokenizer": "whitespace"}},
        {"input": {"tokenizer": {"type": "word", "punctuation": True}}},
        {"content": True},
        {"labels": False},
    ],
)
def test_whatever_changes_the_result_has_a_store_of_its_own(
    train: Path, builds: list[str], change: dict[str, Any]
) -> None:
    plain = worlds.source(train)
    load(plain, ErrorPolicy())
    if "content" in change:
        worlds.write(train, worlds.some_lines(31))
    other = worlds.source(train, columns=change.get("columns", worlds.COLUMNS), **change.get("data", {}))
    job = Job(
        other.job.data,
        InputConfig.read(change.get("input", {})),
        other.job.columns,
        change.get("labels", True),
    )
    load(Source(other.files, job, "train"), ErrorPolicy())
    assert builds == ["train", "train"] and len(stores()) == 2


@pytest.mark.parametrize(
    "value",
    [
        {"max_tokens": 3},
        {"vocabulary": {"min_count": 1, "lowercase": False}},
        {"features": ["token", "ngram", "keyword"]},
    ],
)
def test_vocabularies_lengths_and_bags_reread_nothing(
    train: Path, builds: list[str], value: dict[str, Any]
) -> None:
    from linnaea.text.build import build_corpus

    for part in ({}, value):
        build_corpus(worlds.config(train.parent, input=part), policy=ErrorPolicy())
    assert builds == ["train"]


def test_the_same_content_elsewhere_is_the_same_store_with_its_own_names(
    train: Path, builds: list[str]
) -> None:
    load(worlds.source(train), ErrorPolicy())
    (train.parent / "b").mkdir()
    copy = train.rename(train.parent / "b" / "copy.jsonl")
    columns = load(worlds.source(copy), ErrorPolicy())
    assert builds == ["train"]
    assert str(columns.origin(3)) == f"{copy}:4"


def test_several_files_are_one_split_in_their_order(train: Path, tmp_path: Path) -> None:
    more = worlds.write(tmp_path / "more.jsonl", worlds.some_lines(5, first=30))
    whole = worlds.write(tmp_path / "whole.jsonl", worlds.some_lines(35))
    both, one = load(worlds.source(train, more), ErrorPolicy()), load(worlds.source(whole), ErrorPolicy())
    assert all(np.array_equal(both.values[c].values, one.values[c].values) for c in both.values)
    assert list(both.ids) == list(one.ids)
    for _ in range(2):
        assert str(load(worlds.source(train, more), ErrorPolicy()).origin(31)) == f"{more}:2"


def test_every_damaged_file_is_noticed_and_built_again(
    train: Path, builds: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: None)  # some fifty times for nothing
    good = load(worlds.source(train), ErrorPolicy())
    (folder,) = stores()
    names = sorted(path.name for path in folder.iterdir())
    assert {"store.json", "token.values.npy", "label.table.data.npy", "left_out.jsonl"} <= set(names)

    def damaged(path: Path, how: str) -> bool:
        whole = path.read_bytes()
        if how == "gone":
            path.unlink()
        elif how == "cut":
            path.write_bytes(whole[:-1])
        elif not whole:
            return False
        else:
            path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        return bool(whole) or how == "gone"

    count = 1
    for i, name in enumerate(names):
        for how in ("gone", "cut", "flipped")[i % 3 :: 3] if i % 4 else ("gone", "cut", "flipped"):
            if damaged(folder / name, how) and not (name == "store.json" and how != "gone"):
                assert same(load(worlds.source(train), ErrorPolicy()), good)
                count += 1
                assert len(builds) == count, (name, how)
    for text in ("", "{}", "[]", '{"files": {}}', '{"files": {"../x": [1]}, "columns": 3}', "\xff"):
        (folder / "store.json").write_text(text, encoding="latin-1")
        assert same(load(worlds.source(train), ErrorPolicy()), good)
        count += 1
        assert len(builds) == count
    load(worlds.source(train), ErrorPolicy())
    assert len(builds) == count


def test_without_the_cache_nothing_is_kept(
    train: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = load(worlds.source(train), ErrorPolicy())
    monkeypatch.setenv("LINNAEA_CACHE", str(tmp_path / "other"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    columns = load(worlds.source(train, cache=False), ErrorPolicy())
    assert same(columns, kept)
    assert not (tmp_path / "other").exists() and not list((tmp_path / "tmp").iterdir())


def as_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text("in the way")


def as_full_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append = sinks.Folder.append

    def full(self: sinks.Folder, name: str, piece: np.ndarray) -> None:
        if str(self.path).startswith(str(path)) and name == "places" and len(piece):
            raise OSError(28, "No space left on device")
        append(self, name, piece)

    monkeypatch.setattr(sinks.Folder, "append", full)


def as_no_locks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Any) -> None:
        raise NotImplementedError

    monkeypatch.setattr(cache.FileLock, "acquire", refuse)


@pytest.mark.parametrize("trouble", [as_file, as_full_disk, as_no_locks])
def test_a_cache_that_cannot_be_written_is_told_and_done_without(
    train: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    trouble: Callable[[Path, pytest.MonkeyPatch], None],
) -> None:
    kept = load(worlds.source(train), ErrorPolicy())
    place = tmp_path / "home"
    monkeypatch.setenv("LINNAEA_CACHE", str(place))
    trouble(place, monkeypatch)
    warnings: list[str] = []
    policy = ErrorPolicy()
    assert same(load(worlds.source(train), policy, warn=warnings.append), kept)
    assert len(warnings) == 1 and "cannot be kept" in warnings[0] and str(place) in warnings[0]
    assert policy.documents == 30
    assert not [p for p in place.rglob("*") if p.is_dir() and p != place / "store"]


def test_with_no_place_at_all_it_stays_in_memory(
    train: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = load(worlds.source(train), ErrorPolicy())
    as_full_disk(tmp_path, monkeypatch)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    columns = load(worlds.source(train, cache=False), ErrorPolicy())
    assert same(columns, kept)
    assert not isinstance(columns.values["token"].values.base, np.memmap)


def test_standard_input_is_read_once_and_never_kept(train: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "from linnaea.corpus.policy import ErrorPolicy\n"
        "from linnaea.text.cache import load\n"
        "from tests.text import worlds\n"
        "columns = load(worlds.source('-'), ErrorPolicy())\n"
        "print(len(columns), columns.origin(2).line, list(columns.ids)[-1])"
    )
    with train.open("rb") as given:
        done = subprocess.run(
            [sys.executable, "-c", code], stdin=given, capture_output=True, text=True, check=True, cwd=ROOT
        )
    assert done.stdout.split() == ["30", "3", "29"]
    assert not (cache_folder() / "store").exists()


# Documents that are left out

BROKEN = [
    worlds.line(["a"], ["A1"], id="x"),
    '{"doc_token": ["a"], broken',
    worlds.line(["b"], ["A2"], id="x"),
    '{"doc_token": ["c"]}',
    "",
    worlds.line(["d"], ["B1"], id="y"),
    '{"doc_token": ["\xff"]}',
]


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    path = tmp_path / "broken.jsonl"
    path.write_bytes(b"".join(text.encode("latin-1") + b"\n" for text in BROKEN))
    return path


def test_raise_stops_at_the_first_and_keeps_nothing(broken: Path) -> None:
    for _ in range(2):
        with pytest.raises(DataError) as caught:
            load(worlds.source(broken), ErrorPolicy())
        assert caught.value.where == f"{broken}:2"
        assert not stores()


def test_a_cached_store_tells_every_run_what_was_left_out(
    broken: Path, builds: list[str], tmp_path: Path
) -> None:
    told = []
    for i in range(2):
        with ErrorPolicy("quarantine", tmp_path / f"q{i}.jsonl") as policy:
            columns = load(worlds.source(broken, on_error="quarantine"), policy)
        assert list(columns.ids) == ["x", "y"] and policy.documents == 6
        assert policy.counts == {"broken JSON": 1, "duplicate id": 1, "not labelled": 1, "not UTF-8": 1}
        told.append((tmp_path / f"q{i}.jsonl").read_text(encoding="utf-8"))
    assert builds == ["train"] and told[0] == told[1]
    lines = [json.loads(line) for line in told[0].splitlines()]
    assert [line["where"] for line in lines] == [f"{broken}:{n}" for n in (2, 3, 4, 7)]
    assert [line["line"] for line in lines[:3]] == [BROKEN[1], BROKEN[2], BROKEN[3]]
    assert f"{broken}:1" in lines[1]["problem"]
    with pytest.raises(DataError) as caught:  # a store made under "skip" is no way around "raise"
        load(worlds.source(broken), ErrorPolicy())
    assert caught.value.where == f"{broken}:2"
    assert builds == ["train"]


def test_left_out_documents_are_told_under_the_files_present_name(broken: Path) -> None:
    load(worlds.source(broken), ErrorPolicy("skip"))
    moved = broken.rename(broken.parent / "moved.jsonl")
    policy = ErrorPolicy("collect")
    load(worlds.source(moved), policy)
    assert [str(problem.where) for problem in policy.problems] == [f"{moved}:{n}" for n in (2, 3, 4, 7)]
    assert f"{moved}:1" in str(policy.problems[1]) and str(broken) not in str(policy.problems[1])


def test_nothing_left_is_an_error_every_time(tmp_path: Path) -> None:
    path = worlds.write(tmp_path / "bad.jsonl", ["{", "}"])
    for _ in range(2):
        with pytest.raises(DataError, match=r"no document is left: left out 2 of 2 documents: 2 broken JSON"):
            load(worlds.source(path), ErrorPolicy("skip"))


@pytest.mark.parametrize("name", ["none.jsonl", "empty.jsonl", "folder"])
def test_files_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match=name):
        load(worlds.source(tmp_path / name), ErrorPolicy())


# Several runs

SLOW = """
import sys, time
from pathlib import Path
from linnaea.corpus.policy import ErrorPolicy
from linnaea.text import cache, sinks
from tests.text import worlds
file, log, go = map(Path, sys.argv[1:4])
run = cache._Build._run
def slowly(self, *args):
    with log.open("a") as out:
        out.write("building\\n")
    while not go.exists():
        time.sleep(0.01)
    return run(self, *args)
cache._Build._run = slowly
print("ready", flush=True)
columns = cache.load(worlds.source(file), ErrorPolicy())
print(len(columns), int(columns.values["token"].values.sum()), flush=True)
"""


def started(*arguments: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SLOW, *map(str, arguments)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(6000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("waited for a minute")


def test_two_runs_at_once_build_it_once(train: Path, tmp_path: Path) -> None:
    log, go = tmp_path / "log", tmp_path / "go"
    runs = [started(train, log, go) for _ in range(2)]
    wait_for(log.exists)
    for run in runs:
        assert run.stdout is not None and run.stdout.readline() == "ready\n"
    go.touch()
    outputs = [run.communicate()[0] for run in runs]
    assert outputs[0] == outputs[1] and outputs[0].startswith("30 ")
    assert log.read_text() == "building\n"


def test_a_killed_run_leaves_nothing_that_counts(train: Path, tmp_path: Path) -> None:
    log, go = tmp_path / "log", tmp_path / "go"
    killed = started(train, log, go)
    wait_for(log.exists)
    killed.kill()
    killed.wait()
    assert killed.stdout is not None
    killed.stdout.close()
    remains = [path for path in stores() if path.name.startswith(".")]
    assert len(remains) == 1  # the half-built folder
    assert len(load(worlds.source(train), ErrorPolicy())) == 30
    (whole,) = stores()
    assert not whole.name.startswith(".")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs a user whom permissions bind")
def test_a_home_that_cannot_be_written(train: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").mkdir(mode=0o500)
    monkeypatch.setenv("LINNAEA_CACHE", str(tmp_path / "home"))
    warnings: list[str] = []
    assert len(load(worlds.source(train), ErrorPolicy(), warn=warnings.append)) == 30
    assert "permission denied" in warnings[0]
