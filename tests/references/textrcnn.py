"""TextRCNN as plain loops: the recurrent layers' twin, and TextCNN's over its states."""

from __future__ import annotations

from tests.references.textcnn import textcnn
from tests.references.textrnn import recurrent


def textrcnn(tokens, layers, weights, biases, *, cell="gru", nonlinearity="tanh", **settings):
    """One document; ``settings`` as TextCNN's twin takes them."""
    states = recurrent(tokens, layers, cell=cell, nonlinearity=nonlinearity)
    return textcnn(states, weights, biases, **settings)
