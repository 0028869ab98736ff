"""A config that does not hold is refused with one line: dotted path, what was received, what was meant."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linnaea.config import registry
from linnaea.config.config import Config
from linnaea.config.part import Choice, Part
from linnaea.errors import ConfigError

WHOLE: dict[str, Any] = {
    "task": {"type": "hierarchical", "taxonomy": "t.tsv", "closure": "ancestors"},
    "data": {"train": ["a.jsonl", "b.jsonl"], "test": "c.jsonl", "fields": {"text": ["title", "body"]}},
    "input": {"tokenizer": {"type": "word", "punctuation": True}, "vocabulary": {"min_count": 3}},
    "model": {
        "embedder": {"type": "lookup", "dimension": 8, "initializer": {"type": "uniform", "bound": 0.1}},
        "encoder": {"type": "textcnn", "kernel_sizes": [2, 3], "filters": 4},
        "head": {"type": "linear", "dropout": 0.1},
    },
    "objective": {"loss": {"type": "focal_sigmoid", "gamma": 1.5}, "class_weights": {"A": 2.0}},
    "training": {
        "strategy": {"type": "joint"},
        "optimizer": {"type": "adam", "betas": [0.9, 0.99]},
        "schedule": {"type": "linear", "final": 0.1},
        "early_stopping": {"metric": "macro_f1", "patience": 2},
    },
    "decision": {"threshold": {"type": "per_category", "aim": "both"}, "decoding": {"type": "max"}},
    "evaluation": {"ranks": [1, 5]},
    "run": {"dir": "runs/x", "seed": 3},
}


def refusal(value: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        Config.build(value)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    return text


def objects(value: Any, path: str = "") -> list[tuple[str, dict[str, Any]]]:
    found = []
    if isinstance(value, dict):
        found.append((path, value))
        for key, item in value.items():
            found += objects(item, f"{path}.{key}" if path else key)
    return found


def test_the_whole_holds() -> None:
    Config.build(copy.deepcopy(WHOLE))


@pytest.mark.parametrize("path", [path for path, _ in objects(WHOLE) if path != "objective.class_weights"])
def test_an_unknown_key_is_refused_at_every_depth(path: str) -> None:
    value = copy.deepcopy(WHOLE)
    dict(objects(value))[path]["zzqx"] = 1
    where = f"{path}.zzqx" if path else "zzqx"
    assert refusal(value).startswith(f"{where}: unknown key")


@pytest.mark.parametrize("path", [path for path, _ in objects(WHOLE) if path != "objective.class_weights"])
def test_a_misspelt_key_is_suggested_at_every_depth(path: str) -> None:
    for key in dict(objects(WHOLE))[path]:
        if key == "type":
            continue
        value = copy.deepcopy(WHOLE)
        part = dict(objects(value))[path]
        part[key + "s"] = part.pop(key)
        where = f"{path}.{key}s" if path else f"{key}s"
        assert refusal(value) == f"{where}: unknown key (did you mean {key!r}?)"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"tsk": {}}, "tsk: unknown key (did you mean 'task'?)"),
        (
            {"model": {"zzz": {}}},
            "model.zzz: unknown key (known here: embedder, encoder, head)",
        ),
        (
            {"model": {"encoder": {"type": "textcnn", "filter": 3}}},
            "model.encoder.filter: unknown key (did you mean 'filters'?)",
        ),
        (
            {"model": {"encoder": {"type": "fasttext", "x": 3}}},
            "model.encoder.x: unknown key (it has no settings)",
        ),
        (
            {"model": {"encoder": "textcn"}},
            "model.encoder.type: there is no encoder 'textcn' (did you mean 'textcnn'?)",
        ),
        ({"model": {"encoder": 5}}, 'model.encoder: must be an object with a "type", not 5'),
        ({"model": {"encoder": {"type": 5}}}, "model.encoder.type: must be a string, not 5"),
        (
            {"model": {"encoder": {"typ": "textcnn"}}},
            "model.encoder: this encoder has no \"type\" (did you mean 'type' by 'typ'?)",
        ),
        (
            {"objective": {"loss": {"gamma": 1.0}}},
            'objective.loss: this loss has no "type" (known: ',
        ),
        (
            {"training": {"optimizer": {"momentum": 0.1}}},
            "training.optimizer.momentum: unknown key: without a \"type\" this optimizer is 'adam' "
            "(a key of 'sgd')",
        ),
        (
            {"model": {"head": {"dropuot": 0.1}}},
            "model.head.dropuot: unknown key: without a \"type\" this head is 'linear' "
            "(did you mean 'dropout'?)",
        ),
        (
            {"model": {"embedder": {"initializer": {"gain": 2.0}}}},
            "model.embedder.initializer.gain: unknown key: without a \"type\" this initializer is 'uniform'",
        ),
        (
            {"training": {"optimizer": {"learning_rate": 0}}},
            "training.optimizer.learning_rate: must be above 0",
        ),
        (
            {"model": {"embedder": {"type": "lookup", "initializer": {"type": "unform"}}}},
            "model.embedder.initializer.type: there is no initializer 'unform' (did you mean 'uniform'?)",
        ),
        ({"task": 5}, "task: must be an object, not 5"),
        ({"task": None}, "task: must be an object, not null"),
        ({"data": {"train": 5}}, "data.train: must be a string or a list, not 5"),
        ({"data": {"train": ["a", 5]}}, "data.train[1]: must be a string, not 5"),
        ({"data": {"dev": []}}, "data.dev: names no file"),
        ({"data": {"dev": ["a", ""]}}, "data.dev: names no file"),
        ({"data": {"workers": "fast"}}, "data.workers: must be 'auto' or an integer, not 'fast'"),
        ({"data": {"workers": -1}}, "data.workers: must be at least 0, not -1"),
        ({"data": {"cache": "yes"}}, "data.cache: must be true or false, not 'yes'"),
        ({"data": {"fields": {"text": []}}}, "data.fields.text: names no field"),
        ({"training": {"epochs": 0}}, "training.epochs: must be at least 1, not 0"),
        ({"training": {"epochs": True}}, "training.epochs: must be an integer, not true"),
        ({"training": {"epochs": 1.5}}, "training.epochs: must be an integer, not 1.5"),
        ({"training": {"epochs": "5"}}, "training.epochs: must be an integer, not '5'"),
        ({"training": {"epochs": None}}, "training.epochs: must be an integer, not null"),
        ({"training": {"gradient_clip": 0}}, "training.gradient_clip: must be above 0, not 0"),
        (
            {"training": {"optimizer": {"type": "adam", "learning_rate": float("nan")}}},
            "training.optimizer.learning_rate: must be a finite number, not nan",
        ),
        (
            {"training": {"optimizer": {"type": "adam", "betas": [0.9]}}},
            "training.optimizer.betas: this list is too short",
        ),
        (
            {"training": {"optimizer": {"type": "adam", "betas": [0.9, 2]}}},
            "training.optimizer.betas[1]: must be below 1, not 2",
        ),
        (
            {"training": {"early_stopping": {"metric": "micro"}}},
            "not 'micro' (did you mean 'micro_f1'?)",
        ),
        (
            {"objective": {"class_weights": {"str": -1}}},
            "objective.class_weights.str: must be above 0, not -1",
        ),
        (
            {"objective": {"class_weights": "x"}},
            "objective.class_weights: must be an object, 'balanced' or 'from RUN', not 'x'",
        ),
        ({"input": {"features": ["token", "tokn"]}}, "not 'tokn' (did you mean 'token'?)"),
        ({"input": {"features": []}}, "input.features: must name at least 1, not []"),
        ({"run": {"seed": 2**31}}, "run.seed: must be below 2147483648, not 2147483648"),
        ({"run": {"devices": 0}}, "run.devices: must be at least 1, not 0"),
        ({"run": {"devices": ["a"]}}, "run.devices[0]: must be an integer, not 'a'"),
        ({"run": {"dir": ""}}, "run.dir: must have at least 1 character, not ''"),
        ({"plugins": "mine"}, "plugins: must be a list, not 'mine'"),
        ({"a\nb": 1}, "a b: unknown key"),
    ],
)
def test_messages(value: dict[str, Any], message: str) -> None:
    assert message in refusal(value)


def parts() -> list[type[Part]]:
    kinds = [getattr(registry, name) for name in dir(registry)]
    found: list[type[Part]] = []
    todo: list[type[Part]] = [Config]
    todo += [k.config(name) for k in kinds if isinstance(k, registry.Registry) for name in k.names()]
    while todo:
        part = todo.pop()
        if part not in found:
            found.append(part)
            for field in part.model_fields.values():
                kind = field.annotation
                if isinstance(kind, type) and issubclass(kind, Part) and not kind.__subclasses__():
                    todo.append(kind)
    return found


@pytest.mark.parametrize("part", parts(), ids=lambda part: part.__name__)
def test_every_part_is_strict_frozen_and_explained(part: type[Part]) -> None:
    assert part.model_config["extra"] == "forbid"
    assert part.model_config["frozen"]
    assert part.model_config["strict"]
    assert part.__doc__ and part.__doc__ is not Part.__doc__
    own_docstring = "__doc__" in vars(part) and vars(part)["__doc__"]
    assert own_docstring, f"{part.__name__} does not say what it is"
    for name, field in part.model_fields.items():
        is_part = isinstance(field.annotation, type) and issubclass(field.annotation, Part)
        is_section = is_part and not issubclass(field.annotation, Choice)
        assert field.description or is_section, f"{part.__name__}.{name} does not say what it means"


def test_values_never_change() -> None:
    config = Config.build({})
    with pytest.raises(ValueError, match="frozen"):
        config.run.seed = 5  # type: ignore[misc]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None, max_examples=300)
@given(st.data(), JSON)
def test_nothing_but_config_errors_whatever_stands_anywhere(data: st.DataObject, junk: Any) -> None:
    value = copy.deepcopy(WHOLE)
    path, part = data.draw(st.sampled_from(objects(value)))
    key = data.draw(st.sampled_from(sorted(part)) | st.text(max_size=5))
    if (path, key) == ("", "plugins"):
        return  # these are imported
    part[key] = junk
    try:
        config = Config.build(value)
    except ConfigError as error:
        assert str(error).isprintable()
        assert error.where
    else:
        assert Config.build(config.dump()) == config


def test_a_built_part_must_be_of_the_right_kind() -> None:
    head = registry.heads.config("linear")()
    with pytest.raises(ConfigError, match=r"model\.encoder: must be one of the encoders"):
        Config.build({"model": {"encoder": head}})
    encoder = registry.encoders.config("fasttext")()
    assert Config.build({"model": {"encoder": encoder}}).model.encoder is encoder
