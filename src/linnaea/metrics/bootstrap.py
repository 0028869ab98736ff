"""Bootstrap: sets of documents drawn again, or exchanged between two systems, and what measures make of them.

Efron 1979, by documents: all categories, levels and scores of a document move together. The interval reaches from the
2.5th to the 97.5th percentile of the draws, moved so that their mean is the measured value. Without the move macro-F1
would lie above its own interval: a draw leaves categories out that have few documents, and so counts them as 0. What is
covered is the measure's mean over test sets of this size.

Shape letters: N documents, V rows of addends, R draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from linnaea.metrics.addends import Addends, Sums
from linnaea.metrics.sums import Measures, Place

CONFIDENCE = 0.95
RESAMPLES = 1000
FEWEST = 200  # draws, however large the addends are
WORK = 2e9  # entries of addends times draws: some seconds
CELLS = 2**19  # of weights and sums that are there at once
UNBOUNDED = ("coherence", "distance")
"""Measures that may be larger than 1."""


def draws_for(entries: int, most: int = RESAMPLES) -> int:
    """How many draws are affordable with so many addends."""
    return int(np.clip(WORK // max(1, entries), min(FEWEST, most), most))


def affordable(entries: int) -> bool:
    """Whether the fewest draws are."""
    return entries * FEWEST <= WORK


def drawn_again(documents: int, resamples: int, seed: int, step: int) -> Iterator[np.ndarray]:
    """``[N, up to step]`` float64: how often each document is in a draw. The draws do not depend on ``step``."""
    rng = np.random.default_rng(seed)
    for start in range(0, resamples, step):
        # Small numbers while they are turned: a document is drawn once in the mean.
        columns = [
            np.bincount(rng.integers(0, documents, documents), minlength=documents).astype(np.int16)
            for _ in range(min(step, resamples - start))
        ]
        yield np.stack(columns, axis=1).astype(np.float64)


def exchanged(documents: int, resamples: int, seed: int, step: int) -> Iterator[np.ndarray]:
    """``[N, up to step]`` float64 of 0 and 1: the documents in which two systems change places."""
    rng = np.random.default_rng(seed)
    for start in range(0, resamples, step):
        columns = [rng.integers(0, 2, documents) for _ in range(min(step, resamples - start))]
        yield np.stack(columns, axis=1).astype(np.float64)


def at_once(*sizes: int) -> int:
    """How many draws are worked on together."""
    return int(np.clip(CELLS // max(1, sum(sizes)), 16, 128))


def gathered(parts: list[Measures]) -> Measures:
    """The draws of several pieces, one after another."""
    return {place: np.concatenate([part[place] for part in parts]) for place in parts[0]}


def bootstrap(
    addends: Addends,
    measures: Callable[[Sums], Measures],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    known: Mapping[Place, float] | None = None,
) -> dict[Place, tuple[float, float]]:
    """The interval of every measure.

    Args:
        known: values that sums give only nearly.
    """
    step = at_once(*addends.matrix.shape)
    parts = [measures(addends.sums(w)) for w in drawn_again(len(addends), resamples, seed, step)]
    drawn = gathered(parts)
    point = {place: value.item() for place, value in measures(addends.whole).items()} | dict(known or {})
    return {
        place: ends(drawn[place], value, upper=None if place[0] in UNBOUNDED else 1.0)
        for place, value in point.items()
    }


def ends(
    drawn_R: np.ndarray, value: float, *, lower: float | None = 0.0, upper: float | None = 1.0
) -> tuple[float, float]:
    """The interval of a measure from its draws; it holds ``value``, and no number that the measure cannot be."""
    tail = (1 - CONFIDENCE) / 2
    low, high = (np.quantile(drawn_R, (tail, 1 - tail)) + (value - drawn_R.mean())).tolist()
    low, high = min(low, value), max(high, value)
    return (
        low if lower is None else max(low, lower),
        high if upper is None else min(high, upper),
    )
