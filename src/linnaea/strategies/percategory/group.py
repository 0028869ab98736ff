"""Group: networks of several categories and class weights, trained together as one.

What each learns is what it would learn alone from the same batches. All see the documents of all of train; a document that
is not a network's (another policy's, or one that its sample left out) has the weight 0, and a network's loss is the mean
over its own documents of a step, 0 where the step has none. Networks that have run out of patience leave the group, so
that the others go on faster.

Shape letters: K networks, R categories, N documents of the pool, M documents of dev, B documents of a batch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from linnaea.decision.cuts import f1
from linnaea.decision.predictions import Predictions
from linnaea.errors import RunError
from linnaea.metrics.evaluate import training_metrics
from linnaea.nn.batch import Batch
from linnaea.nn.grouped.best import Best
from linnaea.nn.grouped.losses import GroupedLoss
from linnaea.nn.grouped.network import GroupedNetwork
from linnaea.nn.grouped.stack import clip, narrowed
from linnaea.nn.layers.dropout import drawn
from linnaea.nn.network import Network
from linnaea.nn.objectives.objective import fold_class_weights
from linnaea.ragged import Ragged
from linnaea.strategies.percategory.category import Assignment, CategoryWork, Tried
from linnaea.strategies.percategory.plan import Examples
from linnaea.strategies.trainer import learning_rates
from linnaea.training.loader import Loader, score_batches
from linnaea.training.loop import PREFETCH
from linnaea.training.optimizers import build_optimizers, build_schedule
from linnaea.training.processes import deterministic
from linnaea.training.stopping import Stopping

LOOK_EVERY = 50  # steps between two looks at the losses on a GPU, which must wait for that
DOCUMENTS = 1024  # of a batch of dev, at most


@dataclass(frozen=True, eq=False)
class Candidate:
    """One network.

    Attributes:
        state: what it begins with; without a frozen embedder where another of the group brings the same.
        table: the embedder that it reads by, where that is frozen; of others its own.
    """

    assignment: Assignment
    weight: float
    state: Mapping[str, Tensor]
    table: int


class Group:
    """One training.

    Args:
        network: with the parameters and settings that all candidates share.
        candidates: those with one embedder beside each other, those of one category too.
        positions: padded tokens of a batch of dev, at most.
        after_step: called after each step with the epoch; may raise to stop.
    """

    def __init__(
        self, work: CategoryWork, network: Network, candidates: Sequence[Candidate], positions: int,
        after_step: Callable[[int], None],
    ) -> None:  # fmt: skip
        self.work, self.candidates, self.after_step = work, candidates, after_step
        trainer, training = work.trainer, work.config.training
        self.run_settings, self.training, self.fabric = work.config.run, training, trainer.fabric
        self.device, self.first = trainer.fabric.device, candidates[0].assignment.job
        self.template = network.to(self.device)
        tables = [candidate.table for candidate in candidates]
        distinct = list(dict.fromkeys(tables))
        states = [candidate.state for candidate in candidates]
        self.grouped = GroupedNetwork(self.template, states, [distinct.index(table) for table in tables])
        self.stack = self.grouped.stack.to(self.device)
        self.rates = learning_rates(network, self.first.start)
        self.optimizers = build_optimizers(self.stack, training.optimizer, self.rates)
        loader = Loader(
            work.pool, trainer.config.input.features, trainer.config.model.encoder.reads, training,
            self.run_settings.seed,
        )  # fmt: skip
        gpu = self.device.type == "cuda"
        self.loader = loader.share(0, 1, prefetch=PREFETCH if gpu else 0, pin=gpu)
        assignments = {candidate.assignment.column: candidate.assignment for candidate in candidates}
        self.place_K = np.array([list(assignments).index(c.assignment.column) for c in candidates])
        self.train = Documents.of([a.kept for a in assignments.values()], np.arange(len(work.pool)))
        judged = np.unique(np.concatenate([a.dev.rows for a in assignments.values()]))
        self.dev = Documents.of([a.dev for a in assignments.values()], judged)
        self.judges, self.positions = work.judges.take(judged), positions
        loss = trainer.config.objective.loss
        assert loss is not None  # a resolved config has one
        self.loss = GroupedLoss(loss, [candidate.weight for candidate in candidates]).to(self.device)
        self.stoppings = [
            Stopping(training.early_stopping if len(self._dev_of(k).rows) else None)
            for k in range(len(candidates))
        ]
        self.best = Best(self.stack)
        self.results: dict[int, Tried] = {}
        self.scores_KM = np.zeros((len(candidates), len(judged)), dtype=np.float32)

    def _dev_of(self, k: int) -> Examples:
        return self.candidates[k].assignment.dev

    def run(self) -> list[Tried]:
        """Train all.

        Raises:
            RunError: a loss is not finite.
        """
        epochs, accumulate = self.training.epochs, self.training.accumulate
        schedule = build_schedule(self.training.schedule, self.training.warmup_steps)
        counts = [self.loader.count(epoch) for epoch in range(1, epochs + 1)]
        steps, step = sum(-(-count // accumulate) for count in counts), 0
        thaw = self.work.trainer.freeze_epochs(self.first)
        with deterministic(self.run_settings.deterministic and self.device.type != "cpu"):
            for epoch in range(1, epochs + 1):
                self.template.train()
                self.stack.train()
                if thaw:
                    for table in self.stack.embedder.values():
                        table.freeze(epoch <= thaw)  # type: ignore[operator]
                plan = self.loader.plan(epoch)
                with contextlib.closing(self.loader.batches(epoch, plan=plan)) as batches:
                    for start in range(0, len(plan), accumulate):
                        parts = plan[start : start + accumulate]
                        count_K = self.train.member_RN[:, np.concatenate(parts)].sum(1)[self._places]
                        losses = [self._add(next(batches), step, count_K) for _ in parts]
                        self._check(losses, step, epoch)
                        if self.training.gradient_clip is not None:
                            clip(self.stack, self.training.gradient_clip)
                        self.optimizers.step(schedule(step, steps))
                        step += 1
                        self.after_step(epoch)
                self._end_epoch(epoch)
                if not self.stack.numbers:
                    break
        return [self.results[k] for k in range(len(self.candidates))]

    @property
    def _places(self) -> np.ndarray:
        """The category of each network that is still there."""
        return self.place_K[self.stack.numbers]

    def _add(self, batch: Batch, step: int, count_K: np.ndarray) -> Tensor:
        """Add a batch to the gradients of a step in which each network has so many documents."""
        target_KB, member_KB = self.train.of_networks(batch.rows_B.numpy(), self._places)
        draws = drawn(self.template, self.run_settings.seed, step, batch.rows_B)
        if self.device.type != "cpu":
            batch = batch.to(self.device, non_blocking=True)
        with self.fabric.autocast(), draws:
            logits_KB = self.grouped(batch)
        loss_KB = self.loss(logits_KB, target_KB, self.stack.numbers)
        share_K = (loss_KB * self._tensor(member_KB)).sum(1) / self._tensor(np.maximum(count_K, 1))
        torch.autograd.backward(share_K.sum())
        found: Tensor = share_K.detach()
        return found

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values.astype(np.float32)).to(self.device)

    def _check(self, losses: list[Tensor], step: int, epoch: int) -> None:
        if self.device.type != "cpu" and step % LOOK_EVERY:
            return
        finite_K = torch.stack(losses).isfinite().all(0).tolist()
        if all(finite_K):
            return
        column = self.candidates[self.stack.numbers[finite_K.index(False)]].assignment.column
        raise RunError(
            f"the loss of {self.work.plan.taxonomy.ids[column]!r} is not finite at step {step + 1} (epoch {epoch})",
            hint=f"try a learning rate below {self.optimizers.learning_rate:g}, or training.gradient_clip",
        )

    def _end_epoch(self, epoch: int) -> None:
        """Judge each network, keep its best, let those go that are done."""
        measured = self._measured()
        better: list[int] = []
        left: list[int] = []
        for place, (k, (dev, scores_M)) in enumerate(zip(self.stack.numbers, measured, strict=True)):
            stopping, candidate = self.stoppings[k], self.candidates[k]
            if stopping.judge(epoch, dev):
                better.append(place)
                self.scores_KM[k] = scores_M
                self.results[k] = Tried(
                    candidate.weight, dev.get("f1") or 0.0, dev.get("loss"), epoch, epoch,
                    partial(self._network, k), partial(self._scores, k),
                )  # fmt: skip
            result = self.results[k]
            self.results[k] = Tried(**{**vars(result), "epochs": epoch})
            if not stopping.exhausted:
                left.append(place)
        self.best.note(better)
        if epoch == self.training.epochs:
            left = []
        if len(left) < len(self.stack.numbers):
            self._narrow(left)

    def _narrow(self, places: list[int]) -> None:
        """Go on with those at these places alone."""
        count, state = len(self.stack.numbers), self.optimizers.state()
        self.stack.keep(places)
        if not places:
            return
        self.optimizers = build_optimizers(self.stack, self.training.optimizer, self.rates)
        names = [name for name, _ in self.stack.named_parameters()]
        self.optimizers.load(narrowed(state, places, count, names))

    @torch.no_grad()
    def _measured(self) -> list[tuple[dict[str, float | None], np.ndarray]]:
        """Of each network that is still there what training goes by, and its scores of dev."""
        self.template.eval()
        self.stack.eval()
        numbers, trainer = self.stack.numbers, self.work.trainer
        config = trainer.config
        count_K = self._tensor(np.maximum(self.dev.member_RN.sum(1), 1)[self._places])
        loss_K = torch.zeros(len(numbers), device=self.device)
        shifts = [self.candidates[k].assignment.job.prior_shift for k in numbers]
        prior_K1 = torch.tensor(shifts, dtype=torch.float32, device=self.device)[:, None]
        logits_KM = np.zeros((len(numbers), len(self.judges)), dtype=np.float32)
        for batch in score_batches(
            self.judges, config.input.features, config.model.encoder.reads, batch_size=DOCUMENTS,
            batch_tokens=self.positions,
        ):  # fmt: skip
            rows = batch.rows_B.numpy()
            logits_KB = self.grouped(batch.to(self.device)).float()
            target_KB, member_KB = self.dev.of_networks(rows, self._places)
            # Dev is no sample: its loss is that of the prior put right.
            loss_KB = self.loss(logits_KB + prior_K1, target_KB, numbers)
            loss_K += (loss_KB * self._tensor(member_KB)).sum(1) / count_K
            logits_KM[:, rows] = logits_KB.cpu().numpy()
        losses = loss_K.tolist()
        found = []
        for place, k in enumerate(numbers):
            candidate = self.candidates[k]
            shift = float(np.log(candidate.weight)) - candidate.assignment.job.prior_shift
            scores_M = (torch.from_numpy(logits_KM[place]) - shift).sigmoid().numpy()
            found.append((self._metrics(k, scores_M, losses[place]), scores_M))
        return found

    def _metrics(self, k: int, scores_M: np.ndarray, loss: float) -> dict[str, float | None]:
        examples = self._dev_of(k)
        if not len(examples.rows):
            return {}
        own_M = scores_M[self.dev.member_RN[self.place_K[k]]]
        # Judged where the weighted network decides at one half.
        decided_M = own_M.astype(np.float64) >= 1 / (1 + self.candidates[k].weight)
        hits, positives = int((decided_M & examples.positive).sum()), int(examples.positive.sum())
        reached = float(f1(np.array([hits]), np.array([decided_M.sum() + positives]))[0])
        values: dict[str, float | None] = {"loss": loss if np.isfinite(loss) else None, "f1": reached}
        if self.stoppings[k].metric == "average_precision":
            gold = Ragged.from_lengths(np.zeros(positives, np.int32), examples.positive.astype(np.int64))
            ids = [str(row) for row in range(len(own_M))]
            scores = Predictions(ids, self.work.trainer.taxonomy, own_M[:, None])
            values |= training_metrics(scores, gold, names=["average_precision"])
        return values

    def _network(self, k: int) -> Mapping[str, np.ndarray]:
        """The best of a candidate, class weight and sampling taken out."""
        candidate = self.candidates[k]
        self.template.load_state_dict(self.best.of(k), strict=False)
        if candidate.weight != 1:
            fold_class_weights(self.template, np.array([candidate.weight], dtype=np.float32))
        shift = candidate.assignment.job.prior_shift
        if shift:
            with torch.no_grad():
                for bias_C in self.template.head.biases():
                    bias_C.add_(shift)
        return {name: t.cpu().numpy().copy() for name, t in self.template.state_dict().items()}

    def _scores(self, k: int) -> np.ndarray:
        own: np.ndarray = self.scores_KM[k][self.dev.member_RN[self.place_K[k]]]
        return own


@dataclass(frozen=True, eq=False)
class Documents:
    """Which documents are each category's, ``[R, N]`` bool, and which of them have it."""

    member_RN: np.ndarray
    positive_RN: np.ndarray

    @classmethod
    def of(cls, examples: Sequence[Examples], rows_N: np.ndarray) -> Documents:
        member_RN = np.zeros((len(examples), len(rows_N)), dtype=bool)
        positive_RN = np.zeros_like(member_RN)
        for r, one in enumerate(examples):
            places = np.searchsorted(rows_N, one.rows)
            member_RN[r, places] = True
            positive_RN[r, places] = one.positive
        return cls(member_RN, positive_RN)

    def of_networks(self, rows_B: np.ndarray, places_K: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """``[K, B]``: which have the category, and which are read."""
        return self.positive_RN[:, rows_B][places_K], self.member_RN[:, rows_B][places_K]
