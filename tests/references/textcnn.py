"""TextCNN as plain loops over Python floats: what the vectorised encoder is held against."""

from __future__ import annotations

import math

ACTIVATIONS = {
    "relu": lambda x: max(x, 0.0),
    "tanh": math.tanh,
    "gelu": lambda x: 0.5 * x * (1 + math.erf(x / math.sqrt(2))),
    "elu": lambda x: x if x > 0 else math.expm1(x),
    "leaky_relu": lambda x: x if x > 0 else 0.01 * x,
    "identity": lambda x: x,
}


def textcnn(tokens, weights, biases, *, top_k=1, padding="wide", activation="relu"):
    """One document.

    Args:
        tokens: vectors of the real tokens, ``n`` lists of E floats.
        weights: one ``[filter][dimension][offset]`` a kernel size; ``biases`` one ``[filter]`` each.
    """
    features = []
    for weight, bias in zip(weights, biases, strict=True):
        size = len(weight[0][0])
        firsts = _windows(len(tokens), size, padding)
        for f in range(len(weight)):
            responses = [_response(tokens, weight[f], first) for first in firsts]
            # The largest, the earlier one of equals; then back into temporal order.
            chosen = sorted(range(len(firsts)), key=lambda i: (-responses[i], i))[:top_k]
            kept = [ACTIVATIONS[activation](responses[i] + bias[f]) for i in sorted(chosen)]
            features += kept + [0.0] * (top_k - len(kept))
    return features


def _windows(n, size, padding):
    if n == 0:
        return []
    if padding == "narrow" and n >= size:
        return list(range(n - size + 1))
    return list(range(-(size - 1), n))


def _response(tokens, kernel, first):
    total = 0.0
    for dimension, row in enumerate(kernel):
        for offset, value in enumerate(row):
            if 0 <= first + offset < len(tokens):
                total += value * tokens[first + offset][dimension]
    return total
