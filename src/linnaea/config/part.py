"""Part: the base of every section of a config: frozen, strict, unknown keys refused with a suggestion."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from linnaea.errors import ConfigError, suggest


class Part(BaseModel):
    """A section of the config. Unknown keys and wrong types are errors; values never change after reading."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, validate_default=False, allow_inf_nan=False
    )

    def given(self, key: str) -> bool:
        """Whether the user wrote ``key``, as opposed to its default acting."""
        return key in self.model_fields_set

    @classmethod
    def read(cls, value: object, where: str = "") -> Self:
        """Check ``value`` and build the part.

        Raises:
            ConfigError: one line with dotted path, what was received and a suggestion.
        """
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            raise first_problem(error, cls, where, value) from None


class Choice(Part):
    """A part that is picked from a registry by its ``"type"``."""

    type_name: ClassVar[str] = ""

    @property
    def type(self) -> str:
        """The name under which this choice is registered."""
        return type(self).type_name

    @property
    def spans(self) -> dict[str, Span]:
        """Of an encoder or embedder: the sizes, by key, that the longest text must reach."""
        return {}


class Span(NamedTuple):
    """A size that no text (or token, of the spelling) may fall short of at its longest.

    Attributes:
        size: positions that are seen, or values that are kept, at a time.
        what: of these, for the message.
        per: so many positions of the text make one of what is counted.
    """

    size: int
    what: str = "positions at a time"
    per: int = 1


class Nested(ValueError):
    """Carries a ConfigError, with a path relative to where it is raised, through pydantic's report."""

    def __init__(self, error: ConfigError) -> None:
        super().__init__(str(error))
        self.error = error


def dotted(where: str, location: Iterable[int | str]) -> str:
    """``model.encoder.kernel_sizes[0]`` from pydantic's location."""
    path = where
    for step in location:
        name = f"[{step}]" if isinstance(step, int) else step or '""'
        path += f".{name}" if path and not isinstance(step, int) else name
    return path


def prose(text: str | None) -> str:
    """A docstring or description as plain text in one line: code in single quotes, not in backticks."""
    return " ".join((text or "").split()).replace("``", "'")


def shown(value: object) -> str:
    """A received value, short enough for one line; true, false and null as JSON writes them."""
    text = json.dumps(value) if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


_EXPECTED = {
    "bool_type": "true or false",
    "int_type": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "string_type": "a string",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
}

_BOUNDS = {
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "too_short": "must name at least {min_length}",
    "too_long": "must name at most {max_length}",
    "string_too_short": "must have at least {min_length} character",
    "finite_number": "must be a finite number",
}


def first_problem(error: ValidationError, owner: type[BaseModel], where: str, value: object) -> ConfigError:
    """The first problem in pydantic's report as one clear ``ConfigError``."""
    problems: list[Any] = [
        {**problem, "steps": _steps(problem, value)} for problem in error.errors(include_url=False)
    ]
    # Of several branches of a union the one that got furthest knows best.
    problems.sort(key=lambda p: (p["type"] != "extra_forbidden", -len(p["steps"])))
    problem = problems[0]
    steps, kind = problem["steps"], problem["type"]
    place = dotted(where, steps)
    if kind == "extra_forbidden":
        return ConfigError("unknown key", where=place, hint=_known(owner, steps))
    if kind == "missing":
        if isinstance(steps[-1], int):
            return ConfigError("this list is too short", where=dotted(where, steps[:-1]))
        return ConfigError("this key is missing", where=place)
    if kind == "value_error":
        raised = problem["ctx"]["error"]
        if isinstance(raised, Nested):
            inner = raised.error
            return ConfigError(
                inner.message, where=dotted(place, [inner.where]) if inner.where else place, hint=inner.hint
            )
        return ConfigError(str(raised), where=place)
    return _mismatch([p for p in problems if p["steps"] == steps], place)


def _steps(problem: Any, value: object) -> list[int | str]:
    """The user's part of pydantic's location, which also names branches of unions ("str", "list[str]")."""
    kept: list[int | str] = []
    location = problem["loc"]
    for i, step in enumerate(location):
        missing = problem["type"] == "missing" and i == len(location) - 1
        if isinstance(step, int):
            kept.append(step)
            value = value[step] if isinstance(value, Sequence) and step < len(value) else None
        elif isinstance(value, dict) and (step in value or missing):
            kept.append(step)
            value = value.get(step)
        elif isinstance(value, BaseModel) and step in type(value).model_fields:
            kept.append(step)
            value = getattr(value, step)
    return kept


def _mismatch(problems: list[Any], place: str) -> ConfigError:
    """A value of the wrong type or out of bounds; ``problems`` are the branches that it failed in."""
    expected: list[str] = []
    options: list[str] = []
    for problem in problems:
        kind = problem["type"]
        if kind == "literal_error":
            names = [
                o.strip().strip("'") for o in problem["ctx"]["expected"].replace(" or ", ", ").split(",")
            ]
            options += names
            expected.append(f"one of {', '.join(names)}" if len(names) > 1 else repr(names[0]))
        elif kind in _EXPECTED:
            expected.append(_EXPECTED[kind])
        else:
            # The type was right in this branch, so its bound is the news.
            return ConfigError(f"{_bound(kind, problem)}, not {shown(problem['input'])}", where=place)
    received = problems[0]["input"]
    text = f"must be {' or '.join(dict.fromkeys(expected))}, not {shown(received)}"
    return ConfigError(
        text, where=place, hint=suggest(received, options) if isinstance(received, str) else None
    )


def _bound(kind: str, problem: Any) -> str:
    """What the violated bound asks for."""
    if kind not in _BOUNDS:
        message = str(problem["msg"]).replace("Input should", "must")
        return message[0].lower() + message[1:]
    bounds = {
        k: int(v) if isinstance(v, float) and v.is_integer() else v for k, v in problem.get("ctx", {}).items()
    }
    return _BOUNDS[kind].format(**bounds)


def _known(owner: type[BaseModel], steps: list[Any]) -> str | None:
    """A hint for an unknown key: the nearest of its siblings, else all of them."""
    fields: type[BaseModel] | None = owner
    for step in steps[:-1]:
        if fields is not None and not isinstance(step, int):
            info = fields.model_fields.get(str(step))
            fields = _part_in(info.annotation) if info is not None else None
    if fields is None:
        return None
    siblings = sorted(fields.model_fields)
    if not siblings:
        return "it has no settings"
    return suggest(str(steps[-1]), siblings) or "known here: " + ", ".join(siblings)


def _part_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _part_in(inner)
        if found is not None:
            return found
    return None
