"""Executors: how the categories of a run are worked off. Parents before children; what is done already is left out.

``local`` trains one category after another, or several at once in processes of one thread each. A category begins as soon
as all that it waits for is done. Networks travel to and from the processes; only the first process writes.
"""

from __future__ import annotations

import concurrent.futures as futures
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures.process import BrokenProcessPool
from typing import Protocol

from linnaea.errors import InterruptedRun, RunError
from linnaea.reporter import Reporter, Silent
from linnaea.strategies.network import find_device
from linnaea.strategies.percategory.category import Beginning, CategoryFit, CategoryWork
from linnaea.strategies.percategory.finished import Finished
from linnaea.strategies.percategory.mapped import by_name
from linnaea.training.interruption import Interruption

POLL = 0.2  # seconds between two looks for a signal


class Executor(Protocol):
    """Works off what is left of a run."""

    def __call__(self, work: CategoryWork, finished: Finished, reporter: Reporter) -> None:
        """Train what is not done, and put it into ``finished``.

        Raises:
            InterruptedRun: a signal came; what is done stays done.
            RunError: a category cannot be trained, or a worker died.
        """


class Tree:
    """The state of all categories, for progress."""

    def __init__(self, work: CategoryWork, finished: Finished, reporter: Reporter) -> None:
        self.plan, self.finished, self.reporter = work.plan, finished, reporter
        self.running: set[int] = set()
        self.began = time.perf_counter()
        self.before = self._weights(finished.facts)
        self.show()

    def _weight(self, column: int) -> float:
        """How much work a category is, roughly: its documents under the policy."""
        times, support = self.plan.settings.negatives_per_positive, int(self.plan.support_C[column])
        if times is None:
            return float(self.plan.documents)
        return min(self.plan.documents, support + max(200.0, times * support))

    def _weights(self, columns: Iterable[int]) -> float:
        return sum(map(self._weight, columns), 0.0)

    def show(self, last: str = "") -> None:
        """Tell how far each level is, and how long the rest will take."""
        plan, parts = self.plan, []
        for level, columns in plan.taxonomy.levels():
            trained = [c for c in range(columns.start, columns.stop) if plan.kinds[c] == "network"]
            done = sum(column in self.finished for column in trained)
            running = sum(column in self.running for column in trained)
            if trained:
                parts.append(
                    f"level {level}: {done}/{len(trained)}" + (f" ({running} running)" if running else "")
                )
        gone = self._weights(self.finished.facts) - self.before
        left = self._weights(column for column in plan.trained if column not in self.finished)
        if gone and left:
            parts.append(f"{(time.perf_counter() - self.began) * left / gone:.0f} s left")
        detail = ", ".join(parts) + (f"; {last}" if last else "")
        self.reporter.progress("categories", len(self.finished), len(plan.trained), detail)

    def put(self, fit: CategoryFit) -> None:
        """A category is done."""
        self.finished.put(fit)
        self.running.discard(fit.column)
        self.show(f"{fit.facts['id']}: F1 {fit.facts['f1']:.2f}")


def one_by_one(work: CategoryWork, finished: Finished, reporter: Reporter) -> None:
    """In this process."""
    tree = Tree(work, finished, reporter)
    work.tell(reporter)
    for column in work.plan.trained:
        if column in finished:
            continue
        tree.running = {column}
        try:
            tree.put(work.fit(column, finished.beginning(column)))
        except InterruptedRun:
            raise stopped(finished) from None


class Processes:
    """In so many processes of this machine."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __call__(self, work: CategoryWork, finished: Finished, reporter: Reporter) -> None:
        tree = Tree(work, finished, reporter)
        context = multiprocessing.get_context("spawn")
        pool = futures.ProcessPoolExecutor(self.count, context, _begin, (alone(work),))

        def submit(column: int, beginning: Beginning) -> futures.Future[CategoryFit]:
            try:
                return pool.submit(_fit, column, beginning)
            except OSError as error:
                # A worker died while the pool was starting another: its pipes were closed under the one that starts.
                raise BrokenProcessPool(str(error)) from error

        with Interruption() as interruption, _one_thread_each(), by_name():
            try:
                run_pool(
                    work, finished, tree, submit, self.count, lambda: interruption.received is not None,
                )  # fmt: skip
            except BrokenProcessPool:
                names = ", ".join(work.plan.taxonomy.ids[column] for column in sorted(tree.running))
                hint = "--resume goes on; if memory was short, fewer training.strategy.workers"
                raise RunError(f"a worker process died while it trained {names}", hint=hint) from None
            finally:
                # Those that still work are of no use any more.
                processes = list((pool._processes or {}).values())
                pool.shutdown(wait=False, cancel_futures=True)
                if tree.running:
                    for process in processes:
                        process.kill()


def run_pool(
    work: CategoryWork,
    finished: Finished,
    tree: Tree,
    submit: Callable[[int, Beginning], futures.Future[CategoryFit]],
    ahead: int,
    asked_to_stop: Callable[[], bool],
) -> None:
    """Keep ``ahead`` categories running until all are done."""
    plan = work.plan
    # Those with most categories below them first: others wait for them.
    below = plan.taxonomy.descendants.lengths_N
    waiting = sorted((c for c in plan.trained if c not in finished), key=lambda c: (-int(below[c]), c))
    running: dict[futures.Future[CategoryFit], int] = {}
    while waiting or running:
        for column in [c for c in waiting if plan.ready(c, finished)][: ahead - len(running)]:
            waiting.remove(column)
            beginning = finished.beginning(column)
            tree.running.add(column)
            running[submit(column, beginning)] = column
        tree.running = set(running.values())
        done, _ = futures.wait(running, timeout=POLL, return_when=futures.FIRST_COMPLETED)
        for future in done:
            fit = future.result()
            del running[future]
            tree.put(fit)
        if asked_to_stop():
            raise stopped(finished)
    tree.running = set()


def stopped(finished: Finished) -> InterruptedRun:
    """The error that tells how far a stopped run is."""
    done, all_of_them = len(finished), len(finished.plan.trained)
    return InterruptedRun(
        f"interrupted when {done} of {all_of_them} categories were done",
        where=str(finished.folder), hint="--resume goes on from them",
    )  # fmt: skip


_work: CategoryWork | None = None


def _begin(work: CategoryWork) -> None:
    global _work
    # Ctrl-C reaches all processes: the first one answers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    work.tell(Silent())
    _work = work


def _leave_with_parent() -> None:
    """A parent that is killed outright tells nobody: its processes would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _fit(column: int, beginning: Beginning) -> CategoryFit:
    assert _work is not None  # the initializer sets it
    return _work.fit(column, beginning)


def alone(work: CategoryWork) -> CategoryWork:
    """The same work for a process of one thread."""
    run = work.config.run.model_copy(update={"threads": 1})
    return CategoryWork(work.config.model_copy(update={"run": run}), work.corpus, work.plan)


class _one_thread_each:  # noqa: N801  used as a function
    """While it is open, new processes compute with one thread; OpenMP reads that when it is loaded."""

    def __enter__(self) -> None:
        self.before = {key: os.environ.get(key) for key in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
        os.environ.update(dict.fromkeys(self.before, "1"))

    def __exit__(self, *_: object) -> None:
        for key, value in self.before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def build_executor(work: CategoryWork) -> Executor:
    """The executor that the settings name; auto: grouped on a GPU, else local.

    Raises:
        MissingExtraError: ray is not installed.
    """
    settings, name = work.settings, work.settings.executor
    if name == "grouped" or (name == "auto" and find_device(work.config.run.device).type == "cuda"):
        from linnaea.strategies.percategory.grouped import grouped

        return grouped
    if name == "ray":
        from linnaea.strategies.percategory.ray import Cluster

        return Cluster()
    count = settings.workers or cores()
    return one_by_one if count == 1 else Processes(min(count, max(1, len(work.plan.trained))))
