"""DRNN as plain loops over NumPy rows: what the vectorised encoder is held against."""

from __future__ import annotations

import numpy as np


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def rnn(x, states, weights):
    W, V, b, _ = weights
    return (np.tanh(W @ x + b + V @ states[0]),)


def gru(x, states, weights):
    W, V, b, inner = weights
    H = len(inner)
    given, driven = np.split(W @ x + b, 3), [V[i * H : (i + 1) * H] @ states[0] for i in range(3)]
    r, z = sigmoid(given[0] + driven[0]), sigmoid(given[1] + driven[1])
    n = np.tanh(given[2] + r * (driven[2] + inner))
    return ((1 - z) * n + z * states[0],)


def lstm(x, states, weights):
    W, V, b, _ = weights
    i, f, g, o = np.split(W @ x + b + V @ states[0], 4)
    c = sigmoid(f) * states[1] + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


CELLS = {"rnn": rnn, "gru": gru, "lstm": lstm}


def window_states(tokens, directions, *, cell, window, hidden, factors=None):
    """``[n, directions · hidden]``.

    Args:
        tokens: ``[n, E]``, real tokens only.
        directions: per direction its weights (input, state, bias, bias inside the reset gate or None).
        factors: ``(direction, step, token) -> [hidden]``: what h is multiplied with after that step of that token's
            window; ``step`` counts up to window - 1, the step that reads the token itself.
    """
    n, rows = len(tokens), []
    for t in range(n):
        row = []
        for direction, weights in enumerate(directions):
            states = (np.zeros(hidden), np.zeros(hidden)) if cell == "lstm" else (np.zeros(hidden),)
            for step in range(window):
                away = window - 1 - step
                read = t + away if direction else t - away
                if 0 <= read < n:
                    states = CELLS[cell](tokens[read], states, weights)
                    if factors is not None:
                        states = (states[0] * factors(direction, step, t), *states[1:])
            row.append(states[0])
        rows.append(np.concatenate(row))
    return rows


def drnn(tokens, directions, normalization, perceptron, *, cell, window, hidden):
    """One document in eval mode: ``normalization`` is (mean, variance, weight, bias, eps), ``perceptron`` (W, b)."""
    W, b = perceptron
    mean, variance, weight, bias, eps = normalization
    responses = [
        W @ ((h - mean) / np.sqrt(variance + eps) * weight + bias) + b
        for h in window_states(tokens, directions, cell=cell, window=window, hidden=hidden)
    ]
    return np.max(responses, axis=0) if responses else np.zeros(len(b))
