"""JSON lines: what is accepted; for all else one error with file, line, field, expected and received."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linnaea.config.task import DataConfig, FieldsConfig
from linnaea.corpus import stream
from linnaea.corpus.document import Document
from linnaea.corpus.policy import DocumentError, ErrorPolicy
from linnaea.corpus.readers import RawChunk, chunks, parse_chunk, read_documents
from linnaea.errors import DataError

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def put(data: bytes | str, name: str = "train.jsonl") -> str:
        path = tmp_path / name
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return str(path)

    return put


def read(
    path: str | list[str], *, need_labels: bool = True, mode: Any = "raise", **fields: Any
) -> list[Document]:
    config = DataConfig(fields=FieldsConfig(**fields)) if fields else DataConfig()
    return list(read_documents(path, config, ErrorPolicy(mode), need_labels=need_labels))


def test_a_document(write: Write) -> None:
    path = write(
        '{"id": "a", "text": "x y", "doc_label": ["A--B", "C", "A--B"], "doc_keyword": ["k"], "doc_topic": '
        '["t"]}\n'
    )
    (document,) = read(path)
    assert document.id == "a"
    assert document.text == "x y"
    assert document.labels == ("A--B", "C")  # a label counts once
    assert document.keywords == ("k",)
    assert document.topics == ("t",)
    assert document.origin == (path, 1, 0)


def test_names_of_label_fields_and_ids(write: Write) -> None:
    path = write(
        '{"text": "a", "labels": ["x"]}\n'
        '{"text": "b", "labels": ["x"], "doc_label": ["y"]}\n'
        '{"id": 7, "doc_token": ["b", "c"], "doc_label": []}\n'
        '{"text": "c", "doc_label": ["x"], "labels": 3}\n'
    )
    documents = read(path)
    assert [d.labels for d in documents] == [("x",), ("y",), (), ("x",)]
    assert [d.id for d in documents] == ["0", "1", "7", "3"]
    assert documents[2].text == ("b", "c")


def test_tokens_come_before_text_unless_they_are_empty(write: Write) -> None:
    path = write(
        '{"text": "a b", "doc_token": ["c"]}\n{"text": "a b", "doc_token": []}\n{"text": null, "doc_token": '
        "[]}\n"
    )
    assert [d.text for d in read(path, need_labels=False)] == [("c",), "a b", ()]


def test_unlabelled_is_not_labelled_with_nothing(write: Write) -> None:
    path = write('{"text": "a"}\n{"text": "b", "doc_label": []}\n{"text": "c", "doc_label": null}\n')
    assert [d.labels for d in read(path, need_labels=False)] == [None, (), None]


def test_several_text_fields_are_joined(write: Write) -> None:
    path = write('{"title": "t", "body": "b"}\n{"title": null, "body": "b"}\n{"title": ""}\n{"x": "y"}\n')
    with pytest.raises(DataError, match=r"train.jsonl:4: no text: no field 'title' or 'body' or 'doc_token'"):
        read(path, need_labels=False, text=["title", "body"])
    kept = read(path, need_labels=False, mode="skip", text=["title", "body"])
    assert [d.text for d in kept] == ["t\nb", "b", ""]


def test_mapped_names(write: Write) -> None:
    path = write('{"key": 3, "words": ["a"], "tags": ["x"], "kw": ["k"], "tp": ["t"], "text": 3}\n')
    (document,) = read(path, id="key", tokens="words", labels="tags", keywords="kw", topics="tp")
    assert document == Document("3", ("a",), ("x",), ("k",), ("t",), document.origin)


def test_one_field_may_serve_twice(write: Write) -> None:
    (document,) = read(write('{"text": "a", "doc_label": ["x"]}\n'), id="text")
    assert (document.id, document.text) == ("a", "a")


def test_accepted_oddities(write: Write) -> None:
    data = (
        b'\xef\xbb\xbf{"text": "a"}\r\n\r\n   \n{"text": "nul \\u0000, \\ud83d\\ude00"}\r\n'
        b'{"text": "c", "score": NaN, "deep": {"x": [1, 2]}}\n{"doc_token": [], "extra": "\xff"}'
    )
    path = write(data)
    documents = read(path, need_labels=False)
    assert [d.text for d in documents] == ["a", "nul \0, 😀", "c", ()]
    assert [d.origin.line for d in documents if d.origin] == [1, 4, 5, 6]
    for document in documents:
        assert document.origin is not None
        assert data[document.origin.offset :].lstrip().startswith(b"{")


def test_a_line_of_ten_megabytes(write: Write) -> None:
    text = "word " * 2_000_000
    documents = read(write(json.dumps({"text": text}) + "\n" + '{"text": "b"}\n'), need_labels=False)
    assert [len(d.text) for d in documents] == [len(text), 1]
    assert documents[1].origin is not None
    assert documents[1].origin.line == 2


CASES: dict[str, tuple[bytes, str]] = {
    "cut off": (b'{"text": "a", "doc_label": [', "broken JSON: expecting value, column 29"),
    "unclosed string": (b'{"text": "a', "broken JSON: unterminated string starting at, column 10"),
    "single quotes": (
        b"{'text': 'a'}",
        "broken JSON: expecting property name enclosed in double quotes, column 2",
    ),
    "two objects": (b'{"text": "a"} {"text": "b"}', "broken JSON: extra data, column 15"),
    "line end in a string": (b'{"text": "a\tb"}', "broken JSON: invalid control character at, column 12"),
    "nested too deep": (b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "broken JSON: nested too deep"),
    "huge number": (b'{"text": "a", "id": ' + b"9" * 5000 + b"}", "broken JSON"),
    "not UTF-8": (b'{"text": "a\xff"}', "not UTF-8: byte 0xff at byte 12 of the line"),
    "surrogate bytes": (b'{"text": "\xed\xa0\x80"}', "not UTF-8: byte 0xed at byte 11 of the line"),
    "lone surrogate": (b'{"text": "a\\ud800b"}', r"\ud800 is half a character (a lone surrogate)"),
    "lone surrogate in a label": (b'{"text": "a", "doc_label": ["\\udc00"]}', r"\udc00 is half a character"),
    "a list": (b'  ["a"]', "a document is a JSON object, received a list"),
    "a string": (b'"a"', "a document is a JSON object, received a string ('a')"),
    "a number": (b"3", "a document is a JSON object, received a number (3)"),
    "null": (b"null", "a document is a JSON object, received null"),
    "tokens as a string": (
        b'{"doc_token": "a b", "doc_label": []}',
        "field 'doc_token': expected a list of strings, received a string ('a b') "
        "(did you mean data.fields.text = 'doc_token'?)",
    ),
    "a number among tokens": (
        b'{"doc_token": ["a", 3.5]}',
        "field 'doc_token': expected a list of strings, received a number (3.5) at position 2",
    ),
    "null among tokens": (
        b'{"doc_token": [null]}',
        "expected a list of strings, received null at position 1",
    ),
    "text as a list": (
        b'{"text": ["a", "b"]}',
        "field 'text': expected a string, received a list (did you mean data.fields.tokens = 'text'?)",
    ),
    "text as a number": (b'{"text": 5}', "field 'text': expected a string, received a number (5)"),
    "labels as a string": (
        b'{"text": "a", "doc_label": "x"}',
        "field 'doc_label': expected a list of strings, received a string ('x') (write [\"x\"])",
    ),
    "a number among labels": (
        b'{"text": "a", "labels": ["x", 1]}',
        "field 'labels': expected a list of strings, received a number (1) at position 2",
    ),
    "true among labels": (b'{"text": "a", "labels": [true]}', "received true at position 1"),
    "labels as an object": (b'{"text": "a", "labels": {"x": 1}}', "received an object"),
    "keywords as a string": (
        b'{"text": "a", "doc_keyword": "k"}',
        "field 'doc_keyword': expected a list of strings",
    ),
    "topics as a number": (b'{"text": "a", "doc_topic": 1}', "field 'doc_topic': expected a list of strings"),
    "id as a fraction": (
        b'{"text": "a", "id": 1.5}',
        "field 'id': expected a string or an integer, received a number (1.5)",
    ),
    "id as a truth": (
        b'{"text": "a", "id": true}',
        "field 'id': expected a string or an integer, received true",
    ),
    "an empty id": (b'{"text": "a", "id": ""}', "field 'id' is empty (leave it out, or give an id)"),
    "no text": (
        b'{"doc_label": [], "body": "some words", "year": 3}',
        "no text: no field 'text' or 'doc_token' (did you mean data.fields.text = 'body'?)",
    ),
    "a misspelt field": (b'{"txt": "a b"}', "(did you mean data.fields.text = 'txt'?)"),
    "misspelt tokens": (b'{"doc_tokens": ["a b"]}', "(did you mean data.fields.tokens = 'doc_tokens'?)"),
    "an unusual field": (
        b'{"lang": "en", "blurb": "a longer text"}',
        "(did you mean data.fields.text = 'blurb'?)",
    ),
    "null text": (b'{"text": null}', "no text: field 'text' is null"),
    "an empty object": (b"{}", "no text: no field 'text' or 'doc_token'"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_lines(case: str, write: Write) -> None:
    line, message = CASES[case]
    path = write(b'{"text": "good"}\n\n' + line + b'\n{"text": "good too"}\n')
    with pytest.raises(DataError) as caught:
        read(path, need_labels=False)
    assert str(caught.value).startswith(f"{path}:3: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    # The broken line spoils itself only, and is counted.
    policy = ErrorPolicy("skip")
    kept = list(read_documents(path, DataConfig(), policy, need_labels=False))
    assert [d.text for d in kept] == ["good", "good too"]
    assert [d.id for d in kept] == ["0", "1"]
    assert policy.left_out == 1
    # It crosses process borders whole, with its raw line.
    chunk = next(chunks(path))
    error = pickle.loads(pickle.dumps(parse_chunk(pickle.loads(pickle.dumps(chunk)), DataConfig(), False)[1]))
    assert isinstance(error, DocumentError)
    assert (str(error), error.raw) == (str(caught.value), line)


UNLABELLED: dict[str, tuple[str, str]] = {
    "no field": (
        '{"text": "a"}',
        "not labelled: no field 'doc_label' or 'labels' (write [] for a document that belongs nowhere)",
    ),
    "null": ('{"text": "a", "doc_label": null}', "not labelled: field 'doc_label' is null"),
    "another name": (
        '{"text": "a", "categories": ["x"]}',
        "(did you mean data.fields.labels = 'categories'?)",
    ),
}


@pytest.mark.parametrize("case", UNLABELLED)
def test_unlabelled(case: str, write: Write) -> None:
    line, message = UNLABELLED[case]
    path = write('{"text": "good", "doc_label": []}\n' + line + "\n")
    with pytest.raises(DataError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}:2: ")
    assert message in str(caught.value)
    assert len(read(path, need_labels=False)) == 2


def test_files_that_cannot_be_read(write: Write, tmp_path: Path) -> None:
    cases = {
        write("", "empty.jsonl"): "holds no documents",
        write("\n \r\n", "blank.jsonl"): "holds no documents",
        str(tmp_path / "missing.jsonl"): "no such file",
        str(tmp_path / "no" / "missing.jsonl"): "no such file",
        write(
            "x", "file.docx"
        ): "the name does not tell what kind of file it is (set data.format: jsonl, text",
        write("x", "noname"): "the name does not tell",
        write('{"text": "a"}'.encode("utf-16"), "wide.jsonl"): "is UTF-16, not UTF-8",
    }
    for path, message in cases.items():
        with pytest.raises(DataError) as caught:
            read(path, mode="skip")  # a whole file is never left out without a word
        assert str(caught.value).startswith(f"{path}: ")
        assert message in str(caught.value)
    with pytest.raises(DataError, match=r"is a folder, not a file \(name its files, such as .*blank.jsonl"):
        read(str(tmp_path))


def test_nothing_left(write: Write) -> None:
    path = write('{"text": 1}\n{"text": 2}\n')
    with pytest.raises(DataError, match="no document is left: left out 2 of 2 documents: 2 wrong type"):
        read(path, mode="skip")


def test_collecting_goes_on_after_a_missing_file(write: Write, tmp_path: Path) -> None:
    policy = ErrorPolicy("collect")
    good = write('{"text": "a"}\n{"text": 3}\n')
    paths = [str(tmp_path / "missing.jsonl"), good]
    assert len(list(read_documents(paths, DataConfig(), policy, need_labels=False))) == 1
    assert [str(p).rsplit("/", 1)[1][:15] for p in policy.problems] == ["missing.jsonl: ", "train.jsonl:2: "]


def test_several_files_are_one_split(write: Write) -> None:
    one, two = write('{"text": "a"}\n', "1.jsonl"), write("b\n\n", "2.txt")
    documents = read([one, two], need_labels=False)
    assert [(d.id, d.text) for d in documents] == [("0", "a"), ("1", "b"), ("2", "")]
    assert [str(d.origin) for d in documents] == [f"{one}:1", f"{two}:1", f"{two}:2"]
    with pytest.raises(DataError, match="named twice"):
        read([one, one], need_labels=False)


def test_duplicate_ids(write: Write) -> None:
    one = write('{"id": "x", "text": "a"}\n{"id": "y", "text": "b"}\n', "1.jsonl")
    two = write('{"id": "z", "text": "c"}\n{"id": "x", "text": "d"}\n', "2.jsonl")
    with pytest.raises(DataError) as caught:
        read([one, two], need_labels=False)
    assert str(caught.value) == f"{two}:2: the id 'x' stands at {one}:1 already"
    policy = ErrorPolicy("skip")
    assert len(list(read_documents([one, two], DataConfig(), policy, need_labels=False))) == 3
    assert policy.counts == {"duplicate id": 1}


@pytest.mark.parametrize(
    "lines", [('{"text": "a"}', '{"id": 0, "text": "b"}'), ('{"id": "1", "text": "a"}', '{"text": "b"}')]
)
def test_given_ids_and_running_numbers_do_not_clash_silently(write: Write, lines: tuple[str, str]) -> None:
    path = write("\n".join(lines))
    with pytest.raises(DataError, match=rf"{path}:2: .* stands at {path}:1 already"):
        read(path, need_labels=False)
    mixed = write('{"text": "a"}\n{"id": "01", "text": "b"}\n{"id": "7", "text": "c"}\n')
    assert [d.id for d in read(mixed, need_labels=False)] == ["0", "01", "7"]


values = st.one_of(
    st.none(), st.integers(), st.text(), st.lists(st.one_of(st.text(), st.integers()), max_size=4)
)
objects = st.dictionaries(
    st.sampled_from(["id", "text", "doc_token", "doc_label", "labels", "doc_keyword", "other"]), values
)


def by_hand(record: dict[str, Any]) -> tuple[Any, ...] | None:
    """The rules written out once more, slowly; None: an error."""

    def strings(name: str) -> Any:
        value = record.get(name)
        if value is None:
            return None
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise ValueError(name)
        return tuple(value)

    try:
        tokens = strings("doc_token")
        labels = strings("doc_label")
        if labels is None:
            labels = strings("labels")
        keywords = strings("doc_keyword") or ()
        text: Any = tokens
        if not tokens:
            other = record.get("text")
            if other is not None and not isinstance(other, str):
                return None
            text = other if other is not None else tokens
        if text is None or record.get("id") == "" or isinstance(record.get("id"), list):
            return None
    except ValueError:
        return None
    identity = record.get("id")
    return (
        "" if identity is None else str(identity),
        text,
        labels and tuple(dict.fromkeys(labels)),
        keywords,
    )


@settings(deadline=None)
@given(st.lists(objects, max_size=6), st.booleans())
def test_any_objects(records: list[dict[str, Any]], ascii_only: bool) -> None:
    lines = [json.dumps(record, ensure_ascii=ascii_only).encode() for record in records]
    found = parse_chunk(RawChunk("f", "jsonl", b"\n".join(lines)), DataConfig(), False)
    assert len(found) == len(records)
    for record, document in zip(records, found, strict=True):
        expected = by_hand(record)
        if expected is None:
            assert isinstance(document, DocumentError)
        else:
            assert isinstance(document, Document)
            assert (document.id, document.text, document.labels, document.keywords) == expected


@settings(deadline=None)
@given(
    texts=st.lists(st.text(max_size=30), min_size=1, max_size=30),
    block=st.integers(1, 64),
    end=st.sampled_from(["\n", "\r\n"]),
    final=st.booleans(),
)
def test_any_cut_into_chunks(
    texts: list[str], block: int, end: str, final: bool, tmp_path_factory: Any
) -> None:
    path = tmp_path_factory.mktemp("cut") / "a.jsonl"
    data = (end.join(json.dumps({"text": text}) for text in texts) + (end if final else "")).encode()
    path.write_bytes(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "BLOCK", block)
        found = list(chunks(path))
        assert b"".join(chunk.data for chunk in found) == data
        documents = [d for chunk in found for d in parse_chunk(chunk, DataConfig(), False)]
    assert [d.text for d in documents if isinstance(d, Document)] == texts
    for number, document in enumerate(documents):
        assert isinstance(document, Document)
        assert document.origin is not None
        assert document.origin.line == number + 1
        line = data[document.origin.offset :].split(b"\n")[0]
        assert json.loads(line)["text"] == document.text
