"""AttentiveConvNet as plain loops over one document: what the vectorised encoder is held against."""

from __future__ import annotations

import numpy as np

from tests.references.textcnn import ACTIVATIONS


def window_sum(x_TE, i, weight_FEW):
    """``[F]``: W times the vectors around position i; beyond the ends of the text there is nothing."""
    total = np.zeros(len(weight_FEW))
    for offset in range(weight_FEW.shape[2]):
        t = i + offset - weight_FEW.shape[2] // 2
        if 0 <= t < len(x_TE):
            total += weight_FEW[:, :, offset] @ x_TE[t]
    return total


def gated(x_TE, output, gate, act):
    """A gated convolution: output and gate are (weight [E, E, W], bias [E])."""
    rows = []
    for i in range(len(x_TE)):
        o = act(window_sum(x_TE, i, output[0]) + output[1])
        g = 1 / (1 + np.exp(-(window_sum(x_TE, i, gate[0]) + gate[1])))
        rows.append(g * x_TE[i] + (1 - g) * o)
    return np.array(rows)


def softmax(scores):
    share = np.exp(scores - np.max(scores))
    return share / share.sum()


def context(m_TM, match):
    """``[T, M]``: for each position the sum of all, weighted by how well they match it."""
    name, *weights = match
    rows = []
    for i in range(len(m_TM)):
        scores = []
        for j in range(len(m_TM)):
            if name == "dot":
                scores.append(m_TM[i] @ m_TM[j])
            elif name == "bilinear":
                scores.append(m_TM[i] @ weights[0] @ m_TM[j])
            else:
                scores.append(weights[2] @ np.tanh(weights[0] @ m_TM[i] + weights[1] @ m_TM[j]))
        rows.append(sum(share * m for share, m in zip(softmax(np.array(scores)), m_TM, strict=True)))
    return np.array(rows)


def attentive_convnet(x_TE, near, far, match, gates=None, activation="tanh"):
    """The document vector.

    Args:
        near: (weight [D, E, W], bias [D]); ``far`` [D, M].
        match: ("dot",), ("bilinear", W) or ("additive", W, U, v).
        gates: None (light), or (output, gate) of the matched single convolution, the matched wide one, and the
            beneficiary.
    """
    if len(x_TE) == 0:
        return np.zeros(len(far))
    act = np.vectorize(ACTIVATIONS[activation])
    m_TM = own_TE = x_TE
    if gates is not None:
        m_TM = np.concatenate([gated(x_TE, *gates[0], act), gated(x_TE, *gates[1], act)], axis=1)
        own_TE = gated(x_TE, *gates[2], act)
    c_TM = context(m_TM, match)
    states = [act(window_sum(own_TE, i, near[0]) + far @ c_TM[i] + near[1]) for i in range(len(x_TE))]
    return np.max(states, axis=0)
