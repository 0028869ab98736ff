"""The command ``linnaea compare``, and what it shows on the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from linnaea.cli.options import AsJson

if TYPE_CHECKING:
    from rich.table import Table

    from linnaea.commands.compare import Comparison
    from linnaea.metrics.paired import Difference, Paired

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


def show(comparison: Comparison, console: Any) -> None:
    """The runs, how they differ from the first, and who wins which categories."""
    from rich.text import Text

    pairs, names = comparison.pairs, comparison.names
    console.print(f"{pairs[0].documents:,} documents, the same in all runs")
    console.print(_runs(comparison))
    for name, pair in zip(names[1:], pairs, strict=True):
        console.print(Text(f"\n{name} against {names[0]}", style="bold"), soft_wrap=True)
        console.print(_differences(pair))
        for line in _wins(pair, names[0], name):
            console.print(Text(line), soft_wrap=True)
    console.print(
        Text(
            f"\nintervals: 95 %, {pairs[0].resamples:,} draws; p: randomisation test, corrected after Holm",
            style="dim",
        ),
        soft_wrap=True,
    )


def _runs(comparison: Comparison) -> Table:
    """Measures as rows, runs as columns, with their intervals."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for name in comparison.names:
        table.add_column(Text(name), justify="right", overflow="fold")
    for label, part, key in MEASURES.values():
        table.add_row(label, *(_value(metrics, part, key) for metrics in comparison.metrics))
    for i, level in enumerate(comparison.metrics[0]["levels"]):
        for key, label in (("micro_f1", "micro-F1"), ("macro_f1", "macro-F1")):
            values = [f"{metrics['levels'][i][key]:.4f}" for metrics in comparison.metrics]
            table.add_row(f"level {level['level']}, {label}", *values)
    return table


def _value(metrics: dict[str, Any], part: str, key: str) -> str:
    interval = metrics.get("intervals", {}).get(part, {}).get(key)
    value = f"{metrics[part][key]:.4f}"
    return f"{value} [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else value


def _differences(pair: Paired) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for name in ("difference", "95 % interval", "p"):
        table.add_column(name, justify="right")
    table.add_column("")
    for name, difference in pair.measures.items():
        table.add_row(MEASURES[name][0], *_cells(difference))
    for level, rows in enumerate(pair.levels, start=1):
        for name, difference in rows.items():
            table.add_row(f"level {level}, {MEASURES[name][0]}", *_cells(difference))
    return table


def _cells(difference: Difference) -> tuple[str, str, str, str]:
    low, high = difference.interval or (float("nan"), float("nan"))
    verdict = {"second": "better", "first": "worse", None: "unclear"}[difference.winner]
    return f"{difference.value:+.4f}", f"{low:+.4f} to {high:+.4f}", f"{difference.holm:.3g}", verdict


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
