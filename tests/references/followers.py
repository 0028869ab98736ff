"""Decisions with followers by the definition: plain loops and all sets, independent of the package."""

from __future__ import annotations

import math

from tests.references.decision import Parents, ancestors, coherent_sets, descendants, margin


def with_followers(chosen: set[int], parents: Parents, follows: set[int]) -> set[int]:
    """And every follower whose parents are all there, until nothing is added."""
    while True:
        more = {f for f in follows if set(parents[f]) <= chosen} - chosen
        if not more:
            return chosen
        chosen = chosen | more


def decide(
    scores: list[float], thresholds: list[float], parents: Parents, follows: set[int], decoding: str
) -> set[int]:
    """One document; numbers of parents lie below those of their children. What ``thresholds`` say of followers is not read."""
    everything = range(len(parents))
    thresholds = [math.inf if c in follows else thresholds[c] for c in everything]
    if decoding == "best":
        return best(scores, thresholds, parents, follows)
    if decoding == "max":
        scores = [max(scores[d] for d in descendants(c, parents)) for c in everything]
        thresholds = [min(thresholds[d] for d in descendants(c, parents)) for c in everything]
    decided = {c for c in everything if c not in follows and scores[c] >= thresholds[c]}
    if decoding == "top_down":
        kept: set[int] = set()
        for c in everything:
            if set(parents[c]) <= kept and (c in decided or c in follows):
                kept.add(c)
        return kept
    if decoding == "ancestors":
        decided = set().union(*(ancestors(c, parents) for c in decided))
    return with_followers(decided, parents, follows)


def best(scores: list[float], thresholds: list[float], parents: Parents, follows: set[int]) -> set[int]:
    """Of all coherent sets that hold the followers of what they hold the smallest with the highest sum."""
    never = {c for c in range(len(parents)) if thresholds[c] == math.inf} - follows
    weight = [0 if c in follows else margin(scores[c], thresholds[c]) for c in range(len(parents))]
    sets = [s for s in coherent_sets(parents) if not s & never and with_followers(s, parents, follows) == s]
    highest = max(sum(weight[c] for c in s) for s in sets)
    found = min((s for s in sets if sum(weight[c] for c in s) == highest), key=len)
    for c in range(len(parents)):
        if c not in never and weight[c] == 0 and set(parents[c]) <= found:
            found = found | {c}
    return found
