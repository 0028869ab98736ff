"""What benchmarks share: figures come out as they went in, as a table and as JSON."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch

from benchmarks import encoders, speed
from benchmarks.common import Row, apart, measure, peak_mb, report, sgemm, table
from linnaea.config.encoders_recurrent import TextRNNConfig
from linnaea.nn.encoders.textrnn import TextRNN
from linnaea.nn.network import Embedded

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


@pytest.mark.parametrize(("cell", "gates"), [("rnn", 1), ("gru", 3), ("lstm", 4)])
def test_products_in_place_are_counted(cell: str, gates: int) -> None:
    """2 · T · D · G · (E + H) of a text of T tokens: inputs and states, in both directions."""
    T, D, E, H = 7, 2, 5, 3
    settings = {"cell": cell, "hidden": H, "pooling": "mean"}
    network = TextRNN(TextRNNConfig.read(settings), input_dim=E)
    vectors_BTE = torch.randn(2, T, E, requires_grad=True)
    with speed.products() as forward:
        pooled_BD = network(Embedded(vectors_BTE, torch.ones(2, T, dtype=torch.bool))).pooled_BD
    assert forward.get_total_flops() == 2 * 2 * T * D * gates * H * (E + H)
    with speed.products() as backward:
        pooled_BD.sum().backward()
    assert backward.get_total_flops() == 2 * forward.get_total_flops()


def test_speed_stands_beside_the_quality_of_the_same_network(tmp_path: Path) -> None:
    names = ["textcnn", "drnn", "dpcnn", "vdcnn"]
    rows = [
        {"name": f"{name}: {what}", "documents_per_second": 12.3}
        for name in names
        for what in ("steps", "score")
    ]
    (tmp_path / "speed.json").write_text(json.dumps({"rows": rows}))
    found: dict[str, dict[str, dict[str, float]]] = {name: {"rcv1-sample": {}} for name in names}
    encoders.with_speed({"encoders": found}, tmp_path / "speed.json")
    with_speed = {"train documents/s": 12, "score documents/s": 12}
    assert found == {name: {"rcv1-sample": with_speed if name == "textcnn" else {}} for name in names}


def test_the_penalty_counts_categories_not_line_ends(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text("{}\n" * 5)
    (tmp_path / "taxonomy.tsv").write_text("Root\tA\tB\nA\tC\tD\n")
    assert encoders.penalty_for(tmp_path) == 1 / (encoders.C * 5 * 4)
