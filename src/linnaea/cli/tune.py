"""The command ``linnaea tune``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def tune(
    config: Annotated[Path, typer.Argument(help="Config file (JSON).", show_default=False)],
    space: Annotated[
        Path,
        typer.Option(
            "--space", help="What is searched: dotted keys with ranges or values (JSON).", show_default=False
        ),
    ],
    trials: Annotated[
        int | None,
        typer.Option(
            "--trials", help="So many trials in all, those of a resumed study among them.", show_default=False
        ),
    ] = None,
    limit: Annotated[
        str | None, typer.Option("--time", help="No longer than 90s, 30m, 1h30m.", show_default=False)
    ] = None,
    settings: Annotated[
        list[str],
        typer.Option(
            "--set", help="a.b=value in the config, as for train. May be repeated.", show_default=False
        ),
    ] = [],  # noqa: B006
    study: Annotated[
        Path | None,
        typer.Option("--study", help="Folder of the study; RUN-study when left out.", show_default=False),
    ] = None,
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric",
            help="What is made best: micro_f1, macro_f1, both_f1, hierarchical_f1, samples_f1, weighted_f1 or "
            "average_precision; what the thresholds are tuned for when left out.",
            show_default=False,
        ),
    ] = None,
    processes: Annotated[int, typer.Option("--processes", help="Trials at a time.")] = 1,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the study, or help a running one.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Delete the study and start again.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print study.json to stdout.")] = False,
) -> None:
    """Search a config's settings on dev; write the best config. Test documents are never read."""
    from linnaea.cli.display import Display
    from linnaea.commands.tune import seconds_of
    from linnaea.commands.tune import tune as work

    if resume and overwrite:
        raise typer.BadParameter("--resume and --overwrite exclude each other")
    seconds = None if limit is None else seconds_of(limit)
    with Display() as display:
        tuned = work(
            config, space, settings, trials=trials, seconds=seconds, study=study, metric=metric,
            processes=processes, resume=resume, overwrite=overwrite, reporter=display,
        )  # fmt: skip
        display.close()
        if as_json:
            display.json(tuned.value)
            return
        from linnaea.tuning.progress import summary

        display.data("\n".join(summary(tuned.folder, tuned.value)))
