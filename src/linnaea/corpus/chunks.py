"""Chunks: corpus files cut into blocks of whole records, unparsed, so that processes can share the parsing.

A chunk is small (a quarter of a megabyte, or one longer record), picklable, and knows its file, its first line and
its byte offset; the parsing of a chunk (``readers.parse_chunk``) needs nothing else.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from linnaea.corpus.stream import BLOCK, BOM, STDIN_NAME, Stream
from linnaea.errors import DataError
from linnaea.files import STDIN

FileFormat = Literal["jsonl", "text", "csv", "tsv", "parquet"]

ROWS = 4096  # of a Parquet chunk
DELIMITERS = {"csv": ",", "tsv": "\t"}
_SUFFIXES: dict[str, FileFormat] = {
    ".jsonl": "jsonl",
    ".json": "jsonl",
    ".ndjson": "jsonl",
    ".txt": "text",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
}
_CELL_LIMIT = 2**31 - 1


@dataclass(frozen=True, slots=True)
class RawChunk:
    """Whole records of one file, as bytes.

    Attributes:
        file: its name as given; or "standard input".
        format: how to parse ``data``.
        data: whole lines; of Parquet an Arrow stream of some rows.
        line: of the first record, from 1 (Parquet: the row).
        offset: in bytes, of the first record in the uncompressed file; -1 where records do not stand as they
            are in it.
        header: column names of a CSV or TSV file.
        lines: line numbers, one a record, where they do not simply count up (a JSON array).
    """

    file: str
    format: FileFormat
    data: bytes
    line: int = 1
    offset: int = 0
    header: tuple[str, ...] | None = None
    lines: tuple[int, ...] | None = None


def format_of(path: Path | str, format: str = "auto") -> FileFormat | None:
    """The format of a file by its name; None for standard input, which is known by its first character.

    Raises:
        DataError: the name says nothing.
    """
    if format != "auto":
        return format  # type: ignore[return-value]
    if str(path) == STDIN:
        return None
    name = Path(path).name.lower().removesuffix(".gz")
    found = _SUFFIXES.get(Path(name).suffix)
    if found is None:
        known = "jsonl, text, csv, tsv, parquet"
        raise DataError(
            "the name does not tell what kind of file it is",
            where=str(path),
            hint=f"set data.format: {known}",
        )
    return found


def chunks(
    path: Path | str, format: str = "auto", columns: Collection[str] | None = None
) -> Iterator[RawChunk]:
    """Cut a file into chunks of whole records, in order.

    Args:
        path: a file, through gzip where its name ends in ``.gz``; ``-`` is standard input (gzip too).
        format: ``auto``, or one of ``jsonl text csv tsv parquet``.
        columns: the only columns to read of a Parquet file, where they exist.

    Raises:
        DataError: no such file, a folder, a broken gzip or Parquet file, a wrong encoding. Broken records are
            not its business.
    """
    path = str(path)
    if path != STDIN and Path(path).is_dir():
        raise DataError("is a folder, not a file", where=path, hint=_inside(Path(path)))
    kind = format_of(path, format)
    stream = Stream(path)
    try:
        if kind == "parquet":
            yield from _parquet(stream, columns)
            return
        head = stream.head()
        if kind is None:
            kind = "jsonl" if head.lstrip()[:1] in (b"{", b"[") else "text"
        if kind in DELIMITERS:
            yield from _csv(stream, head, kind)
        elif kind == "jsonl" and head.lstrip()[:1] == b"[":
            yield from _array(head + stream.rest(), stream.name)
        else:
            yield from _whole_lines(stream, head, kind)
    finally:
        stream.close()


def _inside(folder: Path) -> str:
    found = sorted(
        p for p in folder.iterdir() if Path(p.name.lower().removesuffix(".gz")).suffix in _SUFFIXES
    )
    return (
        "name its files, such as " + ", ".join(str(p) for p in found[:3])
        if found
        else "it holds no corpus files"
    )


def _whole_lines(stream: Stream, head: bytes, kind: FileFormat) -> Iterator[RawChunk]:
    name, offset = stream.name, len(BOM) if stream.marked else 0
    line, pieces, block = 1, [head], head
    while True:
        cut = block.rfind(b"\n") + 1
        if cut:
            pieces[-1] = block[:cut]
            data = b"".join(pieces)
            yield RawChunk(name, kind, data, line, offset)
            line, offset, pieces = line + data.count(b"\n"), offset + len(data), [block[cut:]]
        block = stream.read()
        if not block:
            break
        pieces.append(block)
    if rest := b"".join(pieces):
        yield RawChunk(name, kind, rest, line, offset)


def _array(data: bytes, name: str) -> Iterator[RawChunk]:
    """A JSON array of objects: each element on a line of its own, with the line where it began."""
    try:
        elements = msgspec.json.decode(data, type=list[msgspec.Raw])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise _array_error(data, name) from None
    held: list[bytes] = []
    lines: list[int] = []
    size, line, position = 0, 1, data.index(b"[") + 1
    counted = 0
    for element in elements:
        raw = bytes(element)
        position = data.index(raw, position)  # only blanks and a comma stand before it: this is its place
        line += data.count(b"\n", counted, position)
        counted, position = position, position + len(raw)
        # Line ends inside an element are blanks between its parts: JSON allows none inside a string.
        held.append(raw.replace(b"\n", b" "))
        lines.append(line)
        size += len(raw)
        if size >= BLOCK:
            yield RawChunk(name, "jsonl", b"\n".join(held), lines[0], -1, lines=tuple(lines))
            held, lines, size = [], [], 0
    if held:
        yield RawChunk(name, "jsonl", b"\n".join(held), lines[0], -1, lines=tuple(lines))


def _array_error(data: bytes, name: str) -> DataError:
    try:
        json.loads(data.decode())
    except UnicodeDecodeError as bad:
        line = data.count(b"\n", 0, bad.start) + 1
        return DataError(f"not UTF-8: byte 0x{data[bad.start]:02x}", where=f"{name}:{line}")
    except json.JSONDecodeError as bad:
        problem = f"broken JSON: {bad.msg.lower()}, column {bad.colno}"
        return DataError(
            problem, where=f"{name}:{bad.lineno}", hint="the file begins with '[': a JSON array of documents"
        )
    except (ValueError, RecursionError):
        pass
    return DataError("not a JSON array that can be read", where=name, hint="write one JSON object a line")


def csv_rows(lines: Iterator[bytes], kind: str) -> Iterator[tuple[list[str] | csv.Error, list[bytes]]]:
    """Rows of a CSV or TSV file, each with the lines it came from; one that cannot be read as its error.

    Bytes that are not UTF-8 come as lone surrogates.
    """
    # The limit is the module's, for the whole process: 128 KB a cell by default. A document may be longer.
    csv.field_size_limit(max(_CELL_LIMIT, csv.field_size_limit()))
    held: list[bytes] = []

    def decoded() -> Iterator[str]:
        for line in lines:
            held.append(line)
            yield line.decode("utf-8", "surrogateescape")

    reader = csv.reader(decoded(), delimiter=DELIMITERS[kind])
    while True:
        try:
            row: list[str] | csv.Error = next(reader)
        except StopIteration:
            return
        except csv.Error as bad:
            row = bad
        yield row, held
        held.clear()


def _csv(stream: Stream, head: bytes, kind: FileFormat) -> Iterator[RawChunk]:
    """Chunks that end where a row ends: a quoted cell may hold line ends, so only the parser knows."""
    header: tuple[str, ...] | None = None
    pieces: list[bytes] = []
    name, offset = stream.name, len(BOM) if stream.marked else 0
    line, size, count, empty = 1, 0, 0, True
    for row, held in csv_rows(stream.lines(head), kind):
        length = sum(map(len, held))
        if header is None:
            if isinstance(row, csv.Error):
                raise DataError(f"cannot read the header: {row}", where=f"{name}:{line}")
            if any(row):
                header = _header(row, f"{name}:{line}")
            line, offset = line + len(held), offset + length
            continue
        pieces += held
        size, count = size + length, count + len(held)
        if size >= BLOCK:
            yield RawChunk(name, kind, b"".join(pieces), line, offset, header)
            line, offset, pieces, size, count, empty = line + count, offset + size, [], 0, 0, False
    # A file with a header only gives one empty chunk, so that its columns are checked all the same.
    if pieces or (header is not None and empty):
        yield RawChunk(name, kind, b"".join(pieces), line, offset, header)


def _header(row: list[str], where: str) -> tuple[str, ...]:
    names = [cell.strip() for cell in row]
    double = next((name for i, name in enumerate(names) if name and name in names[:i]), None)
    if double is not None:
        raise DataError(f"two columns are named {double!r}", where=where)
    if any("\udc80" <= char <= "\udcff" for name in names for char in name):
        raise DataError("the header is not UTF-8", where=where)
    return tuple(names)


def _parquet(stream: Stream, columns: Collection[str] | None) -> Iterator[RawChunk]:
    import pyarrow
    import pyarrow.parquet

    name = stream.name
    plain = name != STDIN_NAME and not name.endswith(".gz")
    source = name if plain else pyarrow.BufferReader(stream.rest())
    try:
        file = pyarrow.parquet.ParquetFile(source)
        names = file.schema_arrow.names
        wanted = names if columns is None else [n for n in names if n in columns]
        row = 1
        for batch in file.iter_batches(batch_size=ROWS, columns=wanted):
            if batch.num_rows:
                yield RawChunk(name, "parquet", arrow_bytes(batch), row, -1, tuple(names))
            row += batch.num_rows
    except (pyarrow.ArrowException, OSError) as bad:
        problem = str(bad).splitlines()[0] if str(bad) else type(bad).__name__
        raise DataError(f"not a Parquet file that can be read: {problem}", where=name) from None


def arrow_bytes(batch: Any) -> bytes:
    """An Arrow record batch as the bytes of an Arrow stream."""
    import pyarrow

    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())
