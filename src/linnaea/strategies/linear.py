"""Linear: tf-idf and one linear model a category: the yardstick of every other result.

Each category has a support vector machine with squared hinge loss, or a logistic regression, against all
other documents (LIBLINEAR, Fan et al. 2008, https://www.jmlr.org/papers/v9/fan08a.html, by scikit-learn).
Score = sigmoid of the decision value, so that its sign is the side of .5; softmax over all categories where a
document has exactly one, whose largest is the choice of one-vs-rest. Thresholds are tuned on out-of-fold
scores over train and dev, document frequencies being counted in each fold anew; then all documents are fitted
once more. Where nothing is tuned, dev serves nothing else and is trained on too.

Shape letters: N documents, F features, C categories.
"""

from __future__ import annotations

import functools
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from scipy.sparse import csr_array
from scipy.special import expit, softmax

from linnaea.config.config import Config
from linnaea.config.training import LinearConfig
from linnaea.decision.predictions import Predictions
from linnaea.errors import ConfigError, DataError
from linnaea.ragged import Ragged
from linnaea.reporter import Reporter, Silent
from linnaea.run_folder import RunFolder
from linnaea.strategies.base import WEIGHTS, Fitted, ScoreSheet
from linnaea.strategies.crossfit import fold_numbers, join
from linnaea.strategies.liblinear import fit_categories, processes
from linnaea.strategies.tfidf import TfIdf, count_features
from linnaea.taxonomy.taxonomy import Taxonomy
from linnaea.tensors import read_tensors, write_tensors

if TYPE_CHECKING:
    from linnaea.text.featurizer import Featurizer
    from linnaea.text.store import Corpus, Split

Scores = Literal["sigmoid", "softmax"]
BLOCK = 2**24  # scores worked on at once
FOLDS = 5  # where nothing is tuned
DENSE_WEIGHTS = 2**26  # up to 256 MB the weights are laid out densely for scoring


class LinearScorer:
    """tf-idf vectors times one weight column a category.

    Args:
        weights: ``[F, C]`` float32, sparse.
        intercept_C: float32.
        scores: how decision values become scores.
    """

    kind: ClassVar[str] = "linear"

    def __init__(
        self, taxonomy: Taxonomy, tfidf: TfIdf, weights: csr_array, intercept_C: np.ndarray, scores: Scores
    ) -> None:
        self.taxonomy, self.tfidf, self.scores = taxonomy, tfidf, scores
        self.weights, self.intercept_C = weights, intercept_C

    def score(self, split: Split, keep: int | None = None) -> Predictions:
        sheet = ScoreSheet(len(split), len(self.taxonomy), keep)
        for rows_N in _blocks(len(split), len(self.taxonomy)):
            sheet.put(rows_N, self.score_vectors(self.tfidf(split, rows_N)))
        return sheet.predictions(split.ids, self.taxonomy)

    def score_vectors(self, vectors: csr_array) -> np.ndarray:
        """``[N, C]`` float32 scores of ``[N, F]`` tf-idf vectors."""
        margins_NC = self.decision_values(vectors)
        scores_NC = softmax(margins_NC, axis=1) if self.scores == "softmax" else expit(margins_NC)
        return np.asarray(scores_NC, dtype=np.float32)

    def decision_values(self, vectors: csr_array) -> np.ndarray:
        """``[N, C]`` float32 decision values of ``[N, F]`` tf-idf vectors."""
        product = vectors.astype(np.float32) @ self._weights_FC
        dense = product if isinstance(product, np.ndarray) else product.toarray()
        return np.asarray(dense + self.intercept_C, dtype=np.float32)

    @functools.cached_property
    def _weights_FC(self) -> np.ndarray | csr_array:
        small = self.weights.shape[0] * self.weights.shape[1] <= DENSE_WEIGHTS
        return self.weights.toarray() if small else self.weights

    def save(self, folder: Path) -> None:
        tfidf, weights = self.tfidf, self.weights
        tensors = {
            "kept_F": tfidf.kept_F, "idf_F": tfidf.idf_F, "intercept_C": self.intercept_C,
            "weights.values": weights.data, "weights.columns": weights.indices.astype(np.int32),
            "weights.offsets": weights.indptr.astype(np.int64),
        }  # fmt: skip
        write_tensors(folder / WEIGHTS, tensors)

    @classmethod
    def load(cls, folder: Path, config: Config, taxonomy: Taxonomy, featurizer: Featurizer) -> Self:
        """What ``save`` wrote.

        Raises:
            ModelError: missing, truncated, not finite, or of other sizes than taxonomy and vocabularies.
        """
        features = tuple(config.input.features)
        sizes: dict[str, int] = {feature: featurizer.sizes[feature] for feature in features}
        path = folder / WEIGHTS
        tensors = read_tensors(path)
        kept_F = tensors.take("kept_F", np.int64, (None,))
        idf_F = tensors.take("idf_F", np.float64, kept_F.shape)
        intercept_C = tensors.take("intercept_C", np.float32, (len(taxonomy),))
        values = tensors.take("weights.values", np.float32, (None,))
        columns = tensors.take("weights.columns", np.int32, values.shape)
        offsets = tensors.take("weights.offsets", np.int64, (len(kept_F) + 1,))
        tensors.end()
        ascending = (np.diff(kept_F) > 0).all() and (np.diff(offsets) >= 0).all()
        fits = _within(kept_F, sum(sizes.values())) and _within(columns, len(taxonomy))
        if not (ascending and fits and offsets[0] == 0 and offsets[-1] == len(values)):
            raise tensors.error("does not fit the taxonomy or the vocabularies beside it")
        weights = csr_array((values, columns, offsets), shape=(len(kept_F), len(taxonomy)))
        return cls(taxonomy, TfIdf(features, sizes, kept_F, idf_F), weights, intercept_C, score_kind(config))


def score_kind(config: Config) -> Scores:
    """Softmax where a document has exactly one category."""
    return "softmax" if config.task.type == "multiclass" else "sigmoid"


def _within(values: np.ndarray, end: int) -> bool:
    return not len(values) or bool(values.min() >= 0 and values.max() < end)


def _blocks(documents: int, categories: int) -> list[np.ndarray]:
    step = max(1, min(4096, BLOCK // max(1, categories)))
    return [np.arange(start, min(start + step, documents)) for start in range(0, documents, step)]


class LinearStrategy:
    """Fits a ``LinearScorer``. A run that was cut short is fitted again from the start: it takes seconds."""

    def __init__(self, settings: LinearConfig, config: Config) -> None:
        self.settings, self.config = settings, config
        self.tuned = config.decision.tuned
        self.measured = False
        """Whether out-of-fold scores are wanted although nothing is tuned on them: to be measured by, without test."""

    def fit(
        self, corpus: Corpus, run: RunFolder, *, resume: bool = False, reporter: Reporter | None = None
    ) -> Fitted:
        """Fit on train and dev, or, where thresholds are tuned on dev, on train alone.

        Raises:
            ConfigError: thresholds are to be tuned on dev, and there is none.
            DataError: no document holds a feature of the vocabulary; fewer documents than folds.
        """
        reporter, began = reporter or Silent(), time.perf_counter()
        on_dev = self.tuned is not None and self.tuned.on == "dev"
        if on_dev and corpus.dev is None:
            place = f"decision.{next(iter(self.config.decision.held_out))}.on"
            hint = 'use "cross", or give data.dev'
            raise ConfigError("there are no dev documents to tune on", where=place, hint=hint)
        documents = join([corpus.train] if on_dev or corpus.dev is None else [corpus.train, corpus.dev])
        assert documents.labels is not None  # ``join`` sees to it
        features, sizes = self.config.input.features, corpus.featurizer.sizes
        counts = count_features(documents, features, sizes, np.arange(len(documents)))
        folds = self.tuned.folds if self.tuned is not None and not on_dev else 0
        if self.measured and self.tuned is None and len(documents) > 1:
            folds = min(FOLDS, len(documents))
        fitter = Fitter(self.config, self.settings, corpus, (folds + 1) * counts.nnz, reporter)
        tuning = fitter.out_of_fold(documents, counts, folds) if folds else None
        scorer = fitter.fit(counts, documents.labels)
        gold = documents.labels if folds else None
        if on_dev and corpus.dev is not None:
            tuning, gold = scorer.score(corpus.dev, self.config.evaluation.keep), corpus.dev.labels
        if fitter.unfinished:
            hint = "a smaller training.strategy.C converges"
            reporter.warn(f"{fitter.unfinished} linear models stopped before they had converged ({hint})")
        facts: dict[str, Any] = {
            "seed": self.config.run.seed,
            "train_documents": len(corpus.train),
            "dev_documents": 0 if corpus.dev is None else len(corpus.dev),
            "fitted_documents": len(documents),
            "parameters": int(scorer.weights.nnz + len(scorer.intercept_C)),
            "seconds": round(time.perf_counter() - began, 2),
        }
        facts |= {"folds": folds} if folds else {}
        support_C = documents.labels.counts(len(corpus.taxonomy))
        return Fitted(
            scorer, tuning, gold, support_C, facts, fitted_on_dev=corpus.dev is not None and not on_dev
        )


class Fitter:
    """Fits scorers on some of a corpus's documents.

    Args:
        work: values that all its fits go through for one category.
    """

    def __init__(
        self, config: Config, settings: LinearConfig, corpus: Corpus, work: int, reporter: Reporter
    ) -> None:
        self.config, self.settings, self.reporter = config, settings, reporter
        self.taxonomy, self.sizes = corpus.taxonomy, corpus.featurizer.sizes
        self.workers = processes(config.run.threads, work * len(corpus.taxonomy))
        self.unfinished = 0

    def fit(self, counts: csr_array, labels: Ragged) -> LinearScorer:
        """A scorer for the documents whose features are ``counts`` ``[N, R]``."""
        tfidf = TfIdf.fit(counts, self.config.input.features, self.sizes)
        if not len(tfidf):
            hint = "lower input.vocabulary.min_count"
            raise DataError("no training document holds a feature of the vocabulary", hint=hint)
        positives = labels.transpose(len(self.taxonomy))
        vectors, seed = tfidf.weigh(counts), self.config.run.seed
        models = fit_categories(vectors, positives, self.settings, seed, self.workers)
        self.unfinished += models.unfinished
        kind = score_kind(self.config)
        return LinearScorer(self.taxonomy, tfidf, models.weights, models.intercept_C, kind)

    def out_of_fold(self, documents: Split, counts: csr_array, folds: int) -> Predictions:
        """Scores of all documents, each by a scorer that was fitted, idf included, without its fold."""
        assert documents.labels is not None
        sheet = ScoreSheet(len(documents), len(self.taxonomy), self.config.evaluation.keep)
        fold_N = fold_numbers(
            documents, len(self.taxonomy), folds, self.config.run.seed, self.config.decision
        )
        for fold in range(folds):
            inside, outside = np.flatnonzero(fold_N == fold), np.flatnonzero(fold_N != fold)
            scorer = self.fit(counts[outside], documents.labels.take(outside))
            vectors = scorer.tfidf.weigh(counts[inside])
            for rows in _blocks(len(inside), len(self.taxonomy)):
                sheet.put(inside[rows], scorer.score_vectors(vectors[rows]))
            self.reporter.progress("cross-fitting", fold + 1, folds)
        return sheet.predictions(documents.ids, self.taxonomy)
