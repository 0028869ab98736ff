"""Settings of the strategy per_category (modules: ``strategies/percategory/``), and its rules across the parts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from pydantic import Field, field_validator, model_validator

from linnaea.config.outcome import ThresholdConfig
from linnaea.config.part import Nested, Part
from linnaea.config.registry import strategies, thresholds
from linnaea.config.training import StrategyConfig
from linnaea.errors import ConfigError

if TYPE_CHECKING:
    from linnaea.config.config import Config

PAPER = [1.0, 2.0, 3.0, 5.0, 10.0, 30.0, 50.0]
"""The class weights that the HTrans paper searches."""

METRICS = ("f1", "loss", "average_precision")

Executor = Literal["auto", "local", "grouped", "ray"]
EXECUTORS: tuple[str, ...] = get_args(Executor)


@thresholds.declare("strategy")
class StrategyThresholdConfig(ThresholdConfig):
    """What a per-category run found: 1 / (1 + class weight), or each category's exact best on dev."""


class OwnDevConfig(Part):
    """A dev part for each category alone, stratified by it."""

    per_category: float = Field(
        0.15, gt=0, lt=1, description="share of train and dev together; each category draws its own"
    )


@strategies.declare("per_category")
class PerCategoryStrategyConfig(StrategyConfig):
    """One binary network a category, each started from its parent's: HTrans (Banerjee 2019)."""

    start_from: Literal["parent", "scratch"] = Field(
        "parent",
        description="parent: embedder and encoder begin as those of the parent; the head is always fresh",
    )
    search: Literal["weights", "threshold"] = Field(
        "threshold",
        description="weights: one training for each of class_weights, the best on dev; "
        "threshold: one training, then the exact best threshold on dev",
    )
    class_weights: list[Annotated[float, Field(gt=0)]] = Field(
        PAPER, min_length=1, description="weights of positives that are tried; of search weights"
    )
    transferred_learning_rate: float | None = Field(
        0.0005, gt=0, description="of what was inherited; null: the optimizer's"
    )
    freeze_embedding_below_level: int | None = Field(
        1, ge=1, description="deeper categories keep their top ancestor's embedding as it is; null: none do"
    )
    negatives: Literal["all", "siblings", "inclusive", "exclusive"] = Field(
        "all", description="which documents without the category it learns from (Silla and Freitas 2011)"
    )
    negatives_per_positive: float | None = Field(
        None,
        gt=0,
        description="so many times as many negatives as positives, at least 200; null: all of them",
    )
    min_positives: int = Field(1, ge=1, description="with fewer documents a category gets no network")
    without_network: Literal["never", "parent"] = Field(
        "never", description="such a category is never decided, or whenever all its parents are"
    )
    dev: OwnDevConfig | None = Field(None, description="null: all categories share data.dev")
    executor: Executor = Field(
        "auto",
        description="local: processes on this machine; grouped: a level at once as one network; "
        "ray: a cluster; auto: grouped on a GPU, else local",
    )
    workers: int | None = Field(None, ge=1, description="processes of local; null: one a core")

    @field_validator("class_weights")
    @classmethod
    def _distinct(cls, value: list[float]) -> list[float]:
        if len(set(value)) != len(value):
            raise ValueError("names a weight twice")
        return value

    @model_validator(mode="after")
    def _acts(self) -> PerCategoryStrategyConfig:
        for key, problem in self.idle.items():
            if self.given(key):
                raise Nested(ConfigError(problem, where=key, hint="leave it out"))
        if self.negatives != "all" and self.search == "weights":
            message = (
                f"under {self.negatives!r} negatives a score is conditional: class weights give no threshold"
            )
            raise Nested(ConfigError(message, where="search", hint='use "threshold"'))
        if self.negatives != "all" and self.dev is not None:
            message = (
                f"under {self.negatives!r} negatives thresholds need dev documents that all categories share"
            )
            raise Nested(ConfigError(message, where="dev", hint="give data.dev, or leave it out"))
        return self

    @property
    def idle(self) -> dict[str, str]:
        """The keys that do nothing beside the others, and why."""
        found = {}
        if self.start_from == "scratch":
            for key in ("transferred_learning_rate", "freeze_embedding_below_level"):
                found[key] = 'acts only with "start_from": "parent"'
        if self.search != "weights":
            found["class_weights"] = 'acts only with "search": "weights"'
        if self.executor not in ("auto", "local"):
            found["workers"] = f'acts only with the executor "local", not with {self.executor!r}'
        return found


def resolve(config: Config) -> Config:
    """``config`` with the defaults that the strategy sets in other parts.

    Raises:
        ConfigError: a part does not go with one network a category.
    """
    strategy = config.training.strategy
    if not isinstance(strategy, PerCategoryStrategyConfig):
        weighted = strategy.network and config.objective.class_weights is not None
        if isinstance(config.decision.threshold, StrategyThresholdConfig) and not weighted:
            problem = f"the strategy {strategy.type!r} finds no thresholds without class weights"
            hint = 'use "per_category", "global" or "fixed"'
            raise ConfigError(problem, where="decision.threshold", hint=hint)
        return config
    _check(config, strategy)
    update: dict[str, Any] = {}
    stopping = config.training.early_stopping
    if stopping is not None and not stopping.given("metric"):
        stopping = stopping.model_copy(update={"metric": "f1"})
        update["training"] = config.training.model_copy(update={"early_stopping": stopping})
    if not config.decision.given("threshold") and config.task.type != "multiclass":
        update["decision"] = config.decision.model_copy(update={"threshold": StrategyThresholdConfig()})
    return config.model_copy(update=update)


def _check(config: Config, strategy: PerCategoryStrategyConfig) -> None:
    encoder, objective = config.model.encoder, config.objective
    if strategy.start_from == "parent" and not encoder.inheritable:
        problem = f"the encoder {encoder.type!r} has no parameters that a category could inherit"
        hint = 'use "scratch", or another encoder'
        raise ConfigError(problem, where="training.strategy.start_from", hint=hint)
    if config.model.head.type != "linear":
        problem = f"one network a category has the head 'linear', not {config.model.head.type!r}"
        raise ConfigError(problem, where="model.head")
    if objective.class_weights is not None:
        hint = 'use training.strategy.class_weights with "search": "weights"'
        raise ConfigError("the strategy per_category finds them", where="objective.class_weights", hint=hint)
    if objective.recursive is not None:
        problem = "one network a category has no weights to tie along the taxonomy"
        raise ConfigError(problem, where="objective.recursive_penalty", hint="leave it out")
    if objective.loss is not None and objective.loss.scores == "softmax":
        hint = 'use "bce"'
        raise ConfigError("one network a category is binary", where="objective.loss", hint=hint)
    _check_loss(config, strategy)
    stopping = config.training.early_stopping
    if stopping is not None and stopping.given("metric") and stopping.metric not in METRICS:
        problem = f"{stopping.metric!r} is of several categories, each network here has one"
        hint = f"use one of {', '.join(METRICS)}"
        raise ConfigError(problem, where="training.early_stopping.metric", hint=hint)
    for key, part in config.decision.held_out.items():
        if part.on == "cross" or strategy.dev is not None:
            what = "thresholds of one network a category are" if key == "threshold" else "scores are"
            made = "tuned" if key == "threshold" else "calibrated"
            problem = f"{what} {made} on dev documents that all categories share"
            hint = 'use "strategy"' if key == "threshold" else "give data.dev, or leave it out"
            raise ConfigError(problem, where=f"decision.{key}", hint=hint)
    if config.run.devices != 1:
        problem = "one network a category is spread out by training.strategy.executor"
        raise ConfigError(problem, where="run.devices", hint="leave it out")


def _check_loss(config: Config, strategy: PerCategoryStrategyConfig) -> None:
    loss = config.objective.loss
    if loss is None:
        return
    if loss.relative:
        problem = f"{loss.type!r} weighs categories against each other; one network a category has one"
        raise ConfigError(problem, where="objective.loss", hint='use "bce", "focal_sigmoid" or "asymmetric"')
    if not loss.weighable and strategy.search == "weights":
        problem = f"under the loss {loss.type!r} class weights give no threshold"
        raise ConfigError(problem, where="training.strategy.search", hint='use "threshold"')
