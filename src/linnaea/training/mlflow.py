"""MLflow as a listener: a run there for a run here."""

from __future__ import annotations

import contextlib
import importlib
import json
import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from linnaea import __version__
from linnaea.errors import InterruptedRun, RunError
from linnaea.files import extra, read_json, write_json
from linnaea.run_folder import RunFolder
from linnaea.training.history import EpochRecord, History, Progress, Start, summary

EXPERIMENT = "linnaea"
_TEXT = 6000  # characters of a parameter that MLflow keeps
_BATCH = 100  # parameters that it takes at once


class MLflow:
    """A run in MLflow (extra ``mlflow``): the config as parameters, dev metrics by epoch, final metrics, files.

    It goes where ``MLFLOW_TRACKING_URI`` (or ``mlflow.set_tracking_uri``) says, else to ``mlruns/mlflow.db`` in the run
    folder; into the experiment of ``MLFLOW_EXPERIMENT_ID`` or ``MLFLOW_EXPERIMENT_NAME``, else "linnaea". The run folder
    keeps the id of the MLflow run in ``mlflow.json``, so that what is resumed goes on there.

    Raises:
        MissingExtraError: the package is not installed.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self._tracking = load_tracking()
        self._client: Any = None
        self._run = ""
        self._logged = 0  # epochs

    @property
    def _record(self) -> Path:
        return self.folder.path / "mlflow.json"

    def on_start(self, start: Start) -> None:
        with _told():
            self._open()
            logged = self._client.get_metric_history(self._run, "train/loss")
            self._logged = max((point.step for point in logged), default=0)
            self._client.update_run(self._run, status="RUNNING")
        for record in start.records:
            self.on_epoch(record)

    def on_step(self, progress: Progress) -> None:
        pass  # a call to a server twice a second is too much

    def on_epoch(self, record: EpochRecord) -> None:
        if record.epoch <= self._logged:
            return  # made again after a checkpoint, with the same outcome
        values = {"train/loss": record.loss, "train/learning_rate": record.learning_rate}
        values["train/documents_per_second"] = record.time.documents_per_second
        values |= {f"dev/{name}": value for name, value in record.dev.items() if value is not None}
        self._log(values, record.epoch)
        self._logged = record.epoch

    def on_end(self, history: History) -> None:
        self._log({"best_epoch": float(history.best_epoch)}, 0)

    def on_result(self, metrics: Mapping[str, Any]) -> None:
        with _told():
            self._open()
            if self._status() == "FINISHED":
                return
            if metrics:
                self._client.set_tag(self._run, "linnaea.split", metrics["split"])
            self._log({f"final/{name}": value for name, value in summary(metrics).items()}, 0)
            for file in (self.folder.config, self.folder.metrics, self.folder.report):
                if file.exists():
                    self._client.log_artifact(self._run, str(file))
            self._client.set_terminated(self._run, "FINISHED")

    def on_failure(self, error: BaseException) -> None:
        if not self._record.exists():
            return
        with _told():
            self._open()
            if self._status() == "RUNNING":
                stopped = isinstance(error, InterruptedRun | KeyboardInterrupt)
                self._client.set_terminated(self._run, "KILLED" if stopped else "FAILED")

    def _open(self) -> None:
        """The run that the run folder names, or a new one."""
        if self._client is not None:
            return
        local = not self._tracking.is_tracking_uri_set()
        place = self.folder.path.resolve() / "mlruns"
        if local:
            place.mkdir(exist_ok=True)
        client = self._tracking.MlflowClient(f"sqlite:///{place / 'mlflow.db'}" if local else None)
        self._run = self._known(client)
        if not self._run:
            where = (place / "artifacts").as_uri() if local else None
            self._run = self._begun(client, where)
            write_json(self._record, {"run_id": self._run})
        self._client = client

    def _known(self, client: Any) -> str:
        """The id in the run folder, where the tracking place has such a run; else nothing."""
        if not self._record.exists():
            return ""
        name = str(read_json(self._record)["run_id"])
        try:
            client.get_run(name)
        except _mlflow_errors():
            return ""  # another place than before, or it was deleted there
        return name

    def _begun(self, client: Any, artifacts: str | None) -> str:
        experiment = os.environ.get("MLFLOW_EXPERIMENT_ID")
        if experiment is None:
            name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
            known = client.get_experiment_by_name(name)
            experiment = client.create_experiment(name, artifacts) if known is None else known.experiment_id
        tags = {"linnaea.version": __version__}
        run: str = client.create_run(experiment, tags=tags, run_name=self.folder.path.name).info.run_id
        from mlflow.entities import Param

        params = [Param(name, value) for name, value in parameters(read_json(self.folder.config)).items()]
        for start in range(0, len(params), _BATCH):
            client.log_batch(run, params=params[start : start + _BATCH])
        return run

    def _status(self) -> str:
        status: str = self._client.get_run(self._run).info.status
        return status

    def _log(self, values: Mapping[str, float], step: int) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        with _told():
            self._client.log_batch(self._run, [Metric(name, v, now, step) for name, v in values.items()])


def parameters(config: Mapping[str, Any]) -> dict[str, str]:
    """A resolved config as ``training.epochs`` and the like; what is no string as JSON."""
    found: dict[str, str] = {}

    def add(name: str, value: object) -> None:
        # Names of categories are no keys of the config.
        if isinstance(value, Mapping) and not name.endswith(".class_weights"):
            for key, item in value.items():
                add(f"{name}.{key}" if name else str(key), item)
            return
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        found[name] = text if len(text) <= _TEXT else text[: _TEXT - 3] + "..."

    add("", config)
    return found


def load_tracking() -> Any:
    """MLflow's part for keeping records, with what a place of our own needs."""

    def load() -> Any:
        tracking: Any = importlib.import_module("mlflow.tracking")
        for needed in () if tracking.is_tracking_uri_set() else ("sqlalchemy", "alembic"):
            importlib.import_module(needed)
        return tracking

    return extra("mlflow", "the listener mlflow", load)


def _mlflow_errors() -> type[Exception]:
    from mlflow.exceptions import MlflowException

    error: type[Exception] = MlflowException
    return error


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """MLflow's failures as errors of ours; what it prints does not get between the data on stdout."""
    logger = logging.getLogger("mlflow")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except (_mlflow_errors(), OSError) as error:
        text = str(error).strip() or type(error).__name__
        hint = "what the run wrote is safe; --resume goes on"
        raise RunError(f"cannot be written to: {text.splitlines()[0]}", where="MLflow", hint=hint) from error
    finally:
        logger.setLevel(level)
