"""Cross-fitting: several splits as one, and the folds that they are dealt out to.

Shape letters: N documents of all splits together, B documents taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, cast

import numpy as np

from linnaea.corpus.split import stratified_folds
from linnaea.errors import DataError
from linnaea.ragged import Ragged

if TYPE_CHECKING:
    from linnaea.config.outcome import DecisionConfig
    from linnaea.text.store import Split


def join(splits: Sequence[Split]) -> Split:
    """The documents of several splits, one after another; nothing is copied but labels.

    Raises:
        DataError: a split is not labelled.
    """
    if any(split.labels is None for split in splits):
        raise DataError("the documents to train on are not labelled")
    return splits[0] if len(splits) == 1 else cast("Split", _Joined(splits))


class _Joined:
    """Does what a ``Split`` does for loaders and scorers, with the rows of several."""

    def __init__(
        self, splits: Sequence[Split], rows_N: np.ndarray | None = None, labels: Ragged | None = None
    ) -> None:
        self._splits, self._labels = splits, labels
        self._starts = np.cumsum([0, *(len(split) for split in splits)])
        self._rows_N = np.arange(self._starts[-1]) if rows_N is None else rows_N

    def __len__(self) -> int:
        return len(self._rows_N)

    @cached_property
    def ids(self) -> list[str]:
        every = list(chain.from_iterable(split.ids for split in self._splits))
        return [every[row] for row in self._rows_N.tolist()]

    @cached_property
    def labels(self) -> Ragged:
        if self._labels is not None:
            return self._labels
        every = [split.labels for split in self._splits if split.labels is not None]
        return Ragged.concatenate(every).take(self._rows_N)

    @cached_property
    def lengths_N(self) -> np.ndarray:
        every: np.ndarray = np.concatenate([split.lengths_N for split in self._splits])
        return every[self._rows_N]

    def sequence(self, rows_B: np.ndarray) -> Ragged:
        return self._gather(rows_B, lambda split, rows: split.sequence(rows))

    def bag(self, feature: str, rows_B: np.ndarray) -> Ragged:
        return self._gather(rows_B, lambda split, rows: split.bag(feature, rows))

    def take(self, rows_B: np.ndarray) -> Split:
        rows = np.asarray(rows_B, dtype=np.int64)
        labels = None if self._labels is None else self._labels.take(rows)
        return cast("Split", _Joined(self._splits, self._rows_N[rows], labels))

    def with_labels(self, labels: Ragged) -> Split:
        return cast("Split", _Joined(self._splits, self._rows_N, labels))

    def _gather(self, rows_B: np.ndarray, read: Callable[[Split, np.ndarray], Ragged]) -> Ragged:
        rows = self._rows_N[np.asarray(rows_B, dtype=np.int64)]
        home = np.searchsorted(self._starts, rows, side="right") - 1
        order = np.argsort(home, kind="stable")
        parts = [
            read(split, rows[home == number] - self._starts[number])
            for number, split in enumerate(self._splits)
        ]
        place = np.empty(len(rows), dtype=np.int64)
        place[order] = np.arange(len(rows))
        return Ragged.concatenate(parts).take(place)


def fold_numbers(
    split: Split, categories: int, folds: int, seed: int, decision: DecisionConfig
) -> np.ndarray:
    """``[N]``: the fold of each document, stratified by category.

    Args:
        decision: what asks for them, for the error's place.

    Raises:
        DataError: fewer documents than folds.
    """
    assert split.labels is not None  # ``join`` sees to it
    if len(split) < folds:
        problem = f"{len(split)} documents cannot be cut into {folds} folds"
        place = f"decision.{next(iter(decision.held_out), 'threshold')}.folds"
        raise DataError(problem, where=place, hint="give more documents, or fewer folds")
    return stratified_folds(split.labels, categories, folds, seed)
