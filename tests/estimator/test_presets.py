"""Presets of the estimator are those of ``linnaea init``."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold

from linnaea import TextClassifier

TEXTS = [
    "oak leaf branch",
    "purr meow kitten",
    "bark wag puppy",
    "leaf tree oak",
    "meow whiskers",
    "puppy fetch bark",
] * 8
LABELS = [["plants--trees"], ["animals--cats"], ["animals--dogs"]] * 16


@pytest.mark.parametrize("preset", ["fast", "balanced"])
def test_documents_in_memory_are_looked_at(preset: str) -> None:
    model = TextClassifier(preset=preset, aim="micro_f1").fit(TEXTS, LABELS)
    assert model.predict(["oak leaf", "kitten meow"]) == [
        ["plants", "plants--trees"],
        ["animals", "animals--cats"],
    ]
    config = model.model_.config
    kind = {"fast": "linear", "balanced": "ensemble"}[preset]
    assert (config.training.strategy.type, config.decision.decoding.type) == (kind, "one_path")
    assert config.decision.threshold.model_dump()["aim"] == "micro_f1"


def test_several_paths_and_inner_categories() -> None:
    several = [[*row, "plants"] for row in LABELS]
    assert TextClassifier(preset="fast").fit(TEXTS, several).model_.config.decision.decoding.type == "best"
    inner = [["plants"] if row == ["plants--trees"] and i % 2 else row for i, row in enumerate(LABELS)]
    decoding: Any = TextClassifier(preset="fast").fit(TEXTS, inner).model_.config.decision.decoding
    assert (decoding.type, decoding.to) == ("one_path", "any")


def test_what_is_said_of_the_decision_holds() -> None:
    model = TextClassifier(preset="fast", settings={"decision.decoding": "top_down"}).fit(TEXTS, LABELS)
    assert model.model_.config.decision.decoding.type == "top_down"
    assert model.model_.config.decision.threshold.type == "per_category"


def test_one_label_a_document() -> None:
    model = TextClassifier(preset="balanced").fit(TEXTS, [row[0].split("--")[1] for row in LABELS])
    assert model.predict(["oak leaf"]).tolist() == ["trees"]


FLAT = [["plants"], ["cats"], ["dogs"]] * 16
INDICATOR = np.tile(np.eye(3, dtype=int), (16, 1))


def chosen(labels: Any = LABELS, **given: Any) -> Any:
    """The config that a fit comes to."""
    return TextClassifier(**{"preset": "fast", **given}).fit(TEXTS, labels).model_.config


@pytest.mark.parametrize("labels", [FLAT, INDICATOR, [[*FLAT[0], "dogs"], *FLAT[1:]]])
def test_the_task_is_that_of_the_shape_of_y(labels: Any) -> None:
    config = chosen(labels, aim="macro_f1")
    assert config.task.type == "multilabel"
    assert (config.decision.threshold.type, config.decision.threshold.aim) == ("per_category", "macro_f1")


@pytest.mark.parametrize(
    "settings",
    [
        {"training.strategy.C": 0.01},
        {"training": {"strategy": {"type": "linear", "C": 0.01}}},
        {"training": {"strategy": {"C": 0.01}}},
        {"training.strategy": {"C": 0.01}},
        {"training.strategy": {"type": "linear", "C": 0.01}},
    ],
)
def test_settings_of_the_strategy_act(settings: dict[str, Any]) -> None:
    config = chosen(settings=settings)
    assert (config.training.strategy.C, config.decision.threshold.type) == (0.01, "per_category")


def test_settings_act_over_what_the_preset_chose() -> None:
    member = {"training.strategy.members.1.training.strategy.C": 0.5}
    members = chosen(preset="balanced", settings=member).training.strategy.members
    assert [part.training["strategy"]["C"] for part in members] == [1.0, 0.5]
    network = {"type": "joint"}, {"epochs": 1, "batch_size": 16}, {"encoder": "fasttext"}
    config = chosen(
        settings={
            "training": {"strategy": network[0], **network[1]},
            "model": network[2],
            "run.device": "cpu",
        }
    )
    assert (config.training.strategy.type, config.training.epochs) == ("joint", 1)
    assert chosen(settings={"decision.threshold.aim": "macro_f1"}).decision.threshold.aim == "macro_f1"
    assert chosen(settings={"decision.threshold": "fixed"}).decision.threshold.type == "fixed"
    assert chosen(settings={"decision": {"decoding": "max"}}).decision.threshold.type == "per_category"


def test_a_decoding_that_cannot_act_is_not_chosen() -> None:
    several, alone = [[*row, "plants"] for row in LABELS], [row[0] for row in LABELS]
    bare = {"task.closure": "none"}
    assert chosen(settings=bare).decision.decoding.type == "none"
    assert chosen(alone, settings=bare).decision.decoding.type == "none"
    assert chosen(several, settings={"task.closure": "path"}).decision.decoding.type == "none"
    assert chosen(settings={"task.closure": "path"}).decision.decoding.type == "one_path"
    assert chosen(settings={"decision.top_k": 3}).decision.decoding.type == "best"
    with pytest.raises(ValueError, match=r"decision\.top_k: 'one_path' takes one whole path"):
        chosen(alone, settings={"decision.top_k": 3})


def test_a_grid_over_presets_aims_and_settings() -> None:
    grid = {
        "preset": ["fast"],
        "aim": ["micro_f1", "macro_f1"],
        "settings": [{"training.strategy.C": c} for c in (0.01, 1.0)],
    }
    search = GridSearchCV(TextClassifier(), grid, cv=KFold(2), error_score="raise").fit(TEXTS, FLAT)
    config, said = search.best_estimator_.model_.config, search.best_params_
    assert said["settings"] == {"training.strategy.C": config.training.strategy.C}
    assert said["aim"] == config.decision.threshold.aim
    assert clone(search.best_estimator_).get_params() == search.best_estimator_.get_params()


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"preset": "bset"}, r"preset: there is no preset 'bset' \(did you mean 'best'\?\)"),
        ({"preset": "best", "strategy": "linear"}, r"strategy: a preset chooses the strategy"),
        ({"preset": "best", "config": {"training": {"epochs": 3}}}, r"training\.epochs: "),
        ({"preset": "best", "config": {"model": {"encoder": "textcnn"}}}, r"config model\.encoder: a preset"),
        (
            {"preset": "fast", "config": {"training": {"strategy": {"C": 1.0}}}},
            r"training\.strategy: a preset ch",
        ),
        ({"preset": "fast", "config": {"training": 5}}, r"config training: a preset chooses what is trained"),
        ({"preset": "fast", "config": {"decision": 5}}, r"decision: must be an object, not 5"),
        ({"preset": "fast", "settings": {"training.epochs": 3}}, r"training\.epochs: does nothing under the"),
        (
            {"preset": "fast", "settings": {"training": {"epochs": 3}}},
            r"training\.epochs: does nothing under",
        ),
        (
            {"preset": "fast", "settings": {"model.encoder": "textcnn"}},
            r"model\.encoder: does nothing under the",
        ),
        (
            {"preset": "balanced", "settings": {"training.strategy.C": 0.5}},
            r"strategy\.C: unknown key: the preset 'balanced' chose the strategy 'ensemble' here \(known here: bl",
        ),
        (
            {"preset": "fast", "aim": "both", "settings": {"decision.threshold.value": 0.9}},
            r"threshold\.value: unknown key: the preset 'fast' chose the threshold 'per_category' here",
        ),
        (
            {"preset": "fast", "aim": "both", "settings": {"decision.threshold": "global"}},
            r"aim: does nothing beside a decision\.threshold that is given, too",
        ),
        (
            {"preset": "fast", "aim": "both", "config": {"decision": {"threshold": "fixed"}}},
            r"aim: does nothing b",
        ),
        (
            {"preset": "fast", "aim": "both", "settings": {"decision.threshold.aim": "macro_f1"}},
            r"aim: does nothing beside",
        ),
        ({"aim": "both"}, r"aim: acts only with a preset"),
        (
            {"preset": "fast", "aim": "mico_f1"},
            r"aim: there is no aim 'mico_f1' \(did you mean 'micro_f1'\?\)",
        ),
    ],
)
def test_what_is_refused(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        TextClassifier(**given).fit(TEXTS, LABELS)


def test_an_aim_needs_thresholds() -> None:
    with pytest.raises(
        ValueError, match=r"aim: does nothing in a multiclass task: each document gets its best"
    ):
        chosen([row[0] for row in FLAT], aim="macro_f1")
