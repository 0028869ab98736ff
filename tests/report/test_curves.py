"""Curves and histograms against scikit-learn and plain counting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from sklearn.metrics import precision_recall_curve

from linnaea.ragged import Ragged
from linnaea.report.curves import BINS, curves
from tests.references.worlds import flat, matrices, predictions, random_world, sets


@given(matrices(12, 3), sets(12, 3))
@settings(deadline=None)
def test_every_point_is_on_the_curve(scores: np.ndarray, gold: np.ndarray) -> None:
    for column, curve in enumerate(curves(predictions(scores), Ragged.from_dense(gold))):
        if not (gold[:, column] & (scores[:, column] > 0)).any():
            assert len(curve.recall_P) == 0
            continue
        precision, recall, _ = precision_recall_curve(gold[:, column], scores[:, column])
        own = sorted({float(score) for score in scores[gold[:, column], column] if score > 0}, reverse=True)
        assert len(curve.recall_P) == len(own)
        points = set(zip(recall.round(9), precision.round(9), strict=True))
        assert set(zip(curve.recall_P.round(9), curve.precision_P.round(9), strict=True)) <= points


def test_long_curves_are_thinned_evenly() -> None:
    scores, gold = random_world(np.random.default_rng(0), 2000, flat(2))
    (curve, _) = curves(scores, Ragged.from_dense(gold), points=60)
    assert len(curve.recall_P) == 60
    assert curve.recall_P[-1] == 1
    assert np.diff(curve.recall_P) == pytest.approx(1 / 60, abs=0.005)
    precision, recall, _ = precision_recall_curve(gold[:, 0], scores.scores[:, 0])
    known = {round(float(r), 9): set() for r in recall}
    for r, p in zip(recall, precision, strict=True):
        known[round(float(r), 9)].add(round(float(p), 9))
    for r, p in zip(curve.recall_P, curve.precision_P, strict=True):
        assert round(float(p), 9) in known[round(float(r), 9)]


@pytest.mark.parametrize("sparse", [False, True])
def test_histograms_count_every_document_once(sparse: bool) -> None:
    scores, gold = random_world(np.random.default_rng(1), 500, flat(3))
    matrix = np.where(scores.scores < 0.2, 0, scores.scores)
    matrix[0, 0] = 1.0
    for column, curve in enumerate(curves(predictions(matrix, sparse=sparse), Ragged.from_dense(gold))):
        for found, at in ((curve.positives, gold[:, column]), (curve.negatives, ~gold[:, column])):
            expected = np.histogram(matrix[at, column].astype(np.float64), BINS, (0, 1))[0]
            # Float32 scores at the very edge of a bin may lie on either side of it.
            assert np.abs(found - expected).sum() <= 2
            assert found.sum() == at.sum()


def test_a_sparse_curve_ends_where_scores_end() -> None:
    matrix = np.array([[0.9], [0.0], [0.5], [0.0]], dtype=np.float32)
    gold = Ragged.from_dense(np.array([[True], [True], [False], [False]]))
    (curve,) = curves(predictions(matrix, sparse=True), gold)
    assert curve.recall_P.tolist() == [0.5]
    assert curve.precision_P.tolist() == [1.0]
