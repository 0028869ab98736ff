"""Mistakes: of each category the surest ones both ways.

A category is *wrongly decided* for a document that does not have it, and *missed* in one that has it. The surest wrong
decisions have the highest scores, the surest misses the lowest.

Shape letters: N documents, C categories, M mistakes, K kept mistakes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from linnaea.decision.cuts import scores_at
from linnaea.metrics.counts import contains, pair_keys
from linnaea.ragged import Ragged

if TYPE_CHECKING:
    from linnaea.metrics.outcome import Outcome

MOST = 5  # of a category, each way
QUOTED = 3500  # mistakes on a page: beyond some hundred categories there are fewer of each


@dataclass(frozen=True, eq=False)
class Kept:
    """The surest mistakes of one kind.

    Attributes:
        rows: by category, the surest first: documents.
        scores_K: aligned with ``rows.values``.
    """

    rows: Ragged
    scores_K: np.ndarray


@dataclass(frozen=True, eq=False)
class Mistakes:
    """What went wrong.

    Attributes:
        wrong, missed: the surest of each category.
        wrong_C, missed_C: int64, how many there are in all.
    """

    wrong: Kept
    missed: Kept
    wrong_C: np.ndarray
    missed_C: np.ndarray

    @property
    def documents(self) -> np.ndarray:
        """int64, ascending: the documents to quote."""
        return np.unique(np.concatenate([self.wrong.rows.values, self.missed.rows.values])).astype(np.int64)


def mistakes(outcome: Outcome) -> Mistakes:
    """The mistakes of a scored split; of equal scores the earlier document is kept."""
    columns = len(outcome.taxonomy)
    chosen, gold = outcome.decisions.chosen, outcome.gold
    chosen_keys, gold_keys = pair_keys(chosen, columns), pair_keys(gold, columns)
    wrong = ~contains(gold_keys, chosen_keys)
    missed_keys = gold_keys[~contains(chosen_keys, gold_keys)]
    # The columns of a document's decisions ascend, so that scores are aligned with the keys.
    scores, wrong_keys = outcome.decisions.scores[wrong], chosen_keys[wrong]
    missed_rows, missed_columns = np.divmod(missed_keys, columns)
    missed_scores = scores_at(outcome.predictions, missed_rows, missed_columns)
    most = max(1, min(MOST, QUOTED // (2 * columns)))
    wrong_rows, wrong_columns = np.divmod(wrong_keys, columns)
    return Mistakes(
        _surest(wrong_rows, wrong_columns, scores, -scores, columns, most),
        _surest(missed_rows, missed_columns, missed_scores, missed_scores, columns, most),
        np.bincount(wrong_columns, minlength=columns),
        np.bincount(missed_columns, minlength=columns),
    )


def _surest(
    rows_M: np.ndarray,
    columns_M: np.ndarray,
    scores_M: np.ndarray,
    order_M: np.ndarray,
    columns: int,
    most: int,
) -> Kept:
    """The first ``most`` of each category by ``order_M``; of very many categories those with most mistakes only."""
    counts_C = np.bincount(columns_M, minlength=columns)
    shown_C = np.zeros(columns, dtype=bool)
    shown_C[np.argsort(-counts_C, kind="stable")[: max(1, QUOTED // (2 * most))]] = True
    order = np.lexsort((rows_M, order_M, columns_M))
    starts_C = np.cumsum(counts_C) - counts_C
    place_M = np.arange(len(order)) - starts_C[columns_M[order]]
    kept = order[(place_M < most) & shown_C[columns_M[order]]]
    lengths_C = np.bincount(columns_M[kept], minlength=columns)
    return Kept(Ragged.from_lengths(rows_M[kept].astype(np.int64), lengths_C), scores_M[kept])
