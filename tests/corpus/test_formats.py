"""Plain text, CSV, TSV, Parquet, JSON arrays, gzip, standard input."""

from __future__ import annotations

import csv
import gzip
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linnaea.config.task import DataConfig, FieldsConfig
from linnaea.corpus import chunks as chunks_module
from linnaea.corpus import stream
from linnaea.corpus.chunks import chunks
from linnaea.corpus.document import Document
from linnaea.corpus.policy import ErrorPolicy
from linnaea.corpus.readers import parse_chunk, read_documents
from linnaea.errors import DataError

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def put(data: bytes | str, name: str) -> str:
        path = tmp_path / name
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return str(path)

    return put


def read(path: str, *, need_labels: bool = False, mode: Any = "raise", **settings: Any) -> list[Document]:
    return list(read_documents(path, DataConfig(**settings), ErrorPolicy(mode), need_labels=need_labels))


# Plain text


def test_plain_text(write: Write) -> None:
    path = write(b"\xef\xbb\xbfone line\r\n\ntwo\0 lines\nlast", "a.txt")
    documents = read(path)
    assert [d.text for d in documents] == ["one line", "", "two\0 lines", "last"]
    assert [d.id for d in documents] == ["0", "1", "2", "3"]
    assert [d.origin for d in documents] == [(path, 1, 3), (path, 2, 13), (path, 3, 14), (path, 4, 25)]
    assert {d.labels for d in documents} == {None}
    assert [d.text for d in read(write("\n", "b.txt"))] == [""]


def test_plain_text_that_is_bad(write: Write) -> None:
    path = write(b"good\nb\xe4d\nalso good\n", "a.txt")
    with pytest.raises(DataError) as caught:
        read(path)
    assert str(caught.value) == f"{path}:2: not UTF-8: byte 0xe4 at byte 2 of the line"
    assert [d.text for d in read(path, mode="skip")] == ["good", "also good"]
    with pytest.raises(DataError, match=r"a.txt: plain text has no labels \(use JSON lines or CSV"):
        read(path, need_labels=True)


@settings(deadline=None)
@given(st.text(st.characters(exclude_characters="\r\ufeff", codec="utf-8"), max_size=40), st.integers(1, 9))
def test_any_plain_text(text: str, block: int) -> None:
    data = text.encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        patch.setattr(stream, "BLOCK", block)
        found = [d for chunk in chunks("-", "text") for d in parse_chunk(chunk, DataConfig(), False)]
    expected = text.split("\n")
    assert [d.text for d in found if isinstance(d, Document)] == (expected if expected[-1] else expected[:-1])


# CSV and TSV


def test_csv(write: Write) -> None:
    path = write(
        '\ufeffid,text,labels,doc_keyword,other\r\n'
        'a,"two\r\nlines, ""quoted""",A--B; C ;A--B,k1;k2,x\r\n'
        '\r\n'
        ',plain 5" pipe,"[""x;y"", ""z""]",,y\r\n'
        'b,,[],,z\r\n',
        "a.csv",
    )  # fmt: skip
    documents = read(path, need_labels=True)
    assert [d.text for d in documents] == ['two\r\nlines, "quoted"', 'plain 5" pipe', ""]
    assert [d.labels for d in documents] == [("A--B", "C"), ("x;y", "z"), ()]
    assert [d.keywords for d in documents] == [("k1", "k2"), (), ()]
    assert [d.id for d in documents] == ["a", "1", "b"]
    assert [d.origin.line for d in documents if d.origin] == [2, 5, 6]
    data = Path(path).read_bytes()
    assert [data[d.origin.offset :][:2] for d in documents if d.origin] == [b"a,", b",p", b"b,"]


def test_tsv_tokens_and_another_delimiter(write: Write) -> None:
    path = write("doc_token\ttags\na  b c\tx|y;z\n\tq\n", "a.tsv")
    documents = read(path, need_labels=True, label_delimiter="|", fields=FieldsConfig(labels="tags"))
    assert [(d.text, d.labels) for d in documents] == [(("a", "b", "c"), ("x", "y;z")), ((), ("q",))]


def test_csv_joined_text(write: Write) -> None:
    path = write("title,body\nt,b\n,b\n,\n", "a.csv")
    assert [d.text for d in read(path, fields=FieldsConfig(text=["title", "body"]))] == ["t\nb", "b", ""]


CSV_CASES: dict[str, tuple[bytes, int, str]] = {
    "too many cells": (
        b"text,labels\na,x\nb,c,x\n",
        3,
        "3 cells, but the header has 2 (put cells that hold the delimiter in quotes)",
    ),
    "too few cells": (b"text,labels\na,x\nb\n", 3, "1 cell, but the header has 2"),
    "unclosed quote": (b'text,labels\n"a\nb",x\n"never closed,x\nd,x\n', 4, "a quoted cell is never closed"),
    "no labels in a cell": (
        b"text,labels\na,x\nb, \n",
        3,
        "not labelled: field 'labels' is empty (write [] for",
    ),
    "not UTF-8": (b'text,labels\na,x\n"b\nc\xff",x\n', 4, "not UTF-8: byte 0xff at byte 2 of the line"),
    "carriage return in a row": (
        b"text,labels\na,x\nb\rc,x\n",
        3,
        "broken row: new-line character seen in unquoted field",
    ),
}


@pytest.mark.parametrize("case", CSV_CASES)
def test_bad_csv_rows(case: str, write: Write) -> None:
    data, line, message = CSV_CASES[case]
    path = write(data, "a.csv")
    with pytest.raises(DataError) as caught:
        read(path, need_labels=True)
    assert str(caught.value).startswith(f"{path}:{line}: ")
    assert message in str(caught.value)
    assert len(read(path, need_labels=True, mode="skip")) == 1


CSV_FILES: dict[str, tuple[bytes, str]] = {
    "no text": (
        b"id,body,labels\n1,a,x\n",
        ":1: no column 'text' or 'doc_token' (did you mean data.fields.text = 'body'?)",
    ),
    "no labels": (
        b"text,category\na,x\n",
        ":1: no column 'doc_label' or 'labels', so nothing is labelled (did you mean "
        "data.fields.labels = 'category'?)",
    ),
    "another delimiter": (
        b"text;labels\na;x\n",
        ":1: no column 'text' or 'doc_token' (there is only one column",
    ),
    "a column twice": (b"text,text\na,b\n", ":1: two columns are named 'text'"),
    "header only": (b"text,labels\n", ": holds no documents"),
    "header only, a column missing": (b"texts,labels\n", ":1: no column 'text'"),
    "empty": (b"", ": holds no documents"),
    "header not UTF-8": (b"text,l\xe4bel\na,b\n", ":1: the header is not UTF-8"),
}


@pytest.mark.parametrize("case", CSV_FILES)
def test_bad_csv_files(case: str, write: Write) -> None:
    data, message = CSV_FILES[case]
    path = write(data, "a.csv")
    with pytest.raises(DataError) as caught:
        read(path, need_labels=True, mode="skip")
    assert str(caught.value).startswith(path + message)


def test_a_mapped_column_must_be_there(write: Write) -> None:
    path = write("text,labels,keys\na,x,k\n", "a.csv")
    with pytest.raises(
        DataError,
        match=r"a.csv:1: no column 'key', which data.fields.keywords names \(did you mean 'keys'\?\)",
    ):
        read(path, fields=FieldsConfig(keywords="key"))
    assert read(path, fields=FieldsConfig(labels="tags"))[0].labels is None  # nobody asked for labels
    with pytest.raises(DataError, match=r"no column 'tags', which data.fields.labels names"):
        read(path, fields=FieldsConfig(labels="tags"), need_labels=True)


def test_a_csv_cell_of_a_megabyte(write: Write) -> None:
    path = write("text\n" + "word " * 200_000 + "\n", "a.csv")
    assert len(read(path)[0].text) == 1_000_000


cells = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=12)


@settings(deadline=None)
@given(
    st.lists(st.tuples(cells, cells), min_size=1, max_size=20),
    st.integers(1, 60),
    st.sampled_from(["csv", "tsv"]),
)
def test_any_csv(rows: list[tuple[str, str]], block: int, kind: str) -> None:
    out = io.StringIO()
    writer = csv.writer(out, delimiter="\t" if kind == "tsv" else ",", lineterminator="\n")
    writer.writerows([("text", "other"), *rows])
    data = out.getvalue().encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        patch.setattr(stream, "BLOCK", block)
        patch.setattr(chunks_module, "BLOCK", block)
        found = list(chunks("-", kind))
        documents = [d for chunk in found for d in parse_chunk(chunk, DataConfig(), False)]
    assert [d.text for d in documents if isinstance(d, Document)] == [text for text, _ in rows]
    for document in documents:
        assert isinstance(document, Document)
        assert document.origin is not None
        assert document.origin.line == data[: document.origin.offset].count(b"\n") + 1
    for chunk in found:
        assert data[chunk.offset :].startswith(chunk.data)


# JSON arrays


def test_json_array(write: Write) -> None:
    path = write(
        '\ufeff [\n {"text": "a",\n  "doc_label": ["x"]},\n\n {"text": "b"}, {"text": 3}\n]\n', "a.json"
    )
    policy = ErrorPolicy("collect")
    documents = list(read_documents(path, DataConfig(), policy, need_labels=False))
    assert [(d.text, d.origin.line, d.origin.offset) for d in documents if d.origin] == [
        ("a", 2, -1),
        ("b", 5, -1),
    ]
    assert str(policy.problems[0]) == f"{path}:5: field 'text': expected a string, received a number (3)"


@settings(deadline=None)
@given(
    st.lists(st.dictionaries(st.sampled_from(["text", "x"]), st.text(max_size=5)), max_size=8),
    st.sampled_from([None, 1]),
)
def test_any_json_array(records: list[dict[str, str]], indent: int | None) -> None:
    data = json.dumps(
        [{"text": "", **record} for record in records], indent=indent, ensure_ascii=False
    ).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        patch.setattr(chunks_module, "BLOCK", 20)
        documents = [d for chunk in chunks("-") for d in parse_chunk(chunk, DataConfig(), False)]
    assert [d.text for d in documents if isinstance(d, Document)] == [r.get("text", "") for r in records]


def test_broken_json_arrays(write: Write) -> None:
    path = write('[\n {"text": "a"},\n {"text": }\n]\n', "a.json")
    with pytest.raises(
        DataError, match=r"a.json:3: broken JSON: expecting value, column 11 \(the file begins with '\['"
    ):
        read(path)
    path = write(b'[\n {"text": "a"},\n {"text": "\xff"}\n', "b.json")
    with pytest.raises(DataError, match=r"b.json:3: not UTF-8: byte 0xff"):
        read(path)
    with pytest.raises(DataError, match=r"c.json: holds no documents"):
        read(write("[]", "c.json"))


# gzip


def test_gzip(write: Write) -> None:
    whole = gzip.compress(b'{"text": "a"}\n{"text": "b"}\n') + gzip.compress(b'{"text": "c"}\n')
    documents = read(write(whole, "a.jsonl.gz"))
    assert [d.text for d in documents] == ["a", "b", "c"]
    assert documents[2].origin is not None
    assert documents[2].origin[1:] == (3, 28)
    assert [d.text for d in read(write(gzip.compress(b"text\na\n"), "a.csv.gz"))] == ["a"]


def test_broken_gzip(write: Write) -> None:
    whole = gzip.compress(b"\n".join(b'{"text": "%d"}' % i for i in range(5000)))
    for path, message in (
        (write(whole[:-5], "cut.jsonl.gz"), "the gzip file is cut off"),
        (write(b'{"text": "a"}', "plain.jsonl.gz"), "is not compressed with gzip (rename it without .gz)"),
        (write(whole[:40] + b"\0" * 9 + whole[50:], "torn.jsonl.gz"), "broken gzip: "),
        (write(whole, "unnamed.jsonl"), "is compressed with gzip (let its name end in .gz)"),
    ):
        with pytest.raises(DataError) as caught:
            read(path, mode="skip")
        assert str(caught.value).startswith(f"{path}: {message}")


# Parquet


def table() -> Any:
    columns = {
        "id": pa.array(["a", None, "c"]),
        "text": pa.array(["x y", "z", ""]).dictionary_encode(),
        "labels": pa.array([["A"], [], ["B", "B"]]),
        "doc_keyword": pa.array([["k"], None, []]),
        "unused": pa.array([1, 2, 3]),
    }
    return pa.table(columns)


def check_table(documents: list[Document]) -> None:
    assert [(d.id, d.text, d.labels, d.keywords) for d in documents] == [
        ("a", "x y", ("A",), ("k",)), ("1", "z", (), ()), ("c", "", ("B",), ()),
    ]  # fmt: skip


def test_parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "a.parquet")
    pq.write_table(table(), path)
    documents = read(path, need_labels=True)
    check_table(documents)
    assert [d.origin for d in documents] == [(path, 1, -1), (path, 2, -1), (path, 3, -1)]
    (chunk,) = chunks(path, columns=["text"])
    assert pa.ipc.open_stream(chunk.data).read_all().column_names == ["text"]
    monkeypatch.setattr(chunks_module, "ROWS", 1)
    assert len(list(chunks(path))) == 3
    assert read(path, need_labels=True) == documents
    with gzip.open(tmp_path / "b.parquet.gz", "wb") as file:
        file.write(Path(path).read_bytes())
    check_table(read(str(tmp_path / "b.parquet.gz"), need_labels=True))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(Path(path).read_bytes())))
    check_table(read("-", need_labels=True, format="parquet"))


def test_parquet_with_strings(tmp_path: Path) -> None:
    path = str(tmp_path / "a.parquet")
    pq.write_table(pa.table({"doc_token": ["a b", ""], "labels": ["x;y", "z"]}), path)
    assert [(d.text, d.labels) for d in read(path, need_labels=True)] == [
        (("a", "b"), ("x", "y")),
        ((), ("z",)),
    ]


def test_bad_parquet(tmp_path: Path, write: Write) -> None:
    path = str(tmp_path / "a.parquet")
    pq.write_table(
        pa.table({"text": pa.array(["a", None, "b"]), "labels": pa.array([["x"], ["y"], None])}), path
    )
    policy = ErrorPolicy("collect")
    assert len(list(read_documents(path, DataConfig(), policy, need_labels=True))) == 1
    assert [str(p)[len(path) :] for p in policy.problems] == [
        ":2: no text: field 'text' is null",
        ":3: not labelled: field 'labels' is null (write [] for a document that belongs nowhere)",
    ]
    pq.write_table(pa.table({"text": pa.array([1, 2])}), path)
    with pytest.raises(
        DataError, match=r"a.parquet:1: field 'text': expected a string, received a number \(1\)"
    ):
        read(path)
    pq.write_table(pa.table({"body": pa.array(["a"])}), path)
    with pytest.raises(
        DataError, match=r"a.parquet: no column 'text' .*did you mean data.fields.text = 'body'"
    ):
        read(path)
    with pytest.raises(DataError, match=r"b.parquet: not a Parquet file that can be read: "):
        read(write("no parquet", "b.parquet"))
    whole = Path(path).read_bytes()
    with pytest.raises(DataError, match=r"c.parquet: not a Parquet file that can be read: "):
        read(write(whole[:-20], "c.parquet"))
    with pytest.raises(DataError, match=r"d.jsonl: is a Parquet file"):
        read(write(whole, "d.jsonl"))
    pq.write_table(table().slice(0, 0), path)
    with pytest.raises(DataError, match="holds no documents"):
        read(path)


# Standard input


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'\n  {"text": "a"}\n{"text": "b"}\n', ["a", "b"]),
        (b"a\nb", ["a", "b"]),
        (b'\xef\xbb\xbf{"text": "a"}\n', ["a"]),
        (b'[{"text": "a"}]', ["a"]),
        (gzip.compress(b'{"text": "a"}\n', mtime=0), ["a"]),
    ],
)
def test_standard_input(data: bytes, expected: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    documents = read("-")
    assert [d.text for d in documents] == expected
    assert documents[0].origin is not None
    assert documents[0].origin.file == "standard input"


def test_standard_input_with_a_format_and_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"text": "a"}\n')))
    assert [d.text for d in read("-", format="text")] == ['{"text": "a"}']
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"text": "a"}\n{"text"\n')))
    with pytest.raises(DataError, match="standard input:2: broken JSON"):
        read("-")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(DataError, match="standard input: holds no documents"):
        read("-")


def test_a_pipe_is_read_as_it_comes() -> None:
    """The first lines are documents before the pipe is closed."""
    program = (
        "from linnaea.config.task import DataConfig\n"
        "from linnaea.corpus.policy import ErrorPolicy\n"
        "from linnaea.corpus.readers import read_documents\n"
        "for d in read_documents('-', DataConfig(), ErrorPolicy(), need_labels=False):\n"
        "    print(d.text, flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for word in (b"first", b"second"):
            process.stdin.write(b'{"text": "' + word + b'"}\n')
            process.stdin.flush()
            assert process.stdout.readline().strip() == word
        process.stdin.close()
        assert process.wait() == 0


def test_format_by_setting(write: Write) -> None:
    assert [d.text for d in read(write("a\nb\n", "a.log"), format="text")] == ["a", "b"]
    assert [d.text for d in read(write('{"text": "a"}\n', "a.txt"), format="jsonl")] == ["a"]


def test_readers_load_no_heavy_packages(write: Write) -> None:
    path = write('{"text": "a", "doc_label": ["x"]}\n', "a.jsonl")
    program = (
        "import sys\n"
        "from linnaea.config.task import DataConfig\n"
        "from linnaea.corpus.check import check_corpus\n"
        "import linnaea.corpus.stdlib\n"
        f"check_corpus(DataConfig(train=[{path!r}])).lines()\n"
        "heavy = {'torch', 'scipy', 'sklearn', 'pandas', 'pyarrow'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
