"""Slow and plain twins of the taxonomy's algorithms, and taxonomies drawn at random."""

from __future__ import annotations

from hypothesis import strategies as st

from linnaea.taxonomy.taxonomy import Taxonomy

Parents = list[list[int]]  # of each node, in file order; nodes in file order


@st.composite
def graphs(draw: st.DrawFn, most: int = 14) -> Parents:
    """A random DAG: parents of each node, in an order of nodes that says nothing about levels."""
    count = draw(st.integers(1, most))
    rank = draw(st.permutations(range(count)))  # parents have a lower rank, not a lower number
    parents: Parents = []
    for node in range(count):
        above = [n for n in range(count) if rank[n] < rank[node]]
        some = st.lists(st.sampled_from(above), unique=True, max_size=4) if above else st.just([])
        parents.append(draw(some))
    return parents


def build(parents: Parents, **options: object) -> Taxonomy:
    """Node 3 has the id n3 and the name N3."""
    ids = [f"n{i}" for i in range(len(parents))]
    names = [f"N{i}" for i in range(len(parents))]
    return Taxonomy.build(ids, names, [[f"n{p}" for p in above] for above in parents], **options)  # type: ignore[arg-type]


def level(parents: Parents, node: int) -> int:
    """Longest way from the root, by its definition."""
    return 1 + max((level(parents, p) for p in parents[node]), default=0)


def ancestors(parents: Parents, node: int) -> set[int]:
    """With the node itself."""
    return {node}.union(*(ancestors(parents, p) for p in parents[node]))


def ways(parents: Parents, node: int) -> list[tuple[int, ...]]:
    """All ways from the top, along the first parents first."""
    if not parents[node]:
        return [(node,)]
    return [(*way, node) for p in parents[node] for way in ways(parents, p)]
