"""Predictions and Decisions: what every scorer gives, and what is made of it.

Shape letters: N documents of a split, C categories.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy


@dataclass(frozen=True, eq=False)
class Predictions:
    """Scores of N documents over the columns of a taxonomy, the one currency behind a scorer.

    Attributes:
        ids: of the documents, in order.
        scores: ``[N, C]`` float32 in [0, 1]; dense, or CSR holding the best scores a document
            (absent = 0 = below what was kept).
    """

    ids: Sequence[str]
    taxonomy: Taxonomy
    scores: np.ndarray | csr_array

    def __post_init__(self) -> None:
        if self.scores.shape != (len(self.ids), len(self.taxonomy)):
            raise ValueError(
                f"scores {self.scores.shape} for {len(self.ids)} documents, {len(self.taxonomy)} categories"
            )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def sparse(self) -> bool:
        return not isinstance(self.scores, np.ndarray)

    @property
    def kept(self) -> int:
        """The most scores that are there of a document."""
        scores = self.scores
        return (
            scores.shape[1] if isinstance(scores, np.ndarray) else int(np.diff(scores.indptr).max(initial=0))
        )

    def take(self, rows_B: np.ndarray) -> Predictions:
        """Of the documents ``rows_B``, in that order."""
        return Predictions([self.ids[row] for row in rows_B.tolist()], self.taxonomy, self.scores[rows_B])

    def blocks(self, megabytes: int = 64) -> Iterator[tuple[slice, np.ndarray]]:
        """Dense ``[n, C]`` rows of at most ``megabytes``, in order, with their place."""
        step = max(1, megabytes * 2**20 // (4 * max(1, len(self.taxonomy))))
        for start in range(0, len(self), step):
            rows = slice(start, min(start + step, len(self)))
            part = self.scores[rows]
            yield rows, part if isinstance(part, np.ndarray) else part.toarray()

    def columns(self) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Category by category: column, rows, their scores. Dense scores give all rows."""
        if isinstance(self.scores, np.ndarray):
            rows = np.arange(len(self))
            for column in range(len(self.taxonomy)):
                yield column, rows, self.scores[:, column]
        else:
            by_column = self.scores.tocsc()
            for column in range(len(self.taxonomy)):
                part = slice(by_column.indptr[column], by_column.indptr[column + 1])
                yield column, by_column.indices[part], by_column.data[part]


@dataclass(frozen=True, eq=False)
class Decisions:
    """The categories chosen for N documents.

    Attributes:
        chosen: columns of each document, ascending.
        scores: ``[total]`` float32, aligned with ``chosen.values`` (an added ancestor: the largest among
            itself and its decided descendants).
        thresholds_C: float64 in score space; +inf = never.
    """

    chosen: Ragged
    scores: np.ndarray
    thresholds_C: np.ndarray
