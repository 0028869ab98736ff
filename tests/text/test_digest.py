"""Whether documents say the same, however they are cut."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from linnaea.config.task import InputConfig
from linnaea.corpus.document import Document
from linnaea.text import digest
from linnaea.text.digest import texts_digest
from linnaea.text.featurizer import Featurizer
from linnaea.text.store import Split

TEXTS = ["The Oak's leaf, 1.5 cm", "Äpfel und Birnen", "", "日本語 text", "a\u0308pfel"]


def split(texts: list[str], **settings: Any) -> Split:
    documents = [Document(id=str(number), text=text) for number, text in enumerate(texts)]
    return Featurizer.fit(InputConfig.read(settings), documents).encode(documents)


@pytest.mark.parametrize(
    "settings",
    [{"tokenizer": "whitespace"}, {"max_tokens": 1}, {"vocabulary": {"lowercase": False}}, {"features": ["char"]},
     {"features": ["token", "ngram"]}],
)  # fmt: skip
def test_how_texts_are_cut_makes_no_difference(settings: dict[str, Any]) -> None:
    assert texts_digest([split(TEXTS, **settings)]) == texts_digest([split(TEXTS)])


def test_order_makes_none_and_words_do() -> None:
    whole = split(TEXTS)
    assert texts_digest([whole.take(np.array([3, 1, 0, 4, 2]))]) == texts_digest([whole])
    assert texts_digest([whole.take(np.arange(2)), whole.take(np.arange(2, 5))]) == texts_digest([whole])
    assert texts_digest([split([*TEXTS[:-1], "apfel und"])]) != texts_digest([whole])


def test_keywords_alone_say_nothing_that_could_be_compared() -> None:
    assert texts_digest([split(TEXTS, features=["keyword"])]) is None


def test_of_many_a_sample_is_looked_at_whatever_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "SAMPLE", 3)
    whole = split([f"text {number}" for number in range(50)])
    assert texts_digest([whole.take(np.arange(50)[::-1])]) == texts_digest([whole])
