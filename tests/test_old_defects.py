"""What NeuralClassifier's code got wrong, where no other test holds it; docs/migration.md names the test of each."""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from linnaea.commands.train import train
from linnaea.config.config import Config
from linnaea.config.heads import ModelConfig
from linnaea.config.neuralclassifier import convert
from linnaea.config.objective import ObjectiveConfig
from linnaea.corpus.policy import ErrorPolicy
from linnaea.decision.decider import Decider
from linnaea.decision.predictions import Predictions
from linnaea.errors import ConfigError, LinnaeaError
from linnaea.metrics.evaluate import evaluate
from linnaea.metrics.further import numbers
from linnaea.nn.batch import Batch
from linnaea.nn.network import HeadOutput, Network
from linnaea.nn.objectives.objective import Objective
from linnaea.ragged import Ragged
from linnaea.reporter import Silent
from linnaea.strategies.base import Fitted
from linnaea.strategies.build import build_strategy
from linnaea.strategies.network import NetworkScorer
from linnaea.taxonomy.taxonomy import Taxonomy
from linnaea.text.build import build_corpus
from linnaea.text.ngrams import NgramDictionary, fnv1a, word_ngrams
from linnaea.text.store import Corpus
from tests.nn.cases import make_batch, make_documents, make_labels, make_network, sizes, taxonomy
from tests.strategies import toys

ROOT = Path(__file__).resolve().parents[1]


def fit(config: Config, made: Corpus, folder: Path) -> Fitted:
    return build_strategy(config).fit(made, toys.run_folder(folder), reporter=Silent())


def test_labels_beginning_with_other_count() -> None:
    """3: names that begin with 其他 ("other") were dropped from the counts."""
    names = ["其他", "其他体育", "体育"]
    places = Taxonomy.build(names, names, [[], ["体育"], []])
    gold = Ragged.from_rows([[places.index["其他"]], [places.index["其他体育"], places.index["体育"]]])
    scores_NC = gold.dense(3).astype(np.float32)
    predictions = Predictions(["a", "b"], places, scores_NC)
    decisions = Decider(places, np.full(3, 0.5)).decide(predictions)
    rows = {row["id"]: row for row in evaluate(predictions, decisions, gold).to_json()["categories"]}
    assert {name: (row["support"], row["f1"]) for name, row in rows.items()} == dict.fromkeys(names, (1, 1.0))
    from linnaea.config.registry import metrics

    config = metrics.config("neuralclassifier").read({"labels": "written"}, where="metric")
    built: Any = metrics.build(config, taxonomy=places, support_C=np.ones(3, dtype=np.int64))
    found = numbers(config.type, built, predictions, decisions, gold)
    assert (found["labels"], found["gold"], found["right"]) == (3, 3, 3)


def test_measuring_holds_a_few_arrays_and_writes_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """5: lists of all scores in Python, 32 bytes a number and more, and all of them as text in probs.txt."""
    monkeypatch.chdir(tmp_path)
    N, names = 20_000, [f"c{i}" for i in range(100)]
    places = Taxonomy.build(names, names, [[] for _ in names])
    rng = np.random.default_rng(0)
    predictions = Predictions([str(i) for i in range(N)], places, rng.random((N, 100), np.float32))
    gold = Ragged.from_dense(rng.random((N, 100)) < 0.03)
    decider = Decider(places, np.full(100, 0.97))
    tracemalloc.start()
    try:
        evaluate(predictions, decider.decide(predictions), gold)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6 * 4 * N * 100  # a list of floats alone takes 8
    assert list(tmp_path.iterdir()) == []


def test_scoring_builds_no_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """7: neither evaluation while training nor the evaluation program went without gradients."""
    seen: list[tuple[bool, bool]] = []
    forward = Network.forward

    def spy(self: Network, batch: Batch) -> HeadOutput:
        output = forward(self, batch)
        seen.append((self.training, output.logits_BC.requires_grad))
        return output

    monkeypatch.setattr(Network, "forward", spy)
    config = toys.joint_config()
    made = toys.corpus(config)
    fitted = fit(config, made, tmp_path)
    assert set(seen) == {(True, True), (False, False)}
    seen.clear()
    assert made.test is not None
    fitted.scorer.score(made.test)
    assert set(seen) == {(False, False)}


def written(folder: Path, **splits: list[dict[str, Any]]) -> dict[str, Any]:
    """A config over these documents, which are written beside it."""
    for name, rows in splits.items():
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    value = toys.joint_config().dump()
    return {
        **{key: value[key] for key in ("input", "model", "training")},
        "task": {"type": "multilabel"},
        "data": {name: str(folder / f"{name}.jsonl") for name in splits},
        "run": {"dir": str(folder / "run"), "device": "cpu"},
    }


def test_test_is_scored_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """8: it was scored after every epoch."""
    scored: list[list[str]] = []
    score = NetworkScorer.score

    def spy(self: NetworkScorer, split: Any, keep: int | None = None) -> Predictions:
        scored.append(list(split.ids))
        return score(self, split, keep)

    monkeypatch.setattr(NetworkScorer, "score", spy)
    parts = {"train": toys.documents(48, 0), "dev": toys.documents(16, 1), "test": toys.documents(20, 2)}
    train(written(tmp_path, **parts))
    test = {row["id"] for row in parts["test"]}
    assert [set(ids) for ids in scored if test & set(ids)] == [test]


@pytest.mark.parametrize("split", ["dev", "test"])
def test_labels_of_dev_and_test_never_enter_the_map(split: str, tmp_path: Path) -> None:
    """8: the map of labels was made of all files, whatever the config said."""
    parts = {name: toys.documents(24, seed) for seed, name in enumerate(("train", "dev", "test"))}
    parts[split][5]["labels"] = ["rowing"]
    config = Config.build_with(written(tmp_path, **parts), [])
    with pytest.raises(LinnaeaError, match=rf"{split}\.jsonl:6: .*rowing"):
        build_corpus(config, policy=ErrorPolicy("raise"))
    made = build_corpus(config, policy=ErrorPolicy("skip"))
    assert sorted(made.taxonomy.ids) == sorted(toys.WORDS)
    assert all("rowing" not in vocabulary.words for vocabulary in made.featurizer.vocabularies.values())


@pytest.mark.parametrize("loss", ["bce", "softmax", "focal_softmax"])
def test_the_objective_works_where_its_network_is(loss: str) -> None:
    """13: labels on one device indexed by those of another; on meta, what lies on another device fails."""
    model = ModelConfig.read({"embedder": {"type": "lookup", "dimension": 8}, "encoder": "fasttext"})
    settings = {"loss": loss, "class_weights": {"B": 3.0}, "recursive_penalty": 0.01}
    config = ObjectiveConfig.read(settings)
    goal = Objective(config, taxonomy(), sizes().support_C, 16).to("meta")
    rng = np.random.default_rng(0)
    labels = make_labels(rng, 6, loss != "bce")
    batch = make_batch(make_documents(rng, [4] * 6), labels=labels).to(torch.device("meta"))
    network = make_network(model, scores=goal.kind).to("meta")
    output = HeadOutput(torch.zeros(6, len(taxonomy()), device="meta", requires_grad=True))
    found = goal(output, batch, network)
    assert found.is_meta
    found.backward()
    assert output.logits_BC.grad is not None
    assert output.logits_BC.grad.is_meta


def test_ngrams_keep_their_words_apart() -> None:
    """22: words were joined by nothing, so that "ab" + "c" was "a" + "bc"."""
    words = [["ab", "c"], ["a", "bc"], ["abc", ""]]
    hashed = Ragged.from_lengths(
        fnv1a([w for row in words for w in row]), np.array([2, 2, 2], dtype=np.int64)
    )
    assert len({tuple(row.tolist()) for row in word_ngrams(hashed, 2, 2**31 - 1)}) == 3
    numbers = {word: 2 + i for i, word in enumerate(["ab", "c", "a", "bc"])}
    rows = Ragged.from_rows([[numbers[word] for word in row] for row in words[:2]])
    one, two = NgramDictionary.fit([rows], 6, 2, 1).lookup(rows)
    assert len(one) == len(two) == 1
    assert one.tolist() != two.tolist()


@pytest.mark.parametrize("encoder", ["fasttext", "textcnn"])
def test_a_network_leaves_its_batch_as_it_was(encoder: str) -> None:
    """22: sums and lengths were added up in the tensors of the batch."""
    model = ModelConfig.read({"embedder": {"type": "lookup", "dimension": 8}, "encoder": encoder})
    rng = np.random.default_rng(0)
    batch = make_batch(make_documents(rng, [4, 0, 7]), labels=make_labels(rng, 3))
    before = copy.deepcopy(batch)
    make_network(model)(batch).logits_BC.sum().backward()

    def tensors(given: Batch) -> list[torch.Tensor]:
        bags = [given.labels, *given.bags.values()]
        loose = [given.rows_B, given.ids_BT, given.mask_BT]
        return [t for t in [*loose, *(t for bag in bags if bag for t in vars(bag).values())] if t is not None]

    assert len(tensors(batch)) > 4
    for now, then in zip(tensors(batch), tensors(before), strict=True):
        assert torch.equal(now, then)


def test_a_dev_f1_of_zero_throughout_is_no_crash(tmp_path: Path) -> None:
    """30: where dev F1 stayed 0 there was no best epoch, and copying its file failed after all epochs."""
    decision = {"threshold": {"type": "fixed", "value": 1.0}}
    stopping = {"metric": "micro_f1", "patience": 9}
    training = {"epochs": 3, "batch_size": 8, "early_stopping": stopping}
    config = toys.joint_config(decision=decision, training=training)
    made = toys.corpus(config)
    fitted = fit(config, made, tmp_path)
    lines = toys.run_folder(tmp_path).history.read_text(encoding="utf-8").splitlines()
    dev = [record["dev"]["micro_f1"] for record in map(json.loads, lines) if "dev" in record]
    assert dev == [0.0, 0.0, 0.0]
    assert made.test is not None
    assert np.isfinite(np.asarray(fitted.scorer.score(made.test).scores)).all()


def test_reading_under_a_locale_that_is_not_utf8(tmp_path: Path) -> None:
    """32: files were opened in the encoding of the locale."""
    for name in ("train", "dev"):
        row = {"id": f"ü{name}", "text": "naïve 日本語 naïve", "labels": ["体育"]}
        text = json.dumps(row, ensure_ascii=False) + "\n"
        (tmp_path / f"{name}.jsonl").write_text(text, encoding="utf-8")
    (tmp_path / "taxonomy.tsv").write_text("Root\t体育\t其他\n", encoding="utf-8")
    value = {
        "task": {"type": "hierarchical", "taxonomy": "taxonomy.tsv"},
        "data": {name: f"{name}.jsonl" for name in ("train", "dev")},
        "input": {"vocabulary": {"min_count": 1}},
    }
    (tmp_path / "config.json").write_text(json.dumps(value), encoding="utf-8")
    program = (
        "import sys\n"
        "from linnaea.config.config import Config\n"
        "from linnaea.corpus.policy import ErrorPolicy\n"
        "from linnaea.text.build import build_corpus\n"
        "made = build_corpus(Config.load('config.json'), policy=ErrorPolicy('raise'))\n"
        "print(sys.flags.utf8_mode, ascii([open('train.jsonl').encoding, made.train.ids[0], list(made.taxonomy.ids),\n"
        "      sorted(made.featurizer.vocabularies['token'].words)]))\n"
    )
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    environment["LINNAEA_CACHE"] = str(tmp_path / "cache")
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    mode, rest = done.stdout.decode("ascii").split(" ", 1)
    encoding, first, ids, words = eval(rest)
    assert mode == "0"
    assert encoding.lower() not in ("utf-8", "utf8")
    assert (first, sorted(ids)) == ("ütrain", sorted(["体育", "其他"]))
    assert {"naïve", "日"} <= set(words)


OLD: dict[str, Any] = {
    "task_info": {"label_type": "multi_label", "hierarchical": False},
    "model_name": "AttentiveConvNet",
    "data": {"train_json_files": ["train.json"], "test_json_files": ["test.json"]},
    "AttentiveConvNet": {"attention_type": "bilinear", "type": "advanced"},
}


@pytest.mark.parametrize(
    ("key", "value", "hint"), [("attention_type", "bilinar", "bilinear"), ("type", "lite", "light")]
)
def test_a_wrong_word_for_the_attentive_convnet_is_one_clear_line(key: str, value: str, hint: str) -> None:
    """35: telling the names of an enumeration failed by itself."""
    old = copy.deepcopy(OLD)
    old["AttentiveConvNet"][key] = value
    with pytest.raises(ConfigError) as caught:
        convert(old)
    assert str(caught.value).startswith(f"AttentiveConvNet.{key}: there is no {value!r}")
    assert hint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_converting_leaves_its_input_as_it_was() -> None:
    """34: the list of training files grew in place when a vocabulary was made of all files."""
    old = copy.deepcopy(OLD)
    old["data"]["generate_dict_using_all_json_files"] = True
    before = copy.deepcopy(old)
    conversion = convert(old)
    conversion.config["data"]["train"].append("more")
    Config.build_with(old, ["training.epochs=2"])
    assert old == before


def test_the_table_of_the_migration_page_names_tests_that_exist() -> None:
    page = (ROOT / "docs" / "migration.md").read_text(encoding="utf-8")
    section = page.partition("## What its code got wrong")[2].partition("\n## ")[0]
    rows = re.findall(r"(?m)^\| (\d+) \| (.*?) \| (.*?) \|$", section)
    assert [int(number) for number, _, _ in rows] == list(range(1, 37))
    for number, _, tests in rows:
        named = re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", tests)
        assert named, number
        for file, name in named:
            path = ROOT / "tests" / file
            assert path.is_file(), f"{number}: {file}"
            assert not name or re.search(rf"def {name}\(", path.read_text(encoding="utf-8")), (
                f"{number}: {name}"
            )
