"""JsonLines: the fast way through JSON lines, a typed msgspec decoder for the mapped field names.

Whatever it refuses goes the careful way of ``records.RecordReader``, which accepts it or says what is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

from linnaea.corpus.document import Document, Origin
from linnaea.corpus.policy import DocumentError
from linnaea.corpus.records import Fields, RecordReader, received


@lru_cache(maxsize=32)
def _decoder(fields: Fields) -> Callable[[bytes], Any] | None:
    """A typed decoder for these names; None where one name serves twice: only the careful way reads that."""
    strings = tuple[str, ...] | None
    plan: list[tuple[str, str, Any]] = [
        ("id", fields.id, str | int | None),
        ("tokens", fields.tokens, strings),
        ("keywords", fields.keywords, strings),
        ("topics", fields.topics, strings),
        *((f"labels{i}", name, strings) for i, name in enumerate(fields.labels)),
        *((f"text{i}", name, str | None) for i, name in enumerate(fields.text)),
    ]
    if len({name for _, name, _ in plan}) < len(plan):
        return None
    rename = {attribute: name for attribute, name, _ in plan}
    struct = msgspec.defstruct("Record", [(a, kind, None) for a, _, kind in plan], rename=rename, gc=False)
    return msgspec.json.Decoder(struct).decode


class JsonLines:
    """Reads lines that hold one JSON object each."""

    def __init__(self, fields: Fields, *, need_labels: bool = False) -> None:
        self.careful = RecordReader(fields, need_labels=need_labels)
        self.fields, self.need_labels = fields, need_labels
        self._decode = _decoder(fields)

    def read(self, raw: bytes, origin: Origin) -> Document:
        """The document of one line.

        Raises:
            DocumentError: the line is not UTF-8, not JSON, not an object, or a field is wrong.
        """
        if self._decode is not None:
            try:
                record = self._decode(raw)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                pass  # the careful way finds out what it is, and where
            else:
                document = self._document(record, origin)
                if document is not None:
                    return document
        where = str(origin)
        return self.careful.read(self._object(raw, where), where, origin, raw)

    def _document(self, record: Any, origin: Origin) -> Document | None:
        """What needs no second look; None: something is missing."""
        text = record.tokens
        if not text:
            if len(self.fields.text) == 1:
                whole = record.text0
            else:
                parts = [
                    part
                    for i in range(len(self.fields.text))
                    if (part := getattr(record, f"text{i}")) is not None
                ]
                whole = "\n".join(parts) if parts else None
            if whole is not None:
                text = whole
        labels = record.labels0
        if labels is None and len(self.fields.labels) > 1:
            labels = record.labels1
        if labels is not None and len(labels) > 1:
            labels = tuple(dict.fromkeys(labels))
        if text is None or record.id == "" or (labels is None and self.need_labels):
            return None
        identity = "" if record.id is None else str(record.id)
        return Document(identity, text, labels, record.keywords or (), record.topics or (), origin)

    def _object(self, raw: bytes, where: str) -> dict[str, Any]:
        try:
            value = json.loads(raw.decode("utf-8"))
        except UnicodeDecodeError as bad:
            problem = f"not UTF-8: byte 0x{raw[bad.start]:02x} at byte {bad.start + 1} of the line"
            raise DocumentError(problem, where=where, kind="not UTF-8", raw=raw) from None
        except json.JSONDecodeError as bad:
            problem = f"broken JSON: {bad.msg[0].lower()}{bad.msg[1:]}, column {bad.colno}"
            raise DocumentError(problem, where=where, kind="broken JSON", raw=raw) from None
        except RecursionError:
            raise DocumentError(
                "broken JSON: nested too deep", where=where, kind="broken JSON", raw=raw
            ) from None
        except ValueError as bad:  # an integer of thousands of digits
            raise DocumentError(f"broken JSON: {bad}", where=where, kind="broken JSON", raw=raw) from None
        if not isinstance(value, dict):
            problem = f"a document is a JSON object, received {received(value)}"
            raise DocumentError(problem, where=where, kind="wrong type", raw=raw)
        return value
