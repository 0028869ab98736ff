"""Splits that keep the share of every category: multi-label iterative stratification, vectorised over
documents.

Sechidis, Tsoumakas, Vlahavas: On the Stratification of Multi-Label Data (ECML PKDD 2011): categories are
dealt with one after another, always the one with the fewest documents left, because a rare one that is left
to the end cannot be put right. Where this differs: all documents of a category are dealt out at once, alike
ones (same rarest categories) next to each other, so that combinations of categories are spread too; and a
repair afterwards sees to it that no category with two documents has all of them on one side.

Shape letters: N documents, C categories, K parts.
"""

from __future__ import annotations

import numpy as np

from linnaea.errors import DataError
from linnaea.ragged import Ragged

_DONE = np.iinfo(np.int64).max
_TRIED = 64  # documents of one category looked at in one step of the repair


def stratified_split(
    labels: Ragged, columns: int, fraction: float, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Split off a part of the documents with the same shares of all categories.

    A category with two documents or more stands on both sides. Where that cannot hold for all at once (three
    documents that share three categories in pairs), the rest is served first: the documents are then all
    there.

    Args:
        labels: ``[N]`` rows of categories, closed or not.
        columns: C.
        fraction: of the part split off, between 0 and 1.
        seed: the same seed gives the same split.

    Returns:
        ``(rest, part)``: int64 rows, ascending; neither is empty.

    Raises:
        DataError: no category has two documents, so that nothing can stand on both sides.
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction must lie between 0 and 1, not {fraction}")
    if len(labels) < 2 or labels.counts(columns).max(initial=0) < 2:
        what = "there is only one document" if len(labels) == 1 else "no category has two documents"
        what = "there are no documents" if not len(labels) else what
        hint = "give a file of its own, or more documents"
        raise DataError(f"cannot split off {fraction:.0%} of the documents: {what}", hint=hint)
    part_N = _deal(labels, columns, np.array([1 - fraction, fraction]), seed)
    return np.flatnonzero(part_N == 0), np.flatnonzero(part_N == 1)


def stratified_folds(labels: Ragged, columns: int, folds: int, seed: int) -> np.ndarray:
    """Deal the documents out to folds of the same size with the same shares of all categories.

    A category with two documents or more is not in one fold alone (where that can hold for all at once).

    Returns:
        ``[N]`` int64: the fold of each document, 0 to ``folds - 1``.

    Raises:
        DataError: fewer documents than folds.
    """
    if folds < 2:
        raise ValueError(f"folds must be 2 or more, not {folds}")
    if len(labels) < folds:
        raise DataError(
            f"cannot make {folds} folds of {len(labels)} documents",
            hint="use fewer folds, or give more documents",
        )
    return _deal(labels, columns, np.full(folds, 1 / folds), seed)


def _deal(labels: Ragged, columns: int, share_K: np.ndarray, seed: int) -> np.ndarray:
    """``[N]`` int64: the part of each document."""
    rng = np.random.default_rng(seed)
    order_N = _alike_together(labels, columns, rng)
    work = labels.take(order_N)
    part_N = _stratify(work, columns, share_K, rng)
    _repair(part_N, work, columns, len(share_K), rng)
    result_N = np.empty(len(labels), dtype=np.int64)
    result_N[order_N] = part_N
    return result_N


def _alike_together(labels: Ragged, columns: int, rng: np.random.Generator) -> np.ndarray:
    """An order of the documents by their three rarest categories, random among equal ones."""
    count = len(labels)
    shuffled_N = rng.permutation(count)
    rarity_C = np.empty(columns, dtype=np.int64)
    rarity_C[np.argsort(labels.counts(columns), kind="stable")] = np.arange(columns)
    work = labels.take(shuffled_N)
    ranks, rows = rarity_C[work.values], work.rows
    by_rank = np.argsort(rows * max(columns, 1) + ranks)
    ranks = ranks[by_rank]
    key_N = np.zeros(count, dtype=np.int64)
    starts_N, lengths_N = work.offsets_N1[:-1], work.lengths_N
    for place in range(3):
        has_N = lengths_N > place
        digit_N = np.full(count, columns, dtype=np.int64)
        digit_N[has_N] = ranks[starts_N[has_N] + place]
        key_N = key_N * (columns + 1) + digit_N  # below 2^63 up to two million categories
    return shuffled_N[np.argsort(key_N, kind="stable")]


def _stratify(work: Ragged, columns: int, share_K: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Deal out category by category, the one with the fewest documents left first."""
    parts = len(share_K)
    holders = work.transpose(columns)
    total_C = work.counts(columns)
    left_C = np.where(total_C > 0, total_C, _DONE)
    have_CK = np.zeros((columns, parts), dtype=np.int64)
    size_K = np.zeros(parts, dtype=np.int64)
    part_N = np.full(len(work), -1, dtype=np.int64)
    while columns and left_C[category := int(np.argmin(left_C))] != _DONE:
        docs = holders[category]
        docs = docs[part_N[docs] < 0]
        quota_K = _quotas(
            len(docs), share_K * total_C[category], have_CK[category], share_K * len(work) - size_K
        )
        dealt = _interleave(quota_K, rng)
        part_N[docs] = dealt
        size_K += quota_K
        touched = work.take(docs)
        np.add.at(have_CK, (touched.values, np.repeat(dealt, touched.lengths_N)), 1)
        np.subtract.at(left_C, touched.values, 1)
        left_C[touched.values[left_C[touched.values] == 0]] = _DONE
    bare = np.flatnonzero(part_N < 0)  # documents without labels fill up what is missing in size
    quota_K = _quotas(len(bare), share_K * len(work), size_K, share_K)
    part_N[bare] = rng.permutation(np.repeat(np.arange(parts), quota_K))
    return part_N


def _quotas(count: int, want_K: np.ndarray, have_K: np.ndarray, room_K: np.ndarray) -> np.ndarray:
    """How many of ``count`` documents each part gets so that it comes nearest to what it should have.

    Args:
        want_K: documents each part should have in the end (not whole).
        have_K: those it has.
        room_K: what each part lacks in size: decides between equals.
    """
    missing_K = np.maximum(want_K - have_K, 0.0)
    if not missing_K.any():
        missing_K = want_K
    exact_K = missing_K * (count / missing_K.sum()) if missing_K.sum() > 0 else np.zeros_like(missing_K)
    quota_K: np.ndarray = np.floor(exact_K + 1e-9).astype(np.int64)
    over = count - int(quota_K.sum())
    if over > 0:
        quota_K[np.lexsort((-room_K, -np.round(exact_K - quota_K, 9)))[:over]] += 1
    # Two documents or more in all: no part goes without as long as another can give one.
    if have_K.sum() + count >= 2 and len(quota_K) == 2:
        for part in np.flatnonzero(have_K + quota_K == 0):
            if quota_K[1 - part] > 0:
                quota_K[part] += 1
                quota_K[1 - part] -= 1
    return quota_K


def _interleave(quota_K: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The parts in a row, each as often as its quota says and evenly spread, for neighbours are alike."""
    parts = np.repeat(np.arange(len(quota_K)), quota_K)
    within = np.arange(len(parts)) - np.repeat(np.cumsum(quota_K) - quota_K, quota_K)
    place = (within + np.repeat(rng.random(len(quota_K)), quota_K)) / np.repeat(
        np.maximum(quota_K, 1), quota_K
    )
    return parts[np.argsort(place, kind="stable")]


def _repair(part_N: np.ndarray, work: Ragged, columns: int, parts: int, rng: np.random.Generator) -> None:
    """Move single documents until no category with two documents has all of them in one part, in place.

    A random walk as for satisfiability (Selman, Kautz, Cohen 1994): one category that stands on one side is
    picked, the document whose move breaks the fewest others goes over. What was best is kept if it does not
    end well.
    """
    state = _Sides(part_N, work, columns, parts)
    one_sided = state.one_sided()
    if not len(one_sided):
        return
    holders = work.transpose(columns)
    best, best_cost = part_N.copy(), state.cost(one_sided)
    for _ in range(20 * len(one_sided) + 200):
        category = int(rng.choice(one_sided))
        docs = holders[category]
        if len(docs) > _TRIED:
            docs = rng.choice(docs, _TRIED, replace=False)
        moves = [(int(doc), part) for doc in docs.tolist() for part in range(parts) if part != part_N[doc]]
        broken = np.array([state.breaks(doc, part) for doc, part in moves]) + rng.random(len(moves))
        if rng.random() < 0.1:
            broken = rng.random(len(moves))
        state.move(*moves[int(np.argmin(broken))])
        one_sided = state.one_sided()
        cost = state.cost(one_sided)
        if cost < best_cost:
            best, best_cost = part_N.copy(), cost
        if not len(one_sided):
            break
    part_N[:] = best


class _Sides:
    """How many documents of each category each part has, while documents move."""

    def __init__(self, part_N: np.ndarray, work: Ragged, columns: int, parts: int) -> None:
        self.part_N, self.work = part_N, work
        self.total_C = work.counts(columns)
        self.have_CK = np.zeros((columns, parts), dtype=np.int64)
        np.add.at(self.have_CK, (work.values, part_N[work.rows]), 1)
        self.size_K = np.bincount(part_N, minlength=parts)

    def one_sided(self) -> np.ndarray:
        """Categories with two documents or more, all of them in one part."""
        return np.flatnonzero((self.total_C >= 2) & (self.have_CK.max(axis=1, initial=0) == self.total_C))

    def cost(self, one_sided: np.ndarray) -> int:
        """Nothing in part 0 (train, where there are two) weighs double."""
        return len(one_sided) + int((self.have_CK[one_sided, 0] == 0).sum())

    def breaks(self, doc: int, part: int) -> float:
        """How bad a move is: categories that would stand in one part alone; less so, lost from part 0."""
        mine = self.work[doc]
        alone = (self.have_CK[mine, part] + 1 == self.total_C[mine]) & (self.total_C[mine] >= 2)
        emptied = self.size_K[self.part_N[doc]] == 1
        lost = (self.have_CK[mine, 0] == 1) & (self.total_C[mine] == 1) if self.part_N[doc] == 0 else alone
        return 10.0 * float(alone.sum()) + 2.0 * float(lost.sum()) + (1000.0 if emptied else 0.0)

    def move(self, doc: int, part: int) -> None:
        mine, old = self.work[doc], int(self.part_N[doc])
        self.have_CK[mine, old] -= 1
        self.have_CK[mine, part] += 1
        self.size_K[old] -= 1
        self.size_K[part] += 1
        self.part_N[doc] = part
