"""Whether held-out documents are enough for a promise: told before training, by what training will have."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from linnaea.config.config import Config
from linnaea.decision.enough import check_error, check_promise, check_recall
from linnaea.decision.thresholds import fit_decider
from linnaea.errors import ConfigError
from linnaea.ragged import Ragged
from tests.references.worlds import predictions

ENSEMBLE = {"type": "ensemble", "members": [{"training": {"strategy": "linear"}}]}


def conformal(recall: float, **more: Any) -> dict[str, Any]:
    return {"threshold": {"type": "conformal", "recall": recall, **more}}


def cautious(error: float, **more: Any) -> dict[str, Any]:
    return {"threshold": {"type": "cautious", "error": error, **more}}


def check(
    decision: dict[str, Any], gold: np.ndarray, strategy: Any = "joint", train: np.ndarray | None = None
) -> None:
    """What is said of dev before training; unless told, all categories are trained."""
    config = Config.build({"training": {"strategy": strategy}, "decision": decision})
    train = np.ones((1, gold.shape[1]), dtype=bool) if train is None else train
    check_promise(config, Ragged.from_dense(train), Ragged.from_dense(gold), gold.shape[1])


def fit(decision: dict[str, Any], gold: np.ndarray, half_seen: bool = False) -> None:
    """What the thresholds themselves say."""
    config = Config.build({"decision": decision})
    scores = predictions(np.full(gold.shape, 0.5))
    support = np.ones(gold.shape[1])
    labels = Ragged.from_dense(gold)
    fit_decider(config.decision, config.task, scores, labels, support, scores.taxonomy, half_seen=half_seen)


@pytest.mark.parametrize(
    ("decision", "message"),
    [
        (
            conformal(0.9),
            "decision.threshold.recall: a recall of 0.9 takes 9 held-out documents with labels, and there are 5 "
            "(give more dev documents, or promise at most 0.833)",
        ),
        (
            cautious(0.1),
            "decision.threshold.error: an error of 0.1 takes 9 held-out documents, and there are 5 "
            "(give more dev documents, or allow at least 0.167)",
        ),
    ],
)
def test_too_few_documents(decision: dict[str, Any], message: str) -> None:
    gold = np.ones((5, 1), dtype=bool)
    for call in (fit, check):
        with pytest.raises(ConfigError) as raised:
            call(decision, gold)
        assert str(raised.value) == message


def test_three_documents_of_three_labels_are_not_nine() -> None:
    for call in (fit, check):
        with pytest.raises(ConfigError, match="takes 9 held-out documents with labels, and there are 3"):
            call(conformal(0.9), np.ones((3, 3), dtype=bool))


@pytest.mark.parametrize("decision", [conformal(0.9), cautious(0.1)], ids=["recall", "error"])
@pytest.mark.parametrize("seen_by", ["nothing", "calibration", "blend", "both"])
def test_what_was_looked_at_before_is_not_counted(decision: dict[str, Any], seen_by: str) -> None:
    if seen_by in ("calibration", "both"):
        decision = {**decision, "calibration": "platt"}
    blend = seen_by in ("blend", "both")
    gold = np.ones((9 if seen_by == "nothing" else 17, 1), dtype=bool)
    calls = [
        lambda gold: check(decision, gold, ENSEMBLE if blend else "joint"),
        lambda gold: fit(decision, gold, half_seen=blend),
    ]
    for call in calls:
        call(gold)
        with pytest.raises(ConfigError, match="there are 8"):
            call(gold[1:])


def test_what_is_never_decided_and_what_has_no_label_is_not_counted() -> None:
    gold = np.zeros((14, 2), dtype=bool)
    gold[:9, 0], gold[9:12, 1] = True, True
    check(conformal(0.9), gold)
    with pytest.raises(ConfigError, match="there are 3"):
        check(conformal(0.9), gold, train=np.array([[False, True]]))
    check(cautious(0.07), gold)


def test_out_of_fold_all_of_train_stands_behind_it_with_dev() -> None:
    gold = np.ones((14, 1), dtype=bool)
    check(cautious(1 / 15, on="cross", folds=2), gold[:4], "linear", gold[:10])
    with pytest.raises(ConfigError, match="takes 14 held-out documents, and there are 13"):
        check(cautious(1 / 15, on="cross", folds=2), gold[:4], "linear", gold[:9])


def test_what_promises_nothing_needs_nothing() -> None:
    for decision in ({"threshold": "fixed"}, {"threshold": "per_category"}, {"calibration": "platt"}):
        check(decision, np.ones((0, 1), dtype=bool))


@pytest.mark.parametrize("counts", [range(1, 1200), (9_999, 10_000, 12_345, 99_999, 10**6 - 1, 10**6)])
def test_what_a_hint_says_is_enough(counts: Any) -> None:
    for count in counts:
        hints = []
        for call, asked in ((check_recall, 1 - 1e-9), (check_error, 1e-9)):
            with pytest.raises(ConfigError) as raised:
                call(asked, count)
            assert raised.value.hint is not None
            hints.append(float(raised.value.hint.split()[-1]))
            call(hints[-1], count)
        # And not far from the most that could be promised.
        assert 0 <= count / (count + 1) + 1e-15 - hints[0] < 1e-3
        assert 0 <= hints[1] - 1 / (count + 1) + 1e-15 < 1e-3
