"""The executors: the same model whoever does the work; workers that die, signals, clusters that are not there."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from linnaea.commands.train import fit
from linnaea.config.config import Config
from linnaea.errors import InterruptedRun, MissingExtraError, RunError
from linnaea.reporter import Silent
from linnaea.strategies.percategory import grouped
from linnaea.strategies.percategory.category import Beginning, CategoryFit, CategoryWork
from linnaea.strategies.percategory.executors import Processes, build_executor, one_by_one, run_pool
from linnaea.strategies.percategory.finished import Finished
from linnaea.strategies.percategory.progress import Tree
from linnaea.strategies.percategory.ray import ADDRESS, Cluster
from linnaea.taxonomy.taxonomy import Taxonomy

from .test_percategory_grouped import assert_equal, config, dag, made, run
from .toys import documents, run_folder, taxonomy

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

    @pytest.mark.parametrize(
        "error",
        [OSError("handle is closed"), ValueError("bad value(s) in fds_to_keep")],
        ids=["OSError", "ValueError"],
    )
    def test_a_worker_that_dies_while_another_begins_is_told_as_well(self, error, tmp_path, monkeypatch):
        """The pool's own pipes are closed then, and what begins falls over them, or over what stands in their place."""

        def closed(pool: ProcessPoolExecutor, *_: Any) -> None:
            pool._broken = "a process died"  # set by the pool's thread before it closes anything
            raise error

        monkeypatch.setattr(ProcessPoolExecutor, "submit", closed)
        work = made(config_for("local"))
        with pytest.raises(RunError, match=r"^a worker process died while it trained \w+ \(--resume"):
            run(work, tmp_path, Processes(2))

    def test_an_error_of_a_whole_pool_is_no_death(self, tmp_path, monkeypatch):
        def refused(*_: Any) -> None:
            raise OSError("too many open files")

        monkeypatch.setattr(ProcessPoolExecutor, "submit", refused)
        with pytest.raises(OSError, match="too many open files"):
            run(made(config_for("local")), tmp_path, Processes(2))

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
            with pytest.raises(InterruptedRun, match=r"2 of 6 categories were done .*--resume"):
                run(work, tmp_path / "part", other)
        finally:
            if before is not None:
                signal.signal(signal.SIGTERM, before)
        monkeypatch.undo()
        assert len(Finished(tmp_path / "part", work.plan, resume=True)) == 2
        assert_equal(run(work, tmp_path / "part", grouped.grouped), whole)

    def test_ctrl_c_is_answered_by_the_first_process_alone(self, tmp_path, monkeypatch):
        """A terminal sends it to all: workers that train go on, and what they finish is kept."""
        work = made(config({"executor": "local", "workers": 2}, epochs=20))
        put, done = Finished.put, []

        def interrupt(finished: Finished, fit: CategoryFit) -> None:
            put(finished, fit)
            done.append(fit.column)
            workers = [child.pid for child in multiprocessing.active_children() if child.pid is not None]
            for pid in [*workers, os.getpid()][: len(workers) + (len(done) == 3)]:
                os.kill(pid, signal.SIGINT)

        monkeypatch.setattr(Finished, "put", interrupt)
        with pytest.raises(
            InterruptedRun, match=r"interrupted when [3-5] of 6 categories were done .*--resume"
        ):
            run(work, tmp_path, Processes(2))
        monkeypatch.undo()
        assert set(Finished(tmp_path, work.plan, resume=True).facts) == set(done)

    @pytest.mark.slow
    @pytest.mark.parametrize("executor", ["local", pytest.param("ray", marks=needs_ray)])
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_a_signal_to_the_whole_process_group(self, executor, number, tmp_path, monkeypatch):
        monkeypatch.delenv(ADDRESS, raising=False)
        job = a_job(tmp_path, executor)
        process = subprocess.Popen(
            [sys.executable, "-m", "linnaea", "train", str(job)],
            cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        done = tmp_path / "run" / "checkpoints" / "categories"
        while process.poll() is None and not list(done.glob("[0-9]*.json")):
            time.sleep(0.02)
        time.sleep(0.4)  # the first process waits again, and workers are training
        os.killpg(process.pid, number)
        told = process.communicate(timeout=120)[1]
        assert process.returncode == 130, told
        assert f"interrupted when {len(list(done.glob('[0-9]*.json')))} of 6 categories were done" in told
        assert "Traceback" not in told

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


def a_job(folder: Path, executor: str) -> Path:
    """A config of six networks, of a second or more each, with its files."""
    kinds = "Root\tscience\tleisure\nscience\tphysics\tchemistry\nleisure\topera\tfootball\n"
    (folder / "taxonomy.tsv").write_text(kinds)
    for seed, (name, count) in enumerate({"train": 60, "dev": 30}.items()):
        rows = [{"text": row["text"], "doc_label": row["labels"]} for row in documents(count, seed)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = config_for(executor)
    value = {**settings.dump(), "task": {"taxonomy": "taxonomy.tsv"}}
    value["data"] = {name: f"{name}.jsonl" for name in ("train", "dev")}
    value["training"] |= {"epochs": 60, "early_stopping": {"patience": 60}}
    value["run"] |= {"dir": str(folder / "run")}
    (folder / "job.json").write_text(json.dumps(value))
    return folder / "job.json"


def _dies_once(where: list[Any], column: int, beginning: Beginning) -> CategoryFit:
    import ray

    mark = Path(os.environ["LINNAEA_TEST_DIES"])
    if not mark.exists():
        mark.touch()
        os._exit(1)
    work: CategoryWork = ray.get(where[0])
    return work.fit(column, beginning)


class TestThePool:
    """``run_pool`` over futures that are done before it looks."""

    def test_what_succeeded_beside_a_failure_is_kept(self, tmp_path):
        def submit(column: int, beginning: Beginning) -> Future[CategoryFit]:
            future: Future[CategoryFit] = Future()
            if work.plan.taxonomy.ids[column] == failing:
                future.set_exception(RunError("the loss is not finite"))
            else:
                future.set_result(work.fit(column, beginning))
            return future

        work = made(config_for("local"))
        for failing, other in (("science", "leisure"), ("leisure", "science")):
            done = self._run(work, tmp_path / failing, submit, RunError)
            assert [work.plan.taxonomy.ids[column] for column in done.facts] == [other]

    def test_what_succeeded_before_the_pool_broke_is_kept(self, tmp_path):
        def submit(column: int, beginning: Beginning) -> Future[CategoryFit]:
            if submitted:
                raise BrokenProcessPool
            submitted.append(column)
            future: Future[CategoryFit] = Future()
            future.set_result(work.fit(column, beginning))
            return future

        work, submitted = made(config_for("local")), []
        assert list(self._run(work, tmp_path, submit, BrokenProcessPool).facts) == submitted

    def test_a_failure_after_a_signal_is_the_signal(self, tmp_path):
        def submit(column: int, beginning: Beginning) -> Future[CategoryFit]:
            future: Future[CategoryFit] = Future()
            future.set_exception(BrokenProcessPool("a worker heard the signal, too"))
            return future

        self._run(made(config_for("local")), tmp_path, submit, InterruptedRun, lambda: True)

    def _run(
        self,
        work: CategoryWork,
        folder: Path,
        submit: Callable[[int, Beginning], Future[CategoryFit]],
        error: type[Exception],
        asked_to_stop: Callable[[], bool] = lambda: False,
    ) -> Finished:
        finished = Finished(folder, work.plan, resume=True)
        with pytest.raises(error):
            run_pool(work, finished, Tree(work, finished, Silent()), submit, 2, asked_to_stop)
        assert Finished(folder, work.plan, resume=True).facts.keys() == finished.facts.keys()
        return finished


class TestTheTimeLeft:
    """From the categories' own seconds, so that nothing here depends on a clock."""

    @staticmethod
    def _fit(work: CategoryWork, column: int, seconds: float) -> CategoryFit:
        facts = {"id": work.plan.taxonomy.ids[column], "f1": 0.5, "seconds": seconds, "table": column}
        return CategoryFit(column, {"head.linear.bias": np.zeros(1, np.float32)}, facts)

    @pytest.mark.parametrize(("workers", "expected"), [(1, [60, 50, 28]), (2, [30, 25, 28])])
    def test_three_categories_say_how_long_the_others_take(self, workers, expected, tmp_path):
        work, told = made(config_for("local")), []
        reporter = Silent()
        reporter.progress = lambda *arguments: told.append(arguments[-1])  # type: ignore[method-assign]
        tree = Tree(work, Finished(tmp_path, work.plan, resume=True), reporter, workers)
        assert len(work.plan.trained) == 6
        left = []
        for column, seconds in zip(work.plan.trained, [10, 20, 30, 40, 40, 1], strict=True):
            tree.put(self._fit(work, column, seconds))
            left.append(tree.seconds_left())
        assert [left[0], left[1], left[-1]] == [None, None, None]
        assert left[2:5] == pytest.approx(expected)
        assert [" s left" in line for line in told] == [False, False, False, True, True, True, False]
        assert f"{expected[0]} s left; " in told[3]

    def test_categories_weigh_as_many_documents_as_they_read(self, tmp_path):
        """With one negative a positive (but 200 at least): 50 positives and 200 of 950 negatives, or 400 and 400."""
        work = made(config_for("local", negatives_per_positive=1))
        plan = dataclasses.replace(
            work.plan, documents=1000, support_C=np.array([50, 50, 50, 400, 50, 50, 0])
        )
        work = CategoryWork(work.config, work.corpus, plan)
        finished = Finished(tmp_path, plan, resume=True)
        tree = Tree(work, finished, Silent())
        heavy = plan.taxonomy.ids[3]
        for column in (0, 1, 2):
            tree.put(self._fit(work, column, 25))
        # A tenth of a second a document; two light ones and the heavy one are left.
        assert heavy not in [facts["id"] for facts in finished.facts.values()]
        assert tree.seconds_left() == pytest.approx((250 + 250 + 800) / 10)

    def test_what_an_earlier_call_finished_tells_nothing(self, tmp_path):
        work = made(config_for("local"))
        finished = Finished(tmp_path, work.plan, resume=True)
        for column in work.plan.trained[:4]:
            finished.put(self._fit(work, column, 1000))
        tree = Tree(work, finished, Silent())
        tree.put(self._fit(work, work.plan.trained[4], 1))
        assert tree.seconds_left() is None


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
