"""Linnaea: neural hierarchical multi-label text classification.

>>> import linnaea
>>> result = linnaea.train("config.json")             # a run folder with model/ and metrics.json
>>> model = linnaea.load("runs/mine")                 # needs no training data
>>> for answer in model.predict(["some text"]):
...     print(answer.categories)
>>> linnaea.evaluate(model, documents).to_json()["micro"]["f1"]

Names are loaded on first use, so that ``import linnaea`` costs nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from linnaea.commands.compare import compare
    from linnaea.commands.fitting import Result
    from linnaea.commands.train import train
    from linnaea.commands.tune import tune
    from linnaea.config.config import Config
    from linnaea.corpus.document import Document
    from linnaea.errors import LinnaeaError
    from linnaea.estimator.classifier import TextClassifier
    from linnaea.metrics.evaluate import Evaluation
    from linnaea.model.answer import Answer
    from linnaea.model.folder import load
    from linnaea.model.model import Model
    from linnaea.taxonomy.readers import read_taxonomy
    from linnaea.taxonomy.taxonomy import Taxonomy

_HOMES = {
    "Answer": "linnaea.model.answer",
    "Config": "linnaea.config.config",
    "Document": "linnaea.corpus.document",
    "Evaluation": "linnaea.metrics.evaluate",
    "LinnaeaError": "linnaea.errors",
    "Model": "linnaea.model.model",
    "Result": "linnaea.commands.fitting",
    "Taxonomy": "linnaea.taxonomy.taxonomy",
    "TextClassifier": "linnaea.estimator.classifier",
    "compare": "linnaea.commands.compare",
    "load": "linnaea.model.folder",
    "read_taxonomy": "linnaea.taxonomy.readers",
    "train": "linnaea.commands.train",
    "tune": "linnaea.commands.tune",
}

__all__ = [
    "Answer",
    "Config",
    "Document",
    "Evaluation",
    "LinnaeaError",
    "Model",
    "Result",
    "Taxonomy",
    "TextClassifier",
    "__version__",
    "compare",
    "evaluate",
    "load",
    "predict",
    "read_taxonomy",
    "train",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'linnaea' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})


def predict(model: Model | str, documents: Iterable[Any], **options: Any) -> Iterator[Answer]:
    """Decide for each document; ``model`` is a ``Model`` or a folder. Options as ``Model.predict``."""
    return _model(model).predict(documents, **options)


def evaluate(
    model: Model | str, documents: Iterable[Any], labels: Iterable[Sequence[str]] | None = None
) -> Evaluation:
    """Score a model (or the folder of one) on labelled documents."""
    return _model(model).evaluate(documents, labels)


def _model(model: Any) -> Model:
    from linnaea.model.folder import load
    from linnaea.model.model import Model

    return model if isinstance(model, Model) else load(model)
