"""Groups: categories by how many documents of train they have, so that rare ones are seen beside frequent ones.

The bounds are those of Liu et al. 2019 (https://arxiv.org/abs/1904.05160): more than 100 documents, 20 to 100, fewer
than 20; and, apart from these, none at all. They do not depend on the taxonomy, so that groups of two corpora can be
laid side by side. Support is counted as the task closes labels: a parent has its children's documents.

Shape letters: C categories.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from linnaea.metrics.counts import Counts

BOUNDS = {"head": 101, "middle": 20, "tail": 1, "unseen": 0}
"""The least support of each group."""


@dataclass(frozen=True, eq=False)
class Group:
    """Some categories.

    Attributes:
        columns: int64, ascending, one at least.
        support_from, support_to: the least and the most support among them.
    """

    name: str
    columns: np.ndarray
    support_from: int
    support_to: int


def groups(support_C: np.ndarray) -> list[Group]:
    """The groups that have a category, from the most frequent to the unseen."""
    found, above = [], np.inf
    for name, least in BOUNDS.items():
        columns = np.flatnonzero((support_C >= least) & (support_C < above))
        above = least
        if len(columns):
            support = support_C[columns]
            found.append(Group(name, columns, int(support.min()), int(support.max())))
    return found


def group_rows(counts: Counts, support_C: np.ndarray) -> list[dict[str, object]]:
    """One row a group: its categories alone, counted as they are."""
    return [
        {
            "group": group.name,
            "categories": len(group.columns),
            "support_from": group.support_from,
            "support_to": group.support_to,
            "micro_f1": counts.micro(group.columns).f1,
            "macro_f1": counts.macro(group.columns).f1,
        }
        for group in groups(support_C)
    ]
