"""``linnaea tune``: search the settings of a config for those that are best on held-out documents; test is never read."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from linnaea.commands.convert import tell_conversion
from linnaea.config.config import Config
from linnaea.config.neuralclassifier import convert, is_old
from linnaea.config.reading import anchor, apply, read_config
from linnaea.config.space import Space
from linnaea.errors import RunError, UsageError
from linnaea.files import extra
from linnaea.reporter import Reporter, Silent

if TYPE_CHECKING:
    from linnaea.tuning.folder import About, StudyFolder
    from linnaea.tuning.worker import Corpora, Stop

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Tuned:
    """A study, as far as it went.

    Attributes:
        folder: of the study; ``best.json`` there is the best config.
        value: the content of ``study.json``.
    """

    folder: Path
    value: dict[str, Any]

    @property
    def best(self) -> dict[str, Any] | None:
        """The best trial; None: none has a value."""
        return next((t for t in self.value["trials"] if t["number"] == self.value["best"]), None)


def tune(
    config: Path | str | dict[str, Any],
    space: Path | str | dict[str, Any],
    settings: Sequence[str] = (),
    *,
    trials: int | None = None,
    seconds: float | None = None,
    study: Path | None = None,
    metric: str | None = None,
    processes: int = 1,
    resume: bool = False,
    overwrite: bool = False,
    reporter: Reporter | None = None,
) -> Tuned:
    """Search ``space`` around ``config`` and write the best config.

    Args:
        config, settings: as ``train`` has them; its test documents are left alone.
        space: a file, or its content.
        trials: so many finished trials in the study in all, those of earlier calls among them.
        seconds: no longer than this; a trial that runs then is stopped, and goes on when the study is resumed.
        study: folder; None: that of the run, with ``-study`` after it.
        metric: what is made best; None: see ``tuning.value.metric_of``.
        processes: so many trials at a time.

    Raises:
        MissingExtraError: Optuna is not installed.
        ConfigError: the config or the space does not hold; nothing was written then.
        UsageError: the study folder is there already, or holds another study.
        RunError: all trials failed, or none was finished in time.
        InterruptedRun: a signal came.
    """
    extra("tune", "linnaea tune", lambda: __import__("optuna"))
    from linnaea.tuning.folder import StudyFolder
    from linnaea.tuning.worker import Corpora, Stop, TrialReporter

    reporter = reporter or Silent()
    _check_asked(trials, seconds, processes)
    about = _about(config, space, settings, metric, reporter)
    base = about.candidates.base
    folder = StudyFolder(Path(f"{base.run.dir}-study") if study is None else study)
    folder.refuse(resume=resume, overwrite=overwrite)
    if resume:
        about.check(folder)
    stop, corpora = Stop(seconds), Corpora(TrialReporter(reporter))
    corpora.of(base)  # problems of the documents are told before a folder is made
    with stop:
        folder.begin(about, resume=resume, overwrite=overwrite)
        value = _searched(about, folder, stop, corpora, trials, processes, reporter)
    return _concluded(folder, value, seconds)


def _searched(
    about: About,
    folder: StudyFolder,
    stop: Stop,
    corpora: Corpora,
    trials: int | None,
    processes: int,
    reporter: Reporter,
) -> dict[str, Any]:
    """The content of ``study.json`` after all trials; it and the page are written, too, if something ends them early."""
    from linnaea.report.study import write_study
    from linnaea.tuning.processes import work_together
    from linnaea.tuning.progress import Told
    from linnaea.tuning.worker import Worker, open_study

    study = open_study(about, folder)
    told = Told(about, folder, study, stop, trials, processes, reporter)
    try:
        if processes == 1:
            Worker(about, study, corpora, told.tell).work(trials, stop)
        else:
            work_together(folder, processes, trials, stop, reporter, told.tell)
    finally:
        told.tell()
        value = told.write()
        write_study(folder.page, value)
    return value


def _about(
    config: Path | str | dict[str, Any],
    space: Path | str | dict[str, Any],
    settings: Sequence[str],
    metric: str | None,
    reporter: Reporter,
) -> About:
    """What the study is of, checked."""
    from linnaea.tuning.candidates import Candidates
    from linnaea.tuning.folder import About
    from linnaea.tuning.value import metric_of

    searched = Space.of(space) if isinstance(space, dict) else Space.load(space)
    candidates = Candidates(*_written(config, settings, searched, reporter), searched)
    candidates.check()
    named = "a dictionary" if isinstance(config, dict) else str(config)
    return About(candidates, metric_of(candidates.base, metric), named)


def seconds_of(text: str) -> float:
    """``"30m"``, ``"2h"``, ``"90s"``, ``"1h30m"`` in seconds.

    Raises:
        UsageError: it is no such time.
    """
    found = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text)
    total = sum(float(number) * _UNITS[unit] for number, unit in found)
    if "".join(number + unit for number, unit in found) != text or not total:
        hint = f"did you mean {text}s or {text}m?" if text.isdigit() and int(text) else "as 90s, 30m or 1h30m"
        raise UsageError(f"{text!r} is no time", where="--time", hint=hint)
    return total


def _check_asked(trials: int | None, seconds: float | None, processes: int) -> None:
    if trials is None and seconds is None:
        raise UsageError("for how long is not said", where="tune", hint="give --trials, --time or both")
    for name, number in (("--trials", trials), ("--processes", processes)):
        if number is not None and number < 1:
            raise UsageError(f"must be 1 or more, not {number}", where=name)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        hint = "start it once; --processes trains several trials at a time"
        raise UsageError("runs in no distributed world", where="tune", hint=hint)


def _written(
    config: Path | str | dict[str, Any], settings: Sequence[str], space: Space, reporter: Reporter
) -> tuple[dict[str, Any], Path]:
    """The config as it is written, its paths absolute and ``settings`` applied; and the folder of its plug-ins."""
    for key in (setting.partition("=")[0] for setting in settings):
        if key in space.entries:
            raise UsageError(f"{space.place} searches it, too", where=f"--set {key}", hint="leave one out")
    if isinstance(config, dict):
        Config.build_with(config, settings)  # tells what is wrong with it
        value, folder = copy.deepcopy(config), Path.cwd()
        anchor(value, folder)
    else:
        Config.load(config, settings)
        value, folder = read_config(Path(config)), Path(config).resolve().parent
    if is_old(value):
        conversion = convert(value, folder)
        tell_conversion(conversion, reporter)
        value = copy.deepcopy(conversion.config)
    for setting in settings:
        apply(value, setting)
    return value, folder


def _concluded(folder: StudyFolder, value: dict[str, Any], seconds: float | None) -> Tuned:
    """The study.

    Raises:
        RunError: no trial has a value.
    """
    if value["best"] is None:
        failed = [trial for trial in value["trials"] if trial["state"] == "failed"]
        if failed:
            problem = f"all {len(failed)} trials that were finished failed; the last: {failed[-1]['error']}"
            raise RunError(problem, where=str(folder.path))
        hint = "--resume goes on, with more --time" if seconds is not None else "--resume goes on"
        raise RunError("no trial was finished", where=str(folder.path), hint=hint)
    return Tuned(folder.path, value)
