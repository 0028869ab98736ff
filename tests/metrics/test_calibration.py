"""Calibration of all pairs, of levels and of categories: by hand and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from linnaea.errors import UsageError
from linnaea.metrics.calibration import BINS, Binned
from linnaea.ragged import Ragged
from tests.references.worlds import predictions, random_world, tree

TREE = tree((), (), (0,), (0,), (1,), (4,))


def test_bins_by_hand() -> None:
    scores = predictions([[0.1, 0.95], [0.12, 1.0], [0.5, 0.0]])
    made = Binned.of(scores, Ragged.from_rows([[1], [0], []])).to_json(scores.taxonomy)
    rows = {i: row for i, row in enumerate(made["bins"]) if row["pairs"]}
    assert len(made["bins"]) == BINS
    assert (made["bins"][0]["from"], made["bins"][-1]["to"]) == (0, 1)
    # 0.1 and 0.12 lie in the second bin, 0.5 in the eighth, 0.95 and 1 in the last, 0 in the first.
    assert {i: row["pairs"] for i, row in rows.items()} == {0: 1, 1: 2, 7: 1, 14: 2}
    assert {i: row["share"] for i, row in rows.items()} == {0: 0, 1: 0.5, 7: 0, 14: 0.5}
    assert {i: round(row["mean_score"], 6) for i, row in rows.items()} == {0: 0, 1: 0.11, 7: 0.5, 14: 0.975}
    assert made["ece"] == pytest.approx((2 * 0.39 + 0.5 + 2 * 0.475) / 6)
    assert made["brier"] == pytest.approx((0.01 + 0.05**2 + 0.88**2 + 1 + 0.25 + 0) / 6)
    assert made["levels"] == [{"level": 1, "ece": made["ece"], "brier": made["brier"]}]


@pytest.mark.parametrize("sparse", [False, True])
def test_equal_to_scikit_learn(sparse: bool) -> None:
    scores, gold = random_world(np.random.default_rng(2), 60, TREE)
    values = np.asarray(scores.scores)
    values[values < 0.2] = 0
    made = Binned.of(predictions(values, TREE, sparse=sparse), Ragged.from_dense(gold)).to_json(TREE)
    assert made["brier"] == pytest.approx(brier_score_loss(gold.ravel(), values.ravel()), abs=1e-7)
    share, mean = calibration_curve(gold.ravel(), values.ravel(), n_bins=BINS)
    rows = [row for row in made["bins"] if row["pairs"]]
    np.testing.assert_allclose([row["share"] for row in rows], share, atol=1e-6)
    np.testing.assert_allclose([row["mean_score"] for row in rows], mean, atol=1e-6)
    assert sum(row["pairs"] for row in rows) == values.size
    weights = np.array([row["pairs"] for row in rows]) / values.size
    assert made["ece"] == pytest.approx(np.abs(share - mean) @ weights, abs=1e-6)
    for row in made["levels"]:
        here = row["level"] == TREE.level_C
        assert row["brier"] == pytest.approx(
            brier_score_loss(gold[:, here].ravel(), values[:, here].ravel()), abs=1e-7
        )


def test_no_documents_are_refused() -> None:
    with pytest.raises(UsageError, match="scores of 0 documents"):
        Binned.of(predictions(np.zeros((0, 6)), TREE), Ragged.from_rows([]))
