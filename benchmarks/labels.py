"""Labels at full size: RCV1's 804,414 label sets are read, resolved, closed and counted; texts are not needed.

    scripts/bench labels --data ../shared/data/rcv1-topics

``labels.tsv.gz`` holds an id, a tab and topic codes between blanks. Every assignment is looked up and closed again, as
for labels of a user's corpus; "counted" is documents of each category, and precision, recall and F1 of the labels
against those of the document before (any two sets of decisions of that size cost the same).
"""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import Row, apart, arguments, measure, peak_mb, report
from linnaea.corpus.labels import LabelResolver
from linnaea.metrics.counts import Counts
from linnaea.ragged import Ragged
from linnaea.taxonomy.readers import read_taxonomy


def run(folder: Path) -> list[Row]:
    """All steps, in a row."""
    kept: dict[str, Any] = {}

    def read() -> None:
        with gzip.open(folder / "labels.tsv.gz", "rt", encoding="utf-8") as file:
            kept["written"] = [line.rstrip("\n").partition("\t")[2].split(" ") for line in file]

    def resolve() -> None:
        kept["gold"] = LabelResolver(kept["taxonomy"]).rows(kept["written"])

    def close() -> None:
        kept["closed"] = kept["taxonomy"].close(kept["gold"])

    def count() -> None:
        closed: Ragged = kept["closed"]
        rows = np.roll(np.arange(len(closed)), 1)
        kept["support"] = closed.counts(len(kept["taxonomy"]))
        kept["f1"] = Counts.of(closed.take(rows), closed, len(kept["taxonomy"])).micro().f1

    kept["taxonomy"] = read_taxonomy(folder / "taxonomy.tsv")
    before = peak_mb()
    read_row = measure("read", 1, read)
    documents = len(kept["written"])
    rows = [Row("read", documents, read_row.seconds, read_row.peak_mb)]
    rows += [measure(job.__name__, documents, job) for job in (resolve, close, count)]
    seconds = sum(row.seconds for row in rows)
    facts = {"assignments": float(kept["support"].sum()), "before": before}
    return [*rows, Row("all", documents, seconds, peak_mb(), facts)]


def main() -> None:
    """Measure."""
    parser = arguments(__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/rcv1-topics"))
    chosen = parser.parse_args()
    report(apart(run, chosen.data), chosen.json)


if __name__ == "__main__":
    main()
