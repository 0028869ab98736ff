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


def focal_sigmoid(row, labels, weights, alpha=0.25, gamma=2.0):
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
