"""Scorer and Strategy: what scores documents, and how it is fitted; all that the model and the commands know.

Shape letters: N documents of a split, C categories, K scores kept a document.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from scipy.sparse import csr_array

from linnaea.decision.decider import keep_best
from linnaea.decision.predictions import Predictions
from linnaea.ragged import Ragged
from linnaea.reporter import Reporter
from linnaea.run_folder import RunFolder
from linnaea.taxonomy.taxonomy import Taxonomy

if TYPE_CHECKING:
    from linnaea.text.store import Corpus, Split

WEIGHTS = "weights.safetensors"
DENSE_SCORES = 2**28  # a gigabyte of float32; more scores than that are cut to the best of each document
KEPT = 100  # so many


class Scorer(Protocol):
    """Documents in, scores out. ``kind`` is what ``model.json`` calls it."""

    kind: ClassVar[str]

    def score(self, split: Split, keep: int | None = None) -> Predictions:
        """Scores of all documents, in the split's order, float32 in [0, 1].

        A document's scores do not depend on the documents beside it.

        Args:
            keep: only the best ``keep`` scores a document, as CSR. None: all of them while they are at most
                2^28, else the best 100 a document.
        """

    def save(self, folder: Path) -> None:
        """Write the weights into a model folder (safetensors)."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a strategy leaves.

    Attributes:
        tuning: scores of documents that their scorer had not seen in training, for thresholds; None: nothing
            is tuned.
        tuning_gold: taxonomy columns of the same documents, closed.
        support_C: documents of each category that the scorer was fitted on.
        facts: for the model's card: parameters, seconds, best epoch, ...
        found_C: thresholds that the strategy found itself, +inf: never; None: it looks for none.
        follows: columns that are decided wherever all their parents are, whatever the thresholds.
        fitted_on_dev: dev was part of what the scorer was fitted on, so that scores on dev mean nothing.
        main_process: False in the helpers of a distributed run, which write nothing.
        half_seen: the scorer has looked at the first half of ``tuning`` (``decision.enough.halves``): a promise rests on
            the other.
    """

    scorer: Scorer
    tuning: Predictions | None
    tuning_gold: Ragged | None
    support_C: np.ndarray
    facts: Mapping[str, Any] = field(default_factory=dict)
    main_process: bool = True
    fitted_on_dev: bool = False
    found_C: np.ndarray | None = None
    follows: tuple[int, ...] = ()
    half_seen: bool = False


class Strategy(Protocol):
    """How a scorer is fitted."""

    def fit(
        self, corpus: Corpus, run: RunFolder, *, resume: bool = False, reporter: Reporter | None = None
    ) -> Fitted:
        """Fit on the corpus; checkpoints and history go to ``run``.

        Args:
            resume: go on from the run's checkpoints, where there are any.
        """


class ScoreSheet:
    """Gathers scores block by block, in any order of documents: dense, or the best ``keep`` of each document.

    The best of a document are the same whatever stands beside it; of equal scores the lower columns stay.
    """

    def __init__(self, documents: int, categories: int, keep: int | None = None) -> None:
        if keep is None and documents * categories > DENSE_SCORES:
            keep = KEPT
        self.keep = keep if keep is not None and keep < categories else None
        self.shape = (documents, categories)
        width = categories if self.keep is None else self.keep
        self._scores = np.zeros((documents, width), dtype=np.float32)
        self._columns = None if self.keep is None else np.zeros((documents, width), dtype=np.int32)

    def put(self, rows: np.ndarray | slice, scores_NC: np.ndarray) -> None:
        """The scores of the documents ``rows``, over all categories."""
        if self._columns is None or self.keep is None:
            self._scores[rows] = scores_NC
            return
        kept_NC = keep_best(scores_NC, self.keep)
        self._columns[rows] = np.nonzero(kept_NC)[1].reshape(len(scores_NC), self.keep)
        self._scores[rows] = scores_NC[kept_NC].reshape(len(scores_NC), self.keep)

    def put_predictions(self, rows: np.ndarray, predictions: Predictions) -> None:
        """The scores of the documents ``rows``, as a scorer gave them, cut alike or not at all."""
        scores = predictions.scores
        if isinstance(scores, np.ndarray):
            self.put(rows, scores)
            return
        if self._columns is None or scores.nnz != len(rows) * self._columns.shape[1]:
            raise ValueError(f"{scores.nnz} scores kept of {len(rows)} documents, for a sheet of {self.keep}")
        self._columns[rows] = scores.indices.reshape(len(rows), -1)
        self._scores[rows] = scores.data.reshape(len(rows), -1)

    def predictions(self, ids: Sequence[str], taxonomy: Taxonomy) -> Predictions:
        """All of it."""
        if self._columns is None:
            return Predictions(ids, taxonomy, self._scores)
        # Scores of 0 stay stored: every row holds ``keep`` of them, by which a cut is known.
        offsets = np.arange(self.shape[0] + 1, dtype=np.int64) * self._columns.shape[1]
        parts = (self._scores.ravel(), self._columns.ravel(), offsets)
        return Predictions(ids, taxonomy, csr_array(parts, shape=self.shape))
