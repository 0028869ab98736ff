"""StudyFolder: the names in a study folder, and which config, space and documents it is of."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout

from linnaea.config.space import Space
from linnaea.errors import DataError, RunError, UsageError
from linnaea.files import read_json, sha256, write_json
from linnaea.tuning.candidates import Candidates


@dataclass(frozen=True)
class StudyFolder:
    """The names of the files in a study folder."""

    path: Path

    about = property(lambda self: self.path / "tune.json")
    database = property(lambda self: self.path / "study.db")
    trials = property(lambda self: self.path / "trials")
    best = property(lambda self: self.path / "best.json")
    study = property(lambda self: self.path / "study.json")
    page = property(lambda self: self.path / "study.html")
    lock = property(lambda self: self.path / ".lock")

    def trial_lock(self, place: int) -> Path:
        return Path(self.trials / f"{place}.lock")

    def refuse(self, *, resume: bool, overwrite: bool) -> None:
        """Refuse a place that holds something nobody asked to go on with or to replace.

        Raises:
            UsageError: it exists and neither was asked for; nothing to resume; no study folder.
        """
        path, place, ours = self.path, str(self.path), self.about.exists()
        if path.exists() and not path.is_dir():
            raise UsageError("is a file, not a folder", where=place)
        if resume and not ours:
            raise UsageError(
                "there is no study to resume", where=place, hint="leave --resume out to begin one"
            )
        if resume or not path.is_dir() or not self._inside():
            return
        if not overwrite:
            hint = "give --resume to go on, --overwrite to start again, or another --study"
            raise UsageError("exists already", where=place, hint=hint)
        if not ours:
            raise UsageError("is not a study folder, so it is not overwritten", where=place)

    def begin(self, about: About, *, resume: bool, overwrite: bool) -> None:
        """Make the folder, or empty it if asked, and write what the study is of.

        Raises:
            UsageError: another command began one here meanwhile, or is at work on the one to be replaced.
            RunError: the folder cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as bad:
            problem = f"cannot write: {(bad.strerror or str(bad)).lower()}"
            raise RunError(problem, where=str(self.path)) from None
        with FileLock(self.lock):
            if overwrite and self.about.exists():
                if self._busy():
                    hint = "wait for it, or give another --study"
                    raise UsageError("a command is at work on this study", where=str(self.path), hint=hint)
                self._empty()
            self.refuse(resume=resume, overwrite=False)
            about.write(self)

    def _busy(self) -> bool:
        """Whether some process runs a trial."""
        for path in self.trials.glob("*.lock"):
            lock = FileLock(path)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                return True
            lock.release()
        return False

    def _empty(self) -> None:
        """Remove what stands here, what tells that it is a study last."""
        for item in sorted(self._inside(), key=lambda item: item == self.about):
            if item.is_dir() and not item.is_symlink():
                shutil.rmtree(item)
            else:
                item.unlink()

    def _inside(self) -> list[Path]:
        return [item for item in self.path.iterdir() if item != self.lock]


@dataclass(frozen=True)
class About:
    """What a study is of; in ``tune.json``.

    Attributes:
        config: the file, or how else to call it.
        metric: what is made best.
    """

    candidates: Candidates
    metric: str
    config: str

    @classmethod
    def read(cls, folder: StudyFolder) -> Self:
        """What ``write`` wrote.

        Raises:
            DataError: the file is missing or broken.
        """
        value = read_json(folder.about)
        try:
            space = Space.of(value["space"], place=value["place"])
            candidates = Candidates(value["written"], Path(value["folder"]), space)
            return cls(candidates, value["metric"], value["config"])
        except (KeyError, TypeError):
            raise DataError("is no description of a study", where=str(folder.about)) from None

    def write(self, folder: StudyFolder) -> None:
        write_json(
            folder.about,
            {
                "config": self.config,
                "metric": self.metric,
                "space": self.candidates.space.to_json(),
                "place": self.candidates.space.place,
                "written": self.candidates.written,
                "folder": str(self.candidates.folder),
                "identity": self.identity(),
            },
        )

    def identity(self) -> dict[str, Any]:
        """All that values depend on; with another one they cannot be compared."""
        value = self.candidates.base.dump()
        config = self.candidates.base
        files = {split: config.data.files(split) for split in ("train", "dev")}
        files["taxonomy"] = [] if config.task.taxonomy is None else [config.task.taxonomy]
        for part, keys in {
            "data": ("train", "dev", "workers", "cache"),
            "task": ("taxonomy",),
            "run": ("dir", "threads", "listeners"),
            "evaluation": tuple(key for key in value["evaluation"] if key != "keep"),
        }.items():
            for key in keys:
                value[part].pop(key, None)
        hashes = {name: [_hash(path) for path in paths] for name, paths in files.items()}
        space = self.candidates.space.to_json()
        return {"config": value, "space": space, "measure": self.metric, "documents": hashes}

    def check(self, folder: StudyFolder) -> None:
        """Refuse to go on with a study of something else.

        Raises:
            UsageError: it is of another config, space or measure, or of other documents.
        """
        before, now = read_json(folder.about).get("identity", {}), self.identity()
        for what, mine in now.items():
            theirs = before.get(what)
            if theirs == mine:
                continue
            if what == "measure":
                differs = f" ({theirs}, not {mine})"
            else:
                differs = f": {_differing(theirs, mine, deep=what == 'config')}"
            hint = "resume with what it began with, or give another --study"
            problem = f"is a study of {'other' if what == 'documents' else 'another'} {what}{differs}"
            raise UsageError(problem, where=str(folder.path), hint=hint)


def _hash(path: str) -> str:
    try:
        return sha256(path)
    except OSError as bad:
        raise DataError(f"cannot read: {(bad.strerror or str(bad)).lower()}", where=path) from None


def _differing(before: Any, now: Any, *, deep: bool) -> str:
    """The keys that differ, ``deep``: down to the innermost objects that both sides have."""
    found = []
    for key in sorted({*before, *now} if isinstance(before, dict) else now):
        theirs = before.get(key) if isinstance(before, dict) else None
        mine = now.get(key)
        if theirs == mine:
            continue
        inner = deep and isinstance(theirs, dict) and isinstance(mine, dict)
        found += (
            [f"{key}.{name}" for name in _differing(theirs, mine, deep=True).split(", ")] if inner else [key]
        )
    return ", ".join(found)
