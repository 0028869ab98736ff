"""How speed and memory go with batch size, length of text and number of categories; a table and a picture.

The counterpart of Figure 5 of NeuralClassifier's paper, for all encoders. Documents are made up: token ids drawn by Zipf's
law from a vocabulary of 20,000, all of the full length, so that no padding helps anybody. One training step is forward,
loss, backward and Adam; scoring is forward alone. Each point is a process of its own: its peak memory is its own.

    scripts/bench sweep --threads 1                        batch size 16 to 512, T = 128, 100 categories
    scripts/bench sweep --over length --encoders textrnn   T from 64 to 2,048, batches of 32
    scripts/bench sweep --over categories                  100 to 10,000 categories, T = 128, batches of 64
    scripts/bench sweep --picture docs/images/batch.svg    needs the extra ``bench``
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.common import Row, apart, arguments, peak_mb, report
from benchmarks.speed import SYSTEMS
from linnaea.config.heads import ModelConfig
from linnaea.config.objective import ObjectiveConfig
from linnaea.config.training import AdamConfig
from linnaea.nn.batch import Bag, Batch
from linnaea.nn.build import build_network
from linnaea.nn.network import Sizes
from linnaea.nn.objectives.objective import Objective
from linnaea.taxonomy.taxonomy import Taxonomy
from linnaea.training.optimizers import build_optimizers

WORDS = 20_000
POINTS = {
    "batch": [16, 32, 64, 128, 256, 512],
    "length": [64, 128, 256, 512, 1024, 2048],
    "categories": [100, 1000, 10_000],
}
FIXED = {"batch": 64, "length": 128, "categories": 100}
ENCODERS = [name for name, parts in SYSTEMS.items() if "model" in parts and "input" not in parts]
LABELS = 3  # a document
SECONDS = 2.0  # that each measurement takes at least, after one run to warm up


def a_batch(size: int, length: int, categories: int, bags: bool) -> Batch:
    """Made-up documents."""
    generator = np.random.default_rng(0)
    ids_BT = torch.from_numpy(2 + generator.zipf(1.3, (size, length)) % (WORDS - 2))
    labels = torch.from_numpy(generator.integers(0, categories // LABELS, (size, LABELS)))
    labels = labels + torch.arange(LABELS) * (categories // LABELS)  # three different ones
    gold = Bag(labels.reshape(-1), torch.arange(size + 1) * LABELS)
    rows = torch.arange(size)
    if bags:
        return Batch(
            rows, bags={"token": Bag(ids_BT.reshape(-1), torch.arange(size + 1) * length)}, labels=gold
        )
    return Batch(rows, ids_BT, torch.ones_like(ids_BT, dtype=torch.bool), labels=gold)


def taxonomy(categories: int) -> Taxonomy:
    """Two levels: one category in ten is at the top."""
    top = max(1, categories // 10)
    ids = [f"c{i}" for i in range(categories)]
    return Taxonomy.build(ids, ids, [[] if i < top else [ids[i % top]] for i in range(categories)])


def timed(job: Callable[[], object]) -> float:
    """Seconds of the fastest run."""
    job()
    best, end = float("inf"), time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        start = time.perf_counter()
        job()
        best = min(best, time.perf_counter() - start)
    return best


def stepped(
    config: ModelConfig, size: int, length: int, categories: int, threads: int
) -> tuple[float, float]:
    """Seconds of a training step and of scoring, of a fresh network on one made-up batch."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    graph, support_C = taxonomy(categories), np.ones(categories, dtype=np.int64)
    features = {"token": WORDS}
    network = build_network(config, ["token"], Sizes(features, graph, support_C, categories), sparse=True)
    objective = Objective(ObjectiveConfig(), graph, support_C, categories)
    optimizers = build_optimizers(network, AdamConfig())
    batch = a_batch(size, length, categories, bags=config.encoder.reads == "bags")

    def step() -> None:
        network.train()
        objective(network(batch), batch, network).backward()
        optimizers.step(1.0)

    @torch.inference_mode()
    def score() -> None:
        network.eval()
        network(batch)

    return timed(step), timed(score)


def point(name: str, size: int, length: int, categories: int, threads: int) -> Row:
    """One encoder at one place: training steps, scoring, memory."""
    config = ModelConfig.read(SYSTEMS[name]["model"])
    train, forward = stepped(config, size, length, categories, threads)
    facts = {"batch": size, "length": length, "categories": categories, "score docs/s": size / forward}
    return Row(name, size, train, peak_mb(), facts)


def draw(rows: list[Row], over: str, place: Path) -> None:
    """Training and scoring speed and memory against what is swept."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "linnaea"
    from matplotlib import pyplot, ticker

    figure, axes = pyplot.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
    panels: list[tuple[str, Callable[[Row], float]]] = [
        ("training, documents/s", lambda row: row.documents_per_second),
        ("scoring, documents/s", lambda row: row.facts["score docs/s"]),
        ("peak memory, MiB", lambda row: row.peak_mb),
    ]
    names = list(dict.fromkeys(row.name for row in rows))
    for axis, (title, value) in zip(axes, panels, strict=True):
        for number, name in enumerate(names):
            mine = [row for row in rows if row.name == name]
            style = {"marker": "osD^v"[number % 5], "color": f"C{number % 10}", "markersize": 4}
            style["linestyle"] = "-" if number < 10 else "--"
            axis.plot([row.facts[over] for row in mine], [value(row) for row in mine], label=name, **style)  # type: ignore[arg-type]
        axis.set(xscale="log", yscale="log", title=title, xlabel=over)
        ticks = sorted({row.facts[over] for row in rows})
        axis.set_xticks(ticks, [f"{int(tick):,}" for tick in ticks])
        axis.minorticks_off()
        low, high = axis.get_ylim()
        if high / low < 100:  # powers of ten alone would leave one label
            axis.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
            axis.yaxis.set_major_formatter(ticker.StrMethodFormatter("{x:,.0f}"))
        axis.grid(alpha=0.3)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=7, fontsize="small")
    place.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(place, metadata={"Date": None})


def main() -> None:
    """Sweep, print, draw."""
    parser = arguments(__doc__)
    parser.add_argument("--over", choices=list(POINTS), default="batch")
    parser.add_argument("--encoders", nargs="+", default=ENCODERS, choices=ENCODERS)
    parser.add_argument("--points", nargs="+", type=int)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--picture", type=Path, help="an SVG file")
    parser.add_argument(
        "--rows", type=Path, help="keep the rows in this JSON file; those in it are not measured again"
    )
    chosen = parser.parse_args()
    if chosen.picture:
        import matplotlib  # hours of measuring must not end in its absence (extra ``bench``)

        assert matplotlib
    kept: dict[str, Any] = json.loads(chosen.rows.read_text()) if chosen.rows and chosen.rows.exists() else {}
    rows = []
    for name in chosen.encoders:
        for value in chosen.points or POINTS[chosen.over]:
            place = {**FIXED, chosen.over: value}
            if chosen.over == "length":
                place["batch"] = 32
            key = f"{name}|{json.dumps(place)}|{chosen.threads}"
            if key not in kept:
                row = apart(point, name, place["batch"], place["length"], place["categories"], chosen.threads)
                kept[key] = [row.name, row.documents, row.seconds, row.peak_mb, row.facts]
                if chosen.rows:
                    chosen.rows.write_text(json.dumps(kept))
            rows.append(Row(*kept[key]))
    report(rows, chosen.json)
    if chosen.picture:
        draw(rows, chosen.over, chosen.picture)


if __name__ == "__main__":
    main()
