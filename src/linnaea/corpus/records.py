"""Records: a JSON object, table row or dictionary -> a Document, or an error that names the field."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from linnaea.config.task import FieldsConfig
from linnaea.corpus.document import Document, Origin
from linnaea.corpus.hints import near_labels, near_text
from linnaea.corpus.policy import DocumentError


@dataclass(frozen=True)
class Fields:
    """The names of the fields in the user's files, resolved and hashable.

    Attributes:
        labels: alternatives; the first that is there counts.
        given: which of them were renamed, as keys of ``data.fields``: a table must have these columns. (Not which
            the user wrote: the config that a model keeps holds every name.)
    """

    id: str
    text: tuple[str, ...]
    tokens: str
    labels: tuple[str, ...]
    keywords: str
    topics: str
    given: frozenset[str] = frozenset()

    @classmethod
    def of(cls, config: FieldsConfig) -> Fields:
        return cls(
            id=config.id,
            text=(config.text,) if isinstance(config.text, str) else tuple(config.text),
            tokens=config.tokens,
            labels=(config.labels,) if config.labels is not None else ("doc_label", "labels"),
            keywords=config.keywords,
            topics=config.topics,
            given=frozenset(
                name
                for name, info in FieldsConfig.model_fields.items()
                if getattr(config, name) != info.default
            ),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """All names, each once: the only columns that need to be read."""
        return tuple(
            dict.fromkeys((self.id, *self.text, self.tokens, *self.labels, self.keywords, self.topics))
        )


def received(value: object) -> str:
    """A received value in words, short enough for one line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int, float, bytes)):
        shown = repr(value) if len(repr(value)) <= 40 else repr(value)[:37] + "..."
        return (
            f"a string ({shown})"
            if isinstance(value, str)
            else f"bytes ({shown})"
            if isinstance(value, bytes)
            else f"a number ({shown})"
        )
    if isinstance(value, Mapping):
        return "an object"
    return "a list" if isinstance(value, (list, tuple)) else f"a {type(value).__name__}"


class RecordReader:
    """Reads records whose values are plain Python values.

    Args:
        delimiter: between the labels, keywords or topics in one string; None: a string there is an error.
        need_labels: whether a record without labels is an error.
    """

    def __init__(self, fields: Fields, *, delimiter: str | None = None, need_labels: bool = False) -> None:
        self.fields, self.delimiter, self.need_labels = fields, delimiter, need_labels

    def read(
        self, record: Mapping[str, Any], where: str, origin: Origin | None = None, raw: bytes | None = None
    ) -> Document:
        """The document of a record; its id is "" where it has none of its own.

        Raises:
            DocumentError: which field is wrong, what was expected, what was received.
        """
        try:
            document = Document(
                self._id(record),
                self._text(record),
                self._labels(record),
                self._strings(record, self.fields.keywords) or (),
                self._strings(record, self.fields.topics) or (),
                origin,
            )
            check_characters(document)
        except DocumentError as bad:
            raise DocumentError(bad.message, where=where, hint=bad.hint, kind=bad.kind, raw=raw) from None
        return document

    def _id(self, record: Mapping[str, Any]) -> str:
        value = record.get(self.fields.id)
        if value is None or (value == "" and self.delimiter is not None):
            return ""
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            raise _wrong(self.fields.id, "a string or an integer", value)
        if value == "":
            raise DocumentError(
                f"field {self.fields.id!r} is empty", kind="wrong type", hint="leave it out, or give an id"
            )
        return str(value)

    def _text(self, record: Mapping[str, Any]) -> str | tuple[str, ...]:
        fields = self.fields
        tokens = self._strings(record, fields.tokens, blanks=True)
        if tokens:
            return tokens
        parts = []
        for name in fields.text:
            value = record.get(name)
            if value is None or (value == "" and self.delimiter is not None and len(fields.text) > 1):
                continue
            if not isinstance(value, str):
                hint = f"did you mean data.fields.tokens = {name!r}?" if isinstance(value, list) else None
                raise _wrong(name, "a string", value, hint)
            parts.append(value)
        if parts:
            return "\n".join(parts)
        if tokens is not None:
            return tokens
        if self.delimiter is not None and any(record.get(name) == "" for name in fields.text):
            return ""
        raise DocumentError(self._no_text(record), kind="no text", hint=near_text(record, fields))

    def _no_text(self, record: Mapping[str, Any]) -> str:
        names = (*self.fields.text, self.fields.tokens)
        null = [name for name in names if name in record]
        if null:
            return f"no text: field {null[0]!r} is null"
        return "no text: no field " + " or ".join(map(repr, names))

    def _labels(self, record: Mapping[str, Any]) -> tuple[str, ...] | None:
        for name in self.fields.labels:
            labels = self._strings(record, name)
            if labels is not None:
                return tuple(dict.fromkeys(labels))
        if self.need_labels:
            there = next((name for name in self.fields.labels if name in record), None)
            what = "no field " + " or ".join(map(repr, self.fields.labels))
            if there is not None:
                what = f"field {there!r} is {'null' if record[there] is None else 'empty'}"
            hint = near_labels(record, self.fields) or "write [] for a document that belongs nowhere"
            raise DocumentError(f"not labelled: {what}", kind="not labelled", hint=hint)
        return None

    def _strings(
        self, record: Mapping[str, Any], name: str, *, blanks: bool = False
    ) -> tuple[str, ...] | None:
        """A list of strings, or what one cell holds of them; None where there is nothing."""
        value = record.get(name)
        if value is None:
            return None
        if isinstance(value, str) and self.delimiter is not None:
            if blanks:
                return tuple(value.split())
            return cell(value, self.delimiter)
        if not isinstance(value, (list, tuple)):
            hint = None
            if isinstance(value, str):
                hint = (
                    f"did you mean data.fields.text = {name!r}?"
                    if blanks
                    else f"write {json.dumps([value], ensure_ascii=False)}"
                )
                hint = hint if len(hint) <= 80 else "write a list of strings"
            raise _wrong(name, "a list of strings", value, hint)
        for position, item in enumerate(value):
            if not isinstance(item, str):
                raise _wrong(name, "a list of strings", item, at=f" at position {position + 1}")
        return tuple(value)


def cell(value: str, delimiter: str) -> tuple[str, ...] | None:
    """The strings in one table cell: a JSON list, or parts between delimiters; None where it is empty."""
    text = value.strip()
    if not text:
        return None
    if text.startswith("["):
        try:
            return msgspec.json.decode(text, type=tuple[str, ...])
        except (msgspec.MsgspecError, UnicodeEncodeError):
            pass  # a label may begin with a bracket: then it is unknown, or it is not
    return tuple(part for piece in value.split(delimiter) if (part := piece.strip()))


def _wrong(name: str, expected: str, value: object, hint: str | None = None, at: str = "") -> DocumentError:
    return DocumentError(
        f"field {name!r}: expected {expected}, received {received(value)}{at}", kind="wrong type", hint=hint
    )


def check_characters(document: Document) -> None:
    """Refuse lone surrogates: they are no characters and cannot be written to any file."""
    text = document.text if isinstance(document.text, str) else "\0".join(document.text)
    if not text.isascii() or document.labels or document.keywords or document.topics or document.id:
        whole = "\0".join((text, document.id, *(document.labels or ()), *document.keywords, *document.topics))
        try:
            whole.encode()
        except UnicodeEncodeError as bad:
            code = f"\\u{ord(whole[bad.start]):04x}"
            raise DocumentError(
                f"{code} is half a character (a lone surrogate)", kind="invalid characters"
            ) from None


def json_line(document: Document) -> bytes:
    """A document as a JSON line with the usual field names, for the quarantine file."""
    value: dict[str, Any] = {"id": document.id} if document.id else {}
    value["text" if isinstance(document.text, str) else "doc_token"] = document.text
    if document.labels is not None:
        value["doc_label"] = document.labels
    value |= {"doc_keyword": document.keywords} if document.keywords else {}
    value |= {"doc_topic": document.topics} if document.topics else {}
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace")
