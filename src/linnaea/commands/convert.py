"""``linnaea convert``: a config of NeuralClassifier as a native one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from linnaea.config.config import Config
from linnaea.config.neuralclassifier import Conversion, convert, is_old
from linnaea.config.reading import read_config
from linnaea.errors import ConfigError, UsageError
from linnaea.files import atomic
from linnaea.reporter import Reporter, Silent

# Where a native config holds paths that a conversion writes.
_PATHS = (
    ("task", "taxonomy"),
    ("data", "train"),
    ("data", "dev"),
    ("data", "test"),
    ("model", "embedder", "pretrained"),
    ("model", "embedder", "keyword_pretrained"),
)


def convert_config(
    path: Path,
    *,
    output: Path | None = None,
    overwrite: bool = False,
    as_json: bool = False,
    reporter: Reporter | None = None,
) -> str:
    """The native config as JSON text, checked; and into ``output``, if given.

    Args:
        output: a file to write; paths in it that lie below its folder are then relative to it.
        overwrite: replace a file that is there.
        as_json: give the config together with the table and the warnings, as one JSON object; else the reporter
            hears these.

    Raises:
        ConfigError: not a config of NeuralClassifier, or one that means nothing here.
        UsageError: ``output`` is the old file itself, or there already.
    """
    value = read_config(path)
    if not is_old(value):
        hint = "linnaea train takes it as it is" if set(value) <= set(Config.model_fields) else None
        raise ConfigError("is no config of NeuralClassifier", where=str(path), hint=hint)
    if output is not None and output.resolve() == path.resolve():
        raise UsageError("would overwrite the old config", where=str(output), hint="name another file")
    if output is not None and output.exists() and not overwrite:
        hint = "give --overwrite to replace it, or another --output"
        raise UsageError("exists already", where=str(output), hint=hint)
    Config.load(path)  # refuses what a training would refuse
    conversion = convert(value, path.resolve().parent)
    native = conversion.config
    if output is not None:
        native = _relative(native, output.resolve().parent)
        with atomic(output, "w") as file:
            file.write(json.dumps(native, ensure_ascii=False, indent=2) + "\n")
    if as_json:
        native = {
            "config": native,
            "keys": [
                {"key": row.key, "value": row.value, "became": row.became, "note": row.note}
                for row in conversion.rows
            ],
            "warnings": list(conversion.warnings),
        }
    else:
        tell_conversion(conversion, reporter or Silent())
    return json.dumps(native, ensure_ascii=False, indent=2) + "\n"


def tell_conversion(conversion: Conversion, reporter: Reporter) -> None:
    """What became of each key as one table, then the warnings."""
    reporter.note(conversion.table())
    for warning in conversion.warnings:
        reporter.warn(warning)


def _relative(native: dict[str, Any], folder: Path) -> dict[str, Any]:
    """``native`` with the paths below ``folder`` relative to it."""

    def shorter(item: Any) -> Any:
        if isinstance(item, list):
            return [shorter(one) for one in item]
        path = Path(item)
        return str(path.relative_to(folder)) if path.is_relative_to(folder) else item

    native = json.loads(json.dumps(native))
    for path in _PATHS:
        part = native
        for step in path[:-1]:
            part = part.get(step, {})
        if path[-1] in part:
            part[path[-1]] = shorter(part[path[-1]])
    return native
