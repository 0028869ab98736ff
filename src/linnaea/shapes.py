"""Shapes: what a JSON file must hold to be read, checked when it is opened and told in one line.

A shape is a kind (``NUMBER``, ``TEXT``, ...); a mapping of keys to shapes, in which a key with ``?`` at its end may be missing
and ``*`` stands for all keys that are not named (without it they hold what they like); a list of one shape, for a list of any
length; or a pair of a shape and None, for what may be null.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from linnaea.errors import DataError

_MOST = 1e300  # larger integers are no floats, and nothing that is counted or measured


@dataclass(frozen=True)
class Kind:
    """A value that is no list or object: its name, and whether something is one."""

    name: str
    holds: Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -_MOST < value < _MOST


def _is_interval(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))


NUMBER = Kind("a finite number", _is_number)
COUNT = Kind("a count", lambda value: _is_number(value) and isinstance(value, int) and value >= 0)
TEXT = Kind("a string", lambda value: isinstance(value, str))
FLAG = Kind("true or false", lambda value: isinstance(value, bool))
INTERVAL = Kind("two finite numbers", _is_interval)
OBJECT: dict[str, Any] = {}
"""Any object."""

Shape = Any


def check(
    value: Any, shape: Shape, where: str, *, hint: str | None = None, error: type[DataError] = DataError
) -> Any:
    """``value``, which has the shape, and in which no number is infinite or none, at whatever place.

    Args:
        where: the file, for errors.

    Raises:
        DataError: it has not; with the first place that differs.
    """
    problem = _differs(value, shape, "") or _unreal(value)
    if problem is not None:
        raise error(problem, where=where, hint=hint)
    return value


def _differs(value: Any, shape: Shape, place: str) -> str | None:
    """What the first difference is."""
    if isinstance(shape, tuple):
        return None if value is None else _differs(value, shape[0], place)
    if isinstance(shape, Kind):
        return None if shape.holds(value) else f"{_named(place)} must be {shape.name}, not {_shown(value)}"
    if isinstance(shape, list):
        if not isinstance(value, list):
            return f"{_named(place)} must be a list, not {_shown(value)}"
        found = (_differs(item, shape[0], f"{place}[{i}]") for i, item in enumerate(value))
        return next((problem for problem in found if problem), None)
    if not isinstance(value, dict):
        return f"{place} must be an object, not {_shown(value)}" if place else "does not hold a JSON object"
    return _object_differs(value, shape, f"{place}." if place else "")


def _object_differs(value: Mapping[str, Any], shape: Mapping[str, Shape], before: str) -> str | None:
    named = set()
    for key, inner in shape.items():
        name = key.removesuffix("?")
        named.add(name)
        if name in value:
            problem = _differs(value[name], inner, before + name)
        else:
            problem = None if name != key or key == "*" else f"has no {before}{name}"
        if problem:
            return problem
    others = (key for key in value if key not in named) if "*" in shape else ()
    found = (_differs(value[key], shape["*"], before + key) for key in others)
    return next((problem for problem in found if problem), None)


def _unreal(value: Any) -> str | None:
    """Where a number stands that JSON does not know: our files never hold one."""
    left = [("", value)]
    while left:
        place, item = left.pop()
        if isinstance(item, float) and not math.isfinite(item):
            return f"{_named(place)} must be a finite number, not {_shown(item)}"
        if isinstance(item, dict):
            left += [(f"{place}.{key}" if place else key, inner) for key, inner in item.items()]
        elif isinstance(item, list):
            left += [(f"{place}[{i}]", inner) for i, inner in enumerate(item)]
    return None


def _named(place: str) -> str:
    return place or "what it holds"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
