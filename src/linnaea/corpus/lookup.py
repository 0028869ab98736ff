"""Lookup: the category that a written label names: by id, by name, or by a path from the top."""

from __future__ import annotations

from collections.abc import Sequence

from linnaea.corpus.policy import DocumentError
from linnaea.errors import TaxonomyError, suggest
from linnaea.taxonomy.taxonomy import Taxonomy

_SEARCHED = 3_000_000  # names compared for suggestions, in all: after some seconds unknown labels get none
SHOWN = 5
_OTHER_SEPARATORS = ("--", "/", " > ", ">", "|", "\\", "::", ".")


class LabelError(DocumentError, TaxonomyError):
    """A label cannot be resolved, or a document's labels do not fit the task."""


class Lookup:
    """Finds categories by id, name or path in one taxonomy."""

    def __init__(self, taxonomy: Taxonomy) -> None:
        self.taxonomy = taxonomy
        self._searched = 0
        self._named: dict[str, list[int]] = {}
        for column, name in enumerate(taxonomy.names):
            self._named.setdefault(name, []).append(column)

    def ways(self, label: str) -> list[list[int]]:
        """The ways that ``label`` may mean, as columns, all with the same end; a bare name: one.

        Raises:
            LabelError: unknown, with the nearest; ambiguous, with the candidates.
        """
        taxonomy = self.taxonomy
        by_id = taxonomy.index.get(label, taxonomy.index.get(label.strip()))
        names = taxonomy.split(label)
        if len(names) > 1:
            ways = self._walk(names)
            if by_id is not None:
                ways = [way for way in ways if way[-1] == by_id] or [[by_id]]
        elif by_id is not None:
            return [[by_id]]
        else:
            ways = [[column] for column in self._named.get(names[0], self._named.get(label, ()))]
        if not ways:
            raise self._unknown(label, names)
        if len({way[-1] for way in ways}) > 1:
            raise self.ambiguous(label, self._candidates([way[-1] for way in ways]))
        return ways

    def _columns(self, name: str) -> list[int]:
        """All categories of that id or name."""
        found = list(self._named.get(name, ()))
        by_id = self.taxonomy.index.get(name)
        return found if by_id is None or by_id in found else [by_id, *found]

    def _walk(self, names: Sequence[str]) -> list[list[int]]:
        """All ways from the top along ids or names."""
        parents = self.taxonomy.parents
        ways = [[column] for column in self._columns(names[0]) if not len(parents[column])]
        for name in names[1:]:
            below = self._columns(name)
            ways = [[*way, column] for way in ways for column in below if way[-1] in parents[column]]
        return ways

    # What went wrong

    def _candidates(self, columns: Sequence[int]) -> list[str]:
        ids, paths = [self.taxonomy.ids[c] for c in columns], [self.taxonomy.path(c) for c in columns]
        return [f"{path} (id {id})" if id not in path else path for id, path in zip(ids, paths, strict=True)]

    def ambiguous(
        self, label: str, candidates: Sequence[str], what: str = "several categories are called"
    ) -> LabelError:
        more = f" and {len(candidates) - SHOWN} more" if len(candidates) > SHOWN else ""
        hint = "write one of " + ", ".join(candidates[:SHOWN]) + more
        return LabelError(f"ambiguous label: {what} {shown(label)}", kind="ambiguous label", hint=hint)

    def _unknown(self, label: str, names: Sequence[str]) -> LabelError:
        problem, hint = f"unknown label {shown(label)}", None
        if not label.strip():
            return LabelError(
                "empty label", kind="unknown label", hint="write [] for a document that belongs nowhere"
            )
        if len(names) > 1:
            reached = next(n for n in range(1, len(names) + 1) if not self._walk(names[:n]))
            problem, hint = self._lost(label, names, reached)
        else:
            hint = self._other_separator(label) or self._near(
                label, [*self.taxonomy.ids, *self.taxonomy.names]
            )
        return LabelError(problem, kind="unknown label", hint=hint)

    def _lost(self, label: str, names: Sequence[str], reached: int) -> tuple[str, str | None]:
        """What to say of a path whose first ``reached`` names are one too many."""
        taxonomy, name = self.taxonomy, names[reached - 1]
        unknown = f"unknown label {shown(label)}"
        there = self._columns(name)
        if reached == 1:
            if there:
                paths = self._candidates(there)
                return (
                    f"{unknown}: a path begins at the top, and {name!r} is below it",
                    f"did you mean {paths[0]!r}?",
                )
            tops = [taxonomy.names[c] for c in taxonomy.roots]
            return f"{unknown}: no category {name!r} at the top", self._near(name, tops)
        before = taxonomy.separator.join(names[: reached - 1])
        ends = [way[-1] for way in self._walk(names[: reached - 1])]
        below = [taxonomy.names[c] for end in ends for c in taxonomy.children[end]]
        hint = self._near(name, below)
        if hint is None and there:
            hint = f"it is at {self._candidates(there)[0]!r}"
        return f"{unknown}: no category {name!r} below {before!r}", hint

    def _near(self, word: str, candidates: Sequence[str]) -> str | None:
        self._searched += len(candidates)
        return suggest(word, candidates) if self._searched <= _SEARCHED else None

    def _other_separator(self, label: str) -> str | None:
        for separator in _OTHER_SEPARATORS:
            names = [name.strip() for name in label.split(separator)]
            if separator != self.taxonomy.separator and len(names) > 1 and self._walk(names):
                return f"is task.separator {separator!r}?"
        return None


def shown(label: str) -> str:
    """A label in quotes, short enough for one line."""
    return repr(label) if len(label) <= 80 else repr(label[:77] + "...")
