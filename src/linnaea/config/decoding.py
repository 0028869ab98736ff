"""Config classes of the decoders: how the categories decided for a document are made to fit the taxonomy."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from linnaea.config.part import Choice
from linnaea.config.registry import decoders
from linnaea.errors import ConfigError

Closure = Literal["ancestors", "path", "none"]


class DecodingConfig(Choice):
    """Base of all ways to make a set of categories fit the taxonomy.

    A decoder that needs ancestors to be gold too names the closures that it works with in ``closures``; one
    that a cap means nothing to sets ``capped`` to False.
    """

    closures: ClassVar[tuple[Closure, ...]] = ("ancestors", "path", "none")
    capped: ClassVar[bool] = True

    def check(self, closure: Closure, top_k: int | None) -> None:
        """Refuse what this decoder cannot work with.

        Args:
            closure: of gold.
            top_k: the cap that was asked for; None: none was.

        Raises:
            ConfigError: its place is a key of ``decision``.
        """
        if closure not in self.closures:
            known = " or ".join(f'"{name}"' for name in self.closures)
            raise ConfigError(
                f'{self.type!r} cannot act under task.closure "{closure}": it needs {known}',
                where="decoding",
                hint='"max", "ancestors" and "top_down" go with every closure',
            )
        if top_k is not None and not self.capped:
            problem = f"{self.type!r} takes one whole path a document: no cap acts"
            raise ConfigError(problem, where="top_k", hint="leave it out")


@decoders.declare("none")
class NoDecodingConfig(DecodingConfig):
    """The thresholds alone."""


@decoders.declare("ancestors")
class AncestorsConfig(DecodingConfig):
    """Add all ancestors of what is decided."""


@decoders.declare("top_down")
class TopDownConfig(DecodingConfig):
    """Keep what has all its parents kept."""


@decoders.declare("max")
class MaxConfig(DecodingConfig):
    """A category's score is the largest among itself and its descendants, before thresholds are tuned."""


@decoders.declare("best")
class BestConfig(DecodingConfig):
    """The coherent set with the highest sum of log-odds over thresholds."""

    # With one parent of several enough, as under "path", finding the best set is NP-hard (set cover).
    closures: ClassVar[tuple[Closure, ...]] = ("ancestors",)


class PathConfig(DecodingConfig):
    """Base of the decoders that take exactly one path."""

    closures: ClassVar[tuple[Closure, ...]] = ("ancestors", "path")
    capped: ClassVar[bool] = False


@decoders.declare("one_path")
class OnePathConfig(PathConfig):
    """Exactly one path a document: the one with the highest sum of log-odds over thresholds."""

    to: Literal["any", "leaf"] = Field(
        "any", description="any: the path ends where the sum is highest; leaf: it goes down to a leaf"
    )


@decoders.declare("one_per_level")
class OnePerLevelConfig(PathConfig):
    """Exactly one category of each level, each a child of the one above, down to a leaf."""
