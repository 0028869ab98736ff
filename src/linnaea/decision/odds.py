"""Log-odds of scores and thresholds: what a category adds to the worth of a set that it is in.

Any shape; scores and thresholds are broadcast.
"""

from __future__ import annotations

import numpy as np

CLIP = 30.0
SCALE = 1_000_000


def log_odds(values: np.ndarray) -> np.ndarray:
    """float64 ln(p / (1 - p)), clipped to ±30; what lies outside [0, 1] counts as its nearer end."""
    with np.errstate(divide="ignore"):
        values = np.clip(values.astype(np.float64), 0, 1)
        odds = np.log(values) - np.log1p(-values)
    return np.asarray(np.clip(odds, -CLIP, CLIP))


def margins(scores: np.ndarray, decided: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """logit(score) - logit(threshold) in millionths, int64: sums are exact, so equal sums are seen as such.

    Rounding moves nothing across the threshold: what is decided has at least 0, all else at most -1. Where the threshold
    is NaN there is nothing to weigh: 0.
    """
    difference, free = log_odds(scores) - log_odds(thresholds), np.isnan(thresholds)
    if not free.any():
        return _whole(difference, decided)
    return np.where(free, 0, _whole(np.where(free, 0.0, difference), decided))


def _whole(difference: np.ndarray, decided: np.ndarray) -> np.ndarray:
    exact = np.rint(SCALE * difference).astype(np.int64)
    return np.asarray(np.where(decided, np.maximum(exact, 0), np.minimum(exact, -1)))
