"""Speed and memory on one corpus: reading, training, scoring; each system in a process of its own.

    scripts/bench speed --data ../shared/data/rcv1-sample --threads 2

Every system is measured at NeuralClassifier's sizes: batches of 64, texts of 256 tokens at most, vectors of 64. Rows:
    read      files to ids, nothing cached, the tokenizer's work included
    epochs    training as a user waits for it: steps, dev measure and checkpoint of every epoch; start and end
    steps     the fastest epoch, steps alone: what other tools call training speed
    score     documents to scores in memory
Training counts each document once an epoch; the linear strategy has no epochs, its documents count once.
``documents/cpu s`` is per second of processor time, over all repeats: where others use the machine too it says more
than wall time. "nothing" is the process before any work: interpreter, torch, linnaea. With less memory nothing can be
trained. "MFLOP/document" counts matrix products and convolutions, backward too for steps: divided by this machine's sgemm
rate it is the least time that a document can take.
"""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.common import Row, apart, arguments, measure, peak_mb, report
from linnaea.config.config import Config
from linnaea.corpus.policy import ErrorPolicy
from linnaea.reporter import Silent
from linnaea.run_folder import RunFolder
from linnaea.strategies.base import Fitted
from linnaea.strategies.build import build_strategy
from linnaea.text.build import build_corpus
from linnaea.text.store import Corpus

if TYPE_CHECKING:
    from torch.utils.flop_counter import FlopCounterMode

_NETWORK: dict[str, Any] = {"embedder": {"type": "lookup", "dimension": 64}}
SYSTEMS: dict[str, dict[str, Any]] = {
    "linear": {"training": {"strategy": "linear"}},
    "fasttext": {"model": {**_NETWORK, "encoder": "fasttext"}},
    "fasttext-2-grams": {
        "input": {"features": ["token", "ngram"], "max_tokens": 256},
        "model": {**_NETWORK, "encoder": "fasttext"},
    },
    "textcnn": {"model": {**_NETWORK, "encoder": "textcnn"}},
    "textcnn-on-regions": {
        "model": {"embedder": {"type": "region", "dimension": 64, "region_size": 5}, "encoder": "textcnn"}
    },
    "textrnn": {"model": {**_NETWORK, "encoder": "textrnn"}},
    "textrcnn": {"model": {**_NETWORK, "encoder": "textrcnn"}},
    "rcnn_lai": {"model": {**_NETWORK, "encoder": "rcnn_lai"}},
    "drnn": {
        "model": {**_NETWORK, "encoder": {"type": "drnn", "hidden": 5, "window": 3, "bidirectional": True}}
    },
    "dpcnn": {"model": {**_NETWORK, "encoder": {"type": "dpcnn", "filters": 16, "blocks": 2}}},
    "vdcnn": {"model": {**_NETWORK, "encoder": {"type": "vdcnn", "depth": 9, "hidden": 2048}}},
    "attentive_convnet": {"model": {**_NETWORK, "encoder": "attentive_convnet"}},
    "transformer": {"model": {**_NETWORK, "encoder": "transformer"}},
    "star_transformer": {"model": {**_NETWORK, "encoder": "star_transformer"}},
    "region": {
        "model": {"embedder": {"type": "region", "dimension": 64, "region_size": 5}, "encoder": "region"}
    },
}


def config_for(system: str, corpus: Path, epochs: int, batch: int, threads: int) -> Config:
    """A run of ``epochs`` epochs, none left out."""
    value: dict[str, Any] = {
        "input": {"max_tokens": 256},
        **SYSTEMS[system],
        "task": {"type": "hierarchical", "taxonomy": str(corpus / "taxonomy.tsv")},
        "data": {split: str(corpus / f"{split}.jsonl") for split in ("train", "dev", "test")},
        "run": {"threads": threads, "device": "cpu"},
    }
    if system != "linear":
        value["training"] = {"epochs": epochs, "batch_size": batch, "early_stopping": None}
    return Config.build(value)


class _Epochs(Silent):
    """Keeps the records of epochs."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def listener(self, name: str = "") -> Any:
        return self

    def on_start(self, start: Any) -> None:
        pass

    def on_step(self, progress: Any) -> None:
        pass

    def on_epoch(self, record: Any) -> None:
        self.seconds.append(record.time.seconds)

    def on_end(self, history: Any) -> None:
        pass


def _timed(name: str, documents: int, job: Callable[[], object], repeats: int = 1) -> Row:
    before = time.process_time()
    row = measure(name, documents, job, repeats=repeats)
    return Row(row.name, documents, row.seconds, row.peak_mb, _busy(documents * repeats, before))


def _busy(documents: int, before: float) -> dict[str, float]:
    return {"documents/cpu s": documents / (time.process_time() - before)}


def nothing(system: str) -> Row:
    """What a process holds before it does anything: with torch, unless ``system`` needs none."""
    start = time.perf_counter()
    if system != "linear":
        import linnaea.strategies.joint

        assert linnaea.strategies.joint
    return Row(f"{system}: nothing", 0, time.perf_counter() - start, peak_mb())


def run(system: str, corpus: Path, epochs: int, batch: int, threads: int) -> list[Row]:
    """Read, train and score with one system, from nothing: no encoded corpus is used again."""
    config = config_for(system, corpus, epochs, batch, threads)
    kept: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LINNAEA_CACHE"] = folder
        place, epoch_times = RunFolder.create(Path(folder) / "run", resume=False, overwrite=False), _Epochs()

        def read() -> None:
            kept["corpus"] = build_corpus(config, policy=ErrorPolicy("raise"))

        def train() -> None:
            kept["fitted"] = kept["strategy"].fit(kept["corpus"], place, reporter=epoch_times)

        def score() -> None:
            kept["fitted"].scorer.score(kept["corpus"].test)

        first = _timed(f"{system}: read", 1, read)
        splits = {name: len(split) for name, split in kept["corpus"].splits()}
        total = sum(splits.values())
        rate = {key: total * value for key, value in first.facts.items()}  # it was one job, not one document
        rows = [Row(first.name, total, first.seconds, first.peak_mb, rate)]
        kept["strategy"] = build_strategy(config)  # imports what it needs, torch first of all
        passes = 1 if system == "linear" else epochs
        rows.append(_timed(f"{system}: epochs", splits["train"] * passes, train))
        if epoch_times.seconds:
            rows.append(Row(f"{system}: steps", splits["train"], min(epoch_times.seconds), peak_mb()))
        rows.append(_timed(f"{system}: score", splits["test"], score, repeats=10))
        if epoch_times.seconds:  # last, so that counting costs no measured memory
            rows[-2].facts.update(parameters=kept["fitted"].facts["parameters"])
            for row, train_too in ((rows[-2], True), (rows[-1], False)):
                row.facts["MFLOP/document"] = operations(kept["fitted"], kept["corpus"], batch, train_too)
    return rows


def operations(fitted: Fitted, corpus: Corpus, size: int, backward: bool) -> float:
    """Millions of multiplications and additions in matrix products and convolutions, a document of train.

    Look-ups and their sums (``embedding_bag``, ``index_add_``), elementwise work, activations and the optimiser are not
    in it.
    """
    import torch

    from linnaea.strategies.network import NetworkScorer
    from linnaea.training.loader import score_batches

    scorer = fitted.scorer
    assert isinstance(scorer, NetworkScorer)
    scorer.network.train(backward)
    total = 0
    for number, batch in enumerate(
        score_batches(corpus.train, scorer.features, scorer.reads, batch_size=size, batch_tokens=size * 256)
    ):
        if number % 8:  # every eighth batch will do
            continue
        with products() as counter, torch.set_grad_enabled(backward):
            logits_BC = scorer.network(batch.to(scorer.device)).logits_BC
            if backward:
                logits_BC.sum().backward()
        total += counter.get_total_flops() / len(batch) / 1e6
    return total / (number // 8 + 1)


def products() -> FlopCounterMode:
    """A context that counts multiplications and additions, two for each pair: ``get_total_flops()``."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    def product(into: torch.Size, one: torch.Size, other: torch.Size, **_: Any) -> int:
        return 2 * math.prod(one) * other[-1]

    # torch counts these two out of place only; hand-written recurrences add products in place.
    in_place = {torch.ops.aten.addmm_: product, torch.ops.aten.baddbmm_: product}
    return FlopCounterMode(display=False, custom_mapping=in_place)


def main() -> None:
    """Measure what the arguments name."""
    parser = arguments(__doc__)
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data/rcv1-sample"), help="a corpus folder"
    )
    parser.add_argument("--systems", nargs="*", default=list(SYSTEMS), choices=list(SYSTEMS))
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    chosen = parser.parse_args()
    rows: list[Row] = []
    for system in chosen.systems:
        rows.append(apart(nothing, system))
        rows += apart(run, system, chosen.data, chosen.epochs, chosen.batch, chosen.threads)
    report(rows, chosen.json)


if __name__ == "__main__":
    main()
