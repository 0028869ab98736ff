"""The command ``linnaea grow``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from linnaea.errors import UsageError

if TYPE_CHECKING:
    from linnaea.strategies.grow import Growth

Many = list[str]


def grow(
    model: Annotated[Path, typer.Argument(help="Run folder, or its model/ folder.", show_default=False)],
    taxonomy: Annotated[
        Path, typer.Option("--taxonomy", help="File of the new taxonomy, whole.", show_default=False)
    ],
    data: Annotated[
        Many,
        typer.Option(
            "--data",
            help="New documents, labelled under the new taxonomy; added to train. May be repeated.",
            show_default=False,
        ),
    ] = [],  # noqa: B006
    dev_data: Annotated[
        Many, typer.Option("--dev-data", help="The same, added to dev.", show_default=False)
    ] = [],  # noqa: B006
    test_data: Annotated[
        Many, typer.Option("--test-data", help="The same, added to test.", show_default=False)
    ] = [],  # noqa: B006
    rename: Annotated[
        Many,
        typer.Option(
            "--rename",
            help="OLD=NEW: the category OLD of the model is called NEW now. May be repeated.",
            show_default=False,
        ),
    ] = [],  # noqa: B006
    train: Annotated[
        Many,
        typer.Option(
            "--train",
            help="Documents of the old training; a run folder names them itself. May be repeated.",
            show_default=False,
        ),
    ] = [],  # noqa: B006
    dev: Annotated[
        Many, typer.Option("--dev", help="Its dev documents, where there were any.", show_default=False)
    ] = [],  # noqa: B006
    test: Annotated[
        Many, typer.Option("--test", help="Its test documents, where there were any.", show_default=False)
    ] = [],  # noqa: B006
    out: Annotated[
        Path | None,
        typer.Option("--out", help="New run folder; MODEL-grown when left out.", show_default=False),
    ] = None,
    descendants: Annotated[
        bool, typer.Option("--descendants", help="Fit again all below what is fitted again, too.")
    ] = False,
    train_all: Annotated[
        bool, typer.Option("--train-all", help="Of a network for all categories train all weights.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan, and no more.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Delete the run in --out and start again.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the plan, and the metrics, as one JSON object to stdout.")
    ] = False,
    taxonomy_format: Annotated[
        str, typer.Option("--taxonomy-format", help="auto, children, edges, json or indented.")
    ] = "auto",
    plugins: Annotated[
        Many,
        typer.Option(
            "--plugin", help="Module that a model's own parts live in. May be repeated.", show_default=False
        ),
    ] = [],  # noqa: B006
    device: Annotated[
        str | None,
        typer.Option(
            "--device", help="auto, cpu, cuda or mps; the old run's when left out.", show_default=False
        ),
    ] = None,
) -> None:
    """Train only what a changed taxonomy asks for: categories that are new, moved, renamed or gone."""
    from linnaea.cli.display import Display
    from linnaea.commands.grow import Wish
    from linnaea.commands.grow import grow as work

    if resume and overwrite:
        raise typer.BadParameter("--resume and --overwrite exclude each other")
    former = {"train": train, "dev": dev, "test": test}
    if (dev or test) and not train:
        raise UsageError(
            "needs the documents of train, too", where="--dev" if dev else "--test", hint="--train FILE"
        )
    wish = Wish(
        taxonomy, {"train": data, "dev": dev_data, "test": test_data}, former, rename, taxonomy_format,
        descendants, train_all, out,
    )  # fmt: skip
    with Display() as display:

        def show(growth: Growth) -> None:
            display.close()
            if as_json:
                return
            text = "\n".join(growth.lines())
            if dry_run:
                display.data(text)
            else:
                display.note(text)

        grown = work(
            model, wish, dry_run=dry_run, resume=resume, overwrite=overwrite, plugins=plugins, device=device,
            reporter=display, show=show,
        )  # fmt: skip
        if as_json:
            display.close()
            display.json(grown.to_json())
        if grown.result is not None:
            if not as_json:
                display.evaluation(grown.result.metrics, as_json=False, title=grown.result.title)
            display.note(f"model: {grown.result.folder.model}")
            if grown.result.folder.report.exists():
                display.note(f"report: {grown.result.folder.report}")
