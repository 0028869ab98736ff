"""Small corpora for the tests of `linnaea.text`, and encoding as plain loops."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from linnaea.config.config import Config
from linnaea.config.task import DataConfig, InputConfig
from linnaea.corpus.document import Document
from linnaea.text.cache import Source
from linnaea.text.columns import Columns
from linnaea.text.workers import Job
from tests.text import twins

COLUMNS = ("token", "keyword", "topic", "label")
TAXONOMY = "Root\tA\tB\nA\tA1\tA2\nB\tB1\n"

token = st.text(st.sampled_from("abAé語 \n"), min_size=1, max_size=2)
documents = st.lists(
    st.builds(
        Document,
        st.just(""),
        st.one_of(
            st.text(st.sampled_from("ab Aé語.\n"), max_size=12), st.lists(token, max_size=6).map(tuple)
        ),
        st.none(),
        st.lists(token, max_size=3).map(tuple),
        st.lists(token, max_size=2).map(tuple),
    ),
    max_size=8,
)


def line(tokens: Sequence[str] | str, labels: Sequence[str] = ("A1",), **more: Any) -> str:
    field = "text" if isinstance(tokens, str) else "doc_token"
    return json.dumps({field: tokens, "doc_label": list(labels), **more}, ensure_ascii=False)


def write(path: Path, lines: Sequence[str]) -> Path:
    path.write_text("".join(f"{text}\n" for text in lines), encoding="utf-8")
    return path


def some_lines(count: int, first: int = 0) -> list[str]:
    """Documents of different lengths whose words and labels follow from their number."""
    labels = ["A1", "A2", "B1"]
    return [
        line([f"w{(i * 7 + k * k) % 23}" for k in range(i % 11)], [labels[i % 3]], doc_keyword=[f"k{i % 4}"])
        for i in range(first, first + count)
    ]


def source(*files: Path, split: str = "train", columns: Sequence[str] = COLUMNS, **data: Any) -> Source:
    job = Job(DataConfig.read(data), InputConfig(), tuple(columns), need_labels=True)
    return Source(tuple(map(str, files)), job, split)


def config(folder: Path, **parts: Any) -> Config:
    """A config over the files in ``folder``; dev and test as far as they are there."""
    taxonomy = folder / "taxonomy.tsv"
    if not taxonomy.exists():
        taxonomy.write_text(TAXONOMY, encoding="utf-8")
    data = {
        name: str(folder / f"{name}.jsonl")
        for name in ("train", "dev", "test")
        if (folder / f"{name}.jsonl").exists()
    }
    value: dict[str, Any] = {
        "task": {"taxonomy": str(taxonomy)},
        "model": {"encoder": "fasttext"},
        "run": {"dir": str(folder / "run")},
        **parts,
    }
    value["data"] = {**data, **parts.get("data", {})}
    return Config.build(value)


def encoded(
    document: Document, feature: str, part: InputConfig, state: dict[str, Any], cut: Any, spell: Any
) -> list[int]:
    """The ids of one feature of one document, by loops; ``state`` holds the vocabularies' indices."""
    tokens = list(document.text if isinstance(document.text, tuple) else cut(document.text))[
        : part.max_tokens
    ]

    def low(word: str) -> str:
        return word.lower() if part.vocabulary.lowercase else word

    if feature == "token":
        return [state["token"].get(low(word), 1) for word in tokens]
    if feature == "char":
        text = " ".join(document.text) if isinstance(document.text, tuple) else document.text
        return [state["char"].get(sign.lower(), 1) for sign in spell(text)[: part.max_characters]]
    if feature in ("keyword", "topic"):
        values = document.keywords if feature == "keyword" else document.topics
        return [state[feature][value] for value in values if value in state[feature]]
    if feature == "ngram":
        return twins.word_ngrams([low(word) for word in tokens], part.ngram.n, part.ngram.buckets)
    grams = [
        gram for word in tokens for gram in twins.spelled(low(word), part.char_ngram.min, part.char_ngram.max)
    ]
    return [twins.fnv1a(gram) % part.char_ngram.buckets for gram in grams]


def same(a: Columns, b: Columns) -> bool:
    return (
        list(a.ids) == list(b.ids)
        and a.places.tolist() == b.places.tolist()
        and all(list(a.tables[c]) == list(b.tables[c]) for c in a.tables)
        and all(np.array_equal(a.values[c].values, b.values[c].values) for c in a.values)
        and all(np.array_equal(a.values[c].offsets_N1, b.values[c].offsets_N1) for c in a.values)
    )
