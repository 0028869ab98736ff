"""From a config to a corpus: gold, dev, the rules of the tasks, every bad input with its place."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from linnaea.config.config import Config
from linnaea.config.task import TaskConfig
from linnaea.corpus.document import Document
from linnaea.corpus.labels import LabelResolver
from linnaea.corpus.policy import ErrorPolicy
from linnaea.corpus.readers import read_documents
from linnaea.errors import ConfigError, DataError, LinnaeaError, TaxonomyError
from linnaea.taxonomy.taxonomy import Taxonomy
from linnaea.text.build import build_corpus, corpus_from_documents, gold_labels
from linnaea.text.store import Corpus, Split
from tests.text import worlds

TREE = Taxonomy.build(
    ["A", "B", "A1", "A2", "B1"], ["A", "B", "A1", "A2", "B1"], [[], [], ["A"], ["A"], ["B"]]
)


def corpus(folder: Path, policy: ErrorPolicy | None = None, **parts: Any) -> Corpus:
    return build_corpus(worlds.config(folder, **parts), policy=policy or ErrorPolicy())


def gold(split: Split, taxonomy: Taxonomy) -> list[list[str]]:
    assert split.labels is not None
    return [[taxonomy.ids[column] for column in row] for row in split.labels]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    worlds.write(tmp_path / "train.jsonl", worlds.some_lines(40))
    worlds.write(tmp_path / "dev.jsonl", worlds.some_lines(7, first=40))
    worlds.write(tmp_path / "test.jsonl", worlds.some_lines(9, first=50))
    return tmp_path


def test_a_corpus_holds_its_splits(folder: Path) -> None:
    built = corpus(folder, input={"max_tokens": 4})
    assert [(name, len(split)) for name, split in built.splits()] == [("train", 40), ("dev", 7), ("test", 9)]
    for name, split in built.splits():
        lines = [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
        assert gold(split, built.taxonomy) == [
            [line["doc_label"][0][0], *line["doc_label"]] for line in lines
        ]
        index = built.featurizer.vocabularies["token"].index
        expected = [[index.get(token, 1) for token in line["doc_token"][:4]] for line in lines]
        assert [row.tolist() for row in split.sequence(np.arange(len(split)))] == expected
        assert (
            split.count_truncated
            == sum(len(line["doc_token"]) > 4 for line in lines)
            == built.facts["truncated"][name]
        )
        assert str(split.origin(2)) == f"{folder / f'{name}.jsonl'}:3"
    assert "max_tokens = 4" in built.warnings[0] and "of 40 in train" in built.warnings[0]


def test_a_tokenizer_that_ready_tokens_never_meet_is_told(folder: Path) -> None:
    expected = (
        "documents that come ready cut (doc_token) do not pass input.tokenizer = whitespace: "
        "40 of 40 in train, 7 of 7 in dev, 8 of 9 in test"
    )
    lines = (folder / "test.jsonl").read_text().splitlines()
    value = json.loads(lines[0])
    value["text"] = " ".join(value.pop("doc_token"))
    (folder / "test.jsonl").write_text("\n".join([json.dumps(value), *lines[1:]]))
    for _ in range(2):  # the second time from the cache
        built = corpus(folder, input={"tokenizer": "whitespace"})
        assert [w for w in built.warnings if "ready cut" in w] == [expected]
    assert not [w for w in corpus(folder).warnings if "ready cut" in w]
    config = worlds.config(folder, input={"tokenizer": {"type": "word", "punctuation": True}})
    train = [Document("", ("a", "b"), ("A1",)), Document("", "a b", ("B1",))] * 10
    of_python = corpus_from_documents(config, TREE, train, train[:2])
    assert any("tokenizer = word: 10 of 20 in train, 1 of 2 in dev" in w for w in of_python.warnings)


def test_the_vocabulary_is_of_train_alone(folder: Path) -> None:
    worlds.write(folder / "dev.jsonl", [worlds.line(["onlydev"] * 9)])
    built = corpus(folder)
    assert "onlydev" not in built.featurizer.vocabularies["token"].index
    assert built.dev is not None and built.dev.sequence(np.array([0])).values.tolist() == [1] * 9


def test_without_dev_a_stratified_part_of_train_is_split_off(folder: Path) -> None:
    (folder / "dev.jsonl").unlink()
    built = corpus(folder, data={"dev_fraction": 0.2})
    assert built.dev is not None and len(built.train) == 32 and len(built.dev) == 8
    assert set(built.train.ids) | set(built.dev.ids) == set(map(str, range(40)))
    assert not set(built.train.ids) & set(built.dev.ids)
    lines = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    for split in (built.train, built.dev):
        assert gold(split, built.taxonomy) == [
            [lines[int(i)]["doc_label"][0][0], *lines[int(i)]["doc_label"]] for i in split.ids
        ]
    assert {label for row in gold(built.dev, built.taxonomy) for label in row} == set(TREE.ids)
    words = [word for i in built.train.ids for word in lines[int(i)]["doc_token"]]
    counts = {word: words.count(word) for word in words if words.count(word) >= 2}
    vocabulary = built.featurizer.vocabularies["token"]
    assert dict(zip(vocabulary.words, vocabulary.counts.tolist(), strict=True)) == counts
    again = corpus(folder, data={"dev_fraction": 0.2})
    assert again.dev is not None and list(again.dev.ids) == list(built.dev.ids)
    other = corpus(folder, data={"dev_fraction": 0.2}, run={"seed": 9})
    assert other.dev is not None and list(other.dev.ids) != list(built.dev.ids)


def test_the_taxonomy_is_read_off_train_where_there_is_none(folder: Path) -> None:
    worlds.write(
        folder / "train.jsonl", [worlds.line(["a"], [label]) for label in ("X--Y", "Z", "X--Y", "Z", "X")]
    )
    worlds.write(folder / "dev.jsonl", [worlds.line(["a"], ["Z"])])
    worlds.write(folder / "test.jsonl", [worlds.line(["a"], ["X--Y"])])
    built = corpus(folder, task={})
    assert built.taxonomy.ids == ("X", "Z", "Y")
    assert gold(built.train, built.taxonomy)[0] == ["X", "Y"]
    worlds.write(folder / "test.jsonl", [worlds.line(["a"], ["X"]), worlds.line(["a"], ["W"])])
    with pytest.raises(DataError, match="unknown label 'W'") as caught:
        corpus(folder, task={})
    assert caught.value.where == f"{folder / 'test.jsonl'}:2"


@pytest.mark.parametrize("labels", [["a--b", "c"], ["a/b--c", "d|e"], ["--"]])
def test_a_flat_task_takes_labels_whole(folder: Path, labels: list[str]) -> None:
    for name in ("train", "dev", "test"):
        worlds.write(folder / f"{name}.jsonl", [worlds.line(["a"], [label]) for label in labels])
    built = corpus(folder, task={"type": "multilabel"})
    assert list(built.taxonomy.ids) == labels and built.taxonomy.depth == 1
    assert gold(built.train, built.taxonomy) == [[label] for label in labels]


def test_documents_that_belong_nowhere_count(folder: Path) -> None:
    worlds.write(
        folder / "test.jsonl", [worlds.line(["a"], []), worlds.line([], ["A"]), worlds.line("", ["B1", "A"])]
    )
    built = corpus(folder)
    assert built.test is not None
    assert gold(built.test, built.taxonomy) == [[], ["A"], ["A", "B", "B1"]]
    assert built.test.lengths_N.tolist() == [1, 0, 0]
    assert any("empty documents: " in warning and "2 in test" in warning for warning in built.warnings)


def test_categories_without_documents_stay_and_are_told(folder: Path) -> None:
    worlds.write(folder / "train.jsonl", [worlds.line(["a"], ["A1"])] * 3)
    built = corpus(folder)
    assert built.taxonomy.ids == TREE.ids
    assert built.facts["without_training_documents"] == ["B", "A2", "B1"]
    assert any(w.startswith("3 categories have no training documents") for w in built.warnings)


@pytest.mark.parametrize(
    ("lines", "task", "where", "problem"),
    [
        ([worlds.line(["a"], ["A1"]), worlds.line(["a"], ["A3"])], {}, ":2", "unknown label 'A3'"),
        (
            [worlds.line(["a"], ["A1"]), worlds.line(["a"], ["A1", "B--A1"])],
            {},
            ":2",
            "unknown label 'B--A1'",
        ),
        ([worlds.line(["a"], ["A1"]), json.dumps({"doc_token": ["a"]})], {}, ":2", "not labelled"),
        ([worlds.line(["a"], ["A1"]), json.dumps({"doc_label": ["A"]})], {}, ":2", "no text"),
        (
            [worlds.line(["a"], ["A1"]), worlds.line(["a"], ["A1", "A2"])],
            {"paths": "one"},
            ":2",
            "several paths",
        ),
        (
            [worlds.line(["a"], ["A1"]), worlds.line(["a"], ["A1", "A2"])],
            {"type": "multiclass"},
            ":2",
            "exactly one label",
        ),
        (
            [worlds.line(["a"], ["A1"]), worlds.line(["a"], [])],
            {"type": "multiclass"},
            ":2",
            "exactly one label",
        ),
    ],
)
@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_bad_documents_are_errors_at_their_line(
    folder: Path, lines: list[str], task: dict[str, Any], where: str, problem: str, split: str
) -> None:
    if task:  # the other splits must fit the task, too
        for name in ("train", "dev", "test"):
            worlds.write(folder / f"{name}.jsonl", [worlds.line(["a"], ["A1"])] * 2)
    worlds.write(folder / f"{split}.jsonl", lines)
    with pytest.raises(DataError, match=problem) as caught:
        corpus(folder, task={"taxonomy": str(folder / "taxonomy.tsv"), **task})
    assert caught.value.where == f"{folder / f'{split}.jsonl'}{where}"
    assert caught.value.exit_code == 3


def test_on_error_leaves_documents_with_bad_labels_out(folder: Path) -> None:
    lines = worlds.some_lines(20)
    lines[3:3] = [worlds.line(["x"], ["A1", "nowhere"]), worlds.line(["x"], ["nowhere"]), "{"]
    worlds.write(folder / "train.jsonl", lines)
    for mode in ("skip", "quarantine"):
        with ErrorPolicy(mode, folder / "aside.jsonl") as policy:  # type: ignore[arg-type]
            built = corpus(folder, policy, data={"on_error": mode})
        assert list(built.train.ids) == [str(i) for i in range(22) if i not in (3, 4)]
        assert policy.counts == {"unknown label": 2, "broken JSON": 1}
        assert policy.documents == 23 + 7 + 9
        assert "x" not in built.featurizer.vocabularies["token"].index
    aside = [json.loads(line) for line in (folder / "aside.jsonl").read_text().splitlines()]
    assert {line["line"] for line in aside} == set(lines[3:6])
    assert {line["where"] for line in aside} == {f"{folder / 'train.jsonl'}:{n}" for n in (4, 5, 6)}


def test_all_left_out_is_an_error(folder: Path) -> None:
    worlds.write(folder / "test.jsonl", [worlds.line(["x"], ["nowhere"])] * 3)
    with pytest.raises(DataError, match="no document is left") as caught:
        corpus(folder, ErrorPolicy("skip"))
    assert str(folder / "test.jsonl") in str(caught.value)


def test_tasks(folder: Path) -> None:
    for name in ("train", "dev", "test"):
        worlds.write(folder / f"{name}.jsonl", [worlds.line(["a"], ["A1"]), worlds.line(["a"], ["A1", "A1"])])
    built = corpus(folder, task={"taxonomy": str(folder / "taxonomy.tsv"), "type": "multiclass"})
    assert gold(built.train, built.taxonomy) == [["A1"], ["A1"]]
    for name in ("train", "dev", "test"):
        worlds.write(folder / f"{name}.jsonl", [worlds.line(["a"], ["spam"]), worlds.line(["a"], [])])
    built = corpus(folder, task={"type": "binary"})
    assert built.taxonomy.ids == ("spam",) and gold(built.train, built.taxonomy) == [["spam"], []]
    worlds.write(folder / "train.jsonl", [worlds.line(["a"], ["spam"]), worlds.line(["a"], ["ham"])])
    for task in ({"type": "binary"}, {"type": "binary", "taxonomy": str(folder / "taxonomy.tsv")}):
        with pytest.raises(TaxonomyError, match="a binary task has one category"):
            corpus(folder, task=task)


def test_one_path_with_its_inner_categories_written_is_one_path(folder: Path) -> None:
    for name in ("train", "dev", "test"):
        worlds.write(folder / f"{name}.jsonl", [worlds.line(["a"], ["A", "A--A1"]), worlds.line(["a"], [])])
    built = corpus(folder, task={"taxonomy": str(folder / "taxonomy.tsv"), "paths": "one"})
    assert gold(built.train, built.taxonomy) == [["A", "A1"], []]


@pytest.mark.parametrize("closure", ["ancestors", "path", "none"])
def test_encoded_gold_is_what_the_resolver_gives_a_document(folder: Path, closure: str) -> None:
    built = corpus(folder, task={"taxonomy": str(folder / "taxonomy.tsv"), "closure": closure})
    resolver = LabelResolver(built.taxonomy, closure)  # type: ignore[arg-type]
    documents = read_documents(
        [str(folder / "train.jsonl")], built_config(folder).data, ErrorPolicy(), need_labels=True
    )
    expected = [
        sorted({int(c) for label in d.labels or () for c in resolver.resolve(label)}) for d in documents
    ]
    assert built.train.labels is not None and [row.tolist() for row in built.train.labels] == expected


def built_config(folder: Path) -> Config:
    return worlds.config(folder)


def test_a_config_without_train(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="names no training documents"):
        corpus(tmp_path)


def test_a_corpus_too_small_for_dev_says_what_to_do(folder: Path) -> None:
    (folder / "dev.jsonl").unlink()
    worlds.write(folder / "train.jsonl", [worlds.line(["a"], ["A1"])])
    with pytest.raises(DataError, match="only one document") as caught:
        corpus(folder)
    assert caught.value.where == "data.dev"


def test_progress_is_told(folder: Path) -> None:
    heard: list[tuple[Any, ...]] = []
    build_corpus(worlds.config(folder), policy=ErrorPolicy(), progress=lambda *facts: heard.append(facts))
    assert ("reading train", 40, 40) in heard and ("reading test", 9, 9) in heard


# From Python


def test_documents_from_python_go_the_same_way(folder: Path) -> None:
    config = worlds.config(folder)
    from_files = build_corpus(config, policy=ErrorPolicy())
    lists = {
        name: [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
        for name in ("train", "dev", "test")
    }
    built = corpus_from_documents(config, TREE, lists["train"], lists["dev"], lists["test"])
    assert built.featurizer.digest == from_files.featurizer.digest
    for (_, ours), (_, theirs) in zip(built.splits(), from_files.splits(), strict=True):
        rows = np.arange(len(ours))
        assert ours.sequence(rows).values.tolist() == theirs.sequence(rows).values.tolist()
        assert gold(ours, TREE) == gold(theirs, from_files.taxonomy)
        assert list(ours.ids) == list(theirs.ids)
    without = corpus_from_documents(config, None, lists["train"])
    assert without.test is None and without.dev is not None and len(without.train) + len(without.dev) == 40
    assert without.taxonomy.ids == TREE.ids


def test_problems_of_documents_from_python_say_which(folder: Path) -> None:
    config = worlds.config(folder)
    good = [Document("", "a", ("A1",))] * 3
    for bad, problem in (("B2", "unknown label"), (None, "not labelled")):
        documents = [*good, Document("", "a", None if bad is None else (bad,))]
        with pytest.raises(DataError, match=problem) as caught:
            corpus_from_documents(config, TREE, documents, good)
        assert "[3]" in str(caught.value.where)
    with pytest.raises(DataError, match="no documents") as caught:
        corpus_from_documents(config, TREE, good, [])
    assert caught.value.where == "dev"
    policy = ErrorPolicy("skip")
    built = corpus_from_documents(config, TREE, [*good, Document("", "a", ("B2",))], good, policy=policy)
    assert len(built.train) == 3 and policy.left_out == 1 and policy.documents == 7


def test_gold_labels_leaves_documents_out_in_place() -> None:
    task = TaskConfig()
    documents = [
        Document("0", "a", ("A1",)),
        Document("1", "a", ("no",)),
        Document("2", "a", ()),
        Document("3", "a", None),
    ]
    with pytest.raises(LinnaeaError) as caught:
        gold_labels(list(documents), TREE, task)
    assert caught.value.where == "documents[1]"
    with pytest.raises(DataError, match="not labelled") as caught:
        gold_labels(documents[2:], TREE, task)
    assert caught.value.where == "documents[1]"
    policy = ErrorPolicy("skip")
    labels = gold_labels(documents, TREE, task, policy)
    assert [d.id for d in documents] == ["0", "2"] and policy.left_out == 2
    assert [row.tolist() for row in labels] == [[0, 2], []]


@pytest.mark.corpora
def test_a_real_corpus_is_cut_as_document_by_document(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "germeval2019"
    config = Config.build(
        {
            "task": {"taxonomy": str(folder / "taxonomy.tsv")},
            "data": {name: str(folder / f"{name}.jsonl") for name in ("train", "dev", "test")},
            "input": {"features": ["token", "ngram"]},
            "model": {"encoder": "fasttext"},
            "run": {"dir": str(tmp_path)},
        }
    )
    built = build_corpus(config, policy=ErrorPolicy())
    documents = list(
        read_documents([str(folder / "test.jsonl")], config.data, ErrorPolicy(), need_labels=True)
    )
    assert built.test is not None and len(documents) == len(built.test) == 416
    for row in range(0, 416, 13):
        alone = built.featurizer.encode([documents[row]])
        for feature in ("token", "ngram"):
            ours = built.test.bag(feature, np.array([row])).values
            assert ours.tolist() == alone.bag(feature, np.array([0])).values.tolist()


def test_the_light_part_of_the_house_stays_light() -> None:
    code = (
        "import sys, linnaea.text.build, linnaea.text.vectors\n"
        "heavy = {'torch', 'scipy', 'sklearn', 'pandas', 'pyarrow', 'lightning'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
