"""Decoders that choose exactly one path a document, whatever the thresholds say.

A path is a category with all its ancestors under ``task.closure`` ``ancestors``, a chain of parents up to the top
under ``path``. A category that is never decided (threshold null) is on no path. Where no path is left, nothing
is chosen.

Shape letters: N documents of a block, C categories.
"""

from __future__ import annotations

import numpy as np

from linnaea.config.decoding import Closure, OnePathConfig
from linnaea.config.registry import decoders
from linnaea.decision.decoding import Decoding
from linnaea.decision.odds import margins
from linnaea.decision.paths import Paths
from linnaea.taxonomy.taxonomy import Taxonomy

CELLS = 2**20  # of scores that are worked on at once


class OneOfThePaths(Decoding):
    """Base: the best of :meth:`paths`. Equal sums: the end with the lowest column, then the first parent."""

    def paths(self, closure: Closure, never_C: np.ndarray) -> Paths:
        """What is chosen from.

        Args:
            never_C: bool, categories that are never decided.
        """
        raise NotImplementedError

    def choose(
        self, scores_NC: np.ndarray, decided_NC: np.ndarray, thresholds_C: np.ndarray, closure: Closure
    ) -> np.ndarray:
        paths = self.paths(closure, thresholds_C == np.inf)
        chosen_NC, step = np.zeros_like(decided_NC), max(1, CELLS // len(self.taxonomy))
        for start in range(0, len(scores_NC), step):
            rows = slice(start, start + step)
            margins_NC = margins(scores_NC[rows], decided_NC[rows], thresholds_C)
            chosen_NC[rows] = paths.best(np.ascontiguousarray(margins_NC.T))[0]
        return chosen_NC

    def single_path(
        self,
        scores_NC: np.ndarray,
        decided_NC: np.ndarray,
        chosen_NC: np.ndarray,
        thresholds_C: np.ndarray,
        closure: Closure,
    ) -> np.ndarray:
        return chosen_NC


@decoders.register("one_path")
class OnePath(OneOfThePaths):
    """Exactly one path a document: the one with the highest sum of log-odds over thresholds.

    With ``"to": "leaf"`` it goes down to a leaf: a category without children that may be decided. In a sum,
    every category below its threshold counts against its path, so among leaves those on lower levels have
    to be the surer ones; with ``any`` the path ends before it comes to that. No path holds a category that is
    never decided (threshold null).

    Formula: argmax over paths P of the sum over c in P of logit(score_c) - logit(threshold_c), each log-odds
    clipped to ±30 and the difference rounded to millionths. Equal sums: the end that comes first in the
    taxonomy. At thresholds of 0.5 it is the most probable path, scores read as independent probabilities.

    Cost: O(N·C), in a DAG O(N·A), A pairs of category and ancestor.

    When to use: every document belongs to one place (product trees, subject classification) and must get
    one. ``task.paths`` ``one`` with another decoding gives at most one path, of decided categories only.
    """

    def __init__(self, config: OnePathConfig, taxonomy: Taxonomy) -> None:
        super().__init__(config, taxonomy)
        self.leaf = config.to == "leaf"

    def paths(self, closure: Closure, never_C: np.ndarray) -> Paths:
        return Paths.through(self.taxonomy, closure, never_C, leaf=self.leaf)


@decoders.register("one_per_level")
class OnePerLevel(OneOfThePaths):
    """Exactly one category of each level, each a child of the one above, down to a leaf.

    Exact, by dynamic programming over all such paths, where a greedy walk keeps the best of each level. On a
    tree these are the paths from the top to the leaves, as of ``one_path`` with ``"to": "leaf"``. In a DAG a step
    goes exactly one level down (a level is the longest distance from the top), and under closure ``ancestors`` only to a
    category whose ancestors are all on the path: one with two parents on one level cannot be chosen. A path ends where
    no step leads on.

    Formula: argmax over such paths P of the sum over c in P of logit(score_c) - logit(threshold_c), clipped and
    rounded as for ``one_path``.

    Cost: O(N·C), in a DAG O(N·A), A pairs of category and ancestor.

    When to use: the task is one label at each level (first division, then section), as a rule on a tree whose
    leaves lie on one level.
    """

    def paths(self, closure: Closure, never_C: np.ndarray) -> Paths:
        return Paths.through(self.taxonomy, closure, never_C, leaf=True, stepwise=True)
