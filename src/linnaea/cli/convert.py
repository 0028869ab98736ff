"""The command ``linnaea convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def convert(
    config: Annotated[Path, typer.Argument(help="Config of NeuralClassifier (JSON).", show_default=False)],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write here instead of stdout.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the output if it is there.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print config, table and warnings as one JSON object.")
    ] = False,
) -> None:
    """Write the native config that a NeuralClassifier config means; what each key became goes to stderr."""
    from linnaea.cli.display import Display
    from linnaea.commands.convert import convert_config

    with Display() as display:
        text = convert_config(config, output=output, overwrite=overwrite, as_json=as_json, reporter=display)
        if output is None or as_json:
            display.data(text)
