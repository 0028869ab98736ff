"""Trainer: one training of a network: shapes, word vectors, objective, loop, dev measure; a scorer comes out.

Shape letters: C categories.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn

from linnaea.config.config import Config
from linnaea.config.outcome import FixedConfig
from linnaea.config.percategory import StrategyThresholdConfig
from linnaea.config.training import TrainingConfig
from linnaea.errors import ConfigError
from linnaea.metrics.evaluate import Gathered, training_metrics
from linnaea.nn.build import build_network, sequence_tables
from linnaea.nn.encoders.pretrained import Pretrained
from linnaea.nn.network import Network, Sizes
from linnaea.nn.objectives.objective import Objective, fold_class_weights, unfold_class_weights
from linnaea.reporter import Reporter
from linnaea.strategies.base import ScoreSheet
from linnaea.strategies.network import NetworkScorer
from linnaea.strategies.transformers import fill, source_of
from linnaea.text.pretrained import TransformerFolder
from linnaea.text.vectors import read_vectors
from linnaea.training.history import History, Listener
from linnaea.training.loader import Loader
from linnaea.training.loop import Measure, fit
from linnaea.training.optimizers import ids_per_batch, sparse_gradients

if TYPE_CHECKING:
    from linnaea.text.store import Corpus, Split

SAMPLE = 512  # documents whose features are counted to foresee the size of a batch


@dataclass(frozen=True, eq=False)
class Start:
    """What a network begins with, besides fresh weights.

    Attributes:
        tensors: by their names in the network; the others stay fresh.
        learning_rate: of these; None: the optimiser's.
        frozen: the embedder stays as it is.
    """

    tensors: Mapping[str, torch.Tensor]
    learning_rate: float | None
    frozen: bool


@dataclass(frozen=True, eq=False)
class Job:
    """One training.

    Attributes:
        train, dev: documents to learn from, and to judge epochs by.
        folder: for checkpoints; None: there are none.
        class_weights: by category, in place of the config's.
        prior_shift: added to all logits once trained, where train was a sample with another share of positives.
        seed: of fresh weights; None: the run's.
    """

    train: Split
    dev: Split | None
    folder: Path | None
    training: TrainingConfig
    start: Start | None = None
    class_weights: Mapping[str, float] | None = None
    prior_shift: float = 0.0
    seed: int | None = None


@dataclass(frozen=True, eq=False)
class Trained:
    """The network of the best epoch, as a scorer.

    Attributes:
        found_C: thresholds at which the weighted network decides at one half; None: there are no class weights.
    """

    scorer: NetworkScorer
    history: History
    support_C: np.ndarray
    found_C: np.ndarray | None = None


class Trainer:
    """Trains networks of one config on documents of one corpus."""

    def __init__(self, config: Config, corpus: Corpus, fabric: Fabric, reporter: Reporter) -> None:
        self.config, self.fabric, self.reporter = config, fabric, reporter
        self.taxonomy, self.featurizer = corpus.taxonomy, corpus.featurizer

    def train(self, job: Job, listeners: Sequence[Listener], resume: bool) -> Trained:
        """Build, train, and take the shift of class weights out of the logits."""
        if job.train.labels is None:
            raise ConfigError("the documents to train on have no labels", where="data.train")
        config, train = self.config, job.train
        support_C = job.train.labels.counts(len(self.taxonomy))
        weighted = config.objective
        if job.class_weights is not None:
            weighted = weighted.model_copy(update={"class_weights": dict(job.class_weights)})
        objective = Objective(weighted, self.taxonomy, support_C, len(train))
        network = self.network(job, support_C)
        if objective.weights_C is not None and not network.head.biases():
            place = "objective.class_weights"
            raise ConfigError("this head has no bias from which weights could be taken back", where=place)
        if objective.weights_C is not None and self.begins_at_prior:
            unfold_class_weights(network, objective.weights_C)
        scorer = NetworkScorer.of(config, self.taxonomy, network)
        dev = job.dev if job.dev is not None and len(job.dev) else None
        history = fit(
            network,
            objective,
            Loader(train, scorer.features, scorer.reads, job.training, config.run.seed),
            None if dev is None else self._measure(scorer, objective, dev, job),
            job.training,
            config.run,
            job.folder,
            listeners=listeners,
            resume=resume,
            identity=self._identity(),
            freeze_epochs=self.freeze_epochs(job),
            learning_rates=learning_rates(network, job.start),
            fabric=self.fabric,
        )
        scorer.shift_C = None
        if objective.weights_C is not None:
            fold_class_weights(network, objective.weights_C)
        if job.prior_shift:
            with torch.no_grad():
                for bias_C in network.head.biases():
                    bias_C.add_(job.prior_shift)
        found_C = None
        if objective.weights_C is not None:
            found_C = np.where(support_C > 0, half_of_weighted(objective.weights_C), np.inf)
        return Trained(scorer, history, support_C, found_C)

    def network(self, job: Job, support_C: np.ndarray) -> Network:
        """A network for a training, with the weights that it begins with."""
        config, train = self.config, job.train
        loss = config.objective.loss
        assert loss is not None  # a resolved config has one
        folder, shape = self._transformer
        sizes = Sizes(dict(self.featurizer.sizes), self.taxonomy, support_C, len(train), shape)
        torch.manual_seed(config.run.seed if job.seed is None else job.seed)
        network = build_network(
            config.model, config.input.features, sizes, sparse=self._sparse(train), scores=loss.scores
        )
        if job.start is not None:
            network.load_state_dict(dict(job.start.tensors), strict=False)
            if job.start.frozen and network.embedder is not None:
                network.embedder.requires_grad_(False)
            return network
        if folder is not None and isinstance(network.encoder, Pretrained):
            fill(network.encoder, folder)
            self._tell_cut(network.encoder, train)
        for vectors in self._vectors:
            network.embedder.fill(*vectors)  # type: ignore[union-attr, operator]
        return network

    @property
    def begins_at_prior(self) -> bool:
        """Whether biases begin as log-odds without class weights, which move them by ln w."""
        return getattr(self.config.model.head, "bias", None) == "prior"

    def freeze_epochs(self, job: Job) -> int:
        """For so many epochs the embedder rests; one that is frozen for good is not thawed after them."""
        if job.start is not None and job.start.frozen:
            return 0
        return int(getattr(self.config.model.embedder, "freeze_epochs", 0))

    @cached_property
    def _transformer(self) -> tuple[TransformerFolder | None, Mapping[str, Any] | None]:
        """The pretrained transformer to begin with, and its shape; None: another encoder."""
        return source_of(self.config, self.featurizer)

    def _tell_cut(self, encoder: Pretrained, train: Split) -> None:
        longer = int((train.lengths_N > encoder.window).sum())
        if encoder.config.long_texts == "cut" and longer:
            how = f"{longer:,} of {len(train):,} train documents are cut at {encoder.window} pieces"
            self.reporter.warn(f"{how}, all that the transformer reads (long_texts: chunks reads on)")

    def _sparse(self, train: Split) -> bool:
        """Whether a table is so large that a batch touches little of it."""
        config = self.config
        width, reads = config.model.embedder.row_width, config.model.encoder.reads
        if width is None:
            return False
        rows, features = np.arange(min(SAMPLE, len(train))), config.input.features
        for table in sequence_tables(features) if reads == "sequence" else features:
            if table == "spelling":
                continue  # few characters, all of them in every batch
            sequence = reads == "sequence"
            lengths = (train.sequence(rows) if sequence else train.bag(table, rows)).lengths_N
            touched = ids_per_batch(float(lengths.mean()) if len(lengths) else 0.0, config.training)
            size = self.featurizer.sizes[table]
            if sparse_gradients(config.training.sparse_gradients, size, width, touched):
                return True
        return False

    def _measure(self, scorer: NetworkScorer, objective: Objective, dev: Split, job: Job) -> Measure:
        """Dev loss and metrics of the network as it would be shipped, decided at the fixed threshold."""
        assert dev.labels is not None
        gold, config = dev.labels, self.config
        threshold = config.decision.threshold
        at: float | np.ndarray = threshold.value if isinstance(threshold, FixedConfig) else 0.5
        if isinstance(threshold, StrategyThresholdConfig) and objective.weights_C is not None:
            at = half_of_weighted(objective.weights_C)
        stopping = config.training.early_stopping
        slow = [stopping.metric] if stopping is not None and stopping.metric == "average_precision" else []

        @torch.no_grad()
        def measure(network: nn.Module) -> Mapping[str, float]:
            if objective.weights_C is not None or job.prior_shift:
                weights_C = objective.weights_C
                shift_C = torch.zeros((), device=scorer.device) if weights_C is None else weights_C.log()
                scorer.shift_C = shift_C - job.prior_shift
            chosen_at = None if config.task.type == "multiclass" else at
            gathered = Gathered(self.taxonomy, chosen_at, config.evaluation.keep)
            sheet = ScoreSheet(len(dev), len(self.taxonomy), config.evaluation.keep) if slow else None
            loss = torch.zeros((), dtype=torch.float32, device=scorer.device)
            for batch, output in scorer.outputs(dev):
                # Dev is no sample: its loss is that of the prior put right.
                judged = output.moved(job.prior_shift) if job.prior_shift else output
                loss += objective(judged, batch, scorer.network, len(dev))
                rows, scores_BC = batch.rows_B.cpu().numpy(), scorer.scores_of(output)
                gathered.put(rows, scores_BC)
                if sheet is not None:
                    sheet.put(rows, scores_BC)
            values = gathered.metrics(gold)
            if sheet is not None:
                predictions = sheet.predictions(dev.ids, self.taxonomy)
                values |= training_metrics(predictions, gold, chosen_at, names=slow)
            return {"loss": float(loss), **values}

        return measure

    @cached_property
    def _vectors(self) -> list[tuple[Any, ...]]:
        """What to ``fill`` the embedder with: rows and vectors, and of which feature; read once for all folds."""
        embedder = self.config.model.embedder
        found: list[tuple[Any, ...]] = []
        dimension: Any = getattr(embedder, "dimension", None)
        for key, path in embedder.vector_files.items() if dimension is not None else ():
            names = ("keyword",) if key == "keyword_pretrained" else ("token", "character")
            feature = next((name for name in names if name in self.featurizer.sizes), None)
            if feature is None:
                hint = f'add "{names[0]}" to input.features'
                raise ConfigError("no feature takes word vectors", where=f"model.embedder.{key}", hint=hint)
            matrix, rows, coverage = read_vectors(path, self.featurizer.vocabularies[feature], dimension)
            if feature == "keyword":
                self.reporter.note(f"vectors for {coverage.told('distinct keywords', 'keywords')}")
                found.append((rows, matrix, feature))
            else:
                self.reporter.note(f"word vectors for {coverage}")
                found.append((rows, matrix))
        return found

    def _identity(self) -> dict[str, Any]:
        """What a checkpoint must share with the run that goes on from it."""
        config = self.config
        return {
            "taxonomy": self.taxonomy.digest,
            "input": self.featurizer.digest,
            "model": config.model.model_dump(mode="json"),
            "objective": config.objective.model_dump(mode="json"),
        }


def half_of_weighted(weights_C: torch.Tensor) -> np.ndarray:
    """``[C]``: the scores, weights taken out, at which the weighted network gives one half."""
    found: np.ndarray = 1 / (1 + weights_C.double().cpu().numpy())
    return found


def learning_rates(network: Network, start: Start | None) -> dict[str, float]:
    """Full learning rates of parts of the network, by the start of parameters' names.

    A rate that the encoder has for a part of its own, as pretrained ones do, stands also where it was inherited.
    """
    rates: dict[str, float] = {}
    if start is not None and start.learning_rate is not None:
        for part in ("embedder", "encoder"):
            module = getattr(network, part)
            if module is not None and any(p.requires_grad for p in module.parameters()):
                rates[part] = start.learning_rate
    return rates | {f"encoder.{name}": rate for name, rate in network.encoder.learning_rates().items()}
