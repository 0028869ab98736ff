"""Transformer as plain loops over one document: what the vectorised encoder is held against."""

from __future__ import annotations

import math

import numpy as np

from tests.references.attentive_convnet import softmax
from tests.references.textcnn import ACTIVATIONS


def heads_attend(query_E, seen_SE, weights, heads):
    """``[E]``: multi-head attention of one query over the rows of ``seen_SE``.

    ``weights``: query, key, value [H·D, E] and merge [E, H·D].
    """
    query, key, value, merge = weights
    size = len(query) // heads
    found = []
    for h in range(heads):
        own = slice(h * size, (h + 1) * size)
        q = query[own] @ query_E
        scores = np.array([q @ (key[own] @ row) / math.sqrt(size) for row in seen_SE])
        found.append(sum(a * (value[own] @ row) for a, row in zip(softmax(scores), seen_SE, strict=True)))
    return merge @ np.concatenate(found)


def layer_norm(x_E, weight_E, bias_E, epsilon=1e-5):
    mean = sum(x_E) / len(x_E)
    variance = sum((x_E - mean) ** 2) / len(x_E)
    return (x_E - mean) / math.sqrt(variance + epsilon) * weight_E + bias_E


def transformer(x_TE, layers, heads, activation="relu", pooling="mean"):
    """The document vector.

    A layer is a dict of tuples: ``attention`` (query, key, value, merge), ``attention_norm`` (weight, bias), ``widen``,
    ``narrow`` and ``network_norm`` likewise.
    """
    if len(x_TE) == 0:
        return np.zeros(x_TE.shape[1])
    act = np.vectorize(ACTIVATIONS[activation])
    x = x_TE * math.sqrt(x_TE.shape[1])
    for layer in layers:
        found = [heads_attend(row, x, layer["attention"], heads) for row in x]
        x = np.array([layer_norm(r + f, *layer["attention_norm"]) for r, f in zip(x, found, strict=True)])
        rows = []
        for row in x:
            inner = act(layer["widen"][0] @ row + layer["widen"][1])
            outer = layer["narrow"][0] @ inner + layer["narrow"][1]
            rows.append(layer_norm(row + outer, *layer["network_norm"]))
        x = np.array(rows)
    return x.sum(axis=0) / len(x) if pooling == "mean" else x.max(axis=0)
