"""dump() and the JSON Schema: what is written can be read again, and editors are told what the checks say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from linnaea.config import registry
from linnaea.config.config import Config, schema
from linnaea.config.one_of import OneOf
from linnaea.config.part import Choice, Part
from linnaea.errors import ConfigError
from tests.references.json_schema import Schema

SCHEMA = Schema(schema())
NAMES = [
    "goemotions-fasttext",
    "rcv1-htrans",
    "rcv1-htrans-paper",
    "rcv1-textcnn",
    "reuters-linear",
    "valueeval-dag",
]
KINDS = {
    ("model", "encoder"): registry.encoders,
    ("model", "embedder"): registry.embedders,
    ("model", "head"): registry.heads,
    ("training", "strategy"): registry.strategies,
    ("decision", "threshold"): registry.thresholds,
}


def unknown_parts(value: dict[str, Any]) -> list[str]:
    found = []
    for (section, key), kind in KINDS.items():
        name = value.get(section, {}).get(key, {}).get("type")
        if name is not None and name not in kind.names():
            found.append(f"{section}.{key}.type: there is no {kind.kind} {name!r}")
    return found


@pytest.mark.parametrize("name", NAMES)
def test_example_configs(name: str, shared_examples: Path) -> None:
    path = shared_examples / f"{name}.json"
    value = json.loads(path.read_text())
    unknown = unknown_parts(value)
    if unknown:
        with pytest.raises(ConfigError) as caught:
            Config.load(path)
        assert any(problem in str(caught.value) for problem in unknown)
        return
    config = Config.load(path)
    assert SCHEMA.accepts(value)
    assert SCHEMA.accepts(config.dump())
    assert Config.build(json.loads(json.dumps(config.dump()))) == config
    for kind, file in (
        ("task.taxonomy", config.task.taxonomy),
        *(("data", f) for f in config.data.files("train")),
    ):
        assert file is not None, kind
        assert Path(file).is_absolute()
    assert config.run.dir == value["run"]["dir"]


@pytest.mark.parametrize("name", ["goemotions-fasttext", "rcv1-textcnn", "reuters-linear"])
def test_these_examples_use_known_parts_only(name: str, shared_examples: Path) -> None:
    assert unknown_parts(json.loads((shared_examples / f"{name}.json").read_text())) == []


@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(SCHEMA.values())
def test_what_the_schema_allows_is_read_and_dumped_or_refused_in_one_line(value: dict[str, Any]) -> None:
    value.pop("plugins", None)  # these are imported
    value.pop("$schema", None)
    assert SCHEMA.accepts(value)
    try:
        config = Config.build(value)
    except ConfigError as error:
        # Only combinations may be refused: for types, names and bounds the schema spoke already.
        assert "must be" not in error.message or "finite" in error.message
        assert "unknown key" not in error.message
        assert "there is no" not in error.message
        return
    dumped = json.loads(json.dumps(config.dump(), allow_nan=False))
    assert SCHEMA.accepts(dumped)
    assert Config.build(dumped) == config
    assert Config.build(dumped).dump() == config.dump()


@pytest.mark.parametrize(
    "value",
    [
        {"tsk": {}},
        {"model": {"encoder": "textcn"}},
        {"model": {"encoder": {"type": "textcnn", "filter": 3}}},
        {"model": {"encoder": {"fliters": 3}}},
        {"training": {"optimizer": {"momentum": 0.5}}},
        {"objective": {"loss": {"gamma": 1.0}}},
        {"model": {"embedder": {"type": "lookup", "initializer": {"type": "uniform", "bnd": 1}}}},
        {"training": {"epochs": 0}},
        {"training": {"epochs": True}},
        {"training": {"epochs": "5"}},
        {"training": {"optimizer": {"type": "adam", "betas": [0.9]}}},
        {"input": {"features": ["tokn"]}},
        {"objective": {"class_weights": {"A": 0}}},
        {"data": {"train": [1]}},
        {"run": {"devices": []}},
    ],
)
def test_schema_and_checks_refuse_the_same(value: dict[str, Any]) -> None:
    assert not SCHEMA.accepts(value)
    with pytest.raises(ConfigError):
        Config.build(value)


@pytest.mark.parametrize(
    ("untyped", "name"),
    [
        ({"model": {"head": {"dropout": 0.0}}}, "linear"),
        ({"model": {"encoder": {"filters": 7}}}, "textcnn"),
        ({"model": {"embedder": {"dimension": 7}}}, "lookup"),
        ({"training": {"optimizer": {"learning_rate": 0.1}}}, "adam"),
        ({"training": {"schedule": {}}}, "constant"),
        ({"training": {"strategy": {}}}, "joint"),
        ({"decision": {"threshold": {"value": 0.4}}}, "fixed"),
        ({"decision": {"decoding": {}}}, "none"),
        ({"input": {"tokenizer": {"punctuation": True}}}, "word"),
    ],
)
def test_a_part_without_a_type_is_of_the_default_type(untyped: dict[str, Any], name: str) -> None:
    ((section, part),) = untyped.items()
    ((key, value),) = part.items()
    typed = {section: {key: {"type": name, **value}}}
    config = Config.build(untyped)
    assert config == Config.build(typed)
    assert config.dump() == Config.build(typed).dump()
    assert config.dump()[section][key]["type"] == name
    assert SCHEMA.accepts(untyped)
    assert SCHEMA.accepts(typed)


def test_the_assumed_type_is_that_of_the_default() -> None:
    todo: list[type[Part]] = [Config]
    kinds = [kind for kind in vars(registry).values() if isinstance(kind, registry.Registry)]
    todo += [kind.config(name) for kind in kinds for name in kind.names()]
    seen = 0
    while todo:
        for field in todo.pop().model_fields.values():
            if isinstance(field.default, Part) and not isinstance(field.default, Choice):
                todo.append(type(field.default))
            for one_of in (item for item in field.metadata if isinstance(item, OneOf)):
                assert one_of.default == field.default.type
                seen += 1
    assert seen >= 10


def test_every_registered_part_stands_in_the_schema() -> None:
    text = json.dumps(SCHEMA.root)
    kinds = [kind for kind in vars(registry).values() if isinstance(kind, registry.Registry)]
    assert len(kinds) >= 11
    for kind in kinds:
        for name in kind.names():
            assert f'"const": {json.dumps(name)}' in text, f"{kind.kind} {name}"


def test_a_real_validator_agrees(shared_examples: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    jsonschema.Draft202012Validator.check_schema(SCHEMA.root)
    validator = jsonschema.Draft202012Validator(SCHEMA.root)
    for name in ("goemotions-fasttext", "rcv1-textcnn", "reuters-linear"):
        validator.validate(json.loads((shared_examples / f"{name}.json").read_text()))
    assert not validator.is_valid({"training": {"epochs": 0}})


def test_the_schema_explains_itself() -> None:
    root = SCHEMA.root
    assert root["$schema"].startswith("https://json-schema.org/")
    assert set(Config.model_fields) <= set(root["properties"])
    training = root["$defs"]["TrainingConfig"]["properties"]
    assert training["epochs"]["minimum"] == 1
    assert training["epochs"]["description"]
    assert "``" not in json.dumps(root)
    assert "with 'buckets: 0' a dictionary" in root["$defs"]["NgramConfig"]["description"]
