"""Speed and memory on one corpus: reading, training, scoring; each system in a process of its own.

    scripts/bench speed --data ../shared/data/rcv1-sample --epochs 3

Training counts each document once an epoch; dev is measured after each, as in every run. The linear strategy
has no epochs: its documents count once.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.common import Row, apart, arguments, measure, report
from linnaea.commands.reporter import Silent
from linnaea.config.config import Config
from linnaea.corpus.policy import ErrorPolicy
from linnaea.files import RunFolder
from linnaea.strategies.build import build_strategy
from linnaea.text.build import build_corpus

SYSTEMS: dict[str, dict[str, Any]] = {
    "linear": {"training": {"strategy": "linear"}},
    "fasttext": {
        "input": {"features": ["token", "ngram"]},
        "model": {"embedder": {"type": "lookup", "dimension": 64}, "encoder": "fasttext"},
    },
    "textcnn": {"model": {"embedder": {"type": "lookup", "dimension": 64}, "encoder": "textcnn"}},
}


def config_for(system: str, corpus: Path, epochs: int) -> Config:
    """A run of ``epochs`` epochs, none left out."""
    value: dict[str, Any] = {
        **SYSTEMS[system],
        "task": {"type": "hierarchical", "taxonomy": str(corpus / "taxonomy.tsv")},
        "data": {split: str(corpus / f"{split}.jsonl") for split in ("train", "dev", "test")},
    }
    if system != "linear":
        value["training"] = {"epochs": epochs, "early_stopping": None}
    return Config.build(value)


def run(system: str, corpus: Path, epochs: int) -> list[Row]:
    """Read, train and score with one system, from nothing: no encoded corpus is used again."""
    config = config_for(system, corpus, epochs)
    kept: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LINNAEA_CACHE"] = folder
        place = RunFolder.create(Path(folder) / "run", resume=False, overwrite=False)

        def read() -> None:
            kept["corpus"] = build_corpus(config, policy=ErrorPolicy("raise"))

        def train() -> None:
            kept["fitted"] = kept["strategy"].fit(kept["corpus"], place, reporter=Silent())

        def score() -> None:
            kept["fitted"].scorer.score(kept["corpus"].test)

        rows = [measure(f"{system}: read", 1, read)]
        splits = {name: len(split) for name, split in kept["corpus"].splits()}
        kept["strategy"] = build_strategy(config)  # imports what it needs, torch first of all
        passes = 1 if system == "linear" else epochs
        rows[0] = Row(rows[0].name, sum(splits.values()), rows[0].seconds, rows[0].peak_mb)
        rows.append(measure(f"{system}: train", splits["train"] * passes, train))
        rows.append(measure(f"{system}: score", splits["test"], score, repeats=3))
    return rows


def main() -> None:
    """Measure what the arguments name."""
    parser = arguments(__doc__)
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data/rcv1-sample"), help="a corpus folder"
    )
    parser.add_argument("--systems", nargs="*", default=list(SYSTEMS), choices=list(SYSTEMS))
    parser.add_argument("--epochs", type=int, default=3)
    chosen = parser.parse_args()
    rows = [row for system in chosen.systems for row in apart(run, system, chosen.data, chosen.epochs)]
    report(rows, chosen.json)


if __name__ == "__main__":
    main()
