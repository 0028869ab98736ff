"""Space: what ``linnaea tune`` searches: dotted keys of a config, each with a range or a list of values.

An entry below another is conditional: ``model.encoder.filters`` beside choices of ``model.encoder`` acts in the trials
whose encoder knows it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from linnaea.config.part import Nested, Part, shown
from linnaea.config.reading import _no_repeats, _Repeated, anchor, dots_alone, within_member
from linnaea.errors import ConfigError, suggest

SEARCHED = ("input", "model", "objective", "training", "decision")
"""The parts that trials may differ in; under others they would not be measured alike, or not differ at all."""


class Entry(Part):
    """Base of what a key may take."""

    @property
    def probes(self) -> dict[str, Any]:
        """Values that stand for all, by their place in the entry."""
        raise NotImplementedError


class RangeEntry(Entry):
    """Base of the two kinds of numbers."""

    low: float
    high: float
    log: bool = False
    step: float | None = None

    @model_validator(mode="after")
    def _fits(self) -> RangeEntry:
        if self.low > self.high:
            raise Nested(ConfigError(f"{self.low:g} is above high {self.high:g}", where="low"))
        if self.low == self.high:
            hint = "write it into the config"
            raise Nested(ConfigError(f"{self.low:g} is also high: nothing to search", where="low", hint=hint))
        if self.log and self.low <= 0:
            raise Nested(ConfigError(f"must be above 0 under log, not {self.low:g}", where="low"))
        if self.log and self.step is not None:
            raise Nested(ConfigError("does not go with log", where="step", hint="leave one of the two out"))
        if self.step is not None:
            steps = (self.high - self.low) / self.step
            if abs(steps - round(steps)) > 1e-9 * max(1.0, steps):
                least = self.low + int(steps) * self.step
                problem = f"{self.high:g} is no whole number of steps above low"
                raise Nested(ConfigError(problem, where="high", hint=f"set it to {least:g}"))
        return self

    @property
    def probes(self) -> dict[str, Any]:
        return {"low": self.low, "high": self.high}


class IntEntry(RangeEntry):
    """Whole numbers from ``low`` to ``high``, both among them."""

    type: Literal["int"]
    low: int
    high: int
    step: int | None = Field(None, ge=1)


class FloatEntry(RangeEntry):
    """Numbers from ``low`` to ``high``; ``log``: as many between 0.001 and 0.01 as between 0.01 and 0.1."""

    type: Literal["float"]
    step: float | None = Field(None, gt=0)


class ChoiceEntry(Entry):
    """One of ``values``, of any kind that the key takes; an object stands for a whole part."""

    type: Literal["choice"]
    values: list[Any]

    @field_validator("values")
    @classmethod
    def _several(cls, values: list[Any]) -> list[Any]:
        if len(values) < 2:
            raise ValueError("must name at least 2 values: with one there is nothing to search")
        texts = [json.dumps(value, sort_keys=True) for value in values]
        for text, value in zip(texts, values, strict=True):
            if texts.count(text) > 1:
                raise ValueError(f"names {shown(value)} twice")
        return values

    @property
    def probes(self) -> dict[str, Any]:
        return {f"values[{i}]": value for i, value in enumerate(self.values)}


_KINDS: dict[str, type[Entry]] = {"int": IntEntry, "float": FloatEntry, "choice": ChoiceEntry}


@dataclass(frozen=True)
class Space:
    """What is searched.

    Attributes:
        entries: by dotted key: choices before ranges, outer keys before inner ones.
        place: for messages: the file, or "space".
    """

    entries: Mapping[str, Entry]
    place: str = "space"

    @classmethod
    def load(cls, path: Path | str) -> Space:
        """Read a space file; paths in its values are relative to its folder.

        Raises:
            ConfigError: no such file, broken JSON, a bad entry, a key that two entries set.
        """
        path = Path(path)
        return cls.of(_read(path), path.resolve().parent, str(path))

    @classmethod
    def of(cls, value: Any, folder: Path | None = None, place: str = "space") -> Space:
        """A space given as a dictionary.

        Args:
            folder: paths in values are relative to it; None: the current one.

        Raises:
            ConfigError: as ``load``.
        """
        if not isinstance(value, dict):
            raise ConfigError(f"a space is an object of dotted keys, not {shown(value)}", where=place)
        if not value:
            raise ConfigError("is empty: nothing to search", where=place)
        entries: dict[str, Entry] = {}
        for given, item in value.items():
            key = dots_alone(given)
            try:
                if key in entries:
                    raise ConfigError("is given twice", where=given)
                _check_key(key)
                entries[key] = _entry(key, item, folder or Path.cwd())
            except ConfigError as error:
                where = f"{place}: {error.where or key}"
                raise ConfigError(error.message, where=where, hint=error.hint) from None
        _check_apart(entries, place)
        order = sorted(entries, key=lambda key: (not isinstance(entries[key], ChoiceEntry), key.count(".")))
        return cls({key: entries[key] for key in order}, place)

    def to_json(self) -> dict[str, Any]:
        """As it is written in a file, without what is left to defaults."""
        return {key: entry.model_dump(exclude_unset=True) for key, entry in self.entries.items()}

    @property
    def choices(self) -> dict[str, ChoiceEntry]:
        """The choices, in their order."""
        return {key: entry for key, entry in self.entries.items() if isinstance(entry, ChoiceEntry)}


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_no_repeats)
    except FileNotFoundError:
        near = suggest(path.name, [p.name for p in path.parent.glob("*.json")])
        raise ConfigError("no such space file", where=str(path), hint=near) from None
    except OSError as bad:
        problem = f"cannot read: {(bad.strerror or str(bad)).lower()}"
        raise ConfigError(problem, where=str(path)) from None
    except json.JSONDecodeError as bad:
        place = f"{path}:{bad.lineno}"
        raise ConfigError(f"broken JSON: {bad.msg}, column {bad.colno}", where=place) from None
    except _Repeated as bad:
        raise ConfigError(f"the key {bad.args[0]!r} stands twice", where=str(path)) from None
    except (
        ValueError,
        RecursionError,
    ) as bad:  # not UTF-8, an integer of thousands of digits, nested too deep
        raise ConfigError(f"cannot be read: {bad}", where=str(path)) from None


def _check_key(key: str) -> None:
    part, dot, rest = key.partition(".")
    if part in SEARCHED and dot and all(rest.split(".")):
        return
    if part in ("task", "data", "evaluation", "run", "plugins"):
        hint = f"search {', '.join(SEARCHED)}"
        raise ConfigError(f"{part} is the same in all trials", where=key, hint=hint)
    if part in SEARCHED:
        raise ConfigError("names no key in it", where=key, hint=f"as in {part}.KEY")
    raise ConfigError(
        "unknown key", where=key, hint=suggest(part, SEARCHED) or f"search {', '.join(SEARCHED)}"
    )


def _entry(key: str, value: Any, folder: Path) -> Entry:
    if not isinstance(value, dict):
        hint = '{"type": "float", "low": 0.1, "high": 1} or {"type": "choice", "values": [...]}'
        raise ConfigError(f"must be an object, not {shown(value)}", where=key, hint=hint)
    kind = value.get("type")
    if kind not in _KINDS:
        known = f"known: {', '.join(_KINDS)}"
        if "type" not in value:
            raise ConfigError('has no "type"', where=key, hint=known)
        near = suggest(kind, _KINDS) if isinstance(kind, str) else None
        raise ConfigError(f"there is no type {shown(kind)}", where=f"{key}.type", hint=near or known)
    entry = _KINDS[kind].read(value, key)
    if isinstance(entry, ChoiceEntry):
        for i, item in enumerate(entry.values):
            entry.values[i] = _anchored(key.split("."), item, folder)
    return entry


def _anchored(steps: list[str], item: Any, folder: Path) -> Any:
    """``item``, which stands at ``steps`` of a config, with its paths made absolute."""
    whole: Any = item
    steps = list(within_member(steps))
    for step in reversed(steps):
        whole = {step: whole}
    if isinstance(whole, dict):
        anchor(whole, folder)
    for step in steps:
        whole = whole[step]
    return whole


def _check_apart(entries: Mapping[str, Entry], place: str) -> None:
    """Refuse a key that another entry sets, too."""
    for outer, entry in entries.items():
        for inner in entries:
            if not inner.startswith(f"{outer}."):
                continue
            steps = inner[len(outer) + 1 :].split(".")
            both = [where for where, value in entry.probes.items() if _sets(value, steps)]
            if both or not isinstance(entry, ChoiceEntry):
                at = f"{outer}.{both[0]}" if both else outer
                problem = f"{at} sets it, too"
                raise ConfigError(problem, where=f"{place}: {inner}", hint="leave one of the two out")


def _sets(value: Any, steps: list[str]) -> bool:
    """Whether ``value``, put into a config, settles what stands at ``steps`` below it."""
    for step in steps:
        if isinstance(value, str):
            value = {"type": value}
        if not isinstance(value, dict) or step not in value:
            return False
        value = value[step]
    return True
