"""Outcomes: what is saved comes back, damage is told, and the digest is that of documents and gold alone."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from linnaea.decision.decider import Decider
from linnaea.decision.predictions import Predictions
from linnaea.errors import DataError, ModelError, RunError
from linnaea.metrics import outcome as module
from linnaea.metrics.outcome import Outcome, best_scores
from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy
from linnaea.tensors import read_about, read_all
from tests.references.worlds import flat, matrices, predictions, random_world, tree

DAG = tree((), (), (0,), (0, 1), (1,), (3, 4))


def made(seed: int = 0, documents: int = 30, *, taxonomy: Taxonomy = DAG, sparse: bool = False) -> Outcome:
    scores, marked = random_world(np.random.default_rng(seed), documents, taxonomy)
    if sparse:
        scores = Predictions(scores.ids, taxonomy, best_scores(scores, 3))
    thresholds_C = np.where(np.arange(len(taxonomy)) == 2, np.inf, 0.4)
    decisions = Decider(taxonomy, thresholds_C, top_k=3 if sparse else None).decide(scores)
    support_C = marked.sum(axis=0)
    return Outcome("test", scores, decisions, Ragged.from_dense(marked), support_C, "ancestors")


def same(one: Outcome, other: Outcome) -> None:
    assert (one.split, one.closure, list(one.predictions.ids)) == (
        other.split, other.closure, list(other.predictions.ids),
    )  # fmt: skip
    for a, b in ((one.decisions.chosen, other.decisions.chosen), (one.gold, other.gold)):
        np.testing.assert_array_equal(a.values, b.values)
        np.testing.assert_array_equal(a.offsets_N1, b.offsets_N1)
    for a, b in (
        (one.decisions.scores, other.decisions.scores),
        (one.decisions.thresholds_C, other.decisions.thresholds_C),
        (one.support_C, other.support_C),
        (dense(one.predictions), dense(other.predictions)),
    ):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def dense(scores: Predictions) -> np.ndarray:
    return scores.scores if isinstance(scores.scores, np.ndarray) else scores.scores.toarray()


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("documents", [0, 30])
def test_what_is_saved_comes_back(sparse: bool, documents: int, tmp_path: Path) -> None:
    outcome = made(documents=documents, sparse=sparse and documents > 0)
    ids = [("é\ud800\n", "", "x")[row % 3] + str(row) for row in range(documents)]
    outcome = replace(outcome, predictions=Predictions(ids, DAG, outcome.predictions.scores))
    path = tmp_path / "outcome.safetensors"
    outcome.save(path)
    again = Outcome.load(path, DAG)
    same(outcome, again)
    assert again.predictions.sparse == outcome.predictions.sparse
    assert again.digest == outcome.digest
    if documents:
        assert again.evaluate().to_json() == outcome.evaluate().to_json()


@pytest.mark.parametrize("sparse", [False, True])
def test_no_byte_is_altered_in_silence(sparse: bool, tmp_path: Path) -> None:
    path = tmp_path / "outcome.safetensors"
    made(documents=5, sparse=sparse).save(path)
    whole, draw = path.read_bytes(), random.Random(3)
    for place in [0, 9, len(whole) - 1, *(draw.randrange(len(whole)) for _ in range(150))]:
        broken = bytearray(whole)
        broken[place] ^= 1 << draw.randrange(8)
        path.write_bytes(bytes(broken))
        try:
            same(made(documents=5, sparse=sparse), Outcome.load(path, DAG))  # a blank in the header, say
        except ModelError as error:
            assert error.where == str(path)
    for end in (0, 7, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:end])
        with pytest.raises(ModelError, match="cannot be read as safetensors"):
            Outcome.load(path, DAG)


def test_a_file_that_was_made_up_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "outcome.safetensors"
    made(documents=5).save(path)
    about, tensors = read_about(path), read_all(path)
    del about["sha256"]

    def written(about: dict[str, str], **changed: Any) -> None:
        arrays = {**tensors, **changed}
        data = safetensors.numpy.save(arrays, {**about, "sha256": module._sha256(about, arrays)})
        path.write_bytes(data)

    written(about)
    Outcome.load(path, DAG)
    outside = np.full_like(tensors["gold"], 6)
    falling = np.array([0, 9, 0, 0, 0, len(tensors["gold"])])
    problems: list[tuple[dict[str, str], dict[str, Any], str]] = [
        ({"format": "2"}, {}, "is no outcome of format 1, but 2 .*upgrade"),
        ({"closure": "all"}, {}, "does not hold what it should"),
        ({"documents": "6"}, {}, "not int64 6"),
        ({}, {"gold": outside}, "gold names what is not there"),
        ({}, {"gold_offsets": falling}, "gold names what is not there"),
        ({}, {"gold_offsets": falling[::-1].copy()}, "does not hold what it should"),
        ({}, {"scores": tensors["scores"] * np.nan}, "scores is not finite"),
        ({}, {"thresholds": tensors["thresholds"] * np.nan}, "thresholds is not finite"),
        ({}, {"more": outside}, "unknown tensors: more"),
    ]
    for changed, arrays, message in problems:
        written({**about, **changed}, **arrays)
        with pytest.raises(ModelError, match=message):
            Outcome.load(path, DAG)


def test_missing_foreign_and_unwritable(tmp_path: Path) -> None:
    path = tmp_path / "outcome.safetensors"
    with pytest.raises(ModelError, match="no such file"):
        Outcome.load(path, DAG)
    made().save(path)
    with pytest.raises(ModelError, match=r"another taxonomy \(6 categories, not 4\)") as told:
        Outcome.load(path, flat(4))
    assert isinstance(told.value, DataError)
    safetensors.numpy.save_file({"weight": np.zeros(3)}, path)
    with pytest.raises(ModelError, match="is no outcome of format 1, but None"):
        Outcome.load(path, DAG)
    (tmp_path / "file").touch()
    with pytest.raises(RunError):
        made().save(tmp_path / "file" / "outcome.safetensors")


def test_many_scores_are_cut_to_the_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 100)
    monkeypatch.setattr(module, "LEAST", 2)
    path = tmp_path / "outcome.safetensors"
    for sparse in (False, True):
        outcome = made(documents=40, sparse=sparse)  # 240 scores, or 120
        outcome.save(path)
        again = Outcome.load(path, DAG)
        assert again.predictions.sparse
        assert again.predictions.kept == 2
        expected = np.zeros((40, 6), dtype=np.float32)
        for row, scores_C in enumerate(dense(outcome.predictions)):
            best = sorted(range(6), key=lambda c: (-scores_C[c], c))[:2]
            expected[row, best] = scores_C[best]
        np.testing.assert_array_equal(dense(again.predictions), expected)
        same(outcome, replace(again, predictions=outcome.predictions))  # all else is whole


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_the_best_scores_are_those_of_a_plain_sort(data: st.DataObject) -> None:
    rows, columns = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 6))
    matrix, keep = data.draw(matrices(rows, columns)), data.draw(st.integers(1, 7))
    expected = np.zeros_like(matrix)
    for row, scores_C in enumerate(matrix):
        best = sorted(range(columns), key=lambda c: (-scores_C[c], c))[:keep]
        expected[row, best] = scores_C[best]
    for sparse in (False, True):
        found = best_scores(predictions(matrix, sparse=sparse), keep)
        assert isinstance(found, csr_array)
        np.testing.assert_array_equal(found.toarray(), expected)


# Digests


def test_digest_follows_documents_and_gold_alone() -> None:
    outcome = made()
    assert outcome.digest == made().digest
    order = np.random.default_rng(1).permutation(30)
    moved = outcome.take(order)
    assert moved.digest == outcome.digest
    assert list(moved.predictions.ids) == [str(row) for row in order.tolist()]
    other = made(1)
    assert other.digest != outcome.digest
    assert replace(other, gold=outcome.gold).digest == outcome.digest  # other scores and decisions
    fewer = outcome.take(np.arange(29))
    assert fewer.digest != outcome.digest
    named = Predictions([*outcome.predictions.ids[:-1], "other"], DAG, outcome.predictions.scores)
    assert replace(outcome, predictions=named).digest != outcome.digest


def test_digest_closes_gold_and_knows_no_columns() -> None:
    one = tree((), (), (0,))
    other = Taxonomy.build(["c1", "c0", "c2", "more"], list("abcd"), [[], [], ["c0"], []])
    golds = (one, [[2], [1, 0], []]), (one, [[0, 2], [0, 1], []]), (other, [[3], [0, 1], []])
    assert other.ids == ("c1", "c0", "more", "c2")
    found = []
    for taxonomy, rows in golds:
        scores = predictions(np.zeros((3, len(taxonomy))), taxonomy)
        decisions = Decider(taxonomy, np.full(len(taxonomy), 0.5)).decide(scores)
        support_C = np.zeros(len(taxonomy))
        found.append(Outcome("dev", scores, decisions, Ragged.from_rows(rows), support_C, "none").digest)
    assert len(set(found)) == 1


def test_rows_are_taken_whole() -> None:
    outcome, rows = made(), np.array([4, 4, 0, 29])
    taken = outcome.take(rows)
    assert json.dumps(taken.evaluate().to_json())
    for place, row in enumerate(rows.tolist()):
        assert taken.decisions.chosen[place].tolist() == outcome.decisions.chosen[row].tolist()
        assert taken.gold[place].tolist() == outcome.gold[row].tolist()
        starts = taken.decisions.chosen.offsets_N1[place], outcome.decisions.chosen.offsets_N1[row]
        count = len(taken.decisions.chosen[place])
        np.testing.assert_array_equal(
            taken.decisions.scores[starts[0] : starts[0] + count],
            outcome.decisions.scores[starts[1] : starts[1] + count],
        )


def test_sides_of_different_documents_are_refused() -> None:
    with pytest.raises(ValueError, match="scores of 30 documents, decisions for 30, gold of 29"):
        replace(made(), gold=made(documents=29).gold)
