"""The recurrent CNN of Lai as plain loops over NumPy rows: what the vectorised encoder is held against."""

from __future__ import annotations

import numpy as np

ACTIVATIONS = {"tanh": np.tanh, "relu": lambda x: np.maximum(x, 0)}


def contexts(tokens, edge, weights, f):
    """c_l of each token, from the first on; ``edge`` stands before the first. Weights: of input, of context, bias."""
    W_s, W, b = weights
    found, previous, context = [], edge, np.zeros(len(b))
    for token in tokens:
        context = f(W @ context + W_s @ previous + b)
        found.append(context)
        previous = token
    return found


def rcnn_lai(tokens, edges, left, right, perceptron, *, activation="tanh"):
    """One document: ``tokens`` ``[n, E]``, two ``edges`` ``[E]``, weights of both directions, (W_2, b_2)."""
    f, (W_2, b_2) = ACTIVATIONS[activation], perceptron
    c_l = contexts(tokens, edges[0], left, f)
    c_r = contexts(tokens[::-1], edges[1], right, f)[::-1]
    rows = [f(W_2 @ np.concatenate(parts) + b_2) for parts in zip(c_l, tokens, c_r, strict=True)]
    return np.max(rows, axis=0) if rows else np.zeros(len(b_2))
