"""Executors: how the categories of a run are worked off. Parents before children; what is done already is left out.

``local`` trains one category after another, or several at once in processes of one thread each. A category begins as soon
as all that it waits for is done. Networks travel to and from the processes; only the first process writes, and it alone
answers signals.
"""

from __future__ import annotations

import concurrent.futures as futures
import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from typing import Protocol

from linnaea.errors import InterruptedRun, RunError
from linnaea.reporter import Reporter, Silent
from linnaea.strategies.network import find_device
from linnaea.strategies.percategory.category import Beginning, CategoryFit, CategoryWork
from linnaea.strategies.percategory.finished import Finished
from linnaea.strategies.percategory.mapped import by_name
from linnaea.strategies.percategory.progress import Tree, stopped
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
        except (InterruptedRun, KeyboardInterrupt):  # in training, or between two
            raise stopped(finished) from None


class Processes:
    """In so many processes of this machine."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __call__(self, work: CategoryWork, finished: Finished, reporter: Reporter) -> None:
        tree = Tree(work, finished, reporter, self.count)
        context = multiprocessing.get_context("spawn")
        pool = futures.ProcessPoolExecutor(self.count, context, _begin, (alone(work),))

        def submit(column: int, beginning: Beginning) -> futures.Future[CategoryFit]:
            try:
                with _deaf():  # a process that the pool starts now hears no Ctrl-C, from its first moment on
                    return pool.submit(_fit, column, beginning)
            except Exception as error:
                # A worker died while the pool was starting another: the pool closes its pipes under the one that starts,
                # which ends in an OSError or a ValueError, as it happens.
                if pool._broken:
                    raise BrokenProcessPool(str(error)) from error
                raise

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
    """Keep ``ahead`` categories running until all are done.

    Raises:
        InterruptedRun: asked to stop, whatever became of the workers by then; what was done is put.
    """
    try:
        _run_pool(work, finished, tree, submit, ahead, asked_to_stop)
    except Exception:
        # A signal may have reached the workers, too: how they end then is no news.
        if asked_to_stop():
            raise stopped(finished) from None
        raise


def _run_pool(
    work: CategoryWork,
    finished: Finished,
    tree: Tree,
    submit: Callable[[int, Beginning], futures.Future[CategoryFit]],
    ahead: int,
    asked_to_stop: Callable[[], bool],
) -> None:
    plan = work.plan
    # Those with most categories below them first: others wait for them.
    below = plan.taxonomy.descendants.lengths_N
    waiting = sorted((c for c in plan.trained if c not in finished), key=lambda c: (-int(below[c]), c))
    running: dict[futures.Future[CategoryFit], int] = {}
    while waiting or running:
        try:
            for column in [c for c in waiting if plan.ready(c, finished)][: ahead - len(running)]:
                beginning = finished.beginning(column)
                tree.running.add(column)
                running[submit(column, beginning)] = column
                waiting.remove(column)
            tree.running = set(running.values())
            futures.wait(running, timeout=POLL, return_when=futures.FIRST_COMPLETED)
        finally:
            # What is done is kept, whatever became of the others.
            errors = _put_done(running, tree)
        if errors:
            raise errors[0]
        if asked_to_stop():
            raise stopped(finished)
    tree.running = set()


def _put_done(running: dict[futures.Future[CategoryFit], int], tree: Tree) -> list[BaseException]:
    """Put the categories that are done; the errors of the others."""
    errors = []
    for future in [future for future in running if future.done()]:
        error = future.exception()
        if error is None:
            del running[future]
            tree.put(future.result())
        else:
            errors.append(error)
    return errors


_work: CategoryWork | None = None


def _begin(work: CategoryWork) -> None:
    global _work
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
    return fit_unheard(_work, column, beginning)


def fit_unheard(work: CategoryWork, column: int, beginning: Beginning) -> CategoryFit:
    """``work.fit`` in a worker: Ctrl-C reaches all processes of a terminal, and the first one answers for all.

    In a thread, as training listens to signals in the main thread alone; the worker keeps its own ways with them.
    """
    future: futures.Future[CategoryFit] = futures.Future()

    def fit() -> None:
        try:
            future.set_result(work.fit(column, beginning))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=fit, daemon=True).start()
    return future.result()


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """While it is open, Ctrl-C waits; processes that begin meanwhile never hear of it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


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
