"""``linnaea demo``: the main job on a corpus that every Python brings along, then questions to the model."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from linnaea.commands.train import train
from linnaea.config.config import Config
from linnaea.corpus.stdlib import builtin_corpus
from linnaea.errors import UsageError
from linnaea.files import read_json
from linnaea.model.answer import Answer
from linnaea.model.model import Model
from linnaea.reporter import Reporter, Silent

QUESTIONS = ("compress a file with gzip", "open a network socket")
ENCODERS = ("fasttext", "textcnn")


def demo(
    folder: Path,
    questions: Sequence[str] = (),
    *,
    encoder: str = "fasttext",
    seed: int = 1,
    as_json: bool = False,
    reporter: Reporter | None = None,
    show: Callable[[dict[str, Any], dict[str, Answer], Model, bool], None] | None = None,
) -> dict[str, Any]:
    """Train a network and the linear model on the built-in corpus, show their scores per level, answer questions.

    Args:
        show: called with the metrics of both, the answers, the model, and whether nothing was asked: a terminal then
            goes on asking.

    A finished demo in ``folder`` is used again, so that more questions cost no training.
    """
    reporter = reporter or Silent()
    if encoder not in ENCODERS:
        raise UsageError(f"must be one of {', '.join(ENCODERS)}, not {encoder!r}", where="--encoder")
    taxonomy, train_documents, dev, test = builtin_corpus(seed=0)
    reporter.note(
        f"the built-in corpus: {len(train_documents) + len(dev) + len(test):,} docstrings of this Python's standard library "
        f"in {len(taxonomy):,} categories"
    )
    results = {}
    for name in (encoder, "linear"):
        config = Config.build(_config(name, folder / name, seed))
        before = folder / name / "config.json"
        same = before.exists() and read_json(before) == config.dump()
        reporter.note(f"training: {name}")
        results[name] = train(
            config,
            taxonomy=taxonomy,
            train=train_documents,
            dev=dev,
            test=test,
            resume=same,
            overwrite=before.exists() and not same,
            reporter=reporter,
        )
    model = results[encoder].model
    asked = list(questions or QUESTIONS)
    answers = dict(zip(asked, model.predict(asked), strict=True))
    value = {
        "metrics": {name: result.metrics for name, result in results.items()},
        "answers": {question: answer.to_json()["categories"] for question, answer in answers.items()},
    }
    if as_json:
        sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
        return value
    if show is not None:
        show({name: result.metrics for name, result in results.items()}, answers, model, not questions)
    return value


def _config(name: str, folder: Path, seed: int) -> dict[str, Any]:
    common = {"run": {"dir": str(folder), "seed": seed}}
    if name == "linear":
        return {**common, "training": {"strategy": {"type": "linear"}}, "decision": _DECISION}
    embedder: dict[str, Any] = {"type": "lookup", "dimension": 128}
    if name == "fasttext":
        return {
            **common,
            "input": {
                "features": ["token", "ngram", "char_ngram"],
                "ngram": {"n": 2, "buckets": 100_000},
                "char_ngram": {"min": 4, "max": 5, "buckets": 50_000},
            },
            "model": {
                "embedder": embedder,
                "encoder": "fasttext",
                "head": {"type": "linear", "dropout": 0.0},
            },
            "training": {
                "epochs": 30,
                "batch_size": 32,
                "optimizer": {"type": "adam", "learning_rate": 0.01},
            },
            "decision": _DECISION,
        }
    return {
        **common,
        "input": {"max_tokens": 128},
        "model": {
            "embedder": {**embedder, "dropout": 0.3},
            "encoder": {"type": "textcnn", "kernel_sizes": [1, 2], "filters": 300},
            "head": {"type": "linear", "dropout": 0.3},
        },
        "training": {"epochs": 25, "batch_size": 32, "optimizer": {"type": "adam", "learning_rate": 0.004}},
        "decision": _DECISION,
    }


# Of the coherent decodings, top_down loses least under thresholds of their own for each category.
_DECISION = {"threshold": {"type": "per_category", "aim": "both"}, "decoding": "top_down"}
