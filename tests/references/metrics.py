"""Metrics by their formulas, in plain loops over documents, categories and orders of equal scores."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

from tests.references.decision import Parents, ancestors

Sets = Sequence[set[int]]


def divided(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def rates(hits: int, chosen: int, gold: int) -> tuple[float, float, float]:
    return divided(hits, chosen), divided(hits, gold), divided(2 * hits, chosen + gold)


def micro(chosen: Sets, gold: Sets) -> tuple[float, float, float]:
    hits = sum(len(a & b) for a, b in zip(chosen, gold, strict=True))
    return rates(hits, sum(map(len, chosen)), sum(map(len, gold)))


def by_category(chosen: Sets, gold: Sets, columns: int) -> list[tuple[float, float, float]]:
    found = []
    for c in range(columns):
        hits = sum(c in a and c in b for a, b in zip(chosen, gold, strict=True))
        found.append(rates(hits, sum(c in a for a in chosen), sum(c in b for b in gold)))
    return found


def macro(chosen: Sets, gold: Sets, columns: int) -> dict[str, float]:
    rows = by_category(chosen, gold, columns)
    precision, recall, f1 = (sum(row[i] for row in rows) / columns for i in range(3))
    present = [row[2] for c, row in enumerate(rows) if any(c in b for b in gold)]
    return {
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "f1_of_averages": divided(2 * precision * recall, precision + recall),
        "present_f1": divided(sum(present), len(present)),
    }


def hierarchical(chosen: Sets, gold: Sets, parents: Parents) -> tuple[float, float, float]:
    def closed(sets: Sets) -> list[set[int]]:
        return [set().union(*(ancestors(c, parents) for c in row)) for row in sets]

    return micro(closed(chosen), closed(gold))


def samples_f1(chosen: Sets, gold: Sets) -> float:
    return sum(rates(len(a & b), len(a), len(b))[2] for a, b in zip(chosen, gold, strict=True)) / len(gold)


def orders(scores: Sequence[float]) -> list[tuple[int, ...]]:
    """All orders of the columns in which no score rises."""
    return [
        order
        for order in itertools.permutations(range(len(scores)))
        if all(scores[a] >= scores[b] for a, b in itertools.pairwise(order))
    ]


def mean_over_orders(scores: Sequence[float], measure: Callable[[tuple[int, ...]], float]) -> float:
    ways = orders(scores)
    return sum(map(measure, ways)) / len(ways)


def precision_at(scores: Sequence[Sequence[float]], gold: Sets, k: int) -> float:
    k = min(k, len(scores[0]))
    values = [
        mean_over_orders(row, lambda order, wanted=wanted: len(wanted & set(order[:k])) / k)
        for row, wanted in zip(scores, gold, strict=True)
    ]
    return sum(values) / len(values)


def r_precision(scores: Sequence[Sequence[float]], gold: Sets) -> float:
    values = [
        mean_over_orders(
            row, lambda order, wanted=wanted: len(wanted & set(order[: len(wanted)])) / len(wanted)
        )
        for row, wanted in zip(scores, gold, strict=True)
        if wanted
    ]
    return divided(sum(values), len(values))


def ndcg(scores: Sequence[Sequence[float]], gold: Sets, k: int) -> float:
    values = []
    for row, wanted in zip(scores, gold, strict=True):
        ideal = sum(1 / math.log2(place + 2) for place in range(min(k, len(wanted))))

        def gain(order: tuple[int, ...], wanted: set[int] = wanted) -> float:
            return sum(1 / math.log2(place + 2) for place, c in enumerate(order[:k]) if c in wanted)

        values.append(divided(mean_over_orders(row, gain), ideal))
    return sum(values) / len(values)


def average_precision(scores: Sequence[float], gold: Sequence[bool]) -> float:
    """Steps of recall times precision, at each distinct score from the top."""
    total, area, before = sum(gold), 0.0, 0
    for bound in sorted(set(scores), reverse=True):
        chosen = [g for s, g in zip(scores, gold, strict=True) if s >= bound]
        area += (sum(chosen) - before) / total * sum(chosen) / len(chosen)
        before = sum(chosen)
    return area


def climbs(column: int, parents: Parents) -> dict[int, int]:
    """The fewest edges from a category up to itself, to each ancestor, and to the root (-1)."""
    found, front, edges = {column: 0}, {column}, 0
    while front:
        edges += 1
        front = {p for c in front if c >= 0 for p in (parents[c] or [-1])} - set(found)
        found |= dict.fromkeys(front, edges)
    return found


def edges_between(a: int, b: int, parents: Parents) -> int:
    one, other = climbs(a, parents) if a >= 0 else {-1: 0}, climbs(b, parents) if b >= 0 else {-1: 0}
    return min(one[c] + other[c] for c in set(one) & set(other))


def distance(chosen: set[int], gold: set[int], parents: Parents) -> tuple[list[int], list[int]]:
    """The ways from what is decided, and from what is right, to the nearest of the other."""

    def specific(row: set[int]) -> set[int]:
        return {c for c in row if not any(c != d and c in ancestors(d, parents) for d in row)}

    decided, right = specific(chosen), specific(gold)
    return (
        [min(edges_between(p, g, parents) for g in right or {-1}) for p in sorted(decided)],
        [min(edges_between(p, g, parents) for p in decided or {-1}) for g in sorted(right)],
    )
