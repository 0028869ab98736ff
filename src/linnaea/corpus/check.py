"""Check: what a corpus holds and what is wrong with it, without training: ``linnaea check`` and the report
read this.

Texts are compared by a 64-bit hash of their folded words, so that a million documents need a few megabytes.

Shape letters: N documents of a split, C categories.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Literal

import numpy as np

from linnaea.config.task import DataConfig, TaskConfig
from linnaea.corpus.document import Document, Origin
from linnaea.corpus.labels import LabelResolver, read_off
from linnaea.corpus.policy import ErrorPolicy
from linnaea.corpus.readers import read_documents
from linnaea.corpus.statistics import CorpusStatistics, SharedTexts, SplitStatistics
from linnaea.errors import DataError
from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy

SplitName = Literal["train", "dev", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "dev", "test")
EXAMPLES = 3


def check_corpus(
    data: DataConfig,
    task: TaskConfig | None = None,
    taxonomy: Taxonomy | None = None,
    *,
    length: Callable[[Document], int] | None = None,
    limit: int | None = None,
    need_labels: bool = True,
    policy: ErrorPolicy | None = None,
) -> CorpusStatistics:
    """Read all splits once and count.

    Args:
        taxonomy: None: the categories are read off the labels of train (or of the first split there is).
        length: tokens (or characters) of a document; with ``limit``, the most that is read of one.
        need_labels: a document without labels is a problem.
        policy: None: all problems are collected, a thousand of them with their text.

    Raises:
        DataError: only as ``policy`` says.
    """
    task = task if task is not None else TaskConfig()
    policy = policy if policy is not None else ErrorPolicy("collect")
    seen: dict[str, _Seen] = {}
    found: dict[str, SplitStatistics] = {}
    resolver = None if taxonomy is None else LabelResolver.for_task(taxonomy, task)
    for name in SPLITS:
        if not data.files(name):
            continue
        before = (policy.left_out, policy.counts["not labelled"])
        split = seen[name] = _Seen.read(data.files(name), data, policy, need_labels, length, limit)
        if resolver is None and split.numbers:
            try:
                taxonomy = read_off(list(split.numbers), task)
                resolver = LabelResolver.for_task(taxonomy, task)
            except DataError as bad:
                policy.handle_file(bad.at(f"labels of {name}"))
        gold = None if resolver is None else split.gold(resolver, policy)
        found[name] = split.statistics(
            name, resolver, gold, policy, before, limit if length is not None else None
        )
    shared = [
        _shared(seen, name, other)
        for name in seen
        for other in SPLITS
        if other in seen and SPLITS.index(other) < SPLITS.index(name)
    ]
    return CorpusStatistics(
        taxonomy=taxonomy,
        splits=found,
        shared=tuple(s for s in shared if s.documents),
        problems=tuple(policy.problems),
        more=max(policy.left_out - sum(hasattr(p, "kind") for p in policy.problems), 0)
        if policy.mode == "collect"
        else 0,
        limit=limit if length is not None else None,
        dev_fraction=data.dev_fraction if data.train is not None and data.dev is None else None,
    )


class _Seen:
    """What is kept of each document of a split while it is read: a hash, label numbers, a place."""

    def __init__(self) -> None:
        self.hashes, self.files, self.lines = array("q"), array("i"), array("q")
        self.names: dict[str, int] = {}
        self.numbers: dict[str, int] = {}  # label string -> number
        self.labels, self.lengths = array("i"), array("i")  # length -1: not labelled
        self.empty = 0
        self.truncated = 0

    @classmethod
    def read(
        cls,
        files: list[str],
        data: DataConfig,
        policy: ErrorPolicy,
        need_labels: bool,
        length: Callable[[Document], int] | None,
        limit: int | None,
    ) -> _Seen:
        seen = cls()
        for document in read_documents(files, data, policy, need_labels=need_labels):
            seen.add(document)
            if length is not None and limit is not None and length(document) > limit:
                seen.truncated += 1
        return seen

    def add(self, document: Document) -> None:
        text = document.text if isinstance(document.text, str) else " ".join(document.text)
        words = text.casefold().split()
        self.empty += not words
        self.hashes.append(_hash(" ".join(words)) if words else 0)
        origin = document.origin or Origin("", 0)
        self.files.append(self.names.setdefault(origin.file, len(self.names)))
        self.lines.append(origin.line)
        if document.labels is None:
            self.lengths.append(-1)
            return
        self.lengths.append(len(document.labels))
        for label in document.labels:
            self.labels.append(self.numbers.setdefault(label, len(self.numbers)))

    def place(self, row: int) -> str:
        return f"{list(self.names)[self.files[row]]}:{self.lines[row]}"

    def gold(self, resolver: LabelResolver, policy: ErrorPolicy) -> Ragged:
        """Closed columns of the labelled documents whose labels can be used; the others go to the policy."""
        lengths_N = np.maximum(np.array(self.lengths, dtype=np.int64), 0)
        rows = Ragged.from_lengths(np.array(self.labels, dtype=np.int32), lengths_N)
        strings = list(self.numbers)
        bad = np.zeros(len(rows), dtype=bool)
        labelled = np.array(self.lengths, dtype=np.int64) >= 0
        for row in np.flatnonzero(self._suspects(resolver, rows, strings) & labelled).tolist():
            labels = tuple(strings[number] for number in rows[row])
            origin = Origin(list(self.names)[self.files[row]], self.lines[row])
            problem = resolver.problem(Document("", "", labels, origin=origin))
            if problem is not None:
                policy.handle(problem)
                bad[row] = True
        kept = rows.take(np.flatnonzero(labelled & ~bad))
        used = np.unique(kept.values)  # strings of left out documents cannot be resolved
        values = np.searchsorted(used, kept.values).astype(np.int32)
        return resolver.columns(Ragged(values, kept.offsets_N1), [strings[number] for number in used])

    def _suspects(self, resolver: LabelResolver, rows: Ragged, strings: list[str]) -> np.ndarray:
        """``[N]`` bool: the documents that need a second look."""
        if resolver.exactly_one or resolver.one_path:
            return np.ones(len(rows), dtype=bool)
        wrong_S = np.array([not resolver.knows(label) for label in strings], dtype=bool)
        suspects = np.zeros(len(rows), dtype=bool)
        suspects[rows.rows[wrong_S[rows.values]]] = True
        return suspects

    def statistics(
        self,
        name: str,
        resolver: LabelResolver | None,
        gold: Ragged | None,
        policy: ErrorPolicy,
        before: tuple[int, int],
        limit: int | None,
    ) -> SplitStatistics:
        lengths_N = np.array(self.lengths, dtype=np.int64)
        hashes = np.array(self.hashes, dtype=np.int64)
        hashes = hashes[hashes != 0]
        left_out = policy.left_out - before[0]
        unlabelled = int((lengths_N < 0).sum()) + policy.counts["not labelled"] - before[1]
        several, inner, specific, closed = (0, 0, 0.0, 0.0)
        if resolver is not None and gold is not None and len(gold):
            several, inner, specific, closed = _shape(gold, resolver.taxonomy)
        label_problems = 0 if gold is None else int((lengths_N >= 0).sum()) - len(gold)
        return SplitStatistics(
            name=name,
            documents=len(lengths_N) - label_problems,
            left_out=left_out,
            unlabelled=unlabelled,
            nowhere=int((lengths_N == 0).sum()),
            empty=self.empty,
            truncated=None if limit is None else self.truncated,
            most_specific=specific,
            closed=closed,
            several=several,
            inner=inner,
            repeated=len(hashes) - len(np.unique(hashes)),
            gold=gold,
            counts_C=None if gold is None or resolver is None else gold.counts(len(resolver.taxonomy)),
        )


def _hash(text: str) -> int:
    return (
        int.from_bytes(
            blake2b(text.encode("utf-8", "backslashreplace"), digest_size=8).digest(), "big", signed=True
        )
        or 1
    )


def _shape(gold: Ragged, taxonomy: Taxonomy) -> tuple[int, int, float, float]:
    """Documents with several most specific categories, with an inner one; mean most specific, mean closed."""
    closed = taxonomy.close(gold)
    rows, columns, width = closed.rows, closed.values.astype(np.int64), len(taxonomy)
    above = taxonomy.parents.take(columns)
    inner_keys = np.unique(np.repeat(rows, above.lengths_N) * width + above.values)
    specific = ~np.isin(rows * width + columns, inner_keys)
    each_N = np.bincount(rows[specific], minlength=len(gold))
    at_inner = specific & ~taxonomy.leaves_C[columns]
    inner = len(np.unique(rows[at_inner]))
    return int((each_N > 1).sum()), inner, float(each_N.mean()), float(closed.lengths_N.mean())


def _shared(seen: Mapping[str, _Seen], split: str, other: str) -> SharedTexts:
    mine, theirs = np.array(seen[split].hashes, dtype=np.int64), np.array(seen[other].hashes, dtype=np.int64)
    known, first = np.unique(theirs, return_index=True)
    both = np.flatnonzero(np.isin(mine, known) & (mine != 0))
    pairs = []
    for row in both[:EXAMPLES].tolist():
        partner = int(first[np.searchsorted(known, mine[row])])
        pairs.append((seen[split].place(row), seen[other].place(partner)))
    return SharedTexts(split, other, len(both), tuple(pairs))
