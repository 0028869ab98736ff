"""evaluation.keep with a calibration: predict decides as evaluate did, by the scores that were kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from linnaea.commands.train import fit
from linnaea.decision.predictions import Predictions
from linnaea.model.folder import load
from linnaea.model.model import Model
from linnaea.strategies.base import ScoreSheet
from linnaea.text.build import corpus_from_documents
from linnaea.text.store import Corpus, Split
from tests.strategies.toys import documents, linear_config, run_folder, taxonomy

KEEP = 2


class Drawn:
    """Scores that are drawn for each document, some categories' much too high."""

    kind = "linear"

    def __init__(self, columns: int) -> None:
        self.columns = columns

    def score(self, split: Split, keep: int | None = None) -> Predictions:
        sheet = ScoreSheet(len(split), self.columns, keep)
        for row, id in enumerate(split.ids):
            rng = np.random.default_rng([ord(letter) for letter in id])
            odds = rng.normal(0, 1.5, self.columns) + np.linspace(-2, 2, self.columns)
            sheet.put(np.array([row]), (1 / (1 + np.exp(-odds)))[None].astype(np.float32))
        return sheet.predictions(split.ids, taxonomy())


@pytest.fixture(scope="module", params=["none", "max"])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Model, Corpus]:
    """A model with a calibration, in which curves differ a lot between categories."""
    settings = linear_config(
        evaluation={"keep": KEEP},
        decision={
            "calibration": {"type": "platt", "enough": 3, "on": "dev"},
            "threshold": {"type": "fixed", "value": 0.2},
            "decoding": request.param,
        },
    )
    splits = [documents(n, seed) for seed, n in enumerate((60, 60, 200))]
    corpus = corpus_from_documents(settings, taxonomy(), *splits)
    folder = tmp_path_factory.mktemp("kept")
    fit(settings, corpus, run_folder(folder))
    model = load(folder)
    scorer: Any = Drawn(len(corpus.taxonomy))
    calibration = model.decider.calibration
    assert calibration is not None and corpus.dev is not None and corpus.dev.labels is not None
    calibration.fit(scorer.score(corpus.dev), corpus.dev.labels, np.full(len(corpus.taxonomy), 9))
    return replace(model, scorer=scorer), corpus


def decided(model: Model, split: Split, **asked: Any) -> list[set[str]]:
    every = asked.pop("all_scores", False)
    answers = model.answer(split, model.decider_with(**asked), all_scores=every)
    return [{c.id for c in answer.categories if c.decided} for answer in answers]


def test_predict_decides_what_was_measured(trained: tuple[Model, Corpus]) -> None:
    model, corpus = trained
    assert corpus.test is not None and corpus.test.labels is not None
    _, kept, decisions = model.evaluate_split(corpus.test, corpus.test.labels)
    assert kept.sparse
    measured = [{model.taxonomy.ids[c] for c in row} for row in decisions.chosen]
    assert decided(model, corpus.test) == measured
    assert decided(model, corpus.test, all_scores=True) == measured
    calibrated_first = model.decider.decide(model.scorer.score(corpus.test))
    assert [set(row) for row in calibrated_first.chosen] != [set(row) for row in decisions.chosen]
    dense = model.decide(model.scorer.score(corpus.test))  # as the estimator asks
    np.testing.assert_array_equal(dense.chosen.values, decisions.chosen.values)


def test_a_higher_cap_keeps_more(trained: tuple[Model, Corpus]) -> None:
    model, corpus = trained
    assert corpus.test is not None
    found = decided(model, corpus.test, top_k=4)
    kept = model.decider_with(top_k=4).decide(model.scorer.score(corpus.test, keep=4))
    assert found == [{model.taxonomy.ids[c] for c in row} for row in kept.chosen]
    assert found != decided(model, corpus.test)


def test_without_a_calibration_nothing_is_cut_twice(trained: tuple[Model, Corpus]) -> None:
    model, corpus = trained
    assert corpus.test is not None
    plain = replace(model, decider=replace(model.decider, calibration=None))
    dense = plain.scorer.score(corpus.test)
    assert plain._kept(dense, plain.decider) is dense
    kept = plain.decide(plain.scorer.score(corpus.test, keep=KEEP))
    assert decided(plain, corpus.test) == [{plain.taxonomy.ids[c] for c in row} for row in kept.chosen]
