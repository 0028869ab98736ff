"""The plain text tree of `linnaea taxonomy`."""

from __future__ import annotations

import numpy as np

from linnaea.taxonomy.render import render, summary
from linnaea.taxonomy.taxonomy import Taxonomy
from tests.taxonomy import twin

DAG = Taxonomy.build(
    ["s", "a", "Physics", "Music", "Acoustics", "Echo"],
    ["Science", "Arts", "Physics", "Music", "Acoustics", "Echo"],
    [[], [], ["s"], ["a"], ["Physics", "Music"], ["Acoustics"]],
)
COUNTS = np.array([1200, 3, 1100, 2, 1, 0])


def test_tree_with_counts() -> None:
    assert "\n".join(render(DAG, COUNTS)) == (
        "Root\n"
        "├── Science [s]  1,200\n"
        "│   └── Physics  1,100\n"
        "│       └── Acoustics  1  (also under Music)\n"
        "│           └── Echo  0\n"
        "└── Arts [a]  3\n"
        "    └── Music  2\n"
        "        └── Acoustics  1  (see Science--Physics--Acoustics)"
    )


def test_cut_and_ascii() -> None:
    assert "\n".join(render(DAG, max_level=2, ascii=True)) == (
        "Root\n"
        "|-- Science [s]\n"
        "|   `-- Physics  (+ 2 categories)\n"
        "`-- Arts [a]\n"
        "    `-- Music  (+ 2 categories)"
    )
    assert list(render(DAG, max_level=3))[3] == "│       └── Acoustics  (also under Music)  (+ 1 category)"


def test_many_parents_are_cut() -> None:
    taxonomy = twin.build([[], [], [], [], [], [0, 1, 2, 3, 4]])
    assert list(render(taxonomy))[2] == "│   └── N5 [n5]  (also under N1, N2, N3 and 1 more)"


def test_summary() -> None:
    assert list(summary(DAG, COUNTS)) == [
        "6 categories on 4 levels, 1 without children; a DAG: 1 with several parents",
        "level  categories  childless  no documents",
        "    1           2          0             0",
        "    2           2          0             0",
        "    3           1          0             0",
        "    4           1          1             1",
    ]
    assert list(summary(twin.build([[]]))) == [
        "1 category on 1 level, 1 without children; a tree",
        "level  categories  childless",
        "    1           1          1",
    ]


def test_every_category_stands_once_in_full() -> None:
    generator = np.random.default_rng(3)
    parents = [generator.choice(i, size=min(i, 2), replace=False).tolist() for i in range(60)]
    taxonomy = twin.build(parents)
    lines = list(render(taxonomy))
    full = [line for line in lines[1:] if "(see " not in line]
    assert len(full) == len(taxonomy)
    assert len(lines) == 1 + len(taxonomy.roots) + len(taxonomy.parents.values)


def test_deep_chain_needs_no_recursion() -> None:
    taxonomy = twin.build([[i - 1] if i else [] for i in range(3000)])
    assert sum(1 for _ in render(taxonomy)) == 3001
