"""Class weights that a per-category run found best, for the joint training of one network ("from RUN").

A run that takes them keeps them: it goes on, and its model grows, when RUN is gone or has changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from linnaea.config.config import Config
from linnaea.errors import ConfigError, DataError
from linnaea.files import read_json, write_json
from linnaea.taxonomy.taxonomy import Taxonomy

TABLE = "categories.json"
"""What a per-category run tells of each category; in its run folder."""
KEPT = "class_weights.json"
"""What a run took from another; in its run folder."""
PLACE = "objective.class_weights"


@dataclass(frozen=True)
class FoundWeights:
    """The weights of a run.

    Attributes:
        place: of the file they stand in.
        digest: of the run's taxonomy.
        weights: by category id; those that got no network are left out.
    """

    place: Path
    digest: str
    weights: dict[str, float]

    @classmethod
    def read(cls, run: str) -> FoundWeights:
        """The weights of the run folder ``run``, from the current folder.

        Raises:
            ConfigError: it is no finished per-category run with ``search`` weights.
        """
        place = Path(run) / TABLE
        hint = 'a finished run of the strategy per_category with "search": "weights" has one'
        if not place.is_file():
            raise ConfigError(f"there is no {TABLE} in {run!r}", where=PLACE, hint=hint)
        value = read_json(place)
        try:
            rows = {row["id"]: row for row in value["categories"] if row["network"]}
            weights = {id: float(row["weight"]) for id, row in rows.items()}
            searched = any(len(row["tried"]) > 1 for row in rows.values())
            digest = str(value["taxonomy"])
        except (KeyError, TypeError, ValueError):
            raise ConfigError(f"does not hold class weights: {place}", where=PLACE, hint=hint) from None
        if not searched:
            raise ConfigError(f"no class weights were searched in {run!r}", where=PLACE, hint=hint)
        return cls(place, digest, weights)

    @classmethod
    def kept(cls, folder: Path) -> FoundWeights | None:
        """What the run in ``folder`` took; None: nothing.

        Raises:
            DataError: the file is broken.
        """
        place = folder / KEPT
        if not place.is_file():
            return None
        value = read_json(place)
        try:
            weights = {str(id): float(weight) for id, weight in value["weights"].items()}
            return cls(place, str(value["taxonomy"]), weights)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise DataError("does not hold class weights", where=str(place)) from None

    def check(self, taxonomy: Taxonomy) -> None:
        """Refuse weights of another taxonomy.

        Raises:
            ConfigError: that is what they are.
        """
        if self.digest != taxonomy.digest:
            problem = f"{self.place} is of another taxonomy than task.taxonomy"
            raise ConfigError(
                problem, where=PLACE, hint="weights go with the taxonomy that they were found on"
            )


def with_weights(config: Config, folder: Path | None = None) -> tuple[Config, FoundWeights | None]:
    """``config`` with the numbers in place of ``"from RUN"``, and where they come from.

    Args:
        folder: of a run that began with ``config``; those that it took are its own.
    """
    given = config.objective.class_weights
    if not isinstance(given, str) or given == "balanced":
        return config, None
    found = None if folder is None else FoundWeights.kept(folder)
    found = found or FoundWeights.read(given.removeprefix("from ").strip())
    objective = config.objective.model_copy(update={"class_weights": found.weights})
    return config.model_copy(update={"objective": objective}), found


def keep_weights(weights: FoundWeights | None, taxonomy: Taxonomy, folder: Path | None) -> None:
    """Write the weights, if there are any, into the run folder; None: another process does.

    Raises:
        ConfigError: they are of another taxonomy.
    """
    if weights is None:
        return
    weights.check(taxonomy)
    if folder is not None:
        write_json(folder / KEPT, {"taxonomy": weights.digest, "weights": weights.weights})
