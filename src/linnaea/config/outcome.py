"""The parts "decision", "evaluation" and "run": thresholds and decoding, what is measured, where it runs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from linnaea.config.part import Choice, Nested, Part
from linnaea.config.registry import OneOf, decoders, metrics, thresholds
from linnaea.errors import ConfigError

Aim = Literal["micro_f1", "macro_f1", "both"]


class ThresholdConfig(Choice):
    """Base of all threshold rules."""


@thresholds.declare("fixed")
class FixedConfig(ThresholdConfig):
    """The same score for all categories."""

    value: float = Field(0.5, ge=0, le=1, description="the least score that is decided")


class TunedConfig(ThresholdConfig):
    """Base of the thresholds that are found on held-out documents."""

    aim: Aim = Field("both", description="what is made best; both: the mean of the two")
    on: Literal["dev", "cross"] | None = Field(
        None,
        description="dev, or out-of-fold scores over train and dev; "
        "default: dev for networks, cross for linear",
    )
    folds: int = Field(5, ge=2, description="of cross")

    @model_validator(mode="after")
    def _fits(self) -> TunedConfig:
        if self.on == "dev" and self.given("folds"):
            raise Nested(ConfigError('acts only with "on": "cross"', where="folds"))
        return self


@thresholds.declare("global")
class GlobalConfig(TunedConfig):
    """One threshold for all categories, the best for the aim."""


@thresholds.declare("per_category")
class PerCategoryConfig(TunedConfig):
    """One threshold a category, drawn to the global one where positives n are few: n / (n + shrinkage)."""

    shrinkage: float = Field(
        5.0, ge=0, description="how many positives weigh as much as the global threshold"
    )


class DecodingConfig(Choice):
    """Base of all ways to make a set of categories fit the taxonomy."""


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


class DecisionConfig(Part):
    """From scores to sets of categories."""

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

    The linear strategy works on the CPU: ``devices``, ``deterministic`` and ``listeners`` are for networks.
    """

    dir: str = Field("runs/linnaea", min_length=1, description="the run folder, from the current folder")
    seed: int = Field(1, ge=0, lt=2**31, description="of everything that is drawn at random")
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        "auto", description="auto: a GPU where there is one"
    )
    devices: Count | Numbers = Field(1, description="how many, or which; under torchrun its world decides")
    threads: int | None = Field(None, ge=1, description="CPU threads of this process; null: torch's choice")
    deterministic: bool = Field(False, description="bit-equal repeats on a GPU too, at a price in speed")
    listeners: list[Literal["tensorboard"]] = Field([], description="besides history.jsonl")
