"""The listeners of a run: TensorBoard and MLflow, on real stores."""

from __future__ import annotations

import builtins
import contextlib
import importlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from linnaea.config.config import Config
from linnaea.config.outcome import RunConfig
from linnaea.errors import InterruptedRun, MissingExtraError, RunError
from linnaea.files import write_json
from linnaea.run_folder import RunFolder
from linnaea.training.history import History, JsonlHistory, Progress, Start, build_listeners, summary
from linnaea.training.listeners import listened, trackers
from linnaea.training.mlflow import MLflow, parameters
from linnaea.training.tensorboard import TensorBoard

from .test_history import record, start

METRICS = {
    "split": "test", "documents": 9, "micro": {"f1": 0.5, "recall": 1}, "subset_accuracy": 0.25, "good": True,
    "levels": [{"level": 1, "categories": 2, "micro_f1": 0.75}], "ranking": {"precision@1": 0.5},
    "categories": [{"id": "a", "f1": 0.1}], "intervals": {"micro": {"f1": [0.4, 0.6]}},
    "baseline": {"micro": {"f1": 0.4}, "difference": {"micro_f1": {"value": 0.1, "interval": [0.0, 0.2], "p": 0.04}}},
}  # fmt: skip
NUMBERS = {
    "documents": 9.0, "micro_f1": 0.5, "micro_recall": 1.0, "subset_accuracy": 0.25,
    "level_1_micro_f1": 0.75, "ranking_precision_at_1": 0.5, "baseline_micro_f1": 0.4,
    "baseline_difference_micro_f1_value": 0.1, "baseline_difference_micro_f1_p": 0.04,
}  # fmt: skip
PROGRESS = Progress(1, 3, 4, 30, 0.7, 0.01, 50.0, None, 9.0)


def run_of(path: Path, *listeners: str) -> tuple[RunConfig, RunFolder]:
    path.mkdir(exist_ok=True)
    config, folder = Config.build({"run": {"dir": str(path), "listeners": list(listeners)}}), RunFolder(path)
    write_json(folder.config, config.dump())
    return config.run, folder


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A client of a store of files, which is where runs go."""
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "store").as_uri())
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_ID", raising=False)
    tracking = pytest.importorskip("mlflow.tracking")
    return tracking.MlflowClient()


def only_run(store: Any, experiment: str = "linnaea") -> Any:
    (found,) = store.search_runs([store.get_experiment_by_name(experiment).experiment_id])
    return found


def test_numbers_of_metrics_without_tables() -> None:
    assert summary(METRICS) == NUMBERS
    assert summary({}) == {} and summary({"loss": float("nan"), "micro": None}) == {}


def test_a_config_as_parameters() -> None:
    value = {
        "run": {"dir": "runs/ä", "seed": 1},
        "plugins": [],
        "input": {"features": ["token"], "cut": None},
    }
    assert parameters(value) == {
        "run.dir": "runs/ä", "run.seed": "1", "plugins": "[]", "input.features": '["token"]', "input.cut": "null",
    }  # fmt: skip
    weights = {f"category {number}": 2.0 for number in range(1000)}
    (text,) = parameters({"objective": {"class_weights": weights}}).values()
    assert len(text) == 6000 and text.startswith('{"category 0": 2.0, ') and text.endswith("...")


def test_tensorboard_draws_the_curves(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    listener = TensorBoard(tmp_path)
    listener.on_start(start())
    listener.on_step(PROGRESS)
    listener.on_epoch(record(1))
    listener.on_end(History())
    TensorBoard(tmp_path).on_result({})
    TensorBoard(tmp_path).on_result(METRICS)
    TensorBoard(tmp_path).on_failure(ValueError())
    curves = accumulator.EventAccumulator(str(tmp_path))
    curves.Reload()
    assert [(e.step, e.value) for e in curves.Scalars("train/running_loss")] == [(4, pytest.approx(0.7))]
    assert [(e.step, e.value) for e in curves.Scalars("dev/micro_f1")] == [(10, 0.5)]
    assert [(e.step, e.value) for e in curves.Scalars("train/loss")] == [(10, pytest.approx(1.1))]
    tags = curves.Tags()["scalars"]
    assert "dev/loss" not in tags
    final = {
        tag.removeprefix("final/"): curves.Scalars(tag)[-1].value for tag in tags if tag.startswith("final/")
    }
    assert final == pytest.approx(NUMBERS)


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_without_the_package_the_pip_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_import, real_module = builtins.__import__, importlib.import_module

    def missing(wanted: str, *arguments: Any, **more: Any) -> Any:
        if wanted.startswith((name, f"torch.utils.{name}")):
            raise ImportError(wanted)
        return real_import(wanted, *arguments, **more)

    def missing_module(wanted: str, *arguments: Any) -> Any:
        return missing(wanted) if wanted.startswith(name) else real_module(wanted, *arguments)

    monkeypatch.setattr(builtins, "__import__", missing)
    monkeypatch.setattr(importlib, "import_module", missing_module)
    run, folder = run_of(tmp_path / "run", name)
    line = rf'the listener {name} needs an optional package \(pip install "linnaea\[{name}\]"\)'
    with pytest.raises(MissingExtraError, match=line):
        build_listeners(run, folder)
    with pytest.raises(MissingExtraError, match=line), listened(run, folder):
        pytest.fail("told before anything is done")


def test_listeners_of_a_run(tmp_path: Path, store: Any) -> None:
    pytest.importorskip("tensorboard")
    run, folder = run_of(tmp_path / "run", "mlflow", "tensorboard")
    assert [type(one) for one in build_listeners(run, folder)] == [JsonlHistory, TensorBoard, MLflow]
    assert [path.name for path in folder.path.iterdir()] == ["config.json"]  # nothing was heard


def test_mlflow_has_the_run(tmp_path: Path, store: Any, capfd: pytest.CaptureFixture[str]) -> None:
    run, folder = run_of(tmp_path / "news", "mlflow")
    with listened(run, folder):
        (listener,) = trackers(run, folder)  # of the strategy
        listener.on_start(start())
        assert only_run(store).info.status == "RUNNING"
        listener.on_step(PROGRESS)
        for epoch in (1, 2):
            listener.on_epoch(record(epoch))
        listener.on_end(History(best_epoch=2))
        write_json(folder.metrics, METRICS)
        folder.report.write_text("<html>")
    found = only_run(store)
    assert found.info.status == "FINISHED" and found.info.run_name == "news"
    assert found.info.run_id == json.loads((folder.path / "mlflow.json").read_text())["run_id"]
    points = store.get_metric_history(found.info.run_id, "train/loss")
    assert [(point.step, point.value) for point in points] == [(1, 1.1), (2, 2.1)]
    values = found.data.metrics
    assert values["dev/micro_f1"] == 0.5 and "dev/loss" not in values and values["best_epoch"] == 2
    assert {k.removeprefix("final/"): v for k, v in values.items() if k.startswith("final/")} == NUMBERS
    assert found.data.params == parameters(json.loads(folder.config.read_text()))
    assert found.data.params["training.strategy.type"] == "joint"
    assert found.data.tags["linnaea.split"] == "test"
    assert {file.path for file in store.list_artifacts(found.info.run_id)} == {
        "config.json",
        "metrics.json",
        "report.html",
    }
    assert capfd.readouterr().out == ""
    with listened(run, folder):
        pass  # a finished run that is resumed does nothing
    assert len(store.get_metric_history(found.info.run_id, "final/micro_f1")) == 1


def train(
    run: RunConfig, folder: RunFolder, known: Sequence[int], epochs: Sequence[int], end: BaseException
) -> None:
    """A training that goes on from some epochs, makes others, and ends badly."""
    with listened(run, folder):
        (listener,) = trackers(run, folder)
        listener.on_start(start(*map(record, known)))
        for epoch in epochs:
            listener.on_epoch(record(epoch))
        raise end


def test_mlflow_goes_on_with_a_run_that_is_resumed(tmp_path: Path, store: Any) -> None:
    run, folder = run_of(tmp_path / "run", "mlflow")
    with pytest.raises(InterruptedRun):
        train(run, folder, (), (1, 2), InterruptedRun("at step 25"))
    name = only_run(store).info.run_id
    assert only_run(store).info.status == "KILLED"
    with pytest.raises(ZeroDivisionError):
        train(run, folder, (1,), (2, 3), ZeroDivisionError())  # the checkpoint is of the first epoch
    assert only_run(store).info.status == "FAILED" and only_run(store).info.run_id == name
    steps = [point.step for point in store.get_metric_history(name, "train/loss")]
    assert steps == [1, 2, 3]
    store.delete_run(name)
    store.restore_run(name)
    (folder.path / "mlflow.json").write_text('{"run_id": "0123456789abcdef0123456789abcdef"}')
    (elsewhere,) = trackers(run, folder)
    elsewhere.on_start(start(record(1), record(2)))  # another place than before: all epochs are told
    new = json.loads((folder.path / "mlflow.json").read_text())["run_id"]
    assert [point.step for point in store.get_metric_history(new, "train/loss")] == [1, 2]


def test_mlflow_hears_of_the_result_alone_where_there_are_no_epochs(
    tmp_path: Path, store: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "yardsticks")
    run, folder = run_of(tmp_path / "run", "mlflow")
    with contextlib.suppress(KeyError), listened(run, folder):
        raise KeyError  # before anything began: no run
    assert store.get_experiment_by_name("yardsticks") is None
    with listened(run, folder):
        pass
    found = only_run(store, "yardsticks")
    assert (
        found.info.status == "FINISHED" and found.data.metrics == {} and found.data.params["run.seed"] == "1"
    )


def test_a_store_that_cannot_be_written(tmp_path: Path, store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    run, folder = run_of(tmp_path / "run", "mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/file/mlflow.db")
    (listener,) = trackers(run, folder)
    with pytest.raises(RunError, match=r"^MLflow: cannot be written to: .*--resume goes on\)$"):
        listener.on_start(Start((), 0, 3, 37, None))


@pytest.mark.slow
def test_without_a_place_of_its_own_mlflow_writes_into_the_run_folder(
    tmp_path: Path, store: Any, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    monkeypatch.chdir(tmp_path)
    run, folder = run_of(tmp_path / "run", "mlflow")
    with listened(run, folder):
        (listener,) = trackers(run, folder)
        listener.on_start(start())
        listener.on_epoch(record(1))
    own = type(store)(f"sqlite:///{folder.path}/mlruns/mlflow.db")
    found = only_run(own)
    assert found.info.status == "FINISHED" and found.data.metrics["train/loss"] == 1.1
    assert (folder.path / "mlruns/artifacts" / found.info.run_id / "artifacts/config.json").is_file()
    assert {path.name for path in tmp_path.iterdir()} == {"run", "store"}
    assert capfd.readouterr() == ("", "")
