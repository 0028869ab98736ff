"""The majority guess: the same categories for every document, the most frequent ones of train.

How many is chosen so that micro-F1 on the very documents that are measured is the highest: a guess that reads nothing
cannot do better, so that whatever a model adds is what it read. Where each document has exactly one category it is one.

Shape letters: N documents, C categories.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from linnaea.metrics.counts import Rates, ratio
from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy


@dataclass(frozen=True)
class Majority:
    """What it is worth; ``columns`` are guessed for every document, the most frequent first."""

    columns: tuple[int, ...]
    micro: Rates
    macro_f1: float
    hierarchical_f1: float


def majority(gold: Ragged, support_C: np.ndarray, taxonomy: Taxonomy, *, single: bool = False) -> Majority:
    """The guess for documents with the categories ``gold``.

    Args:
        support_C: documents of train in each category; those without any are never guessed. Of equally frequent
            ones the lower column comes first, so that no category comes before its ancestors.
        single: each document has exactly one category.
    """
    columns, documents = len(taxonomy), len(gold)
    gold_C = gold.counts(columns)
    order = np.argsort(-np.asarray(support_C), kind="stable")
    order = order[np.asarray(support_C)[order] > 0]
    hits = np.cumsum(gold_C[order])
    f1 = ratio(2 * hits, documents * np.arange(1, len(order) + 1) + gold_C.sum())
    count = min(1, len(order)) if single else int(f1.argmax()) + 1 if len(order) else 0
    guessed = order[:count]
    in_hits, in_chosen = int(gold_C[guessed].sum()), documents * count
    own_C = ratio(2 * gold_C[guessed], documents + gold_C[guessed])
    closed = taxonomy.close(Ragged.from_rows([guessed]))[0]
    above_C = taxonomy.close(gold).counts(columns)
    hierarchical = Rates.of(int(above_C[closed].sum()), documents * len(closed), int(above_C.sum()))
    return Majority(
        tuple(guessed.tolist()),
        Rates.of(in_hits, in_chosen, int(gold_C.sum())),
        float(own_C.sum() / columns),
        hierarchical.f1,
    )
