"""HiAGM's structure encoders as plain loops over Python floats, and over a dense matrix as its authors have them."""

from __future__ import annotations

import math

from tests.references.label_attention import dot
from tests.references.textrnn import affine, sigmoid


def prior(support, parent, child):
    """P(child | parent); a child has all of a parent with fewer documents than itself, none at all among them."""
    if support[child] == 0:
        return 0.0
    return 1.0 if support[child] >= support[parent] else support[child] / support[parent]


def gcn(nodes, edges, support, gates, gate_bias, up_bias, down_bias):
    """One graph convolution of one document.

    Args:
        nodes: a vector a category.
        edges: (parent, child).
        gates: weights of the gates up, down and self; ``gate_bias``: up and down of each category.
    """
    size, found = len(nodes[0]), []
    for k, own in enumerate(nodes):
        up = [up_bias[k][j] + sum(nodes[c][j] for p, c in edges if p == k) for j in range(size)]
        down = [
            down_bias[k][j] + sum(prior(support, p, c) * nodes[p][j] for p, c in edges if c == k)
            for j in range(size)
        ]
        g_up, g_down, g_own = (
            sigmoid(dot(gate, own) + shift) for gate, shift in zip(gates, [*gate_bias[k], 0.0], strict=True)
        )
        found.append([max(0.0, g_up * up[j] + g_down * down[j] + g_own * own[j]) for j in range(size)])
    return found


def tree_lstm(nodes, edges, support, weights, *, down):
    """States of one direction.

    Args:
        weights: input [4 F, F] for i, o, u, f; bias; hidden [3 F, F] for i, o, u; forget [F, F].
        down: from the top, over parents; else from below, over children.
    """
    given_weight, bias, hidden, forget = weights
    size = len(nodes[0])
    sources = {
        k: [p for p, c in edges if c == k] if down else [c for p, c in edges if p == k]
        for k in range(len(nodes))
    }
    done: dict = {}

    def visit(k):
        if k in done:
            return done[k]
        before = [(j, *visit(j)) for j in sources[k]]
        share = 1 / len(before) if down and before else 1.0
        heard = [[value * (prior(support, j, k) if down else 1.0) for value in h] for j, h, _ in before]
        total = [share * sum(h[n] for h in heard) for n in range(size)]
        given = affine(given_weight, nodes[k], bias)
        recurrent = affine(hidden, total, [0.0] * (3 * size))
        i, o, u = (
            [given[part * size + n] + recurrent[part * size + n] for n in range(size)] for part in range(3)
        )
        memory = [sigmoid(i[n]) * math.tanh(u[n]) for n in range(size)]
        for h, (_, _, c) in zip(heard, before, strict=True):
            kept = affine(forget, h, given[3 * size :])
            memory = [memory[n] + share * sigmoid(kept[n]) * c[n] for n in range(size)]
        done[k] = [sigmoid(o[n]) * math.tanh(memory[n]) for n in range(size)], memory
        return done[k]

    return [visit(k)[0] for k in range(len(nodes))]


def rows_out(vectors, rows, biases):
    return [dot(v, w) + b for v, w, b in zip(vectors, rows, biases, strict=True)]


def full_out(vectors, rows, biases):
    flat = [value for vector in vectors for value in vector]
    return affine(rows, flat, biases)
