"""What of a column is counted on train, and what of it gets an id.

Shape letters: N documents, V types (distinct strings of a column).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from linnaea.config.task import InputConfig, ListVocabularyConfig, VocabularyConfig
from linnaea.ragged import Ragged
from linnaea.text.columns import SEQUENCES
from linnaea.text.vocabulary import Vocabulary

_ROWS = 1 << 14  # documents counted at once


def needed_columns(config: InputConfig) -> tuple[str, ...]:
    """The columns that the features are made of."""
    features, columns = set(config.features), []
    if features & {"token", "spelling", "ngram", "char_ngram"}:
        columns.append("token")
    if "char" in features:
        columns.append("character")
    return (*columns, *(name for name in ("keyword", "topic") if name in features))


class IdBlocks:
    """The token ids of documents, some at a time; may be gone through many times."""

    def __init__(self, types: Ragged, rows_N: np.ndarray, limit: int | None, ids: np.ndarray) -> None:
        self._types, self._rows, self._limit, self._ids = types, rows_N, limit, ids

    def __iter__(self) -> Iterator[Ragged]:
        for start in range(0, len(self._rows), _ROWS):
            part = self._types.take(self._rows[start : start + _ROWS], self._limit)
            yield Ragged(self._ids[part.values], part.offsets_N1)


def numbers_tokens(config: InputConfig) -> bool:
    """Whether tokens have ids of their own: hashed n-grams and spelling need none."""
    return "token" in config.features or ("ngram" in config.features and not config.ngram.buckets)


def column_limit(config: InputConfig, column: str) -> int | None:
    """How many values of a row are read; None: all."""
    return {"token": config.max_tokens, "character": config.max_characters}.get(column)


def type_counts(types: Ragged, rows_N: np.ndarray, limit: int | None, size: int) -> np.ndarray:
    """How often each of ``size`` types stands in the documents ``rows_N``, as they are cut."""
    counts = np.zeros(size, dtype=np.int64)
    for start in range(0, len(rows_N), _ROWS):
        counts += np.bincount(types.take(rows_N[start : start + _ROWS], limit).values, minlength=size)
    return counts


def fit_vocabulary(config: InputConfig, column: str, table: Sequence[str], counts: np.ndarray) -> Vocabulary:
    """The vocabulary of a column, by the counts of its types."""
    part = vocabulary_config(config, column)
    return Vocabulary.fit(
        table,
        counts,
        min_count=part.min_count,
        max_size=part.max_size,
        lowercase=part.lowercase,
        reserved=reserved_ids(column),
    )


def reserved_ids(column: str) -> int:
    """Ids below that of the first word."""
    return 2 if column in (*SEQUENCES, "spelling") else 0


def vocabulary_config(config: InputConfig, column: str) -> VocabularyConfig | ListVocabularyConfig:
    """The settings of a vocabulary."""
    parts: dict[str, VocabularyConfig | ListVocabularyConfig] = {
        "token": config.vocabulary,
        "character": config.char_vocabulary,
        "spelling": config.char_vocabulary,
        "keyword": config.keyword_vocabulary,
        "topic": config.topic_vocabulary,
    }
    return parts[column]
