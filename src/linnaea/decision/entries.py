"""Entries: the marked categories of documents, one entry each, and which of them are parents of which.

What is decided is little of a large taxonomy: work on entries grows with what is marked, not with N·C.

Shape letters: N documents of a block, C categories, M entries, E pairs of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from linnaea.taxonomy.taxonomy import Taxonomy


@dataclass(frozen=True, eq=False)
class Entries:
    """Made by :meth:`of`.

    Attributes:
        rows: ``[M]`` the document of each entry, ascending.
        columns: ``[M]`` its category; ascending within a document.
        parent_E: ``[E]`` entry of a parent, in pairs with
        child_E: an entry of the same document; sorted by the child's level.
        bounds: of the levels in the pairs.
    """

    rows: np.ndarray
    columns: np.ndarray
    parent_E: np.ndarray
    child_E: np.ndarray
    bounds: list[int]

    @classmethod
    def of(cls, marked_NC: np.ndarray, taxonomy: Taxonomy) -> Entries:
        """The entries of ``[N, C]`` bool; a parent that is not marked has no entry."""
        rows, columns = np.nonzero(marked_NC)
        number_NC = np.full(marked_NC.shape, -1, dtype=np.int32)
        number_NC[rows, columns] = np.arange(len(rows), dtype=np.int32)
        above = taxonomy.parents.take(columns)
        child_E = above.rows
        parent_E = number_NC[rows[child_E], above.values]
        child_E, parent_E = child_E[parent_E >= 0], parent_E[parent_E >= 0].astype(np.int64)
        level_E = taxonomy.level_C[columns[child_E]]
        order = np.argsort(level_E, kind="stable")
        bounds = np.searchsorted(level_E[order], np.arange(2, taxonomy.depth + 2)).tolist()
        return cls(rows, columns, parent_E[order], child_E[order], bounds)

    def upwards(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Entries of parents and children in groups; a group's children are no longer parents in later ones."""
        groups = list(self.downwards())
        yield from reversed(groups)

    def downwards(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Entries of parents and children in groups; a group's parents are no longer children in later ones."""
        for start, stop in zip(self.bounds, self.bounds[1:], strict=False):
            yield self.parent_E[start:stop], self.child_E[start:stop]

    def largest(self, values_M: np.ndarray) -> np.ndarray:
        """``[M]``: the largest value among each entry and the entries below it."""
        largest_M = values_M.copy()
        for parent_E, child_E in self.upwards():
            np.maximum.at(largest_M, parent_E, largest_M[child_E])
        return largest_M

    def all_above(self, kept_M: np.ndarray) -> np.ndarray:
        """``[M]`` bool: what is kept with all entries above it."""
        kept_M = kept_M.copy()
        for parent_E, child_E in self.downwards():
            kept_M[child_E[~kept_M[parent_E]]] = False
        return kept_M
