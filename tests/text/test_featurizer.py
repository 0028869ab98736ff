"""Featurizer and Split: against encoding by plain loops; saved, loaded, damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linnaea.config.registry import tokenizers
from linnaea.config.task import CharacterConfig, InputConfig
from linnaea.corpus.document import Document
from linnaea.errors import ModelError
from linnaea.ragged import Ragged
from linnaea.text.featurizer import Featurizer
from linnaea.text.tokenizers import CharacterTokenizer
from tests.text import twins, worlds

FEATURES = ["token", "char", "ngram", "char_ngram", "keyword", "topic"]
spell = CharacterTokenizer(CharacterConfig())


def settings_of(**more: Any) -> InputConfig:
    return InputConfig.read(
        {
            "features": FEATURES,
            "ngram": {"n": 3, "buckets": 50},
            "char_ngram": {"min": 2, "max": 3, "buckets": 40},
            **more,
        }
    )


def index_of(train: list[Document], part: InputConfig, cut: Any) -> dict[str, Any]:
    tokens = [list(d.text if isinstance(d.text, tuple) else cut(d.text))[: part.max_tokens] for d in train]
    texts = [" ".join(d.text) if isinstance(d.text, tuple) else d.text for d in train]
    signs = [spell(text)[: part.max_characters] for text in texts]

    def counted(rows: list[Any], config: Any, reserved: int) -> dict[str, int]:
        values = [value for row in rows for value in row]
        return twins.vocabulary(values, config.min_count, config.max_size, config.lowercase, reserved)

    return {
        "token": counted(tokens, part.vocabulary, 2),
        "char": counted(signs, part.char_vocabulary, 2),
        "keyword": counted([d.keywords for d in train], part.keyword_vocabulary, 0),
        "topic": counted([d.topics for d in train], part.topic_vocabulary, 0),
    }


@given(
    train=worlds.documents,
    asked=worlds.documents,
    tokenizer=st.sampled_from(["word", "whitespace", "character"]),
    limit=st.sampled_from([None, 1, 3]),
    low=st.booleans(),
    seed=st.integers(0, 9),
)
@settings(deadline=None)
def test_every_feature_is_what_a_loop_over_the_document_gives(
    train: list[Document], asked: list[Document], tokenizer: str, limit: int | None, low: bool, seed: int
) -> None:
    part = settings_of(
        tokenizer=tokenizer,
        max_tokens=limit,
        max_characters=limit,
        vocabulary={"min_count": 1, "lowercase": low},
    )
    cut = tokenizers.build(part.tokenizer)
    featurizer, state = Featurizer.fit(part, train), index_of(train, part, cut)
    split = featurizer.encode(asked)
    rows = np.random.default_rng(seed).integers(0, max(1, len(asked)), len(asked))
    for feature in FEATURES:
        bag = split.bag(feature, rows)
        expected = [worlds.encoded(asked[row], feature, part, state, cut, spell) for row in rows]
        assert [row.tolist() for row in bag] == expected, feature
        assert bag.values.dtype == np.int32
    assert split.sequence(rows).values.tolist() == split.bag("char", rows).values.tolist()
    assert split.lengths_N.tolist() == [len(row) for row in split.sequence(np.arange(len(asked)))]
    sizes = featurizer.sizes
    assert sizes["ngram"] == 50 and sizes["char_ngram"] == 40
    assert [sizes["token"], sizes["character"]] == [2 + len(state["token"]), 2 + len(state["char"])]
    assert [sizes["keyword"], sizes["topic"]] == [len(state["keyword"]), len(state["topic"])]


@given(train=worlds.documents, asked=worlds.documents)
@settings(deadline=None)
def test_dictionaries_number_the_ngrams_of_train(train: list[Document], asked: list[Document]) -> None:
    part = settings_of(
        features=["token", "ngram", "char_ngram"],
        vocabulary={"min_count": 2},
        ngram={"n": 3, "buckets": 0, "min_count": 2},
        char_ngram={"min": 2, "max": 3, "buckets": 0, "min_count": 2},
    )
    featurizer = Featurizer.fit(part, train)
    cut = tokenizers.build(part.tokenizer)
    index = index_of(train, part, cut)["token"]

    def words(document: Document) -> list[str]:
        return [
            w.lower() for w in (document.text if isinstance(document.text, tuple) else cut(document.text))
        ]

    chosen, listed = twins.dictionary_ngrams([words(d) for d in train], index, 3, 2)
    assert featurizer.sizes["ngram"] == len(chosen)
    split, rows = featurizer.encode(asked), np.arange(len(asked))
    assert split.bag("ngram", rows).lengths_N.tolist() == [len(listed(words(d))) for d in asked]
    grams = featurizer.char_ngrams
    assert grams is not None and featurizer.sizes["char_ngram"] == len(grams)
    named = [[grams.grams[number] for number in row] for row in split.bag("char_ngram", rows)]
    assert named == [[g for w in words(d) for g in twins.spelled(w, 2, 3) if g in grams.index] for d in asked]


def test_an_unknown_word_has_its_ngrams_all_the_same() -> None:
    part = settings_of(features=["token", "char_ngram", "ngram"])
    split = Featurizer.fit(part, [Document("", "a a")]).encode(
        [Document("", "new word"), Document("", "word new")]
    )
    rows = np.arange(2)
    assert [row.tolist() for row in split.sequence(rows)] == [[1, 1], [1, 1]]
    assert split.bag("ngram", rows)[0].tolist() == twins.word_ngrams(["new", "word"], 3, 50)
    assert split.bag("ngram", rows)[0].tolist() != split.bag("ngram", rows)[1].tolist()
    assert sorted(split.bag("char_ngram", rows)[0]) == sorted(split.bag("char_ngram", rows)[1])


def test_only_what_is_read_is_counted() -> None:
    train = [Document("", "early early late late"), Document("", "dev dev dev")]
    part = InputConfig.read({"max_tokens": 2})
    assert Featurizer.fit(part, train).vocabularies["token"].words == ("dev", "early")
    from linnaea.text.columns import Cutter, encode_documents

    columns = encode_documents(train, Cutter(part, ("token",)))
    assert Featurizer.fit(part, columns, np.array([0])).vocabularies["token"].words == ("early",)


def test_take_is_a_view_of_rows_and_of_their_labels() -> None:
    documents = [Document(f"d{i}", f"{'x ' * i}end") for i in range(6)]
    featurizer = Featurizer.fit(InputConfig.read({"max_tokens": 3}), documents)
    whole = featurizer.encode(documents).with_labels(Ragged.from_rows([[i, i + 1] for i in range(6)]))
    part = whole.take(np.array([4, 1, 5, 1])).take(np.array([3, 0, -2]))
    assert list(part.ids) == ["d1", "d4", "d5"] and part.ids[1] == "d4" and part.ids[-1] == "d5"
    assert part.ids[1:] == ["d4", "d5"]
    assert part.labels is not None and [row.tolist() for row in part.labels] == [[1, 2], [4, 5], [5, 6]]
    assert part.lengths_N.tolist() == [2, 3, 3] and part.count_truncated == 2
    assert [row.tolist() for row in part.sequence(np.array([2, 0]))] == [
        row.tolist() for row in whole.sequence(np.array([5, 1]))
    ]
    assert len(part) == 3 and len(part.origins) == 3 and part.origin(0) is None
    with pytest.raises(IndexError):
        whole.take(np.array([6]))
    with pytest.raises(ValueError, match="labels of 1"):
        whole.with_labels(Ragged.from_rows([[1]]))


@pytest.mark.parametrize("features", [["keyword", "topic"], ["ngram"], ["char_ngram"], ["keyword", "ngram"]])
def test_splits_without_a_token_table(features: list[str]) -> None:
    documents = [Document("", "a b c", keywords=("k", "l"), topics=("t",)), Document("", "")]
    featurizer = Featurizer.fit(InputConfig.read({"features": features}), documents)
    split = featurizer.encode(documents)
    assert set(featurizer.sizes) == set(features)
    assert split.lengths_N.tolist() == ([3, 0] if features != ["keyword"] else [2, 0])
    with pytest.raises(ValueError, match="no sequence"):
        split.sequence(np.array([0]))
    with pytest.raises(ValueError, match="no feature 'token'"):
        split.bag("token", np.array([0]))


# Saving

STATES: list[dict[str, Any]] = [
    {"features": FEATURES},
    {
        "features": ["token", "ngram", "char_ngram"],
        "ngram": {"n": 3, "buckets": 0, "min_count": 1},
        "char_ngram": {"buckets": 0},
    },
    {"features": ["ngram"]},
]
TRAIN = [
    Document(
        "",
        ("a\nb", "a\nb", "\u2028", "é", "é", "\ud800", "\ud800", '"', '"'),
        keywords=("k\t1",),
        topics=("語",),
    ),
    Document("", "the cat saw the cat and the cat saw", keywords=("k2",)),
]


@pytest.mark.parametrize("value", STATES)
def test_save_and_load_give_the_same_ids(tmp_path: Path, value: dict[str, Any]) -> None:
    part = InputConfig.read(value)
    featurizer = Featurizer.fit(part, TRAIN)
    featurizer.save(tmp_path / "input")
    loaded = Featurizer.load(tmp_path / "input", InputConfig.read(value))
    assert loaded.digest == featurizer.digest and loaded.sizes == featurizer.sizes
    asked = [*TRAIN, Document("", "the cat and the é zebra", keywords=("k2", "none"))]
    ours, theirs = featurizer.encode(asked), loaded.encode(asked)
    for feature in part.features:
        assert (
            ours.bag(feature, np.arange(3)).values.tolist()
            == theirs.bag(feature, np.arange(3)).values.tolist()
        )


@pytest.mark.parametrize("value", STATES)
def test_every_missing_cut_or_altered_file_is_a_model_error(tmp_path: Path, value: dict[str, Any]) -> None:
    part = InputConfig.read(value)
    Featurizer.fit(part, TRAIN).save(tmp_path)
    files = sorted(tmp_path.iterdir())
    for path in files:
        whole = path.read_bytes()
        path.unlink()
        with pytest.raises(ModelError, match=path.name):
            Featurizer.load(tmp_path, part)
        for cut in {0, 1, len(whole) // 2, len(whole) - 3}:
            path.write_bytes(whole[:cut])
            with pytest.raises(ModelError):
                Featurizer.load(tmp_path, part)
        for at in range(0, len(whole), max(1, len(whole) // 97)):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
            try:
                loaded = Featurizer.load(tmp_path, part)
            except ModelError:
                continue
            # What JSON or safetensors do not care about (a blank, padding) may change; what is read may not.
            assert loaded.digest == Featurizer.fit(part, TRAIN).digest
        path.write_bytes(whole)
    Featurizer.load(tmp_path, part)


def test_other_settings_and_formats_are_refused(tmp_path: Path) -> None:
    part = InputConfig.read({})
    Featurizer.fit(part, TRAIN).save(tmp_path)
    for other in ({"vocabulary": {"lowercase": False}}, {"max_tokens": 7}, {"tokenizer": "whitespace"}):
        with pytest.raises(ModelError):
            Featurizer.load(tmp_path, InputConfig.read(other))
    about = json.loads((tmp_path / "featurizer.json").read_text())
    (tmp_path / "featurizer.json").write_text(json.dumps({**about, "format": 2}))
    with pytest.raises(ModelError, match="format 2"):
        Featurizer.load(tmp_path, part)


def test_the_digest_tells_states_and_settings_apart() -> None:
    digests = {
        Featurizer.fit(InputConfig.read(value), train).digest
        for value in ({}, {"max_tokens": 5}, {"tokenizer": "character"}, {"features": ["token", "ngram"]})
        for train in (TRAIN, TRAIN[:1], [])
    }
    assert len(digests) == 12


def test_documents_without_an_id_are_numbered() -> None:
    documents = [Document("", "a b"), Document("x", "b"), Document("", "c")]
    split = Featurizer.fit(InputConfig(), documents).encode(documents)
    assert list(split.ids) == ["0", "x", "2"]
