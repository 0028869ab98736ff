"""From texts and labels to a model: the config, the documents, the run and its folder."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from numbers import Integral
from pathlib import Path
from typing import Any, Self

import numpy as np
from sklearn.utils import check_random_state

from linnaea.commands.caution import check_held_out
from linnaea.commands.fitting import decided_model
from linnaea.config.config import Config
from linnaea.corpus.document import Document
from linnaea.corpus.records import received
from linnaea.errors import UsageError
from linnaea.estimator.categories import form_of, labels_of
from linnaea.estimator.inputs import InputError, SettingsError, Written, read_documents, written_config
from linnaea.estimator.presets import check_preset, outline, with_preset
from linnaea.estimator.targets import Form, Target, read_target
from linnaea.files import write_json
from linnaea.model.folder import save
from linnaea.model.model import Model
from linnaea.reporter import Reporter, Silent
from linnaea.run_folder import RunFolder
from linnaea.strategies.build import build_strategy
from linnaea.taxonomy.taxonomy import Taxonomy
from linnaea.text.build import corpus_from_documents
from linnaea.training.listeners import listened, outlives


@dataclass(frozen=True)
class Settings:
    """The parameters of the estimator, as they were given."""

    config: Any
    strategy: Any
    settings: Any
    preset: Any
    aim: Any
    taxonomy: Any
    separator: str | None
    run_dir: Any
    random_state: Any
    verbose: Any

    @classmethod
    def of(cls, estimator: Any) -> Self:
        """Those of ``estimator``, which may have further ones."""
        return cls(**{field.name: getattr(estimator, field.name) for field in fields(cls)})


def fit_model(given: Settings, X: Any, y: Any) -> tuple[Model, Form]:
    """Train on texts and labels.

    Raises:
        LinnaeaError: X, y or the settings do not hold; or the training fails.
    """
    target = read_target(y)
    if len(target) < 2:
        raise InputError(
            f"{len(target) or 'no'} documents (n_samples = {len(target)}) are too few", where="y"
        )
    with _place(given.run_dir) as place:
        written = _written(given, place)
        value = _without_file(written.value(), given.taxonomy)
        form = form_of(target, value, given.taxonomy if isinstance(given.taxonomy, Taxonomy) else None)
        config = Config.build(value if given.preset is None else outline(value), written.folder)
        _check_run(config, given)
        documents = read_documents(X, config.data)
        if len(documents) != len(target):
            raise InputError(f"{len(documents)} documents in X, labels of {len(target)} in y")
        _check_differ(target)
        labelled = [replace(d, labels=row) for d, row in zip(documents, labels_of(target, form), strict=True)]
        if given.preset is not None:
            config = with_preset(written, value, given.preset, given.aim, labelled, form.resolver)
        with _opened(place) as run, listened(config.run, run):
            write_json(run.config, config.dump())
            model = _trained(
                config, form.resolver.taxonomy, labelled, run, Printed() if given.verbose else Silent()
            )
            if given.run_dir is not None:
                save(model, run.model)
    return model, form


def _check_differ(target: Target) -> None:
    """Refuse documents that have all the same labels, as ``linnaea init`` does."""
    if target.values_N is not None:
        same = bool((target.values_N == target.values_N[0]).all())
    elif target.matrix is not None:
        same = bool(np.isin(target.matrix.sum(axis=0), (0, len(target))).all())
    else:
        same = len({frozenset(row) for row in target.rows}) == 1
    if same:
        what = "are of one class" if target.kind == "one" else "have the same labels (one class)"
        raise InputError(f"all {len(target):,} documents {what}: nothing can be learned", where="y")


def _written(given: Settings, place: Path) -> Written:
    """What the parameters say of the config, before y has its say."""
    if given.strategy is not None and not isinstance(given.strategy, str):
        hint = 'a name, such as "linear"; its settings go into settings={"training.strategy.C": 0.5}'
        raise SettingsError(
            f"expected a name, received {received(given.strategy)}", where="strategy", hint=hint
        )
    named: dict[str, Any] = {
        "run.dir": str(place),
        "run.seed": _seed(given.random_state),
        "task.separator": given.separator,
        "task.taxonomy": None if isinstance(given.taxonomy, Taxonomy) else given.taxonomy,
    }
    preset = given.preset is not None
    written = written_config(given.config, given.strategy, named, given.settings, preset=preset)
    check_preset(given.preset, given.aim, given.strategy, written)
    return written


def _without_file(value: dict[str, Any], taxonomy: Any) -> dict[str, Any]:
    """``value`` without the taxonomy file that it names, where a taxonomy is given from Python."""
    if isinstance(taxonomy, Taxonomy) and isinstance(value.get("task"), dict):
        for key in ("taxonomy", "taxonomy_format"):
            value["task"].pop(key, None)
    return value


def _seed(random_state: Any) -> int | None:
    if random_state is None or isinstance(random_state, Integral):
        return None if random_state is None else int(random_state)
    try:
        return int(check_random_state(random_state).randint(2**31 - 1))
    except ValueError as error:
        raise SettingsError(str(error), where="random_state") from None


def _check_run(config: Config, given: Settings) -> None:
    """Refuse what does nothing here."""
    devices = config.run.devices
    if (devices if isinstance(devices, int) else len(devices)) > 1:
        hint = "use linnaea.train, or `linnaea train`, for several"
        raise SettingsError("an estimator trains in one process", where="run.devices", hint=hint)
    for name in config.run.listeners if given.run_dir is None else ():
        if not outlives(name):
            hint = "give run_dir" + (", or set MLFLOW_TRACKING_URI" if name == "mlflow" else "")
            raise SettingsError(
                f"{name} writes into the run folder, which goes away", where="run.listeners", hint=hint
            )


@contextlib.contextmanager
def _place(run_dir: Any) -> Iterator[Path]:
    """Where the run folder is made."""
    if run_dir is not None:
        yield Path(run_dir)
        return
    with tempfile.TemporaryDirectory(prefix="linnaea-") as folder:
        yield Path(folder) / "TextClassifier"  # by which a run is called elsewhere


@contextlib.contextmanager
def _opened(place: Path) -> Iterator[RunFolder]:
    with contextlib.ExitStack() as stack:
        try:
            run = stack.enter_context(RunFolder.open(place, resume=False, overwrite=False))
        except UsageError as error:
            raise SettingsError(
                error.message, where=f"run_dir: {error.where}", hint="give another run_dir"
            ) from None
        yield run


def _trained(
    config: Config, taxonomy: Taxonomy, documents: list[Document], run: RunFolder, reporter: Reporter
) -> Model:
    strategy = build_strategy(config)
    corpus = corpus_from_documents(config, taxonomy, documents)
    for message in corpus.warnings:
        reporter.warn(message)
    check_held_out(config, corpus)
    fitted = strategy.fit(corpus, run, reporter=reporter)
    if not fitted.main_process:
        raise UsageError("an estimator trains in one process, and this is one of several")
    return decided_model(config, corpus, fitted, reporter)


class Printed(Silent):
    """Prints notes, warnings and epochs to stderr."""

    def note(self, message: str) -> None:
        print(message, file=sys.stderr)

    def warn(self, message: str) -> None:
        print(f"warning: {message}", file=sys.stderr)

    def listener(self, name: str = "") -> Any:
        return _Epochs(self, name)


class _Epochs:
    """A listener that prints a line an epoch."""

    def __init__(self, printed: Printed, name: str) -> None:
        self.printed, self.name = printed, f"{name}, " if name else ""

    def on_start(self, start: Any) -> None:
        pass

    on_step = on_end = on_start

    def on_epoch(self, record: Any) -> None:
        dev = {name: record.dev.get(name) for name in ("loss", "micro_f1", "macro_f1")}
        shown = ", ".join(f"{name} {value:.4f}" for name, value in dev.items() if value is not None)
        self.printed.note(f"{self.name}epoch {record.epoch}: loss {record.loss:.4f}; dev {shown or '-'}")
