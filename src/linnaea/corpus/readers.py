"""Readers: corpus files -> Documents, in order.

Three layers: ``chunks.chunks`` cuts a file into blocks of whole records, ``parse_chunk`` makes documents of
one block and can run in any process, ``read_documents`` does both for the files of a split, gives ids and
applies the error policy.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from linnaea.config.task import DataConfig
from linnaea.corpus.chunks import RawChunk, chunks
from linnaea.corpus.document import Document, Origin
from linnaea.corpus.jsonlines import JsonLines
from linnaea.corpus.policy import DocumentError, ErrorPolicy
from linnaea.corpus.records import Fields, json_line
from linnaea.corpus.stream import STDIN_NAME
from linnaea.corpus.tables import documents_from, parse_csv, parse_parquet
from linnaea.errors import DataError
from linnaea.files import STDIN

__all__ = [
    "Ids",
    "RawChunk",
    "chunks",
    "documents_from",
    "parse_chunk",
    "read_chunks",
    "read_documents",
    "with_id",
]


def parse_chunk(chunk: RawChunk, config: DataConfig, need_labels: bool) -> list[Document | DataError]:
    """Make documents of a chunk, in order; a broken one as its error, with ``file:line`` and its line.

    Documents without an id of their own have the id "": whoever puts chunks together numbers them (``Ids``).

    Args:
        need_labels: a document without labels is an error.

    Raises:
        DataError: the whole file lacks something: a column, or labels in plain text.
    """
    if chunk.format == "jsonl":
        return _parse_jsonl(chunk, config, need_labels)
    if chunk.format == "text":
        return _parse_text(chunk, need_labels)
    if chunk.format == "parquet":
        return parse_parquet(chunk, config, need_labels)
    return parse_csv(chunk, config, need_labels)


def _parse_jsonl(chunk: RawChunk, config: DataConfig, need_labels: bool) -> list[Document | DataError]:
    read = JsonLines(Fields.of(config.fields), need_labels=need_labels).read
    found: list[Document | DataError] = []
    file, offset, known = chunk.file, chunk.offset, chunk.offset >= 0
    for i, raw in enumerate(chunk.data.split(b"\n")):
        if raw and not raw.isspace():
            line = chunk.line + i if chunk.lines is None else chunk.lines[i]
            try:
                found.append(read(raw, Origin(file, line, offset)))
            except DocumentError as bad:
                found.append(bad)
        if known:
            offset += len(raw) + 1
    return found


def _parse_text(chunk: RawChunk, need_labels: bool) -> list[Document | DataError]:
    if need_labels:
        hint = "use JSON lines or CSV for labelled documents"
        raise DataError("plain text has no labels", where=chunk.file, hint=hint)
    found: list[Document | DataError] = []
    offset = chunk.offset
    lines = chunk.data.split(b"\n")
    if not lines[-1]:
        lines.pop()  # what stands behind the last line end is no line
    for line, raw in enumerate(lines, chunk.line):
        origin = Origin(chunk.file, line, offset)
        try:
            found.append(Document("", raw.removesuffix(b"\r").decode(), origin=origin))
        except UnicodeDecodeError as bad:
            problem = f"not UTF-8: byte 0x{raw[bad.start]:02x} at byte {bad.start + 1} of the line"
            found.append(DocumentError(problem, where=str(origin), kind="not UTF-8", raw=raw))
        offset += len(raw) + 1
    return found


def with_id(document: Document, id: str) -> Document:
    """The document under another id (``dataclasses.replace`` takes three times as long)."""
    return Document(id, document.text, document.labels, document.keywords, document.topics, document.origin)


class Ids:
    """The ids of one split: its own where a document has one, else its running number; none stands twice.

    Call ``number`` for every document that stays in the split, in order.
    """

    def __init__(self) -> None:
        self._given: dict[str, int] = {}  # id -> running number of its document
        self._numbered = bytearray()  # by running number: 1 where the number itself is the id
        self._files: dict[str, int] = {}
        self._places = array("q")  # by running number: file and line, packed

    def __len__(self) -> int:
        return len(self._places)

    def number(self, id: str, origin: Origin | None) -> str:
        """The id that the next document gets.

        Args:
            id: its own, or "".

        Raises:
            DocumentError: another document of the split has that id; the running number does not move on.
        """
        number = len(self._places)
        first = self._given.get(id or str(number))
        if (
            id
            and first is None
            and id.isdecimal()
            and len(id) < 19
            and str(int(id)) == id
            and int(id) < number
        ):
            first = int(id) if self._numbered[int(id)] else None
        if first is not None:
            where = None if origin is None else str(origin)
            whose = f"the id {id!r}" if id else f"the running number {number}, given as the id,"
            hint = None if id else "give every document an id, or none"
            problem = f"{whose} stands at {self._place(first)} already"
            raise DocumentError(problem, where=where, kind="duplicate id", hint=hint)
        if id:
            self._given[id] = number
        self._numbered.append(not id)
        self._places.append(self._packed(origin))
        return id or str(number)

    def _packed(self, origin: Origin | None) -> int:
        if origin is None:
            return -1
        return self._files.setdefault(origin.file, len(self._files)) << 40 | origin.line

    def _place(self, number: int) -> str:
        packed = self._places[number]
        if packed < 0:
            return f"document {number}"
        return f"{list(self._files)[packed >> 40]}:{packed & (1 << 40) - 1}"


def read_chunks(
    paths: str | Path | Sequence[str | Path], config: DataConfig, policy: ErrorPolicy
) -> Iterator[RawChunk]:
    """The chunks of all files of a split, in order.

    Raises:
        DataError: a file is missing, empty, broken as a whole, or named twice; under ``collect`` the next
            file goes on.
    """
    files = [paths] if isinstance(paths, (str, Path)) else list(paths)
    columns = Fields.of(config.fields).names
    for i, path in enumerate(files):
        some = False
        try:
            if str(path) in map(str, files[:i]):
                raise DataError("this file is named twice in one split", where=str(path))
            for chunk in chunks(path, config.format, columns):
                some = some or bool(chunk.data.strip()) or chunk.format == "text"
                yield chunk
            if not some:
                where = STDIN_NAME if str(path) == STDIN else str(path)
                raise DataError("holds no documents", where=where)
        except DataError as bad:
            policy.handle_file(bad)


def read_documents(
    paths: str | Path | Sequence[str | Path], config: DataConfig, policy: ErrorPolicy, *, need_labels: bool
) -> Iterator[Document]:
    """The documents of one split, in order, each with an id and an origin.

    Args:
        paths: files; ``-`` is standard input.
        policy: what happens to broken documents, those with an id that stands twice among them.
        need_labels: a document without labels is an error.

    Raises:
        DataError: a file cannot be read, holds nothing, or nothing was left of the split; a broken document,
            as the policy says.
    """
    ids = Ids()
    refused: set[str] = set()  # files that lack a column: said once
    for chunk in read_chunks(paths, config, policy):
        if chunk.file in refused:
            continue
        try:
            parsed = parse_chunk(chunk, config, need_labels)
        except DataError as bad:
            policy.handle_file(bad)
            refused.add(chunk.file)
            continue
        yield from _accepted(parsed, ids, policy)
    if not len(ids) and policy.left_out and policy.mode != "collect":
        raise DataError(f"no document is left: {policy.message()}", where=", ".join(_names(paths)))


def _names(paths: str | Path | Sequence[str | Path]) -> list[str]:
    return [str(paths)] if isinstance(paths, (str, Path)) else [str(path) for path in paths]


def _accepted(parsed: Iterable[Document | DataError], ids: Ids, policy: ErrorPolicy) -> Iterator[Document]:
    for document in parsed:
        policy.documents += 1
        if isinstance(document, DataError):
            policy.handle(document)
            continue
        own = document.id
        try:
            id = ids.number(own, document.origin)
        except DocumentError as bad:
            policy.handle(bad, json_line(document))
            continue
        yield document if id == own else with_id(document, id)
