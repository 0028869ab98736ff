"""Labels: how the documents and the categories of a run are labelled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from linnaea.metrics.outcome import Outcome
    from linnaea.taxonomy.taxonomy import Taxonomy

BOUNDS = (1, 2, 3, 6, 11, 21, 51, 101, 201, 501, 1001, 2001, 5001, 10_001, 100_001)
MOST = 20  # labels of a document that have a bar of their own


def label_statistics(outcome: Outcome) -> dict[str, Any]:
    """Labels a document, of gold and of decisions; documents without any."""
    gold_N, chosen_N = outcome.gold.lengths_N, outcome.decisions.chosen.lengths_N
    last = int(max(gold_N.max(initial=0), chosen_N.max(initial=0)))
    bars = min(last, MOST)

    def counted(lengths_N: np.ndarray) -> list[int]:
        return np.bincount(np.minimum(lengths_N, bars), minlength=bars + 1).tolist()  # type: ignore[no-any-return]

    return {
        "documents": len(gold_N),
        "labels": [*map(str, range(bars)), f"{bars} or more" if last > bars else str(bars)],
        "gold": counted(gold_N),
        "chosen": counted(chosen_N),
        "gold_mean": round(float(gold_N.mean()), 3) if len(gold_N) else 0.0,
        "chosen_mean": round(float(chosen_N.mean()), 3) if len(gold_N) else 0.0,
    }


def support_statistics(support_C: np.ndarray, tested_C: np.ndarray, taxonomy: Taxonomy) -> dict[str, Any]:
    """Categories by documents of train, and those that training never saw.

    Args:
        tested_C: documents of the measured split in each category.
    """
    support_C = np.asarray(support_C)
    most = int(support_C.max(initial=0))
    bounds = [0, *(bound for bound in BOUNDS if bound <= most)]
    number_C = np.searchsorted(bounds, support_C, side="right") - 1
    names = []
    for low, after in zip(bounds, [*bounds[1:], most + 1], strict=True):
        names.append(f"{low:,}" if after - 1 <= low else f"{low:,}–{after - 1:,}")
    unseen = np.flatnonzero(support_C == 0)
    return {
        "bins": names,
        "categories": np.bincount(number_C, minlength=len(bounds)).tolist(),
        "with_documents": np.bincount(number_C[tested_C > 0], minlength=len(bounds)).tolist(),
        "unseen": unseen.tolist(),
        "unseen_tested": unseen[tested_C[unseen] > 0].tolist(),
    }
