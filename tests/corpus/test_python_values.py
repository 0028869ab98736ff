"""documents_from: Python lists, pandas and Arrow tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from linnaea.config.task import DataConfig, FieldsConfig
from linnaea.corpus.document import Document
from linnaea.corpus.readers import documents_from
from linnaea.errors import DataError, LinnaeaError, UsageError


def summary(documents: Any) -> list[tuple[Any, ...]]:
    return [(d.id, d.text, d.labels) for d in documents]


def test_texts_tokens_dictionaries_and_documents() -> None:
    given = [
        "a b",
        ["c", "d"],
        {"id": "x", "text": "e", "labels": ["l", "l"], "other": object()},
        Document("y", "f", ("m",)),
    ]
    assert summary(documents_from(given)) == [
        ("0", "a b", None), ("1", ("c", "d"), None), ("x", "e", ("l",)), ("y", "f", ("m",)),
    ]  # fmt: skip
    assert summary(documents_from(np.array(["a", "b"]))) == [("0", "a", None), ("1", "b", None)]
    assert summary(documents_from(pd.Series(["a"]))) == [("0", "a", None)]
    assert summary(documents_from(text for text in ("a",))) == [("0", "a", None)]
    assert list(documents_from([])) == []
    arrays = {"doc_token": np.array(["a", "b"]), "labels": np.array(["x"], dtype=object), "id": np.int64(3)}
    assert summary(documents_from([arrays])) == [("3", ("a", "b"), ("x",))]


def test_labels_beside() -> None:
    assert summary(documents_from(["a", {"text": "b", "labels": ["old"]}], labels=[["x", "x"], ()])) == [
        ("0", "a", ("x",)), ("1", "b", ()),
    ]  # fmt: skip
    assert summary(documents_from(["a"], labels=np.array([["x", "y"]]), need_labels=True)) == [
        ("0", "a", ("x", "y"))
    ]


def frame() -> Any:
    return pd.DataFrame(
        {
            "id": ["a", None, "c"],
            "text": ["x y", "z", ""],
            "labels": [["A", "B"], "B;C", np.array(["C"])],
            "doc_keyword": [["k"], None, float("nan")],
            "score": [1.5, np.nan, 2.0],
        },
        index=[10, 10, 3],
    )


def test_pandas_and_arrow() -> None:
    assert summary(documents_from(frame(), need_labels=True)) == [
        ("a", "x y", ("A", "B")), ("1", "z", ("B", "C")), ("c", "", ("C",)),
    ]  # fmt: skip
    numbers = pd.DataFrame({"key": [5, 6], "body": ["a", "b"], "tags": ["x|y", "z"]})
    config = DataConfig(fields=FieldsConfig(id="key", text="body", labels="tags"), label_delimiter="|")
    assert summary(documents_from(numbers, config)) == [("5", "a", ("x", "y")), ("6", "b", ("z",))]
    assert summary(documents_from(pa.Table.from_pandas(numbers), config)) == summary(
        documents_from(numbers, config)
    )
    missing = pd.DataFrame(
        {"text": pd.array(["a", "b"], dtype="string"), "labels": pd.array(["x", None], dtype="string")}
    )
    assert summary(documents_from(missing)) == [("0", "a", ("x",)), ("1", "b", None)]
    batch = pa.record_batch({"doc_token": [["a"], []]})
    assert summary(documents_from(batch)) == summary(documents_from(pa.Table.from_batches([batch])))
    assert summary(documents_from(pa.Table.from_batches([batch]))) == [("0", ("a",), None), ("1", (), None)]


def test_a_long_frame() -> None:
    texts = [f"t{i}" for i in range(10_000)]
    documents = list(documents_from(pd.DataFrame({"text": texts})))
    assert [d.text for d in documents] == texts
    assert documents[9_999].id == "9999"


CASES: dict[str, tuple[Callable[[], Any], str]] = {
    "a string": (
        lambda: documents_from("text"),
        "documents: expected several documents, received a string ('text') (put it in a list)",
    ),
    "a dictionary": (
        lambda: documents_from({"text": "a"}),
        "documents: expected several documents, received an object",
    ),
    "a number": (lambda: documents_from(3), "documents: expected several documents, received a number (3)"),
    "a number among them": (
        lambda: documents_from(["a", 3]),
        "documents[1]: expected a text, a list of tokens, a dictionary or a Document, received a number (3)",
    ),
    "a number among tokens": (
        lambda: documents_from([["a", 1]]),
        "documents[0]: field 'tokens': expected a list of strings, received a number (1) at position 2",
    ),
    "no text": (
        lambda: documents_from([{"body": "a"}]),
        "documents[0]: no text: no field 'text' or 'doc_token' (did you mean data.fields.text = 'body'?)",
    ),
    "labels as a string": (
        lambda: documents_from([{"text": "a", "labels": "x"}]),
        "documents[0]: field 'labels': expected a list of strings",
    ),
    "unlabelled": (lambda: documents_from(["a"], need_labels=True), "documents[0]: not labelled"),
    "an unlabelled document": (
        lambda: documents_from([Document("x", "a")], need_labels=True),
        "documents[0]: not labelled",
    ),
    "half a character": (
        lambda: documents_from(["a", "b\ud800"]),
        "documents[1]: \\ud800 is half a character",
    ),
    "half a character in a document": (
        lambda: documents_from([Document("x", ("\ud800",))]),
        "documents[0]: \\ud800 is half a character",
    ),
    "an id twice": (
        lambda: documents_from([{"id": "x", "text": "a"}, "b", {"id": "x", "text": "c"}]),
        "documents[2]: the id 'x' stands at documents[0] already",
    ),
    "too few label lists": (
        lambda: documents_from(["a", "b"], labels=[["x"]]),
        "labels[1]: there are more documents than label lists",
    ),
    "too many label lists": (
        lambda: documents_from(["a"], labels=[["x"], ["y"]]),
        "labels[1]: there are more label lists than documents",
    ),
    "a string for a label list": (
        lambda: documents_from(["a"], labels=["x"]),
        "labels[0]: expected a list of strings, received a string ('x') (write ['x'])",
    ),
    "one string for all": (
        lambda: documents_from(["a"], labels="x"),
        "labels: expected a list of labels a document",
    ),
    "a number in a label list": (
        lambda: documents_from(["a"], labels=np.array([["x", 1]], dtype=object).tolist()),
        "labels[0]: expected a list of strings, received a number (1) in it",
    ),
    "a frame without text": (
        lambda: documents_from(pd.DataFrame({"texts": ["a"]})),
        "documents: no column 'text' or 'doc_token' (did you mean data.fields.text = 'texts'?)",
    ),
    "a frame without labels": (
        lambda: documents_from(pd.DataFrame({"text": ["a"]}), need_labels=True),
        "documents: no column 'doc_label'",
    ),
    "a missing cell": (
        lambda: documents_from(pd.DataFrame({"text": ["a", None]})),
        "documents[1]: no text: field 'text' is null",
    ),
    "a column twice": (
        lambda: documents_from(pd.DataFrame([["a", "b"]], columns=["text", "text"])),
        "documents: two columns are named 'text'",
    ),
    "numbers in an Arrow table": (
        lambda: documents_from(pa.table({"text": [1]})),
        "documents[0]: field 'text': expected a string",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_values(case: str) -> None:
    make, message = CASES[case]
    with pytest.raises(LinnaeaError) as caught:
        list(make())
    assert str(caught.value).startswith(message)
    assert isinstance(caught.value, (DataError, UsageError))


def test_an_empty_id_is_the_running_number() -> None:
    mixed = [Document("", "a"), Document("x", "b"), Document(id="", text=("c",))]
    assert [d.id for d in documents_from(mixed)] == ["0", "x", "2"]


def test_columns_are_wanted_by_name_only_where_they_are_renamed() -> None:
    """A config that was written out in full, as a model keeps it, asks for no more than one with defaults."""
    full = DataConfig.read({"fields": FieldsConfig().model_dump()})
    assert full.fields.model_fields_set == set(FieldsConfig.model_fields)
    table = pd.DataFrame({"text": ["a"], "labels": ["x;y"]})
    assert summary(documents_from(table, full, need_labels=True)) == [("0", "a", ("x", "y"))]
    renamed = DataConfig.read({"fields": {**FieldsConfig().model_dump(), "keywords": "keys"}})
    with pytest.raises(DataError, match=r"no column .keys., which data\.fields\.keywords names"):
        list(documents_from(table, renamed))
