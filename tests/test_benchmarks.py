"""What benchmarks share: figures come out as they went in, as a table and as JSON."""

from __future__ import annotations

import json
import os

import pytest

from benchmarks.common import Row, apart, measure, peak_mb, report, sgemm, table

ROWS = [Row("slow", 100, 4.0, 12.0), Row("fast", 1000, 0.5, 34.0, {"micro_f1": 0.75})]


def test_documents_per_second() -> None:
    assert [row.documents_per_second for row in ROWS] == [25.0, 2000.0]


def test_the_fastest_repeat_counts() -> None:
    calls: list[int] = []
    row = measure("x", 10, lambda: calls.append(1), repeats=3, warm_up=True)
    assert len(calls) == 4
    assert row.documents == 10
    assert row.seconds >= 0
    assert row.peak_mb == pytest.approx(peak_mb(), rel=0.5)


def test_table() -> None:
    assert table(ROWS).splitlines() == [
        "| | documents | seconds | documents/s | peak MiB | micro_f1 |",
        "|---|---:|---:|---:|---:|---:|",
        "| slow | 100 | 4.00 | 25 | 12 |  |",
        "| fast | 1,000 | 0.50 | 2,000 | 34 | 0.75 |",
    ]


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    report(ROWS, as_json=True)
    value = json.loads(capsys.readouterr().out)
    assert value["machine"]["sgemm_gflops_per_core"] > 0
    assert [row["documents_per_second"] for row in value["rows"]] == [25.0, 2000.0]
    report(ROWS, as_json=False)
    first, _, *rest = capsys.readouterr().out.splitlines()
    assert "sgemm_gflops_per_core" in first
    assert rest == table(ROWS).splitlines()


def test_sgemm_is_a_rate() -> None:
    assert sgemm(size=64, seconds=0.01) > 0


def test_a_process_of_its_own() -> None:
    assert apart(os.getpid) != os.getpid()
    with pytest.raises(ZeroDivisionError):
        apart(divmod, 1, 0)
