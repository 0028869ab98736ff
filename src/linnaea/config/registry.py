"""Registry: names to config classes and to modules; OneOf: an open union over a registry.

A built-in's config class is declared without torch (``@encoders.declare("textcnn")``), its module registers
later under the same name. A plug-in brings both in one class: ``@encoders.register("mine")`` on a module with
a ``Config`` inside.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic_core import CoreSchema, core_schema

from linnaea.config.part import Choice, Nested, first_problem, shown
from linnaea.errors import ConfigError, suggest

C = TypeVar("C", bound=type[Choice])
M = TypeVar("M")
Module = TypeVar("Module")

PLUGIN_FILES: dict[str, str] = {}
"""The files of plug-ins that were imported, and the kind of part that each registered last ("encoder")."""


class Registry(Generic[Module]):
    """One kind of exchangeable part: encoders, embedders, heads, losses, tokenizers, optimizers, ...

    Args:
        kind: singular, as it stands in messages: "encoder".
        modules: the package whose import registers the built-in modules, loaded on first ``build``.
        plural: as it stands in messages and, after "linnaea.", as the group of entry points; None: with an s.
    """

    registrations: ClassVar[int] = 0
    """Counts what was declared or registered in any registry, the same name anew included."""

    def __init__(self, kind: str, modules: str | None = None, plural: str | None = None) -> None:
        self.kind = kind
        self.plural = plural or f"{kind}s"
        self.group = f"linnaea.{self.plural}"
        self._modules_in = modules
        self._configs: dict[str, type[Choice]] = {}
        self._modules: dict[str, Any] = {}
        self._installed: dict[str, str] = {}

    def declare(self, name: str) -> Callable[[C], C]:
        """Class decorator for a config class."""

        def add(config: C) -> C:
            self._refuse_another(name, self._configs.get(name), config)
            if config.__dict__.get("type_name", name) != name:
                raise ConfigError(
                    f"the {self.plural} {config.type_name!r} and {name!r} share one Config class"
                )
            if not issubclass(config, self._base()):
                raise ConfigError(f"the Config of the {self.kind} {name!r} is no {self._base().__name__}")
            config.type_name = name
            self._configs[name] = config
            self._note(config)
            return config

        return add

    def register(self, name: str) -> Callable[[M], M]:
        """Decorator for the module (or function) that a config of this name builds."""

        def add(module: M) -> M:
            config = getattr(module, "Config", None)
            declared = self._configs.get(name)
            if isinstance(config, type) and (declared is None or issubclass(config, self._base())):
                self.declare(name)(config)
            elif declared is None:
                raise ConfigError(f"the {self.kind} {name!r} has no Config class inside")
            elif _package(declared) != _package(module):
                raise self._taken(name)
            self._refuse_another(name, self._modules.get(name), module)
            self._modules[name] = module
            self._note(module)
            return module

        return add

    def _refuse_another(self, name: str, old: Any, new: Any) -> None:
        # The same definition run again (a notebook cell, a mended plug-in) takes the old one's place.
        if old is not None and (old.__module__, old.__qualname__) != (new.__module__, new.__qualname__):
            raise self._taken(name)

    def _taken(self, name: str) -> ConfigError:
        origin = self.origin(name)
        whose = "one is built in" if origin is None else f"one is of {origin}"
        problem = f"two {self.plural} are called {name!r}"
        return ConfigError(problem, hint=f"{whose}: choose another name for yours")

    def _note(self, part: Any) -> None:
        Registry.registrations += 1
        file = _file_of(part)
        if file is not None and _package(part) != "linnaea":
            PLUGIN_FILES[file] = self.kind

    def _base(self) -> type[Choice]:
        """What settings of this kind derive from, as those that came first do."""
        for config in self._configs.values():
            line = config.__mro__
            return line[line.index(Choice) - 1] if line[1] is not Choice else Choice
        return Choice

    def names(self) -> list[str]:
        """All names that are known now, sorted."""
        return sorted(self._configs)

    def known(self) -> dict[str, ConfigError | None]:
        """All names, those of installed entry points included (which are loaded), and what is wrong with them."""
        found: dict[str, ConfigError | None] = dict.fromkeys(self._configs)
        for entry in entry_points(group=self.group):
            try:
                self._load(entry)
                found[entry.name] = None
            except ConfigError as error:
                # Of two that claim a name, the one that has it works.
                found.setdefault(entry.name, error)
        return dict(sorted(found.items()))

    def origin(self, name: str) -> str | None:
        """Where a part comes from: the file or the installed package of a plug-in; None: it is built in."""
        module = self._configs[name].__module__
        if module.partition(".")[0] == "linnaea":
            return None
        return self._installed.get(name) or _file_of(self._configs[name]) or module

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def config(self, name: str) -> type[Choice]:
        """The config class of ``name``; an unknown name is looked for among the installed entry points.

        Raises:
            ConfigError: there is none, with the nearest name.
        """
        if name not in self._configs:
            for entry in entry_points(group=self.group):
                if entry.name == name:
                    self._load(entry)
        if name not in self._configs:
            hint = suggest(name, self._configs) or "known: " + ", ".join(self.names())
            raise ConfigError(f"there is no {self.kind} {name!r}", hint=hint)
        return self._configs[name]

    def _load(self, entry: EntryPoint) -> None:
        if entry.name in self._installed:
            return
        package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value
        where = f"the plug-in {entry.value!r} of {package}" if entry.dist else f"the plug-in {entry.value!r}"
        if entry.name in self._configs and self.origin(entry.name) is None:
            raise ConfigError(f"{where} registers the {self.kind} {entry.name!r}, and that is built in")
        try:
            entry.load()
        except ConfigError as error:
            raise ConfigError(f"{where}: {error.message}", hint=error.hint) from None
        except (Exception, SystemExit) as error:
            raise ConfigError(f"{where} cannot be imported: {failure(error)}") from error
        if entry.name not in self._configs:
            raise ConfigError(f"{where} registers no {self.kind} {entry.name!r}")
        self._installed[entry.name] = package

    def module(self, name: str) -> Any:
        """The module class registered under ``name``."""
        if name not in self._modules and self._modules_in is not None:
            importlib.import_module(self._modules_in)
        if name not in self._modules:
            raise ConfigError(f"the {self.kind} {name!r} is declared but has no module")
        return self._modules[name]

    def build(self, config: Choice, **sizes: Any) -> Module:
        """The module for ``config``: settings come from the config, run-time sizes as keyword arguments.

        Raises:
            ConfigError: a plug-in's module takes other arguments.
        """
        module = self.module(config.type)
        if self.origin(config.type) is not None:
            try:
                inspect.signature(module).bind(config, **sizes)
            except TypeError as error:
                asked = ", ".join(["config", *sizes])
                problem = f"the {self.kind} {config.type!r} cannot be built: {error}"
                raise ConfigError(problem, hint=f"it is called with {asked}") from None
        return module(config, **sizes)  # type: ignore[no-any-return]


def _package(module: Any) -> str:
    return str(module.__module__).partition(".")[0]


def _file_of(part: Any) -> str | None:
    file = getattr(sys.modules.get(part.__module__), "__file__", None)
    return str(file) if file else None


def failure(error: BaseException) -> str:
    """What an import failed of, with the line of the plug-in (of the last file before the libraries) if there is one."""
    text = f"{type(error).__name__}: {error}"
    here = str(Path(__file__).resolve().parents[1])
    frames = [
        (frame.filename, frame.lineno)
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith(("<frozen", here)) and "importlib" not in Path(frame.filename).parts
    ]
    own = frames[-1] if frames else None
    return text if own is None or isinstance(error, SyntaxError) else f"{text}, at {own[0]}:{own[1]}"


def plugin_line(error: BaseException) -> tuple[str, int, str] | None:
    """Where in a plug-in's own file ``error`` came about: file, line, kind of part; None: in none."""
    found = None
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename in PLUGIN_FILES:
            found = frame.filename, frame.lineno or 0, PLUGIN_FILES[frame.filename]
    return found


class OneOf:
    """Annotation of a field that holds a registry's choice: ``{"type": "textcnn", ...}`` or ``"textcnn"``.

    Args:
        default: the type of an object that names none, that of the field's default; None: it must name one.
    """

    def __init__(self, registry: Registry, default: str | None = None) -> None:
        self.registry, self.default = registry, default

    def _validate(self, value: Any) -> Choice:
        if isinstance(value, Choice):
            if value.type not in self.registry.names() or self.registry.config(value.type) is not type(value):
                raise Nested(ConfigError(f"must be one of the {self.registry.plural}, not {shown(value)}"))
            return value
        if isinstance(value, str):
            value = {"type": value}
        if not isinstance(value, dict):
            raise Nested(ConfigError(f'must be an object with a "type", not {shown(value)}'))
        name = value.get("type", self.default)
        if not isinstance(name, str) or self._misspelt(value):
            raise Nested(self._untyped(value))
        rest = {key: item for key, item in value.items() if key != "type"}
        try:
            config = self.registry.config(name)
        except ConfigError as error:
            raise Nested(ConfigError(error.message, where="type", hint=error.hint)) from None
        try:
            return config.model_validate(rest)
        except ValidationError as error:
            problem = first_problem(error, config, "", rest)
            raise Nested(problem if "type" in value else self._assumed(problem, name, rest)) from None

    def _misspelt(self, value: dict[str, Any]) -> bool:
        """Whether "type" was meant by another key, so that the default would be the wrong guess."""
        if "type" in value or self.default is None:
            return False
        known = self.registry.config(self.default).model_fields
        return any(key not in known and suggest(str(key), ["type"]) for key in value)

    def _assumed(self, problem: ConfigError, name: str, rest: dict[str, Any]) -> ConfigError:
        """``problem`` under the default type: of an unknown key, which type was assumed and which knows it."""
        if problem.message != "unknown key" or problem.where not in rest:
            return problem
        owners = [n for n in self.registry.names() if problem.where in self.registry.config(n).model_fields]
        hint = f"a key of {', '.join(map(repr, owners))}" if owners else problem.hint
        message = f'unknown key: without a "type" this {self.registry.kind} is {name!r}'
        return ConfigError(message, where=problem.where, hint=hint)

    def _untyped(self, value: dict[str, Any]) -> ConfigError:
        known = "known: " + ", ".join(self.registry.names())
        if "type" in value:
            return ConfigError(f"must be a string, not {shown(value['type'])}", where="type", hint=known)
        near = next((key for key in value if suggest(key, ["type"])), None)
        hint = f"did you mean 'type' by {near!r}?" if near else known
        return ConfigError(f'this {self.registry.kind} has no "type"', hint=hint)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def serialize(value: Choice) -> dict[str, Any]:
            return {"type": value.type, **value.model_dump(mode="json")}

        return core_schema.no_info_plain_validator_function(
            self._validate, serialization=core_schema.plain_serializer_function_ser_schema(serialize)
        )

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        branches: list[dict[str, Any]] = []
        for name in self.registry.names():
            config = self.registry.config(name)
            branch = dict(handler.resolve_ref_schema(handler(config.__pydantic_core_schema__)))
            branch["properties"] = {"type": {"const": name}, **branch.get("properties", {})}
            branch["required"] = [*([] if name == self.default else ["type"]), *branch.get("required", [])]
            branch["title"] = name
            branches.append(branch)
        short = [n for n in self.registry.names() if not _required(self.registry.config(n))]
        return {"anyOf": [*([{"enum": short}] if short or not branches else []), *branches]}


def _required(config: type[Choice]) -> bool:
    return any(field.is_required() for field in config.model_fields.values())


tokenizers: Registry[Any] = Registry("tokenizer", "linnaea.text.tokenizers")
embedders: Registry[Any] = Registry("embedder", "linnaea.nn.build")
encoders: Registry[Any] = Registry("encoder", "linnaea.nn.build")
heads: Registry[Any] = Registry("head", "linnaea.nn.build")
losses: Registry[Any] = Registry("loss", "linnaea.nn.objectives.losses", "losses")
initializers: Registry[Any] = Registry("initializer", "linnaea.nn.embedders.initializers")
positions: Registry[Any] = Registry("position", "linnaea.nn.embedders.position")
optimizers: Registry[Any] = Registry("optimizer", "linnaea.training.optimizers")
schedules: Registry[Any] = Registry("schedule", "linnaea.training.optimizers")
strategies: Registry[Any] = Registry("strategy", "linnaea.strategies.build", "strategies")
thresholds: Registry[Any] = Registry("threshold", "linnaea.decision.thresholds")
calibrations: Registry[Any] = Registry("calibration", "linnaea.decision.calibration")
decoders: Registry[Any] = Registry("decoding", "linnaea.decision.decoders", "decoders")
metrics: Registry[Any] = Registry("metric", "linnaea.metrics.further")
