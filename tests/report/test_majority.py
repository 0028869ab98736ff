"""The majority guess: by hand, and against scikit-learn over all guesses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from linnaea.ragged import Ragged
from linnaea.report.majority import majority
from tests.references.worlds import flat, sets, tree


def test_by_hand() -> None:
    # c2 lies below c0. Four documents: {c0, c2}, {c0, c2}, {c0}, {c1}.
    taxonomy = tree((), (), (0,))
    gold = Ragged.from_rows([[0, 2], [0, 2], [0], [1]])
    found = majority(gold, np.array([30, 5, 20]), taxonomy)
    # c0: 2·3/(4+6) = 0.6; c0, c2: 2·5/(8+6) = 0.714; all: 2·6/(12+6) = 0.667.
    assert found.columns == (0, 2)
    assert found.micro.f1 == pytest.approx(10 / 14)
    assert found.micro.precision == pytest.approx(5 / 8)
    assert found.micro.recall == pytest.approx(5 / 6)
    assert found.macro_f1 == pytest.approx((6 / 7 + 4 / 6 + 0) / 3)
    assert found.hierarchical_f1 == pytest.approx(10 / 14)


def test_the_other_ways() -> None:
    gold = Ragged.from_rows([[0], [1], [1]])
    assert majority(gold, np.array([1, 9]), flat(2), single=True).columns == (1,)
    assert majority(gold, np.array([0, 0]), flat(2)).columns == ()
    assert majority(gold, np.array([0, 0]), flat(2)).micro.f1 == 0
    # Labels that are not closed: the hierarchical measure closes both sides.
    found = majority(Ragged.from_rows([[1], [1], [0]]), np.array([1, 5]), tree((), (0,)))
    assert found.columns == (1,)
    assert found.hierarchical_f1 == pytest.approx(2 * 5 / (6 + 5))


@given(sets(7, 4), st.lists(st.integers(0, 3), min_size=4, max_size=4))
@settings(deadline=None)
def test_no_other_length_is_better(gold: np.ndarray, support: list[int]) -> None:
    found = majority(Ragged.from_dense(gold), np.array(support), flat(4))
    order = sorted((c for c in range(4) if support[c]), key=lambda c: (-support[c], c))
    best = 0.0
    for count in range(1, len(order) + 1):
        guess = np.zeros_like(gold)
        guess[:, order[:count]] = True
        best = max(best, f1_score(gold, guess, average="micro", zero_division=0))
    assert found.micro.f1 == pytest.approx(best)
    guess = np.zeros_like(gold)
    guess[:, list(found.columns)] = True
    assert found.macro_f1 == pytest.approx(f1_score(gold, guess, average="macro", zero_division=0))
