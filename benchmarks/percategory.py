"""One network a category: documents times categories times epochs a second by each executor, and scoring of a full model.

The settings of "One HTrans classifier" in the project's baselines: BiGRU of 96 with attention, maximum and mean, vectors of
100, texts of at most 100 words, batches of 128, on rcv1-sample; negatives all, no early stopping, dev measured after every
epoch. On a GPU ``grouped`` is the one to look at (``--device cuda --executors grouped one_by_one``).

    scripts/bench percategory
    scripts/bench percategory --categories 103 --epochs 2 --executors grouped --device cuda --weights 1 2 3 5 10 30 50

``one_by_one`` is one process of one thread, ``local`` two of them, ``grouped`` one thread. Seconds of ``local`` include the
start of its processes. Scoring is by one thread, of documents of test by as many networks as the taxonomy has categories.
"""

from __future__ import annotations

import multiprocessing
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.common import Row, arguments, measure, report
from linnaea.config.config import Config
from linnaea.config.percategory import PerCategoryStrategyConfig
from linnaea.corpus.policy import ErrorPolicy
from linnaea.reporter import Silent
from linnaea.strategies.percategory.category import CategoryWork
from linnaea.strategies.percategory.executors import Processes, one_by_one
from linnaea.strategies.percategory.finished import Finished
from linnaea.strategies.percategory.grouped import grouped
from linnaea.strategies.percategory.networks import CategoryScorer, blank
from linnaea.strategies.percategory.plan import Plan
from linnaea.text.build import build_corpus

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "rcv1-sample"
EXECUTORS: dict[str, Any] = {"one_by_one": one_by_one, "local": Processes(2), "grouped": grouped}


def config_for(corpus: Path, epochs: int, weights: list[float], device: str) -> Config:
    """The settings of the baseline."""
    search = {"search": "weights", "class_weights": weights} if weights else {}
    return Config.build(
        {
            "task": {"type": "hierarchical", "taxonomy": str(corpus / "taxonomy.tsv")},
            "data": {split: str(corpus / f"{split}.jsonl") for split in ("train", "dev", "test")},
            "input": {"features": ["token"], "max_tokens": 100},
            "model": {
                "embedder": {"type": "lookup", "dimension": 100},
                "encoder": {"type": "gru_attention", "hidden": 96, "dropout": 0.4},
                "head": {"type": "linear", "dropout": 0.0},
            },
            "training": {
                "strategy": {"type": "per_category", **search},
                "epochs": epochs,
                "batch_size": 128,
                "early_stopping": None,
            },
            "run": {"seed": 1, "device": device, "threads": 1},
        }
    )


def work_for(config: Config, categories: int) -> CategoryWork:
    """That of the first categories, parents before children; the others count as without documents."""
    corpus = build_corpus(config, policy=ErrorPolicy("raise", None))
    strategy = config.training.strategy
    assert isinstance(strategy, PerCategoryStrategyConfig)
    support_C = corpus.train.labels.counts(len(corpus.taxonomy))  # type: ignore[union-attr]
    support_C[np.flatnonzero(support_C)[categories:]] = 0
    return CategoryWork(config, corpus, Plan(corpus.taxonomy, strategy, support_C, len(corpus.train)))


def trained(name: str, corpus: Path, categories: int, epochs: int, weights: list[float], device: str) -> Row:
    """One executor, in a process of its own."""
    work = work_for(config_for(corpus, epochs, weights, device), categories)
    work.trainer  # noqa: B018  what is made once is not counted
    with tempfile.TemporaryDirectory() as folder:
        finished = Finished(Path(folder), work.plan, resume=False)
        row = measure(name, 0, lambda: EXECUTORS[name](work, finished, Silent()))
        read = sum(int(facts["documents_read"]) for facts in finished.facts.values())
    facts = {"categories": float(len(work.plan.trained)), "epochs": float(epochs)}
    return Row(name, read, row.seconds, row.peak_mb, facts)


def scored(corpus: Path, device: str) -> Row:
    """A full model with random weights: an embedder a top category, a network every category."""
    config = config_for(corpus, 1, [], device)
    data = build_corpus(config, policy=ErrorPolicy("raise", None))
    taxonomy, template = data.taxonomy, blank(config, data.featurizer)
    assert template.embedder is not None
    assert data.test is not None
    torch.set_num_threads(1)
    torch.manual_seed(1)
    tops = [c for c in range(len(taxonomy)) if not len(taxonomy.parents[c])]
    table_K = np.array([min(set(tops) & set(taxonomy.ancestors[c].tolist())) for c in range(len(taxonomy))])
    stacked = {
        name: torch.randn(len(taxonomy), *tensor.shape) * 0.1
        for name, tensor in template.state_dict().items()
        if not name.startswith("embedder.")
    }
    scorer = CategoryScorer(
        taxonomy, template, [template.embedder.state_dict() for _ in tops], stacked,
        np.searchsorted(tops, table_K), np.arange(len(taxonomy)), config.input.features, "sequence",
    ).to(torch.device("cuda" if device == "cuda" else "cpu"))  # fmt: skip
    test = data.test
    row = measure("scoring, all categories", len(test), lambda: scorer.score(test))
    return Row(row.name, row.documents, row.seconds, row.peak_mb, {"categories": float(len(taxonomy))})


def apart(job: Callable[..., Row], *arguments: Any) -> Row:
    """As ``common.apart``, in a process that may have processes of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(job, *arguments).result()


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--corpus", type=Path, default=DATA)
    parser.add_argument("--categories", type=int, default=12, help="how many of them are trained")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--weights", type=float, nargs="*", default=[], help="class weights to search")
    parser.add_argument("--executors", nargs="*", default=list(EXECUTORS), choices=list(EXECUTORS))
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    given = parser.parse_args()
    rows = [
        apart(trained, name, given.corpus, given.categories, given.epochs, given.weights, given.device)
        for name in given.executors
    ]
    report([*rows, apart(scored, given.corpus, given.device)], given.json)


if __name__ == "__main__":
    main()
