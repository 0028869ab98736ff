"""Presets of the estimator are those of ``linnaea init``."""

from __future__ import annotations

from typing import Any

import pytest

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


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"preset": "bset"}, r"preset: there is no preset 'bset' \(did you mean 'best'\?\)"),
        ({"preset": "best", "strategy": "linear"}, r"strategy: a preset chooses the strategy"),
        ({"preset": "best", "config": {"training": {"epochs": 3}}}, r"training\.epochs: "),
        ({"preset": "best", "config": {"model": {"encoder": "textcnn"}}}, r"model"),
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
