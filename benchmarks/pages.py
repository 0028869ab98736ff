"""What measuring a large test set and making its page cost: ``metrics.json``, its intervals, ``report.html``.

    scripts/bench pages --data ../shared/data/rcv1-sample/taxonomy.tsv --documents 781265

Scores are made up (they know something of the labels), the taxonomy is real: with the default as many as RCV1's test
documents. Each step's processor seconds are the figure to read on a machine that others use too. Without ``--data`` a tree
of ``--categories`` is made up as well.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import Row, apart, arguments, peak_mb, report
from linnaea.decision.decider import Decider
from linnaea.decision.predictions import Predictions
from linnaea.files import write_json
from linnaea.metrics.outcome import Outcome
from linnaea.ragged import Ragged
from linnaea.report.mistakes import mistakes
from linnaea.report.page import write_report
from linnaea.run_folder import RunFolder
from linnaea.taxonomy.readers import read_taxonomy
from linnaea.taxonomy.taxonomy import Taxonomy

LABELS, FAN = 2, 10  # labels of a document, before they are closed; children of a category
THRESHOLD = 0.4


def made_tree(categories: int) -> Taxonomy:
    """A tree in which every category has ten children as long as there are any."""
    ids = [f"Category number {i}" for i in range(categories)]
    return Taxonomy.build(ids, ids, [[] if i < FAN else [ids[i // FAN - 1]] for i in range(categories)])


def made_outcome(taxonomy: Taxonomy, documents: int, skill: float, seed: int = 0) -> Outcome:
    """Labels by Zipf's law; the scores of right ones are higher by ``skill`` logits."""
    rng, columns = np.random.default_rng(seed), len(taxonomy)
    shares = np.cumsum(1 / np.arange(1, columns + 1) ** 0.7)
    drawn = np.searchsorted(shares, rng.random(documents * LABELS) * shares[-1])
    gold = taxonomy.close(Ragged.from_pairs(np.repeat(np.arange(documents), LABELS), drawn, documents))
    scores_NC = rng.standard_normal((documents, columns), dtype=np.float32) * np.float32(1.3) - 4
    scores_NC[gold.rows, gold.values] += skill + rng.standard_normal(len(gold.values), dtype=np.float32)
    scores_NC = np.reciprocal(1 + np.exp(-scores_NC))
    predictions = Predictions([f"document-{i}" for i in range(documents)], taxonomy, scores_NC)
    decisions = Decider(taxonomy, np.full(columns, THRESHOLD)).decide(predictions)
    return Outcome("test", predictions, decisions, gold, gold.counts(columns), "ancestors")


def made_run(run: RunFolder, outcome: Outcome, metrics: dict[str, Any]) -> None:
    """The files that a page is made of."""
    run.model.mkdir(parents=True)
    write_json(run.model / "taxonomy.json", outcome.taxonomy.to_json())
    write_json(run.model / "model.json", {})
    write_json(run.config, {"task": {"type": "hierarchical"}})
    write_json(run.metrics, {"split": "test", **metrics})
    outcome.save(run.outcome)
    with run.quotes.open("w", encoding="utf-8") as file:
        for row in mistakes(outcome).documents.tolist():
            file.write(json.dumps({"row": row, "text": "some words " * 36}) + "\n")


def measured(taxonomy: Taxonomy, documents: int, folder: Path) -> list[Row]:
    """All steps, in a row."""
    rows: list[Row] = []

    def timed(name: str, job: Callable[[], Any]) -> Any:
        wall, cpu = time.perf_counter(), time.process_time()
        found = job()
        cpu = time.process_time() - cpu
        rows.append(Row(name, documents, time.perf_counter() - wall, peak_mb(), {"cpu s": cpu}))
        return found

    outcome, run = made_outcome(taxonomy, documents, 4.0), RunFolder(folder / "run")
    evaluation = timed("measures", outcome.evaluate)
    metrics = timed("metrics.json without intervals", lambda: evaluation.to_json(intervals=False))
    metrics["intervals"] = timed("intervals", lambda: evaluation.intervals.to_json())
    made_run(run, outcome, metrics)
    timed("page", lambda: write_report(run))
    beside = made_outcome(taxonomy, documents, 3.5)
    made_run(run.baseline, beside, beside.evaluate().to_json(intervals=False))
    timed("page, a baseline beside", lambda: write_report(run))
    rows[-1].facts["MB"] = run.report.stat().st_size / 1e6
    return rows


def run(taxonomy: Path | None, categories: int, documents: int) -> list[Row]:
    """In a folder that goes away."""
    with tempfile.TemporaryDirectory() as folder:
        tree = made_tree(categories) if taxonomy is None else read_taxonomy(taxonomy)
        return measured(tree, documents, Path(folder))


def main() -> None:
    """Measure."""
    parser = arguments(__doc__)
    parser.add_argument("--data", type=Path, help="a taxonomy.tsv")
    parser.add_argument("--categories", type=int, default=103, help="where there is no --data")
    parser.add_argument("--documents", type=int, default=781_265)
    chosen = parser.parse_args()
    report(apart(run, chosen.data, chosen.categories, chosen.documents), chosen.json)


if __name__ == "__main__":
    main()
