"""The objective: loss + recursive regularisation, and the ways back from weighted training to plain scores.

Shape letters: B documents, C categories, E edges.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from linnaea.config.objective import BCEConfig, LossConfig, ObjectiveConfig
from linnaea.config.registry import losses
from linnaea.errors import ConfigError, suggest
from linnaea.nn.batch import Batch
from linnaea.nn.network import HeadOutput, Network
from linnaea.nn.objectives.base import Loss
from linnaea.nn.objectives.constraint import MaxConstraint
from linnaea.nn.objectives.recursive import RecursivePenalty
from linnaea.taxonomy.taxonomy import Taxonomy

LARGEST_BALANCED = 100.0
"""Bound of "balanced" class weights."""


class Objective(nn.Module):
    """``mean over documents of the loss + λ · recursive penalty``.

    Args:
        config: the settings; a missing loss is "bce".
        taxonomy: columns and edges.
        support_C: documents of train in each category, for weights and losses that go by it.
        documents: documents of train.

    Attributes:
        weights_C: class weights, float32, or None.
        kind: how logits become scores under this loss.

    Raises:
        ConfigError: a class weight names a category that is not in the taxonomy, or the loss cannot do with that.
    """

    weights_C: Tensor | None

    def __init__(
        self, config: ObjectiveConfig, taxonomy: Taxonomy, support_C: np.ndarray, documents: int
    ) -> None:
        super().__init__()
        loss = config.loss or BCEConfig()
        self.loss: nn.Module = losses.build(loss)
        if isinstance(self.loss, Loss):
            self.loss.prepare(taxonomy, np.asarray(support_C), documents)
        self.kind: Literal["sigmoid", "softmax"] = loss.scores
        penalty = config.recursive
        self.penalty = (
            None
            if penalty is None
            else RecursivePenalty(penalty, taxonomy, documents, by_category=loss.by_category)
        )
        weights_C = class_weights(config, taxonomy, support_C, documents)
        self.register_buffer(
            "weights_C", None if weights_C is None else torch.from_numpy(weights_C), persistent=False
        )

    def forward(
        self,
        output: HeadOutput,
        batch: Batch,
        network: Network,
        documents_in_step: int | Tensor | None = None,
    ) -> Tensor:
        """The share of ``batch`` in the objective of a step, a scalar.

        Args:
            output: logits of ``batch``; where it has readings, their losses are added up in place of the logits'.
            batch: with labels.
            network: its head's ``tied_rows`` are tied along the taxonomy's edges.
            documents_in_step: documents of all batches and all processes whose shares are added up to one
                step; this batch's unless given. The penalty is shared out by documents too, so that the
                shares of a step sum to the objective of all its documents as one batch. (A wrapper that
                averages gradients over processes needs the share times their number.)
        """
        if batch.labels is None:
            raise ValueError("the batch has no labels")
        readings = output.readings or (output.logits_BC,)
        total = torch.stack([self._sum(logits_BC, batch) for logits_BC in readings]).sum()
        if output.penalty_B is not None:
            total = total + _at_least_float32(output.penalty_B).sum()
        if self.penalty is not None:
            total = total + len(batch) * self.penalty(network.head.tied_rows())
        return total / (len(batch) if documents_in_step is None else documents_in_step)

    def _sum(self, logits_BC: Tensor, batch: Batch) -> Tensor:
        wide_BC = _at_least_float32(logits_BC)
        weights_C = None if self.weights_C is None else self.weights_C.to(wide_BC.dtype)
        loss_B: Tensor = self.loss(wide_BC, batch.labels, weights_C)
        return loss_B.sum()


def class_weights(
    config: ObjectiveConfig, taxonomy: Taxonomy, support_C: np.ndarray, documents: int
) -> np.ndarray | None:
    """``[C]`` float32 weights of positives, or None where none are asked for.

    Balanced: negatives / positives within 1/100 and 100; 1 for a category without positives, where none acts.
    """
    given = config.class_weights
    if given is None:
        return None
    if given == "balanced":
        positives_C = np.asarray(support_C, dtype=np.float64)
        ratio_C = (documents - positives_C) / np.maximum(positives_C, 1)
        ratio_C = np.clip(ratio_C, 1 / LARGEST_BALANCED, LARGEST_BALANCED)
        return np.where(positives_C > 0, ratio_C, 1.0).astype(np.float32)
    if isinstance(given, str):
        raise ValueError(f"{given!r}: the strategy puts numbers in its place")
    weights_C = np.ones(len(taxonomy), dtype=np.float32)
    for name, weight in given.items():
        if name not in taxonomy.index:
            place = "objective.class_weights"
            raise ConfigError(f"there is no category {name!r}", where=place, hint=suggest(name, taxonomy.ids))
        weights_C[taxonomy.index[name]] = weight
    return weights_C


def unfold_class_weights(network: Network, weights_C: Tensor | np.ndarray) -> None:
    """Put in what ``fold_class_weights`` takes out, bias += ln w: where training begins from unweighted log-odds.

    A bias that begins at the share of train is ln w away from what the weighted loss wants, and a small learning rate never
    gets there: at .001 a weight of 50 is 3,900 steps of Adam.
    """
    _move_biases(network, torch.as_tensor(weights_C).log())


def fold_class_weights(network: Network, weights_C: Tensor | np.ndarray) -> None:
    """Take the shift of class weights out of the logits: bias −= ln w, once, after training.

    Raises:
        ConfigError: the head has no bias over categories.
    """
    if not network.head.biases():
        raise ConfigError(
            "this head has no bias, class weights cannot be taken back", where="objective.class_weights"
        )
    _move_biases(network, -torch.as_tensor(weights_C).log())


def _move_biases(network: Network, shift_C: Tensor) -> None:
    with torch.no_grad():
        for bias_C in network.head.biases():
            bias_C += shift_C.to(bias_C)


def constraint_of(loss: LossConfig, taxonomy: Taxonomy) -> MaxConstraint | None:
    """What scores pass at the end, so that none is below a descendant's; None: nothing."""
    return MaxConstraint(taxonomy) if loss.coherent else None


def scores(
    logits: Tensor, kind: Literal["sigmoid", "softmax"], constraint: MaxConstraint | None = None
) -> Tensor:
    """Scores in [0, 1] of logits ``[..., C]`` (``[B, C]`` under a constraint), in float32 (float64 stays)."""
    wide = _at_least_float32(logits)
    found = wide.sigmoid() if kind == "sigmoid" else wide.softmax(-1)
    # After the sigmoid: two equal logits can come out of it a last bit apart.
    return found if constraint is None else constraint.to(found.device)(found)


def _at_least_float32(values: Tensor) -> Tensor:
    return values if values.dtype == torch.float64 else values.float()
