"""``linnaea init``: a config for a corpus, and the presets behind it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from linnaea.config.config import Config
from linnaea.config.presets import PAIRS, CorpusFacts, preset_config

from .conftest import write_lines

Call = Callable[..., "object"]
FACTS = CorpusFacts(
    documents=8000, characters=10**6, median_tokens=60, long_tokens=300, unspaced=0.0, categories=100,
    levels=3, single=False, inner=5,
)  # fmt: skip


@pytest.mark.parametrize("preset", ["fast", "balanced", "best"])
def test_what_is_written_trains(preset: str, corpus: Path, linnaea: Call) -> None:
    written = linnaea("init", ".", "--preset", preset, "--aim", "macro_f1", "--output", "made.json", "--json")
    assert written.code == 0, written.err
    value = written.json()
    assert value["config"] == json.loads((corpus / "made.json").read_text())
    assert value["config"]["data"] == {name: f"{name}.jsonl" for name in ("train", "dev", "test")}
    assert value["config"]["decision"]["threshold"]["aim"] == "macro_f1"
    assert (
        value["facts"] | {"documents": 200, "categories": 5, "levels": 2, "single": False} == value["facts"]
    )
    settings = ["--set", "run.dir=made", "--set", "decision.threshold.folds=2"]
    if preset == "best":
        members = value["config"]["training"]["strategy"]["members"]
        members[-1]["training"]["epochs"] = 2
        settings += ["--set", f"training.strategy.members={json.dumps(members)}"]
    trained = linnaea("train", "made.json", *settings, "--json")
    assert trained.code == 0, trained.err
    assert trained.json()["micro"]["f1"] > 0.9
    assert trained.json()["coherence"]["violations"] == 0
    answered = linnaea("predict", "made", "test.jsonl")
    assert len(answered.out.splitlines()) == 40


def test_it_says_what_it_saw_and_why(corpus: Path, linnaea: Call) -> None:
    written = linnaea("init", corpus, "--preset", "best")
    assert written.code == 0
    assert "200 labelled documents" in written.err and "5 categories on 2 levels" in written.err
    assert "no textcnn: 200 documents are too few" in written.err
    assert "linnaea train config.json" in written.err
    again = linnaea("init", corpus)
    assert (again.code, again.err) == (
        2,
        "error: config.json: exists already (give --overwrite, or another --output)\n",
    )
    assert linnaea("init", corpus, "--overwrite").code == 0


def test_nothing_is_chosen_by_test_documents(corpus: Path, linnaea: Call) -> None:
    before = linnaea("init", corpus, "--output", "before.json", "--json").json()
    rows = [json.loads(line) for line in (corpus / "test.jsonl").open()]
    long = [{**row, "text": row["text"] * 90} for row in rows]
    write_lines(corpus / "test.jsonl", long)
    after = linnaea("init", corpus, "--output", "after.json", "--json").json()
    assert (after["facts"], after["config"]) == (before["facts"], before["config"])
    write_lines(corpus / "test.jsonl", [{**long[0], "doc_label": ["unicorns"]}, *long[1:]])
    told = linnaea("init", corpus, "--output", "third.json")
    assert told.code == 3 and "test.jsonl:1" in told.err, told.err


def test_paths_are_relative_to_the_config(corpus: Path, linnaea: Call) -> None:
    (corpus / "below").mkdir()
    assert (
        linnaea("init", corpus / "train.jsonl", "--taxonomy", "taxonomy.tsv", "-o", "below/c.json").code == 0
    )
    value = json.loads((corpus / "below" / "c.json").read_text())
    assert value["data"] == {"train": "../train.jsonl"}
    assert value["task"]["taxonomy"] == "../taxonomy.tsv"
    assert Config.load(corpus / "below" / "c.json").data.files("train") == [str(corpus / "train.jsonl")]


def test_flat_labels_and_other_fields(corpus: Path, linnaea: Call) -> None:
    rows = [
        {"title": f"number {i}", "body": "even" if i % 2 else "odd", "kind": ["a" if i % 2 else "b"]}
        for i in range(60)
    ]
    folder = corpus / "flat"
    folder.mkdir()
    write_lines(folder / "my-train.jsonl", rows)
    made = linnaea("init", folder, "--text", "title", "--text", "body", "--labels", "kind", "--json")
    assert made.code == 0, made.err
    assert made.json()["config"]["task"] == {"type": "multiclass"}
    assert made.json()["config"]["data"]["fields"] == {"text": ["title", "body"], "labels": "kind"}
    assert "decision" not in made.json()["config"]
    trained = linnaea("train", "config.json", "--json")
    assert trained.code == 0, trained.err
    assert trained.json()["micro"]["f1"] == 1.0


class TestOneCategory:
    def test_documents_with_it_and_without(self, corpus: Path, linnaea: Call) -> None:
        rows = [{"text": f"number {i}", "labels": ["spam"] if i % 3 == 0 else []} for i in range(60)]
        write_lines(corpus / "mail.jsonl", rows)
        made = linnaea("init", "mail.jsonl", "--preset", "fast")
        assert made.code == 0, made.err
        assert "binary: there is one category, and 20 of 60 documents have it" in made.err.splitlines()
        assert json.loads((corpus / "config.json").read_text())["task"] == {"type": "binary"}

    def test_documents_that_are_all_alike(self, corpus: Path, linnaea: Call) -> None:
        write_lines(corpus / "mail.jsonl", [{"text": f"number {i}", "labels": ["spam"]} for i in range(60)])
        told = linnaea("init", "mail.jsonl")
        assert (told.code, told.err) == (
            3,
            "error: mail.jsonl: all 60 documents have the label 'spam' alone: nothing can be learned "
            "(give documents without it, too: with labels [])\n",
        )
        write_lines(corpus / "mail.jsonl", [{"text": f"number {i}", "labels": ["a--b"]} for i in range(60)])
        told = linnaea("init", "mail.jsonl")
        assert told.code == 3
        assert "all 60 documents have the same labels" in told.err
        assert not (corpus / "config.json").exists()


class TestBadInput:
    def test_a_table_without_a_column_of_labels(self, corpus: Path, linnaea: Call) -> None:
        (corpus / "rows.csv").write_text("body,text,topic\none,two,three\n")
        assert linnaea("init", "rows.csv").err == (
            "error: rows.csv:1: no column 'doc_label' or 'labels', so nothing is labelled "
            "(there are the columns 'body', 'text', 'topic'; --labels names another)\n"
        )

    def test_a_corpus_without_labels(self, corpus: Path, linnaea: Call) -> None:
        write_lines(corpus / "bare.jsonl", [{"text": "one"}, {"text": "two"}])
        told = linnaea("init", "bare.jsonl")
        assert (told.code, told.err) == (
            3,
            "error: bare.jsonl: no document of train has labels (looked for under 'doc_label' or 'labels'; "
            "the first document has the fields 'text'; --labels names another)\n",
        )
        write_lines(corpus / "bare.jsonl", [{"text": "one", "labels": ["a"]}, {"text": "two"}])
        assert "bare.jsonl:2: not labelled" in linnaea("init", "bare.jsonl").err
        assert not (corpus / "config.json").exists()

    def test_labels_that_are_all_empty(self, corpus: Path, linnaea: Call) -> None:
        write_lines(corpus / "bare.jsonl", [{"text": "one", "labels": []}])
        told = linnaea("init", "bare.jsonl")
        assert told.code == 3 and told.err.count("\n") == 1

    def test_no_such_folder_and_no_train(self, corpus: Path, linnaea: Call) -> None:
        assert linnaea("init", "nowhere").err == "error: nowhere: no such file or folder\n"
        (corpus / "empty").mkdir()
        told = linnaea("init", "empty")
        assert told.code == 2 and "holds no file of train (call it train.jsonl, or name the file)" in told.err

    def test_two_files_of_train(self, corpus: Path, linnaea: Call) -> None:
        write_lines(corpus / "train.old.jsonl", [{"text": "one", "labels": ["a"]}])
        told = linnaea("init", corpus)
        assert told.code == 2 and "two files of train: train.jsonl and train.old.jsonl" in told.err

    def test_an_unknown_preset(self, corpus: Path, linnaea: Call) -> None:
        assert linnaea("init", corpus, "--preset", "bets").code == 2

    def test_an_unknown_label(self, corpus: Path, linnaea: Call) -> None:
        write_lines(corpus / "train.jsonl", [{"text": "one", "labels": ["animals--catz"]}])
        told = linnaea("init", corpus)
        assert told.code == 3 and "train.jsonl:1" in told.err


class TestPresets:
    def members(self, facts: CorpusFacts, preset: str = "best") -> list[dict]:
        return preset_config(facts, preset, "both").parts["training"]["strategy"].get("members", [])

    def test_what_decides(self) -> None:
        assert [m.get("model", {}).get("encoder", {}).get("type") for m in self.members(FACTS)] == [
            None, None, "fasttext", "textcnn",
        ]  # fmt: skip
        assert len(self.members(FACTS, "balanced")) == 2
        assert len(self.members(replace(FACTS, documents=500))) == 3
        assert len(self.members(replace(FACTS, characters=10**10))) == 3
        assert self.members(replace(FACTS, documents=PAIRS)) == []
        rates = [
            self.members(replace(FACTS, documents=n))[2]["training"]["optimizer"]["learning_rate"]
            for n in (8000, 20_000)
        ]
        assert rates == [0.03, 0.01]
        limits = [
            self.members(replace(FACTS, long_tokens=n))[3]["input"]["max_tokens"] for n in (10, 300, 9000)
        ]
        assert limits == [64, 300, 512]

    @pytest.mark.parametrize(("inner", "end"), [(0, "leaf"), (3, "any")])
    def test_single_paths_are_decided_as_such(self, inner: int, end: str) -> None:
        chosen = preset_config(replace(FACTS, single=True, inner=inner), "fast", "both")
        assert chosen.parts["decision"]["decoding"] == {"type": "one_path", "to": end}

    def test_scripts_without_blanks_are_read_by_characters_and_their_neighbours(self) -> None:
        chosen = preset_config(replace(FACTS, unspaced=0.9), "best", "both")
        first = chosen.parts["training"]["strategy"]["members"][0]
        assert first["input"]["ngram"]["n"] == 3
        assert any("90% of letters" in reason for reason in chosen.reasons)

    @pytest.mark.parametrize(
        ("facts", "kind"),
        [
            ({"levels": 2}, "hierarchical"),
            ({"levels": 2, "single": True}, "hierarchical"),
            ({"levels": 1}, "multilabel"),
            ({"levels": 1, "single": True}, "multiclass"),
            ({"levels": 1, "categories": 1}, "binary"),
        ],
    )
    @pytest.mark.parametrize("preset", ["fast", "balanced", "best"])
    def test_every_choice_is_a_config(self, facts: dict, kind: str, preset: str) -> None:
        for unspaced in (0.0, 0.9):
            for documents in (100, 5000, 50_000, PAIRS):
                chosen = preset_config(
                    replace(FACTS, **facts, unspaced=unspaced, documents=documents), preset, "both"
                )
                config = Config.build({"data": {"train": "train.jsonl"}, **chosen.parts})
                assert config.task.type == kind
