"""Losses: logits and labels to one number a document.

Sigmoid losses are means over categories (NeuralClassifier's scale: with a mean over documents, a mean over
B·C); softmax losses read exactly one label a document. A class weight multiplies the positive term of its
category and nothing is divided by it, so that under cross-entropy it shifts the best logit by ln w, which can
be taken back in the bias. All are computed by log-sigmoid and log-softmax and stay finite for every finite
logit. Losses for imbalance lie in ``imbalance``, those over all categories of a document together in ``together``.

Shape letters: B documents, C categories.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from linnaea.config.objective import FocalSigmoidConfig, FocalSoftmaxConfig
from linnaea.config.registry import losses
from linnaea.nn.batch import Bag
from linnaea.nn.objectives import imbalance, together
from linnaea.nn.objectives.base import Loss, focal, margins


@losses.register("bce")
class BCE(Loss):
    """Binary cross-entropy over independent categories.

    Paper: none of its own: the likelihood of independent yes-or-no decisions.
    Formula: mean over c of −w_c y_c ln p_c − (1 − y_c) ln(1 − p_c), p = sigmoid(z), w the class weights.
    Differences: none; the mean over categories is the scale of NeuralClassifier's loss.
    Shapes: logits [B, C], labels -> [B].
    Cost: O(C) a document.
    When to use: by default, wherever a document may have several categories.
    """

    def forward(self, logits_BC: Tensor, labels: Bag, weights_C: Tensor | None = None) -> Tensor:
        target_BC = labels.dense(logits_BC.shape[1], logits_BC.dtype)
        loss_BC = functional.binary_cross_entropy_with_logits(
            logits_BC, target_BC, pos_weight=weights_C, reduction="none"
        )
        return loss_BC.mean(1)


@losses.register("focal_sigmoid")
class FocalSigmoid(Loss):
    """Focal loss over independent categories: what is decided rightly and surely counts little.

    Paper: Lin et al. 2017, "Focal Loss for Dense Object Detection" (https://arxiv.org/abs/1708.02002).
    Formula: mean over c of −α_t (1 − p_t)^γ ln p_t; p_t = p for positives and 1 − p for negatives, α_t = α and 1 − α.
    Differences: from the paper: a mean over categories, where it divides by the number of positives; no α unless asked for.
    At the paper's .25 a score of one half is best for documents of which three in four are in the category, so that decisions
    at .5 leave out too many: on valueeval it cost 7 points of micro-F1 and 9 of macro-F1.
    Shapes: logits [B, C], labels -> [B].
    Cost: O(C) a document.
    When to use: where easy negatives drown the few positives; thresholds have to be tuned, since scores are drawn to the
    middle.
    """

    def __init__(self, config: FocalSigmoidConfig) -> None:
        super().__init__(config)
        self.alpha, self.gamma = config.alpha, config.gamma

    def forward(self, logits_BC: Tensor, labels: Bag, weights_C: Tensor | None = None) -> Tensor:
        target_BC = labels.dense(logits_BC.shape[1], logits_BC.dtype)
        loss_BC = focal(margins(logits_BC, target_BC), self.gamma)
        if self.alpha is not None:
            loss_BC = loss_BC * (self.alpha * target_BC + (1 - self.alpha) * (1 - target_BC))
        if weights_C is not None:
            loss_BC = loss_BC * torch.where(target_BC > 0, weights_C, 1.0)
        return loss_BC.mean(1)


@losses.register("softmax")
class Softmax(Loss):
    """Cross-entropy over exactly one category a document.

    Paper: none of its own: the likelihood of one category of many.
    Formula: −w_y ln p_y, p = softmax(z), y the document's category, w the class weights.
    Differences: none.
    Shapes: logits [B, C], one label a document -> [B].
    Cost: O(C) a document.
    When to use: in multiclass tasks, where it is the default.
    """

    def forward(self, logits_BC: Tensor, labels: Bag, weights_C: Tensor | None = None) -> Tensor:
        target_B = single_labels(labels)
        return _weighted(functional.cross_entropy(logits_BC, target_B, reduction="none"), target_B, weights_C)


@losses.register("focal_softmax")
class FocalSoftmax(Loss):
    """Focal loss over exactly one category a document.

    Paper: Lin et al. 2017, "Focal Loss for Dense Object Detection" (https://arxiv.org/abs/1708.02002).
    Formula: −w_y (1 − p_y)^γ ln p_y, p = softmax(z), y the document's category, w the class weights.
    Differences: from the paper: the form for one category of many; it has no α but the class weights.
    Shapes: logits [B, C], one label a document -> [B].
    Cost: O(C) a document.
    When to use: in multiclass tasks in which a few common categories are learned soon and the others are not.
    """

    def __init__(self, config: FocalSoftmaxConfig) -> None:
        super().__init__(config)
        self.gamma = config.gamma

    def forward(self, logits_BC: Tensor, labels: Bag, weights_C: Tensor | None = None) -> Tensor:
        target_B = single_labels(labels)
        log_p_BC = functional.log_softmax(logits_BC, dim=1)
        # ln(1 - p_y) off the other categories, since 1 - p_y itself loses all its digits near 1.
        lowest = torch.finfo(log_p_BC.dtype).min
        log_rest_B = log_p_BC.scatter(1, target_B[:, None], lowest).logsumexp(1)
        log_p_B = log_p_BC.gather(1, target_B[:, None])[:, 0]
        return _weighted(-torch.exp(self.gamma * log_rest_B) * log_p_B, target_B, weights_C)


def single_labels(labels: Bag) -> Tensor:
    """``[B]``: the one column of each document.

    Raises:
        ValueError: there are not as many labels as documents.
    """
    if len(labels.values) != len(labels):
        raise ValueError(
            f"a softmax loss reads exactly one label a document, not {len(labels.values)} of {len(labels)}"
        )
    return labels.values


def _weighted(loss_B: Tensor, target_B: Tensor, weights_C: Tensor | None) -> Tensor:
    return loss_B if weights_C is None else loss_B * weights_C[target_B]


__all__ = [
    "BCE",
    "FocalSigmoid",
    "FocalSoftmax",
    "Loss",
    "Softmax",
    "imbalance",
    "single_labels",
    "together",
]
