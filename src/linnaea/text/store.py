"""Split and Corpus: encoded documents as training and scoring see them.

A split looks at columns (``columns.py``) through a fitted featurizer: type numbers become ids by one gather,
n-grams are derived when documents are taken. The columns may be memory-mapped and may be shared by several
splits (train, and the dev part split off it).

Shape letters: N documents of a split, B documents taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from linnaea.corpus.document import Origin
from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy
from linnaea.text.columns import Columns
from linnaea.text.ngrams import word_ngrams
from linnaea.text.vocabulary import DROPPED

if TYPE_CHECKING:
    from linnaea.text.featurizer import Featurizer
    from linnaea.text.maps import TypeMaps


# Features that are made of the tokens of a text.
_OF_TOKENS = ("token", "spelling", "ngram", "char_ngram")


class Picked(Sequence[str]):
    """Some of a sequence of strings, in the order of ``rows``, fetched when asked for."""

    def __init__(self, strings: Sequence[str], rows: np.ndarray) -> None:
        self._strings, self._rows = strings, rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, item: int) -> str: ...
    @overload
    def __getitem__(self, item: slice) -> list[str]: ...
    def __getitem__(self, item: int | slice) -> str | list[str]:
        if isinstance(item, slice):
            return [self._strings[int(row)] for row in self._rows[item]]
        return self._strings[int(self._rows[item])]

    def __iter__(self) -> Iterator[str]:
        return (self._strings[row] for row in self._rows.tolist())


@dataclass(frozen=True, eq=False)
class Split:
    """N documents, encoded.

    Attributes:
        columns: the documents as written.
        featurizer: what makes ids of them.
        maps: type numbers to ids, for these columns.
        labels: rows of taxonomy columns, closed, ascending; None: not labelled.
        rows_N: which documents of ``columns``; None: all.
    """

    columns: Columns
    featurizer: Featurizer
    maps: TypeMaps
    labels: Ragged | None = None
    rows_N: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.labels is not None and len(self.labels) != len(self):
            raise ValueError(f"labels of {len(self.labels)} documents for {len(self)} documents")

    def __len__(self) -> int:
        return len(self.columns) if self.rows_N is None else len(self.rows_N)

    @cached_property
    def ids(self) -> Sequence[str]:
        """The id of each document."""
        return self.columns.ids if self.rows_N is None else Picked(self.columns.ids, self.rows_N)

    @property
    def origins(self) -> np.ndarray:
        """Structured ``[N]``: file (number into ``files``, -1: none), line from 1, byte offset (or -1)."""
        return self.columns.places if self.rows_N is None else self.columns.places[self.rows_N]

    @property
    def files(self) -> tuple[str, ...]:
        """The files that ``origins`` count."""
        return self.columns.files

    def origin(self, row: int) -> Origin | None:
        """Where a document came from; None: from Python."""
        return self.columns.origin(row if self.rows_N is None else int(self.rows_N[row]))

    @property
    def sequence_name(self) -> str | None:
        """The column that is read in order: "token" or "character"; None where only lists are read."""
        features = self.featurizer.config.features
        if "char" in features:
            return "character"
        return "token" if any(f in features for f in _OF_TOKENS) else None

    def sequence(self, rows_B: np.ndarray) -> Ragged:
        """Ids of the tokens (or characters) of the documents ``rows_B``, in order and cut; int32.

        Raises:
            ValueError: no sequence is among the features.
        """
        name = self.sequence_name
        if name is None or name not in self.featurizer.vocabularies:
            raise ValueError(f"no sequence among the features {self.featurizer.config.features}")
        return self._ids(name, rows_B)

    def spelling(self, rows_B: np.ndarray) -> tuple[Ragged, Ragged]:
        """The characters of the documents ``rows_B``: those of each distinct token, and which token stands where.

        Returns:
            ``(letters, places)``: rows of ids of characters, int32, a row a distinct token; and for each document
            the rows of its tokens, int64, in order and cut.

        Raises:
            ValueError: spelling is not among the features.
        """
        if "spelling" not in self.featurizer.config.features:
            raise ValueError(f"no spelling among the features {self.featurizer.config.features}")
        types = self._types("token", rows_B)
        distinct, places = np.unique(types.values, return_inverse=True)
        return self.maps.spelling.take(distinct), Ragged(places, types.offsets_N1)

    def bag(self, feature: str, rows_B: np.ndarray) -> Ragged:
        """Ids of one feature of the documents ``rows_B``; int32, repeats kept.

        Args:
            feature: "token", "char", "ngram", "char_ngram", "keyword" or "topic". The first four are made of
                the sequence as it is cut.

        Raises:
            ValueError: the feature is not among those of the config.
        """
        if feature not in self.featurizer.config.features:
            raise ValueError(f"no feature {feature!r} among {self.featurizer.config.features}")
        if feature in ("token", "char"):
            return self._ids("token" if feature == "token" else "character", rows_B)
        if feature in ("keyword", "topic"):
            return _without_dropped(self._ids(feature, rows_B))
        dictionary = self.featurizer.ngrams
        if feature == "ngram" and dictionary is not None:
            return dictionary.lookup(self._ids("token", rows_B))
        types = self._types("token", rows_B)
        if feature == "char_ngram":
            grams = self.maps.char_ngrams.take(types.values)
            return Ragged(grams.values, grams.offsets_N1[types.offsets_N1])
        config = self.featurizer.config.ngram
        return word_ngrams(Ragged(self.maps.hashes[types.values], types.offsets_N1), config.n, config.buckets)

    def _ids(self, column: str, rows_B: np.ndarray) -> Ragged:
        types = self._types(column, rows_B)
        return Ragged(self.maps.ids(column)[types.values], types.offsets_N1)

    def _types(self, column: str, rows_B: np.ndarray) -> Ragged:
        rows = np.asarray(rows_B, dtype=np.int64)
        if self.rows_N is not None:
            rows = self.rows_N[rows]
        return self.columns.values[column].take(rows, self.featurizer.limit(column))

    @cached_property
    def lengths_N(self) -> np.ndarray:
        """int64 ``[N]``: tokens (or characters) of each document as it is cut, else items of its lists."""
        name = self.sequence_name
        if name is not None:
            lengths, limit = self._full_lengths(name), self.featurizer.limit(name)
            return lengths if limit is None else np.minimum(lengths, limit)
        total = np.zeros(len(self), dtype=np.int64)
        for feature in self.featurizer.config.features:
            total += self._full_lengths(feature)
        return total

    def _full_lengths(self, column: str) -> np.ndarray:
        lengths = self.columns.values[column].lengths_N
        return lengths if self.rows_N is None else lengths[self.rows_N]

    @property
    def count_truncated(self) -> int:
        """How many documents are longer than ``max_tokens`` (``max_characters``) and are cut."""
        name = self.sequence_name
        limit = None if name is None else self.featurizer.limit(name)
        return 0 if name is None or limit is None else int((self._full_lengths(name) > limit).sum())

    def take(self, rows: np.ndarray) -> Split:
        """Some of the documents, in the order of ``rows``; nothing is copied but labels."""
        rows = np.asarray(rows, dtype=np.int64)
        if len(rows) and not (-len(self) <= rows.min() and rows.max() < len(self)):
            raise IndexError(f"rows {rows.min()}..{rows.max()} of {len(self)} documents")
        rows = np.where(rows < 0, rows + len(self), rows)
        labels = None if self.labels is None else self.labels.take(rows)
        return replace(self, labels=labels, rows_N=rows if self.rows_N is None else self.rows_N[rows])

    def seen_by(self, featurizer: Featurizer) -> Split:
        """The same documents through another featurizer, which reads no columns but those that are here."""
        return replace(featurizer.split(self.columns), labels=self.labels, rows_N=self.rows_N)

    def with_labels(self, labels: Ragged | None) -> Split:
        """The same documents with other gold (``[N]`` rows of taxonomy columns)."""
        return replace(self, labels=labels)


def _without_dropped(ragged: Ragged) -> Ragged:
    known = ragged.values != DROPPED
    if known.all():
        return ragged
    ends = np.zeros(len(known) + 1, dtype=np.int64)
    np.cumsum(known, out=ends[1:])
    return Ragged(ragged.values[known], ends[ragged.offsets_N1])


@dataclass(frozen=True, eq=False)
class Corpus:
    """Everything that a strategy fits on.

    Attributes:
        dev: None where the strategy tunes without one.
        test: None where no test documents were given; labels are None where they are not labelled.
        warnings: what the user should look at.
        facts: numbers about the corpus, for log and card: truncated documents and left-out documents by
            split.
    """

    taxonomy: Taxonomy
    featurizer: Featurizer
    train: Split
    dev: Split | None = None
    test: Split | None = None
    warnings: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    def splits(self) -> list[tuple[str, Split]]:
        """The splits that there are, by name."""
        pairs = [("train", self.train), ("dev", self.dev), ("test", self.test)]
        return [(name, split) for name, split in pairs if split is not None]
