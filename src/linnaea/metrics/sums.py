"""Measures from sums over documents, for many sets of weights at once.

The same definitions as in ``counts``, ``ranking``, ``calibration`` and ``distance``, which measure a set once: tests
hold the two equal. A measure is named by its place in ``metrics.json``.

Shape letters: N documents, C categories, L levels, R sets of weights, B bins.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from linnaea.metrics.addends import Sums
from linnaea.metrics.calibration import BINS
from linnaea.metrics.counts import ratio
from linnaea.metrics.groups import Group
from linnaea.taxonomy.taxonomy import Taxonomy

Place: TypeAlias = tuple[str | int, ...]
Measures: TypeAlias = dict[Place, np.ndarray]
"""``[R]`` float64 by place."""


def rates(prefix: Place, hits_R: np.ndarray, chosen_R: np.ndarray, gold_R: np.ndarray) -> Measures:
    """Precision, recall, F1."""
    return {
        (*prefix, "precision"): ratio(hits_R, chosen_R),
        (*prefix, "recall"): ratio(hits_R, gold_R),
        (*prefix, "f1"): ratio(2 * hits_R, chosen_R + gold_R),
    }


def decided(sums: Sums, taxonomy: Taxonomy, documents: int) -> Measures:
    """What rests on ``addends.decided``: micro, macro, samples, hierarchical, levels."""
    hits, chosen, gold = (sums[name] for name in ("hits", "chosen", "gold"))
    f1_CR = ratio(2 * hits, chosen + gold)
    precision_R, recall_R = ratio(hits, chosen).mean(axis=0), ratio(hits, gold).mean(axis=0)
    wrong_R = (chosen + gold - 2 * hits).sum(axis=0)
    found = rates(("micro",), hits.sum(axis=0), chosen.sum(axis=0), gold.sum(axis=0))
    found |= {
        ("macro", "precision"): precision_R,
        ("macro", "recall"): recall_R,
        ("macro", "f1"): f1_CR.mean(axis=0),
        ("macro", "f1_of_averages"): ratio(2 * precision_R * recall_R, precision_R + recall_R),
        ("macro", "present_f1"): ratio((f1_CR * (gold > 0)).sum(axis=0), (gold > 0).sum(axis=0)),
        ("samples", "f1"): sums["samples_f1"][0] / documents,
        ("subset_accuracy",): sums["exact"][0] / documents,
        ("hamming_loss",): wrong_R / (documents * len(taxonomy)),
    }
    found |= rates(("hierarchical",), *(sums[f"closed_{name}"][0] for name in ("hits", "chosen", "gold")))
    for i, (_, part) in enumerate(taxonomy.levels()):
        found |= together(("levels", i), sums, part)
    return found


def together(prefix: Place, sums: Sums, part: slice | np.ndarray) -> Measures:
    """Micro-F1 and macro-F1 of some categories alone."""
    hits, sizes = sums["hits"][part], sums["chosen"][part] + sums["gold"][part]
    return {
        (*prefix, "micro_f1"): ratio(2 * hits.sum(axis=0), sizes.sum(axis=0)),
        (*prefix, "macro_f1"): ratio(2 * hits, sizes).mean(axis=0),
    }


def grouped(sums: Sums, groups: Sequence[Group]) -> Measures:
    """The same of each group of categories."""
    found: Measures = {}
    for i, group in enumerate(groups):
        found |= together(("groups", i), sums, group.columns)
    return found


def further(sums: Sums, documents: int) -> Measures:
    """What rests on ``addends.further``: coherence, distance."""
    distances = ratio(sums["distance"], sums["distance_of"])
    return {
        ("coherence", "documents_with_violations"): sums["violating"][0].copy(),  # a view would keep all sums
        ("coherence", "violations"): sums["violations"][0].copy(),
        **{("distance", name): distances[i] for i, name in enumerate(("error", "decided", "missed"))},
    }


def scored(sums: Sums, taxonomy: Taxonomy, documents: int, names: Sequence[str]) -> Measures:
    """What rests on ``addends.scored``: ranking (its measures are called ``names``), calibration."""
    ranked: Measures = {("ranking", name): sums["ranking"][i] / documents for i, name in enumerate(names)}
    at = list(names).index("r_precision")
    ranked["ranking", "r_precision"] = ratio(sums["ranking"][at], sums["with_gold"][0])
    pairs = documents * len(taxonomy)
    squares_LR, gaps = sums["squares"], sums["gaps"]
    gaps_LBR = gaps.reshape(taxonomy.depth, BINS, -1)
    found: Measures = {
        **ranked,
        ("calibration", "ece"): np.abs(gaps_LBR.sum(axis=0)).sum(axis=0) / pairs,
        ("calibration", "brier"): squares_LR.sum(axis=0) / pairs,
    }
    for i, (_, part) in enumerate(taxonomy.levels()):
        pairs = documents * (part.stop - part.start)
        found["calibration", "levels", i, "ece"] = np.abs(gaps_LBR[i]).sum(axis=0) / pairs
        found["calibration", "levels", i, "brier"] = squares_LR[i] / pairs
    return found


def binned(sums: Sums, category_V: np.ndarray, documents: int) -> Measures:
    """What rests on ``addends.binned``, which tells the category of each row."""
    there_CR = sums["gold"] > 0
    own_CR = np.zeros(there_CR.shape)
    held, start = np.unique(category_V, return_index=True)
    if len(held):
        own_CR[held] = np.add.reduceat(np.abs(sums["own_gaps"]), start, axis=0) / documents
    return {("calibration", "classwise_ece"): ratio((own_CR * there_CR).sum(axis=0), there_CR.sum(axis=0))}
