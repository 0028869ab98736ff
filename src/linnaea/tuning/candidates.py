"""Candidates: the configs that a space makes of one config, checked before anything is trained."""

from __future__ import annotations

import copy
import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from linnaea.config.config import Config
from linnaea.config.ensemble import EnsembleStrategyConfig
from linnaea.config.percategory import PerCategoryStrategyConfig
from linnaea.config.reading import apply
from linnaea.config.space import ChoiceEntry, RangeEntry, Space
from linnaea.errors import ConfigError
from linnaea.files import STDIN

CONTEXTS = 5_000
"""Combinations of choices that one value is tried in, before it counts as refused."""


@dataclass(frozen=True)
class Candidates:
    """The configs of a study. None of them names test documents.

    Attributes:
        written: the config as the user wrote it, its paths absolute.
        folder: plug-ins are looked for here.
    """

    written: dict[str, Any]
    folder: Path
    space: Space
    _acting: dict[str, bool] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def base(self) -> Config:
        """The config as it stands."""
        return self.config({})

    def value(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The config, as it would be written, with ``params`` set.

        Raises:
            ConfigError: a key leads through something that is no object.
        """
        value = copy.deepcopy(self.written)
        for key in self.space.entries:
            if key in params:
                apply(value, f"{key}={json.dumps(params[key])}")
        return value

    def config(self, params: Mapping[str, Any]) -> Config:
        """The config of a trial.

        Raises:
            ConfigError: these values do not go together, or cannot be measured.
        """
        value = self.value(params)
        if isinstance(value.get("data"), dict):
            value["data"].pop("test", None)
        config = Config.build(value, self.folder)
        _check_measurable(config)
        return config

    def acts(self, key: str, chosen: Mapping[str, Any]) -> bool:
        """Whether ``key`` is searched beside the choices ``chosen``: whether the config takes a value of it there."""
        known = json.dumps([key, chosen], sort_keys=True)
        if known not in self._acting:
            probes = self.space.entries[key].probes.values()
            self._acting[known] = any(self._refused({**chosen, key: value}) is None for value in probes)
        return self._acting[known]

    def own(self) -> dict[str, Any]:
        """The values of the space that the config has as it stands, as far as the space holds them."""
        found: dict[str, Any] = {}
        dumped = self.base.dump()
        for key, entry in self.space.entries.items():
            if isinstance(entry, ChoiceEntry):
                same = [v for v in entry.values if self._equal({**found, key: v})]
                if same:
                    found[key] = same[0]
            elif isinstance(entry, RangeEntry):
                value = _at(dumped, key)
                if _within(value, entry) and self._equal({**found, key: value}):
                    found[key] = value
        return found

    def check(self) -> None:
        """Try both ends of every range and every choice, each where some choice of the others lets it act.

        Raises:
            ConfigError: the config refuses one, or trials would be measured on different documents.
        """
        held = held_out(self.base)
        for key, entry in self.space.entries.items():
            refused: dict[str, ConfigError] = {}
            pending = dict(entry.probes)
            for context in self._contexts(key):
                errors = {place: self._refused({**context, key: v}) for place, v in pending.items()}
                told = {place: error for place, error in errors.items() if error is not None}
                # Where one end is taken, what is said of the other is to the point.
                refused = told if not refused or len(told) < len(errors) else refused
                pending = {place: pending[place] for place in told}
                for place in errors.keys() - told.keys():
                    if held_out(self.config({**context, key: entry.probes[place]})) != held:
                        raise self._elsewhere(key, place, held)
                if not pending:
                    break
            if pending:
                place = next(iter(pending))
                raise self._told(key, place, refused[place])

    def _contexts(self, key: str) -> Iterator[dict[str, Any]]:
        """Choices beside ``key``: none, then one, then more of them."""
        others = {name: entry.values for name, entry in self.space.choices.items() if name != key}

        def every() -> Iterator[dict[str, Any]]:
            for count in range(len(others) + 1):
                for names in itertools.combinations(others, count):
                    for values in itertools.product(*(others[name] for name in names)):
                        yield dict(zip(names, values, strict=True))

        return itertools.islice(every(), CONTEXTS)

    def _refused(self, params: Mapping[str, Any]) -> ConfigError | None:
        try:
            self.config(params)
        except ConfigError as error:
            return error
        return None

    def _equal(self, params: Mapping[str, Any]) -> bool:
        try:
            return self.config(params).dump() == self.base.dump()
        except ConfigError:
            return False

    def _told(self, key: str, place: str, error: ConfigError) -> ConfigError:
        """``error`` with the place in the space that it comes from."""
        # Errors say members[0] where keys say members.0.
        where = re.sub(r"^(training\.strategy\.members)\[(\d+)\]", r"\1.\2", error.where or "")
        message = error.message
        unknown = message == "unknown key"
        inside = where == key or where.startswith((f"{key}.", f"{key}["))
        if where == "--set" or (unknown and key.startswith(where)):
            place = key
        elif inside:
            place = f"{key}.{place}{where[len(key) :]}"
        else:
            place, message = f"{key}.{place}", f"{where}: {message}" if where else message
        return ConfigError(message, where=f"{self.space.place}: {place}", hint=error.hint)

    def _elsewhere(self, key: str, place: str, held: str) -> ConfigError:
        problem = f"trials with it would be measured on other documents than the config as it stands ({held})"
        hint = 'name "on" in the config and in the space, or search it by itself'
        return ConfigError(problem, where=f"{self.space.place}: {key}.{place}", hint=hint)


def held_out(config: Config) -> str:
    """Which documents a trial is measured on: those that its thresholds are tuned on, else dev."""
    tuned, strategy = config.decision.tuned, config.training.strategy
    if tuned is None:
        return "out of fold" if isinstance(strategy, EnsembleStrategyConfig) else "dev"
    return "out of fold" if tuned.on == "cross" else "dev"


def _check_measurable(config: Config) -> None:
    """Refuse what cannot be measured on dev, or not in one process.

    Raises:
        ConfigError: there is such a thing.
    """
    strategy = config.training.strategy
    if isinstance(strategy, PerCategoryStrategyConfig) and strategy.dev is not None:
        problem = "each category learns from other dev documents: none are left to compare trials by"
        raise ConfigError(problem, where="training.strategy.dev", hint="give data.dev, and leave it out")
    if config.run.devices != 1:
        problem = "a trial is trained on one device"
        raise ConfigError(
            problem, where="run.devices", hint="leave it out; --processes trains several at once"
        )
    if not config.data.files("train"):
        raise ConfigError("names no training documents", where="data.train")
    for split in ("train", "dev"):
        if STDIN in config.data.files(split):
            raise ConfigError("standard input can be read only once", where=f"data.{split}")


def read_params(space: Space, params: Mapping[str, Any]) -> dict[str, Any]:
    """Values as a config has them, of those that a study keeps: choices are JSON there."""
    return {
        key: json.loads(params[key]) if isinstance(entry, ChoiceEntry) else params[key]
        for key, entry in space.entries.items()
        if key in params
    }


def _at(value: Any, key: str) -> Any:
    for step in key.split("."):
        if isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value


def _within(value: Any, entry: RangeEntry) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        return False
    if not entry.low <= value <= entry.high:
        return False
    steps = 0.0 if entry.step is None else (value - entry.low) / entry.step
    return abs(steps - round(steps)) < 1e-9 * max(1.0, steps)


def with_run(config: Config, folder: Path) -> Config:
    """``config`` with a run folder of its own, and nobody else who listens: a trial is no run that anyone waits for."""
    run = config.run.model_copy(update={"dir": str(folder), "listeners": []})
    return config.model_copy(update={"run": run})
