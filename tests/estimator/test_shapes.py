"""y in each of its shapes, and what comes back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array, csr_matrix, issparse
from sklearn.metrics import accuracy_score, f1_score
from sklearn.preprocessing import MultiLabelBinarizer

import linnaea
from linnaea import TextClassifier
from linnaea.config.task import TaskConfig
from linnaea.corpus.labels import LabelResolver
from linnaea.estimator.categories import form_of, labels_of
from linnaea.estimator.targets import read_target
from linnaea.taxonomy.taxonomy import Taxonomy

from ..strategies.toys import documents, taxonomy

ABOVE = {"physics": "science", "chemistry": "science", "opera": "leisure", "football": "leisure"}
NAMES = sorted(ABOVE)
DOCUMENTS = documents(80, 0)
TEXTS = [document["text"] for document in DOCUMENTS[:60]]
LISTS = [[str(label) for label in document["labels"]] for document in DOCUMENTS[:60]]
ONE = [row[0] for row in LISTS]
PATHS = [f"{ABOVE[label]}--{label}" for label in ONE]
NEW = [document["text"] for document in DOCUMENTS[60:]]
NEW_LISTS = [[str(label) for label in document["labels"]] for document in DOCUMENTS[60:]]


def matrix(rows: Sequence[Sequence[str]]) -> np.ndarray:
    return np.array([[int(name in row) for name in NAMES] for row in rows])


def closed(rows: Sequence[Sequence[str]]) -> list[set[str]]:
    return [set(row) | {ABOVE[label] for label in row if label in ABOVE} for row in rows]


def test_it_is_what_train_makes(tmp_path: Any) -> None:
    """The same documents in the same order through ``linnaea.train``: the same scores."""
    config = {"training": {"strategy": "linear"}, "run": {"dir": str(tmp_path / "run"), "seed": 7}}
    rows = [{"text": text, "labels": labels} for text, labels in zip(TEXTS, LISTS, strict=True)]
    model = linnaea.train(config, taxonomy=taxonomy(), train=rows).model
    ours = TextClassifier(taxonomy=taxonomy(), random_state=7).fit(TEXTS, LISTS)
    np.testing.assert_allclose(ours.predict_proba(NEW), model.scores(NEW), atol=1e-6)
    expected = [[c.id for c in answer.categories] for answer in model.predict(NEW)]
    assert [sorted(row) for row in ours.predict(NEW)] == [sorted(row) for row in expected]


def test_lists_without_a_taxonomy() -> None:
    fitted = TextClassifier().fit(TEXTS, LISTS)
    assert fitted.classes_.tolist() == NAMES
    answers = fitted.predict(NEW)
    assert isinstance(answers, list) and all(set(row) <= set(NAMES) for row in answers)
    assert fitted.model_.config.task.type == "multilabel"
    binarizer = MultiLabelBinarizer().fit([NAMES])
    expected = f1_score(binarizer.transform(NEW_LISTS), binarizer.transform(answers), average="micro")
    assert fitted.score(NEW, NEW_LISTS) == pytest.approx(expected) and expected > 0.8


def test_lists_in_a_taxonomy_are_closed() -> None:
    fitted = TextClassifier(taxonomy=taxonomy()).fit(TEXTS, LISTS)
    assert fitted.classes_.tolist() == list(taxonomy().ids) and fitted.taxonomy_.depth == 2
    answers = fitted.predict(NEW)
    assert any("science" in row for row in answers)
    binarizer = MultiLabelBinarizer().fit([taxonomy().ids])
    weights = np.linspace(0, 2, len(NEW))
    gold, ours = binarizer.transform(closed(NEW_LISTS)), binarizer.transform(answers)
    for chosen in (None, weights):
        expected = f1_score(gold, ours, average="micro", sample_weight=chosen)
        assert fitted.score(NEW, NEW_LISTS, sample_weight=chosen) == pytest.approx(expected)


def test_labels_come_back_as_they_were_written() -> None:
    rows = [[f"{ABOVE[label]}--{label}" for label in row] for row in LISTS]
    fitted = TextClassifier().fit(TEXTS, rows)
    assert set(fitted.classes_) == {*(f"{ABOVE[name]}--{name}" for name in NAMES), *ABOVE.values()}
    written = {label for row in fitted.predict(TEXTS) for label in row}
    assert "science--physics" in written and "physics" not in written and "science" in written
    assert fitted.score(TEXTS, rows) == fitted.score(TEXTS, LISTS)  # ids mean the same
    own = TextClassifier(separator="/").fit(
        TEXTS, [[label.replace("--", "/") for label in row] for row in rows]
    )
    assert "science/physics" in own.classes_.tolist()
    with pytest.raises(ValueError, match="separator: '::' stands in no label"):
        TextClassifier(separator="::").fit(TEXTS, rows)
    with pytest.warns(UserWarning, match='labels look like paths split by "/": give separator="/"'):
        TextClassifier().fit(TEXTS, [[label.replace("--", "/") for label in row] for row in rows])
    np.testing.assert_allclose(own.predict_proba(NEW), fitted.predict_proba(NEW), atol=1e-6)


@pytest.mark.parametrize(
    "y", [ONE, np.array(ONE), np.array(ONE, dtype=object), pd.Series(ONE), pd.Categorical(ONE)]
)
def test_one_label_a_document(y: Any) -> None:
    fitted = TextClassifier().fit(pd.Series(TEXTS), y)
    assert fitted.classes_.tolist() == NAMES and fitted.model_.config.task.type == "multiclass"
    answers, scores = fitted.predict(NEW), fitted.predict_proba(np.array(NEW, dtype=object))
    np.testing.assert_allclose(scores.sum(1), 1, atol=1e-6)
    assert answers.tolist() == fitted.classes_[scores.argmax(1)].tolist()
    gold = [row[0] for row in NEW_LISTS]
    assert fitted.score(NEW, gold) == accuracy_score(gold, answers)
    assert fitted.score(NEW, ["unheard of"] * len(NEW)) == 0


@pytest.mark.parametrize("kind", ["int64", "float64", "bool"])
def test_numbers_are_classes_too(kind: str) -> None:
    y = np.array([NAMES.index(label) for label in ONE])
    y = (y > 1) if kind == "bool" else (3 * y - 3).astype(kind)
    fitted = TextClassifier().fit(TEXTS, y)
    answers = fitted.predict(TEXTS)
    assert fitted.classes_.tolist() == np.unique(y).tolist()
    assert answers.dtype == y.dtype and answers.shape == y.shape and (answers == y).mean() > 0.9


def test_one_path_a_document() -> None:
    fitted = TextClassifier().fit(TEXTS, PATHS)
    assert fitted.model_.config.task.paths == "one"
    answers = fitted.predict(NEW)
    assert set(answers.tolist()) <= set(PATHS)  # all labels are leaves, so all answers are
    gold = [f"{ABOVE[row[0]]}--{row[0]}" for row in NEW_LISTS]
    assert (
        fitted.score(NEW, gold)
        == accuracy_score(gold, answers)
        == fitted.score(NEW, [row[0] for row in NEW_LISTS])
    )
    stopping = [label if place % 4 else label.partition("--")[0] for place, label in enumerate(PATHS)]
    inner = TextClassifier().fit(TEXTS, stopping)
    ends = [made.model_.config.decision.decoding.model_dump()["to"] for made in (fitted, inner)]
    assert ends == ["leaf", "any"]
    assert set(inner.predict(NEW).tolist()) <= set(stopping)


def test_a_document_of_which_nothing_is_decided_gets_its_best_class() -> None:
    keys = {"decision.decoding": "none", "decision.threshold": {"type": "fixed", "value": 1.0}}
    fitted = TextClassifier(settings=keys).fit(TEXTS, PATHS)
    assert fitted.predict(NEW).tolist() == fitted.classes_[fitted.predict_proba(NEW).argmax(1)].tolist()


@pytest.mark.parametrize(
    "shape",
    [
        np.array,
        lambda m: m.astype(bool),
        lambda m: m.astype(float),
        lambda m: m.tolist(),
        csr_matrix,
        csr_array,
    ],
)
def test_indicators_without_names(shape: Any) -> None:
    fitted = TextClassifier().fit(TEXTS, shape(matrix(LISTS)))
    assert fitted.classes_.tolist() == [0, 1, 2, 3]
    answers = fitted.predict(NEW)
    assert issparse(answers) == (shape in (csr_matrix, csr_array)) and answers.shape == (20, 4)
    dense = answers.toarray() if issparse(answers) else answers
    expected = f1_score(matrix(NEW_LISTS), dense, average="micro")
    assert fitted.score(NEW, shape(matrix(NEW_LISTS))) == pytest.approx(expected)
    assert fitted.predict_proba(NEW).shape == (20, 4)


def test_indicators_with_names() -> None:
    frame = pd.DataFrame(matrix(LISTS), columns=NAMES)
    flat = TextClassifier().fit(TEXTS, frame)
    assert flat.classes_.tolist() == NAMES and flat.taxonomy_.ids == tuple(NAMES)
    below = TextClassifier(taxonomy=taxonomy()).fit(TEXTS, frame)
    assert below.classes_.tolist() == NAMES and len(below.taxonomy_) == 7
    assert below.predict(NEW).shape == (20, 4)
    paths = TextClassifier().fit(TEXTS, frame.rename(columns=lambda name: f"{ABOVE[name]}--{name}"))
    assert set(paths.taxonomy_.ids) == {*NAMES, "science", "leisure"}
    assert paths.score(NEW, matrix(NEW_LISTS)) > 0.8 and below.score(NEW, matrix(NEW_LISTS)) > 0.8
    ordered = TextClassifier(taxonomy=taxonomy()).fit(TEXTS, np.eye(7, dtype=int)[np.arange(60) % 7])
    assert ordered.classes_.tolist() == list(range(7))


def test_a_column_without_documents_is_never_predicted() -> None:
    empty = np.hstack([matrix(LISTS), np.zeros((60, 1), dtype=int)])
    answers = TextClassifier().fit(TEXTS, empty).predict(NEW)
    assert answers.shape == (20, 5) and not answers[:, 4].any()


def test_the_order_of_documents_does_not_order_the_classes() -> None:
    for y in (LISTS, ONE, PATHS):
        straight = TextClassifier().fit(TEXTS, y).classes_.tolist()
        assert TextClassifier().fit(TEXTS[::-1], y[::-1]).classes_.tolist() == straight


def test_unheard_labels_count_as_missed() -> None:
    fitted = TextClassifier().fit(TEXTS, LISTS)
    answers = fitted.predict(NEW)
    gold = [[*row, "rowing"] for row in NEW_LISTS]
    binarizer = MultiLabelBinarizer().fit([[*NAMES, "rowing"]])
    expected = f1_score(binarizer.transform(gold), binarizer.transform(answers), average="micro")
    assert fitted.score(NEW, gold) == pytest.approx(expected)
    known = TextClassifier(taxonomy=taxonomy()).fit(TEXTS, LISTS)
    with pytest.raises(ValueError, match=r"^y: .*rowing"):
        known.score(NEW, gold)


def test_documents_of_all_kinds() -> None:
    fitted = TextClassifier().fit(TEXTS, ONE)
    expected = fitted.predict_proba(NEW)
    tokens = [text.split() for text in NEW]
    for form in (
        tokens, [np.array(row) for row in tokens], pd.Series(NEW), pd.DataFrame({"text": NEW}), np.array(NEW)[:, None],
        pd.DataFrame({"id": 5, "text": NEW, "labels": 1.5}), [{"text": text, "id": "same"} for text in NEW],
        [linnaea.Document("same", text) for text in NEW], (text for text in NEW),
    ):  # fmt: skip
        np.testing.assert_allclose(fitted.predict_proba(form), expected, atol=1e-6)
    assert fitted.predict_proba([]).shape == (0, 4) and fitted.predict([]).shape == (0,)


CELLS = st.integers(1, 6).flatmap(
    lambda k: st.lists(st.lists(st.integers(0, 1), min_size=k, max_size=k), min_size=1, max_size=8)
)


@settings(max_examples=60, deadline=None)
@given(CELLS, st.booleans())
def test_gold_given_back_is_y(cells: list[list[int]], named: bool) -> None:
    """Each shape read and given back, against the plain cells."""
    dense = np.array(cells)
    names = [f"c{column}" for column in range(dense.shape[1])]
    rows = [[name for name, cell in zip(names, row, strict=True) if cell] for row in cells]
    flat = Taxonomy.build(names, names, [()] * len(names))
    shapes: list[Any] = [csr_array(dense), rows] if dense.shape[1] > 1 or named else [rows]
    shapes += [pd.DataFrame(dense, columns=names)] if named else [dense] if dense.shape[1] > 1 else []
    for y in shapes:
        target, value = read_target(y), {"task": {"type": "multilabel"}}
        form = form_of(target, value, flat)
        labels = labels_of(target, form)
        assert [sorted(row) for row in labels] == rows
        gold = LabelResolver.for_task(flat, TaskConfig.read(value["task"], "task")).rows(labels)
        back = form.give_back(gold, np.zeros(len(rows), dtype=np.int64))
        if y is rows:
            assert back == rows
        else:
            np.testing.assert_array_equal(back.toarray() if issparse(back) else back, dense)
