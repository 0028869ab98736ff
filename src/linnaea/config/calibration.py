"""Calibration settings (modules: ``decision/calibration.py``), and what all parts share that look at held-out scores."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from linnaea.config.part import Choice, Nested, Part
from linnaea.config.registry import calibrations
from linnaea.errors import ConfigError

Held = Literal["dev", "cross"]


class HeldOut(Part):
    """Keys of everything that is found on scores of documents that the scorer did not learn from."""

    on: Held | None = Field(
        None,
        description="dev, or out-of-fold scores over train and dev; "
        "default: dev for networks, cross for linear",
    )
    folds: int = Field(5, ge=2, description="of cross")

    @model_validator(mode="after")
    def _fits(self) -> HeldOut:
        if self.on == "dev" and self.given("folds"):
            raise Nested(ConfigError('acts only with "on": "cross"', where="folds"))
        return self


class CalibrationConfig(Choice, HeldOut):
    """Base of all ways to make scores mean shares."""

    of_rows: ClassVar[bool] = False
    """Whether it can be done to all scores of a document at once, of which one category is right (multiclass)."""


@calibrations.declare("temperature")
class TemperatureConfig(CalibrationConfig):
    """Divide the log-odds by a temperature: a half stays a half. Of multiclass tasks the log scores, by one for all."""

    of_rows: ClassVar[bool] = True

    enough: int = Field(
        10,
        ge=1,
        description="positives, and negatives, from which on a category has a temperature of its own; "
        "the others share one",
    )


@calibrations.declare("platt")
class PlattConfig(CalibrationConfig):
    """A line through the log-odds: logistic regression on the score."""

    enough: int = Field(
        10,
        ge=1,
        description="positives, and negatives, from which on a category has a line of its own; "
        "the others share one",
    )


@calibrations.declare("isotonic")
class IsotonicConfig(CalibrationConfig):
    """The rising curve that fits best, whatever its form: for many documents."""

    enough: int = Field(
        100,
        ge=1,
        description="positives, and negatives, from which on a category has a curve of its own; "
        "the others share one",
    )
