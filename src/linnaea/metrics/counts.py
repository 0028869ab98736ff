"""Counts: what two sparse sets, gold and chosen, have in common; and the measures that need nothing else.

All measures have 0/0 = 0, as scikit-learn with ``zero_division=0``.

Shape letters: N documents, C categories.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy


def ratio(part: np.ndarray | float, whole: np.ndarray | float) -> np.ndarray:
    """``part / whole`` in float64, 0 where ``whole`` is 0."""
    part, whole = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    out = np.zeros(np.broadcast(part, whole).shape)
    np.divide(part, whole, out=out, where=whole != 0)
    return out


@dataclass(frozen=True)
class Rates:
    """Precision, recall, F1."""

    precision: float
    recall: float
    f1: float

    @classmethod
    def of(cls, hits: int, chosen: int, gold: int) -> Rates:
        """From how many pairs are right, chosen, and gold."""
        return Rates(
            float(ratio(hits, chosen)), float(ratio(hits, gold)), float(ratio(2 * hits, chosen + gold))
        )


@dataclass(frozen=True)
class Macro(Rates):
    """Means over categories.

    Attributes:
        f1: mean of the categories' F1, over all categories (scikit-learn's ``average="macro"``).
        f1_of_averages: F1 of mean precision and mean recall (what NeuralClassifier calls macro-F1).
        present_f1: mean of the categories' F1, over those with gold documents.
    """

    f1_of_averages: float
    present_f1: float


@dataclass(frozen=True, eq=False)
class Counts:
    """How often each category, and in each document, a decision is right.

    Attributes:
        hits_C, chosen_C, gold_C: int64 documents of each category: rightly chosen, chosen, gold.
        hits_N, chosen_N, gold_N: int64 categories of each document.
    """

    hits_C: np.ndarray
    chosen_C: np.ndarray
    gold_C: np.ndarray
    hits_N: np.ndarray
    chosen_N: np.ndarray
    gold_N: np.ndarray

    @classmethod
    def of(cls, chosen: Ragged, gold: Ragged, columns: int) -> Counts:
        """Counts of two sets of (document, category) pairs, in time and memory that follow the pairs.

        Args:
            chosen, gold: columns of each document, in any order; repeats count once.
            columns: C.
        """
        if len(chosen) != len(gold):
            raise ValueError(f"decisions for {len(chosen)} documents, gold for {len(gold)}")
        by_category, by_document = np.zeros((3, columns), dtype=np.int64), np.zeros((3, len(gold)), np.int64)
        for rows, (some_chosen, some_gold) in row_blocks(chosen, gold):
            chosen_keys, gold_keys = pair_keys(some_chosen, columns), pair_keys(some_gold, columns)
            hits = chosen_keys[contains(gold_keys, chosen_keys)]
            for i, keys in enumerate((hits, chosen_keys, gold_keys)):
                row = keys // columns
                by_category[i] += np.bincount(keys - row * columns, minlength=columns)
                by_document[i, rows] = np.bincount(row, minlength=len(some_gold))
        return cls(*by_category, *by_document)

    @property
    def precision_C(self) -> np.ndarray:
        """``[C]`` float64."""
        return ratio(self.hits_C, self.chosen_C)

    @property
    def recall_C(self) -> np.ndarray:
        """``[C]`` float64."""
        return ratio(self.hits_C, self.gold_C)

    @property
    def f1_C(self) -> np.ndarray:
        """``[C]`` float64."""
        return ratio(2 * self.hits_C, self.chosen_C + self.gold_C)

    def micro(self, part: slice | np.ndarray = slice(None)) -> Rates:
        """Over all decisions together, or over those of some columns."""
        return Rates.of(*(int(c[part].sum()) for c in (self.hits_C, self.chosen_C, self.gold_C)))

    def weighted_f1(self) -> float:
        """The mean of the categories' F1, each weighing as many documents as have it."""
        return float(ratio((self.f1_C * self.gold_C).sum(), self.gold_C.sum()))

    def macro(self, part: slice | np.ndarray = slice(None)) -> Macro:
        """Means over all categories, or over those of some columns."""
        precision, recall = float(self.precision_C[part].mean()), float(self.recall_C[part].mean())
        f1_C = self.f1_C[part]
        present = f1_C[self.gold_C[part] > 0]
        return Macro(
            precision,
            recall,
            float(f1_C.mean()),
            f1_of_averages=float(ratio(2 * precision * recall, precision + recall)),
            present_f1=float(present.mean()) if len(present) else 0.0,
        )

    @property
    def f1_N(self) -> np.ndarray:
        """``[N]`` float64; two empty sets: 0."""
        return ratio(2 * self.hits_N, self.chosen_N + self.gold_N)

    @property
    def exact_N(self) -> np.ndarray:
        """``[N]`` bool: whether a document's set is exactly right."""
        return np.asarray((self.hits_N == self.chosen_N) & (self.hits_N == self.gold_N))

    def samples_f1(self) -> float:
        """Mean over documents of the F1 of each one's set; two empty sets: 0."""
        return _mean(self.f1_N)

    def subset_accuracy(self) -> float:
        """Share of documents whose set is exactly right."""
        return _mean(self.exact_N)

    def hamming_loss(self) -> float:
        """Share of all (document, category) pairs that are decided wrongly."""
        wrong = self.chosen_C.sum() + self.gold_C.sum() - 2 * self.hits_C.sum()
        return float(ratio(wrong, len(self.gold_N) * len(self.gold_C)))


def closed_counts(chosen: Ragged, gold: Ragged, taxonomy: Taxonomy) -> np.ndarray:
    """``[3, N]`` int64: rightly chosen, chosen and gold categories of each document, all ancestors added to both sets."""
    found = np.zeros((3, len(gold)), dtype=np.int64)
    for rows, (some_chosen, some_gold) in row_blocks(chosen, gold):
        counts = Counts.of(taxonomy.close(some_chosen), taxonomy.close(some_gold), len(taxonomy))
        found[:, rows] = counts.hits_N, counts.chosen_N, counts.gold_N
    return found


def hierarchical(chosen: Ragged, gold: Ragged, taxonomy: Taxonomy) -> Rates:
    """Micro rates of both sets closed under all ancestors (Kiritchenko et al. 2006)."""
    return Rates.of(*closed_counts(chosen, gold, taxonomy).sum(axis=1).tolist())


def level_rows(counts: Counts, taxonomy: Taxonomy) -> list[dict[str, float]]:
    """One row a level: its categories alone, counted as they are."""
    rows = []
    for level, part in taxonomy.levels():
        micro, macro = counts.micro(part), counts.macro(part)
        rows.append(
            {
                "level": level,
                "categories": part.stop - part.start,
                "support": int(counts.gold_C[part].sum()),
                "micro_precision": micro.precision,
                "micro_recall": micro.recall,
                "micro_f1": micro.f1,
                "macro_f1": macro.f1,
                "present_f1": macro.present_f1,
            }
        )
    return rows


def row_blocks(*sets: Ragged, size: int = 2**16) -> Iterator[tuple[slice, list[Ragged]]]:
    """The same rows of several sets, some thousand documents at a time: what is made of them is small."""
    for start in range(0, len(sets[0]), size):
        rows = slice(start, min(start + size, len(sets[0])))
        parts = []
        for pairs in sets:
            offsets = pairs.offsets_N1[rows.start : rows.stop + 1]
            parts.append(Ragged(pairs.values[offsets[0] : offsets[-1]], offsets - offsets[0]))
        yield rows, parts


def pair_keys(rows: Ragged, columns: int) -> np.ndarray:
    """Each (document, category) pair as one int64, ascending, without repeats."""
    keys = rows.rows * columns + rows.values
    return keys if (np.diff(keys) > 0).all() else np.unique(keys)


def contains(keys: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """bool: which of ``wanted`` are among ``keys`` (ascending)."""
    if not len(keys):
        return np.zeros(len(wanted), dtype=bool)
    return np.asarray(keys[np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)] == wanted)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else 0.0
