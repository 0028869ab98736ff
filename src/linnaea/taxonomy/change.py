"""Change: what became of the categories of one taxonomy in a later one: kept, added, removed, moved, renamed.

Categories are the same where their ids are, or where a rename says so. One whose parents are others now is moved,
also where only an intermediate category came or went; its descendants are not. A category that went leaves its
documents to its parents.

Shape letters: C categories of the new taxonomy, P of the old one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from linnaea.errors import UsageError, suggest
from linnaea.taxonomy.draft import shown
from linnaea.taxonomy.taxonomy import Taxonomy

OPTION = "--rename"
_LISTED = 10


@dataclass(frozen=True, eq=False)
class Change:
    """Made by :meth:`between`.

    Attributes:
        renames: new ids by old ones.
        new_P: int64, the new column of each old category; -1: removed.
    """

    old: Taxonomy
    new: Taxonomy
    renames: Mapping[str, str]
    new_P: np.ndarray

    @classmethod
    def between(cls, old: Taxonomy, new: Taxonomy, renames: Mapping[str, str] | None = None) -> Change:
        """What lies between two taxonomies.

        Raises:
            UsageError: a rename of a category that there was not, or that is still there; to one that there is not, or
                that there was before; of two categories to one.
        """
        renames = dict(renames or {})
        _check(old, new, renames)
        places = [new.index.get(renames.get(id, id), -1) for id in old.ids]
        return cls(old, new, renames, np.array(places, dtype=np.int64))

    @cached_property
    def old_C(self) -> np.ndarray:
        """int64 ``[C]``: the old column of each new category; -1: added."""
        old_C = np.full(len(self.new), -1, dtype=np.int64)
        kept_P = self.new_P >= 0
        old_C[self.new_P[kept_P]] = np.flatnonzero(kept_P)
        return old_C

    @cached_property
    def added(self) -> tuple[int, ...]:
        """New columns of the categories that there were not."""
        return tuple(np.flatnonzero(self.old_C < 0).tolist())

    @cached_property
    def removed(self) -> tuple[int, ...]:
        """Old columns of the categories that are gone."""
        return tuple(np.flatnonzero(self.new_P < 0).tolist())

    @cached_property
    def moved(self) -> tuple[int, ...]:
        """New columns of the categories that stand under other parents."""
        return tuple(
            column
            for column, before in enumerate(self.old_C.tolist())
            if before >= 0
            and set(self.new_P[self.old.parents[before]].tolist()) != set(self.new.parents[column].tolist())
        )

    @cached_property
    def renamed(self) -> tuple[int, ...]:
        """New columns of the categories with another id or another name."""
        return tuple(
            column
            for column, before in enumerate(self.old_C.tolist())
            if before >= 0
            and (self.old.ids[before], self.old.names[before])
            != (self.new.ids[column], self.new.names[column])
        )

    @property
    def empty(self) -> bool:
        """Whether both taxonomies say the same, up to the order of categories."""
        return not (self.added or self.removed or self.moved or self.renamed)

    @cached_property
    def heirs(self) -> tuple[tuple[int, ...], ...]:
        """For each old category the new columns to which its documents go: itself, or its nearest ancestors' heirs."""
        found: list[tuple[int, ...]] = []
        for column, place in enumerate(self.new_P.tolist()):
            above = {heir for parent in self.old.parents[column].tolist() for heir in found[parent]}
            found.append((place,) if place >= 0 else tuple(sorted(above)))
        return tuple(found)

    @cached_property
    def disturbed(self) -> tuple[int, ...]:
        """New columns of the categories that lose or gain descendants by a move, so that other documents are theirs."""
        moved = set()
        for column in self.moved:
            before = self.new_P[self.old.ancestors[int(self.old_C[column])]]
            moved |= set(before[before >= 0].tolist()) ^ set(self.new.ancestors[column].tolist())
        return tuple(sorted(moved - {*self.added, *self.moved}))

    def lines(self) -> Iterator[str]:
        """What changes, a line a kind; nothing where nothing does."""
        old, new = self.old, self.new
        if self.added:
            yield _line("added", [new.ids[c] for c in self.added])
        if self.removed:
            yield _line("removed", [old.ids[c] for c in self.removed])
        if self.moved:
            yield _line(
                "moved", [f"{m['id']} ({_under(m['from'])} -> {_under(m['to'])})" for m in self._moves()]
            )
        if self.renamed:
            yield _line("renamed", [_renaming(r) for r in self._renamings()])

    def to_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {
            "added": [self.new.ids[c] for c in self.added],
            "removed": [self.old.ids[c] for c in self.removed],
            "moved": self._moves(),
            "renamed": self._renamings(),
        }

    def _moves(self) -> list[dict[str, Any]]:
        return [
            {
                "id": self.new.ids[column],
                "from": [self.old.ids[p] for p in self.old.parents[int(self.old_C[column])]],
                "to": [self.new.ids[p] for p in self.new.parents[column]],
            }
            for column in self.moved
        ]

    def _renamings(self) -> list[dict[str, Any]]:
        found = []
        for column in self.renamed:
            before = int(self.old_C[column])
            found.append(
                {
                    "from": self.old.ids[before],
                    "to": self.new.ids[column],
                    "name_before": self.old.names[before],
                    "name": self.new.names[column],
                }
            )
        return found


def read_renames(texts: Sequence[str], old: Taxonomy, new: Taxonomy) -> dict[str, str]:
    """``OLD=NEW`` each. An id may hold ``=`` itself: where the text can be cut in several ways, known ids decide.

    Raises:
        UsageError: not of that form; an id stands twice on the left.
    """
    renames: dict[str, str] = {}
    for text in texts:
        cuts = [
            (text[:i].strip(), text[i + 1 :].strip()) for i, character in enumerate(text) if character == "="
        ]
        cuts = [cut for cut in cuts if all(cut)]
        if not cuts:
            raise UsageError(f"expected OLD=NEW, received {shown(text)}", where=OPTION)
        before, after = max(cuts, key=lambda cut: (cut[0] in old.index) + (cut[1] in new.index))
        if renames.get(before, after) != after:
            raise UsageError(f"{before!r} is renamed twice", where=OPTION)
        renames[before] = after
    return renames


def _check(old: Taxonomy, new: Taxonomy, renames: Mapping[str, str]) -> None:
    sources: dict[str, str] = {}
    for before, after in renames.items():
        problem, hint = None, None
        if before not in old.index:
            problem, hint = f"the model has no category {before!r}", suggest(before, old.ids)
        elif after in sources:
            problem = f"{sources[after]!r} and {before!r} cannot both become {after!r}"
            hint = "rename one, and leave the other out: it is then removed, its documents go to its parents"
        elif before in new.index:
            problem = f"{before!r} is still there in the new taxonomy"
        elif after not in new.index:
            problem, hint = f"the new taxonomy has no category {after!r}", suggest(after, new.ids)
        elif after in old.index:
            problem = f"{before!r} cannot become {after!r}, which the model has already"
        if problem is not None:
            raise UsageError(problem, where=OPTION, hint=hint)
        sources[after] = before


def _line(what: str, items: Sequence[str]) -> str:
    more = f" and {len(items) - _LISTED:,} more" if len(items) > _LISTED else ""
    return f"{what + ':':<10}{len(items):>5,}  {', '.join(items[:_LISTED])}{more}"


def _under(parents: Sequence[str]) -> str:
    return " + ".join(parents) or "top"


def _renaming(one: Mapping[str, str]) -> str:
    if one["from"] == one["to"]:
        return f"{one['to']} ({one['name_before']!r} -> {one['name']!r})"
    return f"{one['from']} -> {one['to']}"
