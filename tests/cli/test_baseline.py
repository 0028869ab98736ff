"""The linear baseline beside a run."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import linnaea as package
from linnaea.config.config import Config
from linnaea.files import read_json

from .conftest import write_lines

Call = Callable[..., "object"]


def test_it_is_the_linear_strategy_on_the_same_documents(corpus: Path, linnaea: Call) -> None:
    tuned = 'decision={"threshold": {"type": "per_category", "aim": "both"}, "decoding": "max"}'
    trained = linnaea("train", "fasttext.json", "--set", tuned, "--json")
    assert trained.code == 0, trained.err
    alone = linnaea("train", "linear.json", "--set", "run.dir=alone", "--json")
    found = trained.json()["baseline"]
    assert found["strategy"] == "linear"
    assert {key: found[key] for key in ("micro", "macro")} == {
        key: alone.json()[key] for key in ("micro", "macro")
    }
    assert read_json(corpus / "run" / "baseline" / "metrics.json") == alone.json()
    for name in ("micro_f1", "macro_f1"):
        difference, key = found["difference"][name], name.partition("_")[0]
        assert difference["value"] == pytest.approx(trained.json()[key]["f1"] - alone.json()[key]["f1"])
        low, high = difference["interval"]
        assert low <= difference["value"] <= high
    # It is a run like any other.
    assert linnaea("evaluate", "run/baseline", "test.jsonl").code == 0


def test_without_test_documents_it_learns_from_train_alone_and_is_measured_on_dev(
    corpus: Path, linnaea: Call
) -> None:
    value = json.loads((corpus / "fasttext.json").read_text())
    del value["data"]["test"]
    (corpus / "c.json").write_text(json.dumps(value))
    trained = linnaea("train", "c.json", "--json")
    assert trained.code == 0, trained.err
    assert trained.json()["split"] == "dev"
    beside = read_json(corpus / "run" / "baseline" / "metrics.json")
    assert (beside["split"], beside["documents"]) == ("dev", 40)
    model = read_json(corpus / "run" / "baseline" / "model" / "model.json")
    assert (model["facts"]["fitted_documents"], model["facts"]["dev_documents"]) == (160, 0)


def test_out_of_fold_scores_are_held_against_its_own(corpus: Path, linnaea: Call) -> None:
    value = json.loads((corpus / "fasttext.json").read_text())
    del value["data"]["test"]
    value["decision"] = {"threshold": {"type": "global", "on": "cross", "folds": 2}}
    value["training"]["epochs"] = 2
    (corpus / "c.json").write_text(json.dumps(value))
    trained = linnaea("train", "c.json", "--json")
    assert trained.code == 0, trained.err
    assert trained.json()["split"] == "cross"
    assert read_json(corpus / "run" / "baseline" / "metrics.json")["documents"] == 200
    assert trained.json()["baseline"]["difference"]["micro_f1"]["interval"]


@pytest.mark.parametrize(
    ("read", "features"),
    [
        ({"features": ["char"]}, ["token", "ngram"]),
        ({"features": ["token", "ngram", "keyword"]}, ["token", "ngram", "keyword"]),
        (
            {"tokenizer": "whitespace", "max_tokens": 5, "vocabulary": {"lowercase": False, "max_size": 9}},
            ["token", "ngram"],
        ),
    ],
)
def test_what_it_reads(read: dict, features: list[str], tmp_path: Path) -> None:
    from linnaea.commands.beside import linear_beside
    from linnaea.run_folder import RunFolder

    encoder = "textcnn" if read.get("features") in (None, ["char"]) else "fasttext"
    config = Config.build({"data": {"train": "t.jsonl"}, "input": read, "model": {"encoder": encoder}})
    beside = linear_beside(config, RunFolder(tmp_path))
    assert beside.input.features == features
    assert beside.input.max_tokens is None
    assert beside.input.vocabulary.max_size > 9, "the network's limit is not the baseline's"
    assert beside.input.vocabulary.lowercase == config.input.vocabulary.lowercase
    if "tokenizer" in read:
        assert beside.input.tokenizer == config.input.tokenizer
    assert (beside.evaluation.baseline, beside.training.strategy.type) == (None, "linear")


def test_it_can_be_left_out(corpus: Path, linnaea: Call) -> None:
    trained = linnaea("train", "fasttext.json", "--set", "evaluation.baseline=null", "--json")
    assert trained.code == 0
    assert "baseline" not in trained.json()
    assert not (corpus / "run" / "baseline").exists()


def test_the_linear_strategy_has_none(corpus: Path, linnaea: Call) -> None:
    told = linnaea("train", "linear.json", "--set", "evaluation.baseline=linear")
    assert told.code == 2
    assert "evaluation.baseline: does nothing under the strategy 'linear'" in told.err


@pytest.mark.parametrize("left", ["nothing", "half", "whole"])
def test_a_run_that_goes_on_makes_it_again(left: str, corpus: Path, linnaea: Call) -> None:
    """What a killed run left of it may be half written, or of other documents."""
    first = linnaea("train", "fasttext.json", "--json")
    run = corpus / "run"
    (run / "metrics.json").unlink()
    if left == "nothing":
        shutil.rmtree(run / "baseline")
    elif left == "half":
        shutil.rmtree(run / "baseline")
        (run / "baseline").mkdir()
        (run / "baseline" / ".config.json.x1.tmp").write_text("{")
    again = linnaea("train", "fasttext.json", "--resume", "--json")
    assert again.code == 0, again.err
    assert again.json() == first.json()
    assert (run / "report.html").exists()


def failed(outcome: Any, why: str, corpus: Path) -> None:
    """The run is whole, and says what is missing."""
    assert outcome.code == 0, outcome.err
    assert f"warning: no baseline stands beside this run: {why}" in outcome.err
    assert why in read_json(corpus / "run" / "metrics.json")["baseline"]["missing"]
    assert why in (corpus / "run" / "report.html").read_text()


def test_documents_from_standard_input_cannot_be_read_twice(
    corpus: Path, linnaea: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO((corpus / "train.jsonl").read_bytes())))
    outcome = linnaea("train", "fasttext.json", "--set", "data.train=-")
    failed(outcome, "standard input cannot be read a second time", corpus)


def test_what_goes_wrong_in_it_leaves_the_run_alone(
    corpus: Path, linnaea: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("linnaea.commands.beside.MOST", 0)
    tried = linnaea("train", "fasttext.json", "--set", "training.epochs=1")
    assert "some" in tried.err and "minutes" in tried.err
    failed(tried, "", corpus)

    def out_of_memory(*_: Any, **__: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr("linnaea.commands.beside.linear_beside", out_of_memory)
    failed(linnaea("train", "fasttext.json", "--overwrite"), "not enough memory", corpus)


@pytest.mark.parametrize("part", ["fit", "compare_outcomes"])
def test_whatever_goes_wrong_nothing_of_it_is_shown(
    part: str, corpus: Path, linnaea: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any, **__: Any) -> Any:
        raise RuntimeError("a worker\nwas killed")

    monkeypatch.setattr(f"linnaea.commands.beside.{part}", killed)
    failed(linnaea("train", "fasttext.json"), "RuntimeError: a worker was killed", corpus)
    assert not (corpus / "run" / "baseline").exists()


def test_documents_without_words(corpus: Path, linnaea: Call) -> None:
    rows = [json.loads(line) | {"text": "", "doc_keyword": ["k"]} for line in (corpus / "train.jsonl").open()]
    write_lines(corpus / "train.jsonl", rows)
    failed(linnaea("train", "fasttext.json"), "no training document holds a feature", corpus)


def test_promises_without_test_documents(corpus: Path, linnaea: Call) -> None:
    value = json.loads((corpus / "fasttext.json").read_text())
    del value["data"]["test"]
    value["decision"] = {"threshold": {"type": "cautious", "error": 0.4}}
    (corpus / "c.json").write_text(json.dumps(value))
    trained = linnaea("train", "c.json", "--json")
    assert trained.code == 0, trained.err
    assert trained.json()["baseline"]["difference"]


def test_single_labels_without_test_documents(corpus: Path, linnaea: Call) -> None:
    """Nothing is tuned there: linear is scored out of fold to be measured, and so is the baseline."""
    rows = [{"text": "even" if i % 2 else "odd", "labels": ["a" if i % 2 else "b"]} for i in range(60)]
    write_lines(corpus / "flat.jsonl", rows)
    write_lines(corpus / "flatdev.jsonl", rows[:20])
    for preset in ("fast", "balanced"):
        made = {
            "task": {"type": "multiclass"},
            "data": {"train": "flat.jsonl", "dev": "flatdev.jsonl"},
            "run": {"dir": preset},
        }
        members = [{"training": {"strategy": "linear"}}]
        made["training"] = {
            "strategy": "linear" if preset == "fast" else {"type": "ensemble", "members": members}
        }
        (corpus / "m.json").write_text(json.dumps(made))
        trained = linnaea("train", "m.json", "--json")
        assert trained.code == 0, trained.err
        assert trained.json()["split"] == "cross"
        assert trained.json()["micro"]["f1"] == 1.0
        if preset == "balanced":
            assert trained.json()["baseline"]["micro"]["f1"] == 1.0


def test_documents_that_come_once_are_read_for_both(corpus: Path) -> None:
    rows = {
        name: [json.loads(line) for line in (corpus / f"{name}.jsonl").open()]
        for name in ("train", "dev", "test")
    }
    value = json.loads((corpus / "fasttext.json").read_text())
    del value["data"]
    result = package.train(value, **{name: iter(part) for name, part in rows.items()})  # type: ignore[arg-type]
    assert result.metrics["baseline"]["micro"]["f1"] > 0.8


def test_broken_documents_are_told_once(corpus: Path, linnaea: Call) -> None:
    with (corpus / "train.jsonl").open("a") as file:
        file.write('{"text": "x", "labels": ["animals--unicorns"]}\n')
    trained = linnaea("train", "fasttext.json", "--set", "data.on_error=quarantine")
    assert trained.code == 0, trained.err
    assert len((corpus / "run" / "quarantine.jsonl").read_text().splitlines()) == 1
    assert trained.err.count("unicorns") <= 1
    assert (corpus / "run" / "baseline" / "metrics.json").exists()
