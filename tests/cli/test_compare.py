"""``linnaea compare``: runs side by side, and one line for what cannot be compared."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from linnaea.cli.compare import _captions, _cells
from linnaea.commands.compare import compare
from linnaea.errors import UsageError
from linnaea.metrics.difference import Difference
from linnaea.metrics.outcome import Outcome
from linnaea.taxonomy.taxonomy import Taxonomy

from .conftest import documents, write_lines

Call = Callable[..., "object"]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def runs(corpus: Path, linnaea: Call, kept: Path) -> Path:
    """A folder with the runs ``one`` and ``two``, which are trained once."""
    for name, epochs in (("one", 1), ("two", 6)):
        if not (kept / name).exists():
            made = linnaea(
                "train", "fasttext.json", "--set", f"run.dir={name}", "--set", f"training.epochs={epochs}",
                "--set", "evaluation.baseline=null",
            )  # fmt: skip
            assert made.code == 0, made.err
            shutil.copytree(corpus / name, kept / name)
        shutil.copytree(kept / name, corpus / name, dirs_exist_ok=True)
    return corpus


def test_two_runs(runs: Path, linnaea: Call) -> None:
    made = linnaea("compare", "one", "two", "--json", "--output", "page.html")
    assert made.code == 0, made.err
    value = made.json()
    assert value["documents"] == 40
    assert [run["run"] for run in value["runs"]] == ["one", "two"]
    assert [run["metrics"] for run in value["runs"]] == [
        json.loads((runs / name / "metrics.json").read_text()) for name in ("one", "two")
    ]
    (pair,) = value["comparisons"]
    assert (pair["first"], pair["second"]) == ("one", "two")
    micro = pair["measures"]["micro_f1"]
    assert micro["first"] == pytest.approx(value["runs"][0]["metrics"]["micro"]["f1"])
    assert micro["second"] == pytest.approx(value["runs"][1]["metrics"]["micro"]["f1"])
    assert micro["winner"] == "second"
    assert [row["level"] for row in pair["levels"]] == [1, 2]
    assert {row["id"] for row in pair["categories"]} == {"animals", "cats", "dogs", "plants", "trees"}
    assert (runs / "page.html").read_text().lstrip().lower().startswith("<!doctype html>")

    shown = linnaea("compare", "one", "two", "one/../one/../two/")
    assert (shown.code, shown.out) == (2, "")
    assert shown.err == "error: one/../one/../two: is named twice\n"
    shown = linnaea("compare", "one", "two")
    assert shown.code == 0
    lines = shown.out.splitlines()
    assert lines[0] == "40 documents, the same in all runs"
    assert any("micro-F1" in line and f"{micro['value']:+.4f}" in line and "better" in line for line in lines)
    assert any(line.startswith("F1 by category: two higher in") for line in lines)
    assert lines[-2:] == [
        "intervals: 95 %, 2,000 draws",
        "p: randomisation test (average precision: bootstrap), corrected after Holm",
    ]


def test_the_bootstrap_is_named_where_it_was_asked_alone(runs: Path) -> None:
    pair = compare(["one", "two"]).pairs[0]
    some = {name: one for name, one in pair.measures.items() if not name.startswith("average_precision")}
    assert "bootstrap" in _captions([pair])[-1]
    assert _captions([replace(pair, measures=some)])[-1] == "p: randomisation test, corrected after Holm"


@pytest.mark.parametrize("count", [2, 3, 5])
def test_what_is_shown_fits_a_terminal(
    runs: Path, linnaea: Call, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    names = [f"a-run-of-a-rather-long-name-{i}" for i in range(count)]
    for name in names:
        shutil.copytree(runs / "two", runs / name)
    made = linnaea("compare", *names)
    assert made.code == 0, made.err
    tables = [line for line in made.out.splitlines() if not line.startswith(("F1 by", "  beyond"))]
    assert max(map(len, tables)) <= 80
    value = json.loads((runs / "two" / "metrics.json").read_text())
    low, high = value["intervals"]["macro"]["f1"]
    assert made.out.count(f"[{low:.3f}, {high:.3f}]") >= count
    numbers = [line for line in tables if line.startswith("macro-F1 ") and "unclear" not in line]
    assert sum(line.count(f"{value['macro']['f1']:.4f}") for line in numbers) == count


def test_three_runs_are_held_against_the_first(runs: Path, linnaea: Call) -> None:
    shutil.copytree(runs / "two", runs / "again")
    value = linnaea("compare", "two", "one", "again", "--json").json()
    assert [(c["first"], c["second"]) for c in value["comparisons"]] == [("two", "one"), ("two", "again")]
    same = value["comparisons"][1]["measures"]["macro_f1"]
    assert (same["value"], same["p"], same["winner"]) == (0, 1, None)
    assert [c["differing"] for c in value["comparisons"]][1] == 0 < value["comparisons"][0]["differing"]
    shown = linnaea("compare", "two", "one", "again")
    other, again = shown.out.split("again against two")
    assert "in no category beyond chance" in again
    assert "the same decisions in all documents" in again and "the same decisions" not in other
    rows = [line for line in again.splitlines() if "+0.0000 to +0.0000" in line]
    assert len(rows) == 11 and all(row.rstrip().endswith("equal") for row in rows)
    assert "-0.0000" not in shown.out


def test_what_is_rounded_to_nothing_has_no_sign() -> None:
    difference = Difference(0.5, 0.49999, -0.00001, (-0.0000499, 0.00004), 0.5, 1.0)
    assert _cells(difference) == ("+0.0000", "+0.0000 to +0.0000", "1", "unclear")
    assert _cells(replace(difference, value=0.0, interval=None))[1:] == ("-", "1", "unclear")
    assert _cells(replace(difference, value=0.0, interval=(0.0, -0.0)))[3] == "equal"


def test_the_baseline_of_a_run_is_a_run(corpus: Path, linnaea: Call) -> None:
    assert linnaea("train", "fasttext.json").code == 0
    made = linnaea("compare", "run/baseline", "run", "--json")
    assert made.code == 0, made.err
    found = made.json()["comparisons"][0]["measures"]["micro_f1"]
    told = json.loads((corpus / "run" / "metrics.json").read_text())["baseline"]
    assert found["value"] == pytest.approx(told["difference"]["micro_f1"]["value"])


def test_runs_on_dev_are_flattering(runs: Path, linnaea: Call) -> None:
    for name in ("a", "b"):
        assert linnaea(
            "train", "fasttext.json", "--set", f"run.dir={name}", "--set", "data.test=null",
            "--set", "training.epochs=1", "--set", "evaluation.baseline=null",
        ).code == 0  # fmt: skip
    assert "warning: compared on dev, which the runs have seen" in linnaea("compare", "a", "b").err


def test_what_is_no_run_is_told(runs: Path, linnaea: Call) -> None:
    shutil.copytree(runs / "two", runs / "old")
    (runs / "old" / "outcome.safetensors").unlink()
    shutil.copytree(runs / "old", runs / "unmeasured")
    (runs / "unmeasured" / "metrics.json").unlink()
    shutil.copytree(runs / "unmeasured", runs / "cut", ignore=shutil.ignore_patterns("model"))
    (runs / "empty").mkdir()
    problems = [
        (["one"], "two runs are needed to compare, not 1 (linnaea compare RUN RUN...)"),
        (["one", "three"], "three: no such run folder"),
        (["one", "test.jsonl"], "test.jsonl: is a file, not a run folder"),
        (["one", "empty"], "empty: is no run folder (no config.json)"),
        (
            ["one", "two/model"],
            "two/model: is a model folder: it has no decisions to compare "
            "(give the run folder that it was trained in)",
        ),
        (["one", "old"], "old: its decisions were not kept (no outcome.safetensors) (train it again)"),
        (
            ["one", "unmeasured"],
            "unmeasured: nothing was measured in this run (give it documents to test on (data.test))",
        ),
        (
            ["one", "cut"],
            "cut: this run has not finished (go on with it: linnaea train CONFIG --resume)",
        ),
    ]
    for names, message in problems:
        made = linnaea("compare", *names)
        assert (made.code, made.out, made.err) == (2, "", f"error: {message}\n")


def test_a_damaged_run_is_told(runs: Path, linnaea: Call) -> None:
    shutil.copytree(runs / "two", runs / "bad")
    whole = (runs / "bad" / "outcome.safetensors").read_bytes()
    taxonomy = Taxonomy.from_json(json.loads((runs / "two" / "model" / "taxonomy.json").read_text()))

    def fails(message: str, code: int = 3) -> None:
        made = linnaea("compare", "one", "bad")
        assert (made.code, made.out) == (code, "")
        assert message in made.err
        assert made.err.count("\n") == 1

    (runs / "bad" / "outcome.safetensors").write_bytes(whole[:-9])
    fails("bad/outcome.safetensors: cannot be read as safetensors")
    (runs / "bad" / "outcome.safetensors").write_bytes(whole)
    outcome = Outcome.load(runs / "bad" / "outcome.safetensors", taxonomy)
    outcome.take(np.arange(39)).save(runs / "bad" / "outcome.safetensors")
    fails("bad/metrics.json: is of 40 documents, outcome.safetensors of 39 (train it again)")
    outcome.save(runs / "bad" / "outcome.safetensors")
    (runs / "bad" / "metrics.json").write_text("[]")
    fails(
        "bad/metrics.json: does not hold a JSON object (remove metrics.json, then: linnaea train CONFIG --resume)"
    )
    (runs / "bad" / "metrics.json").unlink()
    fails(
        "bad: this run has not finished (no metrics.json) (go on with it: linnaea train CONFIG --resume)", 2
    )
    shutil.copy(runs / "two" / "metrics.json", runs / "bad")
    (runs / "bad" / "model" / "taxonomy.json").unlink()
    fails("bad/model/taxonomy.json: no such file")


def test_other_texts_under_the_same_labels_are_told(runs: Path, linnaea: Call) -> None:
    rows = [json.loads(line) for line in (runs / "test.jsonl").open()]
    write_lines(runs / "cut.jsonl", [row | {"text": row["text"].upper().replace(" ", " - ")} for row in rows])
    write_lines(runs / "said.jsonl", [row | {"text": "other words"} for row in rows])
    for name in ("cut", "said"):
        made = linnaea(
            "train", "fasttext.json", "--set", f"run.dir={name}", "--set", f"data.test={runs / name}.jsonl",
            "--set", "training.epochs=1", "--set", "evaluation.baseline=null",
        )  # fmt: skip
        assert made.code == 0, made.err
    assert linnaea("compare", "one", "cut").code == 0
    told = linnaea("compare", "one", "said")
    assert (told.code, told.out) == (2, "")
    assert "documents of the same ids and labels say something else in the two runs" in told.err


def test_other_documents_and_taxonomies_are_told(runs: Path, linnaea: Call) -> None:
    def trained(name: str, *settings: str) -> None:
        given = [part for setting in settings for part in ("--set", setting)]
        made = linnaea(
            "train", "fasttext.json", "--set", f"run.dir={name}", "--set", "training.epochs=1",
            "--set", "evaluation.baseline=null", *given,
        )  # fmt: skip
        assert made.code == 0, made.err

    write_lines(runs / "other.jsonl", documents(40, 9))
    write_lines(runs / "fewer.jsonl", documents(12, 3))
    trained("other", f"data.test={runs / 'other.jsonl'}")
    trained("fewer", f"data.test={runs / 'fewer.jsonl'}")
    (runs / "wider.tsv").write_text((runs / "taxonomy.tsv").read_text() + "trees\toaks\n")
    trained("wider", f"task.taxonomy={runs / 'wider.tsv'}")
    trained("bare", "task.closure=none")
    for name, message in (
        ("other", r"one and other: the labels of document 'd"),
        ("fewer", "one and fewer: the documents differ: 40 in the first, 12 in the second"),
        ("wider", "one and wider: the taxonomies differ: 1 only in the second ('oaks')"),
        ("bare", "task.closure is ancestors, and none"),
    ):
        made = linnaea("compare", "one", "two", name)
        assert (made.code, made.out) == (2, "")
        assert message in made.err
        assert made.err.count("\n") == 1


def test_evaluation_shows_intervals(runs: Path, linnaea: Call) -> None:
    shown = linnaea("evaluate", "one", "test.jsonl").out
    metrics = json.loads((runs / "one" / "metrics.json").read_text())
    assert "95% interval of F1" in shown
    for key in ("micro", "macro"):
        low, high = metrics["intervals"][key]["f1"]
        line = next(line for line in shown.splitlines() if line.startswith(f"{key} "))
        assert line.rstrip().endswith(f"{metrics[key]['f1']:.4f}    {low:.4f} to {high:.4f}")


def test_from_python(runs: Path) -> None:
    found = compare([runs / "one", runs / "two"])
    assert found.pairs[0].measures["micro_f1"].value > 0
    with pytest.raises(UsageError, match="two runs are needed"):
        compare([])
