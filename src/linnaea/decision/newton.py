"""Newton's method for the one or two numbers of a calibration.

Shape letters: M scores.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.sparse import csr_array
from scipy.special import expit

LOWEST, HIGHEST = 1 / 20, 20.0
STEPS = 100
NEAR = 1e-10


def smoothed(hits_M: np.ndarray) -> np.ndarray:
    """Platt's targets: a little below 1 for positives, a little above 0 for negatives, the more so the fewer they are."""
    positives = int(hits_M.sum())
    negatives = len(hits_M) - positives
    return np.where(hits_M, (positives + 1) / (positives + 2), 1 / (negatives + 2))


def steepness(odds_M: np.ndarray, targets_M: np.ndarray) -> float:
    """The b in [1/20, 20] at which σ(b·z) has the least cross-entropy with the targets."""
    square_M = odds_M**2
    wanted = float(targets_M @ odds_M)

    def slope(steep: float) -> tuple[float, float]:
        shares_M = expit(steep * odds_M)
        return float(shares_M @ odds_M) - wanted, float((shares_M * (1 - shares_M)) @ square_M)

    return steepest(slope)


def steepest(slope: Callable[[float], tuple[float, float]]) -> float:
    """Where a rising function, given with its derivative, crosses 0 in [1/20, 20]; else the nearer end.

    Newton's steps, and the middle of what is left where one would lead out of it.
    """
    low, high = LOWEST, HIGHEST
    if slope(low)[0] >= 0:
        return low
    if slope(high)[0] <= 0:
        return high
    at = 1.0
    for _ in range(STEPS):
        value, rise = slope(at)
        low, high = (low, at) if value > 0 else (at, high)
        following = at - value / rise if rise > 0 else low
        if not low < following < high:
            following = (low + high) / 2
        near, at = abs(following - at) <= NEAR * at, following
        if near:
            break
    return at


def row_steepness(logs: csr_array, right_N: np.ndarray) -> float:
    """1 / T of the least cross-entropy of documents whose categories have the log scores ``logs``."""
    starts, lengths = logs.indptr[:-1], np.diff(logs.indptr)

    def slope(steep: float) -> tuple[float, float]:
        highest_N = np.maximum.reduceat(logs.data, starts)
        weights = np.exp(steep * (logs.data - np.repeat(highest_N, lengths)))
        weights /= np.repeat(np.add.reduceat(weights, starts), lengths)
        mean_N = np.add.reduceat(weights * logs.data, starts)
        square_N = np.add.reduceat(weights * logs.data**2, starts)
        return float((mean_N - right_N).sum()), float((square_N - mean_N**2).sum())

    return steepest(slope)


def least_line(odds_M: np.ndarray, targets_M: np.ndarray) -> np.ndarray:
    """``[slope, offset]`` at which σ(slope·z + offset) has the least cross-entropy with the targets.

    Newton's steps, halved until the cross-entropy falls.
    """
    columns_2M = np.stack([odds_M, np.ones_like(odds_M)])
    wanted_2 = columns_2M @ targets_M
    line_2 = np.array([1.0, 0.0])
    loss = _cross_entropy(line_2, columns_2M, wanted_2)
    for _ in range(STEPS):
        shares_M = expit(line_2 @ columns_2M)
        curvature = (columns_2M * (shares_M * (1 - shares_M))) @ columns_2M.T
        # The ridge decides where all scores are equal, and slope and offset do the same.
        step_2 = np.linalg.solve(curvature + 1e-9 * np.eye(2), columns_2M @ shares_M - wanted_2)
        while (moved := _cross_entropy(line_2 - step_2, columns_2M, wanted_2)) > loss and step_2.any():
            step_2 = step_2 / 2 if np.abs(step_2).max() > NEAR else np.zeros(2)
        line_2, loss = line_2 - step_2, min(moved, loss)
        if np.abs(step_2).max() <= NEAR * (1 + np.abs(line_2).max()):
            break
    return line_2


def _cross_entropy(line_2: np.ndarray, columns_2M: np.ndarray, wanted_2: np.ndarray) -> float:
    return float(np.logaddexp(0, line_2 @ columns_2M).sum() - line_2 @ wanted_2)
