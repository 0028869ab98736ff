"""The parts "task", "data" and "input": what is to be predicted, from which files, what is read of a text."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from linnaea.config.one_of import OneOf
from linnaea.config.part import Choice, Nested, Part
from linnaea.config.registry import tokenizers
from linnaea.errors import ConfigError

Paths = str | list[str]


class TaskConfig(Part):
    """What is predicted: kind of task, taxonomy, and how written labels become gold."""

    type: Literal["binary", "multiclass", "multilabel", "hierarchical"] = Field(
        "hierarchical",
        description="binary: one category, yes or no; multiclass: exactly one label a document; "
        "multilabel: any number, flat; hierarchical: over the taxonomy",
    )
    taxonomy: str | None = Field(
        None,
        min_length=1,
        description="taxonomy file; without one the categories are read off the labels of train",
    )
    taxonomy_format: Literal["auto", "children", "edges", "json", "indented"] = Field(
        "auto",
        description="children: parent TAB child TAB child...; edges: CSV/TSV with a header; "
        "auto: by name and content",
    )
    separator: str = Field("--", min_length=1, description="stands between the names of a path label")
    closure: Literal["ancestors", "path", "none"] = Field(
        "ancestors",
        description="which categories a written label makes gold: itself with all its ancestors, those on "
        "the written path, or itself alone",
    )
    paths: Literal["many", "one"] = Field("many", description="one: every document has a single path")

    @model_validator(mode="after")
    def _fits(self) -> TaskConfig:
        if self.type != "hierarchical" and self.paths == "one":
            problem = f'"one" acts in hierarchical tasks only, not in {self.type}'
            raise Nested(ConfigError(problem, where="paths"))
        if self.type != "hierarchical" and self.given("closure") and self.closure != "none":
            problem = f"a {self.type} task is flat: nothing to close"
            raise Nested(ConfigError(problem, where="closure", hint="leave it out"))
        return self

    @property
    def flat(self) -> bool:
        """Whether the taxonomy plays no part in gold."""
        return self.type != "hierarchical"

    @property
    def gold_closure(self) -> Literal["ancestors", "path", "none"]:
        """The closure that acts: flat tasks have none."""
        return "none" if self.flat else self.closure


class FieldsConfig(Part):
    """Names of the fields in your files. A list for ``text`` joins several with a newline."""

    id: str = Field("id", description="identifies the document; without it the running number in the split")
    text: Paths = Field("text", description="the text; a list of fields is joined with newlines")
    tokens: str = Field("doc_token", description="tokens that came ready, a list; used where it is there")
    labels: str | None = Field(None, description="default: doc_label, or labels")
    keywords: str = Field("doc_keyword", description="a list, read by the feature keyword")
    topics: str = Field("doc_topic", description="a list, read by the feature topic")

    @field_validator("text")
    @classmethod
    def _not_empty(cls, value: Paths) -> Paths:
        if not value:
            raise ValueError("names no field")
        return value


class DataConfig(Part):
    """The corpus files. Paths are relative to the config file."""

    train: Paths | None = Field(None, description="file or list of files to learn from")
    dev: Paths | None = Field(
        None,
        description="for early stopping and thresholds; "
        "absent: a stratified part of train, dev_fraction of it",
    )
    test: Paths | None = Field(None, description="scored once, at the end")
    dev_fraction: float = Field(
        0.1, gt=0, lt=1, description="how much of train is set aside where dev is absent"
    )
    format: Literal["auto", "jsonl", "text", "csv", "tsv", "parquet"] = Field(
        "auto", description="auto: by the file's name"
    )
    fields: FieldsConfig = Field(FieldsConfig(), description="names of the fields in the files")
    label_delimiter: str = Field(
        ";", min_length=1, description="between labels (keywords, topics) in one cell of a CSV or TSV file"
    )
    on_error: Literal["raise", "skip", "quarantine"] = Field(
        "raise",
        description="a broken document or unknown label: stop, leave it out and count it, "
        "or also copy it to quarantine.jsonl",
    )
    workers: Literal["auto"] | Annotated[int, Field(ge=0)] = Field(
        "auto", description="processes that read and cut text; 0: none besides"
    )
    cache: bool = Field(
        True, description="keep the encoded corpus in the cache folder ($LINNAEA_CACHE) for the next run"
    )

    @field_validator("train", "dev", "test")
    @classmethod
    def _not_empty(cls, value: Paths | None) -> Paths | None:
        if value is not None and not (value and all(value)):
            raise ValueError("names no file")
        return value

    @model_validator(mode="after")
    def _fits(self) -> DataConfig:
        if self.dev is not None and self.given("dev_fraction"):
            raise Nested(ConfigError("acts only where data.dev is absent", where="dev_fraction"))
        return self

    def files(self, split: Literal["train", "dev", "test"]) -> list[str]:
        """The paths of a split as a list, empty where none was given."""
        value = getattr(self, split)
        return [] if value is None else [value] if isinstance(value, str) else list(value)


class TokenizerConfig(Choice):
    """Base of all tokenizers' settings."""


@tokenizers.declare("word")
class WordConfig(TokenizerConfig):
    """Unicode words of any language; Chinese, Japanese and Thai scripts without blanks by characters."""

    punctuation: bool = Field(False, description="also keep punctuation marks as tokens of their own")


@tokenizers.declare("whitespace")
class WhitespaceConfig(TokenizerConfig):
    """Cut at white space, nothing else."""


@tokenizers.declare("character")
class CharacterConfig(TokenizerConfig):
    """Every character (grapheme cluster) is a token; runs of white space are one blank."""


@tokenizers.declare("pretrained")
class PretrainedTokenizerConfig(TokenizerConfig):
    """The tokenizer of a pretrained transformer, with its own vocabulary; goes with the encoder ``pretrained``."""

    path: str = Field(min_length=1, description="as of the encoder, which brings it along: leave it out")


class VocabularyConfig(Part):
    """Which distinct values of train get an id of their own."""

    min_count: int = Field(2, ge=1, description="rarer ones are unknown")
    max_size: int | None = Field(1_000_000, ge=1, description="the most frequent so many; null: all")
    lowercase: bool = Field(True, description="capitals make no difference")


class ListVocabularyConfig(Part):
    """Vocabulary of keywords or topics."""

    min_count: int = Field(1, ge=1, description="rarer ones are left out")
    max_size: int | None = Field(None, ge=1, description="the most frequent so many; null: all")
    lowercase: bool = Field(False, description="capitals make no difference")


class NgramConfig(Part):
    """Word n-grams of length 2..n; hashed, or with ``buckets: 0`` a dictionary of those in train."""

    n: int = Field(2, ge=2, le=8, description="the longest")
    buckets: int = Field(
        200_000, ge=0, description="rows of the table that n-grams are hashed into; 0: dictionary"
    )
    min_count: int = Field(2, ge=1, description="dictionary only: counted on train")

    @model_validator(mode="after")
    def _fits(self) -> NgramConfig:
        _only_in_dictionary(self)
        return self


class CharNgramConfig(Part):
    """Character n-grams inside tokens, with boundary marks; hashed, or with ``buckets: 0`` a dictionary."""

    min: int = Field(3, ge=1, le=16, description="the shortest")
    max: int = Field(6, ge=1, le=16, description="the longest")
    buckets: int = Field(
        200_000, ge=0, description="rows of the table that n-grams are hashed into; 0: dictionary"
    )
    min_count: int = Field(2, ge=1, description="dictionary only: counted on train")

    @model_validator(mode="after")
    def _fits(self) -> CharNgramConfig:
        if self.min > self.max:
            raise Nested(ConfigError(f"{self.min} is above max {self.max}", where="min"))
        _only_in_dictionary(self)
        return self


def _only_in_dictionary(part: NgramConfig | CharNgramConfig) -> None:
    if part.buckets and part.given("min_count"):
        raise Nested(ConfigError("acts only with buckets: 0 (a dictionary)", where="min_count"))


Feature = Literal["token", "char", "spelling", "ngram", "char_ngram", "keyword", "topic"]

_WORDS: tuple[Feature, ...] = ("token", "ngram", "char_ngram")
# For each key of input: it acts while one of these features is read.
_ACTS_WITH: dict[str, tuple[Feature, ...]] = {
    "tokenizer": (*_WORDS, "spelling"),
    "max_tokens": (*_WORDS, "spelling"),
    "vocabulary": _WORDS,
    "char_vocabulary": ("char", "spelling"),
    "max_characters": ("char",),
    "spelling": ("spelling",),
    "keyword_vocabulary": ("keyword",),
    "topic_vocabulary": ("topic",),
    "ngram": ("ngram",),
    "char_ngram": ("char_ngram",),
}


def idle_inputs(features: list[Feature]) -> list[str]:
    """The keys of ``input`` that do nothing when ``features`` are read."""
    return [key for key, needed in _ACTS_WITH.items() if not set(needed) & set(features)]


class SpellingInputConfig(Part):
    """What is read of the characters of a token."""

    max_characters: int = Field(16, ge=1, description="of a token; the rest of a longer one is not read")


class InputConfig(Part):
    """What is read of a document: how text is cut, which features, how long.

    Unless ``features`` are given the linear strategy reads tokens and a dictionary of word pairs; unless
    ``max_tokens`` is given it reads whole texts.
    """

    tokenizer: Annotated[TokenizerConfig, OneOf(tokenizers, "word")] = Field(
        WordConfig(), description="how text is cut"
    )
    features: list[Feature] = Field(
        ["token"],
        min_length=1,
        description="what the encoder reads: a sequence (token, spelling or both; or char), or a bag of any of "
        "token, ngram, char_ngram, keyword, topic; the linear strategy counts any of the latter, by default token "
        "and ngram. spelling composes each token of its characters",
    )
    max_tokens: int | None = Field(
        256, ge=1, description="longer texts are cut; null: never, the default under the linear strategy"
    )
    max_characters: int | None = Field(1024, ge=1, description="the same for the feature char")
    vocabulary: VocabularyConfig = Field(VocabularyConfig(), description="of tokens")
    char_vocabulary: VocabularyConfig = Field(
        VocabularyConfig(min_count=1, max_size=None, lowercase=True),
        description="of the features char and spelling",
    )
    keyword_vocabulary: ListVocabularyConfig = Field(
        ListVocabularyConfig(), description="of the feature keyword"
    )
    topic_vocabulary: ListVocabularyConfig = Field(ListVocabularyConfig(), description="of the feature topic")
    ngram: NgramConfig = Field(
        NgramConfig(),
        description="of the feature ngram; where the linear strategy reads it without being told: n 2, "
        "buckets 0 (a dictionary), min_count 2",
    )
    char_ngram: CharNgramConfig = Field(CharNgramConfig(), description="of the feature char_ngram")
    spelling: SpellingInputConfig = Field(SpellingInputConfig(), description="of the feature spelling")

    @model_validator(mode="after")
    def _fits(self) -> InputConfig:
        if len(set(self.features)) != len(self.features):
            raise Nested(ConfigError("names a feature twice", where="features"))
        for key in idle_inputs(self.features):
            if self.given(key):
                hint = f'add "{_ACTS_WITH[key][0]}" to input.features, or leave {key} out'
                raise Nested(ConfigError("does nothing here", where=key, hint=hint))
        return self
