"""Strategies and scorers by name, imported when they are needed: linear models work without torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from linnaea.config.config import Config
from linnaea.config.ensemble import EnsembleStrategyConfig
from linnaea.config.percategory import PerCategoryStrategyConfig
from linnaea.config.registry import strategies
from linnaea.config.training import JointConfig, LinearConfig
from linnaea.errors import ModelError, suggest
from linnaea.strategies.base import Scorer, Strategy
from linnaea.taxonomy.taxonomy import Taxonomy

if TYPE_CHECKING:
    from linnaea.text.featurizer import Featurizer


@strategies.register("joint")
def joint(settings: JointConfig, *, whole: Config) -> Strategy:
    """One network for all categories."""
    from linnaea.strategies.joint import JointStrategy

    return JointStrategy(settings, whole)


@strategies.register("linear")
def linear(settings: LinearConfig, *, whole: Config) -> Strategy:
    """tf-idf and one linear model a category."""
    from linnaea.strategies.linear import LinearStrategy

    return LinearStrategy(settings, whole)


@strategies.register("per_category")
def per_category(settings: PerCategoryStrategyConfig, *, whole: Config) -> Strategy:
    """One network a category."""
    from linnaea.strategies.percategory.strategy import PerCategoryStrategy

    return PerCategoryStrategy(settings, whole)


@strategies.register("ensemble")
def ensemble(settings: EnsembleStrategyConfig, *, whole: Config) -> Strategy:
    """Several scorers as one."""
    from linnaea.strategies.ensemble import EnsembleStrategy

    return EnsembleStrategy(settings, whole)


def build_strategy(config: Config) -> Strategy:
    """The strategy that ``config.training.strategy`` names."""
    return cast(Strategy, strategies.build(config.training.strategy, whole=config))


def load_scorer(
    kind: str,
    folder: Path,
    config: Config,
    taxonomy: Taxonomy,
    featurizer: Featurizer,
    *,
    device: str = "auto",
) -> Scorer:
    """The scorer in a model folder.

    Args:
        kind: "network", "categories", "linear" or "ensemble", as ``model.json`` says.
        device: where a network works: auto, cpu, cuda or mps. Linear models always use the CPU.

    Raises:
        ModelError: unknown kind; weights missing, truncated, not finite, or of other sizes than the rest.
        UsageError: there is no such device here.
    """
    if kind == "linear":
        from linnaea.strategies.linear import LinearScorer

        return LinearScorer.load(folder, config, taxonomy, featurizer)
    if kind == "network":
        from linnaea.strategies.network import NetworkScorer

        return NetworkScorer.load(folder, config, taxonomy, featurizer, device=device)
    if kind == "categories":
        from linnaea.strategies.percategory.networks import CategoryScorer

        return CategoryScorer.load(folder, config, taxonomy, featurizer, device=device)
    if kind == "ensemble":
        from linnaea.strategies.ensemble import EnsembleScorer

        return EnsembleScorer.load(folder, config, taxonomy, device=device)
    hint = suggest(kind, ("network", "categories", "linear", "ensemble")) or "a newer version may know it"
    raise ModelError(f"there is no scorer {kind!r}", where=str(folder / "model.json"), hint=hint)
