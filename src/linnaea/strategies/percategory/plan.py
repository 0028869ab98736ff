"""Plan: which categories get a network, what each waits for, from whom it inherits, which documents it reads.

Negatives, by a document's closed labels L and its most specific ones S (those without a descendant in L), after Silla &
Freitas 2011, "A survey of hierarchical classification across different application domains"
(https://doi.org/10.1007/s10618-010-0175-9), Table 1; positives of c are the documents with c in L, under ``exclusive``
those with c in S:

- ``all``: every other document.
- ``siblings``: those with a sibling of c, but without c.
- ``inclusive``: those without c and without an ancestor of c in S.
- ``exclusive``: all that are not positive.

Under ``siblings`` and ``inclusive`` a network answers given the parent, and scores multiply on the way down. Under
``exclusive`` it answers whether a document goes no further than c, so that a category is as likely as the likeliest of it
and all below it.

Shape letters: N documents, C categories.
"""

from __future__ import annotations

import zlib
from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

from linnaea.config.percategory import PerCategoryStrategyConfig
from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy

Kind = Literal["network", "never", "always", "parent", "below"]
"""What a category gets: a network; no decision ever; one for every document; one wherever all its parents are decided;
one wherever a category below it is."""
LEAST_NEGATIVES = 200


@dataclass(frozen=True, eq=False)
class Examples:
    """Documents of one category.

    Attributes:
        rows: of train, ascending.
        positive: bool, which of ``rows`` have the category.
    """

    rows: np.ndarray
    positive: np.ndarray


@dataclass(frozen=True, eq=False)
class Plan:
    """What is to be done for each category.

    Args:
        support_C: documents of train in each category.
        documents: N of train.
        positives_C, negatives_C: documents that the policy gives each category; None: those with it, and all others.
    """

    taxonomy: Taxonomy
    settings: PerCategoryStrategyConfig
    support_C: np.ndarray
    documents: int
    positives_C: np.ndarray | None = None
    negatives_C: np.ndarray | None = None

    @classmethod
    def of(cls, taxonomy: Taxonomy, settings: PerCategoryStrategyConfig, labels: Ragged) -> Plan:
        """For documents with these closed labels."""
        plan = cls(taxonomy, settings, labels.counts(len(taxonomy)), len(labels))
        if settings.negatives == "all":
            return plan
        specific = most_specific(labels, taxonomy)
        examples = [plan.examples(column, labels, specific).positive for column in range(len(taxonomy))]
        positives_C = np.array([int(positive.sum()) for positive in examples])
        negatives_C = np.array([int((~positive).sum()) for positive in examples])
        return replace(plan, positives_C=positives_C, negatives_C=negatives_C)

    @cached_property
    def kinds(self) -> tuple[Kind, ...]:
        """What each category gets: a network, or why none."""
        # A dev part of its own takes a document away.
        least = max(self.settings.min_positives, 1 if self.settings.dev is None else 2)
        positives_C = self.support_C if self.positives_C is None else self.positives_C
        negatives_C = self.documents - self.support_C if self.negatives_C is None else self.negatives_C
        found: list[Kind] = [
            "network" if positives >= least and negatives else self._without(column, positives >= least)
            for column, (positives, negatives) in enumerate(
                zip(positives_C.tolist(), negatives_C.tolist(), strict=True)
            )
        ]
        if self.settings.negatives == "exclusive":
            for column in reversed(range(len(found))):
                if found[column] in ("network", "below", "always"):
                    for parent in self.taxonomy.parents[column].tolist():
                        found[parent] = "below" if found[parent] in ("never", "parent") else found[parent]
        return tuple(found)

    def _without(self, column: int, enough: bool) -> Kind:
        """What a category gets in a network's place; ``enough``: only negatives are missing."""
        followed = len(self.taxonomy.parents[column]) > 0
        if enough:
            # Given the parent it is certain; among all documents it is on each.
            return "parent" if followed and self.settings.negatives in ("siblings", "inclusive") else "always"
        return "parent" if followed and self.settings.without_network == "parent" else "never"

    @property
    def follows(self) -> tuple[int, ...]:
        """The columns that are decided wherever all their parents are."""
        return tuple(column for column, kind in enumerate(self.kinds) if kind == "parent")

    @cached_property
    def trained(self) -> tuple[int, ...]:
        """The columns that get a network, parents before children."""
        return tuple(column for column, kind in enumerate(self.kinds) if kind == "network")

    @cached_property
    def _nearest(self) -> tuple[tuple[int, ...], ...]:
        """For each category the nearest ancestors with a network: its parents, or theirs in place of those without."""
        found: list[tuple[int, ...]] = []
        for column in range(len(self.taxonomy)):
            near: set[int] = set()
            for parent in self.taxonomy.parents[column].tolist():
                near |= {parent} if self.kinds[parent] == "network" else set(found[parent])
            found.append(tuple(sorted(near)))
        return tuple(found)

    def waits_for(self, column: int) -> tuple[int, ...]:
        """The categories that must be done before ``column`` begins."""
        return self._nearest[column] if self.settings.start_from == "parent" else ()

    def ready(self, column: int, done: Container[int]) -> bool:
        return all(parent in done for parent in self.waits_for(column))

    def inherits_from(self, column: int, f1: Mapping[int, float]) -> int | None:
        """The category whose network ``column`` starts from; None: from fresh weights.

        Of several parents the one with the fewest documents of train, that is the most specific; ties go to the higher
        dev F1 (``f1``, by column), then to the lower id.
        """
        candidates = self.waits_for(column)
        if not candidates:
            return None
        return min(candidates, key=lambda c: (int(self.support_C[c]), -f1.get(c, 0.0), self.taxonomy.ids[c]))

    def frozen(self, column: int) -> bool:
        """Whether ``column`` keeps the embedding that it inherits as it is."""
        below = self.settings.freeze_embedding_below_level
        return below is not None and int(self.taxonomy.level_C[column]) > below

    def examples(self, column: int, labels: Ragged, specific: Ragged) -> Examples:
        """The documents that the network of ``column`` learns from, before any are left out by chance.

        Args:
            labels: of N documents, closed.
            specific: the same documents' most specific labels.
        """
        policy, everything = self.settings.negatives, np.arange(len(labels))
        positive = having(specific if policy == "exclusive" else labels, [column])
        if policy in ("all", "exclusive"):
            return Examples(everything, positive)
        if policy == "siblings":
            kept = positive | having(labels, self.taxonomy.siblings(column))
        else:
            above = [c for c in self.taxonomy.ancestors[column].tolist() if c != column]
            kept = positive | ~having(specific, above)
        return Examples(everything[kept], positive[kept])

    def sampled(self, examples: Examples, column: int, seed: int) -> tuple[Examples, float]:
        """Fewer negatives, where the settings ask for that, and the share of them that was kept."""
        times = self.settings.negatives_per_positive
        negative = np.flatnonzero(~examples.positive)
        if times is None or not len(negative):
            return examples, 1.0
        wanted = max(LEAST_NEGATIVES, round(times * int(examples.positive.sum())))
        if wanted >= len(negative):
            return examples, 1.0
        rng = np.random.default_rng(own_seed(seed, self.taxonomy.ids[column], "negatives"))
        drawn = rng.choice(negative, wanted, replace=False)
        kept = np.sort(np.concatenate([np.flatnonzero(examples.positive), drawn]))
        return Examples(examples.rows[kept], examples.positive[kept]), wanted / len(negative)


def own_seed(seed: int, id: str, purpose: str) -> int:
    """Of what is drawn for a category: its own, whatever the other categories are."""
    return int(np.random.SeedSequence([seed, zlib.crc32(f"{purpose} {id}".encode())]).generate_state(1)[0])


def having(labels: Ragged, columns: object) -> np.ndarray:
    """``[N]`` bool: the documents with one of ``columns``."""
    hit = np.isin(labels.values, np.asarray(columns, dtype=np.int64))
    found = np.zeros(len(labels), dtype=bool)
    found[labels.rows[hit]] = True
    return found


def most_specific(labels: Ragged, taxonomy: Taxonomy) -> Ragged:
    """Of each document's closed labels those without a descendant among them."""
    rows = []
    for row in labels:
        above = {int(a) for column in row.tolist() for a in taxonomy.ancestors[column] if a != column}
        rows.append([column for column in row.tolist() if column not in above])
    return Ragged.from_rows(rows)
