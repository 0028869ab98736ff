"""Gathering scores, joining splits, dealing out folds, reading tensors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from linnaea.config.config import Config
from linnaea.config.outcome import DecisionConfig
from linnaea.errors import DataError, ModelError, RunError
from linnaea.strategies import base
from linnaea.strategies.base import ScoreSheet
from linnaea.strategies.build import load_scorer
from linnaea.strategies.crossfit import fold_numbers, join
from linnaea.tensors import read_tensors, write_tensors

from .toys import corpus, linear_config, taxonomy

IDS = [str(i) for i in range(40)]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 5))
def test_the_best_are_kept_and_ties_go_to_lower_columns(seed: int, keep: int, levels: int) -> None:
    rng = np.random.default_rng(seed)
    scores_NC = (rng.integers(0, levels, (40, 7)) / 4).astype(np.float32)
    sheet, order = ScoreSheet(40, 7, keep), rng.permutation(40)
    for rows in np.array_split(order, 6):
        sheet.put(rows, scores_NC[rows])
    kept = sheet.predictions(IDS, taxonomy()).scores
    if keep >= 7:
        np.testing.assert_array_equal(kept, scores_NC)
        return
    assert (np.diff(kept.indptr) == keep).all()
    for row in range(40):
        best = sorted(sorted(range(7), key=lambda c: (-scores_NC[row, c], c))[:keep])
        start = row * keep
        assert kept.indices[start : start + keep].tolist() == best
        np.testing.assert_array_equal(kept.data[start : start + keep], scores_NC[row, best])


def test_predictions_of_parts_make_the_whole() -> None:
    scores_NC = np.random.default_rng(1).random((40, 7), dtype=np.float32)
    halves = np.array_split(np.random.default_rng(2).permutation(40), 2)
    for keep in (None, 3):
        whole, sheet = ScoreSheet(40, 7, keep), ScoreSheet(40, 7, keep)
        whole.put(slice(None), scores_NC)
        for rows in halves:
            part = ScoreSheet(20, 7, keep)
            part.put(slice(None), scores_NC[rows])
            sheet.put_predictions(rows, part.predictions(IDS[:20], taxonomy()))
        expected, found = (s.predictions(IDS, taxonomy()).scores for s in (whole, sheet))
        np.testing.assert_array_equal(*(x if keep is None else x.toarray() for x in (expected, found)))
    with pytest.raises(ValueError, match="kept"):
        ScoreSheet(20, 7).put_predictions(np.arange(20), part.predictions(IDS[:20], taxonomy()))


def test_scores_of_very_large_taxonomies_are_cut_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "DENSE_SCORES", 100)
    monkeypatch.setattr(base, "KEPT", 2)
    assert ScoreSheet(14, 7).keep is None
    assert ScoreSheet(15, 7).keep == 2
    assert ScoreSheet(15, 7, keep=5).keep == 5


def test_joined_splits_read_as_their_documents_do() -> None:
    parts = corpus(linear_config(), train=12, dev=7)
    assert parts.dev is not None
    both = join([parts.train, parts.dev])
    assert list(both.ids) == [*parts.train.ids, *parts.dev.ids]
    order = np.array([18, 0, 3, 12, 3, 11])
    for view, rows in (
        (both, order),
        (both.take(order), np.arange(6)),
        (both.take(order[::-1]), np.arange(6)[::-1]),
    ):
        for place, row in zip(rows, order, strict=True):
            home, at = (parts.train, row) if row < 12 else (parts.dev, row - 12)
            one = np.array([at])
            np.testing.assert_array_equal(view.sequence(np.array([place]))[0], home.sequence(one)[0])
            np.testing.assert_array_equal(view.bag("ngram", np.array([place]))[0], home.bag("ngram", one)[0])
            assert home.labels is not None and view.labels is not None
            np.testing.assert_array_equal(view.labels[place], home.labels[at])
            assert (view.ids[place], view.lengths_N[place]) == (home.ids[at], home.lengths_N[at])
        bag = view.bag("token", rows)
        np.testing.assert_array_equal(bag[2], parts.train.bag("token", np.array([3]))[0])
    assert len(both.take(order)) == 6 and join([parts.train]) is parts.train
    assert len(both.sequence(order[:0])) == 0


def test_unlabelled_documents_are_refused() -> None:
    parts = corpus(linear_config(), train=12, dev=7)
    with pytest.raises(DataError, match="not labelled"):
        join([parts.train, parts.train.with_labels(None)])


def test_folds() -> None:
    parts = corpus(linear_config(), train=20, dev=5)
    tuned = DecisionConfig.read({"threshold": "global", "calibration": "platt"})
    fold_N = fold_numbers(parts.train, 7, 4, 1, tuned)
    assert np.bincount(fold_N).tolist() == [5, 5, 5, 5]
    few = parts.train.take(np.arange(5))
    for decision, place in (
        (tuned, "threshold"),
        (DecisionConfig.read({"calibration": "platt"}), "calibration"),
    ):
        with pytest.raises(DataError, match="5 documents cannot be cut into 6 folds") as error:
            fold_numbers(few, 7, 6, 1, decision)
        assert error.value.where == f"decision.{place}.folds"


class TestTensors:
    def test_round_trip(self, tmp_path: Path) -> None:
        path = tmp_path / "weights.safetensors"
        matrix = np.arange(6, dtype=np.float32).reshape(2, 3)
        write_tensors(path, {"a": matrix.T, "number": np.array(7)})
        tensors = read_tensors(path)
        np.testing.assert_array_equal(tensors.take("a", np.float32, (3, None)), matrix.T)
        assert tensors.take("number", np.int64, ()) == 7
        tensors.end()
        (tmp_path / "other").touch()
        assert path.stat().st_mode == (tmp_path / "other").stat().st_mode

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(RunError, match="cannot write"):
            write_tensors(tmp_path / "nowhere" / "weights.safetensors", {"a": np.zeros(1)})

    @pytest.mark.parametrize(
        ("tensors", "message"),
        [
            ({}, "holds no tensor 'a'"),
            ({"a": np.zeros(3, dtype=np.float64)}, "a is float64 3, not float32 2"),
            ({"a": np.zeros((2, 1), dtype=np.float32)}, "a is float32 2x1, not float32 2"),
            ({"a": np.array([0, np.nan], dtype=np.float32)}, "a is not finite"),
            ({"a": np.zeros(2, dtype=np.float32), "b": np.zeros(1)}, "unknown tensors: b"),
        ],
    )
    def test_what_does_not_fit_is_named(self, tmp_path: Path, tensors: dict, message: str) -> None:
        path = tmp_path / "weights.safetensors"
        save_file(tensors, path)
        with pytest.raises(ModelError, match=message) as error:
            self.read(path)
        assert error.value.where == str(path)

    @staticmethod
    def read(path: Path) -> None:
        tensors = read_tensors(path)
        tensors.take("a", np.float32, (2,))
        tensors.end()

    def test_missing_and_truncated(self, tmp_path: Path) -> None:
        path = tmp_path / "weights.safetensors"
        with pytest.raises(ModelError, match="no such file"):
            read_tensors(path)
        write_tensors(path, {"a": np.zeros(100)})
        path.write_bytes(path.read_bytes()[:-8])
        with pytest.raises(ModelError, match="cannot be read"):
            read_tensors(path)


def test_an_unknown_scorer(tmp_path: Path) -> None:
    parts = corpus(linear_config(), train=8, dev=4)
    with pytest.raises(ModelError, match=r"no scorer 'networks'.*did you mean 'network'"):
        load_scorer("networks", tmp_path, Config.build({}), parts.taxonomy, parts.featurizer)
