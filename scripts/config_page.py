"""Writes docs/config.md from the config classes, so that the page cannot go stale.

python scripts/config_page.py            writes the page
python scripts/config_page.py --check    tells whether it is up to date
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from linnaea.config.config import Config
from linnaea.config.one_of import OneOf
from linnaea.config.part import Choice, Part
from linnaea.config.registry import Registry

PAGE = Path(__file__).resolve().parents[1] / "docs" / "config.md"

INTRO = """# The config, key by key

<!-- Written by scripts/docs from the config classes: change the descriptions there, not here. -->

A run is described by one JSON file. Only `data.train` and, for most uses, `task.taxonomy` have to be given;
every other key has a default, and every run saves the config with all of them filled in (`RUN/config.json`).

- A key that is not listed here, a value of the wrong type or out of its bounds, and a combination that makes
  no sense are errors, told with the dotted path and a suggestion before any work starts. So is a key that could
  do nothing beside the others, such as `training.epochs` under the linear strategy.
- Paths are relative to the config file; `run.dir` is relative to the folder where the command is given.
- Where a part can be chosen (an encoder, a loss, a strategy, ...) the value is an object whose `"type"` names
  the choice: `{"type": "textcnn", "filters": 200}`. With nothing else to set, the name will do: `"textcnn"`. An
  object without `"type"` is of the type that stands under default, so that `--set training.optimizer.learning_rate=0.01`
  needs no more; where none stands there (`objective.loss`) the type must be named.
- `--set KEY=VALUE` changes one key on the command line. KEY is the dotted path from the top, VALUE is read as
  JSON and taken as a string where it is none. An object takes the place of the whole part. A number leads into a list of
  objects, as in `training.strategy.members.0.seeds`. Paths in it are
  relative to the current folder: `--set training.epochs=5 --set run.dir=runs/short --set data.train=x.jsonl`.
- `linnaea schema` prints a JSON Schema for editors; a `"$schema"` key at the top of a config is passed over.
- `plugins` names modules that register parts of your own; they are imported before the config is checked, and
  their settings are checked as strictly as those below.
"""


def page() -> str:
    """The whole page."""
    blocks = [INTRO, "## At the top\n", table(rows(Config))]
    for name, field in Config.model_fields.items():
        if name != "plugins":
            blocks += _section(name, field.default, 2)
    return "\n".join(blocks).rstrip() + "\n"


def _section(path: str, part: Part, level: int) -> Iterator[str]:
    yield f"{'#' * level} {path}\n"
    yield f"{prose(type(part))}\n"
    yield table(rows(type(part), part))
    for name, field in type(part).model_fields.items():
        inner = f"{path}.{name}"
        registry = registry_of(field)
        if registry is not None:
            yield from _choices(inner, registry, level + 1)
        elif is_part(field):
            default = field.default
            part_inside = default if isinstance(default, Part) else part_of(field)()
            yield from _section(inner, part_inside, level + 1)


def _choices(path: str, registry: Registry, level: int) -> Iterator[str]:
    yield f"{'#' * level} {path}\n"
    for name in registry.names():
        config = registry.config(name)
        yield f'**`"{name}"`** {prose(config)}\n'
        if config.model_fields:
            yield table(rows(config))
        for key, field in config.model_fields.items():
            inner = registry_of(field)
            if inner is not None:
                yield from _choices(f"{path}.{key}", inner, level + 1)


def rows(part: type[Part], defaults: Part | None = None) -> Iterator[tuple[str, str, str, str]]:
    schema = part.model_json_schema()
    for name, field in part.model_fields.items():
        optional = " or `null`" if type(None) in getattr(field.annotation, "__args__", ()) else ""
        if registry_of(field) is not None:
            several = getattr(field.annotation, "__origin__", None) is list
            kind = ("list of choices" if several else "choice") + ", see below" + optional
        elif is_part(field):
            branches = [b for b in schema["properties"][name].get("anyOf", []) if b.get("type") == "number"]
            kind = " or ".join([*map(_kind, branches), "object, see below"]) + optional
        else:
            kind = _kind(schema["properties"][name])
        default = "required" if field.is_required() else _shown(getattr(defaults, name, field.default))
        yield f"`{name}`", kind, default, _text(field.description or prose(part_of(field)))


def _kind(schema: dict[str, Any]) -> str:
    """A JSON Schema in words."""
    if "anyOf" in schema:
        return " or ".join(_kind(branch) for branch in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{json.dumps(value)}`" for value in schema.get("enum", [schema.get("const")]))
    kind = schema.get("type")
    if kind == "array":
        items = schema.get("prefixItems") or [schema["items"]]
        return (
            f"list of {len(items)}: {_kind(items[0])}"
            if "prefixItems" in schema
            else f"list of {_kind(items[0])}"
        )
    if kind == "object":
        inner = schema.get("additionalProperties")
        return f"object of {_kind(inner)}" if isinstance(inner, dict) else "object"
    names = {
        "boolean": "`true`, `false`",
        "null": "`null`",
        "string": "string",
        "integer": "integer",
        "number": "number",
    }
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = [f"{sign} {schema[key]:.10g}" for key, sign in signs.items() if key in schema]
    return " ".join([names[str(kind)], ", ".join(bounds)]).strip()


def _shown(value: object) -> str:
    if isinstance(value, Choice):
        return f'`"{value.type}"`'
    return "" if isinstance(value, Part) else f"`{json.dumps(value)}`"


def registry_of(field: FieldInfo) -> Registry | None:
    found = [item for item in field.metadata if isinstance(item, OneOf)]
    for inner in getattr(field.annotation, "__args__", ()):
        found += [item for item in getattr(inner, "__metadata__", ()) if isinstance(item, OneOf)]
    return found[0].registry if found else None


def is_part(field: FieldInfo) -> bool:
    return registry_of(field) is None and any(True for _ in _parts(field.annotation))


def part_of(field: FieldInfo) -> type[Part]:
    return next(_parts(field.annotation))


def _parts(annotation: Any) -> Iterator[type[Part]]:
    if isinstance(annotation, type) and issubclass(annotation, Part):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _parts(inner)


def prose(part: type[Part]) -> str:
    return " ".join((part.__doc__ or "").split()).replace("``", "`")


def _text(text: str) -> str:
    return " ".join(text.split()).replace("``", "`").replace("|", "\\|")


def table(rows: Iterator[tuple[str, str, str, str]]) -> str:
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write or check; 1 when the page is out of date."""
    text = page()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        print("docs/config.md is out of date: run scripts/docs", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
