"""Ragged: rows of unequal length in two flat arrays.

One type serves labels, tokens, bags, taxonomy edges and decisions. The arrays may be memory-mapped.
Shape letters: N rows, B chosen rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Ragged:
    """Row ``i`` is ``values[offsets_N1[i] : offsets_N1[i + 1]]``.

    Attributes:
        values: ``[total]`` integers, or ``[total, W]`` for spellings.
        offsets_N1: ``[N + 1]`` int64, from 0 to ``total``, never falling.
    """

    values: np.ndarray
    offsets_N1: np.ndarray

    def __post_init__(self) -> None:
        offsets = self.offsets_N1
        if offsets.ndim != 1 or len(offsets) == 0 or offsets[0] != 0 or offsets[-1] != len(self.values):
            raise ValueError(f"offsets do not fit {len(self.values)} values: {offsets[:3]}...{offsets[-1:]}")

    @classmethod
    def from_rows(cls, rows: Iterable[Sequence[int] | np.ndarray], dtype: type = np.int32) -> Ragged:
        """From Python rows, for small things and for tests."""
        pieces: list[np.ndarray] = [np.asarray(row, dtype=dtype) for row in rows]
        values = np.concatenate(pieces) if pieces else np.zeros(0, dtype=dtype)
        return cls.from_lengths(values, np.array([len(p) for p in pieces], dtype=np.int64))

    @classmethod
    def from_lengths(cls, values: np.ndarray, lengths_N: np.ndarray) -> Ragged:
        offsets = np.zeros(len(lengths_N) + 1, dtype=np.int64)
        np.cumsum(lengths_N, out=offsets[1:])
        return cls(values, offsets)

    @classmethod
    def from_pairs(cls, rows: np.ndarray, columns: np.ndarray, count: int) -> Ragged:
        """From ``(row, column)`` pairs in any order: sorted within each row, repeats removed."""
        if len(rows):
            order = np.lexsort((columns, rows))
            rows, columns = rows[order], columns[order]
            fresh = np.ones(len(rows), dtype=bool)
            fresh[1:] = (rows[1:] != rows[:-1]) | (columns[1:] != columns[:-1])
            rows, columns = rows[fresh], columns[fresh]
        return cls.from_lengths(columns.astype(np.int32), np.bincount(rows, minlength=count).astype(np.int64))

    @classmethod
    def concatenate(cls, parts: Sequence[Ragged]) -> Ragged:
        """All rows of ``parts``, one after another."""
        lengths = np.concatenate([p.lengths_N for p in parts]) if parts else np.zeros(0, dtype=np.int64)
        values = np.concatenate([p.values for p in parts]) if parts else np.zeros(0, dtype=np.int32)
        return cls.from_lengths(values, lengths)

    def __len__(self) -> int:
        return len(self.offsets_N1) - 1

    def __getitem__(self, row: int) -> np.ndarray:
        if not -len(self) <= row < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        row %= len(self)
        return self.values[self.offsets_N1[row] : self.offsets_N1[row + 1]]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[i] for i in range(len(self)))

    @property
    def lengths_N(self) -> np.ndarray:
        return np.diff(self.offsets_N1)

    @property
    def rows(self) -> np.ndarray:
        """``[total]`` int64: the row of each value."""
        return np.repeat(np.arange(len(self), dtype=np.int64), self.lengths_N)

    def take(self, rows_B: np.ndarray, limit: int | None = None) -> Ragged:
        """The rows ``rows_B`` (or under a mask), in that order, each cut to its first ``limit`` values."""
        rows_B = np.asarray(rows_B)
        rows_B = np.flatnonzero(rows_B) if rows_B.dtype == bool else rows_B.astype(np.int64)
        if len(rows_B) and rows_B.min() < 0:
            raise IndexError(f"row {rows_B.min()}: rows are counted from 0")
        starts = self.offsets_N1[rows_B]
        lengths = self.offsets_N1[rows_B + 1] - starts
        if limit is not None:
            lengths = np.minimum(lengths, limit)
        offsets = np.zeros(len(rows_B) + 1, dtype=np.int64)
        np.cumsum(lengths, out=offsets[1:])
        index = np.arange(offsets[-1], dtype=np.int64) + np.repeat(starts - offsets[:-1], lengths)
        return Ragged(self.values[index], offsets)

    def dense(self, columns: int) -> np.ndarray:
        """``[N, columns]`` bool: True where a row holds the column."""
        matrix = np.zeros((len(self), columns), dtype=bool)
        matrix[self.rows, self.values] = True
        return matrix

    @classmethod
    def from_dense(cls, matrix: np.ndarray) -> Ragged:
        """The columns that are True in each row of ``[N, C]``."""
        rows, columns = np.nonzero(matrix)
        lengths = np.bincount(rows, minlength=len(matrix)).astype(np.int64)
        return cls.from_lengths(columns.astype(np.int32), lengths)

    def counts(self, columns: int) -> np.ndarray:
        """``[columns]`` int64: how often each value stands in all rows together."""
        counts = np.bincount(self.values, minlength=columns).astype(np.int64)
        if len(counts) > columns:
            raise IndexError(f"the value {len(counts) - 1} is beyond {columns} columns")
        return counts

    def transpose(self, columns: int) -> Ragged:
        """For each column the rows that hold it, ascending."""
        order = np.argsort(self.values, kind="stable")
        return Ragged.from_lengths(self.rows[order].astype(np.int32), self.counts(columns))
