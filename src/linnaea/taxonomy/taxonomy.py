"""Taxonomy: the graph of categories, a tree or a DAG, frozen, on integer arrays.

Columns are sorted by level, then by file order: parents come before their children, and a level is a slice.
The artificial root has no column. An edge from the root to a category that has other parents too says nothing
(everything is below the root) and is dropped.

Shape letters: C categories, L levels, E edges (without the root's), N documents.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from linnaea.errors import TaxonomyError
from linnaea.ragged import Ragged
from linnaea.taxonomy import graph
from linnaea.taxonomy.draft import Draft, Place, shown

FORMAT = 1
ROOT = "Root"


@dataclass(frozen=True, eq=False)
class Taxonomy:
    """Made by :meth:`build`, :meth:`from_json` or the readers, never directly.

    Attributes:
        ids: unique, in column order.
        names: for display and in paths; several categories may share one.
        descriptions: as many as ids, or none at all.
        level_C: int64, 1..L: the longest distance from the root.
        parents: columns of each category's parents in file order, the first parent first (int32).
        separator: stands between the names of a path.
        root: what the artificial root is called in the file.
    """

    ids: tuple[str, ...]
    names: tuple[str, ...]
    level_C: np.ndarray
    parents: Ragged
    descriptions: tuple[str, ...] = ()
    separator: str = "--"
    root: str = ROOT

    @classmethod
    def build(
        cls,
        ids: Sequence[str],
        names: Sequence[str],
        parents: Sequence[Sequence[str]],
        *,
        separator: str = "--",
        descriptions: Sequence[str] = (),
        root: str = ROOT,
        origins: Sequence[str] | None = None,
    ) -> Taxonomy:
        """A taxonomy of categories in file order.

        Args:
            parents: the parents' ids of each category, the first parent first; none for a top category.
            origins: the place of each category (``file:line``), for errors.

        Raises:
            TaxonomyError: duplicate id, unknown parent, self-parent, cycle, separator in a name, no category.
        """
        draft = Draft(separator=separator)
        draft.root_name = root
        places: Sequence[Place] = [None] * len(ids) if origins is None else origins
        for i, id in enumerate(ids):
            if id in draft.numbers:
                draft.problem(f"duplicate id {shown(id)}", places[i])
            draft.define(id, places[i], names[i], descriptions[i] if descriptions else "")
        for i, id in enumerate(ids):
            for parent in parents[i]:
                if parent in draft.numbers:
                    draft.edge(draft.numbers[parent], draft.numbers[id], places[i])
                else:
                    hint = draft.near(parent, [k for k in ids if k != id])
                    draft.problem(f"unknown parent {shown(parent)} of {shown(id)}", places[i], hint)
        return cls.from_draft(draft)

    @classmethod
    def from_draft(cls, draft: Draft) -> Taxonomy:
        """Sort a draft into columns.

        Raises:
            TaxonomyError: the first of the draft's problems.
        """
        problems = draft.check()
        if problems:
            raise problems[0]
        parent_E, child_E = draft.edges()
        kept, root = np.ones(len(draft.ids), dtype=bool), draft.root_name or ROOT
        if draft.root is not None:
            root = draft.names[draft.root]
            kept[draft.root] = False
            parent_E, child_E = parent_E[parent_E != draft.root], child_E[parent_E != draft.root]
        level = graph.longest_levels(parent_E, child_E, len(draft.ids))
        order = np.flatnonzero(kept)
        order = order[np.argsort(level[order], kind="stable")]
        column = np.full(len(draft.ids), -1, dtype=np.int64)
        column[order] = np.arange(len(order))
        child_E, parent_E = column[child_E], column[parent_E]
        by_child = np.argsort(child_E, kind="stable")
        parents = Ragged.from_lengths(
            parent_E[by_child].astype(np.int32), np.bincount(child_E, minlength=len(order))
        )
        numbers = order.tolist()
        descriptions = tuple(draft.descriptions[n] for n in numbers) if any(draft.descriptions) else ()
        return cls(
            ids=tuple(draft.ids[n] for n in numbers),
            names=tuple(draft.names[n] for n in numbers),
            level_C=level[order],
            parents=parents,
            descriptions=descriptions,
            separator=draft.separator,
            root=root,
        )

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"<Taxonomy: categories {len(self)}, levels {self.depth}{'' if self.is_tree else ', a DAG'}>"

    # The graph

    @property
    def depth(self) -> int:
        """L, the number of levels."""
        return int(self.level_C[-1])

    @cached_property
    def index(self) -> dict[str, int]:
        """The column of each id."""
        return {id: column for column, id in enumerate(self.ids)}

    @cached_property
    def is_tree(self) -> bool:
        """Whether no category has two parents."""
        return bool((self.parents.lengths_N <= 1).all())

    @cached_property
    def children(self) -> Ragged:
        """The columns of each category's children, ascending."""
        return self.parents.transpose(len(self))

    @cached_property
    def ancestors(self) -> Ragged:
        """The columns of each category's ancestors with itself, ascending."""
        return graph.ancestors(self.parents, self.level_C)

    @cached_property
    def descendants(self) -> Ragged:
        """The columns of each category's descendants with itself, ascending."""
        return self.ancestors.transpose(len(self))

    @cached_property
    def roots(self) -> np.ndarray:
        """int64 columns of the top categories: ``0..n - 1``, level 1."""
        return np.flatnonzero(self.level_C == 1)

    @cached_property
    def leaves_C(self) -> np.ndarray:
        """bool: the categories without children."""
        leaves = np.ones(len(self), dtype=bool)
        leaves[self.parents.values] = False
        return leaves

    @cached_property
    def edges(self) -> tuple[np.ndarray, np.ndarray]:
        """``(parent_E, child_E)`` int64 columns, by child, then the child's parents in file order."""
        return self.parents.values.astype(np.int64), self.parents.rows

    def levels(self) -> list[tuple[int, slice]]:
        """Each level, from 1, with the slice of its columns."""
        bounds = graph.level_bounds(self.level_C).tolist()
        return [(i + 1, slice(bounds[i], bounds[i + 1])) for i in range(self.depth)]

    def edges_down(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """The edges in groups by the child's level, from level 2 on.

        Walked forwards, a group's parents are final before its children are touched (top down); walked
        backwards, a group's children are final before its parents are touched (bottom up).
        """
        parent_E, child_E = self.edges
        ends = self.parents.offsets_N1
        return [
            (parent_E[ends[part.start] : ends[part.stop]], child_E[ends[part.start] : ends[part.stop]])
            for _, part in self.levels()[1:]
        ]

    def siblings(self, column: int) -> np.ndarray:
        """int64 columns that share a parent with ``column``, without itself; at the top: the other tops."""
        above = self.parents[column]
        beside = self.children.take(above).values if len(above) else self.roots
        return np.setdiff1d(beside, [column]).astype(np.int64)

    def close(self, labels: Ragged) -> Ragged:
        """``labels`` (rows of columns, any order, repeats allowed) with all ancestors: ascending, unique."""
        return graph.add_ancestors(labels, self.ancestors)

    # Paths

    def path(self, column: int) -> str:
        """The names from the top along the first parents, joined by the separator."""
        names = []
        while True:
            names.append(self.names[column])
            above = self.parents[column]
            if not len(above):
                return self.separator.join(reversed(names))
            column = int(above[0])

    def paths(self, column: int, limit: int = 100) -> list[str]:
        """All ways from the top, along the first parents first; at most ``limit``."""
        found: list[str] = []
        ways: list[tuple[int, tuple[Any, ...]]] = [
            (column, ())
        ]  # a way: (column, (name below, (its name below...)))
        while ways and len(found) < limit:
            at, below = ways.pop()
            below = (self.names[at], below)
            above = self.parents[at]
            if len(above):
                ways.extend((int(parent), below) for parent in above[::-1])
            else:
                names = []
                while below:
                    name, below = below
                    names.append(name)
                found.append(self.separator.join(names))
        return found

    def split(self, label: str) -> tuple[str, ...]:
        """The names of a path label, without blanks around them and without the root's name in front."""
        names = tuple(name.strip() for name in label.split(self.separator))
        if len(names) > 1 and names[0] == self.root and names[0] not in self._top_names:
            return names[1:]
        return names

    @cached_property
    def _top_names(self) -> frozenset[str]:
        return frozenset(self.names[column] for column in self.roots)

    # Identity and saving

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) over ids, names, edges and column order; the same in every process."""
        content = [self.ids, self.names, self.parents.lengths_N.tolist(), self.parents.values.tolist()]
        return hashlib.sha256(json.dumps(content, separators=(",", ":")).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """The content of a model's ``taxonomy.json``, in column order. The JSON reader takes it too."""
        categories = []
        for column, (id, name) in enumerate(zip(self.ids, self.names, strict=True)):
            entry: dict[str, Any] = {
                "id": id,
                "name": name,
                "parents": [self.ids[p] for p in self.parents[column]],
            }
            if self.descriptions and self.descriptions[column]:
                entry["description"] = self.descriptions[column]
            categories.append(entry)
        return {
            "format": FORMAT,
            "root": self.root,
            "separator": self.separator,
            "digest": self.digest,
            "categories": categories,
        }

    @classmethod
    def from_json(cls, value: object, where: str | None = None) -> Taxonomy:
        """What :meth:`to_json` gave.

        Raises:
            TaxonomyError: of another format, broken, or altered (the digest does not fit).
        """
        if not isinstance(value, Mapping) or value.get("format") != FORMAT:
            version = value.get("format") if isinstance(value, Mapping) else None
            raise TaxonomyError(f"not a taxonomy of format {FORMAT}, but {shown(version)}", where=where)
        entries, root, separator = value.get("categories"), value.get("root"), value.get("separator")
        strings = isinstance(root, str) and isinstance(separator, str) and separator
        if not strings or not isinstance(entries, list) or not entries or not all(map(_is_entry, entries)):
            raise TaxonomyError("broken: a part is missing or of the wrong type", where=where)
        taxonomy = cls.build(
            [e["id"] for e in entries],
            [e["name"] for e in entries],
            [e["parents"] for e in entries],
            separator=str(separator),
            descriptions=[e.get("description", "") for e in entries],
            root=str(root),
            origins=None if where is None else [where] * len(entries),
        )
        if taxonomy.digest != value.get("digest"):
            raise TaxonomyError("was altered after it was written: its digest does not fit", where=where)
        return taxonomy


def _is_entry(entry: object) -> bool:
    if not isinstance(entry, Mapping):
        return False
    parents = entry.get("parents")
    texts = (entry.get("id"), entry.get("name"), entry.get("description", ""))
    return isinstance(parents, list) and all(isinstance(text, str) for text in (*texts, *parents))
