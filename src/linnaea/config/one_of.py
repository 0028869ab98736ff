"""OneOf: an open union over a registry, as the type of a config's field."""

from __future__ import annotations

from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic_core import CoreSchema, core_schema

from linnaea.config.part import Choice, Nested, first_problem, shown
from linnaea.config.registry import Registry
from linnaea.errors import ConfigError, suggest


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
