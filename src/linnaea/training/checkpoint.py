"""Checkpoints: the state of a training run on disk, so that a process killed at any moment loses time only.

In the folder of a run:
    step-00000120/state.safetensors     weights, optimiser state, states of the random generators
    step-00000120/checkpoint.json       everything else, and the SHA-256 of every file (its own included)
    best-00000003/weights.safetensors   the best weights so far (of epoch 3), shared by later checkpoints

A step that is written twice, or a best epoch found again, gets ``.1`` at its end: nothing is written over.

Every folder is built beside its place, flushed to the disk, then renamed, so it is there as a whole or not at
all; best goes before the checkpoint that names it. The last two checkpoints and their best weights are kept.
Reading checks every hash: an altered checkpoint is passed over for the one before it. Nothing here can
execute code: JSON and safetensors only.

Writing happens in a thread, from copies; its errors are raised at the next ``save`` or ``wait``.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from linnaea.errors import ConfigError, ModelError, RunError
from linnaea.files import atomic_folder, read_json, sha256, sync_folder, write_json

FORMAT = 1
STATE, FACTS, WEIGHTS = "state.safetensors", "checkpoint.json", "weights.safetensors"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The state of a run after a step.

    Attributes:
        facts: JSON values; ``None`` for not finite numbers.
        tensors: on the CPU, by name; nobody changes them once they are here.
        best: weights of the best epoch so far, where they are not among ``tensors``.
        best_epoch: 0 without ``best``.
    """

    step: int
    facts: dict[str, Any]
    tensors: dict[str, Tensor]
    best: dict[str, Tensor] | None = None
    best_epoch: int = 0

    def part(self, name: str) -> dict[str, Tensor]:
        """The tensors whose names start with ``name/``, without it."""
        start = f"{name}/"
        return {key[len(start) :]: tensor for key, tensor in self.tensors.items() if key.startswith(start)}


class Checkpoints:
    """The checkpoints of one run. One process writes; all may read.

    Args:
        folder: theirs alone; made when first needed.
        background: write in a thread.
    """

    def __init__(self, folder: Path, *, background: bool = True) -> None:
        self.folder = folder
        self.background = background
        self._kept: list[
            tuple[Path, Path | None]
        ] = []  # checkpoints on disk, newest first, with their best weights
        self._best_sums: dict[Path, str] = {}
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def clear(self) -> None:
        """Remove everything: a run begins."""
        self._remove(self._entries())
        self._kept, self._best_sums = [], {}

    def tidy(self) -> None:
        """Remove what a killed process left half-built."""
        self._remove([path for path in self._entries() if path.name.startswith(".")])

    def save(self, checkpoint: Checkpoint, *, last: bool = False) -> None:
        """Write ``checkpoint``, and drop the ones that are not needed any more (``last``: all others).

        Raises:
            RunError: this or the writing before it failed; the checkpoints before are as they were.
        """
        self.wait()
        if not self.background:
            self._write(checkpoint, last)
            return

        def work() -> None:
            try:
                self._write(checkpoint, last)
            except BaseException as error:
                self._error = error

        self._thread = threading.Thread(target=work, name="linnaea-checkpoint", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Return when all is written.

        Raises:
            RunError: writing failed.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def latest(self) -> Checkpoint | None:
        """The newest checkpoint that is whole; None where there is none at all.

        Raises:
            ModelError: there are checkpoints, but none is whole; the message is the newest one's problem.
        """
        problems: list[ModelError] = []
        for path in sorted(self.folder.glob("step-*"), reverse=True):
            try:
                checkpoint, best = self._read(path)
            except ModelError as problem:
                problems.append(problem)
                continue
            self._kept = [(path, best)]
            return checkpoint
        if problems:
            first = problems[0]
            raise ModelError(
                first.message,
                where=first.where,
                hint=first.hint or "no checkpoint is whole: train again from the start",
            )
        return None

    def _write(self, checkpoint: Checkpoint, last: bool) -> None:
        best = None if checkpoint.best is None else self._write_best(checkpoint.best, checkpoint.best_epoch)
        path = self._free(f"step-{checkpoint.step:08d}")
        with _building(path) as folder:
            value = {
                "format": FORMAT,
                "step": checkpoint.step,
                "facts": checkpoint.facts,
                "state": _write_tensors(folder / STATE, checkpoint.tensors),
                "best": None
                if best is None
                else {"epoch": checkpoint.best_epoch, "folder": best.name, "weights": self._best_sums[best]},
            }
            write_json(folder / FACTS, {**value, "sha256": _digest(value)})
        self._kept = [(path, best), *([] if last else self._kept[:1])]
        needed = {place for pair in self._kept for place in pair if place is not None}
        self._remove([entry for entry in self._entries() if entry not in needed])
        self._best_sums = {place: digest for place, digest in self._best_sums.items() if place in needed}

    def _write_best(self, weights: dict[str, Tensor], epoch: int) -> Path:
        """Write the best weights, unless the checkpoint before has them too."""
        start = f"best-{epoch:08d}"
        known = [path for path in self._best_sums if path.name.startswith(start)]
        if known:
            return known[-1]
        path = self._free(start)
        with _building(path) as folder:
            digest = _write_tensors(folder / WEIGHTS, weights)
        self._best_sums[path] = digest
        return path

    def _free(self, name: str) -> Path:
        """A place for ``name``. Nothing is written over what is there: a failure would lose both."""
        path, number = self.folder / name, 0
        while path.exists():
            number += 1
            path = self.folder / f"{name}.{number}"
        return path

    def _read(self, path: Path) -> tuple[Checkpoint, Path | None]:
        where = str(path)
        value = read_json(path / FACTS, ModelError)
        digest = value.pop("sha256", None) if isinstance(value, dict) else None
        if digest is None or digest != _digest(value):
            raise ModelError("this checkpoint was altered: its hash does not fit", where=str(path / FACTS))
        if value["format"] > FORMAT:
            problem = f"this checkpoint has format {value['format']}, known is {FORMAT}"
            raise ModelError(problem, where=where, hint="update linnaea")
        tensors = _read_tensors(path / STATE, value["state"])
        if value["best"] is None:
            return Checkpoint(value["step"], value["facts"], tensors), None
        best = self.folder / value["best"]["folder"]
        weights = _read_tensors(best / WEIGHTS, value["best"]["weights"])
        self._best_sums = {best: value["best"]["weights"]}
        return Checkpoint(value["step"], value["facts"], tensors, weights, value["best"]["epoch"]), best

    def _entries(self) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return [p for p in self.folder.iterdir() if p.name.lstrip(".").startswith(("step-", "best-"))]

    def _remove(self, paths: list[Path]) -> None:
        for path in paths:
            # First out of the way under a name that is never read, so that a kill in between leaves no half
            # checkpoint.
            aside = path if path.name.startswith(".") else path.with_name(f".{path.name}.old")
            with contextlib.suppress(OSError):
                if aside != path:
                    shutil.rmtree(aside, ignore_errors=True)
                    os.replace(path, aside)
                shutil.rmtree(aside, ignore_errors=True)


@contextlib.contextmanager
def _building(path: Path) -> Iterator[Path]:
    """A folder that is put in its place when it is whole and on the disk."""
    try:
        with atomic_folder(path) as folder:
            yield folder
            sync_folder(folder)
    except SafetensorError as bad:
        raise RunError(f"cannot write: {bad}", where=str(path), hint="nothing was left half written") from bad


def _write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> str:
    """Write and flush; the file's SHA-256."""
    safetensors.torch.save_file(dict(tensors), path)
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    return sha256(path)


def _read_tensors(path: Path, digest: str) -> dict[str, Tensor]:
    try:
        if sha256(path) != digest:
            raise ModelError("this checkpoint was altered: its hash does not fit", where=str(path))
        # Copies: they lie aligned as fresh tensors do, and outlive the file.
        return {name: tensor.clone() for name, tensor in safetensors.torch.load_file(path).items()}
    except OSError as bad:
        raise ModelError(f"cannot read: {(bad.strerror or str(bad)).lower()}", where=str(path)) from None
    except SafetensorError as bad:
        raise ModelError(f"not a safetensors file: {bad}", where=str(path)) from None


def _digest(value: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def refuse_another_run(before: Mapping[str, Any], now: Mapping[str, Any], where: str) -> None:
    """Compare what identifies the run of a checkpoint with the present one.

    Raises:
        ConfigError: they differ; the message names the first difference.
    """
    old, new = _flat(json.loads(json.dumps(before))), _flat(json.loads(json.dumps(now)))
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key):
            was, has = _short(old.get(key)), _short(new.get(key))
            raise ConfigError(
                f"the checkpoint is of another run: {key} was {was}, now it is {has}",
                where=where, hint="resume with what the run began with, or start a new one",
            )  # fmt: skip


def _flat(value: Any, start: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {start: value}
    return {
        k: v
        for key, inner in value.items()
        for k, v in _flat(inner, f"{start}.{key}" if start else str(key)).items()
    }


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."
