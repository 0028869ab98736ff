"""Vocabulary: which distinct values of train have an id of their own, and which id.

Ids are dense: after ``reserved`` ids come the words by falling count, ties by the word itself, so that the
same counts give the same ids everywhere. Sequences reserve 0 for padding and 1 for every unknown value; bags
reserve nothing and drop what is unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

PADDING, UNKNOWN = 0, 1
DROPPED = -1


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """An ordered set of words.

    Attributes:
        words: by falling count; lower-cased where ``lowercase``.
        counts: int64, how often each word stood in train.
        reserved: the id of the first word: 2 for sequences, 0 for bags.
        lowercase: whether values are lower-cased before they are looked up.
    """

    words: tuple[str, ...]
    counts: np.ndarray
    reserved: int
    lowercase: bool

    @classmethod
    def fit(
        cls,
        values: Iterable[str],
        counts: np.ndarray,
        *,
        min_count: int,
        max_size: int | None,
        lowercase: bool,
        reserved: int,
    ) -> Vocabulary:
        """From distinct values and how often each stood in train.

        Args:
            values: distinct; values that differ only in case are counted together under ``lowercase``.
            counts: int64, one a value.
            min_count: rarer words get no id.
            max_size: only so many words, the most frequent; None: all.
        """
        if lowercase:
            merged: dict[str, int] = {}
            for value, count in zip(values, counts.tolist(), strict=True):
                low = value.lower()
                merged[low] = merged.get(low, 0) + count
            pairs = ((-count, word) for word, count in merged.items() if count >= min_count)
        else:
            pairs = ((-c, word) for word, c in zip(values, counts.tolist(), strict=True) if c >= min_count)
        best = sorted(pairs)[:max_size]
        return cls(
            tuple(w for _, w in best), np.array([-c for c, _ in best], dtype=np.int64), reserved, lowercase
        )

    def __len__(self) -> int:
        """Rows of an embedding table: the words and the reserved ids."""
        return len(self.words) + self.reserved

    @cached_property
    def index(self) -> dict[str, int]:
        """Word to id."""
        return {word: i for i, word in enumerate(self.words, start=self.reserved)}

    @property
    def unknown(self) -> int:
        """What a value without an id becomes: ``UNKNOWN``, or ``DROPPED`` where there is no such row."""
        return UNKNOWN if self.reserved else DROPPED

    def ids(self, values: Iterable[str]) -> np.ndarray:
        """int32 ``[values]``: the id of each value, ``unknown`` where it has none."""
        find, unknown = self.index.get, self.unknown
        if self.lowercase:
            return np.fromiter((find(value.lower(), unknown) for value in values), dtype=np.int32)
        return np.fromiter((find(value, unknown) for value in values), dtype=np.int32)

    def to_json(self) -> dict[str, Any]:
        return {
            "reserved": self.reserved,
            "lowercase": self.lowercase,
            "words": list(self.words),
            "counts": self.counts.tolist(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Vocabulary:
        """The inverse of ``to_json``.

        Raises:
            ValueError, KeyError, TypeError: it is not what ``to_json`` gives.
        """
        words, counts, reserved, lowercase = (
            value[key] for key in ("words", "counts", "reserved", "lowercase")
        )
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ValueError("words must be a list of strings")
        if len(set(words)) != len(words):
            raise ValueError("a word stands twice")
        if (
            not isinstance(counts, list)
            or len(counts) != len(words)
            or not all(type(c) is int and c > 0 for c in counts)
        ):
            raise ValueError("counts must be positive integers, one a word")
        if reserved not in (0, 2) or not isinstance(reserved, int) or not isinstance(lowercase, bool):
            raise ValueError("reserved must be 0 or 2, lowercase true or false")
        return cls(tuple(words), np.array(counts, dtype=np.int64), reserved, lowercase)
