"""``linnaea train``: the whole way from a config to a run folder: corpus, fit, thresholds, model, test scores."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from linnaea.commands.beside import baseline_of
from linnaea.commands.convert import tell_conversion
from linnaea.commands.fitting import Result, fit
from linnaea.config.config import Config, in_file
from linnaea.config.neuralclassifier import Conversion
from linnaea.config.percategory import EXECUTORS, PerCategoryStrategyConfig
from linnaea.config.registry import metrics as further
from linnaea.corpus.policy import ErrorPolicy
from linnaea.errors import ConfigError, UsageError, suggest
from linnaea.files import read_json, write_json
from linnaea.metrics.kept import read_metrics
from linnaea.report.page import write_report
from linnaea.reporter import Reporter, Silent
from linnaea.run_folder import RunFolder
from linnaea.shapes import OBJECT, check
from linnaea.strategies.build import build_strategy
from linnaea.strategies.classweights import keep_weights, with_weights
from linnaea.taxonomy.taxonomy import Taxonomy
from linnaea.text.build import build_corpus, corpus_from_documents
from linnaea.text.store import Corpus
from linnaea.training.listeners import listened


def train(
    config: Config | Path | str | dict[str, Any],
    settings: Sequence[str] = (),
    *,
    resume: bool = False,
    overwrite: bool = False,
    taxonomy: Taxonomy | None = None,
    train: Iterable[Any] | None = None,
    dev: Iterable[Any] | None = None,
    test: Iterable[Any] | None = None,
    executor: str | None = None,
    reporter: Reporter | None = None,
) -> Result:
    """Train as the config says, evaluate on test (dev where there is none), write the run folder.

    Args:
        config: a config file, its content, or a ``Config``.
        settings: ``a.b=value`` each, as ``--set``.
        executor: in place of the config's ``training.strategy.executor``.
        taxonomy, train, dev, test: documents (and taxonomy) from Python instead of the config's files: ``Document`` s,
            dictionaries, a pandas or an Arrow table.

    Raises:
        LinnaeaError: see ``errors.py``; nothing is written before config and run folder are checked.
    """
    reporter = reporter or Silent()
    conversions: list[Conversion] = []
    file = Path(config) if isinstance(config, (str, Path)) else None
    config = _config(config, settings, conversions)
    if executor is not None:
        config = _executed_by(executor, config)
    if train is None and not config.data.files("train"):
        raise in_file(file, ConfigError("names no training documents", where="data.train"))
    documents = None if train is None else (taxonomy, *(_again(part) for part in (train, dev, test)))
    if _helps(config):
        # The first process answers for the folder, the messages and the results; the others only compute.
        run = RunFolder(Path(config.run.dir))
        if not config.training.strategy.network:
            return Result(run, {}, main_process=False)
        return _train(config, documents, run, resume, Silent())
    for conversion in conversions:
        tell_conversion(conversion, reporter)
    place = Path(config.run.dir)
    with RunFolder.open(place, resume=resume, overwrite=overwrite) as run, listened(config.run, run):
        try:
            return _train(config, documents, run, resume, reporter)
        except ConfigError as error:  # some problems of a config show only where its parts are built
            raise in_file(file, error) from error.__cause__


def _train(
    config: Config, documents: tuple[Any, ...] | None, run: RunFolder, resume: bool, reporter: Reporter
) -> Result:
    if resume and run.begun:
        finished = _finished(run, config, reporter)
        if finished is not None:
            return finished
        if run.growth.is_file():  # trained from here, all that was kept of the older model would be lost
            hint = "linnaea grow ... --resume, with all that it was called with"
            raise UsageError(
                "this run is of `linnaea grow`, and not finished", where=str(run.path), hint=hint
            )
    on_error = config.data.on_error
    if not _helps(config):
        write_json(run.config, config.dump())
    elif on_error == "quarantine":
        on_error = "skip"
    for metric in config.evaluation.metrics:
        further.module(metric.type)  # refuses one without a module while nothing is lost yet
    config, weights = with_weights(config, run.path if resume else None)
    strategy = build_strategy(config)  # refuses a missing device or file before a document is read
    policy = ErrorPolicy(on_error, run.quarantine if on_error == "quarantine" else None)

    def read(as_said: Config, policy: ErrorPolicy) -> Corpus:
        if documents is not None:
            return corpus_from_documents(as_said, *documents, policy=policy)
        return build_corpus(as_said, policy=policy, progress=reporter.progress)

    corpus = read(config, policy)
    _tell_corpus(corpus, policy, reporter)
    keep_weights(weights, corpus.taxonomy, None if _helps(config) else run.path)
    beside = baseline_of(config, run, lambda other: read(other, ErrorPolicy(other.data.on_error)), reporter)
    return fit(
        config, corpus, run, resume=resume, reporter=reporter, strategy=strategy, beside=beside, page=True
    )


def _again(documents: Any) -> Any:
    """``documents`` so that they can be read twice: for the run, and for the baseline beside it."""
    return list(documents) if isinstance(documents, Iterator) else documents


def _helps(config: Config) -> bool:
    """Whether this is one of a distributed run's further processes (torchrun, or ``run.devices``)."""
    devices = config.run.devices
    several = (devices if isinstance(devices, int) else len(devices)) > 1
    if not several and int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return False  # jobs side by side under a scheduler are runs of their own
    ranks = (os.environ[key] for key in ("RANK", "SLURM_PROCID", "LOCAL_RANK") if key in os.environ)
    return next(ranks, "0") != "0"


def _config(
    config: Config | Path | str | dict[str, Any], settings: Sequence[str], conversions: list[Conversion]
) -> Config:
    if isinstance(config, Config):
        return config if not settings else Config.build_with(config.dump(), settings)
    if isinstance(config, dict):
        return Config.build_with(config, settings, converted=conversions.append)
    return Config.load(config, settings, converted=conversions.append)


def _executed_by(name: str, config: Config) -> Config:
    """``config`` with another executor of the strategy per_category.

    Raises:
        UsageError: it has another strategy, or there is no such executor.
    """
    strategy = config.training.strategy
    if not isinstance(strategy, PerCategoryStrategyConfig):
        raise UsageError(
            f"acts only under the strategy 'per_category', not under {strategy.type!r}",
            where="--executor", hint="leave it out",
        )  # fmt: skip
    if name not in EXECUTORS:
        known = suggest(name, EXECUTORS) or f"known: {', '.join(EXECUTORS)}"
        raise UsageError(f"there is no executor {name!r}", where="--executor", hint=known)
    workers = strategy.workers if name in ("auto", "local") else None
    changed = strategy.model_copy(update={"executor": name, "workers": workers})
    return config.model_copy(update={"training": config.training.model_copy(update={"strategy": changed})})


def _finished(run: RunFolder, config: Config, reporter: Reporter) -> Result | None:
    """The result of a run that is finished already; a run of another config is refused."""
    hint = "give --overwrite to start again"
    before = _decisive(check(read_json(run.config, hint=hint), OBJECT, str(run.config), hint=hint))
    now = _decisive(json.loads(json.dumps(config.dump())))
    if before != now:
        changed = ", ".join(sorted(k for k in {*before, *now} if before.get(k) != now.get(k)))
        raise ConfigError(
            f"differs from the run's own config in: {changed}",
            where=str(run.config),
            hint="resume with the config it began with",
        )
    if run.metrics.exists() and (run.model / "model.json").exists():
        metrics = read_metrics(run)
        reporter.note(f"{run.path}: this run is finished")
        if run.outcome.exists() and not run.report.exists():  # it was stopped before the last step
            write_report(run)
        return Result(run, metrics)
    return None


def _decisive(value: dict[str, Any]) -> dict[str, Any]:
    """A config without what only says who does the work: another executor may go on with a run."""
    training = value.get("training")
    strategy = training.get("strategy") if isinstance(training, dict) else None
    if isinstance(strategy, dict):
        for key in ("executor", "workers"):
            strategy.pop(key, None)
    return value


def _tell_corpus(corpus: Corpus, policy: ErrorPolicy, reporter: Reporter) -> None:
    sizes = ", ".join(f"{len(split):,} {name}" for name, split in corpus.splits())
    taxonomy = corpus.taxonomy
    shape = (
        f"{_count(len(taxonomy), 'category', 'categories')} on {_count(taxonomy.depth, 'level', 'levels')}"
    )
    reporter.note(f"{sizes} documents; {shape}")
    if policy.left_out:
        reporter.warn(policy.message() or "")
    for message in corpus.warnings:
        reporter.warn(message)


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
