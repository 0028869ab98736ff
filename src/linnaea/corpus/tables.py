"""Tables and Python values: CSV and Parquet chunks, pandas and Arrow tables, lists of texts -> Documents."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from linnaea.config.task import DataConfig
from linnaea.corpus.chunks import ROWS, RawChunk, csv_rows
from linnaea.corpus.document import Document, Origin
from linnaea.corpus.hints import near_labels, near_text
from linnaea.corpus.policy import DocumentError
from linnaea.corpus.records import Fields, RecordReader, check_characters, received
from linnaea.errors import DataError, UsageError, suggest


def parse_csv(chunk: RawChunk, config: DataConfig, need_labels: bool) -> list[Document | DataError]:
    """The documents of a CSV or TSV chunk.

    Raises:
        DataError: the file lacks a column.
    """
    header = chunk.header or ()
    fields = Fields.of(config.fields)
    check_columns(header, fields, need_labels, f"{chunk.file}:1", config)
    reader = RecordReader(fields, delimiter=config.label_delimiter, need_labels=need_labels)
    found: list[Document | DataError] = []
    line, offset, kind = chunk.line, chunk.offset, chunk.format
    lines: list[bytes] = []
    for row, lines_of_row in csv_rows(iter(io.BytesIO(chunk.data)), kind):
        lines = list(lines_of_row)
        raw = b"".join(lines)
        if row:
            found.append(_csv_document(row, raw, header, reader, Origin(chunk.file, line, offset)))
        line, offset = line + len(lines), offset + len(raw)
    if lines and found and _unclosed(lines, kind):
        where = f"{chunk.file}:{line - len(lines)}"
        found[-1] = DocumentError(
            "a quoted cell is never closed", where=where, kind="broken row", raw=b"".join(lines)
        )
    return found


def _csv_document(
    row: list[str] | csv.Error, raw: bytes, header: Sequence[str], reader: RecordReader, origin: Origin
) -> Document | DataError:
    where = str(origin)
    if isinstance(row, csv.Error):
        return DocumentError(f"broken row: {row}", where=where, kind="broken row", raw=raw)
    try:
        raw.decode()
    except UnicodeDecodeError as bad:
        line = origin.line + raw.count(b"\n", 0, bad.start)
        at = bad.start - (raw.rfind(b"\n", 0, bad.start) + 1) + 1
        problem = f"not UTF-8: byte 0x{raw[bad.start]:02x} at byte {at} of the line"
        return DocumentError(problem, where=f"{origin.file}:{line}", kind="not UTF-8", raw=raw)
    if len(row) != len(header):
        cells = f"{len(row)} cell{'s' if len(row) != 1 else ''}, but the header has {len(header)}"
        hint = "put cells that hold the delimiter in quotes" if len(row) > len(header) else None
        return DocumentError(cells, where=where, kind="broken row", raw=raw, hint=hint)
    try:
        return reader.read(dict(zip(header, row, strict=True)), where, origin, raw)
    except DocumentError as bad:
        return bad


def _unclosed(lines: Iterable[bytes], kind: str) -> bool:
    """Whether the last row ends inside quotes, which the csv module forgives unless it is strict."""
    delimiter = "\t" if kind == "tsv" else ","
    text = [line.decode("utf-8", "surrogateescape") for line in lines]
    try:
        list(csv.reader(text, delimiter=delimiter, strict=True))
    except csv.Error as bad:
        return "unexpected end of data" in str(bad)
    return False


def check_columns(
    header: Sequence[str], fields: Fields, need_labels: bool, where: str, config: DataConfig
) -> None:
    """Refuse a table without the columns that it must have: text or tokens, labels where needed, and whatever
    was mapped.

    Raises:
        DataError: which column is missing, and which was probably meant.
    """
    names = list(header)
    hint = None
    if len(names) == 1 and any(sign in names[0] for sign in ";\t|"):
        hint = "there is only one column: is it another delimiter?"
    mapped: dict[str, tuple[str, ...]] = {
        "id": (fields.id,),
        "tokens": (fields.tokens,),
        "keywords": (fields.keywords,),
        "topics": (fields.topics,),
    }
    mapped["text"] = fields.text
    if need_labels:
        mapped["labels"] = fields.labels
    for key, wanted in mapped.items():
        missing = next((name for name in wanted if name not in names), None)
        if (
            missing is not None
            and key in fields.given
            and not (key == "labels" and config.fields.labels is None)
        ):
            near = suggest(missing, names) or hint or "there are: " + ", ".join(names)
            raise DataError(f"no column {missing!r}, which data.fields.{key} names", where=where, hint=near)
    record = dict.fromkeys(names, "")
    if not any(name in names for name in (*fields.text, fields.tokens)):
        shown = " or ".join(map(repr, (*fields.text, fields.tokens)))
        raise DataError(f"no column {shown}", where=where, hint=hint or near_text(record, fields))
    if need_labels and not any(name in names for name in fields.labels):
        shown = " or ".join(map(repr, fields.labels))
        raise DataError(
            f"no column {shown}, so nothing is labelled", where=where, hint=near_labels(record, fields)
        )


def parse_parquet(chunk: RawChunk, config: DataConfig, need_labels: bool) -> list[Document | DataError]:
    """The documents of some rows of a Parquet file; their line is the row.

    Raises:
        DataError: the file lacks a column.
    """
    import pyarrow

    fields = Fields.of(config.fields)
    check_columns(chunk.header or (), fields, need_labels, chunk.file, config)
    reader = RecordReader(fields, delimiter=config.label_delimiter, need_labels=need_labels)
    rows = pyarrow.ipc.open_stream(chunk.data).read_all().to_pylist()
    found: list[Document | DataError] = []
    for number, row in enumerate(rows, chunk.line):
        origin = Origin(chunk.file, number)
        try:
            found.append(reader.read(row, str(origin), origin))
        except DocumentError as bad:
            found.append(bad)
    return found


def documents_from(
    value: Any,
    config: DataConfig | None = None,
    labels: Iterable[Sequence[str]] | None = None,
    *,
    need_labels: bool = False,
) -> Iterator[Document]:
    """Documents from Python values.

    Args:
        value: texts, lists of tokens, dictionaries (with the fields of the files) or Documents; or a pandas
            DataFrame or an Arrow table with such columns. A string cell of a table holds labels between
            ``label_delimiter``.
        config: the names of the fields.
        labels: one list of labels a document, instead of what the documents bring.
        need_labels: whether a document without labels is an error.

    Raises:
        UsageError: ``value`` or ``labels`` is a single string, or of another kind.
        DataError: with ``documents[i]``: a document is broken, the lengths differ, an id stands twice.
    """
    config = config if config is not None else DataConfig()
    many = isinstance(value, Iterable) or _is_arrow(value)
    if isinstance(value, (str, bytes, Mapping)) or not many:
        raise UsageError(
            f"expected several documents, received {received(value)}",
            where="documents",
            hint="put it in a list",
        )
    return _numbered(_labelled(_plain_documents(value, config, need_labels and labels is None), labels))


def _plain_documents(value: Iterable[Any], config: DataConfig, need_labels: bool) -> Iterator[Document]:
    fields = Fields.of(config.fields)
    rows = _table_rows(value)
    if rows is not None:
        header, records = rows
        check_columns(header, fields, need_labels, "documents", config)
        reader = RecordReader(fields, delimiter=config.label_delimiter, need_labels=need_labels)
        for i, record in enumerate(records):
            yield reader.read(record, f"documents[{i}]")
        return
    reader = RecordReader(fields, need_labels=need_labels)
    text_only = RecordReader(
        Fields("id", ("text",), "tokens", ("labels",), "keywords", "topics"), need_labels=need_labels
    )
    for i, item in enumerate(value):
        where = f"documents[{i}]"
        if isinstance(item, Document):
            if need_labels and item.labels is None:
                raise DocumentError("not labelled", where=where, kind="not labelled")
            try:
                check_characters(item)
            except DocumentError as bad:
                raise bad.at(where) from None
            yield item
        elif isinstance(item, Mapping):
            yield reader.read({key: plain(cell) for key, cell in item.items()}, where)
        elif isinstance(item, str):
            yield text_only.read({"text": item}, where)
        elif isinstance(item, (list, tuple)):
            yield text_only.read({"tokens": item}, where)
        else:
            message = (
                f"expected a text, a list of tokens, a dictionary or a Document, received {received(item)}"
            )
            raise DocumentError(message, where=where, kind="wrong type")


def _labelled(documents: Iterator[Document], labels: Iterable[Sequence[str]] | None) -> Iterator[Document]:
    if labels is None:
        yield from documents
        return
    if isinstance(labels, str):
        raise UsageError(f"expected a list of labels a document, received {received(labels)}", where="labels")
    rows = iter(labels)
    count = -1
    for count, document in enumerate(documents):
        row = plain(next(rows, None))
        if row is None:
            raise DataError("there are more documents than label lists", where=f"labels[{count}]")
        if isinstance(row, str) or not isinstance(row, (list, tuple)):
            hint = f"write [{row!r}]" if isinstance(row, str) else None
            problem = f"expected a list of strings, received {received(row)}"
            raise DocumentError(problem, where=f"labels[{count}]", hint=hint, kind="wrong type")
        wrong = next((item for item in row if not isinstance(item, str)), None)
        if wrong is not None:
            problem = f"expected a list of strings, received {received(wrong)} in it"
            raise DocumentError(problem, where=f"labels[{count}]", kind="wrong type")
        yield replace(document, labels=tuple(dict.fromkeys(row)))
    if next(rows, None) is not None:
        raise DataError("there are more label lists than documents", where=f"labels[{count + 1}]")


def _numbered(documents: Iterator[Document]) -> Iterator[Document]:
    seen: dict[str, int] = {}
    for i, document in enumerate(documents):
        if document.id == "":
            document = replace(document, id=str(i))
        first = seen.setdefault(document.id, i)
        if first != i:
            problem = f"the id {document.id!r} stands at documents[{first}] already"
            raise DocumentError(problem, where=f"documents[{i}]", kind="duplicate id")
        yield document


def _table_rows(value: Any) -> tuple[list[str], Iterator[dict[str, Any]]] | None:
    """Column names and rows of a DataFrame or an Arrow table, told by their make; None for anything else."""
    make = type(value).__module__.partition(".")[0]
    if _is_arrow(value):
        names = [str(name) for name in value.schema.names]
        batches = value.to_batches(max_chunksize=ROWS) if hasattr(value, "to_batches") else [value]
        return names, (row for batch in batches for row in batch.to_pylist())
    if make == "pandas" and hasattr(value, "columns"):
        names = [str(name) for name in value.columns]
        double = next((name for i, name in enumerate(names) if name in names[:i]), None)
        if double is not None:
            raise DataError(f"two columns are named {double!r}", where="documents")
        return names, _frame_rows(value, names)
    return None


def _is_arrow(value: Any) -> bool:
    """Whether it is an Arrow table or record batch."""
    return type(value).__module__.partition(".")[0] == "pyarrow" and hasattr(value, "schema")


def _frame_rows(frame: Any, names: list[str]) -> Iterator[dict[str, Any]]:
    for start in range(0, len(frame), ROWS):
        part = frame.iloc[start : start + ROWS]
        columns = [[plain(cell) for cell in part.iloc[:, i].tolist()] for i in range(len(names))]
        for row in zip(*columns, strict=True):
            yield dict(zip(names, row, strict=True))


def plain(value: Any) -> Any:
    """A numpy or pandas value as Python's own; every kind of missing becomes None."""
    if isinstance(value, float) and value != value:
        return None
    if type(value).__name__ in ("NAType", "NaTType"):
        return None
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        return value.tolist()
    return value
