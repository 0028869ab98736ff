"""What cannot be used: one clear line each, a ValueError and an error of ours at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

import linnaea
from linnaea import TextClassifier
from linnaea.errors import ConfigError, DataError

from ..strategies.toys import taxonomy

X = ["quark energy", "acid bond", "quark field", "acid metal"] * 5
Y = [["physics"], ["chemistry"]] * 10
NO_CLASSES = csr_array(np.array([[2, 0], [0, 1]] * 10))


@pytest.mark.parametrize(
    ("texts", "labels", "line"),
    [
        (X[1:], Y, "19 documents in X, labels of 20 in y"),
        ([], [], "y: no documents (n_samples = 0) are too few"),
        (X[:1], Y[:1], "y: 1 documents (n_samples = 1) are too few"),
        ("a text", Y, "X: expected a list, received a string ('a text') (put it in a list)"),
        (5, Y, "X: expected a list, received a number (5)"),
        (np.zeros((20, 3)), Y, "X: expected one text a document, received an array of shape (20, 3) (it reads"),
        (csr_array((20, 3)), Y, "X: expected texts, received a sparse matrix (it reads the texts themselves"),
        ([*X[:3], float("nan"), *X[4:]], Y, "X[3]: expected a text, a list of tokens, a dictionary or a Document"),
        (pd.DataFrame({"body": X, "n": 1}), Y, "X: no column 'text' or 'doc_token' (did you mean data.fields.text = "),
        (X, None, "y: requires y to be passed, but the target y is None"),
        (X, "physics", "y: expected a list, received a string ('physics') (put it in a list)"),
        (X, 3, "y: expected a list, received a number (3)"),
        (X, [*Y[:3], "chemistry", *Y[4:]], "y[3]: expected a list of labels, received a string ('chemistry') (write ['ch"),
        (X, [*Y[:3], None, *Y[4:]], "y[3]: no labels (write [] for a document that belongs nowhere)"),
        (X, [*Y[:3], ["a", 4], *Y[4:]], "y[3]: expected a list of strings, received a number (4) in it"),
        (X, [*[[1, 0]] * 19, [1]], "y[19]: 1 numbers, and y[0] has 2 (lists of labels hold strings; an indicator has"),
        (X, [*["a"] * 3, float("nan"), *["b"] * 16], "y[3]: has no label (NaN or None) (leave the document out)"),
        (X, pd.Series([*["a"] * 3, pd.NA, *["b"] * 16]), "y[3]: has no label (NaN or None)"),
        (X, [*["a"] * 10, *[4] * 10], "y: labels are of several types: int, str"),
        (X, [*["a"] * 10, *[" a"] * 10], "y: two labels are written alike: ' a' and 'a'"),
        (X, [*["a"] * 10, *[" "] * 10], "y: an empty label: a string (' ')"),
        (X, np.linspace(0, 1, 20), "Unknown label type: continuous"),
        (X, np.array([np.inf, 1.0] * 10), "Input y contains infinity"),
        (X, np.array([[0, 3]] * 20), "y[0, 1]: an indicator holds 0 and 1, not a number (3)"),
        (X, np.array([[0, 1]] * 19 + [[np.nan, 0]]), "y[19, 0]: an indicator holds 0 and 1, not null"),
        (X, pd.DataFrame({"a": [1] * 20, "b": [0] * 19 + [pd.NA]}), "y[19, 1]: an indicator holds 0 and 1, not null"),
        (X, pd.DataFrame({"a": [1] * 20, "b": ["0"] * 20}), "y[0, 1]: an indicator holds 0 and 1, not a string ('0')"),
        (X, NO_CLASSES, "y: an indicator holds 0 and 1, not 2"),
        (X, csr_array((20, 0)), "y: an indicator without columns"),
        (X, pd.DataFrame(np.eye(20, dtype=int)[:, :2], columns=["a", "a "]), "y: two labels are written alike: 'a' and 'a '"),
        (X, [[]] * 20, "no label to read categories off"),
    ],
)  # fmt: skip
def test_documents_and_labels(texts: Any, labels: Any, line: str) -> None:
    with pytest.raises(DataError) as caught:
        TextClassifier().fit(texts, labels)
    assert str(caught.value).startswith(line) and "\n" not in str(caught.value)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("labels", "line"),
    [
        ([*Y[:3], ["chemestry"], *Y[4:]], "y[3]: unknown label 'chemestry' (did you mean 'chemistry'?)"),
        (["physics"] * 4 + ["alchemy"] * 16, "y[4]: unknown label 'alchemy'"),
        ([3, 4] * 10, "y[0]: categories are called by strings, and y holds a number (3)"),
        (
            np.eye(5, dtype=int)[np.arange(20) % 5],
            "y: 5 columns without names, and 7 categories (give a DataFrame whose",
        ),
        (
            pd.DataFrame({"physics": 1, "fysics": 0}, index=range(20)),
            "y, its columns: unknown label 'fysics'",
        ),
        (
            pd.DataFrame({"physics": 1, "science--physics": 0}, index=range(20)),
            "y: two columns are of the same category",
        ),
    ],
)
def test_labels_that_are_not_in_the_taxonomy(labels: Any, line: str) -> None:
    with pytest.raises(DataError) as caught:
        TextClassifier(taxonomy=taxonomy()).fit(X, labels)
    assert str(caught.value).startswith(line)


@pytest.mark.parametrize(
    ("parameters", "line"),
    [
        ({"strategy": "linnear"}, "training.strategy.type: there is no strategy 'linnear' (did you mean 'linear'?)"),
        ({"strategy": {"type": "linear"}}, "strategy: expected a name, received an object"),
        ({"settings": {"training.epochs": 5}}, "training.epochs: does nothing under the strategy 'linear'"),
        ({"settings": {"training.strategy.c": 5}}, "training.strategy.c"),
        ({"settings": ["training.epochs=5"]}, "settings: expected a dictionary, received a list"),
        ({"settings": {5: 5}}, "settings: a key is a dotted path, not a number (5)"),
        ({"settings": {"training..epochs": 5}}, "settings: expected KEY=VALUE"),
        ({"settings": {"training.epochs": X.append}}, "settings training.epochs: a builtin_function_or_method cannot stand"),
        ({"settings": {"run.dir": "here"}}, "settings run.dir: the estimator has a parameter for it, too"),
        ({"settings": {"evaluation.baseline": None}}, "settings evaluation.baseline: does nothing here: a fit measures"),
        ({"settings": {"evaluation": {"baseline": "linear"}}}, "settings evaluation.baseline: does nothing here"),
        ({"settings": {"data.train": "x.jsonl"}}, "settings data.train: does nothing here: documents come from X (leave"),
        ({"settings": {"task": {"separator": "/"}}, "separator": "--"}, "settings task.separator: the estimator has a para"),
        ({"settings": {"training": {"strategy": "joint"}}, "strategy": "linear"}, "settings training.strategy: the estim"),
        ({"settings": {"task.separator": "/"}, "separator": "--"}, "settings task.separator: the estimator has a parameter"),
        ({"settings": {"training.strategy": "joint"}, "strategy": "linear"}, "settings training.strategy: the estimator"),
        ({"config": 5}, "config: cannot be a number (5) (give a path, a dictionary or a Config)"),
        ({"config": "nowhere.json"}, "nowhere.json: no such config file"),
        ({"taxonomy": "nowhere.tsv"}, "nowhere.tsv: no such file"),
        ({"random_state": "seven"}, "random_state: 'seven' cannot be used to seed"),
        ({"random_state": -3}, "run.seed: "),
        ({"strategy": "joint", "settings": {"run.devices": 2}}, "run.devices: an estimator trains in one process"),
        ({"settings": {"run.listeners": ["tensorboard"]}}, "run.listeners: tensorboard writes into the run folder, which"),
        ({"settings": {"run.listeners": ["mlflow"]}}, "run.listeners: mlflow writes into the run folder, which goes away"),
    ],
)  # fmt: skip
def test_parameters(parameters: dict[str, Any], line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    made = TextClassifier(**parameters)  # says nothing yet
    with pytest.raises((ConfigError, DataError)) as caught:
        made.fit(X, Y)
    assert line in str(caught.value) and "\n" not in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_one_label_a_document_is_no_binary_task() -> None:
    with pytest.raises(
        ConfigError, match=r"task\.type: y has one label a document, which is no multilabel task"
    ):
        TextClassifier({"task": {"type": "multilabel"}, "training": {"strategy": "linear"}}).fit(
            X, ["a", "b"] * 10
        )


def test_scores_of_something_else() -> None:
    fitted = TextClassifier().fit(X, Y)
    for labels, line in (
        (["physics"] * 20, "y: was a list of labels a document in fit, and is one label a document here"),
        (Y[1:], "20 documents in X, labels of 19 in y"),
        ([], "y: no documents"),
    ):
        with pytest.raises(ValueError, match=line):
            fitted.score(X, labels)
    named = pd.DataFrame(np.eye(2, dtype=int)[np.arange(20) % 2], columns=["a", "b"])
    with pytest.raises(
        ValueError, match="its columns have other names, or stand in another order, than in fit"
    ):
        TextClassifier().fit(X, named).score(X, named[["b", "a"]])
    with pytest.raises(ValueError, match="an indicator of 2 columns was given in fit"):
        TextClassifier().fit(X, np.eye(2, dtype=int)[np.arange(20) % 2]).score(
            X, np.eye(3, dtype=int)[np.arange(20) % 3]
        )


def test_a_place_that_is_taken(tmp_path: Path) -> None:
    made = TextClassifier(run_dir=tmp_path / "run").fit(X, Y)
    with pytest.raises(ValueError, match=r"run_dir: .*run: exists already \(give another run_dir\)"):
        made.fit(X, Y)
    assert linnaea.load(tmp_path / "run").taxonomy.ids == ("chemistry", "physics")


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        (["a"] * 6, "y: all 6 documents are of one class: nothing can be learned"),
        ([["a", "b"], ["b", "a"]] * 3, "y: all 6 documents have the same labels"),
        (np.tile([[1, 0, 1]], (6, 1)), "y: all 6 documents have the same labels"),
    ],
)
def test_documents_that_are_all_alike(labels: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        TextClassifier().fit(["some words"] * 6, labels)
