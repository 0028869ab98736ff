"""Files: atomic writing, JSON, hashes, the cache place, gzip and standard input."""

from __future__ import annotations

import contextlib
import errno
import gzip
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, Self

from linnaea.errors import DataError, MissingExtraError, RunError

STDIN = "-"


class Closing:
    """A context manager that is closed at its end, whatever happens."""

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _run_error(error: OSError, path: Path) -> RunError:
    what = error.strerror or type(error).__name__
    return RunError(f"cannot write: {what.lower()}", where=str(path), hint="nothing was left half written")


class _Foreign(Exception):
    """Carries an OSError about another file than the one being written out of ``atomic``'s body."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


@contextlib.contextmanager
def _body(place: Path | str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # A failed write names no file; what names one belongs to us only if it lies in our place.
        ours = error.filename is None or Path(os.fsdecode(error.filename)).is_relative_to(place)
        if isinstance(error, BrokenPipeError) or not ours:
            raise _Foreign(error) from error
        raise


@contextlib.contextmanager
def atomic(path: Path | str, mode: str = "wb") -> Iterator[IO[Any]]:
    """Open ``path`` for writing so that it holds either its old content or all of the new one.

    Written beside it, flushed to the disk, then renamed over it; on any error the temporary file goes away.
    A link is followed; what is no regular file (``/dev/stdout``, a pipe) is written to directly.

    Raises:
        RunError: the folder cannot be written or the disk is full.
    """
    path = Path(path)
    text: dict[str, Any] = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    temporary: str | None = None
    try:
        if path.exists() and not path.is_file() and not path.is_dir():
            with open(path, mode, **text) as file, _body(path):
                yield file
            return
        path = Path(os.path.realpath(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        with os.fdopen(handle, mode, **text) as file:
            with _body(temporary):
                yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        temporary = None
        sync_folder(path.parent)
    except OSError as error:
        raise _run_error(error, path) from error
    except _Foreign as carried:
        raise carried.error from None
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` durable (where the system can)."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems know no such thing for folders.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


@contextlib.contextmanager
def atomic_folder(path: Path | str) -> Iterator[Path]:
    """Build a folder beside ``path`` and put it in its place when it is whole; an old one is replaced.

    Raises:
        RunError: the place cannot be written or the disk is full; what was at ``path`` is still there.
    """
    path = Path(os.path.realpath(path))
    building: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp"))
        os.chmod(building, 0o777 & ~_umask())
        with _body(building):
            yield building
        _sync_tree(building)
        _put(building, path)
        building = None
        sync_folder(path.parent)
    except OSError as error:
        raise _run_error(error, path) from error
    except _Foreign as carried:
        raise carried.error from None
    finally:
        if building is not None:
            shutil.rmtree(building, ignore_errors=True)


def _sync_tree(folder: Path) -> None:
    """Flush every file below ``folder`` to the disk, before a rename makes them count."""
    mode = "rb" if os.name == "posix" else "rb+"  # Windows flushes only what may be written
    for here, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(here, name), mode) as file:
                os.fsync(file.fileno())
        sync_folder(Path(here))


def _put(building: Path, path: Path) -> None:
    """Rename ``building`` to ``path``; what was there steps aside first and comes back if that fails."""
    if not path.exists():
        os.replace(building, path)
        return
    aside = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".old"))
    try:
        os.replace(path, aside / path.name)
        try:
            os.replace(building, path)
        except BaseException:
            os.replace(aside / path.name, path)
            raise
    except BaseException:
        # Only when it is empty: what could not come back must not be deleted.
        with contextlib.suppress(OSError):
            aside.rmdir()
        raise
    shutil.rmtree(aside, ignore_errors=True)


def write_json(path: Path | str, value: object, *, indent: int | None = 2) -> None:
    """Write ``value`` as JSON, atomically, UTF-8, with a final newline; NaN and infinity are refused."""
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    with atomic(path, "w") as file:
        file.write(text + "\n")


def read_json(path: Path | str, error: type[DataError] = DataError, *, hint: str | None = None) -> Any:
    """Read a JSON file; whatever is wrong with it becomes one clear ``error``.

    Args:
        hint: what to do about it.
    """
    path = Path(path)
    where = str(path)
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        problem = "no such file"
    except UnicodeDecodeError as bad:
        problem = f"not UTF-8 (byte {bad.start})"
    except json.JSONDecodeError as bad:
        problem, where = f"broken JSON: {bad.msg}, column {bad.colno}", f"{path}:{bad.lineno}"
    except OSError as bad:
        problem = f"cannot read: {(bad.strerror or str(bad)).lower()}"
    except RecursionError:
        problem = "broken JSON: nested too deep"
    except ValueError as bad:  # an integer of thousands of digits
        problem = f"broken JSON: {bad}"
    raise error(problem, where=where, hint=hint)


def read_object(path: Path | str, error: type[DataError] = DataError) -> dict[str, Any]:
    """Read a JSON file that holds an object."""
    value = read_json(path, error)
    if not isinstance(value, dict):
        raise error("does not hold a JSON object", where=str(path))
    return value


def sha256(path: Path | str) -> str:
    """The SHA-256 of a file's bytes, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_bytes(path: Path | str) -> IO[bytes]:
    """Open for reading: standard input for ``-``, through gzip where the name ends in ``.gz``.

    Raises:
        DataError: the file is missing or cannot be read.
    """
    if str(path) == STDIN:
        return sys.stdin.buffer
    try:
        if str(path).endswith(".gz"):
            return gzip.open(path, "rb")  # type: ignore[return-value]
        return open(path, "rb")
    except FileNotFoundError:
        parent = Path(path).parent
        hint = None if parent.is_dir() else f"the folder {parent} does not exist"
        raise DataError("no such file", where=str(path), hint=hint) from None
    except OSError as bad:
        raise DataError(f"cannot read: {(bad.strerror or str(bad)).lower()}", where=str(path)) from None


def cache_folder() -> Path:
    """Where encoded corpora are kept: ``$LINNAEA_CACHE``, else the user's cache folder."""
    chosen = os.environ.get("LINNAEA_CACHE")
    if chosen:
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "linnaea"
    except RuntimeError:  # a user without a home, as in some containers
        return Path(tempfile.gettempdir()) / "linnaea"


def extra(name: str, what: str, load: Callable[[], Any]) -> Any:
    """Load an optional package, or say which pip line brings it."""
    try:
        return load()
    except ImportError as bad:
        raise MissingExtraError.for_extra(name, what) from bad
