"""Candidates: the configs of a space; what the config refuses is told before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from linnaea.config.space import Space
from linnaea.errors import ConfigError
from linnaea.tuning.candidates import Candidates

BASE: dict[str, Any] = {
    "data": {"train": "/train.jsonl", "test": "/test.jsonl"},
    "model": {"encoder": {"type": "textcnn", "filters": 60}},
    "training": {"optimizer": {"type": "adam", "learning_rate": 0.002}},
}
FILTERS = {"type": "int", "low": 50, "high": 200}
RATE = {"type": "float", "low": 1e-4, "high": 1e-2, "log": True}
ENCODERS = {"type": "choice", "values": [{"type": "textcnn"}, "fasttext"]}


def candidates(space: dict[str, Any], base: dict[str, Any] | None = None) -> Candidates:
    return Candidates(base or BASE, Path.cwd(), Space.of(space, place="space.json"))


def told(space: dict[str, Any], base: dict[str, Any] | None = None) -> str:
    with pytest.raises(ConfigError) as raised:
        candidates(space, base).check()
    return str(raised.value)


def test_a_candidate_is_the_config_with_other_values_and_without_test() -> None:
    made = candidates({"model.encoder.filters": FILTERS, "training.optimizer.learning_rate": RATE})
    made.check()
    config = made.config({"model.encoder.filters": 120, "training.optimizer.learning_rate": 0.003})
    assert (config.model.encoder.filters, config.training.optimizer.learning_rate) == (120, 0.003)  # type: ignore[attr-defined]
    assert config.data.test is None
    written = made.value({"model.encoder.filters": 120})
    assert written["data"]["test"] == "/test.jsonl"
    assert BASE["model"]["encoder"]["filters"] == 60


def test_the_config_as_it_stands_is_found_in_the_space() -> None:
    space = {
        "model.encoder": ENCODERS,
        "model.encoder.filters": FILTERS,
        "training.optimizer.learning_rate": RATE,
    }
    base = {**BASE, "model": {"encoder": "textcnn"}}
    assert candidates(space, base).own() == {
        "model.encoder": {"type": "textcnn"}, "model.encoder.filters": 100, "training.optimizer.learning_rate": 0.002,
    }  # fmt: skip
    outside = {"model.encoder.filters": {"type": "int", "low": 1, "high": 9}}
    assert candidates(outside).own() == {}


def test_an_inner_key_acts_beside_the_choices_that_know_it() -> None:
    made = candidates({"model.encoder": ENCODERS, "model.encoder.filters": FILTERS}, {**BASE, "model": {}})
    made.check()
    assert made.acts("model.encoder.filters", {"model.encoder": {"type": "textcnn"}})
    assert not made.acts("model.encoder.filters", {"model.encoder": "fasttext"})


def test_a_key_that_another_part_wakes_acts_only_then() -> None:
    features = {"type": "choice", "values": [["token"], ["token", "ngram"]]}
    base = {**BASE, "model": {"encoder": "fasttext"}}
    made = candidates(
        {"input.features": features, "input.ngram.n": {"type": "int", "low": 2, "high": 4}}, base
    )
    made.check()
    assert not made.acts("input.ngram.n", {"input.features": ["token"]})
    assert made.acts("input.ngram.n", {"input.features": ["token", "ngram"]})


@pytest.mark.parametrize(
    ("space", "line"),
    [
        (
            {"model.encoder.filterz": FILTERS},
            "space.json: model.encoder.filterz: unknown key (did you mean 'filters'?)",
        ),
        ({"training.optimiser.x": RATE}, "space.json: training.optimiser.x: unknown key (did you mean 'optimizer'?)"),
        (
            {"model.encoder.filters": {"type": "int", "low": 0, "high": 9}},
            "space.json: model.encoder.filters.low: must be at least 1, not 0",
        ),
        (
            {"model.head.dropout": {"type": "float", "low": 0.1, "high": 1.5}},
            "space.json: model.head.dropout.high: must be below 1, not 1.5",
        ),
        (
            {"training.batch_size": {"type": "choice", "values": [32, "64"]}},
            "space.json: training.batch_size.values[1]: must be an integer, not '64'",
        ),
        (
            {"model.encoder": {"type": "choice", "values": ["textcnn", "fastext"]}},
            "space.json: model.encoder.values[1].type: there is no encoder 'fastext' (did you mean 'fasttext'?)",
        ),
        (
            {"training.optimizer.learning_rate.x": RATE},
            "space.json: training.optimizer.learning_rate.x: cannot set 'training.optimizer.learning_rate.x': "
            "training.optimizer.learning_rate is 0.002",
        ),
        (
            {"input.max_tokens": {"type": "int", "low": 2, "high": 200}},
            "space.json: input.max_tokens.low: model.encoder.kernel_sizes: ",
        ),
        (
            {"training.strategy": {"type": "choice", "values": ["joint", {"type": "per_category", "dev": {}}]}},
            "space.json: training.strategy.values[1].dev: each category learns from other dev documents",
        ),
    ],
)  # fmt: skip
def test_what_the_config_refuses_is_told_with_its_place(space: dict[str, Any], line: str) -> None:
    assert told(space).startswith(line)


def test_trials_on_other_documents_are_refused() -> None:
    rules = {"type": "choice", "values": [{"type": "global", "on": "cross"}, {"type": "fixed"}]}
    base = {"data": BASE["data"], "training": {"strategy": "linear"}}
    assert told({"decision.threshold": rules}, base) == (
        "space.json: decision.threshold.values[0]: trials with it would be measured on other documents than the config "
        'as it stands (dev) (name "on" in the config and in the space, or search it by itself)'
    )


@pytest.mark.parametrize(
    ("part", "line"),
    [
        ({"run": {"devices": 2}}, "run.devices: a trial is trained on one device"),
        ({"data": {"train": "-"}}, "data.train: standard input can be read only once"),
        ({"data": {}}, "data.train: names no training documents"),
    ],
)
def test_configs_that_cannot_be_tuned_are_refused(part: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError) as raised:
        _ = candidates({"model.encoder.filters": FILTERS}, {**BASE, **part}).base
    assert str(raised.value).startswith(line)
