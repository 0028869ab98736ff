"""Losses and the recursive penalty by their formulas, as plain loops over moderate logits."""

from __future__ import annotations

import math


def sigmoid(z):
    return 1 / (1 + math.exp(-z))


def softmax(row):
    powers = [math.exp(z) for z in row]
    return [p / sum(powers) for p in powers]


def bce(row, labels, weights):
    total = 0.0
    for c, z in enumerate(row):
        p = sigmoid(z)
        total -= weights[c] * math.log(p) if c in labels else math.log(1 - p)
    return total / len(row)


def focal_sigmoid(row, labels, weights, alpha=None, gamma=2.0):
    total = 0.0
    for c, z in enumerate(row):
        positive = c in labels
        p_t = sigmoid(z) if positive else 1 - sigmoid(z)
        alpha_t = 1.0 if alpha is None else (alpha if positive else 1 - alpha)
        weight = weights[c] if positive else 1.0
        total -= weight * alpha_t * (1 - p_t) ** gamma * math.log(p_t)
    return total / len(row)


def softmax_loss(row, labels, weights):
    (y,) = labels
    return -weights[y] * math.log(softmax(row)[y])


def focal_softmax(row, labels, weights, gamma=2.0):
    (y,) = labels
    p = softmax(row)[y]
    return -weights[y] * (1 - p) ** gamma * math.log(p)


def recursive_penalty(rows, edges):
    """½ Σ ‖rows[parent] − rows[child]‖² over ``edges`` of (parent, child)."""
    total = 0.0
    for parent, child in edges:
        for a, b in zip(rows[parent], rows[child], strict=True):
            total += 0.5 * (a - b) ** 2
    return total


def focal(p_t, gamma):
    return -((1 - p_t) ** gamma) * math.log(p_t)


def max_constraint(row, labels, weights, *, descendants):
    """``descendants[c]`` holds c itself."""
    total = 0.0
    for c in range(len(row)):
        if c in labels:
            total -= math.log(max(sigmoid(row[d]) for d in descendants[c] if d in labels))
        else:
            total -= math.log(1 - max(sigmoid(row[d]) for d in descendants[c]))
    return total / len(row)


def asymmetric(row, labels, weights, gamma_positive=0.0, gamma_negative=4.0, margin=0.05):
    total = 0.0
    for c, z in enumerate(row):
        p = sigmoid(z)
        if c in labels:
            total += focal(p, gamma_positive)
        else:
            q = max(p - margin, 0.0)
            total -= q**gamma_negative * math.log(1 - q)
    return total / len(row)


def class_balanced(row, labels, weights, beta=0.9, gamma=0.0, *, support):
    known = [(1 - beta) / (1 - beta**n) for n in support if n]
    raw = [(1 - beta) / (1 - beta**n) if n else min(known) for n in support]
    mean = sum(known) / len(known)
    total = 0.0
    for c, z in enumerate(row):
        p_t = sigmoid(z) if c in labels else 1 - sigmoid(z)
        total += raw[c] / mean * (weights[c] if c in labels else 1.0) * focal(p_t, gamma)
    return total / len(row)


def distribution_balanced(
    row, labels, weights, alpha=0.1, beta=10.0, mu=0.2, negative_scale=5.0, kappa=0.05, gamma=2.0,
    *, support, documents,
):  # fmt: skip
    together = sum(1 / max(support[c], 1) for c in labels)
    total = 0.0
    for c, z in enumerate(row):
        ratio = 1 / max(support[c], 1) / together if labels else math.inf
        weight = alpha + (sigmoid(beta * (ratio - mu)) if labels else 1.0)
        n = min(max(support[c], 0.5), documents - 0.5)
        shifted = z - kappa * math.log(documents / n - 1)
        if c in labels:
            total += weight * focal(sigmoid(shifted), gamma)
        else:
            total += weight / negative_scale * focal(sigmoid(-negative_scale * shifted), gamma)
    return total / len(row)


def zlpr(row, labels, weights):
    others = sum(math.exp(z) for c, z in enumerate(row) if c not in labels)
    own = sum(math.exp(-z) for c, z in enumerate(row) if c in labels)
    return math.log(1 + others) + math.log(1 + own)


def mean_parent_penalty(rows, parents):
    """½ Σ over children ‖rows[child] − mean of rows[its parents]‖²; ``parents[c]`` of each category."""
    total = 0.0
    for child, above in enumerate(parents):
        for d, value in enumerate(rows[child]):
            if len(above):
                total += 0.5 * (value - sum(rows[p][d] for p in above) / len(above)) ** 2
    return total


def largest_below(row, descendants):
    """The largest among each category and its descendants."""
    return [max(row[d] for d in below) for below in descendants]
