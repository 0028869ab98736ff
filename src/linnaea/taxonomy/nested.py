"""JSON taxonomies: a flat list of categories, nested objects and lists, or one category a line.

Flat: ``[{"id", "name", "parents": [ids], "description"}, ...]``, every category with an object of its own
(records ``{"parent", "child"}`` are an edge list). Nested: ``{"name": "Root", "children": [...]}``, or names
as keys, ``{"Science": {"Physics": {}, "Chemistry": ["Organic"]}}``. What ``Taxonomy.to_json`` gave is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from linnaea.errors import TaxonomyError, suggest
from linnaea.taxonomy.draft import Draft, shown
from linnaea.taxonomy.located import BrokenJson, Items, Members, parse
from linnaea.taxonomy.source import Source
from linnaea.taxonomy.tables import Row, fill

ID = ("id", "category_id", "code")
NAME = ("name", "title", "label")
PARENTS = ("parents", "parent", "parent_id", "parent_ids", "parentId")
CHILD = ("child", "child_id")
CHILDREN = ("children", "subcategories")
DESCRIPTION = ("description", "definition", "desc")
_KNOWN = (*ID, *NAME, *PARENTS, *CHILD, *CHILDREN, *DESCRIPTION)


def parse_source(source: Source) -> Any:
    """The file's JSON value; JSON lines give one list.

    Raises:
        TaxonomyError: broken JSON, with its line.
    """
    by_line = source.suffix in (".jsonl", ".ndjson")
    try:
        if not by_line:
            return parse(source.text)
        lines = enumerate(source.lines, 1)
        return Items((number, parse(line, number)) for number, line in lines if line.strip())
    except BrokenJson as bad:
        hint = "is it JSON lines? call it .jsonl" if "more behind its end" in bad.message else None
        raise TaxonomyError(bad.message, where=f"{source.file}:{bad.line}", hint=hint) from None


def read_json(source: Source, draft: Draft) -> None:
    """Fill the draft from JSON of any of the shapes.

    Raises:
        TaxonomyError: broken JSON, or a value that holds no categories.
    """
    value, root = parse_source(source), None
    if isinstance(value, Members) and isinstance(value.get("categories"), Items):
        root, value = value.get("root"), value.get("categories")
    if not isinstance(value, Items | Members):
        raise TaxonomyError(f"must be a JSON object or list, not {shown(value)}", where=f"{source.file}:1")
    objects = [item for _, item in value if isinstance(item, Members)] if isinstance(value, Items) else []
    flat = any(o.has(*PARENTS) for o in objects) and not any(o.has(*CHILDREN) for o in objects)
    if not isinstance(value, Items) or not flat:
        _read_nested(value, draft)
        return
    edges = any(o.has(*CHILD) for o in objects)
    fill(draft, _flat_rows(value, draft), several_lines=edges)
    if isinstance(root, str):  # written by to_json: nothing to guess
        draft.root_name = root
        draft.note_unknown_parents()
    else:
        draft.find_root(implicit=edges and not any(o.has(*ID) for o in objects))


# Flat


def _flat_rows(items: Items, draft: Draft) -> Iterator[Row]:
    for line, item in items:
        if not isinstance(item, Members):
            if text := _text(item, draft, line):
                yield Row(line, text, None, "", ())
            continue
        _check_keys(item, draft, line)
        line, id, name, description = _category(item, draft, line)
        child = _text(item.get(*CHILD), draft, line) if item.has(*CHILD) else ""
        written = id or child or name
        if not written:
            if not item.has(*ID, *NAME, *CHILD):
                draft.problem("a category without id and name", line)
            continue
        parents = _parents(item, draft, line)
        yield Row(line, written, name or (child if id else "") or None, description, parents, child or None)


def _parents(item: Members, draft: Draft, line: int) -> list[tuple[int, str]]:
    at, value = item.find(*PARENTS)
    if value is None or value == "":
        return []
    written = value if isinstance(value, Items) else [(at or line, value)]
    parents = [(here, _text(parent, draft, here)) for here, parent in written]
    return [(here, parent) for here, parent in parents if parent]


# Nested


class _Entry(NamedTuple):
    line: int
    id: str
    name: str | None
    description: str
    below: Any
    own: bool  # an object or a key of its own, not a bare string


def _read_nested(value: Items | Members, draft: Draft) -> None:
    draft.name_is_id = True
    single = isinstance(value, Members) and _is_category(value)
    tops: set[int] = set()
    open_: list[tuple[int | None, set[int], Iterator[_Entry]]] = [(None, tops, _entries(value, 1, draft))]
    while open_:
        parent, beside, entries = open_[-1]
        entry = next(entries, None)
        if entry is None:
            open_.pop()
            continue
        if entry.own or parent is None:
            number = draft.define(entry.id, entry.line, entry.name, entry.description)
        else:
            number = draft.mention(entry.id, entry.line)
        if number in beside:
            draft.duplicate(parent, number, entry.line)
        elif parent is not None:
            draft.edge(parent, number, entry.line, repeat=True)
        beside.add(number)
        open_.append((number, set(), _entries(entry.below, entry.line, draft)))
    if single and tops and len(draft.ids) > 1:
        draft.root = tops.pop()  # one object around everything is the root, whatever it is called
    else:
        draft.find_root(implicit=True)


def _entries(value: Any, line: int, draft: Draft) -> Iterator[_Entry]:
    """The categories right in a list, an object of categories, or an object that is one category."""
    if isinstance(value, Items):
        for at, item in value:
            if isinstance(item, Members):
                yield from _entries(item, at, draft)
            elif text := _text(item, draft, at):
                yield _Entry(at, text, None, "", None, False)
    elif not isinstance(value, Members):
        if value is not None:
            draft.problem(f"must be an object, a list or null, not {shown(value)}", line)
    elif _is_category(value):
        _check_keys(value, draft, line)
        if value.has(*CHILD):
            draft.problem("child in a nested taxonomy", line, "did you mean 'children'?")
        if value.has(*PARENTS):
            draft.problem(
                "parents in a nested taxonomy", line, "give either parents or children, for all categories"
            )
        line, id, name, description = _category(value, draft, line)
        draft.name_is_id = draft.name_is_id and not id
        if id or name:
            yield _Entry(line, id or name, name or None, description, value.get(*CHILDREN), True)
    else:
        for at, key, below in value:
            if text := _text(key, draft, at):
                yield _Entry(at, text, None, "", below, True)


def _is_category(value: Members) -> bool:
    """Whether an object is a category with fields; else its keys are categories."""
    return any(
        key in (*ID, *NAME) and isinstance(v, str | int) and not isinstance(v, bool) for _, key, v in value
    )


# Fields


def _category(item: Members, draft: Draft, line: int) -> tuple[int, str, str, str]:
    """Line, id, name ("" where absent) and description of an object."""
    (id_line, id), (name_line, name) = item.find(*ID), item.find(*NAME)
    line = id_line or name_line or line
    description = item.get(*DESCRIPTION)
    if description is not None and not isinstance(description, str):
        draft.problem(f"the description must be a string, not {shown(description)}", line)
        description = None
    texts = ["" if value is None else _text(value, draft, line) for value in (id, name)]
    return line, texts[0], texts[1], description or ""


_KINDS = {Items: "a list", Members: "an object", bool: "true or false", type(None): "null"}


def _text(value: Any, draft: Draft, line: int) -> str:
    """An id or name; "" where it is none, which is noted."""
    text = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else None
    if text is None:
        kind = _KINDS.get(type(value)) or shown(value)
        draft.problem(f"a category is named by a string or an integer, not by {kind}", line)
    elif not text:
        draft.problem("empty name", line)
    return text or ""


def _check_keys(item: Members, draft: Draft, line: int) -> None:
    seen: set[str] = set()
    for at, key, _ in item:
        if key in seen:
            draft.problem(f"the key {shown(key)} stands twice in one object", at)
        seen.add(key)
        if near := _near_key(key):
            draft.problem(f"unknown key {shown(key)}", at, near)


@lru_cache(maxsize=1024)
def _near_key(key: str) -> str | None:
    """What a key was probably meant to be; other keys are the user's own and are passed over."""
    return None if key in _KNOWN else suggest(key, _KNOWN, cutoff=0.75)
