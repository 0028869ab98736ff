"""What the page of a run holds: numbers by hand, what is absent, bad folders, size, escaping."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from linnaea.commands.report import report
from linnaea.decision.predictions import Decisions
from linnaea.errors import DataError, UsageError
from linnaea.metrics.outcome import Outcome
from linnaea.metrics.paired import compare_outcomes
from linnaea.ragged import Ragged
from linnaea.report.compare import comparison_data, short_names
from linnaea.report.headline import headline, judged, verdict
from linnaea.report.labels import label_statistics, support_statistics
from linnaea.report.page import report_data, write_report
from linnaea.report.shell import embedded, page
from tests.references.worlds import flat, predictions, tree
from tests.report.runs import NASTY, made_outcome, made_run, nasty_taxonomy, wide_taxonomy


def small_outcome() -> Outcome:
    """c1 and c2 below c0; four documents, decided by hand."""
    taxonomy = tree((), (0,), (0,))
    gold = Ragged.from_rows([[0, 1], [0, 1], [0, 2], []])
    chosen = Ragged.from_rows([[0, 1], [0, 2], [0, 2], [0]])
    scores = np.array([[0.9, 0.8, 0.1], [0.8, 0.3, 0.7], [0.7, 0.2, 0.6], [0.6, 0.1, 0.1]])
    printed = np.array([0.9, 0.8, 0.8, 0.7, 0.7, 0.6, 0.6], dtype=np.float32)
    decisions = Decisions(chosen, printed, np.full(3, 0.5))
    return Outcome("test", predictions(scores, taxonomy), decisions, gold, np.array([30, 20, 0]), "ancestors")


def test_numbers_by_hand(tmp_path: Path) -> None:
    data = report_data(made_run(tmp_path / "run", small_outcome()))
    details, categories = data["details"], data["categories"]
    assert [row["value"] for row in data["headline"]["rows"][:1]] == [pytest.approx(10 / 13)]
    assert categories["f1"] == pytest.approx([6 / 7, 2 / 3, 2 / 3], abs=1e-4)
    assert categories["parent"] == [-1, 0, 0]
    assert categories["train"] == [30, 20, 0]
    documents = details["documents"]
    assert documents["id"] == ["1", "3"]
    assert documents["gold"] == [[0, 1], []]
    assert documents["chosen"] == [[0, 2], [0]]
    assert details["wrong"] == [[[1, 0.6]], [], [[0, 0.7]]]
    assert details["missed"] == [[], [[0, 0.3]], []]
    assert details["instead"] == [[], [[2, 1]], []]
    assert details["belonging"] == [[], [], [[1, 1]]]
    assert details["curves"][1] == [[500, 1000], [1000, 1000]]
    assert details["curves"][2] == [[1000], [500]]
    assert data["majority"] == [0, 1]  # 2·3/(4+6) = 0.6 with the first alone, 2·5/(8+6) = 0.714 with both
    assert data["labels"]["gold"] == [1, 0, 3]
    assert data["labels"]["gold_mean"] == 1.5
    assert data["support"]["unseen"] == data["support"]["unseen_tested"] == [2]
    assert len(data["history"]) == 8


def test_headline_and_verdict() -> None:
    metrics = {"micro": {"f1": 0.8}, "macro": {"f1": 0.5}, "hierarchical": {"f1": 0.9}}
    alone = headline(metrics, None, None, "joint")
    assert [row["key"] for row in alone["rows"]] == ["micro.f1", "macro.f1", "hierarchical.f1"]
    assert all(row["interval"] is row["baseline"] is row["majority"] is None for row in alone["rows"])
    assert "No linear baseline" in alone["verdict"]["text"]
    missing = headline(
        metrics | {"baseline": {"strategy": "linear", "missing": "no room"}}, None, None, "joint"
    )
    assert missing["verdict"]["text"] == "No linear baseline stands beside this run: no room"
    assert not missing["baseline"]
    assert "itself" in headline(metrics, None, None, "linear")["verdict"]["text"]
    untested = headline(metrics, {"micro": {"f1": 0.7}}, None, "joint")
    assert untested["rows"][0]["baseline"] == 0.7
    assert "not tested" in untested["verdict"]["text"]
    sure = {"value": 0.1, "interval": [0.05, 0.15], "p": 0.001}
    told = headline(
        metrics
        | {"intervals": {"confidence": 0.95, "micro": {"f1": [0.7, 0.9]}}, "baseline": {"difference": {"micro_f1": sure}}},
        {"micro": {"f1": 0.7}, "intervals": {"micro": {"f1": [0.6, 0.8]}}}, None, "joint",
    )  # fmt: skip
    row = told["rows"][0]
    assert (row["interval"], row["baseline_interval"]) == ([0.7, 0.9], [0.6, 0.8])
    assert told["verdict"]["kind"] == "better"
    assert "micro-F1: better (+0.100, interval +0.050 to +0.150)" in told["verdict"]["text"]


@pytest.mark.parametrize(
    ("interval", "kind"),
    [([0.01, 0.2], "better"), ([-0.2, -0.01], "worse"), ([-0.1, 0.1], "same"), ([0, 0.1], "same")],
)
def test_judged(interval: list[float], kind: str) -> None:
    assert judged({"interval": interval}) == kind
    # The corrected test has the last word, where there is one.
    for winner, told in (("second", "better"), ("first", "worse"), (None, "same")):
        assert judged({"interval": interval, "winner": winner}) == told
    rows: list[dict[str, Any]] = [
        {"key": key, "name": key, "difference": {"value": 0.0, "interval": interval}, "baseline": 0.1}
        for key in ("micro.f1", "macro.f1")
    ]
    assert verdict(rows, "joint")["kind"] == kind
    rows[1]["difference"] = {"value": 0.5, "interval": [0.4, 0.6]}
    assert verdict(rows, "joint")["kind"] == ("better" if kind == "better" else "mixed")


def test_no_number_is_minus_nothing() -> None:
    row = {"key": "micro.f1", "name": "micro-F1", "baseline": 0.1}
    found = verdict([row | {"difference": {"value": -0.0, "interval": [-0.0001, 0.0]}}], "joint")
    assert "(+0.000, interval +0.000 to +0.000)" in found["text"]


def test_baseline_beside(tmp_path: Path) -> None:
    taxonomy = nasty_taxonomy()
    run = made_run(
        tmp_path / "run", made_outcome(taxonomy, 60), baseline=made_outcome(taxonomy, 60, skill=1.0)
    )
    data = report_data(run)
    beside = json.loads(run.baseline.metrics.read_text())
    assert data["headline"]["rows"][0]["baseline"] == beside["micro"]["f1"]
    assert data["beside"]["levels"] == beside["levels"]
    assert data["categories"]["baseline_f1"] == pytest.approx(
        [row["f1"] for row in beside["categories"]], abs=1e-4
    )
    assert data["categories"]["baseline_recall"] == pytest.approx(
        [row["recall"] for row in beside["categories"]], abs=1e-4
    )


def test_surely_different_is_what_a_comparison_says(tmp_path: Path) -> None:
    taxonomy = nasty_taxonomy()
    outcome, baseline = made_outcome(taxonomy, 400), made_outcome(taxonomy, 400, skill=1.0)
    winners = [category.winner for category in compare_outcomes(baseline, outcome).categories]
    assert None in winners and "second" in winners
    run = made_run(tmp_path / "run", outcome, baseline=baseline)
    assert report_data(run)["categories"]["surely"] == [winner is not None for winner in winners]
    made_outcome(taxonomy, 300).save(run.baseline.outcome)
    assert report_data(run)["categories"]["surely"] is None
    run.baseline.outcome.unlink()
    assert report_data(run)["categories"]["surely"] is None


@pytest.mark.parametrize("task", ["hierarchical", "multilabel", "multiclass"])
def test_flat_tasks(tmp_path: Path, task: str) -> None:
    run = made_run(tmp_path / "run", small_outcome())
    config = json.loads(run.config.read_text())
    run.config.write_text(json.dumps(config | {"task": {"type": task}}))
    data = report_data(run)
    is_flat = task != "hierarchical"
    assert data["run"]["flat"] == is_flat
    assert ("hierarchical.f1" in data["headline"]["cards"]) != is_flat
    assert (data["categories"]["threshold"] is None) == (task == "multiclass")


def test_label_and_support_statistics() -> None:
    found = label_statistics(made_outcome(flat(40), 50, labels=30))
    assert found["labels"][-1] == "20 or more"
    assert sum(found["gold"]) == sum(found["chosen"]) == 50
    bins = support_statistics(
        np.array([0, 1, 2, 3, 5, 6, 30, 0]), np.array([1, 1, 0, 1, 1, 1, 1, 0]), flat(8)
    )
    assert bins["bins"] == ["0", "1", "2", "3–5", "6–10", "11–20", "21–30"]
    assert bins["categories"] == [2, 1, 1, 2, 1, 0, 1]
    assert bins["with_documents"] == [1, 1, 0, 2, 1, 0, 1]
    assert (bins["unseen"], bins["unseen_tested"]) == ([0, 7], [0])


def test_bad_folders_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such run folder"):
        report(tmp_path / "nowhere")
    run = made_run(tmp_path / "run", small_outcome())
    with pytest.raises(UsageError, match="not its model/ folder"):
        report(run.model)
    with pytest.raises(UsageError, match="is not a run folder"):
        report(tmp_path)
    metrics = run.metrics.read_text()
    run.metrics.unlink()
    with pytest.raises(UsageError, match="nothing was measured yet"):
        report(run.path)
    run.metrics.write_text(metrics.replace('"c1"', '"strange"'))
    with pytest.raises(DataError, match="does not fit the categories of the model"):
        report(run.path)
    run.metrics.write_text(metrics)
    run.quotes.write_text('{"row": 1, "text": "x"}\n{"row')
    with pytest.raises(DataError, match=r"quotes\.jsonl:2: is damaged"):
        report(run.path)
    run.quotes.unlink()
    run.outcome.write_bytes(run.outcome.read_bytes()[:-5])
    with pytest.raises(DataError):
        report(run.path)
    assert not run.report.exists()


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("config.json", "[]"), ("model/model.json", "[]"), ("metrics.json", '{"categories": [1]}'),
        ("metrics.json", '{"categories": 3}'), ("metrics.json", "[]"), ("quotes.jsonl", "[]"), ("quotes.jsonl", '{"row": 1}'),
        ("history.jsonl", "3"), ("baseline/metrics.json", "[]"), ("config.json", '{"training": {"strategy": 3}}'),
        ("config.json", '{"task": []}'), ("config.json", '{"data": {"train": NaN}}'), ("config.json", "{"),
        ("model/model.json", '{"facts": "x"}'), ("model/model.json", '{"facts": {"members": [{"name": "a"}]}}'),
        ("history.jsonl", '{"epoch": "x", "loss": 1}'), ("history.jsonl", '{"epoch": 1, "loss": NaN}'),
        ("history.jsonl", '{"epoch": 1, "loss": 1, "dev": {"micro_f1": "x"}}'), ("quotes.jsonl", '{"row": 1, "text": 5}'),
        ("growth.json", "[]"), ("growth.json", "{"), ("growth.json", '{"model": "x"}'),
    ],
)  # fmt: skip
def test_what_holds_something_else_is_one_line(tmp_path: Path, file: str, text: str) -> None:
    run = made_run(tmp_path / "run", small_outcome(), baseline=small_outcome())
    (run.path / file).write_text(text)
    with pytest.raises(DataError, match=file.rpartition("/")[2].replace(".", r"\.")):
        report(run.path)
    assert not run.report.exists()


def test_damaged_lines_say_what_to_do(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run", small_outcome())
    for path, hint in (
        (run.history, "remove it, and the page has no learning curves"),
        (run.quotes, "remove it, and the page shows mistakes without their texts"),
    ):
        path.write_bytes(path.read_bytes()[:-9])
        with pytest.raises(DataError, match=rf"{path}:\d: is damaged \({hint}\)"):
            report(run.path)
        path.unlink()
    data = report_data(run)
    assert data["history"] == [] and set(data["details"]["documents"]["text"]) == {None}


def test_an_outcome_of_other_documents_is_told(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run", made_outcome(flat(4), 40))
    made_outcome(flat(4), 40, seed=9).save(run.outcome)
    with pytest.raises(DataError, match=r"outcome\.safetensors: is of other documents than metrics\.json"):
        report(run.path)


def test_support_that_is_none(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run", small_outcome())
    run.outcome.unlink()  # support is read from there otherwise
    (run.model / "support.json").write_text("[]")
    with pytest.raises(DataError, match=r"support\.json"):
        report(run.path)


def test_a_baseline_that_is_missing_is_nowhere(tmp_path: Path) -> None:
    """Even if one of other documents lies there."""
    run = made_run(tmp_path / "run", small_outcome(), baseline=small_outcome())
    metrics = json.loads(run.metrics.read_text())
    metrics["baseline"] = {"strategy": "linear", "missing": "documents changed"}
    run.metrics.write_text(json.dumps(metrics))
    data = report_data(run)
    assert not data["headline"]["baseline"]
    assert all(row["baseline"] is None for row in data["headline"]["rows"])
    assert data["beside"]["levels"] is None
    assert data["categories"]["baseline_f1"] is None
    assert data["categories"]["surely"] is None
    assert "documents changed" in data["headline"]["verdict"]["text"]


def test_members_of_an_ensemble_are_named(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run", small_outcome(), strategy="ensemble")
    about = json.loads((run.model / "model.json").read_text())
    about["facts"]["members"] = [
        {"name": "linear over token", "share": 0.75},
        {"name": "textcnn", "share": 0.25},
    ]
    (run.model / "model.json").write_text(json.dumps(about))
    facts = report_data(run)["run"]["facts"]
    assert facts["member 1"] == "linear over token: share 0.75"
    assert facts["member 2"] == "textcnn: share 0.25"


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from linnaea.cli.main import main

    run = made_run(tmp_path / "run", small_outcome())
    for arguments, path in (([], run.report), (["--output", str(tmp_path / "x.html")], tmp_path / "x.html")):
        monkeypatch.setattr(sys, "argv", ["linnaea", "report", str(run.path), *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        assert not left.value.code
        assert capsys.readouterr().out == f"{path}\n"
        assert path.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_thousand_categories_stay_small(tmp_path: Path) -> None:
    taxonomy = wide_taxonomy(1000)
    outcome, baseline = (made_outcome(taxonomy, 800, skill=skill) for skill in (3.0, 2.0))
    path = write_report(made_run(tmp_path / "run", outcome, baseline=baseline))
    assert path.stat().st_size < 8_000_000


def test_long_quotes_are_cut_to_fit(tmp_path: Path) -> None:
    taxonomy = wide_taxonomy(300)
    run = made_run(tmp_path / "run", made_outcome(taxonomy, 2000))
    rows = [json.loads(line) for line in run.quotes.read_text().splitlines()]
    run.quotes.write_text("".join(json.dumps(row | {"text": "語" * 2000}) + "\n" for row in rows))
    documents = report_data(run)["details"]["documents"]
    assert documents["length"] < 400
    assert sum(len(text.encode()) for text in documents["text"]) < 1_600_000
    assert all(len(text) == documents["length"] for text in documents["text"])


def test_data_cannot_leave_its_block() -> None:
    value = {NASTY: ["<!--", "-->", "]]>", "\u2028", "&lt;", "\ud800", "語"]}
    text = embedded(value)
    assert not set("<>&\u2028\u2029\ud800") & set(text)
    assert json.loads(text) == {NASTY: ["<!--", "-->", "]]>", "\u2028", "&lt;", "?", "語"]}
    html = page(NASTY, "study", {"x": NASTY})
    assert "<title>&lt;/script&gt;" in html
    assert html.count(NASTY) == 0
    with pytest.raises(ValueError, match="not JSON compliant"):
        embedded(float("nan"))


def test_policy_names_our_scripts_only() -> None:
    html = page("x", "study", {})
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html).group(1)  # type: ignore[union-attr]
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy.split("script-src")[1].split(";")[0]
    assert "http" not in policy
    assert policy.count("sha256-") == html.count("<script>") == 2


def test_comparison_data() -> None:
    taxonomy = nasty_taxonomy()
    runs = [made_outcome(taxonomy, 80, skill=skill) for skill in (2.0, 3.0, 2.1)]
    metrics = [run.evaluate().to_json(intervals=False) for run in runs]
    pairs = [compare_outcomes(runs[0], other, resamples=50) for other in runs[1:]]
    data = comparison_data(["a", "b", "c"], metrics, pairs)
    micro = data["measures"][0]
    assert micro["values"] == [value["micro"]["f1"] for value in metrics]
    assert [one["value"] for one in micro["differences"]] == [
        pytest.approx(micro["values"][i] - micro["values"][0]) for i in (1, 2)
    ]
    ranked = [row["name"] for row in data["measures"] if row["ranked"]]
    assert ranked == ["average precision, micro", "average precision, macro"]
    own = [row["f1"] for row in metrics[1]["categories"]]
    assert data["pairs"][0]["second"] == pytest.approx(own, abs=1e-4)
    with pytest.raises(ValueError, match="do not fit together"):
        comparison_data(["a", "b"], metrics, pairs)


def test_names_without_shared_folders() -> None:
    assert short_names(["runs/a/b", "runs/a"]) == ["a/b", "a"]
    assert short_names(["/x/one", "/x/y/two"]) == ["one", "y/two"]
    assert short_names(["same", "same"]) == ["same", "same"]
    assert short_names([NASTY, "b"]) == [NASTY, "b"]


def test_pages_need_no_torch() -> None:
    code = (
        "import sys, linnaea.report.page, linnaea.report.compare, linnaea.report.study, linnaea.commands.quotes\n"
        "assert 'torch' not in sys.modules and 'plotly.graph_objs' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr == ""
