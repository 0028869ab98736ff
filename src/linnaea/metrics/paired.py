"""Paired comparison: is one run better than another on the same documents, where, and may it be chance?

Differences have an interval by a paired bootstrap (both runs measured on the same draws of documents; ``bootstrap``)
and a p by a randomisation test (Noreen 1989; for F1 Yeh 2000, https://aclanthology.org/C00-2137): if nothing but chance
tells the runs apart, each document's outcome might as well have come from the other run. So outcomes change places in
random documents, and p is the share of such exchanges, the true one among them, after which the runs differ by at least
as much. Two-sided: (1 + n) / (1 + R). Single categories have the exact probability (``exact``). Scores of two systems have no
common scale, so that they cannot stand in one ranking: the p of average precision is that of the bootstrap.

Within each family of tests (all measures; all levels; all categories) p is corrected after Holm (1979): the chance of
any false alarm in the family stays below the level.

Shape letters: N documents, C categories, R draws.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from linnaea.errors import UsageError
from linnaea.metrics import addends, sums
from linnaea.metrics.addends import Addends, Sums
from linnaea.metrics.alignment import aligned
from linnaea.metrics.areas import Steps
from linnaea.metrics.bootstrap import CONFIDENCE, at_once, drawn_again, draws_for, ends, exchanged, gathered
from linnaea.metrics.counts import pair_keys, ratio
from linnaea.metrics.difference import Difference
from linnaea.metrics.exact import EQUAL, exact_p
from linnaea.metrics.intervals import areas_at, steps_for
from linnaea.metrics.outcome import Outcome
from linnaea.metrics.ranking import average_precision
from linnaea.metrics.sums import Measures, Place
from linnaea.taxonomy.taxonomy import Taxonomy

RESAMPLES = 2000
DRAWS = 2**25  # differences of categories that are kept for their intervals
MEASURES: dict[str, Place] = {
    "micro_f1": ("micro", "f1"),
    "macro_f1": ("macro", "f1"),
    "present_f1": ("macro", "present_f1"),
    "samples_f1": ("samples", "f1"),
    "hierarchical_f1": ("hierarchical", "f1"),
    "average_precision_micro": ("average_precision", "micro"),
    "average_precision_macro": ("average_precision", "macro"),
}
OF_LEVELS = ("micro_f1", "macro_f1")
RANKED = (
    "average_precision"  # of scores, which have no scale that two systems share: they cannot be exchanged
)


@dataclass(frozen=True, eq=False)
class Paired:
    """How a second run differs from a first.

    Attributes:
        measures: by name, as in ``MEASURES``; average precision is missing where it would cost minutes.
        levels: of each level, by name.
        categories: F1 of each category.
        support_C: int64, documents of each category.
        differing: documents that the two decide differently.
    """

    taxonomy: Taxonomy
    documents: int
    resamples: int
    seed: int
    measures: Mapping[str, Difference]
    levels: Sequence[Mapping[str, Difference]]
    categories: Sequence[Difference]
    support_C: np.ndarray
    differing: int

    def wins(self) -> dict[str, Any]:
        """Of each run: in how many categories its F1 is higher, and in which of them surely (by id)."""
        higher = {"first": 0, "second": 0, "equal": 0}
        surely: dict[str, list[str]] = {"first": [], "second": []}
        for id, category in zip(self.taxonomy.ids, self.categories, strict=True):
            side = "second" if category.value > 0 else "first" if category.value < 0 else "equal"
            higher[side] += 1
            if category.winner is not None:
                surely[category.winner].append(id)
        return {"higher": higher, "surely": surely}

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        numbers = [level for level, _ in self.taxonomy.levels()]
        return {
            "documents": self.documents,
            "differing": self.differing,
            "confidence": CONFIDENCE,
            "resamples": self.resamples,
            "seed": self.seed,
            "measures": {name: difference.to_json() for name, difference in self.measures.items()},
            "levels": [
                {"level": number, **{name: difference.to_json() for name, difference in level.items()}}
                for number, level in zip(numbers, self.levels, strict=True)
            ],
            "wins": self.wins(),
            "categories": [
                {"id": id, "support": support, **difference.to_json()}
                for id, support, difference in zip(
                    self.taxonomy.ids, self.support_C.tolist(), self.categories, strict=True
                )
            ],
        }


def compare_outcomes(a: Outcome, b: Outcome, *, resamples: int = RESAMPLES, seed: int = 0) -> Paired:
    """How ``b`` differs from ``a``; their order of documents and columns may differ.

    Args:
        resamples: at most so many draws; large sets have fewer.

    Raises:
        UsageError: they are not of the same documents, labels or categories, or of none.
    """
    b = aligned(a, b)
    if not len(a):
        raise UsageError("there are no documents to compare runs on")
    steps = steps_for([a.predictions, b.predictions], a.gold)
    first, second = (_addends(outcome, steps) for outcome in (a, b))
    resamples = draws_for(first.matrix.nnz + second.matrix.nnz, resamples)
    pair = _Pair(first, second, steps, a.taxonomy)
    drawn, by_category_CR = pair.draw(resamples, seed)
    p = pair.test(resamples, seed + 1)
    p |= {place: _of_draws(drawn[place], pair.point[place].item()) for place in p if place[0] == RANKED}
    sides = [
        {place: value.item() for place, value in pair.measures(addends.whole).items()}
        | ({} if steps is None else areas_at(average_precision(outcome.predictions, outcome.gold)))
        for addends, outcome in ((first, a), (second, b))
    ]
    levels = [("levels", i, name) for i in range(a.taxonomy.depth) for name in OF_LEVELS]
    corrected: dict[Place, float] = {}
    for family in ([place for place in MEASURES.values() if place in p], levels):
        corrected |= _corrected(family, p, drawn)

    def made(place: Place) -> Difference:
        one, other = (side[place] for side in sides)
        interval = ends(drawn[place], other - one, lower=-1.0)
        return Difference(one, other, other - one, interval, p[place], corrected[place])

    return Paired(
        a.taxonomy,
        len(a),
        resamples,
        seed,
        {name: made(place) for name, place in MEASURES.items() if place in p},
        [{name: made(("levels", i, name)) for name in OF_LEVELS} for i in range(a.taxonomy.depth)],
        _categories(a, b, by_category_CR, first, second),
        a.gold.counts(len(a.taxonomy)),
        _differing(a, b),
    )


def _differing(a: Outcome, b: Outcome) -> int:
    columns = len(a.taxonomy)
    first, second = (pair_keys(side.decisions.chosen, columns) for side in (a, b))
    return len(np.unique(np.setxor1d(first, second, assume_unique=True) // columns))


def _of_draws(drawn_R: np.ndarray, value: float) -> float:
    """p by the bootstrap, two-sided: how often a draw, moved as its interval is, lies on the other side of 0."""
    moved_R = drawn_R + (value - drawn_R.mean())
    beyond = min(int((moved_R <= 0).sum()), int((moved_R >= 0).sum()))
    return min(1.0, 2 * (1 + beyond) / (1 + len(drawn_R)))


def _corrected(family: Sequence[Place], p: Mapping[Place, float], drawn: Measures) -> dict[Place, float]:
    """p of a family after Holm; measures that are the same in every draw ask one question, and count once."""
    first_of: dict[tuple[float, bytes], int] = {}
    tests = [
        first_of.setdefault((p[place], drawn[place].round(12).tobytes()), len(first_of)) for place in family
    ]
    found = holm(np.array([p_of for p_of, _ in first_of]))
    return {place: float(found[test]) for place, test in zip(family, tests, strict=True)}


def holm(p: np.ndarray) -> np.ndarray:
    """p corrected for as many tests as there are (Holm 1979)."""
    order, count = np.argsort(p, kind="stable"), len(p)
    stepped = np.maximum.accumulate(p[order] * (count - np.arange(count)))
    corrected = np.empty(count)
    corrected[order] = np.minimum(stepped, 1)
    return corrected


def _addends(outcome: Outcome, steps: Steps | None) -> Addends:
    parts = addends.decided(outcome.decisions.chosen, outcome.gold, outcome.taxonomy)
    return Addends.of(parts if steps is None else parts | steps.addends(outcome.predictions, outcome.gold))


def _f1(of: Sums) -> np.ndarray:
    """``[C, R]``."""
    return ratio(2 * of["hits"], of["chosen"] + of["gold"])


@dataclass(frozen=True, eq=False)
class _Pair:
    first: Addends
    second: Addends
    steps: Steps | None
    taxonomy: Taxonomy

    def measures(self, of: Sums) -> Measures:
        made = sums.decided(of, self.taxonomy, len(self.first))
        return made if self.steps is None else made | self.steps.measures(of, len(self.first))

    def difference(self, first: Sums, second: Sums) -> Measures:
        one, other = self.measures(first), self.measures(second)
        return {place: other[place] - one[place] for place in one}

    @cached_property
    def point(self) -> Measures:
        """The differences on the documents as they are."""
        return self.difference(self.first.whole, self.second.whole)

    def draw(self, resamples: int, seed: int) -> tuple[Measures, np.ndarray | None]:
        """Differences on documents that are drawn again: of measures, and of categories ``[C, R]``."""
        step = at_once(*self.first.matrix.shape)
        parts, categories = [], []
        kept = len(self.taxonomy) * resamples <= DRAWS
        for weights_NR in drawn_again(len(self.first), resamples, seed, step):
            both = self.first.sums(weights_NR), self.second.sums(weights_NR)
            parts.append(self.difference(*both))
            if kept:
                categories.append((_f1(both[1]) - _f1(both[0])).astype(np.float32))
        return gathered(parts), np.concatenate(categories, axis=1) if kept else None

    def test(self, resamples: int, seed: int) -> dict[Place, float]:
        """p of each measure, by exchanging documents."""
        point = self.point
        change, step = self.second - self.first, at_once(*self.first.matrix.shape)
        first, second = (side.matrix.sum(axis=1)[:, None] for side in (self.first, self.second))
        far = dict.fromkeys(point, 0)
        for exchanged_NR in exchanged(len(self.first), resamples, seed, step):
            moved_VR = change.matrix @ exchanged_NR
            made = self.difference(change.split(first + moved_VR), change.split(second - moved_VR))
            for place, values_R in made.items():
                far[place] += int((np.abs(values_R) >= abs(point[place].item()) - EQUAL).sum())
        return {place: (1 + count) / (1 + resamples) for place, count in far.items()}


def _categories(
    a: Outcome, b: Outcome, drawn_CR: np.ndarray | None, first: Addends, second: Addends
) -> list[Difference]:
    one_C, other_C = (_f1(side.whole)[:, 0] for side in (first, second))
    p_C = exact_p(a.decisions.chosen, b.decisions.chosen, a.gold, len(a.taxonomy))
    columns = zip(one_C.tolist(), other_C.tolist(), p_C.tolist(), holm(p_C).tolist(), strict=True)
    found = []
    for column, (one, other, p, corrected) in enumerate(columns):
        value = other - one
        interval = None if drawn_CR is None else ends(drawn_CR[column].astype(np.float64), value, lower=-1.0)
        found.append(Difference(one, other, value, interval, p, corrected))
    return found
