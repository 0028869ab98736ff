"""Calibration and promises by the definition: plain loops, exact fractions, independent of the package."""

from __future__ import annotations

import math
from fractions import Fraction


def conformal(
    rows: list[list[float]], gold: list[set[int]], recall: str, allowed: list[bool]
) -> tuple[list[float | None], set[int]]:
    """Each category's threshold (None: all together are too few), and who shares one."""
    columns = range(len(allowed))

    def kth(scores: list[float]) -> float | None:
        k = math.ceil((len(scores) + 1) * Fraction(recall))
        return sorted(scores, reverse=True)[k - 1] if k <= len(scores) else None

    positives = {
        c: [row[c] for row, labels in zip(rows, gold, strict=True) if c in labels] if allowed[c] else []
        for c in columns
    }
    own = {c: kth(positives[c]) for c in columns}
    sharing = {c for c in columns if own[c] is None}
    sharing = {c for c in sharing if allowed[c]}

    def lowest() -> list[float]:
        return [
            min(row[c] for c in labels & sharing)
            for row, labels in zip(rows, gold, strict=True)
            if labels & sharing
        ]

    shared = kth(lowest())
    others = [c for c in columns if own[c] is not None]
    if sharing and shared is None and others:
        sharing.add(min(others, key=lambda c: (len(positives[c]), c)))
        shared = kth(lowest())
    return [shared if c in sharing else own[c] for c in columns], sharing


def cautious(
    rows: list[list[float]], gold: list[set[int]], error: str, allowed: list[bool], documents: bool
) -> float | None:
    """The highest score at which too much is wrong, and above which the threshold must lie; None: there is none."""
    places = sorted({score for row in rows for c, score in enumerate(row) if allowed[c]}, reverse=True)
    losses = [Fraction(0)] * len(rows)
    for place in places:
        for i, (row, labels) in enumerate(zip(rows, gold, strict=True)):
            chosen = {c for c, score in enumerate(row) if allowed[c] and score >= place}
            wrong = len(chosen - labels)
            loss = Fraction(wrong > 0) if documents else Fraction(wrong, len(chosen) or 1)
            losses[i] = max(losses[i], loss)
        if (sum(losses) + 1) / (len(rows) + 1) > Fraction(error):
            return place
    return None


def cross_entropy(slope: float, offset: float, scores: list[float], hits: list[bool]) -> float:
    """Of σ(slope·logit(score) + offset), with Platt's targets."""
    positives = sum(hits)
    high, low = (positives + 1) / (positives + 2), 1 / (len(hits) - positives + 2)
    total = 0.0
    for score, hit in zip(scores, hits, strict=True):
        z = slope * math.log(score / (1 - score)) + offset
        target = high if hit else low
        # -ln σ(z) and -ln(1 - σ(z)) without overflow.
        total += target * max(-z, 0) + (1 - target) * max(z, 0) + math.log1p(math.exp(-abs(z)))
    return total


def row_shares(temperature: float, row: list[float]) -> list[float]:
    """softmax(log(score) / temperature) over the categories with a score."""
    logits = [math.log(score) / temperature if score > 0 else -math.inf for score in row]
    powers = [math.exp(logit - max(logits)) if max(logits) > -math.inf else 0.0 for logit in logits]
    return [power / (sum(powers) or 1.0) for power in powers]


def row_cross_entropy(temperature: float, rows: list[list[float]], right: list[int]) -> float:
    """Of softmax(log(score) / temperature)."""
    total = 0.0
    for row, column in zip(rows, right, strict=True):
        powers = [score ** (1 / temperature) for score in row]
        total -= math.log(powers[column] / sum(powers))
    return total


def calibration_errors(
    rows: list[list[float]], gold: list[set[int]], bins: int = 15
) -> tuple[float, float, float]:
    """ECE over all pairs, the mean of each category's own, and the Brier score."""

    def ece(pairs: list[tuple[float, bool]]) -> float:
        total = 0.0
        for b in range(bins):
            inside = [(s, hit) for s, hit in pairs if min(int(s * bins), bins - 1) == b]
            total += abs(sum(s for s, _ in inside) - sum(hit for _, hit in inside))
        return total / len(pairs)

    columns = range(len(rows[0]))
    by_column = [[(row[c], c in labels) for row, labels in zip(rows, gold, strict=True)] for c in columns]
    every = [pair for pairs in by_column for pair in pairs]
    own = [ece(pairs) for pairs in by_column if any(hit for _, hit in pairs)]
    brier = sum((s - hit) ** 2 for s, hit in every) / len(every)
    return ece(every), sum(own) / len(own) if own else 0.0, brier
