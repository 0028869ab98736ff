"""Tokenizers: a text becomes a list of tokens. Tokens that come ready never pass through here.

``word`` cuts at everything that is neither letter, mark nor digit (UAX #44 categories L, M, N). Inner
apostrophes, hyphens, points and commas cut too: on Reuters, GoEmotions and ValueEval a linear model on tokens
cut this way was as good as or better than with "don't", "U.S" and "155,221" kept whole (micro-F1
.858/.450/.393 against .856/.445/.392). Scripts that are written without blanks are cut into characters, so
that no dictionary is needed; a combining mark stays with its letter; each symbol or emoji sequence is a
token; punctuation, and of ASCII all signs, are dropped unless asked for. No letter, mark or digit is ever
lost. Text is brought to Unicode NFC first, so that the two spellings of an accented letter are one token;
``whitespace`` promises to do nothing else and does not. Lower case is the vocabulary's affair.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Protocol

import regex

from linnaea.config.registry import tokenizers
from linnaea.config.task import CharacterConfig, WhitespaceConfig, WordConfig
from linnaea.text import pretrained

__all__ = ["CharacterTokenizer", "Tokenizer", "WhitespaceTokenizer", "WordTokenizer", "pretrained"]

# Part of every cache key: counts up whenever a built-in tokenizer cuts any text differently.
VERSION = 1

# Scripts without blanks. The two sound marks and the voicing marks of half-width Katakana belong to no single
# script.
UNSPACED = (
    r"\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tai_Tham}\p{New_Tai_Lue}\p{Tai_Viet}"
    r"\u30FC\uFF70\uFF9E\uFF9F"
)
_WORDS = rf"[[\p{{L}}\p{{M}}\p{{N}}]--[{UNSPACED}]]+"
# Zero-width (non-)joiners shape Persian and Indic words from within.
_WORD = rf"{_WORDS}(?:[\u200C\u200D]+{_WORDS})*"
_SIGN = rf"[[{UNSPACED}]&&[\p{{L}}\p{{M}}\p{{N}}]][\p{{M}}\uFF9E\uFF9F]*"
_FLAG = r"[\U0001F1E6-\U0001F1FF]{2}"
_PICTURE = r"[[\p{S}\p{Co}]--[\x00-\x7F]][\p{M}\U0001F3FB-\U0001F3FF\U000E0020-\U000E007F]*"
_SYMBOL = rf"{_FLAG}|{_PICTURE}(?:\u200D{_PICTURE})*"
_UNICODE = f"{_WORD}|{_SIGN}|{_SYMBOL}"
_SOFT_HYPHEN = "\u00ad"
# Latin, Greek and Cyrillic letters with the usual typographic signs: no marks, nothing that NFC changes, so
# that the standard library's regular expressions, four times as fast, find the same tokens.
_PLAIN = r"\x00-\u02ff\u0386\u0388-\u0482\u048a-\u052f\u2010-\u2027\u2030-\u205e\u20ac\u2122"
_PLAIN_SYMBOLS, _PLAIN_MARKS = (
    "".join(char for char in map(chr, range(0x80, 0x2123)) if unicodedata.category(char)[0] == kind)
    for kind in "SP"
)


class Tokenizer(Protocol):
    """What a tokenizer of the registry is: built from its config, called with a text."""

    def __call__(self, text: str) -> list[str]:
        """The tokens of ``text``, in order; the same for the same text, always."""


@tokenizers.register("word")
class WordTokenizer:
    """Unicode words of any language."""

    def __init__(self, config: WordConfig) -> None:
        ascii_marks = r"|[!-/:-@\[-`{-~]" if config.punctuation else ""
        plain_marks = "|[!-/:-@\\[-`{-~" + _PLAIN_MARKS + "]" if config.punctuation else ""
        marks = r"|[\p{P}!-/:-@\[-`{-~]" if config.punctuation else ""
        self._ascii = re.compile("[A-Za-z0-9]+" + ascii_marks).findall
        self._is_plain = re.compile(f"[{_PLAIN}]*").fullmatch
        self._plain = re.compile(rf"[^\W_]+|[{_PLAIN_SYMBOLS}]" + plain_marks).findall
        self._any = regex.compile("(?V1)" + _UNICODE + marks).findall

    def __call__(self, text: str) -> list[str]:
        if text.isascii():
            return self._ascii(text)
        text = text.replace(_SOFT_HYPHEN, "")
        if self._is_plain(text):
            return self._plain(text)
        return self._any(unicodedata.normalize("NFC", text))  # type: ignore[no-any-return]


@tokenizers.register("whitespace")
class WhitespaceTokenizer:
    """Cut at runs of Unicode white space."""

    def __init__(self, config: WhitespaceConfig) -> None:
        pass

    def __call__(self, text: str) -> list[str]:
        return text.split()


@tokenizers.register("character")
class CharacterTokenizer:
    """Grapheme clusters (UAX #29): what readers take for one character; runs of blanks are one blank."""

    def __init__(self, config: CharacterConfig) -> None:
        self._clusters = regex.compile(r"\X").findall

    def __call__(self, text: str) -> list[str]:
        text = " ".join(text.split())
        if text.isascii():
            return list(text)
        return self._clusters(unicodedata.normalize("NFC", text))  # type: ignore[no-any-return]
