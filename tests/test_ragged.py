"""ragged.py against plain lists of lists."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linnaea.ragged import Ragged

C = 7
ROWS = st.lists(st.lists(st.integers(0, C - 1), max_size=5), max_size=8)


def lists(ragged: Ragged) -> list[list[int]]:
    return [row.tolist() for row in ragged]


@given(ROWS)
def test_rows_come_back(rows: list[list[int]]) -> None:
    ragged = Ragged.from_rows(rows)
    assert lists(ragged) == rows
    assert len(ragged) == len(rows)
    assert ragged.values.dtype == np.int32
    assert ragged.offsets_N1.dtype == np.int64
    assert ragged.lengths_N.tolist() == [len(row) for row in rows]
    assert ragged.rows.tolist() == [i for i, row in enumerate(rows) for _ in row]
    assert [ragged[i - len(rows)].tolist() for i in range(len(rows))] == rows
    for outside in (len(rows), -len(rows) - 1):
        with pytest.raises(IndexError):
            ragged[outside]


@given(ROWS, st.data(), st.none() | st.integers(0, 6))
def test_take(rows: list[list[int]], data: st.DataObject, limit: int | None) -> None:
    ragged = Ragged.from_rows(rows)
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=10)) if rows else []
    taken = ragged.take(np.array(chosen, dtype=np.int64), limit)
    assert lists(taken) == [rows[i][:limit] for i in chosen]
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))), dtype=bool)
    assert lists(ragged.take(mask)) == [row for row, keep in zip(rows, mask, strict=True) if keep]


def test_take_refuses_what_is_not_there() -> None:
    ragged = Ragged.from_rows([[1], [2, 3]])
    for outside in (-1, 2):
        with pytest.raises(IndexError):
            ragged.take(np.array([outside]))


@given(ROWS)
def test_dense_and_back(rows: list[list[int]]) -> None:
    ragged = Ragged.from_rows(rows)
    matrix = ragged.dense(C)
    assert matrix.shape == (len(rows), C)
    assert matrix.dtype == bool
    assert [set(np.flatnonzero(row)) for row in matrix] == [set(row) for row in rows]
    assert lists(Ragged.from_dense(matrix)) == [sorted(set(row)) for row in rows]


@given(ROWS)
def test_counts_and_transpose(rows: list[list[int]]) -> None:
    ragged = Ragged.from_rows(rows)
    assert ragged.counts(C).tolist() == [sum(row.count(c) for row in rows) for c in range(C)]
    expected = [[i for i, row in enumerate(rows) for value in row if value == c] for c in range(C)]
    turned = ragged.transpose(C)
    assert lists(turned) == expected
    again = turned.transpose(len(rows)) if rows else Ragged.from_rows([])
    assert lists(again) == [sorted(row) for row in rows]


def test_counts_refuses_values_beyond() -> None:
    with pytest.raises(IndexError, match="the value 9 is beyond 5 columns"):
        Ragged.from_rows([[9]]).counts(5)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, C - 1)), max_size=30))
def test_from_pairs_sorts_and_drops_repeats(pairs: list[tuple[int, int]]) -> None:
    rows = np.array([r for r, _ in pairs], dtype=np.int64)
    columns = np.array([c for _, c in pairs], dtype=np.int64)
    ragged = Ragged.from_pairs(rows, columns, 6)
    assert lists(ragged) == [sorted({c for r, c in pairs if r == row}) for row in range(6)]


@given(st.lists(ROWS, max_size=4))
def test_concatenate(parts: list[list[list[int]]]) -> None:
    joined = Ragged.concatenate([Ragged.from_rows(rows) for rows in parts])
    assert lists(joined) == [row for rows in parts for row in rows]


def test_rows_of_vectors_can_be_taken() -> None:
    spelling = Ragged(np.arange(12).reshape(4, 3), np.array([0, 3, 4]))
    taken = spelling.take(np.array([1, 0]), limit=2)
    assert taken.values.tolist() == [[9, 10, 11], [0, 1, 2], [3, 4, 5]]
    assert taken.lengths_N.tolist() == [1, 2]


def test_memory_mapped(tmp_path: Path) -> None:
    np.save(tmp_path / "values.npy", np.array([4, 5, 6], dtype=np.int32))
    values = np.load(tmp_path / "values.npy", mmap_mode="r")
    ragged = Ragged(values, np.array([0, 0, 2, 3]))
    assert lists(ragged) == [[], [4, 5], [6]]
    assert lists(ragged.take(np.array([2, 1]))) == [[6], [4, 5]]


@pytest.mark.parametrize("offsets", [[], [0, 2], [1, 3], [0, 4]])
def test_offsets_must_fit(offsets: list[int]) -> None:
    with pytest.raises(ValueError, match="offsets"):
        Ragged(np.zeros(3, dtype=np.int32), np.array(offsets, dtype=np.int64))
