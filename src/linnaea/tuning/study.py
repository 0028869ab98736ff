"""Study: the trials of a search, in a folder: who may begin one, what became of each, what is best.

Trials lie in a SQLite file of Optuna's (https://optuna.org). A process holds the lock of the trial that it runs, so one
that died is known by its lock being free: its trial is put back and goes on from its own checkpoints. A trial keeps its
``place`` when it is put back, and what it draws follows from the seed and that place alone: a study that was stopped goes
on as if it never had been (one process; several see each other's trials in the order in which they happen to end).
"""

from __future__ import annotations

import contextlib
import json
import math
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from filelock import FileLock, Timeout
from optuna.distributions import (
    BaseDistribution,
)
from optuna.pruners import MedianPruner
from optuna.samplers import BaseSampler, TPESampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import DatabaseError

from linnaea.config.space import ChoiceEntry, Entry, FloatEntry, IntEntry
from linnaea.errors import DataError, RunError
from linnaea.run_folder import RunFolder
from linnaea.tuning.candidates import Candidates, read_params
from linnaea.tuning.folder import StudyFolder

TRIES = 3  # of a trial whose process died: it may be what kills it
STARTUP = 5  # finished trials, before any is given up
TOLD = 10  # different values, before it is said which keys matter
PLACE, AGAIN, TRIED, ERROR, SECONDS = "place", "again", "tried", "error", "seconds"
STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
}


class PlacedTPE(BaseSampler):
    """Tree-structured Parzen estimator (Bergstra et al. 2011), multivariate, seeded anew for every trial's place."""

    def __init__(self, seed: int, conditional: bool) -> None:
        self.seed, self.conditional = seed, conditional
        self._samplers: dict[int, TPESampler] = {}

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._of(trial).infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._of(trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return self._of(trial).sample_independent(study, trial, param_name, param_distribution)

    def _of(self, trial: FrozenTrial) -> TPESampler:
        if trial.number not in self._samplers:
            drawn = np.random.SeedSequence([self.seed, trial.user_attrs[PLACE]]).generate_state(1)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                sampler = TPESampler(
                    seed=int(drawn[0]), multivariate=True, group=self.conditional, constant_liar=True
                )
            self._samplers = {trial.number: sampler}
        return self._samplers[trial.number]


@dataclass(eq=False)
class Claim:
    """A trial that this process runs.

    Attributes:
        params: as a config has them.
        run: where it keeps its checkpoints.
        resume: it was begun before, and goes on from them.
    """

    trial: Trial
    place: int
    params: dict[str, Any]
    run: RunFolder
    resume: bool
    lock: FileLock


class Study:
    """The study in a folder, which is made if there is none.

    Raises:
        RunError: the file of the study cannot be read or written.
    """

    def __init__(self, folder: StudyFolder, candidates: Candidates, seed: int, epochs: int) -> None:
        self.folder, self.candidates, self.space = folder, candidates, candidates.space
        self.lock = FileLock(folder.lock)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with self._exclusively():
            url = f"sqlite:///{folder.database.resolve()}"
            self.storage = RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 60}})
            conditional = len(self.space.choices) > 0 and len(self.space.entries) > 1
            # A third of the epochs is left to everyone: some settings are slow starters.
            pruner = MedianPruner(n_startup_trials=STARTUP, n_warmup_steps=epochs // 3 + 1)
            self._study = optuna.create_study(
                storage=self.storage, study_name="linnaea", direction="maximize", load_if_exists=True,
                sampler=PlacedTPE(seed, conditional), pruner=pruner,
            )  # fmt: skip
            if not self._study.get_trials(False):  # the first is the config as it stands
                own = candidates.own().items()
                self._study.enqueue_trial({key: _kept(self.space.entries[key], v) for key, v in own})

    @contextlib.contextmanager
    def _exclusively(self) -> Iterator[None]:
        try:
            with self.lock:
                yield
        except optuna.exceptions.StorageInternalError as bad:
            cause = bad.__cause__ or bad
            problem = f"cannot keep the study: {str(cause).splitlines()[0]}"
            raise RunError(problem, where=str(self.folder.database)) from bad
        except DatabaseError as bad:
            problem = f"is no database of a study: {str(bad.orig).splitlines()[0]}"
            raise DataError(
                problem, where=str(self.folder.database), hint="begin again with --overwrite"
            ) from bad

    def claim(self, wanted: int | None) -> Claim | None:
        """A trial to run now; None: there are as many as ``wanted``, those that run elsewhere among them."""
        with self._exclusively():
            self._put_back_dead()
            counted = [t for t in self._trials() if t.state != TrialState.WAITING]
            if wanted is not None and len(counted) >= wanted:
                return None
            self.folder.trials.mkdir(exist_ok=True)
            trial = self._study.ask()
            place = trial.user_attrs.get(PLACE)
            resume = place is not None
            if place is None:
                place = 1 + max(
                    (t.user_attrs.get(PLACE, 0) for t in self._study.get_trials(False)), default=0
                )
                trial.set_user_attr(PLACE, place)
            lock = FileLock(self.folder.trial_lock(place))
            lock.acquire(timeout=0)
            run = RunFolder(self.folder.trials / str(place))
            if not resume:
                shutil.rmtree(run.path, ignore_errors=True)
            run.path.mkdir(exist_ok=True)
            return Claim(trial, place, self._suggested(trial), run, resume, lock)

    def _suggested(self, trial: Trial) -> dict[str, Any]:
        """The values of a trial: choices first, then what acts beside them."""
        params: dict[str, Any] = {}
        for key, entry in self.space.entries.items():
            chosen = {name: params[name] for name in self.space.choices if name in params}
            if not self.candidates.acts(key, chosen):
                continue
            if isinstance(entry, IntEntry):
                params[key] = trial.suggest_int(
                    key, entry.low, entry.high, step=entry.step or 1, log=entry.log
                )
            elif isinstance(entry, FloatEntry):
                params[key] = trial.suggest_float(key, entry.low, entry.high, step=entry.step, log=entry.log)
            elif isinstance(entry, ChoiceEntry):
                params[key] = json.loads(trial.suggest_categorical(key, _texts(entry)))
        return params

    def report(self, claim: Claim, epoch: int, value: float) -> bool:
        """Tell the value of an epoch; whether the trial is hopeless beside the others."""
        with self._exclusively():
            claim.trial.report(value, epoch)
            return claim.trial.should_prune()

    def finish(
        self, claim: Claim, seconds: float, *, value: float | None = None, error: str | None = None
    ) -> None:
        """A trial has its value; or failed with ``error``; with neither it was hopeless."""
        with self._exclusively():
            before = claim.trial.user_attrs.get(SECONDS, 0.0)
            claim.trial.set_user_attr(SECONDS, round(before + seconds, 3))
            if error is not None:
                claim.trial.set_user_attr(ERROR, error)
            state = TrialState.PRUNED if error is None else TrialState.FAIL
            self._study.tell(claim.trial, value, TrialState.COMPLETE if value is not None else state)
            self._free(claim.lock, claim.place)

    def leave(self, claim: Claim, seconds: float) -> None:
        """A trial is stopped here, and is the next to go on."""
        with self._exclusively():
            trial = self._study.get_trials(False)[claim.trial.number]
            self._put_back(trial, trial.user_attrs.get(TRIED, 0), seconds)
            claim.lock.release()

    def _put_back_dead(self) -> None:
        for trial in self._study.get_trials(False, (TrialState.RUNNING,)):
            place = trial.user_attrs.get(PLACE)
            if place is None:  # its process died before it had one
                self.storage.set_trial_user_attr(trial._trial_id, AGAIN, True)
                self._study.tell(trial.number, state=TrialState.FAIL)
                continue
            self.folder.trials.mkdir(exist_ok=True)
            lock = FileLock(self.folder.trial_lock(place))
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue  # it is being run
            tried = trial.user_attrs.get(TRIED, 0) + 1
            if tried < TRIES:
                self._put_back(trial, tried, 0.0)
                lock.release()
                continue
            error = f"its process died {tried} times"
            self.storage.set_trial_user_attr(trial._trial_id, ERROR, error)
            self._study.tell(trial.number, state=TrialState.FAIL)
            self._free(lock, place)

    def _put_back(self, trial: FrozenTrial, tried: int, seconds: float) -> None:
        self.storage.set_trial_user_attr(trial._trial_id, AGAIN, True)
        self._study.tell(trial.number, state=TrialState.FAIL)
        spent = round(trial.user_attrs.get(SECONDS, 0.0) + seconds, 3)
        attributes = {PLACE: trial.user_attrs[PLACE], TRIED: tried, SECONDS: spent}
        self._study.enqueue_trial(trial.params, attributes)

    def _free(self, lock: FileLock, place: int) -> None:
        """Drop what a finished trial kept."""
        shutil.rmtree(self.folder.trials / str(place), ignore_errors=True)
        self.folder.trial_lock(place).unlink(missing_ok=True)
        lock.release()
        with contextlib.suppress(OSError):  # others are running
            self.folder.trials.rmdir()

    def _trials(self) -> list[FrozenTrial]:
        """All but those that were put back, in the order of their places."""
        found = [t for t in self._study.get_trials(False) if AGAIN not in t.user_attrs]
        return sorted(found, key=lambda t: t.user_attrs.get(PLACE, math.inf))

    def trials(self) -> list[dict[str, Any]]:
        """What became of each trial that was begun, as in ``study.json``."""
        with self._exclusively():
            return [self._row(trial) for trial in self._trials() if trial.state in STATES]

    def _row(self, trial: FrozenTrial) -> dict[str, Any]:
        epochs = [{"epoch": e, "value": v} for e, v in sorted(trial.intermediate_values.items())]
        return {
            "number": trial.user_attrs.get(PLACE),
            "state": STATES[trial.state],
            # What a hopeless trial had last is no value to be compared: it was not measured to the end.
            "value": trial.value if trial.state == TrialState.COMPLETE else None,
            "params": read_params(self.space, trial.params),
            "seconds": trial.user_attrs.get(SECONDS, 0.0),
            "epochs": epochs,
            "error": trial.user_attrs.get(ERROR),
        }

    def importance(self) -> dict[str, float]:
        """How much each key matters for being among the best (PED-ANOVA, Watanabe et al. 2023); empty: too few trials."""
        with self._exclusively(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values = {t.value for t in self._trials() if t.state == TrialState.COMPLETE}
            if len(values) < TOLD:
                return {}
            try:
                evaluator = optuna.importance.PedAnovaImportanceEvaluator()
                found = optuna.importance.get_param_importances(self._study, evaluator=evaluator)
            except (ValueError, RuntimeError, ZeroDivisionError):
                return {}
        return {key: round(float(v), 6) for key, v in found.items() if math.isfinite(v)}


def _texts(entry: ChoiceEntry) -> list[str]:
    return [_kept(entry, value) for value in entry.values]


def _kept(entry: Entry, value: Any) -> Any:
    """A value as the study keeps it: a choice, which may be an object, as JSON."""
    return json.dumps(value, sort_keys=True) if isinstance(entry, ChoiceEntry) else value
