"""``linnaea grow``: a trained model under a changed taxonomy, of which only what changed is trained again.

The new run folder has, besides what every run has, ``growth.json``: which model it came from, the plan's options, and all
generations of documents with the taxonomy that each was labelled under. From it a model that grew can grow again. The page
of the run reads there what it came from, and what was fitted again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from linnaea.commands.beside import baseline_of
from linnaea.commands.fitting import Result, fit
from linnaea.commands.former import Former, Wish, grown_config, new_files, open_former
from linnaea.config.config import Config, load_plugin
from linnaea.config.percategory import PerCategoryStrategyConfig
from linnaea.corpus.policy import ErrorPolicy
from linnaea.decision.decider import Decider
from linnaea.errors import ConfigError, UsageError
from linnaea.files import read_object, write_json
from linnaea.metrics.kept import read_metrics
from linnaea.reporter import Reporter, Silent
from linnaea.run_folder import RunFolder
from linnaea.strategies.grow import Growth, growing, plan_growth
from linnaea.taxonomy.change import Change, read_renames
from linnaea.taxonomy.readers import read_taxonomy
from linnaea.text.grown import Generation, grown_corpus, read_record
from linnaea.text.store import Corpus
from linnaea.training.listeners import listened

FORMAT = 1


@dataclass(frozen=True, eq=False)
class Grown:
    """What came out.

    Attributes:
        growth: the plan; None: there was nothing to do.
        result: the finished run; None: nothing was trained.
    """

    growth: Growth | None = None
    result: Result | None = None

    def to_json(self) -> dict[str, Any]:
        """The plan and, where something was trained, the metrics."""
        value: dict[str, Any] = {"plan": None if self.growth is None else self.growth.to_json()}
        if self.result is not None:
            value |= {"run": str(self.result.folder.path), "metrics": self.result.metrics}
        return value


def grow(
    path: Path,
    wish: Wish,
    *,
    dry_run: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    plugins: Sequence[str] = (),
    device: str | None = None,
    reporter: Reporter | None = None,
    show: Callable[[Growth], object] | None = None,
) -> Grown:
    """Grow the model of a run folder, or of a model folder, into a new run folder; the old one is never touched.

    Args:
        dry_run: no more than the plan.
        device: in place of the old run's.
        show: is handed the plan before anything is trained.

    Raises:
        UsageError: the old documents are not known; renames that do not hold; no place to write.
        TaxonomyError: the new taxonomy is broken.
        DataError: see ``text.grown``.
        ModelError: the model cannot be loaded.
    """
    reporter, show = reporter or Silent(), show or (lambda _: None)
    for name in plugins:
        load_plugin(name)
    old = open_former(path, wish, plugins)
    _check_calibration(old, path)
    new = read_taxonomy(wish.taxonomy, wish.taxonomy_format, old.model.taxonomy.separator)
    change = Change.between(old.model.taxonomy, new, read_renames(wish.renames, old.model.taxonomy, new))
    if change.empty and not any(wish.data.values()) and not wish.train_all:
        reporter.note("nothing to do: the taxonomy is that of the model, and there are no new documents")
        return Grown()
    generations = [*old.generations, Generation(new, new_files(old, wish), change.renames)]
    config = grown_config(old, wish, change, generations, device)
    if dry_run:
        policy = ErrorPolicy("skip" if config.data.on_error == "quarantine" else config.data.on_error)
        growth, _ = _planned(config, old, change, generations, wish, policy, reporter)
        show(growth)
        return Grown(growth)
    out = Path(config.run.dir)
    _refuse(out, old.path)
    record = _record(old, wish, generations)
    with RunFolder.open(out, resume=resume, overwrite=overwrite) as run, listened(config.run, run):
        if resume and (finished := _resumed(run, config, record)) is not None:
            reporter.note(f"{run.path}: this run is finished")
            return Grown(None, finished)
        write_json(run.config, config.dump())
        quarantine = run.quarantine if config.data.on_error == "quarantine" else None
        policy = ErrorPolicy(config.data.on_error, quarantine)
        growth, corpus = _planned(config, old, change, generations, wish, policy, reporter)
        show(growth)
        if growth.empty:
            reporter.note("nothing to do: no category changes")
            return Grown(growth)
        fitted = [growth.taxonomy.ids[column] for column in growth.fitted]
        write_json(run.growth, {**record, "fitted": fitted})
        result = fit(
            config, corpus, run, resume=resume, reporter=reporter,
            strategy=growing(config, growth, old.categories),
            settle=lambda decider: _settled(decider, growth, config, reporter),
            beside=baseline_of(config, run, partial(_again, generations), reporter),
            page=True,
        )  # fmt: skip
    return Grown(growth, result)


def _again(generations: Sequence[Generation], config: Config) -> Corpus:
    """The documents as another config reads them."""
    return grown_corpus(config, None, generations, policy=ErrorPolicy(config.data.on_error))


def _check_calibration(old: Former, path: Path) -> None:
    """Refuse thresholds that networks found on their own scores, and that are saved for calibrated ones."""
    if old.model.decider.calibration is None or old.model.config.decision.threshold.type != "strategy":
        return
    raise UsageError(
        "the thresholds that its networks found went into calibrated scores, and new ones cannot go beside them",
        where=str(path),
        hint='models of "threshold": "per_category" can grow, and those without calibration',
    )


def _settled(decider: Decider, growth: Growth, config: Config, reporter: Reporter) -> Decider:
    """``decider`` with the thresholds of what is kept, unless they belong to scores or documents of their own."""
    if decider.calibration is None and decider.promise is None:
        settled = growth.keep_thresholds(decider, config)
        _tell_lowered(settled, growth, reporter)
        return settled
    if not growth.everything:
        what = "scores are calibrated" if decider.promise is None else "thresholds come with a promise"
        reporter.note(f"the {what}: all thresholds are found anew")
    return decider


def _tell_lowered(decider: Decider, growth: Growth, reporter: Reporter) -> None:
    """Which kept categories could not keep their thresholds."""
    kept_C, before_C = growth.kept_C, growth.thresholds_P[growth.change.old_C]
    lowered = [
        growth.taxonomy.ids[c] for c in np.flatnonzero(kept_C & (decider.thresholds_C < before_C)).tolist()
    ]
    if lowered and not growth.everything:
        listed = ", ".join(lowered[:5]) + (", ..." if len(lowered) > 5 else "")
        why = "they stand above kept categories with lower thresholds now, and decisions stay coherent"
        reporter.warn(f"the thresholds of {listed} were lowered: {why}")


def _refuse(out: Path, model: Path) -> None:
    """The old folder is never touched."""
    new, old = out.resolve(), model.resolve()
    if new == old or new in old.parents or old in new.parents:
        raise UsageError("the model that grows lies there", where=str(out), hint="give another --out")


def _planned(
    config: Config, old: Former, change: Change, generations: Sequence[Generation], wish: Wish,
    policy: ErrorPolicy, reporter: Reporter,
) -> tuple[Growth, Corpus]:  # fmt: skip
    with policy:
        corpus = grown_corpus(
            config, old.model.featurizer, generations, policy=policy, progress=reporter.progress
        )
    if policy.left_out:
        reporter.warn(policy.message() or "")
    for message in corpus.warnings:
        reporter.warn(message)
    growth = plan_growth(
        config, old.model.scorer, old.model.decider.thresholds_C, change, corpus,
        descendants=wish.descendants, everything=wish.train_all,
    )  # fmt: skip
    _tell_dev(config, growth, corpus, reporter)
    return growth, corpus


def _tell_dev(config: Config, growth: Growth, corpus: Corpus, reporter: Reporter) -> None:
    """Which categories are fitted again without a dev document by which they could be judged."""
    if corpus.dev is None or corpus.dev.labels is None or not _judged_on_dev(config):
        return
    seen_C = corpus.dev.labels.counts(len(growth.taxonomy))
    ids = [growth.taxonomy.ids[column] for column in growth.fitted if not seen_C[column]]
    if ids:
        listed = ", ".join(ids[:5]) + (", ..." if len(ids) > 5 else "")
        # Where dev was split off train, a part of the new documents joins it.
        option = "--dev-data" if config.data.files("dev") else "more documents in --data"
        reporter.warn(f"no dev documents for {listed}: nothing tells their best threshold ({option})")


def _judged_on_dev(config: Config) -> bool:
    strategy, tuned = config.training.strategy, config.decision.tuned
    if isinstance(strategy, PerCategoryStrategyConfig):
        return strategy.dev is None
    # A network that was tuned out of fold is tuned on dev when it grows.
    return tuned is not None and (strategy.network or tuned.on == "dev")


def _record(old: Former, wish: Wish, generations: Sequence[Generation]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "model": {"path": str(old.path.resolve()), "digest": old.digest},
        "descendants": wish.descendants,
        "train_all": wish.train_all,
        "generations": [generation.to_json() for generation in generations],
    }


def _resumed(run: RunFolder, config: Config, record: dict[str, Any]) -> Result | None:
    """The result of a run that is finished; None: it goes on. A run of something else is refused."""
    path = run.growth
    if not path.is_file():
        if run.begun:
            raise UsageError("this run is not of `linnaea grow`", where=str(run.path))
        return None
    begun = read_record(run)
    begun.pop("fitted", None)  # follows from the rest
    for file, before, now in ((path, begun, record), (run.config, read_object(run.config), config.dump())):
        now = json.loads(json.dumps(now))
        if before != now:
            changed = ", ".join(sorted(k for k in {*before, *now} if before.get(k) != now.get(k)))
            hint = "resume with what it began with, or give --overwrite"
            raise ConfigError(
                f"differs from what the run began with in: {changed}", where=str(file), hint=hint
            )
    if not (run.model / "model.json").exists():
        return None
    if run.metrics.exists():
        return Result(run, read_metrics(run))
    return None if config.data.files("test") or run.outcome.exists() else Result(run, {})


__all__ = ["Grown", "Wish", "grow"]
