"""Whether held-out documents are enough for a promise; light, so that ``linnaea check`` can tell it.

Shape letters: C categories.
"""

from __future__ import annotations

import numpy as np

from linnaea.config.outcome import CautiousConfig, ConformalConfig, DecisionConfig, PromisedConfig
from linnaea.errors import ConfigError
from linnaea.ragged import Ragged

ROUNDING = 1e-9
SPLIT = 20121  # seed of the halves: which document is in which must hang on nothing that is scored


def check_promise(config: DecisionConfig, gold: Ragged, support_C: np.ndarray) -> None:
    """Refuse a promise that held-out documents are too few for, before anything is trained.

    Args:
        gold: columns of each held-out document.
        support_C: training documents of each category; without any it is never decided.

    Raises:
        ConfigError: they are too few.
    """
    rule = config.threshold
    if not isinstance(rule, PromisedConfig):
        return
    gold = gold.take(halves(len(gold))[1]) if config.calibration is not None else gold
    if isinstance(rule, ConformalConfig):
        check_recall(rule.recall, np.where(support_C > 0, gold.counts(len(support_C)), 0))
    if isinstance(rule, CautiousConfig):
        check_error(rule.error, len(gold))


def halves(documents: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows to calibrate on, and rows that a promise rests on: drawn once, the same for every run."""
    order = np.random.default_rng(SPLIT).permutation(documents)
    return np.sort(order[: documents // 2]), np.sort(order[documents // 2 :])


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
