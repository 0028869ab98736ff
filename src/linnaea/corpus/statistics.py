"""Statistics: what a corpus holds, as ``check_corpus`` counted it.

Shape letters: N documents of a split, C categories.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from linnaea.errors import LinnaeaError
from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy

RARE = 5
"""Categories with fewer documents in train are called rare."""


@dataclass(frozen=True, eq=False)
class SplitStatistics:
    """What one split holds.

    Attributes:
        documents: that can be used.
        left_out: broken, or with labels that cannot be used.
        unlabelled: without the field for labels (where labels are needed these are left out).
        nowhere: labelled with nothing.
        empty: without any text.
        truncated: longer than the limit; None where no limit was given.
        most_specific: mean number of most specific categories a labelled document.
        closed: the same with all ancestors.
        several: documents with more than one most specific category.
        inner: documents with a most specific category that has children.
        repeated: documents whose text stands in the split before.
        gold: columns of each labelled document, as the task's closure says; None without labels.
        counts_C: documents of each category; None without a taxonomy.
    """

    name: str
    documents: int
    left_out: int
    unlabelled: int
    nowhere: int
    empty: int
    truncated: int | None
    most_specific: float
    closed: float
    several: int
    inner: int
    repeated: int
    gold: Ragged | None
    counts_C: np.ndarray | None

    def to_json(self) -> dict[str, Any]:
        value = {key: item for key, item in self.__dict__.items() if key not in ("gold", "counts_C")}
        return value | {"most_specific": round(self.most_specific, 4), "closed": round(self.closed, 4)}


@dataclass(frozen=True)
class SharedTexts:
    """Texts of ``split`` that stand in ``other`` too: how many documents, and the places of a few pairs."""

    split: str
    other: str
    documents: int
    examples: tuple[tuple[str, str], ...]


@dataclass(frozen=True, eq=False)
class CorpusStatistics:
    """What ``check_corpus`` found.

    Attributes:
        problems: each with ``file:line``; ``more`` others were counted only.
        limit: the length beyond which texts are cut.
    """

    taxonomy: Taxonomy | None
    splits: Mapping[str, SplitStatistics]
    shared: tuple[SharedTexts, ...]
    problems: tuple[LinnaeaError, ...] = ()
    more: int = 0
    limit: int | None = None
    dev_fraction: float | None = None

    @property
    def counted(self) -> SplitStatistics | None:
        """The split whose documents per category matter: train, else the first there is; None: it holds none."""
        found = next((split for split in self.splits.values() if split.counts_C is not None), None)
        return found if found is not None and found.documents else None

    def categories(self, least: int, most: int) -> list[str]:
        """Ids of the categories with ``least`` to ``most`` documents in train, in column order."""
        if self.taxonomy is None or self.counted is None or self.counted.counts_C is None:
            return []
        chosen = np.flatnonzero((self.counted.counts_C >= least) & (self.counted.counts_C <= most))
        return [self.taxonomy.ids[column] for column in chosen]

    def unseen(self) -> list[str]:
        """Ids of categories that have documents in dev or test but none in train."""
        train = self.splits.get("train")
        if self.taxonomy is None or train is None or train.counts_C is None or not train.documents:
            return []
        others = [s.counts_C for s in self.splits.values() if s is not train and s.counts_C is not None]
        seen_C = np.sum(others, axis=0) if others else np.zeros(len(self.taxonomy))
        return [self.taxonomy.ids[column] for column in np.flatnonzero((seen_C > 0) & (train.counts_C == 0))]

    def levels(self) -> list[dict[str, int]]:
        """One row a level: categories, those with documents, rare and empty ones, documents."""
        rows = []
        counts_C = None if self.counted is None else self.counted.counts_C
        if self.taxonomy is not None and counts_C is not None:
            for level, part in self.taxonomy.levels():
                here = counts_C[part]
                row = {"level": level, "categories": len(here), "with_documents": int((here > 0).sum())}
                row |= {"rare": int(((here > 0) & (here < RARE)).sum()), "empty": int((here == 0).sum())}
                rows.append(row | {"labels": int(here.sum())})
        return rows

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values."""
        counts = self.counted
        return {
            "splits": [split.to_json() for split in self.splits.values()],
            "levels": self.levels(),
            "counted_on": None if counts is None else counts.name,
            "rare": self.categories(1, RARE - 1),
            "empty": self.categories(0, 0),
            "unseen_in_train": self.unseen(),
            "shared_texts": [
                {
                    "split": s.split,
                    "other": s.other,
                    "documents": s.documents,
                    "examples": [list(pair) for pair in s.examples],
                }
                for s in self.shared
            ],
            "max_length": self.limit,
            "problems": [str(problem) for problem in self.problems],
            "problems_not_shown": self.more,
        }

    def lines(self) -> list[str]:
        """For the terminal: splits, levels, then warnings. Problems are not among them."""
        from linnaea.corpus.describe import describe

        return describe(self)

    def warnings(self) -> list[str]:
        """What the user should look at, a line each."""
        from linnaea.corpus.describe import warnings

        return warnings(self)
