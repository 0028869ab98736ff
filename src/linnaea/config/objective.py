"""The part "objective": the loss, class weights and recursive regularisation."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from linnaea.config.part import Choice, Part, shown
from linnaea.config.registry import OneOf, losses

FROM = re.compile(r"from \S.*")
FromRun = Annotated[str, Field(pattern=f"^{FROM.pattern}$")]
"""``"from RUN"``: a run folder, from the current folder."""


class LossConfig(Choice):
    """Base of all losses' settings. ``scores``: how logits become scores under this loss."""

    scores: ClassVar[Literal["sigmoid", "softmax"]] = "sigmoid"


@losses.declare("bce")
class BCEConfig(LossConfig):
    """Binary cross-entropy on logits, mean over documents and categories."""


@losses.declare("focal_sigmoid")
class FocalSigmoidConfig(LossConfig):
    """Focal loss over independent categories (Lin 2017)."""

    alpha: float | None = Field(
        0.25, ge=0, le=1, description="weight of positives, 1 - alpha of negatives; null: none"
    )
    gamma: float = Field(2.0, ge=0, description="how little easy documents count; 0: as in bce")


@losses.declare("softmax")
class SoftmaxConfig(LossConfig):
    """Cross-entropy over exactly one category a document."""

    scores: ClassVar[Literal["sigmoid", "softmax"]] = "softmax"


@losses.declare("focal_softmax")
class FocalSoftmaxConfig(LossConfig):
    """Focal loss over exactly one category a document."""

    scores: ClassVar[Literal["sigmoid", "softmax"]] = "softmax"
    gamma: float = Field(2.0, ge=0, description="how little easy documents count; 0: as in softmax")


class ObjectiveConfig(Part):
    """What is minimised: loss + recursive_penalty · Σ over edges ½‖w_parent − w_child‖²."""

    loss: Annotated[LossConfig, OneOf(losses)] | None = Field(
        None, description="default: bce; softmax for multiclass"
    )
    class_weights: dict[str, Annotated[float, Field(gt=0)]] | FromRun | Literal["balanced"] | None = Field(
        None,
        description="weight of a category's positives, by id; "
        "balanced: negatives / positives of train, within 1/100 and 100; "
        "from RUN: those that a per_category run with search weights found best",
    )
    recursive_penalty: float = Field(
        0.0, ge=0, description="on the head's rows along the taxonomy's edges (Gopal & Yang 2013)"
    )

    @field_validator("class_weights", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        """One message for all words that are neither."""
        if isinstance(value, str) and value != "balanced" and not FROM.fullmatch(value):
            raise ValueError(f"must be an object, 'balanced' or 'from RUN', not {shown(value)}")
        return value
