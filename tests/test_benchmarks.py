"""What benchmarks share: figures come out as they went in, as a table and as JSON."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from benchmarks import encoders, hierarchy, hierarchy_tables, speed
from benchmarks.common import Row, apart, measure, peak_mb, report, sgemm, table
from benchmarks.hierarchy_runs import differences, mean_f1
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


def test_every_row_of_the_hierarchy_table_is_a_config() -> None:
    """As ``scripts/bench hierarchy`` would run it; no file is read for it."""
    for encoder in hierarchy.ENCODERS:
        chosen = hierarchy.parser().parse_args(["--encoder", encoder])
        for corpus in hierarchy.CORPORA:
            for row in hierarchy.rows_of(corpus):
                config = hierarchy.config_for(row, Path(corpus), Path("run"), 2, chosen)
                assert (config.run.seed, config.run.threads, config.run.device) == (2, 1, "cpu")


def test_hierarchy_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Networks and the linear strategy are trained once; the rest is laid over their scores."""
    words = {"b": "red", "c": "blue", "d": "green"}
    corpus = tmp_path / "tiny"
    corpus.mkdir()
    (corpus / "taxonomy.tsv").write_text("Root\ta\td\na\tb\tc\n")
    for split, count in (("train", 24), ("dev", 12), ("test", 12)):
        labels = [sorted(words)[i % 3] for i in range(count)]
        rows = [
            {"doc_label": [label], "doc_token": [words[label], f"w{i}"]} for i, label in enumerate(labels)
        ]
        (corpus / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    given = ["--data", str(tmp_path), "--out", str(tmp_path / "out"), "--corpora", "tiny", "--epochs", "1"]
    chosen = hierarchy.parser().parse_args([*given, "--rows", "linear", "plain", "hmcn", "--seeds", "1", "2"])
    hierarchy.make(chosen)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    names = ["linear-1", *(f"textrcnn-{row}-{seed}" for row in ("hmcn", "plain") for seed in (1, 2))]
    assert sorted(path.name for path in kept) == [f"tiny-{name}.npz" for name in names]
    hierarchy.make(chosen)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == kept
    assert capsys.readouterr().err.count("tiny") == 5
    tiny = hierarchy.kept("tiny", chosen)
    figures, coherent = (part.splitlines() for part in hierarchy_tables.tables([tiny], []).split("\n\n"))
    assert [line.split(" | ")[1] for line in figures[2::2]] == ["linear (1)", "plain (2)", "hmcn (2)"]
    assert len({line.count("|") for line in figures}) == 1
    assert len(coherent) == 2 + 3
    assert len({line.count("|") for line in coherent}) == 1
    short = hierarchy_tables.summary([tiny]).splitlines()
    assert [line.split(" | ")[0] for line in short[2::2]] == ["| linear", "| plain", "| hmcn"]
    assert short[4] == f"| plain | .5 | {tiny.short('plain', '.5')} |"
    assert len(tiny.areas()) == 3  # held against scikit-learn in there
    hierarchy_tables.picture(tmp_path / "less.svg", [tiny])
    assert "</svg>" in (tmp_path / "less.svg").read_text()


def test_differences_are_those_of_scikit_learn() -> None:
    generator = np.random.default_rng(3)
    gold, *sets = (generator.random((40, 5)) < 0.4 for _ in range(4))
    counts = generator.multinomial(40, np.full(40, 1 / 40), 3)
    expected = [
        [
            np.mean(
                [
                    f1_score(
                        gold.repeat(weights, 0), one.repeat(weights, 0), average=average, zero_division=0
                    )
                    for one in sets
                ]
            )
            for average in ("micro", "macro")
        ]
        for weights in counts
    ]
    assert mean_f1(sets, gold, counts.astype(np.float32)) == pytest.approx(np.array(expected), abs=1e-6)
    better, same = differences([gold], sets, gold), differences(sets, sets, gold)
    assert all(low < mean < high and low > 0 for mean, low, high in better)
    assert same == [(0.0, 0.0, 0.0)] * 2
