"""``linnaea init``: look at a corpus and write a config for it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from linnaea.commands.advice import better_told, no_labels
from linnaea.commands.delimiter import check_delimiter, find_delimiter, find_paths
from linnaea.commands.kinds import split_of
from linnaea.config.config import Config
from linnaea.config.presets import AIMS, PRESETS, CorpusFacts, preset_config
from linnaea.config.task import DataConfig, TaskConfig
from linnaea.corpus.check import check_corpus
from linnaea.corpus.document import Document
from linnaea.errors import DataError, UsageError, suggest
from linnaea.files import write_json
from linnaea.reporter import Reporter, Silent
from linnaea.taxonomy.readers import read_taxonomy
from linnaea.taxonomy.taxonomy import Taxonomy
from linnaea.text.facts import Texts

CORPUS_NAMES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".jsonl.gz", ".json.gz")
TAXONOMY_NAMES = (".tsv", ".txt", ".json", ".csv")


@dataclass(frozen=True)
class Written:
    """A config that was written, what was seen, and why it is as it is."""

    path: Path
    config: dict[str, Any]
    facts: CorpusFacts
    reasons: tuple[str, ...]

    def lines(self) -> list[str]:
        """For the terminal."""
        facts = self.facts
        return [
            f"{facts.documents:,} labelled documents, half of them up to {facts.median_tokens:,} tokens, "
            f"one in twenty {facts.long_tokens:,} or more; {facts.categories:,} "
            f"categor{'y' if facts.categories == 1 else 'ies'} on {facts.levels} level{'' if facts.levels == 1 else 's'}",
            *self.reasons,
            f"wrote {self.path}; next: linnaea train {self.path}",
        ]

    def to_json(self) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "facts": asdict(self.facts),
            "reasons": list(self.reasons),
            "config": self.config,
        }


def init(
    data: Path,
    *,
    preset: str = "balanced",
    aim: str = "both",
    taxonomy: Path | None = None,
    text: Sequence[str] = (),
    labels: str | None = None,
    separator: str | None = None,
    label_delimiter: str | None = None,
    output: Path = Path("config.json"),
    overwrite: bool = False,
    reporter: Reporter | None = None,
) -> Written:
    """Write a config for the corpus in ``data``: a folder with train, dev and test files, or the train file alone.

    Args:
        text, labels: names of the fields, where they are not the usual ones.
        separator: between the names of a path; None: the usual one.
        label_delimiter: between the labels in a cell of a table; None: told from the cells.

    Raises:
        UsageError: an unknown preset or aim; a folder without a train file; ``output`` is there already; a
            separator or a delimiter that no label holds.
        DataError: a broken document, an unknown label, a corpus without labels: with ``file:line``.
        TaxonomyError: the taxonomy is broken.
    """
    reporter = reporter or Silent()
    _known("--preset", preset, PRESETS)
    _known("--aim", aim, AIMS)
    if output.exists() and not overwrite:
        raise UsageError("exists already", where=str(output), hint="give --overwrite, or another --output")
    found = _files(data)
    beside = found.pop("taxonomy", None)
    taxonomy = beside if taxonomy is None else taxonomy
    reading: dict[str, Any] = _fields(text, labels)
    if label_delimiter is not None:
        reading["label_delimiter"] = label_delimiter
    between = {} if separator is None else {"separator": separator}
    files = {name: str(path) for name, path in found.items()}
    task = TaskConfig.read({**between, **({} if taxonomy is None else {"taxonomy": str(taxonomy)})}, "task")
    known = None if taxonomy is None else read_taxonomy(str(taxonomy), task.taxonomy_format, task.separator)
    delimiter, read = None, DataConfig.read({**files, **reading}, "data")
    if label_delimiter is None:
        delimiter = find_delimiter(read, task, known)
    else:
        check_delimiter(read)
    if delimiter is not None and delimiter.sign is not None:
        reading["label_delimiter"] = delimiter.sign
    facts, note = _look(DataConfig.read({**files, **reading}, "data"), task, known, reporter)
    chosen = preset_config(facts, preset, aim)  # type: ignore[arg-type]  # both are known
    parts = {**chosen.parts, "run": {"dir": f"runs/{_name(data)}-{preset}", "seed": 1}}
    parts["task"] = {**parts["task"], **between}
    Config.build(_config(parts, found, reading, taxonomy, str))
    config = _config(parts, found, reading, taxonomy, lambda path: _from(output, path))
    write_json(output, config)
    said = [] if delimiter is None else [delimiter.line]
    if note is not None and (delimiter is None or delimiter.sign is not None):
        said.append(note)
    return Written(output, config, facts, (*said, *chosen.reasons))


def _config(
    parts: dict[str, Any],
    files: dict[str, Path],
    reading: dict[str, Any],
    taxonomy: Path | None,
    place: Callable[[Path], str],
) -> dict[str, Any]:
    """The config, with paths as ``place`` says them."""
    named = {} if taxonomy is None else {"taxonomy": place(taxonomy)}
    return {
        "task": {**parts["task"], **named},
        "data": {**{name: place(path) for name, path in files.items()}, **reading},
        **{key: part for key, part in parts.items() if key != "task"},
    }


def _fields(text: Sequence[str], labels: str | None) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if text:
        fields["text"] = text[0] if len(text) == 1 else list(text)
    if labels is not None:
        fields["labels"] = labels
    return {"fields": fields} if fields else {}


def _known(where: str, name: str, known: Sequence[str]) -> None:
    if name not in known:
        hint = suggest(name, known) or f"known: {', '.join(known)}"
        raise UsageError(f"there is no {where.lstrip('-')} {name!r}", where=where, hint=hint)


def _files(data: Path) -> dict[str, Path]:
    """The files of a corpus by what they hold, as their names say."""
    if data.is_file():
        return {"train": data}
    if not data.exists():
        raise UsageError("no such file or folder", where=str(data))
    found: dict[str, Path] = {}
    for path in sorted(data.iterdir()):
        stem = path.name.partition(".")[0].lower()
        if path.is_file() and stem == "taxonomy" and path.name.endswith(TAXONOMY_NAMES):
            found.setdefault("taxonomy", path)
        split = split_of(path)
        if split is None or not path.is_file() or not path.name.endswith(CORPUS_NAMES):
            continue
        if split in found:
            problem = f"two files of {split}: {found[split].name} and {path.name}"
            raise UsageError(
                problem, where=str(data), hint="name the train file, or write data in the config"
            )
        found[split] = path
    if "train" not in found:
        hint = f"call it train{CORPUS_NAMES[0]}, or name the file"
        raise UsageError("holds no file of train", where=str(data), hint=hint)
    return {name: found[name] for name in ("train", "dev", "test", "taxonomy") if name in found}


def _look(
    data: DataConfig, task: TaskConfig, taxonomy: Taxonomy | None, reporter: Reporter
) -> tuple[CorpusFacts, str | None]:
    """One pass over all documents, and what to say of labels like paths; nothing is chosen by documents of test."""
    texts = Texts(reporter)
    written: set[str] = set()

    def read(document: Document) -> int:
        written.update(document.labels or ())
        return 0

    def heard(document: Document) -> int:
        texts.add(document)
        return read(document)

    found = check_corpus(data.model_copy(update={"test": None}), task, taxonomy, length=heard, limit=2**31)
    problems = list(found.problems)
    if found.taxonomy is not None and data.files("test"):
        alone = data.model_copy(update={"train": None, "dev": None})
        problems += check_corpus(alone, task, found.taxonomy, length=read, limit=2**31).problems
    train, dev = found.splits["train"], found.splits.get("dev")
    if problems and not (getattr(problems[0], "kind", "") == "not labelled" and not train.documents):
        raise better_told(problems[0], data, task, found.taxonomy, taxonomy is not None, written)
    if found.taxonomy is None or train.counts_C is None or not train.counts_C.any():
        raise no_labels(data)
    if task.given("separator") and taxonomy is None and found.taxonomy.depth == 1:
        raise UsageError(f"{task.separator!r} stands in no label of train", where="--separator")
    _check_differ(found.taxonomy, train.counts_C, train.documents, ", ".join(data.files("train")))
    splits = [train] if dev is None else [train, dev]
    only = sum(int(split.counts_C[0]) for split in splits if split.counts_C is not None)
    paths = find_paths(found.taxonomy.ids) if taxonomy is None and found.taxonomy.depth == 1 else None
    note = None if paths is None else paths.told("--separator ")
    facts = texts.facts(
        documents=sum(split.documents for split in splits),
        categories=len(found.taxonomy),
        levels=found.taxonomy.depth,
        single=not train.several and not train.nowhere,
        inner=train.inner,
        positives=only if len(found.taxonomy) == 1 else None,
    )
    return facts, note


def _check_differ(taxonomy: Taxonomy, counts_C: np.ndarray, documents: int, where: str) -> None:
    """Refuse documents that have all the same labels.

    Raises:
        DataError: they have.
    """
    if not np.isin(counts_C, (0, documents)).all():
        return
    labels = [taxonomy.ids[column] for column in np.flatnonzero(counts_C)]
    which = (
        f"the label {labels[-1]!r} alone" if len(labels) == 1 else f"the same labels ({', '.join(labels)})"
    )
    hint = "give documents without it, too: with labels []" if len(labels) == 1 else None
    problem = f"all {documents:,} documents have {which}: nothing can be learned"
    raise DataError(problem, where=where, hint=hint)


def _from(output: Path, path: Path) -> str:
    """A path as the config at ``output`` says it: from its folder, where that is possible."""
    try:
        return Path(os.path.relpath(path.resolve(), output.resolve().parent)).as_posix()
    except ValueError:  # another drive
        return str(path.resolve())


def _name(data: Path) -> str:
    name = data.resolve().name if data.is_dir() else data.resolve().parent.name
    return re.sub(r"[^\w.-]+", "-", name) or "corpus"
