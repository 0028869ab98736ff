"""TextRNN as plain loops over Python floats: what the vectorised encoder is held against."""

from __future__ import annotations

import math


def sigmoid(x):
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def affine(weight, x, bias):
    return [sum(w * v for w, v in zip(row, x, strict=True)) + b for row, b in zip(weight, bias, strict=True)]


def gru_step(x, h, memory, weights):
    size = len(h)
    given, own = affine(weights[0], x, weights[2]), affine(weights[1], h, weights[3])
    new = []
    for j in range(size):
        r = sigmoid(given[j] + own[j])
        z = sigmoid(given[size + j] + own[size + j])
        n = math.tanh(given[2 * size + j] + r * own[2 * size + j])
        new.append((1 - z) * n + z * h[j])
    return new, memory


def lstm_step(x, h, memory, weights):
    size = len(h)
    given, own = affine(weights[0], x, weights[2]), affine(weights[1], h, weights[3])
    new, kept = [], []
    for j in range(size):
        i, f, g, o = (given[gate * size + j] + own[gate * size + j] for gate in range(4))
        kept.append(sigmoid(f) * memory[j] + sigmoid(i) * math.tanh(g))
        new.append(sigmoid(o) * math.tanh(kept[j]))
    return new, kept


def rnn_step(x, h, memory, weights, nonlinearity):
    given, own = affine(weights[0], x, weights[2]), affine(weights[1], h, weights[3])
    act = math.tanh if nonlinearity == "tanh" else (lambda value: max(value, 0.0))
    return [act(a + b) for a, b in zip(given, own, strict=True)], memory


def recurrent(tokens, layers, *, cell, nonlinearity="tanh"):
    """States of one document.

    Args:
        tokens: ``n`` lists of E floats.
        layers: for each layer, for each direction: weight_ih, weight_hh, bias_ih, bias_hh as torch has them.
    """
    for directions in layers:
        halves = []
        for backward, weights in enumerate(directions):
            h = memory = [0.0] * len(weights[1][0])
            states = []
            for x in reversed(tokens) if backward else tokens:
                if cell == "gru":
                    h, memory = gru_step(x, h, memory, weights)
                elif cell == "lstm":
                    h, memory = lstm_step(x, h, memory, weights)
                else:
                    h, memory = rnn_step(x, h, memory, weights, nonlinearity)
                states.append(h)
            halves.append(states[::-1] if backward else states)
        tokens = [[value for half in parts for value in half] for parts in zip(*halves, strict=True)]
    return tokens


def attended(states, project, bias, query):
    """Σ α_t h_t, α = softmax(query · tanh(project h_t + bias))."""
    compared = [affine(project, h, bias) for h in states]
    scores = [sum(q * math.tanh(u) for q, u in zip(query, row, strict=True)) for row in compared]
    largest = max(scores)
    weights = [math.exp(score - largest) for score in scores]
    total = sum(weights)
    return [
        sum(w * h[j] for w, h in zip(weights, states, strict=True)) / total for j in range(len(states[0]))
    ]


def textrnn(tokens, layers, *, cell="gru", nonlinearity="tanh", pooling="attention", attention=None):
    """One document; ``attention`` = (project, bias, query)."""
    size = sum(len(weights[1][0]) for weights in layers[-1])
    states = recurrent(tokens, layers, cell=cell, nonlinearity=nonlinearity)
    if not states:
        return [0.0] * size
    if pooling == "attention":
        return attended(states, *attention)
    if pooling == "mean":
        return [sum(h[j] for h in states) / len(states) for j in range(size)]
    half = size // len(layers[-1])
    return states[-1][:half] + states[0][half:]
