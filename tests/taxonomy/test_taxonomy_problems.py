"""Bad taxonomy files: every problem with its line and what was meant, and never another error."""
# ruff: noqa: E501  (a table of inputs and messages: a line a case)

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linnaea.errors import TaxonomyError
from linnaea.taxonomy.readers import find_problems, read_taxonomy


def problems(path: Path, text: str | bytes, format: str = "auto", separator: str = "--") -> list[str]:
    """All problems, each beginning with the file's bare name."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    found = [str(p).replace(f"{path.parent}/", "") for p in find_problems(path, format, separator)]
    if found:
        with pytest.raises(TaxonomyError) as caught:
            read_taxonomy(path, format, separator)
        assert str(caught.value).replace(f"{path.parent}/", "") == found[0]
        assert caught.value.exit_code == 3
    else:
        read_taxonomy(path, format, separator)
    assert all("\n" not in line for line in found)
    return found


NAME_IS_ID = "here a name is the id; two categories of one name need a file with ids: an edge list or JSON"
TURN = "leave out the edge that is the wrong way round"
ONCE = "leave one out, or give the two different names"
RENAME = "rename it, or set task.separator to something that stands in no name"
EMPTY_TOP = "leave the parent of a top category empty"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        # cycles
        ("t.tsv", "Root\tA\nA\tB\nB\tC\nC\tA\n", [f"t.tsv:4: cycle: A -> B -> C -> A ({TURN})"]),
        ("t.tsv", "A\tB\nB\tA\n", [f"t.tsv:2: cycle: A -> B -> A ({TURN})"]),
        (
            "t.tsv",
            "Root\tA\tX\nA\tB\nB\tA\nX\tY\tA\nY\tZ\nZ\tY\n",
            [f"t.tsv:3: cycle: A -> B -> A ({TURN})", f"t.tsv:6: cycle: Y -> Z -> Y ({TURN})"],
        ),
        ("t.csv", "parent,child\n,A\nA,B\nB,C\nC,B\n", [f"t.csv:5: cycle: B -> C -> B ({TURN})"]),
        (
            "t.json",
            '[{"id": "a",\n "parents": ["b"]},\n {"id": "b",\n "parents": ["a"]}]',
            [f"t.json:4: cycle: b -> a -> b ({TURN})"],
        ),
        ("t.txt", "A\n B\n  C\n   A\n", [f"t.txt:4: cycle: A -> B -> C -> A ({TURN})"]),
        # self-parent
        ("t.tsv", "Root\tA\nA\tA\n", [f"t.tsv:2: 'A' is its own parent ({NAME_IS_ID})"]),
        ("t.txt", "Music\n  Music\n", [f"t.txt:2: 'Music' is its own parent ({NAME_IS_ID})"]),
        ("t.csv", "id,name,parent\n1,A,\n2,B,2\n", ["t.csv:3: '2' is its own parent"]),
        # orphans and unknown parents
        (
            "t.tsv",
            "Root\tEnergy\tTrade\nEnergy\tOil\nEnegry\tGas\n",
            ["t.tsv:3: unknown parent 'Enegry' of 'Gas': an orphan, under no parent itself (did you mean 'Energy'?)"],
        ),
        (
            "t.tsv",
            "Root\tA\n\nXyz\tB\n",
            ["t.tsv:3: unknown parent 'Xyz' of 'B': an orphan, under no parent itself (put it under 'Root')"],
        ),
        ("t.txt", "Root\n  A\nB\n", ["t.txt:3: orphan: 'B' stands under no parent (put it under 'Root')"]),
        (
            "t.csv",
            "parent,child\n,Sport\nSport,Golf\nSprot,Rugby\n",
            ["t.csv:4: unknown parent 'Sprot' of 'Rugby': an orphan, under no parent itself (did you mean 'Sport'?)"],
        ),
        (
            "t.csv",
            "id,name,parent\n1,A,\n2,B,9\n",
            [f"t.csv:3: unknown parent '9' of '2': an orphan, under no parent itself ({EMPTY_TOP})"],
        ),
        (
            "t.csv",
            "id,name,parent\na,A,zz\n",
            [f"t.csv:2: unknown parent 'zz' of 'a': an orphan, under no parent itself ({EMPTY_TOP})"],
        ),
        (
            "t.tsv",
            "name\tparent\nA\tzz\nB\tA\n",
            [f"t.tsv:2: unknown parent 'zz' of 'A': an orphan, under no parent itself ({EMPTY_TOP})"],
        ),
        (
            "t.csv",
            "id,name,parent\na,A,0\nb,B,zz\n",
            ["t.csv:3: unknown parent 'zz' of 'b': an orphan, under no parent itself (put it under '0')"],
        ),
        (
            "t.json",
            '[{"id": "a", "parents": ["zz"]}]',
            [f"t.json:1: unknown parent 'zz' of 'a': an orphan, under no parent itself ({EMPTY_TOP})"],
        ),
        (
            "t.json",
            '[{"id": "sport", "parents": []},\n{"id": "golf", "parents": [\n"spotr"]}]',
            ["t.json:3: unknown parent 'spotr' of 'golf': an orphan, under no parent itself (did you mean 'sport'?)"],
        ),
        # duplicates
        (
            "t.tsv",
            "Root\tA\nA\tB\nA\tC\tB\n",
            [f"t.tsv:3: duplicate: 'B' stands twice under 'A', first in line 2 ({ONCE})"],
        ),
        ("t.tsv", "Root\tA\tA\n", [f"t.tsv:1: duplicate: 'A' stands twice under 'Root' ({ONCE})"]),
        (
            "t.csv",
            "id,name,parent\n1,A,\n2,B,1\n2,C,1\n",
            [
                "t.csv:4: duplicate id '2': here it is 'C', but 'B' in line 3",
                "t.csv:4: duplicate: '2' stands twice under '1', first in line 3",
            ],
        ),
        (
            "t.json",
            '[{"id": "1", "parents": []},\n{"id": "2", "parents": ["1"]},\n{"id": "2", "parents": []}]',
            ["t.json:3: duplicate id '2', first in line 2"],
        ),
        ("t.json", '{"A": {"B": {}},\n"A": {}}', [f"t.json:2: duplicate: 'A' stands twice at the top, first in line 1 ({ONCE})"]),
        ("t.txt", "A\n B\n B\n", [f"t.txt:3: duplicate: 'B' stands twice under 'A', first in line 2 ({ONCE})"]),
        (
            "t.json",
            '[{"id": 1, "name": "A", "children": [{"id": 2, "name": "B"}]},\n{"id": 2, "name": "C", "children": []}]',
            ["t.json:2: duplicate id '2': here it is 'C', but 'B' in line 1"],
        ),
        # names
        (
            "t.tsv",
            "Root\tA\nA\tB--C\n",
            [f"t.tsv:2: the name 'B--C' holds the separator '--': paths cannot be read ({RENAME})"],
        ),
        ("t.tsv", "Root\tA\t\tB\n", ["t.tsv:1: empty name between two tabs (column 3)"]),
        ("t.txt", "Root\tA\n\tB\n", ["t.txt:2: no parent stands before the first tab (is it indented text? give that format)"]),
        ("t.json", '{"A": ["B",\n""]}', ["t.json:2: empty name"]),
        ("t.json", '["A\\nB"]', ["t.json:1: the name 'A\\nB' holds the character '\\n'"]),
        ("t.json", '["\\ud800"]', ["t.json:1: the name '\\ud800' holds the character '\\ud800'"]),
        # several at once, in the order of the lines
        (
            "t.tsv",
            "Root\tA\nA\tA\tB\nB\tC--D\nB\tE\tA\nX\tY\tY\n",
            [
                f"t.tsv:2: 'A' is its own parent ({NAME_IS_ID})",
                f"t.tsv:3: the name 'C--D' holds the separator '--': paths cannot be read ({RENAME})",
                f"t.tsv:4: cycle: A -> B -> A ({TURN})",
                f"t.tsv:5: duplicate: 'Y' stands twice under 'X' ({ONCE})",
                "t.tsv:5: unknown parent 'X' of 'Y': an orphan, under no parent itself (put it under 'Root')",
            ],
        ),
    ],
)  # fmt: skip
def test_graph(tmp_path: Path, name: str, text: str, expected: list[str]) -> None:
    assert problems(tmp_path / name, text) == expected


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("t.tsv", b"", "t.tsv: is empty"),
        ("t.tsv", b"\xef\xbb\xbf \r\n\n", "t.tsv: is empty"),
        ("t.tsv", b"Root\n", "t.tsv: holds no category"),
        ("t.csv", b"parent,child\n", "t.csv: holds no category"),
        ("t.json", b"[]", "t.json: holds no category"),
        ("t.json", b'{"categories": []}', "t.json: holds no category"),
        ("t.tsv", b"Root\tA\r\nA\tb\xe9\r\n", "t.tsv:2: not UTF-8: byte 0xe9 (byte 4 of the line; save the file as UTF-8)"),
        ("t.tsv", "Root\tA\n".encode("utf-16"), "t.tsv:1: is UTF-16, not UTF-8 (byte 1 of the line; save the file as UTF-8)"),
        ("t.tsv.gz", b"Root\tA\n", "t.tsv.gz: is no whole gzip file"),
        ("t.tsv.gz", gzip.compress(b"Root\tA\n", mtime=0)[:-5], "t.tsv.gz: is no whole gzip file"),
        ("t.tsv", b"Root    A   B\n", "t.tsv:1: no tab in this line (a line is parent TAB child TAB child...; here blanks stand for the tabs)"),
        ("t.csv", b"paernt,child\nA,B\n", "t.csv:1: the header must name the columns parent and child, not 'paernt', 'child' (did you mean 'parent'?)"),
        ("t.csv", b"\nA,B\nA,C\n", "t.csv:2: the header must name the columns parent and child, not 'A', 'B' (the first line is the header)"),
        ("t.csv", b"parent,child,naem\nA,B,C\n", "t.csv:1: unknown column 'naem' (3.) (did you mean 'name'?)"),
        ("t.csv", b"parent,child\nA,B\nA,C, D\n", "t.csv:3: 3 cells, but the header has 2 (put a cell that holds ',' into quotes)"),
        ("t.csv", b'parent,child\n"A\nB",C\nA,\n', "t.csv:2: the name 'A\\nB' holds the character '\\n'"),
        ("t.csv", b'parent,child\n,A\n"A",\n', "t.csv:3: the column child is empty (a line names a category and its parent)"),
        ("t.csv", b'parent,child\n,A\nA,"B\nA,C\n', 't.csv:3: broken line: unexpected end of data (a " inside quotes is written twice: "")'),
        ("t.csv", b"id,name,parent\n1,A,\n2,B,1\n3,B,1\n4,C,B\n", "t.csv:5: ambiguous parent 'B': several are called so (one of 2, 3?)"),
        ("t.json", b'{"A": {},\n}', "t.json:2: broken JSON: a key in quotes is missing before '}'"),
        ("t.json", b'["A",\n"B"', "t.json:2: broken JSON: it ends too early"),
        ("t.json", b'{"id": "a"}\n{"id": "b"}\n', "t.json:2: broken JSON: more behind its end: '{\"id\": \"b\"}' (is it JSON lines? call it .jsonl)"),
        ("t.jsonl", b'{"id": "a"}\n\n{"id": }\n', "t.jsonl:3: broken JSON: a value is missing before '}'"),
        ("t.json", b"3", "t.json:1: must be a JSON object or list, not 3"),
        ("t.json", b'{"A": {\n"B": 3}}', "t.json:2: must be an object, a list or null, not 3"),
        ("t.json", b'["A",\ntrue]', "t.json:2: a category is named by a string or an integer, not by true or false"),
        ("t.json", b'[{"id": "a", "chidlren": ["b"]}]', "t.json:1: unknown key 'chidlren' (did you mean 'children'?)"),
        ("t.json", b'[{"id": "a", "id": "b", "parents": []}]', "t.json:1: the key 'id' stands twice in one object"),
        ("t.json", b'[{"id": "a", "parents": []},\n{"parents": ["a"]}]', "t.json:2: a category without id and name"),
        ("t.json", b'[{"id": "a", "children": []},\n{"id": "b", "parents": ["a"]}]', "t.json:2: parents in a nested taxonomy (give either parents or children, for all categories)"),
        ("t.json", b'[{"id": "a", "description": 3}]', "t.json:1: the description must be a string, not 3"),
        ("t.txt", b"A\n    B\n  C\n", "t.txt:3: an indentation of 2 is that of no line above (0, 4)"),
        ("t.txt", b"  A\nB\n", "t.txt:2: an indentation of 0 is that of no line above (2)"),
        ("t.txt", b"A\n  B\n\tC\n", "t.txt:3: tabs and blanks are mixed in the indentation (indent with one of the two only)"),
    ],
)  # fmt: skip
def test_file(tmp_path: Path, name: str, text: bytes, expected: str) -> None:
    assert problems(tmp_path / name, text)[0] == expected


def test_missing_file(tmp_path: Path) -> None:
    assert [str(p) for p in find_problems(tmp_path / "t.tsv")] == [f"{tmp_path}/t.tsv: no such file"]
    with pytest.raises(TaxonomyError, match=r"the folder .*/no does not exist"):
        read_taxonomy(tmp_path / "no" / "t.tsv")
    with pytest.raises(TaxonomyError, match="cannot read: is a directory"):
        read_taxonomy(tmp_path)


def test_a_name_may_hold_another_separator(tmp_path: Path) -> None:
    assert problems(tmp_path / "t.tsv", "Root\tA--B\n", separator=" / ") == []
    assert len(problems(tmp_path / "t.tsv", "Root\tA / B\n", separator=" / ")) == 1


def test_many_problems_come_all(tmp_path: Path) -> None:
    text = "Root\tA\n" + "".join(f"x{i}\ty{i}\n" for i in range(500))
    assert len(problems(tmp_path / "t.tsv", text)) == 500


names = ["Root", "A", "B", "C", "é", "--", "\x00", "\ud800", "1", "null"]
marks = ["\t", "\n", " ", "  ", ",", '"', "{", "}", "[", "]", ":"]
words = ['"A"', '"id"', '"name"', '"parents"', '"children"', "parent,child\n", "id\tparent\n"]
pieces = st.sampled_from([*names, *marks, *words])


@given(
    st.lists(pieces, max_size=25).map("".join),
    st.sampled_from(["t.tsv", "t.csv", "t.json", "t.jsonl", "t.txt"]),
)
def test_anything_is_a_taxonomy_or_has_problems(
    tmp_path_factory: pytest.TempPathFactory, text: str, name: str
) -> None:
    path = tmp_path_factory.mktemp("any") / name
    for format in ("auto", "children", "edges", "json", "indented"):
        problems(path, text.encode("utf-8", "surrogatepass"), format)


@given(st.binary(max_size=40))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    problems(tmp_path_factory.mktemp("any") / "t", data)


@given(st.integers(0, 2**32), st.data())
def test_a_cut_file_is_never_a_crash(
    tmp_path_factory: pytest.TempPathFactory, seed: int, data: st.DataObject
) -> None:
    entries = [{"id": f"n{i}", "name": "x", "parents": [f"n{seed % i}"] if i else []} for i in range(6)]
    text = json.dumps(entries, indent=1)
    cut = data.draw(st.integers(0, len(text) - 1))
    assert problems(tmp_path_factory.mktemp("cut") / "t.json", text[:cut])
