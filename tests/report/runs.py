"""Run folders made by hand, for pages: no training, every file that a finished run leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from linnaea.config.outcome import DecisionConfig
from linnaea.decision.decider import Decider
from linnaea.decision.predictions import Predictions
from linnaea.files import write_json
from linnaea.metrics.outcome import Outcome
from linnaea.ragged import Ragged
from linnaea.report.mistakes import mistakes
from linnaea.run_folder import RunFolder
from linnaea.taxonomy.taxonomy import Taxonomy

NASTY = "</script><script>alert(1)</script>"


def nasty_taxonomy() -> Taxonomy:
    """A DAG whose names try to leave the data and to become HTML."""
    names = ["animals", "plants", NASTY, "<img src=x onerror=alert(2)>", "cats & <b>dogs</b>", "oak", "leaf"]
    parents: list[list[int]] = [[], [], [], [0], [0, 2], [1], [5, 0]]
    return Taxonomy.build(names, names, [[names[p] for p in above] for above in parents])


def wide_taxonomy(categories: int, fan: int = 10) -> Taxonomy:
    """A tree in which category ``i`` has the children ``fan * i + fan ...``, with names of usual length."""
    ids = [f"Category number {i} of the wide tree" for i in range(categories)]
    parents = [[] if i < fan else [ids[i // fan - 1]] for i in range(categories)]
    return Taxonomy.build(ids, ids, parents)


def made_outcome(
    taxonomy: Taxonomy, documents: int, seed: int = 0, skill: float = 3.0, labels: int = 2
) -> Outcome:
    """Scores that have learned something of random labels, closed under ancestors."""
    rng = np.random.default_rng(seed)
    columns = len(taxonomy)
    weights = 1 / np.arange(1, columns + 1) ** 0.7
    drawn = rng.choice(columns, (documents, labels), p=weights / weights.sum())
    gold = taxonomy.close(Ragged.from_rows(list(drawn)))
    noise = rng.normal(-4, 1.3, (documents, columns)).astype(np.float32)
    noise[gold.rows, gold.values] += skill + rng.normal(1, 1, len(gold.values)).astype(np.float32)
    scores = (1 / (1 + np.exp(-noise))).astype(np.float32)
    ids = [f"doc-{i}" for i in range(documents)]
    predictions = Predictions(ids, taxonomy, scores)
    support_C = gold.counts(columns) * 3
    support_C[-1] = 0
    config = DecisionConfig.read({"decoding": "none"})
    decider = Decider(taxonomy, np.where(support_C > 0, 0.4, np.inf), config.decoding)
    return Outcome("test", predictions, decider.decide(predictions), gold, support_C, "ancestors")


def made_run(
    path: Path, outcome: Outcome, *, strategy: str = "joint", baseline: Outcome | None = None
) -> RunFolder:
    """A whole run folder around ``outcome``."""
    run = RunFolder(path)
    taxonomy = outcome.taxonomy
    run.model.mkdir(parents=True)
    write_json(run.model / "taxonomy.json", taxonomy.to_json())
    write_json(
        run.model / "model.json",
        {"linnaea": "0.1.0", "digest": "d" * 64, "facts": {"seed": 1, "seconds": 12.5}},
    )
    write_json(run.model / "support.json", dict(zip(taxonomy.ids, outcome.support_C.tolist(), strict=True)))
    write_json(run.config, _config(strategy))
    outcome.save(run.outcome)
    with run.quotes.open("w", encoding="utf-8") as file:
        for row in mistakes(outcome).documents.tolist():
            text = f"{NASTY} the text of document {row} " + "word " * 60
            file.write(json.dumps({"row": row, "id": outcome.predictions.ids[row], "text": text}) + "\n")
    metrics: dict[str, Any] = {"split": "test", **outcome.evaluate().to_json()}
    if strategy == "joint":
        run.history.write_text("".join(json.dumps(_epoch(i)) + "\n" for i in range(1, 9)))
    if baseline is not None:
        made_run(run.baseline.path, baseline, strategy="linear")
        metrics["baseline"] = _beside(metrics, baseline)
    write_json(run.metrics, metrics)
    return run


def _beside(metrics: dict[str, Any], baseline: Outcome) -> dict[str, Any]:
    other = baseline.evaluate().to_json()
    gain = metrics["micro"]["f1"] - other["micro"]["f1"]
    return {
        "strategy": "linear", "micro": other["micro"], "macro": other["macro"],
        "difference": {
            "micro_f1": {"value": gain, "interval": [gain - 0.01, gain + 0.01], "p": 0.001},
            "macro_f1": {"value": 0.004, "interval": [-0.01, 0.018], "p": 0.4},
        },
    }  # fmt: skip


def _config(strategy: str) -> dict[str, Any]:
    value: dict[str, Any] = {
        "task": {"type": "hierarchical", "closure": "ancestors"},
        "data": {"train": "train.jsonl", "test": "test.jsonl"},
        "training": {"strategy": {"type": strategy}},
        "decision": {"threshold": {"type": "fixed", "value": 0.4}, "decoding": {"type": "none"}},
        "run": {"dir": "runs/made", "seed": 1},
    }
    if strategy == "joint":
        value["model"] = {"encoder": {"type": "textcnn"}, "head": {"type": "linear"}}
    return value


def _epoch(number: int) -> dict[str, Any]:
    return {
        "epoch": number, "step": number * 10, "loss": 1 / number, "learning_rate": 0.01, "best": number < 7,
        "dev": {"loss": 0.5 / number + 0.01 * number, "micro_f1": 1 - 1 / (number + 1), "macro_f1": 0.8 - 0.8 / (number + 1)},
        "time": {"seconds": 1.0, "measure_seconds": 0.1, "documents_per_second": 100.0},
    }  # fmt: skip


def _trial(number: int, value: float | None, rate: float, **more: Any) -> dict[str, Any]:
    epochs = [{"epoch": epoch, "value": 0.7 - 0.2 / epoch} for epoch in range(1, 4)]
    params = {
        "training.optimizer.learning_rate": rate,
        "model.encoder": {"type": "textcnn"},
        "input.max_tokens": 64,
    }
    trial = {
        "number": number,
        "state": "complete",
        "value": value,
        "params": params,
        "seconds": 3.25,
        "epochs": epochs,
    }
    return {**trial, "error": None, **more}


STUDY: dict[str, Any] = {
    "config": "base.json",
    "metric": "micro_f1",
    "direction": "maximize",
    "space": {"training.optimizer.learning_rate": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True}},
    "best": 2,
    "trials": [
        _trial(1, 0.7, 1e-3),
        _trial(2, 0.8, 2e-3),
        _trial(3, None, 9e-3, state="failed", error=NASTY, epochs=[]),
        _trial(4, None, 5e-3, state="pruned"),
    ],
    "importance": {"training.optimizer.learning_rate": 0.75, "model.encoder": 0.25},
}
