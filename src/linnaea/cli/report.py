"""The command ``linnaea report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    run: Annotated[Path, typer.Argument(help="Run folder.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option("--output", help="File to write; report.html in the run folder when left out."),
    ] = None,
) -> None:
    """Write the page of a run: how good, where not, and beside the simple thing."""
    from linnaea.cli.display import Display
    from linnaea.commands.report import report as work

    with Display() as display:
        display.data(str(work(run, output)))
