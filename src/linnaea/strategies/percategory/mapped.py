"""Arrays of mapped files travel to other processes of this machine by name: the pages are then shared, not copied.

An encoded corpus is mapped from the cache; pickled plainly, every worker would hold a copy of all of it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np

LEAST = 2**16  # bytes; below that a copy is the cheaper way


@contextlib.contextmanager
def by_name() -> Iterator[None]:
    """While it is open, processes that begin get mapped arrays by name."""
    extra: dict[Any, Any] = ForkingPickler._extra_reducers  # type: ignore[attr-defined]
    before = extra.get(np.ndarray)
    ForkingPickler.register(np.ndarray, reduced)
    try:
        yield
    finally:
        if before is None:
            extra.pop(np.ndarray)
        else:
            extra[np.ndarray] = before


def reduced(array: np.ndarray) -> Any:
    """What pickle keeps of ``array``: file, type, place and shape where it is a piece of a mapped file."""
    root = _mapped(array)
    if root is None or array.nbytes < LEAST or not array.flags.c_contiguous or root.filename is None:
        return array.__reduce_ex__(4)
    start = array.__array_interface__["data"][0] - root.__array_interface__["data"][0]
    return _open, (str(root.filename), array.dtype, root.offset + start, array.shape)


def _mapped(array: np.ndarray) -> np.memmap[Any, Any] | None:
    """The map that ``array`` looks into: the outermost one, whose ``offset`` is that of its own first byte."""
    found: np.memmap[Any, Any] | None = None
    base: Any = array
    while isinstance(base, np.ndarray):
        found = base if isinstance(base, np.memmap) else found
        base = base.base
    return found


def _open(filename: str, dtype: np.dtype[Any], offset: int, shape: tuple[int, ...]) -> np.ndarray:
    return np.asarray(np.memmap(filename, dtype, "r", offset, shape))
