"""Thresholds that come with a promise, held by documents that neither scorer nor calibration learned from.

Paper: conformal prediction a category: Vovk 2012, https://arxiv.org/abs/1209.2673; conformal risk control: Angelopoulos
et al. 2022, https://arxiv.org/abs/2208.02814. Documents are taken to be drawn alike: those of dev, and those to come.

Shape letters: N documents, C categories, M gold categories of all documents, J places where a loss rises.
"""

from __future__ import annotations

import numpy as np

from linnaea.config.registry import thresholds
from linnaea.decision.cuts import Evidence, scores_at
from linnaea.decision.enough import ROUNDING, check_error, check_recall, needed_for, with_any
from linnaea.decision.rules import Promise, ThresholdRule, given
from linnaea.ragged import Ragged

MEGABYTES = 16
BEST = 64


@thresholds.register("conformal")
class Conformal(ThresholdRule):
    """A promised recall for each category, in the mean over what dev might have been; rare ones share a promise.

    Paper: Vovk 2012, https://arxiv.org/abs/1209.2673 (Mondrian conformal prediction, one class a category).

    Formula: t_c = the k-th highest score of the category's n documents, k = ⌈(n + 1)·recall⌉. Where k > n no threshold
    of its own holds the promise: such categories share a threshold, found so from the lowest score of each document among
    those of them that it has, n documents with any. Where these are too few as well, the rarest of the others joins them.

    Differences: a category is decided or not, whatever the others are; the set of them is not what coverage is
    promised of. The shared threshold promises of the documents with any category that shares it that all of these are
    found, not the recall of each. It counts documents, since the labels of one come together (a rare category with its
    rare parents): three documents of three labels tell no more than three. Were frequent categories part of the pool,
    their higher scores would set a threshold that rare ones seldom reach: on reuters21578, recall .08 of 77 rare
    categories in place of the promised .8. Equal scores make the recall higher, never lower.

    Cost: one sort of the positives' scores, O(M·log M), and a look at all N·C.

    When to use: where a person reads what was found, and what is missed is lost.
    """

    def find(self, evidence: Evidence | None, columns: int) -> np.ndarray:
        evidence = given(evidence, self.config.type)
        recall, active_C = self.config.recall, evidence.active_C
        check_recall(recall, with_any(evidence.gold, active_C))
        evidence.check_numbers()
        scores, own_C = _positives(evidence), _own(evidence, recall)
        # Ascending, so the k-th highest lies k before the end.
        places_C = scores.offsets_N1[1:] - np.where(own_C, rank(scores.lengths_N, recall), 1)
        found_C: np.ndarray = scores.values[np.maximum(places_C, 0)].astype(np.float64)
        pool = np.sort(_lowest(evidence, active_C & ~own_C))
        if len(pool):
            found_C[~own_C] = pool[len(pool) - int(rank(np.array(len(pool)), recall))]
        return found_C

    def promise(self, evidence: Evidence) -> Promise:
        shared_C = evidence.active_C & ~_own(evidence, self.config.recall)
        # What was cut from the scores is never decided: no threshold brings it back.
        found_C = self.find(evidence, len(shared_C))
        cut_C = evidence.active_C & (found_C == 0) & evidence.predictions.sparse
        ids = evidence.taxonomy.ids
        shared, cut = (tuple(ids[c] for c in np.flatnonzero(told_C)) for told_C in (shared_C, cut_C))
        exact = self.config.on != "cross"
        return Promise("recall", self.config.recall, len(evidence.predictions), exact, shared, cut)


@thresholds.register("cautious")
class Cautious(ThresholdRule):
    """Back off to the parent: one threshold for all scores under ``max``, at which few decisions are wrong.

    Paper: Angelopoulos et al. 2022, https://arxiv.org/abs/2208.02814 (conformal risk control; a loss that does not fall
    is replaced by the least one above it that does).

    Formula: S_i(t) = the categories of document i with a score of at least t. Under ``max`` scores fall from parent to
    child, so S_i(t) is coherent, and a higher t takes leaves away first. L_i(t) = the largest share of wrong ones in
    S_i(u) over all u ≥ t (0 where it is empty); with ``of: documents`` 1 where S_i(t) has any wrong one, else 0. t = the
    least threshold with (Σ_i L_i(t) + 1) / (n + 1) ≤ error, over n documents.

    Differences: the paper's loss is a function that somebody gives; these two are ours. A share of wrong decisions
    need not fall when t rises, hence the largest over all higher thresholds.

    Cost: O(N·C) while the threshold lies above the 64th score of every document, else one sort of each document's scores,
    O(N·C·log C).

    When to use: where a wrong category is worse than a vague one.
    """

    def find(self, evidence: Evidence | None, columns: int) -> np.ndarray:
        evidence = given(evidence, self.config.type)
        documents = len(evidence.predictions)
        check_error(self.config.error, documents)
        evidence.check_numbers()
        # Few decisions of a document are already too much: as a rule the best scores tell.
        found, deepest = self._first(evidence, BEST, -np.inf)
        if deepest > -np.inf and (found is None or found <= deepest):
            found, _ = self._first(evidence, columns, -np.inf if found is None else found)
        if found is None:
            return np.zeros(columns)
        # Just above it: it and its equals are out.
        return np.full(columns, float(np.nextafter(np.float32(found), np.float32(np.inf))))

    def _first(self, evidence: Evidence, best: int, least: float) -> tuple[float | None, float]:
        """The first place, from the top, at which the losses are too much; None: nowhere.

        Args:
            best: only so many scores of a document are looked at, so that losses are too small from the last of them down.
            least: lower places are left out.

        Returns:
            It, and where losses begin to be too small; -inf: nowhere.
        """
        places_J, rises_J, deepest = _rises(evidence, self.config.of == "documents", best, least)
        order = np.argsort(-places_J, kind="stable")
        places_J, total_J = places_J[order], np.cumsum(rises_J[order])
        too_much = total_J + 1 > self.config.error * (len(evidence.predictions) + 1) + ROUNDING
        return float(places_J[int(too_much.argmax())]) if too_much.any() else None, deepest

    def promise(self, evidence: Evidence) -> Promise:
        kind = "wrong documents" if self.config.of == "documents" else "wrong categories"
        return Promise(kind, self.config.error, len(evidence.predictions), self.config.on != "cross")  # type: ignore[arg-type]


def rank(n: np.ndarray, share: float) -> np.ndarray:
    """⌈(n + 1)·share⌉, where rounding does not count."""
    return np.ceil((n + 1) * share - ROUNDING).astype(np.int64)


def _own(evidence: Evidence, recall: float) -> np.ndarray:
    """``[C]`` bool: categories with a threshold of their own; those of the others that are active share one.

    Where the documents of all that share are too few, the category with the fewest of the others joins them.
    """
    n_C = np.where(evidence.active_C, evidence.positives_C, 0)
    own_C: np.ndarray = rank(n_C, recall) <= n_C
    sharing_C = evidence.active_C & ~own_C
    if sharing_C.any() and own_C.any() and with_any(evidence.gold, sharing_C) < needed_for(1 - recall):
        own_C[np.where(own_C, n_C, n_C.max() + 1).argmin()] = False
    return own_C


def _lowest(evidence: Evidence, among_C: np.ndarray) -> np.ndarray:
    """The lowest score of each document among those of the categories that it has, if any; 0 where one was cut."""
    gold = evidence.gold
    inside = among_C[gold.values]
    rows, columns = gold.rows[inside], gold.values[inside]
    lowest_N = np.full(len(gold), np.inf, dtype=np.float32)
    np.minimum.at(lowest_N, rows, scores_at(evidence.predictions, rows, columns))
    return np.asarray(lowest_N[np.unique(rows)])


def _positives(evidence: Evidence) -> Ragged:
    """The scores of each active category's gold documents, ascending; 0 where they were cut."""
    gold = evidence.gold
    columns, scores = gold.values, scores_at(evidence.predictions, gold.rows, gold.values)
    active = evidence.active_C[columns]
    columns, scores = columns[active], scores[active]
    order = np.lexsort((scores, columns))
    return Ragged.from_lengths(scores[order], np.bincount(columns, minlength=len(evidence.taxonomy)))


def _rises(
    evidence: Evidence, documents: bool, best: int, least: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """``[J]`` scores at which the losses of documents rise as the threshold falls, and by how much each.

    Args:
        documents: a document with any wrong category counts as 1.
        best: how many scores of a document are looked at.
        least: lower scores are left out.

    Returns:
        Also the highest of the last scores looked at: rises are all there above it. -inf: everywhere.
    """
    columns = np.flatnonzero(evidence.active_C)
    places, rises, deepest = [np.zeros(0)], [np.zeros(0)], -np.inf
    for rows, block in evidence.predictions.blocks(MEGABYTES):
        gold_NC = evidence.gold.take(np.arange(rows.start, rows.stop)).dense(block.shape[1])[:, columns]
        scores_NC = block[:, columns]
        cut = 0 < best < len(columns)
        if cut:
            order_NK = np.argpartition(-scores_NC, best - 1, axis=1)[:, :best]
            scores_NC, gold_NC = (np.take_along_axis(x, order_NK, axis=1) for x in (scores_NC, gold_NC))
            deepest = max(deepest, float(scores_NC.min(axis=1).max(initial=-np.inf)))
        place_M, rise_M = _block_rises(scores_NC, gold_NC, documents, cut)
        there = place_M >= least
        places.append(place_M[there])
        rises.append(rise_M[there])
    return np.concatenate(places), np.concatenate(rises), deepest


def _block_rises(
    scores_NK: np.ndarray, gold_NK: np.ndarray, documents: bool, cut: bool
) -> tuple[np.ndarray, np.ndarray]:
    order_NK = np.argsort(-scores_NK, axis=1)
    scores_NK = np.take_along_axis(scores_NK, order_NK, axis=1)
    wrong_NK = np.cumsum(~np.take_along_axis(gold_NK, order_NK, axis=1), axis=1)
    loss_NK = wrong_NK > 0 if documents else wrong_NK / np.arange(1, scores_NK.shape[1] + 1)
    # Equal scores come together: only where a run of them ends is there such a set. Where a cut is, no run is known to end.
    ends_NK = np.full(scores_NK.shape, not cut)
    ends_NK[:, :-1] = scores_NK[:, :-1] > scores_NK[:, 1:]
    loss_NK = np.maximum.accumulate(np.where(ends_NK, loss_NK, 0.0), axis=1)
    rises_NK = np.diff(loss_NK, axis=1, prepend=0.0)
    there = rises_NK > 0
    return scores_NK[there], rises_NK[there]
