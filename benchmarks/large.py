"""A taxonomy of 10,000 categories through the public commands: what each stage takes and holds.

    scripts/bench large                                      a tree, all systems, 20,000 documents to train
    scripts/bench large --shape dag --systems fasttext
    scripts/bench large --categories 50000 --systems fasttext --keep 100

Taxonomy and documents are made up, the same from the same seed: five levels, each some four times as wide as the one above; in
the form ``dag`` a fifth of the categories below the top has a second parent. A document has one to three categories, drawn
by Zipf's law, and about 40 words: three in ten are words of its categories, two in ten of their ancestors, the others say
nothing. Most categories have a handful of documents, as in real taxonomies of this size.

Each stage is a command in a process of its own (check, train, evaluate, predict), so that peak memory is its own.
"dense MiB" is what one matrix of documents x categories in single precision would take in that stage, "model MiB" the
model folder. "documents/s" counts the whole command: start, reading, writing; "cpu s" is its processor time. "steps/s" are
documents a second of training steps alone, "dev s" what measuring dev takes after an epoch. ``predict --all`` answers with
every category, for 20 documents.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import Row, arguments, report
from linnaea.ragged import Ragged

TOPS, LEVELS, SECOND = 20, 5, 0.2
TOKENS, NOISE, OWN_WORDS = 40, 5000, 3
ZIPF = 0.9
NETWORK = {"embedder": {"type": "lookup", "dimension": 64}}
ATTENTION = {**NETWORK, "encoder": {"type": "textrnn", "hidden": 64}}
SYSTEMS: dict[str, dict[str, Any]] = {
    "fasttext": {"model": {**NETWORK, "encoder": "fasttext"}},
    "textcnn": {"model": {**NETWORK, "encoder": "textcnn"}},
    "fasttext, max_constraint, best": {
        "model": {**NETWORK, "encoder": "fasttext"},
        "objective": {"loss": "max_constraint"},
        "decision": {"decoding": "best"},
    },
    "fasttext, tuned, max": {
        "model": {**NETWORK, "encoder": "fasttext"},
        "decision": {"threshold": "per_category", "decoding": "max"},
    },
    "fasttext, calibrated, top_down": {
        "model": {**NETWORK, "encoder": "fasttext"},
        "decision": {"calibration": "platt", "threshold": "global", "decoding": "top_down"},
    },
    "textrnn + label_attention": {"model": {**ATTENTION, "head": "label_attention"}},
    "fasttext + hmcn": {"model": {**NETWORK, "encoder": "fasttext", "head": "hmcn"}},
    "linear": {"training": {"strategy": "linear"}},
}


def edges(categories: int, shape: str, rng: np.random.Generator) -> list[list[int]]:
    """The parents of each category, by level: none of the first are below any."""
    widths = TOPS * 4.0 ** np.arange(LEVELS)
    ends = np.round(np.cumsum(widths) / widths.sum() * categories).astype(int)
    ends = np.maximum(ends, np.arange(1, LEVELS + 1))
    starts = [0, *ends[:-1].tolist()]
    parents: list[list[int]] = [[] for _ in range(ends[0])]
    for start, stop, end in zip(starts, ends, ends[1:], strict=False):
        first = rng.integers(start, stop, end - stop)
        second = rng.integers(start, stop, end - stop)
        twice = (rng.random(end - stop) < SECOND) & (shape == "dag") & (first != second)
        parents += [
            [a, b] if both else [a] for a, b, both in zip(first.tolist(), second.tolist(), twice, strict=True)
        ]
    return parents


def generate(folder: Path, categories: int, shape: str, sizes: dict[str, int], seed: int = 0) -> None:
    """Write ``taxonomy.tsv`` and a file of JSON lines for each of ``sizes``."""
    rng = np.random.default_rng(seed)
    parents = edges(categories, shape, rng)
    below: dict[int, list[int]] = {}
    for child, above in enumerate(parents):
        for parent in above:
            below.setdefault(parent, []).append(child)
    tops = [c for c, above in enumerate(parents) if not above]
    with open(folder / "taxonomy.tsv", "w", encoding="utf-8") as file:
        for parent, children in [(-1, tops), *sorted(below.items())]:
            names = ["Root" if parent < 0 else f"c{parent}", *(f"c{c}" for c in children)]
            file.write("\t".join(names) + "\n")
    ranks = rng.permutation(categories)
    for name, count in sizes.items():
        generator = np.random.default_rng([seed, len(name), count])
        with open(folder / f"{name}.jsonl", "w", encoding="utf-8") as file:
            file.writelines(_documents(generator, count, parents, ranks))


def _documents(
    rng: np.random.Generator, count: int, parents: list[list[int]], ranks: np.ndarray
) -> list[str]:
    categories = len(parents)
    share = (1.0 + np.arange(categories)) ** -ZIPF
    wanted = rng.integers(1, 4, count)
    drawn = ranks[np.searchsorted(np.cumsum(share) / share.sum(), rng.random(int(wanted.sum())))]
    lines = []
    for labels in Ragged.from_lengths(drawn, wanted):
        own = np.unique(labels)
        above = np.array([a for c in own.tolist() for a in _above(c, parents)] or own)
        kind = rng.random(TOKENS)
        word = np.where(kind < 0.3, rng.choice(own, TOKENS), rng.choice(above, TOKENS)).tolist()
        noise = (NOISE ** rng.random(TOKENS)).astype(int).tolist()
        which = rng.integers(0, OWN_WORDS, TOKENS).tolist()
        tokens = [
            f"w{w}x{i}" if k < 0.5 else f"n{n}" for k, w, i, n in zip(kind, word, which, noise, strict=True)
        ]
        lines.append(json.dumps({"doc_label": [f"c{c}" for c in own.tolist()], "doc_token": tokens}) + "\n")
    return lines


def _above(category: int, parents: list[list[int]]) -> list[int]:
    found = list(parents[category])
    for one in found:
        found += [p for p in parents[one] if p not in found]
    return found


def config(folder: Path, system: str, epochs: int, keep: int | None) -> dict[str, Any]:
    """What ``linnaea train`` is given."""
    value: dict[str, Any] = {
        "task": {"type": "hierarchical", "taxonomy": "taxonomy.tsv"},
        "data": {split: f"{split}.jsonl" for split in ("train", "dev", "test")},
        "evaluation": {"keep": keep},
        "run": {"threads": int(os.environ.get("OMP_NUM_THREADS", 1)), "device": "cpu"},
        **SYSTEMS[system],
    }
    if "strategy" not in value.get("training", {}):
        optimizer = {"type": "adam", "learning_rate": 0.01}
        value["training"] = {"epochs": epochs, "early_stopping": None, "optimizer": optimizer}
    return value


def command(*parts: str) -> tuple[float, float, float]:
    """Seconds, seconds of processor time and peak MiB of ``linnaea`` with these arguments.

    Raises:
        SystemExit: it failed.
    """
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "linnaea", *parts], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"linnaea {' '.join(parts)}: exit status {process.returncode}")
    scale = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, KiB on Linux
    seconds = time.perf_counter() - start
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / scale


def stages(
    folder: Path, system: str, epochs: int, keep: int | None, sizes: dict[str, int], categories: int
) -> list[Row]:
    """Train, evaluate and predict; what each took and held."""
    place, run = folder / "config.json", folder / "run"
    place.write_text(json.dumps(config(folder, system, epochs, keep)))
    test, few = str(folder / "test.jsonl"), str(folder / "few.jsonl")
    out = ["-o", str(folder / "out.jsonl")]
    learn = ["train", str(place), "--set", f"run.dir={run}", "--overwrite"]
    calls = {
        "train": ("train", epochs, learn),
        "evaluate": ("test", 1, ["evaluate", str(run), test]),
        "predict --top-k 5": ("test", 1, ["predict", str(run), test, "--top-k", "5", *out]),
        "predict --all": ("few", 1, ["predict", str(run), few, "--all", *out]),
        "load, one document": ("one", 1, ["predict", str(run), str(folder / "one.jsonl"), *out]),
    }
    rows = []
    for name, (split, times, parts) in calls.items():
        seconds, busy, peak = command(*parts)
        facts = {"cpu s": busy, "dense MiB": sizes[split] * categories * 4 / 2**20}
        if name == "train":
            facts |= _trained(run)
        rows.append(Row(f"{system}: {name}", sizes[split] * times, seconds, peak, facts))
    return rows


def _trained(run: Path) -> dict[str, float]:
    size = sum(p.stat().st_size for p in (run / "model").rglob("*") if p.is_file()) / 2**20
    found = {"model MiB": size, "micro_f1": json.loads((run / "metrics.json").read_text())["micro"]["f1"]}
    if (history := run / "history.jsonl").exists():
        epochs = [json.loads(line)["time"] for line in history.read_text().splitlines()]
        found["steps/s"] = max(epoch["documents_per_second"] for epoch in epochs)
        found["dev s"] = min(epoch["measure_seconds"] for epoch in epochs)
    return found


def main() -> None:
    """Generate, run the commands, print."""
    parser = arguments(__doc__)
    parser.add_argument("--categories", type=int, default=10_000)
    parser.add_argument("--shape", choices=["tree", "dag"], default="tree")
    parser.add_argument("--train", type=int, default=20_000, help="documents")
    parser.add_argument("--test", type=int, default=2000, help="documents; dev has as many")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--keep", type=int, help="evaluation.keep")
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=list(SYSTEMS))
    parser.add_argument("--folder", type=Path, help="for files and runs; they are kept")
    chosen = parser.parse_args()
    sizes = {"train": chosen.train, "dev": chosen.test, "test": chosen.test, "few": 20, "one": 1}
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = (chosen.folder or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["LINNAEA_CACHE"] = str(folder / "cache")
        generate(folder, chosen.categories, chosen.shape, sizes)
        train = str(folder / "train.jsonl")
        for name, parts in (
            ("check", ["check", train, str(folder / "taxonomy.tsv")]),
            ("taxonomy", ["taxonomy", str(folder / "taxonomy.tsv"), "--count", train]),
        ):
            seconds, busy, peak = command(*parts)
            rows.append(Row(name, chosen.train, seconds, peak, {"cpu s": busy}))
        for system in chosen.systems:
            rows += stages(folder, system, chosen.epochs, chosen.keep, sizes, chosen.categories)
    report(rows, chosen.json)


if __name__ == "__main__":
    main()
