"""Vocabulary: counted as a plain loop counts, deterministic, saved whole."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linnaea.text.vocabulary import Vocabulary
from tests.text import twins

values = st.lists(st.text(st.sampled_from("aAbBßẞİ\n"), min_size=1, max_size=2), max_size=40)


def fitted(train: list[str], **settings: object) -> Vocabulary:
    counts = Counter(train)
    return Vocabulary.fit(list(counts), np.array(list(counts.values()), dtype=np.int64), **settings)  # type: ignore[arg-type]


@given(
    train=values,
    asked=values,
    min_count=st.integers(1, 3),
    max_size=st.none() | st.integers(1, 4),
    low=st.booleans(),
)
@settings(deadline=None)
@pytest.mark.parametrize("reserved", [0, 2])
def test_ids_are_those_of_the_plain_count(
    train: list[str], asked: list[str], min_count: int, max_size: int | None, low: bool, reserved: int
) -> None:
    vocabulary = fitted(train, min_count=min_count, max_size=max_size, lowercase=low, reserved=reserved)
    index = twins.vocabulary(train, min_count, max_size, low, reserved)
    unknown = 1 if reserved else -1
    expected = [index.get(value.lower() if low else value, unknown) for value in asked]
    assert vocabulary.ids(asked).tolist() == expected
    assert vocabulary.ids(asked).dtype == np.int32
    assert len(vocabulary) == len(index) + reserved
    counts = Counter(value.lower() if low else value for value in train)
    assert vocabulary.counts.tolist() == [counts[word] for word in vocabulary.words]


@given(train=values, seed=st.integers(0, 99))
@settings(deadline=None)
def test_the_order_of_the_values_does_not_matter(train: list[str], seed: int) -> None:
    shuffled = [train[i] for i in np.random.default_rng(seed).permutation(len(train))]
    kind = {"min_count": 1, "max_size": 3, "lowercase": True, "reserved": 2}
    assert fitted(train, **kind).words == fitted(shuffled, **kind).words


@given(train=values)
@settings(deadline=None)
def test_json_round_trip(train: list[str]) -> None:
    vocabulary = fitted(train, min_count=1, max_size=None, lowercase=False, reserved=2)
    again = Vocabulary.from_json(json.loads(json.dumps(vocabulary.to_json())))
    assert again.words == vocabulary.words
    assert again.counts.tolist() == vocabulary.counts.tolist()
    assert (again.reserved, again.lowercase) == (2, False)


@pytest.mark.parametrize(
    "change",
    [
        {"words": ["a", "a"]},
        {"words": "ab"},
        {"words": ["a", 1]},
        {"counts": [1]},
        {"counts": [1, 0]},
        {"counts": [1, 1.5]},
        {"reserved": 1},
        {"reserved": True},
        {"lowercase": None},
    ],
)
def test_json_that_cannot_be_right_is_refused(change: dict[str, object]) -> None:
    value = {"words": ["a", "b"], "counts": [2, 1], "reserved": 2, "lowercase": True}
    Vocabulary.from_json(value)
    with pytest.raises((ValueError, TypeError)):
        Vocabulary.from_json(value | change)
