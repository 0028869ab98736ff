"""The feature spelling, from documents to a batch: against plain loops; cut, saved, loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from linnaea.config.registry import tokenizers
from linnaea.config.task import CharacterConfig, InputConfig
from linnaea.corpus.document import Document
from linnaea.errors import ModelError
from linnaea.text.featurizer import Featurizer
from linnaea.text.tokenizers import CharacterTokenizer
from linnaea.training.loader import collate, pinned
from tests.references.spelling import character_ids
from tests.text import worlds

spell = CharacterTokenizer(CharacterConfig())


def settings_of(**more: Any) -> InputConfig:
    return InputConfig.read({"features": ["token", "spelling"], **more})


def texts_of(documents: list[Document], read: InputConfig) -> list[list[str]]:
    cut = tokenizers.build(read.tokenizer)
    return [list(d.text if isinstance(d.text, tuple) else cut(d.text))[: read.max_tokens] for d in documents]


def split_of(train: list[str], asked: list[str], **more: Any) -> Any:
    documents = [[Document("", text, None, (), ()) for text in texts] for texts in (train, asked)]
    return Featurizer.fit(settings_of(**more), documents[0]).encode(documents[1])


@settings(max_examples=60, deadline=None)
@given(
    train=worlds.documents,
    asked=worlds.documents,
    tokenizer=st.sampled_from(["word", "whitespace"]),
    limit=st.sampled_from([1, 2, 9]),
    tokens=st.sampled_from([None, 2]),
    low=st.booleans(),
    features=st.sampled_from([["token", "spelling"], ["spelling"]]),
)
def test_equals_the_twin(train, asked, tokenizer, limit, tokens, low, features):
    read = settings_of(
        features=features,
        tokenizer=tokenizer,
        max_tokens=tokens,
        spelling={"max_characters": limit},
        char_vocabulary={"min_count": 1, "lowercase": low},
    )
    split = Featurizer.fit(read, train).encode(asked)
    texts = texts_of(asked, read)
    letters, places = split.spelling(np.arange(len(asked)))
    assert len(letters) == len({token for text in texts for token in text})
    for text, row in zip(texts, places, strict=True):
        expected = character_ids(texts_of(train, read), text, limit, spell, low)
        assert [letters[int(place)].tolist() for place in row] == expected


def test_characters_are_counted_on_train_alone():
    split = split_of(["ab ab", "a"], ["abz zz"])
    vocabulary = split.featurizer.vocabularies["spelling"]
    assert vocabulary.words == ("a", "b")
    assert vocabulary.counts.tolist() == [3, 2]
    assert split.featurizer.sizes == {"token": 3, "spelling": 4}
    letters, _ = split.spelling(np.array([0]))
    assert [row.tolist() for row in letters] == [[2, 3, 1], [1, 1]]


def test_long_tokens_are_cut_one_by_one_and_texts_by_tokens():
    """The old toolkit cut the characters of each token, and then let a text be as long as it liked."""
    long = "abcdefghij " * 50
    split = split_of([long], [long], max_tokens=7, spelling={"max_characters": 4})
    letters, places = split.spelling(np.array([0]))
    assert letters.lengths_N.tolist() == [4]
    assert places.lengths_N.tolist() == [7]
    plain = InputConfig.read({"features": ["char"], "max_characters": 30})
    characters = Featurizer.fit(plain, [Document("", long, None, (), ())])
    sequence = characters.encode([Document("", long, None, (), ())]).sequence(np.array([0]))
    assert sequence.lengths_N.tolist() == [30]


def test_character_features_read_characters():
    """The old toolkit read the ids of tokens under the mask of characters."""
    documents = [Document("", "ab cd ab", None, (), ())]
    read = InputConfig.read({"features": ["char"]})
    split = Featurizer.fit(read, documents).encode(documents)
    index = split.featurizer.vocabularies["character"].index
    batch = collate(split, ["char"], "sequence", np.array([0]))
    assert batch.ids_BT.tolist() == [[index[sign] for sign in "ab cd ab"]]
    assert batch.mask_BT.tolist() == [[True] * 8]


def test_a_batch_spells_each_token_once():
    split = split_of(["ab c"], ["ab c ab ab", "", "c"])
    batch = collate(split, ["token", "spelling"], "sequence", np.arange(3))
    assert batch.spelling.place_BT.tolist() == [[1, 2, 1, 1], [0, 0, 0, 0], [2, 0, 0, 0]]
    assert batch.spelling.letters_UW.shape == (3, 2)
    assert (batch.spelling.letters_UW[0] == 0).all()
    assert (batch.mask_BT == (batch.spelling.place_BT > 0)).all()
    assert batch.ids_BT[0, 0] == batch.ids_BT[0, 2] > 0
    moved = batch.to("cpu").spelling
    assert torch.equal(moved.place_BT, batch.spelling.place_BT)
    if torch.cuda.is_available():
        assert pinned(batch).spelling.letters_UW.is_pinned()


def test_spelling_alone_has_no_ids():
    batch = collate(
        split_of(["ab c"], ["ab x"], features=["spelling"]), ["spelling"], "sequence", np.array([0])
    )
    assert batch.ids_BT is None
    assert batch.mask_BT.tolist() == [[True, True]]


def test_an_empty_batch_has_a_place():
    batch = collate(split_of(["a"], ["", ""]), ["token", "spelling"], "sequence", np.arange(2))
    assert batch.spelling.place_BT.tolist() == [[0], [0]]
    assert batch.spelling.letters_UW.tolist() == [[0]]


def test_not_asked_for():
    split = split_of(["a"], ["a"], features=["token"])
    with pytest.raises(ValueError, match="no spelling among the features"):
        split.spelling(np.array([0]))


class TestSaved:
    def test_the_same_ids(self, tmp_path: Path):
        split = split_of(["Straße ab"], ["Abx é"], spelling={"max_characters": 3})
        split.featurizer.save(tmp_path)
        loaded = Featurizer.load(tmp_path, split.featurizer.config)
        again = loaded.encode([Document("", "Abx é", None, (), ())])
        assert loaded.digest == split.featurizer.digest
        for one, two in zip(split.spelling(np.array([0])), again.spelling(np.array([0])), strict=True):
            assert [row.tolist() for row in one] == [row.tolist() for row in two]

    def test_other_settings_are_refused(self, tmp_path: Path):
        split = split_of(["ab"], ["ab"])
        split.featurizer.save(tmp_path)
        with pytest.raises(ModelError, match="its digest does not fit"):
            Featurizer.load(tmp_path, settings_of(spelling={"max_characters": 9}))
        (tmp_path / "spelling.json").unlink()
        with pytest.raises(ModelError):
            Featurizer.load(tmp_path, split.featurizer.config)

    def test_a_featurizer_without_spelling_has_the_digest_that_it_always_had(self):
        config = InputConfig.read({"features": ["token"]})
        before = {key: value for key, value in config.model_dump(mode="json").items() if key != "spelling"}
        assert set(config.model_dump()) - set(before) == {"spelling"}
        fitted = Featurizer.fit(config, [Document("", "a a", None, (), ())])
        changed = config.model_copy(update={"spelling": settings_of(spelling={"max_characters": 3}).spelling})
        assert Featurizer(changed, fitted.vocabularies).digest == fitted.digest
