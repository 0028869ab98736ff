"""The randomisation test of single categories, exactly: no draws, so that p may be as small as many categories need.

In one category two systems differ in some documents that have it and in some that have not. If nothing but chance tells
them apart, each of these decisions might as well have come from the other: how many of each kind fall to the first
system is binomial with share 1/2. p is the probability that F1 then differs by at least as much as it does.

Shape letters: N documents, C categories.
"""

from __future__ import annotations

import functools

import numpy as np
from scipy.special import gammaln

from linnaea.metrics.counts import contains, pair_keys
from linnaea.ragged import Ragged

SPREAD = 7.0  # standard deviations to each side that are summed over
SMALLEST = 1e-12
EQUAL = 1e-12  # differences this near are the same


def exact_p(first: Ragged, second: Ragged, gold: Ragged, columns: int) -> np.ndarray:
    """``[C]`` float64: two-sided p that two sets of decisions have the same F1 in each category."""
    one, other, right = (pair_keys(rows, columns) for rows in (first, second, gold))
    alone = [one[~contains(other, one)], other[~contains(one, other)]]
    both = one[contains(other, one)]

    def counted(keys: np.ndarray, gold: bool) -> np.ndarray:
        return np.bincount(keys[contains(right, keys) == gold] % columns, minlength=columns)

    table = [counted(keys, gold) for gold in (True, False) for keys in (*alone, both)]
    sizes_C = np.bincount(right % columns, minlength=columns)
    return np.array([_p(*row) for row in np.stack([*table, sizes_C], axis=1).tolist()])


@functools.lru_cache(maxsize=2**16)
def _p(hits_a: int, hits_b: int, hits: int, wrong_a: int, wrong_b: int, wrong: int, gold: int) -> float:
    """From decisions that are right and of the first alone, the second alone, both; and the same of those that are wrong."""
    if hits_a == hits_b and wrong_a == wrong_b:
        return 1.0
    x, chance_x = _binomial(hits_a + hits_b)
    y, chance_y = _binomial(wrong_a + wrong_b)

    def difference(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Where x hits and y wrong ones are the first system's."""
        other_x, other_y = hits_a + hits_b - x, wrong_a + wrong_b - y
        sides = [
            2 * (hits + right) / np.maximum(hits + right + wrong + bad + gold, 1)
            for right, bad in ((x, y), (other_x, other_y))
        ]
        return np.asarray(np.abs(sides[0] - sides[1]))

    seen = difference(np.array(hits_a), np.array(wrong_a))
    far = difference(x[:, None], y[None]) >= seen - EQUAL
    return float(np.clip(chance_x @ far @ chance_y, SMALLEST, 1.0))


def _binomial(n: int) -> tuple[np.ndarray, np.ndarray]:
    """What may come up of n with share 1/2, and how likely each is."""
    reach = SPREAD * np.sqrt(n) / 2 + 1
    k = np.arange(max(0, int(n / 2 - reach)), min(n, int(n / 2 + reach)) + 1)
    return k, np.exp(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1) - n * np.log(2))
