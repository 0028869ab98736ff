"""Mapped arrays travel by name: same numbers, no copy."""

from __future__ import annotations

import pickle
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np
import pytest

from linnaea.strategies.percategory.mapped import LEAST, by_name


@pytest.fixture
def mapped(tmp_path: Path) -> np.ndarray:
    np.save(tmp_path / "ids.npy", np.arange(LEAST, dtype=np.int32))
    return np.asarray(np.load(tmp_path / "ids.npy", mmap_mode="r"))


def sent(value: object) -> bytes:
    with by_name():
        return bytes(ForkingPickler.dumps(value))


@pytest.mark.parametrize("piece", [slice(None), slice(1000, 50_000), slice(0, 40_000)])
def test_a_piece_of_a_mapped_file_is_a_name(mapped, piece):
    data = sent(mapped[piece])
    assert len(data) < 1000
    back = pickle.loads(data)
    np.testing.assert_array_equal(back, mapped[piece])
    assert back.dtype == mapped.dtype and not back.flags.writeable


def test_others_are_copied(mapped):
    turned = mapped.reshape(2, -1).T  # not in the file's order
    for value in (turned, mapped[:10], np.arange(LEAST), np.arange(12.0).reshape(3, 4), np.array("text")):
        back = pickle.loads(sent(value))
        np.testing.assert_array_equal(back, value)
        assert back.dtype == value.dtype and back.shape == value.shape


def test_only_while_it_is_asked_for(mapped):
    sent(mapped)
    assert len(bytes(ForkingPickler.dumps(mapped))) > mapped.nbytes
