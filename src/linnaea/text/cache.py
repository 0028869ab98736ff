"""Cache: the columns of corpus files on disk, memory-mapped, made once for each content and way of cutting.

The key is a hash of what the files hold, how they are read (format, field names) and how text is cut;
vocabularies, lengths and the taxonomy are no part of it. A store is built in a temporary folder beside its
place, under a lock, and renamed when it is whole: two runs that need it at once build it once, and a run that
dies leaves nothing that is taken for a store. Opening checks size and CRC-32 of every file, so a damaged
store is built again. What was left out while reading is kept with it, so that every run hears of it. Where
the cache cannot be written, and under ``data.cache: false``, the store lies in a temporary folder that is
gone with the process, or in memory if there is no such place either.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
import weakref
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock

from linnaea import __version__
from linnaea.config.task import PretrainedTokenizerConfig
from linnaea.corpus.document import Origin
from linnaea.corpus.policy import DocumentError, ErrorPolicy
from linnaea.corpus.readers import Ids, read_chunks
from linnaea.errors import DataError, RunError
from linnaea.files import STDIN, atomic_folder, cache_folder, read_json, sha256, write_json
from linnaea.text import tokenizers
from linnaea.text.columns import Assembler, Columns, opened
from linnaea.text.leftout import RawLines, record, records
from linnaea.text.pretrained import read_pieces
from linnaea.text.sinks import Folder, Memory, Sink
from linnaea.text.workers import Job, encode_chunks, worker_count

FORMAT = 2
Progress = Callable[..., object]
Warn = Callable[[str], object]


@dataclass(frozen=True)
class Source:
    """What is read and how: everything that a store depends on.

    Attributes:
        files: of one split, in order.
        split: its name, for messages.
    """

    files: tuple[str, ...]
    job: Job
    split: str = "documents"

    def key(self) -> str:
        """Hash of content and settings, in hex."""
        job = self.job
        about = {
            "format": FORMAT,
            "linnaea": __version__,
            "contents": [sha256(file) for file in self.files],
            "suffixes": ["".join(Path(file).suffixes[-2:]).lower() for file in self.files],
            "reading": job.data.model_dump(mode="json", include={"format", "fields", "label_delimiter"}),
            "labels": job.need_labels,
            "columns": list(job.columns),
            "tokenizer": [job.input.tokenizer.type, _settings(job), _code(job)],
            "numbers": [sys.byteorder, "int32"],
        }
        return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:40]


def _settings(job: Job) -> object:
    """The tokenizer's settings; of a pretrained one its content, wherever it lies."""
    tokenizer = job.input.tokenizer
    if isinstance(tokenizer, PretrainedTokenizerConfig):
        return read_pieces(tokenizer).digest
    return tokenizer.model_dump(mode="json")


def _code(job: Job) -> object:
    """What tells one version of a tokenizer from another: our number, or a plug-in's source."""
    module = type(job.input.tokenizer).__module__
    if module.startswith("linnaea."):
        return tokenizers.VERSION
    file = getattr(sys.modules.get(module), "__file__", None)
    return sha256(file) if file is not None and Path(file).is_file() else module


@dataclass(frozen=True, eq=False)
class Store:
    """Columns, with the records of what was left out when they were made."""

    columns: Columns
    left_out: bytes
    count: int


def load(
    source: Source, policy: ErrorPolicy, progress: Progress | None = None, warn: Warn | None = None
) -> Columns:
    """The columns of ``source``, from the cache where it has them.

    Args:
        policy: hears of every document and of those left out.
        progress: hears ``(what, done, total)``.
        warn: hears why the cache could not be used.

    Raises:
        DataError: a file or a document is broken, as ``policy`` says; no document is left.
        RunError: a reading process died.
    """
    warn = warn or (lambda _: None)
    build = _Build(source, policy, progress or (lambda *_: None))
    if STDIN in source.files:
        store = build.in_memory()
    elif source.job.data.cache and all(Path(file).is_file() for file in source.files):
        store = _cached(build, warn)
    else:
        store = build.aside()
    _tell(store, policy, source.files)
    return store.columns


def _tell(store: Store, policy: ErrorPolicy, files: Sequence[str]) -> None:
    policy.documents += len(store.columns) + store.count
    with RawLines() as lines:
        for error, origin in records(store.left_out, files):
            policy.handle(error, lines.read(origin) if policy.mode == "quarantine" else None)
    if not len(store.columns) and policy.mode != "collect":
        said = f": {policy.message()}" if store.count else ""
        raise DataError(f"no document is left{said}", where=", ".join(files))


def _cached(build: _Build, warn: Warn) -> Store:
    folder = cache_folder() / "store"
    lock = None
    try:
        folder /= build.source.key()
        store = _opened(folder, build.source.files)
        if store is not None:
            return store
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{folder}.lock")
        lock.acquire()
        # Another run may have built it while this one waited.
        store = _opened(folder, build.source.files)
        if store is None:
            for remains in folder.parent.glob(f".{folder.name}.*"):
                shutil.rmtree(
                    remains, ignore_errors=True
                )  # of a killed run: under the lock nobody is at work here
            with atomic_folder(folder) as building:
                build.into(building)
            store = _opened(folder, build.source.files)
        if store is not None:
            return store
        warn(f"the encoded corpus cannot be kept: {folder} does not hold what was written")
    except (OSError, NotImplementedError, RunError) as bad:
        reason = _disk_trouble(bad)
        if reason is None:
            raise
        warn(f"the encoded corpus cannot be kept in {folder.parent}: {reason}")
    finally:
        if lock is not None:
            lock.release()
    return build.aside()


def _disk_trouble(bad: Exception) -> str | None:
    """Why the disk cannot be used; None: something else went wrong."""
    cause = bad.__cause__ if isinstance(bad, RunError) else bad
    if isinstance(cause, OSError):
        return (cause.strerror or str(cause)).lower()
    return "locks do not work here" if isinstance(cause, NotImplementedError) else None


def _crc(path: Path) -> int:
    value = 0
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            value = zlib.crc32(block, value)
    return value


def _opened(folder: Path, files: Sequence[str]) -> Store | None:
    """The store in ``folder``; None where there is none, or a damaged one."""
    try:
        about = read_json(folder / "store.json")
        for name, (size, crc) in about["files"].items():
            if (folder / name).stat().st_size != size or _crc(folder / name) != crc:
                return None

        def array(name: str) -> np.ndarray:
            return np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False))

        order = [files[i] for i in about["order"]]
        columns = opened(array, about["columns"], order, int(about["ready"]))
        return Store(columns, (folder / "left_out.jsonl").read_bytes(), int(about["left_out"]))
    except (DataError, OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):
        return None


class _Build:
    """Reads and encodes a source, into a folder or into memory."""

    def __init__(self, source: Source, policy: ErrorPolicy, progress: Progress) -> None:
        self.source, self._policy, self._progress = source, policy, progress

    def into(self, folder: Path) -> None:
        """Write the store into ``folder``, ``store.json`` last."""
        sink = Folder(folder)
        try:
            with open(folder / "left_out.jsonl", "wb") as left_out:
                done, count = self._run(sink, left_out.write)
            sink.finish()
        finally:
            sink.close()
        names = sorted(path.name for path in folder.iterdir())
        about = {
            "format": FORMAT,
            "columns": list(self.source.job.columns),
            "order": [self.source.files.index(file) for file in done.files],
            "ready": done.ready,
            "left_out": count,
            "files": {name: [(folder / name).stat().st_size, _crc(folder / name)] for name in names},
        }
        write_json(folder / "store.json", about)

    def aside(self) -> Store:
        """A store outside the cache: in a temporary folder, or in memory if that cannot be written."""
        place: Path | None = None
        try:
            place = Path(tempfile.mkdtemp(prefix="linnaea-"))
            self.into(place)
            store = _opened(place, self.source.files)
            if store is not None:
                if (
                    os.name == "nt"
                ):  # an open file cannot be removed there: it goes when nobody needs it any more
                    weakref.finalize(store.columns, shutil.rmtree, place, ignore_errors=True)
                    place = None
                return store
        except (OSError, RunError) as bad:
            if _disk_trouble(bad) is None:
                raise
        finally:
            if place is not None:
                shutil.rmtree(place, ignore_errors=True)
        return self.in_memory()

    def in_memory(self) -> Store:
        memory, left_out = Memory(), bytearray()
        done, count = self._run(memory, left_out.extend)
        columns = opened(memory.__getitem__, self.source.job.columns, done.files, done.ready)
        return Store(columns, bytes(left_out), count)

    def _run(self, sink: Sink, left_out: Callable[[bytes], object]) -> tuple[Assembler, int]:
        """Encode everything: what put it together, and how many documents were left out."""
        source, job = self.source, self.source.job
        assembler, ids, count = Assembler(job.columns, sink), Ids(), 0
        what, workers = f"reading {source.split}", worker_count(job.data, job.input, source.files)
        for chunk, broken in encode_chunks(read_chunks(source.files, job.data, self._policy), job, workers):
            kept: list[int] = []
            problems = [(error, -1) for error in broken]
            for row, (file, line, offset) in enumerate(chunk.places.tolist()):
                try:
                    chunk.ids[row] = ids.number(chunk.ids[row], Origin(chunk.files[file], line, offset))
                    kept.append(row)
                except DocumentError as double:
                    problems.append((double, offset))
            for error, offset in sorted(problems, key=lambda problem: _line(problem[0])):
                if self._policy.mode == "raise":
                    raise error
                left_out(record(error, source.files, offset))
            count += len(problems)
            assembler.add(chunk if len(kept) == len(chunk) else chunk.take(np.array(kept, dtype=np.int64)))
            self._progress(what, len(ids))
        assembler.finish()
        self._progress(what, len(ids), len(ids))
        return assembler, count


def _line(error: DataError) -> int:
    line = (error.where or "").rpartition(":")[2]
    return int(line) if line.isdecimal() else 0
