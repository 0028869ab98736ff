"""tf-idf against scikit-learn's, on the same tokens."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from linnaea.config.task import InputConfig
from linnaea.corpus.document import Document
from linnaea.strategies import tfidf
from linnaea.strategies.tfidf import TfIdf, count_features
from linnaea.text.featurizer import Featurizer

FEATURES = ("token", "ngram")
CONFIG = InputConfig.read(
    {
        "tokenizer": "whitespace",
        "features": list(FEATURES),
        "ngram": {"buckets": 0, "min_count": 1},
        "vocabulary": {"min_count": 1},
        "max_tokens": None,
    }
)
TEXTS = st.lists(st.lists(st.sampled_from("abcdefg"), max_size=12).map(" ".join), min_size=1, max_size=12)


def encoded(train: list[str], others: list[str]):
    """A featurizer of ``train``, and both as splits."""
    made = [[Document(str(i), text) for i, text in enumerate(texts)] for texts in (train, others)]
    featurizer = Featurizer.fit(CONFIG, made[0])
    return featurizer, featurizer.encode(made[0]), featurizer.encode(made[1])


def names(featurizer: Featurizer, weights: TfIdf) -> list[str]:
    """The n-gram that each column stands for."""
    words, dictionary = ["", "", *featurizer.vocabularies["token"].words], featurizer.ngrams
    assert dictionary is not None
    pairs = [
        " ".join((words[key // dictionary.span], words[key % dictionary.span])) for key in dictionary.keys[0]
    ]
    return [[*words, *pairs][row] for row in weights.kept_F]


@settings(max_examples=60, deadline=None)
@given(TEXTS, TEXTS)
def test_equals_scikit_learn(train: list[str], others: list[str]) -> None:
    if not any(train):
        return
    featurizer, seen, unseen = encoded(train, others)
    rows = np.arange(len(seen))
    weights = TfIdf.fit(count_features(seen, FEATURES, featurizer.sizes, rows), FEATURES, featurizer.sizes)
    theirs = TfidfVectorizer(analyzer=_words_and_pairs, sublinear_tf=True).fit(train)
    order = [theirs.vocabulary_[name] for name in names(featurizer, weights)]
    assert len(order) == len(theirs.vocabulary_)
    for split, texts in ((seen, train), (unseen, others)):
        ours = weights(split, np.arange(len(split))).toarray()
        np.testing.assert_allclose(ours, theirs.transform(texts).toarray()[:, order], atol=1e-12)


def _words_and_pairs(text: str) -> list[str]:
    words = text.split()
    return words + [" ".join(pair) for pair in pairwise(words)]


def test_unknown_words_and_empty_documents_count_for_nothing() -> None:
    featurizer, seen, unseen = encoded(["a b a", "b c"], ["", "x y", "a x b", "a b"])
    counts = count_features(seen, FEATURES, featurizer.sizes, np.arange(2))
    vectors = TfIdf.fit(counts, FEATURES, featurizer.sizes)(unseen, np.arange(4)).toarray()
    assert not vectors[:2].any()
    assert (vectors[2] > 0).sum() == 2  # "a" and "b", but no pair across the unknown word
    np.testing.assert_allclose((vectors[2:] ** 2).sum(1), 1)


def test_columns_are_of_the_fitted_documents_only() -> None:
    featurizer, seen, _ = encoded(["a b", "c d", "a c"], [])
    counts = count_features(seen, FEATURES, featurizer.sizes, np.arange(3))
    part = TfIdf.fit(counts[[0, 2]], FEATURES, featurizer.sizes)
    assert set(names(featurizer, part)) == {"a", "b", "c", "a b", "a c"}
    assert part.weigh(counts)[[1]].nnz == 1  # only "c" is left of "c d"


def test_blocks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    featurizer, seen, _ = encoded(["a b", "c d a", "", "a c", "b b b"], [])
    whole = count_features(seen, FEATURES, featurizer.sizes, np.arange(5)).toarray()
    monkeypatch.setattr(tfidf, "BLOCK", 2)
    np.testing.assert_array_equal(
        count_features(seen, FEATURES, featurizer.sizes, np.arange(5)).toarray(), whole
    )
    order = np.array([4, 1, 1, 0])
    np.testing.assert_array_equal(
        count_features(seen, FEATURES, featurizer.sizes, order).toarray(), whole[order]
    )
    assert count_features(seen, FEATURES, featurizer.sizes, order[:0]).shape == (0, whole.shape[1])
