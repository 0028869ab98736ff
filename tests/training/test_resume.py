"""A run that was stopped at any step and went on ends as if it had never stopped, to the last bit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from linnaea.config.outcome import RunConfig
from linnaea.errors import ConfigError, InterruptedRun, ModelError
from linnaea.training import loop
from linnaea.training.history import Progress
from tests.training import toy

ROOT = Path(__file__).resolve().parents[2]


class Stop(Exception):
    """Stands for a kill: nothing of the run survives but its files."""


@pytest.fixture(autouse=True)
def _told_at_every_step(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(loop, "REPORT_EVERY", -1.0)
    monkeypatch.setattr(
        os, "fsync", lambda handle: None
    )  # no power fails here, and hundreds of checkpoints are written
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def stop_at(step: int) -> Any:
    def hook(progress: Progress) -> None:
        if progress.step == step:
            raise Stop

    return hook


CASES: dict[str, dict[str, Any]] = {
    "sparse adam, bags": {},
    "dense adam, bags": {"sparse": False},
    "sequence": {"reads": "sequence"},
    "token budget": {"reads": "sequence", "batch_tokens": 60, "schedule": "cosine"},
    "accumulation": {"accumulate": 2},
    "adamw": {"optimizer": {"type": "adamw", "learning_rate": 0.05, "weight_decay": 0.1}},
    "adadelta": {
        "optimizer": {"type": "adadelta"},
        "schedule": {"type": "exponential", "rate": 0.9, "steps": 4},
    },
    "momentum": {"optimizer": {"type": "sgd", "momentum": 0.9, "nesterov": True}, "schedule": "constant"},
    "checkpoints at epochs' ends only": {"checkpoint_minutes": 60.0},
    "no dev": {"measured": False},
    "bf16": {"precision": "bf16"},
    "batch normalisation": {
        "reads": "sequence",
        "encoder": {"type": "vdcnn", "filters": 2, "hidden": 6, "top_k": 2},
    },
    "ever worse": {
        "optimizer": {"type": "adam", "learning_rate": 1.0},
        "schedule": "constant",
        "epochs": 9,
        "early_stopping": {"metric": "loss", "patience": 3},
    },
}


SLOW = ("ever worse", "batch normalisation", "token budget")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in CASES]
)
def test_stopped_at_every_step_and_gone_on(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    whole = toy.train(tmp_path / "whole", **case)
    steps = whole.history.records[-1].step
    assert steps >= 9
    if name == "ever worse":
        # Patience and the best weights matter here: they must come back too.
        assert whole.history.stopped_early
        assert whole.history.best_epoch == len(whole.history.records) - 3
    for step in range(1, steps + 1):
        folder = tmp_path / f"stopped-{step}"
        with pytest.raises(Stop):
            toy.train(folder, hook=stop_at(step), **case)
        toy.train(folder, resume=True, **case).same(whole)


def test_stopped_twice(tmp_path: Path) -> None:
    whole = toy.train(tmp_path / "whole")
    folder = tmp_path / "stopped"
    for step in (3, 4, 11):
        with pytest.raises(Stop):
            toy.train(folder, resume=step > 3, hook=stop_at(step))
    toy.train(folder, resume=True).same(whole)


def test_how_often_checkpoints_are_written_changes_nothing(tmp_path: Path) -> None:
    often, seldom = toy.train(tmp_path / "often"), toy.train(tmp_path / "seldom", checkpoint_minutes=60.0)
    often.same(seldom)
    never = toy.train(None)
    assert all(torch.equal(tensor, never.weights[name]) for name, tensor in often.weights.items())


def test_a_finished_run_is_not_trained_further(tmp_path: Path) -> None:
    whole = toy.train(tmp_path)
    (tmp_path / "history.jsonl").unlink()
    told: list[Progress] = []
    again = toy.train(tmp_path, resume=True, hook=told.append)
    assert not told
    assert again.history == whole.history
    assert again.lines == whole.lines
    assert all(torch.equal(tensor, again.weights[name]) for name, tensor in whole.weights.items())


def test_without_resume_a_run_begins_anew(tmp_path: Path) -> None:
    with pytest.raises(Stop):
        toy.train(tmp_path, hook=stop_at(7))
    whole = toy.train(tmp_path)
    assert whole.history.records[0].epoch == 1
    whole.same(toy.train(tmp_path / "other"))


def test_resume_without_a_checkpoint_begins(tmp_path: Path) -> None:
    toy.train(tmp_path / "a", resume=True).same(toy.train(tmp_path / "b"))


def test_another_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Stop):
        toy.train(tmp_path, hook=stop_at(7))
    with pytest.raises(ConfigError, match=r"training\.batch_size was 8, now it is 4"):
        toy.train(tmp_path, resume=True, batch_size=4)
    with pytest.raises(ConfigError, match=r"seed was 11, now it is 12"):
        toy.train(tmp_path, resume=True, run=RunConfig(seed=12, device="cpu"))
    with pytest.raises(ConfigError, match=r"loader.documents was 37, now it is 36"):
        toy.train(tmp_path, resume=True, documents=36)
    with pytest.raises(ConfigError, match=r"loader.features was .*, now it is"):
        toy.train(tmp_path, resume=True, reads="sequence")
    toy.train(tmp_path, resume=True, checkpoint_minutes=1.0).same(toy.train(tmp_path / "whole"))


def test_an_altered_checkpoint_is_passed_over(tmp_path: Path) -> None:
    whole = toy.train(tmp_path / "whole")
    folder = tmp_path / "stopped"
    with pytest.raises(Stop):
        toy.train(folder, hook=stop_at(8))
    newest = sorted((folder / "checkpoints").glob("step-*"))[-1]
    state = newest / "state.safetensors"
    data = bytearray(state.read_bytes())
    data[-3] ^= 1
    state.write_bytes(bytes(data))
    toy.train(folder, resume=True).same(whole)


def test_none_whole_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(Stop):
        toy.train(tmp_path, hook=stop_at(8))
    for state in (tmp_path / "checkpoints").glob("step-*/checkpoint.json"):
        state.write_text(state.read_text().replace('"epoch": 2', '"epoch": 1'))
    with pytest.raises(ModelError, match=r"checkpoint\.json: this checkpoint was altered"):
        toy.train(tmp_path, resume=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_writes_a_checkpoint(number: signal.Signals, tmp_path: Path) -> None:
    whole = toy.train(tmp_path / "whole", checkpoint_minutes=60.0)

    def hook(progress: Progress) -> None:
        if progress.step == 7:
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    folder = tmp_path / "stopped"
    with pytest.raises(
        InterruptedRun, match=r"interrupted at step 8 .epoch 2., a checkpoint was written"
    ) as caught:
        toy.train(folder, hook=hook, checkpoint_minutes=60.0)
    assert caught.value.exit_code == 130
    assert signal.getsignal(number) is before
    facts = json.loads((folder / "checkpoints" / "step-00000008" / "checkpoint.json").read_text())
    assert (facts["facts"]["state"]["epoch"], facts["facts"]["state"]["batch"]) == (2, 3)
    toy.train(folder, resume=True, checkpoint_minutes=60.0).same(whole)


def test_a_second_signal_does_not_wait(tmp_path: Path) -> None:
    def hook(progress: Progress) -> None:
        if progress.step == 7:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)
            raise AssertionError("the second signal was not heard")

    with pytest.raises(InterruptedRun, match="twice"):
        toy.train(tmp_path, hook=hook, checkpoint_minutes=60.0)


def test_a_signal_while_dev_is_measured_last(tmp_path: Path) -> None:
    whole = toy.train(tmp_path / "whole")
    steps = whole.history.records[-1].step
    folder = tmp_path / "stopped"
    with pytest.raises(InterruptedRun) as caught:
        toy.train(folder, hook=lambda p: os.kill(os.getpid(), signal.SIGTERM) if p.step == steps else None)
    assert caught.value.exit_code == 130
    again = toy.train(folder, resume=True)
    assert again.history == whole.history
    assert all(torch.equal(tensor, again.weights[name]) for name, tensor in whole.weights.items())


def program(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.training.toy", str(folder), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("step", [2, 5, 11])
def test_really_killed(step: int, tmp_path: Path) -> None:
    assert program(tmp_path / "whole").returncode == 0
    folder = tmp_path / "killed"
    assert program(folder, "--kill-at", str(step)).returncode == -signal.SIGKILL
    assert not (folder / "end.safetensors").exists()
    assert program(folder, "--resume").returncode == 0
    whole = safetensors.torch.load_file(tmp_path / "whole" / "end.safetensors")
    again = safetensors.torch.load_file(folder / "end.safetensors")
    assert whole.keys() == again.keys()
    assert all(torch.equal(tensor, again[name]) for name, tensor in whole.items())
    lines = [(place / "history.jsonl").read_text().splitlines() for place in (tmp_path / "whole", folder)]
    assert [toy.record_without_clock(x) for x in lines[0]] == [toy.record_without_clock(x) for x in lines[1]]
    left = [p.name for p in (folder / "checkpoints").iterdir()]
    assert len(left) == 1
    assert left[0].startswith("step-")


@pytest.mark.slow
def test_a_terminated_program_ends_with_130(tmp_path: Path) -> None:
    ended = program(tmp_path, "--kill-at", "4", "--by", str(int(signal.SIGTERM)))
    assert ended.returncode == 130
    assert "a checkpoint was written" in ended.stderr
    assert program(tmp_path, "--resume").returncode == 0
