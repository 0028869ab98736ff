"""The corpus of a model that grows: documents labelled under older taxonomies and new ones, as one corpus.

Each generation of documents was labelled under the taxonomy of its time. Labels are looked up there, under its rules,
and what they name goes through all changes since: renamed and moved categories are themselves, those of a removed one
belong to its parents. Only then they are closed, under the newest taxonomy. Where the first generation had its dev part
split off train, that very split is made again, and one of each further generation's documents.

Vocabularies are those of the model, where there is one: nothing is counted anew.

Shape letters: N documents, S distinct label strings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Self

import numpy as np

from linnaea.config.config import Config
from linnaea.corpus.labels import LabelResolver
from linnaea.corpus.policy import ErrorPolicy
from linnaea.corpus.split import stratified_split
from linnaea.errors import DataError, UsageError
from linnaea.files import read_json
from linnaea.ragged import Ragged
from linnaea.run_folder import RunFolder
from linnaea.shapes import FLAG, OBJECT, TEXT, check
from linnaea.taxonomy.change import Change
from linnaea.taxonomy.taxonomy import Taxonomy
from linnaea.text.build import stored_columns, told
from linnaea.text.cache import Progress, Source, load
from linnaea.text.columns import Columns
from linnaea.text.featurizer import Featurizer
from linnaea.text.gold import check_task, resolve
from linnaea.text.store import Corpus, Picked, Split
from linnaea.text.workers import Job

NAMES = ("train", "dev", "test")
_GENERATION = {
    "taxonomy": OBJECT,
    "renames": {"*": TEXT},
    "files": {name: [TEXT] for name in NAMES},
}
_RECORD = {
    "model": {"path": TEXT, "digest": TEXT},
    "descendants": FLAG,
    "train_all": FLAG,
    "generations": [_GENERATION],
    "fitted?": [TEXT],
}


@dataclass(frozen=True, eq=False)
class Generation:
    """Documents that were labelled under one taxonomy.

    Attributes:
        files: by split.
        renames: ids of the generation before to ids of this one.
    """

    taxonomy: Taxonomy
    files: Mapping[str, tuple[str, ...]]
    renames: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        files = {name: list(self.files.get(name, ())) for name in NAMES}
        return {"taxonomy": self.taxonomy.to_json(), "renames": dict(self.renames), "files": files}

    @classmethod
    def from_json(cls, value: Any, where: str) -> Self:
        """What :meth:`to_json` gave.

        Raises:
            DataError: broken.
        """
        check(value, _GENERATION, where)
        files = {name: tuple(value["files"][name]) for name in NAMES}
        return cls(Taxonomy.from_json(value["taxonomy"], where), files, dict(value["renames"]))


def read_record(run: RunFolder) -> dict[str, Any]:
    """The content of ``growth.json``, by which a model that grew can grow again.

    Raises:
        DataError: missing, broken or of the wrong shape.
    """
    where, hint = str(run.growth), "grow the older model once more: linnaea grow ... --overwrite"
    record: dict[str, Any] = check(read_json(run.growth, hint=hint), _RECORD, where, hint=hint)
    if len(record["generations"]) < 2:
        raise DataError("generations must be two at least", where=where, hint=hint)
    return record


def changes_of(generations: Sequence[Generation]) -> list[Change]:
    """What lies between each generation and the next."""
    return [Change.between(a.taxonomy, b.taxonomy, b.renames) for a, b in pairwise(generations)]


def grown_corpus(
    config: Config,
    featurizer: Featurizer | None,
    generations: Sequence[Generation],
    *,
    policy: ErrorPolicy,
    progress: Progress | None = None,
) -> Corpus:
    """All documents, encoded as the model encodes them, with gold under the newest taxonomy.

    Args:
        config: how documents are read, and the rules of the task.
        featurizer: the model's; None: what it would be for these documents, counted anew.
        generations: the first has files of train.
        policy: what happens to broken documents.

    Raises:
        DataError: a broken file or document, an unknown label, an id that stands twice: with ``file:line``.
        TaxonomyError: the task cannot have the newest taxonomy.
        UsageError: labels mean written paths, and categories have several parents.
    """
    newest = generations[-1].taxonomy
    check_task(newest, config.task)
    if config.task.gold_closure == "path" and not all(g.taxonomy.is_tree for g in generations):
        problem = (
            "labels that mean their written path cannot be carried over where categories have several parents"
        )
        raise UsageError(problem, where="task.closure")
    warnings: dict[str, None] = {}
    changes, splits = changes_of(generations), {}
    for name in NAMES:
        files = [file for generation in generations for file in generation.files.get(name, ())]
        if not files:
            continue
        job = Job(config.data, config.input, stored_columns(config.input), need_labels=True)
        columns = load(
            Source(tuple(files), job, name), policy, progress, lambda message: warnings.setdefault(message)
        )
        parts = []
        for number, generation in enumerate(generations):
            rows_N = _rows_of(columns, generation.files.get(name, ()))
            if len(rows_N):
                part = _Part(config, columns, rows_N, generation, changes[number:], policy, name)
                splits_dev = name == "train" and not generations[0].files.get("dev")
                parts += [part.split(optional=number > 0)] if splits_dev else [[(name, *part.whole())]]
        for target, rows_N, gold in _joined(parts):
            if featurizer is None:  # train comes first
                featurizer = Featurizer.fit(config.input, columns, rows_N)
            splits[target] = _kept(featurizer.split(columns).take(rows_N), gold, config, target, warnings)
    if featurizer is None or "train" not in splits or not len(splits["train"]):
        raise DataError("no document to train on is left")
    corpus = Corpus(newest, featurizer, splits["train"], splits.get("dev"), splits.get("test"))
    return told(corpus, list(warnings))


Piece = tuple[str, np.ndarray, Ragged]  # the split it belongs to, rows of the columns, their gold


class _Part:
    """The documents of one generation in the columns of a split."""

    def __init__(
        self, config: Config, columns: Columns, rows_N: np.ndarray, generation: Generation,
        changes: Sequence[Change], policy: ErrorPolicy, name: str,
    ) -> None:  # fmt: skip
        self.config, self.taxonomy, self.changes = config, generation.taxonomy, changes
        labels, written = columns.values["label"].take(rows_N), columns.tables["label"]
        # Strings of other generations may mean nothing in this one's taxonomy.
        used, place = np.unique(labels.values, return_inverse=True)
        labels = Ragged(place.astype(np.int32), labels.offsets_N1)
        self.strings = [written[int(number)] for number in used]
        part = replace(
            columns,
            values={"label": labels},
            tables={"label": self.strings},
            ids=Picked(columns.ids, rows_N),
            places=columns.places[rows_N],
        )
        self.resolver = LabelResolver.for_task(self.taxonomy, config.task)
        self.former, kept = resolve(part, self.resolver, policy, name)
        self.rows_N = rows_N if kept is None else rows_N[kept]
        self.labels = labels if kept is None else labels.take(kept)

    def whole(self) -> tuple[np.ndarray, Ragged]:
        """Its rows, and their gold under the newest taxonomy."""
        if not self.changes:
            return self.rows_N, self.former
        table: list[list[int]] = [[] for _ in self.strings]
        for number in np.unique(self.labels.values).tolist():
            table[number] = self._meaning(self.strings[number])
        taken = Ragged.from_rows(table).take(self.labels.values)
        rows = np.repeat(self.labels.rows, taken.lengths_N)
        return self.rows_N, Ragged.from_pairs(rows, taken.values, len(self.rows_N))

    def split(self, *, optional: bool) -> list[Piece]:
        """The same as train and dev, split as a training under its own taxonomy splits them.

        Args:
            optional: without a dev part where it cannot be split.
        """
        rows_N, gold = self.whole()
        fraction, seed = self.config.data.dev_fraction, self.config.run.seed
        try:
            kept, part = stratified_split(self.former, len(self.taxonomy), fraction, seed)
        except DataError as error:
            if optional:
                return [("train", rows_N, gold)]
            raise error.at("data.dev") from None
        return [("train", rows_N[kept], gold.take(kept)), ("dev", rows_N[part], gold.take(part))]

    def _meaning(self, label: str) -> list[int]:
        """Columns of the newest taxonomy, closed."""
        ends = {self.resolver.find(label)}
        for change in self.changes:
            ends = {heir for end in ends for heir in change.heirs[end]}
        newest = self.changes[-1].new
        if self.config.task.gold_closure == "none":
            return sorted(ends)
        return sorted({int(column) for end in ends for column in newest.ancestors[end]})


def _rows_of(columns: Columns, files: Iterable[str]) -> np.ndarray:
    """The documents that come from ``files``."""
    wanted = set(files)
    numbers = [number for number, file in enumerate(columns.files) if file in wanted]
    return np.flatnonzero(np.isin(columns.places["file"], numbers))


def _joined(parts: Sequence[Sequence[Piece]]) -> list[Piece]:
    """The pieces of all generations, put together by split."""
    found: list[Piece] = []
    for name in NAMES:
        own = [piece for part in parts for piece in part if piece[0] == name]
        if own:
            rows_N = np.concatenate([rows for _, rows, _ in own])
            found.append((name, rows_N, Ragged.concatenate([gold for _, _, gold in own])))
    return found


def _kept(split: Split, gold: Ragged, config: Config, name: str, warnings: dict[str, None]) -> Split:
    """The documents with their gold, without those that lost the one category that they must have."""
    split = split.with_labels(gold)
    if config.task.type != "multiclass" or bool((gold.lengths_N == 1).all()):
        return split
    kept = np.flatnonzero(gold.lengths_N == 1)
    lost = len(gold) - len(kept)
    warnings.setdefault(f"{lost:,} documents of {name} were of removed categories and are left out")
    return split.take(kept)
