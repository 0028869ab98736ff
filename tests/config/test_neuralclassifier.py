"""Configs of NeuralClassifier: every key becomes what it meant; what did nothing is warned of; typos are told."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from linnaea.config import registry
from linnaea.config.config import Config
from linnaea.config.neuralclassifier import Conversion, convert, is_old
from linnaea.errors import ConfigError

OLD: dict[str, Any] = {
    "task_info": {
        "label_type": "multi_label",
        "hierarchical": True,
        "hierar_taxonomy": "data/rcv1.taxonomy",
        "hierar_penalty": 0.000001,
    },
    "device": "cuda",
    "model_name": "TextCNN",
    "checkpoint_dir": "checkpoints",
    "model_dir": "trained",
    "data": {
        "train_json_files": ["data/train.json"],
        "validate_json_files": ["data/dev.json"],
        "test_json_files": ["data/test.json"],
        "generate_dict_using_json_files": True,
        "generate_dict_using_all_json_files": False,
        "generate_dict_using_pretrained_embedding": False,
        "generate_hierarchy_label": True,
        "dict_dir": "dict",
        "num_worker": 4,
    },
    "feature": {
        "feature_names": ["token"],
        "min_token_count": 2,
        "min_char_count": 2,
        "token_ngram": 0,
        "min_token_ngram_count": 0,
        "min_keyword_count": 0,
        "min_topic_count": 2,
        "max_token_dict_size": 1000000,
        "max_char_dict_size": 150000,
        "max_token_ngram_dict_size": 10000000,
        "max_keyword_dict_size": 100,
        "max_topic_dict_size": 100,
        "max_token_len": 256,
        "max_char_len": 1024,
        "max_char_len_per_token": 4,
        "token_pretrained_file": "",
        "keyword_pretrained_file": "",
    },
    "train": {
        "batch_size": 64,
        "start_epoch": 1,
        "num_epochs": 50,
        "num_epochs_static_embedding": 0,
        "decay_steps": 1000,
        "decay_rate": 1.0,
        "clip_gradients": 100.0,
        "l2_lambda": 0.0,
        "loss_type": "BCEWithLogitsLoss",
        "sampler": "fixed",
        "num_sampled": 5,
        "eval_train_data": True,
        "visible_device_list": "0",
        "hidden_layer_dropout": 0.5,
    },
    "embedding": {
        "type": "embedding",
        "dimension": 64,
        "region_embedding_type": "context_word",
        "region_size": 5,
        "initializer": "uniform",
        "fan_mode": "FAN_IN",
        "uniform_bound": 0.25,
        "random_stddev": 0.01,
        "dropout": 0.0,
    },
    "optimizer": {
        "optimizer_type": "Adam",
        "learning_rate": 0.008,
        "adadelta_decay_rate": 0.95,
        "adadelta_epsilon": 1e-08,
    },
    "eval": {
        "text_file": "data/test.json",
        "threshold": 0.5,
        "dir": "eval",
        "batch_size": 1024,
        "is_flat": True,
        "top_k": 100,
        "model_dir": "checkpoints/best",
    },
    "TextCNN": {"kernel_sizes": [2, 3, 4], "num_kernels": 100, "top_k_max_pooling": 1},
    "TextRNN": {
        "hidden_dimension": 64,
        "rnn_type": "GRU",
        "num_layers": 1,
        "doc_embedding_type": "Attention",
        "attention_dimension": 16,
        "bidirectional": True,
    },
    "TextRCNN": {
        "kernel_sizes": [2, 3, 4],
        "num_kernels": 100,
        "top_k_max_pooling": 1,
        "hidden_dimension": 64,
        "rnn_type": "GRU",
        "num_layers": 2,
        "bidirectional": True,
    },
    "DRNN": {
        "hidden_dimension": 5,
        "window_size": 3,
        "rnn_type": "GRU",
        "bidirectional": True,
        "cell_hidden_dropout": 0.1,
    },
    "TextVDCNN": {"vdcnn_depth": 9, "top_k_max_pooling": 8},
    "DPCNN": {"kernel_size": 3, "pooling_stride": 2, "num_kernels": 16, "blocks": 2},
    "Transformer": {
        "d_inner": 128,
        "d_k": 32,
        "d_v": 32,
        "n_head": 4,
        "n_layers": 1,
        "dropout": 0.1,
        "use_star": True,
    },
    "AttentiveConvNet": {
        "attention_type": "bilinear",
        "margin_size": 3,
        "type": "advanced",
        "hidden_size": 64,
    },
    "HMCN": {"hierarchical_depth": [0, 384, 384, 384, 384], "global2local": [0, 4, 55, 43, 1]},
    "log": {"logger_file": "log", "log_level": "warn"},
}


def old(**changes: Any) -> dict[str, Any]:
    """``OLD`` with ``section__key`` or top-level keys changed."""
    value = copy.deepcopy(OLD)
    for name, item in changes.items():
        section, _, key = name.rpartition("__")
        (value.setdefault(section, {}) if section else value)[key] = item
    return value


def converted(**changes: Any) -> dict[str, Any]:
    return convert(old(**changes)).config


def row(conversion: Conversion, key: str) -> tuple[str, str]:
    found = next(r for r in conversion.rows if r.key == key)
    return found.became, found.note


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_old_configs_are_told_by_their_top_level_keys() -> None:
    assert is_old(OLD)
    assert is_old({"model_name": "TextCNN"})
    assert is_old({"task_info": {}})
    assert is_old({"feature": {}, "optimizer": {}})
    assert not is_old({})
    assert not is_old({"data": {"train": "x"}})
    assert not is_old({"task": {}, "model_name": "TextCNN"})


def test_the_usual_config_becomes(tmp_path: Path) -> None:
    here = tmp_path / "data"
    assert convert(OLD).config == {
        "task": {
            "type": "hierarchical",
            "closure": "none",
            "taxonomy": str(here / "rcv1.taxonomy"),
            "taxonomy_format": "children",
        },
        "data": {
            "train": [str(here / "train.json")],
            "dev": [str(here / "dev.json")],
            "test": [str(here / "test.json")],
            "format": "jsonl",
            "workers": 4,
        },
        "input": {
            "features": ["token"],
            "vocabulary": {"min_count": 2, "max_size": 1_000_000, "lowercase": False},
            "max_tokens": 256,
        },
        "model": {
            "embedder": {
                "type": "lookup",
                "dimension": 64,
                "initializer": {"type": "uniform", "bound": 0.25},
                "dropout": 0.0,
            },
            "encoder": {"type": "textcnn", "kernel_sizes": [2, 3, 4], "filters": 100, "top_k": 1},
            "head": {"type": "linear", "dropout": 0.5},
        },
        "objective": {"loss": "bce", "recursive_penalty": 1e-6},
        "training": {
            "epochs": 50,
            "batch_size": 64,
            "early_stopping": {"metric": "micro_f1", "patience": 50},
            "optimizer": {"type": "adam", "learning_rate": 0.008},
            "gradient_clip": 100.0,
        },
        "decision": {"threshold": {"type": "fixed", "value": 0.5}, "top_k": 100},
        "evaluation": {"metrics": [{"type": "neuralclassifier", "labels": "written", "over": "train"}]},
        "run": {"dir": "checkpoints", "device": "auto"},
    }


ENCODERS: list[tuple[str, dict[str, Any]]] = [
    ("FastText", {"type": "fasttext"}),
    ("TextCNN", {"type": "textcnn", "kernel_sizes": [2, 3, 4], "filters": 100, "top_k": 1}),
    (
        "TextRNN",
        {
            "type": "textrnn",
            "cell": "gru",
            "hidden": 64,
            "layers": 1,
            "bidirectional": True,
            "pooling": "attention",
            "attention": 16,
        },
    ),
    (
        "TextRCNN",
        {
            "type": "textrcnn",
            "cell": "gru",
            "hidden": 64,
            "layers": 2,
            "bidirectional": True,
            "kernel_sizes": [2, 3, 4],
            "filters": 100,
            "top_k": 1,
        },
    ),
    (
        "DRNN",
        {"type": "drnn", "cell": "gru", "hidden": 5, "window": 3, "bidirectional": True, "dropout": 0.1},
    ),
    ("TextVDCNN", {"type": "vdcnn", "depth": 9, "top_k": 8}),
    ("VDCNN", {"type": "vdcnn", "depth": 9, "top_k": 8}),
    ("DPCNN", {"type": "dpcnn", "kernel_size": 3, "filters": 16, "blocks": 2}),
    (
        "AttentiveConvNet",
        {
            "type": "attentive_convnet",
            "kind": "advanced",
            "attention": "bilinear",
            "window": 3,
            "hidden": 64,
        },
    ),
    (
        "Transformer",
        {"type": "star_transformer", "layers": 1, "heads": 4, "key_dimension": 32, "dropout": 0.1},
    ),
    ("RegionEmbedding", {"type": "region", "merge": "sum"}),
    (
        "HMCN",
        {
            "type": "textrnn",
            "cell": "gru",
            "hidden": 64,
            "layers": 1,
            "bidirectional": True,
            "pooling": "mean",
        },
    ),
]


@pytest.mark.parametrize(("name", "encoder"), ENCODERS, ids=[name for name, _ in ENCODERS])
def test_every_model_name_becomes_an_encoder_that_is_there(name: str, encoder: dict[str, Any]) -> None:
    config = converted(model_name=name)
    assert config["model"]["encoder"] == encoder
    assert encoder["type"] in registry.encoders.names()
    assert Config.build(config).model.encoder.type == encoder["type"]


CHANGES: list[tuple[dict[str, Any], str, Any]] = [
    ({"model_name": "Transformer", "Transformer__use_star": False}, "model.encoder.inner", 128),
    ({"model_name": "Transformer", "Transformer__use_star": False}, "model.encoder.type", "transformer"),
    ({"model_name": "Transformer"}, "model.embedder.position", {"type": "sinusoid"}),
    ({"model_name": "TextRNN", "TextRNN__doc_embedding_type": "AVG"}, "model.encoder.pooling", "mean"),
    ({"model_name": "TextRNN", "TextRNN__doc_embedding_type": "LastHidden"}, "model.encoder.pooling", "last"),
    ({"model_name": "TextRNN", "TextRNN__rnn_type": "LSTM"}, "model.encoder.cell", "lstm"),
    ({"model_name": "TextRNN", "TextRNN__rnn_type": "RNN"}, "model.encoder.cell", "rnn"),
    ({"model_name": "VDCNN", "TextVDCNN__vdcnn_depth": 17}, "model.encoder.depth", 17),
    (
        {"model_name": "AttentiveConvNet", "AttentiveConvNet__attention_type": "additive_projection"},
        "model.encoder.attention",
        "additive",
    ),
    ({"model_name": "AttentiveConvNet", "AttentiveConvNet__type": "light"}, "model.encoder.kind", "light"),
    ({"model_name": "RegionEmbedding"}, "model.embedder.type", "region"),
    ({"embedding__type": "region_embedding"}, "model.embedder.region_size", 5),
    ({"embedding__type": "region_embedding"}, "model.embedder.kind", "context_word"),
    ({"model_name": "FastText", "embedding__type": "region_embedding"}, "model.embedder.type", "lookup"),
    ({"embedding__initializer": "normal"}, "model.embedder.initializer", {"type": "normal", "std": 0.01}),
    (
        {"embedding__initializer": "xavier_uniform"},
        "model.embedder.initializer",
        {"type": "xavier", "distribution": "uniform"},
    ),
    (
        {"embedding__initializer": "xavier_normal"},
        "model.embedder.initializer",
        {"type": "xavier", "distribution": "normal"},
    ),
    (
        {"embedding__initializer": "kaiming_normal", "embedding__fan_mode": "FAN_OUT"},
        "model.embedder.initializer",
        {"type": "kaiming", "distribution": "normal", "fan": "out"},
    ),
    ({"embedding__initializer": "orthogonal"}, "model.embedder.initializer", {"type": "orthogonal"}),
    ({"embedding__dropout": 0.2}, "model.embedder.dropout", 0.2),
    ({"train__num_epochs_static_embedding": 3}, "model.embedder.freeze_epochs", 3),
    ({"feature__feature_names": ["char"]}, "input.features", ["char"]),
    ({"feature__feature_names": ["char"]}, "input.max_characters", 1024),
    (
        {"feature__feature_names": ["char"]},
        "input.char_vocabulary",
        {"min_count": 2, "max_size": 150000, "lowercase": False},
    ),
    (
        {
            "model_name": "FastText",
            "feature__token_ngram": 2,
            "feature__feature_names": ["token", "keyword", "topic"],
        },
        "input.features",
        ["token", "ngram", "keyword", "topic"],
    ),
    (
        {"model_name": "FastText", "feature__token_ngram": 3},
        "input.ngram",
        {"n": 3, "buckets": 0, "min_count": 1},
    ),
    (
        {"model_name": "FastText", "feature__feature_names": ["token", "keyword"]},
        "input.keyword_vocabulary",
        {"min_count": 1, "max_size": 100, "lowercase": False},
    ),
    ({"feature__max_token_len": 99}, "input.max_tokens", 99),
    ({"train__clip_gradients": 5}, "training.gradient_clip", 5.0),
    (
        {"train__decay_rate": 0.9, "train__decay_steps": 500},
        "training.schedule",
        {"type": "exponential", "rate": 0.9, "steps": 500},
    ),
    ({"train__l2_lambda": 0.01}, "training.optimizer.weight_decay", 0.01),
    (
        {"train__loss_type": "SigmoidFocalCrossEntropy"},
        "objective.loss",
        {"type": "focal_sigmoid", "alpha": 0.25},
    ),
    ({"train__loss_type": "SoftmaxCrossEntropy"}, "objective.loss", "bce"),
    (
        {"optimizer__optimizer_type": "Adadelta", "optimizer__learning_rate": 1},
        "training.optimizer",
        {"type": "adadelta", "learning_rate": 1.0, "rho": 0.95, "eps": 1e-8},
    ),
    (
        {"optimizer__optimizer_type": "BERTAdam"},
        "training.optimizer",
        {"type": "adamw", "learning_rate": 0.008, "eps": 1e-6, "weight_decay": 0.0},
    ),
    ({"eval__threshold": 0.3}, "decision.threshold.value", 0.3),
    ({"eval__top_k": 5}, "decision.top_k", 5),
    ({"device": "cpu"}, "run.device", "cpu"),
    ({"train__visible_device_list": "1"}, "run.devices", [1]),
    ({"train__visible_device_list": 2}, "run.devices", [2]),
    ({"data__generate_dict_using_all_json_files": True}, "evaluation.metrics", [
        {"type": "neuralclassifier", "labels": "written", "over": "seen"}
    ]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "place", "expected"), CHANGES, ids=[f"{i}-{c[1]}" for i, c in enumerate(CHANGES)]
)
def test_every_setting_becomes_what_it_meant(changes: dict[str, Any], place: str, expected: Any) -> None:
    config = converted(**changes)
    Config.build(config)
    for step in place.split("."):
        config = config[step]
    assert config == expected


def test_single_label_flat_is_multiclass() -> None:
    changes = {"task_info__label_type": "single_label", "task_info__hierarchical": False}
    config = converted(train__loss_type="SoftmaxFocalCrossEntropy", **changes)
    assert config["task"] == {"type": "multiclass"}
    assert "decision" not in config
    assert config["objective"] == {"loss": "focal_softmax"}
    Config.build(config)


def test_single_label_hierarchical_takes_the_best_of_single_paths() -> None:
    config = converted(task_info__label_type="single_label", eval__threshold=0.7)
    assert (config["task"]["type"], config["task"]["paths"]) == ("hierarchical", "one")
    assert config["decision"]["threshold"]["value"] == 0.0
    assert config["training"]["early_stopping"]["metric"] == "loss"
    Config.build(config)


@pytest.mark.parametrize(
    ("labels", "used"), [(["A--a", "B"], True), (["A", "a"], True), (["A", "other"], False)]
)
def test_a_flat_task_reads_its_taxonomy_only_if_it_is_that_of_its_labels(
    tmp_path: Path, labels: list[str], used: bool
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rcv1.taxonomy").write_text("Root\tA\tB\nA\ta\n", encoding="utf-8")
    line = json.dumps({"doc_label": labels, "doc_token": ["x"]})
    (tmp_path / "data" / "train.json").write_text(line + "\n", encoding="utf-8")
    config = converted(task_info__hierarchical=False)
    assert config["task"]["type"] == "multilabel"
    assert ("taxonomy" in config["task"]) == used
    assert config["data"].get("on_error") == (None if used else "skip")
    assert "recursive_penalty" not in config["objective"]
    Config.build(config)


def test_paths_are_beside_the_config_or_from_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs, here = tmp_path / "configs", tmp_path / "here"
    for folder, name in ((configs, "train.json"), (here, "train.json"), (here, "dev.json")):
        (folder / "data").mkdir(parents=True, exist_ok=True)
        (folder / "data" / name).write_text("", encoding="utf-8")
    monkeypatch.chdir(here)
    conversion = convert(OLD, configs)
    data = conversion.config["data"]
    assert data["train"] == [str(configs / "data" / "train.json")]
    assert data["dev"] == [str(here / "data" / "dev.json")]
    assert row(conversion, "data.train_json_files")[1] == "from the config's folder"
    assert row(conversion, "data.validate_json_files")[1] == "from the current folder"
    assert row(conversion, "data.test_json_files")[1] == "not there"


def test_old_checkpoints_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    assert converted()["run"]["dir"] == "checkpoints"
    (tmp_path / "checkpoints" / "TextCNN_best").write_text("", encoding="utf-8")
    assert converted()["run"]["dir"] == "runs/checkpoints"
    (tmp_path / "checkpoints" / "config.json").write_text("{}", encoding="utf-8")  # a run of ours
    assert converted()["run"]["dir"] == "checkpoints"


def test_word_vectors(tmp_path: Path) -> None:
    conversion = convert(old(feature__token_pretrained_file="glove.txt"))
    assert conversion.config["model"]["embedder"]["pretrained"] == str(tmp_path / "glove.txt")
    bags = converted(
        model_name="FastText",
        feature__feature_names=["token", "keyword"],
        feature__keyword_pretrained_file="k.txt",
    )
    assert bags["model"]["embedder"]["keyword_pretrained"] == str(tmp_path / "k.txt")
    Config.build(bags)
    keywords = convert(old(feature__keyword_pretrained_file="k.txt"))
    assert "the model reads no keywords" in row(keywords, "feature.keyword_pretrained_file")[1]
    assert any(w.startswith("feature.keyword_pretrained_file") for w in keywords.warnings)


class TestHMCN:
    """There it ran with hierarchical false only, and took its levels from path labels."""

    def test_brings_its_head_and_makes_the_task_hierarchical(self) -> None:
        conversion = convert(old(model_name="HMCN", task_info__hierarchical=False))
        assert conversion.config["model"]["head"] == {
            "type": "hmcn", "hidden": 384, "violation_penalty": 0.0, "dropout": 0.5,
        }  # fmt: skip
        assert conversion.config["task"]["type"] == "hierarchical"
        assert conversion.config["task"]["closure"] == "none"
        assert "recursive_penalty" not in conversion.config["objective"]
        assert row(conversion, "model_name") == ("model.encoder = textrnn", "and model.head = hmcn")
        assert "HMCN follows the taxonomy" in row(conversion, "task_info.hierarchical")[1]
        assert Config.build(conversion.config).model.names == "lookup + textrnn + hmcn"

    def test_single_label_is_one_path(self) -> None:
        task = converted(model_name="HMCN", task_info__label_type="single_label")["task"]
        assert (task["type"], task["paths"]) == ("hierarchical", "one")

    def test_layers_of_several_sizes_are_warned_of(self) -> None:
        conversion = convert(old(model_name="HMCN", HMCN__hierarchical_depth=[0, 96, 128, 96, 96]))
        assert conversion.config["model"]["head"]["hidden"] == 96
        assert any("every level's layer has 96 units" in warning for warning in conversion.warnings)

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("Root\ta\tb\na\tc\nc\td\nb\td\nd\te\n", None),
            ("Root\ta\tb\na\tc\nb\tc\n", "has 4 levels, the taxonomy 2 (2, 1): those are taken"),
            ("Root\ta\tb\tc\na\tb\nb\tc\n", "has 4 levels, the taxonomy 3 (1, 1, 1): those are taken"),
            ("Root\ta\na\tb\nb\ta\n", None),
            ("", None),
        ],
        ids=["four levels", "two levels", "longest way", "cycle", "empty"],
    )
    def test_levels_are_compared_with_the_taxonomy(self, tmp_path: Path, text: str, told: str | None) -> None:
        (tmp_path / "t.taxonomy").write_text(text, encoding="utf-8")
        conversion = convert(old(model_name="HMCN", task_info__hierar_taxonomy="t.taxonomy"))
        found = [w for w in conversion.warnings if w.startswith("HMCN.global2local")]
        assert found == ([] if told is None else [f"HMCN.global2local: {told}"])


# Rows, warnings, errors


def test_every_key_of_the_file_has_a_row_in_its_order() -> None:
    expected = []
    for key, part in OLD.items():
        if key in (
            "TextRNN",
            "TextRCNN",
            "DRNN",
            "TextVDCNN",
            "DPCNN",
            "Transformer",
            "AttentiveConvNet",
            "HMCN",
        ):
            expected.append(key)
        else:
            expected += [f"{key}.{name}" for name in part] if isinstance(part, dict) else [key]
    assert [r.key for r in convert(OLD).rows] == expected
    table = convert(OLD).table().splitlines()
    assert len(table) == len(expected) + 1


@pytest.mark.parametrize("name", [name for name, _ in ENCODERS])
def test_no_key_of_any_model_goes_unmentioned(name: str) -> None:
    conversion = convert(old(model_name=name))
    mentioned = {r.key for r in conversion.rows}
    missing = [
        f"{key}.{inner}"
        for key, part in OLD.items()
        if isinstance(part, dict)
        for inner in part
        if f"{key}.{inner}" not in mentioned and key not in mentioned
    ]
    assert missing == []
    assert not any("unknown key" in warning for warning in conversion.warnings)


@pytest.mark.parametrize("key", ["sampler", "num_sampled", "eval_train_data"])
def test_keys_that_never_did_anything_are_warned_of(key: str) -> None:
    assert f"train.{key}: never did anything, there or here" in convert(OLD).warnings


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        (
            {"data__generate_dict_using_all_json_files": True},
            "data.generate_dict_using_all_json_files: is not kept: a vocabulary of dev and test leaks",
        ),
        (
            {"data__generate_dict_using_pretrained_embedding": True},
            "data.generate_dict_using_pretrained_embedding: is not kept",
        ),
        (
            {"data__generate_dict_using_json_files": False},
            "data.generate_dict_using_json_files: false is not kept",
        ),
        ({"train__visible_device_list": "0,1"}, "only the first GPU, 0, was ever used"),
        ({"train__loss_type": "SoftmaxCrossEntropy"}, "SoftmaxCrossEntropy is for exactly one label"),
        ({"model_name": "Transformer", "Transformer__d_v": 16}, "Transformer.d_v: 16 is not kept"),
        ({"model_name": "DPCNN", "DPCNN__pooling_stride": 3}, "DPCNN.pooling_stride: 3 is not kept"),
        ({"feature__feature_names": ["token", "keyword"]}, "TextCNN never read keyword here: passed over"),
        ({"train__batchsize": 3}, "train.batchsize: unknown key, passed over (did you mean 'batch_size'?)"),
        ({"modle_dir": "x"}, "modle_dir: unknown key, passed over (did you mean 'model_dir'?)"),
        ({"TextCNN__kernels": [3]}, "TextCNN.kernels: unknown key, passed over"),
    ],
    ids=lambda value: value[:40].replace(" ", "_") if isinstance(value, str) else "",
)
def test_what_is_not_kept_is_warned_of(changes: dict[str, Any], warning: str) -> None:
    conversion = convert(old(**changes))
    assert any(warning in text for text in conversion.warnings), conversion.warnings
    Config.build(conversion.config)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_name": "TextCNM"}, "model_name: there is no model 'TextCNM' (did you mean 'TextCNN'?)"),
        ({"model_name": "textrnn"}, "model_name: there is no model 'textrnn' (did you mean 'TextRNN'?)"),
        ({"model_name": "BERT"}, "model_name: there is no model 'BERT' (one of FastText, TextCNN"),
        ({"model_name": "HMCN", "HMCN__global2local": [0, 4]}, "HMCN.global2local: has 1 levels, and HMCN"),
        ({"model_name": "HMCN", "HMCN__hierarchical_depth": [0]}, "HMCN.hierarchical_depth: names no level"),
        (
            {"model_name": "HMCN", "HMCN__hierarchical_depth": 4},
            "HMCN.hierarchical_depth: must be a list of integers, not 4",
        ),
        ({"model_name": None}, "model_name: this key is missing"),
        ({"model_name": 3}, "model_name: must be a string, not 3"),
        (
            {"task_info__label_type": "multilabel"},
            "task_info.label_type: there is no 'multilabel' (did you mean 'multi_label'?)",
        ),
        ({"train__loss_type": "BCE"}, "train.loss_type: there is no 'BCE'"),
        ({"optimizer__optimizer_type": "SGD"}, "optimizer.optimizer_type: there is no 'SGD'"),
        ({"embedding__initializer": "zeros"}, "embedding.initializer: there is no 'zeros'"),
        ({"train__batch_size": "64"}, "train.batch_size: must be an integer, not '64'"),
        ({"train__batch_size": True}, "train.batch_size: must be an integer, not true"),
        ({"train__hidden_layer_dropout": "x"}, "train.hidden_layer_dropout: must be a number, not 'x'"),
        ({"task_info__hierarchical": "yes"}, "task_info.hierarchical: must be true or false, not 'yes'"),
        ({"TextCNN__kernel_sizes": 3}, "TextCNN.kernel_sizes: must be a list of integers, not 3"),
        ({"data__train_json_files": []}, "data.train_json_files: names no training documents"),
        ({"data__train_json_files": [1]}, "data.train_json_files: must be a list of strings"),
        ({"feature__feature_names": ["tokens"]}, "feature.feature_names: there is no 'tokens' (did you mean"),
        ({"model_name": "FastText", "feature__feature_names": ["char"]}, "FastText reads tokens"),
        ({"train__visible_device_list": "all"}, "train.visible_device_list: must be numbers of GPUs"),
        ({"device": "gpu"}, "device: there is no 'gpu'"),
        ({"train": 3}, "train: must be an object, not 3"),
    ],
    ids=lambda value: value[:40].replace(" ", "_") if isinstance(value, str) else "",
)
def test_wrong_values_are_one_clear_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        convert(old(**changes))
    assert message in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_value_that_the_native_config_refuses_is_told_with_the_old_key(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_text(json.dumps(old(train__batch_size=0)), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        Config.load(path)
    expected = f"{path}: train.batch_size, here training.batch_size: must be at least 1, not 0"
    assert str(caught.value) == expected


def test_a_file_with_little_in_it_gets_the_defaults() -> None:
    conversion = convert({"model_name": "TextRNN", "data": {"train_json_files": "t.json"}})
    config = Config.build(conversion.config)
    assert config.task.type == "multilabel"
    assert config.training.epochs == 50
    assert [r.key for r in conversion.rows] == ["model_name", "data.train_json_files"]


def test_loading_takes_settings_with_native_keys_and_tells_what_became(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_text(json.dumps(OLD), encoding="utf-8")
    heard: list[Conversion] = []
    config = Config.load(path, ["training.epochs=2", "run.dir=here"], converted=heard.append)
    assert (config.training.epochs, config.run.dir) == (2, "here")
    assert len(heard) == 1
    assert Config.build_with(OLD, ["training.epochs=2", "run.dir=here"]) == config
    with pytest.raises(ConfigError, match="--set: expected KEY=VALUE"):
        Config.load(path, ["epochs"])


def test_an_error_names_the_old_key_from_a_file_and_from_a_dictionary(tmp_path: Path) -> None:
    value, path = old(train__batch_size=-3), tmp_path / "old.json"
    path.write_text(json.dumps(value), encoding="utf-8")
    told = "train.batch_size, here training.batch_size: "
    with pytest.raises(ConfigError) as caught:
        Config.build_with(value, [])
    assert str(caught.value).startswith(told)
    with pytest.raises(ConfigError) as caught:
        Config.load(path)
    assert str(caught.value).startswith(f"{path}: {told}")


def test_limits_that_are_not_kept_are_warned_of() -> None:
    ngrams, letters = "feature.max_token_ngram_dict_size", "feature.max_char_len_per_token"
    given = {"feature__token_ngram": 2, "feature__max_token_ngram_dict_size": 1000}
    warned = convert(old(model_name="FastText", feature__max_char_len_per_token=4, **given)).warnings
    assert [w for w in warned if w.startswith(ngrams)] == [
        f"{ngrams}: is not kept: n-grams are limited by input.ngram.min_count alone"
    ]
    assert [w for w in warned if w.startswith(letters)] == [
        f"{letters}: is not kept: no model read the characters of a token, there or here"
    ]
    plain = old()
    for key in ("max_token_ngram_dict_size", "max_char_len_per_token"):
        plain["feature"].pop(key, None)
    assert not any(w.startswith((ngrams, letters)) for w in convert(plain).warnings)
