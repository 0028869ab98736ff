"""Decisions by the definition: plain loops over documents, categories and all thresholds there are.

Independent of the package: taxonomies are lists of parents' numbers, sets are Python sets.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable

Parents = list[list[int]]


def ancestors(category: int, parents: Parents) -> set[int]:
    """With itself."""
    found = {category}
    for parent in parents[category]:
        found |= ancestors(parent, parents)
    return found


def descendants(category: int, parents: Parents) -> set[int]:
    """With itself."""
    return {c for c in range(len(parents)) if category in ancestors(c, parents)}


def decide(
    scores: list[float], thresholds: list[float], parents: Parents, decoding: str, top_k: int | None = None
) -> dict[int, float]:
    """One document: the categories chosen, with the scores to print. ``max`` thresholds are lowered here."""
    everything = range(len(parents))
    kept = sorted(everything, key=lambda c: (-scores[c], c))[: top_k or len(parents)]
    scores = [scores[c] if c in kept else 0.0 for c in everything]
    if decoding == "max":
        scores = [max(scores[d] for d in descendants(c, parents)) for c in everything]
        thresholds = [min(thresholds[d] for d in descendants(c, parents)) for c in everything]
    decided = {c for c in everything if scores[c] >= thresholds[c]}
    chosen = decided
    if decoding == "ancestors":
        chosen = set().union(*(ancestors(c, parents) for c in decided))
    if decoding == "top_down":
        chosen = {c for c in decided if ancestors(c, parents) <= decided}
    printed = {}
    for c in sorted(chosen):
        below = descendants(c, parents) & chosen
        printed[c] = scores[c] if c in decided else max(scores[d] for d in below)
    return printed


def ways(end: int, parents: Parents, closure: str) -> list[set[int]]:
    """What counts as a path that ends in a category."""
    if closure == "ancestors":
        return [ancestors(end, parents)]
    if closure == "none" or not parents[end]:
        return [{end}]
    return [way | {end} for parent in parents[end] for way in ways(parent, parents, closure)]


def worth(path: set[int], scores: list[float], thresholds: list[float]) -> float:
    """Sum of the log-odds above the thresholds."""

    def log_odds(p: float) -> float:
        p = min(max(p, 0.0), 1.0)
        return -30.0 if p == 0 else 30.0 if p == 1 else min(max(math.log(p / (1 - p)), -30), 30)

    return sum(max(log_odds(scores[c]) - log_odds(thresholds[c]), 0.0) for c in path)


def margin(score: float, threshold: float) -> int:
    """Log-odds over the threshold in millionths, on its own side of 0."""

    def log_odds(p: float) -> float:
        return -30.0 if p <= 0 else 30.0 if p >= 1 else min(max(math.log(p / (1 - p)), -30), 30)

    exact = round(1e6 * (log_odds(score) - log_odds(threshold)))
    return max(exact, 0) if score >= threshold else min(exact, -1)


def coherent_sets(parents: Parents) -> list[set[int]]:
    """All sets that hold every parent of their members. Parents have lower numbers than their children."""
    found: list[set[int]] = [set()]
    for category, above in enumerate(parents):
        found += [chosen | {category} for chosen in found if chosen >= set(above)]
    return found


def best(scores: list[float], thresholds: list[float], parents: Parents, sets: list[set[int]]) -> set[int]:
    """Of the coherent ``sets`` the smallest with the highest sum of margins, and what is just decided below it."""
    margins = [margin(s, t) for s, t in zip(scores, thresholds, strict=True)]
    open_sets = [chosen for chosen in sets if all(thresholds[c] < math.inf for c in chosen)]
    worths = [sum(margins[c] for c in chosen) for chosen in open_sets]
    ties = [chosen for chosen, worth in zip(open_sets, worths, strict=True) if worth == max(worths)]
    smallest = min(ties, key=len)
    assert all(smallest <= chosen for chosen in ties)
    for category, above in enumerate(parents):
        if margins[category] == 0 and thresholds[category] < math.inf and set(above) <= smallest:
            smallest = smallest | {category}
    return smallest


def whole_paths(parents: Parents, thresholds: list[float], closure: str, to: str) -> list[set[int]]:
    """All paths without a category that is never decided; ``to`` is any, leaf or level.

    ``leaf``: those that no longer path goes on from. ``level``: of those with one category of each level, each
    a child of the one above.
    """

    def chain(path: set[int]) -> bool:
        walk = sorted(path, key=lambda c: level[c])
        steps = all(a in parents[b] and level[b] == level[a] + 1 for a, b in itertools.pairwise(walk))
        return steps and level[walk[0]] == 1

    level = [0] * len(parents)
    for category, above in enumerate(parents):
        level[category] = 1 + max((level[p] for p in above), default=0)
    paths = [way for end in range(len(parents)) for way in ways(end, parents, closure)]
    paths = [path for path in paths if all(thresholds[c] < math.inf for c in path)]
    if to == "level":
        paths = [path for path in paths if chain(path)]
    if to == "any":
        return paths
    ends = [max(path) for path in paths]
    # A path ends only where none goes on, whichever way it came.
    going_on = {
        end
        for end in ends
        for path in paths
        if end in path
        and max(path) != end
        and end in parents[max(path)]
        and (to == "leaf" or level[max(path)] == level[end] + 1)
    }
    return [path for path, end in zip(paths, ends, strict=True) if end not in going_on]


def decided_paths(decided: set[int], parents: Parents, closure: str) -> list[set[int]]:
    """All paths of decided categories only."""
    found = [way for end in range(len(parents)) for way in ways(end, parents, closure)]
    return [way for way in found if way <= decided]


def violations(chosen: set[int], parents: Parents, closure: str) -> int:
    count = 0
    for category in chosen:
        missing = [p for p in parents[category] if p not in chosen]
        if closure == "path":
            count += bool(parents[category]) and len(missing) == len(parents[category])
        else:
            count += len(missing)
    return count


def f1(hits: int, size: int) -> float:
    return 2 * hits / size if size else 0.0


def aim_value(scores: list[list[float]], gold: list[set[int]], thresholds: list[float], aim: str) -> float:
    """The aim's value when every category is decided at its threshold, nothing decoded."""
    columns = len(thresholds)
    hits, sizes = [0] * columns, [0] * columns
    for row, wanted in zip(scores, gold, strict=True):
        for c in range(columns):
            decided = row[c] >= thresholds[c]
            hits[c] += decided and c in wanted
            sizes[c] += decided + (c in wanted)
    micro = f1(sum(hits), sum(sizes))
    macro = sum(f1(h, s) for h, s in zip(hits, sizes, strict=True)) / columns
    return {"micro_f1": micro, "macro_f1": macro, "both": (micro + macro) / 2}[aim]


def candidate_thresholds(scores: Iterable[float]) -> list[float]:
    """All midpoints between neighbours, one below the lowest, one above the highest; 0 is never decided."""
    points = sorted({s for s in scores if s > 0})
    below = [0.0, *points]
    return [(a + b) / 2 for a, b in zip(below, points, strict=False)] + [math.inf]


def best_global_value(
    scores: list[list[float]], gold: list[set[int]], aim: str, allowed: list[bool]
) -> float:
    columns = len(allowed)
    pooled = [row[c] for row in scores for c in range(columns) if allowed[c]]
    return max(
        aim_value(scores, gold, [t if allowed[c] else math.inf for c in range(columns)], aim)
        for t in candidate_thresholds(pooled)
    )


def best_per_category_value(scores: list[list[float]], gold: list[set[int]], aim: str) -> float:
    """Over all combinations of thresholds."""
    columns = len(scores[0])
    choices = [candidate_thresholds(row[c] for row in scores) for c in range(columns)]
    return max(aim_value(scores, gold, list(t), aim) for t in itertools.product(*choices))
