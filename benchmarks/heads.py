"""What the heads cost: training and scoring speed against the number of categories, and on a corpus.

Above one encoder, textrnn with the mean of its states. The sweep is that of ``benchmarks.sweep``: documents are made up, all of
the full length; one training step is forward, loss, backward and Adam. "us/category" is what a category adds to a document's
training, beyond the smallest number of categories: level in a head whose cost is linear. With ``--data`` the corpus is trained
on as ``benchmarks.speed`` does it.

    scripts/bench heads                                         100 to 10,000 categories, T = 128, batches of 64
    scripts/bench heads --heads hmcn --points --data ../shared/data/rcv1-sample
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks import speed
from benchmarks.common import Row, apart, arguments, peak_mb, report
from benchmarks.sweep import stepped
from linnaea.config.heads import ModelConfig

ENCODER = {"type": "textrnn"}
POOLED = {**ENCODER, "pooling": "mean"}
HEADS: dict[str, dict[str, Any]] = {
    "linear": {"type": "linear"},
    "hmcn": {"type": "hmcn"},
    "hmcn, recurrent": {"type": "hmcn", "form": "recurrent"},
    "label_attention": {"type": "label_attention"},
    "label_attention, shared": {"type": "label_attention", "output": "shared"},
    "hiagm_tp": {"type": "hiagm_tp"},
    "hiagm_tp, tree_lstm": {"type": "hiagm_tp", "structure": "tree_lstm"},
    "hiagm_la": {"type": "hiagm_la"},
}
READ_STATES = ("label_attention", "hiagm_la")  # nothing is pooled below them
POINTS = [100, 1000, 10_000]
LARGEST = {"hiagm_tp": 1000, "hiagm_tp, tree_lstm": 1000}
"""Heads that hold vectors of all categories for each document are not asked for more."""


def model(head: str) -> dict[str, Any]:
    """The part "model" of a config."""
    encoder = ENCODER if HEADS[head]["type"] in READ_STATES else POOLED
    return {"embedder": {"type": "lookup", "dimension": 64}, "encoder": encoder, "head": HEADS[head]}


def point(head: str, size: int, length: int, categories: int, threads: int) -> Row:
    """One head at one number of categories: training steps, scoring, memory."""
    train, forward = stepped(ModelConfig.read(model(head)), size, length, categories, threads)
    facts = {"categories": categories, "score docs/s": size / forward}
    return Row(head, size, train, peak_mb(), facts)


def with_slopes(rows: list[Row]) -> list[Row]:
    """Each row with what a category adds to it."""
    least = {row.name: row for row in reversed(rows)}
    for row in rows:
        first = least[row.name]
        more = row.facts["categories"] - first.facts["categories"]
        if more:
            apiece = (row.seconds - first.seconds) / row.documents / more
            row.facts["us/category"] = apiece * 1e6
    return rows


def on_corpus(head: str, corpus: Path, epochs: int, batch: int, threads: int) -> list[Row]:
    """As ``benchmarks.speed`` measures an encoder."""
    name = f"textrnn + {head}"
    speed.SYSTEMS[name] = {"model": model(head)}
    return speed.run(name, corpus, epochs, batch, threads)


def main() -> None:
    """Sweep, then train on a corpus if there is one."""
    parser = arguments(__doc__)
    parser.add_argument("--heads", nargs="+", default=list(HEADS), choices=list(HEADS))
    parser.add_argument("--points", nargs="*", type=int, default=POINTS)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--data", type=Path, help="a corpus folder")
    parser.add_argument("--epochs", type=int, default=2)
    chosen = parser.parse_args()
    rows: list[Row] = []
    for head in chosen.heads:
        points = [c for c in sorted(chosen.points) if c <= LARGEST.get(head, c)]
        rows += [
            apart(point, head, chosen.batch, chosen.length, categories, chosen.threads)
            for categories in points
        ]
    rows = with_slopes(rows)
    for head in chosen.heads if chosen.data else ():
        rows += apart(on_corpus, head, chosen.data, chosen.epochs, chosen.batch, chosen.threads)
    report(rows, chosen.json)


if __name__ == "__main__":
    main()
