"""Calibration and promises from the command line: what is told, and one line for what cannot be."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import WORDS, documents, write_lines

Call = Callable[..., "object"]


def train(linnaea: Call, *settings: str) -> object:
    extra = [part for setting in settings for part in ("--set", setting)]
    return linnaea("train", "linear.json", *extra)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ['decision.threshold={"type": "conformal", "recall": 1.5}'],
            "decision.threshold.recall: must lie between 0 and 1, not 1.5 (1.5 % are 0.015)",
        ),
        (
            ['decision.threshold={"type": "conformal", "recall": 0.999}'],
            "decision.threshold.recall: a recall of 0.999 takes 999 held-out documents with labels, and there are",
        ),
        (
            ['decision.threshold={"type": "cautious", "error": 0.001}'],
            "decision.threshold.error: an error of 0.001 takes 999 held-out documents, and there are",
        ),
        (
            ["decision.threshold=conformal", "decision.decoding=top_down"],
            "'top_down' takes categories away",
        ),
        (["decision.calibration=plat"], "there is no calibration 'plat' (did you mean 'platt'?)"),
    ],
)
def test_bad_input(settings: list[str], message: str, corpus: Path, linnaea: Call) -> None:
    outcome = train(linnaea, *settings)
    assert outcome.code == 2, outcome.err
    lines = [row for row in outcome.err.splitlines() if row.startswith("error:")]
    assert len(lines) == 1
    assert message in lines[0], lines[0]
    assert not (corpus / "run" / "model").exists()


ENSEMBLE = {"type": "ensemble", "members": [{"training": {"strategy": "linear"}}]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {
                "data": {"train": "train.jsonl"},
                "decision": {"threshold": {"type": "cautious", "error": 0.05}},
            },
            "takes 19 held-out documents, and there are 16 ",  # of train, set aside
        ),
        (
            {"decision": {"threshold": {"type": "conformal", "recall": 0.995, "on": "cross"}}},
            "takes 199 held-out documents with labels, and there are 198 ",
        ),
        (
            {
                "training": {"strategy": ENSEMBLE},
                "decision": {"threshold": {"type": "cautious", "error": 0.04}},
            },
            "takes 24 held-out documents, and there are 20 ",
        ),
        (
            {
                "training": {"strategy": ENSEMBLE},
                "decision": {"threshold": {"type": "cautious", "error": 0.005, "on": "cross"}},
            },
            "takes 199 held-out documents, and there are 99 ",
        ),
    ],
    ids=["set aside", "out of fold", "blended", "blended out of fold"],
)
def test_a_check_counts_the_documents_that_training_will_have(
    changes: dict[str, object], message: str, corpus: Path, linnaea: Call
) -> None:
    rows = (corpus / "train.jsonl").read_text().splitlines()
    (corpus / "train.jsonl").write_text("\n".join(rows[:158]))
    config = json.loads((corpus / "linear.json").read_text())
    (corpus / "asked.json").write_text(json.dumps({**config, **changes}))
    found = linnaea("check", "asked.json")
    assert found.code == 2
    assert message in " ".join(found.out.split())
    refused = linnaea("train", "asked.json")
    assert refused.code == 2
    assert message in " ".join(refused.err.split())
    assert not (corpus / "run" / "model").exists()


def test_an_ensemble_says_what_its_promise_rests_on(corpus: Path, linnaea: Call) -> None:
    outcome = train(
        linnaea,
        f"training={json.dumps({'strategy': ENSEMBLE})}",
        'decision={"threshold": {"type": "cautious", "error": 0.3}}',
    )
    assert outcome.code == 0, outcome.err
    assert "wrong in the mean, by 20 held-out documents" in outcome.err
    assert linnaea("check", "run").code == 0


def test_calibrated_and_promised(corpus: Path, linnaea: Call) -> None:
    outcome = train(
        linnaea, "decision.calibration=platt", 'decision.threshold={"type": "conformal", "recall": 0.5}'
    )
    assert outcome.code == 0, outcome.err
    assert "categories are calibrated by themselves" in outcome.err
    assert "promised: recall of 0.5 by" in outcome.err
    assert "ECE 0." in outcome.err
    decision = corpus / "run" / "model" / "decision.json"
    value = json.loads(decision.read_text())
    assert value["calibration"]["type"] == "platt"
    assert value["promise"]["kind"] == "recall"
    answers = linnaea("predict", "run", "train.jsonl", "--all")
    assert answers.code == 0
    scores = [c["score"] for line in answers.out.splitlines() for c in json.loads(line)["categories"]]
    assert all(0 <= score <= 1 for score in scores)


@pytest.mark.parametrize("keep", ["null", "2"])
def test_one_category_a_document_scored_by_sigmoids(keep: str, corpus: Path, linnaea: Call) -> None:
    ids = [label.split("--")[-1] for label in WORDS]
    for name, seed in (("train", 1), ("dev", 2), ("test", 3)):
        rows = [{**row, "doc_label": [row["doc_label"][0].split("--")[-1]]} for row in documents(80, seed)]
        write_lines(corpus / f"{name}.jsonl", rows)
    settings = ['task={"type": "multiclass"}', "objective.loss=asymmetric", f"evaluation.keep={keep}"]
    extra = [
        part for setting in (*settings, "decision.calibration=temperature") for part in ("--set", setting)
    ]
    outcome = linnaea("train", "fasttext.json", *extra)
    assert outcome.code == 0, outcome.err
    told = next(line for line in outcome.err.splitlines() if "temperature on test: ECE" in line)
    before, after = (float(number.rstrip(",")) for number in (told.split()[4], told.split()[6]))
    assert after < before
    answers = linnaea("predict", "run", "test.jsonl", "--all")
    assert answers.code == 0, answers.err
    for line in answers.out.splitlines():
        scores = {c["id"]: c["score"] for c in json.loads(line)["categories"]}
        assert sorted(scores) == sorted(ids)
        assert sum(scores.values()) == pytest.approx(1, abs=1e-3)


GROWN = "Root\tanimals\tflora\nanimals\tdogs\tcats\tbirds\nflora\ttrees\n"


def more(corpus: Path) -> None:
    (corpus / "new.tsv").write_text(GROWN)
    rows = [{"text": f"meow leaf garden {i}", "doc_label": ["animals--birds"]} for i in range(20)]
    write_lines(corpus / "more.jsonl", rows)


def test_all_thresholds_of_a_calibrated_model_grow(corpus: Path, linnaea: Call) -> None:
    more(corpus)
    outcome = train(
        linnaea, "decision.calibration=platt", 'decision.threshold={"type": "conformal", "recall": 0.5}'
    )
    assert outcome.code == 0, outcome.err
    grown = linnaea(
        "grow", "run", "--taxonomy", "new.tsv", "--data", "more.jsonl", "--rename", "plants=flora", "--out", "next"
    )  # fmt: skip
    assert grown.code == 0, grown.err
    assert "the thresholds come with a promise: all thresholds are found anew" in grown.err
    value = json.loads((corpus / "next" / "model" / "decision.json").read_text())
    assert value["promise"]["level"] == 0.5
    assert "birds" in value["thresholds"]


def test_calibrated_thresholds_of_networks_cannot_grow(corpus: Path, linnaea: Call) -> None:
    more(corpus)
    strategy = {"type": "per_category", "executor": "local", "workers": 1}
    settings = [
        f"training.strategy={json.dumps(strategy)}",
        "training.epochs=1",
        "decision.calibration=platt",
    ]
    extra = [part for setting in settings for part in ("--set", setting)]
    assert linnaea("train", "textcnn.json", *extra).code == 0
    model = json.loads((corpus / "run" / "model" / "decision.json").read_text())
    assert model["calibration"]["type"] == "platt"
    outcome = linnaea(
        "grow", "run", "--taxonomy", "new.tsv", "--data", "more.jsonl", "--rename", "plants=flora"
    )
    assert outcome.code == 2
    assert "error: run: the thresholds that its networks found went into calibrated scores" in outcome.err
