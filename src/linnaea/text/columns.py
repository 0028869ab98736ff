"""Columns: documents as they are written, as numbers into tables of distinct strings.

A column (``token``, ``character``, ``keyword``, ``topic``, ``label``) holds for each document a row of *type
numbers*: running numbers, in the order of first appearance, of the distinct strings in the column's table.
Nothing here depends on a vocabulary or a taxonomy, so another ``min_count`` or closure re-reads nothing.
Documents are encoded chunk by chunk, each chunk with tables of its own (so that chunks can be encoded in
other processes), and assembled in order; the numbers come out the same however the documents were cut into
chunks.

Shape letters: N documents.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count, islice, pairwise
from typing import overload

import numpy as np

from linnaea.config.registry import tokenizers
from linnaea.config.task import CharacterConfig, InputConfig
from linnaea.corpus.document import Document, Origin
from linnaea.ragged import Ragged
from linnaea.text.pretrained import Pieces
from linnaea.text.sinks import Memory, Sink
from linnaea.text.tokenizers import CharacterTokenizer, Tokenizer

SEQUENCES = ("token", "character")
PLACE = np.dtype([("file", "<i4"), ("line", "<i8"), ("offset", "<i8")])
_DECODED = 1 << 14


class Strings(Sequence[str]):
    """Strings in one UTF-8 array, which may be memory-mapped.

    Args:
        data: uint8, all strings one after another.
        offsets: int64, one more than strings, in bytes.
    """

    def __init__(self, data: np.ndarray, offsets: np.ndarray) -> None:
        self._data, self._offsets = data, offsets

    @staticmethod
    def pack(strings: Iterable[str]) -> tuple[np.ndarray, np.ndarray]:
        """``(data, lengths)`` of ``strings``: lengths in bytes, int64."""
        encoded = [string.encode("utf-8", "surrogatepass") for string in strings]
        lengths = np.fromiter(map(len, encoded), dtype=np.int64, count=len(encoded))
        return np.frombuffer(bytearray().join(encoded), dtype=np.uint8), lengths

    def __len__(self) -> int:
        return len(self._offsets) - 1

    @overload
    def __getitem__(self, item: int) -> str: ...
    @overload
    def __getitem__(self, item: slice) -> list[str]: ...
    def __getitem__(self, item: int | slice) -> str | list[str]:
        if isinstance(item, slice):
            start, stop, step = item.indices(len(self))
            return self._range(start, stop) if step == 1 else [self[i] for i in range(start, stop, step)]
        if item < 0:
            item += len(self)
        if not 0 <= item < len(self):
            raise IndexError(item)
        begin, end = self._offsets[item : item + 2]
        return bytes(self._data[begin:end]).decode("utf-8", "surrogatepass")

    def _range(self, start: int, stop: int) -> list[str]:
        if stop <= start:
            return []
        offsets = self._offsets[start : stop + 1]
        data = bytes(self._data[offsets[0] : offsets[-1]])
        ends = (offsets - offsets[0]).tolist()
        return [data[a:b].decode("utf-8", "surrogatepass") for a, b in pairwise(ends)]

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), _DECODED):
            yield from self._range(start, min(start + _DECODED, len(self)))


@dataclass(frozen=True, eq=False)
class Columns:
    """N documents.

    Attributes:
        values: by column: rows of type numbers (int32).
        tables: by column: the distinct strings.
        places: ``PLACE`` ``[N]``: file (a number into ``files``, -1: from Python), line, byte offset.
        ready: how many documents came as tokens rather than as text.
    """

    values: Mapping[str, Ragged]
    tables: Mapping[str, Sequence[str]]
    ids: Sequence[str]
    places: np.ndarray
    files: tuple[str, ...]
    ready: int = 0

    def __len__(self) -> int:
        return len(self.places)

    def origin(self, row: int) -> Origin | None:
        """Where a document came from; None: from Python."""
        file, line, offset = self.places[row].tolist()
        return None if file < 0 else Origin(self.files[file], line, offset)


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some documents in a row, encoded with tables of their own; ids are "" where a document has none."""

    values: dict[str, Ragged]
    tables: dict[str, list[str]]
    ids: list[str]
    places: np.ndarray
    files: tuple[str, ...]
    ready_N: np.ndarray  # bool: the document came as tokens

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: np.ndarray) -> Chunk:
        """Some of its documents; the tables stay."""
        values = {name: ragged.take(rows) for name, ragged in self.values.items()}
        ids = [self.ids[i] for i in rows]
        return Chunk(values, self.tables, ids, self.places[rows], self.files, self.ready_N[rows])


class Cutter:
    """Encodes documents: cuts text as ``config`` says and numbers what it finds.

    Args:
        columns: which columns to fill.
        tokenizer: in place of the one that ``config`` names.
    """

    def __init__(
        self, config: InputConfig, columns: Collection[str], tokenizer: Tokenizer | None = None
    ) -> None:
        self.columns = tuple(columns)
        self.tokenizer: Tokenizer = tokenizer or tokenizers.build(config.tokenizer)
        self._characters = CharacterTokenizer(CharacterConfig())

    def encode(self, documents: Sequence[Document]) -> Chunk:
        """The chunk of ``documents``."""
        values, tables = {}, {}
        for column in self.columns:
            values[column], tables[column] = _numbered(self._rows(column, documents))
        places, files = _places(documents)
        ready_N = np.array([not isinstance(document.text, str) for document in documents], dtype=bool)
        return Chunk(values, tables, [document.id for document in documents], places, files, ready_N)

    def _rows(self, column: str, documents: Sequence[Document]) -> list[Sequence[str]]:
        if column == "token":
            cut = self.tokenizer
            if isinstance(cut, Pieces):  # many texts at once, and tokens are cut further
                return list(cut.rows([d.text for d in documents]))
            return [cut(d.text) if isinstance(d.text, str) else d.text for d in documents]
        if column == "character":
            spell = self._characters
            return [spell(d.text if isinstance(d.text, str) else " ".join(d.text)) for d in documents]
        if column == "keyword":
            return [d.keywords for d in documents]
        if column == "topic":
            return [d.topics for d in documents]
        return [d.labels or () for d in documents]


def _numbers() -> defaultdict[str, int]:
    """A table that gives each new key the next number (all in C)."""
    return defaultdict(count().__next__)


def _numbered(rows: list[Sequence[str]]) -> tuple[Ragged, list[str]]:
    table = _numbers()
    lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
    flat = map(table.__getitem__, chain.from_iterable(rows))
    values = np.fromiter(flat, dtype=np.int32, count=int(lengths.sum()))
    return Ragged.from_lengths(values, lengths), list(table)


def _places(documents: Sequence[Document]) -> tuple[np.ndarray, tuple[str, ...]]:
    files: dict[str, int] = {}
    places = np.full(len(documents), -1, dtype=PLACE)
    known = [(i, d.origin) for i, d in enumerate(documents) if d.origin is not None]
    if known:
        rows = [i for i, _ in known]
        places["file"][rows] = [files.setdefault(origin.file, len(files)) for _, origin in known]
        places["line"][rows] = [origin.line for _, origin in known]
        places["offset"][rows] = [origin.offset for _, origin in known]
    return places, tuple(files)


class Assembler:
    """Puts chunks together, in order, into a sink.

    Only the tables of distinct strings are held in memory; all else goes to the sink at once. ``ready`` counts the
    documents that came as tokens.
    """

    def __init__(self, columns: Iterable[str], sink: Sink) -> None:
        self._sink = sink
        self.tables = {column: _numbers() for column in columns}
        self.ready = 0
        self._files: dict[str, int] = {}
        self._ends = dict.fromkeys((*self.tables, "ids"), 0)
        for name in self._ends:
            self._sink.append(f"{name}.offsets", np.zeros(1, dtype=np.int64))
        for column in self.tables:
            self._sink.append(f"{column}.values", np.zeros(0, dtype=np.int32))
        self._sink.append("places", np.zeros(0, dtype=PLACE))

    @property
    def files(self) -> tuple[str, ...]:
        """The names of the files, in the order of their first document."""
        return tuple(self._files)

    def add(self, chunk: Chunk) -> None:
        """Append the documents of ``chunk``, whose ids are final."""
        self.ready += int(chunk.ready_N.sum())
        for column, table in self.tables.items():
            ragged = chunk.values[column]
            local = chunk.tables[column]
            numbers = np.fromiter(map(table.__getitem__, local), dtype=np.int32, count=len(local))
            self._sink.append(f"{column}.values", numbers[ragged.values])
            self._offsets(column, ragged.lengths_N)
        data, lengths = Strings.pack(chunk.ids)
        self._sink.append("ids.data", data)
        self._offsets("ids", lengths)
        places = chunk.places.copy()
        if chunk.files:
            files = np.array(
                [self._files.setdefault(f, len(self._files)) for f in chunk.files], dtype=np.int32
            )
            places["file"] = np.where(places["file"] >= 0, files[places["file"]], -1)
        self._sink.append("places", places)

    def finish(self) -> None:
        """Write the tables."""
        for column, table in self.tables.items():
            keys = iter(table)
            self._sink.append(f"{column}.table.offsets", np.zeros(1, dtype=np.int64))
            end = 0
            while block := list(islice(keys, _DECODED)):
                data, lengths = Strings.pack(block)
                self._sink.append(f"{column}.table.data", data)
                self._sink.append(f"{column}.table.offsets", end + np.cumsum(lengths))
                end += int(lengths.sum())
            if not end:
                self._sink.append(f"{column}.table.data", np.zeros(0, dtype=np.uint8))
        if not self._ends["ids"]:
            self._sink.append("ids.data", np.zeros(0, dtype=np.uint8))

    def _offsets(self, name: str, lengths: np.ndarray) -> None:
        self._sink.append(f"{name}.offsets", self._ends[name] + np.cumsum(lengths))
        self._ends[name] += int(lengths.sum())


def opened(
    array: Callable[[str], np.ndarray], columns: Iterable[str], files: Sequence[str], ready: int
) -> Columns:
    """Columns over the arrays of a sink.

    Args:
        array: gives the array of a name.
        ready: how many documents came as tokens.
    """
    columns = tuple(columns)
    return Columns(
        {c: Ragged(array(f"{c}.values"), array(f"{c}.offsets")) for c in columns},
        {c: Strings(array(f"{c}.table.data"), array(f"{c}.table.offsets")) for c in columns},
        Strings(array("ids.data"), array("ids.offsets")),
        array("places"),
        tuple(files),
        ready,
    )


def encode_documents(documents: Iterable[Document], cutter: Cutter, size: int = 4096) -> Columns:
    """Encode documents from Python, in memory; those without an id get their running number."""
    stream, done = iter(documents), 0
    pieces: list[Chunk] = []
    while block := list(islice(stream, size)):
        pieces.append(_with_ids(cutter.encode(block), done))
        done += len(block)
    if len(pieces) <= 1:
        # The way of a single question: nothing to put together.
        one = pieces[0] if pieces else cutter.encode([])
        return Columns(one.values, one.tables, one.ids, one.places, one.files, int(one.ready_N.sum()))
    memory = Memory()
    assembler = Assembler(cutter.columns, memory)
    for piece in pieces:
        assembler.add(piece)
    assembler.finish()
    return opened(memory.__getitem__, cutter.columns, assembler.files, assembler.ready)


def _with_ids(chunk: Chunk, first: int) -> Chunk:
    ids = [id or str(number) for number, id in enumerate(chunk.ids, first)]
    return Chunk(chunk.values, chunk.tables, ids, chunk.places, chunk.files, chunk.ready_N)
