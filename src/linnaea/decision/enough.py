"""Whether held-out documents are enough for a promise; light, so that ``linnaea check`` can tell it.

Shape letters: N documents, C categories.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from linnaea.config.outcome import CautiousConfig, ConformalConfig, PromisedConfig
from linnaea.errors import ConfigError
from linnaea.ragged import Ragged

if TYPE_CHECKING:
    from linnaea.config.config import Config

ROUNDING = 1e-9
SPLIT = 20121  # seed of the halves: which document is in which must hang on nothing that is scored


def check_promise(
    config: Config, train: Ragged, dev: Ragged | None, columns: int, without: Sequence[int] = ()
) -> None:
    """Refuse a promise that held-out documents are too few for, before anything is trained.

    Args:
        train: columns of each training document; a category without any is never decided.
        dev: the same of dev; None: there is none.
        columns: C.
        without: columns that no threshold decides, whatever their documents.

    Raises:
        ConfigError: they are too few.
    """
    rule, strategy = config.decision.threshold, config.training.strategy
    if not isinstance(rule, PromisedConfig) or (dev is None and rule.on != "cross"):
        return  # of what is missing the strategy tells
    if rule.on == "cross":
        train = Ragged.concatenate([train] if dev is None else [train, dev])
    gold = train if rule.on == "cross" or dev is None else dev
    if config.decision.calibration is not None or strategy.blends:
        gold = gold.take(halves(len(gold))[1])
    if isinstance(rule, ConformalConfig):
        open_C = train.counts(columns) > 0
        open_C[list(without)] = False
        check_recall(rule.recall, with_any(gold, open_C))
    if isinstance(rule, CautiousConfig):
        check_error(rule.error, len(gold))


def halves(documents: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows that a calibration and a blend look at, and rows that a promise rests on: drawn once, the same for every run."""
    order = np.random.default_rng(SPLIT).permutation(documents)
    return np.sort(order[: documents // 2]), np.sort(order[documents // 2 :])


def with_any(gold: Ragged, among_C: np.ndarray) -> int:
    """How many documents have any of some categories."""
    return len(np.unique(gold.rows[among_C[gold.values]]))


def check_recall(recall: float, documents: int) -> None:
    """Refuse a recall that all labelled documents together cannot promise.

    Args:
        documents: held out, with any category that can be decided.

    Raises:
        ConfigError: they are too few.
    """
    needed = needed_for(1 - recall)
    if documents < needed:
        raise ConfigError(
            f"a recall of {recall:g} takes {needed} held-out documents with labels, and there are {documents}",
            where="decision.threshold.recall",
            hint=_lower(documents, "promise at most", Fraction(documents, documents + 1), up=False),
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
            hint=_lower(documents, "allow at least", Fraction(1, documents + 1), up=True),
        )


def needed_for(share: float) -> int:
    """The least n with 1 / (n + 1) ≤ share."""
    return int(np.ceil((1 - ROUNDING) / share)) - 1


def _lower(documents: int, text: str, limit: Fraction, *, up: bool) -> str:
    """What to do; the limit is rounded to the side on which it holds."""
    digits = max(3, len(str(documents)) + 1)
    scaled = limit * 10**digits
    number = f"{(-(-scaled // 1) if up else scaled // 1) / 10**digits:.{digits}f}".rstrip("0")
    return "give more dev documents" + (f", or {text} {number}" if documents else "")
