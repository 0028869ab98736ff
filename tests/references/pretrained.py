"""BERT (Devlin 2019) for one document in float64, with pooling and windows as plain loops."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

Weights = Mapping[str, np.ndarray]


def bert(weights: Weights, ids: Sequence[int], heads: int) -> np.ndarray:
    """``[S, D]``: the states of all tokens."""
    w = {name: np.asarray(value, dtype=np.float64) for name, value in weights.items()}
    x = np.zeros((len(ids), w["embeddings.word_embeddings.weight"].shape[1]))
    for place, number in enumerate(ids):
        x[place] += w["embeddings.word_embeddings.weight"][number]
        x[place] += w["embeddings.position_embeddings.weight"][place]
        x[place] += w["embeddings.token_type_embeddings.weight"][0]
    x = _norm(w, "embeddings.LayerNorm", x)
    layer = 0
    while f"encoder.layer.{layer}.output.dense.weight" in w:
        at = f"encoder.layer.{layer}"
        mixed = _linear(w, f"{at}.attention.output.dense", _attention(w, f"{at}.attention.self", x, heads))
        x = _norm(w, f"{at}.attention.output.LayerNorm", x + mixed)
        wide = _linear(w, f"{at}.intermediate.dense", x)
        gelu = np.array([[v * 0.5 * (1 + math.erf(v / math.sqrt(2))) for v in row] for row in wide])
        x = _norm(w, f"{at}.output.LayerNorm", x + _linear(w, f"{at}.output.dense", gelu))
        layer += 1
    return x


def _attention(w: Weights, at: str, x: np.ndarray, heads: int) -> np.ndarray:
    queries, keys, values = (_linear(w, f"{at}.{name}", x) for name in ("query", "key", "value"))
    out, width = np.zeros_like(x), x.shape[1] // heads
    for head in range(heads):
        part = slice(head * width, (head + 1) * width)
        for s in range(len(x)):
            logits = [queries[s, part] @ keys[t, part] / math.sqrt(width) for t in range(len(x))]
            share = np.exp(np.array(logits) - max(logits))
            share /= share.sum()
            for t in range(len(x)):
                out[s, part] += share[t] * values[t, part]
    return out


def _linear(w: Weights, at: str, x: np.ndarray) -> np.ndarray:
    return x @ w[f"{at}.weight"].T + w[f"{at}.bias"]


def _norm(w: Weights, at: str, x: np.ndarray, eps: float = 1e-12) -> np.ndarray:
    rows = [(row - row.mean()) / math.sqrt(row.var() + eps) for row in x]
    return np.array(rows) * w[f"{at}.weight"] + w[f"{at}.bias"]


def windows(pieces: Sequence[int], size: int, overlap: int) -> list[list[int]]:
    """Windows until every piece was read."""
    found, start = [list(pieces[:size])], 0
    while start + size < len(pieces):
        start += size - overlap
        found.append(list(pieces[start : start + size]))
    return found


def document(
    weights: Weights, pieces: Sequence[int], heads: int, pooling: str, before: list[int], after: list[int],
    size: int, overlap: int | None, query: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """The document vector ``[D]``, and states ``[S, D]`` of the pieces; ``overlap`` None: the text is cut at ``size``."""
    width = weights["embeddings.LayerNorm.weight"].shape[0]
    if not pieces:
        return np.zeros(width), np.zeros((0, width))
    read = [list(pieces[:size])] if overlap is None else windows(pieces, size, overlap)
    length = min(size, len(pieces)) if overlap is None else len(pieces)
    vectors, sums, counts = [], np.zeros((length, width)), np.zeros(length)
    for number, window in enumerate(read):
        states = bert(weights, [*before, *window, *after], heads)
        if pooling == "cls":
            vectors.append(states[0])
        elif pooling == "mean":
            vectors.append(states.mean(0))
        else:
            logits = np.array([state @ query for state in states])
            share = np.exp(logits - logits.max())
            vectors.append(sum(a * state for a, state in zip(share / share.sum(), states, strict=True)))
        for i in range(len(window)):
            place = number * (size - (overlap or 0)) + i
            sums[place] += states[len(before) + i]
            counts[place] += 1
    return np.mean(vectors, axis=0), sums / counts[:, None]
