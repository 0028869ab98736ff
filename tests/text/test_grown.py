"""Documents of several generations as one corpus, gold under the newest taxonomy done by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from linnaea.config.config import Config
from linnaea.corpus.policy import ErrorPolicy
from linnaea.errors import DataError, UsageError
from linnaea.taxonomy.taxonomy import Taxonomy
from linnaea.text.build import build_corpus
from linnaea.text.grown import Generation, grown_corpus
from linnaea.text.store import Corpus, Split


def taxonomy(parents: dict[str, list[str]]) -> Taxonomy:
    return Taxonomy.build(list(parents), list(parents), list(parents.values()))


OLD = taxonomy({"animals": [], "plants": [], "cats": ["animals"], "lions": ["cats"], "trees": ["plants"]})
MIDDLE = taxonomy({"animals": [], "flora": [], "cats": ["animals"], "trees": ["flora"], "birds": ["animals"]})
NEW = taxonomy({"animals": [], "flora": [], "pets": [], "cats": ["pets"], "birds": ["animals"]})


def written(path: Path, labels: list[list[str]], first: int = 0) -> str:
    rows = [
        {"id": f"{path.stem}{i}", "text": f"word{i % 5} other", "labels": own}
        for i, own in enumerate(labels, first)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def config(**task: Any) -> Config:
    return Config.build({"task": {"type": "hierarchical", **task}, "input": {"vocabulary": {"min_count": 1}}})


def gold(split: Split | None) -> list[set[str]]:
    assert split is not None
    assert split.labels is not None
    return [{NEW.ids[c] for c in row} for row in split.labels]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    return {
        "old": written(
            tmp_path / "old.jsonl", [["lions"], ["animals--cats"], ["trees", "plants"], ["animals"]]
        ),
        "middle": written(tmp_path / "middle.jsonl", [["birds"], ["flora--trees"], ["cats"]]),
        "new": written(tmp_path / "new.jsonl", [["pets"], ["pets--cats", "flora"]]),
        "dev": written(tmp_path / "dev.jsonl", [["plants"], ["cats"]]),
    }


def grown(files: dict[str, str], settings: Config | None = None, **policy: Any) -> Corpus:
    generations = [
        Generation(OLD, {"train": (files["old"],), "dev": (files["dev"],)}, {}),
        Generation(MIDDLE, {"train": (files["middle"],)}, {"plants": "flora"}),
        Generation(NEW, {"train": (files["new"],)}, {}),
    ]
    settings = settings or config()
    value = settings.dump()
    value["data"] |= {"train": files["old"], "dev": files["dev"]}
    value["data"].pop("dev_fraction", None)
    value["task"]["taxonomy"] = str(Path(files["old"]).with_name("old.json"))
    Path(value["task"]["taxonomy"]).write_text(json.dumps(OLD.to_json()))
    before = build_corpus(Config.build(value), policy=ErrorPolicy("raise"))
    return grown_corpus(
        settings, before.featurizer, generations, policy=ErrorPolicy(policy.get("mode", "raise"))
    )


def test_labels_go_through_all_changes(files: dict[str, str]) -> None:
    found = grown(files)
    assert gold(found.train) == [
        {"pets", "cats"},  # lions were cats, cats are pets now
        {"pets", "cats"},
        {"flora"},  # trees are gone, plants have another name
        {"animals"},
        {"animals", "birds"},
        {"flora"},
        {"pets", "cats"},
        {"pets"},
        {"pets", "cats", "flora"},
    ]
    assert gold(found.dev) == [{"flora"}, {"pets", "cats"}]
    assert found.taxonomy is NEW


def test_without_closure_a_label_stays_alone(files: dict[str, str]) -> None:
    found = grown(files, config(closure="none"))
    assert gold(found.train)[:3] == [{"cats"}, {"cats"}, {"flora"}]


def test_vocabularies_stay(files: dict[str, str]) -> None:
    Path(files["new"]).write_text(
        json.dumps({"id": "q", "text": "neverseen word0", "labels": ["pets"]}) + "\n"
    )
    found = grown(files)
    assert "neverseen" not in list(found.featurizer.vocabularies["token"].words)
    assert len(found.train) == 8


def test_dev_is_split_off_as_before(tmp_path: Path) -> None:
    kinds = [["cats"], ["trees"], ["lions"], ["plants"]]
    old = written(tmp_path / "old.jsonl", [kinds[i % 4] for i in range(40)])
    new = written(tmp_path / "new.jsonl", [["birds"]] * 10)
    place = tmp_path / "taxonomy.json"
    place.write_text(json.dumps(OLD.to_json()))
    settings = config()
    value = settings.dump()
    value["data"]["train"], value["task"]["taxonomy"] = old, str(place)
    before = build_corpus(Config.build(value), policy=ErrorPolicy("raise"))
    generations = [
        Generation(OLD, {"train": (old,)}, {}),
        Generation(NEW, {"train": (new,)}, {"plants": "flora"}),
    ]
    found = grown_corpus(settings, before.featurizer, generations, policy=ErrorPolicy("raise"))
    assert found.dev is not None and before.dev is not None
    assert list(found.dev.ids)[: len(before.dev)] == list(before.dev.ids)
    assert list(found.train.ids)[: len(before.train)] == list(before.train.ids)
    assert gold(found.dev)[len(before.dev) :] == [{"animals", "birds"}], "a tenth of the new ones"
    assert len(found.train) + len(found.dev) == 50


def test_a_label_that_its_own_taxonomy_lacks(files: dict[str, str]) -> None:
    with open(files["middle"], "a") as file:
        file.write(json.dumps({"id": "q", "text": "word", "labels": ["lions"]}) + "\n")
    with pytest.raises(DataError, match=r"middle.jsonl:4: unknown label 'lions'"):
        grown(files)
    assert len(grown(files, mode="skip").train) == 9


def test_an_id_that_stands_twice(files: dict[str, str]) -> None:
    with open(files["new"], "a") as file:
        file.write(json.dumps({"id": "old1", "text": "word", "labels": ["pets"]}) + "\n")
    with pytest.raises(DataError, match=r"new.jsonl:3: the id 'old1' stands at .*old.jsonl:2 already"):
        grown(files)


def test_one_label_that_is_gone(tmp_path: Path) -> None:
    old = taxonomy({"a": [], "b": []})
    new = taxonomy({"a": [], "c": []})
    place = written(tmp_path / "old.jsonl", [["a"], ["b"], ["a"], ["b"], ["a"]])
    more = written(tmp_path / "more.jsonl", [["c"], ["c"]])
    dev = written(tmp_path / "dev.jsonl", [["a"]])
    settings = Config.build({"task": {"type": "multiclass"}, "data": {"train": place, "dev": dev}})
    before = build_corpus(settings, policy=ErrorPolicy("raise"))
    generations = [
        Generation(old, {"train": (place,), "dev": (dev,)}, {}),
        Generation(new, {"train": (more,)}, {}),
    ]
    found = grown_corpus(settings, before.featurizer, generations, policy=ErrorPolicy("raise"))
    assert len(found.train) == 5
    assert "2 documents of train were of removed categories and are left out" in found.warnings


def test_written_paths_in_a_dag_are_refused(files: dict[str, str]) -> None:
    dag = taxonomy({"a": [], "b": [], "c": ["a", "b"]})
    settings = config(closure="path")
    featurizer: Any = None
    generations = [Generation(dag, {"train": (files["old"],)}, {}), Generation(NEW, {}, {})]
    with pytest.raises(UsageError, match="several parents"):
        grown_corpus(settings, featurizer, generations, policy=ErrorPolicy("raise"))
