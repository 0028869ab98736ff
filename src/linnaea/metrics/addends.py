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
from scipy.sparse import csr_array, vstack

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
        matrix: ``[V, N]`` float64 CSR.
        parts: the rows of each name.
    """

    matrix: csr_array
    parts: Mapping[str, slice]

    @classmethod
    def of(cls, parts: Mapping[str, csr_array]) -> Addends:
        """From ``[v, N]`` rows of each name."""
        starts = np.cumsum([0, *(part.shape[0] for part in parts.values())]).tolist()
        places = {name: slice(*starts[i : i + 2]) for i, name in enumerate(parts)}
        return cls(csr_array(vstack(list(parts.values()), format="csr")), places)

    def __len__(self) -> int:
        return int(self.matrix.shape[1])

    def __sub__(self, other: Addends) -> Addends:
        """The difference of each number; both have the same rows."""
        difference = csr_array(self.matrix - other.matrix)
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


def further(
    chosen: Ragged, gold: Ragged, taxonomy: Taxonomy, violations_N: np.ndarray
) -> dict[str, csr_array]:
    """Of decisions: contradictions of the taxonomy, distances."""
    away = Distances.of(chosen, gold, taxonomy)
    ways = away.per_document()
    return {
        "violations": one_row(violations_N),
        "violating": one_row(violations_N > 0),
        "distance": csr_array(np.stack([ways[name] for name in ("error", "decided", "missed")])),
        "distance_of": csr_array(
            np.stack([np.ones(len(gold)), away.decided_sizes_N > 0, away.missed_sizes_N > 0])
        ),
    }


def scored(predictions: Predictions, gold: Ragged, ranks: Sequence[int]) -> dict[str, csr_array]:
    """Of scores: ranking, and of each level squared errors and gaps ``[L·B, N]`` between scores and gold by bin."""
    places = Places.of(predictions, gold)
    ranked = [places.precision_N(k) for k in ranks]
    ranked += [places.r_precision_N(), places.ndcg_N(ranks[-1])]
    squares, gaps = _errors(predictions, gold)
    return {
        "ranking": csr_array(np.stack(ranked)),
        "with_gold": one_row(places.gold_N > 0),
        "squares": squares,
        "gaps": gaps,
    }


def _by_category(keys: np.ndarray, documents: int, columns: int) -> csr_array:
    rows = keys // columns
    pairs = Ragged.from_lengths(keys - rows * columns, np.bincount(rows, minlength=documents))
    turned = pairs.transpose(columns)
    ones = np.ones(len(turned.values))
    return csr_array((ones, turned.values, turned.offsets_N1), shape=(columns, documents))


def _errors(predictions: Predictions, gold: Ragged) -> tuple[csr_array, csr_array]:
    """``[L, N]`` sums of (score - gold)², and ``[L·B, N]`` sums of score - gold by the bin of the score."""
    taxonomy, documents = predictions.taxonomy, len(predictions)
    levels, level_C = taxonomy.depth, taxonomy.level_C - 1
    own_M = scores_at(predictions, gold.rows, gold.values).astype(np.float64)
    cells = (level_C[gold.values] * BINS + bins(own_M)) * documents + gold.rows
    found = [(cells, np.full(len(cells), -1.0))]
    squares_LN = np.zeros((levels, documents))
    np.add.at(squares_LN, (level_C[gold.values], gold.rows), 1 - 2 * own_M)
    for start, row_M, column_M, score_M in _pieces(predictions):
        level_M, count = level_C[column_M], int(row_M.max(initial=-1)) + 1
        own = np.bincount(row_M * levels + level_M, np.square(score_M), minlength=count * levels)
        squares_LN[:, start : start + count] += own.reshape(count, levels).T
        at = (row_M * levels + level_M) * BINS + bins(score_M)
        summed = np.bincount(at, score_M, minlength=count * levels * BINS)
        there = np.flatnonzero(summed)
        row, cell = there // (levels * BINS), there % (levels * BINS)
        found.append((cell * documents + start + row, summed[there]))
    cells, values = (np.concatenate([part[i] for part in found]) for i in range(2))
    gaps = csr_array(
        (values, (cells // documents, cells % documents)), shape=(levels * BINS, documents)
    )  # sums what is of the same cell
    return csr_array(squares_LN), gaps


def _pieces(predictions: Predictions) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
    """Some hundred thousand scores: the first document, and from it on documents, columns, float64 scores."""
    scores, columns = predictions.scores, len(predictions.taxonomy)
    if isinstance(scores, np.ndarray):
        for rows, block_NC in predictions.blocks(1):
            row_M = np.repeat(np.arange(len(block_NC)), columns)
            column_M = np.tile(np.arange(columns), len(block_NC))
            yield rows.start, row_M, column_M, block_NC.ravel().astype(np.float64)
        return
    kept = Ragged(np.arange(len(scores.data)), scores.indptr.astype(np.int64))
    step = max(1, PAIRS // max(1, predictions.kept))
    for start in range(0, len(predictions), step):
        some = kept.take(np.arange(start, min(start + step, len(predictions))))
        column_M = scores.indices[some.values].astype(np.int64)
        yield start, some.rows, column_M, scores.data[some.values].astype(np.float64)
