"""Config: the whole of a config file.

Reading happens before any work starts and imports neither torch nor scikit-learn.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from linnaea.config import metrics as _metrics  # noqa: F401  declares them
from linnaea.config.checks import resolve, without_idle
from linnaea.config.heads import ModelConfig
from linnaea.config.neuralclassifier import Conversion, convert, is_old
from linnaea.config.objective import ObjectiveConfig
from linnaea.config.outcome import DecisionConfig, EvaluationConfig, RunConfig
from linnaea.config.part import Part, dotted, first_problem, prose
from linnaea.config.reading import anchor, apply, dots_alone, load_plugin, plugin_path, read_config
from linnaea.config.task import DataConfig, InputConfig, TaskConfig
from linnaea.config.training import TrainingConfig
from linnaea.errors import ConfigError


class Config(Part):
    """One training, as the user wrote it, with defaults filled in."""

    task: TaskConfig = TaskConfig()
    data: DataConfig = DataConfig()
    input: InputConfig = InputConfig()
    model: ModelConfig = ModelConfig()
    objective: ObjectiveConfig = ObjectiveConfig()
    training: TrainingConfig = TrainingConfig()
    decision: DecisionConfig = DecisionConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    run: RunConfig = RunConfig()
    plugins: list[str] = Field(
        [], description="modules (import names, or .py files) that register parts of your own"
    )

    @classmethod
    def load(
        cls,
        path: Path | str,
        settings: Sequence[str] = (),
        *,
        converted: Callable[[Conversion], None] | None = None,
    ) -> Config:
        """Read a config file, ours or one of NeuralClassifier, and apply ``--set`` settings.

        Args:
            path: a JSON file; paths inside it are relative to its folder.
            settings: ``a.b=value`` each, with native keys; paths in values are relative to the current folder.
            converted: hears what became of the keys of a NeuralClassifier config.

        Raises:
            ConfigError: with dotted path and suggestion.
        """
        path = Path(path)
        value, folder = read_config(path), path.resolve().parent
        conversion = None
        try:
            if is_old(value):
                conversion = convert(value, folder)
                value = _heard(conversion, converted)
        except ConfigError as error:
            raise _in_file(path, error) from None
        for setting in settings:
            apply(value, setting)
        try:
            return cls.build(value, folder)
        except ConfigError as error:
            told = _as_set(error, settings, conversion)
            if told is None:
                told = _in_file(path, conversion.translated(error) if conversion else error)
            raise told from None

    @classmethod
    def build_with(
        cls,
        value: dict[str, Any],
        settings: Sequence[str],
        *,
        converted: Callable[[Conversion], None] | None = None,
    ) -> Config:
        """A config given as a dictionary, with ``--set`` settings; paths are from the current folder."""
        conversion = convert(value) if is_old(value) else None
        value = _heard(conversion, converted) if conversion else copy.deepcopy(value)
        anchor(value, Path.cwd())
        for setting in settings:
            apply(value, setting)
        try:
            return cls.build(value, Path.cwd())
        except ConfigError as error:
            told = _as_set(error, settings, conversion)
            raise told or (conversion.translated(error) if conversion else error) from None

    @classmethod
    def build(cls, value: dict[str, Any], folder: Path | None = None) -> Config:
        """Check a config given as a dictionary; plug-ins are imported first, so that their names are known.

        Args:
            folder: plug-ins are looked for here (default: the current folder); other paths in ``value`` stay
                as they are.
        """
        names = value.get("plugins")
        if isinstance(names, list):
            start = folder or Path.cwd()
            names = [plugin_path(name, start) if isinstance(name, str) else name for name in names]
            for name in names:
                if isinstance(name, str):
                    load_plugin(name, folder)
            value = {**value, "plugins": names}
        try:
            config = cls.model_validate(value)
        except ValidationError as error:
            raise first_problem(error, cls, "", value) from None
        return resolve(config)

    def dump(self) -> dict[str, Any]:
        """The resolved config as JSON values; reading it again gives an equal config."""
        return without_idle(self.model_dump(mode="json"), self)


def _heard(conversion: Conversion, converted: Callable[[Conversion], None] | None) -> dict[str, Any]:
    if converted is not None:
        converted(conversion)
    return copy.deepcopy(conversion.config)


def _as_set(error: ConfigError, settings: Sequence[str], conversion: Conversion | None) -> ConfigError | None:
    """``error`` with ``--set`` as its place, if its key was set that way; None: it was not."""
    where, hint, unknown = error.where or "", error.hint, error.message == "unknown key"
    place = dots_alone(where)
    for key in (dots_alone(setting.partition("=")[0]) for setting in settings):
        below = place.startswith(key) and place[len(key) : len(key) + 1] in ("", ".", " ")
        # An unknown part is told without the key that was set in it: "train" of "train.num_epochs".
        if not below and not (unknown and key.startswith(f"{place}.")):
            continue
        if conversion is not None and unknown:
            native = [row.became.partition(" =")[0] for row in conversion.rows if row.key == key]
            where, hint = key, "--set takes native keys" + (f": {native[0]}" if native else "")
        return ConfigError(error.message, where=f"--set {where}", hint=hint)
    return None


def in_file(path: Path | None, error: ConfigError) -> ConfigError:
    """``error`` with the config file before its dotted path, if it came from a file and has such a path."""
    key = (error.where or "").partition(".")[0]
    return error if path is None or key not in Config.model_fields else _in_file(path, error)


def _in_file(path: Path, error: ConfigError) -> ConfigError:
    where = f"{path}: {error.where}" if error.where else str(path)
    return ConfigError(error.message, where=where, hint=error.hint)


def schema() -> dict[str, Any]:
    """JSON Schema of a config file, for editors."""
    value: dict[str, Any] = _plain(Config.model_json_schema())
    value["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    value["title"] = "Linnaea config"
    value["properties"]["$schema"] = {"type": "string", "description": "where editors find this schema"}
    return value


def _plain(value: Any) -> Any:
    """A JSON Schema whose descriptions, docstrings among them, are plain text."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: prose(item) if key == "description" and isinstance(item, str) else _plain(item)
        for key, item in value.items()
    }


__all__ = ["Config", "dotted", "in_file", "load_plugin", "schema"]
