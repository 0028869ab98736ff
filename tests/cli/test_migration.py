"""Configs and files of NeuralClassifier through the command line: train, convert, check."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from linnaea.config.config import Config
from tests.cli.conftest import Outcome
from tests.references.neuralclassifier import evaluated

Call = Callable[..., Outcome]

TAXONOMY = "Root\tanimals\tplants\nanimals\tcats\tdogs\nplants\ttrees\n"
WORDS = {
    "animals--cats": "purr meow whiskers kitten claws",
    "animals--dogs": "bark wag fetch puppy leash",
    "plants--trees": "oak leaf branch shade root",
}
MODELS = [
    "FastText", "TextCNN", "TextRNN", "TextRCNN", "DRNN", "TextVDCNN", "VDCNN", "DPCNN", "AttentiveConvNet",
    "Transformer", "RegionEmbedding", "HMCN",
]  # fmt: skip


def config(**changes: Any) -> dict[str, Any]:
    value: dict[str, Any] = {
        "task_info": {
            "label_type": "multi_label",
            "hierarchical": True,
            "hierar_taxonomy": "data/t.taxonomy",
            "hierar_penalty": 0.000001,
        },
        "device": "cuda",
        "model_name": "FastText",
        "checkpoint_dir": "checkpoints",
        "model_dir": "trained",
        "data": {
            "train_json_files": ["data/train.json"],
            "validate_json_files": ["data/dev.json"],
            "test_json_files": ["data/test.json"],
            "generate_dict_using_all_json_files": True,
            "num_worker": 0,
        },
        "feature": {"feature_names": ["token"], "min_token_count": 1, "max_token_len": 32},
        "train": {"batch_size": 16, "num_epochs": 15, "sampler": "fixed", "loss_type": "BCEWithLogitsLoss"},
        "embedding": {"dimension": 16, "initializer": "uniform", "uniform_bound": 0.25},
        "optimizer": {"optimizer_type": "Adam", "learning_rate": 0.03},
        "eval": {"threshold": 0.5, "top_k": 100, "is_flat": True},
        "TextCNN": {"kernel_sizes": [2, 3], "num_kernels": 8, "top_k_max_pooling": 1},
    }
    return {**value, **changes}


def lines(style: str, count: int, seed: int) -> str:
    """Documents with their deepest path, or with all categories by bare name."""
    draw, rows = random.Random(seed), []
    for _ in range(count):
        label = draw.choice(list(WORDS))
        labels = [label] if style == "paths" else label.split("--")
        rows.append({"doc_label": labels, "doc_token": draw.choices(WORDS[label].split(), k=6)})
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture(params=["paths", "names"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as the old tool had it, in both label styles; it is the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "t.taxonomy").write_text(TAXONOMY, encoding="utf-8")
    for name, count, seed in (("train", 120, 1), ("dev", 30, 2), ("test", 30, 3)):
        text = lines(request.param, count, seed)
        (tmp_path / "data" / f"{name}.json").write_text(text, encoding="utf-8")
    write(tmp_path, config())
    return tmp_path


def write(place: Path, value: Any, name: str = "old.json") -> Path:
    path = place / name
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def test_train_takes_an_old_config_and_counts_as_the_old_evaluator(place: Path, linnaea: Call) -> None:
    outcome = linnaea("train", "old.json", "--json")
    assert outcome.code == 0, outcome.err
    assert "model_name" in outcome.err
    assert "model.encoder = fasttext" in outcome.err
    assert "warning: train.sampler: never did anything" in outcome.err
    assert "warning: data.generate_dict_using_all_json_files: is not kept" in outcome.err
    metrics = outcome.json()
    rows = [json.loads(line) for line in (place / "checkpoints" / "predictions.jsonl").open()]
    written = [
        json.loads(line)["doc_label"]
        for name in ("train", "test")
        for line in (place / f"data/{name}.json").open()
    ]
    dictionary = sorted({label.rpartition("--")[2] for labels in written for label in labels})
    chosen = [{category["id"] for category in row["categories"]} for row in rows]
    gold = [set(row["gold"]) for row in rows]
    assert gold == [{x.rpartition("--")[2] for x in labels} for labels in written[120:]]
    expected = evaluated(chosen, gold, dictionary)
    assert metrics["further"]["neuralclassifier"] == pytest.approx(expected, abs=1e-9)
    assert expected["micro_f1"] > 0.9


def test_a_flat_old_config_trains(place: Path, linnaea: Call) -> None:
    task = {"label_type": "multi_label", "hierarchical": False, "hierar_taxonomy": "data/t.taxonomy"}
    write(place, config(task_info=task))
    outcome = linnaea("train", "old.json", "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.json()["further"]["neuralclassifier"]["micro_f1"] > 0.9


def test_single_labels_of_paths_get_one_category_each(place: Path, linnaea: Call) -> None:
    for name, count, seed in (("train", 120, 1), ("dev", 30, 2), ("test", 30, 3)):
        (place / "data" / f"{name}.json").write_text(lines("paths", count, seed), encoding="utf-8")
    write(place, config(task_info={**config()["task_info"], "label_type": "single_label"}))
    outcome = linnaea("train", "old.json", "--json")
    assert outcome.code == 0, outcome.err
    counted = outcome.json()["further"]["neuralclassifier"]
    assert (counted["decided"], counted["gold"]) == (30, 30)
    assert counted["micro_f1"] > 0.9


def test_convert_writes_the_config_that_train_uses(place: Path, linnaea: Call) -> None:
    outcome = linnaea("convert", "old.json")
    assert outcome.code == 0, outcome.err
    native = write(place, outcome.json(), "native.json")
    assert Config.load(native) == Config.load(place / "old.json")
    assert "task.taxonomy = " in outcome.err
    assert "warning: train.sampler" in outcome.err
    again = linnaea("convert", "native.json")
    assert again.code == 2
    assert "is no config of NeuralClassifier (linnaea train takes it as it is)" in again.err


def test_convert_into_a_file_writes_paths_relative_to_it(place: Path, linnaea: Call) -> None:
    outcome = linnaea("convert", "old.json", "--output", "native.json")
    assert (outcome.code, outcome.out) == (0, "")
    value = json.loads((place / "native.json").read_text(encoding="utf-8"))
    assert value["task"]["taxonomy"] == "data/t.taxonomy"
    assert value["data"]["train"] == ["data/train.json"]
    assert Config.load(place / "native.json") == Config.load(place / "old.json")
    before = (place / "old.json").read_text(encoding="utf-8")
    outcome = linnaea("convert", "old.json", "--output", "old.json")
    assert (outcome.code, (place / "old.json").read_text(encoding="utf-8")) == (2, before)
    (place / "native.json").write_text("mine")
    refused = linnaea("convert", "old.json", "--output", "native.json")
    assert refused.code == 2
    assert "native.json: exists already (give --overwrite to replace it" in refused.err
    assert (place / "native.json").read_text() == "mine"
    assert linnaea("convert", "old.json", "--output", "native.json", "--overwrite").code == 0
    assert json.loads((place / "native.json").read_text(encoding="utf-8")) == value


def test_convert_as_json_gives_table_and_warnings(place: Path, linnaea: Call) -> None:
    outcome = linnaea("convert", "old.json", "--json")
    value = outcome.json()
    assert set(value) == {"config", "keys", "warnings"}
    keys = {row["key"]: row["became"] for row in value["keys"]}
    assert keys["train.num_epochs"] == "training.epochs = 15"
    assert keys["train.sampler"] == "-"
    assert any(warning.startswith("train.sampler") for warning in value["warnings"])
    assert outcome.err == ""


def test_check_reads_an_old_config_and_its_data(place: Path, linnaea: Call) -> None:
    outcome = linnaea("check", "old.json")
    assert outcome.code == 0, outcome.out
    assert "a config of NeuralClassifier" in outcome.out
    assert "model.encoder = fasttext" in outcome.out
    assert "note: train.sampler: never did anything" in outcome.out
    (place / "data" / "t.taxonomy").write_text(TAXONOMY.replace("\ttrees", "\tbushes"), encoding="utf-8")
    outcome = linnaea("check", "old.json")
    assert outcome.code == 3
    assert "trees" in outcome.out


@pytest.mark.parametrize("command", ["train", "convert"])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_name": "TextCNM"}, "model_name: there is no model 'TextCNM' (did you mean 'TextCNN'?)"),
        (
            {"model_name": "HMCN", "HMCN": {"global2local": [0, 2]}},
            "HMCN.global2local: has 1 levels, and HMCN",
        ),
        ({"optimizer": {"optimizer_type": "SGD"}}, "optimizer.optimizer_type: there is no 'SGD'"),
        ({"train": {"num_epochs": 0}}, "train.num_epochs, here training.epochs: must be at least 1, not 0"),
    ],
    ids=["model", "hmcn", "optimizer", "epochs"],
)
def test_what_cannot_be_is_one_line_and_exit_code_2(
    place: Path, linnaea: Call, command: str, changes: dict[str, Any], message: str
) -> None:
    write(place, config(**changes))
    outcome = linnaea(command, "old.json")
    assert outcome.code == 2
    assert f"error: old.json: {message}" in outcome.err.splitlines()[-1]
    assert not (place / "checkpoints").exists()


@pytest.mark.slow
@pytest.mark.corpora
@pytest.mark.parametrize("style", ["paths", "names"])
@pytest.mark.parametrize("name", MODELS)
def test_every_model_trains_on_files_of_the_old_tool(
    name: str, style: str, shared_data: Path, tmp_path: Path, linnaea: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One epoch on the first documents; the config lies elsewhere than the data, as its paths are."""
    folder, suffix = shared_data / "rcv1-sample" / "neuralclassifier", ".hierar" if style == "paths" else ""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "t.taxonomy").write_bytes((folder / "rcv1.taxonomy").read_bytes())
    for split in ("train", "dev", "test"):
        with (folder / f"{split}{suffix}.json").open(encoding="utf-8") as file:
            some = [next(file) for _ in range(96)]
        (tmp_path / "data" / f"{split}.json").write_text("".join(some), encoding="utf-8")
    (tmp_path / "conf").mkdir()
    write(tmp_path / "conf", config(model_name=name, eval={"threshold": 0.5, "top_k": 200}))
    outcome = linnaea("train", "conf/old.json", "--json", "--set", "training.epochs=1")
    assert outcome.code == 0, outcome.err
    counted = outcome.json()["further"]["neuralclassifier"]
    assert 0 < counted["labels"] <= 103
    assert counted["gold"] >= 96
    again = linnaea(
        "evaluate", "checkpoints", "data/test.json", "--json"
    )  # the model that was saved says the same
    assert again.code == 0, again.err
    assert again.json()["further"]["neuralclassifier"] == pytest.approx(counted, abs=1e-9)
