"""Quotes: texts are read again from every kind of file; what is gone is joined from the stored tokens."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from linnaea.commands.quotes import LENGTH, shortened, write_quotes
from linnaea.config.config import Config
from linnaea.corpus.policy import ErrorPolicy
from linnaea.decision.predictions import Decisions, Predictions
from linnaea.files import write_json
from linnaea.metrics.outcome import Outcome
from linnaea.ragged import Ragged
from linnaea.run_folder import RunFolder
from linnaea.text.build import build_corpus, corpus_from_documents
from linnaea.text.store import Corpus

TEXTS = [
    "The First text, as written!",
    "second;\n with a line end",
    "Drittes Stück – émigré 語",
    "  fourth  ",
]
ROWS: list[dict[str, Any]] = [
    {"id": f"d{i}", "text": text, "labels": ["a" if i % 2 else "b"]} for i, text in enumerate(TEXTS)
]


def written(folder: Path, kind: str) -> Path:
    path = folder / f"docs.{kind}"
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
    if kind == "jsonl":
        path.write_text("\n" + lines, encoding="utf-8")
    elif kind == "jsonl.gz":
        path.write_bytes(gzip.compress(lines.encode()))
    elif kind == "json":
        path.write_text(json.dumps(ROWS, indent=1), encoding="utf-8")
    elif kind == "parquet":
        import pyarrow
        import pyarrow.parquet

        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)
    else:
        import csv

        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(
                [["id", "text", "labels"], *([r["id"], r["text"], r["labels"][0]] for r in ROWS)]
            )
    return path


def config_of(path: Path | None, folder: Path) -> Config:
    data = {} if path is None else {name: str(path) for name in ("train", "dev", "test")}
    return Config.build({"data": data, "task": {"type": "multilabel"}, "run": {"dir": str(folder / "run")},
                         "training": {"strategy": {"type": "linear"}}})  # fmt: skip


def all_wrong(corpus: Corpus) -> Outcome:
    """Every document misses its category: all are quoted."""
    assert corpus.test is not None
    assert corpus.test.labels is not None
    gold, taxonomy = corpus.test.labels, corpus.taxonomy
    nothing = Ragged.from_rows([[] for _ in range(len(gold))])
    scores = Predictions(
        list(corpus.test.ids), taxonomy, np.zeros((len(gold), len(taxonomy)), dtype=np.float32)
    )
    decisions = Decisions(nothing, np.zeros(0, dtype=np.float32), np.full(len(taxonomy), 0.5))
    return Outcome("test", scores, decisions, gold, gold.counts(len(taxonomy)), "ancestors")


def quoted(corpus: Corpus, config: Config, folder: Path, *splits: Any) -> list[dict[str, Any]]:
    run = RunFolder(folder / "run")
    run.path.mkdir(exist_ok=True)
    write_json(run.config, config.dump())
    write_quotes(run, list(splits) or corpus.test, all_wrong(corpus))
    return [json.loads(line) for line in run.quotes.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("kind", ["jsonl", "jsonl.gz", "json", "csv", "tsv", "parquet"])
def test_texts_as_written(tmp_path: Path, kind: str) -> None:
    if kind == "tsv":
        pytest.importorskip("csv")
        (tmp_path / "docs.tsv").write_text(
            "id\ttext\tlabels\n" + "".join(f'{r["id"]}\t"{r["text"]}"\t{r["labels"][0]}\n' for r in ROWS),
            encoding="utf-8",
        )
        path = tmp_path / "docs.tsv"
    else:
        path = written(tmp_path, kind)
    config = config_of(path, tmp_path)
    corpus = build_corpus(config, policy=ErrorPolicy("raise"))
    lines = quoted(corpus, config, tmp_path)
    assert [line["row"] for line in lines] == [0, 1, 2, 3]
    assert [line["id"] for line in lines] == ["d0", "d1", "d2", "d3"]
    assert [line["text"] for line in lines] == [" ".join(text.split()) for text in TEXTS]


def test_tokens_where_the_file_is_gone_or_another(tmp_path: Path) -> None:
    path = written(tmp_path, "jsonl")
    config = config_of(path, tmp_path)
    corpus = build_corpus(config, policy=ErrorPolicy("raise"))
    expected = ["The First text as written", "second with a line end"]
    assert corpus.test is not None
    cut = corpus.test.columns.tables["token"]
    path.write_text(path.read_text().replace('"d0"', '"d7"').replace('"d1"', '"d8"'))
    texts = [line["text"] for line in quoted(corpus, config, tmp_path)]
    assert [text.lower() for text in texts[:2]] == [text.lower() for text in expected]
    assert set(texts[0].split()) <= set(cut)
    assert texts[2] == TEXTS[2]
    path.unlink()
    texts = [line["text"] for line in quoted(corpus, config, tmp_path)]
    assert texts[2].lower().startswith("drittes stück")


def test_documents_from_python(tmp_path: Path) -> None:
    config = config_of(None, tmp_path)
    corpus = corpus_from_documents(config, None, ROWS, ROWS, ROWS)
    texts = [line["text"] for line in quoted(corpus, config, tmp_path)]
    assert texts[0].lower() == "the first text as written"


def test_several_splits_stand_one_after_another(tmp_path: Path) -> None:
    config = config_of(written(tmp_path, "jsonl"), tmp_path)
    corpus = build_corpus(config, policy=ErrorPolicy("raise"))
    assert corpus.test is not None
    parts = corpus.test.take(np.array([0])), corpus.test.take(np.array([1, 2, 3]))
    assert quoted(corpus, config, tmp_path, *parts) == quoted(corpus, config, tmp_path)


def test_shortened() -> None:
    assert shortened("a\n b\t c") == "a b c"
    assert shortened("") == ""
    long = shortened("word " * 200)
    assert long == "word " * 79 + "word…"
    assert len(long) == LENGTH
    assert shortened("half \ud83d a sign") == "half ? a sign"
