"""From an encoded corpus to a finished run folder: fit, thresholds, model, test scores.

What ``train`` and ``grow`` share, and what the linear baseline beside a run goes through as well.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linnaea.commands.caution import check_held_out, tell_decider, tell_reliability
from linnaea.commands.quotes import write_quotes
from linnaea.config.config import Config
from linnaea.config.training import LinearConfig
from linnaea.decision.decider import Decider
from linnaea.decision.thresholds import fit_decider
from linnaea.errors import LinnaeaError
from linnaea.files import atomic, write_json
from linnaea.metrics.outcome import Outcome
from linnaea.model.folder import load, save
from linnaea.model.model import Model, answers
from linnaea.report.page import write_report
from linnaea.reporter import Reporter, Silent
from linnaea.run_folder import RunFolder
from linnaea.strategies.base import Fitted, Strategy
from linnaea.strategies.build import build_strategy
from linnaea.text.digest import texts_digest
from linnaea.text.store import Corpus, Split

NAMES = {"cross": "train and dev, out of fold,"}  # of splits, for people


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
        split = self.metrics.get("split", "test")
        return f"{NAMES.get(split, split)} of {self.folder.path}"

    @property
    def model(self) -> Model:
        """The trained model, read from the run folder."""
        return load(self.folder.model)


Beside = Callable[[Outcome], dict[str, Any]]
"""Given what a run is worth, what stands beside it: see ``beside.py``."""


def fit(
    config: Config,
    corpus: Corpus,
    run: RunFolder,
    *,
    resume: bool = False,
    reporter: Reporter | None = None,
    strategy: Strategy | None = None,
    settle: Callable[[Decider], Decider] | None = None,
    beside: Beside | None = None,
    split: str = "test",
    page: bool = False,
) -> Result:
    """From an encoded corpus to a finished run folder.

    Args:
        settle: has the last word about thresholds (a model that grew keeps most of its own).
        beside: measures what the run is compared with, once its model is safe; what it returns is
            ``metrics.json``'s "baseline".
        split: what the corpus's test documents are called.
        page: whether the run gets a report page; it reads the run's ``config.json``.
    """
    reporter = reporter or Silent()
    check_held_out(config, corpus)
    strategy = strategy or build_strategy(config)
    if corpus.test is None and isinstance(config.training.strategy, LinearConfig):
        from linnaea.strategies.linear import LinearStrategy  # which a network does without

        if isinstance(strategy, LinearStrategy):
            strategy.measured = True  # it learns from dev, too: it is measured out of fold
    fitted = strategy.fit(corpus, run, resume=resume, reporter=reporter)
    if not fitted.main_process:
        return Result(run, {}, main_process=False)
    model = decided_model(config, corpus, fitted, reporter, settle)
    try:
        outcome = _outcome(model, corpus, fitted, split, reporter)
        if outcome is None:
            save(model, run.model)
            return Result(run, {})
        metrics = {"split": outcome.split, **outcome.evaluate(config.evaluation).to_json()}
    except LinnaeaError:
        save(model, run.model)  # what was trained is not lost because it cannot be measured
        raise
    shown = {"micro-F1": metrics["micro"]["f1"], "macro-F1": metrics["macro"]["f1"]}
    model.facts["metrics"] = {outcome.split: {name: round(value, 6) for name, value in shown.items()}}
    save(model, run.model)
    _write_predictions(run.predictions, outcome)
    outcome.save(run.outcome)
    if page:
        write_quotes(run, _scored(corpus, outcome.split), outcome)
    if beside is not None and (compared := beside(outcome)):
        metrics["baseline"] = compared
    write_json(run.metrics, metrics)
    if page:
        write_report(run)
    return Result(run, metrics)


def _scored(corpus: Corpus, split: str) -> list[Split]:
    """The documents of an outcome, in its order."""
    if corpus.test is not None:
        return [corpus.test]
    both = [corpus.train, corpus.dev] if split == "cross" else [corpus.dev]
    return [part for part in both if part is not None]


def decided_model(
    config: Config,
    corpus: Corpus,
    fitted: Fitted,
    reporter: Reporter,
    settle: Callable[[Decider], Decider] | None = None,
) -> Model:
    """What was fitted, with the thresholds that go with it."""
    decider = fit_decider(
        config.decision, config.task, fitted.tuning, fitted.tuning_gold, fitted.support_C, corpus.taxonomy,
        fitted.found_C, half_seen=fitted.half_seen, follows=fitted.follows,
    )  # fmt: skip
    decider = decider if settle is None else settle(decider)
    tell_decider(decider, reporter)
    return Model(
        corpus.taxonomy,
        corpus.featurizer,
        fitted.scorer,
        decider,
        config,
        dict(fitted.facts),
        fitted.support_C,
    )


def _outcome(model: Model, corpus: Corpus, fitted: Fitted, split: str, reporter: Reporter) -> Outcome | None:
    """Scores on test; without one on dev, unless the model was fitted on it: then on the out-of-fold scores."""
    keep = model.config.evaluation.keep
    if corpus.test is not None:
        name, gold, predictions = split, corpus.test.labels, model.scorer.score(corpus.test, keep=keep)
    elif fitted.fitted_on_dev:
        if fitted.tuning is None:
            return None
        name, gold, predictions = "cross", fitted.tuning_gold, fitted.tuning
    elif corpus.dev is not None:
        name, gold, predictions = "dev", corpus.dev.labels, model.scorer.score(corpus.dev, keep=keep)
    else:
        return None
    if gold is None:
        return None
    if corpus.test is None:
        where = NAMES.get(name, name).rstrip(",")
        tuned = model.config.training.strategy.network or model.config.decision.tuned is not None
        flatters = ", by which it was tuned: that flatters" if tuned else ""
        reporter.note(f"no test documents: measured on {where}{flatters}")
    if predictions.sparse and keep is None:
        kept = f"only the best {predictions.kept} scores of each document were kept: the others count as not decided"
        reporter.warn(f"{name}: {kept} (evaluation.keep)")
    tell_reliability(model, predictions, gold, name, reporter)
    decisions, closure = model.decide(predictions), model.config.task.gold_closure
    support_C = model.support_C
    assert support_C is not None  # it was fitted just now
    scored, texts = model.decider.scored(predictions), texts_digest(_scored(corpus, name))
    return Outcome(name, scored, decisions, gold, support_C, closure, texts)


def _write_predictions(path: Path, outcome: Outcome) -> None:
    ids = outcome.predictions.taxonomy.ids
    with atomic(path, "w") as file:
        for row, answer in enumerate(answers(outcome.predictions, outcome.decisions)):
            value = {**answer.to_json(), "gold": [ids[c] for c in outcome.gold[row]]}
            file.write(json.dumps(value, ensure_ascii=False) + "\n")
