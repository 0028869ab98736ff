"""DPCNN as plain loops over one document: what the vectorised encoder is held against."""

from __future__ import annotations

import numpy as np

from tests.references.textcnn import ACTIVATIONS


def convolution(x_TE, weight_FEW, bias_F=None, stride=1):
    """Windows around every ``stride``-th position; beyond the ends of the text there is nothing to add."""
    n, (filters, _, width) = len(x_TE), weight_FEW.shape
    out = np.zeros((len(range(0, n, stride)), filters))
    for row, centre in enumerate(range(0, n, stride)):
        for f in range(filters):
            total = 0.0 if bias_F is None else bias_F[f]
            for offset in range(width):
                t = centre + offset - width // 2
                if 0 <= t < n:
                    total += float(weight_FEW[f, :, offset] @ x_TE[t])
            out[row, f] = total
    return out


def pooled(x_TE):
    """The largest of each position of even number and its two neighbours, where there are any."""
    return np.array([x_TE[max(0, t - 1) : t + 2].max(axis=0) for t in range(0, len(x_TE), 2)])


def dpcnn(x_TE, region, blocks, activation="relu"):
    """The document vector; ``region`` and the two members of each block are (weight, bias)."""
    if len(x_TE) == 0:
        return np.zeros(len(region[1]))
    act = np.vectorize(ACTIVATIONS[activation])
    z = convolution(x_TE, *region)
    for number, (first, second) in enumerate(blocks):
        if number:
            z = pooled(z)
        inner = convolution(z if number == 0 else act(z), *first)
        z = z + convolution(act(inner), *second)
    return z.max(axis=0)
