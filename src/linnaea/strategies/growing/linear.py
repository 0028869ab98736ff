"""Linear models that grow: only the columns of what is fitted again are fitted, on the tf-idf vectors of the old model.

Weights of all other columns, the features and their document frequencies stay. Where thresholds are tuned out of fold,
the folds score all categories anew, as a training does: a model's scores of documents that it was fitted on would say
nothing about the global threshold to which rare categories are drawn.

Shape letters: N documents, F features, C categories of the new taxonomy.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csc_array, csr_array, hstack

from linnaea.config.config import Config
from linnaea.config.training import LinearConfig
from linnaea.errors import ConfigError
from linnaea.reporter import Reporter, Silent
from linnaea.run_folder import RunFolder
from linnaea.strategies.base import Fitted
from linnaea.strategies.crossfit import join
from linnaea.strategies.grow import Growth
from linnaea.strategies.liblinear import fit_categories, processes
from linnaea.strategies.linear import Fitter, LinearScorer, LinearStrategy
from linnaea.strategies.tfidf import count_features

if TYPE_CHECKING:
    from linnaea.text.store import Corpus


class GrowingLinear(LinearStrategy):
    """Fits a ``LinearScorer`` that has most of its columns from another of an older taxonomy."""

    def __init__(self, config: Config, growth: Growth) -> None:
        settings = config.training.strategy
        assert isinstance(settings, LinearConfig)  # the scorer is of that strategy
        super().__init__(settings, config)
        self.growth = growth

    def fit(
        self, corpus: Corpus, run: RunFolder, *, resume: bool = False, reporter: Reporter | None = None
    ) -> Fitted:
        """Fit what is fitted again, on the documents that a training would take: see ``LinearStrategy``.

        Raises:
            ConfigError: thresholds are to be tuned on dev, and there is none.
        """
        reporter, began, config = reporter or Silent(), time.perf_counter(), self.config
        on_dev = self.tuned is not None and self.tuned.on == "dev"
        if on_dev and corpus.dev is None:
            raise ConfigError("there are no dev documents to tune on", where="data.dev")
        documents = join([corpus.train] if on_dev or corpus.dev is None else [corpus.train, corpus.dev])
        assert documents.labels is not None  # ``join`` sees to it
        counts = count_features(
            documents, config.input.features, corpus.featurizer.sizes, np.arange(len(documents))
        )
        tuning = gold = None
        if self.tuned is not None and not on_dev:
            fitter = Fitter(config, self.settings, corpus, self.tuned.folds * counts.nnz, reporter)
            tuning, gold = fitter.out_of_fold(documents, counts, self.tuned.folds), documents.labels
        support_C = documents.labels.counts(len(corpus.taxonomy))
        scorer = self._grown(corpus, counts, documents.labels.transpose(len(corpus.taxonomy)), reporter)
        if on_dev and corpus.dev is not None:
            tuning, gold = scorer.score(corpus.dev, config.evaluation.keep), corpus.dev.labels
        facts: dict[str, Any] = {
            "seed": config.run.seed,
            "train_documents": len(corpus.train),
            "dev_documents": 0 if corpus.dev is None else len(corpus.dev),
            "fitted_documents": len(documents),
            "parameters": int(scorer.weights.nnz + len(scorer.intercept_C)),
            "seconds": round(time.perf_counter() - began, 2),
        }
        seen = corpus.dev is not None and not on_dev
        return Fitted(scorer, tuning, gold, support_C, facts, fitted_on_dev=seen)

    def _grown(self, corpus: Corpus, counts: csr_array, positives: Any, reporter: Reporter) -> LinearScorer:
        """The old columns, and freshly fitted ones for all categories of ``growth.reasons``."""
        old, growth = self.growth.scorer, self.growth
        assert isinstance(old, LinearScorer)
        columns, before = np.array(sorted(growth.reasons), dtype=np.int64), growth.change.old_C
        vectors = old.tfidf.weigh(counts)
        workers = processes(self.config.run.threads, vectors.nnz * len(columns))
        models = fit_categories(
            vectors, positives.take(columns), self.settings, self.config.run.seed, workers
        )
        if models.unfinished:
            hint = "a smaller training.strategy.C converges"
            reporter.warn(f"{models.unfinished} linear models stopped before they had converged ({hint})")
        kept = np.flatnonzero(growth.kept_C)
        both = hstack([csc_array(old.weights)[:, before[kept]], csc_array(models.weights)], format="csc")
        order = np.argsort(np.concatenate([kept, columns]), kind="stable")
        weights = csr_array(both[:, order])
        weights.indices, weights.indptr = weights.indices.astype(np.int32), weights.indptr.astype(np.int64)
        intercept_C = np.empty(len(corpus.taxonomy), dtype=np.float32)
        intercept_C[kept], intercept_C[columns] = old.intercept_C[before[kept]], models.intercept_C
        return LinearScorer(corpus.taxonomy, old.tfidf, weights, intercept_C, old.scores)
