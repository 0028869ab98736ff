"""NeuralClassifier's configs, the reading: values with their types, what became of each key, paths, unknown keys."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from linnaea.config.part import shown
from linnaea.errors import ConfigError, suggest

V = TypeVar("V", bool, int, float, str)
T = TypeVar("T")

NOTHING = "-"
_SAMPLE = 1000
_NAMES = {bool: "true or false", int: "an integer", float: "a number", str: "a string"}


@dataclass(frozen=True)
class Row:
    """What became of one key.

    Attributes:
        key: as it stands in the old file, dotted.
        value: as it stands there.
        became: the native key with its value, or ``-``.
        note: what to know about it; empty where it means the same.
    """

    key: str
    value: Any
    became: str
    note: str = ""


@dataclass
class Old:
    """An old config while it is read: hands out values, keeps the rows, and knows which keys it was asked for."""

    value: Mapping[str, Any]
    rows: list[Row] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    known: set[str] = field(default_factory=set)

    def has(self, key: str) -> bool:
        """Whether the file says anything under the dotted ``key``; an empty string or list says nothing."""
        return self._raw(key) not in (None, "", [])

    def _raw(self, key: str) -> Any:
        self.known.add(key)
        section, _, name = key.rpartition(".")
        part = self.value.get(section, {}) if section else self.value
        if not isinstance(part, Mapping):
            raise ConfigError(f"must be an object, not {shown(part)}", where=section)
        return part.get(name)

    def get(self, key: str, default: V) -> V:
        """The value of ``key``, of the type of ``default``; ``default`` where the file has none."""
        value, kind = self._raw(key), type(default)
        if value is None:
            return default
        whole = isinstance(value, float) and value.is_integer()
        if kind is int and whole:
            value = int(value)
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise ConfigError(f"must be {_NAMES[kind]}, not {shown(value)}", where=key)
        return value

    def take(self, key: str, default: V, target: str, note: str = "") -> V:
        """``get``, for a key that means the same as the native key ``target``."""
        value = self.get(key, default)
        self.became(key, f"{target} = {_json(value)}", note)
        return value

    def choose(self, key: str, options: Mapping[str, T], default: str) -> T:
        """What stands in ``options`` for the word under ``key``."""
        word = self.get(key, default)
        if word not in options:
            hint = suggest(word, options) or "one of " + ", ".join(options)
            raise ConfigError(f"there is no {word!r}", where=key, hint=hint)
        return options[word]

    def numbers(self, key: str, default: list[int]) -> list[int]:
        """A list of integers, of at least 1."""
        value = self._raw(key)
        if value is None:
            return default
        plain = isinstance(value, list) and all(isinstance(x, int) and not isinstance(x, bool) for x in value)
        if not plain:
            raise ConfigError(f"must be a list of integers, not {shown(value)}", where=key)
        return list(value)

    def words(self, key: str, default: list[str]) -> list[str]:
        """A list of strings; a single one may stand alone."""
        value = self._raw(key)
        if value is None:
            return default
        value = [value] if isinstance(value, str) else value
        if not isinstance(value, list) or not all(isinstance(x, str) for x in value):
            raise ConfigError(f"must be a list of strings, not {shown(value)}", where=key)
        return [x for x in value if x]

    def became(self, key: str, target: str = NOTHING, note: str = "") -> None:
        """Put down what became of ``key``, if the file has it."""
        value = self._raw(key)
        if value is not None:
            self.rows.append(Row(key, value, target, note))

    def idle(self, key: str, why: str) -> None:
        """A key that never did anything, or does nothing here: a row and a warning, if the file has it."""
        if self._raw(key) is not None:
            self.became(key, NOTHING, why)
            self.warnings.append(f"{key}: {why}")

    def warn(self, key: str, message: str) -> None:
        self.warnings.append(f"{key}: {message}")

    def unknown(self, sections: Iterable[str], unused: Iterable[str]) -> None:
        """Warn of keys that nobody asked for.

        Args:
            sections: all that an old config may have.
            unused: those of them that the chosen model does not read.
        """
        passed = [name for name in unused if name in self.value]
        for name in passed:
            self.rows.append(Row(name, "{...}", NOTHING, "settings of another model"))
        top = [*sections, *(key for key in self.known if "." not in key)]
        for key, part in self.value.items():
            if key in passed:
                continue
            if key in sections and isinstance(part, Mapping):
                inside = [name.partition(".")[2] for name in self.known if name.startswith(f"{key}.")]
                for name in part:
                    if name not in inside:
                        self._unknown(f"{key}.{name}", part[name], suggest(str(name), inside))
            elif key not in self.known:
                self._unknown(str(key), part, suggest(str(key), top))

    def _unknown(self, key: str, value: Any, hint: str | None) -> None:
        self.rows.append(Row(key, value, NOTHING, "unknown key"))
        self.warnings.append(f"{key}: unknown key, passed over" + (f" ({hint})" if hint else ""))


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True)
class Places:
    """Where the files lie that an old config names: its paths were relative to where the tool was started.

    Attributes:
        config: the folder of the config file; None: it did not come from a file.
        current: the current folder.
    """

    config: Path | None
    current: Path

    def find(self, name: str) -> tuple[str, str]:
        """``(absolute path, where it was found)``: beside the config file if it is there, else from the current folder."""
        path = Path(name).expanduser()
        if path.is_absolute():
            return str(path), "" if path.exists() else "not there"
        beside = (self.config or self.current) / path
        here = self.current / path
        if beside.exists() and beside.resolve() != here.resolve():
            return str(beside.resolve()), "from the config's folder"
        return str(here.resolve()), "from the current folder" if here.exists() else "not there"


def names_all_labels(taxonomy: str, files: Iterable[str]) -> bool:
    """Whether the categories of an old taxonomy file hold the labels of the first documents of ``files``.

    In flat tasks the old tool never looked at the file that its config named, so it may be of another corpus.
    """
    try:
        with Path(taxonomy).open(encoding="utf-8-sig") as file:
            names = {name.strip() for line in file for name in line.split("\t")}
        seen = False
        for path in files:
            with Path(path).open(encoding="utf-8-sig") as file:
                for line in itertools.islice(file, _SAMPLE):
                    labels = json.loads(line)["doc_label"] if line.strip() else []
                    if not {name.strip() for label in labels for name in label.split("--")} <= names:
                        return False
                    seen = seen or bool(labels)
        return seen
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
