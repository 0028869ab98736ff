"""``linnaea train``: the whole way from a config to a run folder: corpus, fit, thresholds, model, test scores."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linnaea.commands.caution import check_held_out, tell_decider, tell_reliability
from linnaea.commands.convert import tell_conversion
from linnaea.config.config import Config, in_file
from linnaea.config.neuralclassifier import Conversion
from linnaea.config.percategory import EXECUTORS, PerCategoryStrategyConfig
from linnaea.config.registry import metrics as further
from linnaea.corpus.policy import ErrorPolicy
from linnaea.decision.decider import Decider
from linnaea.decision.predictions import Decisions, Predictions
from linnaea.decision.thresholds import fit_decider
from linnaea.errors import ConfigError, LinnaeaError, UsageError, suggest
from linnaea.files import RunFolder, atomic, read_json, write_json
from linnaea.model.folder import load, save
from linnaea.model.model import Model, answers
from linnaea.ragged import Ragged
from linnaea.reporter import Reporter, Silent
from linnaea.strategies.base import Fitted, Strategy
from linnaea.strategies.build import build_strategy
from linnaea.strategies.classweights import keep_weights, with_weights
from linnaea.taxonomy.taxonomy import Taxonomy
from linnaea.text.build import build_corpus, corpus_from_documents
from linnaea.text.store import Corpus


@dataclass(frozen=True)
class Result:
    """A finished run.

    Attributes:
        metrics: the content of ``metrics.json``; empty where the corpus has neither test nor dev.
        main_process: False in the helpers of a distributed run, which write and print nothing.
    """

    folder: RunFolder
    metrics: dict[str, Any]
    main_process: bool = True

    @property
    def title(self) -> str:
        return f"{self.metrics.get('split', 'test')} of {self.folder.path}"

    @property
    def model(self) -> Model:
        """The trained model, read from the run folder."""
        return load(self.folder.model)


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
    documents = None if train is None else (taxonomy, train, dev, test)
    if _helps(config):
        # The first process answers for the folder, the messages and the results; the others only compute.
        run = RunFolder(Path(config.run.dir))
        if not config.training.strategy.network:
            return Result(run, {}, main_process=False)
        return _train(config, documents, run, resume, Silent())
    for conversion in conversions:
        tell_conversion(conversion, reporter)
    with RunFolder.open(Path(config.run.dir), resume=resume, overwrite=overwrite) as run:
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
    if documents is not None:
        corpus = corpus_from_documents(config, *documents, policy=policy)
    else:
        corpus = build_corpus(config, policy=policy, progress=reporter.progress)
    _tell_corpus(corpus, policy, reporter)
    keep_weights(weights, corpus.taxonomy, None if _helps(config) else run.path)
    return fit(config, corpus, run, resume=resume, reporter=reporter, strategy=strategy)


def fit(
    config: Config,
    corpus: Corpus,
    run: RunFolder,
    *,
    resume: bool = False,
    reporter: Reporter | None = None,
    strategy: Strategy | None = None,
    settle: Callable[[Decider], Decider] | None = None,
) -> Result:
    """From an encoded corpus to a finished run folder.

    Args:
        settle: has the last word about thresholds (a model that grew keeps most of its own).
    """
    reporter = reporter or Silent()
    check_held_out(config, corpus)
    fitted = (strategy or build_strategy(config)).fit(corpus, run, resume=resume, reporter=reporter)
    if not fitted.main_process:
        return Result(run, {}, main_process=False)
    decider = fit_decider(
        config.decision, config.task, fitted.tuning, fitted.tuning_gold, fitted.support_C, corpus.taxonomy,
        fitted.found_C,
    )  # fmt: skip
    if fitted.follows:
        decider = decider.following(fitted.follows)
    decider = decider if settle is None else settle(decider)
    tell_decider(decider, reporter)
    model = Model(
        corpus.taxonomy,
        corpus.featurizer,
        fitted.scorer,
        decider,
        config,
        dict(fitted.facts),
        fitted.support_C,
    )
    try:
        metrics = _evaluate(model, corpus, fitted, run, reporter)
    except LinnaeaError:
        save(model, run.model)  # what was trained is not lost because it cannot be measured
        raise
    if metrics:
        shown = {"micro-F1": metrics["micro"]["f1"], "macro-F1": metrics["macro"]["f1"]}
        model.facts["metrics"] = {metrics["split"]: {name: round(value, 6) for name, value in shown.items()}}
    save(model, run.model)
    if metrics:
        write_json(run.metrics, metrics)
    return Result(run, metrics)


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
    before = _decisive(read_json(run.config))
    now = _decisive(json.loads(json.dumps(config.dump())))
    if before != now:
        changed = ", ".join(sorted(k for k in {*before, *now} if before.get(k) != now.get(k)))
        raise ConfigError(
            f"differs from the run's own config in: {changed}",
            where=str(run.config),
            hint="resume with the config it began with",
        )
    if run.metrics.exists() and (run.model / "model.json").exists():
        reporter.note(f"{run.path}: this run is finished")
        return Result(run, read_json(run.metrics))
    return None


def _decisive(value: dict[str, Any]) -> dict[str, Any]:
    """A config without what only says who does the work: another executor may go on with a run."""
    strategy = value.get("training", {}).get("strategy", {})
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


def _evaluate(
    model: Model, corpus: Corpus, fitted: Fitted, run: RunFolder, reporter: Reporter
) -> dict[str, Any]:
    """Scores on test; without one on dev, unless the model was fitted on it: then on the out-of-fold scores."""
    if corpus.test is not None:
        name, gold = "test", corpus.test.labels
        predictions = model.scorer.score(corpus.test, keep=model.config.evaluation.keep)
    elif fitted.fitted_on_dev:
        if fitted.tuning is None:
            return {}
        name, gold, predictions = "cross", fitted.tuning_gold, fitted.tuning
    elif corpus.dev is not None:
        name, gold = "dev", corpus.dev.labels
        predictions = model.scorer.score(corpus.dev, keep=model.config.evaluation.keep)
    else:
        return {}
    if gold is None:
        return {}
    if predictions.sparse and model.config.evaluation.keep is None:
        kept = f"only the best {predictions.kept} scores of each document were kept: the others count as not decided"
        reporter.warn(f"{name}: {kept} (evaluation.keep)")
    tell_reliability(model, predictions, gold, name, reporter)
    decisions = model.decide(predictions)
    _write_predictions(run.predictions, predictions, decisions, gold)
    return {"split": name, **model.measured(predictions, decisions, gold).to_json()}


def _write_predictions(path: Path, predictions: Predictions, decisions: Decisions, gold: Ragged) -> None:
    ids = predictions.taxonomy.ids
    with atomic(path, "w") as file:
        for row, answer in enumerate(answers(predictions, decisions)):
            value = {**answer.to_json(), "gold": [ids[c] for c in gold[row]]}
            file.write(json.dumps(value, ensure_ascii=False) + "\n")
