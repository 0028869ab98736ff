"""Checkpoints under faults: any write may fail, any byte may change; a whole one is found, or a clear error."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from linnaea.errors import ConfigError, ModelError, RunError
from linnaea.training import checkpoint as module
from linnaea.training.checkpoint import Checkpoint, Checkpoints, refuse_another_run


def made(step: int, best_epoch: int = 0, size: int = 3) -> Checkpoint:
    tensors = {
        "network/weight": torch.full((size,), float(step)),
        "network/count": torch.tensor(step),
        "optimizer/weight/exp_avg": torch.arange(2.0) + step,
        "random/cpu": torch.tensor([[step % 256, 7]], dtype=torch.uint8),
        "network/none": torch.zeros(0, 4),
        "network/half": torch.full((2, 2), float(step), dtype=torch.bfloat16),
    }
    best = {"weight": torch.full((size,), 100.0 + best_epoch)} if best_epoch else None
    return Checkpoint(step, {"loss_sum": 0.1 + step, "records": [{"dev": None}]}, tensors, best, best_epoch)


def same(one: Checkpoint | None, two: Checkpoint) -> bool:
    assert one is not None
    if (one.step, one.facts, one.best_epoch) != (two.step, two.facts, two.best_epoch):
        return False
    pairs = [(one.tensors, two.tensors), (one.best or {}, two.best or {})]
    return all(
        a.keys() == b.keys() and all(torch.equal(t, b[name]) for name, t in a.items()) for a, b in pairs
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("background", [True, False])
def test_the_last_two_and_their_best_are_kept(tmp_path: Path, background: bool) -> None:
    kept = Checkpoints(tmp_path / "checkpoints", background=background)
    assert kept.latest() is None
    for step, best in ((5, 1), (10, 2), (15, 2), (20, 2)):
        kept.save(made(step, best))
    kept.wait()
    assert names(kept.folder) == ["best-00000002", "step-00000015", "step-00000020"]
    assert same(kept.latest(), made(20, 2))
    # Another process goes on where this one ended.
    other = Checkpoints(kept.folder)
    assert same(other.latest(), made(20, 2))
    other.save(made(25, 5))
    other.wait()
    assert names(kept.folder) == ["best-00000002", "best-00000005", "step-00000020", "step-00000025"]
    other.save(made(25), last=True)
    other.wait()
    assert names(kept.folder) == ["step-00000025.1"]
    assert same(Checkpoints(kept.folder).latest(), made(25))


def test_the_same_step_twice(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path, background=False)
    for best in (0, 1):
        kept.save(made(5, best))
    assert names(tmp_path) == ["best-00000001", "step-00000005", "step-00000005.1"]
    assert same(kept.latest(), made(5, 1))
    shutil.rmtree(tmp_path / "step-00000005.1")
    assert same(kept.latest(), made(5))


def test_tensors_are_copies_that_outlive_the_file(tmp_path: Path) -> None:
    Checkpoints(tmp_path, background=False).save(made(5))
    read = Checkpoints(tmp_path).latest()
    shutil.rmtree(tmp_path)
    assert same(read, made(5))
    assert read is not None
    assert read.part("optimizer").keys() == {"weight/exp_avg"}


def test_what_a_killed_process_left_is_tidied(tmp_path: Path) -> None:
    kept = Checkpoints(tmp_path, background=False)
    kept.save(made(5, 1))
    for name in (".step-00000006.x1.tmp", ".best-00000001.x2.old", ".step-00000001.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "state.safetensors").write_bytes(b"half")
    (tmp_path / "notes.txt").write_text("the user's own")
    other = Checkpoints(tmp_path)
    assert same(other.latest(), made(5, 1))
    other.tidy()
    assert names(tmp_path) == ["best-00000001", "notes.txt", "step-00000005"]
    other.clear()
    assert names(tmp_path) == ["notes.txt"]


def failing(call: Callable[..., Any], at: int, counter: list[int]) -> Callable[..., Any]:
    def instead(*arguments: Any, **more: Any) -> Any:
        counter[0] += 1
        if counter[0] == at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return call(*arguments, **more)

    return instead


def each_call() -> Iterator[int]:
    yield from range(1, 60)


@pytest.mark.parametrize("again", [10, 5])
def test_a_full_disk_at_any_call_leaves_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: int
) -> None:
    failures = 0
    for at in each_call():
        folder = tmp_path / str(at)
        kept = Checkpoints(folder, background=at % 2 == 0)
        kept.save(made(5, 1))
        kept.wait()
        counter = [0]
        with monkeypatch.context() as patched:
            for name in ("fsync", "replace", "open", "mkdir"):
                patched.setattr(os, name, failing(getattr(os, name), at, counter))
            try:
                # Also over the same step, whose older checkpoint must not be lost.
                kept.save(made(again, 2))
                kept.wait()
                failed = False
            except RunError as error:
                failed = True
                assert "no space left" in str(error)
        newest = Checkpoints(folder).latest()
        assert same(newest, made(5, 1)) or same(newest, made(again, 2))
        assert failed or same(newest, made(again, 2))
        failures += failed
        assert not any(name.endswith(".tmp") for name in names(folder))
        # The run could go on.
        kept.save(made(15, 2))
        kept.wait()
        assert same(Checkpoints(folder).latest(), made(15, 2))
        if counter[0] < at:
            break
    else:
        raise AssertionError("more calls than were tried")
    assert failures >= 8


@pytest.mark.parametrize("limit", [0, 1, 200, 1000, 4096, 60_000, 200_000])
def test_a_file_that_cannot_grow(tmp_path: Path, limit: int) -> None:
    # A true failure inside the writer of tensors, at a chosen byte: the limit on file sizes.
    kept = Checkpoints(tmp_path / "checkpoints", background=False)
    kept.save(made(5, 1))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        with pytest.raises(RunError, match="cannot write"):
            kept.save(made(10, 2, size=100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert same(Checkpoints(kept.folder).latest(), made(5, 1))
    assert names(kept.folder) == ["best-00000001", "step-00000005"]


def small(folder: Path) -> Checkpoints:
    kept = Checkpoints(folder, background=False)
    kept.save(Checkpoint(1, {"a": 1}, {"network/w": torch.tensor([1.0])}, {"w": torch.tensor([2.0])}, 1))
    kept.save(Checkpoint(2, {"a": 2}, {"network/w": torch.tensor([3.0])}, {"w": torch.tensor([4.0])}, 2))
    return kept


FILES = [
    "step-00000002/state.safetensors",
    "step-00000002/checkpoint.json",
    "best-00000002/weights.safetensors",
]


@pytest.mark.parametrize("name", FILES)
def test_any_byte_changed_falls_back(tmp_path: Path, name: str) -> None:
    small(tmp_path)
    path = tmp_path / name
    whole = path.read_bytes()
    for place in range(len(whole)):
        data = bytearray(whole)
        data[place] ^= 0x10
        path.write_bytes(bytes(data))
        newest = Checkpoints(tmp_path).latest()
        assert newest is not None
        # White space and the like between JSON's values may change without a change of content.
        if newest.step == 2:
            assert json.loads(data) == json.loads(whole)
        else:
            assert newest.step == 1


@pytest.mark.parametrize("name", FILES)
def test_any_prefix_falls_back(tmp_path: Path, name: str) -> None:
    small(tmp_path)
    path = tmp_path / name
    whole = path.read_bytes()
    for length in range(len(whole) - (2 if name.endswith("json") else 0)):
        path.write_bytes(whole[:length])
        newest = Checkpoints(tmp_path).latest()
        assert newest is not None
        assert newest.step == 1
    path.unlink()
    assert Checkpoints(tmp_path).latest().step == 1  # type: ignore[union-attr]


def test_none_whole_says_what_is_wrong_with_the_newest(tmp_path: Path) -> None:
    small(tmp_path)
    (tmp_path / FILES[0]).write_bytes(b"")
    shutil.rmtree(tmp_path / "best-00000001")
    with pytest.raises(
        ModelError, match=r"step-00000002/state\.safetensors: this checkpoint was altered.*train again"
    ):
        Checkpoints(tmp_path).latest()


def test_a_newer_format_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(module, "FORMAT", 2)
        Checkpoints(tmp_path, background=False).save(made(5))
    with pytest.raises(ModelError, match=r"format 2, known is 1.*update linnaea"):
        Checkpoints(tmp_path).latest()


def test_errors_in_the_background_are_raised_once(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("a file in the way")
    kept = Checkpoints(tmp_path / "checkpoints")
    kept.save(made(1))
    with pytest.raises(RunError, match="cannot write"):
        kept.wait()
    kept.wait()


def test_refusing_names_the_first_difference() -> None:
    run = {"seed": 1, "training": {"optimizer": {"betas": (0.9, 0.99)}, "epochs": 3}}
    refuse_another_run(json.loads(json.dumps(run)), run, "here")
    with pytest.raises(
        ConfigError,
        match=r"^here: .* training\.optimizer\.betas was \[0\.9, 0\.99\], now it is \[0\.9, 0\.5\]",
    ):
        refuse_another_run(
            run, {**run, "training": {"optimizer": {"betas": [0.9, 0.5]}, "epochs": 3}}, "here"
        )
    with pytest.raises(ConfigError, match="corpus was null, now it is"):
        refuse_another_run(run, {**run, "corpus": "ab"}, "here")
