"""A toy run: forty documents, five categories, some hundred weights; also as a program to be killed.

``python -m tests.training.toy FOLDER`` trains it and writes what it ended with to ``FOLDER/end.safetensors``.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch

from linnaea.config.heads import ModelConfig
from linnaea.config.objective import ObjectiveConfig
from linnaea.config.outcome import RunConfig
from linnaea.config.training import TrainingConfig
from linnaea.errors import LinnaeaError
from linnaea.nn.build import build_network
from linnaea.nn.network import Network, Sizes
from linnaea.nn.objectives.objective import Objective
from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy
from linnaea.training import loop
from linnaea.training.history import EpochRecord, History, JsonlHistory, Listener, Progress, Start
from linnaea.training.loader import Loader, score_batches
from linnaea.training.optimizers import Optimizers, build_optimizers

TOKENS, NGRAMS, CATEGORIES = 40, 60, 5


@dataclass
class ToySplit:
    """What a loader needs of a split."""

    tokens: Ragged
    bags: dict[str, Ragged]
    labels: Ragged | None
    ids: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def lengths_N(self) -> np.ndarray:
        return self.tokens.lengths_N

    def sequence(self, rows_B: np.ndarray) -> Ragged:
        return self.tokens.take(rows_B)

    def bag(self, feature: str, rows_B: np.ndarray) -> Ragged:
        return self.bags[feature].take(rows_B)


def split_of(lengths: Sequence[int] | np.ndarray, seed: int = 0) -> ToySplit:
    """Documents of these lengths; their labels depend on their first tokens: there is something to learn."""
    generator = np.random.default_rng(seed)
    lengths_N = np.asarray(lengths, dtype=np.int64)
    tokens = Ragged.from_lengths(generator.integers(1, TOKENS, lengths_N.sum()).astype(np.int32), lengths_N)
    ngrams = Ragged.from_lengths(generator.integers(0, NGRAMS, lengths_N.sum()).astype(np.int32), lengths_N)
    labels = Ragged.from_rows([sorted({int(t) % CATEGORIES for t in row[:2]}) for row in tokens])
    return ToySplit(
        tokens, {"token": tokens, "ngram": ngrams}, labels, [str(i) for i in range(len(lengths_N))]
    )


def train_split(documents: int = 37) -> ToySplit:
    return split_of(np.random.default_rng(7).integers(0, 12, documents), seed=1)


def dev_split() -> ToySplit:
    return split_of(np.random.default_rng(8).integers(1, 12, 16), seed=2)


def taxonomy() -> Taxonomy:
    ids = ["A", "B", "A1", "A2", "B1"]
    return Taxonomy.build(ids, ids, [[], [], ["A"], ["A"], ["B"]])


ENCODERS: dict[str, dict[str, Any]] = {
    "bags": {"type": "fasttext"},
    "sequence": {"type": "textcnn", "filters": 4},
}


def network(
    reads: str = "bags", sparse: bool = True, dropout: float = 0.3, seed: int = 3,
    encoder: dict[str, Any] | None = None,
) -> Network:  # fmt: skip
    torch.manual_seed(seed)
    sizes = Sizes({"token": TOKENS, "ngram": NGRAMS}, taxonomy(), np.array([9, 8, 7, 6, 5]), 37)
    config = ModelConfig.read(
        {
            "embedder": {"type": "lookup", "dimension": 8, "dropout": dropout},
            "encoder": encoder or ENCODERS[reads],
            "head": {"type": "linear", "dropout": dropout},
        }
    )
    return build_network(config, ["token", "ngram"] if reads == "bags" else ["token"], sizes, sparse=sparse)


def objective(recursive_penalty: float = 0.01) -> Objective:
    return Objective(
        ObjectiveConfig(recursive_penalty=recursive_penalty), taxonomy(), np.array([9, 8, 7, 6, 5]), 37
    )


def measure_with(reads: str = "bags") -> Callable[[Any], dict[str, float]]:
    """Dev loss and micro-F1 at one half."""
    split, goal = dev_split(), objective()

    def measure(trained: Any) -> dict[str, float]:
        assert not trained.training
        loss, hits, chosen, gold = 0.0, 0, 0, 0
        for batch in score_batches(
            split, ["token", "ngram"] if reads == "bags" else ["token"], reads, batch_size=5
        ):
            output = trained(batch)
            loss += float(goal(output, batch, trained, len(split)))
            decided, wanted = output.logits_BC > 0, batch.labels.dense(CATEGORIES).bool()
            hits, chosen, gold = (
                hits + int((decided & wanted).sum()),
                chosen + int(decided.sum()),
                gold + int(wanted.sum()),
            )
        return {"loss": loss, "micro_f1": 2 * hits / max(1, chosen + gold)}

    return measure


BASE: dict[str, Any] = {
    "epochs": 3,
    "batch_size": 8,
    "optimizer": {"type": "adam", "learning_rate": 0.05},
    "schedule": "linear",
    "warmup_steps": 2,
    "gradient_clip": 1.0,
    "early_stopping": {"metric": "micro_f1", "patience": 2},
    "checkpoint_minutes": 0.0,
}


@dataclass
class Ended:
    """All that two equal runs must share, bit by bit."""

    weights: dict[str, torch.Tensor]
    optimizer: dict[str, torch.Tensor]
    generator: torch.Tensor
    history: History
    lines: list[dict[str, Any]] = field(default_factory=list)

    def same(self, other: Ended) -> None:
        for mine, theirs in ((self.weights, other.weights), (self.optimizer, other.optimizer)):
            assert mine.keys() == theirs.keys()
            for name, tensor in mine.items():
                assert torch.equal(tensor, theirs[name]), name
        assert torch.equal(self.generator, other.generator)
        assert self.history == other.history
        assert self.lines == other.lines


class Hook:
    """Calls a function at a step; steps are told of at once when ``loop.REPORT_EVERY`` is negative."""

    def __init__(self, at: Callable[[Progress], None]) -> None:
        self.at = at

    def on_start(self, start: Start) -> None:
        pass

    def on_step(self, progress: Progress) -> None:
        self.at(progress)

    def on_epoch(self, record: EpochRecord) -> None:
        pass

    def on_end(self, history: History) -> None:
        pass


def train(
    folder: Path | None,
    *,
    reads: str = "bags",
    sparse: bool = True,
    dropout: float = 0.3,
    resume: bool = False,
    hook: Callable[[Progress], None] | None = None,
    run: RunConfig | None = None,
    documents: int = 37,
    measured: bool = True,
    measure: Callable[[Any], dict[str, float]] | None = None,
    listeners: Sequence[Listener] = (),
    freeze_epochs: int = 0,
    encoder: dict[str, Any] | None = None,
    **settings: Any,
) -> Ended:
    """One toy run; ``settings`` change the part "training"."""
    kept: list[Optimizers] = []

    def remember(*args: Any, **more: Any) -> Optimizers:
        kept.append(build_optimizers(*args, **more))
        return kept[-1]

    config = TrainingConfig.read({**BASE, **settings})
    trained = network(reads, sparse, dropout, encoder=encoder)
    loader = Loader(
        train_split(documents), ["token", "ngram"] if reads == "bags" else ["token"], reads, config, seed=5
    )
    heard: list[Listener] = [*listeners] if hook is None else [*listeners, Hook(hook)]
    if folder is not None:
        heard.append(JsonlHistory(folder / "history.jsonl"))
    original, loop.build_optimizers = loop.build_optimizers, remember
    try:
        history = loop.fit(
            trained, objective(), loader, (measure or measure_with(reads)) if measured else None, config,
            run or RunConfig(seed=11, device="cpu"), None if folder is None else folder / "checkpoints",
            listeners=heard, resume=resume, identity={"corpus": "toy"}, freeze_epochs=freeze_epochs,
        )  # fmt: skip
    finally:
        loop.build_optimizers = original
    lines = []
    if folder is not None:
        lines = [record_without_clock(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    state = {name: tensor.clone() for name, tensor in trained.state_dict().items()}
    return Ended(state, kept[0].state(), torch.get_rng_state(), history, lines)


def record_without_clock(line: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(line)
    del value["time"]
    return value


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kill-at", type=int)
    parser.add_argument("--by", type=int, default=signal.SIGKILL)
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--reads", default="bags")
    parser.add_argument("--encoder", type=json.loads)
    parser.add_argument("--dropout", type=float, default=0.3)
    parser.add_argument("--dense", action="store_true")
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--set", action="append", default=[])
    given = parser.parse_args()
    torch.set_num_threads(1)
    loop.REPORT_EVERY = -1.0

    def hook(progress: Progress) -> None:
        if progress.step == given.kill_at:
            os.kill(os.getpid(), given.by)

    settings = {key: json.loads(value) for key, value in (item.split("=", 1) for item in given.set)}
    try:
        end = train(
            given.folder, reads=given.reads, sparse=not given.dense, dropout=given.dropout,
            encoder=given.encoder, resume=given.resume, hook=hook,
            run=RunConfig(seed=11, device="cpu", devices=given.devices), **settings,
        )  # fmt: skip
    except LinnaeaError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    if os.environ.get("LOCAL_RANK", "0") == "0":
        weights = {f"weights/{name}": tensor for name, tensor in end.weights.items()}
        state = {f"optimizer/{name}": tensor for name, tensor in end.optimizer.items()}
        safetensors.torch.save_file({**weights, **state}, given.folder / "end.safetensors")


if __name__ == "__main__":
    main()
