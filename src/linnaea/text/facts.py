"""What presets look at in the texts of a corpus, gathered a document at a time."""

from __future__ import annotations

import statistics
from typing import Any

import regex

from linnaea.config.presets import CorpusFacts
from linnaea.config.task import WordConfig
from linnaea.corpus.document import Document
from linnaea.reporter import Reporter
from linnaea.text.tokenizers import UNSPACED, WordTokenizer

LOOKED_AT = 20_000  # documents whose tokens are counted
_UNSPACED_LETTER = regex.compile(rf"[[{UNSPACED}]&&[\p{{L}}]]", regex.V1)


class Texts:
    """Hears of each document: its tokens and letters."""

    def __init__(self, reporter: Reporter) -> None:
        self.documents = self.characters = 0
        self._tokens: list[int] = []
        self._letters = self._unspaced = 0
        self._cut, self._reporter = WordTokenizer(WordConfig()), reporter

    def add(self, document: Document) -> None:
        """Count one."""
        self.documents += 1
        if not self.documents % 10_000:
            self._reporter.progress("looking at documents", self.documents)
        ready = not isinstance(document.text, str)
        text = " ".join(document.text) if ready else str(document.text)
        self.characters += len(text)
        if self.documents <= LOOKED_AT:
            self._tokens.append(len(document.text) if ready else len(self._cut(text)))
            self._letters += sum(map(str.isalpha, text))
            self._unspaced += len(_UNSPACED_LETTER.findall(text))

    def facts(self, **others: Any) -> CorpusFacts:
        """With ``others``, that texts do not tell."""
        ordered = sorted(self._tokens) or [0]
        return CorpusFacts(
            characters=self.characters,
            median_tokens=int(statistics.median(ordered)),
            long_tokens=ordered[int(len(ordered) * 0.95)],
            unspaced=self._unspaced / max(1, self._letters),
            **others,
        )
