"""Growth: what a change of the taxonomy asks for: which categories are fitted again, and which are kept as they are.

Fitted again is what is new, what stands under other parents, what lacked documents until now, and, if asked, all below
these. Everything else keeps its tensors and its threshold to the last bit. How it is done lies in ``strategies/growing/``,
a file a kind of scorer.

Shape letters: C categories of the new taxonomy, P of the old one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from linnaea.config.config import Config
from linnaea.config.outcome import GlobalConfig
from linnaea.config.percategory import PerCategoryStrategyConfig
from linnaea.decision.decider import Decider, build_decoder
from linnaea.decision.decoding import Max
from linnaea.errors import UsageError
from linnaea.strategies.base import Scorer, Strategy
from linnaea.strategies.percategory.plan import Kind, Plan
from linnaea.taxonomy.change import Change
from linnaea.taxonomy.taxonomy import Taxonomy

if TYPE_CHECKING:
    from linnaea.text.store import Corpus

Reason = Literal["added", "moved", "has documents now", "below one that is fitted again", "all are"]
_SHOWN = 12


@dataclass(frozen=True, eq=False)
class GrownPlan(Plan):
    """A plan of which some networks are there already.

    Args:
        given: what each category gets.
    """

    given: tuple[Kind, ...] = ()

    @cached_property
    def kinds(self) -> tuple[Kind, ...]:
        return self.given


@dataclass(frozen=True, eq=False)
class Growth:
    """What is to be done.

    Attributes:
        scorer: of the old model.
        thresholds_P: of the old model.
        reasons: by new column: the categories that are fitted again, parents first.
        support_C: documents of train, the new ones among them.
        everything: all of a network trains, and no threshold is kept.
        plan: of a scorer of one network a category; else None.
    """

    change: Change
    scorer: Scorer
    thresholds_P: np.ndarray
    reasons: Mapping[int, Reason]
    support_C: np.ndarray
    everything: bool = False
    plan: GrownPlan | None = None

    @property
    def taxonomy(self) -> Taxonomy:
        """The new one."""
        return self.change.new

    @cached_property
    def fitted(self) -> tuple[int, ...]:
        """The columns that are fitted again; the others of ``reasons`` have no documents."""
        if self.plan is not None:
            return tuple(column for column in self.reasons if self.plan.kinds[column] == "network")
        return tuple(column for column in self.reasons if self.support_C[column])

    @cached_property
    def kept_C(self) -> np.ndarray:
        """bool: the categories that keep what they have."""
        kept_C = self.change.old_C >= 0
        kept_C[list(self.reasons)] = False
        return kept_C

    @cached_property
    def _settled_C(self) -> np.ndarray:
        """bool: the categories that keep their threshold, if they have one of their own."""
        if self.plan is None:
            return self.kept_C
        had_C = np.isfinite(self.thresholds_P[self.change.old_C])
        kinds = np.array(self.plan.kinds)
        return np.asarray(self.kept_C & ((kinds == "network") | ((kinds == "below") & had_C)))

    @property
    def empty(self) -> bool:
        """Whether the model would come out as it is."""
        return self.change.empty and not self.reasons

    def starts_from(self, column: int) -> int | None:
        """The new column whose weights a category begins with, as far as that is known before; None: fresh ones."""
        if self.plan is not None:
            return self.plan.inherits_from(column, {})
        reason = self.reasons[column]
        if self.scorer.kind == "linear":
            return None
        if reason not in ("added", "has documents now"):
            return column
        parents = self.taxonomy.parents[column].tolist()
        return min(parents, key=lambda c: (int(self.support_C[c]), self.taxonomy.ids[c])) if parents else None

    def to_json(self) -> dict[str, Any]:
        """The plan as JSON values."""
        ids = self.taxonomy.ids
        rows = []
        for column in self.fitted:
            start = self.starts_from(column)
            rows.append(
                {
                    "id": ids[column],
                    "why": self.reasons[column],
                    "documents": int(self.support_C[column]),
                    "starts_from": None if start is None else ids[start],
                }
            )
        return {
            "scorer": self.scorer.kind,
            "categories": {"before": len(self.change.old), "after": len(self.taxonomy)},
            **self.change.to_json(),
            "fitted": rows,
            "without": [ids[c] for c in self.reasons if c not in self.fitted],
            "kept": int(self.kept_C.sum()),
            "disturbed": [ids[c] for c in self.change.disturbed if self.kept_C[c]],
            "networks": self.networks,
            "trains": self.trains,
        }

    @property
    def networks(self) -> int:
        """How many networks will be trained."""
        if self.scorer.kind == "categories":
            return len(self.fitted)
        return int(self.scorer.kind == "network" and (bool(self.fitted) or self.everything))

    @property
    def trains(self) -> str:
        """What will be trained, in words."""
        count = len(self.fitted)
        if self.everything:
            return "the whole network, and all thresholds"
        if not count:
            return "nothing"
        if self.scorer.kind == "network":
            return f"{count} row{'s' * (count > 1)} of the head"
        what = "network" if self.scorer.kind == "categories" else "linear model"
        return f"{count} {what}{'s' * (count > 1)}"

    def lines(self) -> Iterator[str]:
        """The plan for people."""
        value = self.to_json()
        before, after = value["categories"]["before"], value["categories"]["after"]
        yield f"{before:,} categories become {after:,}; kept as they are: {value['kept']:,}"
        yield from self.change.lines()
        for row in value["fitted"][:_SHOWN] if not self.everything else ():
            start = row["starts_from"]
            source = "" if self.scorer.kind == "linear" else f", from {start or 'fresh weights'}"
            source = ", from its own weights" if start == row["id"] else source
            yield f"  fit {row['id']}: {row['why']}, {row['documents']:,} documents{source}"
        if len(value["fitted"]) > _SHOWN and not self.everything:
            yield f"  ... and {len(value['fitted']) - _SHOWN:,} more"
        for ids, what in (
            (value["without"], "too few documents, so not fitted"),
            (value["disturbed"], "kept, although a move gives them other documents"),
        ):
            if ids:
                yield f"{what}: {', '.join(ids[:_SHOWN])}{', ...' if len(ids) > _SHOWN else ''}"
        yield f"to train: {self.trains}"

    def keep_thresholds(self, decider: Decider, config: Config) -> Decider:
        """``decider`` with the old thresholds of what is kept.

        Under ``max`` those of all else come to lie between the thresholds kept above and below them. Where a move put a
        kept category above a kept one with a lower threshold, the upper one is lowered: only so no decision contradicts
        the taxonomy.
        """
        if self.everything:
            return decider
        kept, before = np.flatnonzero(self._settled_C), self.change.old_C
        thresholds_C = decider.thresholds_C.copy()
        thresholds_C[kept] = self.thresholds_P[before[kept]]
        usual = self.thresholds_P[np.isfinite(self.thresholds_P)]
        if isinstance(config.decision.threshold, GlobalConfig) and len(usual):
            # One threshold for all: the model's.
            thresholds_C[~self._settled_C & np.isfinite(thresholds_C)] = usual.max()
        decoder = build_decoder(config.decision.decoding, self.taxonomy)
        if isinstance(decoder, Max):
            self._lift(thresholds_C)
        return replace(decider, thresholds_C=decoder.thresholds(thresholds_C)).following(decider.follows)

    def _lift(self, thresholds_C: np.ndarray) -> None:
        """Bring the thresholds of what is not kept up to those above them, in place."""
        # Of each category and, where it is never decided itself, of what stands above it.
        above_C = np.full(len(thresholds_C), -np.inf)
        for column, parents in enumerate(self.taxonomy.parents):  # parents before children
            least = above_C[parents].max(initial=-np.inf)
            if not self._settled_C[column]:
                thresholds_C[column] = max(thresholds_C[column], least)
            above_C[column] = thresholds_C[column] if np.isfinite(thresholds_C[column]) else least


def plan_growth(
    config: Config,
    scorer: Scorer,
    thresholds_P: np.ndarray,
    change: Change,
    corpus: Corpus,
    *,
    descendants: bool = False,
    everything: bool = False,
) -> Growth:
    """What is to be done.

    Args:
        corpus: all documents, with gold under the new taxonomy.
        descendants: what lies below a category that is fitted again is fitted again too.
        everything: of a network for all categories all weights train.

    Raises:
        UsageError: a scorer that cannot grow, or not so.
    """
    if scorer.kind not in ("network", "categories", "linear"):
        hint = "train anew under the new taxonomy; models of the strategies joint, linear and per_category can grow"
        raise UsageError(f"a model of the kind {scorer.kind!r} cannot grow", hint=hint)
    if everything and scorer.kind != "network":
        raise UsageError("acts on one network for all categories only", where="--train-all")
    assert corpus.train.labels is not None  # the corpus is labelled
    support_C = corpus.train.labels.counts(len(change.new))
    natural: Plan | None = None
    had_P = np.isfinite(thresholds_P)
    able_C = support_C > 0
    if scorer.kind == "categories":
        settings = config.training.strategy
        assert isinstance(settings, PerCategoryStrategyConfig)  # the scorer is of that strategy
        natural = Plan.of(change.new, settings, corpus.train.labels)
        had_P = own_networks(scorer.network_C)  # type: ignore[attr-defined]
        able_C = np.array([kind == "network" for kind in natural.kinds])
    reasons: dict[int, Reason] = {}
    for column, before in enumerate(change.old_C.tolist()):
        parents = change.new.parents[column].tolist()
        if everything:
            reasons[column] = "all are"
        elif before < 0:
            reasons[column] = "added"
        elif column in change.moved:
            reasons[column] = "moved"
        elif not had_P[before] and able_C[column]:
            reasons[column] = "has documents now"
        elif descendants and any(parent in reasons for parent in parents):
            reasons[column] = "below one that is fitted again"
    growth = Growth(change, scorer, thresholds_P, reasons, support_C, everything)
    if natural is None:
        return growth
    given: list[Kind] = [
        "network" if growth.kept_C[c] and had_P[change.old_C[c]] else kind
        for c, kind in enumerate(natural.kinds)
    ]
    plan = GrownPlan(change.new, natural.settings, support_C, len(corpus.train), given=tuple(given))
    return replace(growth, plan=plan)


def own_networks(network_C: np.ndarray) -> np.ndarray:
    """``[C]`` bool: the categories that have a network."""
    return network_C >= 0


def growing(
    config: Config, growth: Growth, former: Mapping[str, Mapping[str, Any]] | None = None
) -> Strategy:
    """The strategy that does it.

    Args:
        former: of a scorer of one network a category: facts of the old run's categories, by old id.
    """
    if growth.scorer.kind == "linear":
        from linnaea.strategies.growing.linear import GrowingLinear

        return GrowingLinear(config, growth)
    if growth.scorer.kind == "network":
        from linnaea.strategies.growing.network import GrowingNetwork

        return GrowingNetwork(config, growth)
    from linnaea.strategies.growing.categories import GrowingCategories

    return GrowingCategories(config, growth, former)
