"""Algorithms on the edges of a directed graph, level by level on integer arrays: no recursion.

Levels are Kahn's topological order taken in rounds (Kahn, 1962): the round in which a node comes free is its
longest distance from the top.

Shape letters: C categories (nodes), E edges, L levels.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from linnaea.ragged import Ragged

BITS_LIMIT = 16_384
"""Up to so many categories the closure of a DAG is computed on a bit matrix (32 MiB at the limit)."""


def longest_levels(parent_E: np.ndarray, child_E: np.ndarray, count: int) -> np.ndarray:
    """``[C]`` int64: longest distance from the top, from 1; 0 for nodes on or below a cycle."""
    level_C = np.zeros(count, dtype=np.int64)
    waiting_C = np.bincount(child_E, minlength=count)
    order = np.argsort(parent_E, kind="stable")
    below = Ragged.from_lengths(child_E[order], np.bincount(parent_E, minlength=count))
    free = np.flatnonzero(waiting_C == 0)
    level = 0
    while len(free):
        level += 1
        level_C[free] = level
        touched, times = np.unique(below.take(free).values, return_counts=True)
        waiting_C[touched] -= times
        free = touched[waiting_C[touched] == 0]
    return level_C


def find_cycles(parent_E: np.ndarray, child_E: np.ndarray, count: int, limit: int = 20) -> list[list[int]]:
    """Up to ``limit`` cycles, each as edge numbers downwards, the edge that was written last at the end."""
    found: list[list[int]] = []
    kept_E = np.ones(len(parent_E), dtype=bool)
    while len(found) < limit:
        stuck_C = longest_levels(parent_E[kept_E], child_E[kept_E], count) == 0
        if not stuck_C.any():
            break
        # A stuck node has a stuck parent, so walking up from one never ends: it comes round.
        inside = np.flatnonzero(kept_E & stuck_C[parent_E] & stuck_C[child_E])
        up_C = np.full(count, -1, dtype=np.int64)
        up_C[child_E[inside[::-1]]] = inside[::-1]
        node = int(np.flatnonzero(stuck_C)[0])
        walked: list[int] = []
        seen: dict[int, int] = {}
        while node not in seen:
            seen[node] = len(walked)
            walked.append(int(up_C[node]))
            node = int(parent_E[up_C[node]])
        cycle = walked[seen[node] :][::-1]
        last = cycle.index(max(cycle))
        cycle = cycle[last + 1 :] + cycle[: last + 1]
        found.append(cycle)
        kept_E[cycle[-1]] = False
    return found


def ancestors(parents: Ragged, level_C: np.ndarray, bits_limit: int = BITS_LIMIT) -> Ragged:
    """All ancestors of every column with itself, ascending (int32).

    Args:
        parents: of each column; columns are sorted by level.
        level_C: longest distance from the top, from 1.
        bits_limit: beyond so many columns a DAG is closed on sparse rows.
    """
    if not len(parents.values) or parents.lengths_N.max() <= 1:
        return _ancestors_tree(parents, level_C)
    return (
        _ancestors_bits(parents, level_C) if len(parents) <= bits_limit else _ancestors_rows(parents, level_C)
    )


def level_bounds(level_C: np.ndarray) -> np.ndarray:
    """``[L + 1]`` int64: the columns of level l (from 1) are ``bounds[l - 1] : bounds[l]``."""
    depth = int(level_C[-1]) if len(level_C) else 0
    return np.searchsorted(level_C, np.arange(1, depth + 2))


def _ancestors_tree(parents: Ragged, level_C: np.ndarray) -> Ragged:
    # In a tree a column has as many ancestors (with itself) as its level: filled from the last to the first.
    above_C = np.full(len(parents), -1, dtype=np.int32)
    above_C[parents.lengths_N > 0] = parents.values
    values = np.empty(int(level_C.sum()), dtype=np.int32)
    ends_C = np.cumsum(level_C)
    current = np.arange(len(parents), dtype=np.int32)
    for step, start in enumerate(level_bounds(level_C)[:-1]):
        current = current[len(current) - (len(parents) - start) :]
        values[ends_C[start:] - 1 - step] = current
        current = above_C[current]
    return Ragged.from_lengths(values, level_C)


def _ancestors_bits(parents: Ragged, level_C: np.ndarray) -> Ragged:
    count = len(parents)
    words = -(-count // 64)
    bits = np.zeros((count, words * 8), dtype=np.uint8)
    own = np.arange(count)
    bits[own, own // 8] = np.left_shift(1, own % 8).astype(np.uint8)
    bits_CW = bits.view(np.uint64)
    bounds, lengths_C = level_bounds(level_C), parents.lengths_N
    for start, end in pairwise(bounds[1:]):
        columns = np.arange(start, end)
        for k in range(int(lengths_C[start:end].max())):  # the k-th parent of all columns of a level at once
            columns = columns[lengths_C[columns] > k]
            bits_CW[columns] |= bits_CW[parents.values[parents.offsets_N1[columns] + k]]
    values, lengths = [], []
    step = max(1, 2**24 // (words * 64))
    for row in range(0, count, step):
        block = np.unpackbits(bits[row : row + step], axis=1, bitorder="little").view(bool)
        values.append((np.flatnonzero(block.ravel()) % (words * 64)).astype(np.int32))
        lengths.append(np.count_nonzero(block, axis=1))
    return Ragged.from_lengths(np.concatenate(values), np.concatenate(lengths).astype(np.int64))


def _ancestors_rows(parents: Ragged, level_C: np.ndarray) -> Ragged:
    count = len(parents)
    values = np.empty(4 * count, dtype=np.int32)
    offsets = np.zeros(count + 1, dtype=np.int64)
    bounds = level_bounds(level_C)
    for start, end in pairwise(bounds):
        above = parents.take(np.arange(start, end))
        done = Ragged(values[: offsets[start]], offsets[: start + 1])
        reached = done.take(above.values)
        row = np.repeat(above.rows, reached.lengths_N)
        own = np.arange(end - start, dtype=np.int64)
        keys = np.unique(np.concatenate([row * count + reached.values, own * count + own + start]))
        total = int(offsets[start]) + len(keys)
        if total > len(values):
            values = np.concatenate([values[: offsets[start]], np.empty(2 * total, dtype=np.int32)])
        values[offsets[start] : total] = keys % count
        offsets[start + 1 : end + 1] = offsets[start] + np.cumsum(
            np.bincount(keys // count, minlength=end - start)
        )
    return Ragged(values[: offsets[-1]].copy(), offsets)


def add_ancestors(labels: Ragged, ancestors: Ragged, values_at_once: int = 2**22) -> Ragged:
    """``labels`` (rows of columns) with all ancestors added; each row ascending, without repeats (int32).

    Worked through in blocks of rows, so that what stands between is small however many rows there are.
    """
    count, sizes_C = len(ancestors), ancestors.lengths_N
    grown = np.zeros(len(labels) + 1, dtype=np.int64)  # offsets before repeats go
    np.cumsum(sizes_C[labels.values], out=(spread := np.empty(len(labels.values), dtype=np.int64)))
    grown[1:] = np.concatenate([[0], spread])[labels.offsets_N1[1:]]
    values, lengths, start = [], [], 0
    while start < len(labels):
        end = max(start + 1, int(np.searchsorted(grown, grown[start] + values_at_once, side="right")) - 1)
        part = slice(int(labels.offsets_N1[start]), int(labels.offsets_N1[end]))
        columns = ancestors.take(labels.values[part])
        row = np.repeat(np.arange(end - start, dtype=np.int64), np.diff(grown[start : end + 1]))
        keys = row * count + columns.values
        keys.sort(kind="stable")  # rows are in order already: runs, which a merge sort likes
        fresh = np.ones(len(keys), dtype=bool)
        np.not_equal(keys[1:], keys[:-1], out=fresh[1:])
        keys = keys[fresh]
        row = keys // count
        values.append((keys - row * count).astype(np.int32))
        lengths.append(np.bincount(row, minlength=end - start))
        start = end
    if not values:
        return Ragged(np.zeros(0, dtype=np.int32), np.zeros(1, dtype=np.int64))
    return Ragged.from_lengths(np.concatenate(values), np.concatenate(lengths).astype(np.int64))
