"""Columns: type numbers by first appearance, however the documents were cut into chunks."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linnaea.config.task import InputConfig
from linnaea.corpus.document import Document, Origin
from linnaea.text.columns import Assembler, Columns, Cutter, Memory, Strings, encode_documents, opened
from tests.text import worlds

EVERY = ("token", "character", "keyword", "topic", "label")
cutter = Cutter(InputConfig(), EVERY)


@given(
    strings=st.lists(st.text(st.characters(), max_size=5), max_size=30),
    start=st.integers(-5, 35),
    stop=st.integers(-5, 35),
)
@settings(deadline=None)
def test_strings_are_a_sequence(strings: list[str], start: int, stop: int) -> None:
    data, lengths = Strings.pack(strings)
    packed = Strings(data, np.concatenate([[0], np.cumsum(lengths)]))
    assert list(packed) == strings
    assert [packed[i] for i in range(len(packed))] == strings
    assert [packed[-i] for i in range(1, len(packed) + 1)] == strings[::-1]
    assert packed[start:stop] == strings[start:stop]
    assert packed[::2] == strings[::2]
    for outside in (len(strings), -len(strings) - 1):
        with pytest.raises(IndexError):
            packed[outside]


def in_words(columns: Columns, column: str) -> list[tuple[str, ...]]:
    return [
        tuple(columns.tables[column][number] for number in row.tolist()) for row in columns.values[column]
    ]


@given(documents=worlds.documents, size=st.integers(1, 9))
@settings(deadline=None)
def test_columns_hold_what_the_documents_hold(documents: list[Document], size: int) -> None:
    columns = encode_documents(documents, cutter, size)
    assert in_words(columns, "token") == [
        d.text if isinstance(d.text, tuple) else tuple(cutter.tokenizer(d.text)) for d in documents
    ]
    assert in_words(columns, "keyword") == [d.keywords for d in documents]
    assert in_words(columns, "topic") == [d.topics for d in documents]
    assert list(columns.ids) == [str(i) for i in range(len(documents))]
    for column in EVERY:
        seen = list(dict.fromkeys(columns.values[column].values.tolist()))
        assert seen == list(range(len(columns.tables[column])))  # by first appearance
        assert columns.values[column].values.dtype == np.int32


@given(documents=worlds.documents, size=st.integers(1, 9))
@settings(deadline=None)
def test_chunks_of_any_size_give_the_same_columns(documents: list[Document], size: int) -> None:
    one, many = encode_documents(documents, cutter, 1000), encode_documents(documents, cutter, size)
    for column in EVERY:
        assert list(one.tables[column]) == list(many.tables[column])
        assert one.values[column].values.tolist() == many.values[column].values.tolist()
        assert one.values[column].offsets_N1.tolist() == many.values[column].offsets_N1.tolist()
    assert one.places.tolist() == many.places.tolist()


def test_ready_tokens_are_used_as_they_are() -> None:
    document = Document("x", ("Don't", "U.S.", " ", "a b"), ("L",))
    columns = encode_documents([document], cutter)
    assert in_words(columns, "token") == [("Don't", "U.S.", " ", "a b")]
    assert in_words(columns, "character") == [tuple("Don't U.S. a b")]
    assert in_words(columns, "label") == [("L",)]
    assert list(columns.ids) == ["x"]


def test_origins_are_kept_through_assembly() -> None:
    origins = [Origin("b.jsonl", 1, 0), None, Origin("a.jsonl", 7, 90), Origin("b.jsonl", 2, 33)]
    documents = [Document("", "x", origin=origin) for origin in origins]
    for size in (1, 2, 10):
        columns = encode_documents(documents, cutter, size)
        assert [columns.origin(row) for row in range(4)] == origins


def test_chunks_survive_a_process_border_and_lose_rows_cleanly() -> None:
    documents = [
        Document(str(i), tuple("ab"[: i % 3]), (f"l{i}",), origin=Origin("f", i + 1, i)) for i in range(6)
    ]
    chunk = pickle.loads(pickle.dumps(cutter.encode(documents))).take(np.array([1, 4]))
    memory = Memory()
    assembler = Assembler(EVERY, memory)
    assembler.add(chunk)
    assembler.finish()
    columns = opened(memory.__getitem__, EVERY, assembler.files, assembler.ready)
    assert in_words(columns, "label") == [("l1",), ("l4",)]
    assert list(columns.ids) == ["1", "4"]
    assert columns.origin(1) == Origin("f", 5, 4)


def test_no_documents() -> None:
    columns = encode_documents([], cutter)
    assert len(columns) == 0 and all(len(columns.values[column]) == 0 for column in EVERY)
