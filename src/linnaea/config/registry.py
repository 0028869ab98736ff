"""Registry: names to config classes and to modules.

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

from linnaea.config.part import Choice
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
