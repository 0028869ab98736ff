"""``linnaea evaluate``: a model's scores on labelled documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from linnaea.commands.predict import reading
from linnaea.corpus.policy import ErrorPolicy
from linnaea.corpus.readers import read_documents
from linnaea.errors import DataError
from linnaea.model.folder import load
from linnaea.reporter import Reporter, Silent
from linnaea.text.gold import gold_labels


def evaluate(
    model_path: Path | str,
    file: str,
    *,
    threshold: float | None = None,
    decoding: str | None = None,
    on_error: str = "raise",
    file_format: str = "auto",
    plugins: Sequence[str] = (),
    device: str = "auto",
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """The content of ``metrics.json`` for ``file``.

    Raises:
        DataError: no documents, a broken one, one without labels, or a label outside the taxonomy.
        ModelError: the model cannot be loaded.
        UsageError: the threshold or decoding cannot act.
    """
    reporter = reporter or Silent()
    model = load(model_path, plugins, device=device)
    model = replace(model, decider=model.decider_with(threshold=threshold, decoding=decoding))
    data = reading(model.config.data, on_error, file_format)
    quarantine = Path(Path(file).name).with_suffix(".quarantine.jsonl") if on_error == "quarantine" else None
    policy = ErrorPolicy(data.on_error, quarantine)
    documents = list(read_documents([file], data, policy, need_labels=True))
    gold = gold_labels(documents, model.taxonomy, model.config.task, policy)
    if policy.left_out:
        reporter.warn(policy.message() or "")
    if not documents:
        raise DataError("no documents to evaluate", where=file)
    evaluation, _, _ = model.evaluate_split(model.featurizer.encode(documents), gold)
    return evaluation.to_json()
