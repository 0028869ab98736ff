"""Categories: what the page knows of each one, in arrays by column so that a thousand of them stay small.

Shape letters: C categories.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from linnaea.errors import UsageError
from linnaea.metrics.alignment import aligned
from linnaea.metrics.confusion import Confusions
from linnaea.metrics.difference import LEVEL
from linnaea.metrics.exact import exact_p
from linnaea.metrics.paired import holm
from linnaea.report.curves import curves
from linnaea.report.mistakes import Kept, mistakes
from linnaea.taxonomy.taxonomy import Taxonomy

if TYPE_CHECKING:
    from linnaea.metrics.outcome import Outcome

QUOTES = 1_500_000  # bytes of quoted text on a page
CONFUSED = 6  # of a category, each way


def category_columns(
    taxonomy: Taxonomy,
    metrics: Mapping[str, Any],
    baseline: Mapping[str, Any] | None,
    support_C: np.ndarray | None,
    surely: Sequence[bool] | None = None,
) -> dict[str, Any]:
    """Names, places and scores: a list a fact, an item a category; None where nothing is known.

    Args:
        surely: as from :func:`surely_different`.
    """
    rows = {row["id"]: row for row in metrics.get("categories", [])}
    sure = {row["id"]: row for row in (metrics.get("intervals") or {}).get("categories", [])}
    beside = {row["id"]: row for row in (baseline or {}).get("categories", [])}
    parents = [above.tolist() for above in taxonomy.parents]

    def column(source: Mapping[str, Mapping[str, Any]], key: str) -> list[Any] | None:
        found = [_short(source.get(id, {}).get(key)) for id in taxonomy.ids]
        return None if all(value is None for value in found) else found

    return {
        "id": list(taxonomy.ids),
        "name": list(taxonomy.names),
        "level": taxonomy.level_C.tolist(),
        "parent": [above[0] if above else -1 for above in parents],
        "further_parents": {str(c): above[1:] for c, above in enumerate(parents) if len(above) > 1},
        "train": None if support_C is None else np.asarray(support_C).tolist(),
        "test": column(rows, "support"),
        **{key: column(rows, key) for key in ("precision", "recall", "f1", "threshold")},
        **{f"{key}_interval": column(sure, key) for key in ("precision", "recall", "f1")},
        **{f"baseline_{key}": column(beside, key) for key in ("precision", "recall", "f1")},
        "surely": None if surely is None else list(surely),
    }


def surely_different(outcome: Outcome, baseline: Outcome) -> list[bool] | None:
    """Whether the F1 of each category differs from the baseline's by more than chance makes it.

    p is exact, below 0.05 after correction for all categories (Holm), as in comparisons. None: the two are not of
    the same documents.
    """
    try:
        baseline = aligned(outcome, baseline)
    except UsageError:
        return None
    chosen, columns = outcome.decisions.chosen, len(outcome.taxonomy)
    p_C = exact_p(baseline.decisions.chosen, chosen, outcome.gold, columns)
    return (holm(p_C) < LEVEL).tolist()  # type: ignore[no-any-return]


def _short(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_short(item) for item in value]
    return round(value, 4) if isinstance(value, float) else value


def details(outcome: Outcome, quotes: Mapping[int, str]) -> dict[str, Any]:
    """Curves, mistakes with their documents, and confusions of each category.

    Args:
        quotes: texts by row.
    """
    columns = len(outcome.taxonomy)
    found = mistakes(outcome)
    confused = Confusions.of(outcome.decisions.chosen, outcome.gold, outcome.taxonomy)
    # Documents of the page are numbered from 0 in the order of their rows.
    documents = found.documents
    place = {row: number for number, row in enumerate(documents.tolist())}
    drawn = list(curves(outcome.predictions, outcome.gold))
    return {
        "curves": [
            [_permille(curve.recall_P), _permille(curve.precision_P)] if len(curve.recall_P) else None
            for curve in drawn
        ],
        "histograms": [[curve.positives.tolist(), curve.negatives.tolist()] for curve in drawn],
        "wrong": _placed(found.wrong, place),
        "missed": _placed(found.missed, place),
        "wrong_count": found.wrong_C.tolist(),
        "missed_count": found.missed_C.tolist(),
        **_confused(confused, columns),
        "documents": _documents(outcome, documents, quotes),
    }


def _permille(values_P: np.ndarray) -> list[int]:
    return np.rint(values_P * 1000).astype(int).tolist()  # type: ignore[no-any-return]


def _placed(kept: Kept, place: Mapping[int, int]) -> list[list[list[Any]]]:
    """For each category ``[document, score]`` pairs."""
    scores = [round(float(score), 3) for score in kept.scores_K]
    pairs = [[place[row], score] for row, score in zip(kept.rows.values.tolist(), scores, strict=True)]
    ends = kept.rows.offsets_N1.tolist()
    return [pairs[a:b] for a, b in pairwise(ends)]


def _confused(found: Confusions | None, columns: int) -> dict[str, Any]:
    """For each category what its documents got ``instead``, and what those have that wrongly got it (``belonging``)."""
    if found is None:
        return {"instead": None, "belonging": None}
    pairs = {"instead": (found.missed_M, found.wrong_M), "belonging": (found.wrong_M, found.missed_M)}
    return {name: _most(*pair, found.documents_M, columns) for name, pair in pairs.items()}


def _most(
    own_M: np.ndarray, other_M: np.ndarray, documents_M: np.ndarray, columns: int
) -> list[list[list[int]]]:
    """For each category ``[other, documents]``, the most frequent first: the order in which they come."""
    order = np.argsort(own_M, kind="stable")
    ends = np.cumsum(np.bincount(own_M, minlength=columns)).tolist()
    kept = [order[a : min(b, a + CONFUSED)] for a, b in pairwise([0, *ends])]
    return [np.stack([other_M[at], documents_M[at]], axis=1).tolist() for at in kept]


def _documents(outcome: Outcome, rows: np.ndarray, quotes: Mapping[int, str]) -> dict[str, Any]:
    texts = [quotes.get(row) for row in rows.tolist()]
    length = 400
    while length > 50 and sum(len((text or "")[:length].encode()) for text in texts) > QUOTES:
        length //= 2
    return {
        "id": [outcome.predictions.ids[row] for row in rows.tolist()],
        "text": [text if text is None or len(text) <= length else text[: length - 1] + "…" for text in texts],
        "gold": [outcome.gold[row].tolist() for row in rows.tolist()],
        "chosen": [outcome.decisions.chosen[row].tolist() for row in rows.tolist()],
        "length": length,
    }
