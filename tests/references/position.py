"""Position embeddings as plain loops over Python floats."""

from __future__ import annotations

import math


def sinusoid(length: int, dimension: int) -> list[list[float]]:
    """``[length][dimension]``: the waves of Vaswani 2017, section 3.5, over the square root of the dimension."""
    rows = []
    for place in range(length):
        row = []
        for column in range(dimension):
            angle = place / 10000 ** ((column - column % 2) / dimension)
            row.append((math.cos(angle) if column % 2 else math.sin(angle)) / math.sqrt(dimension))
        rows.append(row)
    return rows


def with_positions(tokens, table):
    """One document: its vectors, each with the row of its place added."""
    return [[x + p for x, p in zip(vector, table[place], strict=True)] for place, vector in enumerate(tokens)]
