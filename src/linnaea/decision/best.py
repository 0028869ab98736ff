"""best: the coherent set with the highest sum of log-odds over thresholds, exactly, on trees and DAGs.

Paper: Picard 1976, "Maximal Closure of a Graph and Applications to Combinatorial Problems"
(https://doi.org/10.1287/mnsc.22.11.1268): a set with all ancestors is a closure, and the heaviest one is a minimum cut.
Formula: argmax over coherent sets S of the sum over c in S of m_c, m_c = logit(score_c) - logit(threshold_c), each
log-odds clipped to ±30 and the difference rounded to millionths.
Differences: from cutting the whole graph: a document whose decisions are coherent keeps them. In the others bounds settle
what they can. What c and all below it can add at most: upper_c = m_c + the sum over children of max(0, upper_child). On
a tree that is exact, and c is taken if it is above 0 for c and all its ancestors. On a DAG it counts a category once
for each way down to it, and where it is not above 0, c is out; counting only children with a single parent gives
a lower bound, and where that is above 0, c is in if its parents are. What is left goes to the minimum cut, all documents in
one graph of pairs: a category that gains, an open ancestor that costs.
Shapes: [N, C] scores and decisions -> [N, C] choices.
Cost: O(M) for the bounds, M pairs of a document and a category that is decided or above one; on a DAG a minimum cut over
what they leave open.
When to use: with thresholds of their own for each category, where neither the upper nor the lower levels are to be
trusted alone: a child below a doubtful parent stays with it where it is surer than the parent is doubtful, else both go.
At thresholds of 0.5 this is the most probable coherent set, scores read as independent probabilities.

Of several best sets it is the smallest, which lies in all others, and with it what exactly reached its threshold and has
all its ancestors in the set.

A category that is never decided is in no set, nor is anything below it. One that is decided with its parents adds 0. An
ancestor that a cap took counts as score 0.

Shape letters: N documents of a block, C categories, M entries, E pairs of them.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

from linnaea.config.decoding import Closure
from linnaea.config.registry import decoders
from linnaea.decision.decoding import Ancestors
from linnaea.decision.entries import Entries
from linnaea.decision.odds import margins
from linnaea.decision.paths import Paths
from linnaea.taxonomy.taxonomy import Taxonomy

CELLS = 2**21  # of decisions that are worked on at once


@decoders.register("best")
class Best(Ancestors):
    """The coherent set with the highest sum of log-odds over thresholds."""

    def choose(
        self, scores_NC: np.ndarray, decided_NC: np.ndarray, thresholds_C: np.ndarray, closure: Closure
    ) -> np.ndarray:
        chosen_NC, never_C = decided_NC.copy(), thresholds_C == np.inf
        step = max(1, CELLS // len(self.taxonomy))
        for start in range(0, len(scores_NC), step):
            above_NC = self.decode(decided_NC[start : start + step])
            torn_N = np.flatnonzero((above_NC != decided_NC[start : start + step]).any(axis=1))
            if not len(torn_N):
                continue
            rows = start + torn_N
            entries = Entries.of(above_NC[torn_N], self.taxonomy)
            at = rows[entries.rows], entries.columns
            margins_M = margins(scores_NC[at], decided_NC[at], thresholds_C[entries.columns])
            chosen_NC[at] = best_closed(entries, margins_M, never_C, self.taxonomy)
        return chosen_NC

    def single_path(
        self,
        scores_NC: np.ndarray,
        decided_NC: np.ndarray,
        chosen_NC: np.ndarray,
        thresholds_C: np.ndarray,
        closure: Closure,
    ) -> np.ndarray:
        """The best path of all, where that is worth more than none; not of the best set, which may share costs."""
        paths = Paths.through(self.taxonomy, closure, thresholds_C == np.inf, leaf=False)
        margins_NC = margins(scores_NC, decided_NC, thresholds_C)
        best_NC, worth_N = paths.best(np.ascontiguousarray(margins_NC.T))
        # What costs as much as it gains goes; what exactly reached its thresholds stays.
        best_NC[(worth_N < 0) | (worth_N == 0) & (best_NC & ~decided_NC).any(axis=1)] = False
        return best_NC


def best_closed(
    entries: Entries, margins_M: np.ndarray, never_C: np.ndarray, taxonomy: Taxonomy
) -> np.ndarray:
    """``[M]`` bool: the best coherent set of each document, by the rules above.

    Args:
        entries: with every entry its whole ancestry; those at the ends of it are decided.
        margins_M: int64, at least 0 where decided.
        never_C: bool, categories that no set may hold.
    """
    allowed_M = entries.all_above(~never_C[entries.columns])
    # Nothing from below what is never chosen counts above.
    margins_M = np.where(allowed_M, margins_M, -1)
    hopeful_M = entries.all_above(_bounds(entries, margins_M) > 0)
    if taxonomy.is_tree:
        chosen_M = hopeful_M
    else:
        alone_C = taxonomy.parents.lengths_N == 1
        chosen_M = entries.all_above(_bounds(entries, margins_M, alone_C) > 0)
        open_M = hopeful_M & ~chosen_M
        if open_M.any():
            chosen_M |= minimum_cut(entries, margins_M, open_M, taxonomy)
    return entries.all_above(chosen_M | (margins_M == 0))


def _bounds(entries: Entries, margins_M: np.ndarray, counted_C: np.ndarray | None = None) -> np.ndarray:
    """``[M]``: each margin with what is above 0 of the bounds of the children; of those that are counted."""
    bounds_M = margins_M.copy()
    # No set gains more than all that gains; without this limit the ways through a DAG add up beyond int64.
    most_N = np.zeros(int(entries.rows[-1]) + 1, dtype=np.int64)
    np.add.at(most_N, entries.rows, np.maximum(margins_M, 0))
    most_M = most_N[entries.rows]
    for parent_E, child_E in entries.upwards():
        gain_E = np.clip(bounds_M[child_E], 0, most_M[child_E])
        if counted_C is not None:
            gain_E[~counted_C[entries.columns[child_E]]] = 0
        np.add.at(bounds_M, parent_E, gain_E)
    return bounds_M


def minimum_cut(
    entries: Entries, margins_M: np.ndarray, open_M: np.ndarray, taxonomy: Taxonomy
) -> np.ndarray:
    """``[M]`` bool: of the open entries the smallest heaviest sets with all open ancestors.

    What gains may be paid for each open ancestor that costs: source → gain → cost → sink. Capacities are single
    margins, so they fit the 32 bits that scipy has for them. After the largest flow, what gains more than
    its ancestors took is reached from the source, and so is what shares their costs.

    Args:
        open_M: bool; with two entries every one between them is open, too.
    """
    gains, costs = np.flatnonzero(open_M & (margins_M > 0)), np.flatnonzero(open_M & (margins_M < 0))
    wanted, asking = _open_above(entries, gains, open_M, taxonomy)
    paid = margins_M[wanted] < 0
    gain_E, cost_E = asking[paid], len(gains) + np.searchsorted(costs, wanted[paid])
    source, sink = len(gains) + len(costs), len(gains) + len(costs) + 1
    starts = np.concatenate([np.full(len(gains), source), gain_E, np.arange(len(gains), source)])
    stops = np.concatenate([np.arange(len(gains)), cost_E, np.full(len(costs), sink)])
    gain = margins_M[gains]
    capacity = np.concatenate([gain, gain[gain_E], -margins_M[costs]]).astype(np.int32)
    graph = coo_array((capacity, (starts, stops)), shape=(sink + 1, sink + 1)).tocsr()
    left = graph - maximum_flow(graph, source, sink).flow
    left.eliminate_zeros()
    reached = breadth_first_order(left, source, return_predecessors=False)
    chosen_M = np.zeros_like(open_M)
    taken = reached[reached < len(gains)]
    chosen_M[gains[taken]] = True
    chosen_M[wanted[np.isin(asking, taken)]] = True
    return chosen_M


def _open_above(
    entries: Entries, of: np.ndarray, open_M: np.ndarray, taxonomy: Taxonomy
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of an open entry that is an ancestor's (or its own) and the place in ``of`` of the entry below."""
    columns = len(taxonomy)
    keys = entries.rows * columns + entries.columns
    above = taxonomy.ancestors.take(entries.columns[of])
    wanted = np.searchsorted(keys, entries.rows[of][above.rows] * columns + above.values)
    return wanted[open_M[wanted]], above.rows[open_M[wanted]]
