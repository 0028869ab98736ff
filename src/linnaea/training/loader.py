"""Loader: a split as batches: by length, in an order that (seed, epoch) alone decides, from any batch on.

Documents are shuffled, sorted by length inside pools of ``POOL`` batches, cut into batches, and the batches
are shuffled. So documents of a batch are about equally long (padded tokens stay below 1.1 times the real
ones) and still differ from epoch to epoch. Networks that read bags have no padding: their documents are
shuffled and cut, nothing more.

In a world of W processes every *global* batch is cut into W contiguous parts, so the batches are those of one
process.

Shape letters: N documents of the split, B documents of a batch, T tokens.
"""

from __future__ import annotations

import functools
import hashlib
import queue
import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np
import torch

from linnaea.config.training import TrainingConfig
from linnaea.nn.batch import Bag, Batch, Spelling
from linnaea.ragged import Ragged

if TYPE_CHECKING:
    from linnaea.text.store import Split

# Batches that are sorted by length together. More pad less, fewer mix better; at 50 padding is 2-4 % of
# RCV1's tokens.
POOL = 50

Reads = Literal["sequence", "bags"]
Batches = Generator[Batch, None, None]
Item = TypeVar("Item")


@dataclass(frozen=True, eq=False)
class Loader:
    """Batches of ``split`` for training.

    Args:
        features: the features that the network reads; a sequence is one, or two with spelling; bags may be several.
        reads: what the encoder reads.
        config: ``batch_size``; with ``batch_tokens`` a budget of padded tokens (rows times the longest; for
            bags the tokens
            themselves), where ``batch_size`` is the largest number of rows. A longer document is a batch of
            its own.
        rank, world: which part of every global batch is this process's.
        prefetch: batches collated ahead in a thread of their own; 0: none.
        pin: page-locked memory, from which a GPU copies without waiting.
    """

    split: Split
    features: Sequence[str]
    reads: Reads
    config: TrainingConfig
    seed: int
    shuffle: bool = True
    rank: int = 0
    world: int = 1
    prefetch: int = 0
    pin: bool = False

    def __len__(self) -> int:
        return len(self.split)

    def share(self, rank: int, world: int, *, prefetch: int = 0, pin: bool = False) -> Loader:
        """This loader for one process of a world."""
        return replace(self, rank=rank, world=world, prefetch=prefetch, pin=pin)

    def plan(self, epoch: int) -> list[np.ndarray]:
        """The global batches of an epoch as rows of the split; every document once."""
        order = np.arange(len(self.split), dtype=np.int64)
        generator = np.random.default_rng(np.random.SeedSequence([self.seed, epoch]))
        if self.shuffle:
            order = generator.permutation(len(self.split))
        size, budget = self.config.batch_size, self.config.batch_tokens
        if self.reads == "bags":
            lengths = None if budget is None else self._lengths_N[order]
            return _cut_sum(order, size, lengths, budget)
        pool = POOL * size if self.shuffle else max(1, len(order))
        batches: list[np.ndarray] = []
        for start in range(0, len(order), pool):
            rows = order[start : start + pool]
            rows = rows[np.argsort(self._lengths_N[rows], kind="stable")]
            batches += _cut_padded(rows, size, self._lengths_N, budget)
        if self.shuffle:
            batches = [batches[i] for i in generator.permutation(len(batches))]
        return batches

    def count(self, epoch: int) -> int:
        """Batches of an epoch; only a token budget makes epochs differ."""
        if self.config.batch_tokens is None:
            return -(-len(self.split) // self.config.batch_size)
        return len(self.plan(epoch))

    def part(self, rows: np.ndarray) -> np.ndarray:
        """This process's rows of a global batch; may be none."""
        part: np.ndarray = rows[
            len(rows) * self.rank // self.world : len(rows) * (self.rank + 1) // self.world
        ]
        return part

    def batches(self, epoch: int, start: int = 0, plan: list[np.ndarray] | None = None) -> Batches:
        """This process's batches from the global batch ``start`` on, on the CPU.

        A process without a row in a batch gets the batch's first document, so that it does the same work as
        the others; the loop gives it the weight 0, and masks its tokens.
        """
        plan = self.plan(epoch) if plan is None else plan

        def collated() -> Batches:
            for rows in plan[start:]:
                part = self.part(rows)
                batch = collate(self.split, self.features, self.reads, part if len(part) else rows[:1])
                yield pinned(batch) if self.pin else batch

        return ahead(collated(), self.prefetch) if self.prefetch else collated()

    def facts(self) -> dict[str, object]:
        """What decides the batches, for telling one run from another."""
        labels = self.split.labels
        return {
            "seed": self.seed,
            "documents": len(self.split),
            "lengths": _digest(self._lengths_N),
            "labels": None if labels is None else _digest(labels.values, labels.offsets_N1),
            "features": list(self.features),
            "reads": self.reads,
            "shuffle": self.shuffle,
        }

    @functools.cached_property
    def _lengths_N(self) -> np.ndarray:
        # An empty document still takes one padded token.
        lengths_N: np.ndarray = np.maximum(np.asarray(self.split.lengths_N), 1)
        return lengths_N


def _digest(*arrays: np.ndarray) -> str:
    state = hashlib.sha256()
    for array in arrays:
        state.update(np.ascontiguousarray(array, dtype=np.int64).tobytes())
    return state.hexdigest()[:16]


def score_batches(
    split: Split, features: Sequence[str], reads: Reads, *, batch_size: int = 1024, batch_tokens: int = 32_768
) -> Iterator[Batch]:
    """Large batches for scoring: the longest documents first (a lack of memory shows at once), not shuffled.

    ``rows_B`` of a batch says where its documents belong. ``batch_tokens`` bounds padded tokens.
    """
    lengths_N = np.maximum(np.asarray(split.lengths_N), 1)
    order = np.arange(len(split), dtype=np.int64)
    if reads == "bags":
        plan = _cut_sum(order, batch_size, lengths_N, batch_tokens)
    else:
        plan = _cut_padded(np.argsort(lengths_N, kind="stable"), batch_size, lengths_N, batch_tokens)[::-1]
    for rows in plan:
        yield collate(split, features, reads, rows)


def _cut_padded(rows: np.ndarray, size: int, lengths_N: np.ndarray, budget: int | None) -> list[np.ndarray]:
    """Cut rows, sorted by rising length, into batches of ``size`` rows and ``budget`` padded tokens at
    most."""
    if budget is None:
        return [rows[i : i + size] for i in range(0, len(rows), size)]
    batches, start, lengths, counts = [], 0, lengths_N[rows], np.arange(1, size + 1)
    while start < len(rows):
        longest = lengths[start : start + size]  # of a batch that ends here
        fitting = int(np.searchsorted(longest * counts[: len(longest)], budget, side="right"))
        batches.append(rows[start : start + max(1, fitting)])
        start += max(1, fitting)
    return batches


def _cut_sum(rows: np.ndarray, size: int, lengths: np.ndarray | None, budget: int | None) -> list[np.ndarray]:
    """Cut rows in their order into batches of ``size`` rows and ``budget`` tokens in all; ``lengths`` go with
    ``rows``."""
    if budget is None or lengths is None:
        return [rows[i : i + size] for i in range(0, len(rows), size)]
    batches, start, ends = [], 0, np.cumsum(lengths)
    while start < len(rows):
        before = ends[start - 1] if start else 0
        fitting = int(np.searchsorted(ends[start : start + size], before + budget, side="right"))
        batches.append(rows[start : start + max(1, fitting)])
        start += max(1, fitting)
    return batches


def collate(split: Split, features: Sequence[str], reads: Reads, rows_B: np.ndarray) -> Batch:
    """The documents ``rows_B`` as one batch on the CPU: padded with 0, T >= 1, in the order of ``rows_B``."""
    ids = mask = spelling = None
    bags: dict[str, Bag] = {}
    if reads == "sequence":
        if "spelling" in features:
            spelling, mask = _spelling(*split.spelling(rows_B))
        if tuple(features) != ("spelling",):
            ids, mask = _pad(split.sequence(rows_B))
    else:
        bags = {feature: _bag(split.bag(feature, rows_B)) for feature in features}
    labels = None if split.labels is None else _bag(split.labels.take(rows_B))
    return Batch(torch.from_numpy(np.asarray(rows_B, dtype=np.int64)), ids, mask, bags, labels, spelling)


def _spelling(letters: Ragged, places: Ragged) -> tuple[Spelling, torch.Tensor]:
    """A row of characters for each distinct token, after one for padding."""
    offsets = np.concatenate([[0], letters.offsets_N1])
    letters_UW, _ = _pad(Ragged(letters.values, offsets))
    place_BT, mask_BT = _pad(Ragged(places.values + 1, places.offsets_N1))
    return Spelling(letters_UW, place_BT), mask_BT


def _pad(ragged: Ragged) -> tuple[torch.Tensor, torch.Tensor]:
    lengths = ragged.lengths_N
    longest = max(1, int(lengths.max(initial=0)))
    mask_BT = np.arange(longest) < lengths[:, None]
    ids_BT = np.zeros(mask_BT.shape, dtype=np.int64)
    ids_BT[mask_BT] = ragged.values
    return torch.from_numpy(ids_BT), torch.from_numpy(mask_BT)


def _bag(ragged: Ragged) -> Bag:
    return Bag(
        torch.from_numpy(ragged.values.astype(np.int64)), torch.from_numpy(ragged.offsets_N1.astype(np.int64))
    )


def pinned(batch: Batch) -> Batch:
    """The batch in page-locked memory."""

    def pin(tensor: torch.Tensor | None) -> torch.Tensor | None:
        return None if tensor is None else tensor.pin_memory()

    def pin_spelling(spelling: Spelling) -> Spelling:
        return Spelling(spelling.letters_UW.pin_memory(), spelling.place_BT.pin_memory())

    def pin_bag(bag: Bag) -> Bag:
        return Bag(bag.values.pin_memory(), bag.offsets_B1.pin_memory(), pin(bag.weights))

    return replace(
        batch,
        rows_B=batch.rows_B.pin_memory(),
        ids_BT=pin(batch.ids_BT),
        mask_BT=pin(batch.mask_BT),
        spelling=None if batch.spelling is None else pin_spelling(batch.spelling),
        bags={name: pin_bag(bag) for name, bag in batch.bags.items()},
        labels=None if batch.labels is None else pin_bag(batch.labels),
    )


def ahead(source: Iterator[Item], depth: int) -> Generator[Item, None, None]:
    """``source``, taken ``depth`` items ahead in a thread; its errors are raised here, and leaving early ends
    the thread."""
    box: queue.Queue[tuple[Literal["item", "error", "end"], object]] = queue.Queue(maxsize=depth)
    left = threading.Event()

    def put(kind: Literal["item", "error", "end"], value: object) -> bool:
        while not left.is_set():
            try:
                box.put((kind, value), timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in source:
                if not put("item", item):
                    return
            put("end", None)
        except BaseException as error:
            put("error", error)

    thread = threading.Thread(target=work, name="linnaea-loader", daemon=True)
    thread.start()
    try:
        while True:
            kind, value = box.get()
            if kind == "end":
                return
            if kind == "error":
                raise value  # type: ignore[misc]
            yield value  # type: ignore[misc]
    finally:
        left.set()
        thread.join()
