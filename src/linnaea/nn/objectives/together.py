"""Losses over all categories of a document together: the max constraint, and one log-sum of both sides.

Shape letters: B documents, C categories.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from linnaea.config.objective import MaxConstraintConfig
from linnaea.config.registry import losses
from linnaea.errors import ConfigError
from linnaea.nn.batch import Bag
from linnaea.nn.objectives.base import Loss, unweighted
from linnaea.nn.objectives.constraint import MaxConstraint
from linnaea.taxonomy.taxonomy import Taxonomy


@losses.register("max_constraint")
class MaxConstraintLoss(Loss):
    """Cross-entropy of scores that never contradict the taxonomy: each the largest among itself and its descendants.

    Paper: Giunchiglia & Lukasiewicz 2020, "Coherent Hierarchical Multi-Label Classification Networks"
    (https://arxiv.org/abs/2010.10151).
    Formula: mean over c of −y_c ln max_d(y_d p_d) − (1 − y_c) ln(1 − max_d p_d), d over c and its descendants,
    p = sigmoid(z).
    Differences: computed on logits, where a maximum is the same and nothing rounds to 0 or 1; categories are worked
    through level by level instead of over all pairs. The gradient goes to the one largest logit: of equal ones to the
    category's own, else to that of the child with the lowest column.
    Shapes: logits [B, C], labels -> [B].
    Cost: O(edges) a document, of two maxima; memory O(C).
    When to use: in hierarchical tasks where a child must not be decided without its parents: at any one threshold none
    is. A category learns from what no descendant of it explains. Class weights are refused: a weight would move the
    scores of all ancestors, and no summand in the bias takes that back.
    """

    constraint: MaxConstraint

    def __init__(self, config: MaxConstraintConfig) -> None:
        super().__init__(config)

    def prepare(self, taxonomy: Taxonomy, support_C: np.ndarray, documents: int) -> None:
        if not len(taxonomy.parents.values):
            problem = "'max_constraint' needs a taxonomy with edges; this one has a single level"
            raise ConfigError(problem, where="objective.loss", hint="use 'bce'")
        self.constraint = MaxConstraint(taxonomy)

    def forward(self, logits_BC: Tensor, labels: Bag, weights_C: Tensor | None = None) -> Tensor:
        unweighted(weights_C, "max_constraint")
        has_BC = labels.dense(logits_BC.shape[1], torch.bool)
        lowest = torch.finfo(logits_BC.dtype).min
        positive_BC = self.constraint(logits_BC.masked_fill(~has_BC, lowest))
        margin_BC = torch.where(has_BC, positive_BC, -self.constraint(logits_BC))
        return functional.softplus(-margin_BC).mean(1)


@losses.register("zlpr")
class ZLPR(Loss):
    """Every category of a document above zero, every other below it, in one log-sum of each side.

    Paper: Su et al. 2022, "ZLPR: A Novel Loss for Multi-label Classification" (https://arxiv.org/abs/2208.02955).
    Formula: ln(1 + Σ e^z over the other categories) + ln(1 + Σ e^−z over the document's own).
    Differences: none. It is not divided by the number of categories: the worst of each side count, not all.
    Shapes: logits [B, C], labels -> [B].
    Cost: O(C) a document.
    When to use: many categories of which a document has few; it needs no weights. A logit of 0 is a score of one half, the
    default threshold, but scores are no probabilities. Class weights are refused: they have no place in a log-sum.
    """

    def forward(self, logits_BC: Tensor, labels: Bag, weights_C: Tensor | None = None) -> Tensor:
        unweighted(weights_C, "zlpr")
        has_BC = labels.dense(logits_BC.shape[1], torch.bool)
        zero_B1 = logits_BC.new_zeros(len(logits_BC), 1)
        sides = (logits_BC.masked_fill(has_BC, -torch.inf), (-logits_BC).masked_fill(~has_BC, -torch.inf))
        negative_B, positive_B = (torch.cat([zero_B1, side_BC], 1).logsumexp(1) for side_BC in sides)
        return negative_B + positive_B
