"""From a config to an encoded corpus: read, cut, resolve labels, split dev off, fit the featurizer on train.

Files and documents from Python go the same way; only where the columns come from differs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from linnaea.config.config import Config
from linnaea.config.levels import check_levels
from linnaea.config.task import InputConfig, PretrainedTokenizerConfig, WordConfig
from linnaea.corpus.labels import LabelResolver, read_off
from linnaea.corpus.policy import ErrorPolicy
from linnaea.corpus.readers import documents_from
from linnaea.corpus.split import stratified_split
from linnaea.errors import ConfigError, DataError
from linnaea.ragged import Ragged
from linnaea.taxonomy.readers import read_taxonomy
from linnaea.taxonomy.taxonomy import Taxonomy
from linnaea.text.cache import Progress, Source, load
from linnaea.text.columns import Columns, Cutter, encode_documents
from linnaea.text.counting import needed_columns
from linnaea.text.featurizer import Featurizer
from linnaea.text.gold import check_task, gold_labels, resolve
from linnaea.text.store import Corpus, Split
from linnaea.text.workers import Job

__all__ = ["build_corpus", "corpus_from_documents", "gold_labels", "stored_columns", "told"]

SplitName = Literal["train", "dev", "test"]
_NAMES: tuple[SplitName, ...] = ("train", "dev", "test")
_SHOWN = 5


def build_corpus(config: Config, *, policy: ErrorPolicy, progress: Progress | None = None) -> Corpus:
    """The corpus that a config names, encoded; from the cache where it was encoded before.

    Args:
        policy: what happens to broken documents; it hears of those that a cached store left out, too.
        progress: hears ``(what, done, total)``.

    Raises:
        ConfigError: no training documents are named, or a recursive penalty has no edges to act on.
        DataError: a broken file or document, an unknown label, no documents: with ``file:line``.
        TaxonomyError: the taxonomy is broken.
    """
    if not config.data.files("train"):
        raise ConfigError("names no training documents", where="data.train")
    warnings: dict[str, None] = {}  # each once
    columns = stored_columns(config.input)
    task = config.task
    # A broken taxonomy is told before minutes of reading.
    taxonomy = (
        None if task.taxonomy is None else read_taxonomy(task.taxonomy, task.taxonomy_format, task.separator)
    )
    if taxonomy is not None:
        _check_taxonomy(taxonomy, config)
    stores: dict[SplitName, Columns] = {}
    for name in _NAMES:
        if files := config.data.files(name):
            job = Job(config.data, config.input, columns, need_labels=True)
            source = Source(tuple(files), job, name)
            stores[name] = load(source, policy, progress, lambda message: warnings.setdefault(message))
    return _corpus(config, taxonomy, stores, policy, list(warnings))


def corpus_from_documents(
    config: Config,
    taxonomy: Taxonomy | None,
    train: Iterable[Any],
    dev: Iterable[Any] | None = None,
    test: Iterable[Any] | None = None,
    *,
    policy: ErrorPolicy | None = None,
) -> Corpus:
    """The corpus of documents from Python, in memory; nothing is cached.

    Args:
        taxonomy: None: as the config says (a file, or read off the labels of train).
        train, dev, test: ``Document`` s, dictionaries, a pandas or an Arrow table, all labelled; without
            ``dev`` it is split off train.
        policy: what happens to documents whose labels do not hold; absent: an error.

    Raises:
        DataError, TaxonomyError: as ``build_corpus``, with ``documents[i]`` or ``train[i]`` where there is no
            file.
    """
    task, policy = config.task, policy or ErrorPolicy("raise")
    if taxonomy is None and task.taxonomy is not None:
        taxonomy = read_taxonomy(task.taxonomy, task.taxonomy_format, task.separator)
    if taxonomy is not None:
        _check_taxonomy(taxonomy, config)
    cutter = Cutter(config.input, stored_columns(config.input))
    stores: dict[SplitName, Columns] = {}
    for name, value in zip(_NAMES, (train, dev, test), strict=True):
        if value is not None:
            columns = encode_documents(documents_from(value, config.data, need_labels=True), cutter)
            policy.documents += len(columns)
            if not len(columns):
                raise DataError("no documents", where=name)
            stores[name] = columns
    return _corpus(config, taxonomy, stores, policy, [])


def stored_columns(config: InputConfig) -> tuple[str, ...]:
    """The columns that a store of documents for ``config`` has."""
    # Keywords and topics cost next to nothing; with them always there, adding such a feature re-reads
    # nothing.
    return (
        *(c for c in needed_columns(config) if c not in ("keyword", "topic")),
        "keyword",
        "topic",
        "label",
    )


def _corpus(
    config: Config,
    taxonomy: Taxonomy | None,
    stores: dict[SplitName, Columns],
    policy: ErrorPolicy,
    warnings: list[str],
) -> Corpus:
    task = config.task
    if taxonomy is None:
        taxonomy = read_off(list(stores["train"].tables["label"]), task)
        _check_taxonomy(taxonomy, config)
    resolver = LabelResolver.for_task(taxonomy, task)
    gold: dict[SplitName, Ragged] = {}
    rows: dict[SplitName, np.ndarray | None] = {}
    for name, columns in stores.items():
        gold[name], rows[name] = resolve(columns, resolver, policy, name)
        if not len(gold[name]):
            raise DataError(
                f"no document is left: {policy.message()}", where=", ".join(columns.files) or name
            )
    kept: np.ndarray | None = None  # rows of what ``gold["train"]`` holds
    part: np.ndarray | None = None
    if "dev" not in stores:
        kept, part = _dev_split(gold["train"], taxonomy, config)
    train_rows = _among(rows["train"], kept)
    featurizer = Featurizer.fit(config.input, stores["train"], train_rows)
    splits: dict[SplitName, Split] = {}
    for name, columns in stores.items():
        split = featurizer.split(columns)
        chosen = rows[name]
        splits[name] = (split if chosen is None else split.take(chosen)).with_labels(gold[name])
    if kept is not None and part is not None:
        splits["train"], splits["dev"] = splits["train"].take(kept), splits["train"].take(part)
    whole = Corpus(taxonomy, featurizer, splits["train"], splits.get("dev"), splits.get("test"))
    return told(whole, [*warnings, *_ready_cut(config, stores)])


def told(corpus: Corpus, warnings: Sequence[str]) -> Corpus:
    """``corpus`` with its facts, and with warnings of what strikes in it after ``warnings``."""
    facts = _facts(corpus)
    return replace(corpus, warnings=(*warnings, *_warnings(corpus, facts)), facts=facts)


def _check_taxonomy(taxonomy: Taxonomy, config: Config) -> None:
    check_task(taxonomy, config.task)
    check_levels(config, taxonomy.depth, of_labels=config.task.taxonomy is None)


def _dev_split(labels: Ragged, taxonomy: Taxonomy, config: Config) -> tuple[np.ndarray, np.ndarray]:
    try:
        return stratified_split(labels, len(taxonomy), config.data.dev_fraction, config.run.seed)
    except DataError as error:
        raise error.at("data.dev") from None


def _among(rows: np.ndarray | None, kept: np.ndarray | None) -> np.ndarray | None:
    return kept if rows is None else rows if kept is None else rows[kept]


def _facts(corpus: Corpus) -> dict[str, Any]:
    support_C = (
        corpus.train.labels.counts(len(corpus.taxonomy)) if corpus.train.labels is not None else np.zeros(0)
    )
    return {
        "documents": {name: len(split) for name, split in corpus.splits()},
        "truncated": {name: split.count_truncated for name, split in corpus.splits()},
        "empty": {name: int((split.lengths_N == 0).sum()) for name, split in corpus.splits()},
        "without_training_documents": [corpus.taxonomy.ids[c] for c in np.flatnonzero(support_C == 0)],
    }


def _ready_cut(config: Config, stores: dict[SplitName, Columns]) -> list[str]:
    """Of a tokenizer that was chosen for documents that need none."""
    tokenizer = config.input.tokenizer
    if isinstance(tokenizer, PretrainedTokenizerConfig) or tokenizer == WordConfig():
        return []
    counts = ", ".join(
        f"{columns.ready:,} of {len(columns):,} in {name}"
        for name, columns in stores.items()
        if columns.ready
    )
    if not counts or "token" not in needed_columns(config.input):
        return []
    field = config.data.fields.tokens
    return [
        f"documents that come ready cut ({field}) do not pass input.tokenizer = {tokenizer.type}: {counts}"
    ]


def _warnings(corpus: Corpus, facts: dict[str, Any]) -> list[str]:
    messages = []
    config = corpus.featurizer.config
    cut = {name: count for name, count in facts["truncated"].items() if count}
    if cut:
        key = "max_characters" if corpus.train.sequence_name == "character" else "max_tokens"
        shares = ", ".join(f"{n:,} of {facts['documents'][name]:,} in {name}" for name, n in cut.items())
        messages.append(f"longer than input.{key} = {getattr(config, key)} and cut: {shares} documents")
    missing = facts["without_training_documents"]
    if missing:
        shown = ", ".join(missing[:_SHOWN]) + (", ..." if len(missing) > _SHOWN else "")
        plural, them = ("y has", "it") if len(missing) == 1 else ("ies have", "them")
        messages.append(
            f"{len(missing):,} categor{plural} no training documents, nothing is learned about {them}: {shown}"
        )
    empty = {name: count for name, count in facts["empty"].items() if count}
    if empty:
        counts = ", ".join(f"{count:,} in {name}" for name, count in empty.items())
        messages.append(f"empty documents: {counts}")
    for column, vocabulary in corpus.featurizer.vocabularies.items():
        if not vocabulary.words:
            messages.append(f"no {column} of train is frequent enough for the vocabulary (min_count)")
    return messages
