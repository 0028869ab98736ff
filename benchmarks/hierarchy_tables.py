"""Tables and the picture of ``benchmarks.hierarchy``, laid over the scores that were kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.hierarchy_runs import THRESHOLDS, Run, differences
from benchmarks.quality import cell
from linnaea.config.config import Config

PLAIN = "plain"
DECODINGS = ("none", "top_down", "max", "best")
FIGURES = ("micro-F1", "macro-F1", "macro, F1 of averages", "hierarchical F1", "contradictory")
Way = list[tuple[np.ndarray, dict[str, float]]]


class Corpus:
    """The runs of a corpus that are there, decided in every way.

    Args:
        runs: by row, a run a seed.
        config: whose task and evaluation count; the rows share them.
    """

    def __init__(self, name: str, runs: Mapping[str, Sequence[Run]], config: Config) -> None:
        self.name, self.runs, self.config = name, runs, config
        self.ways: dict[tuple[str, str, str], Way] = {}
        self.apart: dict[tuple[str, str], list[tuple[float, float, float]]] = {}

    def way(self, row: str, threshold: str, decoding: str) -> Way:
        """What is decided on test, and the figures of that; a pair a seed."""
        key = row, threshold, decoding
        if key not in self.ways:
            self.ways[key] = [run.chosen(self.config, threshold, decoding) for run in self.runs[row]]
        return self.ways[key]

    def mean(self, row: str, threshold: str, decoding: str, figure: str) -> float:
        """Over the seeds."""
        return float(np.mean([figures[figure] for _, figures in self.way(row, threshold, decoding)]))

    def less_plain(self, row: str, threshold: str) -> list[tuple[float, float, float]]:
        """Micro-F1, then macro-F1 less that of the row ``plain``, each with its interval; empty without that row."""
        if row == PLAIN or PLAIN not in self.runs:
            return []
        if (row, threshold) not in self.apart:
            gold = self.runs[PLAIN][0].gold.dense(len(self.runs[PLAIN][0].test.taxonomy)).astype(bool)
            own, plain = ([chosen for chosen, _ in self.way(one, threshold, "none")] for one in (row, PLAIN))
            self.apart[row, threshold] = differences(own, plain, gold)
        return self.apart[row, threshold]

    def short(self, row: str, threshold: str) -> str:
        """Micro-F1 / macro-F1, with a mark where the interval of what it is above or below plain is off zero."""
        if row not in self.runs:
            return ""
        means = [f"{self.mean(row, threshold, 'none', name):.3f}" for name in FIGURES[:2]]
        apart = self.less_plain(row, threshold)
        marks = ["▲" if low > 0 else "▼" if high < 0 else "" for _, low, high in apart] or ["", ""]
        return " / ".join(mean + mark for mean, mark in zip(means, marks, strict=True))

    def figures(self) -> list[str]:
        """Markdown: a line a row and threshold rule, as the thresholds decide."""
        lines = []
        for row, runs in self.runs.items():
            seconds = np.mean([run.seconds for run in runs])
            for threshold in THRESHOLDS:
                way = self.way(row, threshold, "none")
                cells = [cell([figures[name] for _, figures in way]) for name in FIGURES[:-1]]
                cells.append(f"{self.mean(row, threshold, 'none', 'contradictory'):.3f}")
                less = [
                    f"{mean:+.3f} ({low:+.3f} to {high:+.3f})"
                    for mean, low, high in self.less_plain(row, threshold)
                ]
                cells = [f"{row} ({len(runs)})", threshold, *cells, *(less or ["", ""]), f"{seconds:.0f}"]
                lines.append(f"| {self.name} | {' | '.join(cells)} |")
        return lines

    def coherent(self) -> list[str]:
        """Markdown: a line a row, micro-F1 / macro-F1 under each threshold rule and decoding."""
        lines = []
        for row in self.runs:
            cells = [
                " / ".join(f"{self.mean(row, threshold, decoding, name):.3f}" for name in FIGURES[:2])
                for threshold in THRESHOLDS
                for decoding in DECODINGS
            ]
            lines.append(f"| {self.name} | {row} | {' | '.join(cells)} |")
        return lines

    def areas(self) -> list[str]:
        """Markdown: AU(PRC) of each row."""
        lines = []
        for row, runs in self.runs.items():
            found = [run.areas() for run in runs]
            cells = [cell([one[name] for one in found]) for name in ("raw", "max")]
            lines.append(f"| {self.name} | {row} ({len(runs)}) | {' | '.join(cells)} |")
        return lines


def tables(corpora: Sequence[Corpus], bags: Sequence[Corpus]) -> str:
    """Markdown, of what is there; ``bags``: those of them that AU(PRC) is told of."""
    ways = [f"{threshold}: {decoding}" for threshold in THRESHOLDS for decoding in DECODINGS]
    lines = [
        "| corpus | row (seeds) | thresholds | micro-F1 | macro-F1 | macro, F1 of averages | hierarchical F1 "
        "| contradictory | micro-F1 less plain (95 %) | macro-F1 less plain (95 %) | s |",
        "|---|---|---|---|---|---|---|---|---|---|---:|",
        *(line for corpus in corpora for line in corpus.figures()),
        f"\n| corpus | row | {' | '.join(ways)} |",
        f"|---|---|{'---|' * len(ways)}",
        *(line for corpus in corpora for line in corpus.coherent()),
    ]
    if bags:
        lines += ["\n| corpus | row (seeds) | AU(PRC) | AU(PRC) under max |", "|---|---|---|---|"]
        lines += [line for corpus in bags for line in corpus.areas()]
    return "\n".join(lines)


def summary(corpora: Sequence[Corpus]) -> str:
    """Markdown: a line a row and threshold rule, a column a corpus."""
    rows = dict.fromkeys(row for corpus in corpora for row in corpus.runs)
    lines = [
        f"| row | thresholds | {' | '.join(corpus.name for corpus in corpora)} |",
        f"|---|---|{'---|' * len(corpora)}",
    ]
    for row in rows:
        for threshold in THRESHOLDS:
            cells = (corpus.short(row, threshold) for corpus in corpora)
            lines.append(f"| {row} | {threshold} | {' | '.join(cells)} |")
    return "\n".join(lines)


def picture(path: Path, corpora: Sequence[Corpus], threshold: str = "found") -> None:
    """Micro-F1 and macro-F1 less the plain head's, with intervals: a column a corpus, a line a row; an SVG file."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "linnaea"
    from matplotlib import pyplot, ticker

    shown = [corpus for corpus in corpora if PLAIN in corpus.runs]
    rows = list(dict.fromkeys(row for corpus in shown for row in corpus.runs if row != PLAIN))[::-1]
    size = (2.3 * len(shown) + 1.5, 0.3 * len(rows) + 1.6)
    figure, axes = pyplot.subplots(
        1, len(shown), figsize=size, sharey=True, squeeze=False, layout="constrained"
    )
    for axis, corpus in zip(axes[0], shown, strict=True):
        axis.axvline(0, color="0.6", linewidth=0.8)
        for number, (name, marker) in enumerate((("micro-F1", "o"), ("macro-F1", "s"))):
            found = {row: corpus.less_plain(row, threshold)[number] for row in corpus.runs if row != PLAIN}
            places = np.array([rows.index(row) for row in found]) + (0.15 if number == 0 else -0.15)
            mean, low, high = np.array(list(found.values())).T
            error = np.stack([mean - low, high - mean])
            axis.errorbar(
                mean, places, xerr=error, fmt=marker, markersize=3.5, linewidth=1, capsize=2, label=name
            )
        axis.set_title(corpus.name, fontsize=9)
        axis.tick_params(labelsize=8)
        axis.xaxis.set_major_locator(ticker.MaxNLocator(4))
        axis.grid(axis="y", color="0.92")
    axes[0][0].set_yticks(range(len(rows)), rows)
    figure.supxlabel("less the plain head, 95 % interval (to the right: better)", fontsize=9)
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="outside upper center", ncols=2, fontsize=8)
    figure.savefig(path, metadata={"Date": None})
