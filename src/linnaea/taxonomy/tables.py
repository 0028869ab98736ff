"""Edge lists: a CSV or TSV file with a header, a line for an edge (or for a category with its parent).

The header names ``parent`` and ``child``, or ``id``/``name`` and ``parent``; ``description`` is optional.
Without ids the child's name is its id. A category with several parents has several lines. A parent is named
by id, or by name where only one category has it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from linnaea.errors import TaxonomyError, suggest
from linnaea.taxonomy.draft import Draft, shown
from linnaea.taxonomy.source import Source

DELIMITERS = "\t,;|"

COLUMNS = {
    "parent": (
        *("parent", "parentid", "parentcode", "parentname", "parentlabel", "parentcategory"),
        *("source", "from", "broader"),
    ),
    "child": (
        *("child", "childid", "childcode", "childname", "childlabel", "childcategory"),
        *("target", "to", "narrower", "category", "node"),
    ),
    "id": ("id", "categoryid", "nodeid", "code", "key"),
    "name": ("name", "categoryname", "childname", "title", "label", "childlabel"),
    "description": ("description", "desc", "definition"),
}
"""What a column may be called (blanks, hyphens, underscores, capitals aside); the first one there counts."""


class Row(NamedTuple):
    """A category as one line gives it."""

    line: int
    id: str
    name: str | None
    description: str
    parents: Sequence[tuple[int, str]]  # with their lines
    alias: str | None = None  # what parents may also call it


def fill(draft: Draft, rows: Iterable[Row], *, several_lines: bool) -> None:
    """Put rows into a draft: first all categories, then the parents that they name.

    Args:
        several_lines: an id may stand in several lines (other parents); else that is a duplicate.
    """
    kept: list[Row] = []
    called: dict[str, set[int]] = {}  # whom a name that is not the id may mean
    for row in rows:
        if not several_lines and row.id in draft.numbers:
            first = draft.places[draft.numbers[row.id]]
            draft.problem(f"duplicate id {shown(row.id)}, first in line {first}", row.line)
            continue
        kept.append(row)
        number = draft.define(row.id, row.line, row.name, row.description)
        for name in (draft.names[number], row.alias or row.id):
            if name != row.id:
                called.setdefault(name, set()).add(number)
    for row in kept:
        number = draft.numbers[row.id]
        for line, parent in row.parents:
            above = draft.numbers.get(parent)
            above = _by_name(parent, called, line, draft) if above is None else above
            if above is not None:
                draft.edge(above, number, line)


def _by_name(parent: str, called: dict[str, set[int]], line: int, draft: Draft) -> int | None:
    """Who is called so, or a new category that is mentioned only; None where several are, which is noted."""
    numbers = sorted(called.get(parent, ()))
    if len(numbers) < 2:
        return numbers[0] if numbers else draft.mention(parent, line)
    ids = ", ".join(draft.ids[n] for n in numbers[:5]) + (", ..." if len(numbers) > 5 else "")
    draft.problem(f"ambiguous parent {shown(parent)}: several are called so", line, f"one of {ids}?")
    return None


def header_of(line: str) -> tuple[str, dict[str, int]] | None:
    """``(delimiter, {role: column})`` if a line is the header of an edge list, else None."""
    for delimiter in DELIMITERS:
        if delimiter in line:
            roles = _roles(_cells(line, delimiter))
            if "parent" in roles and roles.keys() & {"child", "id", "name"}:
                return delimiter, roles
    return None


def read_edges(source: Source, draft: Draft) -> None:
    """Fill the draft from an edge list.

    Raises:
        TaxonomyError: the header does not name the columns.
    """
    first = next(i for i, line in enumerate(source.lines) if line.strip())
    found = header_of(source.lines[first])
    if found is None:
        raise _no_header(source, first)
    delimiter, roles = found
    header = _cells(source.lines[first], delimiter)
    known = [*COLUMNS, *(name for names in COLUMNS.values() for name in names)]
    for column, cell in enumerate(header):
        near = suggest(_plain(cell), known, cutoff=0.75) if cell and _plain(cell) not in known else None
        if near:
            draft.problem(f"unknown column {shown(cell)} ({column + 1}.)", first + 1, near)
    draft.name_is_id = "id" not in roles and "name" not in roles
    records = _records(source, first + 1, delimiter, len(header), draft)
    fill(draft, _rows(records, roles, draft), several_lines=True)
    draft.find_root(implicit="child" in roles and "id" not in roles)


def _records(
    source: Source, start: int, delimiter: str, width: int, draft: Draft
) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO("\n".join(source.lines[start:])), delimiter=delimiter, strict=True)
    line = start + 1
    while True:
        try:
            cells = [cell.strip() for cell in next(reader)]
        except StopIteration:
            return
        except csv.Error as bad:
            draft.problem(f"broken line: {bad}", line, 'a " inside quotes is written twice: ""')
            return
        if any(cells[width:]):
            hint = f"put a cell that holds {delimiter!r} into quotes"
            draft.problem(f"{len(cells)} cells, but the header has {width}", line, hint)
        elif any(cells):
            yield line, cells + [""] * (width - len(cells))
        line = start + reader.line_num + 1


def _rows(records: Iterator[tuple[int, list[str]]], roles: dict[str, int], draft: Draft) -> Iterator[Row]:
    key = next(role for role in ("id", "child", "name") if role in roles)
    at, above = roles[key], roles["parent"]
    child, name, description = (roles.get(role) for role in ("child", "name", "description"))
    for line, cells in records:
        if not cells[at]:
            draft.problem(f"the column {key} is empty", line, "a line names a category and its parent")
            continue
        alias = None if child is None else cells[child]
        written = (cells[name] if name is not None else "") or (alias if key == "id" else None)
        parents = ((line, cells[above]),) if cells[above] else ()
        yield Row(line, cells[at], written, "" if description is None else cells[description], parents, alias)


def _cells(line: str, delimiter: str) -> list[str]:
    return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter))]


def _plain(cell: str) -> str:
    return "".join(c for c in cell.casefold() if c not in " _-.")


def _roles(header: Sequence[str]) -> dict[str, int]:
    plain = [_plain(cell) for cell in header]
    roles: dict[str, int] = {}
    for role, names in COLUMNS.items():
        for name in names:
            if name in plain:
                roles[role] = plain.index(name)
                break
    return roles


def _no_header(source: Source, first: int) -> TaxonomyError:
    line = source.lines[first]
    delimiter = max(DELIMITERS, key=line.count)
    cells = _cells(line, delimiter)
    message = f"the header must name the columns parent and child, not {', '.join(map(repr, cells[:6]))}"
    missing = [role for role in ("parent", "child") if role not in _roles(cells)]
    near = [hint for cell in cells for hint in [suggest(_plain(cell), missing)] if hint]
    return TaxonomyError(
        message, where=f"{source.file}:{first + 1}", hint=near[0] if near else "the first line is the header"
    )
