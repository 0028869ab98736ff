"""Problems of a corpus as ``linnaea init`` tells them: with the option that mends them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping

from linnaea.commands.delimiter import sign_between
from linnaea.config.task import DataConfig, TaskConfig
from linnaea.corpus.chunks import DELIMITERS, chunks, format_of
from linnaea.corpus.lookup import shown
from linnaea.corpus.records import Fields
from linnaea.errors import DataError, LinnaeaError
from linnaea.taxonomy.taxonomy import Taxonomy


def better_told(
    problem: LinnaeaError,
    data: DataConfig,
    task: TaskConfig,
    taxonomy: Taxonomy | None,
    given: bool,
    labels: Collection[str],
) -> LinnaeaError:
    """``problem`` with a hint that names the option of ``init``, where there is one.

    Args:
        taxonomy: read off the labels, unless it was ``given``.
        labels: all that were read.
    """
    file = next((path for path in _files(data) if (problem.where or "").startswith(path)), None)
    if problem.message.startswith("no column") and file is not None:
        option = "--labels" if "labelled" in problem.message else "--text"
        return DataError(
            problem.message, where=problem.where, hint=f"{_there(file, data)}; {option} names another"
        )
    if not problem.message.startswith("unknown label") or taxonomy is None:
        return problem
    hint = problem.hint
    label = next((one for one in sorted(labels) if _is_about(problem, one)), None)
    sign = None if label is None else sign_between(label, task, taxonomy)
    if label is not None and sign is not None:
        parts = [part.strip() for part in label.split(sign)]
        listed = json.dumps(parts, ensure_ascii=False)
        table = file is not None and _is_table(file, data)
        hint = (
            f"is data.label_delimiter {sign!r}? give it with --label-delimiter"
            if table
            else f"write {listed}"
        )
        hint = f"its parts are known labels: {hint}"
    elif hint is not None and hint.startswith("is task.separator"):
        hint += " give it with --separator"
    elif not given:
        hint = "without a taxonomy the categories are those of train: give one with --taxonomy, or leave such documents out"
    return DataError(problem.message, where=problem.where, hint=hint)


def no_labels(data: DataConfig) -> DataError:
    """That no document of train has labels, under which fields they were looked for, and which fields there are."""
    files = data.files("train")
    wanted = " or ".join(map(repr, Fields.of(data.fields).labels))
    hint = f"looked for under {wanted}; {_there(files[0], data)}; --labels names another"
    return DataError("no document of train has labels", where=", ".join(files), hint=hint)


def _files(data: DataConfig) -> list[str]:
    return [*data.files("train"), *data.files("dev"), *data.files("test")]


def _is_about(problem: LinnaeaError, label: str) -> bool:
    said = f"unknown label {shown(label)}"
    return problem.message == said or problem.message.startswith(f"{said}:")


def _is_table(file: str, data: DataConfig) -> bool:
    kind = format_of(file, data.format)
    return kind in DELIMITERS or kind == "parquet"


def _there(file: str, data: DataConfig) -> str:
    """The names of the columns, or of the fields of the first document."""
    first = next(iter(chunks(file, data.format)))
    if first.header is not None:
        return "there are the columns " + ", ".join(map(repr, first.header))
    record = json.loads(first.data.lstrip().split(b"\n", 1)[0])
    names = record if isinstance(record, Mapping) else ()
    return "the first document has the fields " + ", ".join(map(repr, names))
