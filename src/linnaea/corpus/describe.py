"""Describe: the statistics of a corpus as lines for a terminal, and what of them deserves a warning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from linnaea.corpus.statistics import CorpusStatistics, SplitStatistics

_SHOWN = 8


def describe(found: CorpusStatistics) -> list[str]:
    """Splits, then levels, then warnings."""
    lines = [_split(split, found) for split in found.splits.values() if split.documents or split.left_out]
    train = found.splits.get("train")
    if found.dev_fraction is not None and train is not None and train.documents:
        lines.append(f"dev    none given: a stratified {found.dev_fraction:.0%} of train will be set aside")
    rows = found.levels()
    if found.taxonomy is not None and rows:
        assert found.counted is not None
        levels = f"{found.taxonomy.depth} level{_s(found.taxonomy.depth)}"
        lines.append(
            f"{len(found.taxonomy):,} categories on {levels}; documents counted on {found.counted.name}"
        )
        header = ("level", "categories", "with documents", "rare (< 5)", "empty", "labels")
        keys = ("level", "categories", "with_documents", "rare", "empty", "labels")
        lines += table(header, [[f"{row[key]:,}" for key in keys] for row in rows])
    return lines + [f"note: {warning}" for warning in warnings(found)]


def _split(split: SplitStatistics, found: CorpusStatistics) -> str:
    parts = [f"{split.name:<5}  {split.documents:,} document{_s(split.documents)}"]
    if split.counts_C is not None:
        labels = f"{split.most_specific:.2f} most specific categories each"
        if split.closed > split.most_specific:
            labels += f", {split.closed:.2f} with ancestors"
        parts.append(labels)
    if split.documents and split.several:
        parts.append(f"{split.several / split.documents:.1%} with several")
    if split.inner:
        parts.append(f"{split.inner:,} end at an inner category")
    for count, what in (
        (split.nowhere, "labelled with nothing"),
        (split.unlabelled, "unlabelled"),
        (split.left_out, "with problems"),
        (split.empty, "without text"),
        (split.repeated, "repeat a text of the split"),
        (split.truncated or 0, f"longer than {found.limit} tokens, cut"),
    ):
        if count:
            parts.append(f"{count:,} {what}")
    return "; ".join(parts)


def warnings(found: CorpusStatistics) -> list[str]:
    """What the user should look at, a line each."""
    result = []
    if found.counted is not None and found.counted.name == "train":  # of other splits nothing is learnt
        if empty := found.categories(0, 0):
            result.append(
                f"{_categories(empty)} no document in train and will never be predicted: {_list(empty)}"
            )
        if rare := found.categories(1, 4):
            result.append(f"{_categories(rare)} fewer than 5 documents in train: {_list(rare)}")
    if unseen := found.unseen():
        result.append(f"{_categories(unseen)} documents in dev or test but none in train: {_list(unseen)}")
    for shared in found.shared:
        pairs = ", ".join(f"{mine} = {theirs}" for mine, theirs in shared.examples)
        stand = "text stands" if shared.documents == 1 else "texts stand"
        result.append(f"{shared.documents:,} {stand} in {shared.split} and in {shared.other}: {pairs}")
    return result


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns flush right, two blanks between."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    return [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in (header, *rows)
    ]


def _categories(ids: Sequence[str]) -> str:
    return f"{len(ids):,} categor{'y has' if len(ids) == 1 else 'ies have'}"


def _list(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - _SHOWN:,} more" if len(ids) > _SHOWN else ""
    return ", ".join(ids[:_SHOWN]) + more


def _s(count: int) -> str:
    return "" if count == 1 else "s"
