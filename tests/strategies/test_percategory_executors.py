"""The executors: the same model whoever does the work; workers that die, signals, clusters that are not there."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from linnaea.commands.train import fit
from linnaea.config.config import Config
from linnaea.errors import InterruptedRun, MissingExtraError, RunError
from linnaea.strategies.percategory import grouped
from linnaea.strategies.percategory.category import Beginning, CategoryFit, CategoryWork
from linnaea.strategies.percategory.executors import Processes, build_executor, one_by_one
from linnaea.strategies.percategory.finished import Finished
from linnaea.strategies.percategory.ray import ADDRESS, Cluster
from linnaea.taxonomy.taxonomy import Taxonomy

from .test_percategory_grouped import assert_equal, config, dag, made, run
from .toys import run_folder, taxonomy

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None,
    reason='the extra ray is not installed: pip install "linnaea[ray]"',
)
TREE_OR_DAG = pytest.mark.parametrize("categories", [taxonomy, dag], ids=["tree", "dag"])


def config_for(executor: str, **strategy: Any) -> Config:
    workers = {"workers": 2} if executor == "local" else {}
    return config({"executor": executor, **workers, **strategy}, epochs=2)


class TestTheSameModel:
    @TREE_OR_DAG
    def test_grouped_gives_what_one_by_one_gives(self, categories, tmp_path):
        self._compare(categories(), ["grouped"], tmp_path)

    @pytest.mark.slow
    @TREE_OR_DAG
    def test_local_too(self, categories, tmp_path):
        self._compare(categories(), ["local"], tmp_path)

    @needs_ray
    @pytest.mark.slow
    @TREE_OR_DAG
    def test_ray_too(self, categories, tmp_path, monkeypatch):
        monkeypatch.delenv(ADDRESS, raising=False)
        self._compare(categories(), ["ray"], tmp_path)

    def _compare(self, categories: Taxonomy, others: list[str], folder: Path) -> None:
        corpus = made(config_for("local"), categories).corpus
        results = {}
        for executor in ("one", *others):
            settings = config_for("local", workers=1) if executor == "one" else config_for(executor)
            results[executor] = fit(settings, corpus, run_folder(folder / executor)).model
        single = results.pop("one")
        for other in results.values():
            np.testing.assert_allclose(other.decider.thresholds_C, single.decider.thresholds_C, atol=1e-5)
            scores = [np.asarray(model.scorer.score(corpus.dev).scores) for model in (single, other)]
            np.testing.assert_allclose(*scores, atol=1e-5)
            assert other.facts["networks"] == single.facts["networks"]


class TestDispatch:
    def test_the_executor_that_is_named(self):
        assert build_executor(made(config_for("grouped"))) is grouped.grouped
        assert isinstance(build_executor(made(config_for("local"))), Processes)
        assert build_executor(made(config_for("local", workers=1))) is one_by_one

    def test_auto_is_local_on_a_cpu(self):
        assert build_executor(made(config({"workers": 1}))) is one_by_one

    def test_without_ray_one_line_says_what_to_install(self, monkeypatch):
        def missing(name: str) -> Any:
            raise ImportError(name)

        monkeypatch.setattr("linnaea.strategies.percategory.ray.importlib.import_module", missing)
        with pytest.raises(
            MissingExtraError, match=r'needs an optional package.*pip install "linnaea\[ray\]"'
        ):
            build_executor(made(config_for("ray")))


@contextlib.contextmanager
def worker_killed() -> Iterator[list[int]]:
    """One child of this process dies as soon as there is one that works."""
    import multiprocessing

    killed: list[int] = []
    before = {child.pid for child in multiprocessing.active_children()}  # of earlier pools

    def hunt() -> None:
        end = time.monotonic() + 60
        while not killed and time.monotonic() < end:
            for child in multiprocessing.active_children():
                if child.pid is not None and child.pid not in before:
                    os.kill(child.pid, signal.SIGKILL)
                    killed.append(child.pid)
                    return
            time.sleep(0.01)

    thread = threading.Thread(target=hunt)
    thread.start()
    try:
        yield killed
    finally:
        thread.join()


class TestAccidents:
    def test_a_worker_that_dies_is_told_and_the_run_goes_on(self, tmp_path):
        work = made(config_for("local"))
        done = Finished(tmp_path, work.plan, resume=True)
        done.put(work.fit(work.plan.trained[0], done.beginning(work.plan.trained[0])))
        first = (tmp_path / f"{work.plan.trained[0]}.safetensors").stat().st_mtime_ns
        with (
            worker_killed() as killed,
            pytest.raises(RunError, match=r"^a worker process died while it trained \w+"),
        ):
            run(work, tmp_path, Processes(2))
        assert killed
        finished = run(work, tmp_path, one_by_one)
        assert set(finished.facts) == set(work.plan.trained)
        assert (tmp_path / f"{work.plan.trained[0]}.safetensors").stat().st_mtime_ns == first

    def test_a_worker_that_dies_while_another_begins_is_told_as_well(self, tmp_path, monkeypatch):
        """The pool's own pipes are closed then, and what begins falls over them."""

        def closed(*_: Any) -> None:
            raise OSError("handle is closed")

        monkeypatch.setattr(ProcessPoolExecutor, "submit", closed)
        work = made(config_for("local"))
        with pytest.raises(RunError, match=r"^a worker process died while it trained \w+ \(--resume"):
            run(work, tmp_path, Processes(2))

    @pytest.mark.parametrize("other", [one_by_one, grouped.grouped], ids=["one_by_one", "grouped"])
    def test_a_signal_leaves_what_is_done(self, other, tmp_path, monkeypatch):
        """And grouped goes on from it, to the same models."""
        work = made(config({"executor": "grouped"}, epochs=2))
        put, whole = Finished.put, run(work, tmp_path / "whole", one_by_one)

        def stop_after(finished: Finished, fit: CategoryFit) -> None:
            put(finished, fit)
            if len(finished) == 2:
                os.kill(os.getpid(), signal.SIGTERM)

        monkeypatch.setattr(Finished, "put", stop_after)
        before = signal.signal(signal.SIGTERM, signal.default_int_handler) if other is one_by_one else None
        try:
            with pytest.raises((InterruptedRun, KeyboardInterrupt)) as stopped:
                run(work, tmp_path / "part", other)
        finally:
            if before is not None:
                signal.signal(signal.SIGTERM, before)
        monkeypatch.undo()
        if other is grouped.grouped:
            assert "2 of 6 categories were done" in str(stopped.value) and "--resume" in str(stopped.value)
        assert len(Finished(tmp_path / "part", work.plan, resume=True)) == 2
        assert_equal(run(work, tmp_path / "part", grouped.grouped), whole)

    def test_a_signal_reaches_processes(self, tmp_path, monkeypatch):
        work = made(config_for("local"))
        put = Finished.put

        def stop_after(finished: Finished, fit: CategoryFit) -> None:
            put(finished, fit)
            os.kill(os.getpid(), signal.SIGINT)

        monkeypatch.setattr(Finished, "put", stop_after)
        with pytest.raises(InterruptedRun, match=r"of 6 categories were done.*--resume"):
            run(work, tmp_path, Processes(2))

    @needs_ray
    def test_a_cluster_that_is_not_there_is_one_line(self, tmp_path, monkeypatch):
        monkeypatch.setenv(ADDRESS, "127.0.0.1:1")
        with pytest.raises(RunError, match=r"^no Ray cluster at RAY_ADDRESS=127\.0\.0\.1:1: .*refused"):
            run(made(config_for("ray")), tmp_path, Cluster())

    @needs_ray
    @pytest.mark.slow
    def test_a_lost_ray_worker_begins_again(self, tmp_path, monkeypatch):
        monkeypatch.delenv(ADDRESS, raising=False)
        monkeypatch.setenv("LINNAEA_TEST_DIES", str(tmp_path / "died"))
        monkeypatch.setattr("linnaea.strategies.percategory.ray._fit", _dies_once)
        finished = run(made(config_for("ray")), tmp_path / "run", Cluster())
        assert (tmp_path / "died").exists()
        assert set(finished.facts) == set(finished.plan.trained)


def _dies_once(where: list[Any], column: int, beginning: Beginning) -> CategoryFit:
    import ray

    mark = Path(os.environ["LINNAEA_TEST_DIES"])
    if not mark.exists():
        mark.touch()
        os._exit(1)
    work: CategoryWork = ray.get(where[0])
    return work.fit(column, beginning)


class TestCommand:
    def test_the_option_names_the_executor(self, tmp_path, monkeypatch):
        from linnaea.commands import train

        seen: list[Config] = []

        def stop(config: Config) -> Any:
            seen.append(config)
            raise RunError("far enough")

        monkeypatch.setattr(train, "build_strategy", stop)
        value = {**config_for("local").dump(), "data": {"train": "x.jsonl"}}
        value["run"] = {**value["run"], "dir": str(tmp_path / "run")}
        with pytest.raises(RunError, match="far enough"):
            train.train(value, executor="grouped")
        strategy: Any = seen[0].training.strategy
        assert (strategy.executor, strategy.workers) == ("grouped", None)
        assert Config.build(seen[0].dump()) == seen[0]

    @pytest.mark.parametrize(
        ("strategy", "name", "problem"),
        [
            (
                "joint",
                "grouped",
                "--executor: acts only under the strategy 'per_category', not under 'joint'",
            ),
            (
                "per_category",
                "grupped",
                "--executor: there is no executor 'grupped' (did you mean 'grouped'?)",
            ),
        ],
    )
    def test_what_it_refuses(self, strategy, name, problem):
        from linnaea.commands.train import train
        from linnaea.errors import UsageError

        value = {"data": {"train": "x.jsonl"}, "training": {"strategy": strategy}}
        with pytest.raises(UsageError) as error:
            train(value, executor=name)
        assert str(error.value).startswith(problem)
