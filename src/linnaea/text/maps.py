"""Maps from type numbers (``columns.py``) to ids, hashes and n-grams: once a type, gathered for documents.

Shape letters: V types (distinct strings of a column).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from linnaea.ragged import Ragged
from linnaea.text.ngrams import char_ngrams, fnv1a

if TYPE_CHECKING:
    from linnaea.text.featurizer import Featurizer

_TYPES = 1 << 16  # types hashed at once


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
        words = self.words()
        while block := list(islice(words, _TYPES)):
            yield block

    @cached_property
    def hashes(self) -> np.ndarray:
        """uint32 ``[V]``: fastText's hash of each token type."""
        return np.concatenate([np.zeros(0, dtype=np.uint32), *map(fnv1a, self._blocks())])

    @cached_property
    def char_ngrams(self) -> Ragged:
        """``[V]`` rows: the character n-grams of each token type; int32."""
        config, dictionary = self._featurizer.config.char_ngram, self._featurizer.char_ngrams
        if dictionary is not None:
            return Ragged.concatenate([dictionary.lookup(block) for block in self._blocks()])
        return Ragged.concatenate(
            [char_ngrams(b, config.min, config.max, config.buckets) for b in self._blocks()]
        )
