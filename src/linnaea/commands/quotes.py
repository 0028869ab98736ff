"""Quotes: the beginnings of the documents that a report shows, kept in the run folder.

Texts are read again where they came from. Where that is no longer there, or where documents came from Python, the tokens
that the encoded corpus holds are joined: nearly the text, as it was cut.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from linnaea.config.task import DataConfig
from linnaea.corpus.chunks import ROWS, RawChunk, chunks, format_of
from linnaea.corpus.document import Document, Origin
from linnaea.corpus.readers import parse_chunk
from linnaea.corpus.records import Fields
from linnaea.errors import LinnaeaError
from linnaea.files import atomic, read_json
from linnaea.report.mistakes import mistakes
from linnaea.run_folder import RunFolder

if TYPE_CHECKING:
    from linnaea.metrics.outcome import Outcome
    from linnaea.text.store import Split

LENGTH = 400  # characters


def write_quotes(run: RunFolder, splits: Split | Sequence[Split], outcome: Outcome) -> None:
    """Write ``quotes.jsonl``: a line a quoted document, with its row in ``outcome``, id and text.

    Args:
        splits: the scored documents; several stand one after another, as out-of-fold scores have them.

    Raises:
        RunError: the folder cannot be written.
    """
    parts = [splits] if not isinstance(splits, Sequence) else list(splits)
    data = DataConfig.read(read_json(run.config)["data"]) if run.config.exists() else DataConfig()
    rows = mistakes(outcome).documents
    ids = outcome.predictions.ids
    with atomic(run.quotes, "w") as file:
        for row, text in zip(rows.tolist(), _texts(parts, rows, data, ids), strict=True):
            line = {"row": row, "id": ids[row], "text": shortened(text)}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def shortened(text: str, length: int = LENGTH) -> str:
    """``text`` on one line, cut to ``length`` characters."""
    text = " ".join(text[: 4 * length].split())
    text = text.encode("utf-8", "replace").decode()  # half characters cannot be written
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def _texts(splits: list[Split], rows: np.ndarray, data: DataConfig, ids: Sequence[str]) -> list[str]:
    """The texts of the rows, counted over all splits."""
    starts = np.cumsum([0, *(len(split) for split in splits)])
    numbers = np.searchsorted(starts, rows, side="right") - 1
    homes = [
        (splits[number], row)
        for number, row in zip(numbers.tolist(), (rows - starts[numbers]).tolist(), strict=True)
    ]
    origins = [split.origin(row) for split, row in homes]
    found = _read_again({origin for origin in origins if origin is not None}, data)
    texts = []
    for (split, row), origin, name in zip(homes, origins, (ids[row] for row in rows.tolist()), strict=True):
        document = None if origin is None else found.get((origin.file, origin.line))
        # Another id: the file is no longer the one that was read.
        whole = document is not None and document.id in ("", name)
        texts.append(_plain(document) if whole and document is not None else _joined(split, row))
    return texts


def _plain(document: Document) -> str:
    return document.text if isinstance(document.text, str) else " ".join(document.text)


def _joined(split: Split, row: int) -> str:
    """The stored tokens of a document; where none are read its keywords and topics."""
    columns = split.columns
    row = row if split.rows_N is None else int(split.rows_N[row])

    def strings(name: str) -> list[str]:
        numbers = columns.values[name][row][:LENGTH].tolist() if name in columns.values else []
        return [columns.tables[name][number] for number in numbers]

    for name, between in (("token", " "), ("character", "")):
        if name in columns.values:
            return between.join(strings(name))
    return ", ".join([*strings("keyword"), *strings("topic")])


def _read_again(origins: Iterable[Origin], data: DataConfig) -> dict[tuple[str, int], Document]:
    """The documents at ``origins``, by file and line; those that cannot be read any more are missing."""
    by_file: dict[str, list[Origin]] = {}
    for origin in sorted(origins):
        by_file.setdefault(origin.file, []).append(origin)
    found = {}
    for file, places in by_file.items():
        wanted = {origin.line for origin in places}
        try:
            for chunk in _holding(file, places, data):
                for document in parse_chunk(chunk, data, need_labels=False):
                    if isinstance(document, Document) and document.origin and document.origin.line in wanted:
                        found[file, document.origin.line] = document
        except (LinnaeaError, OSError):
            continue  # moved, changed, or standard input
    return found


def _holding(file: str, places: list[Origin], data: DataConfig) -> Iterator[RawChunk]:
    """What is to be parsed: single lines where they can be gone to, else all chunks that hold one of them."""
    kind = format_of(file, data.format)
    if kind in ("jsonl", "text") and not file.endswith(".gz") and all(o.offset >= 0 for o in places):
        with open(file, "rb") as lines:
            for origin in places:
                lines.seek(origin.offset)
                yield RawChunk(file, kind, lines.readline(), origin.line, origin.offset)
        return
    wanted = np.array([origin.line for origin in places])
    for chunk in chunks(file, data.format, Fields.of(data.fields).names):
        if chunk.lines is not None:
            held = bool(np.isin(wanted, chunk.lines).any())
        else:
            count = ROWS if chunk.format == "parquet" else chunk.data.count(b"\n") + 1
            held = bool(((wanted >= chunk.line) & (wanted < chunk.line + count)).any())
        if held:
            yield chunk
        if chunk.line > wanted[-1]:
            return
