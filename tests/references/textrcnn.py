"""TextRCNN as plain loops: the recurrent layers' twin, and TextCNN's over its states."""

from __future__ import annotations

from tests.references.textcnn import ACTIVATIONS, textcnn
from tests.references.textrnn import recurrent


def textrcnn(tokens, layers, weights, biases, *, cell="gru", nonlinearity="tanh", **settings):
    """One document; ``settings`` as TextCNN's twin takes them."""
    states = recurrent(tokens, layers, cell=cell, nonlinearity=nonlinearity)
    return textcnn(states, weights, biases, **settings)


def states(tokens, layers, weights, biases, *, cell="gru", nonlinearity="tanh", activation="relu"):
    """One document: for each token what the filters of every kernel size say of the window around it."""
    hidden, found = recurrent(tokens, layers, cell=cell, nonlinearity=nonlinearity), []
    for t in range(len(hidden)):
        said = []
        for weight, bias in zip(weights, biases, strict=True):
            for kernel, start in zip(weight, bias, strict=True):
                size, total = len(kernel[0]), start
                for offset in range(size):
                    place = t - (size - 1) // 2 + offset
                    if 0 <= place < len(hidden):
                        total += sum(row[offset] * h for row, h in zip(kernel, hidden[place], strict=True))
                said.append(ACTIVATIONS[activation](total))
        found.append(said)
    return found
