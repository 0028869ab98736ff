"""The bag reading of the lookup table and fastText's mean, as plain loops."""

from __future__ import annotations


def fasttext(bags, tables, weights=None):
    """One document: the mean vector of all ids of all features; zeros where there are none.

    Args:
        bags: by feature, the list of ids.
        tables: by feature, the rows.
        weights: by feature, one weight an id; 1 unless given.
    """
    dimension = len(next(iter(tables.values()))[0])
    total, mean = 0.0, [0.0] * dimension
    for feature, ids in bags.items():
        for place, id in enumerate(ids):
            weight = 1.0 if weights is None else weights[feature][place]
            total += weight
            for e in range(dimension):
                mean[e] += weight * tables[feature][id][e]
    return [value / total for value in mean] if total > 0 else mean
