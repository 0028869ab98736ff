"""The part "objective": the loss, class weights and recursive regularisation."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from linnaea.config.one_of import OneOf
from linnaea.config.part import Choice, Nested, Part, shown
from linnaea.config.registry import losses
from linnaea.errors import ConfigError

FROM = re.compile(r"from \S.*")
FromRun = Annotated[str, Field(pattern=f"^{FROM.pattern}$")]
"""``"from RUN"``: a run folder, from the current folder."""


class LossConfig(Choice):
    """Base of all losses' settings.

    Class facts: ``scores`` says how logits become scores under this loss, ``coherent`` that a score is the largest
    among its category and the descendants of that, ``relative`` that the categories of a document are weighed
    against each other, so that the loss says nothing of one alone, ``by_category`` that a document's loss is a mean
    over its categories, not one for all together, ``weighable`` that it takes class weights: a
    weight of positives moves the logit of its own category only, about as far as under ``bce``, and so can be taken
    back in the bias.
    """

    scores: ClassVar[Literal["sigmoid", "softmax"]] = "sigmoid"
    coherent: ClassVar[bool] = False
    relative: ClassVar[bool] = False
    by_category: ClassVar[bool] = True
    weighable: ClassVar[bool] = True


@losses.declare("bce")
class BCEConfig(LossConfig):
    """Binary cross-entropy on logits, mean over documents and categories."""


@losses.declare("focal_sigmoid")
class FocalSigmoidConfig(LossConfig):
    """Focal loss over independent categories (Lin 2017)."""

    alpha: float | None = Field(
        None,
        ge=0,
        le=1,
        description="weight of positives, 1 - alpha of negatives (Lin 2017: 0.25, under which a score of 0.5 "
        "stands for a chance of 0.75); null: none",
    )
    gamma: float = Field(2.0, ge=0, description="how little easy documents count; 0: as in bce")


@losses.declare("softmax")
class SoftmaxConfig(LossConfig):
    """Cross-entropy over exactly one category a document."""

    scores: ClassVar[Literal["sigmoid", "softmax"]] = "softmax"
    by_category: ClassVar[bool] = False


@losses.declare("focal_softmax")
class FocalSoftmaxConfig(LossConfig):
    """Focal loss over exactly one category a document."""

    scores: ClassVar[Literal["sigmoid", "softmax"]] = "softmax"
    by_category: ClassVar[bool] = False
    gamma: float = Field(2.0, ge=0, description="how little easy documents count; 0: as in softmax")


@losses.declare("max_constraint")
class MaxConstraintConfig(LossConfig):
    """Cross-entropy under which a category's score is never below a descendant's (Giunchiglia 2020)."""

    coherent: ClassVar[bool] = True
    relative: ClassVar[bool] = True
    weighable: ClassVar[bool] = False


@losses.declare("asymmetric")
class AsymmetricConfig(LossConfig):
    """Focal loss with another focus for positives than for negatives, the easiest of which drop out (Ridnik 2021)."""

    weighable: ClassVar[bool] = False

    gamma_positive: float = Field(0.0, ge=0, description="how little easy positives count; 0: as in bce")
    gamma_negative: float = Field(4.0, ge=0, description="how little easy negatives count; 0: as in bce")
    margin: float = Field(
        0.05, ge=0, lt=1, description="taken off the score of negatives: those below it do not count at all"
    )


@losses.declare("class_balanced")
class ClassBalancedConfig(LossConfig):
    """Cross-entropy or focal loss in which categories count by their effective number of documents (Cui 2019)."""

    relative: ClassVar[bool] = True

    beta: float = Field(
        0.9,
        gt=0,
        lt=1,
        description="documents beyond about 1 / (1 - beta) add nothing to a category's number; "
        "near 1: weights are one over the number of documents (the papers: 0.9 to 0.9999)",
    )
    gamma: float = Field(0.0, ge=0, description="of the focal loss beneath; 0: cross-entropy")


@losses.declare("distribution_balanced")
class DistributionBalancedConfig(LossConfig):
    """Focal loss, rebalanced for labels that come together, and tolerant of negatives (Wu 2020)."""

    relative: ClassVar[bool] = True
    weighable: ClassVar[bool] = False

    alpha: float = Field(0.1, ge=0, description="added to all rebalancing weights, so that none is near 0")
    beta: float = Field(10.0, gt=0, description="how sharply rebalancing tells rare from common")
    mu: float = Field(0.2, ge=0, description="the ratio at which the rebalancing weight is at its middle")
    negative_scale: float = Field(
        5.0, gt=0, description="factor on the logits of negatives, taken off their loss; 1: none"
    )
    kappa: float = Field(
        0.05, ge=0, description="share of the log-odds of a category's frequency in its margin; 0: none"
    )
    gamma: float = Field(2.0, ge=0, description="how little easy documents count; 0: no focus")


@losses.declare("zlpr")
class ZLPRConfig(LossConfig):
    """Every category of a document above zero, every other below, in one log-sum (Su 2022)."""

    relative: ClassVar[bool] = True
    by_category: ClassVar[bool] = False
    weighable: ClassVar[bool] = False


class RecursivePenaltyConfig(Part):
    """Recursive regularisation by more than its factor: one of factor and C is given."""

    factor: float | None = Field(None, gt=0, description="λ, what the number alone would be")
    C: float | None = Field(
        None,
        gt=0,
        description="of Gopal & Yang 2013, fits train of any size: λ = 1 / (C · documents of train · categories), or "
        "1 / (C · documents) under zlpr, softmax, focal_softmax, which are no means over categories",
    )
    dag: Literal["edges", "mean_parent"] = Field(
        "edges",
        description="edges: each pair of a child and a parent is pulled together; "
        "mean_parent: a child and the mean of its parents; the same in a tree",
    )
    root: bool = Field(
        False, description="pull top categories to zero, as if the root were their parent (the paper)"
    )


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
    recursive_penalty: Annotated[float, Field(ge=0)] | RecursivePenaltyConfig = Field(
        0.0,
        description="on the head's rows along the taxonomy's edges (Gopal & Yang 2013): its factor λ, or an object",
    )

    @field_validator("recursive_penalty")
    @classmethod
    def _one_strength(cls, value: float | RecursivePenaltyConfig) -> float | RecursivePenaltyConfig:
        if isinstance(value, RecursivePenaltyConfig):
            if value.factor is not None and value.C is not None:
                raise Nested(ConfigError("C and factor say the same", where="C", hint="give one of the two"))
            if value.factor is None and value.C is None:
                raise Nested(ConfigError("has no strength", hint="give factor or C"))
        return value

    @field_validator("class_weights", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        """One message for all words that are neither."""
        if isinstance(value, str) and value != "balanced" and not FROM.fullmatch(value):
            raise ValueError(f"must be an object, 'balanced' or 'from RUN', not {shown(value)}")
        return value

    @model_validator(mode="after")
    def _weighable(self) -> ObjectiveConfig:
        loss = self.loss
        if self.class_weights is not None and loss is not None and not loss.weighable:
            problem = f"under the loss {loss.type!r} weights cannot be taken back from the scores"
            raise Nested(ConfigError(problem, where="class_weights", hint="leave it out, or use 'bce'"))
        return self

    @property
    def recursive(self) -> RecursivePenaltyConfig | None:
        """The penalty as an object; None: there is none."""
        given = self.recursive_penalty
        if isinstance(given, RecursivePenaltyConfig):
            return given
        return RecursivePenaltyConfig(factor=given) if given > 0 else None
