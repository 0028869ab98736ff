"""Gold: the labels of documents as columns of the taxonomy, under the rules of the task.

Each distinct label string is resolved once; a whole split then takes rows of that small table. Only documents
that may break a rule are looked at one by one, and their errors say ``file:line``. Under ``skip`` and
``quarantine`` such documents are left out.

Shape letters: N documents.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from linnaea.config.task import TaskConfig
from linnaea.corpus.document import Document
from linnaea.corpus.labels import LabelError, LabelResolver
from linnaea.corpus.policy import DocumentError, ErrorPolicy
from linnaea.errors import TaxonomyError
from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy
from linnaea.text.columns import Columns
from linnaea.text.leftout import RawLines


def check_task(taxonomy: Taxonomy, task: TaskConfig) -> None:
    """Refuse a taxonomy that the task cannot have.

    Raises:
        TaxonomyError: a binary task with other than one category.
    """
    if task.type == "binary" and len(taxonomy) != 1:
        shown = ", ".join(taxonomy.ids[:5]) + (", ..." if len(taxonomy) > 5 else "")
        raise TaxonomyError(
            f"a binary task has one category, not {len(taxonomy)}: {shown}",
            hint='label the positive documents and write [] for the others, or set task.type to "multiclass"',
        )


def gold_labels(
    documents: list[Document], taxonomy: Taxonomy, task: TaskConfig, policy: ErrorPolicy | None = None
) -> Ragged:
    """Gold of documents in memory.

    Args:
        documents: all labelled; those that break a rule are **removed** from the list where ``policy`` leaves
            them out.
        policy: absent: the first problem is an error.

    Returns:
        ``[N]`` rows of columns for the documents that stayed: int32, ascending, closed as the task says.

    Raises:
        DataError: a document is not labelled, a label is unknown or ambiguous, labels do not fit the task.
    """
    check_task(taxonomy, task)
    resolver = LabelResolver.for_task(taxonomy, task)
    policy = policy or ErrorPolicy("raise")
    kept = []
    for row, document in enumerate(documents):
        problem: DocumentError | None = resolver.problem(document)
        if document.labels is None:
            problem = DocumentError("not labelled", kind="not labelled", where=_where(document))
        if problem is None:
            kept.append(document)
        else:
            policy.handle(problem if problem.where else problem.at(f"documents[{row}]"))
    documents[:] = kept
    return resolver.rows([document.labels or () for document in kept])


def _where(document: Document) -> str | None:
    return None if document.origin is None else str(document.origin)


def resolve(
    columns: Columns, resolver: LabelResolver, policy: ErrorPolicy, name: str
) -> tuple[Ragged, np.ndarray | None]:
    """Gold of encoded documents.

    Args:
        name: of the split, for documents from Python, which have no file.

    Returns:
        ``(labels, rows)``: columns of the documents that stay, and which these are; None: all.

    Raises:
        DataError: as ``gold_labels``, at the first place in the files.
    """
    labels, strings = columns.values["label"], columns.tables["label"]
    table = list(strings)
    broken = np.zeros(len(table), dtype=bool)
    for number, label in enumerate(table):
        try:
            resolver.resolve(label)
        except LabelError:
            broken[number] = True
    suspects = np.flatnonzero(_suspect(labels, broken, resolver))
    left_out: list[int] = []
    seen: dict[tuple[int, ...], bool] = {}
    with RawLines() as lines:
        for row in suspects.tolist():
            numbers = tuple(labels[row].tolist())
            if seen.get(numbers):
                continue
            origin = columns.origin(row)
            written = tuple(table[number] for number in numbers)
            problem = resolver.problem(Document(columns.ids[row], "", written, origin=origin))
            seen[numbers] = problem is None
            if problem is not None:
                raw = lines.read(origin) if policy.mode == "quarantine" else None
                policy.handle(problem if problem.where else problem.at(f"{name}[{row}]"), raw)
                left_out.append(row)
    rows = None
    if left_out:
        rows = np.setdiff1d(np.arange(len(columns)), left_out)
        labels = labels.take(rows)
        # Strings that stood in left-out documents only are no longer asked for.
        table, renumbered = _used(labels, table)
        labels = Ragged(renumbered, labels.offsets_N1)
    return resolver.columns(labels, table), rows


def _suspect(labels: Ragged, broken: np.ndarray, resolver: LabelResolver) -> np.ndarray:
    """bool ``[N]``: documents that may break a rule."""
    suspect = np.zeros(len(labels), dtype=bool)
    if broken.any():
        suspect[labels.rows[broken[labels.values]]] = True
    if resolver.exactly_one:
        suspect |= labels.lengths_N != 1
    if resolver.one_path:
        suspect |= labels.lengths_N > 1
    return suspect


def _used(labels: Ragged, table: Sequence[str]) -> tuple[list[str], np.ndarray]:
    used = np.flatnonzero(np.bincount(labels.values, minlength=len(table)))
    place = np.full(len(table), -1, dtype=np.int32)
    place[used] = np.arange(len(used))
    return [table[i] for i in used.tolist()], place[labels.values]
