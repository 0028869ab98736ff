"""Single paths through the taxonomy: the best one of each document.

A path is a category with its ancestors: with all of them under closure ``ancestors``, with one chain of
parents under ``path``.

Shape letters: N documents of a block, C categories, E edges.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from linnaea.config.decoding import Closure
from linnaea.decision.odds import log_odds
from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy


def single_path(
    scores_NC: np.ndarray,
    decided_NC: np.ndarray,
    thresholds_C: np.ndarray,
    taxonomy: Taxonomy,
    closure: Closure,
) -> np.ndarray:
    """The best single path among the decided categories of each document (tasks with ``"paths": "one"``).

    All categories of the path are decided; under closure ``none`` it is one category alone. The best has
    the highest sum of logit(score) - logit(threshold), each log-odds clipped to ±30; as every term is at
    least 0, it goes down as far as decisions do. Equal sums: the lowest column. No decided category has a
    whole path: nothing is chosen.

    Returns:
        ``[N, C]`` bool.
    """
    gain_CN = np.zeros((len(taxonomy), len(scores_NC)))
    rows, at = np.nonzero(decided_NC)
    # NaN, where nothing is to be weighed, counts as 0.
    gain_CN[at, rows] = np.fmax(log_odds(scores_NC[rows, at]) - log_odds(thresholds_C[at]), 0)
    total_CN, above_CN = np.where(decided_NC.T, gain_CN, -np.inf), None
    if closure == "ancestors":
        total_CN = _sums_up(total_CN, taxonomy)
    elif closure == "path":
        above_CN = _best_parents(total_CN, taxonomy.parents)
    end_N = np.where(total_CN.max(axis=0) > -np.inf, total_CN.argmax(axis=0), -1)
    return _marked(end_N, above_CN, taxonomy, closure)


@dataclass(frozen=True, eq=False)
class Paths:
    """The paths that one may be chosen from.

    Attributes:
        parents: of each category, those that a path may come from; read under closure ``path``.
        may_end_C: bool, where a path may end; no other category is above one of these on a path.
    """

    taxonomy: Taxonomy
    closure: Closure
    parents: Ragged
    may_end_C: np.ndarray

    @classmethod
    def through(
        cls, taxonomy: Taxonomy, closure: Closure, never_C: np.ndarray, *, leaf: bool, stepwise: bool = False
    ) -> Paths:
        """All paths without a category of ``never_C``.

        Args:
            leaf: a path ends only where no longer path goes on.
            stepwise: a path has exactly one category of each level down to its end.
        """
        parent_E, child_E = taxonomy.edges
        kept_E = np.ones(len(parent_E), dtype=bool)
        if stepwise:
            kept_E = taxonomy.level_C[child_E] == taxonomy.level_C[parent_E] + 1
        ok_C = reached(taxonomy, closure, never_C, parent_E[kept_E], child_E[kept_E])
        if stepwise and closure == "ancestors":
            # A category has an ancestor on each level above, so these are one a level if they are no more.
            ok_C &= taxonomy.ancestors.lengths_N == taxonomy.level_C
        kept_E &= ok_C[parent_E] & ok_C[child_E]
        lengths_C = np.bincount(child_E[kept_E], minlength=len(taxonomy))
        parents = Ragged.from_lengths(parent_E[kept_E], lengths_C.astype(np.int64))
        if leaf:
            ok_C[parent_E[kept_E]] = False
        return cls(taxonomy, closure, parents, ok_C)

    def best(self, margins_CN: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The path with the highest sum; equal sums: the lowest column of its end, then the first parent.

        Args:
            margins_CN: int64, what each category adds.

        Returns:
            ``[N, C]`` bool, and the ``[N]`` sums. Where no path may be chosen: nothing, with the sum 0.
        """
        ends = np.flatnonzero(self.may_end_C)
        if not len(ends):
            return np.zeros(margins_CN.shape[::-1], dtype=bool), np.zeros(margins_CN.shape[1], dtype=np.int64)
        if self.closure == "ancestors":
            total_CN, above_CN = _sums_up(margins_CN, self.taxonomy), None
        else:
            total_CN = margins_CN.copy()
            above_CN = _best_parents(total_CN, self.parents)
        at_N = total_CN[ends].argmax(axis=0)
        return _marked(ends[at_N], above_CN, self.taxonomy, self.closure), total_CN[ends].max(axis=0)


def reached(
    taxonomy: Taxonomy, closure: Closure, never_C: np.ndarray, parent_E: np.ndarray, child_E: np.ndarray
) -> np.ndarray:
    """``[C]`` bool: there is a path here without a category of ``never_C``."""
    if closure == "ancestors":
        above = taxonomy.ancestors
        barred_C: np.ndarray = np.logical_or.reduceat(never_C[above.values], above.offsets_N1[:-1])
        return ~barred_C
    reached_C = taxonomy.level_C == 1
    # Edges are sorted by child, and parents have lower columns than their children.
    for parent, child in zip(parent_E.tolist(), child_E.tolist(), strict=True):
        reached_C[child] |= reached_C[parent] and not never_C[parent]
    return np.asarray(reached_C & ~never_C)


def _sums_up(values_CN: np.ndarray, taxonomy: Taxonomy) -> np.ndarray:
    """Of each category with all its ancestors; in a DAG one that is reached along two ways counts once."""
    if not taxonomy.is_tree:
        above = taxonomy.ancestors
        parts = (np.ones(len(above.values), dtype=values_CN.dtype), above.values, above.offsets_N1)
        return np.asarray(csr_array(parts, shape=(len(above), len(above))) @ values_CN)
    total_CN = values_CN.copy()
    for parent, child in zip(*(columns.tolist() for columns in taxonomy.edges), strict=True):
        total_CN[child] += total_CN[parent]
    return total_CN


def _best_parents(total_CN: np.ndarray, parents: Ragged) -> np.ndarray:
    """Adds to each category, in place, its best parent's total; gives that parent's column, -1 at the top."""
    above_CN = np.full(total_CN.shape, -1, dtype=np.int64)
    for column in np.flatnonzero(parents.lengths_N).tolist():
        candidates = parents[column]
        above_CN[column] = candidates[total_CN[candidates].argmax(axis=0)]
        total_CN[column] += total_CN[candidates].max(axis=0)
    return above_CN


def _marked(
    end_N: np.ndarray, above_CN: np.ndarray | None, taxonomy: Taxonomy, closure: Closure
) -> np.ndarray:
    """``[N, C]`` bool: the path that ends at ``end_N``; -1: nothing."""
    chosen_NC = np.zeros((len(end_N), len(taxonomy)), dtype=bool)
    rows = np.flatnonzero(end_N >= 0)
    at = end_N[rows]
    if closure == "ancestors":
        path = taxonomy.ancestors.take(at)
        chosen_NC[rows[path.rows], path.values] = True
        return chosen_NC
    while len(rows):
        chosen_NC[rows, at] = True
        up = above_CN[at, rows] if above_CN is not None else np.full(len(rows), -1)
        rows, at = rows[up >= 0], up[up >= 0]
    return chosen_NC
