"""The command ``linnaea compare``, and what it shows on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from linnaea.cli.options import AsJson

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from linnaea.commands.compare import Comparison
    from linnaea.metrics.difference import Difference
    from linnaea.metrics.paired import Paired

MEASURES = {
    "micro_f1": ("micro-F1", "micro", "f1"),
    "macro_f1": ("macro-F1", "macro", "f1"),
    "present_f1": ("macro-F1, present", "macro", "present_f1"),
    "samples_f1": ("samples F1", "samples", "f1"),
    "hierarchical_f1": ("hierarchical F1", "hierarchical", "f1"),
    "average_precision_micro": ("average precision, micro", "average_precision", "micro"),
    "average_precision_macro": ("average precision, macro", "average_precision", "macro"),
}
NAMED = 5  # categories that are named of those that a run wins
RANKED = "average_precision"  # the measures so called have their p from the bootstrap
GAP = 2  # blanks between columns


def compare(
    runs: Annotated[
        list[Path], typer.Argument(help="Run folders; each is held against the first.", show_default=False)
    ],
    as_json: AsJson = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write a page, too.", show_default=False)
    ] = None,
) -> None:
    """Runs side by side on the same documents: differences, intervals, and whether chance explains them."""
    from linnaea.cli.display import Display
    from linnaea.commands.compare import compare as work

    with Display() as display:
        comparison = work(runs, output=output, reporter=display)
        display.close()
        if as_json:
            display.json(comparison.to_json())
        else:
            show(comparison, display.out)
        if output is not None:
            display.note(f"page: {output}")


def show(comparison: Comparison, console: Console) -> None:
    """The runs, how they differ from the first, and who wins which categories."""
    from rich.text import Text

    from linnaea.cli.display import wrapped

    pairs, names = comparison.pairs, comparison.names
    console.print(f"{pairs[0].documents:,} documents, the same in all runs")
    for table in _runs(comparison, console.width):
        console.print(table)
    for name, pair in zip(names[1:], pairs, strict=True):
        console.print(Text(f"\n{name} against {names[0]}", style="bold"), soft_wrap=True)
        if not pair.differing:
            console.print("the same decisions in all documents")
        console.print(_differences(pair))
        for line in _wins(pair, names[0], name):
            for part in wrapped(line, console):
                console.print(Text(part), soft_wrap=True)
    console.print()
    for line in _captions(pairs):
        console.print(Text(line, style="dim"), soft_wrap=True)


def _captions(pairs: Sequence[Paired]) -> tuple[str, ...]:
    """What the intervals and p of all pairs are."""
    ranked = any(name.startswith(RANKED) for pair in pairs for name in pair.measures)
    test = "randomisation test" + (" (average precision: bootstrap)" if ranked else "")
    return (
        "an interval is of one number alone: it may leave 0 out where p is unclear",
        f"intervals: 95 %, {pairs[0].resamples:,} draws",
        f"p: {test}, corrected after Holm",
    )


def _runs(comparison: Comparison, width: int) -> Iterator[Table]:
    """Measures as rows, runs as columns, with their intervals; where there is no room for all, several tables."""
    from rich.table import Table
    from rich.text import Text

    labels, columns = _columns(comparison, " ")
    room = width - max(map(len, labels))
    if sum(_width(column) + GAP for column in columns) > room:
        labels, columns = _columns(comparison, "\n")
    beside = max(1, room // (max(map(_width, columns)) + GAP))
    for start in range(0, len(columns), beside):
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("", no_wrap=True)
        here = columns[start : start + beside]
        for name, column in zip(comparison.names[start : start + beside], here, strict=True):
            table.add_column(Text(name), justify="right", overflow="fold", min_width=_width(column))
        for row in zip(labels, *here, strict=True):
            table.add_row(*row)
        yield table


def _columns(comparison: Comparison, between: str) -> tuple[list[str], list[list[str]]]:
    """What is measured, and each run's numbers; ``between`` a number and its interval."""
    labels = [label for label, *_ in MEASURES.values()]
    columns = [
        [_value(metrics, part, key, between) for _, part, key in MEASURES.values()]
        for metrics in comparison.metrics
    ]
    for i, level in enumerate(comparison.metrics[0]["levels"]):
        for key in ("micro_f1", "macro_f1"):
            labels.append(f"level {level['level']}, {MEASURES[key][0]}")
            for metrics, column in zip(comparison.metrics, columns, strict=True):
                column.append(f"{metrics['levels'][i][key]:.4f}")
    return labels, columns


def _width(column: Sequence[str]) -> int:
    return max(len(line) for cell in column for line in cell.splitlines())


def _value(metrics: dict[str, Any], part: str, key: str, between: str) -> str:
    interval = metrics.get("intervals", {}).get(part, {}).get(key)
    value = f"{metrics[part][key]:.4f}"
    return f"{value}{between}[{interval[0]:.3f}, {interval[1]:.3f}]" if interval else value


def _differences(pair: Paired) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", no_wrap=True)
    for name in ("difference", "95 % interval", "p"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for name, difference in pair.measures.items():
        table.add_row(MEASURES[name][0], *_cells(difference))
    for level, rows in enumerate(pair.levels, start=1):
        for name, difference in rows.items():
            table.add_row(f"level {level}, {MEASURES[name][0]}", *_cells(difference))
    return table


def _cells(difference: Difference) -> tuple[str, str, str, str]:
    interval = "-" if difference.interval is None else " to ".join(map(_signed, difference.interval))
    unclear = "equal" if difference.equal else "unclear"
    verdict = {"second": "better", "first": "worse", None: unclear}[difference.winner]
    return _signed(difference.value), interval, f"{difference.holm:.3g}", verdict


def _signed(value: float) -> str:
    return f"{round(value, 4) + 0.0:+.4f}"  # there is no -0


def _wins(pair: Paired, first: str, second: str) -> list[str]:
    """How many categories each run wins, and which of them surely."""
    wins = pair.wins()
    higher, surely = wins["higher"], wins["surely"]
    lines = [
        f"F1 by category: {second} higher in {higher['second']:,}, "
        f"{first} in {higher['first']:,}, equal in {higher['equal']:,}"
    ]
    for name, side in ((second, "second"), (first, "first")):
        ids = surely[side]
        if ids:
            more = f" and {len(ids) - NAMED:,} more" if len(ids) > NAMED else ""
            lines.append(f"  beyond chance {name} in {len(ids):,}: {', '.join(ids[:NAMED])}{more}")
    if not surely["first"] and not surely["second"]:
        lines.append("  in no category beyond chance")
    return lines
