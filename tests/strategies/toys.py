"""Small corpora that the tests of strategies share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from linnaea.config.config import Config
from linnaea.run_folder import RunFolder
from linnaea.taxonomy.taxonomy import Taxonomy
from linnaea.text.build import corpus_from_documents
from linnaea.text.store import Corpus

WORDS = {
    "physics": "quark energy field",
    "chemistry": "acid bond metal",
    "opera": "aria stage voice",
    "football": "goal pitch keeper",
}
FILLER = ["the", "of", "and", "with", "seven", "some", "more", "words", "that", "say", "nothing"]


def taxonomy() -> Taxonomy:
    """Two top categories, five below; nobody writes about "rugby"."""
    ids = ["science", "leisure", "physics", "chemistry", "opera", "football", "rugby"]
    above: list[list[str]] = [[], [], ["science"], ["science"], ["leisure"], ["leisure"], ["leisure"]]
    return Taxonomy.build(ids, ids, above)


def documents(count: int, seed: int, names: tuple[str, ...] = tuple(WORDS)) -> list[dict[str, Any]]:
    """Documents of one or two topics each, among words that say nothing."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        size = 1 + int(rng.random() < 0.3)
        topics = list(dict.fromkeys([names[number % len(names)], *rng.choice(names, size - 1)]))
        words = [w for t in topics for w in rng.choice(WORDS[t].split(), 2)]
        words += list(rng.choice(FILLER, int(rng.integers(2, 9))))
        made.append({"id": f"d{seed}-{number}", "text": " ".join(rng.permutation(words)), "labels": topics})
    return made


def linear_config(strategy: dict[str, Any] | None = None, **parts: Any) -> Config:
    """A linear run over words and word pairs."""
    value = {
        "training": {"strategy": {"type": "linear", **(strategy or {})}},
        "input": {"features": ["token", "ngram"], "ngram": {"buckets": 0}},
    }
    return Config.build({**value, **parts})


def joint_config(**parts: Any) -> Config:
    """A small network; give whole parts to change it."""
    value: dict[str, Any] = {
        "input": {"vocabulary": {"min_count": 1}},
        "model": {
            "embedder": {"type": "lookup", "dimension": 16},
            "encoder": {"type": "textcnn", "filters": 12, "kernel_sizes": [1, 2]},
            "head": {"type": "linear", "dropout": 0.1},
        },
        "training": {"epochs": 4, "batch_size": 8, "optimizer": {"type": "adam", "learning_rate": 0.01}},
        "run": {"seed": 3, "device": "cpu"},
    }
    return Config.build({**value, **parts})


def corpus(config: Config, train: int = 48, dev: int = 16, test: int = 20) -> Corpus:
    """Documents of :func:`documents`, encoded."""
    parts = [documents(n, seed) for seed, n in enumerate((train, dev, test))]
    return corpus_from_documents(config, taxonomy(), *parts)


def run_folder(path: Path) -> RunFolder:
    """An empty run folder."""
    path.mkdir(parents=True, exist_ok=True)
    return RunFolder(path)
