"""What ``linnaea init`` makes of the signs in labels: between labels in a cell, between the names of a path."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from linnaea.commands.delimiter import find_paths

from .conftest import write_lines

Call = Callable[..., "object"]


def table(path: Path, cells: list[str], delimiter: str = ",") -> Path:
    """A CSV or TSV file of one document a cell."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerows(
            [["text", "labels"], *([f"words of {cell} {i}", cell] for i, cell in enumerate(cells))]
        )
    return path


SETS = (("red",), ("green",), ("blue",), ("red", "green"), ("green", "blue"), ("red", "blue"))


class TestDelimiter:
    @pytest.mark.parametrize(("sign", "joined"), [("|", "|"), (",", ", "), ("/", "/"), ("\t", "\t")])
    def test_what_stands_between_labels_is_found_and_told(
        self, corpus: Path, linnaea: Call, sign: str, joined: str
    ) -> None:
        path = table(corpus / "rows.csv", [joined.join(SETS[i % 6]) for i in range(36)])
        made = linnaea("init", path, "--json")
        assert made.code == 0, made.err
        assert made.json()["config"]["data"] == {"train": "rows.csv", "label_delimiter": sign}
        assert made.json()["facts"]["categories"] == 3
        told = f"{sign!r} stands between labels, as in {joined.join(('red', 'blue'))!r}: it is data.label_delimiter now"
        assert told in linnaea("init", path, "--overwrite").err.splitlines()

    def test_what_the_reader_takes_is_left_alone(self, corpus: Path, linnaea: Call) -> None:
        cells = [";".join(SETS[i % 6]) for i in range(30)]
        names = ["arts, crafts, etc", "rock/pop", "law, order"]  # signs inside names
        lists = [json.dumps([" | ".join(one) for one in SETS[i % 6 :]]) for i in range(30)]
        for i, rows in enumerate((cells, ["red", "blue"] * 9, names * 9, lists)):
            made = linnaea("init", table(corpus / f"rows{i}.tsv", rows, "\t"), "--overwrite")
            assert made.code == 0, made.err
            assert "label_delimiter" not in made.err
            assert "label_delimiter" not in json.loads((corpus / "config.json").read_text())["data"]

    def test_what_may_be_a_path_is_told_and_left_to_the_user(self, corpus: Path, linnaea: Call) -> None:
        paths = [f"{top}|{one}" for top in ("news", "sports") for one in ("home", "world", top)] * 5
        made = linnaea("init", table(corpus / "rows.csv", paths))
        assert made.code == 0, made.err
        (line,) = (line for line in made.err.splitlines() if "label-delimiter" in line)
        assert line == (
            "'news|home' counts as one label, with '|' in its name: give --label-delimiter \"|\" if it stands between "
            'labels, --separator "|" if between the names of a path'
        )
        assert "label_delimiter" not in json.loads((corpus / "config.json").read_text())["data"]

    def test_a_taxonomy_decides(self, corpus: Path, linnaea: Call) -> None:
        cells = ["animals--cats", "animals--cats, plants", "plants--trees, animals--dogs"] * 6
        made = linnaea("init", table(corpus / "rows.csv", cells), "--taxonomy", "taxonomy.tsv", "--json")
        assert made.code == 0, made.err
        assert made.json()["config"]["data"]["label_delimiter"] == ","
        (corpus / "named.tsv").write_text("Root\tred, green\tred\tgreen\n")
        made = linnaea(
            "init", table(corpus / "rows.csv", ["red, green", "red", "green"] * 6), "--taxonomy", "named.tsv",
            "--json", "--overwrite",
        )  # fmt: skip
        assert made.code == 0, made.err
        assert "label_delimiter" not in made.json()["config"]["data"]
        assert made.json()["facts"]["categories"] == 3

    def test_signs_between_known_names_are_labels_or_a_path(self, corpus: Path, linnaea: Call) -> None:
        path = table(corpus / "rows.csv", ["cats+trees", "cats", "dogs", "trees"] * 6)
        made = linnaea("init", path, "--taxonomy", "taxonomy.tsv", "--json")
        assert made.code == 0, made.err
        assert made.json()["config"]["data"]["label_delimiter"] == "+"
        path = table(corpus / "rows.csv", ["animals/cats", "animals/dogs", "plants/trees"] * 6)
        told = linnaea("init", path, "--taxonomy", "taxonomy.tsv", "--overwrite")
        assert told.code == 3 and "(is task.separator '/'? give it with --separator)" in told.err
        made = linnaea(
            "init", path, "--taxonomy", "taxonomy.tsv", "--separator", "/", "--overwrite", "--json"
        )
        assert made.code == 0, made.err
        assert made.json()["config"]["task"]["separator"] == "/"
        assert "label_delimiter" not in made.json()["config"]["data"]

    def test_unknown_labels_whose_parts_are_known(self, corpus: Path, linnaea: Call) -> None:
        folder = corpus / "own"
        folder.mkdir()
        table(folder / "train.csv", ["red", "green", "blue"] * 6)
        table(folder / "dev.csv", ["red", "green~blue"])
        told = linnaea("init", folder)
        assert told.code == 3
        assert (
            "unknown label 'green~blue' (its parts are known labels: is data.label_delimiter '~'? "
            "give it with --label-delimiter)" in told.err
        )
        made = linnaea("init", folder, "--label-delimiter", "~", "--json")
        assert made.code == 0, made.err
        assert made.json()["config"]["data"]["label_delimiter"] == "~"
        (folder / "dev.csv").unlink()
        write_lines(folder / "dev.jsonl", [{"text": "one", "labels": ["green~blue"]}])
        assert (
            '(its parts are known labels: write ["green", "blue"])'
            in linnaea("init", folder, "--overwrite").err
        )


TOPS = {"arts": ["film", "opera", "painting"], "sport": ["golf", "tennis"], "law": ["courts", "crime"]}


class TestSeparator:
    @pytest.mark.parametrize("sign", [" > ", ">", "/", ":", "::", ".", "->", " / ", "\\"])
    def test_labels_that_look_like_paths_are_told(self, corpus: Path, linnaea: Call, sign: str) -> None:
        paths = [sign.join((top, below)) for top, names in TOPS.items() for below in names]
        rows = [{"text": f"number {i}", "labels": [paths[i % 7], paths[i % 3]]} for i in range(40)]
        write_lines(corpus / "rows.jsonl", [*rows, {"text": "more", "labels": ["arts"]}])
        table(corpus / "rows.csv", [";".join(row["labels"]) for row in rows])
        shown = json.dumps(sign)
        line = (
            f"labels look like paths split by {shown}: give --separator {shown} "
            f'(or set "task": {{"type": "hierarchical", "separator": {shown}}}) to have 2 levels'
        )
        for name in ("rows.jsonl", "rows.csv"):
            made = linnaea("init", name, "--json", "--overwrite")
            assert made.code == 0, made.err
            assert line in made.json()["reasons"]
            assert made.json()["config"]["task"] == {"type": "multilabel"}
            assert line in linnaea("init", name, "--overwrite").err.splitlines()
            made = linnaea("init", name, "--separator", sign, "--json", "--overwrite")
            assert made.code == 0, made.err
            assert made.json()["config"]["task"] == {"type": "hierarchical", "separator": sign}
            assert (made.json()["facts"]["levels"], made.json()["facts"]["categories"]) == (2, 10)
            assert line not in made.json()["reasons"]

    @pytest.mark.parametrize(
        "labels",
        [
            ["rock/pop", "a.b", "jazz", "folk", "soul"],  # few hold a sign
            ["rock/pop", "soul/funk", "hip/hop", "drum/bass"],  # nothing comes first twice
            ["one//two", "one//three", "one//four"],  # empty names between them
            ["red", "green", "blue"],
        ],
    )
    def test_labels_that_are_no_paths(self, labels: list[str]) -> None:
        assert find_paths(labels) is None

    def test_codes_and_signs_at_the_ends(self) -> None:
        found = find_paths(["1", "1.2", "1.2.3", "1.3", "2.1.1", "2.1.2"])
        assert found is not None and found.told("--separator ").endswith("to have 3 levels")
        found = find_paths(["/Arts/Film", "/Arts/Opera", "/Law/Crime", "/Law/Courts"])
        assert found is not None
        told = found.told("--separator ")
        assert 'split by "/": take it away from the ends of labels, and give --separator "/" (or' in told

    def test_labels_that_stop_at_an_inner_category_count(self) -> None:
        """Not those that only hold no sign."""
        paths, tops = (
            ["arts/film", "arts/opera", "law/crime", "law/courts", "law/courts/high"],
            ["arts", "law"],
        )
        for labels in (paths, [*paths, *tops], [*paths, *tops, "law/courts"]):
            found = find_paths(set(labels))
            assert found is not None and (found.sign, found.levels) == ("/", 3)
        assert find_paths([*paths, *tops, "red", "blue"]) is None

    def test_numbers_are_told_more_softly(self, corpus: Path, linnaea: Call) -> None:
        made = linnaea("init", table(corpus / "rows.csv", ["1.0", "1.5", "2.0", "2.5", "3.0", "3.5"] * 5))
        assert made.code == 0, made.err
        assert 'labels are numbers; if they are paths split by ".", give --separator "." (or' in made.err
        assert "labels look like" not in made.err

    def test_a_delimiter_that_does_nothing(self, corpus: Path, linnaea: Call) -> None:
        told = linnaea(
            "init", table(corpus / "rows.csv", ["red;green", "blue"] * 9), "--label-delimiter", "|"
        )
        assert (told.code, told.err) == (2, "error: --label-delimiter: '|' stands in no label\n")
        assert (
            linnaea("init", table(corpus / "one.csv", ["red", "blue"] * 9), "--label-delimiter", ";").code
            == 0
        )
        write_lines(corpus / "rows.jsonl", [{"text": "one", "labels": ["red|green"]}] * 3)
        told = linnaea("init", "rows.jsonl", "--label-delimiter", "|", "--overwrite")
        assert told.code == 2
        assert "stands between labels in the cells of a table, and rows.jsonl is none" in told.err

    def test_a_separator_that_no_label_holds(self, corpus: Path, linnaea: Call) -> None:
        told = linnaea("init", table(corpus / "rows.csv", ["red", "blue"] * 9), "--separator", "/")
        assert (told.code, told.err) == (2, "error: --separator: '/' stands in no label of train\n")
