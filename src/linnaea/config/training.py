"""The part "training": strategy, optimiser, schedule, stopping."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from linnaea.config.one_of import OneOf
from linnaea.config.part import Choice, Nested, Part
from linnaea.config.registry import optimizers, schedules, strategies
from linnaea.errors import ConfigError

Metric = Literal[
    "loss",
    "micro_f1",
    "macro_f1",
    "both_f1",
    "hierarchical_f1",
    "samples_f1",
    "weighted_f1",
    "average_precision",
    "f1",
]


class StrategyConfig(Choice):
    """Base of all strategies' settings.

    ``network``: it trains networks, so model and epochs act. ``blends``: it finds weights on held-out scores.
    """

    network: ClassVar[bool] = True
    blends: ClassVar[bool] = False


@strategies.declare("joint")
class JointConfig(StrategyConfig):
    """One network for all categories."""


@strategies.declare("linear")
class LinearConfig(StrategyConfig):
    """tf-idf and one linear model a category: the yardstick."""

    network: ClassVar[bool] = False
    model: Literal["svm", "logistic"] = Field(
        "svm", description="linear support vectors, or logistic regression"
    )
    C: float = Field(1.0, gt=0, description="inverse strength of regularisation, as in scikit-learn")
    balanced: bool = Field(False, description="weigh positives by negatives / positives")


class OptimizerConfig(Choice):
    """Base of all optimisers' settings."""


@optimizers.declare("adam")
class AdamConfig(OptimizerConfig):
    """Kingma & Ba 2015."""

    learning_rate: float = Field(0.001, gt=0, description="the highest, under a schedule")
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = Field(
        (0.9, 0.999), strict=False, description="how long the mean and the square of gradients are remembered"
    )
    eps: float = Field(1e-8, gt=0, description="keeps divisions finite")
    weight_decay: float = Field(
        0.0, ge=0, description="added to the gradient; embedding tables and biases are left out"
    )


@optimizers.declare("adamw")
class AdamWConfig(AdamConfig):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

    weight_decay: float = Field(0.01, ge=0, description="decoupled; embedding tables and biases are left out")


@optimizers.declare("adadelta")
class AdadeltaConfig(OptimizerConfig):
    """Zeiler 2012."""

    learning_rate: float = Field(1.0, gt=0, description="the highest, under a schedule")
    rho: float = Field(0.95, gt=0, lt=1, description="how long squares are remembered")
    eps: float = Field(1e-6, gt=0, description="keeps divisions finite")
    weight_decay: float = Field(
        0.0, ge=0, description="added to the gradient; embedding tables and biases are left out"
    )


@optimizers.declare("sgd")
class SGDConfig(OptimizerConfig):
    """Plain gradient descent, with momentum if wanted."""

    learning_rate: float = Field(0.1, gt=0, description="the highest, under a schedule")
    momentum: float = Field(0.0, ge=0, lt=1, description="how much of the last step is kept")
    nesterov: bool = Field(False, description="look ahead along the momentum")
    weight_decay: float = Field(
        0.0, ge=0, description="added to the gradient; embedding tables and biases are left out"
    )

    @model_validator(mode="after")
    def _fits(self) -> SGDConfig:
        if self.nesterov and not self.momentum:
            raise Nested(ConfigError("needs momentum above 0", where="nesterov"))
        return self


class ScheduleConfig(Choice):
    """Base of the learning-rate schedules; warm-up lies before all of them."""


@schedules.declare("constant")
class ConstantConfig(ScheduleConfig):
    """Always the learning rate."""


@schedules.declare("linear")
class LinearDecayConfig(ScheduleConfig):
    """From the learning rate down to ``final`` of it at the last step."""

    final: float = Field(0.0, ge=0, lt=1, description="part of the learning rate at the last step")


@schedules.declare("cosine")
class CosineConfig(ScheduleConfig):
    """From the learning rate down to ``final`` of it along half a cosine."""

    final: float = Field(0.0, ge=0, lt=1, description="part of the learning rate at the last step")


@schedules.declare("exponential")
class ExponentialConfig(ScheduleConfig):
    """Times ``rate`` every ``steps`` steps."""

    rate: float = Field(0.9, gt=0, le=1, description="factor")
    steps: int = Field(1000, ge=1, description="how often it acts")


class EarlyStoppingConfig(Part):
    """Stop after ``patience`` epochs without a better dev metric; the best epoch's weights are kept."""

    metric: Metric = Field("micro_f1", description="on dev, decided at the fixed threshold")
    patience: int = Field(5, ge=1, description="epochs without a better one")


class TrainingConfig(Part):
    """How the network is fitted."""

    strategy: Annotated[StrategyConfig, OneOf(strategies, "joint")] = Field(
        JointConfig(), description="what is fitted"
    )
    epochs: int = Field(20, ge=1, description="passes over train, at most")
    batch_size: int = Field(64, ge=1, description="documents a batch")
    batch_tokens: int | None = Field(
        None, ge=1, description="a budget of padded tokens a batch; then batch_size is its largest size"
    )
    optimizer: Annotated[OptimizerConfig, OneOf(optimizers, "adam")] = Field(
        AdamConfig(), description="how weights move"
    )
    schedule: Annotated[ScheduleConfig, OneOf(schedules, "constant")] = Field(
        ConstantConfig(), description="how the learning rate goes"
    )
    warmup_steps: int = Field(0, ge=0, description="the learning rate rises from 0 over so many steps")
    gradient_clip: float | None = Field(None, gt=0, description="largest norm of all gradients together")
    accumulate: int = Field(1, ge=1, description="batches a step")
    early_stopping: EarlyStoppingConfig | None = Field(
        EarlyStoppingConfig(), description="null: all epochs, the last weights"
    )
    precision: Literal["auto", "32", "bf16"] = Field(
        "auto", description="auto: bf16 on GPUs that have it, 32 elsewhere"
    )
    sparse_gradients: bool | Literal["auto"] = Field(
        "auto", description="row-wise updates of embedding tables; auto: where the table is large"
    )
    checkpoint_minutes: float = Field(
        5.0, ge=0, description="besides each epoch's end, a checkpoint after so many minutes; 0: every step"
    )

    @model_validator(mode="after")
    def _fits(self) -> TrainingConfig:
        if not self.strategy.network:
            for key in sorted(self.model_fields_set - {"strategy"}):
                message = f"does nothing under the strategy {self.strategy.type!r}"
                raise Nested(ConfigError(message, where=key, hint="leave it out"))
        return self
