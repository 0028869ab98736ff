"""The taxonomies of real corpora: levels as their READMEs state, and every label a path in them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from linnaea.ragged import Ragged
from linnaea.taxonomy.readers import read_taxonomy, taxonomy_from_labels

pytestmark = pytest.mark.corpora

LEVELS = {
    "rcv1-sample": [4, 55, 43, 1],
    "rcv1-topics": [4, 55, 43, 1],
    "reuters21578": [6, 83, 35],
    "valueeval": [4, 20],
    "goemotions": [4, 20, 10],
    "newsgroups20": [7, 13, 7],
    "germeval2019": [8, 93, 242],
    "enron-bow": [3, 40, 13],
}


@pytest.mark.parametrize("corpus", LEVELS)
def test_levels(shared_data: Path, corpus: str) -> None:
    taxonomy = read_taxonomy(shared_data / corpus / "taxonomy.tsv")
    assert [part.stop - part.start for _, part in taxonomy.levels()] == LEVELS[corpus]
    assert len(taxonomy) == sum(LEVELS[corpus])
    assert taxonomy.root == "Root"
    assert int((taxonomy.parents.lengths_N > 1).sum()) == (3 if corpus == "valueeval" else 0)


def test_neuralclassifiers_own_file(shared_data: Path) -> None:
    folder = shared_data / "rcv1-sample"
    ours = read_taxonomy(folder / "taxonomy.tsv")
    assert read_taxonomy(folder / "neuralclassifier" / "rcv1.taxonomy").digest == ours.digest
    assert ours.path(ours.index["C1511"]) == "CCAT--C15--C151--C1511"


def test_two_parents(shared_data: Path) -> None:
    taxonomy = read_taxonomy(shared_data / "valueeval" / "taxonomy.tsv")
    assert taxonomy.paths(taxonomy.index["Hedonism"]) == [
        "Openness to change--Hedonism",
        "Self-enhancement--Hedonism",
    ]
    assert {taxonomy.ids[c] for c in np.flatnonzero(taxonomy.parents.lengths_N > 1)} == {
        "Hedonism",
        "Face",
        "Humility",
    }


@pytest.mark.parametrize("corpus", [c for c in LEVELS if c != "rcv1-topics"])
def test_every_label_is_a_path(shared_data: Path, corpus: str) -> None:
    taxonomy = read_taxonomy(shared_data / corpus / "taxonomy.tsv")
    known = {path for column in range(len(taxonomy)) for path in taxonomy.paths(column)}
    with open(shared_data / corpus / "test.jsonl", encoding="utf-8") as file:
        labels = {label for line in file for label in json.loads(line)["doc_label"]}
    assert labels <= known
    read_off = taxonomy_from_labels(sorted(labels))
    paths = {read_off.path(column) for column in range(len(read_off))}
    assert paths <= known
    assert labels <= paths


def test_all_of_rcv1_is_closed(shared_data: Path) -> None:
    """The file holds closed label sets: closing their deepest categories gives them back."""
    taxonomy = read_taxonomy(shared_data / "rcv1-topics" / "taxonomy.tsv")
    with gzip.open(shared_data / "rcv1-topics" / "labels.tsv.gz", "rt") as file:
        codes = [line.rstrip("\n").split("\t")[1].split() for line in file]
    flat = np.array([taxonomy.index[code] for row in codes for code in row], dtype=np.int32)
    written = Ragged.from_lengths(flat, np.array([len(row) for row in codes]))
    gold_NC = written.dense(len(taxonomy))
    closed = taxonomy.close(written)
    assert (len(written), len(closed.values)) == (804_414, 2_606_875)
    assert np.array_equal(closed.dense(len(taxonomy)), gold_NC)

    gold_CN = np.ascontiguousarray(gold_NC.T)
    deepest_CN = gold_CN.copy()
    for parent, child in zip(*taxonomy.edges, strict=True):
        deepest_CN[parent] &= ~gold_CN[child]
    deepest = Ragged.from_dense(np.ascontiguousarray(deepest_CN.T))
    assert len(deepest.values) < len(closed.values) / 2
    again = taxonomy.close(deepest)
    np.testing.assert_array_equal(again.offsets_N1, closed.offsets_N1)
    np.testing.assert_array_equal(again.values, closed.values)
