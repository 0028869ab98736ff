"""``linnaea report``: the page of a finished run, made again."""

from __future__ import annotations

from pathlib import Path

from linnaea.report.page import write_report
from linnaea.run_folder import RunFolder


def report(run: Path | str, output: Path | None = None) -> Path:
    """Write the page of the run folder ``run`` and return where it lies.

    Args:
        output: in place of ``report.html`` in the run folder.

    Raises:
        UsageError: it is no run folder, or nothing was measured.
        DataError: a file of the run is damaged.
        RunError: the page cannot be written.
    """
    return write_report(RunFolder(Path(run)), output)
