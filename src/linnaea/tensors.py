"""Tensors: arrays in a safetensors file, weights of a model or the outcome of a run, checked when read. numpy only."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from linnaea.errors import ModelError, RunError


def write_tensors(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Write ``tensors`` to a file in a model folder, which as a whole appears or does not.

    Raises:
        RunError: the disk is full, or the folder cannot be written.
    """
    # numpy's ascontiguousarray makes a number of no dimension one of one.
    dense = {n: t if t.flags.c_contiguous else np.ascontiguousarray(t) for n, t in tensors.items()}
    try:
        path.touch()
        mode = path.stat().st_mode
        save_file(dense, path)
        path.chmod(mode)  # safetensors leaves a file that nobody else may read
    except (SafetensorError, OSError) as bad:
        raise RunError(f"cannot write: {bad}", where=str(path)) from bad


class Tensors:
    """The tensors of a file, taken out one by one."""

    def __init__(self, path: Path, tensors: dict[str, np.ndarray]) -> None:
        self.path, self._left = path, tensors

    def error(self, problem: str) -> ModelError:
        """An error about this file."""
        return ModelError(problem, where=str(self.path))

    def take(
        self, name: str, dtype: np.dtype | type, shape: tuple[int | None, ...], *, infinite: bool = False
    ) -> np.ndarray:
        """The tensor ``name``; None in ``shape`` stands for any length.

        Args:
            infinite: an infinite number is a value like others.

        Raises:
            ModelError: missing, of another type or shape, or not finite.
        """
        tensor = self._left.pop(name, None)
        if tensor is None:
            raise self.error(f"holds no tensor {name!r}")
        found = tensor.shape
        fits = len(shape) == len(found) and all(n in (None, m) for n, m in zip(shape, found, strict=True))
        if tensor.dtype != dtype or not fits:
            wanted = "x".join("?" if n is None else str(n) for n in shape)
            had = "x".join(map(str, found))
            raise self.error(f"{name} is {tensor.dtype} {had}, not {np.dtype(dtype)} {wanted}")
        if tensor.dtype.kind == "f" and not (~np.isnan(tensor) if infinite else np.isfinite(tensor)).all():
            raise self.error(f"{name} is not finite")
        return tensor

    @property
    def names(self) -> list[str]:
        """Of the tensors that nobody took yet."""
        return sorted(self._left)

    def end(self) -> None:
        """Check that nothing is left over.

        Raises:
            ModelError: there are tensors that nobody asked for.
        """
        if self._left:
            raise self.error(f"holds unknown tensors: {', '.join(sorted(self._left)[:5])}")


def read_tensors(path: Path) -> Tensors:
    """Read a safetensors file, to take tensors out one by one.

    Raises:
        ModelError: missing, truncated or not of this format.
    """
    return Tensors(path, read_all(path))


def read_all(path: Path) -> dict[str, np.ndarray]:
    """Read a safetensors file.

    Raises:
        ModelError: missing, truncated or not of this format.
    """
    try:
        return load_file(path)
    except FileNotFoundError:
        raise ModelError("no such file", where=str(path)) from None
    except (SafetensorError, OSError, ValueError, KeyError) as bad:
        raise ModelError(f"cannot be read as safetensors: {bad}", where=str(path)) from None


def read_about(path: Path) -> dict[str, str]:
    """The strings that stand beside the tensors of a safetensors file; none is an empty dictionary.

    Raises:
        ModelError: missing, truncated or not of this format.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            return dict(file.metadata() or {})
    except FileNotFoundError:
        raise ModelError("no such file", where=str(path)) from None
    except (SafetensorError, OSError, ValueError, KeyError) as bad:
        raise ModelError(f"cannot be read as safetensors: {bad}", where=str(path)) from None
