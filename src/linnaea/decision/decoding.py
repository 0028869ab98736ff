"""Decoding: how the categories decided for a document are made to fit the taxonomy; coherence counted.

``none``, ``ancestors``, ``top_down`` and ``max`` (the max constraint of C-HMCNN, Giunchiglia & Lukasiewicz
2020, https://arxiv.org/abs/2010.10151). The paper's code expands scores to ``[N, C, C]``; here every edge is
walked once, children before parents, on rows of documents: O(N·E), and equal bit for bit, since a maximum
never rounds. Where thresholds differ between categories, ``max`` also lowers a parent's threshold to its
children's, so that no decision contradicts the taxonomy.

Shape letters: N documents of a block, C categories, E edges.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from linnaea.config.outcome import DecodingConfig
from linnaea.config.registry import decoders
from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy

Closure = Literal["ancestors", "path", "none"]

CLIPPED_LOG_ODDS = 30.0


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
    largest_CN = np.array(np.where(chosen_NC, scores_NC, 0).T, order="C")
    for parent, child in decoding.edges_up():
        np.maximum(largest_CN[parent], largest_CN[child], out=largest_CN[parent])
    return np.asarray(np.where(added_NC, largest_CN.T, scores_NC)[chosen_NC])


def single_path(
    scores_NC: np.ndarray,
    decided_NC: np.ndarray,
    thresholds_C: np.ndarray,
    taxonomy: Taxonomy,
    closure: Closure,
) -> np.ndarray:
    """The best single path among the decided categories of each document (tasks with ``"paths": "one"``).

    A path is a category with its ancestors, all of them decided: with all ancestors under closure
    ``ancestors``, with one chain of parents under ``path``, the category alone under ``none``. The best has
    the highest sum of logit(score) - logit(threshold), each log-odds clipped to ±30; as every term is at
    least 0, it goes down as far as decisions do. Equal sums: the lowest column. No decided category has a
    whole path: nothing is chosen.

    Returns:
        ``[N, C]`` bool.
    """
    columns = len(taxonomy)
    gain_CN = np.zeros((columns, len(scores_NC)))
    rows, at = np.nonzero(decided_NC)
    gain_CN[at, rows] = np.maximum(_log_odds(scores_NC[rows, at]) - _log_odds(thresholds_C[at]), 0)
    total_CN = np.where(decided_NC.T, gain_CN, -np.inf)
    above_CN = None
    if closure == "ancestors":
        # Sums over sets of ancestors: in a DAG an ancestor that is reached along two ways counts once.
        total_CN = np.stack([total_CN[taxonomy.ancestors[column]].sum(axis=0) for column in range(columns)])
    elif closure == "path":
        above_CN = _best_parents(total_CN, taxonomy)
    end_N = total_CN.argmax(axis=0)
    found_N = total_CN.max(axis=0) > -np.inf
    chosen_NC = np.zeros_like(decided_NC)
    rows, at = np.flatnonzero(found_N), end_N[found_N]
    if closure == "ancestors":
        path = taxonomy.ancestors.take(at)
        chosen_NC[rows[path.rows], path.values] = True
    while closure != "ancestors" and len(rows):
        chosen_NC[rows, at] = True
        up = above_CN[at, rows] if above_CN is not None else np.full(len(rows), -1)
        rows, at = rows[up >= 0], up[up >= 0]
    return chosen_NC


def _best_parents(total_CN: np.ndarray, taxonomy: Taxonomy) -> np.ndarray:
    """Adds to each category, in place, its best parent's total; gives that parent's column, -1 at the top."""
    above_CN = np.full(total_CN.shape, -1, dtype=np.int64)
    for column in range(len(taxonomy)):
        parents = taxonomy.parents[column]
        if len(parents):
            best_N = total_CN[parents].argmax(axis=0)
            above_CN[column] = parents[best_N]
            total_CN[column] += total_CN[parents].max(axis=0)
    return above_CN


def _log_odds(values: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        values = np.clip(values.astype(np.float64), 0, 1)
        odds = np.log(values) - np.log1p(-values)
    return np.asarray(np.clip(odds, -CLIPPED_LOG_ODDS, CLIPPED_LOG_ODDS))


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
