"""Readers: a taxonomy from a file in any of its formats, or off path labels.

Formats: ``children`` (NeuralClassifier's: parent TAB child TAB child...), ``edges`` (CSV/TSV with a header),
``json``, ``indented``; ``auto`` decides by name and content. No format has comments: ``#`` may begin a name.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from linnaea.errors import TaxonomyError, UsageError, suggest
from linnaea.taxonomy.draft import Draft, is_root_name, shown
from linnaea.taxonomy.located import BrokenJson, parse
from linnaea.taxonomy.nested import read_json
from linnaea.taxonomy.source import Source
from linnaea.taxonomy.tables import header_of, read_edges
from linnaea.taxonomy.taxonomy import Taxonomy

_MORE_BLANKS = re.compile(r"\S {2,}\S")


def read_taxonomy(path: Path | str, format: str = "auto", separator: str = "--") -> Taxonomy:
    """Read a taxonomy file (``-``: standard input; gzip is seen by itself).

    Args:
        format: ``auto``, ``children``, ``edges``, ``json`` or ``indented``.
        separator: stands between the names of a path label, so in no name.

    Raises:
        TaxonomyError: the first problem, with ``file:line``.
        UsageError: no such format.
    """
    return Taxonomy.from_draft(_draft(path, format, separator))


def find_problems(path: Path | str, format: str = "auto", separator: str = "--") -> list[TaxonomyError]:
    """All problems of a taxonomy file in the order of its lines; none: :func:`read_taxonomy` takes it.

    Raises:
        UsageError: no such format.
    """
    try:
        return _draft(path, format, separator).check()
    except TaxonomyError as problem:
        return [problem]


def taxonomy_from_labels(labels: Iterable[str], separator: str = "--") -> Taxonomy:
    """The categories of path labels, in the order of their first appearance.

    Every beginning of a path is a category; a label without separator is a top category. The id is the name
    where only one category has it, else the full path. (A tree: several parents need a taxonomy file.)

    Raises:
        TaxonomyError: no label, or one with an empty name.
    """
    paths: dict[str, tuple[str, str]] = {}  # full path: (path of the parent, name)
    for label in dict.fromkeys(labels):
        names = [name.strip() for name in label.split(separator)]
        if not all(names):
            raise TaxonomyError(
                f"the label {shown(label)} holds an empty name", hint=f"its names are joined by {separator!r}"
            )
        above = ""
        for path, name in zip(accumulate(names, lambda a, b: a + separator + b), names, strict=True):
            paths.setdefault(path, (above, name))
            above = path
    if not paths:
        raise TaxonomyError("no label to read categories off", hint="name a taxonomy file in task.taxonomy")
    times = Counter(name for _, name in paths.values())
    ids = {path: name if times[name] == 1 else path for path, (_, name) in paths.items()}
    return Taxonomy.build(
        list(ids.values()),
        [name for _, name in paths.values()],
        [(ids[above],) if above else () for above, _ in paths.values()],
        separator=separator,
    )


def _draft(path: Path | str, format: str, separator: str) -> Draft:
    if format != "auto" and format not in _READERS:
        known = ["auto", *_READERS]
        hint = suggest(format, known) or f"known: {', '.join(known)}"
        raise UsageError(f"unknown taxonomy format {shown(format)}", hint=hint)
    source = Source.read(path)
    draft = Draft(source.file, separator)
    _READERS[detect(source) if format == "auto" else format](source, draft)
    return draft


def detect(source: Source) -> str:
    """The format of a file: ``.json``, ``.jsonl`` and ``.csv`` by name, all else by content."""
    if source.suffix in (".json", ".jsonl", ".ndjson"):
        return "json"
    lines = [line for line in source.lines if line.strip()]
    if source.suffix == ".csv" or header_of(lines[0]):
        return "edges"
    if lines[0].lstrip()[0] in "{[" and _is_json(source.text):
        return "json"
    if any("\t" in line.strip() for line in lines):
        return "children"
    # A root line whose tabs became blanks on the way: read as children, so that the error says so.
    return (
        "children" if is_root_name(lines[0].split("  ")[0]) and _MORE_BLANKS.search(lines[0]) else "indented"
    )


def _is_json(text: str) -> bool:
    try:
        parse(text)
    except BrokenJson:
        return False
    return True


def read_children(source: Source, draft: Draft) -> None:
    """Fill the draft from ``parent TAB child TAB child...`` lines."""
    draft.name_is_id = True
    tabs = "\t" in source.text
    for line, text in enumerate(source.lines, 1):
        cells = [cell.strip() for cell in text.rstrip().split("\t")]
        if cells == [""]:
            continue
        if not cells[0]:
            draft.problem(
                "no parent stands before the first tab", line, "is it indented text? give that format"
            )
            continue
        if not tabs and _MORE_BLANKS.search(text):
            hint = "a line is parent TAB child TAB child...; here blanks stand for the tabs"
            draft.problem("no tab in this line", line, hint)
            continue
        parent = draft.mention(cells[0], line)
        for column, child in enumerate(cells[1:], 2):
            if child:
                draft.edge(parent, draft.define(child, line), line)
            else:
                draft.problem(f"empty name between two tabs (column {column})", line)
    draft.find_root(implicit=True)


def read_indented(source: Source, draft: Draft) -> None:
    """Fill the draft from indented text: a name a line, deeper than its parent's line."""
    draft.name_is_id = True
    open_: list[_Open] = []
    tops: set[int] = set()
    for line, text in enumerate(source.lines, 1):
        name = text.strip()
        if not name:
            continue
        indent = text[: len(text) - len(text.lstrip())]
        _close(open_, indent, line, draft)
        number = draft.define(name, line)
        beside = open_[-1].seen if open_ else tops
        if number in beside:
            draft.duplicate(open_[-1].number if open_ else None, number, line)
        elif open_:
            draft.edge(open_[-1].number, number, line, repeat=True)
        beside.add(number)
        open_.append(_Open(indent, number, set()))
    draft.find_root(implicit=True)


class _Open(NamedTuple):
    """A line that further lines may be below."""

    indent: str
    number: int
    seen: set[int]  # the children it has so far


def _close(open_: list[_Open], indent: str, line: int, draft: Draft) -> None:
    """Leave open what a line of this indentation is below; the first line's indentation is the top's."""
    if not open_:
        return
    last = open_[-1].indent
    mixed = not indent.startswith(last) and not last.startswith(indent)
    if mixed:
        hint = "indent with one of the two only"
        draft.problem("tabs and blanks are mixed in the indentation", line, hint)
    if len(indent) > len(last):
        return
    known = [str(len(o.indent)) for o in open_[-8:]]
    while len(open_) > 1 and len(open_[-1].indent) > len(indent):
        open_.pop()
    last = open_[-1].indent
    if len(indent) != len(last) and not mixed:
        message = f"an indentation of {len(indent)} is that of no line above ({', '.join(known)})"
        draft.problem(message, line)
    if len(indent) <= len(last):
        open_.pop()


_READERS: dict[str, Callable[[Source, Draft], None]] = {
    "children": read_children,
    "edges": read_edges,
    "json": read_json,
    "indented": read_indented,
}
