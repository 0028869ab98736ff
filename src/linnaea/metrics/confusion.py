"""Confusion: which categories are taken for which.

A confusion is a document with a category that was missed (right, not decided) and one of the same level that is wrong
(decided, not right). A document that misses two and has three wrong ones at a level counts as six. Between siblings the
mistake is a fine one: the parent is shared, in a DAG any parent; top categories are siblings of each other.

Shape letters: N documents, C categories, M pairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from linnaea.metrics.counts import contains, pair_keys, row_blocks
from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy

SHOWN = 50
AT_ONCE = 2**22  # confusions that are looked at at once
MOST = 2**28  # more than that are not counted: nearly everything is decided there


@dataclass(frozen=True, eq=False)
class Confusions:
    """How often which category was taken for which, the most frequent first; ties by column.

    Attributes:
        missed_M, wrong_M: int64 columns.
        documents_M: int64.
        siblings_M: bool, whether the two share a parent.
    """

    taxonomy: Taxonomy
    missed_M: np.ndarray
    wrong_M: np.ndarray
    documents_M: np.ndarray
    siblings_M: np.ndarray

    @classmethod
    def of(cls, chosen: Ragged, gold: Ragged, taxonomy: Taxonomy) -> Confusions | None:
        """All confusions; None: there are more than anybody can count."""
        columns, total = len(taxonomy), 0
        keys, counts = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for _, (some_chosen, some_gold) in row_blocks(chosen, gold):
            wrong, missed = _mistakes(some_chosen, some_gold, taxonomy)
            sizes = missed.lengths_N[wrong[0]]
            total += int(sizes.sum())
            if total > MOST:
                return None
            part_of = (np.cumsum(sizes) - sizes) // AT_ONCE
            for part in np.unique(part_of).tolist():
                rows, columns_M = (side[part_of == part] for side in wrong)
                beside = missed.take(rows)
                pairs = beside.values * columns + columns_M[beside.rows]
                for parts_of_all, found in zip(
                    (keys, counts), np.unique(pairs, return_counts=True), strict=True
                ):
                    parts_of_all.append(found)
        merged, place = np.unique(np.concatenate(keys), return_inverse=True)
        documents = np.bincount(place, np.concatenate(counts), minlength=len(merged)).astype(np.int64)
        order = np.argsort(-documents, kind="stable")
        missed_M, wrong_M = merged[order] // columns, merged[order] % columns
        return cls(taxonomy, missed_M, wrong_M, documents[order], _siblings(missed_M, wrong_M, taxonomy))

    def to_json(self, shown: int = SHOWN) -> dict[str, Any]:
        """How many there are, how many between siblings, and the most frequent."""
        ids = self.taxonomy.ids
        columns = (self.missed_M, self.wrong_M, self.documents_M, self.siblings_M)
        rows = zip(*(column[:shown].tolist() for column in columns), strict=True)
        return {
            "pairs": int(self.documents_M.sum()),
            "between_siblings": int(self.documents_M[self.siblings_M].sum()),
            "confusions": [
                {"category": ids[missed], "taken_for": ids[wrong], "documents": often, "siblings": siblings}
                for missed, wrong, often, siblings in rows
            ],
        }


def _mistakes(
    chosen: Ragged, gold: Ragged, taxonomy: Taxonomy
) -> tuple[tuple[np.ndarray, np.ndarray], Ragged]:
    """Row and column of what is wrong, and by row what was missed; a row is a level of a document."""
    columns, levels = len(taxonomy), taxonomy.depth
    chosen_keys, gold_keys = pair_keys(chosen, columns), pair_keys(gold, columns)
    sides = []
    for own, other in ((chosen_keys, gold_keys), (gold_keys, chosen_keys)):
        keys = own[~contains(other, own)]
        column = keys % columns
        sides.append((keys // columns * levels + taxonomy.level_C[column] - 1, column))
    # Columns are sorted by level, and so are the keys of a document.
    rows, missed = sides[1]
    return sides[0], Ragged.from_lengths(missed, np.bincount(rows, minlength=len(chosen) * levels))


def _siblings(one_M: np.ndarray, other_M: np.ndarray, taxonomy: Taxonomy) -> np.ndarray:
    """bool: which pairs share a parent, or are both at the top."""
    columns, parents = len(taxonomy), taxonomy.parents
    edges = pair_keys(Ragged(parents.values.astype(np.int64), parents.offsets_N1), columns)
    above = parents.take(one_M)
    shared = contains(edges, other_M[above.rows] * columns + above.values)
    siblings = np.bincount(above.rows[shared], minlength=len(one_M)) > 0
    return np.asarray(siblings | ((taxonomy.level_C[one_M] == 1) & (taxonomy.level_C[other_M] == 1)))
