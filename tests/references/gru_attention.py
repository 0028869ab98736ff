"""GRU-Att as plain loops over Python floats: what the vectorised encoder is held against."""

from __future__ import annotations

from tests.references.textrnn import attended, recurrent


def gru_attention(tokens, layers, attention):
    """One document in eval mode; ``attention`` = (project, bias, query)."""
    size = sum(len(weights[1][0]) for weights in layers[-1])
    states = recurrent(tokens, layers, cell="gru")
    if not states:
        return [0.0] * (3 * size)
    columns = list(zip(*states, strict=True))
    return attended(states, *attention) + [max(c) for c in columns] + [sum(c) / len(c) for c in columns]
