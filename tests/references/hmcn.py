"""HMCN as plain loops over Python floats: what the vectorised head is held against."""

from __future__ import annotations

import math

from tests.references.textrnn import affine, sigmoid


def relu(vector):
    return [max(value, 0.0) for value in vector]


def feed_forward(x, layers):
    """Vectors of all levels. ``layers``: weight over [state above ; x], and bias, of each; the first reads x alone."""
    states: list = []
    for weight, bias in layers:
        states.append(relu(affine(weight, (states[-1] if states else []) + x, bias)))
    return states


def recurrent(x, levels, weight, bias):
    """The same of one LSTM cell, gates in the order i, f, g, o; ``weight`` over [state above ; x]."""
    size = len(bias) // 4
    h = c = [0.0] * size
    states = []
    for _ in range(levels):
        gates = affine(weight, h + x, bias)
        i, f, g, o = (gates[size * k : size * (k + 1)] for k in range(4))
        c = [sigmoid(f[j]) * c[j] + sigmoid(i[j]) * math.tanh(g[j]) for j in range(size)]
        h = [sigmoid(o[j]) * math.tanh(c[j]) for j in range(size)]
        states.append(h)
    return states


def outputs(states, level_of, transitions, local, overall):
    """Local and global logits.

    Args:
        level_of: of each category, from 0.
        transitions: weight and bias of each level.
        local, overall: weight rows and biases, one a category.
    """
    inner = [relu(affine(weight, h, bias)) for h, (weight, bias) in zip(states, transitions, strict=True)]
    local_C = [
        affine([row], inner[level], [bias])[0] for level, row, bias in zip(level_of, *local, strict=True)
    ]
    return local_C, affine(overall[0], states[-1], overall[1])


def blended(local_C, global_C, beta):
    """Probabilities."""
    return [beta * sigmoid(a) + (1 - beta) * sigmoid(b) for a, b in zip(local_C, global_C, strict=True)]


def violations(scores_C, edges, weight):
    """λ / C · Σ over (parent, child)."""
    total = sum(max(0.0, scores_C[child] - scores_C[parent]) ** 2 for parent, child in edges)
    return weight * total / len(scores_C)
