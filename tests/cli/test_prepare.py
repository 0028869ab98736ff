"""``linnaea prepare`` through the command line: what it writes is checked and trained on; what is broken writes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Outcome
from tests.corpus.sources import newsgroups_folder, tokens_folder, wos_folder, yelp_folder

Call = Callable[..., Outcome]

SOURCES: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "rcv1": (tokens_folder, []),
    "yelp": (yelp_folder, ["--min-businesses", "2"]),
    "wos": (wos_folder, []),
    "newsgroups20": (newsgroups_folder, ["--strip", "headers,quotes"]),
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("source", list(SOURCES))
def test_what_is_prepared_passes_the_check(place: Path, linnaea: Call, source: str) -> None:
    make, options = SOURCES[source]
    make(place / "in")
    outcome = linnaea("prepare", source, "in", *options)
    assert outcome.code == 0, outcome.err
    out = place / "data" / source
    config = json.loads(outcome.out)
    assert outcome.out.count("\n") == 3
    files = [name for name in ("train.jsonl", "dev.jsonl", "test.jsonl") if (out / name).exists()]
    assert set(config["data"]) == {name.removesuffix(".jsonl") for name in files}
    checked = linnaea("check", out / "taxonomy.tsv", *[out / name for name in files])
    assert checked.code == 0, checked.out
    (place / "config.json").write_text(outcome.out)
    assert linnaea("check", "config.json").code == 0
    about = json.loads((out / "prepared.json").read_text())
    assert about["source"] == source
    assert about["documents"] == {
        name.removesuffix(".jsonl"): (out / name).read_bytes().count(b"\n") for name in files
    }
    assert sorted(item.name for item in out.iterdir()) == sorted([*files, "taxonomy.tsv", "prepared.json"])
    assert sorted(item.name for item in (place / "data").iterdir()) == [source]


def test_the_config_trains(place: Path, linnaea: Call) -> None:
    tokens_folder(place / "in")
    (place / "config.json").write_text(linnaea("prepare", "rcv1", "in").out)
    sizes = ["training.epochs=1", "model.embedder.dimension=4", "model.encoder.filters=2"]
    outcome = linnaea("train", "config.json", *[part for size in sizes for part in ("--set", size)])
    assert outcome.code == 0, outcome.err
    assert (place / "runs" / "rcv1" / "metrics.json").exists()


def test_json_summary(place: Path, linnaea: Call) -> None:
    wos_folder(place / "in")
    outcome = linnaea("prepare", "wos", "in", "--output", "out", "--json")
    summary = outcome.json()
    assert summary["documents"] == {"train": 32, "dev": 8, "test": 10}
    assert summary["settings"] == {"seed": 1}
    assert summary == json.loads((place / "out" / "prepared.json").read_text())


def test_what_is_there_is_replaced_only_when_asked(place: Path, linnaea: Call) -> None:
    wos_folder(place / "in")
    out = place / "out"
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    assert linnaea("prepare", "wos", "in", "-o", "out").code == 0
    before = (out / "train.jsonl").read_bytes()
    refused = linnaea("prepare", "wos", "in", "-o", "out", "--seed", "2")
    assert refused.code == 2
    assert "exists already: train.jsonl, dev.jsonl" in refused.err
    assert (out / "train.jsonl").read_bytes() == before
    assert linnaea("prepare", "wos", "in", "-o", "out", "--seed", "2", "--overwrite").code == 0
    assert (out / "train.jsonl").read_bytes() != before
    newsgroups_folder(place / "news")
    assert linnaea("prepare", "newsgroups20", "news", "-o", "out", "--overwrite").code == 0
    assert not (out / "dev.jsonl").exists(), "the dev split of the corpus before"
    assert (out / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("there", [False, True], ids=["new", "old"])
def test_nothing_is_half_written(place: Path, linnaea: Call, there: bool) -> None:
    wos_folder(place / "in")
    if there:
        assert linnaea("prepare", "wos", "in", "-o", "out").code == 0
    before = {item.name: item.read_bytes() for item in (place / "out").iterdir()} if there else {}
    with open(place / "in" / "X.txt", "a", encoding="utf-8") as file:
        file.write("one more\n")
    outcome = linnaea("prepare", "wos", "in", "-o", "out", "--overwrite")
    assert outcome.code == 3
    assert outcome.err.strip() == (
        "error: in/X.txt: 51 lines, but YL1.txt has 50 (each has a line for every document, in the same order)"
    )
    assert outcome.out == ""
    after = {item.name: item.read_bytes() for item in (place / "out").iterdir()} if there else {}
    assert after == before
    assert (place / "out").exists() == there
    assert sorted(item.name for item in place.iterdir()) == sorted(["in", *(["out"] if there else [])])


def test_an_official_split_without_documents_is_an_error(place: Path, linnaea: Call) -> None:
    tokens_folder(place / "in")
    (place / "in" / "rcv1-v2.topics.qrels").write_text("C15 2286 1\n")
    outcome = linnaea("prepare", "rcv1", "in")
    assert outcome.code == 3
    assert "in: no document came out for test (39 left out: no topic in rcv1-v2.topics.qrels)" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["rcv1", "nowhere"], 3, "error: nowhere: no such folder"),
        (["yelp", "in"], 3, "(these look like files of wos: linnaea prepare wos in)"),
        (["wos", "in/X.txt"], 3, "is a file, not a folder (name the folder that it lies in)"),
        (["wos", "in", "-o", "in/X.txt"], 2, "is a file, not a folder"),
        (["newsgroups20", "in", "--strip", "header"], 2, "unknown part 'header' (did you mean 'headers'?)"),
        (["rcv1", "in", "--documents", "text"], 2, "'text'"),
        (["rvc1", "in"], 2, "rvc1"),
    ],
    ids=["missing", "other", "file", "output", "strip", "documents", "source"],
)
def test_bad_calls(place: Path, linnaea: Call, arguments: list[str], code: int, message: str) -> None:
    wos_folder(place / "in")
    outcome = linnaea("prepare", *arguments)
    assert outcome.code == code
    assert message in outcome.err
    assert not (place / "data").exists()


def test_a_missing_folder_is_told_before_an_output_that_is_there(place: Path, linnaea: Call) -> None:
    (place / "data" / "rcv1").mkdir(parents=True)
    (place / "data" / "rcv1" / "train.jsonl").write_text("")
    outcome = linnaea("prepare", "rcv1", "nofolder")
    assert (outcome.code, outcome.err) == (3, "error: nofolder: no such folder\n")
