"""One attention a category, as plain loops over Python floats."""

from __future__ import annotations

import math


def dot(one, other):
    return sum(a * b for a, b in zip(one, other, strict=True))


def attended(states, query):
    """Σ_t α_t h_t; of no state at all, zeros."""
    if not states:
        return [0.0] * len(query)
    scores = [dot(query, h) for h in states]
    top = max(scores)
    weights = [math.exp(score - top) for score in scores]
    return [
        sum(w * h[j] for w, h in zip(weights, states, strict=True)) / sum(weights) for j in range(len(query))
    ]


def by_rows(states, queries, rows, biases):
    """Logits of one document; ``states`` without padding."""
    return [
        dot(row, attended(states, query)) + bias
        for query, row, bias in zip(queries, rows, biases, strict=True)
    ]


def shared(states, queries, layers, last, biases):
    """The same through one network: ``layers`` of weight and bias with a ReLU each, then the row ``last``."""
    found = []
    for query, bias in zip(queries, biases, strict=True):
        vector = attended(states, query)
        for weight, shift in layers:
            vector = [max(dot(row, vector) + b, 0.0) for row, b in zip(weight, shift, strict=True)]
        found.append((dot(last, vector) if states else 0.0) + bias)
    return found
