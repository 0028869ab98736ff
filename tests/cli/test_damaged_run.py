"""A finished run whose files are damaged: one line with file and key, and what it says to do works."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import Outcome

Call = Callable[..., Outcome]
TRAIN = ("train", "fasttext.json", "--set", "training.epochs=2")


@pytest.fixture
def run(corpus: Path, linnaea: Call) -> Path:
    made = linnaea(*TRAIN)
    assert made.code == 0, made.err
    return corpus / "run"


def refused(made: Outcome, told: str) -> None:
    assert (made.code, made.out) == (3, "")
    assert made.err.startswith(f"error: {told}")
    assert made.err.count("\n") == 1


def test_a_finished_run_with_damaged_metrics(run: Path, linnaea: Call) -> None:
    whole = json.loads((run / "metrics.json").read_text())
    hint = " (remove metrics.json, then: linnaea train CONFIG --resume)\n"
    cases: list[tuple[Any, str]] = [
        (whole | {"micro": "x"}, 'micro must be an object, not "x"'),
        (whole | {"micro": whole["micro"] | {"f1": "x"}}, 'micro.f1 must be a finite number, not "x"'),
        (whole | {"levels": "x"}, 'levels must be a list, not "x"'),
        ([], "does not hold a JSON object"),
    ]
    for value, told in cases:
        (run / "metrics.json").write_text(json.dumps(value))
        refused(linnaea(*TRAIN, "--resume"), f"run/metrics.json: {told}{hint}")
        refused(linnaea("report", "run"), f"run/metrics.json: {told}{hint}")
    (run / "metrics.json").unlink()
    (run / "outcome.safetensors").unlink()
    (run / "baseline" / "metrics.json").write_text("[]")  # of which its hint says the same
    made = linnaea(*TRAIN, "--resume")
    assert made.code == 0, made.err
    assert "epoch   1/2" not in made.err, "what is trained is not trained again"
    assert json.loads((run / "metrics.json").read_text()) == whole
    assert linnaea("report", "run").code == 0
    assert linnaea("compare", "run/baseline", "run").code == 0


def test_a_damaged_config(run: Path, linnaea: Call) -> None:
    whole = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text("[]")
    again = " (give --overwrite to start again)\n"
    refused(linnaea(*TRAIN, "--resume"), f"run/config.json: does not hold a JSON object{again}")
    hint = ' (what run/model/model.json has under "config" will do for a page)\n'
    refused(linnaea("report", "run"), f"run/config.json: does not hold a JSON object{hint}")
    for training, told in (
        ({"strategy": 3}, "training.strategy must be an object, not 3"),
        (3, "training must be an object, not 3"),
    ):
        (run / "config.json").write_text(json.dumps(whole | {"training": training}))
        refused(linnaea("report", "run"), f"run/config.json: {told}{hint}")
        made = linnaea(*TRAIN, "--resume")
        assert made.code == 2 and "differs from the run's own config in: training" in made.err
    kept = json.loads((run / "model" / "model.json").read_text())["config"]
    (run / "config.json").write_text(json.dumps(kept))
    assert linnaea("report", "run").code == 0
