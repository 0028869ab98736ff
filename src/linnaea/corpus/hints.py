"""Hints: which field of a record was probably meant, where the one that is looked for is missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from linnaea.errors import suggest

if TYPE_CHECKING:
    from linnaea.corpus.records import Fields

_TEXT_NAMES = (
    "text",
    "body",
    "content",
    "document",
    "sentence",
    "description",
    "abstract",
    "message",
    "review",
    "title",
)
_TOKEN_NAMES = ("doc_token", "tokens", "token", "words")
_LABEL_NAMES = (
    "labels",
    "doc_label",
    "label",
    "categories",
    "category",
    "classes",
    "class",
    "tags",
    "topics",
    "target",
)


def _name_near(names: Iterable[str], known: tuple[str, ...], wanted: Iterable[str]) -> str | None:
    """Which of ``names`` probably is what ``wanted`` was looked for as."""
    pool = [name for name in names if isinstance(name, str)]
    found = next((name for usual in known for name in pool if name.casefold() == usual), None)
    if found is not None:
        return found
    for name in pool:
        if any(suggest(name, [goal]) for goal in (*wanted, *known)):
            return name
    return None


def near_text(record: Mapping[str, Any], fields: Fields) -> str | None:
    """Which field probably holds the text, as a hint."""
    others = {fields.id, *fields.labels, fields.keywords, fields.topics, *fields.text, fields.tokens}
    lists = [
        k
        for k, v in record.items()
        if isinstance(v, list) and v and isinstance(v[0], str) and k not in others
    ]
    name = _name_near(lists, _TOKEN_NAMES, [fields.tokens])
    if name is not None:
        return f"did you mean data.fields.tokens = {name!r}?"
    strings = {k: v for k, v in record.items() if isinstance(v, str) and k not in others}
    name = _name_near(strings, _TEXT_NAMES, fields.text)
    if name is None and strings:
        name = max(strings, key=lambda k: len(strings[k]))
    return f"did you mean data.fields.text = {name!r}?" if name is not None else None


def near_labels(record: Mapping[str, Any], fields: Fields) -> str | None:
    """Which field probably holds the labels, as a hint."""
    others = {fields.id, *fields.text, fields.tokens, *fields.labels}
    names = [k for k, v in record.items() if isinstance(v, (list, str)) and k not in others]
    name = _name_near(names, _LABEL_NAMES, fields.labels)
    return f"did you mean data.fields.labels = {name!r}?" if name is not None else None
