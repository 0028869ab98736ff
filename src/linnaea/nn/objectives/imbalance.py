"""Losses for categories of very different size: asymmetric, class-balanced, distribution-balanced.

All are means over categories, as the sigmoid losses in ``losses``, and stay finite for every finite logit.

Shape letters: B documents, C categories.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from linnaea.config.objective import AsymmetricConfig, ClassBalancedConfig, DistributionBalancedConfig
from linnaea.config.registry import losses
from linnaea.nn.batch import Bag
from linnaea.nn.objectives.base import Constant, Loss, focal, margins, unweighted
from linnaea.taxonomy.taxonomy import Taxonomy


@losses.register("asymmetric")
class Asymmetric(Loss):
    """Focal loss with another focus for positives than for negatives, of which the easiest drop out.

    Paper: Ridnik et al. 2021, "Asymmetric Loss For Multi-Label Classification" (https://arxiv.org/abs/2009.14119).
    Formula: mean over c of −(1 − p)^γ₊ ln p for positives and −q^γ₋ ln(1 − q) for negatives, p = sigmoid(z),
    q = max(p − m, 0); γ₊ = ``gamma_positive``, γ₋ = ``gamma_negative``, m = ``margin``.
    Differences: from the paper: a mean over categories, where it sums; the gradient also flows through the focusing
    factors, as the formula says, where its code can hold them fixed.
    Shapes: logits [B, C], labels -> [B].
    Cost: O(C) a document.
    When to use: where nearly all categories are negatives of nearly all documents. Scores are no probabilities any more
    and thresholds have to be tuned; class weights are refused, since no summand in the bias would take them back.

    Under a margin a negative that is scored near 1 has nearly no gradient: the paper holds it for a wrong label.
    """

    def __init__(self, config: AsymmetricConfig) -> None:
        super().__init__(config)
        self.positive, self.negative = config.gamma_positive, config.gamma_negative
        self.margin = config.margin

    def forward(self, logits_BC: Tensor, labels: Bag, weights_C: Tensor | None = None) -> Tensor:
        unweighted(weights_C, "asymmetric")
        has_BC = labels.dense(logits_BC.shape[1], torch.bool)
        return torch.where(has_BC, focal(logits_BC, self.positive), self._negatives(logits_BC)).mean(1)

    def _negatives(self, logits_BC: Tensor) -> Tensor:
        if self.margin == 0:
            return focal(-logits_BC, self.negative)
        # The upper bound acts under margins that rounding swallows.
        above_BC = (logits_BC.sigmoid() - self.margin).clamp(0, 1 - torch.finfo(logits_BC.dtype).eps)
        # A power of 0 has no slope under an exponent below 1; its factor, ln 1, is 0 there anyway.
        base_BC = torch.where(above_BC > 0, above_BC, 1.0)
        return -base_BC.pow(self.negative) * torch.log1p(-above_BC)


@losses.register("class_balanced")
class ClassBalanced(Loss):
    """Cross-entropy or focal loss in which rare categories count more, by effective numbers of documents.

    Paper: Cui et al. 2019, "Class-Balanced Loss Based on Effective Number of Samples"
    (https://arxiv.org/abs/1901.05555).
    Formula: mean over c of −r_c w_c (1 − p_t)^γ ln p_t; p_t = p for positives and 1 − p for negatives, w the class
    weights (of positives), r_c ∝ (1 − β) / (1 − β^n_c) with a mean of 1 over categories that have documents, n_c the
    documents of train in c.
    Differences: from the paper, which has one class a document: r_c weighs the positives and the negatives of c alike,
    so that at γ = 0 no score is moved, but rare categories take a larger part in training. A category without
    documents, of which there is nothing to learn but that it is rare, counts like the most common one. β is .9 unless told,
    as corpora here have tens of documents a category and not thousands: at .999 weights span 1 to 500 and more, and
    the encoder is made by categories of a few documents (rcv1-sample under textrcnn, one seed: micro-F1 .639 in place of .705).
    Shapes: logits [B, C], labels -> [B].
    Cost: O(C) a document.
    When to use: where rare categories should shape the encoder as much as common ones; beside class weights where they
    should also be decided more often.
    """

    def __init__(self, config: ClassBalancedConfig) -> None:
        super().__init__(config)
        self.beta, self.gamma = config.beta, config.gamma

    def prepare(self, taxonomy: Taxonomy, support_C: np.ndarray, documents: int) -> None:
        there_C = np.asarray(support_C) > 0
        ratio_C = (1 - self.beta) / -np.expm1(np.maximum(support_C, 1) * np.log(self.beta))
        if there_C.any():
            ratio_C = ratio_C / ratio_C[there_C].mean()
            ratio_C[~there_C] = ratio_C[there_C].min()
        self.ratio_C = Constant(ratio_C)

    def forward(self, logits_BC: Tensor, labels: Bag, weights_C: Tensor | None = None) -> Tensor:
        target_BC = labels.dense(logits_BC.shape[1], logits_BC.dtype)
        loss_BC = focal(margins(logits_BC, target_BC), self.gamma) * self.ratio_C.like(logits_BC)
        if weights_C is not None:
            loss_BC = loss_BC * torch.where(target_BC > 0, weights_C, 1.0)
        return loss_BC.mean(1)


@losses.register("distribution_balanced")
class DistributionBalanced(Loss):
    """Focal loss, rebalanced for labels that come together, and tolerant of negatives.

    Paper: Wu et al. 2020, "Distribution-Balanced Loss for Multi-Label Classification in Long-Tailed Datasets"
    (https://arxiv.org/abs/2007.09654); for text Huang et al. 2021, "Balancing Methods for Multi-label Text Classification
    with Long-Tailed Class Distribution" (https://arxiv.org/abs/2109.04712).
    Formula: mean over c of −r_c (1 − p_t)^γ ln p_t for positives and the same / λ for negatives, where p_t is
    sigmoid(z + ν) for positives and 1 − sigmoid(λ (z + ν)) for negatives; ν_c = −κ ln(N / n_c − 1);
    r_c = α + sigmoid(β (P_c / P − μ)), P_c = 1 / n_c, P = Σ P_c over the document's own categories. N: documents of
    train, n_c: those in c, λ = ``negative_scale``.
    Differences: from the papers: no further factors on the whole. A document without categories has the largest weight
    in all; n_c is at least 1 in P_c, and between ½ and N − ½ in ν. ν acts in training only, as in the papers.
    Shapes: logits [B, C], labels -> [B].
    Cost: O(C) a document.
    When to use: long-tailed taxonomies. In a hierarchy it also takes weight from the ancestors that come along with
    every rare category. Thresholds have to be tuned; class weights are refused, since rebalancing is in their place.
    """

    def __init__(self, config: DistributionBalancedConfig) -> None:
        super().__init__(config)
        self.config = config

    def prepare(self, taxonomy: Taxonomy, support_C: np.ndarray, documents: int) -> None:
        share_C = 1 / np.maximum(support_C, 1)
        inside_C = np.clip(support_C, 0.5, max(documents - 0.5, 0.5))
        shift_C = -self.config.kappa * np.log(np.maximum(documents - inside_C, 0.5) / inside_C)
        self.share_C, self.shift_C = Constant(share_C), Constant(shift_C)

    def forward(self, logits_BC: Tensor, labels: Bag, weights_C: Tensor | None = None) -> Tensor:
        unweighted(weights_C, "distribution_balanced")
        config, dtype = self.config, logits_BC.dtype
        target_BC = labels.dense(logits_BC.shape[1], dtype)
        share_C = self.share_C.like(logits_BC)
        ratio_BC = share_C / (target_BC @ share_C)[:, None]
        weight_BC = config.alpha + torch.sigmoid(config.beta * (ratio_BC - config.mu))
        scale_BC = torch.where(target_BC > 0, 1.0, config.negative_scale).to(dtype)
        margin_BC = margins(logits_BC + self.shift_C.like(logits_BC), target_BC) * scale_BC
        return (weight_BC / scale_BC * focal(margin_BC, config.gamma)).mean(1)
