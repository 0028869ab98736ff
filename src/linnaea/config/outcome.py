"""The parts "decision", "evaluation" and "run": thresholds and decoding, what is measured, where it runs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from linnaea.config.calibration import CalibrationConfig, Held, HeldOut
from linnaea.config.decoding import DecodingConfig, NoDecodingConfig
from linnaea.config.one_of import OneOf
from linnaea.config.part import Choice, Nested, Part
from linnaea.config.registry import calibrations, decoders, metrics, thresholds
from linnaea.errors import ConfigError

Aim = Literal["micro_f1", "macro_f1", "both"]


class ThresholdConfig(Choice):
    """Base of all threshold rules."""


@thresholds.declare("fixed")
class FixedConfig(ThresholdConfig):
    """The same score for all categories."""

    value: float = Field(0.5, ge=0, le=1, description="the least score that is decided")


class TunedConfig(ThresholdConfig, HeldOut):
    """Base of the thresholds that are the best for an aim on held-out documents."""

    aim: Aim = Field("both", description="what is made best; both: the mean of the two")


@thresholds.declare("global")
class GlobalConfig(TunedConfig):
    """One threshold for all categories, the best for the aim."""


@thresholds.declare("per_category")
class PerCategoryConfig(TunedConfig):
    """One threshold a category, drawn to the global one where positives n are few: n / (n + shrinkage)."""

    shrinkage: float = Field(
        5.0, ge=0, description="how many positives weigh as much as the global threshold"
    )


class PromisedConfig(ThresholdConfig, HeldOut):
    """Base of the thresholds that come with a promise, which held-out documents back."""

    on: Held | None = Field(
        None,
        description="dev, the default; cross: out-of-fold scores over train and dev, and no exact promise",
    )


@thresholds.declare("conformal")
class ConformalConfig(PromisedConfig):
    """One threshold a category, at which a promised share of its documents is found."""

    recall: float = Field(0.9, gt=0, lt=1, description="the share of a category's documents that is promised")

    @field_validator("recall", mode="before")
    @classmethod
    def _share(cls, value: object) -> object:
        return _share(value)


@thresholds.declare("cautious")
class CautiousConfig(PromisedConfig):
    """One threshold for all, at which wrong decisions stay below a promised share: unsure of a child, the parent is given."""

    error: float = Field(0.1, gt=0, lt=1, description="the share that is promised not to be passed")
    of: Literal["categories", "documents"] = Field(
        "categories",
        description="categories: of a document's categories that are wrong, the mean over documents; "
        "documents: of documents with any wrong category",
    )

    @field_validator("error", mode="before")
    @classmethod
    def _share(cls, value: object) -> object:
        return _share(value)


def _share(value: object) -> object:
    """``value``; what looks like a percentage is refused with what was meant."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 1 < value < 100:
        hint = f"{value} % are {value / 100:g}"
        raise Nested(ConfigError(f"must lie between 0 and 1, not {value}", hint=hint))
    return value


class DecisionConfig(Part):
    """From scores to sets of categories."""

    calibration: Annotated[CalibrationConfig, OneOf(calibrations)] | None = Field(
        None, description="what makes scores mean shares, before anything is decided; null: nothing does"
    )
    threshold: Annotated[ThresholdConfig, OneOf(thresholds, "fixed")] = Field(
        FixedConfig(), description="from which score on a category is decided"
    )
    decoding: Annotated[DecodingConfig, OneOf(decoders, "none")] = Field(
        NoDecodingConfig(), description="how the set is made to fit the taxonomy"
    )
    top_k: int | None = Field(
        None,
        ge=1,
        description="at most so many categories a document, the best, before decoding; "
        "null: evaluation.keep where that is given, else no cap",
    )

    @property
    def held_out(self) -> dict[str, HeldOut]:
        """The parts that look at held-out scores, by key; once a config is resolved, all at the same."""
        parts = {"threshold": self.threshold, "calibration": self.calibration}
        return {key: part for key, part in parts.items() if isinstance(part, HeldOut)}

    @property
    def tuned(self) -> HeldOut | None:
        """Any of them; None: there is none."""
        return next(iter(self.held_out.values()), None)


class MetricConfig(Choice):
    """Base of the settings of further metrics."""


FurtherMetric = Annotated[MetricConfig, OneOf(metrics)]


class EvaluationConfig(Part):
    """What is measured."""

    ranks: list[Annotated[int, Field(ge=1)]] = Field(
        [1, 3, 5], min_length=1, description="k of precision@k; the largest is nDCG's"
    )
    keep: int | None = Field(
        None,
        ge=1,
        description="keep only so many best scores a document (very large taxonomies); what was not kept "
        "cannot be decided, so decision.top_k is at most this, and this where it is not given",
    )
    metrics: list[FurtherMetric] = Field(
        [], description="further metrics, beside those that are always measured"
    )
    baseline: Literal["linear"] | None = Field(
        "linear",
        description="what is trained on the same documents and measured beside the run: tf-idf and linear models; "
        "null: nothing, as under the strategy linear, which is the baseline itself",
    )

    @field_validator("ranks")
    @classmethod
    def _ascending(cls, value: list[int]) -> list[int]:
        if len(set(value)) != len(value):
            raise ValueError("names a rank twice")
        return sorted(value)

    @field_validator("metrics")
    @classmethod
    def _distinct(cls, value: list[MetricConfig]) -> list[MetricConfig]:
        names = [metric.type for metric in value]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"names the metric {name!r} twice")
        return value


Count = Annotated[int, Field(ge=1)]
Numbers = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]


class RunConfig(Part):
    """Where the run lives and on what it runs. ``dir`` is relative to the current folder.

    The linear strategy works on the CPU: ``devices`` and ``deterministic`` are for networks.
    """

    dir: str = Field("runs/linnaea", min_length=1, description="the run folder, from the current folder")
    seed: int = Field(1, ge=0, lt=2**31, description="of everything that is drawn at random")
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto", description="auto: a GPU where there is one"
    )
    devices: Count | Numbers = Field(1, description="how many, or which; under torchrun its world decides")
    threads: int | None = Field(None, ge=1, description="CPU threads of this process; null: torch's choice")
    deterministic: bool = Field(False, description="bit-equal repeats on a GPU too, at a price in speed")
    listeners: list[Literal["tensorboard", "mlflow"]] = Field(
        [],
        description="besides history.jsonl: curves in the folder tensorboard of the run; a run in MLflow, where "
        "MLFLOW_TRACKING_URI says, else in the folder mlruns. They hear of the epochs of a network for all categories, "
        "and of every strategy's result",
    )
