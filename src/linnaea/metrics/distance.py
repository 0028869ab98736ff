"""Distance: how many edges of the taxonomy lie between what was decided and what is right.

Paper: for one decided and one right category it is the tree-induced error of Dekel, Keshet & Singer 2004 ("Large margin
hierarchical classification"): the edges on the way from one to the other. For sets Kosmopoulos et al. 2015
(https://arxiv.org/abs/1306.6802) pair categories; here each category goes to the nearest one of the other set, both
ways.

Formula: P and G are the most specific categories decided and right (those without a descendant in the same set), d the
fewest edges from one up to a common ancestor and down to the other, the root among the ancestors:

    error = (Σ_p min_g d(p, g) + Σ_g min_p d(g, p)) / (|P| + |G|)

``decided`` is the mean of min_g d(p, g) over P (how far off the answers are), ``missed`` that of min_p d(g, p) over G
(how far off the nearest answer is). An empty set stands at the root; two empty sets are 0 apart.

Differences: in a DAG ways lead over common ancestors only, never down to a shared child and up again, so that two
parents of one category are as far apart as the taxonomy above them says. No distance is cut off at a largest one.

Shapes: ``[N]`` a document. Cost: O(M log M), M the pairs of a document and a category or an ancestor of it.

When to use: where a near miss is better than a far one; beside hierarchical F1, which counts shared ancestors.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from linnaea.metrics.counts import ratio, row_blocks
from linnaea.metrics.deepest import deepest
from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy


@dataclass(frozen=True, eq=False)
class Distances:
    """Of each document, in edges.

    Attributes:
        decided_N: float64, the sum of the ways from what was decided to the nearest right category.
        missed_N: float64, the sum of the ways from what is right to the nearest decided category.
        decided_sizes_N, missed_sizes_N: int64, how many ways were summed.
    """

    decided_N: np.ndarray
    missed_N: np.ndarray
    decided_sizes_N: np.ndarray
    missed_sizes_N: np.ndarray

    @classmethod
    def of(cls, chosen: Ragged, gold: Ragged, taxonomy: Taxonomy) -> Distances:
        """From columns of each document, closed or not."""
        sums = []
        for _, parts in row_blocks(chosen, gold, size=2**14):
            most_specific = [deepest(part, taxonomy) for part in parts]
            some = [_ways(a, b, taxonomy) for a, b in (most_specific, most_specific[::-1])]
            sums.append([*some, *(part.lengths_N for part in most_specific)])
        if not sums:
            return cls(np.zeros(0), np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.int64))
        return cls(*(np.concatenate([part[i] for part in sums]) for i in range(4)))

    def per_document(self) -> dict[str, np.ndarray]:
        """``[N]`` float64: ``error`` over both directions, ``decided`` and ``missed`` alone; 0 where there is no way."""
        both_N = self.decided_N + self.missed_N
        return {
            "error": ratio(both_N, self.decided_sizes_N + self.missed_sizes_N),
            "decided": ratio(self.decided_N, self.decided_sizes_N),
            "missed": ratio(self.missed_N, self.missed_sizes_N),
        }

    def to_json(self) -> dict[str, float]:
        """``error``: the mean over documents; ``decided`` and ``missed``: over those that have any."""
        there = (len(self.decided_N), (self.decided_sizes_N > 0).sum(), (self.missed_sizes_N > 0).sum())
        values = zip(self.per_document().items(), there, strict=True)
        return {name: float(ratio(values_N.sum(), count)) for (name, values_N), count in values}


def _ways(start: Ragged, end: Ragged, taxonomy: Taxonomy) -> np.ndarray:
    """``[N]`` float64: the sum over a document's ``start`` of the fewest edges to any of its ``end``."""
    climbs, columns = _climbs(taxonomy), len(taxonomy) + 1
    # Up from every end: of each (document, ancestor) the nearest end below. The root is below nothing.
    above, edges = _up(end, climbs)
    keys = end.rows[above.rows] * columns + above.values
    empty = np.flatnonzero(end.lengths_N == 0)
    keys = np.concatenate([keys, empty * columns + columns - 1])
    edges = np.concatenate([edges, np.zeros(len(empty), dtype=edges.dtype)])
    order = np.lexsort((edges, keys))
    keys, first = np.unique(keys[order], return_index=True)
    nearest = edges[order][first]
    # Up from every start, until an ancestor that has an end below it.
    above, edges = _up(start, climbs)
    wanted = start.rows[above.rows] * columns + above.values
    place = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
    whole = np.where(keys[place] == wanted, edges + nearest[place], np.iinfo(np.int64).max)
    if not len(start.values):
        return np.zeros(len(start))
    return np.bincount(start.rows, np.minimum.reduceat(whole, above.offsets_N1[:-1]), minlength=len(start))


def _up(rows: Ragged, climbs: tuple[Ragged, np.ndarray]) -> tuple[Ragged, np.ndarray]:
    """The ancestors of each value, itself and the root among them, and the edges to each."""
    ancestors, edges = climbs
    places = Ragged(np.arange(len(edges)), ancestors.offsets_N1).take(rows.values)
    return Ragged(ancestors.values[places.values], places.offsets_N1), edges[places.values]


@functools.lru_cache(maxsize=4)
def _climbs(taxonomy: Taxonomy) -> tuple[Ragged, np.ndarray]:
    """The ancestors of each category, itself and the root (column C) among them, and the fewest edges to each."""
    root, found = len(taxonomy), [dict[int, int]() for _ in range(len(taxonomy))]
    for column in range(root):
        parents = taxonomy.parents[column].tolist()
        climb = {column: 0} if parents else {column: 0, root: 1}
        for parent in parents:
            for ancestor, edges in found[parent].items():
                climb[ancestor] = min(edges + 1, climb.get(ancestor, edges + 1))
        found[column] = climb
    ancestors = Ragged.from_rows([list(climb) for climb in found])
    return ancestors, np.array([edges for climb in found for edges in climb.values()], dtype=np.int64)
