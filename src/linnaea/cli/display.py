"""Display: what the terminal shows. Tables and JSON go to stdout; progress, notes and warnings to stderr.

On a terminal progress is a bar with the time left; elsewhere it is a plain line now and then.
"""

from __future__ import annotations

import json
import sys
import textwrap
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rich import console as rich_console
from rich.progress import (
    BarColumn,
    Progress,
    Task,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from linnaea.cli.streams import drop, tell
from linnaea.files import Closing

if TYPE_CHECKING:
    from linnaea.model.answer import Answer
    from linnaea.model.model import Model

# A plain line of progress at most this often (seconds), so that log files stay short.
PLAIN_EVERY = 10.0


class Console(rich_console.Console):
    """Goes on in silence where nobody reads any more."""

    def on_broken_pipe(self) -> None:
        del self._buffer[:]
        drop(self.file)


class TimeLeft(TimeRemainingColumn):
    """The time left, where the job's own detail does not tell it."""

    def render(self, task: Task) -> Text:
        if task.total is None:
            return Text(f"{int(task.completed):,}")
        return Text("") if task.fields.get("detail") else super().render(task)


class Display(Closing):
    """A Reporter for people; a context manager, so that bars go away whatever happens."""

    def __init__(self) -> None:
        self.err: rich_console.Console = Console(stderr=True, highlight=False)
        self.out: rich_console.Console = Console(highlight=False, soft_wrap=False)
        self._progress: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._plain: dict[str, float] = {}

    def close(self) -> None:
        """Take the bars away."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
            self._tasks.clear()

    # Reporter

    def note(self, message: str) -> None:
        for line in wrapped(message, self.err):
            self.err.print(Text(line), soft_wrap=True)

    def warn(self, message: str) -> None:
        first, *others = wrapped(f"warning: {message}", self.err)
        self.err.print(
            Text.assemble(("warning: ", "yellow"), first.removeprefix("warning: ")), soft_wrap=True
        )
        for line in others:
            self.err.print(Text(line), soft_wrap=True)

    def progress(self, what: str, done: int, total: int | None = None, detail: str = "") -> None:
        if not self.err.is_terminal:
            self._plain_progress(what, done, total, detail)
            return
        if self._progress is None:
            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=12),
                TaskProgressColumn(),
                TimeLeft(),
                TextColumn("{task.fields[detail]}"),
                console=self.err,
                transient=True,
            )
            self._progress.start()
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total, detail=detail)
        self._progress.update(self._tasks[what], completed=done, total=total, detail=detail)
        if total is not None and done >= total:
            self._progress.remove_task(self._tasks.pop(what))
            if not self._tasks:
                self.close()

    def _plain_progress(self, what: str, done: int, total: int | None, detail: str) -> None:
        now = time.monotonic()
        first = self._plain.setdefault(what, now)
        if total is not None and done >= total:
            self._plain.pop(what, None)
            return
        if now - first < PLAIN_EVERY:
            return
        self._plain[what] = now
        of = f" of {total:,}" if total else ""
        self.note(f"{what}: {done:,}{of} {detail}".rstrip())

    def listener(self, name: str = "") -> Any:
        from linnaea.cli.training import OneOfSeveral, TrainingDisplay

        return OneOfSeveral(self, name) if name else TrainingDisplay(self)

    # Results

    def data(self, text: str) -> None:
        """Text to stdout as it is."""
        tell(text if text.endswith("\n") else text + "\n")

    def json(self, value: Any) -> None:
        tell(json.dumps(value, ensure_ascii=False, indent=2) + "\n")

    def evaluation(self, metrics: dict[str, Any], *, as_json: bool, title: str) -> None:
        """``metrics.json`` as JSON, or as headline and a table per level."""
        self.close()
        if as_json:
            self.json(metrics)
            return
        if not metrics:
            self.note("no documents were kept aside: nothing was measured (data.test)")
            return
        self.out.print(Text(f"{title}: {metrics['documents']:,} documents"), soft_wrap=True)
        self.out.print(headline(metrics))
        self.out.print(levels({"": metrics}))
        if "further" in metrics:
            self.out.print(further(metrics["further"]))

    def answer(self, answer: Answer, document: Any) -> None:
        """One document's decision as readable lines."""
        self.close()
        text = document.text if isinstance(document.text, str) else " ".join(document.text)
        shown = " ".join(text.split())
        room = max(20, self.out.width - len(answer.id) - 3)
        self.out.print(
            Text.assemble((f"{answer.id}  ", "bold"), shown[:room] + ("…" if len(shown) > room else "")),
            soft_wrap=True,
        )
        self.categories(answer)

    def categories(self, answer: Answer) -> None:
        if not answer.categories:
            self.out.print(Text("    nothing decided", style="dim"))
        for category in answer.categories:
            style = "" if category.decided else "dim"
            self.out.print(Text(f"    {category.score:.3f}  {category.path}", style=style), soft_wrap=True)

    def demo(
        self, metrics: dict[str, dict[str, Any]], answers: dict[str, Answer], model: Model, ask: bool
    ) -> None:
        """The demo's scores side by side, then the answers; with ``ask`` a terminal goes on asking."""
        self.close()
        self.out.print(levels(metrics))
        for question, answer in answers.items():
            self.out.print(Text.assemble(("\n> ", "dim"), (question, "bold")), soft_wrap=True)
            self.nearest(question, answer, model)
        if not ask or not (sys.stdin.isatty() and sys.stdout.isatty()):
            return
        self.out.print(Text("\nWhat are you looking for? (an empty line ends)", style="dim"))
        while question := self._asked():
            self.nearest(question, next(model.predict([question])), model)

    def nearest(self, question: str, answer: Answer, model: Model) -> None:
        """The decision for a question; where nothing is decided the three best scores."""
        if not answer.categories:
            whole = next(model.predict([question], all_scores=True))
            answer = replace(whole, categories=whole.categories[:3])
            self.out.print(Text("    nothing is sure enough; the nearest:", style="dim"))
        self.categories(answer)

    def _asked(self) -> str:
        try:
            return input("> ").strip()
        except EOFError:
            return ""

    def check(self, report: Any, *, as_json: bool) -> None:
        """What ``linnaea check`` found."""
        self.close()
        if as_json:
            self.json(report.to_json())
            return
        for line in report.lines():
            self.out.print(Text(line), soft_wrap=True)


def wrapped(text: str, console: rich_console.Console) -> list[str]:
    """The lines of a text; on a terminal what does not fit goes on below, a step further in, with words and paths whole."""
    lines: list[str] = []
    for line in text.split("\n"):
        if not console.is_terminal or len(line) <= console.width:
            lines.append(line)
            continue
        deeper = " " * (len(line) - len(line.lstrip()) + 2)
        lines += textwrap.wrap(
            line, console.width, subsequent_indent=deeper, break_long_words=False, break_on_hyphens=False
        )
    return lines


def headline(metrics: dict[str, Any]) -> Table:
    """The numbers that people quote, both macro-F1 definitions by name, with their intervals."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for name in ("precision", "recall", "F1"):
        table.add_column(name, justify="right")
    intervals = metrics.get("intervals", {})
    if intervals:
        table.add_column(f"{intervals['confidence']:.0%} interval of F1", justify="right")

    def interval(part: str, key: str = "f1") -> list[str]:
        return ["{:.4f} to {:.4f}".format(*intervals[part][key])] if intervals else []

    nested = len(metrics["levels"]) > 1
    for key in ("micro", "macro", *(["hierarchical"] if nested else [])):
        part = metrics[key]
        values = (f"{part[name]:.4f}" for name in ("precision", "recall", "f1"))
        table.add_row(key, *values, *interval(key))
    averages = f"{metrics['macro']['f1_of_averages']:.4f}"
    table.add_row("macro, F1 of averages", "", "", averages, *interval("macro", "f1_of_averages"))
    table.add_row("samples", "", "", f"{metrics['samples']['f1']:.4f}", *interval("samples"))
    beside: dict[str, Any] = metrics.get("baseline", {})
    for key in ("micro", "macro") if "difference" in beside else ():
        value, (low, high) = (beside["difference"][f"{key}_f1"][name] for name in ("value", "interval"))
        here = [f"here {value:+.3f} ({low:+.3f}, {high:+.3f})"] if intervals else []
        table.add_row(f"{beside['strategy']} baseline, {key}", "", "", f"{beside[key]['f1']:.4f}", *here)
    if nested:
        table.add_row(
            "incoherent documents", "", "", f"{metrics['coherence']['documents_with_violations']:,}"
        )
    return table


def further(metrics: dict[str, dict[str, float]]) -> Table:
    """The numbers of the further metrics that the config asked for."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("metric")
    table.add_column("number")
    table.add_column("value", justify="right")
    for name, numbers in metrics.items():
        for i, (number, value) in enumerate(numbers.items()):
            text = f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
            table.add_row("" if i else Text(name), Text(number), text)
    return table


def levels(columns: dict[str, dict[str, Any]]) -> Table:
    """Scores per level; several models stand side by side."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("level", justify="right")
    table.add_column("categories", justify="right")
    for name in columns:
        prefix = f"{name} " if name else ""
        table.add_column(f"{prefix}micro-F1", justify="right")
        table.add_column(f"{prefix}macro-F1", justify="right")
    first = next(iter(columns.values()))
    for i, level in enumerate(first["levels"]):
        row = [str(level["level"]), f"{level['categories']:,}"]
        for metrics in columns.values():
            row += [f"{metrics['levels'][i]['micro_f1']:.4f}", f"{metrics['levels'][i]['macro_f1']:.4f}"]
        table.add_row(*row)
    total = ["all", f"{len(first['categories']):,}"]
    for metrics in columns.values():
        total += [f"{metrics['micro']['f1']:.4f}", f"{metrics['macro']['f1']:.4f}"]
    table.add_row(*total, style="bold")
    return table
