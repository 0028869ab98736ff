"""The run folder: the names of what lies in it, and who may write there."""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from linnaea.errors import UsageError

LOCK = ".lock"
_TEMPORARY = re.compile(r"\..+\.tmp")  # as ``atomic`` calls them


@dataclass(frozen=True)
class RunFolder:
    """The names of the files in a run folder."""

    path: Path

    config = property(lambda self: self.path / "config.json")
    history = property(lambda self: self.path / "history.jsonl")
    log = property(lambda self: self.path / "log.txt")
    checkpoints = property(lambda self: self.path / "checkpoints")
    model = property(lambda self: self.path / "model")
    metrics = property(lambda self: self.path / "metrics.json")
    predictions = property(lambda self: self.path / "predictions.jsonl")
    outcome = property(lambda self: self.path / "outcome.safetensors")
    quotes = property(lambda self: self.path / "quotes.jsonl")
    report = property(lambda self: self.path / "report.html")
    growth = property(lambda self: self.path / "growth.json")
    baseline = property(lambda self: RunFolder(self.path / "baseline"))
    quarantine = property(lambda self: self.path / "quarantine.jsonl")

    @classmethod
    def create(cls, path: Path, *, resume: bool, overwrite: bool) -> RunFolder:
        """Make the folder, or take an existing one for ``resume``; ``overwrite`` empties it.

        Raises:
            UsageError: it exists and neither was asked for; nothing to resume; not a run folder.
        """
        folder = cls(path)
        folder._refuse(resume=resume, overwrite=overwrite)
        folder._make(empty=overwrite)
        return folder

    @classmethod
    @contextlib.contextmanager
    def open(cls, path: Path, *, resume: bool, overwrite: bool) -> Iterator[RunFolder]:
        """``create``, and keep other runs out while it is open. A new folder in which nothing began goes away again.

        Raises:
            UsageError: as ``create``; or another run is writing there.
        """
        folder = cls(path)
        folder._refuse(resume=resume, overwrite=overwrite)
        new, made = not folder._inside(), not path.exists()
        folder._make(empty=False)
        lock = FileLock(path / LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            hint = "wait for it, or give another run.dir"
            raise UsageError("another run is writing here", where=str(path), hint=hint) from None
        try:
            folder._make(empty=overwrite)
            yield folder
        finally:
            if (new or overwrite) and not folder.begun:
                folder.config.unlink(missing_ok=True)
                if folder.checkpoints.is_dir():
                    folder.checkpoints.rmdir()
            with contextlib.suppress(OSError):
                (path / LOCK).unlink()
            lock.release()
            if made and not any(path.iterdir()):
                path.rmdir()

    @property
    def begun(self) -> bool:
        """Whether something stands here that was worth computing, or that is not ours."""
        own = (self.config.name, self.quarantine.name)
        left = [item for item in self._inside() if item.name not in own]
        return any(item != self.checkpoints or not item.is_dir() or any(item.iterdir()) for item in left)

    def _inside(self, *, begun: bool = False) -> list[Path]:
        """What stands here, but for the lock and, unless ``begun``, for files that a killed process was writing."""
        found = self.path.iterdir() if self.path.is_dir() else ()
        return [
            item for item in found if item.name != LOCK and (begun or not _TEMPORARY.fullmatch(item.name))
        ]

    def _refuse(self, *, resume: bool, overwrite: bool) -> None:
        """Refuse a place that holds something nobody asked to continue or to replace."""
        path, place = self.path, str(self.path)
        if path.exists() and not path.is_dir():
            raise UsageError("is a file, not a folder", where=place)
        if resume and not self.config.exists():
            raise UsageError("nothing to resume here", where=place, hint="leave --resume out to start it")
        if resume or all(item == self.quarantine for item in self._inside()):
            return
        if not overwrite:
            hint = "give --resume to go on, --overwrite to start again, or another run.dir"
            raise UsageError("exists already", where=place, hint=hint)
        if not self.config.exists():
            raise UsageError("is not a run folder, so it is not overwritten", where=place)

    def _make(self, *, empty: bool) -> None:
        """Make the folder where it is missing, see that it can be written, and empty it if asked."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                pass
            # The config goes last, so that a removal that was cut short can be asked for again.
            for item in (
                sorted(self._inside(begun=True), key=lambda item: item == self.config) if empty else ()
            ):
                if item.is_dir() and not item.is_symlink():
                    shutil.rmtree(item)
                else:
                    item.unlink()
        except OSError as bad:
            problem = f"cannot write here: {(bad.strerror or str(bad)).lower()}"
            raise UsageError(problem, where=str(self.path)) from None
