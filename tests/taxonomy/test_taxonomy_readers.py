"""Readers: every format with the same small taxonomies, and round trips of random ones."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linnaea.errors import TaxonomyError, UsageError
from linnaea.taxonomy import located
from linnaea.taxonomy.readers import find_problems, read_taxonomy, taxonomy_from_labels
from linnaea.taxonomy.source import Source
from linnaea.taxonomy.taxonomy import Taxonomy
from tests.taxonomy import twin

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(name: str, text: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def shape(taxonomy: Taxonomy) -> dict[str, list[str]]:
    """id -> ids of its parents, in column order."""
    return {
        id: [taxonomy.ids[p] for p in row] for id, row in zip(taxonomy.ids, taxonomy.parents, strict=True)
    }


# Science > Physics, Chemistry > Organic; Arts > Music; Acoustics below Physics and Music
SMALL = {
    "Science": [],
    "Arts": [],
    "Physics": ["Science"],
    "Chemistry": ["Science"],
    "Music": ["Arts"],
    "Acoustics": ["Physics", "Music"],
    "Organic": ["Chemistry"],
}
CHILDREN = (
    "Root\tScience\tArts\nScience\tPhysics\tChemistry\nArts\tMusic\n"
    "Physics\tAcoustics\nChemistry\tOrganic\nMusic\tAcoustics\n"
)
EDGES = (
    "parent,child\nRoot,Science\nRoot,Arts\nScience,Physics\nScience,Chemistry\nArts,Music\n"
    "Physics,Acoustics\nChemistry,Organic\nMusic,Acoustics\n"
)
INDENTED = """\
Science
  Physics
    Acoustics
  Chemistry
    Organic
Arts
  Music
    Acoustics
"""
KEYS = (
    '{"Science": {"Physics": ["Acoustics"], "Chemistry": {"Organic": {}}}, "Arts": {"Music": ["Acoustics"]}}'
)
OBJECTS = """\
{"name": "Root", "children": [
  {"name": "Science", "children": [
    {"name": "Physics", "children": [{"name": "Acoustics"}]},
    {"name": "Chemistry", "children": ["Organic"]}]},
  {"name": "Arts", "children": [{"name": "Music", "children": [{"name": "Acoustics", "size": 3}]}]}
]}"""
FLAT = json.dumps([{"id": id, "parents": parents} for id, parents in SMALL.items()])
LINES = "\n".join(json.dumps({"id": id, "parents": parents}) for id, parents in SMALL.items())
RECORDS = json.dumps([{"parent": p, "child": c} for c, above in SMALL.items() for p in above or ["Root"]])


class TestFormats:
    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("t.tsv", CHILDREN),
            ("t.taxonomy", CHILDREN),
            ("t", CHILDREN),
            ("t.tsv", CHILDREN.replace("Root", "Everything")),
            ("t.tsv", CHILDREN.replace("Root\tScience\tArts\n", "")),
            ("t.csv", EDGES),
            ("t.csv", EDGES.replace("Root", "")),
            ("t.csv", EDGES.replace("Root", "<ROOT>")),
            ("t.csv", EDGES.replace("Root,Science\nRoot,Arts\n", "")),
            ("t.csv", EDGES.replace(",", ";").replace("parent", "Parent ID").replace("child", "child_id")),
            ("t.tsv", EDGES.replace(",", "\t")),
            ("t.txt", EDGES.replace(",", "\t").replace("parent\tchild", "source\ttarget")),
            ("t.csv", '"parent","child"\n' + EDGES.split("\n", 1)[1].replace("Arts,Music", '"Arts", Music,')),
            ("t.txt", INDENTED),
            ("t.txt", INDENTED.replace("  ", "\t")),
            ("t.txt", "Root\n" + "".join(f" {line}\n" for line in INDENTED.splitlines())),
            ("t.txt", "".join(f"      {line}\n" for line in INDENTED.splitlines())),
            ("t.md", INDENTED.replace("  ", " ")),
            ("t.json", KEYS),
            ("t.json", OBJECTS),
            ("t.json", OBJECTS.replace("Root", "All of it")),
            ("t.json", FLAT),
            ("t.txt", FLAT),
            ("t.json", f'{{"categories": {FLAT}}}'),
            ("t.json", FLAT.replace("parents", "parent_ids")),
            ("t.jsonl", LINES),
            ("t.json", RECORDS),
        ],
    )
    def test_detected_and_read(self, write: Write, name: str, text: str) -> None:
        taxonomy = read_taxonomy(write(name, text))
        assert shape(taxonomy) == SMALL
        if "All of it" not in text:  # order of first mention, whatever the format
            assert taxonomy.ids == tuple(SMALL)
        assert taxonomy.names == taxonomy.ids

    @pytest.mark.parametrize(
        ("format", "text"),
        [("children", CHILDREN), ("edges", EDGES), ("indented", INDENTED), ("json", KEYS)],
    )
    def test_named(self, write: Write, format: str, text: str) -> None:
        assert shape(read_taxonomy(write("any.thing", text), format)) == SMALL

    def test_unknown_format(self, write: Write) -> None:
        with pytest.raises(
            UsageError, match=r"unknown taxonomy format 'indent' \(did you mean 'indented'\?\)"
        ):
            read_taxonomy(write("t.txt", INDENTED), "indent")

    @pytest.mark.parametrize("change", ["bom", "crlf", "cr", "blank lines", "trailing tabs", "blanks around"])
    def test_what_editors_leave_behind(self, write: Write, change: str) -> None:
        text = CHILDREN
        if change == "bom":
            text = "\ufeff" + text
        elif change == "crlf":
            text = text.replace("\n", "\r\n")
        elif change == "cr":
            text = text.replace("\n", "\r")
        elif change == "blank lines":
            text = "\n" + text.replace("\n", "\n  \n\n")
        elif change == "trailing tabs":
            text = text.replace("\n", "\t\t\n")
        else:
            text = text.replace("\t", " \t ")
        assert shape(read_taxonomy(write("t.tsv", text))) == SMALL

    @pytest.mark.parametrize("name", ["t.tsv.gz", "t.tsv"])
    def test_gzip_by_content(self, write: Write, name: str) -> None:
        assert shape(read_taxonomy(write(name, gzip.compress(CHILDREN.encode())))) == SMALL

    def test_standard_input(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Input:
            buffer = io.BytesIO(CHILDREN.encode())

        monkeypatch.setattr("sys.stdin", Input)
        assert shape(read_taxonomy("-")) == SMALL

    def test_no_comments(self, write: Write) -> None:
        taxonomy = read_taxonomy(write("t.tsv", "Root\t#metoo\t# two\n#metoo\t//x\n"))
        assert taxonomy.ids == ("#metoo", "# two", "//x")

    def test_flat_list_of_names(self, write: Write) -> None:
        assert shape(read_taxonomy(write("t.txt", "spam\nham and eggs\n"))) == {
            "spam": [],
            "ham and eggs": [],
        }
        assert shape(read_taxonomy(write("t.json", '["spam", "ham"]'))) == {"spam": [], "ham": []}

    def test_digest_is_one_over_all_formats(self, write: Write) -> None:
        files = [
            ("t.tsv", CHILDREN),
            ("t.csv", EDGES),
            ("t.txt", INDENTED),
            ("t.json", FLAT),
            ("k.json", KEYS),
        ]
        assert len({read_taxonomy(write(*file)).digest for file in files}) == 1


class TestRoot:
    def test_root_is_no_category(self, write: Write) -> None:
        taxonomy = read_taxonomy(write("t.tsv", CHILDREN.replace("Root", "Alles")))
        assert taxonomy.root == "Alles"
        assert "Alles" not in taxonomy.index
        assert taxonomy.split("Alles--Science") == ("Science",)

    def test_a_single_top_with_a_line_of_its_own_stays(self, write: Write) -> None:
        assert shape(read_taxonomy(write("t.txt", "Animal\n Cat\n Dog\n")))["Cat"] == ["Animal"]
        assert shape(read_taxonomy(write("t.json", '{"Animal": ["Cat"]}'))) == {
            "Animal": [],
            "Cat": ["Animal"],
        }

    def test_parent_of_top_categories_may_be_0(self, write: Write) -> None:
        taxonomy = read_taxonomy(write("t.csv", "id,name,parent_id\n10,News,0\n11,Sport,10\n12,Arts,0\n"))
        assert shape(taxonomy) == {"10": [], "12": [], "11": ["10"]}

    def test_a_category_may_be_called_root(self, write: Write) -> None:
        taxonomy = read_taxonomy(write("t.txt", "Plant\n Root\n  Taproot\n Leaf\n"))
        assert shape(taxonomy) == {"Plant": [], "Root": ["Plant"], "Leaf": ["Plant"], "Taproot": ["Root"]}

    def test_root_in_a_later_line(self, write: Write) -> None:
        first, rest = CHILDREN.split("\n", 1)
        assert shape(read_taxonomy(write("t.tsv", f"{rest}{first}\n")))["Acoustics"] == ["Physics", "Music"]


class TestIdsAndNames:
    def test_edge_list(self, write: Write) -> None:
        text = (
            "id,name,parent,description\n1,News,,all of it\n2,Sport,1,\n3,Sport,1,the other\n"
            "4,Ball,2,\n4,Ball,3,round\n5,Net,Ball,\n"
        )
        taxonomy = read_taxonomy(write("t.csv", text))
        assert shape(taxonomy) == {"1": [], "2": ["1"], "3": ["1"], "4": ["2", "3"], "5": ["4"]}
        assert taxonomy.names == ("News", "Sport", "Sport", "Ball", "Net")
        assert taxonomy.descriptions == ("all of it", "", "the other", "round", "")

    def test_parent_child_and_name(self, write: Write) -> None:
        taxonomy = read_taxonomy(write("t.tsv", "parent\tchild\tname\n\tC1\tCorporate\nC1\tC11\tStrategy\n"))
        assert (taxonomy.ids, taxonomy.names) == (("C1", "C11"), ("Corporate", "Strategy"))
        assert taxonomy.path(1) == "Corporate--Strategy"

    def test_parent_child_and_id(self, write: Write) -> None:
        text = "parent,child,id\nRoot,News,7\nNews,Sport,8\n7,Arts,9\n"
        taxonomy = read_taxonomy(write("t.csv", text))
        assert (taxonomy.ids, taxonomy.names) == (("7", "8", "9"), ("News", "Sport", "Arts"))
        assert shape(taxonomy)["9"] == ["7"]

    def test_flat_json(self, write: Write) -> None:
        text = json.dumps(
            [
                {"id": 2, "name": "Sport", "parents": [1], "description": "games"},
                {"id": 1, "name": "News", "parents": []},
                {"id": 3, "name": "Sport", "parent": "News"},
            ]
        )
        taxonomy = read_taxonomy(write("t.json", text))
        assert (taxonomy.ids, taxonomy.names) == (("1", "2", "3"), ("News", "Sport", "Sport"))
        assert taxonomy.descriptions == ("", "games", "")
        assert shape(taxonomy)["3"] == ["1"]

    def test_nested_json(self, write: Write) -> None:
        text = """[{"id": "a", "name": "News", "children": [{"id": "b", "name": "Sport"}, "c"]},
                   {"id": "c", "name": "Sport", "children": [{"id": "b", "name": "Sport"}]}]"""
        taxonomy = read_taxonomy(write("t.json", text))
        assert shape(taxonomy) == {"a": [], "c": ["a"], "b": ["a", "c"]}
        assert taxonomy.names == ("News", "Sport", "Sport")

    def test_saved_taxonomy(self, write: Write) -> None:
        for parents in ([[]], [[], [0]], [[], [0], [0, 1]]):
            taxonomy = twin.build(parents)
            back = read_taxonomy(write("taxonomy.json", json.dumps(taxonomy.to_json())))
            assert back.digest == taxonomy.digest


class TestRandom:
    """What is written from a random DAG is read back, whatever the format."""

    @given(twin.graphs())
    def test_flat_json_and_edge_list(
        self, tmp_path_factory: pytest.TempPathFactory, parents: twin.Parents
    ) -> None:
        folder = tmp_path_factory.mktemp("random")
        taxonomy = twin.build(parents)
        entries = [
            {"id": f"n{i}", "name": f"N{i}", "parents": [f"n{p}" for p in above]}
            for i, above in enumerate(parents)
        ]
        (folder / "t.json").write_text(json.dumps(entries))
        assert read_taxonomy(folder / "t.json").digest == taxonomy.digest
        with open(folder / "t.csv", "w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["id", "name", "parent"])
            rows.writerows((f"n{i}", f"N{i}", f"n{p}") for i, above in enumerate(parents) for p in above)
            rows.writerows((f"n{i}", f"N{i}", "") for i, above in enumerate(parents) if not above)
        assert sorted(shape(read_taxonomy(folder / "t.csv")).items()) == sorted(shape(taxonomy).items())

    @given(twin.graphs())
    def test_children(self, tmp_path_factory: pytest.TempPathFactory, parents: twin.Parents) -> None:
        path = tmp_path_factory.mktemp("random") / "t.tsv"
        below = {"Root": [f"n{n}" for n, above in enumerate(parents) if not above]}
        for parent in range(len(parents)):
            below[f"n{parent}"] = [f"n{n}" for n, above in enumerate(parents) if parent in above]
        path.write_text("".join("\t".join([p, *children]) + "\n" for p, children in below.items()))
        expected = {f"n{n}": {f"n{p}" for p in above} for n, above in enumerate(parents)}
        assert {id: set(above) for id, above in shape(read_taxonomy(path)).items()} == expected


class TestLabels:
    def test_ids_are_names_where_unique(self) -> None:
        taxonomy = taxonomy_from_labels(["A--B--C", "D--B", "E", "A--F", "D--B", "A--B--C"])
        assert taxonomy.ids == ("A", "D", "E", "A--B", "D--B", "F", "C")
        assert taxonomy.names == ("A", "D", "E", "B", "B", "F", "C")
        assert shape(taxonomy) == {
            "A": [],
            "D": [],
            "E": [],
            "A--B": ["A"],
            "D--B": ["D"],
            "F": ["A"],
            "C": ["A--B"],
        }

    def test_bare_label_is_a_top_category(self) -> None:
        taxonomy = taxonomy_from_labels(["A--B", "B"])
        assert taxonomy.ids == ("A", "B", "A--B")
        assert taxonomy.level_C.tolist() == [1, 1, 2]

    def test_separator_and_blanks(self) -> None:
        assert taxonomy_from_labels(["a--b / c", "a--b/d"], " / ".strip()).ids == ("a--b", "c", "d")

    def test_one_level(self) -> None:
        assert taxonomy_from_labels(iter(["spam", "ham", "spam"])).ids == ("spam", "ham")

    @pytest.mark.parametrize(
        ("labels", "message"),
        [
            ([], "no label"),
            (["A", "A----B"], "'A----B' holds an empty name"),
            (["A--"], "empty"),
            ([" "], "empty"),
        ],
    )
    def test_refused(self, labels: list[str], message: str) -> None:
        with pytest.raises(TaxonomyError, match=message):
            taxonomy_from_labels(labels)

    names = st.sampled_from("ABCD")

    @given(st.lists(st.lists(names, min_size=1, max_size=4), min_size=1, max_size=10))
    def test_every_beginning_is_a_category_with_its_path(self, paths: list[list[str]]) -> None:
        taxonomy = taxonomy_from_labels(["/".join(path) for path in paths], "/")
        beginnings = {"/".join(path[:n]) for path in paths for n in range(1, len(path) + 1)}
        found = [taxonomy.path(column) for column in range(len(taxonomy))]
        assert sorted(found) == sorted(beginnings)
        for column, path in enumerate(found):
            unique = taxonomy.names.count(taxonomy.names[column]) == 1
            assert taxonomy.ids[column] == (taxonomy.names[column] if unique else path)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def plain(value: Any) -> Any:
    """A located value without places."""
    if isinstance(value, located.Members):
        return {key: plain(inner) for _, key, inner in value}
    if isinstance(value, located.Items):
        return [plain(inner) for _, inner in value]
    return value


class TestLocatedJson:
    @given(values, st.sampled_from([None, 0, 2]), st.booleans())
    def test_as_the_standard_library(self, value: Any, indent: int | None, ascii: bool) -> None:
        text = json.dumps(value, indent=indent, ensure_ascii=ascii)
        assert plain(located.parse(text)) == value

    @given(values, st.data())
    def test_refuses_what_the_standard_library_refuses(self, value: Any, data: st.DataObject) -> None:
        text = json.dumps(value, indent=1)
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, len(text)))
        broken = (
            text[:start] + data.draw(st.sampled_from(["", ",", "]", "{", '"', "x", "1", "\n"])) + text[end:]
        )
        try:
            expected = json.loads(broken, parse_constant=lambda word: 1 / 0)
        except (ValueError, ZeroDivisionError):
            with pytest.raises(located.BrokenJson):
                located.parse(broken)
        else:
            assert plain(located.parse(broken)) == expected

    def test_lines(self) -> None:
        value = located.parse('\n{"a":\n 1,\n"b": [2,\n\n{"c": []}, "x"\n]\n}')
        assert [(line, key) for line, key, _ in value] == [(2, "a"), (4, "b")]
        assert value.find("b") == (4, [(4, 2), (6, [(6, "c", [])]), (6, "x")])

    @pytest.mark.parametrize(
        ("text", "line"),
        [('{"a": 1\n "b": 2}', 2), ("[1,\n2,\n]", 3), ('["a\nb"]', 1), ("[1]\n\n[2]", 3), ("", 1)],
    )
    def test_line_of_what_is_broken(self, text: str, line: int) -> None:
        with pytest.raises(located.BrokenJson) as caught:
            located.parse(text)
        assert caught.value.line == line


class TestDeep:
    """Chains of 5,000 levels: nothing recurses."""

    count = 5000

    def test_children(self, write: Write) -> None:
        text = "Root\tn0\n" + "".join(f"n{i}\tn{i + 1}\n" for i in range(self.count - 1))
        assert read_taxonomy(write("t.tsv", text)).depth == self.count

    def test_indented(self, write: Write) -> None:
        text = "".join(" " * i + f"n{i}\n" for i in range(self.count))
        assert read_taxonomy(write("t.txt", text)).depth == self.count

    def test_nested_json(self, write: Write) -> None:
        keys = "".join(f'{{"n{i}":' for i in range(self.count)) + "null" + "}" * self.count
        assert read_taxonomy(write("t.json", keys)).depth == self.count
        objects = "".join(f'{{"name":"n{i}","children":[' for i in range(self.count)) + "]}" * self.count
        assert read_taxonomy(write("t.json", objects)).depth == self.count - 1

    def test_a_long_cycle_is_named_in_part(self, write: Write) -> None:
        text = "Root\tn0\n" + "".join(f"n{i}\tn{(i + 1) % self.count}\n" for i in range(self.count))
        [problem] = find_problems(write("t.tsv", text))
        assert problem.where is not None
        assert problem.where.endswith(f":{self.count + 1}")
        assert problem.message.startswith("cycle: n0 -> n1 -> n2 -> ")
        assert problem.message.endswith("n49 -> ... (4950 more) -> n0")


def test_source_keeps_odd_line_ends_inside_names(write: Write) -> None:
    """Only \\n, \\r\\n and \\r end a line: form feed, NEL and U+2028 do not."""
    source = Source.read(write("t.txt", "a\u2028b\x85c\r\nd"))
    assert source.lines == ["a\u2028b\x85c", "d"]


@pytest.mark.parametrize("root", ["", "Root", "ROOT", "<root>", "0"])
def test_edges_with_ids_may_name_the_root(root: str, write: Write) -> None:
    path = write("t.csv", f"id,name,parent\na,A,{root}\nb,B,a\nc,C,{root}\n")
    assert find_problems(path) == []
    assert shape(read_taxonomy(path)) == {"a": [], "c": [], "b": ["a"]}


def test_a_category_may_be_called_0(write: Write) -> None:
    path = write("t.csv", "id,name,parent\n0,Zero,\n1,One,0\n")
    assert shape(read_taxonomy(path)) == {"0": [], "1": ["0"]}
