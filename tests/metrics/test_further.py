"""Further metrics: asked for by name, measured in training and afterwards, and what they may not give."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from linnaea.config.config import Config
from linnaea.config.outcome import EvaluationConfig, MetricConfig
from linnaea.config.registry import metrics
from linnaea.decision.decider import Decider
from linnaea.errors import ConfigError, RunError, UsageError
from linnaea.metrics.evaluate import evaluate
from linnaea.ragged import Ragged
from tests.references.worlds import predictions, tree

TREE = tree((), (), (0,))
SCORES = [[0.9, 0.1, 0.7], [0.2, 0.8, 0.1]]
GOLD = [[0], [1]]


pytestmark = pytest.mark.usefixtures("clean_registries")


class Given:
    """A metric that says what it was told to say."""

    class Config(MetricConfig):
        pass

    answer: Any = None

    def __init__(self, config: Config, *, taxonomy: Any, support_C: np.ndarray) -> None:
        pass

    def __call__(self, predictions: Any, decisions: Any, gold: Any) -> Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def measured(answer: Any, monkeypatch: pytest.MonkeyPatch, support_C: Any = (1, 1, 0)) -> dict[str, Any]:
    metrics.register("given_4711")(Given)
    monkeypatch.setattr(Given, "answer", answer)
    scores = predictions(SCORES, TREE)
    decisions = Decider(TREE, np.full(3, 0.5)).decide(scores)
    config = EvaluationConfig.read({"metrics": ["given_4711"]})
    support = None if support_C is None else np.array(support_C)
    return evaluate(scores, decisions, Ragged.from_rows(GOLD), config, support_C=support).to_json()


def test_numbers_stand_in_metrics_json(monkeypatch: pytest.MonkeyPatch) -> None:
    value = measured({"a": 1, "b": np.float32(0.5), "c": np.int64(3)}, monkeypatch)
    assert value["further"] == {"given_4711": {"a": 1, "b": 0.5, "c": 3}}
    assert json.loads(json.dumps(value, allow_nan=False)) == value


def test_without_further_metrics_there_is_no_such_key() -> None:
    scores = predictions(SCORES, TREE)
    decisions = Decider(TREE, np.full(3, 0.5)).decide(scores)
    assert "further" not in evaluate(scores, decisions, Ragged.from_rows(GOLD)).to_json()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ({"a": float("nan")}, "the metric 'given_4711': gave nan for 'a', not a finite number"),
        ({"a": 1.0, "b": float("-inf")}, "the metric 'given_4711': gave -inf for 'b', not a finite number"),
        ({"a": "0.5"}, "the metric 'given_4711': gave '0.5' for 'a', not a finite number"),
        ({"a": True}, "the metric 'given_4711': gave true for 'a', not a finite number"),
        ({"a": None}, "the metric 'given_4711': gave null for 'a', not a finite number"),
        ({1: 0.5}, "the metric 'given_4711': names a number 1, which is no string"),
        (0.5, "the metric 'given_4711': must give numbers by name, not 0.5"),
        ({}, "the metric 'given_4711': must give numbers by name, not {}"),
        (None, "the metric 'given_4711': must give numbers by name, not null"),
        (ZeroDivisionError("by zero"), "the metric 'given_4711': failed: ZeroDivisionError: by zero"),
    ],
    ids=str,
)
def test_what_is_no_finite_number_is_refused(
    answer: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RunError) as caught:
        measured(answer, monkeypatch)
    assert str(caught.value) == message


def test_their_own_clear_errors_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"^not for this task$"):
        measured(UsageError("not for this task"), monkeypatch)


def test_without_the_support_of_train_they_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="needs the support of the categories in train"):
        measured({"a": 1}, monkeypatch, support_C=None)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (["given_4711", "given_4711"], "evaluation.metrics: names the metric 'given_4711' twice"),
        (["gevin_4711"], "evaluation.metrics[0].type: there is no metric 'gevin_4711' (did you mean 'given_4711'?)"),
        ([{"type": "given_4711", "top": 3}], "evaluation.metrics[0].top: unknown key"),
        ([3], 'evaluation.metrics[0]: must be an object with a "type", not 3'),
        ("given_4711", "evaluation.metrics: must be a list, not 'given_4711'"),
    ],
    ids=str,
)  # fmt: skip
def test_the_config_is_strict(value: Any, message: str) -> None:
    metrics.register("given_4711")(Given)
    with pytest.raises(ConfigError) as caught:
        Config.build({"evaluation": {"metrics": value}})
    assert str(caught.value).startswith(message)
