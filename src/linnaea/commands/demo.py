"""``linnaea demo``: the main job on a corpus that every Python brings along, then questions to the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from linnaea.commands.fitting import Result
from linnaea.commands.train import train
from linnaea.config.config import Config
from linnaea.config.presets import PRESETS, CorpusFacts, Preset, preset_config
from linnaea.corpus.document import Document
from linnaea.corpus.stdlib import builtin_corpus
from linnaea.errors import UsageError
from linnaea.files import read_json
from linnaea.metrics.kept import read_metrics
from linnaea.model.answer import Answer
from linnaea.model.model import Model
from linnaea.reporter import Reporter, Silent
from linnaea.taxonomy.taxonomy import Taxonomy
from linnaea.text.facts import Texts

QUESTIONS = ("compress a file with gzip", "open a network socket")
ENCODERS = ("fasttext", "textcnn")


def demo(
    folder: Path,
    questions: Sequence[str] = (),
    *,
    preset: str = "balanced",
    encoder: str | None = None,
    seed: int = 1,
    reporter: Reporter | None = None,
    show: Callable[[dict[str, Any], dict[str, Answer], Model, bool], None] | None = None,
) -> dict[str, Any]:
    """Train on the built-in corpus, with the linear baseline beside it, show both, answer questions.

    Args:
        encoder: of a network, which is trained in place of the preset.
        show: called with the metrics of both, the answers, the model, and whether nothing was asked: a terminal then
            goes on asking.

    A finished demo in ``folder`` is used again, so that more questions cost no training.
    """
    reporter = reporter or Silent()
    for option, name, known in (("--encoder", encoder, ENCODERS), ("--preset", preset, PRESETS)):
        if name is not None and name not in known:
            raise UsageError(f"must be one of {', '.join(known)}, not {name!r}", where=option)
    name = preset if encoder is None else encoder
    result = _trained(folder / name, preset, encoder, seed, reporter)
    metrics = {name: result.metrics}
    if result.folder.baseline.metrics.exists():
        metrics["linear"] = read_metrics(result.folder.baseline)
    reporter.note(f"report: {result.folder.report}")
    model, asked = result.model, list(questions or QUESTIONS)
    answers = dict(zip(asked, model.predict(asked), strict=True))
    value = {
        "metrics": metrics,
        "answers": {question: answer.to_json()["categories"] for question, answer in answers.items()},
    }
    if show is not None:
        show(metrics, answers, model, not questions)
    return value


def _trained(folder: Path, preset: str, encoder: str | None, seed: int, reporter: Reporter) -> Result:
    """The run in ``folder``: a new one, or what is there already of the same config."""
    taxonomy, train_documents, dev, test = builtin_corpus(seed=0)
    reporter.note(
        f"the built-in corpus: {len(train_documents) + len(dev) + len(test):,} docstrings of this Python's standard library "
        f"in {len(taxonomy):,} categories"
    )
    if encoder is None:
        facts = _facts(taxonomy, train_documents, dev)
        parts = preset_config(facts, cast(Preset, preset), "both").parts
    else:
        parts = _network(encoder)
    config = Config.build({**parts, "run": {"dir": str(folder), "seed": seed}})
    before = folder / "config.json"
    same = before.exists() and read_json(before) == config.dump()
    return train(
        config,
        taxonomy=taxonomy,
        train=train_documents,
        dev=dev,
        test=test,
        resume=same,
        overwrite=before.exists() and not same,
        reporter=reporter,
    )


def _facts(taxonomy: Taxonomy, train: Sequence[Document], dev: Sequence[Document]) -> CorpusFacts:
    """What a preset looks at; a module may be described in two chapters."""
    texts = Texts(Silent())
    for document in train:
        texts.add(document)
    return texts.facts(
        documents=len(train) + len(dev),
        categories=len(taxonomy),
        levels=taxonomy.depth,
        single=False,
        inner=0,
    )


def _network(name: str) -> dict[str, Any]:
    embedder: dict[str, Any] = {"type": "lookup", "dimension": 128}
    if name == "fasttext":
        return {
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
