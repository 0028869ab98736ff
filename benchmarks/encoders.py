"""All encoders on one or two corpora, flat and with recursive regularisation, beside the linear strategy.

The counterpart of Tables 3 and 4 of NeuralClassifier's paper. Every encoder gets the same budget: vectors of 64, 256 tokens,
batches of 64, Adam, at most ``--epochs`` epochs with early stopping on dev micro-F1. The learning rate is chosen among RATES
on dev of the first corpus, flat, with seed 1, and kept for all else. The penalty is 1 / (C · documents · categories) with
C = 0.42: on RCV1's 23,149 documents that is NeuralClassifier's 1e-6, elsewhere it is as strong beside the loss as there.

Every run is kept in ``--out/encoders.json``: called again, it does what is missing.

    scripts/bench encoders --corpora rcv1-sample --seeds 3
    scripts/bench encoders --corpora rcv1-sample reuters21578 --seeds 3 1 --epochs 20 10
    scripts/bench speed --json > speed.json
    scripts/bench encoders ... --report docs/reference/results.json --speed speed.json
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.quality import cell, decided
from benchmarks.speed import SYSTEMS
from linnaea.config.config import Config
from linnaea.corpus.policy import ErrorPolicy
from linnaea.files import write_json
from linnaea.reporter import Silent
from linnaea.run_folder import RunFolder
from linnaea.strategies.build import build_strategy
from linnaea.taxonomy.readers import read_taxonomy
from linnaea.text.build import build_corpus

C = 0.42
RATES = (0.002, 0.01)
REGION: dict[str, Any] = {"type": "region", "dimension": 64, "region_size": 5}
ENCODERS: dict[str, dict[str, Any]] = {
    "fasttext": {"encoder": "fasttext"},
    "textcnn": {"encoder": "textcnn"},
    "textrnn": {"encoder": "textrnn"},
    "textrcnn": {"encoder": "textrcnn"},
    "textrcnn, two layers": {"encoder": {"type": "textrcnn", "layers": 2}},
    "rcnn_lai": {"encoder": "rcnn_lai"},
    "dpcnn": {"encoder": "dpcnn"},
    "vdcnn": {"encoder": {"type": "vdcnn", "hidden": 512}},
    "drnn": {"encoder": "drnn"},
    "attentive_convnet": {"encoder": "attentive_convnet"},
    "transformer": {"encoder": "transformer"},
    "star_transformer": {"encoder": "star_transformer"},
    "region": {"encoder": "region", "embedder": REGION},
    "textcnn on regions": {"encoder": "textcnn", "embedder": REGION},
}
# Whose pages a row belongs to, where it is not the encoder's own.
PAGES: dict[str, list[tuple[str, str]]] = {
    "textcnn": [("encoders", "textcnn"), ("embedders", "lookup")],
    "textcnn on regions": [("embedders", "region")],
    "textrcnn, two layers": [],
}
FIXED = ("micro_f1", "macro_f1", "f1_of_averages")
Results = dict[str, dict[str, Any]]


def config_for(
    name: str, corpus: Path, folder: Path, *, seed: int, rate: float, penalty: float, epochs: int
) -> Config:
    """One run."""
    head = {"type": "linear", "dropout": 0.0 if name in ("fasttext", "region") else 0.3}
    value: dict[str, Any] = {
        "task": {"type": "hierarchical", "taxonomy": str(corpus / "taxonomy.tsv")},
        "data": {split: str(corpus / f"{split}.jsonl") for split in ("train", "dev", "test")},
        "input": {"max_tokens": 256},
        "model": {"embedder": {"type": "lookup", "dimension": 64}, "head": head, **ENCODERS[name]},
        "objective": {"recursive_penalty": penalty},
        "training": {
            "epochs": epochs,
            "optimizer": {"type": "adam", "learning_rate": rate},
            "gradient_clip": 5.0,
            "early_stopping": {"metric": "micro_f1", "patience": 4},
        },
        "decision": {"threshold": {"type": "per_category", "aim": "both"}},
        "run": {"dir": str(folder), "seed": seed, "threads": 1, "device": "cpu"},
    }
    return Config.build_with(value, [])


def penalty_for(corpus: Path) -> float:
    """What weighs as much beside the mean loss here as 1e-6 does on RCV1."""
    with (corpus / "train.jsonl").open("rb") as lines:
        documents = sum(1 for _ in lines)
    categories = len(read_taxonomy(corpus / "taxonomy.tsv"))
    return 1 / (C * documents * categories)


def run_one(config: Config, folder: Path) -> dict[str, Any]:
    """Train, and measure on test under two threshold rules; on dev, the best epoch at .5."""
    run = RunFolder.create(folder, resume=False, overwrite=folder.exists())
    write_json(run.config, config.dump())
    corpus = build_corpus(config, policy=ErrorPolicy("raise"))
    start = time.perf_counter()
    fitted = build_strategy(config).fit(corpus, run, reporter=Silent())
    seconds = time.perf_counter() - start
    epochs = [json.loads(line) for line in run.history.read_text(encoding="utf-8").splitlines()]
    result = {
        "dev_micro_f1": max(epoch["dev"]["micro_f1"] for epoch in epochs if "dev" in epoch),
        "seconds": seconds,
        "epochs": len(epochs),
        "parameters": fitted.facts["parameters"],
        "rules": decided(fitted, corpus, config, ("fixed", "both")),
    }
    shutil.rmtree(folder)
    return result


class Table:
    """The runs that were made, kept on disk."""

    def __init__(self, data: Path, out: Path, epochs: dict[str, int]) -> None:
        self.data, self.out, self.epochs = data, out, epochs
        self.place = out / "encoders.json"
        self.runs: Results = json.loads(self.place.read_text()) if self.place.exists() else {}

    def run(self, name: str, corpus: str, seed: int, rate: float, recursive: bool) -> dict[str, Any]:
        """The run of this key, made if it is not there."""
        key = f"{corpus}|{name}|{'recursive' if recursive else 'flat'}|{rate}|{seed}"
        if key not in self.runs:
            path, folder = self.data / corpus, self.out / "run"
            penalty = penalty_for(path) if recursive else 0.0
            config = config_for(
                name, path, folder, seed=seed, rate=rate, penalty=penalty, epochs=self.epochs[corpus]
            )
            self.runs[key] = run_one(config, folder)
            write_json(self.place, self.runs)
            fixed = self.runs[key]["rules"]["fixed"]
            print(f"{key}: {fixed['micro_f1']:.3f} / {fixed['macro_f1']:.3f}, "
                  f"{self.runs[key]['seconds']:.0f} s", file=sys.stderr, flush=True)  # fmt: skip
        return self.runs[key]

    def rate(self, name: str, corpus: str) -> float:
        """The learning rate with the best dev micro-F1."""
        return max(RATES, key=lambda rate: self.run(name, corpus, 1, rate, False)["dev_micro_f1"])


def lines(
    table: Table, corpora: list[str], seeds: list[int], names: list[str], report: dict[str, Any]
) -> list[str]:
    """Markdown, two rows an encoder and corpus: flat and recursive, at .5 and with tuned thresholds.

    Args:
        report: gets what the reference pages show, by kind, part and corpus.
    """
    found = [
        "| corpus | encoder | rate | objective | micro-F1 | macro-F1 | macro, F1 of averages | tuned: micro-F1 "
        "| macro-F1 | parameters |",
        "|---|---|---:|---|---|---|---|---|---|---:|",
    ]
    for corpus, count in zip(corpora, seeds, strict=True):
        for name in names:
            rate = table.rate(name, corpora[0])
            for recursive in (False, True):
                runs = [table.run(name, corpus, seed, rate, recursive) for seed in range(1, count + 1)]
                values = {
                    (rule, key): [run["rules"][rule][key] for run in runs]
                    for rule, key in (
                        *(("fixed", key) for key in FIXED),
                        *(("both", key) for key in FIXED[:2]),
                    )
                }
                form = "recursive" if recursive else "flat"
                cells = " | ".join(cell(numbers) for numbers in values.values())
                found.append(f"| {corpus} | {name} | {rate} | {form} | {cells} | {runs[0]['parameters']:,} |")
                row = {key: spread(values["fixed", key]) for key in FIXED} | {"seeds": count}
                for kind, part in PAGES.get(name, [("encoders", name)]):
                    where = corpus + (", recursive" if recursive else "")
                    report.setdefault(kind, {}).setdefault(part, {})[where] = row
    return found


def spread(values: list[float]) -> list[float]:
    """Mean and standard deviation, 0 of a single value."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return [round(statistics.mean(values), 4), round(deviation, 4)]


def alike(name: str) -> bool:
    """Whether the encoder has the same settings here and in ``benchmarks.speed``."""
    fast = SYSTEMS.get(name, {}).get("model", {}).get("encoder")
    return _settings(ENCODERS[name]["encoder"]) == _settings(fast)


def _settings(encoder: Any) -> Any:
    """A name alone is short for that type with its defaults."""
    return {"type": encoder} if isinstance(encoder, str) else encoder


def with_speed(report: dict[str, Any], speed: Path) -> None:
    """Add documents/s of ``scripts/bench speed --json`` to the rows of its corpus.

    Not to encoders that are measured under other settings there: the speed of one network beside the quality of
    another would mislead.
    """
    value = json.loads(speed.read_text(encoding="utf-8"))
    rates = {row["name"]: row["documents_per_second"] for row in value["rows"]}
    for part, found in report["encoders"].items():
        if part not in ENCODERS or not alike(part):
            continue
        for row in (row for corpus, row in found.items() if corpus == "rcv1-sample"):
            for key, what in (("train documents/s", "steps"), ("score documents/s", "score")):
                if (rate := rates.get(f"{part}: {what}")) is not None:
                    row[key] = round(rate)


def main() -> None:
    """Make the runs that are missing, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/encoders"))
    parser.add_argument("--corpora", nargs="+", default=["rcv1-sample"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[3], help="how many, for each corpus")
    parser.add_argument("--encoders", nargs="+", default=list(ENCODERS), choices=list(ENCODERS))
    parser.add_argument("--epochs", nargs="+", type=int, default=[20], help="at most, for each corpus")
    parser.add_argument("--report", type=Path, help="a JSON file for the reference pages")
    parser.add_argument(
        "--speed", type=Path, help="what `speed --json` printed on rcv1-sample, for the report"
    )
    chosen = parser.parse_args()
    corpora = chosen.corpora
    seeds, epochs = (
        given if len(given) > 1 else given * len(corpora) for given in (chosen.seeds, chosen.epochs)
    )
    table = Table(chosen.data, chosen.out, dict(zip(corpora, epochs, strict=True)))
    report: dict[str, Any] = {}
    print("\n".join(lines(table, corpora, seeds, chosen.encoders, report)))
    if chosen.report:
        if chosen.speed:
            with_speed(report, chosen.speed)
        write_json(chosen.report, report)


if __name__ == "__main__":
    main()
