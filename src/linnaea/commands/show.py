"""``linnaea taxonomy`` and ``linnaea list``: what there is, as text or JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from linnaea.config import registry
from linnaea.config.config import Config, load_plugin
from linnaea.config.part import prose
from linnaea.config.task import DataConfig
from linnaea.corpus.labels import LabelResolver
from linnaea.corpus.policy import ErrorPolicy
from linnaea.corpus.readers import read_documents
from linnaea.errors import DataError, UsageError, suggest
from linnaea.files import read_json
from linnaea.reporter import Reporter, Silent
from linnaea.taxonomy.readers import read_taxonomy
from linnaea.taxonomy.render import render
from linnaea.taxonomy.taxonomy import Taxonomy

REGISTRIES = {
    "tokenizers": registry.tokenizers,
    "embedders": registry.embedders,
    "initializers": registry.initializers,
    "positions": registry.positions,
    "encoders": registry.encoders,
    "heads": registry.heads,
    "losses": registry.losses,
    "strategies": registry.strategies,
    "optimizers": registry.optimizers,
    "schedules": registry.schedules,
    "calibrations": registry.calibrations,
    "thresholds": registry.thresholds,
    "decoders": registry.decoders,
    "metrics": registry.metrics,
}


def show_taxonomy(
    path: Path,
    corpora: Sequence[str] = (),
    *,
    separator: str = "--",
    as_json: bool = False,
    reporter: Reporter | None = None,
) -> str:
    """The tree as text (or its JSON), with documents per category where labelled documents are at hand.

    ``path`` is a taxonomy file, a config (then its train documents are counted), or a run or model folder.
    """
    taxonomy, config = _taxonomy(path, separator)
    files = list(corpora) or (config.data.files("train") if config is not None else [])
    counts_C = _counts(taxonomy, files, config, reporter or Silent()) if files else None
    if as_json:
        value = taxonomy.to_json()
        if counts_C is not None:
            value["counts"] = counts_C.tolist()
        return json.dumps(value, ensure_ascii=False)
    return "\n".join(render(taxonomy, counts_C))


def _taxonomy(path: Path, separator: str) -> tuple[Taxonomy, Config | None]:
    if path.is_dir():
        from linnaea.model.folder import find

        return Taxonomy.from_json(read_json(find(path) / "taxonomy.json")), None
    if path.suffix == ".json":
        value = read_json(path)
        if isinstance(value, dict) and {"task", "data"} & set(value):
            config = Config.load(path)
            task = config.task
            if task.taxonomy is None:
                raise UsageError("names no taxonomy (task.taxonomy)", where=str(path))
            return read_taxonomy(task.taxonomy, task.taxonomy_format, task.separator), config
    return read_taxonomy(path, "auto", separator), None


def _counts(
    taxonomy: Taxonomy, files: Sequence[str], config: Config | None, reporter: Reporter
) -> np.ndarray:
    data = config.data if config is not None else DataConfig()
    resolver = LabelResolver(taxonomy, config.task.gold_closure if config is not None else "ancestors")
    policy = ErrorPolicy("skip")
    counts_C = np.zeros(len(taxonomy), dtype=np.int64)
    for document in read_documents(files, data, policy, need_labels=True):
        try:
            columns = {int(c) for label in document.labels or () for c in resolver.resolve(label)}
        except DataError as error:
            policy.handle(error.at(str(document.origin)), None)
            continue
        counts_C[list(columns)] += 1
    if policy.left_out:
        reporter.warn(policy.message() or "")
    return counts_C


def list_parts(kind: str | None = None, *, plugins: Sequence[str] = (), as_json: bool = False) -> str:
    """Names of the parts that a config can choose, with one line each; of a plug-in's also where it comes from.

    Args:
        plugins: modules and .py files to import first. Installed ones are found by their entry points.

    Raises:
        UsageError: there is no such kind of part.
        ConfigError: a plug-in cannot be imported.
    """
    if kind is not None and kind not in REGISTRIES:
        hint = suggest(kind, REGISTRIES) or "known: " + ", ".join(REGISTRIES)
        raise UsageError(f"there is no kind of part {kind!r}", hint=hint)
    for plugin in plugins:
        load_plugin(plugin)
    value = {name: _described(parts) for name, parts in REGISTRIES.items() if kind in (None, name)}
    if as_json:
        return json.dumps(value, ensure_ascii=False)
    lines = []
    for name, items in value.items():
        lines.append(name)
        width = max((len(part) for part in items), default=0)
        for part, about in items.items():
            origin = f"[{about['from']}]" if "from" in about else ""
            text = "  ".join(filter(None, (about["about"], origin)))
            lines.append(f"  {part:<{width}}  {text}".rstrip())
    return "\n".join(lines)


def _described(parts: registry.Registry) -> dict[str, dict[str, str]]:
    """Of each part its first line, and the file or package of a plug-in; of a broken one what is wrong."""
    found: dict[str, dict[str, str]] = {}
    for name, problem in parts.known().items():
        if problem is not None:
            found[name] = {"about": f"cannot be used: {problem}"}
            continue
        origin = parts.origin(name)
        found[name] = {"about": _first_line(parts.config(name)), **({"from": origin} if origin else {})}
    return found


def _first_line(config: Any) -> str:
    text = (config.__doc__ or "").strip()
    return prose(text.splitlines()[0]) if text else ""
