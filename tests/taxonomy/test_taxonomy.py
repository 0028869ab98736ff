"""Taxonomy: by hand on a small tree and a small DAG, and against plain twins on random DAGs."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys

import networkx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linnaea.errors import TaxonomyError
from linnaea.ragged import Ragged
from linnaea.taxonomy import graph
from linnaea.taxonomy.taxonomy import Taxonomy
from tests.taxonomy import twin

TREE = Taxonomy.build(
    ["c15", "news", "c", "c151", "e", "c17"],
    ["Performance", "News", "Corporate", "Accounts", "Economics", "Funding"],
    [["c"], [], [], ["c15"], [], ["c"]],
)
#   a   b      f
#   | \ |      |
#   c   d      |      c is also below b, after a
#    \ / \     |
#     e   g----+      g: first parent f, then d
DAG = Taxonomy.build(
    list("gabcdef"),
    list("GABCDEF"),
    [["f", "d"], [], [], ["a", "b"], ["a"], ["c", "d"], []],
    separator=" > ",
)


def rows(ragged: Ragged) -> list[list[int]]:
    return [row.tolist() for row in ragged]


def as_nodes(taxonomy: Taxonomy, columns: np.ndarray) -> list[int]:
    return [int(taxonomy.ids[c][1:]) for c in columns]


class TestTree:
    def test_columns_by_level_then_file_order(self) -> None:
        assert TREE.ids == ("news", "c", "e", "c15", "c17", "c151")
        assert TREE.names == ("News", "Corporate", "Economics", "Performance", "Funding", "Accounts")
        assert TREE.level_C.tolist() == [1, 1, 1, 2, 2, 3]
        assert TREE.level_C.dtype == np.int64
        assert (len(TREE), TREE.depth, TREE.is_tree) == (6, 3, True)

    def test_relations(self) -> None:
        assert rows(TREE.parents) == [[], [], [], [1], [1], [3]]
        assert rows(TREE.children) == [[], [3, 4], [], [5], [], []]
        assert rows(TREE.ancestors) == [[0], [1], [2], [1, 3], [1, 4], [1, 3, 5]]
        assert rows(TREE.descendants) == [[0], [1, 3, 4, 5], [2], [3, 5], [4], [5]]
        assert TREE.roots.tolist() == [0, 1, 2]
        assert TREE.leaves_C.tolist() == [True, False, True, False, True, True]
        assert TREE.levels() == [(1, slice(0, 3)), (2, slice(3, 5)), (3, slice(5, 6))]
        assert [TREE.siblings(c).tolist() for c in range(6)] == [[1, 2], [0, 2], [0, 1], [4], [3], []]
        assert TREE.index["c17"] == 4

    def test_edges(self) -> None:
        parent_E, child_E = TREE.edges
        assert list(zip(parent_E.tolist(), child_E.tolist(), strict=True)) == [(1, 3), (1, 4), (3, 5)]
        assert parent_E.dtype == child_E.dtype == np.int64

    def test_paths(self) -> None:
        assert TREE.path(5) == "Corporate--Performance--Accounts"
        assert TREE.paths(5) == ["Corporate--Performance--Accounts"]
        assert TREE.path(0) == "News"

    def test_close(self) -> None:
        labels = Ragged.from_rows([[5], [], [4, 0, 4], [3, 5, 1]])
        closed = TREE.close(labels)
        assert rows(closed) == [[1, 3, 5], [], [0, 1, 4], [1, 3, 5]]
        assert rows(TREE.close(closed)) == rows(closed)

    def test_close_of_nothing(self) -> None:
        assert rows(TREE.close(Ragged.from_rows([]))) == []
        assert rows(TREE.close(Ragged.from_rows([[], []]))) == [[], []]


class TestDag:
    def test_level_is_the_longest_way(self) -> None:
        assert DAG.ids == ("a", "b", "f", "c", "d", "g", "e")
        assert DAG.level_C.tolist() == [1, 1, 1, 2, 2, 3, 3]
        assert not DAG.is_tree

    def test_parents_in_file_order(self) -> None:
        assert rows(DAG.parents) == [[], [], [], [0, 1], [0], [2, 4], [3, 4]]
        assert rows(DAG.children) == [[3, 4], [3], [5], [6], [5, 6], [], []]

    def test_closure(self) -> None:
        assert rows(DAG.ancestors)[5:] == [[0, 2, 4, 5], [0, 1, 3, 4, 6]]
        assert DAG.descendants[0].tolist() == [0, 3, 4, 5, 6]

    def test_siblings_over_all_parents(self) -> None:
        assert DAG.siblings(3).tolist() == [4]
        assert DAG.siblings(6).tolist() == [5]
        assert DAG.siblings(5).tolist() == [6]

    def test_path_along_the_first_parent(self) -> None:
        assert DAG.path(5) == "F > G"
        assert DAG.paths(5) == ["F > G", "A > D > G"]
        assert DAG.paths(6) == ["A > C > E", "B > C > E", "A > D > E"]
        assert DAG.paths(6, limit=2) == ["A > C > E", "B > C > E"]

    def test_edges_down(self) -> None:
        groups = [(p.tolist(), c.tolist()) for p, c in DAG.edges_down()]
        assert groups == [([0, 1, 0], [3, 3, 4]), ([2, 4, 3, 4], [5, 5, 6, 6])]

    def test_split(self) -> None:
        assert DAG.split("A > C> E") == ("A", "C> E")
        assert DAG.split(" A >  C ") == ("A", "C")
        assert DAG.split("Root > A > C") == ("A", "C")
        assert DAG.split("Root") == ("Root",)


def test_a_category_called_like_the_root_is_no_root() -> None:
    taxonomy = Taxonomy.build(["Root", "Tap"], ["Root", "Tap"], [[], ["Root"]])
    assert taxonomy.split("Root--Tap") == ("Root", "Tap")


class TestTwins:
    @given(twin.graphs())
    def test_levels_and_order(self, parents: twin.Parents) -> None:
        taxonomy = twin.build(parents)
        nodes = range(len(parents))
        expected = sorted(nodes, key=lambda n: (twin.level(parents, n), n))
        assert as_nodes(taxonomy, np.arange(len(taxonomy))) == expected
        assert taxonomy.level_C.tolist() == [twin.level(parents, n) for n in expected]
        assert [as_nodes(taxonomy, row) for row in taxonomy.parents] == [parents[n] for n in expected]

    @given(twin.graphs())
    def test_closure_both_ways(self, parents: twin.Parents) -> None:
        taxonomy = twin.build(parents)
        network = networkx.DiGraph([(p, n) for n, above in enumerate(parents) for p in above])
        network.add_nodes_from(range(len(parents)))
        for column, id in enumerate(taxonomy.ids):
            node = int(id[1:])
            above, below = taxonomy.ancestors[column], taxonomy.descendants[column]
            assert set(as_nodes(taxonomy, above)) == networkx.ancestors(network, node) | {node}
            assert set(as_nodes(taxonomy, below)) == networkx.descendants(network, node) | {node}
            assert above.tolist() == sorted(set(above.tolist()))
            assert below.tolist() == sorted(set(below.tolist()))

    @given(twin.graphs())
    def test_sparse_and_dense_closure_agree(self, parents: twin.Parents) -> None:
        taxonomy = twin.build(parents)
        sparse = graph.ancestors(taxonomy.parents, taxonomy.level_C, bits_limit=0)
        dense = graph.ancestors(taxonomy.parents, taxonomy.level_C)
        assert rows(sparse) == rows(dense)
        assert sparse.values.dtype == dense.values.dtype == np.int32

    @given(twin.graphs())
    def test_children_siblings_leaves(self, parents: twin.Parents) -> None:
        taxonomy = twin.build(parents)
        for column, id in enumerate(taxonomy.ids):
            node = int(id[1:])
            children = {n for n, above in enumerate(parents) if node in above}
            assert set(as_nodes(taxonomy, taxonomy.children[column])) == children
            assert taxonomy.leaves_C[column] == (not children)
            beside = {n for n, above in enumerate(parents) if set(above) & set(parents[node])}
            if not parents[node]:
                beside = {n for n, above in enumerate(parents) if not above}
            assert set(as_nodes(taxonomy, taxonomy.siblings(column))) == beside - {node}

    @given(twin.graphs(most=8))
    def test_paths(self, parents: twin.Parents) -> None:
        taxonomy = twin.build(parents)
        for column, id in enumerate(taxonomy.ids):
            expected = ["--".join(f"N{n}" for n in way) for way in twin.ways(parents, int(id[1:]))]
            assert taxonomy.paths(column, limit=1000) == expected
            assert taxonomy.path(column) == expected[0]
            split = [taxonomy.split(path) for path in expected]
            assert split == [tuple(f"N{n}" for n in way) for way in twin.ways(parents, int(id[1:]))]

    @given(twin.graphs(), st.data())
    def test_close(self, parents: twin.Parents, data: st.DataObject) -> None:
        taxonomy = twin.build(parents)
        column = st.integers(0, len(parents) - 1)
        written = data.draw(st.lists(st.lists(column, max_size=5), max_size=8))
        at_once = data.draw(st.sampled_from([1, 3, 2**22]))
        closed = graph.add_ancestors(Ragged.from_rows(written), taxonomy.ancestors, values_at_once=at_once)
        expected = [sorted({int(a) for c in row for a in taxonomy.ancestors[c]}) for row in written]
        assert rows(closed) == expected
        assert rows(taxonomy.close(Ragged.from_rows(written))) == expected

    @given(twin.graphs())
    def test_edges_down_is_an_order_of_work(self, parents: twin.Parents) -> None:
        taxonomy = twin.build(parents)
        longest = np.ones(len(taxonomy), dtype=np.int64)
        for parent_E, child_E in taxonomy.edges_down():  # top down: levels come out
            np.maximum.at(longest, child_E, longest[parent_E] + 1)
        assert longest.tolist() == taxonomy.level_C.tolist()
        deepest = taxonomy.level_C.copy()
        for parent_E, child_E in reversed(taxonomy.edges_down()):  # bottom up: the deepest descendant
            np.maximum.at(deepest, parent_E, deepest[child_E])
        assert deepest.tolist() == [int(taxonomy.level_C[d].max()) for d in taxonomy.descendants]


def test_many_categories_close_on_sparse_rows_too() -> None:
    """Beyond the limit of the bit matrix, and over the edge of one word of bits."""
    generator = np.random.default_rng(5)
    parents = [generator.choice(i, size=min(i, 3), replace=False).tolist() for i in range(300)]
    taxonomy = twin.build(parents)
    sparse = graph.ancestors(taxonomy.parents, taxonomy.level_C, bits_limit=299)
    assert rows(sparse) == rows(taxonomy.ancestors)
    assert set(as_nodes(taxonomy, taxonomy.ancestors[-1])) == twin.ancestors(
        parents, int(taxonomy.ids[-1][1:])
    )


def test_deep_chain() -> None:
    count = 5000
    taxonomy = twin.build([[i - 1] if i else [] for i in range(count)])
    assert taxonomy.depth == count
    assert len(taxonomy.ancestors.values) == count * (count + 1) // 2
    assert taxonomy.ancestors[-1].tolist() == list(range(count))
    assert taxonomy.path(count - 1).count("--") == count - 1
    assert taxonomy.paths(count - 1) == [taxonomy.path(count - 1)]
    assert Taxonomy.from_json(taxonomy.to_json()).digest == taxonomy.digest


def test_many_ways_are_capped() -> None:
    """Forty diamonds in a row: 2^40 ways, of which the first come at once."""
    parents: twin.Parents = [[]]
    for top in range(0, 120, 3):
        parents += [[top], [top], [top + 1, top + 2]]
    taxonomy = twin.build(parents)
    assert len(taxonomy.paths(len(taxonomy) - 1, limit=100)) == 100


class TestBuildRefuses:
    @pytest.mark.parametrize(
        ("ids", "names", "parents", "message"),
        [
            (["a", "a"], ["A", "B"], [[], []], r"^f:2: duplicate id 'a'$"),
            (
                ["sport", "b"],
                ["A", "B"],
                [[], ["spotr"]],
                r"f:2: unknown parent 'spotr' of 'b' .*mean 'sport'",
            ),
            (["a"], ["A"], [["a"]], r"^f:1: 'a' is its own parent$"),
            (["a", "b"], ["A", "B"], [[], ["a", "a"]], r"^f:2: duplicate: 'b' stands twice under 'a'$"),
            (["a"], ["A--B"], [[]], r"^f:1: the name 'A--B' holds the separator '--'"),
            (["a", "b"], ["A", ""], [[], []], r"^f:2: empty name$"),
            (["a", ""], ["A", "B"], [[], []], r"^f:2: empty id$"),
            (["a"], ["A\nB"], [[]], r"^f:1: the name 'A\\nB' holds the character '\\n'$"),
            (["a\ud800"], ["A"], [[]], r"holds the character"),
            (["a", "b", "c"], ["A", "B", "C"], [["c"], ["a"], ["b"]], r"^f:3: cycle: c -> a -> b -> c \("),
            ([], [], [], r"holds no category"),
        ],
    )
    def test_problem(self, ids: list[str], names: list[str], parents: list[list[str]], message: str) -> None:
        origins = [f"f:{i + 1}" for i in range(len(ids))]
        with pytest.raises(TaxonomyError, match=message):
            Taxonomy.build(ids, names, parents, origins=origins)

    def test_separator_is_the_chosen_one(self) -> None:
        assert Taxonomy.build(["a"], ["A--B"], [[]], separator="/").path(0) == "A--B"
        with pytest.raises(TaxonomyError, match="separator '/'"):
            Taxonomy.build(["a"], ["A/B"], [[]], separator="/")


class TestCycles:
    @given(twin.graphs(), st.data())
    def test_found_if_and_only_if_there(self, parents: twin.Parents, data: st.DataObject) -> None:
        nodes = st.integers(0, len(parents) - 1)
        more = data.draw(st.lists(st.tuples(nodes, nodes), max_size=4))
        edges = [(p, n) for n, above in enumerate(parents) for p in above]
        edges = list(dict.fromkeys([*edges, *(e for e in more if e[0] != e[1])]))
        pairs = np.array(edges, dtype=np.int64).reshape(-1, 2)
        network = networkx.DiGraph(edges)
        found = graph.find_cycles(pairs[:, 0], pairs[:, 1], len(parents))
        assert bool(found) == (not networkx.is_directed_acyclic_graph(network))
        for cycle in found:
            walked = [edges[e] for e in cycle]
            assert all(a[1] == b[0] for a, b in zip(walked, [*walked[1:], walked[0]], strict=True))
            assert len({a for a, _ in walked}) == len(walked)
            assert cycle[-1] == max(cycle)
        network.remove_edges_from(edges[cycle[-1]] for cycle in found)
        assert len(found) == 20 or networkx.is_directed_acyclic_graph(network)


class TestIdentity:
    def test_json_round_trip(self) -> None:
        described = Taxonomy.build(
            ["1", "2"], ["Ä", "B"], [[], ["1"]], descriptions=["", "of b"], separator="/"
        )
        for taxonomy in (TREE, DAG, described):
            text = json.dumps(taxonomy.to_json(), ensure_ascii=False)
            back = Taxonomy.from_json(json.loads(text))
            for field in ("ids", "names", "descriptions", "separator", "root", "digest"):
                assert getattr(back, field) == getattr(taxonomy, field)
            assert rows(back.parents) == rows(taxonomy.parents)

    def test_digest_sees_what_counts(self) -> None:
        def digest(ids: str, names: str, *parents: str, separator: str = "--") -> str:
            return Taxonomy.build(
                list(ids), list(names), [list(p) for p in parents], separator=separator
            ).digest

        first = digest("abc", "ABC", "", "", "ab")
        assert first == digest("abc", "ABC", "", "", "ab", separator="/")
        others = [
            digest("abd", "ABC", "", "", "ab"),
            digest("abc", "ABD", "", "", "ab"),
            digest("abc", "ABC", "", "", "ba"),
            digest("abc", "ABC", "", "", "a"),
            digest("bac", "BAC", "", "", "ab"),
        ]
        assert len({first, *others}) == 6

    def test_digest_is_the_same_in_another_process(self) -> None:
        code = (
            "from linnaea.taxonomy.taxonomy import Taxonomy\n"
            "print(Taxonomy.build(list('gabcdef'), list('GABCDEF'),"
            " [['f', 'd'], [], [], ['a', 'b'], ['a'], ['c', 'd'], []]).digest)"
        )
        for seed in ("1", "2"):
            run = [sys.executable, "-c", code]
            out = subprocess.run(
                run, capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": seed}
            )
            assert out.stdout.strip() == DAG.digest

    def test_pickle(self) -> None:
        assert DAG.ancestors is DAG.ancestors
        back = pickle.loads(pickle.dumps(DAG))
        assert back.digest == DAG.digest
        assert rows(back.ancestors) == rows(DAG.ancestors)

    def test_altered_json_is_refused(self) -> None:
        value = DAG.to_json()
        value["categories"][3]["name"] = "C2"
        with pytest.raises(TaxonomyError, match=r"^taxonomy\.json: was altered"):
            Taxonomy.from_json(value, "taxonomy.json")

    @pytest.mark.parametrize(
        "change",
        [
            lambda v: v.pop("categories"),
            lambda v: v.update(format=2),
            lambda v: v.update(separator=""),
            lambda v: v.update(root=None),
            lambda v: v.update(digest=None),
            lambda v: v["categories"].append(3),
            lambda v: v["categories"][0].update(id=3),
            lambda v: v["categories"][0].update(parents="a"),
            lambda v: v["categories"][0].update(parents=[None]),
            lambda v: v["categories"][0].update(description=[]),
            lambda v: v["categories"][0].pop("name"),
            lambda v: v["categories"].reverse(),
            lambda v: v["categories"].clear(),
        ],
    )
    def test_broken_json_is_refused(self, change: object) -> None:
        value = DAG.to_json()
        change(value)  # type: ignore[operator]
        with pytest.raises(TaxonomyError, match="place"):
            Taxonomy.from_json(value, "place")

    @pytest.mark.parametrize("value", [None, [], 3, "x", {}])
    def test_not_a_taxonomy(self, value: object) -> None:
        with pytest.raises(TaxonomyError, match="not a taxonomy of format 1"):
            Taxonomy.from_json(value)


def test_root_edge_beside_other_parents_says_nothing() -> None:
    """Everything is below the root: what stands under it and under A is a child of A."""
    from linnaea.taxonomy.draft import Draft

    draft = Draft()
    root = draft.mention("Root", 1)
    a, b = draft.define("A", 1), draft.define("B", 1)
    for parent, child in [(root, b), (root, a), (a, b)]:
        draft.edge(parent, child, 1)
    draft.find_root(implicit=True)
    taxonomy = Taxonomy.from_draft(draft)
    assert (taxonomy.ids, taxonomy.level_C.tolist()) == (("A", "B"), [1, 2])
    assert taxonomy.paths(1) == ["A--B"]
