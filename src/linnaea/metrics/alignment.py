"""Alignment: two outcomes of the same documents, brought into the same order of documents and columns, or refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from linnaea.decision.predictions import Decisions, Predictions
from linnaea.errors import UsageError
from linnaea.metrics.counts import pair_keys
from linnaea.metrics.outcome import Outcome
from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy

HINT = "runs are compared on the same documents and taxonomy"
SHOWN = 3


def aligned(first: Outcome, second: Outcome) -> Outcome:
    """``second`` with documents and columns in the order of ``first``.

    Documents are known by their id; several of one id keep their order.

    Raises:
        UsageError: the two have not the same categories, documents, or labels.
    """
    _check_taxonomies(first.taxonomy, second.taxonomy)
    moved = _under(first.taxonomy, second)
    if list(first.predictions.ids) != list(second.predictions.ids):
        _check_documents(first.predictions.ids, second.predictions.ids)
        places = [sorted(range(len(side)), key=side.predictions.ids.__getitem__) for side in (first, second)]
        rows = np.empty(len(first), dtype=np.int64)
        rows[places[0]] = places[1]
        moved = moved.take(rows)
    _check_gold(first, moved)
    if None not in (first.texts, second.texts) and first.texts != second.texts:
        problem = "documents of the same ids and labels say something else in the two runs"
        raise UsageError(problem, hint=HINT)
    return moved


def _check_taxonomies(first: Taxonomy, second: Taxonomy) -> None:
    if first.digest == second.digest:
        return
    only = [sorted(set(a.ids) - set(b.ids)) for a, b in ((first, second), (second, first))]
    if only[0] or only[1]:
        told = [
            f"{len(ids)} only in the {name} ({_some(ids)})"
            for ids, name in zip(only, NAMES, strict=True)
            if ids
        ]
        raise UsageError(f"the taxonomies differ: {', '.join(told)}", hint=HINT)
    for id in first.ids:
        above = [
            sorted(taxonomy.ids[p] for p in taxonomy.parents[taxonomy.index[id]])
            for taxonomy in (first, second)
        ]
        if above[0] != above[1]:
            ways = [f"below {_some(ids)}" if ids else "at the top" for ids in above]
            raise UsageError(
                f"the taxonomies differ: {id!r} is {ways[0]} in the first, {ways[1]} in the second", hint=HINT
            )


NAMES = ("first", "second")


def _check_documents(first: Sequence[str], second: Sequence[str]) -> None:
    if len(first) != len(second):
        raise UsageError(
            f"the documents differ: {len(first):,} in the first, {len(second):,} in the second", hint=HINT
        )
    counts = Counter(first), Counter(second)
    if counts[0] != counts[1]:
        alone = next(id for id in first if counts[0][id] != counts[1][id])
        raise UsageError(
            f"the documents differ: {alone!r} is {counts[0][alone]} times in the first, "
            f"{counts[1][alone]} times in the second",
            hint=HINT,
        )


def _check_gold(first: Outcome, second: Outcome) -> None:
    columns = len(first.taxonomy)
    keys = [pair_keys(outcome.gold, columns) for outcome in (first, second)]
    if np.array_equal(keys[0], keys[1]):
        return
    row = int(np.setxor1d(keys[0], keys[1])[0] // columns)
    ids = [
        _some(sorted(outcome.taxonomy.ids[c] for c in outcome.gold[row])) or "none"
        for outcome in (first, second)
    ]
    closures = (
        "" if first.closure == second.closure else f"; task.closure is {first.closure}, and {second.closure}"
    )
    raise UsageError(
        f"the labels of document {first.predictions.ids[row]!r} differ: {ids[0]} in the first, "
        f"{ids[1]} in the second{closures}",
        hint=HINT,
    )


def _some(ids: Sequence[str]) -> str:
    shown = ", ".join(map(repr, ids[:SHOWN]))
    return f"{shown}, ..." if len(ids) > SHOWN else shown


def _under(taxonomy: Taxonomy, outcome: Outcome) -> Outcome:
    """The same outcome with the columns of ``taxonomy``, which has the same categories."""
    own = outcome.taxonomy
    if own.ids == taxonomy.ids:
        return replace(outcome, predictions=replace(outcome.predictions, taxonomy=taxonomy))
    from_C = np.array([own.index[id] for id in taxonomy.ids], dtype=np.int64)
    to_C = np.empty_like(from_C)
    to_C[from_C] = np.arange(len(from_C))
    chosen, gold = outcome.decisions.chosen, outcome.gold
    order = np.lexsort((to_C[chosen.values], chosen.rows))
    moved = Ragged(to_C[chosen.values][order].astype(np.int32), chosen.offsets_N1)
    decisions = Decisions(moved, outcome.decisions.scores[order], outcome.decisions.thresholds_C[from_C])
    return Outcome(
        outcome.split,
        Predictions(outcome.predictions.ids, taxonomy, outcome.predictions.scores[:, from_C]),
        decisions,
        Ragged.from_pairs(gold.rows, to_C[gold.values], len(gold)),
        outcome.support_C[from_C],
        outcome.closure,
        outcome.texts,
    )
