"""The commands ``linnaea prepare SOURCE``."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from linnaea.errors import UsageError, suggest

if TYPE_CHECKING:
    from linnaea.corpus.sources.writer import Writer

app = typer.Typer(
    help="Turn the files that a corpus' owner hands out into splits and a taxonomy; docs/corpora.md has the sources.",
    no_args_is_help=True,
)

Folder = Annotated[Path, typer.Argument(help="Folder with the owner's files.", show_default=False)]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Folder to write; data/SOURCE when left out.", show_default=False),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what an earlier call wrote there.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the summary as JSON to stdout.")]
Seed = Annotated[int, typer.Option("--seed", help="Of the split, which is not an official one.")]


class Form(StrEnum):
    """In which form documents of RCV1 come."""

    auto = "auto"
    tokens = "tokens"
    xml = "xml"


def _work(
    source: str,
    folder: Path,
    read: Callable[[Path, Writer], None],
    settings: dict[str, Any],
    output: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    from linnaea.cli.display import Display
    from linnaea.commands.prepare import config_for, lines
    from linnaea.commands.prepare import prepare as work

    with Display() as display:
        summary = work(
            source, folder, read, settings=settings, output=output, overwrite=overwrite, reporter=display
        )
        display.close()
        if as_json:
            display.json(summary)
            return
        for line in lines(summary):
            display.note(line)
        display.note(
            "\na config to begin with; keep it as config.json here, then: linnaea train config.json\n"
        )
        display.data(config_for(summary))


@app.command()
def rcv1(
    folder: Folder,
    documents: Annotated[
        Form, typer.Option("--documents", help="Which form to read where both are there: tokens or xml.")
    ] = Form.auto,
    output: Output = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """RCV1-v2: Lewis' token files or Reuters' XML, topic qrels and hierarchy. Official split LYRL2004."""
    from linnaea.corpus.sources.rcv1 import prepare

    def read(place: Path, writer: Writer) -> None:
        prepare(place, writer, documents=documents.value)

    _work("rcv1", folder, read, {"documents": documents.value}, output, overwrite, as_json)


@app.command()
def yelp(
    folder: Folder,
    min_businesses: Annotated[
        int, typer.Option("--min-businesses", min=1, help="Drop a category of fewer businesses.")
    ] = 100,
    min_reviews: Annotated[
        int, typer.Option("--min-reviews", min=1, help="Leave out a business of fewer reviews.")
    ] = 5,
    reviews: Annotated[int, typer.Option("--reviews", min=1, help="Join so many reviews a business.")] = 10,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, help="Take the first businesses only.", show_default=False),
    ] = None,
    seed: Seed = 1,
    output: Output = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Yelp: reviews of a business as text, its categories as labels. Split by hash, 30 % for test."""
    from dataclasses import asdict

    from linnaea.corpus.sources.yelp import Choice, prepare

    choice = Choice(min_businesses, min_reviews, reviews, limit, seed)

    def read(place: Path, writer: Writer) -> None:
        prepare(place, writer, choice)

    _work("yelp", folder, read, asdict(choice), output, overwrite, as_json)


@app.command()
def wos(
    folder: Folder,
    seed: Seed = 1,
    output: Output = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Web of Science (Kowsari 2017): X.txt, YL1.txt, YL2.txt. Split by hash: 64 % train, 16 % dev, 20 % test."""
    from linnaea.corpus.sources.wos import prepare

    def read(place: Path, writer: Writer) -> None:
        prepare(place, writer, seed=seed)

    _work("wos", folder, read, {"seed": seed}, output, overwrite, as_json)


@app.command()
def newsgroups20(
    folder: Annotated[
        Path,
        typer.Argument(help="Folder with the owner's files, or 20news-bydate.tar.gz.", show_default=False),
    ],
    strip: Annotated[
        str,
        typer.Option(
            "--strip",
            help="What to take away: headers (all but the subject's text), subject, footers, quotes, by comma; or none.",
        ),
    ] = "headers",
    output: Output = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """20 Newsgroups, version bydate, with its official split; the taxonomy is that of the groups' names."""
    from linnaea.corpus.sources.newsgroups20 import PARTS, prepare

    parts = [] if strip.strip() == "none" else [part.strip() for part in strip.split(",")]
    for part in parts:
        if part not in PARTS:
            hint = suggest(part, PARTS) or f"known: {', '.join(PARTS)}, none"
            raise UsageError(f"unknown part {part!r}", where="--strip", hint=hint)

    def read(place: Path, writer: Writer) -> None:
        prepare(place, writer, strip=parts)

    _work("newsgroups20", folder, read, {"strip": parts}, output, overwrite, as_json)
