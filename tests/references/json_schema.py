"""A small JSON Schema validator, and random values of a schema: an independent reading of it."""

from __future__ import annotations

import math
import re
from typing import Any

from hypothesis import strategies as st

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_KNOWN = {
    *(
        "$ref",
        "$defs",
        "$schema",
        "anyOf",
        "enum",
        "const",
        "type",
        "properties",
        "required",
        "items",
        "prefixItems",
    ),
    *(
        "additionalProperties",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "minItems",
        "maxItems",
    ),
    *("minLength", "maxLength", "default", "description", "title", "not", "multipleOf", "pattern"),
}


class Schema:
    """A JSON Schema with the keywords that the config's schema uses; any other keyword is an error."""

    def __init__(self, root: dict[str, Any]) -> None:
        self.root = root

    def accepts(self, value: Any, schema: dict[str, Any] | None = None) -> bool:
        """Whether ``value`` fits ``schema`` (default: the whole)."""
        schema = self.resolve(schema if schema is not None else self.root)
        assert set(schema) <= _KNOWN, f"unknown keywords: {set(schema) - _KNOWN}"
        if "not" in schema and self.accepts(value, schema["not"]):
            return False
        if "anyOf" in schema and not any(self.accepts(value, branch) for branch in schema["anyOf"]):
            return False
        if "enum" in schema and value not in schema["enum"]:
            return False
        if "const" in schema and value != schema["const"]:
            return False
        if "type" in schema and not self._has_type(value, schema["type"]):
            return False
        return self._fits(value, schema)

    def resolve(self, schema: dict[str, Any]) -> dict[str, Any]:
        """``schema`` without a reference at its top."""
        if "$ref" not in schema:
            return schema
        *_, name = schema["$ref"].split("/")
        rest = {key: item for key, item in schema.items() if key != "$ref"}
        return {**self.root["$defs"][name], **rest}

    @staticmethod
    def _has_type(value: Any, name: str) -> bool:
        return isinstance(value, _TYPES[name]) and (name == "boolean" or not isinstance(value, bool))

    def _fits(self, value: Any, schema: dict[str, Any]) -> bool:
        if isinstance(value, dict):
            properties, more = schema.get("properties", {}), schema.get("additionalProperties", True)
            if not set(schema.get("required", [])) <= set(value):
                return False
            for key, item in value.items():
                inner = properties.get(key, more)
                if inner is False or (isinstance(inner, dict) and not self.accepts(item, inner)):
                    return False
        elif isinstance(value, list):
            if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", math.inf):
                return False
            items = [*schema.get("prefixItems", [])]
            items += [schema.get("items", {})] * (len(value) - len(items))
            return all(self.accepts(item, inner) for item, inner in zip(value, items, strict=False))
        elif isinstance(value, str):
            fits = re.search(schema["pattern"], value) is not None if "pattern" in schema else True
            return fits and schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", math.inf)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
            above, below = schema.get("exclusiveMinimum", -math.inf), schema.get("exclusiveMaximum", math.inf)
            whole = not value % schema["multipleOf"] if "multipleOf" in schema else True
            return bool(low <= value <= high and above < value < below and whole)
        return True

    def values(self, schema: dict[str, Any] | None = None) -> st.SearchStrategy[Any]:
        """Random values of ``schema``; optional keys are mostly left out."""
        schema = self.resolve(schema if schema is not None else self.root)
        if "anyOf" in schema:
            return st.one_of([self.values(branch) for branch in schema["anyOf"]])
        if "enum" in schema:
            return st.sampled_from(schema["enum"]) if schema["enum"] else st.nothing()
        if "const" in schema:
            return st.just(schema["const"])
        values = getattr(self, f"_{schema['type']}")(schema)
        return values.filter(lambda value: self.accepts(value, schema)) if "not" in schema else values

    def _object(self, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        properties = schema.get("properties", {})
        if not properties:
            more = schema.get("additionalProperties", False)
            inner = self.values(more) if isinstance(more, dict) else st.nothing()
            return st.dictionaries(st.text(min_size=1, max_size=4), inner, max_size=3)
        required = set(schema.get("required", []))

        @st.composite
        def build(draw: Any) -> dict[str, Any]:
            optional = [key for key in properties if key not in required]
            some = st.lists(st.sampled_from(optional), unique=True, max_size=3) if optional else st.just([])
            chosen = {*required, *draw(some)}
            return {key: draw(self.values(properties[key])) for key in properties if key in chosen}

        return build()

    def _array(self, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        if "prefixItems" in schema:
            return st.tuples(*(self.values(inner) for inner in schema["prefixItems"])).map(list)
        inner = self.values(schema["items"])
        if inner.is_empty:  # a choice of nothing
            return st.just([])
        return st.lists(inner, min_size=schema.get("minItems", 0), max_size=3)

    @staticmethod
    def _string(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        if "pattern" in schema:
            return st.from_regex(schema["pattern"], fullmatch=True, alphabet=st.characters(codec="utf-8"))
        return st.text(st.characters(codec="utf-8"), min_size=schema.get("minLength", 0), max_size=5)

    @staticmethod
    def _integer(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        low = schema.get("minimum", schema.get("exclusiveMinimum", -11) + 1)
        high = schema.get("maximum", schema.get("exclusiveMaximum", low + 1000) - 1)
        return st.integers(low, high)

    def _number(self, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        low = schema.get("minimum", schema.get("exclusiveMinimum", -1e6))
        high = schema.get("maximum", schema.get("exclusiveMaximum", 1e6))
        floats = st.floats(
            low, high, exclude_min="exclusiveMinimum" in schema, exclude_max="exclusiveMaximum" in schema
        )
        whole = [number for number in (0, 1, 2) if self.accepts(number, schema)]
        return floats | st.sampled_from(whole) if whole else floats

    @staticmethod
    def _boolean(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        return st.booleans()

    @staticmethod
    def _null(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
        return st.none()
