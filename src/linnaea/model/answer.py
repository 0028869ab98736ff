"""Answer: what a model says of one document; the one type behind a JSON line of ``predict``, the API and a server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ScoredCategory:
    """A category with its score.

    Attributes:
        path: names from the top along the first parent, joined by the separator.
        paths: all ways from the top (the first hundred), where there are several; else empty.
        decided: whether it belongs to the decision (always, unless all scores were asked for).
    """

    id: str
    name: str
    path: str
    score: float
    paths: tuple[str, ...] = ()
    decided: bool = True

    def to_json(self) -> dict[str, Any]:
        value: dict[str, Any] = {"id": self.id, "name": self.name, "path": self.path, "score": self.score}
        if self.paths:
            value["paths"] = list(self.paths)
        return value


@dataclass(frozen=True, slots=True)
class Answer:
    """The decision for one document, best score first.

    Attributes:
        complete: all categories stand here, decided or not (``--all``).
    """

    id: str
    categories: tuple[ScoredCategory, ...]
    complete: bool = False

    def to_json(self) -> dict[str, Any]:
        """``{"id", "categories": [{"id", "name", "path", "score"}, ...]}``; with all scores also ``"decided"``."""
        categories = []
        for category in self.categories:
            value = category.to_json()
            if self.complete:
                value["decided"] = category.decided
            categories.append(value)
        return {"id": self.id, "categories": categories}
