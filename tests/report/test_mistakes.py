"""The surest mistakes against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from linnaea.decision.predictions import Decisions
from linnaea.metrics.outcome import Outcome
from linnaea.ragged import Ragged
from linnaea.report import mistakes as module
from linnaea.report.mistakes import Kept, mistakes
from tests.references.worlds import flat, matrices, predictions, sets


def outcome_of(scores: np.ndarray, chosen: np.ndarray, gold: np.ndarray, *, sparse: bool = False) -> Outcome:
    taxonomy = flat(scores.shape[1])
    found = predictions(scores, taxonomy, sparse=sparse)
    decisions = Decisions(
        Ragged.from_dense(chosen), found_scores(scores, chosen), np.full(scores.shape[1], 0.5)
    )
    return Outcome("test", found, decisions, Ragged.from_dense(gold), gold.sum(axis=0), "ancestors")


def found_scores(scores: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    return scores[chosen].astype(np.float32)


def looped(scores: np.ndarray, at: np.ndarray, column: int, most: int, *, highest: bool) -> list[int]:
    rows = [row for row in range(len(scores)) if at[row, column]]
    rows.sort(key=lambda row: (-scores[row, column] if highest else scores[row, column], row))
    return rows[:most]


def shown(kept: Kept, column: int) -> tuple[list[int], list[float]]:
    part = slice(*kept.rows.offsets_N1[column : column + 2])
    return kept.rows.values[part].tolist(), kept.scores_K[part].tolist()


@given(matrices(9, 4), sets(9, 4), sets(9, 4), st.booleans())
@settings(deadline=None)
def test_equal_plain_loops(scores: np.ndarray, chosen: np.ndarray, gold: np.ndarray, sparse: bool) -> None:
    found = mistakes(outcome_of(scores, chosen, gold, sparse=sparse))
    rows = set()
    for column in range(4):
        for kept, at, highest in ((found.wrong, chosen & ~gold, True), (found.missed, gold & ~chosen, False)):
            expected = looped(scores, at, column, 5, highest=highest)
            assert shown(kept, column) == (expected, scores[expected, column].tolist())
            rows |= set(expected)
    assert found.wrong_C.tolist() == (chosen & ~gold).sum(axis=0).tolist()
    assert found.missed_C.tolist() == (gold & ~chosen).sum(axis=0).tolist()
    assert found.documents.tolist() == sorted(rows)


def test_many_categories_have_fewer_each(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = np.linspace(0, 1, 60, dtype=np.float32).reshape(10, 6)
    chosen, gold = np.ones((10, 6), dtype=bool), np.zeros((10, 6), dtype=bool)
    gold[:3, 0] = True  # the first category has fewest mistakes
    monkeypatch.setattr(module, "QUOTED", 24)
    found = mistakes(outcome_of(scores, chosen, gold))
    assert found.wrong.rows.lengths_N.tolist() == [2] * 6
    monkeypatch.setattr(module, "QUOTED", 10)
    found = mistakes(outcome_of(scores, chosen, gold))
    assert found.wrong.rows.lengths_N.tolist() == [0, 1, 1, 1, 1, 1]
    assert found.wrong_C.tolist() == [7, 10, 10, 10, 10, 10]


def test_no_mistakes_and_no_documents() -> None:
    both = np.eye(3, dtype=bool)
    assert len(mistakes(outcome_of(np.eye(3, dtype=np.float32), both, both)).documents) == 0
    nothing = np.zeros((0, 3))
    assert len(mistakes(outcome_of(nothing, nothing.astype(bool), nothing.astype(bool))).documents) == 0


def test_sparse_scores_that_were_not_kept() -> None:
    scores = np.array([[0.9, 0.0], [0.0, 0.8], [0.7, 0.0]], dtype=np.float32)
    gold = np.array([[True, True], [True, True], [True, False]])
    found = mistakes(outcome_of(scores, np.zeros((3, 2), dtype=bool), gold, sparse=True))
    assert isinstance(outcome_of(scores, gold, gold, sparse=True).predictions.scores, csr_array)
    assert shown(found.missed, 0) == ([1, 2, 0], [0.0, pytest.approx(0.7), pytest.approx(0.9)])
