"""``linnaea grow`` through the command line: the plan, the new run folder, the untouched old one, bad calls."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from linnaea.errors import InterruptedRun

from .conftest import WORDS, Outcome, write_lines

Call = Callable[..., Outcome]

NEW = "Root\tanimals\tflora\tpets\nanimals\tdogs\tbirds\nflora\ttrees\npets\tcats\n"
BIRDS = "meow leaf garden fetch"  # words of others, so that the vocabulary knows them
TUNED = ["--set", "decision.threshold.type=per_category"]
CATEGORIES = ["--set", 'training.strategy={"type":"per_category","executor":"local","workers":1}']
GROW = ["--taxonomy", "new.tsv", "--data", "more.jsonl", "--rename", "plants=flora"]


def more(count: int = 30, **fields: Any) -> list[dict[str, Any]]:
    rng = np.random.default_rng(5)
    kinds = [("animals--birds", BIRDS), ("pets--cats", WORDS["animals--cats"])]
    rows = []
    for i in range(count):
        label, words = kinds[i % 2]
        text = " ".join(rng.choice(words.split(), 6))
        rows.append({"id": f"n{i}", "text": text, "doc_label": [label], **fields})
    return rows


@pytest.fixture
def place(corpus: Path) -> Path:
    (corpus / "new.tsv").write_text(NEW)
    write_lines(corpus / "more.jsonl", more())
    return corpus


def train(linnaea: Call, config: str, *settings: str) -> None:
    outcome = linnaea("train", config, *settings)
    assert outcome.code == 0, outcome.err


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def thresholds(run: Path) -> dict[str, float | None]:
    return dict(json.loads((run / "model" / "decision.json").read_text())["thresholds"])


@pytest.mark.parametrize(
    ("config", "settings"),
    [("textcnn.json", TUNED), ("linear.json", []), ("textcnn.json", CATEGORIES)],
    ids=["joint", "linear", "categories"],
)
def test_the_whole_way(place: Path, linnaea: Call, config: str, settings: list[str]) -> None:
    train(linnaea, config, *settings)
    before = hashes(place / "run")
    dry = linnaea("grow", "run", *GROW, "--dry-run")
    assert dry.code == 0, dry.err
    for line in (
        "added:        2  pets, birds",
        "moved:        1  cats (animals -> pets)",
        "plants -> flora",
    ):
        assert line in dry.out
    assert "fit birds: added, 15 documents" in dry.out
    assert not (place / "run-grown").exists()
    plan = linnaea("grow", "run", *GROW, "--dry-run", "--json").json()["plan"]
    assert [row["id"] for row in plan["fitted"]] == ["pets", "birds", "cats"]
    outcome = linnaea("grow", "run", *GROW, "--json")
    assert outcome.code == 0, outcome.err
    value = outcome.json()
    assert value["plan"] == plan
    new = place / "run-grown"
    assert value["metrics"] == json.loads((new / "metrics.json").read_text())
    assert value["metrics"]["split"] == "test"
    beside = value["metrics"].get("baseline", {})
    assert ("difference" in beside) == (config != "linear.json"), beside
    assert hashes(place / "run") == before, "the old run is never touched"
    was, now = thresholds(place / "run"), thresholds(new)
    assert {id: now[id] for id in ("animals", "dogs", "trees")} == {
        id: was[id] for id in ("animals", "dogs", "trees")
    }
    assert now["flora"] == was["plants"]
    assert set(now) == {"animals", "flora", "pets", "dogs", "birds", "trees", "cats"}
    featurizers = [(run / "model" / "input" / "token.json").read_bytes() for run in (place / "run", new)]
    assert featurizers[0] == featurizers[1]
    again = linnaea("grow", "run", *GROW, "--out", "elsewhere").err if config == "linear.json" else ""
    assert again.count("report: ") == (config == "linear.json")
    page = (new / "report.html").read_text()
    assert "linnaea grow" in page and "--rename plants=flora" in page and "linnaea train" not in page
    assert "This run was grown from run (linnaea grow): taxonomy new.tsv, new documents more.jsonl." in page
    assert "Fitted again: pets, birds, cats; nothing else was trained." in page
    predicted = linnaea("predict", new, "test.jsonl")
    assert predicted.code == 0 and predicted.out.count("\n") == 40
    again = linnaea("grow", "run", *GROW, "--resume")
    assert again.code == 0, again.err
    assert "this run is finished" in again.err
    measured = (new / "metrics.json").read_text()
    (new / "metrics.json").write_text('{"micro": "x"}')
    refused = linnaea("grow", "run", *GROW, "--resume")
    hint = "remove metrics.json, then: linnaea grow ... --resume, with all that it was called with"
    assert (refused.code, refused.out) == (3, "") and hint in refused.err
    if config == "linear.json":  # as it says
        (new / "metrics.json").unlink()
        assert linnaea("grow", "run", *GROW, "--resume").code == 0
        assert (new / "metrics.json").read_text() == measured


def test_a_damaged_run_cannot_grow(place: Path, linnaea: Call) -> None:
    train(linnaea, "linear.json")
    assert linnaea("grow", "run", *GROW, "--out", "new").code == 0
    record = json.loads((place / "new" / "growth.json").read_text())
    again = "(grow the older model once more: linnaea grow ... --overwrite)"
    for change, told in (
        ({"generations": "x"}, 'generations must be a list, not "x"'),
        ({"generations": [1]}, "generations[0] must be an object, not 1"),
        ({"model": "x"}, 'model must be an object, not "x"'),
    ):
        (place / "new" / "growth.json").write_text(json.dumps(record | change))
        for call in (["new", "--taxonomy", "taxonomy.tsv"], ["run", *GROW, "--out", "new", "--resume"]):
            refused = linnaea("grow", *call)
            assert (refused.code, refused.out) == (3, "")
            assert refused.err == f"error: new/growth.json: {told} {again}\n"
    assert linnaea("grow", "run", *GROW, "--out", "new", "--overwrite").code == 0
    config = json.loads((place / "run" / "config.json").read_text())
    for change, told in (
        ({"training": {"strategy": 3}}, 'training.strategy: must be an object with a "type", not 3'),
        ({"foo": 1}, "foo: unknown key"),
    ):
        (place / "run" / "config.json").write_text(json.dumps(config | change))
        refused = linnaea("grow", "run", *GROW, "--dry-run")
        assert refused.code == 2 and refused.err.startswith(f"error: run/config.json: {told}")


def test_joint_weights_stay(place: Path, linnaea: Call) -> None:
    train(linnaea, "textcnn.json", *TUNED)
    assert linnaea("grow", "run", *GROW, "--out", "new").code == 0
    old, new = (load_file(place / run / "model" / "weights.safetensors") for run in ("run", "new"))
    for name, tensor in old.items():
        if not name.startswith("head."):
            assert (new[name] == tensor).all()
    ids = [c["id"] for c in json.loads((place / "new" / "model" / "taxonomy.json").read_text())["categories"]]
    was = [c["id"] for c in json.loads((place / "run" / "model" / "taxonomy.json").read_text())["categories"]]
    for id, before in (("animals", "animals"), ("dogs", "dogs"), ("flora", "plants"), ("trees", "trees")):
        name = "head.linear.weight"
        assert (new[name][ids.index(id)] == old[name][was.index(before)]).all()


def test_a_grown_model_grows_again(place: Path, linnaea: Call) -> None:
    train(linnaea, "textcnn.json", *CATEGORIES)
    assert linnaea("grow", "run", *GROW, "--out", "second").code == 0
    (place / "third.tsv").write_text("Root\tfauna\tflora\nfauna\tdogs\tbirds\tcats\nflora\ttrees\tmoss\n")
    write_lines(
        place / "moss.jsonl",
        [{"id": f"m{i}", "text": "soil water oak green", "doc_label": ["flora--moss"]} for i in range(10)],
    )
    call = ["second", "--taxonomy", "third.tsv", "--data", "moss.jsonl", "--rename", "animals=fauna"]
    outcome = linnaea("grow", *call, "--out", "third", "--json")
    assert outcome.code == 0, outcome.err
    plan = outcome.json()["plan"]
    assert [row["id"] for row in plan["fitted"]] == ["cats", "moss"]
    assert plan["removed"] == ["pets"]
    documents = {row["id"]: row["documents"] for row in plan["fitted"]}
    # The baseline learned from all generations too, each under the labels of its time.
    card = json.loads((place / "third" / "baseline" / "model" / "model.json").read_text())
    own = json.loads((place / "third" / "model" / "model.json").read_text())
    for count in ("train_documents", "dev_documents"):
        assert card["facts"][count] == own["facts"][count]
    record = json.loads((place / "third" / "growth.json").read_text())
    assert len(record["generations"]) == 3
    lines = [json.loads(line) for line in (place / "train.jsonl").read_text().splitlines()]
    assert documents["cats"] == sum("animals--cats" in row["doc_label"] for row in lines) + 15
    rows = json.loads((place / "third" / "categories.json").read_text())["categories"]
    assert {row["id"]: row.get("kept", False) for row in rows} == {
        "fauna": True, "flora": True, "dogs": True, "birds": True, "trees": True, "cats": False, "moss": False,
    }  # fmt: skip
    # From whom they began, under the names of today.
    assert {row["id"]: row["parent"] for row in rows} == {
        "fauna": None, "flora": None, "dogs": "fauna", "birds": "fauna", "trees": "flora", "cats": "fauna",
        "moss": "flora",
    }  # fmt: skip


def test_weights_from_another_run_are_kept(
    place: Path, linnaea: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run goes on, and the model grows, when the run that the weights came from is gone."""
    searched = ["--set", CATEGORIES[1][:-1] + ',"search":"weights","class_weights":[1,6]}']
    train(linnaea, "textcnn.json", *searched, "--set", "run.dir=first", "--set", "training.epochs=1")
    rows = json.loads((place / "first" / "categories.json").read_text())["categories"]
    weights = {row["id"]: row["weight"] for row in rows}
    taken = ["--set", "objective.class_weights=from first"]
    with monkeypatch.context() as broken:
        broken.setattr("linnaea.commands.fitting.save", _stop)
        assert linnaea("train", "textcnn.json", *taken).code == 130
    shutil.rmtree(place / "first")
    other = linnaea("train", "textcnn.json", "--resume", "--set", "objective.class_weights=from other")
    assert other.code == 2 and "differs from the run's own config in: objective" in other.err
    train(linnaea, "textcnn.json", *taken, "--resume")
    assert (
        json.loads((place / "run" / "config.json").read_text())["objective"]["class_weights"] == "from first"
    )
    saved = json.loads((place / "run" / "model" / "model.json").read_text())["config"]
    assert saved["objective"]["class_weights"] == weights
    outcome = linnaea("grow", "run", *GROW)
    assert outcome.code == 0, outcome.err
    weights["flora"] = weights.pop("plants")
    grown = json.loads((place / "run-grown" / "config.json").read_text())
    assert grown["objective"]["class_weights"] == weights
    (place / "run" / "model").rename(place / "model")
    files = ["--train", "train.jsonl", "--dev", "dev.jsonl"]
    assert linnaea("grow", "model", *GROW, *files, "--dry-run").code == 0, "the model alone has them"


def _stop(*_: Any) -> None:
    raise InterruptedRun("stopped")


def test_a_model_folder_is_told_its_documents(place: Path, linnaea: Call) -> None:
    train(linnaea, "textcnn.json")
    (place / "run" / "model").rename(place / "model")
    refused = linnaea("grow", "model", *GROW)
    assert refused.code == 2
    assert "the documents that it was trained on are not known" in refused.err
    assert refused.err.count("\n") == 1
    files = ["--train", "train.jsonl", "--dev", "dev.jsonl", "--test", "test.jsonl"]
    outcome = linnaea("grow", "model", *GROW, *files)
    assert outcome.code == 0, outcome.err
    assert (place / "model-grown" / "metrics.json").exists()


def test_dev_is_split_off_again(place: Path, linnaea: Call) -> None:
    train(linnaea, "textcnn.json", *TUNED, "--set", "data.dev=null")
    refused = linnaea("grow", "run", *GROW, "--dev-data", "dev.jsonl")
    assert refused.code == 2 and "put these documents into --data" in refused.err
    outcome = linnaea("grow", "run", *GROW)
    assert outcome.code == 0, outcome.err
    assert "no dev documents" not in outcome.err
    facts = [
        json.loads((place / run / "model" / "model.json").read_text())["facts"]
        for run in ("run", "run-grown")
    ]
    assert facts[1]["dev_documents"] - facts[0]["dev_documents"] in (2, 3, 4), "a tenth of the new ones"
    total = sum(fact["train_documents"] + fact["dev_documents"] for fact in facts)
    assert total == 160 + 190
    write_lines(place / "few.jsonl", more(1))
    told = linnaea("grow", "run", *GROW[:2], "--data", "few.jsonl", *GROW[4:], "--dry-run")
    assert "(more documents in --data)" in told.err


def test_dev_documents_for_what_is_new(place: Path, linnaea: Call) -> None:
    train(linnaea, "textcnn.json", *TUNED)
    write_lines(place / "more-dev.jsonl", more(10))
    told = linnaea("grow", "run", *GROW, "--dry-run")
    assert "warning: no dev documents for birds: " in told.err, "pets have those of cats"
    told = linnaea("grow", "run", *GROW, "--dev-data", "more-dev.jsonl", "--dry-run")
    assert "no dev documents" not in told.err


def test_nothing_to_do(place: Path, linnaea: Call) -> None:
    train(linnaea, "fasttext.json")
    outcome = linnaea("grow", "run", "--taxonomy", "taxonomy.tsv")
    assert outcome.code == 0
    assert "nothing to do" in outcome.err
    write_lines(place / "same.jsonl", [{"id": "s", "text": "purr", "doc_label": ["cats"]}])
    outcome = linnaea("grow", "run", "--taxonomy", "taxonomy.tsv", "--data", "same.jsonl")
    assert outcome.code == 0, outcome.err
    assert "nothing to do: no category changes" in outcome.err
    assert not (place / "run-grown").exists()


def test_only_names(place: Path, linnaea: Call) -> None:
    train(linnaea, "fasttext.json")
    (place / "new.tsv").write_text("Root\tanimals\tflora\nanimals\tcats\tdogs\nflora\ttrees\n")
    outcome = linnaea("grow", "run", "--taxonomy", "new.tsv", "--rename", "plants=flora")
    assert outcome.code == 0, outcome.err
    assert "to train: nothing" in outcome.err
    assert thresholds(place / "run-grown").keys() == {"animals", "flora", "cats", "dogs", "trees"}
    metrics = [
        json.loads((place / run / "metrics.json").read_text())["micro"] for run in ("run", "run-grown")
    ]
    assert metrics[0] == metrics[1]


def test_a_stopped_run_is_resumed(place: Path, linnaea: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    from linnaea.strategies.percategory.category import CategoryWork

    train(linnaea, "textcnn.json", *CATEGORIES)
    fit, fitted = CategoryWork.fit, []

    def stopping(self: CategoryWork, column: int, beginning: Any) -> Any:
        if len(fitted) == 1:
            raise InterruptedRun("stopped")
        fitted.append(column)
        return fit(self, column, beginning)

    monkeypatch.setattr(CategoryWork, "fit", stopping)
    stopped = linnaea("grow", "run", *GROW)
    assert stopped.code == 130
    assert "--resume goes on" in stopped.err
    ordinary = linnaea("train", "run-grown/config.json", "--resume")
    assert ordinary.code == 2
    assert "this run is of `linnaea grow`, and not finished" in ordinary.err
    other = linnaea("grow", "run", *GROW, "--descendants", "--resume")
    assert other.code == 2 and "differs from what the run began with in: descendants" in other.err
    counted: list[int] = []
    monkeypatch.setattr(
        CategoryWork, "fit", lambda self, column, start: (counted.append(column), fit(self, column, start))[1]
    )
    outcome = linnaea("grow", "run", *GROW, "--resume")
    assert outcome.code == 0, outcome.err
    assert len(counted) == 2 and not set(counted) & set(fitted)


BAD: dict[str, tuple[list[str], int, str]] = {
    "no taxonomy": (["--data", "more.jsonl"], 2, "--taxonomy"),
    "missing taxonomy": (["--taxonomy", "nowhere.tsv"], 3, "nowhere.tsv: no such file"),
    "cycle": (["--taxonomy", "cycle.tsv"], 3, "cycle: "),
    "unknown old id": ([*GROW[:4], "--rename", "plant=flora"], 2, "the model has no category 'plant'"),
    "unknown new id": ([*GROW[:4], "--rename", "plants=floral"], 2, "no category 'floral'"),
    "two to one": ([*GROW, "--rename", "trees=flora"], 2, "cannot both become 'flora'"),
    "onto one that is there": ([*GROW[:4], "--rename", "plants=dogs"], 2, "cannot become 'dogs'"),
    "no equals sign": ([*GROW[:4], "--rename", "plants"], 2, "expected OLD=NEW"),
    "missing data": ([*GROW[:2], "--data", "nowhere.jsonl"], 3, "nowhere.jsonl: no such file"),
    "id in train": (
        [*GROW[:2], "--data", "twice.jsonl", *GROW[4:]],
        3,
        "twice.jsonl:1: the id 'd3' stands at",
    ),
    "old label": ([*GROW[:2], "--data", "old.jsonl", *GROW[4:]], 3, "old.jsonl:1: unknown label 'plants'"),
    "train again": (
        [*GROW[:2], "--data", "train.jsonl", *GROW[4:]],
        2,
        "is among the documents of train already",
    ),
    "standard input": ([*GROW[:2], "--data", "-", *GROW[4:]], 2, "standard input"),
    "onto itself": ([*GROW, "--out", "run", "--overwrite"], 2, "the model that grows lies there"),
    "inside": ([*GROW, "--out", "run/model/new"], 2, "the model that grows lies there"),
    "exists": ([*GROW, "--out", "full"], 2, "full: exists already"),
    "nothing to resume": ([*GROW, "--resume"], 2, "nothing to resume here"),
    "both": ([*GROW, "--resume", "--overwrite"], 2, "exclude each other"),
    "train-all": ([*GROW, "--train-all"], 2, "--train-all: acts on one network for all categories only"),
    "dev alone": ([*GROW, "--dev", "dev.jsonl"], 2, "needs the documents of train, too"),
    "format": ([*GROW, "--taxonomy-format", "edgy"], 2, "unknown taxonomy format 'edgy'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_calls(case: str, place: Path, linnaea: Call) -> None:
    arguments, code, message = BAD[case]
    train(linnaea, "linear.json", "--set", 'decision.threshold={"type":"fixed"}')
    (place / "cycle.tsv").write_text("Root\tanimals\nanimals\tcats\ncats\tdogs\ndogs\tcats\n")
    write_lines(place / "twice.jsonl", more(1, id="d3"))
    write_lines(place / "old.jsonl", more(1, doc_label=["plants"]))
    (place / "full").mkdir()
    (place / "full" / "mine.txt").write_text("mine")
    before = hashes(place)
    outcome = linnaea("grow", "run", *arguments)
    assert outcome.code == code, outcome.err
    errors = [line for line in outcome.err.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert message in errors[0]
    assert hashes(place) == before, "nothing was written"


@pytest.mark.parametrize("model", ["nowhere", "empty"])
def test_no_model(place: Path, linnaea: Call, model: str) -> None:
    (place / "empty").mkdir()
    outcome = linnaea("grow", model, *GROW)
    assert outcome.code == 3
    assert outcome.err.startswith(f"error: {model}: ")


def test_a_pretrained_transformer(place: Path, linnaea: Call) -> None:
    pytest.importorskip("transformers")
    from tests.tiny_bert import make_folder

    bert = make_folder(place / "bert", " ".join([*WORDS.values(), BIRDS]).split())
    config = json.loads((place / "textcnn.json").read_text())
    config["model"] = {"encoder": {"type": "pretrained", "path": "bert", "learning_rate": 0.005}}
    config["training"]["epochs"] = 2
    (place / "bert.json").write_text(json.dumps(config))
    train(linnaea, "bert.json")
    outcome = linnaea("grow", "run", *GROW)
    assert outcome.code == 0, outcome.err
    old, new = (load_file(place / run / "model" / "weights.safetensors") for run in ("run", "run-grown"))
    assert all((new[name] == tensor).all() for name, tensor in old.items() if not name.startswith("head."))
    bert.rename(place / "gone")
    lost = linnaea("grow", "run", *GROW, "--out", "third")
    assert lost.code in (2, 3) and lost.err.count("error:") == 1
