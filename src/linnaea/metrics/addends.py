"""Addends: what each document adds to the sums that measures are made of.

A measure of a test set is a function of sums over its documents: of hits by category, of squared errors, of how much is
decided above a score. With these a document a column of one sparse matrix, any other set of the same documents (drawn
again, or with some exchanged between two systems) is measured by a product with the documents' weights, and nothing is
counted twice.

Shape letters: N documents, C categories, L levels, V rows of addends, R sets of weights, B bins.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csc_array, csr_array, vstack

from linnaea.decision.cuts import scores_at
from linnaea.decision.predictions import Predictions
from linnaea.metrics.calibration import BINS, bins
from linnaea.metrics.counts import Counts, closed_counts, contains, pair_keys
from linnaea.metrics.distance import Distances
from linnaea.metrics.ranking import Places
from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy

PAIRS = 2**18  # scores that are looked at at once
Sums = Mapping[str, np.ndarray]
"""``[v, R]`` float64 by name."""


@dataclass(frozen=True, eq=False)
class Addends:
    """Sparse rows, by name.

    Attributes:
        matrix: ``[V, N]`` float64; CSC where there are more documents than rows: of a product's two dense sides the
            smaller one is then the one that is jumped about in.
        parts: the rows of each name.
    """

    matrix: csr_array | csc_array
    parts: Mapping[str, slice]

    @classmethod
    def of(cls, parts: Mapping[str, csr_array]) -> Addends:
        """From ``[v, N]`` rows of each name."""
        starts = np.cumsum([0, *(part.shape[0] for part in parts.values())]).tolist()
        places = {name: slice(*starts[i : i + 2]) for i, name in enumerate(parts)}
        matrix = csr_array(vstack(list(parts.values()), format="csr"))
        return cls(matrix.tocsc() if matrix.shape[1] > matrix.shape[0] else matrix, places)

    def __len__(self) -> int:
        return int(self.matrix.shape[1])

    def __sub__(self, other: Addends) -> Addends:
        """The difference of each number; both have the same rows."""
        difference = self.matrix - other.matrix
        difference.eliminate_zeros()
        return Addends(difference, self.parts)

    def sums(self, weights_NR: np.ndarray) -> dict[str, np.ndarray]:
        """The sums of the documents under each set of weights."""
        return self.split(self.matrix @ weights_NR)

    def split(self, sums_VR: np.ndarray) -> dict[str, np.ndarray]:
        """All sums, by name."""
        return {name: sums_VR[part] for name, part in self.parts.items()}

    @property
    def whole(self) -> dict[str, np.ndarray]:
        """The sums of the documents as they are, R = 1."""
        return self.sums(np.ones((len(self), 1)))


def one_row(values_N: np.ndarray) -> csr_array:
    """``[1, N]``."""
    return csr_array(np.asarray(values_N, dtype=np.float64)[None])


def decided(chosen: Ragged, gold: Ragged, taxonomy: Taxonomy) -> dict[str, csr_array]:
    """Of decisions: ``hits``, ``chosen``, ``gold`` ``[C, N]``, and a row each of what documents are worth by themselves."""
    columns, documents = len(taxonomy), len(gold)
    chosen_keys, gold_keys = pair_keys(chosen, columns), pair_keys(gold, columns)
    hits_keys = chosen_keys[contains(gold_keys, chosen_keys)]
    counts = Counts.of(chosen, gold, columns)
    closed = closed_counts(chosen, gold, taxonomy)
    return {
        **{
            name: _by_category(keys, documents, columns)
            for name, keys in (("hits", hits_keys), ("chosen", chosen_keys), ("gold", gold_keys))
        },
        "samples_f1": one_row(counts.f1_N),
        "exact": one_row(counts.exact_N),
        **{
            f"closed_{name}": one_row(row)
            for name, row in zip(("hits", "chosen", "gold"), closed, strict=True)
        },
    }


def further(violations_N: np.ndarray, away: Distances) -> dict[str, csr_array]:
    """Of decisions: contradictions of the taxonomy, distances."""
    ways = away.per_document()
    return {
        "violations": one_row(violations_N),
        "violating": one_row(violations_N > 0),
        "distance": csr_array(np.stack([ways[name] for name in ("error", "decided", "missed")])),
        "distance_of": csr_array(
            np.stack([np.ones(len(violations_N)), away.decided_sizes_N > 0, away.missed_sizes_N > 0])
        ),
    }


def scored(
    predictions: Predictions, gold: Ragged, places: Places, ranks: Sequence[int]
) -> dict[str, csr_array]:
    """Of scores: ranking, and of each level squared errors and gaps ``[L·B, N]`` between scores and gold by bin.

    Args:
        places: of gold among the scores.
    """
    ranked = [places.precision_N(k) for k in ranks]
    ranked += [places.r_precision_N(), places.ndcg_N(ranks[-1])]
    squares, gaps = _errors(predictions, gold)
    return {
        "ranking": csr_array(np.stack(ranked)),
        "with_gold": one_row(places.gold_N > 0),
        "squares": squares,
        "gaps": gaps,
    }


def binned(predictions: Predictions, gold: Ragged) -> tuple[dict[str, csr_array], np.ndarray]:
    """Of scores: gaps ``[V, N]`` between scores and gold, of each bin of a category that holds any; the category of each."""
    own_M = scores_at(predictions, gold.rows, gold.values).astype(np.float64)
    entries = [(gold.values.astype(np.int64) * BINS + bins(own_M), gold.rows, np.full(len(own_M), -1.0))]
    for column, rows, scores in predictions.columns():
        score_M = scores.astype(np.float64)
        entries.append((column * BINS + bins(score_M), rows, score_M))
    cells, rows, gaps = (np.concatenate(part) for part in zip(*entries, strict=True))
    held_V, place = np.unique(cells, return_inverse=True)
    shape = (len(held_V), len(predictions))
    return {"own_gaps": csr_array((gaps, (place, rows)), shape=shape)}, held_V // BINS


def _by_category(keys: np.ndarray, documents: int, columns: int) -> csr_array:
    rows = keys // columns
    pairs = Ragged.from_lengths(keys - rows * columns, np.bincount(rows, minlength=documents))
    turned = pairs.transpose(columns)
    ones = np.ones(len(turned.values))
    return csr_array((ones, turned.values, turned.offsets_N1), shape=(columns, documents))


def _errors(predictions: Predictions, gold: Ragged) -> tuple[csr_array, csr_array]:
    """``[L, N]`` sums of (score - gold)², and ``[L·B, N]`` sums of score - gold by the bin of the score."""
    documents, levels = len(predictions), predictions.taxonomy.depth
    level_C = predictions.taxonomy.level_C - 1
    own_M = scores_at(predictions, gold.rows, gold.values).astype(np.float64)
    gold_M = gold.rows * levels + level_C[gold.values]
    squares_G, found = np.zeros(documents * levels), []
    for rows, group_M, score_M in _pieces(predictions, level_C):
        groups, first = (rows.stop - rows.start) * levels, rows.start * levels
        own = slice(*gold.offsets_N1[[rows.start, rows.stop]].tolist())
        at, own_at = gold_M[own] - first, own_M[own]
        # (score - gold)² is the score's own square, and 1 - 2·score more where gold.
        squares_G[first : first + groups] = np.bincount(group_M, np.square(score_M), minlength=groups)
        squares_G[first : first + groups] += np.bincount(at, 1 - 2 * own_at, minlength=groups)
        gaps = np.bincount(group_M * BINS + bins(score_M), score_M, minlength=groups * BINS)
        gaps -= np.bincount(at * BINS + bins(own_at), minlength=groups * BINS)
        found.append(csr_array(gaps.reshape(-1, levels * BINS)))
    squares_NL = squares_G.reshape(documents, levels)
    by_document = vstack(found, format="csr") if found else csr_array((0, levels * BINS))
    return csr_array(squares_NL.T), csr_array(by_document.T.tocsr())


def _pieces(predictions: Predictions, level_C: np.ndarray) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
    """Some hundred thousand scores: their documents; of each score which level of which of these it is, and float64."""
    scores, columns, levels = predictions.scores, len(level_C), int(level_C.max(initial=0)) + 1
    if isinstance(scores, np.ndarray):
        group_M = np.zeros(0, dtype=np.int64)  # the same in every piece
        for rows, block_NC in predictions.blocks(1):
            if not len(group_M):
                group_M = (np.arange(len(block_NC))[:, None] * levels + level_C).ravel()
            yield rows, group_M[: len(block_NC) * columns], block_NC.ravel().astype(np.float64)
        return
    kept = Ragged(scores.indices, scores.indptr.astype(np.int64))
    step = max(1, PAIRS // max(1, predictions.kept))
    for start in range(0, len(predictions), step):
        rows = slice(start, min(start + step, len(predictions)))
        some = kept.take(np.arange(rows.start, rows.stop))
        part = slice(*kept.offsets_N1[[rows.start, rows.stop]].tolist())
        yield rows, some.rows * levels + level_C[some.values], scores.data[part].astype(np.float64)
