"""``linnaea check``: configs, taxonomies and corpora without training; every problem with its place."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from linnaea.commands.reporter import Reporter, Silent
from linnaea.config.config import Config
from linnaea.config.registry import tokenizers
from linnaea.config.task import DataConfig, InputConfig, TaskConfig
from linnaea.corpus.check import check_corpus
from linnaea.corpus.document import Document
from linnaea.corpus.statistics import CorpusStatistics
from linnaea.errors import DataError, LinnaeaError, UsageError
from linnaea.files import open_bytes
from linnaea.taxonomy.readers import find_problems, read_taxonomy
from linnaea.taxonomy.render import summary
from linnaea.taxonomy.taxonomy import Taxonomy

Kind = Literal["config", "taxonomy", "corpus"]


@dataclass
class Section:
    """What was found in one of the paths."""

    path: str
    kind: Kind
    found: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    problems: list[LinnaeaError] = field(default_factory=list)
    more: int = 0
    statistics: CorpusStatistics | None = None


@dataclass
class CheckReport:
    """All sections; ``exit_code`` is that of the gravest problem's kind: 2 config, 3 data or taxonomy, 0 none."""

    sections: list[Section]

    @property
    def exit_code(self) -> int:
        codes = [problem.exit_code for section in self.sections for problem in section.problems]
        return min(codes, default=0)

    def lines(self) -> list[str]:
        """For the terminal."""
        lines: list[str] = []
        for section in self.sections:
            lines += [f"{section.path} ({section.kind})", *(f"  {line}" for line in section.found)]
            lines += [f"  note: {warning}" for warning in section.warnings]
            lines += [f"  error: {problem}" for problem in section.problems]
            if section.more:
                lines.append(f"  and {section.more:,} more problems")
            if not section.problems:
                lines.append("  no problems")
        return lines

    def to_json(self) -> dict[str, Any]:
        sections = [
            {
                "path": section.path,
                "kind": section.kind,
                "problems": [
                    {"where": p.where, "problem": p.message, "hint": p.hint} for p in section.problems
                ],
                "problems_not_shown": section.more,
                "warnings": section.warnings,
                "statistics": section.statistics.to_json() if section.statistics is not None else None,
            }
            for section in self.sections
        ]
        return {"ok": self.exit_code == 0, "checked": sections}


def check(paths: Sequence[Path], *, reporter: Reporter | None = None) -> CheckReport:
    """Check every path. A taxonomy among them serves the corpus files beside it.

    Raises:
        UsageError: a path is a folder.
    """
    reporter = reporter or Silent()
    sections: list[Section] = []
    taxonomy: Taxonomy | None = None
    corpora: list[Section] = []
    for path in paths:
        if path.is_dir():
            raise UsageError("is a folder; name files", where=str(path))
        section = Section(str(path), "corpus")
        sections.append(section)
        try:
            section.kind = _kind(path)
        except LinnaeaError as error:
            section.problems.append(error)
            continue
        if section.kind == "config":
            _check_config(path, section, reporter)
        elif section.kind == "taxonomy":
            taxonomy = _check_taxonomy(str(path), section) or taxonomy
        else:
            corpora.append(section)
    for section in corpora:
        data = DataConfig(train=section.path)
        _check_data(section, data, TaskConfig(), taxonomy, None)
    return CheckReport(sections)


def _kind(path: Path) -> Kind:
    """By the name, and where that leaves it open by what the file begins with."""
    name = path.name.removesuffix(".gz")
    if name.endswith((".jsonl", ".ndjson", ".txt", ".parquet")):
        with open_bytes(path):
            return "corpus"
    with open_bytes(path) as file:
        start = file.read(1 << 16).decode("utf-8-sig", "replace")
    if name.endswith(".json"):
        try:
            value = json.loads(start.splitlines()[0]) if start.strip() else {}
        except ValueError:
            value = None
        if isinstance(value, dict) and value and not set(value) & set(Config.model_fields):
            return "corpus" if "\n" in start.strip() else "taxonomy"
        return "config" if start.lstrip().startswith("{") and '"nodes"' not in start else "taxonomy"
    if name.endswith((".csv", ".tsv")):
        delimiter = "," if name.endswith(".csv") else "\t"
        header = (
            {cell.strip().strip('"') for cell in start.splitlines()[0].split(delimiter)}
            if start.strip()
            else set()
        )
        return "corpus" if header & {"text", "doc_token", "labels", "doc_label"} else "taxonomy"
    return "taxonomy"


def _check_config(path: Path, section: Section, reporter: Reporter) -> None:
    try:
        config = Config.load(path)
    except LinnaeaError as error:
        section.problems.append(error)
        return
    strategy = config.training.strategy
    network = f"{config.model.embedder.type} + {config.model.encoder.type} + {config.model.head.type}"
    section.found.append(
        f"{config.task.type} task, {strategy.type} strategy" + (f", {network}" if strategy.network else "")
    )
    taxonomy = None
    if config.task.taxonomy is not None:
        taxonomy = _check_taxonomy(config.task.taxonomy, section, config.task)
    pretrained = getattr(config.model.embedder, "pretrained", None) if strategy.network else None
    if pretrained is not None and not Path(pretrained).is_file():
        section.problems.append(DataError("no such file", where=pretrained, hint="model.embedder.pretrained"))
    if not config.data.files("train"):
        section.warnings.append("data.train names no file: documents must come from Python")
    if config.task.taxonomy is None or taxonomy is not None:
        reporter.progress("checking", 0)
        _check_data(section, config.data, config.task, taxonomy, config.input)


def _check_taxonomy(path: str, section: Section, task: TaskConfig | None = None) -> Taxonomy | None:
    task = task or TaskConfig()
    problems = find_problems(path, task.taxonomy_format, task.separator)
    section.problems += problems
    if problems:
        return None
    taxonomy = read_taxonomy(path, task.taxonomy_format, task.separator)
    section.found += list(summary(taxonomy))
    return taxonomy


def _check_data(
    section: Section,
    data: DataConfig,
    task: TaskConfig,
    taxonomy: Taxonomy | None,
    reading: InputConfig | None,
) -> None:
    if not any(data.files(split) for split in ("train", "dev", "test")):
        return
    length, limit = _length(reading) if reading is not None else (None, None)
    statistics = check_corpus(data, task, taxonomy, length=length, limit=limit)
    section.statistics = statistics
    section.found += [line for line in statistics.lines() if not line.startswith("note: ")]
    section.warnings += statistics.warnings()
    section.problems += statistics.problems
    section.more += statistics.more


def _length(reading: InputConfig) -> tuple[Callable[[Document], int] | None, int | None]:
    """How long a document is in what is read of it, and the most that is read."""
    if "char" in reading.features:
        return (
            lambda d: len(d.text) if isinstance(d.text, str) else sum(map(len, d.text))
        ), reading.max_characters
    cut = tokenizers.build(reading.tokenizer)
    return (lambda d: len(cut(d.text)) if isinstance(d.text, str) else len(d.text)), reading.max_tokens
