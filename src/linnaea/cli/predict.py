"""The commands that ask a model: ``linnaea predict`` and ``linnaea evaluate``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from linnaea.cli.options import AsJson, Decoding, Device, Format, OnError, Plugins, Threshold


def evaluate(
    model: Annotated[Path, typer.Argument(help="Run folder or its model/ folder.", show_default=False)],
    file: Annotated[
        Path, typer.Argument(help="Labelled documents; - reads standard input.", show_default=False)
    ],
    as_json: AsJson = False,
    threshold: Threshold = None,
    decoding: Decoding = None,
    on_error: OnError = "raise",
    file_format: Format = "auto",
    plugins: Plugins = [],  # noqa: B006
    device: Device = "auto",
) -> None:
    """Score a model on labelled documents."""
    from linnaea.cli.display import Display
    from linnaea.commands.evaluate import evaluate as work

    with Display() as display:
        metrics = work(
            model, str(file), threshold=threshold, decoding=decoding, on_error=on_error,
            file_format=file_format, plugins=plugins, device=device, reporter=display,
        )  # fmt: skip
        display.evaluation(metrics, as_json=as_json, title=str(file))


def predict(
    model: Annotated[Path, typer.Argument(help="Run folder or its model/ folder.", show_default=False)],
    file: Annotated[
        str, typer.Argument(help="JSONL, CSV, Parquet or plain text lines; - reads standard input.")
    ] = "-",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write here instead of stdout.")
    ] = None,
    top_k: Annotated[
        int | None,
        typer.Option(
            "--top-k", help="At most so many categories a document, before decoding adds ancestors."
        ),
    ] = None,
    threshold: Threshold = None,
    decoding: Decoding = None,
    all_scores: Annotated[
        bool, typer.Option("--all", help="Every category with its score, decided or not.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines even on a terminal.")] = False,
    on_error: OnError = "raise",
    file_format: Format = "auto",
    plugins: Plugins = [],  # noqa: B006
    device: Device = "auto",
) -> None:
    """One JSON line a document; needs no labels. On a terminal a readable table."""
    from linnaea.cli.display import Display
    from linnaea.commands.predict import predict as work

    with Display() as display:
        table = output is None and not as_json and sys.stdout.isatty()
        work(
            model, file, output=output, top_k=top_k, threshold=threshold, decoding=decoding,
            all_scores=all_scores, on_error=on_error, file_format=file_format, plugins=plugins, device=device, reporter=display,
            show=display.answer if table else None,
        )  # fmt: skip
