"""The part "training": strategy, optimiser, schedule, stopping."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from linnaea.config.part import Choice, Nested, Part
from linnaea.config.registry import OneOf, optimizers, schedules, strategies
from linnaea.errors import ConfigError

Metric = Literal[
    "loss", "micro_f1", "macro_f1", "both_f1", "hierarchical_f1", "samples_f1", "average_precision", "f1"
]


class StrategyConfig(Choice):
    """Base of all strategies' settings. ``network``: it trains networks, so model, objective and epochs act."""

    network: ClassVar[bool] = True


@strategies.declare("joint")
class JointConfig(StrategyConfig):
    """One network for all categories."""


@strategies.declare("linear")
class LinearConfig(StrategyConfig):
    """tf-idf and one linear model a category: the yardstick."""

    network: ClassVar[bool] = False
    model: Literal["svm", "logistic"] = "svm"
    C: float = Field(1.0, gt=0, description="inverse strength of regularisation, as in scikit-learn")
    balanced: bool = Field(False, description="weigh positives by negatives / positives")


class OptimizerConfig(Choice):
    """Base of all optimisers' settings."""


@optimizers.declare("adam")
class AdamConfig(OptimizerConfig):
    learning_rate: float = Field(0.001, gt=0)
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = Field((0.9, 0.999), strict=False)
    eps: float = Field(1e-8, gt=0)
    weight_decay: float = Field(0.0, ge=0, description="added to the gradient; embedding tables are left out")


@optimizers.declare("adamw")
class AdamWConfig(AdamConfig):
    weight_decay: float = Field(0.01, ge=0, description="decoupled; embedding tables are left out")


@optimizers.declare("adadelta")
class AdadeltaConfig(OptimizerConfig):
    learning_rate: float = Field(1.0, gt=0)
    rho: float = Field(0.95, gt=0, lt=1)
    eps: float = Field(1e-6, gt=0)
    weight_decay: float = Field(0.0, ge=0)


@optimizers.declare("sgd")
class SGDConfig(OptimizerConfig):
    learning_rate: float = Field(0.1, gt=0)
    momentum: float = Field(0.0, ge=0, lt=1)
    nesterov: bool = False
    weight_decay: float = Field(0.0, ge=0)


class ScheduleConfig(Choice):
    """Base of the learning-rate schedules; warm-up lies before all of them."""


@schedules.declare("constant")
class ConstantConfig(ScheduleConfig):
    pass


@schedules.declare("linear")
class LinearDecayConfig(ScheduleConfig):
    """From the learning rate down to ``final`` of it at the last step."""

    final: float = Field(0.0, ge=0, lt=1)


@schedules.declare("cosine")
class CosineConfig(ScheduleConfig):
    final: float = Field(0.0, ge=0, lt=1)


@schedules.declare("exponential")
class ExponentialConfig(ScheduleConfig):
    """Times ``rate`` every ``steps`` steps."""

    rate: float = Field(0.9, gt=0, le=1)
    steps: int = Field(1000, ge=1)


class EarlyStoppingConfig(Part):
    """Stop after ``patience`` epochs without a better dev metric; the best epoch's weights are kept."""

    metric: Metric = "micro_f1"
    patience: int = Field(5, ge=1)


class TrainingConfig(Part):
    """How the network is fitted."""

    strategy: Annotated[StrategyConfig, OneOf(strategies)] = JointConfig()
    epochs: int = Field(20, ge=1)
    batch_size: int = Field(64, ge=1)
    batch_tokens: int | None = Field(None, ge=1, description="a budget of padded tokens a batch; then batch_size is its largest size")
    optimizer: Annotated[OptimizerConfig, OneOf(optimizers)] = AdamConfig()
    schedule: Annotated[ScheduleConfig, OneOf(schedules)] = ConstantConfig()
    warmup_steps: int = Field(0, ge=0)
    gradient_clip: float | None = Field(None, gt=0, description="largest norm of all gradients together")
    accumulate: int = Field(1, ge=1, description="batches a step")
    early_stopping: EarlyStoppingConfig | None = EarlyStoppingConfig()
    precision: Literal["auto", "32", "bf16"] = Field("auto", description="auto: bf16 on GPUs that have it, 32 elsewhere")
    sparse_gradients: bool | Literal["auto"] = Field("auto", description="row-wise updates of embedding tables; auto: where the table is large")
    checkpoint_minutes: float = Field(5.0, ge=0, description="besides each epoch's end, a checkpoint after so many minutes; 0: every step")

    @model_validator(mode="after")
    def _fits(self) -> TrainingConfig:
        if not self.strategy.network:
            for key in sorted(self.model_fields_set - {"strategy"}):
                message = f"does nothing under the strategy {self.strategy.type!r}"
                raise Nested(ConfigError(message, where=key, hint="leave it out"))
        return self
