"""Further metrics: those that a config asks for by name, plug-ins among them.

A metric is built from its settings, the taxonomy and the support, and called with what ``evaluate`` is called with.

Shape letters: N documents, C categories.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from linnaea.config.outcome import MetricConfig
from linnaea.config.part import shown
from linnaea.config.registry import metrics
from linnaea.decision.predictions import Decisions, Predictions
from linnaea.errors import LinnaeaError, RunError, UsageError
from linnaea.metrics import deepest as _deepest  # noqa: F401  registers it
from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy


class Metric(Protocol):
    """Numbers by name, of N documents: their scores, what was decided, and gold (closed as the task says)."""

    def __call__(
        self, predictions: Predictions, decisions: Decisions, gold: Ragged
    ) -> Mapping[str, float]: ...


def further_metrics(
    configs: Sequence[MetricConfig], taxonomy: Taxonomy, support_C: np.ndarray
) -> dict[str, Metric]:
    """The metrics that ``evaluation.metrics`` names, by name.

    Args:
        support_C: documents of train in each category, closed as the task says.
    """
    return {config.type: metrics.build(config, taxonomy=taxonomy, support_C=support_C) for config in configs}


def measure_further(
    configs: Sequence[MetricConfig],
    predictions: Predictions,
    decisions: Decisions,
    gold: Ragged,
    support_C: np.ndarray | None,
) -> dict[str, dict[str, float]]:
    """The numbers of the metrics that ``evaluation.metrics`` names: by metric, by number.

    Raises:
        UsageError: metrics are named, and ``support_C`` is None.
        RunError: a metric failed, or gave something else than finite numbers by name.
    """
    if not configs:
        return {}
    if support_C is None:
        message = f"the metric {configs[0].type!r} needs the support of the categories in train (support_C)"
        raise UsageError(message, where="evaluation.metrics")
    built = further_metrics(configs, predictions.taxonomy, support_C)
    return {name: numbers(name, metric, predictions, decisions, gold) for name, metric in built.items()}


def numbers(
    name: str, metric: Metric, predictions: Predictions, decisions: Decisions, gold: Ragged
) -> dict[str, float]:
    """What one metric says, checked.

    Raises:
        RunError: it failed, or gave something else than finite numbers by name.
    """
    where = f"the metric {name!r}"
    try:
        given: Any = metric(predictions, decisions, gold)
    except LinnaeaError:
        raise
    except Exception as error:
        raise RunError(f"failed: {type(error).__name__}: {error}", where=where) from error
    if not isinstance(given, Mapping) or not given:
        raise RunError(f"must give numbers by name, not {shown(given)}", where=where)
    for key, value in given.items():
        if not isinstance(key, str):
            raise RunError(f"names a number {shown(key)}, which is no string", where=where)
        plain = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
        if not plain or not math.isfinite(value):
            raise RunError(f"gave {shown(value)} for {key!r}, not a finite number", where=where)
    return {key: value.item() if isinstance(value, np.generic) else value for key, value in given.items()}
