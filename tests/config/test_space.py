"""Spaces: what they say, and every way in which one does not hold, told in one line with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from linnaea.config.space import ChoiceEntry, IntEntry, Space
from linnaea.errors import ConfigError

FILTERS = {"type": "int", "low": 50, "high": 200, "log": True}
RATE = {"type": "float", "low": 1e-4, "high": 1e-2, "log": True}
ENCODERS = {"type": "choice", "values": [{"type": "textcnn"}, "fasttext"]}


def test_choices_come_before_ranges_and_outer_keys_before_inner_ones() -> None:
    activation = {"type": "choice", "values": ["relu", "tanh"]}
    written = {
        "model.encoder.filters": FILTERS,
        "model.encoder.activation": activation,
        "model.encoder": ENCODERS,
    }
    space = Space.of(written)
    assert list(space.entries) == ["model.encoder", "model.encoder.activation", "model.encoder.filters"]
    assert list(space.choices) == ["model.encoder", "model.encoder.activation"]
    assert space.to_json() == written
    filters, encoders = space.entries["model.encoder.filters"], space.entries["model.encoder"]
    assert isinstance(filters, IntEntry)
    assert filters.probes == {"low": 50, "high": 200}
    assert isinstance(encoders, ChoiceEntry)
    assert encoders.probes == {"values[0]": {"type": "textcnn"}, "values[1]": "fasttext"}


def test_paths_in_values_are_relative_to_the_space_file(tmp_path: Path) -> None:
    values = [{"type": "pretrained", "path": "./small"}, {"type": "pretrained", "path": "./large"}]
    file = tmp_path / "space.json"
    file.write_text(json.dumps({"model.encoder": {"type": "choice", "values": values}}))
    entry = Space.load(file).entries["model.encoder"]
    assert isinstance(entry, ChoiceEntry)
    assert [value["path"] for value in entry.values] == [str(tmp_path / "small"), str(tmp_path / "large")]


def test_members_are_named_as_errors_name_them() -> None:
    key = "training.strategy.members{}.training.strategy.C"
    assert list(Space.of({key.format("[1]"): RATE}).entries) == [key.format(".1")]
    with pytest.raises(ConfigError, match=r"members\[1\]\.training\.strategy\.C: is given twice"):
        Space.of({key.format(".1"): RATE, key.format("[1]"): RATE})


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({}, "space: is empty: nothing to search"),
        ([], "space: a space is an object of dotted keys, not []"),
        ({"trainin.epochs": FILTERS}, "space: trainin.epochs: unknown key (did you mean 'training'?)"),
        ({"epochs": FILTERS}, "space: epochs: unknown key (search input, model, objective, training, decision)"),
        ({"model": ENCODERS}, "space: model: names no key in it (as in model.KEY)"),
        ({"model.encoder..filters": FILTERS}, "space: model.encoder..filters: names no key in it (as in model.KEY)"),
        (
            {"run.seed": FILTERS},
            "space: run.seed: run is the same in all trials (search input, model, objective, training, decision)",
        ),
        (
            {"data.dev_fraction": RATE},
            "space: data.dev_fraction: data is the same in all trials "
            "(search input, model, objective, training, decision)",
        ),
        (
            {"training.epochs": [1, 2]},
            'space: training.epochs: must be an object, not [1, 2] ({"type": "float", "low": 0.1, "high": 1} or '
            '{"type": "choice", "values": [...]})',
        ),
        ({"training.epochs": {"low": 1}}, 'space: training.epochs: has no "type" (known: int, float, choice)'),
        (
            {"training.epochs": {"type": "choise", "values": [1, 2]}},
            "space: training.epochs.type: there is no type 'choise' (did you mean 'choice'?)",
        ),
        ({"training.epochs": {"type": "int", "low": 1}}, "space: training.epochs.high: this key is missing"),
        (
            {"training.epochs": {"type": "int", "low": 1.5, "high": 3}},
            "space: training.epochs.low: must be an integer, not 1.5",
        ),
        (
            {"training.epochs": {"type": "int", "low": 1, "hihg": 3}},
            "space: training.epochs.hihg: unknown key (did you mean 'high'?)",
        ),
        ({"training.epochs": {"type": "int", "low": 9, "high": 3}}, "space: training.epochs.low: 9 is above high 3"),
        (
            {"training.epochs": {"type": "int", "low": 3, "high": 3}},
            "space: training.epochs.low: 3 is also high: nothing to search (write it into the config)",
        ),
        (
            {"training.epochs": {"type": "int", "low": 0, "high": 3, "log": True}},
            "space: training.epochs.low: must be above 0 under log, not 0",
        ),
        (
            {"training.epochs": {"type": "int", "low": 1, "high": 9, "log": True, "step": 2}},
            "space: training.epochs.step: does not go with log (leave one of the two out)",
        ),
        (
            {"training.epochs": {"type": "int", "low": 1, "high": 10, "step": 2}},
            "space: training.epochs.high: 10 is no whole number of steps above low (set it to 9)",
        ),
        (
            {"training.epochs": {"type": "choice", "values": [3]}},
            "space: training.epochs.values: must name at least 2 values: with one there is nothing to search",
        ),
        (
            {"training.epochs": {"type": "choice", "values": [3, 4, 3]}},
            "space: training.epochs.values: names 3 twice",
        ),
        (
            {"model.encoder": ENCODERS, "model.encoder.type": {"type": "choice", "values": ["textcnn", "fasttext"]}},
            "space: model.encoder.type: model.encoder.values[0] sets it, too (leave one of the two out)",
        ),
        (
            {"training.epochs": FILTERS, "training.epochs.most": FILTERS},
            "space: training.epochs.most: training.epochs sets it, too (leave one of the two out)",
        ),
    ],
)  # fmt: skip
def test_what_does_not_hold_is_told_with_its_place(value: Any, told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Space.of(value)
    assert str(raised.value) == told


def test_an_inner_key_that_only_one_choice_sets_is_set_twice_all_the_same() -> None:
    both = {"type": "choice", "values": ["fasttext", {"type": "textcnn", "filters": 10}]}
    with pytest.raises(ConfigError, match=r"values\[1\] sets it, too"):
        Space.of({"model.encoder": both, "model.encoder.filters": FILTERS})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a": 1', "broken JSON"),
        ('{"training.epochs": {}, "training.epochs": {}}', "the key 'training.epochs' stands twice"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_a_broken_file_is_told_with_its_name(tmp_path: Path, text: str | bytes, told: str) -> None:
    file = tmp_path / "space.json"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError, match=told) as raised:
        Space.load(file)
    assert str(file) in str(raised.value)


def test_a_missing_file_is_looked_for_under_a_near_name(tmp_path: Path) -> None:
    (tmp_path / "space.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"did you mean 'space\.json'"):
        Space.load(tmp_path / "spaces.json")
