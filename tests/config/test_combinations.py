"""Keys that do nothing beside others, and parts that do not go together, are refused before work starts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from linnaea.config.config import Config
from linnaea.config.encoders import TextCNNConfig
from linnaea.errors import ConfigError

LINEAR = {"strategy": "linear"}
BAGS = {"encoder": "fasttext"}
TUNED = {"type": "per_category"}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"task": {"type": "multilabel", "closure": "ancestors"}}, "task.closure: a multilabel task is flat"),
        ({"task": {"type": "binary", "paths": "one"}}, 'task.paths: "one" acts in hierarchical tasks only'),
        (
            {"data": {"dev": "d.jsonl", "dev_fraction": 0.2}},
            "data.dev_fraction: acts only where data.dev is absent",
        ),
        ({"input": {"features": ["token", "token"]}}, "input.features: names a feature twice"),
        ({"input": {"ngram": {"n": 3}}}, 'input.ngram: does nothing here (add "ngram" to input.features'),
        ({"input": {"keyword_vocabulary": {}}}, "input.keyword_vocabulary: does nothing here"),
        ({"input": {"topic_vocabulary": {}}}, "input.topic_vocabulary: does nothing here"),
        ({"input": {"max_characters": 5}}, "input.max_characters: does nothing here"),
        ({"input": {"features": ["char"], "max_tokens": 5}}, "input.max_tokens: does nothing here"),
        ({"input": {"features": ["char"], "tokenizer": "word"}}, "input.tokenizer: does nothing here"),
        ({"input": {"features": ["char"], "vocabulary": {}}}, "input.vocabulary: does nothing here"),
        (
            {
                "input": {"features": ["token", "ngram"], "ngram": {"buckets": 10, "min_count": 3}},
                "model": BAGS,
            },
            "input.ngram.min_count: acts only with buckets: 0",
        ),
        (
            {"input": {"features": ["char_ngram"], "char_ngram": {"min": 5, "max": 4}}, "model": BAGS},
            "input.char_ngram.min: 5 is above max 4",
        ),
        (
            {"input": {"features": ["token", "ngram"]}},
            "input.features: the encoder 'textcnn' reads a sequence",
        ),
        (
            {"input": {"features": ["token", "char"]}},
            "input.features: a sequence is made of tokens or of characters",
        ),
        ({"input": {"features": ["keyword"]}}, "input.features: the encoder 'textcnn' reads a sequence"),
        (
            {"input": {"features": ["char"]}, "model": BAGS},
            "input.features: the encoder 'fasttext' reads bags",
        ),
        ({"training": {**LINEAR, "epochs": 5}}, "training.epochs: does nothing under the strategy 'linear'"),
        ({"training": LINEAR, "model": {}}, "model: does nothing under the strategy 'linear'"),
        (
            {"training": LINEAR, "objective": {"loss": "bce"}},
            "objective.loss: does nothing under the strategy 'linear' (leave objective out)",
        ),
        (
            {"training": LINEAR, "objective": {"recursive_penalty": 1e-6}},
            "objective.recursive_penalty: does nothing under the strategy 'linear'",
        ),
        (
            {"training": LINEAR, "model": {"head": {"dropout": 0.0}}},
            "model.head.dropout: does nothing under the strategy 'linear' (leave model out)",
        ),
        ({"training": LINEAR, "model": {"encoder": "fasttext"}}, "model.encoder: does nothing under"),
        (
            {"training": LINEAR, "run": {"devices": 2}},
            "run.devices: does nothing under the strategy 'linear'",
        ),
        ({"training": LINEAR, "run": {"devices": [0]}}, "run.devices: does nothing under"),
        (
            {"run": {"listeners": ["wandb"]}},
            "run.listeners[0]: must be one of tensorboard, mlflow, not 'wandb'",
        ),
        ({"training": LINEAR, "run": {"deterministic": True}}, "run.deterministic: does nothing under"),
        (
            {"training": LINEAR, "run": {"device": "cuda"}},
            "run.device: 'cuda' does nothing under the strategy 'linear' (it works on the CPU)",
        ),
        (
            {"decision": {"top_k": 3}, "evaluation": {"keep": 2}},
            "decision.top_k: 3 categories cannot be decided of the 2 that evaluation.keep leaves",
        ),
        ({"evaluation": {"ranks": [1, 3, 1]}}, "evaluation.ranks: names a rank twice"),
        (
            {"training": LINEAR, "input": {"features": ["char"]}},
            "input.features: the linear strategy counts features",
        ),
        (
            {"training": {"optimizer": {"type": "sgd", "nesterov": True}}},
            "training.optimizer.nesterov: needs momentum",
        ),
        ({"objective": {"loss": "softmax"}}, "objective.loss: 'softmax' is for exactly one label"),
        (
            {"task": {"type": "multilabel"}, "objective": {"loss": "focal_softmax"}},
            "not for a multilabel task",
        ),
        (
            {"task": {"type": "multilabel"}, "objective": {"recursive_penalty": 1e-6}},
            "objective.recursive_penalty: needs a taxonomy with edges",
        ),
        (
            {"training": {"early_stopping": {"metric": "f1"}}},
            "\"f1\" is for binary tasks (did you mean 'micro_f1'?)",
        ),
        (
            {"task": {"type": "multiclass"}, "decision": {"threshold": "fixed"}},
            "decision.threshold: a multiclass task takes the best category",
        ),
        (
            {"task": {"type": "multiclass"}, "decision": {"threshold": TUNED}},
            "decision.threshold: a multiclass task",
        ),
        (
            {"task": {"type": "multiclass"}, "decision": {"top_k": 3}},
            "decision.top_k: a multiclass task has exactly one",
        ),
        (
            {"task": {"type": "multilabel"}, "decision": {"decoding": "max"}},
            "decision.decoding: a multilabel task is flat",
        ),
        (
            {"decision": {"threshold": {**TUNED, "on": "dev", "folds": 3}}},
            "decision.threshold.folds: acts only with",
        ),
        ({"decision": {"threshold": {**TUNED, "folds": 3}}}, "decision.threshold.folds: acts only with"),
        ({"input": {"spelling": {}}}, 'input.spelling: does nothing here (add "spelling" to input.features'),
        (
            {"input": {"features": ["token"]}, "model": {"embedder": {"spelling": {"filters": 9}}}},
            'model.embedder.spelling: does nothing here (add "spelling" to input.features, or leave spelling out)',
        ),
        (
            {"input": {"features": ["spelling"]}, "model": {"embedder": {"dimension": 9}}},
            "model.embedder.dimension: does nothing here (leave dimension out)",
        ),
        (
            {"input": {"features": ["spelling"]}, "model": {"embedder": {"pretrained": "v.txt"}}},
            'model.embedder.pretrained: does nothing here (add "token" to input.features',
        ),
        (
            {"input": {"features": ["spelling"], "vocabulary": {}}},
            "input.vocabulary: does nothing here",
        ),
        (
            {"input": {"features": ["char", "spelling"]}},
            "input.features: a sequence is made of tokens or of characters",
        ),
        (
            {"input": {"features": ["token", "spelling"]}, "model": BAGS},
            "input.features: the encoder 'fasttext' reads bags",
        ),
        (
            {"training": LINEAR, "input": {"features": ["token", "spelling"]}},
            "input.features: the linear strategy counts features",
        ),
        (
            {"model": {"embedder": {"keyword_pretrained": "k.txt"}, **BAGS}},
            'model.embedder.keyword_pretrained: does nothing here (add "keyword" to input.features',
        ),
        (
            {
                "input": {"features": ["keyword"]},
                "model": {"embedder": {"pretrained": "v.txt"}, **BAGS},
            },
            'model.embedder.pretrained: does nothing here (add "token" to input.features',
        ),
        (
            {"model": {"embedder": "region", **BAGS}},
            "model.embedder: 'region' makes sequences, and 'fasttext' reads bags (use \"lookup\")",
        ),
        (
            {"model": {"embedder": {"dimension": 64}, "encoder": "region"}},
            "model.embedder: the encoder 'region' sums region vectors; over 'lookup' it would be a bag of words "
            '(set "type": "region" there, or take the encoder "fasttext")',
        ),
        (
            {"model": {"embedder": {"type": "region", "region_size": 4}}},
            "model.embedder.region_size: a region reaches equally far to both sides: it is odd, not 4",
        ),
        (
            {"input": {"features": ["spelling"]}, "model": {"embedder": "region"}},
            "input.features: the embedder 'region' needs the tokens themselves",
        ),
        (
            {
                "input": {"features": ["token", "spelling"]},
                "model": {"embedder": {"position": "sinusoid", "dimension": 64, "spelling": {"filters": 33}}},
            },
            "the sinusoid needs an even dimension, not 97 (64 and 33 of the spelling)",
        ),
        (
            {"model": {"embedder": {"position": "sinusoid", "dimension": 65}}},
            "model.embedder.position: the sinusoid needs an even dimension, not 65 (set dimension to 66",
        ),
        (
            {"model": {"embedder": {"position": "sinusoid"}, **BAGS}},
            "model.embedder.position: the encoder 'fasttext' reads bags, which have no positions",
        ),
        (
            {"model": {"embedder": {"position": {"type": "learned", "max": 99}}}},
            "model.embedder.position.max: 99 positions for texts of up to 256 (input.max_tokens)",
        ),
        (
            {
                "model": {"embedder": {"position": {"type": "learned", "max": 512}}},
                "input": {"features": ["char"]},
            },
            "model.embedder.position.max: 512 positions for texts of up to 1024 (input.max_characters)",
        ),
        (
            {
                "model": {"embedder": {"position": {"type": "learned", "max": 512}}},
                "input": {"max_tokens": None},
            },
            "model.embedder.position.max: texts are never cut (input.max_tokens is null)",
        ),
    ],
)
def test_refused(value: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.build(value)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        {"task": {"type": "multilabel", "closure": "none"}},
        {"input": {"features": ["char"], "max_characters": 5, "char_vocabulary": {"min_count": 2}}},
        {"input": {"features": ["keyword"], "keyword_vocabulary": {"lowercase": True}}, "model": BAGS},
        {"input": {"features": ["token", "ngram"], "ngram": {"buckets": 0, "min_count": 3}}, "model": BAGS},
        {"task": {"type": "multiclass"}, "objective": {"loss": "bce"}, "decision": {"top_k": 1}},
        {"task": {"type": "multilabel", "taxonomy": "t.tsv"}, "objective": {"recursive_penalty": 1e-6}},
        {"task": {"type": "binary"}, "training": {"early_stopping": {"metric": "f1"}}},
        {"training": {"early_stopping": None}},
        {"training": LINEAR, "decision": {"threshold": {**TUNED, "folds": 3}, "decoding": "max"}},
        {"decision": {"threshold": {**TUNED, "on": "cross", "folds": 3}}},
        {"training": LINEAR, "run": {"device": "cpu", "threads": 2, "seed": 5}},
        {"training": LINEAR, "run": {"device": "auto"}, "evaluation": {"keep": 2}},
        {"run": {"device": "cuda", "devices": [0, 1], "listeners": ["tensorboard"], "deterministic": True}},
        {"evaluation": {"keep": 3}},
        {"evaluation": {"keep": 3}, "decision": {"top_k": 2}},
        {"evaluation": {"keep": 3}, "task": {"type": "multiclass"}},
        {"evaluation": {"ranks": [5, 1]}},
        {"model": {"encoder": "region"}},
        {
            "model": {
                "embedder": {"type": "region", "kind": "context_word"},
                "encoder": {"type": "region", "merge": "mean"},
            }
        },
        {"model": {"embedder": {"type": "region", "original": True, "position": "sinusoid"}}},
        {"input": {"features": ["char"]}, "model": {"encoder": "region"}},
        {
            "input": {"features": ["token", "spelling"], "spelling": {"max_characters": 9}},
            "model": {"embedder": {"spelling": {"filters": 9, "kernel_sizes": [2, 3]}}},
        },
        {"input": {"features": ["spelling"], "char_vocabulary": {"lowercase": False}}},
        {
            "input": {"features": ["token", "keyword"]},
            "model": {"embedder": {"pretrained": "v.txt", "keyword_pretrained": "k.txt"}, **BAGS},
        },
        {
            "input": {"features": ["token", "spelling"]},
            "model": {"embedder": {"position": "sinusoid", "dimension": 65, "spelling": {"filters": 33}}},
        },
        {"model": {"embedder": {"position": "sinusoid", "dimension": 64}}},
        {"model": {"embedder": {"position": "learned"}}, "input": {"max_tokens": 40}},
        {"model": {"embedder": {"position": {"type": "learned", "max": 300}}}},
    ],
)
def test_accepted_and_read_again(value: dict[str, Any]) -> None:
    config = Config.build(value)
    assert Config.build(config.dump()) == config


def test_the_default_loss_goes_by_the_task() -> None:
    for task, loss in {
        "hierarchical": "bce",
        "multilabel": "bce",
        "binary": "bce",
        "multiclass": "softmax",
    }.items():
        config = Config.build({"task": {"type": task}})
        assert config.objective.loss is not None
        assert config.objective.loss.type == loss


def test_thresholds_are_tuned_on_dev_for_networks_and_out_of_fold_for_linear() -> None:
    for training, on in (({}, "dev"), (LINEAR, "cross")):
        for chosen in (None, "dev", "cross"):
            threshold = {**TUNED, **({"on": chosen} if chosen else {})}
            config = Config.build({"training": training, "decision": {"threshold": threshold}})
            assert config.decision.threshold.on == (chosen or on)  # type: ignore[attr-defined]


def test_what_is_kept_is_the_cap() -> None:
    for strategy in ("joint", "linear"):
        for keep, top_k, cap in ((3, None, 3), (3, 2, 2), (3, 3, 3), (None, 4, 4), (None, None, None)):
            value = {
                "evaluation": {"keep": keep},
                "decision": {"top_k": top_k},
                "training": {"strategy": strategy},
            }
            assert Config.build(value).decision.top_k == cap
    # One category is decided there whatever was kept.
    config = Config.build({"task": {"type": "multiclass"}, "evaluation": {"keep": 3}})
    assert config.decision.top_k is None


def test_ranks_ascend() -> None:
    assert Config.build({"evaluation": {"ranks": [5, 1, 3]}}).evaluation.ranks == [1, 3, 5]


def test_what_linear_reads_unless_told() -> None:
    read = Config.build({"training": LINEAR}).input
    assert read.features == ["token", "ngram"]
    assert (read.ngram.n, read.ngram.buckets, read.max_tokens) == (2, 0, None)
    told = Config.build({"training": LINEAR, "input": {"features": ["token"], "max_tokens": 9}}).input
    assert (told.features, told.max_tokens) == (["token"], 9)


def test_facts_that_others_ask_for() -> None:
    task = Config.build({"task": {"type": "multilabel"}}).task
    assert (task.flat, task.gold_closure) == (True, "none")
    task = Config.build({"task": {"closure": "path"}}).task
    assert (task.flat, task.gold_closure) == (False, "path")
    data = Config.build({"data": {"train": "a", "test": ["b", "c"]}}).data
    assert [data.files(split) for split in ("train", "dev", "test")] == [["a"], [], ["b", "c"]]


def test_learned_positions_reach_as_far_as_texts() -> None:
    value: dict[str, Any] = {"model": {"embedder": {"position": "learned"}}}
    for read, expected in (
        ({}, 256),
        ({"max_tokens": 40}, 40),
        ({"features": ["char"]}, 1024),
        ({"features": ["char"], "max_characters": 70}, 70),
    ):
        config = Config.build({**value, "input": read})
        assert config.model.embedder.position.max == expected  # type: ignore[attr-defined]


class TestPositionsUnderAnEncoderWithoutOrder:
    """What an encoder asks for that calls itself ``orderless``."""

    @pytest.fixture(autouse=True)
    def orderless(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(TextCNNConfig, "orderless", True)

    def position(self, embedder: dict[str, Any]) -> str | None:
        config = Config.build({"model": {"embedder": embedder}})
        assert Config.build(config.dump()) == config
        found = config.model.embedder.position  # type: ignore[attr-defined]
        return None if found is None else str(found.type)

    def test_sinusoid_unless_told(self) -> None:
        assert self.position({"dimension": 64}) == "sinusoid"
        assert self.position({"dimension": 65, "position": None}) is None
        assert self.position({"dimension": 65, "position": "learned"}) == "learned"

    def test_an_odd_dimension_is_refused(self) -> None:
        with pytest.raises(
            ConfigError, match=r"the sinusoid, the default under 'textcnn', needs an even dim"
        ):
            Config.build({"model": {"embedder": {"dimension": 65}}})


def test_the_region_encoder_gets_regions_unless_told() -> None:
    config = Config.build({"model": {"encoder": "region"}})
    assert config.model.embedder.type == "region"
    told = Config.build({"model": {"embedder": {"type": "region", "dimension": 9}, "encoder": "region"}})
    assert told.model.embedder.dimension == 9  # type: ignore[attr-defined]


SIZES: list[tuple[dict[str, Any], str]] = [
    (
        {"model": {"encoder": {"type": "textcnn", "kernel_sizes": [2, 300]}}},
        "model.encoder.kernel_sizes: 300 positions at a time for texts of up to 256 (input.max_tokens)",
    ),
    (
        {"model": {"encoder": {"type": "textrcnn", "kernel_sizes": [41]}}, "input": {"max_tokens": 40}},
        "model.encoder.kernel_sizes: 41 positions at a time for texts of up to 40 (input.max_tokens)",
    ),
    (
        {"model": {"encoder": {"type": "textcnn", "top_k": 257}}},
        "model.encoder.top_k: 257 values a filter for texts of up to 256 (input.max_tokens)",
    ),
    (
        {
            "model": {"encoder": {"type": "textcnn", "top_k": 300}},
            "input": {"features": ["char"], "max_characters": 299},
        },
        "model.encoder.top_k: 300 values a filter for texts of up to 299 (input.max_characters)",
    ),
    (
        {"model": {"encoder": {"type": "textrcnn", "top_k": 257}}},
        "model.encoder.top_k: 257 values a filter for texts of up to 256",
    ),
    (
        {"model": {"encoder": {"type": "drnn", "window": 257}}},
        "model.encoder.window: 257 positions at a time for texts of up to 256",
    ),
    (
        {"model": {"encoder": {"type": "attentive_convnet", "window": 257}}},
        "model.encoder.window: 257 positions at a time for texts of up to 256",
    ),
    (
        {"model": {"encoder": {"type": "dpcnn", "region_size": 257}}},
        "model.encoder.region_size: 257 positions at a time",
    ),
    (
        {"model": {"encoder": {"type": "dpcnn", "kernel_size": 257}}},
        "model.encoder.kernel_size: 257 positions at a time",
    ),
    (
        {"model": {"encoder": {"type": "vdcnn", "top_k": 14}}, "input": {"max_tokens": 100}},
        "model.encoder.top_k: 14 values a filter for texts of up to 100 (input.max_tokens), which leave 13 "
        "(set it to 13 or less, or input.max_tokens to 105 or more)",
    ),
    (
        {"model": {"embedder": {"type": "region", "region_size": 41}}, "input": {"max_tokens": 40}},
        "model.embedder.region_size: 41 positions at a time for texts of up to 40 (input.max_tokens)",
    ),
    (
        {
            "model": {"embedder": {"spelling": {"kernel_sizes": [3, 17]}}},
            "input": {"features": ["token", "spelling"]},
        },
        "model.embedder.spelling.kernel_sizes: 17 characters at a time for tokens of up to 16 "
        "(input.spelling.max_characters)",
    ),
]


@pytest.mark.parametrize(("value", "message"), SIZES)
def test_sizes_beyond_the_text(value: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as told:
        Config.build(value)
    assert message in str(told.value)


@pytest.mark.parametrize(
    "value",
    [
        {"model": {"encoder": {"type": "textcnn", "kernel_sizes": [256], "top_k": 256}}},
        {"model": {"encoder": {"type": "textcnn", "top_k": 999}}, "input": {"max_tokens": None}},
        {"model": {"encoder": {"type": "vdcnn", "top_k": 13}}, "input": {"max_tokens": 97}},
        {"model": {"encoder": {"type": "drnn", "window": 1024}}, "input": {"features": ["char"]}},
        {
            "model": {"embedder": {"spelling": {"kernel_sizes": [16]}}},
            "input": {"features": ["token", "spelling"]},
        },
    ],
)
def test_sizes_within_the_text(value: dict[str, Any]) -> None:
    assert Config.build(Config.build(value).dump()) == Config.build(value)


def test_a_problem_of_a_setting_is_put_down_to_it(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text('{"training": {"epochs": 3}}')
    with pytest.raises(ConfigError) as told:
        Config.load(tmp_path / "c.json", ["run.seed=2", "training.epochs=0"])
    assert str(told.value) == "--set training.epochs: must be at least 1, not 0"
    with pytest.raises(ConfigError) as told:
        Config.load(tmp_path / "c.json", ["model.encoder=textcn"])
    assert str(told.value).startswith("--set model.encoder.type: there is no encoder 'textcn'")
    with pytest.raises(ConfigError) as told:
        Config.build_with({}, ["train.num_epochs=1"])
    assert str(told.value).startswith("--set train: unknown key")
    (tmp_path / "c.json").write_text('{"training": {"epochs": 0}}')
    with pytest.raises(ConfigError) as told:
        Config.load(tmp_path / "c.json", ["run.seed=2"])
    assert str(told.value) == f"{tmp_path / 'c.json'}: training.epochs: must be at least 1, not 0"


def test_settings_of_an_old_config_are_native(tmp_path: Path) -> None:
    old: dict[str, Any] = {"task_info": {}, "model_name": "TextCNN", "train": {"num_epochs": 2}}
    old["data"] = {"train_json_files": ["train.json"]}
    (tmp_path / "old.json").write_text(json.dumps(old))
    with pytest.raises(ConfigError) as told:
        Config.load(tmp_path / "old.json", ["train.num_epochs=1"])
    assert str(told.value) == "--set train.num_epochs: unknown key (--set takes native keys: training.epochs)"
    old["modelname"] = old.pop("model_name")
    (tmp_path / "old.json").write_text(json.dumps(old))
    with pytest.raises(ConfigError, match="did you mean 'model_name' by 'modelname'"):
        Config.load(tmp_path / "old.json")


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (["char"], "the encoder 'fasttext' reads bags: char is a sequence"),
        (
            ["token", "spelling"],
            "the encoder 'fasttext' reads bags: spelling composes the tokens of a sequence",
        ),
    ],
)
def test_what_bags_cannot_hold(features: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as told:
        Config.build({"input": {"features": features}, "model": BAGS})
    assert message in str(told.value)
