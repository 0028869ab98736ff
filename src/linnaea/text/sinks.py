"""Sinks: where arrays go that are made piece by piece: into memory, or into files to be mapped."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import IO, Protocol

import numpy as np


class Sink(Protocol):
    """Takes arrays piece by piece: into memory, or into files."""

    def append(self, name: str, piece: np.ndarray) -> None:
        """Add ``piece`` to the array ``name``; a name has one dtype."""


class Memory:
    """A sink that keeps the pieces."""

    def __init__(self) -> None:
        self._pieces: dict[str, list[np.ndarray]] = {}

    def append(self, name: str, piece: np.ndarray) -> None:
        self._pieces.setdefault(name, []).append(piece)

    def __getitem__(self, name: str) -> np.ndarray:
        pieces = self._pieces[name]
        if len(pieces) > 1:
            self._pieces[name] = pieces = [np.concatenate(pieces)]
        return pieces[0]


class Folder:
    """A sink of ``.npy`` files that grow; their headers are written last."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._files: dict[str, IO[bytes]] = {}
        self._shapes: dict[str, tuple[int, np.dtype]] = {}

    def append(self, name: str, piece: np.ndarray) -> None:
        if name not in self._files:
            self._files[name] = open(self.path / f"{name}.npy", "wb")  # noqa: SIM115 - closed in close()
            self._shapes[name] = (0, piece.dtype)
            self._header(name)
        length, dtype = self._shapes[name]
        self._files[name].write(np.ascontiguousarray(piece, dtype=dtype).tobytes())
        self._shapes[name] = (length + len(piece), dtype)

    def _header(self, name: str) -> None:
        length, dtype = self._shapes[name]
        value = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": (length,)}
        # NumPy pads the header, so that a larger length takes the same room.
        np.lib.format.write_array_header_1_0(self._files[name], value)

    def finish(self) -> None:
        """Write the headers."""
        for name, file in self._files.items():
            file.seek(0)
            self._header(name)
            file.flush()

    def close(self) -> None:
        for file in self._files.values():
            with contextlib.suppress(OSError):
                file.close()
