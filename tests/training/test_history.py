"""Records and listeners."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from linnaea.config.outcome import RunConfig
from linnaea.errors import RunError
from linnaea.run_folder import RunFolder
from linnaea.training.history import (
    EpochRecord,
    EpochTime,
    History,
    JsonlHistory,
    Start,
    build_listeners,
)


def record(epoch: int, seconds: float = 1.5) -> EpochRecord:
    return EpochRecord(
        epoch,
        10 * epoch,
        0.1 + epoch,
        0.01,
        {"micro_f1": 0.5, "loss": None},
        True,
        EpochTime(seconds, 0.5, 99.0),
    )


def start(*records: EpochRecord) -> Start:
    return Start(records, sum(r.step for r in records[-1:]), 3, 37, "micro_f1")


def test_records_are_equal_but_for_the_clock() -> None:
    assert record(1, 1.0) == record(1, 2.0)
    assert record(1) != record(2)
    assert record(1) != replace(record(1), loss=1.1000000000000003)


def test_a_record_as_json_and_back() -> None:
    value = json.loads(json.dumps(record(2).to_json()))
    assert value == {
        "epoch": 2, "step": 20, "loss": 2.1, "learning_rate": 0.01, "dev": {"micro_f1": 0.5, "loss": None}, "best": True,
        "time": {"seconds": 1.5, "measure_seconds": 0.5, "documents_per_second": 99.0},
    }  # fmt: skip
    assert EpochRecord.from_json(value) == record(2)


def test_the_file_has_what_the_checkpoint_knows_and_what_came_after(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text('{"an": "older run"}\n{"torn')
    listener = JsonlHistory(path)
    listener.on_start(start())
    assert path.read_text() == ""
    for epoch in (1, 2, 3):
        listener.on_epoch(record(epoch))
    again = JsonlHistory(path)
    again.on_start(start(record(1), record(2)))
    again.on_epoch(record(3, 9.0))
    again.on_end(History())
    values = [json.loads(line) for line in path.read_text().splitlines()]
    assert [EpochRecord.from_json(value) for value in values] == [record(1), record(2), record(3)]
    assert values[2]["time"]["seconds"] == 9.0


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    listener = JsonlHistory(tmp_path / "history.jsonl")
    listener.on_start(start())
    (tmp_path / "history.jsonl").unlink()
    (tmp_path / "history.jsonl").mkdir()
    with pytest.raises(RunError, match=r"history\.jsonl: cannot write: is a directory"):
        listener.on_epoch(record(1))


def test_a_run_without_listeners_has_its_history(tmp_path: Path) -> None:
    (only,) = build_listeners(RunConfig(), RunFolder(tmp_path))
    assert isinstance(only, JsonlHistory)
    assert only.path == tmp_path / "history.jsonl"
