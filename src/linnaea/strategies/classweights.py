"""Class weights that a per-category run found best, for the joint training of one network ("from RUN")."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from linnaea.config.config import Config
from linnaea.errors import ConfigError
from linnaea.files import read_json
from linnaea.taxonomy.taxonomy import Taxonomy

TABLE = "categories.json"
"""What a per-category run tells of each category; in its run folder."""
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


def with_weights(config: Config) -> tuple[Config, FoundWeights | None]:
    """``config`` with the numbers in place of ``"from RUN"``, and where they come from."""
    given = config.objective.class_weights
    if not isinstance(given, str) or given == "balanced":
        return config, None
    found = FoundWeights.read(given.removeprefix("from ").strip())
    objective = config.objective.model_copy(update={"class_weights": found.weights})
    return config.model_copy(update={"objective": objective}), found
