"""Render: a taxonomy as a plain text tree with counts, and a summary by level.

In a DAG a category is expanded below its first parent only; below the others it stands with a mark.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from linnaea.taxonomy.taxonomy import Taxonomy

_LINES = {False: ("├── ", "└── ", "│   ", "    "), True: ("|-- ", "`-- ", "|   ", "    ")}
_OTHERS_SHOWN = 3


def summary(taxonomy: Taxonomy, counts_C: np.ndarray | None = None) -> Iterator[str]:
    """A line on the whole, then a table with a line a level.

    Args:
        counts_C: documents of each category (closed); adds what has none to the table.
    """
    several = int((taxonomy.parents.lengths_N > 1).sum())
    kind = "a tree" if not several else f"a DAG: {several:,} with several parents"
    levels = f"{taxonomy.depth:,} level{'s' if taxonomy.depth > 1 else ''}"
    leaves = int(taxonomy.leaves_C.sum())
    yield f"{_categories(len(taxonomy))} on {levels}, {leaves:,} without children; {kind}"
    head = f"{'level':>5}  {'categories':>10}  {'childless':>9}"
    yield head if counts_C is None else f"{head}  {'no documents':>12}"
    for level, part in taxonomy.levels():
        line = f"{level:>5}  {part.stop - part.start:>10,}  {int(taxonomy.leaves_C[part].sum()):>9,}"
        yield line if counts_C is None else f"{line}  {int((counts_C[part] == 0).sum()):>12,}"


def render(
    taxonomy: Taxonomy,
    counts_C: np.ndarray | None = None,
    *,
    max_level: int | None = None,
    ascii: bool = False,
) -> Iterator[str]:
    """The tree, a line a category, from the root down.

    Args:
        counts_C: documents of each category; stands behind the name.
        max_level: how far down from the root; what lies below is counted.
        ascii: draw without box characters.
    """
    tee, corner, bar, blank = _LINES[ascii]
    yield taxonomy.root
    tops = taxonomy.roots.tolist()
    # A line to come: indentation, steps from the root, category, its parent, whether it is the last child.
    waiting = [("", 1, column, -1, i == 0) for i, column in enumerate(reversed(tops))]
    while waiting:
        indent, step, column, parent, last = waiting.pop()
        above = taxonomy.parents[column].tolist()
        first = not above or above[0] == parent
        children = taxonomy.children[column].tolist()
        text = _text(taxonomy, column, counts_C, parent)
        if first and children and step == max_level:
            text += f"  (+ {_categories(len(taxonomy.descendants[column]) - 1)})"
        yield f"{indent}{corner if last else tee}{text}"
        if first and step != max_level:
            indent += blank if last else bar
            below = enumerate(reversed(children))
            waiting.extend((indent, step + 1, child, column, i == 0) for i, child in below)


def _text(taxonomy: Taxonomy, column: int, counts_C: np.ndarray | None, parent: int) -> str:
    id, name = taxonomy.ids[column], taxonomy.names[column]
    text = name if id == name else f"{name} [{id}]"
    if counts_C is not None:
        text += f"  {int(counts_C[column]):,}"
    above = taxonomy.parents[column].tolist()
    if len(above) < 2:
        return text
    if above[0] != parent:
        return f"{text}  (see {taxonomy.path(column)})"
    others = [taxonomy.names[p] for p in above[1:]]
    more = f" and {len(others) - _OTHERS_SHOWN:,} more" if len(others) > _OTHERS_SHOWN else ""
    return f"{text}  (also under {', '.join(others[:_OTHERS_SHOWN])}{more})"


def _categories(count: int) -> str:
    return f"{count:,} categor{'y' if count == 1 else 'ies'}"
