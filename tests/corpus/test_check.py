"""check_corpus against counting by hand; lines, JSON, problems with their places."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from linnaea.config.task import DataConfig, TaskConfig
from linnaea.corpus.check import check_corpus
from linnaea.corpus.policy import ErrorPolicy
from linnaea.errors import DataError
from linnaea.taxonomy.readers import read_taxonomy
from linnaea.taxonomy.taxonomy import Taxonomy

TAXONOMY = Taxonomy.build(
    ["animals", "plants", "stones", "cats", "dogs", "trees"],
    ["animals", "plants", "stones", "cats", "dogs", "trees"],
    [(), (), (), ("animals",), ("animals",), ("plants",)],
)


def write(folder: Path, name: str, rows: list[Any]) -> str:
    path = folder / f"{name}.jsonl"
    path.write_text(
        "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8"
    )
    return str(path)


@pytest.fixture
def data(tmp_path: Path) -> DataConfig:
    train = [
        {"text": "purr purr", "doc_label": ["animals--cats"]},
        {"text": "Purr   PURR", "doc_label": ["cats", "dogs"]},
        {"doc_token": ["bark", "wag"], "doc_label": ["dogs", "trees"]},
        {"text": "green", "doc_label": ["plants"]},
        {"text": "  ", "doc_label": []},
        *({"text": f"oak number {i}", "doc_label": ["trees"]} for i in range(5)),
    ]
    test = [
        {"text": "bark wag", "doc_label": ["dogs"]},
        {"text": "purr purr", "doc_label": ["stones"]},
        {"text": "", "doc_label": ["cats"]},
    ]
    return DataConfig(
        train=[write(tmp_path, "train", train)], test=[write(tmp_path, "test", test)], dev_fraction=0.25
    )


def test_counts(data: DataConfig, tmp_path: Path) -> None:
    found = check_corpus(data, TaskConfig(), TAXONOMY, length=lambda d: len(d.text), limit=9)
    train, test = found.splits["train"], found.splits["test"]
    assert (train.documents, train.left_out, train.unlabelled, train.nowhere, train.empty) == (10, 0, 0, 1, 1)
    assert train.truncated == 6  # five oaks of 12 characters, and "Purr   PURR" of 11
    assert train.repeated == 1  # blanks and case do not tell texts apart
    assert (train.several, train.inner) == (2, 1)
    assert train.most_specific == pytest.approx(11 / 10)
    assert train.closed == pytest.approx(20 / 10)
    assert train.counts_C is not None
    assert dict(zip(TAXONOMY.ids, train.counts_C.tolist(), strict=True)) == {
        "animals": 3, "plants": 7, "stones": 0, "cats": 2, "dogs": 2, "trees": 6,
    }  # fmt: skip
    assert found.levels() == [
        {"level": 1, "categories": 3, "with_documents": 2, "rare": 1, "empty": 1, "labels": 10},
        {"level": 2, "categories": 3, "with_documents": 3, "rare": 2, "empty": 0, "labels": 10},
    ]
    assert found.categories(0, 0) == ["stones"]
    assert found.categories(1, 4) == ["animals", "cats", "dogs"]
    assert found.unseen() == ["stones"]
    (shared,) = found.shared
    assert (shared.split, shared.other, shared.documents) == ("test", "train", 2)  # the empty text is no copy
    assert shared.examples == (
        (f"{tmp_path}/test.jsonl:1", f"{tmp_path}/train.jsonl:3"),
        (f"{tmp_path}/test.jsonl:2", f"{tmp_path}/train.jsonl:1"),
    )
    assert test.counts_C is not None
    assert found.problems == ()


def test_lines(data: DataConfig, tmp_path: Path) -> None:
    found = check_corpus(data, TaskConfig(), TAXONOMY, length=lambda d: len(d.text), limit=9)
    assert found.lines() == [
        "train  10 documents; 1.10 most specific categories each, 2.00 with ancestors; 20.0% with several; "
        "1 end at an inner category; 1 labelled with nothing; 1 without text; 1 repeat a text of the split; "
        "6 longer than 9 tokens, cut",
        "test   3 documents; 1.00 most specific categories each, 1.67 with ancestors; 1 without text",
        "dev    none given: a stratified 25% of train will be set aside",
        "6 categories on 2 levels; documents counted on train",
        "level  categories  with documents  rare (< 5)  empty  labels",
        "    1           3               2           1      1      10",
        "    2           3               3           2      0      10",
        "note: 1 category has no document in train and will never be predicted: stones",
        "note: 3 categories have fewer than 5 documents in train: animals, cats, dogs",
        "note: 1 category has documents in dev or test but none in train: stones",
        f"note: 2 texts stand in test and in train: {tmp_path}/test.jsonl:1 = {tmp_path}/train.jsonl:3, "
        f"{tmp_path}/test.jsonl:2 = {tmp_path}/train.jsonl:1",
    ]
    assert [line.removeprefix("note: ") for line in found.lines()[-4:]] == found.warnings()


def test_json(data: DataConfig) -> None:
    value = json.loads(json.dumps(check_corpus(data, TaskConfig(), TAXONOMY).to_json()))
    assert [split["name"] for split in value["splits"]] == ["train", "test"]
    assert value["splits"][0]["truncated"] is None
    assert value["splits"][0]["closed"] == 2.0
    assert value["empty"] == value["unseen_in_train"] == ["stones"]
    assert value["counted_on"] == "train"
    assert value["shared_texts"][0]["documents"] == 2
    assert value["problems"] == []


def test_closure_decides_what_is_counted(data: DataConfig) -> None:
    found = check_corpus(data, TaskConfig(closure="none"), TAXONOMY).splits["train"]
    assert found.counts_C is not None
    assert dict(zip(TAXONOMY.ids, found.counts_C.tolist(), strict=True))["animals"] == 0
    assert (found.several, found.closed) == (2, 2.0)


def test_problems_of_all_kinds(tmp_path: Path) -> None:
    rows = [
        {"text": "good", "doc_label": ["cats"]},
        '{"text": ',
        {"text": "b", "doc_label": ["catz", "dogs"]},
        {"text": "c"},
        {"text": "d", "doc_label": "cats"},
        {"id": "x", "text": "e", "doc_label": ["dogs"]},
        {"id": "x", "text": "f", "doc_label": ["trees"]},
    ]
    train = write(tmp_path, "train", rows)
    dev = str(tmp_path / "missing.jsonl")
    policy = ErrorPolicy("collect")
    found = check_corpus(DataConfig(train=[train], dev=[dev]), TaskConfig(), TAXONOMY, policy=policy)
    assert [str(problem).removeprefix(f"{tmp_path}/") for problem in found.problems] == [
        "train.jsonl:2: broken JSON: expecting value, column 10",
        "train.jsonl:4: not labelled: no field 'doc_label' or 'labels' (write [] for a document that "
        "belongs nowhere)",
        "train.jsonl:5: field 'doc_label': expected a list of strings, received a string ('cats') (write "
        '["cats"])',
        f"train.jsonl:7: the id 'x' stands at {tmp_path}/train.jsonl:6 already",
        "train.jsonl:3: unknown label 'catz' (did you mean 'cats'?)",
        "missing.jsonl: no such file",
    ]
    split = found.splits["train"]
    assert (split.documents, split.left_out, split.unlabelled) == (2, 5, 1)
    assert split.counts_C is not None
    assert split.counts_C.sum() == 4  # cats and dogs with animals: "dogs" of line 3 went with its document
    assert found.splits["dev"].documents == 0
    assert "5 with problems" in found.lines()[0]
    assert found.more == 0


def test_more_problems_than_are_kept(tmp_path: Path) -> None:
    train = write(tmp_path, "train", ["{"] * 8 + [{"text": "a", "doc_label": ["cats"]}])
    found = check_corpus(
        DataConfig(train=[train]), TaskConfig(), TAXONOMY, policy=ErrorPolicy("collect", limit=3)
    )
    assert (len(found.problems), found.more, found.splits["train"].left_out) == (3, 5, 8)


def test_another_policy_acts(tmp_path: Path) -> None:
    train = write(tmp_path, "train", [{"text": "a", "doc_label": ["catz"]}])
    with pytest.raises(DataError, match=r"train.jsonl:1: unknown label 'catz'"):
        check_corpus(DataConfig(train=[train]), TaskConfig(), TAXONOMY, policy=ErrorPolicy("raise"))


def test_rules_of_the_task(tmp_path: Path) -> None:
    rows = [
        {"text": "a", "doc_label": ["cats"]},
        {"text": "b", "doc_label": ["cats", "dogs"]},
        {"text": "c", "doc_label": []},
    ]
    train = write(tmp_path, "train", rows)
    found = check_corpus(DataConfig(train=[train]), TaskConfig(type="multiclass"), None)
    assert [str(p).partition(": ")[2] for p in found.problems] == [
        "expected exactly one label, received 2: 'cats', 'dogs'",
        "expected exactly one label, received 0: none",
    ]
    one_path = check_corpus(DataConfig(train=[train]), TaskConfig(paths="one"), TAXONOMY)
    assert [str(p).partition(": ")[0] for p in one_path.problems] == [f"{train}:2"]


def test_categories_read_off_the_labels(tmp_path: Path) -> None:
    train = write(
        tmp_path, "train", [{"text": "a", "doc_label": ["x--y"]}, {"text": "b", "doc_label": ["x--z"]}]
    )
    test = write(tmp_path, "test", [{"text": "c", "doc_label": ["x--q"]}])
    found = check_corpus(DataConfig(train=[train], test=[test]))
    assert found.taxonomy is not None
    assert found.taxonomy.ids == ("x", "y", "z")
    assert [str(p).partition(": ")[2] for p in found.problems] == [
        "unknown label 'x--q': no category 'q' below 'x'"
    ]
    bad = check_corpus(DataConfig(train=[write(tmp_path, "bad", [{"text": "a", "doc_label": ["x----y"]}])]))
    assert bad.taxonomy is None
    assert len(bad.problems) == 1
    assert bad.levels() == []


def test_unlabelled_documents_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one\n\none\n")
    found = check_corpus(DataConfig(test=[str(path)]), need_labels=False)
    split = found.splits["test"]
    assert (split.documents, split.unlabelled, split.empty, split.repeated, split.counts_C) == (
        3,
        3,
        1,
        1,
        None,
    )
    assert found.lines() == ["test   3 documents; 3 unlabelled; 1 without text; 1 repeat a text of the split"]
    needed = check_corpus(DataConfig(test=[str(path)]))
    assert [str(p) for p in needed.problems] == [
        f"{path}: plain text has no labels (use JSON lines or CSV for labelled documents)"
    ]


@pytest.mark.corpora
@pytest.mark.parametrize(
    ("corpus", "documents", "levels", "unseen", "used"),
    [
        ("rcv1-sample", (1621, 232, 463), (4, 55, 43, 1), 1, 97),
        ("germeval2019", (1455, 208, 416), (8, 93, 242), 15, 282),
        ("valueeval", (5392, 1896, 1576), (4, 20), 0, 24),
        ("enron-bow", (889, 99, 660), (3, 40, 13), 2, 54),
    ],
)
def test_real_corpora(
    shared_data: Path,
    corpus: str,
    documents: tuple[int, ...],
    levels: tuple[int, ...],
    unseen: int,
    used: int,
) -> None:
    """The numbers of their README files."""
    folder = shared_data / corpus
    train, dev, test = ([str(folder / f"{name}.jsonl")] for name in ("train", "dev", "test"))
    data = DataConfig(train=train, dev=dev, test=test)
    found = check_corpus(data, TaskConfig(), read_taxonomy(folder / "taxonomy.tsv"))
    assert tuple(split.documents for split in found.splits.values()) == documents
    assert tuple(row["categories"] for row in found.levels()) == levels
    assert sum(row["with_documents"] for row in found.levels()) == used
    assert len(found.unseen()) == unseen
    assert found.problems == ()
