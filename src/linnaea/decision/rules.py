"""What all threshold rules share, and the promise that some of them come with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from linnaea.config.part import shown
from linnaea.decision.cuts import Evidence
from linnaea.decision.saved import finite, inside
from linnaea.errors import ConfigError, ModelError
from linnaea.taxonomy.taxonomy import Taxonomy

Kind = Literal["recall", "wrong categories", "wrong documents"]


@dataclass(frozen=True)
class Promise:
    """What thresholds hold on documents like those that they were found on.

    Attributes:
        kind: ``recall``: at least ``level`` of each category's documents are found. ``wrong categories``: at most
            ``level`` of a document's categories are wrong, in the mean over documents. ``wrong documents``: at
            most ``level`` of the documents have a wrong category.
        documents: that it rests on.
        exact: False where their scores came from other scorers (out of fold).
        shared: of ``recall``: ids of categories with too few documents for a promise of their own; it holds for
            documents with any of them: at least ``level`` of these have all of theirs found.
        cut: of ``recall``: ids of categories for which it does not hold, since a cap or ``evaluation.keep`` takes
            too many of their scores away.
        followed: of ``recall``: ids of categories for which it does not hold, since they are decided with their parents.
    """

    kind: Kind
    level: float
    documents: int
    exact: bool
    shared: tuple[str, ...] = ()
    cut: tuple[str, ...] = ()
    followed: tuple[str, ...] = ()

    def without(self, follows: Sequence[int], taxonomy: Taxonomy) -> Promise:
        """The same, with what follows its parents; of ``recall`` it is not held for these."""
        ids = tuple(taxonomy.ids[column] for column in follows)
        return replace(self, followed=ids) if self.kind == "recall" else self

    def told(self, decided: int) -> str:
        """One line for people; ``decided``: categories that can be decided at all."""
        held = f"{self.documents:,} held-out documents"
        if self.kind == "recall":
            text = f"recall of {self.level:g} by {held}: {decided - len(self.shared)} categories by their own"
            if self.shared:
                text += f"; {len(self.shared)} have too few and share a threshold: {_some(self.shared)}"
            if self.cut:
                text += f"; not held for {len(self.cut)} of which too many scores are cut: {_some(self.cut)}"
            if self.followed:
                text += (
                    f"; not held for {len(self.followed)} that follow their parents: {_some(self.followed)}"
                )
        elif self.kind == "wrong categories":
            text = f"of a document's categories at most {self.level:g} wrong in the mean, by {held}"
        else:
            text = f"at most {self.level:g} of the documents with a wrong category, by {held}"
        return text if self.exact else f"{text} (not exact: their scores are out of fold)"

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), **{key: list(getattr(self, key)) for key in ("shared", "cut", "followed")}}

    @classmethod
    def from_json(cls, value: object, taxonomy: Taxonomy, where: str | None) -> Promise:
        """What ``to_json`` gave.

        Raises:
            ModelError: broken.
        """
        keys = ("kind", "level", "documents", "exact", "shared", "cut")
        if not isinstance(value, Mapping) or any(key not in value for key in keys):
            raise ModelError(f"not a promise: {shown(value)}", where=where)
        if value["kind"] not in get_args(Kind):
            raise ModelError(
                f"must be one of {', '.join(get_args(Kind))}, not {shown(value['kind'])}",
                where=inside(where, "kind"),
            )
        value = {"followed": [], **value}  # which older models do not have
        for key in ("shared", "cut", "followed"):
            ids = value[key]
            if not isinstance(ids, list) or any(id not in taxonomy.index for id in ids):
                raise ModelError(f"must name categories, not {shown(ids)}", where=inside(where, key))
        level = finite(value["level"], inside(where, "level"), 0, 1)
        documents = finite(value["documents"], inside(where, "documents"), 0)
        return cls(
            value["kind"],
            level,
            int(documents),
            value["exact"] is True,
            tuple(value["shared"]),
            tuple(value["cut"]),
            tuple(value["followed"]),
        )


def _some(ids: tuple[str, ...]) -> str:
    return ", ".join(ids[:5]) + (", ..." if len(ids) > 5 else "")


class ThresholdRule:
    """Base of the rules that thresholds are found by; a plug-in brings its ``Config`` inside."""

    def __init__(self, config: Any) -> None:
        self.config = config

    def find(self, evidence: Evidence | None, columns: int) -> np.ndarray:
        """``[C]`` thresholds.

        Args:
            evidence: what to tune on; None where there is nothing.
            columns: C.
        """
        raise NotImplementedError

    def promise(self, evidence: Evidence) -> Promise | None:
        """What the thresholds that ``find`` gives for the same evidence hold; None: nothing is promised."""
        return None


def given(evidence: Evidence | None, rule: str) -> Evidence:
    """``evidence``.

    Raises:
        ConfigError: there is none.
    """
    if evidence is None:
        raise ConfigError(
            f"{rule!r} thresholds need scores of labelled documents to tune on",
            where="decision.threshold",
            hint='give data.dev, or use "fixed"',
        )
    return evidence
