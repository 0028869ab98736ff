"""Two processes make the run of one: the same history and weights to rounding error; they stop and go on together."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from tests.training import toy

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow


def program(folder: Path, *arguments: str, world: int = 1) -> subprocess.CompletedProcess[str]:
    launcher = (
        ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(world)] if world > 1 else []
    )
    command = [sys.executable, *launcher, "-m", "tests.training.toy", str(folder), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False, env=environment
    )


def ended(folder: Path) -> dict[str, torch.Tensor]:
    return safetensors.torch.load_file(folder / "end.safetensors")


def history(folder: Path) -> list[dict[str, Any]]:
    return [toy.record_without_clock(line) for line in (folder / "history.jsonl").read_text().splitlines()]


def assert_same(one: Path, two: Path) -> None:
    for name, tensor in ended(one).items():
        torch.testing.assert_close(
            ended(two)[name], tensor, atol=1e-5, rtol=1e-5, msg=lambda m, n=name: f"{n}: {m}"
        )
    assert len(history(one)) == len(history(two))
    for a, b in zip(history(one), history(two), strict=True):
        assert (a["epoch"], a["step"], a["best"]) == (b["epoch"], b["step"], b["best"])
        numbers = [[record["loss"], record["learning_rate"], *record["dev"].values()] for record in (a, b)]
        np.testing.assert_allclose(*numbers, atol=1e-5)


# The last batch of an epoch has one document (37 of 9 each): the second process then has none of its own.
CASES = {
    "sparse": ["--set", "batch_size=9"],
    "dense, accumulated": ["--dense", "--set", "accumulate=2", "--set", "batch_size=9"],
    "sequence, token budget": ["--reads", "sequence", "--set", "batch_tokens=60"],
    # Statistics are of both processes; a document that is only for company is in none.
    "batch normalisation": [
        "--reads",
        "sequence",
        "--encoder",
        '{"type": "vdcnn", "filters": 3, "hidden": 8, "top_k": 2}',
        "--set",
        "batch_size=9",
        "--set",
        'optimizer={"type": "sgd", "learning_rate": 0.1}',
    ],
}


@pytest.mark.parametrize("name", CASES)
def test_two_processes_are_one(name: str, tmp_path: Path) -> None:
    arguments = ["--dropout", "0.5", "--set", "checkpoint_minutes=60", *CASES[name]]
    for world in (1, 2):
        done = program(tmp_path / str(world), *arguments, world=world)
        assert done.returncode == 0, done.stderr
        assert not done.stderr
    assert_same(tmp_path / "1", tmp_path / "2")


def test_two_processes_stop_and_go_on_together(tmp_path: Path) -> None:
    arguments = ["--dropout", "0.3", "--set", "batch_size=9"]
    assert program(tmp_path / "whole", *arguments, world=2).returncode == 0
    stopped = tmp_path / "stopped"
    # Only the first process hears the signal (it alone has the listener); both leave, with one checkpoint.
    done = program(stopped, "--kill-at", "6", "--by", str(int(signal.SIGTERM)), *arguments, world=2)
    assert done.returncode != 0
    assert done.stderr.count("a checkpoint was written") == 2
    newest = sorted((stopped / "checkpoints").glob("step-*"))[-1]
    facts = json.loads((newest / "checkpoint.json").read_text())
    assert facts["step"] == 7
    assert program(stopped, "--resume", *arguments, world=2).returncode == 0
    for one, two in ((ended(tmp_path / "whole"), ended(stopped)),):
        assert all(torch.equal(tensor, two[name]) for name, tensor in one.items())
    assert history(stopped) == history(tmp_path / "whole")


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2)])
def test_another_number_of_processes_goes_on_the_same(before: int, after: int, tmp_path: Path) -> None:
    arguments = ["--dropout", "0.5", "--set", "batch_size=9"]
    assert program(tmp_path / "whole", *arguments).returncode == 0
    stopped = tmp_path / "stopped"
    stop = ["--kill-at", "6", "--by", str(int(signal.SIGTERM))]
    assert program(stopped, *stop, *arguments, world=before).returncode != 0
    done = program(stopped, "--resume", *arguments, world=after)
    assert done.returncode == 0, done.stderr
    assert_same(tmp_path / "whole", stopped)


def test_devices_start_processes_by_themselves(tmp_path: Path) -> None:
    arguments = ["--dropout", "0.5", "--set", "checkpoint_minutes=60"]
    assert program(tmp_path / "1", *arguments).returncode == 0
    done = program(tmp_path / "2", "--devices", "2", *arguments)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert_same(tmp_path / "1", tmp_path / "2")
