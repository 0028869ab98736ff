"""HR-DGCNN as plain loops over one document: the graph of words, its neighbourhoods, the convolutions."""

from __future__ import annotations

import numpy as np

from tests.references.dpcnn import convolution


def graph(ids, window):
    """The distinct words by first place, and ``{word: {neighbour: pairs}}``."""
    words = list(dict.fromkeys(ids))
    weights = {word: {} for word in words}
    for i, one in enumerate(ids):
        for other in ids[i + 1 : i + window]:
            if one != other:
                weights[one][other] = weights[one].get(other, 0) + 1
                weights[other][one] = weights[other].get(one, 0) + 1
    return words, weights


def neighbourhoods(ids, window, size, k):
    """The lists of words, up to ``size`` of up to ``k`` each, most central word first."""
    words, weights = graph(ids, window)
    place = {word: ids.index(word) for word in words}
    central = sorted(words, key=lambda word: (-sum(weights[word].values()), place[word]))
    found = []
    for root in central[:size]:
        met, queue = [root], [root]
        while queue:
            word = queue.pop(0)
            for near in sorted(weights[word], key=lambda other: (-weights[word][other], place[other])):
                if near not in met:
                    met.append(near)
                    queue.append(near)
        found.append(met[:k])
    return found


def larger_of_two(x_NF):
    return np.array([x_NF[n : n + 2].max(axis=0) for n in range(0, len(x_NF), 2)])


def relu(x):
    return np.maximum(x, 0)


def hr_dgcnn(x_TE, ids, window, size, k, neighbourhood, convolutions, rows, hidden):
    """The document vector; ``neighbourhood``, ``convolutions`` and ``hidden`` are of (weight, bias)."""
    if not ids:
        return np.zeros(len(hidden[-1][1]))
    inputs = []
    for words in neighbourhoods(ids, window, size, k):
        row = [x_TE[ids.index(word)] for word in words]
        row += [np.zeros(x_TE.shape[1])] * (k - len(words))
        inputs.append(np.concatenate(row))
    weight, bias = neighbourhood
    z = larger_of_two(relu(np.array(inputs) @ weight.T + bias))
    for weight, bias in convolutions:
        z = larger_of_two(relu(convolution(z, weight, bias)))
    grid = np.zeros((rows, z.shape[1]))
    grid[: len(z)] = z
    z = grid.reshape(-1)
    for weight, bias in hidden:
        z = relu(weight @ z + bias)
    return z
