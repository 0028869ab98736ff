"""Draft: categories and edges as they come out of a file, each with its place, and the checks on them.

Every reader fills a draft; a problem is noted and reading goes on, so that ``linnaea check`` lists them all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain

import numpy as np

from linnaea.errors import TaxonomyError, suggest
from linnaea.taxonomy.graph import find_cycles

Place = int | str | None
"""A line of the draft's file, a place in words, or unknown."""

SUGGESTIONS = 10
"""So many problems get a "did you mean": looking through 10,000 names takes a while."""

CYCLE_SHOWN = 50

_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_ONCE = "leave one out, or give the two different names"
_TURN = "leave out the edge that is the wrong way round"
_OTHER_ID = "here a name is the id; two categories of one name need a file with ids: an edge list or JSON"


def shown(value: object) -> str:
    """A received value, short enough for one line."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def is_root_name(name: str) -> bool:
    """Whether a name says "root": ``Root``, ``ROOT``, ``<root>``, ``__root__``..."""
    return name.strip("<>[](){}_-*# ").casefold() == "root"


class Draft:
    """Categories in the order of their first mention, edges in the order of the file.

    Attributes:
        file: named in problems.
        separator: must stand in no name.
        name_is_id: the file has no ids, so that a name means one category wherever it stands (for hints).
        root: number of the artificial root among the categories; None: who has no parent is a top category.
        problems: what is wrong, in the order it was found.
    """

    def __init__(self, file: str | None = None, separator: str = "--", name_is_id: bool = False) -> None:
        self.file, self.separator, self.name_is_id = file, separator, name_is_id
        self.root: int | None = None
        self.root_name: str | None = None
        self.problems: list[TaxonomyError] = []
        self.numbers: dict[str, int] = {}
        self.ids: list[str] = []
        self.names: list[str] = []
        self.descriptions: list[str] = []
        self.places: list[Place] = []
        self.defined: list[bool] = []
        self._edges: dict[tuple[int, int], Place] = {}
        self._lines: list[int] = []
        self._suggested = 0

    # Filling

    def problem(self, message: str, place: Place = None, hint: str | None = None) -> None:
        """Note a problem and go on."""
        where = place if isinstance(place, str) else self.file if place is None else f"{self.file}:{place}"
        self.problems.append(TaxonomyError(message, where=where, hint=hint))
        self._lines.append(place if isinstance(place, int) else 0)

    def mention(self, id: str, place: Place) -> int:
        """The number of a category, made if it is new; its name is its id until something else is said."""
        number = self.numbers.get(id)
        if number is None:
            number = self.numbers[id] = len(self.ids)
            self.ids.append(id)
            self.names.append(id)
            self.descriptions.append("")
            self.places.append(place)
            self.defined.append(False)
        return number

    def define(self, id: str, place: Place, name: str | None = None, description: str = "") -> int:
        """Mention a category that stands there for itself, and not only as somebody's parent."""
        number = self.mention(id, place)
        if not self.defined[number]:
            self.defined[number] = True
            self.places[number] = place
            self.names[number] = id if name is None else name
        elif name is not None and name != self.names[number]:
            first = self.places[number]
            at = f" in line {first}" if isinstance(first, int) else " before"
            message = (
                f"duplicate id {shown(id)}: here it is {shown(name)}, but {shown(self.names[number])}{at}"
            )
            self.problem(message, place)
        self.descriptions[number] = self.descriptions[number] or description
        return number

    def edge(self, parent: int, child: int, place: Place, *, repeat: bool = False) -> None:
        """Put ``child`` under ``parent``; ``repeat``: it may stand there already (a subtree given twice)."""
        if parent == child:
            message = f"{shown(self.ids[child])} is its own parent"
            self.problem(message, place, _OTHER_ID if self.name_is_id else None)
        elif (parent, child) not in self._edges:
            self._edges[parent, child] = place
        elif not repeat:
            self.duplicate(parent, child, place)

    def duplicate(self, parent: int | None, child: int, place: Place) -> None:
        """Note that ``child`` stands under ``parent`` (None: at the top) a second time."""
        first = self.places[child] if parent is None else self._edges.get((parent, child))
        at = f", first in line {first}" if isinstance(first, int) and first != place else ""
        where = "at the top" if parent is None else f"under {shown(self.ids[parent])}"
        message = f"duplicate: {shown(self.ids[child])} stands twice {where}{at}"
        self.problem(message, place, _ONCE if self.name_is_id else None)

    def edges(self) -> tuple[np.ndarray, np.ndarray]:
        """``(parent_E, child_E)`` int64, numbers of categories, in file order."""
        flat = np.fromiter(chain.from_iterable(self._edges), dtype=np.int64, count=2 * len(self._edges))
        pairs = flat.reshape(-1, 2)
        return pairs[:, 0].copy(), pairs[:, 1].copy()

    def near(self, word: str, candidates: Sequence[str]) -> str | None:
        """A "did you mean", for the first problems only."""
        self._suggested += 1
        return suggest(word, candidates) if self._suggested <= SUGGESTIONS else None

    # Checking

    def find_root(self, *, implicit: bool) -> None:
        """Settle which category is the artificial root, and note who stands under no parent.

        The root is what is called so (``Root``) and has children; in a file whose parents need no line of their
        own also the single category that is mentioned as a parent only. What stands there for itself is never
        taken for the root by another name.

        Args:
            implicit: a parent needs no line of its own: several that are mentioned as parents only are top
                categories (a file without root). Otherwise only ``Root`` and ``0`` may be mentioned so.
        """
        parent_E, child_E = self.edges()
        below = np.bincount(child_E, minlength=len(self.ids)) > 0
        above = np.bincount(parent_E, minlength=len(self.ids)) > 0
        tops = [int(n) for n in np.flatnonzero(~below)]
        unknown = [n for n in tops if not self.defined[n]]
        called = [n for n in tops if is_root_name(self.names[n]) or is_root_name(self.ids[n])]
        called += [n for n in unknown if self.ids[n] == "0" and not implicit]
        named = [n for n in called if above[n] or len(self.ids) == 1]
        if named:
            self.root = named[0]
            self._note_orphans([n for n in tops if n != self.root])
        elif len(unknown) < len(tops) or not implicit:
            self._note_orphans(unknown)
        elif len(unknown) == 1 and above[unknown[0]]:
            self.root = unknown[0]

    def note_unknown_parents(self) -> None:
        """Note who is mentioned as a parent only, in a file that has a line for every category."""
        self._note_orphans([n for n in range(len(self.ids)) if not self.defined[n]])

    def _note_orphans(self, numbers: list[int]) -> None:
        if not numbers:
            return
        orphans = set(numbers)
        known = [id for n, id in enumerate(self.ids) if n not in orphans and n != self.root]
        first_child: dict[int, int] = {}
        for parent, child in self._edges:
            first_child.setdefault(parent, child)
        for number in numbers:
            id, place = self.ids[number], self.places[number]
            hint = self.near(id, known)
            if self.root is not None and hint is None:
                hint = f"put it under {shown(self.ids[self.root])}"
            if self.defined[number] or number not in first_child:
                self.problem(f"orphan: {shown(id)} stands under no parent", place, hint)
            else:
                of = shown(self.ids[first_child[number]])
                message = f"unknown parent {shown(id)} of {of}: an orphan, under no parent itself"
                self.problem(message, place, hint or "leave the parent of a top category empty")

    def check(self) -> list[TaxonomyError]:
        """Check names, look for cycles and emptiness; all problems, in the order of the lines."""
        self._check_names()
        parent_E, child_E = self.edges()
        places = list(self._edges.values())
        for cycle in find_cycles(parent_E, child_E, len(self.ids)):
            ids = [self.ids[int(parent_E[e])] for e in cycle]
            more = len(ids) - CYCLE_SHOWN
            ids = ids if more <= 0 else [*ids[:CYCLE_SHOWN], f"... ({more} more)"]
            last = self.ids[int(child_E[cycle[-1]])]
            self.problem(f"cycle: {' -> '.join([*ids, last])}", places[cycle[-1]], _TURN)
        if not self.problems and len(self.ids) == (self.root is not None):
            self.problem("holds no category")
        order = sorted(range(len(self.problems)), key=self._lines.__getitem__)
        return [self.problems[i] for i in order]

    def _check_names(self) -> None:
        for number, (id, name) in enumerate(zip(self.ids, self.names, strict=True)):
            place = self.places[number]
            if not name or not id:
                self.problem("empty name" if not name else "empty id", place)
            elif self.separator in name and number != self.root:
                self.problem(
                    f"the name {shown(name)} holds the separator {self.separator!r}: paths cannot be read",
                    place,
                    "rename it, or set task.separator to something that stands in no name",
                )
            elif control := _CONTROL.search(name) or _CONTROL.search(id):
                self.problem(f"the name {shown(name)} holds the character {control.group()!r}", place)
