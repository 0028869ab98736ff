"""Labels: written strings -> columns of the taxonomy -> gold.

Each distinct string is resolved once; whole splits are then resolved by taking rows of that small table,
without a loop over documents.

Shape letters: N documents, C categories, S distinct label strings.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np

from linnaea.config.task import TaskConfig
from linnaea.corpus.document import Document
from linnaea.corpus.lookup import SHOWN, LabelError, Lookup, shown
from linnaea.corpus.records import json_line
from linnaea.errors import TaxonomyError
from linnaea.ragged import Ragged
from linnaea.taxonomy.readers import taxonomy_from_labels
from linnaea.taxonomy.taxonomy import Taxonomy

__all__ = ["LabelError", "LabelResolver", "read_off"]

Closure = Literal["ancestors", "path", "none"]

_SEPARATORS = ("--", "/", "|", ">", "::", "\\", "\x1f")


def read_off(labels: Sequence[str], task: TaskConfig) -> Taxonomy:
    """The taxonomy of labels that have none: of paths where the task is hierarchical, else of one level.

    Raises:
        TaxonomyError: no labels; a path with an empty name.
    """
    if not task.flat:
        return taxonomy_from_labels(labels, task.separator)
    if not any(label.strip() for label in labels):
        raise TaxonomyError("no label to read categories off", hint="name a taxonomy file in task.taxonomy")
    # In a flat task a label is a name, whatever signs it holds: a separator that none of them holds leaves
    # them whole.
    wanted = (task.separator, *_SEPARATORS)
    separator = next((s for s in wanted if not any(s in label for label in labels)), "\x00")
    return taxonomy_from_labels(labels, separator)


class LabelResolver:
    """Finds what written labels mean.

    Args:
        closure: which categories a label makes gold: ``ancestors`` (itself with all ancestors over all
            parents), ``path`` (those on the written path), ``none`` (itself).
        exactly_one: every document must have exactly one label (multiclass).
        one_path: all labels of a document must lie on a single path.
    """

    def __init__(
        self,
        taxonomy: Taxonomy,
        closure: Closure = "ancestors",
        *,
        exactly_one: bool = False,
        one_path: bool = False,
    ) -> None:
        self.taxonomy, self.closure = taxonomy, closure
        self.exactly_one, self.one_path = exactly_one, one_path
        self._known: dict[str, np.ndarray | LabelError] = {}
        self._lookup = Lookup(taxonomy)

    @classmethod
    def for_task(cls, taxonomy: Taxonomy, task: TaskConfig) -> LabelResolver:
        """The resolver that a task's settings ask for."""
        one = task.type == "multiclass"
        return cls(
            taxonomy, task.gold_closure, exactly_one=one, one_path=not task.flat and task.paths == "one"
        )

    # One label

    def resolve(self, label: str) -> np.ndarray:
        """The columns that ``label`` makes gold, ascending (int32), closed as the closure says.

        Raises:
            LabelError: unknown, with the nearest; ambiguous, with the candidates. Without a place.
        """
        found = self._known.get(label)
        if found is None:
            try:
                found = self._resolve(label)
            except LabelError as error:
                found = error
            self._known[label] = found
        if isinstance(found, LabelError):
            # A copy: an exception that is raised again and again grows a longer traceback each time.
            raise LabelError(found.message, hint=found.hint, kind=found.kind)
        return found

    def knows(self, label: str) -> bool:
        """Whether ``resolve`` would succeed."""
        try:
            self.resolve(label)
        except LabelError:
            return False
        return True

    def find(self, label: str) -> int:
        """The column of the category that ``label`` names.

        Raises:
            LabelError: as ``resolve``.
        """
        return int(self.resolve(label)[-1])  # ancestors come before, so the last column is the label's own

    def _resolve(self, label: str) -> np.ndarray:
        ways = self._lookup.ways(label)
        column = ways[0][-1]
        if self.closure == "none":
            return np.array([column], dtype=np.int32)
        if self.closure == "ancestors":
            return self.taxonomy.ancestors[column].astype(np.int32)
        if len(ways) == 1 and len(ways[0]) == 1:
            return self._single_way(label, column)
        if len({frozenset(way) for way in ways}) > 1:
            written = [self.taxonomy.separator.join(self.taxonomy.ids[c] for c in way) for way in ways]
            raise self._lookup.ambiguous(label, written, "several ways are meant by")
        return np.array(sorted(ways[0]), dtype=np.int32)

    def _single_way(self, label: str, column: int) -> np.ndarray:
        above = self.taxonomy.ancestors[column]
        if (self.taxonomy.parents.lengths_N[above] > 1).any():
            ways = self.taxonomy.paths(column, limit=SHOWN + 1)
            raise self._lookup.ambiguous(label, ways, "several ways lead up from")
        return above.astype(np.int32)

    # Documents

    def problem(self, document: Document) -> LabelError | None:
        """What is wrong with the labels of a document, with its place; None where nothing is."""
        labels = document.labels or ()
        try:
            resolved = [self.resolve(label) for label in labels]
            if self.exactly_one and len({int(columns[-1]) for columns in resolved}) != 1:
                problem = f"expected exactly one label, received {len(labels)}: {_listed(labels)}"
                raise LabelError(problem, kind="wrong number of labels")
            if self.one_path and len(resolved) > 1:
                self._check_one_path(labels)
        except LabelError as error:
            raw = json_line(document)
            where = None if document.origin is None else str(document.origin)
            return LabelError(error.message, where=where, hint=error.hint, kind=error.kind, raw=raw)
        return None

    def _check_one_path(self, labels: Sequence[str]) -> None:
        if self.closure == "path":
            above = [set(self.resolve(label).tolist()) for label in labels]
        else:
            above = [set(self.taxonomy.ancestors[self.find(label)].tolist()) for label in labels]
        if len(set().union(*above)) > max(map(len, above)):
            problem = f"the labels lie on several paths: {_listed(labels)}"
            raise LabelError(problem, kind="several paths", hint='set task.paths to "many"')

    # Whole splits

    def table(self, strings: Sequence[str]) -> Ragged:
        """``[S]`` rows: the columns that each distinct string makes gold.

        Raises:
            LabelError: as ``resolve``.
        """
        return Ragged.from_rows([self.resolve(label) for label in strings])

    def columns(self, labels: Ragged, strings: Sequence[str]) -> Ragged:
        """Gold of N documents whose labels are numbers into a table of distinct strings.

        Args:
            labels: ``[N]`` rows of numbers 0..S-1.
            strings: the S distinct labels.

        Returns:
            ``[N]`` rows of columns (int32), ascending, each once, closed as the closure says.

        Raises:
            LabelError: as ``resolve``.
        """
        if self.closure != "ancestors":
            return _union(labels, self.table(strings), len(self.taxonomy))
        ends = np.zeros(len(strings), dtype=np.int32)
        for number, label in enumerate(strings):
            ends[number] = self.find(label)
        return self.taxonomy.close(Ragged(ends[labels.values], labels.offsets_N1))

    def rows(self, documents_labels: Iterable[Sequence[str]]) -> Ragged:
        """The same for labels as they are written, one sequence a document.

        Raises:
            LabelError: as ``resolve``.
        """
        numbers: dict[str, int] = {}
        flat: list[int] = []
        lengths: list[int] = []
        for labels in documents_labels:
            flat += [numbers.setdefault(label, len(numbers)) for label in labels]
            lengths.append(len(labels))
        ragged = Ragged.from_lengths(np.array(flat, dtype=np.int32), np.array(lengths, dtype=np.int64))
        return self.columns(ragged, list(numbers))


def _listed(labels: Sequence[str]) -> str:
    return ", ".join(map(shown, labels[:SHOWN])) or "none"


def _union(labels: Ragged, table: Ragged, columns: int) -> Ragged:
    """For each row of ``labels`` the union of its rows of ``table``, ascending."""
    taken = table.take(labels.values)
    rows = np.repeat(labels.rows, taken.lengths_N)
    keys = np.unique(rows * columns + taken.values)
    counts = np.bincount(keys // max(columns, 1), minlength=len(labels)).astype(np.int64)
    return Ragged.from_lengths((keys % max(columns, 1)).astype(np.int32), counts)
