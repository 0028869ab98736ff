"""The rules for losses. Shape letters: B documents, C categories."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from linnaea.config.heads import ModelConfig
from linnaea.config.objective import LossConfig
from linnaea.config.registry import losses
from linnaea.nn.batch import Bag
from linnaea.nn.objectives.base import Loss
from linnaea.testing.cases import Case, close, must
from linnaea.testing.learning import STEPS, learned
from linnaea.testing.worlds import closed, make_bag, make_labels, sizes, taxonomy


@dataclass(frozen=True)
class LossCase:
    """One loss under one choice of settings."""

    config: LossConfig
    device: str = "cpu"

    def loss(self) -> torch.nn.Module:
        built: torch.nn.Module = losses.build(self.config)
        if isinstance(built, Loss):
            built.prepare(taxonomy(), sizes().support_C, sizes().documents)
        return built.to(self.device)

    def logits_BC(self, documents: int = 6) -> Tensor:
        values = np.random.default_rng(3).normal(size=(documents, len(taxonomy())))
        return torch.from_numpy(values).to(self.device)

    def rows(self, documents: int = 6) -> list[list[int]]:
        """Labels of each document; under a softmax one each, under a coherent loss with all ancestors."""
        rows = make_labels(np.random.default_rng(4), documents, self.config.scores == "softmax")
        return closed(rows) if self.config.coherent else rows

    def labels(self, documents: int = 6) -> Bag:
        return make_bag(self.rows(documents)).to(self.device)


def one_number_a_document(case: LossCase) -> None:
    """``[B]`` finite numbers in the logits' own precision."""
    for dtype in (torch.float64, torch.float32):
        loss_B = case.loss()(case.logits_BC().to(dtype), case.labels())
        must(list(loss_B.shape) == [6], f"a loss of 6 documents is {list(loss_B.shape)}, not [B] = [6]")
        must(loss_B.dtype == dtype, f"the loss of {dtype} logits is {loss_B.dtype}")
        must(loss_B.isfinite().all(), "the loss is not finite")


def neighbours_change_nothing(case: LossCase) -> None:
    """A document's loss is the same alone and beside others."""
    loss, logits_BC, rows = case.loss(), case.logits_BC(), case.rows()
    alone = [loss(logits_BC[i : i + 1], make_bag(rows[i : i + 1]).to(case.device)) for i in range(6)]
    told = "the loss of a document must not depend on its neighbours: alone it is another"
    close(loss(logits_BC, case.labels()), torch.cat(alone), 1e-9, told)


def weights_of_one_change_nothing(case: LossCase) -> None:
    """Class weights of 1 are as good as none; a loss that says it takes none refuses them."""
    if not case.config.weighable:
        _refuses_weights(case)
        return
    loss, logits_BC, labels = case.loss(), case.logits_BC(), case.labels()
    ones_C = torch.ones_like(logits_BC[0])
    close(
        loss(logits_BC, labels, ones_C), loss(logits_BC, labels), 1e-9, "class weights of 1 change the loss"
    )


def _refuses_weights(case: LossCase) -> None:
    try:
        case.loss()(case.logits_BC(), case.labels(), torch.ones_like(case.logits_BC()[0]))
    except ValueError:
        return
    raise AssertionError("its settings say that it takes no class weights (weighable), and it takes them")


def class_weights_act(case: LossCase) -> None:
    """Class weights change the loss of documents with labels, unless it says that it takes none."""
    if not case.config.weighable:
        return
    loss, logits_BC, labels = case.loss(), case.logits_BC(), case.labels()
    heavy_C = torch.full_like(logits_BC[0], 3.0)
    acts = (loss(logits_BC, labels, heavy_C) != loss(logits_BC, labels))[labels.lengths_B > 0]
    must(acts.all(), "class weights do nothing to a document with labels (objective.class_weights)")


def surer_and_right_loses_less(case: LossCase) -> None:
    """The loss falls as logits go from surely wrong over undecided to surely right, for every document."""
    loss, labels = case.loss(), case.labels()
    right_BC = labels.dense(len(taxonomy()), torch.float64) * 2 - 1
    wrong_B, none_B, right_B = (loss(right_BC * size, labels) for size in (-6, 0, 6))
    must((wrong_B > none_B).all(), "a document that is surely wrong loses less than an undecided one")
    must((none_B > right_B).all(), "a document that is undecided loses less than one that is surely right")


def finite_for_extreme_logits(case: LossCase) -> None:
    """Loss and gradient are finite at logits of 0, ±30 and ±10,000."""
    for size in (0.0, 30.0, 1e4):
        extreme_BC = (case.logits_BC().sign() * size).float().requires_grad_()
        loss_B = case.loss()(extreme_BC, case.labels())
        must(loss_B.isfinite().all(), f"the loss is not finite at logits of ±{size:g}")
        loss_B.sum().backward()
        gradient = extreme_BC.grad
        must(
            gradient is not None and gradient.isfinite().all(),
            f"the gradient is not finite at logits of ±{size:g}",
        )


def gradient(case: LossCase) -> None:
    """The gradient is that of the loss, by differences."""
    loss, labels = case.loss(), case.labels()
    logits_BC = case.logits_BC().requires_grad_()
    weights_C = None
    if case.config.weighable:
        weights_C = torch.linspace(0.5, 3, logits_BC.shape[1], dtype=torch.float64, device=case.device)
    try:
        torch.autograd.gradcheck(lambda z: loss(z, labels, weights_C), (logits_BC,))
    except RuntimeError as error:
        raise AssertionError(f"the gradient is not that of the loss: {error}") from error


def learns_by_heart(case: LossCase) -> None:
    """A small network learns sixteen documents by heart under it."""
    choice: dict[str, Any] = {"type": case.config.type, **case.config.model_dump(mode="json")}
    for encoder in ("textcnn", "fasttext"):
        parts = {"embedder": {"type": "lookup", "dimension": 12}, "encoder": encoder}
        # Losses that give most documents little weight take more steps at the rate that suits deep networks.
        tried = Case(ModelConfig.read(parts), case.device, learning_rate=0.02)
        right = learned(tried, choice, sparse=True)
        told = f"after {STEPS} steps of {encoder} only {right:.1%} of the decisions on 16 documents are right"
        must(right == 1.0, told)


RULES: dict[str, Callable[[LossCase], None]] = {
    rule.__name__: rule
    for rule in (
        one_number_a_document,
        neighbours_change_nothing,
        weights_of_one_change_nothing,
        class_weights_act,
        surer_and_right_loses_less,
        finite_for_extreme_logits,
        gradient,
        learns_by_heart,
    )
}
