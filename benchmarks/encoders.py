"""All encoders on one or two corpora, flat and with recursive regularisation, beside the linear strategy.

The counterpart of Tables 3 and 4 of NeuralClassifier's paper. Every encoder gets the same budget: vectors of 64, 256 tokens,
batches of 64, Adam, at most ``--epochs`` epochs with early stopping on dev micro-F1. The learning rate is chosen among RATES
on dev of the first corpus, flat, with seed 1, and kept for all else. The penalty is 1 / (C · documents · categories) with
C = 0.42: on RCV1's 23,149 documents that is NeuralClassifier's 1e-6, elsewhere it is as strong beside the loss as there.

Every run is kept in ``--out/encoders.json``: called again, it does what is missing.

    scripts/bench encoders --corpora rcv1-sample --seeds 3
    scripts/bench encoders --corpora rcv1-sample reuters21578 --seeds 3 1 --report docs/reference/results.json
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.quality import cell, decided
from linnaea.config.config import Config
from linnaea.corpus.policy import ErrorPolicy
from linnaea.files import RunFolder, write_json
from linnaea.reporter import Silent
from linnaea.strategies.build import build_strategy
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
    names = {name for line in (corpus / "taxonomy.tsv").open(encoding="utf-8") for name in line.split("\t")}
    return 1 / (C * documents * (len(names) - 1))


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

    def __init__(self, data: Path, out: Path, epochs: int) -> None:
        self.data, self.out, self.epochs = data, out, epochs
        self.place = out / "encoders.json"
        self.runs: Results = json.loads(self.place.read_text()) if self.place.exists() else {}

    def run(self, name: str, corpus: str, seed: int, rate: float, recursive: bool) -> dict[str, Any]:
        """The run of this key, made if it is not there."""
        key = f"{corpus}|{name}|{'recursive' if recursive else 'flat'}|{rate}|{seed}"
        if key not in self.runs:
            path, folder = self.data / corpus, self.out / "run"
            penalty = penalty_for(path) if recursive else 0.0
            config = config_for(name, path, folder, seed=seed, rate=rate, penalty=penalty, epochs=self.epochs)
            self.runs[key] = run_one(config, folder)
            write_json(self.place, self.runs)
            fixed = self.runs[key]["rules"]["fixed"]
            print(f"{key}: {fixed['micro_f1']:.3f} / {fixed['macro_f1']:.3f}, "
                  f"{self.runs[key]['seconds']:.0f} s", file=sys.stderr, flush=True)  # fmt: skip
        return self.runs[key]

    def rate(self, name: str, corpus: str) -> float:
        """The learning rate with the best dev micro-F1."""
        return max(RATES, key=lambda rate: self.run(name, corpus, 1, rate, False)["dev_micro_f1"])


def lines(table: Table, corpora: list[str], seeds: list[int], names: list[str]) -> list[str]:
    """Markdown, a row an encoder and corpus: .5 and tuned thresholds, flat and recursive."""
    head = (
        "| corpus | encoder | rate | flat, .5 | recursive, .5 | flat, tuned | recursive, tuned | parameters |"
    )
    found = [head, "|---|---|---:|---|---|---|---|---:|"]
    for corpus, count in zip(corpora, seeds, strict=True):
        for name in names:
            rate = table.rate(name, corpora[0])
            cells = []
            for rule in ("fixed", "both"):
                for recursive in (False, True):
                    runs = [table.run(name, corpus, seed, rate, recursive) for seed in range(1, count + 1)]
                    values = [cell([r["rules"][rule][key] for r in runs]) for key in ("micro_f1", "macro_f1")]
                    cells.append(" / ".join(values))
            size = table.run(name, corpus, 1, rate, False)["parameters"]
            found.append(f"| {corpus} | {name} | {rate} | {' | '.join(cells)} | {size:,} |")
    return found


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
    parser.add_argument("--epochs", type=int, default=20)
    chosen = parser.parse_args()
    seeds = chosen.seeds if len(chosen.seeds) > 1 else chosen.seeds * len(chosen.corpora)
    table = Table(chosen.data, chosen.out, chosen.epochs)
    print("\n".join(lines(table, chosen.corpora, seeds, chosen.encoders)))


if __name__ == "__main__":
    main()
