"""A network for all categories that grows: new rows of its head, trained alone unless all of it is to train.

A new category's row begins as its parent's (of several the one with the fewest documents), bias included; a new top
category's as the mean of the old top rows. All other rows and all other tensors are copied. Then only the rows of what
is fitted again have gradients: embedder and encoder work as in prediction, without dropout, and what must not change is
put back when training is done, so that it is equal to the last bit whatever the optimiser did.

Shape letters: C categories of the new taxonomy, P of the old one.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import Tensor

from linnaea.config.config import Config
from linnaea.config.training import JointConfig
from linnaea.errors import ConfigError, UsageError
from linnaea.nn.batch import Batch
from linnaea.nn.build import build_network
from linnaea.nn.encoders.pretrained import Pretrained
from linnaea.nn.network import Encoded, Network, Sizes
from linnaea.reporter import Reporter, Silent
from linnaea.run_folder import RunFolder
from linnaea.strategies.base import Fitted
from linnaea.strategies.grow import Growth
from linnaea.strategies.joint import JointStrategy
from linnaea.strategies.network import NetworkScorer
from linnaea.strategies.trainer import Job, Trainer
from linnaea.training.processes import connect

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from linnaea.text.store import Corpus

State = dict[str, Tensor]


class HeadOnly(Network):
    """A network of which nothing but the head trains; what stands before it works as in prediction."""

    @classmethod
    def of(cls, network: Network) -> Self:
        """The same parts."""
        return cls(network.embedder, network.encoder, network.head)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for part in (self.embedder, self.encoder):
            if part is not None:
                part.eval()
        return self

    @torch.no_grad()
    def encoded(self, batch: Batch) -> Encoded:
        return super().encoded(batch)


class GrowingNetwork(JointStrategy):
    """Fits a ``NetworkScorer`` that starts from another of an older taxonomy."""

    def __init__(self, config: Config, growth: Growth) -> None:
        settings = config.training.strategy
        assert isinstance(settings, JointConfig)  # the scorer is of that strategy
        super().__init__(settings, config)
        self.growth = growth

    def _check_machine(self) -> None:
        """Nothing but the device: weights come from the old model, so no file of vectors or weights is read."""
        connect(self.config.run, self.config.training)

    def fit(
        self, corpus: Corpus, run: RunFolder, *, resume: bool = False, reporter: Reporter | None = None
    ) -> Fitted:
        """Train what is fitted again.

        Raises:
            UsageError: the head has tensors of the taxonomy's size that nobody knows how to grow.
            InterruptedRun, RunError: see ``training.loop.fit``.
        """
        reporter, began, growth, config = reporter or Silent(), time.perf_counter(), self.growth, self.config
        assert isinstance(growth.scorer, NetworkScorer)
        network = grown_network(config, growth.scorer.network, growth, corpus)
        facts: dict[str, Any] = {"seed": config.run.seed}
        scorer, found_C = NetworkScorer.of(config, corpus.taxonomy, network), None
        if growth.networks:
            settled = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
            trainer = _GrowingTrainer(
                config, corpus, connect(config.run, config.training), reporter, network, growth
            )
            job = Job(corpus.train, corpus.dev, run.checkpoints, _training(config, growth))
            trained = trainer.train(job, self._listeners(run, reporter), resume)
            network = _settled(trained.scorer.network, settled, growth)
            scorer = NetworkScorer.of(config, corpus.taxonomy, network)
            found_C = trained.found_C
            facts["best_epoch"] = trained.history.best_epoch
        tuning = gold = None
        if self.tuned is not None and corpus.dev is not None:
            tuning, gold = scorer.score(corpus.dev, config.evaluation.keep), corpus.dev.labels
        if self.tuned is not None and tuning is None:
            raise ConfigError("there are no dev documents to tune on", where="data.dev")
        facts |= {
            "train_documents": len(corpus.train),
            "dev_documents": 0 if corpus.dev is None else len(corpus.dev),
            "parameters": sum(p.numel() for p in network.parameters()),
            "seconds": round(time.perf_counter() - began, 2),
            "device": scorer.device.type,
        }
        return Fitted(scorer, tuning, gold, growth.support_C, facts, found_C=found_C)


class _GrowingTrainer(Trainer):
    """Trains a network that is there."""

    def __init__(
        self,
        config: Config,
        corpus: Corpus,
        fabric: Fabric,
        reporter: Reporter,
        grown: Network,
        growth: Growth,
    ) -> None:
        super().__init__(config, corpus, fabric, reporter)
        self.grown, self.growth = grown, growth

    @property
    def begins_at_prior(self) -> bool:
        """Class weights were taken out of the old rows after their training, so they go in again."""
        return True

    def network(self, job: Job, support_C: np.ndarray) -> Network:
        """The grown network, of which only what is fitted again has gradients."""
        network = self.grown
        if self.growth.everything:
            return network
        network = HeadOnly.of(network)
        network.requires_grad_(False)
        fitted_C = torch.zeros(len(self.taxonomy), dtype=torch.bool)
        fitted_C[list(self.growth.fitted)] = True
        for parameter in _of_categories(network):
            parameter.requires_grad_(True)
            parameter.register_hook(_Only(fitted_C))  # type: ignore[no-untyped-call]
        return network

    def freeze_epochs(self, job: Job) -> int:
        """None: the embedder is trained already, and is not to be thawed where the head alone trains."""
        return 0


class _Only:
    """A gradient of which only some categories' rows are let through."""

    def __init__(self, fitted_C: Tensor) -> None:
        self.fitted_C = fitted_C

    def __call__(self, gradient: Tensor) -> Tensor:
        shape = (-1, *[1] * (gradient.dim() - 1))
        return gradient * self.fitted_C.to(gradient.device).reshape(shape)


def grown_network(config: Config, old: Network, growth: Growth, corpus: Corpus) -> Network:
    """The old network over the new taxonomy, on the CPU; nothing is trained yet.

    Raises:
        UsageError: the head has tensors of the taxonomy's size that nobody knows how to grow.
    """
    shape = old.encoder.shape if isinstance(old.encoder, Pretrained) else None
    sizes = Sizes(dict(corpus.featurizer.sizes), corpus.taxonomy, growth.support_C, len(corpus.train), shape)
    loss = config.objective.loss
    assert loss is not None  # a resolved config has one
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.run.seed)
        network = build_network(config.model, config.input.features, sizes, scores=loss.scores)
    refusal = network.head.growth_problem(growth.change)
    if refusal is not None:
        hint = "train a new model with `linnaea train`"
        raise UsageError(f"the head {config.model.head.type!r} {refusal}", hint=hint)
    of_categories = _category_names(network)
    before = {name: tensor.detach().cpu() for name, tensor in old.state_dict().items()}
    state: State = {}
    for name, fresh in network.state_dict().items():
        if name in of_categories:
            state[name] = _grown_rows(before[name], growth)
        elif before[name].shape == fresh.shape:
            state[name] = before[name]
        else:
            problem = f"the head {config.model.head.type!r} holds {name}, which cannot grow"
            raise UsageError(problem, hint="train a new model with `linnaea train`")
    network.load_state_dict(state)
    return network


def _of_categories(network: Network) -> list[Tensor]:
    """The parameters with one row a category."""
    return [*network.head.category_rows(), *network.head.biases()]


def _category_names(network: Network) -> set[str]:
    """Names of the parameters with one row a category."""
    wanted = {id(parameter) for parameter in _of_categories(network)}
    return {name for name, parameter in network.named_parameters() if id(parameter) in wanted}


def _grown_rows(old: Tensor, growth: Growth) -> Tensor:
    """``[C, ...]`` rows from ``[P, ...]``."""
    change = growth.change
    tops = torch.from_numpy(change.old.roots)
    rows: list[Tensor] = []
    for column, before in enumerate(change.old_C.tolist()):
        fresh = before < 0 or growth.reasons.get(column) == "has documents now"
        if not fresh:
            rows.append(old[before])
            continue
        start = None if not len(change.new.parents[column]) else _parent(growth, column)
        rows.append(old[tops].mean(0) if start is None else rows[start])
    return torch.stack(rows)


def _parent(growth: Growth, column: int) -> int:
    """The most specific of a category's parents: that with the fewest documents."""
    parents: list[int] = growth.taxonomy.parents[column].tolist()
    return min(parents, key=lambda c: (int(growth.support_C[c]), growth.taxonomy.ids[c]))


def _training(config: Config, growth: Growth) -> Any:
    """The config's training; without weight decay where only some rows train: it would pull at the others."""
    optimizer = config.training.optimizer
    if growth.everything or not getattr(optimizer, "weight_decay", 0):
        return config.training
    update = {"optimizer": optimizer.model_copy(update={"weight_decay": 0.0})}
    return config.training.model_copy(update=update)


def _settled(trained: Network, before: Mapping[str, Tensor], growth: Growth) -> Network:
    """The trained network, in which all that was not to change is as it was."""
    network = Network(trained.embedder, trained.encoder, trained.head)
    network.requires_grad_(True)
    if growth.everything:
        return network
    fitted_C = torch.zeros(len(growth.taxonomy), dtype=torch.bool)
    fitted_C[list(growth.fitted)] = True
    of_categories = _category_names(network)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            old = before[name].to(tensor.device)
            if name not in of_categories:
                tensor.copy_(old)
                continue
            mask = fitted_C.to(tensor.device).reshape(-1, *[1] * (tensor.dim() - 1))
            tensor.copy_(torch.where(mask, tensor, old))
    return network


__all__ = ["GrowingNetwork", "HeadOnly", "grown_network"]
