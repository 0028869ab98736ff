"""The executor ``ray``: categories as tasks of a Ray cluster (https://www.ray.io), the extra ``ray``.

RAY_ADDRESS says where the cluster is; without it one is started on this machine, for as long as the run lasts. The work
(config, plan, encoded documents) is put into the object store once; a task is one category, on one core with one thread.
Networks travel through the driver, which alone writes: the machines of the cluster need no common folder, only Linnaea.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import socket
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

from linnaea.errors import LinnaeaError, RunError
from linnaea.files import extra
from linnaea.reporter import Reporter, Silent
from linnaea.strategies.percategory.category import Beginning, CategoryFit, CategoryWork
from linnaea.strategies.percategory.executors import alone, cores, fit_unheard, run_pool
from linnaea.strategies.percategory.finished import Finished
from linnaea.strategies.percategory.progress import Tree
from linnaea.training.interruption import Interruption

RETRIES = 3
"""How often a category begins again whose worker was lost."""
ADDRESS = "RAY_ADDRESS"
SECONDS = 10.0
"""In which a cluster must answer."""


def load_ray() -> Any:
    """The package.

    Raises:
        MissingExtraError: it is not installed.
    """
    return extra("ray", "the executor 'ray'", lambda: importlib.import_module("ray"))


class Cluster:
    """On the cores of a cluster."""

    def __init__(self) -> None:
        self.ray = load_ray()

    def __call__(self, work: CategoryWork, finished: Finished, reporter: Reporter) -> None:
        ray = self.ray
        # Ray puts a handler of its own over ours, so that after it ours come again.
        with Interruption() as early, self._connected(), Interruption() as late:
            task = ray.remote(num_cpus=1, max_retries=RETRIES)(_fit)
            # In a list a reference stays one: a worker takes the work out of the store once, not once a category.
            where = [ray.put(alone(work))]

            def submit(column: int, beginning: Beginning) -> Future[CategoryFit]:
                future: Future[CategoryFit] = task.remote(where, column, beginning).future()
                return future

            count = max(1, int(ray.cluster_resources().get("CPU", 1)))
            tree = Tree(work, finished, reporter, count)
            try:
                run_pool(work, finished, tree, submit, count, lambda: bool(early.received or late.received))
            except ray.exceptions.RayTaskError as failed:
                if isinstance(failed.cause, LinnaeaError):
                    raise failed.cause from None
                raise
            except ray.exceptions.RayError as lost:
                names = ", ".join(work.plan.taxonomy.ids[column] for column in sorted(tree.running))
                problem = (
                    f"a worker of the Ray cluster was lost while it trained {names}: {_first_line(lost)}"
                )
                raise RunError(problem, hint="--resume goes on") from None

    @contextlib.contextmanager
    def _connected(self) -> Iterator[None]:
        """While it is open, this process is the driver of a cluster.

        Raises:
            RunError: there is none at RAY_ADDRESS, or none can be started.
        """
        ray, address = self.ray, os.environ.get(ADDRESS)
        if ray.is_initialized():  # by whoever called us, whose it stays
            yield
            return
        options: dict[str, Any] = {"logging_level": logging.CRITICAL, "log_to_driver": False}
        if address is None:
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            options |= {"address": "local", "num_cpus": cores(), "include_dashboard": False}
        try:
            _look_for(address)
            ray.init(**options)
        except Exception as bad:  # of many kinds, which differ between versions
            with contextlib.suppress(Exception):
                ray.shutdown()
            where = "on this machine" if address is None else f"at {ADDRESS}={address}"
            hint = "without it one is started here" if address is not None else None
            raise RunError(f"no Ray cluster {where}: {_first_line(bad)}", hint=hint) from None
        try:
            yield
        finally:
            # What still runs is of no use any more, and ends with it.
            ray.shutdown()


def _look_for(address: str | None) -> None:
    """Ray itself asks for minutes, on stderr.

    Raises:
        OSError: nobody answers there.
    """
    host, _, port = (address or "").rpartition("://")[2].rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), timeout=SECONDS).close()


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


_works: dict[str, CategoryWork] = {}


def _fit(where: list[Any], column: int, beginning: Beginning) -> CategoryFit:
    """In a worker."""
    key = where[0].hex()
    if key not in _works:
        _works.clear()
        _works[key] = load_ray().get(where[0])
        _works[key].tell(Silent())
    return fit_unheard(_works[key], column, beginning)
