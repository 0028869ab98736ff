"""Star-Transformer as plain loops over one document: what the vectorised encoder is held against."""

from __future__ import annotations

import numpy as np

from tests.references.transformer import heads_attend, layer_norm


def star_transformer(e_TE, cycles, heads):
    """The document vector.

    A cycle is a dict of tuples: ``tokens`` and ``relay`` (query, key, value, merge), ``norm`` and ``relay_norm``
    (weight, bias).
    """
    n = len(e_TE)
    if n == 0:
        return np.zeros(e_TE.shape[1])
    h, s = list(e_TE), sum(e_TE) / n
    for cycle in cycles:
        renewed = []
        for i in range(n):
            seen = [h[(i - 1) % n], h[i], h[(i + 1) % n], e_TE[i], s]
            found = heads_attend(h[i], seen, cycle["tokens"], heads)
            renewed.append(layer_norm(np.maximum(found, 0), *cycle["norm"]))
        h = renewed
        found = heads_attend(s, [s, *h], cycle["relay"], heads)
        s = layer_norm(np.maximum(found, 0), *cycle["relay_norm"])
    return np.max(h, axis=0) + s
