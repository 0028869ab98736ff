"""Featurizer: what turns documents into ids: tokenizer, vocabularies of train, dictionaries of n-grams.

Its saved form is the folder ``input/`` of a model: ``featurizer.json`` (format, digest), one JSON file a
vocabulary, ``ngram.safetensors`` for a dictionary of word n-grams, ``char_ngram.json`` for one of character
n-grams; or, of a pretrained transformer, its ``tokenizer.json``. A hashed feature has no state.

Shape letters: N documents, V types (distinct strings of a column).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from linnaea.config.task import (
    InputConfig,
    PretrainedTokenizerConfig,
)
from linnaea.corpus.document import Document
from linnaea.errors import ModelError
from linnaea.files import atomic, read_json
from linnaea.ragged import Ragged
from linnaea.text.columns import Columns, Cutter, encode_documents
from linnaea.text.counting import (
    IdBlocks,
    column_limit,
    fit_vocabulary,
    needed_columns,
    numbers_tokens,
    reserved_ids,
    type_counts,
    vocabulary_config,
)
from linnaea.text.maps import TypeMaps, spelled_signs
from linnaea.text.ngrams import CharNgramDictionary, NgramDictionary
from linnaea.text.pretrained import TOKENIZER, Pieces, read_pieces
from linnaea.text.store import Split
from linnaea.text.vocabulary import Vocabulary

FORMAT = 1
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Featurizer:
    """Fitted on train, the same for every split and at prediction.

    Attributes:
        vocabularies: by column: token, character, keyword, topic, as far as the features need them; "spelling" is
            that of the characters of tokens.
        ngrams: the dictionary of word n-grams; None where they are hashed or not read.
        char_ngrams: the same of character n-grams.
        pieces: the tokenizer of a pretrained transformer, which brings its vocabulary; None: any other.
    """

    config: InputConfig
    vocabularies: Mapping[str, Vocabulary]
    ngrams: NgramDictionary | None = None
    char_ngrams: CharNgramDictionary | None = None
    pieces: Pieces | None = None

    @classmethod
    def fit(
        cls, config: InputConfig, train: Columns | Iterable[Document], rows_N: np.ndarray | None = None
    ) -> Self:
        """Count train and choose what gets an id.

        Only what the network will see is counted: each document as it is cut.

        Args:
            rows_N: which documents of ``train`` count (those not split off for dev); None: all.
        """
        if isinstance(config.tokenizer, PretrainedTokenizerConfig):
            return cls.of_pieces(config, read_pieces(config.tokenizer))
        columns = (
            train
            if isinstance(train, Columns)
            else encode_documents(train, Cutter(config, needed_columns(config)))
        )
        rows = np.arange(len(columns)) if rows_N is None else np.asarray(rows_N, dtype=np.int64)
        features = set(config.features)
        vocabularies: dict[str, Vocabulary] = {}
        token_counts = None
        for column in needed_columns(config):
            counts = type_counts(
                columns.values[column], rows, column_limit(config, column), len(columns.tables[column])
            )
            if column == "token":
                token_counts = counts
                if not numbers_tokens(config):
                    continue
            vocabularies[column] = fit_vocabulary(config, column, columns.tables[column], counts)
        if "spelling" in features:
            assert token_counts is not None
            signs, sign_counts = spelled_signs(
                columns.tables["token"], token_counts, config.spelling.max_characters
            )
            vocabularies["spelling"] = fit_vocabulary(config, "spelling", signs, sign_counts)
        fitted = cls(config, vocabularies)
        ngrams = chars = None
        if "ngram" in features and not config.ngram.buckets:
            maps = TypeMaps(fitted, columns.tables)
            blocks = IdBlocks(columns.values["token"], rows, config.max_tokens, maps.ids("token"))
            ngrams = NgramDictionary.fit(
                blocks, len(vocabularies["token"]), config.ngram.n, config.ngram.min_count
            )
        if "char_ngram" in features and not config.char_ngram.buckets:
            assert token_counts is not None
            part, words = config.char_ngram, TypeMaps(fitted, columns.tables).words()
            chars = CharNgramDictionary.fit(words, token_counts, part.min, part.max, part.min_count)
        return cls(config, vocabularies, ngrams, chars)

    @classmethod
    def of_pieces(cls, config: InputConfig, pieces: Pieces) -> Self:
        """With a tokenizer that brings its vocabulary: nothing is counted."""
        return cls(config, {"token": pieces.vocabulary}, pieces=pieces)

    def limit(self, column: str) -> int | None:
        """How many values of a row are read; None: all."""
        return column_limit(self.config, column)

    @property
    def sizes(self) -> dict[str, int]:
        """Rows of each feature's table; the character sequence is called "character"."""
        config = self.config
        sizes: dict[str, int] = {}
        for feature in config.features:
            if feature == "ngram":
                sizes[feature] = config.ngram.buckets or len(self._dictionary(self.ngrams))
            elif feature == "char_ngram":
                sizes[feature] = config.char_ngram.buckets or len(self._dictionary(self.char_ngrams))
            else:
                column = "character" if feature == "char" else feature
                sizes[column] = len(self.vocabularies[column])
        return sizes

    @staticmethod
    def _dictionary(dictionary: T | None) -> T:
        assert dictionary is not None, "buckets: 0 means a dictionary"
        return dictionary

    @cached_property
    def _cutter(self) -> Cutter:
        return Cutter(self.config, needed_columns(self.config), self.pieces)

    def encode(self, documents: Iterable[Document]) -> Split:
        """Encode documents in memory, without labels; where an id is missing it is the running number."""
        return self.split(encode_documents(documents, self._cutter))

    def split(self, columns: Columns, labels: Ragged | None = None) -> Split:
        """Columns as this featurizer sees them."""
        return Split(columns, self, TypeMaps(self, columns.tables), labels)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over settings and state: equal digests give equal ids for every text."""
        config = self.config.model_dump(mode="json")
        if "spelling" not in self.config.features:
            del config["spelling"]  # a model of before it was a feature has none in its digest
        if self.pieces is not None:  # a model's tokenizer lies in its own folder
            config["tokenizer"] = self.pieces.digest
        hasher = hashlib.sha256(_json({"format": FORMAT, "config": config}))
        for name, value in sorted(self._state().items()):
            hasher.update(_json({name: value}))
        for name, keys in self._arrays().items():
            hasher.update(_json({name: len(keys)}) + keys.astype("<i8").tobytes())
        return hasher.hexdigest()

    def _state(self) -> dict[str, Any]:
        if self.pieces is not None:
            return {}
        state: dict[str, Any] = {name: vocabulary.to_json() for name, vocabulary in self.vocabularies.items()}
        if self.char_ngrams is not None:
            state["char_ngram"] = {"ngrams": list(self.char_ngrams.grams)}
        return state

    def _arrays(self) -> dict[str, np.ndarray]:
        return (
            {} if self.ngrams is None else {str(k): keys for k, keys in enumerate(self.ngrams.keys, start=2)}
        )

    def save(self, folder: Path | str) -> None:
        """Write the folder.

        Raises:
            RunError: it cannot be written.
        """
        folder = Path(folder)
        for name, value in self._state().items():
            _write(folder / f"{name}.json", _json(value))
        if self.ngrams is not None:
            _write(folder / "ngram.safetensors", save(self._arrays()))
        if self.pieces is not None:
            _write(folder / TOKENIZER, self.pieces.json.encode())
        _write(folder / "featurizer.json", _json({"format": FORMAT, "digest": self.digest}))

    @classmethod
    def load(cls, folder: Path | str, config: InputConfig) -> Self:
        """Read the folder.

        Args:
            config: the settings that it was fitted with.

        Raises:
            ModelError: a file is missing, damaged, of another format or of other settings.
        """
        folder = Path(folder)
        about = read_json(folder / "featurizer.json", ModelError)
        if not isinstance(about, dict) or about.get("format") != FORMAT:
            received = about.get("format") if isinstance(about, dict) else about
            raise ModelError(
                f"has format {received!r}; this version reads {FORMAT}", where=str(folder / "featurizer.json")
            )
        if isinstance(config.tokenizer, PretrainedTokenizerConfig):
            return cls.of_pieces(config, Pieces.read(folder / TOKENIZER, ModelError))._checked(about, folder)
        features, vocabularies = set(config.features), {}
        ngrams = chars = None
        for column in (*needed_columns(config), *(["spelling"] if "spelling" in features else [])):
            if column == "token" and not numbers_tokens(config):
                continue
            vocabularies[column] = _read(folder / f"{column}.json", Vocabulary.from_json)
            _check_vocabulary(config, column, vocabularies[column], folder)
        if "ngram" in features and not config.ngram.buckets:
            keys = _read_keys(folder / "ngram.safetensors", config.ngram.n)
            ngrams = NgramDictionary(keys, len(vocabularies["token"]))
        if "char_ngram" in features and not config.char_ngram.buckets:
            part = config.char_ngram
            grams = _read(folder / "char_ngram.json", lambda value: tuple(map(str, value["ngrams"])))
            chars = CharNgramDictionary(grams, part.min, part.max)
        return cls(config, vocabularies, ngrams, chars)._checked(about, folder)

    def _checked(self, about: dict[str, Any], folder: Path) -> Self:
        if self.digest != about.get("digest"):
            raise ModelError(
                "was altered, or belongs to other settings: its digest does not fit", where=str(folder)
            )
        return self


def _json(value: object) -> bytes:
    # ASCII, so that any string can be written, lone surrogates from Python included.
    return json.dumps(value, sort_keys=True, ensure_ascii=True, allow_nan=False).encode("ascii") + b"\n"


def _write(path: Path, data: bytes) -> None:
    with atomic(path) as file:
        file.write(data)


def _read(path: Path, build: Callable[[Any], T]) -> T:
    value = read_json(path, ModelError)
    try:
        return build(value)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"does not hold what it should: {error}", where=str(path)) from None


def _check_vocabulary(config: InputConfig, column: str, vocabulary: Vocabulary, folder: Path) -> None:
    part = vocabulary_config(config, column)
    if vocabulary.lowercase != part.lowercase or vocabulary.reserved != reserved_ids(column):
        raise ModelError("belongs to other settings", where=str(folder / f"{column}.json"))


def _read_keys(path: Path, n: int) -> tuple[np.ndarray, ...]:
    try:
        arrays = load_file(path)
        keys = tuple(arrays[str(k)] for k in range(2, n + 1))
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise ModelError(f"cannot be read: {error}", where=str(path)) from None
    for table in keys:
        if table.dtype != np.int64 or table.ndim != 1 or (np.diff(table) <= 0).any():
            raise ModelError("does not hold sorted n-grams", where=str(path))
    return keys
