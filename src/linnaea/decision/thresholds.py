"""Thresholds: fixed, one for all categories, or one a category, found exactly on scores and gold.

``global``: the best of all cuts of all categories together. ``per_category``: each category's best cut (SCut
of Yang 2001, https://doi.org/10.1145/383952.383975, here with the aim as objective), then drawn to the global
threshold of the same aim where positives are few: w·t_c + (1 - w)·t_global on the logit scale, w = n / (n +
shrinkage), n positives; with fewer than 3 positives the global one. What "best" means is the aim's affair:

- ``macro_f1``: each category's own F1.
- ``micro_f1``: F1 over all categories' decisions together. Dinkelbach's method (1967,
  https://doi.org/10.1287/mnsc.13.7.492): for a value F each category takes the cut with the largest 2·hits -
  F·decided, which gives the next, larger F; where F stays, no choice of cuts has a larger one.
- ``both``: the mean of the two. From the best cuts for either, category after category takes the cut that is
  best while all others stay; each step raises the mean, so it ends; the better end is taken. Deterministic,
  not proven to be the optimum.

Shape letters: C categories, M cuts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from linnaea.config.outcome import Aim, CautiousConfig, DecisionConfig, PromisedConfig
from linnaea.config.percategory import StrategyThresholdConfig
from linnaea.config.registry import thresholds
from linnaea.config.task import TaskConfig
from linnaea.decision import conformal as _conformal  # noqa: F401  registers them
from linnaea.decision.calibration import build_calibration
from linnaea.decision.curves import Calibration
from linnaea.decision.cuts import Cuts, Evidence, f1
from linnaea.decision.decider import Choice, Decider, build_decoder, prepared
from linnaea.decision.decoding import Decoding
from linnaea.decision.enough import halves
from linnaea.decision.followers import by_thresholds, followed, with_parents
from linnaea.decision.predictions import Predictions
from linnaea.decision.rules import Promise, ThresholdRule, given
from linnaea.errors import ConfigError, UsageError
from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy

ENOUGH = 3  # positives, from which on a category has a threshold of its own
WITHOUT_POSITIVES = 0.5  # the global threshold where there is nothing to tune on
POINTS = 8192  # thresholds that are tried at once
ROUNDING = 1e-12  # gains below this are none

AIMS: dict[Aim, tuple[float, float]] = {"micro_f1": (1, 0), "macro_f1": (0, 1), "both": (0.5, 0.5)}
"""Weights of micro-F1 and macro-F1."""


def fit_decider(
    config: DecisionConfig, task: TaskConfig, dev: Predictions | None, gold: Ragged | None,
    support_C: np.ndarray, taxonomy: Taxonomy, found_C: np.ndarray | None = None, *,
    half_seen: bool = False, follows: Sequence[int] = (),
) -> Decider:  # fmt: skip
    """The decider that a config asks for.

    Args:
        dev: scores to tune on, of documents that the scorer did not learn from; None where nothing is tuned.
        gold: columns of each of these documents, closed as the task says.
        support_C: training documents of each category; 0: never decided.
        found_C: thresholds that the strategy found, for the rule "strategy"; +inf: never decided, whatever the rule.
        half_seen: the scorer has looked at the first of the ``halves`` of these documents; a promise rests on the other.
        follows: columns that are decided wherever all their parents are; they have no threshold.

    Raises:
        ConfigError: the thresholds are to be tuned, and there are no scores.
        UsageError: scores and gold are not of the same documents.
    """
    decoder = build_decoder(config.decoding, taxonomy)
    if dev is not None and gold is not None and config.tuned is not None and len(dev) != len(gold):
        raise UsageError(f"scores of {len(dev)} documents cannot be tuned on labels of {len(gold)}")
    first, held = _parted(config, dev, gold, half_seen)
    calibration = (
        None if config.calibration is None else _calibrated(config, task, first, support_C, taxonomy)
    )
    promise, positives_C = None, None
    if task.type == "multiclass":
        thresholds_C = np.where(np.asarray(support_C) > 0, 0.0, np.inf)
    elif isinstance(config.threshold, StrategyThresholdConfig) and found_C is not None:
        thresholds_C = found_C if calibration is None else calibration.thresholds(found_C)
        thresholds_C = decoder.thresholds(thresholds_C)
    else:
        own_C = by_thresholds(support_C, found_C, follows)
        evidence = _evidence(config, held, support_C, own_C, decoder, calibration, follows)
        thresholds_C, promise = _found(config, evidence, own_C, decoder)
        promise = None if promise is None else promise.without(follows, taxonomy)
        positives_C = None if evidence is None else evidence.positives_C
    choice: Choice = "best" if task.type == "multiclass" else "thresholds"
    return Decider(
        taxonomy, thresholds_C, config.decoding, config.top_k, choice, task.paths, task.gold_closure, positives_C,
        calibration, promise,
    ).following(follows)  # fmt: skip


Held = tuple[Predictions | None, Ragged | None]


def _parted(
    config: DecisionConfig, dev: Predictions | None, gold: Ragged | None, half_seen: bool
) -> tuple[Held, Held]:
    """What a calibration looks at, and thresholds; a promise rests on what neither it nor the scorer has seen."""
    apart = isinstance(config.threshold, PromisedConfig) and (half_seen or config.calibration is not None)
    if dev is None or gold is None or not apart:
        return (dev, gold), (dev, gold)
    first, second = ((dev.take(rows), gold.take(rows)) for rows in halves(len(dev)))
    return first, second


def _calibrated(
    config: DecisionConfig, task: TaskConfig, held: Held, support_C: np.ndarray, taxonomy: Taxonomy
) -> Calibration:
    dev, gold = held
    if dev is None or gold is None:
        problem = "needs scores of labelled documents"
        raise ConfigError(problem, where="decision.calibration", hint="give data.dev")
    calibration = build_calibration(config.calibration, taxonomy, task.type == "multiclass")
    calibration.fit(dev, gold, support_C)
    return calibration


def _evidence(
    config: DecisionConfig, held: Held, support_C: np.ndarray, own_C: np.ndarray, decoder: Decoding,
    calibration: Calibration | None, follows: Sequence[int],
) -> Evidence | None:  # fmt: skip
    dev, gold = held
    if dev is None or gold is None or "threshold" not in config.held_out:
        return None
    seen = prepared(dev, decoder, config.top_k, calibration)
    if isinstance(config.threshold, PromisedConfig):
        support_C = own_C
    if isinstance(config.threshold, CautiousConfig):
        # Under max a category without training documents is decided wherever one below it is; followers with their parents.
        support_C = np.isfinite(decoder.thresholds(np.where(own_C > 0, 0.0, np.inf)))
        support_C, seen = followed(support_C[None], follows, dev.taxonomy)[0], with_parents(seen, follows)
    return Evidence(seen, gold, support_C)


def _found(
    config: DecisionConfig, evidence: Evidence | None, own_C: np.ndarray, decoder: Decoding
) -> tuple[np.ndarray, Promise | None]:
    rule: ThresholdRule = thresholds.build(config.threshold)
    thresholds_C = np.where(own_C > 0, rule.find(evidence, len(own_C)), np.inf)
    promise = None if evidence is None else rule.promise(evidence)
    return decoder.thresholds(thresholds_C), promise


@thresholds.register("fixed")
class Fixed(ThresholdRule):
    """The same value for all."""

    def find(self, evidence: Evidence | None, columns: int) -> np.ndarray:
        return np.full(columns, self.config.value)


@thresholds.register("strategy")
class Found(ThresholdRule):
    """Those that the strategy found while it trained: ``fit_decider`` is given them."""

    def find(self, evidence: Evidence | None, columns: int) -> np.ndarray:
        raise UsageError("the strategy found no thresholds", where="decision.threshold")


@thresholds.register("global")
class Global(ThresholdRule):
    """The one that is best for the aim, for all."""

    def find(self, evidence: Evidence | None, columns: int) -> np.ndarray:
        return np.full(columns, best_global(given(evidence, self.config.type), self.config.aim))


@thresholds.register("per_category")
class PerCategory(ThresholdRule):
    """Each category's best, drawn to the best global one where positives are few."""

    def find(self, evidence: Evidence | None, columns: int) -> np.ndarray:
        evidence = given(evidence, self.config.type)
        cuts = Cuts.of(evidence)
        own_C = cuts.thresholds[best_cuts(cuts, self.config.aim)]
        shared = best_global(evidence, self.config.aim)
        return shrink(own_C, shared, evidence.positives_C, self.config.shrinkage)


def shrink(own_C: np.ndarray, shared: float, positives_C: np.ndarray, shrinkage: float) -> np.ndarray:
    """``[C]``: w·own + (1 - w)·shared on the logit scale, w = n / (n + shrinkage); shared at n < 3."""
    weight_C = np.where(positives_C >= ENOUGH, positives_C / np.maximum(positives_C + shrinkage, 1), 0.0)
    mixed_C = weight_C * _logit(own_C) + (1 - weight_C) * _logit(np.array(shared))
    drawn_C = 1 / (1 + np.exp(-mixed_C))
    # The ends exactly, without the way through the logit.
    return np.where(weight_C == 1, own_C, np.where(weight_C == 0, shared, drawn_C))


def _logit(values: np.ndarray) -> np.ndarray:
    values = np.clip(values, 1e-38, 1 - 2.0**-53)
    return np.asarray(np.log(values) - np.log1p(-values))


def best_cuts(cuts: Cuts, aim: Aim) -> np.ndarray:
    """``[C]`` int64: the cut of each category that serves the aim best, before shrinkage."""
    if aim == "macro_f1":
        return cuts.best(cuts.f1)
    if aim == "micro_f1":
        return _best_micro(cuts)
    ends = [_ascend(cuts, start) for start in (_best_micro(cuts), cuts.best(cuts.f1))]
    return max(ends, key=lambda end: end[0])[1]


def _best_micro(cuts: Cuts) -> np.ndarray:
    total, value = int(cuts.positives_C.sum()), -1.0
    best_C = cuts.starts_C1[:-1]
    while True:
        reached = float(f1(cuts.hits[best_C].sum(), cuts.decided[best_C].sum() + total))
        if reached <= value:
            return best_C
        value = reached
        best_C = cuts.best(2 * cuts.hits - value * cuts.decided)


def _ascend(cuts: Cuts, start_C: np.ndarray) -> tuple[float, np.ndarray]:
    """Climbs from ``start_C``, one category at a time; the mean of both F1 at the end, and the cuts."""
    best_C, total = start_C.copy(), int(cuts.positives_C.sum())
    parts = [slice(*cuts.starts_C1[column : column + 2]) for column in range(len(best_C))]
    # A category with one cut has no choice; ends are compared in whole counts, so nothing drifts.
    movable = [column for column, part in enumerate(parts) if part.stop - part.start > 1]
    hits, decided = int(cuts.hits[best_C].sum()), int(cuts.decided[best_C].sum())
    moved = True
    while moved:
        moved = False
        for column in movable:
            part, now = parts[column], best_C[column]
            other_hits, other_decided = hits - int(cuts.hits[now]), decided - int(cuts.decided[now])
            micro = f1(other_hits + cuts.hits[part], other_decided + cuts.decided[part] + total)
            mean = (micro + cuts.f1[part] / len(best_C)) / 2
            at = int(mean.argmax())
            if mean[at] > mean[now - part.start] + ROUNDING:
                best_C[column], moved = part.start + at, True
                hits, decided = (
                    other_hits + int(cuts.hits[part][at]),
                    other_decided + int(cuts.decided[part][at]),
                )
    return float((f1(np.array(hits), np.array(decided + total)) + cuts.f1[best_C].mean()) / 2), best_C


def best_global(evidence: Evidence, aim: Aim) -> float:
    """The one threshold that is best for the aim, exactly; among equally good ones the highest.

    Every score of a positive is a candidate. Where they are many, some are tried, and between two neighbours
    that were tried the aim is bounded by the hits of the lower and the decisions of the higher one; stretches
    that cannot hold the best are left out, and the rest is tried again (branch and bound). Then every
    candidate that remains is tried.
    """
    points = np.unique(evidence.positives.values)
    if not len(points):
        return WITHOUT_POSITIVES
    best = (-1.0, 0.0)
    while len(points) > POINTS:
        step = -(-len(points) // POINTS)
        tried = np.append(points[:-1:step], points[-1])
        reached, bound = _values_at(tried, evidence, aim)
        best = max(best, _highest(reached, tried))
        hopeful = np.append(bound >= best[0] - ROUNDING, False)
        inside = hopeful[np.searchsorted(tried, points, side="right") - 1]
        before, points = len(points), points[inside]
        if len(points) > before / 2:
            break  # bounds do not help here: try all
    for start in range(0, len(points), POINTS):
        tried = points[start : start + POINTS]
        best = max(best, _highest(_values_at(tried, evidence, aim)[0], tried))
    return (best[1] + evidence.next_below(best[1])) / 2


def _highest(values: np.ndarray, points: np.ndarray) -> tuple[float, float]:
    last = len(values) - 1 - int(values[::-1].argmax())
    return float(values[last]), float(points[last])


def _values_at(points: np.ndarray, evidence: Evidence, aim: Aim) -> tuple[np.ndarray, np.ndarray]:
    """The aim with each of the ascending ``points`` as threshold, and a bound on it between neighbours."""
    micro_weight, macro_weight = AIMS[aim]
    zeros = np.zeros(len(points))
    hits, decided, sums, bounds = zeros.copy(), zeros.copy(), zeros.copy(), zeros[1:].copy()
    for column, scores in evidence.columns(above=float(points[0])):
        positives, size = evidence.positives[column], int(evidence.positives_C[column])
        inside = np.sort(scores[scores < points[-1]])
        own_hits = len(positives) - np.searchsorted(positives, points)
        own_decided = len(scores) - np.searchsorted(inside, points)
        hits += own_hits
        decided += own_decided
        if macro_weight:
            sums += f1(own_hits, own_decided + size)
            bounds += f1(own_hits[:-1], np.maximum(own_decided[1:], own_hits[:-1]) + size)
    total, columns = int(evidence.positives_C.sum()), len(evidence.positives_C)
    reached = micro_weight * f1(hits, decided + total) + macro_weight * sums / columns
    bound = micro_weight * f1(hits[:-1], np.maximum(decided[1:], hits[:-1]) + total)
    return reached, bound + macro_weight * bounds / columns
