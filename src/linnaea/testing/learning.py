"""Learning sixteen documents by heart: what cannot do that will learn nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from linnaea.config.objective import ObjectiveConfig
from linnaea.nn.network import Network
from linnaea.nn.objectives.objective import Objective, constraint_of, scores
from linnaea.testing.cases import Case, learning, logits
from linnaea.testing.worlds import closed, make_batch, make_documents, make_labels, sizes, taxonomy

STEPS = 600


def learned(case: Case, loss: str | dict[str, Any], *, sparse: bool = False) -> float:
    """The share of right decisions on 16 documents after training on them."""
    rng = np.random.default_rng(7)
    config = ObjectiveConfig.read({"loss": loss})
    single = config.loss is not None and config.loss.scores == "softmax"
    labels = make_labels(rng, 16, single)
    constraint = None if config.loss is None else constraint_of(config.loss, taxonomy())
    if constraint is not None:
        labels = closed(labels)
    batch = make_batch(
        make_documents(rng, rng.integers(4, 12, 16).tolist()), labels=labels, device=case.device
    )
    network = case.network(sparse=sparse, scores="softmax" if single else "sigmoid")
    objective = Objective(config, taxonomy(), sizes().support_C, 16).to(case.device)
    gold_BC = batch.labels.dense(len(taxonomy())) if batch.labels is not None else torch.empty(0)
    optimizers: list[torch.optim.Optimizer] = []
    right = 0.0
    for step in range(1, STEPS + 1):
        network.zero_grad()
        objective(network.train()(batch), batch, network).backward()
        optimizers = optimizers or _optimizers(network, case.learning_rate)
        for optimizer in optimizers:
            optimizer.step()
        if step % 25 == 0:
            scored_BC = scores(logits(network.eval(), batch), objective.kind, constraint)
            best_BC = torch.zeros_like(gold_BC).scatter(1, scored_BC.argmax(1, True), 1)
            right = ((best_BC if single else scored_BC >= 0.5) == gold_BC).float().mean().item()
            if right == 1.0:
                break
    return right


def _optimizers(network: Network, rate: float) -> list[torch.optim.Optimizer]:
    """Adam, and its row-wise form for the parameters whose first gradients are row-wise."""
    rows = [p for _, p in learning(network) if p.grad is not None and p.grad.is_sparse]
    dense = [p for _, p in learning(network) if p.grad is None or not p.grad.is_sparse]
    return [torch.optim.Adam(dense, rate), *([torch.optim.SparseAdam(rows, rate)] if rows else [])]
