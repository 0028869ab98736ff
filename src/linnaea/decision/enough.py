"""Whether held-out documents are enough for a promise; light, so that ``linnaea check`` can tell it.

Shape letters: C categories.
"""

from __future__ import annotations

import numpy as np

from linnaea.errors import ConfigError

ROUNDING = 1e-9


def check_recall(recall: float, n_C: np.ndarray) -> None:
    """Refuse a recall that all positives together cannot promise.

    Args:
        n_C: held-out documents of each category that can be decided.

    Raises:
        ConfigError: they are too few.
    """
    total, needed = int(n_C.sum()), needed_for(1 - recall)
    if total < needed:
        raise ConfigError(
            f"a recall of {recall:g} takes {needed} labels on held-out documents, and there are {total}",
            where="decision.threshold.recall",
            hint=_lower(total, "promise at most {:.3g}", 1 - 1 / (total + 1)),
        )


def check_error(error: float, documents: int) -> None:
    """Refuse a share of wrong decisions that so few documents cannot promise.

    Raises:
        ConfigError: they are too few.
    """
    needed = needed_for(error)
    if documents < needed:
        raise ConfigError(
            f"an error of {error:g} takes {needed} held-out documents, and there are {documents}",
            where="decision.threshold.error",
            hint=_lower(documents, "allow at least {:.3g}", 1 / (documents + 1)),
        )


def needed_for(share: float) -> int:
    """The least n with 1 / (n + 1) ≤ share."""
    return int(np.ceil(1 / share - ROUNDING)) - 1


def _lower(count: int, text: str, value: float) -> str:
    return "give more dev documents" + (f", or {text.format(value)}" if count else "")
