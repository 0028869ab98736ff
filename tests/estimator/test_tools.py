"""With scikit-learn's tools, and what a fit leaves: nothing but the estimator."""

from __future__ import annotations

import copy
import json
import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import f1_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer

import linnaea
from linnaea import TextClassifier
from linnaea.config.config import Config

from ..strategies.toys import taxonomy
from .test_shapes import LISTS, NEW, ONE, PATHS, TEXTS, matrix

NETWORK = {
    "training.epochs": 2, "training.batch_size": 8, "training.optimizer": {"type": "adam", "learning_rate": 0.02},
    "model.encoder": "fasttext", "model.embedder.dimension": 8, "run.device": "cpu",
}  # fmt: skip


def lowered(texts: list[str]) -> list[str]:
    return [text.lower() for text in texts]


def test_parameters_are_kept_as_they_are() -> None:
    settings = {"training.strategy.C": 2.0}
    made = TextClassifier(strategy="linear", settings=settings, taxonomy=taxonomy())
    assert made.get_params()["settings"] is settings
    again = clone(made)
    assert again.settings == settings and again.settings is not settings
    assert again.set_params(random_state=5, strategy=None).get_params()["random_state"] == 5
    with pytest.raises(ValueError, match="Invalid parameter 'epochs'"):
        made.set_params(epochs=5)
    with pytest.raises(NotFittedError):
        made.predict(["a text"])


class Named(TextClassifier):
    """One with a parameter of its own."""

    def __init__(self, config: Any = None, *, name: str = "", settings: Any = None) -> None:
        super().__init__(config, settings=settings)
        self.name = name


def test_a_subclass_with_further_parameters_and_fewer() -> None:
    made = clone(Named(name="a", settings={"training.strategy.C": 2.0})).fit(TEXTS, ONE)
    assert made.get_params() == {"config": None, "name": "a", "settings": {"training.strategy.C": 2.0}}
    again = pickle.loads(pickle.dumps(made))
    assert again.name == "a" and again.predict(NEW).tolist() == made.predict(NEW).tolist()


def test_ranks_and_further_metrics_are_those_of_the_model() -> None:
    made = TextClassifier(settings={"evaluation": {"ranks": [2]}}).fit(TEXTS, LISTS)
    ranking = made.model_.evaluate(TEXTS, LISTS).to_json()["ranking"]
    assert [key for key in ranking if key.startswith("precision")] == ["precision@2"]


def test_in_a_pipeline_under_a_grid_search() -> None:
    steps = Pipeline([("lower", FunctionTransformer(lowered)), ("text", TextClassifier())])
    grid = {
        "text__settings": [{"training.strategy.C": value} for value in np.array([1e-6, 1.0])],
        "text__random_state": [np.int64(1)],
    }
    search = GridSearchCV(steps, grid, cv=KFold(2), error_score="raise").fit(
        [text.upper() for text in TEXTS], LISTS
    )
    assert search.best_params_["text__settings"] == {"training.strategy.C": 1.0}
    assert search.predict(NEW) == search.best_estimator_["text"].predict(NEW)
    strategies = [{"strategy": ["linear"]}, {"strategy": ["joint"], "settings": [NETWORK]}]
    search = GridSearchCV(TextClassifier(), strategies, cv=2, error_score="raise").fit(TEXTS[:24], ONE[:24])
    assert search.best_params_["strategy"] == "linear" and len(search.cv_results_["params"]) == 2


def test_cross_validation_by_its_own_score_and_others() -> None:
    y = matrix(LISTS)
    by_hand = []
    for train, test in KFold(3).split(TEXTS):
        fitted = TextClassifier().fit([TEXTS[row] for row in train], y[train])
        by_hand.append(f1_score(y[test], fitted.predict([TEXTS[row] for row in test]), average="micro"))
    texts = np.array(TEXTS, dtype=object)
    np.testing.assert_allclose(cross_val_score(TextClassifier(), texts, y, cv=3), by_hand)
    np.testing.assert_allclose(cross_val_score(TextClassifier(), texts, y, cv=3, scoring="f1_micro"), by_hand)
    for scoring in ("average_precision", "roc_auc", "f1_samples", "neg_log_loss"):
        labels = ONE if scoring == "neg_log_loss" else y
        values = cross_val_score(TextClassifier(), texts, labels, cv=2, scoring=scoring, error_score="raise")
        assert np.isfinite(values).all()
    scores = cross_val_predict(TextClassifier(), texts, ONE, cv=2, method="predict_proba")
    assert scores.shape == (60, 4)


@pytest.mark.slow
def test_cross_validation_in_several_processes() -> None:
    values = cross_val_score(TextClassifier(), TEXTS, PATHS, cv=2, scoring="accuracy", n_jobs=2)
    np.testing.assert_array_equal(values, cross_val_score(TextClassifier(), TEXTS, PATHS, cv=2))


@pytest.mark.parametrize(
    "strategy", ["linear", "joint", pytest.param("per_category", marks=pytest.mark.slow)]
)
def test_pickles_give_the_same_answers(strategy: str, tmp_path: Path) -> None:
    own = {"training.strategy.start_from": "scratch"} if strategy == "per_category" else {}
    settings = {} if strategy == "linear" else {**NETWORK, **own}
    fitted = TextClassifier(strategy=strategy, settings=settings).fit(TEXTS, LISTS)
    expected = fitted.predict_proba(NEW)
    joblib.dump(fitted, tmp_path / "it")
    for again in (pickle.loads(pickle.dumps(fitted)), joblib.load(tmp_path / "it"), copy.deepcopy(fitted)):
        np.testing.assert_array_equal(again.predict_proba(NEW), expected)
        assert again.predict(NEW) == fitted.predict(NEW) and again.get_params() == fitted.get_params()
        assert again.score(NEW[:3], [["opera"]] * 3) == fitted.score(NEW[:3], [["opera"]] * 3)
    unfitted = pickle.loads(pickle.dumps(TextClassifier(strategy=strategy)))
    assert unfitted.get_params()["strategy"] == strategy and not hasattr(unfitted, "model_")


@pytest.mark.parametrize("strategy", ["linear", "joint"])
def test_scores_depend_on_the_document_alone(strategy: str) -> None:
    network = {} if strategy == "linear" else NETWORK
    fitted = TextClassifier(strategy=strategy, settings=network).fit(TEXTS, PATHS)
    whole = fitted.predict_proba(NEW)
    np.testing.assert_allclose(fitted.predict_proba(NEW[::-1])[::-1], whole, atol=1e-5)
    np.testing.assert_allclose(np.vstack([fitted.predict_proba([text]) for text in NEW]), whole, atol=1e-5)


def test_the_same_seed_gives_the_same_model() -> None:
    def scores(seed: Any) -> np.ndarray:
        return (
            TextClassifier(strategy="joint", settings=NETWORK, random_state=seed)
            .fit(TEXTS, ONE)
            .predict_proba(NEW)
        )

    np.testing.assert_array_equal(scores(3), scores(np.int64(3)))
    assert not np.array_equal(scores(3), scores(4))
    np.testing.assert_array_equal(scores(np.random.RandomState(5)), scores(np.random.RandomState(5)))


def test_a_config_is_a_file_a_dictionary_or_a_config(tmp_path: Path) -> None:
    taxonomy_file = tmp_path / "taxonomy.tsv"
    taxonomy_file.write_text(
        "Root\tscience\tleisure\nscience\tphysics\tchemistry\nleisure\topera\tfootball\n"
    )
    value = {
        "task": {"taxonomy": "taxonomy.tsv"}, "data": {"train": "nobody reads this.jsonl"},
        "training": {"strategy": {"type": "linear", "C": 0.5}}, "run": {"dir": "nor/this", "seed": 4},
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(value))
    from_file = TextClassifier(tmp_path / "config.json", strategy="linear").fit(TEXTS, LISTS)
    assert (
        from_file.model_.config.training.strategy.C == 0.5
    )  # the strategy that stands there keeps its settings
    assert from_file.model_.config.run.seed == 4 and len(from_file.taxonomy_) == 6
    value["task"] = {"taxonomy": str(taxonomy_file)}
    for config in (value, Config.build(value)):
        again = TextClassifier(config).fit(TEXTS, LISTS)
        np.testing.assert_allclose(again.predict_proba(NEW), from_file.predict_proba(NEW))
    assert value["run"] == {"dir": "nor/this", "seed": 4}  # as it was
    other = TextClassifier(
        value, taxonomy=taxonomy(), settings={"training.strategy.C": 2, "task.closure": "none"}
    )
    assert len(other.fit(TEXTS, LISTS).taxonomy_) == 7
    assert other.model_.config.training.strategy.C == 2 and not os.path.exists("nor")


def test_nothing_is_left_and_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    made = TextClassifier(strategy="joint", settings=NETWORK).fit(TEXTS, LISTS)
    made.predict(NEW)
    pickle.loads(pickle.dumps(made))
    with pytest.raises(ValueError, match="unknown label"):
        TextClassifier(taxonomy=taxonomy()).fit(TEXTS, [["cricket"]] * 60)
    assert [path.name for path in tmp_path.rglob("*")] == ["temporary"]
    assert capfd.readouterr() == ("", "")
    TextClassifier(strategy="joint", settings=NETWORK, verbose=1).fit(TEXTS, LISTS)
    told = capfd.readouterr()
    assert told.out == "" and "epoch 2: loss" in told.err


def test_a_run_folder_that_is_asked_for(tmp_path: Path) -> None:
    run = tmp_path / "run"
    made = TextClassifier(strategy="joint", settings=NETWORK, run_dir=str(run)).fit(TEXTS, LISTS)
    assert {"config.json", "history.jsonl", "model"} <= {path.name for path in run.iterdir()}
    np.testing.assert_allclose(linnaea.load(run).scores(NEW), made.predict_proba(NEW), atol=1e-6)
    assert json.loads((run / "config.json").read_text())["task"]["type"] == "multilabel"


@pytest.mark.slow
def test_a_linear_model_needs_no_torch() -> None:
    script = (
        "import sys; from linnaea import TextClassifier\n"
        "made = TextClassifier().fit(['quark energy', 'acid bond'] * 10, ['physics', 'chemistry'] * 10)\n"
        "assert made.predict(['acid bond']) == ['chemistry']\n"
        "print(sorted(name for name in sys.modules if name in ('torch', 'mlflow', 'transformers')))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_features_beside_the_text() -> None:
    rows = [{"text": "some words", "doc_keyword": [label]} for label in ONE]
    config = {"input": {"features": ["token", "keyword"]}, "training": {"strategy": "linear"}}
    assert make_pipeline(TextClassifier(config)).fit(rows, ONE).score(rows, ONE) == 1


def test_runs_that_mlflow_keeps_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "store").as_uri())
    store = pytest.importorskip("mlflow.tracking").MlflowClient()
    listeners = {"run.listeners": ["mlflow"]}
    TextClassifier(strategy="joint", settings={**NETWORK, **listeners}).fit(TEXTS, ONE)
    TextClassifier(settings=listeners).fit(TEXTS, ONE)
    found = store.search_runs([store.get_experiment_by_name("linnaea").experiment_id])
    assert {run.info.status for run in found} == {"FINISHED"}
    by_strategy = {run.data.params["training.strategy.type"]: run for run in found}
    joint, linear = by_strategy["joint"], by_strategy["linear"]
    assert [p.step for p in store.get_metric_history(joint.info.run_id, "train/loss")] == [1, 2]
    assert linear.data.metrics == {} and linear.data.params["task.type"] == "multiclass"
