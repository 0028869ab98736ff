"""N-grams: fastText's hashes against its own constants and a loop twin; dictionaries against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linnaea.ragged import Ragged
from linnaea.text import ngrams
from linnaea.text.ngrams import CharNgramDictionary, NgramDictionary, char_ngrams, fnv1a, spelled, word_ngrams
from tests.text import twins

words = st.lists(st.text(max_size=6), max_size=12)
documents = st.lists(st.lists(st.sampled_from("abcde"), max_size=8), max_size=8)


def hashes(rows: list[list[str]]) -> Ragged:
    flat = [word for row in rows for word in row]
    return Ragged.from_lengths(fnv1a(flat), np.array([len(row) for row in rows], dtype=np.int64))


def test_fnv1a_gives_the_published_constants() -> None:
    # isthe.com/chongo/src/fnv/test_fnv.c (32-bit FNV-1a); the last one from fastText's own unit tests.
    known = {"": 0x811C9DC5, "a": 0xE40C292C, "b": 0xE70C2DE5, "foobar": 0xBF9CF968, "Runs Vtach": 2154071813}
    assert fnv1a(list(known)).tolist() == list(known.values())


def test_bytes_above_127_are_sign_extended_as_in_cplusplus() -> None:
    # One byte 0xC3 and one 0xA9, by hand: ((basis ^ 0xFFFFFFC3) * prime ^ 0xFFFFFFA9) * prime.
    step = (0x811C9DC5 ^ 0xFFFFFFC3) * 0x01000193 % 2**32
    assert fnv1a(["é"]).tolist() == [(step ^ 0xFFFFFFA9) * 0x01000193 % 2**32]


@given(asked=st.lists(st.text(max_size=8), max_size=10), many=st.booleans(), long=st.integers(0, 200))
@settings(deadline=None)
def test_fnv1a_is_the_loop(asked: list[str], many: bool, long: int) -> None:
    asked = asked * (20 if many else 1) + ["é" * long, "\ud800"]
    assert fnv1a(asked).tolist() == [twins.fnv1a(word) for word in asked]
    assert fnv1a(asked).dtype == np.uint32


@given(
    rows=st.lists(words, max_size=6), n=st.integers(2, 5), buckets=st.sampled_from([1, 7, 200_000, 2**31 - 1])
)
@settings(deadline=None)
def test_word_ngrams_are_fasttexts_and_stay_inside_their_document(
    rows: list[list[str]], n: int, buckets: int
) -> None:
    got = word_ngrams(hashes(rows), n, buckets)
    assert [row.tolist() for row in got] == [twins.word_ngrams(row, n, buckets) for row in rows]
    assert got.values.dtype == np.int32


@given(
    asked=words,
    shortest=st.integers(1, 4),
    more=st.integers(0, 4),
    buckets=st.sampled_from([3, 200_000]),
    extra=st.booleans(),
)
@settings(deadline=None)
def test_char_ngrams_are_fasttexts(
    asked: list[str], shortest: int, more: int, buckets: int, extra: bool
) -> None:
    asked = asked + (["naïve", "語", "👍", ""] if extra else [])
    got = char_ngrams(asked, shortest, shortest + more, buckets)
    grams = [twins.spelled(word, shortest, shortest + more) for word in asked]
    assert [row.tolist() for row in got] == [[twins.fnv1a(gram) % buckets for gram in row] for row in grams]
    assert [list(spelled(word, shortest, shortest + more)) for word in asked] == grams


def test_no_words_no_ngrams() -> None:
    assert len(fnv1a([])) == 0
    assert fnv1a([""] * 100).tolist() == [0x811C9DC5] * 100
    assert len(char_ngrams([], 3, 6, 10)) == 0
    assert word_ngrams(hashes([[], ["a"]]), 3, 10).lengths_N.tolist() == [0, 0]


def as_ids(rows: list[list[str]]) -> tuple[Ragged, dict[str, int]]:
    ids = {word: 2 + i for i, word in enumerate("abcd")}  # "e" is unknown
    return Ragged.from_rows([[ids.get(word, 1) for word in row] for row in rows]), ids


@given(
    train=documents, asked=documents, n=st.integers(2, 4), min_count=st.integers(1, 3), cut=st.integers(1, 9)
)
@settings(deadline=None)
def test_dictionary_is_the_plain_count(
    train: list[list[str]], asked: list[list[str]], n: int, min_count: int, cut: int
) -> None:
    ids, index = as_ids(train)
    blocks = [ids.take(np.arange(i, min(i + cut, len(train)))) for i in range(0, len(train), cut)]
    dictionary = NgramDictionary.fit(blocks, 6, n, min_count)
    chosen, listed = twins.dictionary_ngrams(train, index, n, min_count)
    assert len(dictionary) == len(chosen)
    got = dictionary.lookup(as_ids(asked)[0])
    numbers: dict[tuple[str, ...], int] = {}
    for row, words_of_row in zip(got, asked, strict=True):
        grams = listed(words_of_row)
        assert len(row) == len(grams)
        for number, gram in zip(row.tolist(), grams, strict=True):
            assert numbers.setdefault(gram, number) == number
            assert 0 <= number < len(dictionary)
    assert len(set(numbers.values())) == len(numbers)  # different n-grams have different numbers


def test_dictionary_counts_as_scikit_learn() -> None:
    from sklearn.feature_extraction.text import CountVectorizer

    generator = np.random.default_rng(3)
    train = [[f"w{w}" for w in generator.zipf(1.5, generator.integers(0, 30)) if w < 50] for _ in range(200)]
    vectorizer = CountVectorizer(
        ngram_range=(2, 3), analyzer="word", tokenizer=list, token_pattern=None, lowercase=False
    )
    counts = vectorizer.fit_transform(train).toarray()
    kept = counts.sum(axis=0) >= 2
    vocabulary = {word: 2 + i for i, word in enumerate(sorted({w for row in train for w in row}))}
    ids = Ragged.from_rows([[vocabulary[word] for word in row] for row in train])
    dictionary = NgramDictionary.fit([ids], len(vocabulary) + 2, 3, 2)
    assert len(dictionary) == kept.sum() > 100
    bags = dictionary.lookup(ids)
    ours = np.zeros((len(train), len(dictionary)), dtype=np.int64)
    np.add.at(ours, (bags.rows, bags.values), 1)
    # Columns are ordered differently: compare them as a multiset.
    assert sorted(map(tuple, ours.T)) == sorted(map(tuple, counts[:, kept].T))


def test_counting_in_many_pieces_is_counting_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(5)
    ids = Ragged.from_rows([generator.integers(1, 30, 20) for _ in range(300)])
    pieces = [ids.take(np.arange(i, i + 10)) for i in range(0, 300, 10)]
    monkeypatch.setattr(ngrams, "_WAITING", 50)
    at_once, piecewise = (NgramDictionary.fit(blocks, 30, 3, 2) for blocks in ([ids], pieces))
    assert all(np.array_equal(a, b) for a, b in zip(at_once.keys, piecewise.keys, strict=True))


@given(train=words, asked=words, min_count=st.integers(1, 3))
@settings(deadline=None)
def test_character_dictionary_is_the_plain_count(train: list[str], asked: list[str], min_count: int) -> None:
    counts: dict[str, int] = {}
    for word in train:
        counts[word] = counts.get(word, 0) + 2
    grams: dict[str, int] = {}
    for word, count in counts.items():
        for gram in twins.spelled(word, 2, 3):
            grams[gram] = grams.get(gram, 0) + count
    ranked = sorted((g for g, c in grams.items() if c >= min_count), key=lambda g: (-grams[g], g))
    dictionary = CharNgramDictionary.fit(
        list(counts), np.array(list(counts.values()), dtype=np.int64), 2, 3, min_count
    )
    assert list(dictionary.grams) == ranked
    expected = [[ranked.index(g) for g in twins.spelled(word, 2, 3) if g in ranked] for word in asked]
    assert [row.tolist() for row in dictionary.lookup(asked)] == expected
