"""Region embedding and its sum as plain loops over Python floats."""

from __future__ import annotations


def regions(ids, words, units, *, size, kind="word_context", original=False):
    """The region vectors of one document.

    Args:
        ids: of the real tokens.
        words: ``[id][dimension]``, the table E.
        units: ``[id][slot][dimension]``, the table K, ``size`` slots.
    """
    reach = size // 2
    found = []
    for i, middle in enumerate(ids):
        vector = []
        for dimension in range(len(words[0])):
            products = []
            for t in range(-reach, reach + 1):
                if not 0 <= i + t < len(ids):
                    if original:
                        products.append(0.0)
                    continue
                other = ids[i + t]
                if kind == "word_context":
                    products.append(units[middle][t + reach][dimension] * words[other][dimension])
                else:
                    products.append(units[other][reach - t][dimension] * words[middle][dimension])
            vector.append(max(products))
        found.append(vector)
    return found


def merged(vectors, width, merge="sum"):
    """The document vector: the sum of region vectors, or their mean; zeros for an empty document."""
    total = [0.0] * width
    for vector in vectors:
        total = [a + b for a, b in zip(total, vector, strict=True)]
    if merge == "mean" and vectors:
        total = [value / len(vectors) for value in total]
    return total
