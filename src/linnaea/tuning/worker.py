"""Worker: one process of a study, that runs one trial after another."""

from __future__ import annotations

import _thread
import contextlib
import gc
import json
import os
import signal
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from linnaea.config.config import Config
from linnaea.config.levels import check_levels
from linnaea.config.training import JointConfig
from linnaea.corpus.policy import ErrorPolicy
from linnaea.errors import InterruptedRun, LinnaeaError
from linnaea.reporter import Reporter, Silent
from linnaea.text.build import build_corpus
from linnaea.training.interruption import Listening
from linnaea.tuning.candidates import with_run
from linnaea.tuning.folder import About, StudyFolder
from linnaea.tuning.study import Claim, Study
from linnaea.tuning.value import fit, value_of

if TYPE_CHECKING:
    from linnaea.text.store import Corpus
    from linnaea.training.history import EpochRecord, History, Progress, Start

CORPORA = 4  # that are kept open, where trials read different features of the same documents


class Hopeless(Exception):
    """Ends the training of a trial that others have left behind."""


class Corpora:
    """Encoded corpora by what they are made of: those that differ in nothing of it share one."""

    def __init__(self, reporter: TrialReporter) -> None:
        self.reporter = reporter
        self._open: OrderedDict[str, Corpus] = OrderedDict()

    def of(self, config: Config) -> Corpus:
        """The documents of ``config``, train and dev.

        Raises:
            LinnaeaError: as ``build_corpus``.
        """
        parts = [config.task, config.data, config.input]
        key = json.dumps([*(part.model_dump(mode="json") for part in parts), config.run.seed])
        if key not in self._open:
            policy = ErrorPolicy("raise" if config.data.on_error == "raise" else "skip")
            corpus = build_corpus(config, policy=policy, progress=self.reporter.progress)
            if policy.left_out:
                self.reporter.warn(policy.message() or "")
            for message in corpus.warnings:
                self.reporter.warn(message)
            self._open[key] = corpus
        self._open.move_to_end(key)
        while len(self._open) > CORPORA:
            self._open.popitem(last=False)
        return self._open[key]


class Stop(Listening):
    """What ends a study early: SIGINT or SIGTERM, or its time being up. A trial that runs then is interrupted.

    Args:
        seconds: from now; None: as long as it takes.
    """

    def __init__(self, seconds: float | None) -> None:
        super().__init__()
        self.deadline = None if seconds is None else time.monotonic() + seconds
        self.received = self._trial = False

    @property
    def time_is_up(self) -> bool:
        return self.deadline is not None and time.monotonic() >= self.deadline

    def hear(self, number: signal.Signals) -> None:
        twice = self.received
        if not self.time_is_up:
            self.received = True
        if self._trial or twice:
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def trial(self) -> Iterator[None]:
        """While it is open, an interrupt ends what runs."""
        timer = None
        if self.deadline is not None and self.listening:  # only the main thread can be interrupted
            left = max(0.0, self.deadline - time.monotonic())
            timer = threading.Timer(left, _interrupt_main)
            timer.daemon = True
        try:
            self._trial = True
            if timer is not None:
                timer.start()  # not before an interrupt is heard as the trial's: time may be up already
            yield
        finally:
            self._trial = False
            if timer is not None:
                timer.cancel()
                if timer.is_alive():
                    timer.join()  # what it has sent is heard here, not by those who listen afterwards


def _interrupt_main() -> None:
    """A signal, as it wakes a main thread that waits; what stands in for one does not."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        _thread.interrupt_main()


class Watch:
    """Hears of one training of a trial: shows how far it is, and ends it where it is hopeless.

    It changes nothing of a training that goes on: what it raises ends it, as a full disk would.

    Args:
        hears: given an epoch's dev measures, whether to go on; None: only shows.
    """

    def __init__(
        self, reporter: Reporter, name: str, hears: Callable[[EpochRecord], bool] | None = None
    ) -> None:
        self.reporter, self.name, self.hears, self.epochs = reporter, name, hears, 0

    def on_start(self, start: Start) -> None:
        self.epochs = start.epochs
        for record in start.records:
            self.on_epoch(record)

    def on_step(self, progress: Progress) -> None:
        best = "" if progress.best is None else f" best {progress.best:.4f}"
        detail = f"epoch {progress.epoch}/{progress.epochs} loss {progress.loss:.4f}{best}"
        self.reporter.progress(self.name, progress.step, max(progress.steps, progress.step + 1), detail)

    def on_epoch(self, record: EpochRecord) -> None:
        # After the last epoch there is nothing left to save.
        if self.hears is not None and not self.hears(record) and record.epoch < self.epochs:
            raise Hopeless

    def on_end(self, history: History) -> None:
        self.reporter.progress(self.name, 1, 1)


class TrialReporter:
    """What a trial tells: how far it is, and every warning once a study."""

    def __init__(self, reporter: Reporter) -> None:
        self.reporter, self.name = reporter, ""
        self.told: set[str] = set()
        self.hears: Callable[[EpochRecord], bool] | None = None

    def note(self, message: str) -> None:
        pass

    def warn(self, message: str) -> None:
        if message not in self.told:
            self.told.add(message)
            self.reporter.warn(message)

    def progress(self, what: str, done: int, total: int | None = None, detail: str = "") -> None:
        self.reporter.progress(f"{self.name}, {what}" if self.name else what, done, total, detail)

    def listener(self, name: str = "") -> Watch:
        """Of the next training; out of fold only the first fold is compared with other trials' epochs."""
        hears, self.hears = self.hears, None
        return Watch(self.reporter, f"{self.name}, {name}" if name else self.name, hears)


class Worker:
    """Runs trials of a study in this process.

    Args:
        corpora: of the same reporter.
        tell: called after every trial.
    """

    def __init__(
        self, about: About, study: Study, corpora: Corpora, tell: Callable[[], None] = lambda: None
    ) -> None:
        self.about, self.study, self.corpora, self.tell = about, study, corpora, tell
        self.reporter = corpora.reporter

    def work(self, wanted: int | None, stop: Stop) -> None:
        """Run trials until there are ``wanted`` in the study, or time is up.

        Raises:
            InterruptedRun: a signal came.
            LinnaeaError: the documents cannot be read; the study cannot be kept.
        """
        while not stop.received and not stop.time_is_up:
            claim = self.study.claim(wanted)
            if claim is None:
                return
            self._run(claim, stop)
            self.tell()
        if stop.received:
            raise InterruptedRun("interrupted", where=str(self.study.folder.path), hint="--resume goes on")

    def _run(self, claim: Claim, stop: Stop) -> None:
        began = time.perf_counter()
        error = value = None
        try:
            with stop.trial():
                value = self._value(claim)
        except Hopeless:
            pass
        except (KeyboardInterrupt, InterruptedRun):
            # Where a signal went to the training alone, we hear of it here.
            stop.received = stop.received or not stop.time_is_up
            self.study.leave(claim, time.perf_counter() - began)
            return
        except LinnaeaError as bad:
            error = str(bad)
        except Exception as bad:  # out of memory, a plug-in's own mistake: the study goes on
            first = (str(bad).splitlines() or [""])[0]
            error = f"{type(bad).__name__}: {first}".rstrip(": ")
        if error is not None:
            gc.collect()  # what failed may hold the memory of a GPU
        self.study.finish(claim, time.perf_counter() - began, value=value, error=error)

    def _value(self, claim: Claim) -> float:
        config = with_run(self.about.candidates.config(claim.params), claim.run.path)
        self.reporter.name = f"trial {claim.place}"
        # Epochs of one network for all categories alone say how good a trial becomes.
        joint = isinstance(config.training.strategy, JointConfig)
        self.reporter.hears = self._hearing(claim, config) if joint else None
        corpus = self.corpora.of(config)
        check_levels(config, corpus.taxonomy.depth, of_labels=config.task.taxonomy is None)
        fitted, held, gold = fit(config, corpus, claim.run, resume=claim.resume, reporter=self.reporter)
        return value_of(config, corpus.taxonomy, fitted, held, gold, self.about.metric)

    def _hearing(self, claim: Claim, config: Config) -> Callable[[EpochRecord], bool]:
        stopping = config.training.early_stopping
        second = None if stopping is None or stopping.metric == "loss" else stopping.metric

        def hears(record: EpochRecord) -> bool:
            """The measure of the study as far as epochs have it, else the one that stopping goes by."""
            value = record.dev.get(self.about.metric)
            if value is None and second is not None:
                value = record.dev.get(second)
            return value is None or not self.study.report(claim, record.epoch, value)

        return hears


def open_study(about: About, folder: StudyFolder) -> Study:
    """The study of ``about`` in ``folder``."""
    base = about.candidates.base
    return Study(folder, about.candidates, base.run.seed, base.training.epochs)


def serve() -> None:
    """The life of a further process: trials until there is nothing left to do, or the pipe to the first one ends."""
    job = json.loads(sys.stdin.readline())
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the first process answers for us

    def listen() -> None:
        while os.read(0, 1):  # not through sys.stdin, whose lock a thread must not hold when Python ends
            pass
        _thread.interrupt_main()

    folder = StudyFolder(Path(job["folder"]))
    try:
        with Stop(job["seconds"]) as stop:
            threading.Thread(target=listen, daemon=True).start()
            about = About.read(folder)
            corpora = Corpora(TrialReporter(Silent()))
            Worker(about, open_study(about, folder), corpora).work(job["trials"], stop)
    except (InterruptedRun, KeyboardInterrupt):
        sys.exit(InterruptedRun.exit_code)
    except LinnaeaError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
