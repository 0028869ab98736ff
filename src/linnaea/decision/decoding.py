"""Decoding: how the categories decided for a document are made to fit the taxonomy; coherence counted.

``none``, ``ancestors``, ``top_down`` and ``max`` (the max constraint of C-HMCNN, Giunchiglia & Lukasiewicz
2020, https://arxiv.org/abs/2010.10151). The paper's code expands scores to ``[N, C, C]``; here every edge is
walked once, children before parents, on rows of documents: O(N·E), and equal bit for bit, since a maximum
never rounds. Where thresholds differ between categories, ``max`` also lowers a parent's threshold to its
children's, so that no decision contradicts the taxonomy.

Shape letters: N documents of a block, C categories, E edges.
"""

from __future__ import annotations

import numpy as np

from linnaea.config.decoding import Closure, DecodingConfig
from linnaea.config.registry import decoders
from linnaea.decision.entries import Entries
from linnaea.decision.paths import single_path
from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy


@decoders.register("none")
class Decoding:
    """The thresholds alone; and the base of all decoders, which replace one or more of the three steps.

    Args:
        config: the decoder's settings.
        taxonomy: of the scores' columns.
    """

    def __init__(self, config: DecodingConfig, taxonomy: Taxonomy) -> None:
        self.config, self.taxonomy = config, taxonomy

    def scores(self, scores_NC: np.ndarray) -> np.ndarray:
        """``[N, C]`` scores as thresholds see them, while they are tuned and while they are applied."""
        return scores_NC

    def thresholds(self, thresholds_C: np.ndarray) -> np.ndarray:
        """The tuned thresholds, brought into an order that this decoder needs."""
        return thresholds_C

    def decode(self, decided_NC: np.ndarray) -> np.ndarray:
        """``[N, C]`` bool, from what reached its threshold to what is chosen."""
        return decided_NC

    def choose(
        self, scores_NC: np.ndarray, decided_NC: np.ndarray, thresholds_C: np.ndarray, closure: Closure
    ) -> np.ndarray:
        """The same for decoders that weigh scores against thresholds.

        Args:
            scores_NC: as thresholds see them.
            decided_NC: bool, what reached its threshold.
            thresholds_C: float64, +inf: never decided; NaN: decided with its parents, and of no weight.
            closure: of gold.
        """
        return self.decode(decided_NC)

    def single_path(
        self,
        scores_NC: np.ndarray,
        decided_NC: np.ndarray,
        chosen_NC: np.ndarray,
        thresholds_C: np.ndarray,
        closure: Closure,
    ) -> np.ndarray:
        """``[N, C]`` bool: of what is chosen at most one path a document (tasks with ``"paths": "one"``)."""
        return single_path(scores_NC, chosen_NC, thresholds_C, self.taxonomy, closure)

    def edges_up(self) -> list[tuple[int, int]]:
        """``(parent, child)`` columns; all edges below a category come before those above it."""
        return self.edges_down()[::-1]

    def edges_down(self) -> list[tuple[int, int]]:
        """``(parent, child)`` columns; all edges above a category come before those below it."""
        # Edges are sorted by child, and parents have lower columns than their children.
        parent_E, child_E = self.taxonomy.edges
        return list(zip(parent_E.tolist(), child_E.tolist(), strict=True))


@decoders.register("ancestors")
class Ancestors(Decoding):
    """Add all ancestors of what is decided."""

    def decode(self, decided_NC: np.ndarray) -> np.ndarray:
        chosen_CN = np.array(decided_NC.T, order="C")
        for parent, child in self.edges_up():
            np.logical_or(chosen_CN[parent], chosen_CN[child], out=chosen_CN[parent])
        return np.ascontiguousarray(chosen_CN.T)


@decoders.register("top_down")
class TopDown(Decoding):
    """Keep what has all its parents kept."""

    def decode(self, decided_NC: np.ndarray) -> np.ndarray:
        chosen_CN = np.array(decided_NC.T, order="C")
        for parent, child in self.edges_down():
            np.logical_and(chosen_CN[child], chosen_CN[parent], out=chosen_CN[child])
        return np.ascontiguousarray(chosen_CN.T)


@decoders.register("max")
class Max(Decoding):
    """A score is the largest among itself and its descendants; a parent's threshold the smallest."""

    def scores(self, scores_NC: np.ndarray) -> np.ndarray:
        largest_CN = np.array(scores_NC.T, order="C")
        for parent, child in self.edges_up():
            np.maximum(largest_CN[parent], largest_CN[child], out=largest_CN[parent])
        return np.ascontiguousarray(largest_CN.T)

    def thresholds(self, thresholds_C: np.ndarray) -> np.ndarray:
        lowered_C = thresholds_C.copy()
        for parent, child in self.edges_up():
            lowered_C[parent] = min(lowered_C[parent], lowered_C[child])
        return lowered_C


def chosen_scores(
    scores_NC: np.ndarray, decided_NC: np.ndarray, chosen_NC: np.ndarray, decoding: Decoding
) -> np.ndarray:
    """The scores to print of a block's chosen categories.

    Args:
        scores_NC: as the thresholds saw them.
        decided_NC: bool, what reached its threshold.
        chosen_NC: bool, what is chosen after decoding.

    Returns:
        As many as ``chosen_NC`` has True, row by row. An added ancestor, which did not reach its own
        threshold, has the largest score among itself and its chosen descendants; all others have their own.
    """
    added_NC = chosen_NC & ~decided_NC
    if not added_NC.any():
        return np.asarray(scores_NC[chosen_NC])
    entries = Entries.of(chosen_NC, decoding.taxonomy)
    at = entries.rows, entries.columns
    return np.where(added_NC[at], entries.largest(scores_NC[at]), scores_NC[at])


def violations(chosen: Ragged, taxonomy: Taxonomy, closure: Closure = "ancestors") -> np.ndarray:
    """How often the chosen categories of each document contradict the taxonomy.

    A violation is a (category, missing parent) pair. Under closure ``path`` one parent suffices, and a
    category none of whose parents is chosen is one violation.

    Args:
        chosen: columns of each document, ascending, without repeats.

    Returns:
        ``[N]`` int64.
    """
    columns, rows = len(taxonomy), chosen.rows
    keys = rows * columns + chosen.values
    parents = taxonomy.parents.take(chosen.values)
    wanted = rows[parents.rows] * columns + parents.values
    # No parent is wanted where nothing is chosen, so the last key is only looked up where there is one.
    there = keys[np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)] == wanted
    if closure == "path":
        with_parent = np.zeros(len(keys), dtype=bool)
        with_parent[parents.rows[there]] = True
        return np.bincount(rows[~with_parent & (parents.lengths_N > 0)], minlength=len(chosen))
    return np.bincount(rows[parents.rows[~there]], minlength=len(chosen))
