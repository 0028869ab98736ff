"""Intervals: how far a measure may move on other documents of the same kind; those of ``metrics.json``.

Measures of many documents and categories have the interval of a bootstrap (``bootstrap``). Precision, recall and F1 of
single categories have Wilson's interval (1927) instead, which holds for a handful of documents too: each is a share of
documents, F1 by way of hits / (hits + wrong + missed) = F1 / (2 - F1).

Shape letters: N documents, C categories.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from linnaea.decision.predictions import Decisions, Predictions
from linnaea.metrics import addends, sums
from linnaea.metrics.addends import Addends, Sums
from linnaea.metrics.areas import Steps
from linnaea.metrics.bootstrap import CONFIDENCE, affordable, bootstrap, draws_for
from linnaea.metrics.counts import Counts, ratio
from linnaea.metrics.distance import Distances
from linnaea.metrics.groups import Group, groups
from linnaea.metrics.ranking import AveragePrecision, Places
from linnaea.metrics.sums import Measures, Place
from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy

Z = 1.959963984540054  # of the normal distribution at 0.975
DECIMALS = 6
NONE_FOR = ("siblings",)
COSTLY = ("average_precision", "calibration.classwise_ece")  # every score is an addend


@dataclass(frozen=True, eq=False)
class Intervals:
    """What the measures of one set of documents may be worth.

    Attributes:
        ends: lower and upper end by place in ``metrics.json``.
        categories: ``[C, 2]`` each: F1, precision, recall.
        left_out: places for which there is none.
    """

    taxonomy: Taxonomy
    groups: Sequence[Group]
    resamples: int
    seed: int
    ends: Mapping[Place, tuple[float, float]]
    categories: Mapping[str, np.ndarray]
    left_out: tuple[str, ...]

    @classmethod
    def of(
        cls,
        predictions: Predictions,
        decisions: Decisions,
        gold: Ragged,
        *,
        ranks: Sequence[int],
        violations_N: np.ndarray,
        places: Places,
        away: Distances,
        areas: AveragePrecision,
        support_C: np.ndarray | None = None,
        seed: int = 0,
    ) -> Intervals:
        """Of one document at least. The number of draws falls with the size; areas that would cost minutes are left out."""
        taxonomy, documents, chosen = predictions.taxonomy, len(gold), decisions.chosen
        found = [] if support_C is None else groups(support_C)
        names = [*(f"precision@{k}" for k in ranks), "r_precision", f"ndcg@{ranks[-1]}"]
        parts = addends.decided(chosen, gold, taxonomy)
        parts |= addends.further(violations_N, away)
        parts |= addends.scored(predictions, gold, places, ranks)
        steps = steps_for([predictions], gold)
        if steps is not None:
            own, category_V = addends.binned(predictions, gold)
            parts |= steps.addends(predictions, gold) | own
        whole = Addends.of(parts)

        def measures(of: Sums) -> Measures:
            made = sums.decided(of, taxonomy, documents) | sums.grouped(of, found)
            made |= sums.scored(of, taxonomy, documents, names) | sums.further(of, documents)
            if steps is None:
                return made
            return made | steps.measures(of, documents) | sums.binned(of, category_V, documents)

        resamples = draws_for(whole.matrix.nnz)
        known = {} if steps is None else areas_at(areas)
        ends = bootstrap(whole, measures, resamples=resamples, seed=seed, known=known)
        left_out = NONE_FOR if steps is not None else (*COSTLY, *NONE_FOR)
        counts = Counts.of(chosen, gold, len(taxonomy))
        return cls(taxonomy, found, resamples, seed, ends, by_category(counts), left_out)

    def to_json(self) -> dict[str, Any]:
        """As the measures in ``metrics.json``, lower and upper end in place of each number."""
        labels: dict[str, list[dict[str, Any]]] = {
            "levels": [{"level": level} for level, _ in self.taxonomy.levels()],
            "groups": [{"group": group.name} for group in self.groups],
        }
        columns = [
            np.round(self.categories[name], DECIMALS).tolist() for name in ("f1", "precision", "recall")
        ]
        return {
            "confidence": CONFIDENCE,
            "resamples": self.resamples,
            "seed": self.seed,
            "left_out": list(self.left_out),
            **nested(
                {place: [round(end, DECIMALS) for end in both] for place, both in self.ends.items()}, labels
            ),
            "categories": [
                {"id": id, "f1": f1, "precision": precision, "recall": recall}
                for id, f1, precision, recall in zip(self.taxonomy.ids, *columns, strict=True)
            ],
        }


def areas_at(areas: AveragePrecision) -> dict[Place, float]:
    """Average precision, read at all scores, by place."""
    return {("average_precision", "micro"): areas.micro, ("average_precision", "macro"): areas.macro}


def steps_for(sides: Sequence[Predictions], gold: Ragged) -> Steps | None:
    """Where precision over recall is read under any of ``sides``; None: average precision would be drawn again for minutes."""
    scores = (side.scores.size if isinstance(side.scores, np.ndarray) else side.scores.nnz for side in sides)
    return Steps.of(sides, gold) if affordable(2 * sum(scores)) else None


def wilson(part_C: np.ndarray, whole_C: np.ndarray) -> np.ndarray:
    """``[C, 2]``: Wilson's interval for a share; 0 to 1 where there is nothing to count."""
    n_C, share_C = np.asarray(whole_C, dtype=np.float64), ratio(part_C, whole_C)
    middle_C = (share_C + ratio(Z**2, 2 * n_C)) / (1 + ratio(Z**2, n_C))
    spread_C = np.sqrt(ratio(share_C * (1 - share_C), n_C) + ratio(Z**2, 4 * n_C**2))
    spread_C *= Z / (1 + ratio(Z**2, n_C))
    ends_C2 = np.stack([middle_C - spread_C, middle_C + spread_C], axis=1)
    return np.where((n_C > 0)[:, None], np.clip(ends_C2, 0, 1), (0.0, 1.0))


def by_category(counts: Counts) -> dict[str, np.ndarray]:
    """``[C, 2]`` each: the intervals of F1, precision and recall of each category alone."""
    either_C2 = wilson(counts.hits_C, counts.chosen_C + counts.gold_C - counts.hits_C)
    return {
        "f1": 2 * either_C2 / (1 + either_C2),
        "precision": wilson(counts.hits_C, counts.chosen_C),
        "recall": wilson(counts.hits_C, counts.gold_C),
    }


def nested(values: Mapping[Place, Any], labels: Mapping[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Places as the JSON that they are places of.

    Args:
        labels: what stands first in the entries of a list, by its name.
    """
    found: dict[str, Any] = {}
    for place, value in values.items():
        at: Any = found
        for i, key in enumerate(place[:-1]):
            if isinstance(place[i + 1], int) and key not in at:
                at[key] = [dict(label) for label in labels[str(key)]]
            at = at[key] if isinstance(key, int) else at.setdefault(key, {})
        at[place[-1]] = value
    return found
