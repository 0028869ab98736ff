"""A model reads again the kind of table it was trained on, and tables with fewer columns."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas
import pytest

import linnaea as api

Call = Callable[..., Any]


def as_table(corpus: Path, split: str, suffix: str) -> Path:
    """``split`` of the corpus as a CSV, TSV or Parquet file with the columns id, text, labels."""
    rows = [json.loads(line) for line in (corpus / f"{split}.jsonl").read_text().splitlines()]
    path = corpus / f"{split}{suffix}"
    frame = pandas.DataFrame([(r["id"], r["text"], ";".join(r["doc_label"])) for r in rows])
    frame.columns = pandas.Index(["id", "text", "labels"])
    if suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, sep="\t" if suffix == ".tsv" else ",", index=False)
    return path


def stdin(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_round_trip(suffix: str, corpus: Path, linnaea: Call) -> None:
    files = {split: as_table(corpus, split, suffix) for split in ("train", "dev", "test")}
    settings = [part for s, path in files.items() for part in ("--set", f"data.{s}={path.name}")]
    trained = linnaea("train", "linear.json", "--json", *settings)
    assert trained.code == 0, trained.err
    evaluated = linnaea("evaluate", "run", files["test"].name, "--json")
    assert evaluated.code == 0, evaluated.err
    assert evaluated.json() == {key: value for key, value in trained.json().items() if key != "split"}
    predicted = linnaea("predict", "run", files["test"].name)
    assert predicted.code == 0, predicted.err
    assert predicted.out == linnaea("predict", "run", "test.jsonl").out
    # The run's own config names every field, and can be trained on again.
    again = linnaea("train", "run/config.json", "--set", "run.dir=again")
    assert again.code == 0, again.err


def test_tables_for_a_model_trained_on_lines(
    corpus: Path, linnaea: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert linnaea("train", "linear.json").code == 0
    stdin(monkeypatch, "text\nmeow purr kitten\n")
    piped = linnaea("predict", "run", "-", "--format", "csv")
    assert piped.code == 0, piped.err
    (answer,) = [json.loads(line) for line in piped.out.splitlines()]
    assert answer["id"] == "0"
    assert "cats" in [category["id"] for category in answer["categories"]]

    model = api.load("run")
    test = pandas.read_csv(as_table(corpus, "test", ".csv"))
    told = [labels.split(";") for labels in test["labels"]]
    expected = model.evaluate(test["text"].tolist(), told).to_json()
    assert model.evaluate(test).to_json() == expected
    texts = test[["text"]]
    assert [a.id for a in model.predict(texts)] == [str(i) for i in range(len(texts))]
    documents = [api.Document("", text) for text in test["text"]]
    assert [a.to_json() for a in model.predict(documents)] == [a.to_json() for a in model.predict(texts)]


def test_renamed_columns_stay_required(corpus: Path, linnaea: Call) -> None:
    rows = [json.loads(line) for line in (corpus / "train.jsonl").read_text().splitlines()]
    with open(corpus / "renamed.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["body", "tags"], *([r["text"], ";".join(r["doc_label"])] for r in rows)])
    config = json.loads((corpus / "linear.json").read_text())
    config["data"] = {"train": "renamed.csv", "fields": {"text": "body", "labels": "tags"}}
    (corpus / "renamed.json").write_text(json.dumps(config))
    assert linnaea("train", "renamed.json").code == 0
    assert linnaea("predict", "run", "renamed.csv").code == 0
    (corpus / "other.csv").write_text("text\nmeow\n")
    wrong = linnaea("predict", "run", "other.csv")
    assert wrong.code == 3
    assert "other.csv:1: no column 'body', which data.fields.text names" in wrong.err
