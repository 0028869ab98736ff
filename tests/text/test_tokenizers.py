"""Tokenizers: what is cut where, that nothing is lost, that the fast ways find what the careful way finds."""

from __future__ import annotations

import unicodedata

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from linnaea.config.registry import tokenizers
from linnaea.config.task import CharacterConfig, InputConfig, WhitespaceConfig, WordConfig
from linnaea.text.tokenizers import CharacterTokenizer, WhitespaceTokenizer, WordTokenizer

word = WordTokenizer(WordConfig())
marked = WordTokenizer(WordConfig(punctuation=True))
character = CharacterTokenizer(CharacterConfig())
any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
scripts = st.text(
    st.sampled_from("ab Z9_'-.,$é\u0301ßЖλ語のテー、ｶﾞสวัครमि\u200c\u200dی한글👍🏽❤\ufe0f🇩🇪€½\u00ad“—\n\u3000"),
    max_size=30,
)
# Frozen: code points that any Unicode version of the last decade has, so that libraries agree on them.
old = st.text(st.characters(max_codepoint=0x2BFF, exclude_categories=["Cs", "Cn", "Co"]), max_size=30)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("The quick-brown fox's 3 dens, U.S. 1,024.5!", "The quick brown fox s 3 dens U S 1 024 5"),
        ("snake_case __init__ a$b", "snake case init a b"),
        ("Überfuß naïve Ελλάς Москва", "Überfuß naïve Ελλάς Москва"),
        ("l’été «déjà» — fin…", "l été déjà fin"),
        ("日本語のテキスト、ラーメン。", "日 本 語 の テ キ ス ト ラ ー メ ン"),
        ("Sony製カメラ2台", "Sony 製 カ メ ラ 2 台"),
        ("สวัสดี", "ส วั ส ดี"),
        ("हिन्दी भाषा", "हिन्दी भाषा"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("한국어 텍스트", "한국어 텍스트"),
        ("ｶﾞｷﾞ", "ｶﾞ ｷﾞ"),
        ("good👍🏽👩‍👩‍👧🇩🇪🇫🇷 ❤️‍🔥!", "good 👍🏽 👩‍👩‍👧 🇩🇪 🇫🇷 ❤️‍🔥"),
        ("€5 → x²", "€ 5 → x²"),
        ("Donau\u00addampf", "Donaudampf"),
        ("", ""),
        (" \n\t ", ""),
    ],
)
def test_word_cuts_as_documented(text: str, tokens: str) -> None:
    assert word(text) == tokens.split()


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("don't stop.", "don ' t stop ."), ("«a» b_c", "« a » b _ c"), ("a—b 、c$", "a — b 、 c $")],
)
def test_punctuation_marks_are_tokens_when_asked_for(text: str, tokens: str) -> None:
    assert marked(text) == tokens.split()


@pytest.mark.parametrize("cut", [word, marked])
@given(text=st.one_of(any_text, scripts))
@settings(deadline=None)
def test_word_never_loses_a_letter_a_mark_or_a_digit(cut: WordTokenizer, text: str) -> None:
    clean = unicodedata.normalize("NFC", text.replace("\u00ad", ""))
    kept = regex.findall(r"[\p{L}\p{M}\p{N}]", "".join(cut(text)))
    assert kept == regex.findall(r"[\p{L}\p{M}\p{N}]", clean)


@pytest.mark.parametrize("cut", [word, marked])
@given(text=any_text)
@settings(deadline=None)
def test_word_tokens_are_pieces_of_the_text_without_blanks(cut: WordTokenizer, text: str) -> None:
    clean, place = unicodedata.normalize("NFC", text.replace("\u00ad", "")), 0
    for token in cut(text):
        assert token and not any(sign.isspace() for sign in token)
        place = clean.index(token, place) + len(token)


@given(text=any_text)
@settings(deadline=None)
def test_punctuation_only_adds_tokens(text: str) -> None:
    marks = iter(marked(text))
    assert all(token in marks for token in word(text))


@given(text=st.one_of(st.text(st.characters(max_codepoint=127)), old, scripts))
@settings(deadline=None)
def test_the_fast_ways_find_what_the_careful_way_finds(text: str) -> None:
    for cut in (word, marked):
        assert cut(text) == cut._any(unicodedata.normalize("NFC", text.replace("\u00ad", "")))


def test_every_plain_sign_is_cut_alike_by_both_ways() -> None:
    plain = [sign for sign in map(chr, range(0x80, 0x2123)) if sign != "\u00ad" and word._is_plain(sign)]
    assert len(plain) > 900
    for sign in plain:
        for text in (sign, f"a{sign}b", sign * 2, f"1{sign}"):
            assert unicodedata.is_normalized("NFC", text)
            assert word._plain(text) == word._any(text), sign
            assert marked._plain(text) == marked._any(text), sign


def test_two_spellings_of_an_accent_are_one_token() -> None:
    assert word("cafe\u0301 café") == ["café", "café"]
    assert character("e\u0301") == ["é"]


@given(text=any_text)
@settings(deadline=None)
def test_whitespace_cuts_and_does_nothing_else(text: str) -> None:
    tokens = WhitespaceTokenizer(WhitespaceConfig())(text)
    assert "".join(tokens) == "".join(sign for sign in text if not sign.isspace())


@given(text=st.one_of(any_text, scripts))
@settings(deadline=None)
def test_characters_put_together_are_the_text_with_single_blanks(text: str) -> None:
    assert "".join(character(text)) == unicodedata.normalize("NFC", " ".join(text.split()))


def test_a_character_is_what_a_reader_takes_for_one() -> None:
    assert character(" a\r\n👩‍👩‍👧  हि ") == ["a", " ", "👩‍👩‍👧", " ", "हि"]


def test_lone_surrogates_from_python_do_no_harm() -> None:
    assert word("a\ud800b é\udfff") == ["a", "b", "é"]
    assert "".join(character("é\ud800")) == "é\ud800"


def test_the_registry_builds_each_from_its_config() -> None:
    for name, kind in {
        "word": WordTokenizer,
        "whitespace": WhitespaceTokenizer,
        "character": CharacterTokenizer,
    }.items():
        config = InputConfig.read({"tokenizer": name}).tokenizer
        assert isinstance(tokenizers.build(config), kind)
