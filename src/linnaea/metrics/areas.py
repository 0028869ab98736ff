"""Areas under precision over recall, from sums over documents: average precision of any weighted set of documents.

Precision is read at the scores of gold pairs. What a document adds is how many of its pairs lie between two such
scores, and how many of these are right; cumulated from the top these are decided pairs and hits. Equal to
``ranking.average_precision`` where every document counts once.

Shape letters: N documents, C categories, M scores where precision is read, R sets of weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csr_array

from linnaea.decision.cuts import Evidence
from linnaea.decision.predictions import Predictions
from linnaea.metrics.addends import Sums
from linnaea.metrics.counts import ratio
from linnaea.metrics.sums import Measures
from linnaea.ragged import Ragged

TOGETHER, EACH = 256, 32
"""The most scores at which precision is read: of all categories in one order, and of each."""


@dataclass(frozen=True, eq=False)
class Steps:
    """Where precision is read.

    Attributes:
        micro_M: ascending scores, of all categories in one order.
        by_category: ascending scores of each category.
    """

    micro_M: np.ndarray
    by_category: Ragged

    @classmethod
    def of(cls, sides: Sequence[Predictions], gold: Ragged) -> Steps:
        """At scores above 0 of gold pairs, under any of several predictions for the same documents.

        Where there are many, the lowest and others at even distances.
        """
        columns = len(sides[0].taxonomy)
        found = [Evidence(side, gold, np.ones(columns)).positives for side in sides]
        column, score = (
            np.concatenate(both) for both in zip(*((f.rows, f.values) for f in found), strict=True)
        )
        order = np.lexsort((score, column))
        column, score = column[order], score[order]
        fresh = np.ones(len(order), dtype=bool)
        fresh[1:] = (np.diff(column) > 0) | (np.diff(score) > 0)
        column, lengths_C = column[fresh], np.bincount(column[fresh], minlength=columns)
        place = np.arange(len(column)) - (np.cumsum(lengths_C) - lengths_C)[column]
        kept = _spread(place, lengths_C[column], EACH)
        by_category = Ragged.from_lengths(score[fresh][kept], np.bincount(column[kept], minlength=columns))
        every = np.unique(score)
        return cls(
            every[_spread(np.arange(len(every)), np.full(len(every), len(every)), TOGETHER)], by_category
        )

    def addends(self, predictions: Predictions, gold: Ragged) -> dict[str, csr_array]:
        """``micro_decided`` and ``micro_hits`` ``[M, N]``, ``macro_decided`` and ``macro_hits`` of all categories.

        The highest score comes first, in ``macro`` those of all categories, then their second ones, and so on.
        """
        documents, columns = len(predictions), len(predictions.taxonomy)
        gold_of = gold.transpose(columns)
        found: dict[str, list[np.ndarray]] = {name: [] for name in ("micro", "macro")}
        marked, right = np.zeros(documents, dtype=bool), []
        order, counts = self._layout
        place_C = np.empty_like(order)
        place_C[order] = np.arange(columns)
        starts = np.cumsum([0, *counts])
        for column, rows, scores in predictions.columns():
            own = self.by_category[column]
            if not len(self.micro_M):
                break
            # What lies below all gold pairs is decided after the last of them, and changes nothing.
            seen = np.flatnonzero(scores >= self.micro_M[0])
            rows, scores = rows[seen].astype(np.int64), scores[seen]
            marked[gold_of[column]] = True
            right.append(marked[rows])
            marked[gold_of[column]] = False
            step = len(self.micro_M) - np.searchsorted(self.micro_M, scores, side="right")
            found["micro"].append(step * documents + rows)
            below = np.searchsorted(own, scores, side="right")
            step = starts[np.maximum(len(own) - below, 0)] + place_C[column]
            found["macro"].append(np.where(below > 0, step * documents + rows, -1))
        sizes = {"micro": len(self.micro_M), "macro": len(self.by_category.values)}
        return {
            f"{side}_{name}": _counted(
                found[side], None if name == "decided" else right, sizes[side], documents
            )
            for side in sizes
            for name in ("decided", "hits")
        }

    def measures(self, sums: Sums, documents: int) -> Measures:
        """Both."""
        return {
            ("average_precision", "micro"): self.micro(sums, documents),
            ("average_precision", "macro"): self.macro(sums, documents),
        }

    def micro(self, sums: Sums, documents: int) -> np.ndarray:
        """``[R]``: over all pairs in one order; 0 where none is gold."""
        total_R = sums["gold"].sum(axis=0)
        hits, decided = sums["micro_hits"], sums["micro_decided"]
        reached_MR = np.cumsum(hits, axis=0)
        area_R = (hits * ratio(reached_MR, np.cumsum(decided, axis=0))).sum(axis=0)
        reached_R = hits.sum(axis=0)
        # Gold pairs with the score 0 come last, with all others.
        last_R = (total_R - reached_R) * ratio(total_R, documents * len(sums["gold"]))
        return ratio(area_R + last_R, total_R)

    def macro(self, sums: Sums, documents: int) -> np.ndarray:
        """``[R]``: the mean over the categories that have gold documents."""
        gold_CR, (order, counts) = sums["gold"], self._layout
        ends = np.cumsum(counts)[:-1]
        hits, decided = (np.split(sums[name], ends) for name in ("macro_hits", "macro_decided"))
        area, reached, taken = (np.zeros(gold_CR.shape) for _ in range(3))
        for fresh, more in zip(hits, decided, strict=True):  # step by step, the categories that have so many
            there = slice(len(fresh))
            reached[there] += fresh
            taken[there] += more
            area[there] += fresh * ratio(reached[there], taken[there])
        gold_CR = gold_CR[order]
        area += (gold_CR - reached) * ratio(gold_CR, documents)
        return ratio(ratio(area, gold_CR).sum(axis=0), (gold_CR > 0).sum(axis=0))

    @cached_property
    def _layout(self) -> tuple[np.ndarray, np.ndarray]:
        """Columns, those with many steps first; and how many columns have a first step, a second, ..."""
        lengths_C = self.by_category.lengths_N
        steps = np.arange(max(1, int(lengths_C.max(initial=0))))
        return np.argsort(-lengths_C, kind="stable"), (lengths_C > steps[:, None]).sum(axis=1)


def _spread(place: np.ndarray, count: np.ndarray, most: int) -> np.ndarray:
    """bool: about ``most`` places of each ``count``, evenly, the first among them."""
    return np.asarray(place * most // count != (place - 1) * most // count) | (count <= most)


def _counted(
    cells: list[np.ndarray], right: list[np.ndarray] | None, steps: int, documents: int
) -> csr_array:
    """``[steps, N]``: how often each cell stands there; those below all steps (-1) are left out."""
    chosen: Iterator[np.ndarray] = iter(cells)
    if right is not None:
        chosen = (cell[mask] for cell, mask in zip(cells, right, strict=True))
    every = [cell[cell >= 0] for cell in chosen]
    flat = np.concatenate(every) if every else np.zeros(0, dtype=np.int64)
    ones = np.ones(len(flat))
    return csr_array((ones, (flat // max(1, documents), flat % max(1, documents))), shape=(steps, documents))
