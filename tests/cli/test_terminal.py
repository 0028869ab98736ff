"""What the terminal shows of several trainings in one run: a line each, one bar that lives, and all epochs on disk."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from linnaea.cli.display import Display
from linnaea.training.history import EpochRecord, EpochTime, History, Progress, Start

Call = Callable[..., "object"]
NAME = "member 12 of 14, fold 10 of 10"


def record(epoch: int, **dev: float) -> EpochRecord:
    return EpochRecord(epoch, epoch, 0.25, 0.01, dev, True, EpochTime(1.0, 1.0, 10.0))


def lines(text: str) -> list[str]:
    """What stood on a terminal, without its control sequences."""
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)
    return [line.rstrip() for line in re.split(r"[\r\n]+", plain) if line.strip()]


@pytest.fixture(params=[True, False], ids=["terminal", "file"])
def display(request: pytest.FixtureRequest) -> Display:
    made = Display()
    made.err = Console(file=io.StringIO(), width=80, force_terminal=request.param, highlight=False)
    return made


@pytest.mark.parametrize(
    ("metric", "history", "told"),
    [
        ("micro_f1", History((record(1, micro_f1=0.5), record(2)), 1, True), "best epoch 1 of 2, dev micro_f1 0.5000"),
        ("loss", History((record(1, loss=0.75),), 1), "best epoch 1 of 1, dev loss 0.7500"),
        (None, History((record(1), record(2)), 2), "2 epochs, loss 0.2500"),
    ],
)  # fmt: skip
def test_one_of_several_trainings_is_a_line(
    display: Display, metric: str | None, history: History, told: str
) -> None:
    listener = display.listener(NAME)
    listener.on_start(Start((), 0, 2, 10, metric))
    for each in history.records:
        listener.on_step(Progress(each.epoch, 2, each.epoch, 2, 0.1, 0.01, 12345.0, 0.8, 754.0))
        listener.on_epoch(each)
    listener.on_end(history)
    display.close()
    shown = lines(display.err.file.getvalue())  # type: ignore[attr-defined]
    assert shown[-1] == f"{NAME}: {told}"
    assert max(map(len, shown)) <= 80
    bars = shown[:-1]
    assert bool(bars) == display.err.is_terminal
    assert all(bar.startswith(NAME) and bar.endswith("12:34 left") for bar in bars if "epoch" in bar)


def test_an_ensemble_is_readable(corpus: Path, linnaea: Call) -> None:
    value = json.loads((corpus / "linear.json").read_text())
    network = {
        "model": json.loads((corpus / "fasttext.json").read_text())["model"],
        "training": {"epochs": 3, "optimizer": {"type": "adam", "learning_rate": 0.01}},
    }
    members = [{"training": {"strategy": {"type": "linear"}}}, network]
    value["training"] = {"strategy": {"type": "ensemble", "members": members}}
    value["decision"]["threshold"]["folds"] = 2
    value["evaluation"] = {"baseline": None}
    (corpus / "ensemble.json").write_text(json.dumps(value))
    made = linnaea("train", "ensemble.json", "--json")
    assert made.code == 0, made.err
    assert made.json()["split"] == "test"
    shown = made.err.splitlines()
    assert not any(line.startswith("epoch") for line in shown)
    ends = [line for line in shown if line.startswith("member 2 of 2")]
    assert re.fullmatch(r"member 2 of 2: .*fasttext.*, seed 1", ends[0])
    for line, fold in zip(ends[1:3], (1, 2), strict=True):
        assert re.fullmatch(
            rf"member 2 of 2, fold {fold} of 2: best epoch \d of 3, dev \w+ \d\.\d{{4}}", line
        )
    assert re.fullmatch(r"member 2 of 2: all documents, for \d epochs", ends[3])
    assert re.fullmatch(r"member 2 of 2: \d epochs?, loss \d\.\d{4}", ends[4])
    assert len(ends) == 5
    for fold in (1, 2):
        kept = next((corpus / "run").rglob(f"fold-{fold}/history.jsonl")).read_text()
        assert [json.loads(line)["epoch"] for line in kept.splitlines()] == [1, 2, 3]


def test_long_lines_go_on_below_on_a_terminal_alone(display: Display) -> None:
    path = "runs/" + "x" * 90
    display.note(
        f"  a line of words, of which the last, that is to say currency, is cut by no means: {path}\nend"
    )
    display.warn("words " * 16 + "end")
    shown = [line.rstrip() for line in display.err.file.getvalue().splitlines()]  # type: ignore[attr-defined]
    if display.err.is_terminal:
        assert lines("\n".join(shown)) == [
            "  a line of words, of which the last, that is to say currency, is cut by no",
            "    means:",
            f"    {path}",
            "end",
            "warning: " + "words " * 11 + "words",
            "  " + "words " * 4 + "end",
        ]
    else:
        assert [len(line) for line in shown] == [83 + len(path), 3, 9 + 96 + 3]
