"""The joint strategy: networks of a few hundred weights on documents of a few words."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from linnaea.config.config import Config
from linnaea.errors import ConfigError, DataError, ModelError, UsageError
from linnaea.metrics.evaluate import training_metrics
from linnaea.nn.objectives.objective import Objective
from linnaea.strategies.base import WEIGHTS, Fitted
from linnaea.strategies.build import build_strategy, load_scorer
from linnaea.strategies.crossfit import join
from linnaea.strategies.network import NetworkScorer
from linnaea.strategies.trainer import Job, Trained, Trainer
from linnaea.text.build import corpus_from_documents
from linnaea.text.store import Corpus
from linnaea.training.history import EpochRecord, History, Progress, Start

from .toys import corpus, documents, joint_config, run_folder, taxonomy

FASTTEXT = {
    "input": {"features": ["token", "ngram"], "ngram": {"buckets": 500}, "vocabulary": {"min_count": 1}},
    "model": {
        "embedder": {"type": "lookup", "dimension": 16},
        "encoder": "fasttext",
        "head": {"type": "linear", "dropout": 0.0},
    },
}


class Hearer:
    """A reporter and its listener; ``fall_after`` epochs of its training number ``fall_in`` it fails."""

    def __init__(self, fall_in: int = -1, fall_after: int = -1) -> None:
        self.notes: list[str] = []
        self.starts: list[Start] = []
        self.records: list[EpochRecord] = []
        self.fall_in, self.fall_after = fall_in, fall_after

    def note(self, message: str) -> None:
        self.notes.append(message)

    warn = note

    def progress(self, what: str, done: int, total: int | None = None, detail: str = "") -> None: ...

    def listener(self, name: str = "") -> Hearer:
        return self

    def on_start(self, start: Start) -> None:
        self.starts.append(start)

    def on_step(self, progress: Progress) -> None: ...

    def on_epoch(self, record: EpochRecord) -> None:
        self.records.append(record)
        if (len(self.starts), record.epoch) == (self.fall_in, self.fall_after):
            raise ConnectionAbortedError

    def on_end(self, history: History) -> None: ...


def fitted(config: Config, parts: Corpus, folder: Path, **options: Any) -> tuple[NetworkScorer, Fitted]:
    result = build_strategy(config).fit(parts, run_folder(folder), **options)
    assert isinstance(result.scorer, NetworkScorer)
    return result.scorer, result


def weights(scorer: NetworkScorer) -> Mapping[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in scorer.network.state_dict().items()}


def same(one: NetworkScorer, other: NetworkScorer) -> bool:
    pairs = zip(weights(one).items(), weights(other).items(), strict=True)
    return all(name == name2 and (a == b).all() for (name, a), (name2, b) in pairs)


@pytest.mark.parametrize("parts", [{}, FASTTEXT], ids=["textcnn", "fasttext"])
def test_learns_a_corpus_by_heart(tmp_path: Path, parts: dict) -> None:
    training = {"epochs": 40, "batch_size": 8, "optimizer": {"type": "adam", "learning_rate": 0.02}}
    config = joint_config(**parts, training=training)
    made = corpus(config, train=16, dev=16)
    made = dataclasses.replace(made, dev=made.train)
    scorer, _ = fitted(config, made, tmp_path)
    assert made.train.labels is not None
    assert training_metrics(scorer.score(made.train), made.train.labels)["micro_f1"] == 1


@pytest.mark.parametrize("parts", [{}, FASTTEXT], ids=["textcnn", "fasttext"])
def test_the_order_and_the_company_of_documents_change_nothing(tmp_path: Path, parts: dict) -> None:
    config = joint_config(**parts)
    made = corpus(config)
    scorer, _ = fitted(config, made, tmp_path)
    test = made.test
    assert test is not None
    whole = scorer.score(test).scores
    assert whole.dtype == np.float32 and whole.std() > 0.01
    order = np.random.default_rng(0).permutation(len(test))
    shuffled = scorer.score(test.take(order))
    np.testing.assert_allclose(shuffled.scores, whole[order], atol=1e-5)
    assert list(shuffled.ids) == [test.ids[row] for row in order]
    alone = [scorer.score(test.take(np.array([row]))).scores[0] for row in range(len(test))]
    np.testing.assert_allclose(np.array(alone), whole, atol=1e-5)
    assert scorer.score(test.take(order[:0])).scores.shape == (0, 7)


def test_kept_scores_are_the_best_of_all(tmp_path: Path) -> None:
    config = joint_config()
    made = corpus(config)
    scorer, _ = fitted(config, made, tmp_path)
    assert made.test is not None
    whole, kept = scorer.score(made.test).scores, scorer.score(made.test, keep=2).scores
    assert (np.diff(kept.indptr) == 2).all()
    np.testing.assert_array_equal(np.sort(kept.data.reshape(-1, 2)), np.sort(whole)[:, -2:])
    np.testing.assert_array_equal(kept.toarray()[kept.toarray() > 0], whole[kept.toarray() > 0])


def test_dev_is_scored_by_the_best_weights(tmp_path: Path) -> None:
    config = joint_config(decision={"threshold": {"type": "global"}})
    made = corpus(config)
    scorer, result = fitted(config, made, tmp_path)
    dev = made.dev
    assert dev is not None and dev.labels is not None and result.tuning is not None
    np.testing.assert_array_equal(result.tuning.scores, scorer.score(dev).scores)
    assert result.tuning_gold is dev.labels
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    best = lines[result.facts["best_epoch"] - 1]["dev"]
    assert best["micro_f1"] == max(line["dev"]["micro_f1"] for line in lines)
    measured = training_metrics(result.tuning, dev.labels)
    assert {name: best[name] for name in measured} == pytest.approx(measured)
    assert made.train.labels is not None
    np.testing.assert_array_equal(result.support_C, made.train.labels.counts(7))
    assert result.facts["parameters"] == sum(w.size for w in weights(scorer).values())


def test_nothing_is_tuned(tmp_path: Path) -> None:
    config = joint_config()
    _, result = fitted(config, corpus(config), tmp_path)
    assert result.tuning is None and result.tuning_gold is None


@pytest.mark.parametrize("stopping", ["loss", "average_precision", None])
def test_what_stops_training(tmp_path: Path, stopping: str | None) -> None:
    early = None if stopping is None else {"metric": stopping, "patience": 2}
    config = joint_config(training={"epochs": 3, "early_stopping": early})
    made = corpus(config)
    scorer, result = fitted(config, made, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    if stopping is None:
        assert result.facts["best_epoch"] == len(lines) == 3
        return
    values = [line["dev"][stopping] for line in lines]
    best = values.index(min(values) if stopping == "loss" else max(values)) + 1
    assert result.facts["best_epoch"] == best
    dev = made.dev
    assert dev is not None and dev.labels is not None
    if stopping == "loss":
        objective = Objective(config.objective, made.taxonomy, result.support_C, len(made.train))
        shares = [float(objective(o, b, scorer.network, len(dev))) for b, o in scorer.outputs(dev)]
        assert sum(shares) == pytest.approx(values[best - 1], rel=1e-5)
    else:
        measured = training_metrics(scorer.score(dev), dev.labels, names=[stopping])
        assert measured[stopping] == pytest.approx(values[best - 1])


def test_class_weights_are_taken_out_of_the_scores(tmp_path: Path) -> None:
    plain, weighted = ({"class_weights": w} for w in (None, {"physics": 8.0}))
    runs = []
    for objective in (plain, weighted):
        config = joint_config(objective=objective, training={"epochs": 1})
        made = corpus(config)
        scorer, _ = fitted(config, made, tmp_path / str(len(runs)))
        history = json.loads((tmp_path / str(len(runs)) / "history.jsonl").read_text())
        dev = made.dev
        assert dev is not None and dev.labels is not None and scorer.shift_C is None
        # While training, dev was decided by the scores that are shipped.
        measured = training_metrics(scorer.score(dev), dev.labels)
        assert {name: history["dev"][name] for name in measured} == pytest.approx(measured)
        runs.append(scorer)


@pytest.mark.parametrize("bias", ["prior", "zero"])
def test_where_biases_begin_under_class_weights(tmp_path: Path, bias: str) -> None:
    """From the share of train, moved by ln w, so that without a step the shipped scores are the shares; or from 0."""
    still = {"epochs": 1, "optimizer": {"type": "sgd", "learning_rate": 1e-30}}
    found = []
    for objective in ({}, {"class_weights": {"physics": 8.0}}):
        config = joint_config(objective=objective, training=still, model={"head": {"bias": bias}})
        scorer, _ = fitted(config, corpus(config), tmp_path / str(len(found)))
        found.append(scorer.network.head.biases()[0].detach().numpy())
    expected = np.zeros(7)
    if bias == "zero":
        expected[scorer.taxonomy.index["physics"]] = np.log(8)
    np.testing.assert_allclose(found[0] - found[1], expected, atol=1e-6)


def test_exactly_one_category(tmp_path: Path) -> None:
    from linnaea.text.build import corpus_from_documents

    rows = [{**row, "labels": row["labels"][:1]} for row in documents(40, 0)]
    config = joint_config(
        task={"type": "multiclass"},
        training={"epochs": 30, "optimizer": {"type": "adam", "learning_rate": 0.02}},
    )
    made = corpus_from_documents(config, None, rows, rows[:20], rows[20:])
    scorer, result = fitted(config, made, tmp_path)
    assert made.test is not None and made.test.labels is not None and result.tuning is None
    scores = scorer.score(made.test).scores
    np.testing.assert_allclose(scores.sum(1), 1, atol=1e-5)
    np.testing.assert_array_equal(scores.argmax(1), made.test.labels.values)


def test_without_dev(tmp_path: Path) -> None:
    config = joint_config()
    made = dataclasses.replace(corpus(config), dev=None)
    _, result = fitted(config, made, tmp_path)
    assert result.facts["best_epoch"] == 4  # nothing to judge by: the last
    config = joint_config(decision={"threshold": {"type": "global"}})
    with pytest.raises(ConfigError, match="no dev documents") as error:
        fitted(config, made, tmp_path)
    assert error.value.where == "decision.threshold.on"


class TestFolder:
    def test_saved_and_loaded_scores_are_equal_to_the_bit(self, tmp_path: Path) -> None:
        config = joint_config()
        made = corpus(config)
        scorer, _ = fitted(config, made, tmp_path)
        scorer.save(tmp_path)
        torch.manual_seed(5)
        expected = torch.rand(3)
        torch.manual_seed(5)
        again = load_scorer("network", tmp_path, config, made.taxonomy, made.featurizer, device="cpu")
        assert torch.equal(torch.rand(3), expected)  # loading draws nothing
        assert made.test is not None and again.kind == "network"
        np.testing.assert_array_equal(again.score(made.test).scores, scorer.score(made.test).scores)

    def test_weights_that_do_not_fit_are_refused(self, tmp_path: Path) -> None:
        config = joint_config()
        made = corpus(config)
        scorer, _ = fitted(config, made, tmp_path)
        scorer.save(tmp_path)
        good = load_file(tmp_path / WEIGHTS)
        name = "head.linear.bias"

        def load(tensors: dict) -> None:
            save_file(tensors, tmp_path / WEIGHTS)
            load_scorer("network", tmp_path, config, made.taxonomy, made.featurizer, device="cpu")

        load(good)
        for tensors, message in (
            ({**good, name: np.full(7, np.nan, dtype=np.float32)}, "is not finite"),
            ({**good, name: np.zeros(6, dtype=np.float32)}, "is float32 6, not float32 7"),
            ({k: v for k, v in good.items() if k != name}, f"no tensor '{name}'"),
            ({**good, "encoder.more": np.zeros(1)}, "unknown tensors: encoder.more"),
        ):
            with pytest.raises(ModelError, match=message):
                load(tensors)

    def test_no_such_device(self, tmp_path: Path) -> None:
        config = joint_config()
        made = corpus(config)
        with pytest.raises(UsageError, match="there is no device 'tpu'"):
            load_scorer("network", tmp_path, config, made.taxonomy, made.featurizer, device="tpu")


class TestVectors:
    def test_known_words_begin_with_theirs(self, tmp_path: Path) -> None:
        path = tmp_path / "vectors.txt"
        path.write_text("quark 1 2\nnobody 7 7\nGOAL 3 4\n")
        embedder = {"type": "lookup", "dimension": 2, "pretrained": str(path), "freeze_epochs": 1}
        config = joint_config(
            model={"embedder": embedder, "encoder": {"type": "textcnn", "filters": 3}}, training={"epochs": 1}
        )
        made, hearer = corpus(config), Hearer()
        scorer, _ = fitted(config, made, tmp_path, reporter=hearer)
        table = weights(scorer)["embedder.tables.token.weight"]
        ids = made.featurizer.vocabularies["token"].index
        np.testing.assert_array_equal(table[[ids["quark"], ids["goal"]]], [[1, 2], [3, 4]])
        assert not (table[[ids["acid"], ids["bond"]]] == 0).any()
        assert any("2 of " in note for note in hearer.notes)

    def test_of_another_width_or_for_no_feature(self, tmp_path: Path) -> None:
        path = tmp_path / "vectors.txt"
        path.write_text("quark 1 2\n")
        model = {
            "embedder": {"type": "lookup", "dimension": 3, "pretrained": str(path)},
            "encoder": "fasttext",
        }
        config = joint_config(model=model)
        with pytest.raises(DataError):
            fitted(config, corpus(config), tmp_path)
        with pytest.raises(ConfigError, match=r'does nothing here.*add "token" to input\.features') as error:
            joint_config(model=model, input={"features": ["char_ngram"], "char_ngram": {"buckets": 50}})
        assert error.value.where == "model.embedder.pretrained"

    def test_of_keywords(self, tmp_path: Path) -> None:
        path = tmp_path / "vectors.txt"
        path.write_text("open access 1 2\nquark 3 4\n")
        texts = [{**text, "doc_keyword": ["open access", "physics"]} for text in documents(20, 0)]
        model = {"embedder": {"type": "lookup", "dimension": 2, "keyword_pretrained": str(path)}}
        config = joint_config(
            model={**model, "encoder": "fasttext"},
            input={"features": ["token", "keyword"]},
            training={"epochs": 1, "optimizer": {"type": "sgd", "learning_rate": 1e-9}},
        )
        made, hearer = corpus_from_documents(config, taxonomy(), texts), Hearer()
        scorer, _ = fitted(config, made, tmp_path, reporter=hearer)
        table = weights(scorer)["embedder.tables.keyword.weight"]
        ids = made.featurizer.vocabularies["keyword"].index
        np.testing.assert_allclose(table[ids["open access"]], [1, 2], atol=1e-6)
        assert abs(table[ids["physics"]]).max() < 1
        assert hearer.notes == [
            "vectors for 1 of 2 distinct keywords (50.0%), 50.0% of the keywords of train"
        ]


@pytest.mark.parametrize("setting", [True, False])
def test_sparse_gradients_are_as_the_config_says(tmp_path: Path, setting: bool) -> None:
    config = joint_config(**FASTTEXT, training={"epochs": 1, "sparse_gradients": setting})
    scorer, _ = fitted(config, corpus(config), tmp_path)
    assert scorer.network.embedder is not None
    assert scorer.network.embedder.sparse is setting


def test_large_tables_get_sparse_gradients(tmp_path: Path) -> None:
    for buckets, expected in ((200_000, True), (500, False)):
        part = {**FASTTEXT["input"], "ngram": {"buckets": buckets}}
        config = joint_config(**{**FASTTEXT, "input": part}, training={"epochs": 1})
        scorer, _ = fitted(config, corpus(config), tmp_path / str(buckets))
        assert scorer.network.embedder is not None
        assert scorer.network.embedder.sparse is expected


class TestResume:
    def test_goes_on_where_it_fell(self, tmp_path: Path) -> None:
        config = joint_config(decision={"threshold": {"type": "global"}})
        made = corpus(config)
        straight, expected = fitted(config, made, tmp_path / "straight")
        with pytest.raises(ConnectionAbortedError):
            fitted(config, made, tmp_path / "fell", reporter=Hearer(1, 2))
        hearer = Hearer()
        resumed, result = fitted(config, made, tmp_path / "fell", resume=True, reporter=hearer)
        assert [record.epoch for record in hearer.records] == [3, 4]
        assert same(straight, resumed)
        assert result.tuning is not None and expected.tuning is not None
        np.testing.assert_array_equal(result.tuning.scores, expected.tuning.scores)
        finished, _ = fitted(config, made, tmp_path / "fell", resume=True)
        assert same(straight, finished)

    def test_another_network_is_not_gone_on_with(self, tmp_path: Path) -> None:
        config = joint_config()
        made = corpus(config)
        with pytest.raises(ConnectionAbortedError):
            fitted(config, made, tmp_path, reporter=Hearer(1, 1))
        other = joint_config(objective={"recursive_penalty": 0.1})
        with pytest.raises(ConfigError, match="of another run: objective"):
            fitted(other, made, tmp_path, resume=True)


class TestCross:
    DECISION: ClassVar = {"threshold": {"type": "global", "on": "cross", "folds": 3}}

    def test_a_document_is_never_scored_by_a_network_that_saw_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        jobs: list[Job] = []
        trained: list[Trained] = []
        scored: list[tuple[NetworkScorer, list[str]]] = []
        train, score = Trainer.train, NetworkScorer.score

        def spy_train(self: Trainer, job: Job, *rest: Any) -> Trained:
            jobs.append(job)
            trained.append(train(self, job, *rest))
            return trained[-1]

        def spy_score(self: NetworkScorer, split: Any, keep: int | None = None) -> Any:
            scored.append((self, list(split.ids)))
            return score(self, split, keep)

        monkeypatch.setattr(Trainer, "train", spy_train)
        monkeypatch.setattr(NetworkScorer, "score", spy_score)
        config = joint_config(decision=self.DECISION)
        made = corpus(config)
        last, result = fitted(config, made, tmp_path)
        assert made.dev is not None and result.tuning is not None and result.tuning_gold is not None
        both = join([made.train, made.dev])
        every = list(both.ids)
        assert len(set(every)) == len(every) == 64
        for job, fit, (scorer, ids) in zip(jobs[:3], trained, scored, strict=False):
            assert scorer is fit.scorer
            assert set(job.train.ids).isdisjoint(ids)
            assert sorted([*job.train.ids, *ids]) == sorted(every)
            assert job.dev is not None and list(job.dev.ids) == ids  # also judged by what it did not learn
            where = [every.index(id) for id in ids]
            np.testing.assert_array_equal(result.tuning.scores[where], score(scorer, job.dev).scores)
        assert sorted(id for _, ids in scored for id in ids) == sorted(every)
        assert len(jobs) == 4 and list(jobs[3].train.ids) == every and jobs[3].dev is None
        assert list(result.tuning.ids) == every
        assert both.labels is not None
        np.testing.assert_array_equal(result.tuning_gold.dense(7), both.labels.dense(7))
        np.testing.assert_array_equal(result.support_C, both.labels.counts(7))
        assert last is trained[3].scorer

    def test_the_last_training_takes_the_mean_of_the_folds_best_epochs(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        best = iter([2, 4, 3 + 2, 1])
        train, trainings = Trainer.train, []

        def pretend(self: Trainer, job: Job, *rest: Any) -> Trained:
            trainings.append(job.training)
            result = train(self, job, *rest)
            return dataclasses.replace(
                result, history=dataclasses.replace(result.history, best_epoch=next(best))
            )

        monkeypatch.setattr(Trainer, "train", pretend)
        config = joint_config(decision=self.DECISION, training={"epochs": 6, "batch_size": 32})
        _, result = fitted(config, corpus(config), tmp_path)
        assert [t.epochs for t in trainings] == [6, 6, 6, 4]  # 11 / 3 = 3.67
        assert trainings[3].early_stopping is None
        assert result.facts["fold_epochs"] == [2, 4, 5]
        lines = (tmp_path / "history.jsonl").read_text().splitlines()
        assert len(lines) == 4 and json.loads(lines[0])["dev"] == {}

    def test_goes_on_in_the_fold_where_it_fell(self, tmp_path: Path) -> None:
        config = joint_config(decision=self.DECISION, training={"epochs": 3, "batch_size": 8})
        made = corpus(config)
        straight, expected = fitted(config, made, tmp_path / "straight")
        with pytest.raises(ConnectionAbortedError):
            fitted(config, made, tmp_path / "fell", reporter=Hearer(2, 2))
        hearer = Hearer()
        resumed, result = fitted(config, made, tmp_path / "fell", resume=True, reporter=hearer)
        assert [len(start.records) for start in hearer.starts[:3]] == [3, 2, 0]
        assert same(straight, resumed) and result.facts["fold_epochs"] == expected.facts["fold_epochs"]
        assert result.tuning is not None and expected.tuning is not None
        np.testing.assert_array_equal(result.tuning.scores, expected.tuning.scores)
