"""The listeners that ``run.listeners`` names, and who tells them how a run ended.

All hear of the epochs of a network for all categories, and under every strategy of the result. Their packages are extras and
are imported when a run asks for them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from linnaea.config.outcome import RunConfig
from linnaea.errors import LinnaeaError
from linnaea.files import read_json
from linnaea.run_folder import RunFolder
from linnaea.training.history import RunListener, tell
from linnaea.training.mlflow import MLflow, load_tracking
from linnaea.training.tensorboard import TensorBoard


def trackers(run: RunConfig, folder: RunFolder) -> list[RunListener]:
    """What ``run.listeners`` names; nothing is written before they hear something.

    Raises:
        MissingExtraError: the package of one is not installed.
    """
    made: list[RunListener] = []
    if "tensorboard" in run.listeners:
        made.append(TensorBoard(folder.path / "tensorboard"))
    if "mlflow" in run.listeners:
        made.append(MLflow(folder))
    return made


@contextlib.contextmanager
def listened(run: RunConfig, folder: RunFolder) -> Iterator[None]:
    """Around all that is done for a run, in its first process: the listeners hear how it ended.

    Raises:
        MissingExtraError: on entering, the package of a listener is not installed.
        RunError: on leaving, a listener cannot write.
    """
    heard = trackers(run, folder)
    try:
        yield
    except BaseException as error:
        for listener in heard:
            with contextlib.suppress(LinnaeaError):  # the run's own error is the one to tell
                listener.on_failure(error)
        raise
    tell(heard, "on_result", read_json(folder.metrics) if folder.metrics.exists() else {})


def outlives(name: str) -> bool:
    """Whether a listener keeps its records elsewhere than in the run folder."""
    return name == "mlflow" and bool(load_tracking().is_tracking_uri_set())
