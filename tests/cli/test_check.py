"""``linnaea check`` on every kind of path: files, run folders, model folders, folders of nothing."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = Callable[..., Any]


def checked(outcome: Any) -> dict[str, dict[str, Any]]:
    return {Path(section["path"]).name: section for section in outcome.json()["checked"]}


def test_indented_text_is_a_taxonomy(corpus: Path, linnaea: Call) -> None:
    (corpus / "tax.txt").write_text("Animals\n  Cats\n  Dogs\nPlants\n")
    (corpus / "children.txt").write_text("Root\tanimals\nanimals\tcats\n")
    (corpus / "texts.txt").write_text("one line\nanother line\n")
    (corpus / "prose.txt").write_text("One paragraph\n  " + "goes on and on " * 20 + "\n")
    found = linnaea("check", "tax.txt", "children.txt", "texts.txt", "prose.txt", "--json")
    assert found.code == 0, found.out
    kinds = {name: section["kind"] for name, section in checked(found).items()}
    assert kinds == {
        "tax.txt": "taxonomy", "children.txt": "taxonomy", "texts.txt": "corpus", "prose.txt": "corpus",
    }  # fmt: skip
    assert "4 categories on 2 levels" in linnaea("check", "tax.txt").out


def test_plain_text_needs_no_labels(corpus: Path, linnaea: Call) -> None:
    (corpus / "plain.txt").write_text("one\n\none\n")
    alone = linnaea("check", "plain.txt")
    assert alone.code == 0
    assert "3 documents; 3 unlabelled; 1 without text; 1 repeat a text" in alone.out
    assert "set aside" not in alone.out
    beside = linnaea("check", "taxonomy.tsv", "plain.txt")
    assert beside.code == 0
    assert "never be predicted" not in beside.out
    needed = linnaea("check", "linear.json")
    assert needed.code == 0
    config = (corpus / "linear.json").read_text().replace("train.jsonl", "plain.txt")
    (corpus / "bad.json").write_text(config)
    bad = linnaea("check", "bad.json")
    assert bad.code == 3
    assert "plain.txt: plain text has no labels" in bad.out


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.jsonl.gz",
            b'{"text": "a", "labels": []}\n',
            "is not compressed with gzip (rename it without .gz)",
        ),
        ("b.json.gz", b'{"task": {}}', "is not compressed with gzip (rename it without .gz)"),
        ("c.jsonl.gz", gzip.compress(b'{"text": "a"}\n' * 99, mtime=0)[:-4], "the gzip file is cut off"),
        ("d.jsonl", '{"text": "a"}'.encode("utf-16"), "is UTF-16, not UTF-8"),
        ("e.parquet", b"PAR1 or not", "e.parquet: "),
    ],
)
def test_nothing_is_counted_of_what_cannot_be_read(
    name: str, content: bytes, message: str, corpus: Path, linnaea: Call
) -> None:
    (corpus / name).write_bytes(content)
    outcome = linnaea("check", "taxonomy.tsv", name)
    assert outcome.code == 3
    told = outcome.out[outcome.out.index(f"{name} (corpus)") :].splitlines()
    assert len(told) == 2, told
    assert told[1].startswith("  error: ")
    assert message in told[1]
    assert "b'" not in told[1]


def test_a_missing_split_is_not_counted(corpus: Path, linnaea: Call) -> None:
    (corpus / "train.jsonl").unlink()
    outcome = linnaea("check", "linear.json")
    assert outcome.code == 3
    assert "train.jsonl: no such file" in outcome.out
    assert "train  0 documents" not in outcome.out
    assert "never be predicted" not in outcome.out
    assert "none in train" not in outcome.out
    assert "test   40 documents" in outcome.out


def test_folders_stand_beside_files(corpus: Path, linnaea: Call) -> None:
    assert linnaea("train", "linear.json").code == 0
    (corpus / "empty").mkdir()
    good = linnaea("check", "run", "run/model", "train.jsonl", "--json")
    assert good.code == 0, good.out
    assert [section["kind"] for section in good.json()["checked"]] == ["run", "model", "corpus"]
    assert good.json()["checked"][0]["statistics"]["splits"][0]["documents"] == 160

    mixed = linnaea("check", "train.jsonl", "empty", "taxonomy.tsv")
    assert mixed.code == 2
    assert (
        "empty: is a folder, but of no run or model (name files, a run folder or a model folder)" in mixed.out
    )
    assert "160 documents" in mixed.out
    assert "taxonomy.tsv (taxonomy)" in mixed.out

    weights = corpus / "run" / "model" / "taxonomy.json"
    weights.write_text(weights.read_text() + " ")
    altered = linnaea("check", "run", "run/model", "--json")
    assert altered.code == 3
    for section in altered.json()["checked"]:
        (problem,) = section["problems"]
        assert problem["where"].endswith("taxonomy.json")
        assert "altered" in problem["problem"]


def test_files_are_called_what_their_names_say(corpus: Path, linnaea: Call) -> None:
    lines = (corpus / "test.jsonl").read_text().splitlines(keepends=True)
    few = [line for line in lines if "dogs" not in line][:4]
    for name in ("test", "my-dev_2", "latest", "few_train"):
        (corpus / f"{name}.jsonl").write_text("".join(few))
    outcome = linnaea(
        "check", "taxonomy.tsv", "test.jsonl", "my-dev_2.jsonl", "latest.jsonl", "few_train.jsonl", "--json"
    )
    assert outcome.code == 0, outcome.out
    sections = checked(outcome)
    for file, name in (("test", "test"), ("my-dev_2", "dev"), ("latest", "file"), ("few_train", "train")):
        section = sections[f"{file}.jsonl"]
        assert [split["name"] for split in section["statistics"]["splits"]] == [name]
        assert section["statistics"]["counted_on"] == name
        assert any("will never be predicted" in note for note in section["warnings"]) == (name == "train")
        assert ("train" in " ".join(section["warnings"])) == (name == "train")
    shown = linnaea("check", "taxonomy.tsv", "train.jsonl", "test.jsonl").out
    assert "test   4 documents" in shown and "documents counted on test" in shown


FLAT = {"task": {"taxonomy": "flat.tsv"}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {**FLAT, "model": {"encoder": "textrnn", "head": "hmcn"}},
            "model.head: 'hmcn' needs a taxonomy with edges; this one has a single level",
        ),
        (
            {**FLAT, "objective": {"loss": "max_constraint"}},
            "objective.loss: 'max_constraint' needs a taxonomy",
        ),
        ({**FLAT, "objective": {"recursive_penalty": 0.1}}, "objective.recursive_penalty: needs a taxonomy"),
        (
            {
                **FLAT,
                "training": {
                    "strategy": {
                        "type": "ensemble",
                        "members": [
                            {"training": {"strategy": "linear"}},
                            {"model": {"encoder": "textrnn", "head": "hmcn"}},
                        ],
                    }
                },
            },
            "training.strategy.members[1].model.head: 'hmcn' needs a taxonomy with edges; this one has a single level",
        ),
        ({"decision": {"threshold": {"type": "cautious", "error": 0.001}}}, "takes 999 held-out documents"),
        (
            {"decision": {"threshold": {"type": "conformal", "recall": 0.9999}}},
            "takes 9999 held-out documents with labels",
        ),
        (  # all of dev would do; a calibration takes half of it
            {"decision": {"calibration": "platt", "threshold": {"type": "conformal", "recall": 0.985}}},
            "takes 66 held-out documents with labels",
        ),
    ],
    ids=["head", "loss", "penalty", "member", "cautious", "conformal", "calibrated"],
)
def test_what_training_would_refuse_after_reading_is_told(
    corpus: Path, linnaea: Call, change: dict[str, Any], message: str
) -> None:
    """And by training itself in the same words."""
    config = json.loads((corpus / ("linear.json" if "training" in change else "textcnn.json")).read_text())
    (corpus / "flat.tsv").write_text("Root\tcats\tdogs\ttrees\tplants\n")
    if "task" in change:
        for split in ("train", "dev", "test"):
            text = (corpus / f"{split}.jsonl").read_text()
            text = text.replace("animals--", "").replace("plants--", "")
            (corpus / f"{split}.jsonl").write_text(text)
    for key, value in change.items():
        config[key] = {**config.get(key, {}), **value}
    (corpus / "asked.json").write_text(json.dumps(config))
    found = linnaea("check", "asked.json")
    assert message in " ".join(found.out.split())
    refused = linnaea("train", "asked.json")
    assert refused.code == 2
    assert message in " ".join(refused.err.split())
