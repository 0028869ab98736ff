"""One LIBLINEAR model a category, over several processes where it pays; the numbers never depend on how many.

LIBLINEAR's coordinate descent draws from a random generator that all threads of a process share: threads race
for its numbers, and the weights change from run to run. So every worker is a process of its own.

Shape letters: N documents, F features, C categories.
"""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass

import numpy as np
from joblib import Parallel, delayed  # type: ignore[import-untyped]
from scipy.sparse import csc_array, csr_array
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from linnaea.config.training import LinearConfig
from linnaea.ragged import Ragged

SURE = 1e4  # a decision value whose sigmoid is exactly 0 or 1
WORTHWHILE = 4e8  # values to go through, some 15 s, above which processes are worth starting
SHARE = 1e8  # of them for each process at least, or starting it costs more than it saves
PORTIONS = 4  # a worker, so that none waits long for the last


@dataclass(frozen=True, eq=False)
class Models:
    """All categories' models: weights ``[F, C]`` float32, intercepts, and how many had not converged."""

    weights: csr_array
    intercept_C: np.ndarray
    unfinished: int


def processes(threads: int | None, work: float) -> int:
    """How many processes to use for ``work`` values: one a core, or as the user allows, where it is much."""
    if work < WORTHWHILE:
        return 1
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(threads or available, available, int(work / SHARE)))


def fit_categories(
    vectors: csr_array, positives: Ragged, settings: LinearConfig, seed: int, workers: int = 1
) -> Models:
    """One model a category against all other documents.

    Args:
        vectors: ``[N, F]`` float64.
        positives: the documents of each category, C rows. A category without documents is never decided
            (score 0), one that all documents have always is (score 1); neither has weights.
        workers: processes.
    """
    documents, features = vectors.shape
    counts_C = positives.lengths_N
    intercept_C = np.where(counts_C == 0, -SURE, SURE).astype(np.float32)
    columns = np.flatnonzero((counts_C > 0) & (counts_C < documents))
    if workers == 1 or len(columns) < 2:
        found = [_fit_some(vectors, positives.take(columns), settings, seed)]
        portions = [columns]
    else:
        portions = [
            part
            for part in (columns[i :: workers * PORTIONS] for i in range(workers * PORTIONS))
            if len(part)
        ]
        # Large arrays reach the workers memory-mapped, once.
        run = Parallel(n_jobs=workers, backend="loky")
        found = run(delayed(_fit_some)(vectors, positives.take(part), settings, seed) for part in portions)
    empty = np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32)
    by_column: list[Column] = [empty] * len(positives)
    for part, (coefficients, intercepts, _) in zip(portions, found, strict=True):
        intercept_C[part] = intercepts
        for place, column in enumerate(part.tolist()):
            by_column[column] = coefficients[place]
    offsets_C1 = np.concatenate([[0], np.cumsum([len(rows) for rows, _ in by_column], dtype=np.int64)])
    # Column after column, without a place for each weight: at 10,000 categories they are many millions.
    parts = (np.concatenate([v for _, v in by_column]), np.concatenate([r for r, _ in by_column]), offsets_C1)
    unfinished = sum(unfinished for _, _, unfinished in found)
    del found, by_column
    weights = csc_array(parts, shape=(features, len(positives))).tocsr()
    weights.indptr = weights.indptr.astype(np.int64)
    return Models(weights, intercept_C, unfinished)


Column = tuple[np.ndarray, np.ndarray]  # features with a weight, and the weights


def _fit_some(
    vectors: csr_array, positives: Ragged, settings: LinearConfig, seed: int
) -> tuple[list[Column], list[float], int]:
    coefficients, intercepts, unfinished = [], [], 0
    for documents in positives:
        positive_N = np.zeros(vectors.shape[0], dtype=bool)
        positive_N[documents] = True
        # Weight of the positives; scikit-learn's own "balanced" would also change how strongly C acts.
        weight = (len(positive_N) - len(documents)) / len(documents) if settings.balanced else 1.0
        model = _model(settings, {False: 1.0, True: weight}, seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(vectors, positive_N)
        weights_F = model.coef_[0].astype(np.float32)
        features = np.flatnonzero(weights_F).astype(np.int32)
        coefficients.append((features, weights_F[features]))
        # A weighted logistic model's log-odds are too high by ln(weight); margins of an SVM are no log-odds.
        shift = np.log(weight) if settings.model == "logistic" else 0.0
        intercepts.append(float(model.intercept_[0] - shift))
        unfinished += int(np.max(model.n_iter_) >= model.max_iter)
    return coefficients, intercepts, unfinished


def _model(
    settings: LinearConfig, class_weight: dict[bool, float], seed: int
) -> LinearSVC | LogisticRegression:
    if settings.model == "svm":
        return LinearSVC(C=settings.C, class_weight=class_weight, random_state=seed)
    return LogisticRegression(C=settings.C, class_weight=class_weight, random_state=seed, solver="liblinear")
