"""One category's network: its documents, its start, the search over class weights, its threshold.

Shape letters: N documents.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from linnaea.config.config import Config
from linnaea.config.percategory import PerCategoryStrategyConfig, StrategyThresholdConfig
from linnaea.config.training import JointConfig
from linnaea.corpus.split import stratified_split
from linnaea.decision.cuts import category_cuts, f1
from linnaea.ragged import Ragged
from linnaea.reporter import Reporter, Silent
from linnaea.strategies.crossfit import join
from linnaea.strategies.percategory.plan import Examples, Plan, most_specific, own_seed
from linnaea.strategies.trainer import Job, Start, Trained, Trainer
from linnaea.taxonomy.taxonomy import Taxonomy
from linnaea.text.store import Corpus
from linnaea.training.processes import connect

if TYPE_CHECKING:
    from linnaea.nn.network import Network
    from linnaea.text.store import Split

ONE = "category"
"""The only category of the task that one network learns."""


@dataclass(frozen=True, eq=False)
class Beginning:
    """What a category's network starts from.

    Attributes:
        parent: the column that it inherits from; None: fresh weights.
        tensors: the parent's embedder and encoder.
        table: the column whose embedder these tensors hold.
    """

    parent: int | None = None
    tensors: Mapping[str, np.ndarray] | None = None
    table: int | None = None


@dataclass(frozen=True, eq=False)
class CategoryFit:
    """A finished category.

    Attributes:
        tensors: its network; without the embedder where that is another category's, frozen.
        facts: JSON values: parent, weight, threshold, dev F1, epochs, ...
    """

    column: int
    tensors: dict[str, np.ndarray]
    facts: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Assignment:
    """What the networks of one category learn from.

    Attributes:
        train: the documents of the category under the policy, rows of ``CategoryWork.pool``.
        kept: those that are read.
        dev: those by which it is judged, rows of ``CategoryWork.judges``.
        job: the training, without a class weight.
    """

    column: int
    beginning: Beginning
    train: Examples
    kept: Examples
    dev: Examples
    job: Job


@dataclass(frozen=True, eq=False)
class Tried:
    """One training of a category's network, its best epoch.

    Attributes:
        f1, loss: on dev.
        network, scores: weights, with class weight and sampling taken out; scores of dev. Asked of the best alone.
    """

    weight: float
    f1: float
    loss: float | None
    epochs: int
    best_epoch: int
    network: Callable[[], Mapping[str, np.ndarray]]
    scores: Callable[[], np.ndarray]

    @property
    def facts(self) -> dict[str, Any]:
        return {n: getattr(self, n) for n in ("weight", "f1", "loss", "epochs", "best_epoch")}

    def better(self, other: Tried) -> Tried:
        """Of equals the first; losses under several weights do not compare."""
        return other if other.f1 > self.f1 else self


class CategoryWork:
    """Fits networks of single categories; can be sent to another process.

    Args:
        config: of the whole run.
        corpus: train and dev.
        plan: of the taxonomy.
    """

    def __init__(self, config: Config, corpus: Corpus, plan: Plan) -> None:
        self.config, self.corpus, self.plan = config, replace(corpus, test=None), plan

    def __getstate__(self) -> dict[str, Any]:
        return {"config": self.config, "corpus": self.corpus, "plan": self.plan}

    @property
    def settings(self) -> PerCategoryStrategyConfig:
        return self.plan.settings

    def tell(self, reporter: Reporter) -> None:
        """Let ``reporter`` hear what the trainer has to say."""
        self.trainer.reporter = reporter

    @cached_property
    def trainer(self) -> Trainer:
        """Of networks of one category."""
        config = self.config
        training = config.training.model_copy(update={"strategy": JointConfig()})
        task = config.task.model_copy(update={"type": "binary"})
        alone = config.model_copy(update={"training": training, "task": task})
        # Epochs are judged where the weighted network decides at one half.
        decision = config.decision.model_copy(update={"threshold": StrategyThresholdConfig()})
        alone = alone.model_copy(update={"decision": decision})
        corpus = replace(self.corpus, taxonomy=Taxonomy.build([ONE], [ONE], [[]]))
        return Trainer(alone, corpus, connect(config.run, training), Silent())

    @property
    def weights(self) -> list[float]:
        """The class weights that every category tries."""
        return self.settings.class_weights if self.settings.search == "weights" else [1.0]

    @property
    def judges(self) -> Split:
        """What dev documents are taken from."""
        split = self.pool if self.settings.dev is not None else self.corpus.dev
        assert split is not None  # the strategy asks for dev
        return split

    @cached_property
    def pool(self) -> Split:
        """What train documents are drawn from."""
        return pool_of(self.corpus, self.settings)

    @cached_property
    def _labels(self) -> dict[str, tuple[Ragged, Ragged]]:
        """Closed and most specific labels, of the documents to train on and of dev."""
        found = {}
        for name, split in (("train", self.pool), ("dev", self.corpus.dev)):
            if split is not None and split.labels is not None:
                specific = split.labels
                if self.settings.negatives in ("inclusive", "exclusive"):
                    specific = most_specific(split.labels, self.plan.taxonomy)
                found[name] = (split.labels, specific)
        return found

    def fit(self, column: int, beginning: Beginning) -> CategoryFit:
        """Train the network of a category, once or once a class weight, and keep the best.

        Raises:
            RunError: the loss is not finite.
            InterruptedRun: a signal came.
        """
        began, assignment = time.perf_counter(), self.assignment(column, beginning)
        job, best = assignment.job, None
        tried: list[dict[str, Any]] = []
        for weight in self.weights:
            weights = None if weight == 1 else {ONE: weight}
            trained = self.trainer.train(replace(job, class_weights=weights), [], False)
            record = trained.history.best or trained.history.records[-1]
            result = Tried(
                weight, record.dev.get("f1") or 0.0, record.dev.get("loss"), len(trained.history.records),
                record.epoch, partial(_arrays, trained), partial(_scores, trained, job.dev),
            )  # fmt: skip
            tried.append(result.facts)
            best = result if best is None else best.better(result)
        assert best is not None  # there is a weight
        return self.concluded(assignment, best, tried, time.perf_counter() - began)

    def assignment(self, column: int, beginning: Beginning) -> Assignment:
        """What the networks of a category read and start with."""
        seed = self.config.run.seed
        train, dev = self._documents(column)
        kept, share = self.plan.sampled(train, column, seed)
        start = self._start(column, beginning)
        job = Job(
            _binary(self.pool, kept), _binary(self.judges, dev), None, self.config.training,
            start=start, prior_shift=float(np.log(share)), seed=own_seed(seed, self.plan.taxonomy.ids[column], "weights"),
        )  # fmt: skip
        return Assignment(column, beginning, train, kept, dev, job)

    def network(self, assignment: Assignment) -> Network:
        """A category's network, with the weights that it begins with."""
        labels = assignment.job.train.labels
        assert labels is not None  # ``assignment`` gives them
        return self.trainer.network(assignment.job, labels.counts(1))

    def concluded(
        self, assignment: Assignment, best: Tried, tried: Sequence[Mapping[str, Any]], seconds: float
    ) -> CategoryFit:
        """The category with the best of its networks."""
        column, beginning, dev = assignment.column, assignment.beginning, assignment.dev
        facts: dict[str, Any] = {**best.facts, "threshold": 1 / (1 + best.weight)}
        if self.settings.search == "threshold":
            facts |= _exact_threshold(best, dev.positive)
        own, start = dict(best.network()), assignment.job.start
        frozen = start is not None and start.frozen
        own = {n: t for n, t in own.items() if not (frozen and n.startswith("embedder."))}
        ids, train, kept = self.plan.taxonomy.ids, assignment.train, assignment.kept
        facts |= {
            "id": ids[column],
            "parent": None if beginning.parent is None else ids[beginning.parent],
            "table": beginning.table if frozen else column,
            "positives": int(train.positive.sum()),
            "negatives": int((~train.positive).sum()),
            "negatives_read": int((~kept.positive).sum()),
            "dev_positives": int(dev.positive.sum()),
            "tried": list(tried),
            "documents_read": len(kept.rows) * sum(one["epochs"] for one in tried),
            "seconds": round(seconds, 3),
        }
        return CategoryFit(column, own, facts)

    def _documents(self, column: int) -> tuple[Examples, Examples]:
        """To train on, and to judge by."""
        train = self.plan.examples(column, *self._labels["train"])
        own = self.settings.dev
        if own is None:
            return train, self.plan.examples(column, *self._labels["dev"])
        labels = Ragged.from_lengths(
            np.zeros(int(train.positive.sum()), np.int32), train.positive.astype(np.int64)
        )
        seed = own_seed(self.config.run.seed, self.plan.taxonomy.ids[column], "dev")
        rest, drawn = stratified_split(labels, 1, own.per_category, seed)
        return tuple(Examples(train.rows[part], train.positive[part]) for part in (rest, drawn))  # type: ignore[return-value]

    def _start(self, column: int, beginning: Beginning) -> Start | None:
        if beginning.tensors is None:
            return None
        tensors = {name: torch.from_numpy(tensor) for name, tensor in beginning.tensors.items()}
        return Start(tensors, self.settings.transferred_learning_rate, self.plan.frozen(column))


def pool_of(corpus: Corpus, settings: PerCategoryStrategyConfig) -> Split:
    """What train documents are drawn from: with dev parts of their own, all that are labelled."""
    return corpus.train if settings.dev is None or corpus.dev is None else join([corpus.train, corpus.dev])


def _binary(split: Split, examples: Examples) -> Split:
    """The documents, labelled with the one category or with none."""
    positive = examples.positive
    labels = Ragged.from_lengths(np.zeros(int(positive.sum()), np.int32), positive.astype(np.int64))
    return split.take(examples.rows).with_labels(labels)


def _arrays(trained: Trained) -> dict[str, np.ndarray]:
    state = trained.scorer.network.cpu().state_dict()
    return {name: tensor.numpy().copy() for name, tensor in state.items()}


def _scores(trained: Trained, dev: Split | None) -> np.ndarray:
    assert dev is not None  # the strategy asks for it
    return np.asarray(trained.scorer.score(dev).scores)[:, 0]


def _exact_threshold(best: Tried, positive_N: np.ndarray) -> dict[str, float]:
    """The threshold with the highest F1 on dev, and that F1; one half where dev has no positive document."""
    if not positive_N.any():
        return {"threshold": 0.5}
    scores_N = best.scores()
    seen_N = scores_N > 0
    thresholds, hits, decided = category_cuts(scores_N[seen_N], np.sort(scores_N[positive_N & seen_N]))
    reached = f1(hits, decided + int(positive_N.sum()))
    highest = int(reached.argmax())
    return {"threshold": float(thresholds[highest]), "f1": float(reached[highest])}
