"""files.py: what is written is there whole or not at all, whichever call fails; readers say what is wrong."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import json
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from linnaea.errors import DataError, MissingExtraError, ModelError, RunError, UsageError
from linnaea.files import (
    atomic,
    atomic_folder,
    cache_folder,
    extra,
    open_bytes,
    read_json,
    sha256,
    write_json,
)
from linnaea.run_folder import RunFolder


class Saboteur:
    """Makes the i-th of the system calls that writing needs fail, as a full or dying disk would."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path, code: int) -> None:
        self.calls: list[str] = []
        self.fail_at: int | None = None
        self.code = code
        self.folder = str(folder)
        for name in ("open", "mkdir", "fsync", "chmod", "replace"):
            monkeypatch.setattr(os, name, self._wrap(name, getattr(os, name)))

    def step(self, name: str) -> None:
        self.calls.append(name)
        if self.fail_at == len(self.calls) - 1:
            raise OSError(self.code, os.strerror(self.code))

    def _wrap(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **keywords: Any) -> Any:
            if name == "fsync" or str(args[0]).startswith(self.folder):
                self.step(name)
            return call(*args, **keywords)

        return wrapped


def everything(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def visible(folder: Path) -> dict[str, bytes]:
    return {name: content for name, content in everything(folder).items() if not name.startswith(".")}


def write_file(folder: Path, saboteur: Saboteur | None) -> None:
    with atomic(folder / "a.txt") as file:
        for piece in (b"new ", b"content"):
            if saboteur is not None:
                saboteur.step("write")
            file.write(piece)


def write_folder(folder: Path, saboteur: Saboteur | None) -> None:
    with atomic_folder(folder / "model") as building:
        for name in ("one.json", "two.json"):
            if saboteur is not None:
                saboteur.step("write")
            (building / name).write_bytes(b"new " + name.encode())


JOBS: list[tuple[Callable[[Path, Saboteur | None], None], dict[str, bytes], dict[str, bytes]]] = [
    (write_file, {"a.txt": b"old"}, {"a.txt": b"new content"}),
    (write_file, {}, {"a.txt": b"new content"}),
    (
        write_folder,
        {"model/one.json": b"old", "model/gone.json": b"old"},
        {"model/one.json": b"new one.json", "model/two.json": b"new two.json"},
    ),
    (write_folder, {}, {"model/one.json": b"new one.json", "model/two.json": b"new two.json"}),
]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO], ids=errno.errorcode.__getitem__)
@pytest.mark.parametrize(("job", "before", "after"), JOBS, ids=["file", "new file", "folder", "new folder"])
def test_old_or_new_whichever_call_fails(
    job: Callable[[Path, Saboteur | None], None],
    before: dict[str, bytes],
    after: dict[str, bytes],
    code: int,
    tmp_path: Path,
) -> None:
    def prepare(name: str) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for file, content in before.items():
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_bytes(content)
        return folder

    folder = prepare("counting")
    with pytest.MonkeyPatch.context() as patch:
        saboteur = Saboteur(patch, folder, code)
        job(folder, saboteur)
        total = len(saboteur.calls)
    assert everything(folder) == after
    assert {"write", "fsync", "chmod", "replace"} <= set(saboteur.calls)

    failed = set()
    for i in range(total):
        folder = prepare(str(i))
        with pytest.MonkeyPatch.context() as patch:
            saboteur = Saboteur(patch, folder, code)
            saboteur.fail_at = i
            error = None
            try:
                job(folder, saboteur)
            except RunError as raised:
                error = raised
        found = visible(folder)
        assert found in (before, after), f"call {i} ({saboteur.calls[i]}) left {sorted(found)}"
        if error is None:
            # A call that writing can do without: making a folder that is there, clearing the old one away.
            assert found == after
        else:
            assert os.strerror(code).lower() in str(error)
            assert str(error).startswith(str(folder))
            assert everything(folder) == found, "temporary files stayed behind"
            failed.add(saboteur.calls[i])
        job(folder, None)  # and nothing left behind stands in the way of another try
        assert visible(folder) == after
    assert {"write", "fsync", "chmod", "replace"} <= failed


def test_when_even_coming_back_fails_nothing_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path, None)
    (tmp_path / "model" / "one.json").write_bytes(b"precious")
    rename, calls = os.replace, []

    def replace(source: Any, target: Any) -> None:
        calls.append(source)
        if len(calls) > 1:
            raise OSError(errno.EIO, "dying")
        rename(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(RunError):
        write_folder(tmp_path, None)
    assert b"precious" in everything(tmp_path).values()


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_an_exception_in_the_body_leaves_the_old(kind: type[BaseException], tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("old")

    def half_a_file() -> None:
        with atomic(tmp_path / "a.txt", "w") as file:
            file.write("half")
            raise kind

    def half_a_folder() -> None:
        with atomic_folder(tmp_path / "model") as building:
            (building / "half").write_text("half")
            raise kind

    for job in (half_a_file, half_a_folder):
        with pytest.raises(kind):
            job()
    assert everything(tmp_path) == {"a.txt": b"old"}


def test_an_error_about_another_file_is_not_ours(tmp_path: Path) -> None:
    for place in (atomic(tmp_path / "out", "w"), atomic_folder(tmp_path / "folder")):
        with pytest.raises(FileNotFoundError, match="input"), place:
            (tmp_path / "input").read_text()
    with pytest.raises(BrokenPipeError), atomic(tmp_path / "out", "w"):
        raise BrokenPipeError(errno.EPIPE, "gone")
    assert everything(tmp_path) == {}


def test_a_place_that_cannot_be_is_a_run_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file" / "deep" / "a.json", tmp_path):
        with pytest.raises(RunError, match="cannot write"):
            write_json(path, {})
    with pytest.raises(RunError, match="cannot write"), atomic_folder(tmp_path / "file" / "model"):
        pass
    assert everything(tmp_path) == {"file": b"x"}


def test_links_are_followed_and_permissions_are_the_users(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.txt").symlink_to(tmp_path / "real" / "a.txt")
    with atomic(tmp_path / "link.txt", "w") as file:
        file.write("x")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real" / "a.txt").read_text() == "x"
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE((tmp_path / "real" / "a.txt").stat().st_mode) == 0o666 & ~mask
    with atomic_folder(tmp_path / "folder"):
        pass
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o777 & ~mask


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_device_or_pipe_is_written_to_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with atomic(tmp_path / "pipe") as file:
        file.write(b"through")
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_json_round_trip(tmp_path: Path) -> None:
    value = {"Größe": [1, 2.5, None, True], "其他": "a\nb"}
    write_json(tmp_path / "deep" / "a.json", value)
    text = (tmp_path / "deep" / "a.json").read_bytes()
    assert text.endswith(b"}\n")
    assert "其他".encode() in text
    assert read_json(tmp_path / "deep" / "a.json") == value
    for bad in (float("nan"), float("inf"), {1, 2}):
        with pytest.raises((ValueError, TypeError)):
            write_json(tmp_path / "deep" / "a.json", bad)
    assert read_json(tmp_path / "deep" / "a.json") == value


@pytest.mark.parametrize(
    ("content", "place", "message"),
    [
        (None, "a.json", "no such file"),
        (b'{"a": 1,\n "b": }', "a.json:2", "broken JSON: Expecting value, column 7"),
        (b"\xff\xfe", "a.json", "not UTF-8 (byte 0)"),
        (b"", "a.json:1", "broken JSON"),
        (b"[" * 100_000, "a.json", "nested too deep"),
        (b"1" * 5000, "a.json", "broken JSON"),
    ],
)
def test_reading_broken_json(content: bytes | None, place: str, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(ModelError) as caught:
        read_json(tmp_path / "a.json", ModelError)
    assert str(caught.value).startswith(f"{tmp_path / place}: {message}") or message in str(caught.value)
    assert caught.value.where == str(tmp_path / place)


def test_reading_a_folder_as_json(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read: is a directory"):
        read_json(tmp_path)


def test_json_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"\xef\xbb\xbf[1]\r\n")
    assert read_json(tmp_path / "a.json") == [1]


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc" * 100_000)
    assert sha256(tmp_path / "a") == hashlib.sha256(b"abc" * 100_000).hexdigest()


def test_open_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_bytes(b"plain")
    with gzip.open(tmp_path / "a.txt.gz", "wb") as file:
        file.write(b"packed")
    for name, content in (("a.txt", b"plain"), ("a.txt.gz", b"packed")):
        with open_bytes(tmp_path / name) as opened:
            assert opened.read() == content
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"typed")))
    assert open_bytes("-").read() == b"typed"


def test_open_bytes_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        open_bytes(tmp_path / "missing" / "a.jsonl")
    assert str(caught.value) == (
        f"{tmp_path}/missing/a.jsonl: no such file (the folder {tmp_path}/missing does not exist)"
    )
    with pytest.raises(DataError, match=r"a\.gz: no such file$"):
        open_bytes(tmp_path / "a.gz")
    with pytest.raises(DataError, match="is a directory"):
        open_bytes(tmp_path)


def test_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LINNAEA_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("LINNAEA_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "linnaea"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "linnaea"


class TestRunFolder:
    @staticmethod
    def finished(path: Path) -> Path:
        RunFolder.create(path, resume=False, overwrite=False)
        write_json(RunFolder(path).config, {})
        return path

    def test_names_lie_inside(self, tmp_path: Path) -> None:
        run = RunFolder(tmp_path)
        names = ["config", "history", "log", "checkpoints", "model", "metrics", "predictions", "quarantine"]
        places = [getattr(run, name) for name in names]
        assert all(place.parent == tmp_path for place in places)
        assert len(set(places)) == len(places)

    def test_a_new_or_empty_folder_is_taken(self, tmp_path: Path) -> None:
        RunFolder.create(tmp_path / "deep" / "run", resume=False, overwrite=False)
        assert (tmp_path / "deep" / "run").is_dir()
        RunFolder.create(tmp_path / "deep" / "run", resume=False, overwrite=False)
        assert not any((tmp_path / "deep" / "run").iterdir())

    def test_a_run_is_not_overwritten_by_itself(self, tmp_path: Path) -> None:
        path = self.finished(tmp_path / "run")
        with pytest.raises(UsageError, match=r"exists already \(give --resume to go on, --overwrite"):
            RunFolder.create(path, resume=False, overwrite=False)
        assert RunFolder.create(path, resume=True, overwrite=False).config.exists()
        assert not RunFolder.create(path, resume=False, overwrite=True).config.exists()

    def test_overwrite_through_a_link_empties_the_target(self, tmp_path: Path) -> None:
        path = self.finished(tmp_path / "run")
        (tmp_path / "link").symlink_to(path)
        RunFolder.create(tmp_path / "link", resume=False, overwrite=True)
        assert (tmp_path / "link").is_symlink()
        assert everything(path) == {}

    def test_nothing_else_is_overwritten_or_resumed(self, tmp_path: Path) -> None:
        (tmp_path / "thesis.txt").write_text("years of work")
        with pytest.raises(UsageError, match="is not a run folder"):
            RunFolder.create(tmp_path, resume=False, overwrite=True)
        with pytest.raises(UsageError, match="nothing to resume here"):
            RunFolder.create(tmp_path, resume=True, overwrite=False)
        with pytest.raises(UsageError, match="is a file"):
            RunFolder.create(tmp_path / "thesis.txt", resume=False, overwrite=False)
        with pytest.raises(UsageError, match="cannot write here"):
            RunFolder.create(tmp_path / "thesis.txt" / "run", resume=False, overwrite=False)
        assert everything(tmp_path) == {"thesis.txt": b"years of work"}


def test_extra() -> None:
    assert extra("json", "this", lambda: json) is json

    def missing() -> None:
        import no_such_package_anywhere  # noqa: F401

    with pytest.raises(MissingExtraError, match=r'drawing needs .* \(pip install "linnaea\[plot\]"\)'):
        extra("plot", "drawing", missing)
