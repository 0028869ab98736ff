"""Values of trials: equal to plain loops, and never flattered by what was tuned on the same documents."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score

from linnaea.config.config import Config
from linnaea.corpus.split import stratified_folds
from linnaea.decision.predictions import Predictions
from linnaea.errors import ConfigError, UsageError
from linnaea.ragged import Ragged
from linnaea.reporter import Silent
from linnaea.run_folder import RunFolder
from linnaea.strategies.base import Fitted
from linnaea.taxonomy.taxonomy import Taxonomy
from linnaea.tuning.value import FOLDS, decided, fit, metric_of, value_of
from tests.strategies import toys

FLAT = Taxonomy.build(["a", "b", "c"], ["a", "b", "c"], [[], [], []])


def held(count: int, seed: int, signal: float) -> tuple[Predictions, Ragged, np.ndarray]:
    """Scores, gold, and gold as an indicator matrix; ``signal`` 0: scores say nothing."""
    rng = np.random.default_rng(seed)
    gold_NC = rng.random((count, 3)) < [0.5, 0.2, 0.1]
    gold_NC[gold_NC.sum(1) == 0, 0] = True
    scores_NC = 1 / (1 + np.exp(-(signal * (gold_NC - 0.5) + rng.normal(size=gold_NC.shape))))
    ids = [str(row) for row in range(count)]
    gold = Ragged.from_lengths(np.nonzero(gold_NC)[1].astype(np.int32), gold_NC.sum(1))
    return Predictions(ids, FLAT, scores_NC.astype(np.float32)), gold, gold_NC


def fitted(**more: Any) -> Fitted:
    scorer: Any = None
    return Fitted(scorer, None, None, np.array([9, 9, 9]), **more)


def indicator(chosen: Ragged) -> np.ndarray:
    found = np.zeros((len(chosen), 3), dtype=bool)
    for row in range(len(chosen)):
        found[row, chosen[row]] = True
    return found


def config(**decision: Any) -> Config:
    return Config.build({"decision": decision})


@pytest.mark.parametrize(
    ("metric", "average"),
    [("micro_f1", "micro"), ("macro_f1", "macro"), ("samples_f1", "samples"), ("weighted_f1", "weighted")],
)
def test_where_nothing_is_tuned_it_is_the_measure_of_plain_decisions(metric: str, average: str) -> None:
    predictions, gold, gold_NC = held(80, 0, 3.0)
    value = value_of(
        config(threshold={"type": "fixed", "value": 0.4}), FLAT, fitted(), predictions, gold, metric
    )
    expected = f1_score(gold_NC, np.asarray(predictions.scores) >= 0.4, average=average, zero_division=0)
    assert value == pytest.approx(expected, abs=1e-12)


def test_average_precision_looks_at_scores_alone() -> None:
    predictions, gold, _ = held(80, 0, 3.0)
    values = {
        value_of(config(threshold={"type": "fixed", "value": at}), FLAT, fitted(), predictions, gold, "average_precision")
        for at in (0.1, 0.9)
    }  # fmt: skip
    assert len(values) == 1


def test_a_global_threshold_is_that_of_the_other_folds() -> None:
    """Against a loop over all thresholds, fold by fold."""
    predictions, gold, gold_NC = held(90, 1, 2.0)
    tuned = config(threshold={"type": "global", "aim": "micro_f1"})
    scores_NC = np.asarray(predictions.scores)
    fold_N = stratified_folds(gold, 3, FOLDS, tuned.run.seed)
    expected_NC = np.zeros_like(gold_NC)
    for fold in range(FOLDS):
        mine, others = fold_N == fold, fold_N != fold
        best = (-1.0, 0.0)
        points = np.unique(scores_NC[others])
        for i, point in enumerate(points):
            chosen, right = scores_NC[others] >= point, gold_NC[others]
            f1 = 2 * (chosen & right).sum() / (chosen.sum() + right.sum())
            below = points[i - 1] if i else 0.0
            best = max(best, (f1, (point + below) / 2))
        expected_NC[mine] = scores_NC[mine] >= best[1]
    assert (indicator(decided(tuned, FLAT, fitted(), predictions, gold)) == expected_NC).all()


@pytest.mark.parametrize(
    "rule", [{"type": "per_category", "aim": "macro_f1"}, {"type": "global", "aim": "both"}]
)
def test_labels_of_a_document_have_no_part_in_its_own_decision(
    rule: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    predictions, gold, _ = held(60, 2, 1.0)
    tuned = config(threshold=rule, calibration="platt")
    fold_N = np.arange(60) % FOLDS
    monkeypatch.setattr("linnaea.tuning.value.stratified_folds", lambda *_: fold_N)
    before = indicator(decided(tuned, FLAT, fitted(), predictions, gold))
    order = np.arange(60)
    order[fold_N == 0] = np.roll(order[fold_N == 0], 1)  # the labels of this fold alone
    after = indicator(decided(tuned, FLAT, fitted(), predictions, gold.take(order)))
    assert (before[fold_N == 0] == after[fold_N == 0]).all()
    assert (before != after).any()


def test_scores_that_say_nothing_gain_nothing_by_tuning() -> None:
    """Thresholds tuned and judged on the same documents would look far better than they are."""
    tuned = config(threshold={"type": "per_category", "aim": "macro_f1", "shrinkage": 0})
    fixed = config(
        threshold={"type": "fixed", "value": 1e-6}
    )  # all of them: the best there is without a signal
    gained = []
    for seed in range(20):
        predictions, gold, _ = held(40, seed, 0.0)
        both = (value_of(c, FLAT, fitted(), predictions, gold, "macro_f1") for c in (tuned, fixed))
        gained.append(next(both) - next(both))
    assert np.mean(gained) < 0.0


def test_what_per_category_finds_on_dev_is_found_again_on_the_folds() -> None:
    """Its own thresholds are the best on all of dev: judged by them dev would flatter the trial."""
    own = Config.build({"training": {"strategy": "per_category"}})
    predictions, gold, _ = held(60, 3, 0.5)
    of_dev = fitted(found_C=np.array([0.9, 0.9, 0.9]))
    again = config(threshold={"type": "per_category", "aim": "macro_f1", "shrinkage": 0})
    expected = decided(again, FLAT, fitted(), predictions, gold)
    assert (indicator(decided(own, FLAT, of_dev, predictions, gold)) == indicator(expected)).all()


def test_few_documents_are_no_ground_to_tune_on() -> None:
    predictions, gold, _ = held(4, 4, 1.0)
    with pytest.raises(ConfigError, match="4 held-out documents are too few to tune on 4 of 5 folds"):
        value_of(config(threshold={"type": "global"}), FLAT, fitted(), predictions, gold, "micro_f1")


def test_a_linear_strategy_that_tunes_nothing_leaves_dev_alone(tmp_path: Path) -> None:
    linear = toys.linear_config()
    corpus = toys.corpus(linear, train=60)
    found, predictions, gold = fit(linear, corpus, RunFolder(tmp_path), resume=False, reporter=Silent())
    assert found.facts["fitted_documents"] == 60
    assert corpus.dev is not None
    assert list(predictions.ids) == list(corpus.dev.ids)
    assert gold is corpus.dev.labels
    with pytest.raises(ConfigError, match="no dev documents"):
        fit(linear, replace(corpus, dev=None), RunFolder(tmp_path), resume=False, reporter=Silent())


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ({}, "micro_f1"),
        ({"training": {"early_stopping": {"metric": "macro_f1"}}}, "macro_f1"),
        ({"training": {"early_stopping": {"metric": "loss"}}}, "micro_f1"),
        ({"training": {"early_stopping": None}}, "micro_f1"),
        ({"decision": {"threshold": {"type": "per_category", "aim": "macro_f1"}}}, "macro_f1"),
        ({"decision": {"threshold": {"type": "global"}}}, "both_f1"),
        ({"decision": {"threshold": {"type": "conformal"}}}, "average_precision"),
        ({"training": {"strategy": "per_category"}}, "macro_f1"),
        ({"training": {"strategy": "linear"}}, "micro_f1"),
    ],
)
def test_a_study_goes_by_what_the_config_is_after(value: dict[str, Any], name: str) -> None:
    assert metric_of(Config.build(value), None) == name


def test_an_unknown_measure_is_refused() -> None:
    with pytest.raises(UsageError, match="did you mean 'macro_f1'"):
        metric_of(Config.build({}), "macrof1")
