"""The command ``linnaea init``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from linnaea.cli.options import AsJson


class PresetName(StrEnum):
    """How much time a run may take."""

    fast = "fast"
    balanced = "balanced"
    best = "best"


class AimName(StrEnum):
    """What a run is to be good at."""

    micro_f1 = "micro_f1"
    macro_f1 = "macro_f1"
    both = "both"


def init(
    data: Annotated[
        Path,
        typer.Argument(
            help="Folder with train, dev, test and taxonomy files, or the train file alone.",
            show_default=False,
        ),
    ],
    preset: Annotated[
        PresetName,
        typer.Option(
            "--preset",
            help="fast: seconds to a minute; balanced: minutes; best: some minutes to half an hour.",
        ),
    ] = PresetName.balanced,
    aim: Annotated[AimName, typer.Option("--aim", help="What is made best.")] = AimName.both,
    taxonomy: Annotated[
        Path | None,
        typer.Option(
            "--taxonomy", help="Taxonomy file; without one it is read off the labels.", show_default=False
        ),
    ] = None,
    text: Annotated[
        list[str],
        typer.Option("--text", help="Field of the text, if not `text`. May be repeated.", show_default=False),
    ] = [],  # noqa: B006
    labels: Annotated[
        str | None, typer.Option("--labels", help="Field of the labels, if not `labels`.", show_default=False)
    ] = None,
    separator: Annotated[
        str | None,
        typer.Option(
            "--separator", help="Between the names of a path label, if not `--`.", show_default=False
        ),
    ] = None,
    label_delimiter: Annotated[
        str | None,
        typer.Option(
            "--label-delimiter",
            help="Between the labels in a cell of a table; without it, told from the cells.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Config file to write.")] = Path(
        "config.json"
    ),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a config that is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Look at a corpus and write a config for it."""
    from linnaea.cli.display import Display
    from linnaea.commands.init import init as work

    with Display() as display:
        written = work(
            data,
            preset=preset.value,
            aim=aim.value,
            taxonomy=taxonomy,
            text=text,
            labels=labels,
            separator=separator,
            label_delimiter=label_delimiter,
            output=output,
            overwrite=overwrite,
            reporter=display,
        )
        display.close()
        if as_json:
            display.json(written.to_json())
            return
        for line in written.lines():
            display.note(line)
