"""Maps from type numbers (``columns.py``) to ids, hashes and n-grams: once a type, gathered for documents.

Shape letters: V types (distinct strings of a column).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np

from linnaea.config.task import CharacterConfig
from linnaea.ragged import Ragged
from linnaea.text.ngrams import char_ngrams, fnv1a
from linnaea.text.tokenizers import CharacterTokenizer

if TYPE_CHECKING:
    from linnaea.text.featurizer import Featurizer

_TYPES = 1 << 16  # types hashed at once


def _blocks(words: Iterable[str]) -> Iterator[list[str]]:
    stream = iter(words)
    while block := list(islice(stream, _TYPES)):
        yield block


def spelled_with(words: Iterable[str], limit: int) -> list[list[str]]:
    """The first ``limit`` characters of each word."""
    spell = CharacterTokenizer(CharacterConfig())
    return [spell(word)[:limit] for word in words]


def spelled_signs(words: Sequence[str], counts: np.ndarray, limit: int) -> tuple[list[str], np.ndarray]:
    """The distinct characters that ``words`` are spelled with, and how often, each word as often as it stands."""
    found: Counter[str] = Counter()
    numbers = iter(counts.tolist())
    for block in _blocks(words):
        for signs, count in zip(spelled_with(block, limit), numbers, strict=False):
            if count:
                for sign in signs:
                    found[sign] += count
    return list(found), np.fromiter(found.values(), dtype=np.int64, count=len(found))


class TypeMaps:
    """What each type of some columns becomes, worked out once for all documents that hold it."""

    def __init__(self, featurizer: Featurizer, tables: Mapping[str, Sequence[str]]) -> None:
        self._featurizer, self._tables = featurizer, tables
        self._ids: dict[str, np.ndarray] = {}

    def ids(self, column: str) -> np.ndarray:
        """int32 ``[V]``: the vocabulary id of each type."""
        if column not in self._ids:
            self._ids[column] = self._featurizer.vocabularies[column].ids(self._tables[column])
        return self._ids[column]

    def words(self) -> Iterator[str]:
        """The token types as n-grams read them: lower-cased where the vocabulary is."""
        table = self._tables["token"]
        return map(str.lower, table) if self._featurizer.config.vocabulary.lowercase else iter(table)

    def _blocks(self) -> Iterator[list[str]]:
        return _blocks(self.words())

    @cached_property
    def hashes(self) -> np.ndarray:
        """uint32 ``[V]``: fastText's hash of each token type."""
        return np.concatenate([np.zeros(0, dtype=np.uint32), *map(fnv1a, self._blocks())])

    @cached_property
    def spelling(self) -> Ragged:
        """``[V]`` rows: the ids of the characters of each token type, as far as they are read; int32."""
        limit, known = (
            self._featurizer.config.spelling.max_characters,
            self._featurizer.vocabularies["spelling"],
        )
        blocks = []
        for block in _blocks(self._tables["token"]):
            signs = spelled_with(block, limit)
            lengths = np.fromiter(map(len, signs), dtype=np.int64, count=len(signs))
            blocks.append(Ragged.from_lengths(known.ids(chain.from_iterable(signs)), lengths))
        return Ragged.concatenate(blocks)

    @cached_property
    def char_ngrams(self) -> Ragged:
        """``[V]`` rows: the character n-grams of each token type; int32."""
        config, dictionary = self._featurizer.config.char_ngram, self._featurizer.char_ngrams
        if dictionary is not None:
            return Ragged.concatenate([dictionary.lookup(block) for block in self._blocks()])
        return Ragged.concatenate(
            [char_ngrams(b, config.min, config.max, config.buckets) for b in self._blocks()]
        )
