"""VDCNN and its parts as plain loops over one document: what the vectorised encoder is held against."""

from __future__ import annotations

import numpy as np

from tests.references.dpcnn import convolution, pooled

# Convolutions in each level, as the paper's Table 2 has them.
LEVELS = {9: (2, 2, 2, 2), 17: (4, 4, 4, 4), 29: (10, 10, 4, 4), 49: (16, 16, 10, 6)}


def k_max(x_TE, k):
    """Of each column the k largest values, the earlier of equals, in temporal order."""
    n, columns = x_TE.shape
    out = np.zeros((min(k, n), columns))
    for e in range(columns):
        best = sorted(range(n), key=lambda t: (-x_TE[t, e], t))[:k]
        out[:, e] = [x_TE[t, e] for t in sorted(best)]
    return out


def normalized(documents, weight_E, bias_E, eps=1e-5):
    """Batch normalisation in training: documents ``[n, E]`` to the same; mean and variance of all positions."""
    positions = [row for x_TE in documents for row in x_TE]
    mean_E = sum(positions) / len(positions)
    var_E = sum((row - mean_E) ** 2 for row in positions) / len(positions)
    result = []
    for x_TE in documents:
        rows = [(row - mean_E) / np.sqrt(var_E + eps) * weight_E + bias_E for row in x_TE]
        result.append(np.array(rows).reshape(x_TE.shape))
    return result, mean_E, var_E


def vdcnn(documents, weights, *, depth, filters, shortcuts, downsampling, top_k, training, eps=1e-5):
    """Document vectors.

    Args:
        documents: ``[n, E]`` each.
        weights: as arrays under the names of the module's state dict.
        training: normalise by the batch, else by the running statistics in ``weights``.
    """

    def norm(values, name):
        gamma, beta = weights[f"{name}.weight"], weights[f"{name}.bias"]
        if training:
            return normalized(values, gamma, beta, eps)[0]
        mean, var = weights[f"{name}.running_mean"], weights[f"{name}.running_var"]
        return [(x - mean) / np.sqrt(var + eps) * gamma + beta for x in values]

    def layer(values, name, stride=1):
        kernel = weights[f"{name}.convolution.weight"]
        return norm([convolution(x, kernel, None, stride) for x in values], f"{name}.norm")

    empty = [len(x) == 0 for x in documents]
    values = [convolution(x, weights["first.weight"], weights["first.bias"]) for x in documents]
    for level, count in enumerate(LEVELS[depth]):
        stride = 1
        if level and downsampling == "max":
            values = [pooled(x) if len(x) else x for x in values]
        elif level and downsampling == "kmax":
            values = [k_max(x, -(-len(x) // 2)) for x in values]
        elif level:
            stride = 2
        for pair in range(count // 2):
            name, step = f"levels.{level}.{pair}", stride if pair == 0 else 1
            inner = [np.maximum(x, 0) for x in layer(values, f"{name}.first", step)]
            outer = layer(inner, f"{name}.second")
            if shortcuts and f"{name}.projection.weight" in weights:
                way = weights[f"{name}.projection.weight"]
                outer = [y + convolution(x, way, None, step) for x, y in zip(values, outer, strict=True)]
            elif shortcuts:
                outer = [y + x for x, y in zip(values, outer, strict=True)]
            values = [np.maximum(x, 0) for x in outer]
    found = []
    for x, nothing in zip(values, empty, strict=True):
        features = np.zeros((top_k, filters * 8))
        kept = k_max(x, top_k)
        features[: len(kept)] = kept
        vector = features.ravel()
        for number in (0, 1):
            dense = weights[f"hidden.{number}.weight"]
            vector = np.maximum(dense @ vector + weights[f"hidden.{number}.bias"], 0)
        found.append(np.zeros_like(vector) if nothing else vector)
    return np.array(found)
