"""The command line: arguments in, exit codes out. Each command's work lies in ``commands/``, imported when it runs.

Data and JSON go to stdout, progress and messages to stderr. Exit codes: 0 done, 1 the run failed, 2 usage or config, 3 data,
taxonomy or model file, 130 interrupted, 141 nobody reads the output any more, and not all of it was made (see ``streams``).
"""

from __future__ import annotations

import contextlib
import errno
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from linnaea import __version__
from linnaea.cli import prepare
from linnaea.cli.compare import compare
from linnaea.cli.convert import convert
from linnaea.cli.grow import grow
from linnaea.cli.init import init
from linnaea.cli.options import AsJson, Plugins
from linnaea.cli.predict import evaluate, predict
from linnaea.cli.report import report
from linnaea.cli.streams import CUT, behind, drop, tell, unread
from linnaea.cli.tune import tune
from linnaea.errors import LinnaeaError

app = typer.Typer(
    name="linnaea",
    help="Neural hierarchical multi-label text classification: one config, one command, a classifier you can trust.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        tell(f"linnaea {__version__}\n")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    pass


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="Config file (JSON).", show_default=False)],
    settings: Annotated[
        list[str],
        typer.Option(
            "--set", help="a.b=value; the value is JSON, else a string. May be repeated.", show_default=False
        ),
    ] = [],  # noqa: B006
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in run.dir.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Delete the run in run.dir and start again.")
    ] = False,
    executor: Annotated[
        str | None,
        typer.Option(
            "--executor",
            help="Of the strategy per_category: auto, local, grouped or ray.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train, evaluate on test, write the run folder."""
    from linnaea.cli.display import Display
    from linnaea.commands.train import train as work

    if resume and overwrite:
        raise typer.BadParameter("--resume and --overwrite exclude each other")
    with Display() as display:
        result = work(
            config, settings, resume=resume, overwrite=overwrite, executor=executor, reporter=display
        )
        if result.main_process:
            display.evaluation(result.metrics, as_json=as_json, title=result.title)
            display.note(f"model: {result.folder.model}")
            if result.folder.report.exists():
                display.note(f"report: {result.folder.report}")


app.command()(evaluate)
app.command()(predict)


@app.command()
def check(
    paths: Annotated[
        list[Path], typer.Argument(help="Configs, taxonomies and corpus files.", show_default=False)
    ],
    as_json: AsJson = False,
) -> None:
    """Check without training: all problems of corpora and taxonomies by file:line, the first of a config by its path."""
    from linnaea.cli.display import Display
    from linnaea.commands.check import check as work

    with Display() as display:
        report = work(paths, reporter=display)
        display.check(report, as_json=as_json)
    if report.exit_code:
        raise typer.Exit(report.exit_code)


@app.command()
def taxonomy(
    path: Annotated[
        Path, typer.Argument(help="Taxonomy file, config, run or model folder.", show_default=False)
    ],
    corpus: Annotated[
        list[Path],
        typer.Option(
            "--count", help="Labelled documents to count per category. May be repeated.", show_default=False
        ),
    ] = [],  # noqa: B006
    separator: Annotated[str, typer.Option("--separator", help="Between the names of a path.")] = "--",
    as_json: AsJson = False,
) -> None:
    """Print the tree with counts."""
    from linnaea.cli.display import Display
    from linnaea.commands.show import show_taxonomy

    with Display() as display:
        display.data(
            show_taxonomy(
                path, [str(p) for p in corpus], separator=separator, as_json=as_json, reporter=display
            )
        )


@app.command()
def schema() -> None:
    """Print the JSON Schema of the config, for editors."""
    import json

    from linnaea.config.config import schema as build

    tell(json.dumps(build(), indent=2, ensure_ascii=False) + "\n")


@app.command("list")
def list_parts(
    kind: Annotated[
        str | None, typer.Argument(help="encoders, embedders, heads, losses, ...; all when left out.")
    ] = None,
    plugins: Plugins = [],  # noqa: B006
    as_json: AsJson = False,
) -> None:
    """List the parts that a config can name; of a plug-in's also where they come from."""
    from linnaea.cli.display import Display
    from linnaea.commands.show import list_parts as work

    with Display() as display:
        display.data(work(kind, plugins=plugins, as_json=as_json))


@app.command()
def demo(
    query: Annotated[
        list[str] | None,
        typer.Argument(help="Questions to answer instead of the usual two.", show_default=False),
    ] = None,
    folder: Annotated[
        Path, typer.Option("--dir", help="Run folder; a finished demo there is used again.")
    ] = Path("runs/demo"),
    preset: Annotated[str, typer.Option("--preset", help="fast, balanced or best.")] = "balanced",
    encoder: Annotated[
        str | None,
        typer.Option("--encoder", help="A network instead: fasttext or textcnn.", show_default=False),
    ] = None,
    seed: Annotated[int, typer.Option("--seed")] = 1,
    as_json: AsJson = False,
) -> None:
    """The main job on the built-in corpus: the docstrings of Python's own standard library."""
    from linnaea.cli.display import Display
    from linnaea.commands.demo import demo as work

    with Display() as display:
        value = work(
            folder,
            query or [],
            preset=preset,
            encoder=encoder,
            seed=seed,
            reporter=display,
            show=None if as_json else display.demo,
        )
        if as_json:
            display.json(value)


app.command()(grow)
app.command()(report)
app.command()(compare)
app.command()(init)
app.command()(tune)
app.command()(convert)
app.add_typer(prepare.app, name="prepare")


def main() -> None:
    """Entry point: turns errors into one line on stderr and an exit code."""
    before = behind(sys.stdout)
    try:
        code = app(standalone_mode=False) or 0
        tell("")  # what stdout holds back is written here, where it cannot fail unseen
        sys.exit(code)
    except SystemExit as left:
        if unread(left, before):
            drop(sys.stdout)
            sys.exit(CUT)
        if isinstance(left.__context__, BrokenPipeError):
            _leave_for_pipe(left.__context__)
        raise
    except LinnaeaError as error:
        _leave(f"error: {error}", error.exit_code)
    except KeyboardInterrupt:
        _leave("interrupted", 130)
    except typer.Abort:
        _leave("interrupted", 130)
    except BrokenPipeError as error:
        _leave_for_pipe(error)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            _leave_for_plugin(error)
            raise
        _leave(f"error: {error.filename or 'output'}: {(error.strerror or str(error)).lower()}", 1)
    except Exception as error:
        # The parser's own errors, whose classes differ between versions of typer, know how to put themselves.
        if not hasattr(error, "format_message"):
            _leave_for_plugin(error)
            raise
        # What pydantic writes before a choice's own words says nothing to a user.
        message = error.format_message().replace("Value error, ", "")
        where = getattr(error, "ctx", None)
        asked = f" (see {where.command_path} --help)" if where is not None else ""
        if not message.strip():  # no command at all: the help page stands there already
            sys.exit(2)
        _leave(f"error: {message.rstrip('.')}{asked}", 2)


def _leave_for_plugin(error: Exception) -> None:
    """What fails inside a plug-in's own file is the affair of its author: one line; anything else is ours."""
    from linnaea.config.registry import plugin_line

    found = plugin_line(error)
    if found is not None:
        file, line, kind = found
        hint = f"in your plug-in; linnaea.testing.check_{kind} tries it on the rules, with a traceback"
        _leave(
            f"error: {LinnaeaError(f'{type(error).__name__}: {error}', where=f'{file}:{line}', hint=hint)}", 3
        )


def _leave_for_pipe(error: BrokenPipeError) -> None:
    _leave_for_plugin(error)
    _leave("error: a pipe or connection of the run was closed at its other end", 1)


def _leave(message: Any, code: int) -> None:
    with contextlib.suppress(OSError):
        sys.stderr.write(f"{message}\n")
    sys.exit(code)


if __name__ == "__main__":
    main()
