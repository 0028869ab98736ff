"""Small worlds to test decisions and metrics in: random trees and DAGs, scores with ties, gold."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from scipy.sparse import csr_array

from linnaea.decision.predictions import Predictions
from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy


def tree(*parents: tuple[int, ...]) -> Taxonomy:
    """Category ``i`` is called ``c<i>`` and lies below the categories with the numbers ``parents[i]``."""
    ids = [f"c{i}" for i in range(len(parents))]
    return Taxonomy.build(ids, ids, [[ids[p] for p in above] for above in parents])


def flat(columns: int) -> Taxonomy:
    return tree(*[()] * columns)


def predictions(scores: Any, taxonomy: Taxonomy | None = None, sparse: bool = False) -> Predictions:
    matrix = np.asarray(scores, dtype=np.float32)
    taxonomy = taxonomy or flat(matrix.shape[1])
    ids = [str(i) for i in range(len(matrix))]
    return Predictions(ids, taxonomy, csr_array(matrix) if sparse else matrix)


@st.composite
def taxonomies(draw: st.DrawFn, most: int = 8, kind: str = "any") -> Taxonomy:
    """Trees (kind ``tree``), or graphs in which a category may have several parents."""
    parents: list[tuple[int, ...]] = []
    for number in range(draw(st.integers(1, most))):
        most_parents = min(number, 1 if kind == "tree" else 3)
        above = draw(st.sets(st.integers(0, number - 1), max_size=most_parents)) if number else set()
        parents.append(tuple(sorted(above)))
    return tree(*parents)


def matrices(rows: int, columns: int, steps: int = 8) -> st.SearchStrategy[np.ndarray]:
    """Scores in multiples of 1/steps, 0 and 1 among them: many are equal."""
    size = rows * columns
    values = st.lists(st.integers(0, steps), min_size=size, max_size=size)
    return values.map(lambda v: (np.array(v, dtype=np.float32) / steps).reshape(rows, columns))


def sets(rows: int, columns: int) -> st.SearchStrategy[np.ndarray]:
    """bool ``[rows, columns]``; empty rows and columns happen."""
    size = rows * columns
    values = st.lists(st.booleans(), min_size=size, max_size=size)
    return values.map(lambda v: np.array(v, dtype=bool).reshape(rows, columns))


def thresholds(columns: int, steps: int = 16) -> st.SearchStrategy[np.ndarray]:
    """One threshold a category, +inf among them."""
    value = st.one_of(st.integers(1, steps).map(lambda k: k / steps), st.just(np.inf))
    return st.lists(value, min_size=columns, max_size=columns).map(lambda v: np.array(v, dtype=np.float64))


def random_world(
    rng: np.random.Generator, documents: int, taxonomy: Taxonomy, rate: float = 0.3
) -> tuple[Predictions, np.ndarray]:
    """Predictions that have learned something, and closed gold as bool ``[N, C]``."""
    marked = rng.random((documents, len(taxonomy))) < rate
    gold = taxonomy.close(Ragged.from_dense(marked)).dense(len(taxonomy))
    scores = 1 / (1 + np.exp(-(rng.normal(-1, 1, gold.shape) + 2 * gold)))
    return predictions(scores, taxonomy), gold
