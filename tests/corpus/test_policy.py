"""ErrorPolicy: the four modes, counts, the message, the quarantine file."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest

from linnaea.config.task import DataConfig
from linnaea.corpus.policy import DocumentError, ErrorPolicy
from linnaea.corpus.readers import read_documents
from linnaea.errors import DataError, RunError, TaxonomyError

BAD = DocumentError("bad", where="f:1", hint="mend it", kind="broken JSON", raw=b"{\xff")


def test_raise() -> None:
    policy = ErrorPolicy()
    with pytest.raises(DocumentError) as caught:
        policy.handle(BAD)
    assert caught.value is BAD
    assert policy.message() is None


def test_skip_counts_by_kind() -> None:
    policy = ErrorPolicy("skip")
    policy.documents = 1621
    for error in (BAD, BAD, TaxonomyError("unknown label", where="f:2")):
        policy.handle(error)
    assert policy.counts == {"broken JSON": 2, "broken document": 1}
    assert policy.message() == "left out 3 of 1,621 documents: 2 broken JSON, 1 broken document"
    assert policy.problems == []


def test_message_without_a_total() -> None:
    policy = ErrorPolicy("skip")
    policy.handle(BAD)
    assert policy.message() == "left out 1 document: 1 broken JSON"


def test_collect_is_capped_but_counts_on() -> None:
    policy = ErrorPolicy("collect", limit=2)
    for _ in range(5):
        policy.handle(BAD)
    policy.handle_file(DataError("no such file", where="g"))
    assert len(policy.problems) == 3
    assert policy.left_out == 5
    with pytest.raises(DataError, match="g: no such file"):
        ErrorPolicy("skip").handle_file(DataError("no such file", where="g"))


def test_quarantine(tmp_path: Path) -> None:
    path = tmp_path / "new" / "quarantine.jsonl"
    with ErrorPolicy("quarantine", path) as policy:
        assert not path.exists()  # nothing is wrong yet
        policy.handle(BAD)
        policy.handle(DataError("a lone \ud800", where="f:9"), "grün\nzwei".encode())
        policy.handle(DataError("no line", where="g"))
        lines = path.read_text(encoding="utf-8").splitlines()  # readable while the run goes on
    assert [json.loads(line) for line in lines] == [
        {"where": "f:1", "problem": "bad (mend it)", "line": "{\\xff"},
        {"where": "f:9", "problem": "a lone \ud800", "line": "grün\nzwei"},
        {"where": "g", "problem": "no line", "line": None},
    ]
    assert (policy.message() or "").endswith(f"; they are in {path}")
    with pytest.raises(ValueError, match="name of a file"):
        ErrorPolicy("quarantine")


def test_quarantine_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    for _ in range(2):
        with ErrorPolicy("quarantine", path) as policy:
            policy.handle(BAD)
            policy.handle(BAD)
    assert len(path.read_text().splitlines()) == 2


def test_quarantine_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot write"):
        ErrorPolicy("quarantine", tmp_path / "file" / "q.jsonl").handle(BAD)


def test_quarantined_lines_stand_as_they_were(tmp_path: Path) -> None:
    source, path = tmp_path / "a.jsonl", tmp_path / "q.jsonl"
    source.write_text(
        '{"id": "x", "text": "a"}\n{"text":  3}\r\n{"id": "x", "doc_token": ["b"], "labels": ["l"]}\n'
    )
    with ErrorPolicy("quarantine", path) as policy:
        documents = list(read_documents(source, DataConfig(), policy, need_labels=False))
    assert len(documents) == 1
    assert policy.message() == f"left out 2 of 3 documents: 1 wrong type, 1 duplicate id; they are in {path}"
    first, second = (json.loads(line) for line in path.read_text().splitlines())
    assert first["line"] == '{"text":  3}\r'
    assert first["where"] == f"{source}:2"
    # An id that stands twice is found later: its document is written out again.
    assert json.loads(second["line"]) == {"id": "x", "doc_token": ["b"], "doc_label": ["l"]}


def test_errors_keep_all_across_processes() -> None:
    copy = pickle.loads(pickle.dumps(BAD))
    assert (str(copy), copy.kind, copy.raw) == (str(BAD), BAD.kind, BAD.raw)
    moved = BAD.at("g:2")
    assert (str(moved), moved.kind, moved.raw) == ("g:2: bad (mend it)", BAD.kind, BAD.raw)
