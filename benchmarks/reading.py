"""JSON lines to ids: documents a second of one process, for ready tokens and for raw text.

    scripts/bench reading --data ../shared/data/rcv1-sample --documents 20000

The corpus' documents are repeated, each with an id of its own, to ``--documents``; as raw text their tokens stand
between blanks. Rows: "columns" is parsing, cutting and numbering distinct strings (what a cached corpus saves); "ids" is
all of it up to the ids of every document: labels, vocabulary and gathering included. One process, nothing cached.
"""

from __future__ import annotations

import itertools
import json
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.common import Row, apart, arguments, measure, report
from linnaea.config.config import Config
from linnaea.corpus.policy import ErrorPolicy
from linnaea.text.build import build_corpus
from linnaea.text.cache import Source, load
from linnaea.text.workers import Job

_BLOCK = 1024


def write(corpus: Path, place: Path, documents: int, raw: bool) -> None:
    """A file of ``documents`` documents of ``corpus``."""
    with open(corpus / "train.jsonl", encoding="utf-8") as file:
        values = [json.loads(line) for line in file]
    with open(place, "w", encoding="utf-8") as out:
        for number, value in enumerate(itertools.islice(itertools.cycle(values), documents)):
            text = {"text": " ".join(value["doc_token"])} if raw else {"doc_token": value["doc_token"]}
            out.write(json.dumps({"id": str(number), "doc_label": value["doc_label"], **text}) + "\n")


def run(corpus: Path, documents: int, raw: bool) -> list[Row]:
    """Read one file twice: columns only, and all the way."""
    name = "raw text" if raw else "ready tokens"
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "train.jsonl"
        write(corpus, place, documents, raw)
        config = Config.build(
            {
                "task": {"taxonomy": str(corpus / "taxonomy.tsv")},
                "data": {"train": str(place), "dev": str(corpus / "dev.jsonl"), "workers": 0, "cache": False},
                "input": {"max_tokens": 256},
            }
        )
        job = Job(config.data, config.input, ("token", "keyword", "topic", "label"), need_labels=True)

        def columns() -> None:
            load(Source((str(place),), job), ErrorPolicy("raise"))

        def ids() -> None:
            split = build_corpus(config, policy=ErrorPolicy("raise")).train
            for start in range(0, len(split), _BLOCK):
                split.sequence(np.arange(start, min(start + _BLOCK, len(split))))

        size = {"MB": place.stat().st_size / 1e6}
        rows = [measure(f"{name}: {job.__name__}", documents, job, repeats=3) for job in (columns, ids)]
        return [Row(row.name, row.documents, row.seconds, row.peak_mb, size) for row in rows]


def main() -> None:
    """Measure both kinds."""
    parser = arguments(__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/rcv1-sample"))
    parser.add_argument("--documents", type=int, default=20_000)
    chosen = parser.parse_args()
    rows = [row for raw in (False, True) for row in apart(run, chosen.data, chosen.documents, raw)]
    report(rows, chosen.json)


if __name__ == "__main__":
    main()
