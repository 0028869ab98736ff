"""NeuralClassifier's configs, the head: linear for all models but HMCN, which brings its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from linnaea.config.neuralclassifier_reading import Old
from linnaea.errors import ConfigError

Part = dict[str, Any]


def head(old: Old, name: str, taxonomy: str | None) -> Part:
    """``model.head``.

    Args:
        name: of the model.
        taxonomy: the file that the task reads, if any.
    """
    key, target = "train.hidden_layer_dropout", "model.head.dropout"
    if name != "HMCN":
        dropout = old.take(key, 0.5, target, "before the head, never on logits")
        return {"type": "linear", "dropout": dropout}
    dropout = old.take(key, 0.5, target, "of both layers; there always 0.5, whatever was written")
    return {
        "type": "hmcn",
        "hidden": _hidden(old, taxonomy),
        "violation_penalty": 0.0,
        "dropout": dropout,
    }


def _hidden(old: Old, taxonomy: str | None) -> int:
    """The size of each level's layer."""
    widths, local = "HMCN.hierarchical_depth", "HMCN.global2local"
    depth, sizes = (
        old.numbers(widths, [0, 384, 384, 384, 384])[1:],
        old.numbers(local, [0, 4, 55, 43, 1])[1:],
    )
    if not depth:
        raise ConfigError("names no level", where=widths)
    if len(depth) != len(sizes):
        problem = f"has {len(sizes)} levels, and HMCN.hierarchical_depth {len(depth)}"
        raise ConfigError(problem, where=local)
    old.became(widths, f"model.head.hidden = {depth[0]}")
    old.became(local, note="levels are those of the taxonomy; model.head.local_hidden is their layers' size")
    if len(set(depth)) > 1:
        old.warn(widths, f"{depth} is not kept: every level's layer has {depth[0]} units")
    found = _level_sizes(taxonomy)
    if found is not None and len(found) != len(sizes):
        told = ", ".join(map(str, found))
        old.warn(local, f"has {len(sizes)} levels, the taxonomy {len(found)} ({told}): those are taken")
    return depth[0]


def _level_sizes(taxonomy: str | None) -> list[int] | None:
    """Categories of each level of an old taxonomy file; None: it cannot be read, which is told when it is."""
    if taxonomy is None:
        return None
    try:
        lines = Path(taxonomy).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError):
        return None
    rows = [[name.strip() for name in line.split("\t")] for line in lines if line.strip()]
    children: dict[str, list[str]] = {}
    for parent, *below in rows:
        children.setdefault(parent, []).extend(filter(None, below))
    level: dict[str, int] = {}
    front, depth = {rows[0][0]} if rows else set(), 0
    # A category's level is its longest way from the top: it is the last front that it is in.
    while front and depth <= len(children):
        level |= dict.fromkeys(front, depth)
        front, depth = {child for name in front for child in children.get(name, [])}, depth + 1
    if front or len(level) < 2:
        return None
    numbers = list(level.values())
    return [numbers.count(number) for number in range(1, depth)]
