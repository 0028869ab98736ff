"""``linnaea check``: configs, taxonomies, corpora, run and model folders without training; every problem with its
place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from linnaea.commands.kinds import Kind, kind_of, split_of
from linnaea.config.config import Config
from linnaea.config.encoders_pretrained import PretrainedConfig
from linnaea.config.levels import check_levels
from linnaea.config.neuralclassifier import Conversion
from linnaea.config.promises import promises
from linnaea.config.registry import tokenizers
from linnaea.config.task import DataConfig, InputConfig, PretrainedTokenizerConfig, TaskConfig
from linnaea.corpus.check import check_corpus
from linnaea.corpus.chunks import format_of
from linnaea.corpus.document import Document
from linnaea.corpus.split import stratified_split
from linnaea.corpus.statistics import CorpusStatistics
from linnaea.decision.enough import check_promise
from linnaea.errors import ConfigError, DataError, LinnaeaError, UsageError
from linnaea.reporter import Reporter, Silent
from linnaea.taxonomy.readers import find_problems, read_taxonomy
from linnaea.taxonomy.render import summary
from linnaea.taxonomy.taxonomy import Taxonomy
from linnaea.text.pretrained import TOKENIZER, Pieces, TransformerFolder, is_hub_name, read_pieces


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
    """Check every path: config, taxonomy, corpus file, run or model folder. A taxonomy among them serves the corpus
    files beside it.
    """
    reporter = reporter or Silent()
    sections: list[Section] = []
    taxonomy: Taxonomy | None = None
    corpora: list[Section] = []
    for path in paths:
        section = Section(str(path), "corpus")
        sections.append(section)
        if path.is_dir():
            _check_folder(path, section, reporter)
            continue
        try:
            section.kind = kind_of(path)
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
        _check_file(section, taxonomy)
    return CheckReport(sections)


def _check_folder(path: Path, section: Section, reporter: Reporter) -> None:
    model = path if (path / "model.json").is_file() else path / "model"
    section.kind = "model" if model == path else "run" if (path / "config.json").is_file() else "folder"
    if section.kind == "folder":
        hint = "name files, a run folder or a model folder"
        section.problems.append(UsageError("is a folder, but of no run or model", where=str(path), hint=hint))
        return
    if section.kind == "run":
        _check_config(path / "config.json", section, reporter)
    if not model.is_dir():
        section.warnings.append("this run has no model yet: it has not finished")
        return
    from linnaea.model.folder import verify

    try:
        about = verify(model)
    except LinnaeaError as error:
        section.problems.append(error)
        return
    found = f"model of Linnaea {about['linnaea']}: {len(about['files'])} files, all as they were written"
    section.found.append(found)


def _check_file(section: Section, taxonomy: Taxonomy | None) -> None:
    """A corpus file that no config names. Plain text is there to be predicted: it needs no labels."""
    name = split_of(Path(section.path))
    data = DataConfig.read({name or "train": section.path})
    try:
        text = format_of(section.path) == "text"
    except DataError:
        text = False
    if text:
        section.found.append("plain text: no labels, so for prediction only")
    known = None if text else taxonomy
    _check_data(section, data, TaskConfig(), known, None, need_labels=not text, alone=name or "file")


def _check_config(path: Path, section: Section, reporter: Reporter) -> None:
    try:
        config = Config.load(path, converted=lambda conversion: _add_conversion(section, conversion))
    except LinnaeaError as error:
        section.problems.append(error)
        return
    strategy = config.training.strategy
    network = config.model.names
    section.found.append(
        f"{config.task.type} task, {strategy.type} strategy" + (f", {network}" if strategy.network else "")
    )
    taxonomy = None
    if config.task.taxonomy is not None:
        taxonomy = _check_taxonomy(config.task.taxonomy, section, config.task)
    for key, path_of in config.model.embedder.vector_files.items() if strategy.network else ():
        if not Path(path_of).is_file():
            section.problems.append(DataError("no such file", where=path_of, hint=f"model.embedder.{key}"))
    if strategy.network and isinstance(config.model.encoder, PretrainedConfig):
        _check_transformer(config.model.encoder.path, section)
    if not config.data.files("train"):
        section.warnings.append("data.train names no file: documents must come from Python")
    if config.task.taxonomy is None or taxonomy is not None:
        reporter.progress("checking", 0)
        _check_data(section, config.data, config.task, taxonomy, config.input)
        _check_fit(config, section)


def _check_fit(config: Config, section: Section) -> None:
    """Told by what was counted: parts that go along edges that are not there, promises of too few documents."""
    counted = section.statistics
    if counted is None or counted.taxonomy is None:
        return
    try:
        check_levels(config, counted.taxonomy.depth, of_labels=config.task.taxonomy is None)
        if promises(config):
            _check_promise(config, counted, len(counted.taxonomy))
    except (ConfigError, DataError) as error:
        section.problems.append(error)


def _check_promise(config: Config, counted: CorpusStatistics, columns: int) -> None:
    """By the documents that training will have; a dev that is set aside is set aside here, too."""
    train, dev = (
        None if split is None else split.gold for split in map(counted.splits.get, ("train", "dev"))
    )
    if train is None or not len(train):
        return
    if config.data.dev is None:
        try:
            rest, part = stratified_split(train, columns, config.data.dev_fraction, config.run.seed)
        except DataError as error:
            raise error.at("data.dev") from None
        train, dev = train.take(rest), train.take(part)
    check_promise(config, train, dev, columns)


def _check_transformer(path: str, section: Section) -> None:
    if is_hub_name(path):
        problem = f"{path} is no folder here: it is looked for on the hub when training begins"
        section.warnings.append(f"model.encoder.path: {problem}")
        return
    try:
        folder = TransformerFolder.open(path)
        Pieces.read(folder.path / TOKENIZER)
    except LinnaeaError as error:
        section.problems.append(error)


def _add_conversion(section: Section, conversion: Conversion) -> None:
    section.found += ["a config of NeuralClassifier; here it is", *conversion.table().splitlines()]
    section.warnings += conversion.warnings


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
    *,
    need_labels: bool = True,
    alone: str | None = None,
) -> None:
    """Count and check documents.

    Args:
        alone: what to call them, if they are of a single file that no config names.
    """
    if not any(data.files(split) for split in ("train", "dev", "test")):
        return
    length, limit = _length(reading) if reading is not None else (None, None)
    statistics = check_corpus(data, task, taxonomy, length=length, limit=limit, need_labels=need_labels)
    if alone is not None:  # nothing is split off it
        only = next(iter(statistics.splits.values()), None)
        splits = {} if only is None else {alone: replace(only, name=alone)}
        statistics = replace(statistics, dev_fraction=None, splits=splits)
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
    if isinstance(reading.tokenizer, PretrainedTokenizerConfig):
        return _pieces(reading.tokenizer), reading.max_tokens
    cut = tokenizers.build(reading.tokenizer)
    return (lambda d: len(cut(d.text)) if isinstance(d.text, str) else len(d.text)), reading.max_tokens


def _pieces(tokenizer: PretrainedTokenizerConfig) -> Callable[[Document], int] | None:
    """Pieces of a document; None where the tokenizer is not at hand."""
    if is_hub_name(tokenizer.path):
        return None
    try:
        pieces = read_pieces(tokenizer)
    except LinnaeaError:
        return None  # told already
    return lambda document: len(pieces.rows([document.text])[0])
