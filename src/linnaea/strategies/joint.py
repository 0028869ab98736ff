"""Joint: one network for all categories.

The network of the epoch that is best on dev is kept, and thresholds are tuned on its scores of dev. Or, tuned
out of fold, each fold of train and dev is scored by a network that was trained on the others (the fold itself
being that training's dev), and a last network is trained on all of them for the rounded mean of the folds'
best epochs; learning-rate schedules then run over that many.

Shape letters: C categories.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from linnaea.config.config import Config
from linnaea.config.encoders_pretrained import PretrainedConfig
from linnaea.config.training import JointConfig
from linnaea.decision.predictions import Predictions
from linnaea.errors import ConfigError, DataError, UsageError
from linnaea.ragged import Ragged
from linnaea.reporter import Reporter, Silent
from linnaea.run_folder import RunFolder
from linnaea.strategies.base import Fitted, ScoreSheet
from linnaea.strategies.classweights import with_weights
from linnaea.strategies.crossfit import fold_numbers, join
from linnaea.strategies.network import find_device
from linnaea.strategies.trainer import Job, Trained, Trainer
from linnaea.strategies.transformers import check_transformer
from linnaea.training.history import JsonlHistory, Listener, build_listeners
from linnaea.training.processes import connect

if TYPE_CHECKING:
    from linnaea.text.store import Corpus


class JointStrategy:
    """Fits a ``NetworkScorer``."""

    def __init__(self, settings: JointConfig, config: Config) -> None:
        self.settings = settings
        self.config, self.weights = with_weights(config)
        self._check_machine()
        self.tuned = config.decision.tuned

    def _check_machine(self) -> None:
        """What can be refused before a document is read: a device or a file that is not here."""
        try:
            find_device(self.config.run.device)
        except UsageError as error:
            raise ConfigError(error.message, where="run.device", hint=error.hint) from None
        if isinstance(self.config.model.encoder, PretrainedConfig):
            check_transformer(self.config.model.encoder)
        for key, path in self.config.model.embedder.vector_files.items():
            if not Path(path).is_file():
                raise DataError("no such file", where=path, hint=f"model.embedder.{key} names it")

    def fit(
        self, corpus: Corpus, run: RunFolder, *, resume: bool = False, reporter: Reporter | None = None
    ) -> Fitted:
        """Train; all processes of a distributed run call this together.

        Raises:
            ConfigError: thresholds are to be tuned on dev, and there is none; or no such device.
            InterruptedRun, RunError: see ``training.loop.fit``.
        """
        reporter, began = reporter or Silent(), time.perf_counter()
        cross = self.tuned is not None and self.tuned.on == "cross"
        if self.tuned is not None and not cross and corpus.dev is None:
            place = f"decision.{next(iter(self.config.decision.held_out))}.on"
            hint = 'use "cross", or give data.dev'
            raise ConfigError("there are no dev documents to tune on", where=place, hint=hint)
        fabric = connect(self.config.run, self.config.training)
        if self.weights is not None:
            self.weights.check(corpus.taxonomy)
        trainer = Trainer(self.config, corpus, fabric, reporter)
        main = bool(fabric.global_rank == 0)
        facts: dict[str, Any] = {"seed": self.config.run.seed}
        tuning, gold = None, None
        if self.tuned is not None and self.tuned.on == "cross":
            trained, tuning, gold = self._cross(corpus, run, trainer, self.tuned.folds, resume, facts)
        else:
            job = Job(corpus.train, corpus.dev, run.checkpoints, self.config.training)
            trained = trainer.train(job, self._listeners(run, reporter), resume)
            if main and self.tuned is not None and corpus.dev is not None:
                tuning = trained.scorer.score(corpus.dev, self.config.evaluation.keep)
                gold = corpus.dev.labels
        facts |= {
            "train_documents": len(corpus.train),
            "dev_documents": 0 if corpus.dev is None else len(corpus.dev),
            "parameters": sum(p.numel() for p in trained.scorer.network.parameters()),
            "best_epoch": trained.history.best_epoch,
            "seconds": round(time.perf_counter() - began, 2),
            "device": fabric.device.type,
        }
        return Fitted(
            trained.scorer, tuning, gold, trained.support_C, facts, main, fitted_on_dev=cross,
            found_C=trained.found_C,
        )  # fmt: skip

    def _listeners(self, run: RunFolder, reporter: Reporter) -> list[Listener]:
        return [*build_listeners(self.config.run, run), *_present(reporter.listener())]

    def _cross(
        self,
        corpus: Corpus,
        run: RunFolder,
        trainer: Trainer,
        folds: int,
        resume: bool,
        facts: dict[str, Any],
    ) -> tuple[Trained, Predictions, Ragged]:
        """Out-of-fold scores of train and dev, and a network trained on all of them."""
        documents = join([corpus.train] if corpus.dev is None else [corpus.train, corpus.dev])
        assert documents.labels is not None  # ``join`` sees to it
        categories, keep, reporter = len(corpus.taxonomy), self.config.evaluation.keep, trainer.reporter
        fold_N = fold_numbers(documents, categories, folds, self.config.run.seed, self.config.decision)
        sheet = ScoreSheet(len(documents), categories, keep)
        epochs = []
        for fold in range(folds):
            inside, outside = np.flatnonzero(fold_N == fold), np.flatnonzero(fold_N != fold)
            held_out, folder = documents.take(inside), run.checkpoints / f"fold-{fold + 1}"
            # A fold's history is its own; the run's is that of the last training.
            listener = reporter.listener(f"fold {fold + 1} of {folds}")
            heard = [JsonlHistory(folder / "history.jsonl"), *_present(listener)]
            job = Job(documents.take(outside), held_out, folder, self.config.training)
            trained = trainer.train(job, heard, resume)
            epochs.append(trained.history.best_epoch)
            if trainer.fabric.global_rank == 0:
                sheet.put_predictions(inside, trained.scorer.score(held_out, keep))
        best = max(1, int(np.floor(np.mean(epochs) + 0.5)))  # halves upwards
        facts |= {"folds": folds, "fold_epochs": epochs}
        reporter.note(f"all documents, for {best} epochs")
        last = self.config.training.model_copy(update={"epochs": best, "early_stopping": None})
        job = Job(documents, None, run.checkpoints / "all", last)
        trained = trainer.train(job, self._listeners(run, reporter), resume)
        return trained, sheet.predictions(documents.ids, corpus.taxonomy), documents.labels


def _present(listener: Listener | None) -> list[Listener]:
    return [] if listener is None else [listener]
