"""Followers: categories without scores of their own, decided wherever all their parents are and nowhere else.

Decoders see them as what they are: decided with their parents, and of no weight of their own (threshold NaN). So what is
decided below one keeps or pays for the categories above it as it would without the follower between.

Shape letters: N documents, C categories.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.sparse import csr_array, vstack

from linnaea.config.decoding import Closure, DecodingConfig, NoDecodingConfig, PathConfig
from linnaea.decision.paths import reached
from linnaea.decision.predictions import Predictions
from linnaea.errors import ConfigError
from linnaea.taxonomy.taxonomy import Taxonomy


def followed(marked_NC: np.ndarray, follows: Sequence[int], taxonomy: Taxonomy) -> np.ndarray:
    """``[N, C]`` bool: what is marked, and the followers whose parents all are.

    Args:
        follows: columns, ascending.
    """
    if not len(follows):
        return marked_NC
    marked_NC = marked_NC.copy()
    for column in follows:  # parents before their children
        marked_NC[:, column] |= marked_NC[:, taxonomy.parents[column]].all(axis=1)
    return marked_NC


def weighed(thresholds_C: np.ndarray, follows: Sequence[int]) -> np.ndarray:
    """The thresholds as decoders weigh them: NaN, no weight, for followers."""
    if not len(follows):
        return thresholds_C
    thresholds_C = thresholds_C.copy()
    thresholds_C[list(follows)] = np.nan
    return thresholds_C


def by_thresholds(support_C: np.ndarray, found_C: np.ndarray | None, follows: Sequence[int]) -> np.ndarray:
    """``[C]``: training documents; 0 where no threshold decides: followers, and what the strategy says is never decided.

    Args:
        found_C: thresholds that the strategy found, +inf: never.
    """
    own_C = np.array(support_C)
    own_C[list(follows)] = 0
    return own_C if found_C is None else np.where(np.isinf(found_C), 0, own_C)


def with_parents(predictions: Predictions, follows: Sequence[int]) -> Predictions:
    """A follower's score becomes the lowest of its parents: it reaches a threshold where all of them do."""
    if not len(follows) or not len(predictions):
        return predictions
    taxonomy, parts = predictions.taxonomy, []
    whole_NC = None if predictions.sparse else np.empty_like(predictions.scores)
    for rows, block in predictions.blocks():
        block_NC = block.copy() if whole_NC is None else whole_NC[rows]
        block_NC[:] = block
        for column in follows:
            block_NC[:, column] = block_NC[:, taxonomy.parents[column]].min(axis=1, initial=1)
        if whole_NC is None:
            parts.append(csr_array(block_NC))
    scores = csr_array(vstack(parts, format="csr")) if whole_NC is None else whole_NC
    return Predictions(predictions.ids, taxonomy, scores)


def closure_of_paths(closure: Closure, decoding: DecodingConfig) -> Closure:
    """What a single path holds; a decoder that was asked for coherence has the last word about ancestors."""
    alone = closure == "none" and isinstance(decoding, NoDecodingConfig)
    return "ancestors" if closure == "none" and not alone else closure


def check_one_path(
    taxonomy: Taxonomy, closure: Closure, decoding: DecodingConfig, never_C: np.ndarray, follows: Sequence[int],
    where: str, hint: str,
) -> None:  # fmt: skip
    """Refuse followers that would be decided beside the one path of a document.

    A follower that every path through all its parents goes on to, such as an only child, is part of these paths.

    Args:
        closure: of gold.
        never_C: bool, categories that no threshold decides and no follower is.

    Raises:
        ConfigError: there is such a follower.
    """
    closure = closure_of_paths(closure, decoding)
    if not isinstance(decoding, PathConfig):
        never_C = _never_added(never_C, follows, taxonomy)
    open_C = ~never_C if closure == "none" else reached(taxonomy, closure, never_C, *taxonomy.edges)
    for column in follows:
        name = taxonomy.ids[column]
        problem = f"one path a document, and {name!r} has no network: it is decided wherever "
        if closure == "path" and len(taxonomy.parents[column]) > 1:
            problem += "all its parents are, and a path holds one of them"
            raise ConfigError(problem, where=where, hint=hint)
        beside = [end for end in _beside(column, taxonomy, closure) if open_C[end]]
        if beside and open_C[taxonomy.parents[column]].all():
            problem += f"its parents are, also on the path to {taxonomy.ids[min(beside)]!r}"
            raise ConfigError(problem, where=where, hint=hint)


def _never_added(never_C: np.ndarray, follows: Sequence[int], taxonomy: Taxonomy) -> np.ndarray:
    """``[C]`` bool: what has nothing below it that a threshold decides, either: ``ancestors`` and ``max`` do not add it."""
    never_C = never_C.copy()
    never_C[list(follows)] = True
    for parent, child in reversed(list(zip(*(columns.tolist() for columns in taxonomy.edges), strict=True))):
        never_C[parent] &= never_C[child]
    never_C[list(follows)] = False
    return never_C


def _beside(column: int, taxonomy: Taxonomy, closure: Closure) -> set[int]:
    """The ends of paths that hold all parents of a follower, and that neither come from it nor go on to it."""
    parents = taxonomy.parents[column].tolist()
    if closure == "none":
        return set(parents)
    if closure == "path":
        return {child for parent in parents for child in taxonomy.children[parent].tolist()} - {column}
    below = [set(taxonomy.descendants[parent].tolist()) for parent in parents]
    ends = set.intersection(*below) if below else set(range(len(taxonomy)))
    return ends - {*taxonomy.descendants[column].tolist(), *taxonomy.ancestors[column].tolist()}
