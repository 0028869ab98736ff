"""Value: what a trial is worth: one measure of decisions on documents that its scorer has not learned from.

Thresholds, calibration and whatever else the config tunes on these documents would flatter itself if it were judged by
the same ones. So they are dealt out to folds, and each fold is decided by what was tuned on the others. Nothing is tuned
twice for the same document, and test documents are never looked at.

Shape letters: N documents, C categories.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from linnaea.config.config import Config
from linnaea.config.outcome import DecisionConfig, PerCategoryConfig, PromisedConfig, TunedConfig
from linnaea.config.percategory import PerCategoryStrategyConfig, StrategyThresholdConfig
from linnaea.config.training import LinearConfig
from linnaea.corpus.split import stratified_folds
from linnaea.decision.predictions import Predictions
from linnaea.decision.thresholds import fit_decider
from linnaea.errors import ConfigError, RunError, UsageError, suggest
from linnaea.metrics.counts import Counts, hierarchical
from linnaea.metrics.ranking import macro_average_precision
from linnaea.ragged import Ragged
from linnaea.reporter import Reporter
from linnaea.run_folder import RunFolder
from linnaea.strategies.base import Fitted
from linnaea.strategies.build import build_strategy
from linnaea.taxonomy.taxonomy import Taxonomy

if TYPE_CHECKING:
    from linnaea.text.store import Corpus

FOLDS = 5

Measure = Callable[[Ragged, Ragged, Taxonomy], float]


def _counted(value: Callable[[Counts], float]) -> Measure:
    return lambda chosen, gold, taxonomy: value(Counts.of(chosen, gold, len(taxonomy)))


DECIDED: dict[str, Measure] = {
    "micro_f1": _counted(lambda counts: counts.micro().f1),
    "macro_f1": _counted(lambda counts: counts.macro().f1),
    "both_f1": _counted(lambda counts: (counts.micro().f1 + counts.macro().f1) / 2),
    "hierarchical_f1": lambda chosen, gold, taxonomy: hierarchical(chosen, gold, taxonomy).f1,
    "samples_f1": _counted(lambda counts: counts.samples_f1()),
    "weighted_f1": _counted(lambda counts: counts.weighted_f1()),
}
"""Measures of decisions."""

METRICS = (*DECIDED, "average_precision")
"""What a study can go by; the last looks at scores alone."""


def metric_of(config: Config, asked: str | None) -> str:
    """What a study of ``config`` makes best: as asked; else what thresholds are tuned for, or stopping goes by.

    Raises:
        UsageError: there is no such measure.
    """
    if asked is not None:
        if asked not in METRICS:
            hint = suggest(asked, METRICS) or f"known: {', '.join(METRICS)}"
            raise UsageError(f"there is no measure {asked!r}", where="--metric", hint=hint)
        return asked
    rule = config.decision.threshold
    if isinstance(rule, TunedConfig):
        return "both_f1" if rule.aim == "both" else rule.aim
    if isinstance(rule, PromisedConfig):  # keeps a promise, whatever its F1
        return "average_precision"
    if isinstance(rule, StrategyThresholdConfig) and isinstance(
        config.training.strategy, PerCategoryStrategyConfig
    ):
        return "macro_f1"
    stopping = config.training.early_stopping
    if config.training.strategy.network and stopping is not None and stopping.metric in METRICS:
        return stopping.metric
    return "micro_f1"


def fit(
    config: Config, corpus: Corpus, run: RunFolder, *, resume: bool, reporter: Reporter
) -> tuple[Fitted, Predictions, Ragged]:
    """Fit a strategy; with it the scores by which it is judged, and their gold.

    Raises:
        LinnaeaError: as the strategy's ``fit``.
    """
    held = corpus.dev
    if isinstance(config.training.strategy, LinearConfig) and config.decision.tuned is None:
        corpus = replace(corpus, dev=None)  # where nothing is tuned it would learn from dev, too
    fitted = build_strategy(config).fit(corpus, run, resume=resume, reporter=reporter)
    if fitted.tuning is not None and fitted.tuning_gold is not None:
        return fitted, fitted.tuning, fitted.tuning_gold
    if held is None or held.labels is None or not len(held):
        raise ConfigError("there are no dev documents to compare trials by", where="data.dev")
    return fitted, fitted.scorer.score(held, keep=config.evaluation.keep), held.labels


def value_of(
    config: Config, taxonomy: Taxonomy, fitted: Fitted, held: Predictions, gold: Ragged, metric: str
) -> float:
    """What a trial is worth.

    Args:
        held: scores of documents that the scorer did not learn from.
        gold: of the same documents, closed as the task says.

    Raises:
        ConfigError: what the config tunes asks for more documents.
        RunError: it is no finite number.
    """
    if metric == "average_precision":
        value = macro_average_precision(held, gold)
    else:
        value = DECIDED[metric](decided(config, taxonomy, fitted, held, gold), gold, taxonomy)
    if not np.isfinite(value):
        raise RunError(f"{metric} is not finite")
    return float(value)


def decided(config: Config, taxonomy: Taxonomy, fitted: Fitted, held: Predictions, gold: Ragged) -> Ragged:
    """The categories of each document, by what was tuned on the other folds; where nothing is tuned, as it is."""
    decision = _tuned_again(config)

    def choose(rows_N: np.ndarray, by: tuple[Predictions | None, Ragged | None]) -> Ragged:
        decider = fit_decider(
            decision, config.task, *by, fitted.support_C, taxonomy, fitted.found_C, follows=fitted.follows
        )
        part = held.take(rows_N)
        if part.sparse and decider.top_k is None:
            decider = replace(decider, top_k=held.kept)
        return decider.decide(part).chosen

    if decision.tuned is None:
        return choose(np.arange(len(held)), (None, None))
    if len(held) < FOLDS:
        problem = f"{len(held)} held-out documents are too few to tune on {FOLDS - 1} of {FOLDS} folds"
        raise ConfigError(problem, where="data.dev", hint="give more documents, or tune nothing")
    fold_N = stratified_folds(gold, len(taxonomy), FOLDS, config.run.seed)
    rows: list[np.ndarray] = []
    chosen: list[Ragged] = []
    for fold in range(FOLDS):
        inside, outside = np.flatnonzero(fold_N == fold), np.flatnonzero(fold_N != fold)
        rows.append(inside)
        chosen.append(choose(inside, (held.take(outside), gold.take(outside))))
    return Ragged.concatenate(chosen).take(np.argsort(np.concatenate(rows)))


def _tuned_again(config: Config) -> DecisionConfig:
    """The decision part; the best thresholds that per_category finds on dev are found on the folds instead."""
    strategy, decision = config.training.strategy, config.decision
    if not isinstance(decision.threshold, StrategyThresholdConfig):
        return decision
    if not isinstance(strategy, PerCategoryStrategyConfig) or strategy.search != "threshold":
        return decision
    rule: Any = PerCategoryConfig(aim="macro_f1", shrinkage=0.0, on="dev")
    return decision.model_copy(update={"threshold": rule})
