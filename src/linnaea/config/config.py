"""Config: the whole of a config file: loading, --set, plug-ins, checks across its parts, JSON Schema.

Reading happens before any work starts and imports neither torch nor scikit-learn.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from linnaea.config.heads import ModelConfig
from linnaea.config.objective import BCEConfig, ObjectiveConfig, SoftmaxConfig
from linnaea.config.outcome import DecisionConfig, EvaluationConfig, RunConfig, TunedConfig
from linnaea.config.part import Part, dotted, first_problem, shown
from linnaea.config.task import DataConfig, InputConfig, NgramConfig, TaskConfig
from linnaea.config.training import TrainingConfig
from linnaea.errors import ConfigError, suggest


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
    plugins: list[str] = Field([], description="modules (import name or .py file beside the config) that register parts")

    @classmethod
    def load(cls, path: Path | str, settings: Sequence[str] = ()) -> Config:
        """Read a config file and apply ``--set`` settings.

        Args:
            path: a JSON file; paths inside it are relative to its folder.
            settings: ``a.b=value`` each; paths in values are relative to the current folder.

        Raises:
            ConfigError: with dotted path and suggestion.
        """
        path = Path(path)
        value = _read(path)
        if not isinstance(value, dict):
            raise ConfigError(f"a config is an object, not {shown(value)}", where=str(path))
        _anchor(value, path.resolve().parent)
        for setting in settings:
            _apply(value, setting)
        try:
            return cls.build(value, path.resolve().parent)
        except ConfigError as error:
            raise ConfigError(error.message, where=f"{path}: {error.where}" if error.where else str(path), hint=error.hint) from None

    @classmethod
    def build_with(cls, value: dict[str, Any], settings: Sequence[str]) -> Config:
        """A config given as a dictionary, with ``--set`` settings; paths are relative to the current folder."""
        copy = json.loads(json.dumps(value))
        _anchor(copy, Path.cwd())
        for setting in settings:
            _apply(copy, setting)
        return cls.build(copy, Path.cwd())

    @classmethod
    def build(cls, value: dict[str, Any], folder: Path | None = None) -> Config:
        """Check a config given as a dictionary; plug-ins are imported first, so that their names are known."""
        names = value.get("plugins", [])
        if isinstance(names, list):
            for name in names:
                if isinstance(name, str):
                    load_plugin(name, folder)
        try:
            config = cls.model_validate(value)
        except ValidationError as error:
            raise first_problem(error, cls, "", value) from None
        return _resolve(config)

    def dump(self) -> dict[str, Any]:
        """The resolved config as JSON values; reading it again gives an equal config."""
        value = self.model_dump(mode="json")
        if not self.training.strategy.network:
            # Keys that do nothing under this strategy would be refused when read again.
            value["training"] = {"strategy": value["training"]["strategy"]}
            for part in ("model", "objective"):
                del value[part]
        return _without_idle(value, self)


def _without_idle(value: dict[str, Any], config: Config) -> dict[str, Any]:
    """Leave out the defaults that the strict checks would call idle when the file is read again."""
    features = config.input.features
    part = value["input"]
    for feature, keys in {
        "ngram": ["ngram"], "char_ngram": ["char_ngram"], "char": ["char_vocabulary", "max_characters"],
        "keyword": ["keyword_vocabulary"], "topic": ["topic_vocabulary"],
    }.items():  # fmt: skip
        if feature not in features:
            for key in keys:
                part.pop(key, None)
    for key in ("ngram", "char_ngram"):
        if part.get(key, {}).get("buckets"):
            part[key].pop("min_count", None)
    if config.data.dev is not None:
        value["data"].pop("dev_fraction", None)
    if config.task.flat:
        for key in ("closure", "paths"):
            value["task"].pop(key, None)
    threshold = value["decision"]["threshold"]
    if threshold.get("on") == "dev":
        threshold.pop("folds", None)
    return value


def _resolve(config: Config) -> Config:
    """Checks across parts, and defaults that depend on another part."""
    task, objective, network = config.task, config.objective, config.training.strategy.network
    kind = config.training.strategy.type
    if not network:
        for part in ("model", "objective"):
            if config.given(part):
                raise ConfigError(f"does nothing under the strategy {kind!r}", where=part, hint="leave it out")
        config = config.model_copy(update={"input": _linear_input(config.input)})
    else:
        if objective.loss is None:
            loss = SoftmaxConfig() if task.type == "multiclass" else BCEConfig()
            objective = objective.model_copy(update={"loss": loss})
            config = config.model_copy(update={"objective": objective})
        assert objective.loss is not None
        if objective.loss.scores == "softmax" and task.type != "multiclass":
            raise ConfigError(
                f"{objective.loss.type!r} is for exactly one label, not for a {task.type} task",
                where="objective.loss", hint='use "bce" or "focal_sigmoid"',
            )  # fmt: skip
        if objective.recursive_penalty > 0 and task.taxonomy is None and task.flat:
            raise ConfigError("needs a taxonomy with edges", where="objective.recursive_penalty", hint="set task.taxonomy")
        reads, features = config.model.encoder.reads, config.input.features
        if reads == "sequence":
            idle = [f for f in features if f not in ("token", "char")]
            if idle:
                raise ConfigError(
                    f"the encoder {config.model.encoder.type!r} reads a sequence: it cannot use {', '.join(idle)}",
                    where="input.features", hint='the encoder "fasttext" reads bags',
                )  # fmt: skip
            if len(features) != 1:
                raise ConfigError("a sequence is made of tokens or of characters, not both", where="input.features")
        if reads == "bags" and "char" in features:
            raise ConfigError(
                f"the encoder {config.model.encoder.type!r} reads bags, not character sequences",
                where="input.features", hint='use "char_ngram"',
            )  # fmt: skip
    if not any(f in config.input.features for f in ("token", "char")) and reads_sequence(config):
        raise ConfigError("no sequence to read", where="input.features", hint='add "token"')
    threshold = config.decision.threshold
    if isinstance(threshold, TunedConfig):
        if task.type == "multiclass":
            raise ConfigError("a multiclass task takes the best category: no threshold acts", where="decision.threshold")
        if threshold.on is None:
            update = {"on": "dev" if network else "cross"}
            threshold = threshold.model_copy(update=update)
            config = config.model_copy(update={"decision": config.decision.model_copy(update={"threshold": threshold})})
    elif task.type == "multiclass" and config.decision.given("threshold"):
        raise ConfigError("a multiclass task takes the best category: no threshold acts", where="decision.threshold")
    if task.flat and config.decision.decoding.type != "none":
        raise ConfigError(f"a {task.type} task is flat: nothing to decode", where="decision.decoding", hint="leave it out")
    if task.type == "multiclass" and config.decision.top_k not in (None, 1):
        raise ConfigError("a multiclass task has exactly one category a document", where="decision.top_k")
    stopping = config.training.early_stopping
    if stopping is not None and stopping.metric == "f1" and task.type != "binary" and network:
        raise ConfigError('"f1" is for binary tasks', where="training.early_stopping.metric", hint="did you mean 'micro_f1'?")
    return config


def reads_sequence(config: Config) -> bool:
    """Whether the chosen encoder needs tokens or characters in order."""
    return config.training.strategy.network and config.model.encoder.reads == "sequence"


def _linear_input(part: InputConfig) -> InputConfig:
    """What the linear strategy reads unless told: whole texts, words and a dictionary of word pairs."""
    update: dict[str, Any] = {}
    if not part.given("features"):
        update["features"] = ["token", "ngram"]
        if not part.given("ngram"):
            update["ngram"] = NgramConfig(n=2, buckets=0, min_count=2)
    if not part.given("max_tokens"):
        update["max_tokens"] = None
    if "char" in part.features:
        raise ConfigError("the linear strategy counts features, it reads no character sequence", where="input.features")
    return part.model_copy(update=update)


def load_plugin(name: str, folder: Path | None = None) -> None:
    """Import a plug-in: an import name, or a ``.py`` file relative to ``folder``.

    Raises:
        ConfigError: it cannot be imported.
    """
    place = f"plugins ({name})"
    try:
        if name.endswith(".py"):
            path = ((folder or Path.cwd()) / name).resolve()
            if not path.is_file():
                raise ConfigError("no such file", where=place)
            module = f"linnaea_plugin_{path.stem}"
            if getattr(sys.modules.get(module), "__file__", None) == str(path):
                return
            spec = importlib.util.spec_from_file_location(module, path)
            assert spec is not None and spec.loader is not None
            loaded = importlib.util.module_from_spec(spec)
            sys.modules[module] = loaded
            spec.loader.exec_module(loaded)
        else:
            if folder is not None and str(folder) not in sys.path:
                sys.path.append(str(folder))
            importlib.import_module(name)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(f"cannot be imported: {type(error).__name__}: {error}", where=place) from error


def schema() -> dict[str, Any]:
    """JSON Schema of a config file, for editors."""
    value = Config.model_json_schema()
    value["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    value["title"] = "Linnaea config"
    return value


# Keys that hold paths relative to the config file.
_PATHS = (("task", "taxonomy"), ("data", "train"), ("data", "dev"), ("data", "test"), ("model", "embedder", "pretrained"))


def _anchor(value: dict[str, Any], folder: Path) -> None:
    for *parents, key in _PATHS:
        part: Any = value
        for parent in parents:
            part = part.get(parent) if isinstance(part, dict) else None
        if isinstance(part, dict) and key in part:
            part[key] = _absolute(part[key], folder)


def _absolute(value: Any, folder: Path) -> Any:
    if isinstance(value, list):
        return [_absolute(item, folder) for item in value]
    if isinstance(value, str) and value and value != "-":
        return str((folder / Path(value).expanduser()).resolve())
    return value


def _apply(value: dict[str, Any], setting: str) -> None:
    """Put one ``a.b=value`` into the config; the value is parsed as JSON, else taken as a string."""
    name, equals, text = setting.partition("=")
    if not equals or not name:
        raise ConfigError(f"expected KEY=VALUE, got {setting!r}", where="--set")
    try:
        item = json.loads(text)
    except json.JSONDecodeError:
        item = text
    steps = name.split(".")
    if tuple(steps) in _PATHS:
        item = _absolute(item, Path.cwd())
    part = value
    for i, step in enumerate(steps[:-1]):
        inner = part.setdefault(step, {})
        if isinstance(inner, str):
            # A part in its short form, "encoder": "textcnn", gains settings.
            inner = part[step] = {"type": inner}
        if not isinstance(inner, dict):
            raise ConfigError(f"cannot set {name!r}: {'.'.join(steps[: i + 1])} is {shown(inner)}", where="--set")
        part = inner
    part[steps[-1]] = item


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_no_repeats)
    except FileNotFoundError:
        folder = path.parent
        near = suggest(path.name, [p.name for p in folder.glob("*.json")]) if folder.is_dir() else None
        raise ConfigError("no such config file", where=str(path), hint=near) from None
    except IsADirectoryError:
        raise ConfigError("is a folder, not a config file", where=str(path)) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"not UTF-8 (byte {error.start})", where=str(path)) from None
    except json.JSONDecodeError as error:
        raise ConfigError(f"broken JSON: {error.msg}, column {error.colno}", where=f"{path}:{error.lineno}") from None
    except OSError as error:
        raise ConfigError(f"cannot read: {error.strerror}", where=str(path)) from None
    except _Repeated as error:
        raise ConfigError(f"the key {error.args[0]!r} stands twice in one object", where=str(path)) from None


class _Repeated(Exception):
    pass


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        raise _Repeated(next(k for k, _ in pairs if k in seen or seen.add(k)))  # type: ignore[func-returns-value]
    return result


__all__ = ["Config", "dotted", "load_plugin", "schema"]
