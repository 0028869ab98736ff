"""TfIdf: counted features of documents to weighted unit vectors, as scikit-learn's ``TfidfTransformer``.

Sublinear term frequency 1 + ln(count), smooth inverse document frequency ln((1 + N) / (1 + df)) + 1, rows of
length 1. The features of ``input`` stand beside each other; those that no fitted document holds have no
column, nor have padding and unknown tokens.

Shape letters: N documents, R rows of all feature tables together, F features that have a column.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
from scipy.sparse import csr_array, vstack

if TYPE_CHECKING:
    from linnaea.text.store import Split

RESERVED = {"token": 2}  # ids of padding and of unknown tokens
BLOCK = 2048  # documents counted at once


def count_features(
    split: Split, features: Sequence[str], sizes: Mapping[str, int], rows_N: np.ndarray
) -> csr_array:
    """``[N, R]`` float64: how often each feature stands in the documents ``rows_N``; columns ascend."""
    blocks = [rows_N[start : start + BLOCK] for start in range(0, len(rows_N), BLOCK)] or [rows_N]
    counted = [_count_block(split, features, sizes, block) for block in blocks]
    return counted[0] if len(counted) == 1 else csr_array(vstack(counted, format="csr"))


def _count_block(
    split: Split, features: Sequence[str], sizes: Mapping[str, int], rows_N: np.ndarray
) -> csr_array:
    parts, lengths, below = [], [], 0
    for feature in features:
        bag = split.bag(feature, rows_N)
        parts.append((bag.values.astype(np.int64) + below, bag.rows))
        lengths.append(bag.lengths_N)
        below += sizes[feature]
    values = np.concatenate([values for values, _ in parts])
    order = np.argsort(np.concatenate([rows for _, rows in parts]), kind="stable")
    offsets_N1 = np.concatenate(([0], np.cumsum(np.sum(lengths, axis=0)))).astype(np.int64)
    counts = csr_array((np.ones(len(values)), values[order], offsets_N1), shape=(len(rows_N), below))
    counts.sum_duplicates()
    return counts


@dataclass(frozen=True, eq=False)
class TfIdf:
    """Weights of features.

    Attributes:
        features: of the input, in the order in which their tables stand.
        sizes: rows of each feature's table.
        kept_F: int64, ascending: which rows of all tables have a column.
        idf_F: float64.
    """

    features: tuple[str, ...]
    sizes: Mapping[str, int]
    kept_F: np.ndarray
    idf_F: np.ndarray

    @classmethod
    def fit(cls, counts: csr_array, features: Sequence[str], sizes: Mapping[str, int]) -> Self:
        """From the counts of the documents that a model is fitted on."""
        documents, rows = counts.shape
        df_R = np.bincount(counts.indices, minlength=rows)
        sizes = {feature: sizes[feature] for feature in features}
        below = 0
        for feature in features:
            df_R[below : below + RESERVED.get(feature, 0)] = 0
            below += sizes[feature]
        kept_F = np.flatnonzero(df_R)
        return cls(tuple(features), sizes, kept_F, np.log((1 + documents) / (1 + df_R[kept_F])) + 1)

    def __len__(self) -> int:
        """F."""
        return len(self.kept_F)

    def weigh(self, counts: csr_array) -> csr_array:
        """``[N, F]`` float64 unit rows from counts ``[N, R]``; without any feature a row of zeros."""
        column_R = np.full(counts.shape[1], -1, dtype=np.int64)
        column_R[self.kept_F] = np.arange(len(self))
        indices = column_R[counts.indices]
        known = indices >= 0
        rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))[known]
        indices = indices[known]
        values = (1 + np.log(counts.data[known])) * self.idf_F[indices]
        norms_N = np.sqrt(np.bincount(rows, weights=values**2, minlength=counts.shape[0]))
        values /= norms_N[rows]
        offsets_N1 = np.concatenate(([0], np.cumsum(np.bincount(rows, minlength=counts.shape[0]))))
        # liblinear reads 32-bit indices.
        parts = (values, indices.astype(np.int32), offsets_N1.astype(np.int32))
        return csr_array(parts, shape=(counts.shape[0], len(self)))

    def __call__(self, split: Split, rows_N: np.ndarray) -> csr_array:
        """``[N, F]`` float64 for documents of a split."""
        return self.weigh(count_features(split, self.features, self.sizes, rows_N))
