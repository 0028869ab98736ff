"""Grown: what the page of a run that ``linnaea grow`` made says of that, from its ``growth.json``."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

SHOWN = 12  # categories that are named


def told(record: Mapping[str, Any], taxonomy: str) -> str:
    """What the run came from, and what was fitted again; files by their names alone.

    Args:
        taxonomy: the file of the new one.
    """
    newest, model = record["generations"][-1], PurePath(record["model"]["path"])
    name = model.parent.name if model.name == "model" else model.name
    files = [PurePath(file).name for part in newest["files"].values() for file in part]
    documents = f"new documents {', '.join(files)}" if files else "no new documents"
    return (
        f"This run was grown from {name} (linnaea grow): taxonomy {PurePath(taxonomy).name}, {documents}. "
        f"{_fitted(record)}"
    )


def _fitted(record: Mapping[str, Any]) -> str:
    if record["train_all"]:
        return "The whole network was trained on, and all thresholds were found anew."
    ids = record.get("fitted")
    if ids is None:
        return "Which categories were fitted again was not recorded."
    if not ids:
        return "No category was fitted again."
    more = f" and {len(ids) - SHOWN:,} more" if len(ids) > SHOWN else ""
    return f"Fitted again: {', '.join(ids[:SHOWN])}{more}; nothing else was trained."


def command(record: Mapping[str, Any], taxonomy: str) -> str:
    """The command that a grown run came from, without its ``--out``."""
    newest = record["generations"][-1]
    options = [("--taxonomy", taxonomy)]
    for option, split in (("--data", "train"), ("--dev-data", "dev"), ("--test-data", "test")):
        options += [(option, file) for file in newest["files"][split]]
    options += [("--rename", f"{old}={new}") for old, new in newest["renames"].items()]
    words = [part for option in options for part in option]
    words += [f"--{key.replace('_', '-')}" for key in ("descendants", "train_all") if record[key]]
    return shlex.join(["linnaea", "grow", record["model"]["path"], *words])
