"""Study: the page of a search for settings, made of its ``study.json``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from linnaea import __version__
from linnaea.files import atomic
from linnaea.report.shell import page


def write_study(path: Path, study: Mapping[str, Any]) -> Path:
    """Write the page of a study and return where it lies.

    Args:
        study: ``config``, ``metric``, ``direction``, ``space``, ``best``, ``trials``, ``importance``, as in ``study.json``.

    Raises:
        RunError: the page cannot be written.
    """
    name = Path(path).resolve().parent.name or "study"
    data = {"name": name, "made_by": f"Linnaea {__version__}", **study}
    html = page(f"Linnaea study: {name}", "study", data)
    with atomic(path, "w") as file:
        file.write(html)
    return Path(path)
