"""The linear strategy against scikit-learn, and what every scorer promises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC

from linnaea.config.config import Config
from linnaea.config.training import LinearConfig
from linnaea.errors import ConfigError, DataError, ModelError
from linnaea.ragged import Ragged
from linnaea.strategies import liblinear, linear
from linnaea.strategies.base import Fitted
from linnaea.strategies.build import build_strategy, load_scorer
from linnaea.strategies.crossfit import fold_numbers, join
from linnaea.strategies.liblinear import fit_categories
from linnaea.strategies.linear import LinearScorer
from linnaea.text.build import corpus_from_documents
from linnaea.text.store import Corpus

from .toys import corpus, linear_config, run_folder, taxonomy


def fitted(config: Config, parts: Corpus, folder: Path, **options: Any) -> tuple[LinearScorer, Fitted]:
    result = build_strategy(config).fit(parts, run_folder(folder), **options)
    assert isinstance(result.scorer, LinearScorer)
    return result.scorer, result


def gold(parts: Corpus, *names: str) -> np.ndarray:
    splits = [dict(parts.splits())[name] for name in names]
    return np.concatenate([s.labels.dense(len(parts.taxonomy)) for s in splits if s.labels is not None])


@pytest.mark.parametrize(
    ("settings", "model"),
    [
        ({}, lambda weight: LinearSVC(random_state=1)),
        ({"C": 0.1}, lambda weight: LinearSVC(C=0.1, random_state=1)),
        ({"balanced": True}, lambda weight: LinearSVC(class_weight={1: weight}, random_state=1)),
        (
            {"model": "logistic", "C": 5.0},
            lambda weight: LogisticRegression(C=5.0, solver="liblinear", random_state=1),
        ),
    ],
)
def test_scores_are_scikit_learns(tmp_path: Path, settings: dict, model: Any) -> None:
    config = linear_config(settings)
    parts = corpus(config)
    scorer, _ = fitted(config, parts, tmp_path)
    assert parts.dev is not None and parts.test is not None
    both = join([parts.train, parts.dev])
    seen, unseen = (scorer.tfidf(s, np.arange(len(s))) for s in (both, parts.test))
    scores, labels = scorer.score(parts.test).scores, gold(parts, "train", "dev")
    for column in np.flatnonzero(labels.any(0)):
        wanted = labels[:, column]
        theirs = model((~wanted).sum() / wanted.sum()).fit(seen, wanted)
        np.testing.assert_allclose(
            scorer.decision_values(unseen)[:, column], theirs.decision_function(unseen), atol=2e-6
        )
        np.testing.assert_allclose(scores[:, column], expit(theirs.decision_function(unseen)), atol=1e-6)


def test_weights_of_a_balanced_logistic_model_are_taken_back(tmp_path: Path) -> None:
    plain, balanced = (
        linear_config({"model": "logistic"}),
        linear_config({"model": "logistic", "balanced": True}),
    )
    parts = corpus(plain)
    scorer, _ = fitted(balanced, parts, tmp_path)
    assert parts.dev is not None and parts.test is not None
    both, column = join([parts.train, parts.dev]), parts.taxonomy.index["opera"]
    wanted = gold(parts, "train", "dev")[:, column]
    weight = (~wanted).sum() / wanted.sum()
    seen, unseen = (scorer.tfidf(s, np.arange(len(s))) for s in (both, parts.test))
    theirs = LogisticRegression(class_weight={1: weight}, solver="liblinear").fit(seen, wanted)
    expected = theirs.decision_function(unseen) - np.log(weight)
    np.testing.assert_allclose(scorer.decision_values(unseen)[:, column], expected, atol=1e-4)


def test_never_and_always(tmp_path: Path) -> None:
    config = linear_config()
    parts = corpus(config)
    always = taxonomy().index["leisure"]
    everybody = [
        Ragged.from_rows([sorted({*row.tolist(), always}) for row in s.labels]) for _, s in parts.splits()
    ]
    splits = [s.with_labels(labels) for (_, s), labels in zip(parts.splits(), everybody, strict=True)]
    scorer, result = fitted(config, Corpus(parts.taxonomy, parts.featurizer, *splits), tmp_path)
    scores = scorer.score(splits[2]).scores
    assert (scores[:, always] == 1).all()
    assert (scores[:, taxonomy().index["rugby"]] == 0).all()
    assert result.support_C[always] == 64 and result.support_C[taxonomy().index["rugby"]] == 0
    others = [c for c in range(7) if c not in (always, taxonomy().index["rugby"])]
    assert ((scores[:, others] > 0) & (scores[:, others] < 1)).all()


def test_exactly_one_category(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    rows = [
        {"text": " ".join(rng.choice(["ab", "cd", "ef", label, label.upper() + "x"], 4)), "labels": [label]}
        for label in ("one", "two", "three") for _ in range(12)
    ]  # fmt: skip
    config = linear_config(task={"type": "multiclass"})
    parts = corpus_from_documents(config, None, rows, rows[:6], rows[::2])
    scorer, _ = fitted(config, parts, tmp_path)
    assert parts.test is not None and parts.dev is not None
    scores = scorer.score(parts.test).scores
    np.testing.assert_allclose(scores.sum(1), 1, atol=1e-6)
    seen, unseen = (scorer.tfidf(s, np.arange(len(s))) for s in (join([parts.train, parts.dev]), parts.test))
    theirs = OneVsRestClassifier(LinearSVC(random_state=1)).fit(seen, gold(parts, "train", "dev").argmax(1))
    np.testing.assert_array_equal(scores.argmax(1), theirs.predict(unseen))


def test_the_order_and_the_company_of_documents_change_nothing(tmp_path: Path) -> None:
    config = linear_config()
    parts = corpus(config)
    scorer, _ = fitted(config, parts, tmp_path)
    assert parts.test is not None
    whole = scorer.score(parts.test).scores
    order = np.random.default_rng(0).permutation(len(parts.test))
    shuffled = scorer.score(parts.test.take(order))
    np.testing.assert_array_equal(shuffled.scores, whole[order])
    assert list(shuffled.ids) == [parts.test.ids[row] for row in order]
    alone = [scorer.score(parts.test.take(np.array([row]))).scores[0] for row in range(len(parts.test))]
    np.testing.assert_array_equal(np.array(alone), whole)
    assert scorer.score(parts.test.take(order[:0])).scores.shape == (0, 7)


def test_kept_scores_are_the_best_of_all(tmp_path: Path) -> None:
    config = linear_config()
    parts = corpus(config)
    scorer, _ = fitted(config, parts, tmp_path)
    assert parts.test is not None
    whole, kept = scorer.score(parts.test).scores, scorer.score(parts.test, keep=3).scores
    np.testing.assert_array_equal(kept.data.reshape(-1, 3).min(1), np.sort(whole, axis=1)[:, -3])
    for row, column in zip(*kept.nonzero(), strict=True):
        assert kept[row, column] == whole[row, column]


def test_weights_too_large_to_lie_densely(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = linear_config()
    parts = corpus(config)
    scorer, _ = fitted(config, parts, tmp_path)
    assert parts.test is not None
    whole = scorer.score(parts.test).scores
    monkeypatch.setattr(linear, "DENSE_WEIGHTS", 0)
    sparse = LinearScorer(scorer.taxonomy, scorer.tfidf, scorer.weights, scorer.intercept_C, "sigmoid")
    np.testing.assert_allclose(sparse.score(parts.test).scores, whole, atol=1e-6)


def test_saved_and_loaded_scores_are_equal_to_the_bit(tmp_path: Path) -> None:
    config = linear_config()
    parts = corpus(config)
    scorer, _ = fitted(config, parts, tmp_path)
    scorer.save(tmp_path)
    again = load_scorer("linear", tmp_path, config, parts.taxonomy, parts.featurizer)
    assert parts.test is not None
    np.testing.assert_array_equal(again.score(parts.test).scores, scorer.score(parts.test).scores)
    assert again.kind == "linear"


def test_a_model_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    config = linear_config()
    parts, other = corpus(config), corpus(config, train=10)
    scorer, _ = fitted(config, parts, tmp_path)
    scorer.save(tmp_path)
    with pytest.raises(ModelError, match="does not fit"):
        load_scorer("linear", tmp_path, config, parts.taxonomy, other.featurizer)
    scorer.intercept_C[2] = np.nan
    scorer.save(tmp_path)
    with pytest.raises(ModelError, match="intercept_C is not finite"):
        load_scorer("linear", tmp_path, config, parts.taxonomy, parts.featurizer)


def test_processes_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    config = linear_config()
    parts = corpus(config, train=200)
    labels = parts.train.labels
    assert labels is not None
    counts = linear.count_features(parts.train, config.input.features, parts.featurizer.sizes, np.arange(200))
    vectors = linear.TfIdf.fit(counts, config.input.features, parts.featurizer.sizes).weigh(counts)
    alone, shared = (fit_categories(vectors, labels.transpose(7), LinearConfig(), 1, n) for n in (1, 2))
    np.testing.assert_array_equal(shared.intercept_C, alone.intercept_C)
    np.testing.assert_array_equal(shared.weights.toarray(), alone.weights.toarray())
    assert alone.weights.nnz > 0
    monkeypatch.setattr(liblinear.os, "sched_getaffinity", lambda _: range(6), raising=False)
    asked = [(None, 1), (None, 1e9), (3, 1e9), (64, 1e9), (None, 4.1e8)]
    assert [liblinear.processes(threads, work) for threads, work in asked] == [1, 6, 3, 6, 4]


def test_models_that_did_not_converge_are_told(tmp_path: Path) -> None:
    heard: list[str] = []

    class Hearer:
        def note(self, message: str) -> None: ...
        def progress(self, what: str, done: int, total: int | None = None, detail: str = "") -> None: ...
        def listener(self, name: str = "") -> None: ...
        def warn(self, message: str) -> None:
            heard.append(message)

    # The same texts under either label: the harder a model tries, the longer it takes.
    texts = [
        " ".join(f"w{word}" for word in np.random.default_rng(i).integers(0, 900, 9)) for i in range(150)
    ]
    rows = [{"text": text, "labels": [label]} for label in ("opera", "physics") for text in texts]
    for C, expected in ((1e6, 1), (0.01, 0)):
        config = linear_config({"C": C})
        fitted(config, corpus_from_documents(config, taxonomy(), rows), tmp_path, reporter=Hearer())
        assert len(heard) == expected, heard
        assert all("4 linear models stopped before they had converged" in message for message in heard)
        heard.clear()


class TestTuning:
    CROSS: ClassVar = {"threshold": {"type": "global", "on": "cross", "folds": 4}}

    def test_nothing_is_tuned_and_dev_is_learned_from(self, tmp_path: Path) -> None:
        config = linear_config()
        parts = corpus(config)
        _, result = fitted(config, parts, tmp_path)
        assert result.tuning is None and result.tuning_gold is None and result.main_process
        np.testing.assert_array_equal(result.support_C, gold(parts, "train", "dev").sum(0))

    def test_on_dev(self, tmp_path: Path) -> None:
        config = linear_config(decision={"threshold": {"type": "global", "on": "dev"}})
        parts = corpus(config)
        scorer, result = fitted(config, parts, tmp_path)
        assert parts.dev is not None and result.tuning is not None and result.tuning_gold is not None
        np.testing.assert_array_equal(result.support_C, gold(parts, "train").sum(0))
        np.testing.assert_array_equal(result.tuning.scores, scorer.score(parts.dev).scores)
        np.testing.assert_array_equal(result.tuning_gold.dense(7), gold(parts, "dev"))
        with pytest.raises(ConfigError, match="no dev documents") as error:
            fitted(config, Corpus(parts.taxonomy, parts.featurizer, parts.train), tmp_path)
        assert error.value.where == "decision.threshold.on"

    def test_a_document_is_never_scored_by_a_model_that_saw_it(self, tmp_path: Path) -> None:
        # Every document is one word that no other has: whoever saw it knows its label, whoever did not
        # knows nothing at all, and gives all such documents one and the same score.
        names = ["physics", "opera"]
        rows = [{"text": f"word{i} word{i}", "labels": [names[i % 2]]} for i in range(40)]
        config = linear_config(decision=self.CROSS)
        parts = corpus_from_documents(config, taxonomy(), rows[:30], rows[30:])
        scorer, result = fitted(config, parts, tmp_path)
        assert result.tuning is not None and result.tuning_gold is not None and parts.dev is not None
        both = join([parts.train, parts.dev])
        wanted = result.tuning_gold.dense(7)
        knows = scorer.score(parts.train).scores >= 0.5
        np.testing.assert_array_equal(knows, wanted[:30])
        fold_N = fold_numbers(both, 7, 4, config.run.seed, config.decision)
        for fold in range(4):
            scores = result.tuning.scores[fold_N == fold]
            assert len(np.unique(scores, axis=0)) == 1
            assert wanted[fold_N == fold].any(0).sum() == 4  # though both labels are among them
        assert list(result.tuning.ids) == list(both.ids)

    def test_out_of_fold_scores_are_those_of_the_other_folds_models(self, tmp_path: Path) -> None:
        config = linear_config(decision=self.CROSS)
        parts = corpus(config)
        scorer, result = fitted(config, parts, tmp_path)
        assert parts.dev is not None and result.tuning is not None
        both, plain = join([parts.train, parts.dev]), linear_config()
        fold_N = fold_numbers(both, 7, 4, config.run.seed, config.decision)
        for fold in range(4):
            inside, outside = np.flatnonzero(fold_N == fold), np.flatnonzero(fold_N != fold)
            alone = Corpus(parts.taxonomy, parts.featurizer, both.take(outside))
            other, _ = fitted(plain, alone, tmp_path)
            np.testing.assert_array_equal(other.score(both.take(inside)).scores, result.tuning.scores[inside])
        everything, _ = fitted(plain, parts, tmp_path)
        np.testing.assert_array_equal(everything.weights.toarray(), scorer.weights.toarray())
        np.testing.assert_array_equal(result.support_C, gold(parts, "train", "dev").sum(0))


def test_no_feature_at_all(tmp_path: Path) -> None:
    config = linear_config(input={"features": ["token"], "vocabulary": {"min_count": 2}})
    rows = [{"text": f"once{i}", "labels": ["physics"]} for i in range(4)]
    parts = corpus_from_documents(config, taxonomy(), rows, rows[:2])
    with pytest.raises(DataError, match="no training document holds a feature"):
        fitted(config, parts, tmp_path)


def test_linear_models_need_no_torch() -> None:
    code = (
        "import sys\nfrom linnaea.config.config import Config\n"
        "from linnaea.strategies.build import build_strategy\n"
        "build_strategy(Config.build({'training': {'strategy': 'linear'}}))\n"
        "print([name for name in ('torch', 'lightning_fabric') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
