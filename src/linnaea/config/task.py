"""The parts "task", "data" and "input": what is to be predicted, from which files, and what the network reads of a text."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from linnaea.config.part import Choice, Nested, Part
from linnaea.config.registry import OneOf, tokenizers
from linnaea.errors import ConfigError

Paths = str | list[str]


class TaskConfig(Part):
    """What is predicted: kind of task, taxonomy, and how written labels become gold."""

    type: Literal["binary", "multiclass", "multilabel", "hierarchical"] = Field(
        "hierarchical", description="binary and multiclass: exactly one label; multilabel: flat; hierarchical: over the taxonomy"
    )
    taxonomy: str | None = Field(None, description="taxonomy file; without one the categories are read off the labels of train")
    taxonomy_format: Literal["auto", "children", "edges", "json", "indented"] = Field(
        "auto", description="children: parent TAB child TAB child...; edges: CSV/TSV with a header; auto: by name and content"
    )
    separator: str = Field("--", min_length=1, description="stands between the names of a path label")
    closure: Literal["ancestors", "path", "none"] = Field(
        "ancestors", description="which categories a written label makes gold: with all ancestors, those on the path, or itself"
    )
    paths: Literal["many", "one"] = Field("many", description="one: every document has a single path")

    @model_validator(mode="after")
    def _fits(self) -> TaskConfig:
        if self.type != "hierarchical" and self.paths == "one":
            raise Nested(ConfigError(f'"one" acts in hierarchical tasks only, not in {self.type}', where="paths"))
        if self.type != "hierarchical" and self.given("closure") and self.closure != "none":
            raise Nested(ConfigError(f"a {self.type} task is flat: nothing to close", where="closure", hint="leave it out"))
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
    """Names of the fields in the user's files. A list for ``text`` joins several with a newline."""

    id: str = "id"
    text: Paths = "text"
    tokens: str = "doc_token"
    labels: str | None = Field(None, description="default: doc_label, or labels")
    keywords: str = "doc_keyword"
    topics: str = "doc_topic"


class DataConfig(Part):
    """The corpus files. Paths are relative to the config file."""

    train: Paths | None = None
    dev: Paths | None = Field(None, description="absent: a stratified part of train, dev_fraction of it")
    test: Paths | None = None
    dev_fraction: float = Field(0.1, gt=0, lt=1)
    format: Literal["auto", "jsonl", "text", "csv", "tsv", "parquet"] = Field("auto", description="auto: by the file's name")
    fields: FieldsConfig = FieldsConfig()
    label_delimiter: str = Field(";", min_length=1, description="between labels (keywords, topics) in one cell of a CSV or TSV file")
    on_error: Literal["raise", "skip", "quarantine"] = Field(
        "raise", description="a broken document or unknown label: stop, leave it out and count it, or also copy it to quarantine.jsonl"
    )
    workers: Literal["auto"] | Annotated[int, Field(ge=0)] = Field("auto", description="processes that read and cut text; 0: none besides")
    cache: bool = Field(True, description="keep the encoded corpus in the cache folder ($LINNAEA_CACHE) for the next run")

    @field_validator("train", "dev", "test")
    @classmethod
    def _not_empty(cls, value: Paths | None) -> Paths | None:
        if value == [] or value == "":
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


class VocabularyConfig(Part):
    """Which distinct values of train get an id of their own."""

    min_count: int = Field(2, ge=1)
    max_size: int | None = Field(1_000_000, ge=1)
    lowercase: bool = True


class ListVocabularyConfig(Part):
    """Vocabulary of keywords or topics."""

    min_count: int = Field(1, ge=1)
    max_size: int | None = Field(None, ge=1)
    lowercase: bool = False


class NgramConfig(Part):
    """Word n-grams of length 2..n; hashed into buckets, or with ``buckets: 0`` a dictionary of those in train."""

    n: int = Field(2, ge=2, le=8)
    buckets: int = Field(200_000, ge=0)
    min_count: int = Field(2, ge=1, description="dictionary only: counted on train")

    @model_validator(mode="after")
    def _fits(self) -> NgramConfig:
        if self.buckets and self.given("min_count"):
            raise Nested(ConfigError("acts only with buckets: 0 (a dictionary)", where="min_count"))
        return self


class CharNgramConfig(Part):
    """Character n-grams inside tokens, with boundary marks; hashed, or with ``buckets: 0`` a dictionary."""

    min: int = Field(3, ge=1, le=16)
    max: int = Field(6, ge=1, le=16)
    buckets: int = Field(200_000, ge=0)
    min_count: int = Field(2, ge=1, description="dictionary only: counted on train")

    @model_validator(mode="after")
    def _fits(self) -> CharNgramConfig:
        if self.min > self.max:
            raise Nested(ConfigError(f"{self.min} is above max {self.max}", where="min"))
        if self.buckets and self.given("min_count"):
            raise Nested(ConfigError("acts only with buckets: 0 (a dictionary)", where="min_count"))
        return self


Feature = Literal["token", "char", "ngram", "char_ngram", "keyword", "topic"]


class InputConfig(Part):
    """What is read of a document: how text is cut, which features, how long."""

    tokenizer: Annotated[TokenizerConfig, OneOf(tokenizers)] = WordConfig()
    features: list[Feature] = Field(["token"], min_length=1)
    max_tokens: int | None = Field(256, ge=1, description="longer texts are cut; null: never")
    max_characters: int | None = Field(1024, ge=1, description="the same for the feature char")
    vocabulary: VocabularyConfig = VocabularyConfig()
    char_vocabulary: VocabularyConfig = VocabularyConfig(min_count=1, max_size=None, lowercase=True)
    keyword_vocabulary: ListVocabularyConfig = ListVocabularyConfig()
    topic_vocabulary: ListVocabularyConfig = ListVocabularyConfig()
    ngram: NgramConfig = NgramConfig()
    char_ngram: CharNgramConfig = CharNgramConfig()

    @model_validator(mode="after")
    def _fits(self) -> InputConfig:
        if len(set(self.features)) != len(self.features):
            raise Nested(ConfigError("names a feature twice", where="features"))
        needs = {
            "ngram": ("ngram",),
            "char_ngram": ("char_ngram",),
            "char": ("char_vocabulary", "max_characters"),
            "keyword": ("keyword_vocabulary",),
            "topic": ("topic_vocabulary",),
        }
        for feature, keys in needs.items():
            for key in keys:
                if feature not in self.features and self.given(key):
                    hint = f'add "{feature}" to input.features, or leave {key} out'
                    raise Nested(ConfigError("does nothing here", where=key, hint=hint))
        return self
