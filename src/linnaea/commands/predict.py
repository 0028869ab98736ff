"""``linnaea predict``: documents in, one answer a line out, in order."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from linnaea.corpus.policy import ErrorPolicy
from linnaea.corpus.readers import read_documents
from linnaea.errors import UsageError
from linnaea.files import atomic
from linnaea.model.answer import Answer
from linnaea.model.folder import load
from linnaea.model.model import CHUNK
from linnaea.reporter import Reporter, Silent


def predict(
    model_path: Path | str,
    file: str = "-",
    *,
    output: Path | None = None,
    top_k: int | None = None,
    threshold: float | None = None,
    decoding: str | None = None,
    all_scores: bool = False,
    on_error: str = "raise",
    file_format: str = "auto",
    plugins: Sequence[str] = (),
    device: str = "auto",
    reporter: Reporter | None = None,
    show: Callable[[Answer, Any], None] | None = None,
) -> int:
    """Answer every document of ``file`` and return how many there were.

    Args:
        output: written whole or not at all; None: stdout.
        decoding: a name, or an object as JSON; None: the model's own.
        show: called with each answer and its document instead of writing JSON (the table on a terminal).

    Raises:
        DataError: a broken document, unless ``on_error`` says otherwise.
        ModelError: the model cannot be loaded.
        UsageError: the cap, threshold or decoding cannot act.
    """
    reporter = reporter or Silent()
    model = load(model_path, plugins, device=device)
    decider = model.decider_with(top_k, threshold, decoding)
    data = reading(model.config.data, on_error, file_format)
    quarantine = (output or Path(Path(file).name if file != "-" else "stdin")).with_suffix(
        ".quarantine.jsonl"
    )
    policy = ErrorPolicy(data.on_error, quarantine if on_error == "quarantine" else None)
    stream = read_documents([file], data, policy, need_labels=False)
    done = 0
    with atomic(output, "w") if output is not None else nullcontext(sys.stdout) as out:
        while chunk := list(itertools.islice(stream, CHUNK)):
            split = model.featurizer.encode(chunk)
            for document, answer in zip(
                chunk, model.answer(split, decider, all_scores=all_scores), strict=True
            ):
                if show is not None:
                    show(answer, document)
                else:
                    out.write(json.dumps(answer.to_json(), ensure_ascii=False) + "\n")
            done += len(chunk)
            reporter.progress("predicting", done)
        out.flush()
    reporter.progress("predicting", done, done)
    if policy.left_out:
        reporter.warn(policy.message() or "")
    return done


def reading(data: Any, on_error: str, file_format: str) -> Any:
    """The model's reading settings (field names) with the command's own."""
    for name, value, known in (
        ("--on-error", on_error, ("raise", "skip", "quarantine")),
        ("--format", file_format, ("auto", "jsonl", "text", "csv", "tsv", "parquet")),
    ):
        if value not in known:
            raise UsageError(f"must be one of {', '.join(known)}, not {value!r}", where=name)
    return data.model_copy(update={"on_error": on_error, "format": file_format})
