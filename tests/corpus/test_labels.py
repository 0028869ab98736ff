"""Labels: ids, names, paths, closures, errors with candidates; whole splits against a loop; RCV1 in full."""

from __future__ import annotations

import gzip
import itertools
import pickle
import resource
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linnaea.config.task import TaskConfig
from linnaea.corpus.document import Document, Origin
from linnaea.corpus.labels import Closure, LabelError, LabelResolver, read_off
from linnaea.errors import TaxonomyError
from linnaea.ragged import Ragged
from linnaea.taxonomy.readers import read_taxonomy
from linnaea.taxonomy.taxonomy import Taxonomy

# arts ── music ── opera          "opera" has two parents; two categories are called "theory"
#      └─ stage ── opera
#      └─ theory (t1)
# physics ── theory (t2) ── strings
IDS = ["arts", "physics", "music", "stage", "t1", "t2", "opera", "strings"]
NAMES = ["arts", "physics", "music", "stage", "theory", "theory", "opera", "strings"]
PARENTS: list[tuple[str, ...]] = [
    (),
    (),
    ("arts",),
    ("arts",),
    ("arts",),
    ("physics",),
    ("music", "stage"),
    ("t2",),
]
TAXONOMY = Taxonomy.build(IDS, NAMES, PARENTS)


def ids(label: str, closure: Closure = "ancestors", taxonomy: Taxonomy = TAXONOMY) -> list[str]:
    return [taxonomy.ids[column] for column in LabelResolver(taxonomy, closure).resolve(label)]


@pytest.mark.parametrize(
    ("label", "ancestors", "path", "none"),
    [
        ("arts", "arts", "arts", "arts"),
        ("arts--music", "arts music", "arts music", "music"),
        ("arts--music--opera", "arts music stage opera", "arts music opera", "opera"),
        ("arts--stage--opera", "arts music stage opera", "arts stage opera", "opera"),
        ("t1", "arts t1", "arts t1", "t1"),
        ("arts--theory", "arts t1", "arts t1", "t1"),
        ("arts--t1", "arts t1", "arts t1", "t1"),
        ("physics--theory--strings", "physics t2 strings", "physics t2 strings", "strings"),
        ("physics--t2--strings", "physics t2 strings", "physics t2 strings", "strings"),
        ("strings", "physics t2 strings", "physics t2 strings", "strings"),
        (" arts -- music ", "arts music", "arts music", "music"),
        ("Root--arts--music", "arts music", "arts music", "music"),
    ],
)
def test_closures(label: str, ancestors: str, path: str, none: str) -> None:
    assert ids(label) == ancestors.split()
    assert ids(label, "path") == path.split()
    assert ids(label, "none") == none.split()
    assert TAXONOMY.ids[LabelResolver(TAXONOMY).find(label)] == none


def test_a_bare_label_with_several_ways_up() -> None:
    assert ids("opera") == ["arts", "music", "stage", "opera"]
    assert ids("opera", "none") == ["opera"]
    with pytest.raises(LabelError) as caught:
        ids("opera", "path")
    assert str(caught.value) == (
        "ambiguous label: several ways lead up from 'opera' (write one of arts--music--opera, "
        "arts--stage--opera)"
    )


def test_an_id_comes_before_a_name() -> None:
    clash = Taxonomy.build(["a", "b", "c"], ["A", "c", "C"], [(), (), ("a",)])
    assert ids("c", "none", clash) == ["c"]
    assert ids("C", "none", clash) == ["c"]
    assert ids("A--C", "none", clash) == ["c"]


def test_an_id_may_be_a_path() -> None:
    taxonomy = read_off(["a--x", "b--x", "b--y"], TaskConfig())
    assert set(taxonomy.ids) == {"a", "b", "a--x", "b--x", "y"}
    for closure in ("ancestors", "path"):
        assert ids("b--x", closure, taxonomy) == ["b", "b--x"]
        assert ids("b--y", closure, taxonomy) == ["b", "y"]


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("musik", "unknown label 'musik' (did you mean 'music'?)"),
        ("MUSIC", "unknown label 'MUSIC' (did you mean 'music'?)"),
        ("zzz", "unknown label 'zzz'"),
        (
            "theory",
            "ambiguous label: several categories are called 'theory' (write one of arts--theory (id t1), "
            "physics--theory (id t2))",
        ),
        (
            "arts--musik",
            "unknown label 'arts--musik': no category 'musik' below 'arts' (did you mean 'music'?)",
        ),
        (
            "arts--strings",
            "unknown label 'arts--strings': no category 'strings' below 'arts' (it is at "
            "'physics--theory--strings')",
        ),
        (
            "music--opera",
            "unknown label 'music--opera': a path begins at the top, and 'music' is below it (did you mean "
            "'arts--music'?)",
        ),
        ("art--music", "unknown label 'art--music': no category 'art' at the top (did you mean 'arts'?)"),
        (
            "arts--music--opera--x",
            "unknown label 'arts--music--opera--x': no category 'x' below 'arts--music--opera'",
        ),
        ("arts/music", "unknown label 'arts/music' (is task.separator '/'?)"),
        ("arts > music", "unknown label 'arts > music' (is task.separator ' > '?)"),
        ("", "empty label (write [] for a document that belongs nowhere)"),
        ("  ", "empty label (write [] for a document that belongs nowhere)"),
        ("--", "unknown label '--': no category '' at the top"),
        ("x" * 500, "unknown label 'xxxxx"),
    ],
)
def test_labels_that_cannot_be_resolved(label: str, message: str) -> None:
    resolver = LabelResolver(TAXONOMY)
    for _ in range(2):  # the second time from memory
        with pytest.raises(LabelError) as caught:
            resolver.resolve(label)
        assert str(caught.value).startswith(message)
        assert len(str(caught.value)) < 250
        assert isinstance(caught.value, TaxonomyError)
        assert caught.value.where is None
    assert not resolver.knows(label)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (str(copy), copy.kind) == (str(caught.value), caught.value.kind)


def test_problem_names_the_place() -> None:
    resolver = LabelResolver(TAXONOMY)
    origin = Origin("train.jsonl", 7, 120)
    assert resolver.problem(Document("x", "a", ("arts", "t2"), origin=origin)) is None
    assert resolver.problem(Document("x", "a", None)) is None
    error = resolver.problem(Document("x", "a", ("arts", "musik"), origin=origin))
    assert str(error) == "train.jsonl:7: unknown label 'musik' (did you mean 'music'?)"
    assert error is not None
    assert (error.kind, error.raw) == (
        "unknown label",
        b'{"id": "x", "text": "a", "doc_label": ["arts", "musik"]}',
    )


def test_a_multiclass_document_has_exactly_one_label() -> None:
    flat = read_off(["a", "b--c"], TaskConfig(type="multiclass"))
    assert flat.ids == ("a", "b--c")  # in a flat task a label is a name
    resolver = LabelResolver.for_task(flat, TaskConfig(type="multiclass"))
    assert resolver.problem(Document("x", "", ("b--c",))) is None
    for labels, shown in ((("a", "b--c"), "2: 'a', 'b--c'"), ((), "0: none")):
        error = resolver.problem(Document("x", "", labels, origin=Origin("f", 1)))
        assert str(error) == f"f:1: expected exactly one label, received {shown}"


def test_one_path() -> None:
    resolver = LabelResolver.for_task(TAXONOMY, TaskConfig(paths="one"))
    for labels in ((), ("arts",), ("arts", "music"), ("strings", "physics", "t2"), ("opera",)):
        assert resolver.problem(Document("x", "", labels)) is None
    error = resolver.problem(Document("x", "", ("music", "stage"), origin=Origin("f", 3)))
    assert str(error) == "f:3: the labels lie on several paths: 'music', 'stage' (set task.paths to \"many\")"


def test_closure_of_a_task() -> None:
    assert LabelResolver.for_task(TAXONOMY, TaskConfig(closure="path")).closure == "path"
    assert LabelResolver.for_task(TAXONOMY, TaskConfig(type="multilabel")).closure == "none"


def test_read_off_needs_labels() -> None:
    for task in (TaskConfig(), TaskConfig(type="multilabel")):
        with pytest.raises(TaxonomyError):
            read_off([], task)


# Whole splits


@st.composite
def taxonomies(draw: st.DrawFn) -> Taxonomy:
    """DAGs of up to 12 categories; names may repeat, ids never do."""
    count = draw(st.integers(1, 12))
    parents = [
        tuple(f"c{p}" for p in sorted(draw(st.sets(st.integers(0, i - 1), max_size=3)))) if i else ()
        for i in range(count)
    ]
    names = [draw(st.sampled_from([f"n{i}", f"c{i}", "same"])) for i in range(count)]
    return Taxonomy.build([f"c{i}" for i in range(count)], names, parents)


def all_ways(taxonomy: Taxonomy, column: int) -> list[tuple[int, ...]]:
    """Every way from the top to a category, by recursion."""
    above = taxonomy.parents[column].tolist()
    return (
        [(*way, column) for parent in above for way in all_ways(taxonomy, parent)] if above else [(column,)]
    )


@settings(deadline=None)
@given(taxonomies(), st.data())
def test_every_path_is_walked_as_it_is_written(taxonomy: Taxonomy, data: st.DataObject) -> None:
    """Against enumeration of all ways: a path resolves if all ways of that spelling end at one category."""
    column = data.draw(st.integers(0, len(taxonomy) - 1))
    way = data.draw(st.sampled_from(all_ways(taxonomy, column)))
    words = [data.draw(st.sampled_from([taxonomy.ids[c], taxonomy.names[c]])) for c in way]
    label = "--".join(words)
    fitting = {
        other
        for end in range(len(taxonomy))
        for other in all_ways(taxonomy, end)
        if len(other) == len(way)
        and all(w in (taxonomy.ids[c], taxonomy.names[c]) for c, w in zip(other, words, strict=True))
    }
    if len(way) == 1:  # a bare word may lie anywhere, and an id comes first
        by_id = [c for c in range(len(taxonomy)) if taxonomy.ids[c] == label]
        ends = set(by_id) or {c for c in range(len(taxonomy)) if taxonomy.names[c] == label}
    else:
        ends = {other[-1] for other in fitting}
    for closure in ("ancestors", "path", "none"):
        resolver = LabelResolver(taxonomy, closure)
        if len(ends) > 1:
            with pytest.raises(LabelError, match="ambiguous"):
                resolver.resolve(label)
            continue
        (end,) = ends
        assert end == column or len(way) == 1
        ways = {tuple(w) for w in all_ways(taxonomy, end)} if len(way) == 1 else fitting
        expected = {end} if closure == "none" else set(itertools.chain(*all_ways(taxonomy, end)))
        if closure == "path":
            if len(ways) > 1:
                with pytest.raises(LabelError, match="ambiguous"):
                    resolver.resolve(label)
                continue
            expected = set(next(iter(ways)))
        found = resolver.resolve(label)
        assert found.dtype == np.int32
        assert found.tolist() == sorted(expected)


@settings(deadline=None)
@given(taxonomies(), st.data(), st.sampled_from(["ancestors", "none", "path"]))
def test_whole_splits_are_the_union_of_their_labels(
    taxonomy: Taxonomy, data: st.DataObject, closure: Closure
) -> None:
    resolver = LabelResolver(taxonomy, closure)
    usable = [id for id in taxonomy.ids if resolver.knows(id)]
    rows = data.draw(st.lists(st.lists(st.sampled_from(usable), max_size=4), max_size=8)) if usable else []
    expected = [sorted({int(c) for label in row for c in resolver.resolve(label)}) for row in rows]
    found = resolver.rows(rows)
    assert [row.tolist() for row in found] == expected
    assert found.values.dtype == np.int32
    strings = sorted({label for row in rows for label in row})
    numbers = Ragged.from_rows([[strings.index(label) for label in row] for row in rows])
    assert [row.tolist() for row in resolver.columns(numbers, strings)] == expected
    assert [row.tolist() for row in resolver.table(strings)] == [
        resolver.resolve(s).tolist() for s in strings
    ]


@pytest.mark.corpora
@pytest.mark.slow
def test_rcv1_in_full(shared_data: Path) -> None:
    """All 804,414 label sets: the numbers of its README, each topic by name; closing changes nothing."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    taxonomy = read_taxonomy(shared_data / "rcv1-topics" / "taxonomy.tsv")
    resolver = LabelResolver(taxonomy)
    with gzip.open(shared_data / "rcv1-topics" / "labels.tsv.gz", "rt", encoding="utf-8") as file:
        gold = resolver.rows(line.rstrip("\n").partition("\t")[2].split() for line in file)
    assert len(gold) == 804_414
    assert len(gold.values) == 2_606_875
    assert (len(taxonomy), taxonomy.depth) == (103, 4)
    counts = dict(zip(taxonomy.ids, gold.counts(len(taxonomy)).tolist(), strict=True))
    assert sum(counts.values()) == 2_606_875
    # The top four of Lewis et al. 2004, appendix 8.
    assert [counts[top] for top in ("CCAT", "ECAT", "GCAT", "MCAT")] == [381_327, 119_920, 239_267, 204_820]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_000_000  # kilobytes


@pytest.mark.corpora
@pytest.mark.parametrize("corpus", ["rcv1-sample", "valueeval", "germeval2019", "enron-bow"])
def test_paths_of_the_corpora(shared_data: Path, corpus: str) -> None:
    """Every written path resolves to the category at its end, and closes to all names on it."""
    from linnaea.config.task import DataConfig
    from linnaea.corpus.policy import ErrorPolicy
    from linnaea.corpus.readers import read_documents

    taxonomy = read_taxonomy(shared_data / corpus / "taxonomy.tsv")
    ancestors, path = LabelResolver(taxonomy), LabelResolver(taxonomy, "path")
    file = shared_data / corpus / "train.jsonl"
    labels = {
        label
        for d in read_documents(file, DataConfig(), ErrorPolicy(), need_labels=True)
        for label in d.labels or ()
    }
    assert labels
    for label in labels:
        written = label.split("--")
        assert {taxonomy.names[c] for c in path.resolve(label)} == set(written)
        assert taxonomy.names[ancestors.find(label)] == written[-1]
        assert {taxonomy.names[c] for c in ancestors.resolve(label)} >= set(written)
