"""errors.py: one line each, the right exit codes, suggestions, and a way across process borders."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linnaea import errors
from linnaea.errors import (
    ConfigError,
    DataError,
    InterruptedRun,
    LinnaeaError,
    MissingExtraError,
    ModelError,
    RunError,
    TaxonomyError,
    UsageError,
    suggest,
)

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, LinnaeaError)]


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (LinnaeaError, 1),
        (RunError, 1),
        (UsageError, 2),
        (ConfigError, 2),
        (MissingExtraError, 2),
        (DataError, 3),
        (TaxonomyError, 3),
        (ModelError, 3),
        (InterruptedRun, 130),
    ],
)
def test_exit_codes(kind: type[LinnaeaError], code: int) -> None:
    assert kind("what").exit_code == code
    assert kind in KINDS


def test_text_has_place_message_and_hint() -> None:
    assert str(LinnaeaError("is broken")) == "is broken"
    assert str(LinnaeaError("is broken", where="a.json:3")) == "a.json:3: is broken"
    assert str(LinnaeaError("is broken", hint="mend it")) == "is broken (mend it)"
    assert str(LinnaeaError("is broken", where="a.json:3", hint="mend it")) == "a.json:3: is broken (mend it)"


@pytest.mark.parametrize("kind", KINDS)
def test_pickle_keeps_everything(kind: type[LinnaeaError]) -> None:
    error = kind("is broken", where="a.json:3", hint="mend it")
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (again.message, again.where, again.hint) == ("is broken", "a.json:3", "mend it")
    assert str(again) == str(error)


@given(st.text(), st.none() | st.text(), st.none() | st.text())
def test_always_one_printable_line(message: str, where: str | None, hint: str | None) -> None:
    text = str(LinnaeaError(message, where=where, hint=hint))
    assert len(text.splitlines()) <= 1
    assert text.isprintable()
    text.encode("utf-8")


def test_line_breaks_become_blanks_and_controls_are_escaped() -> None:
    assert str(DataError("first\r\n  second\n", where="a")) == "a: first second"
    assert str(DataError("red \x1b[31m \ud800")) == "red \\x1b[31m \\ud800"
    assert str(DataError("Größe 其他")) == "Größe 其他"


def test_missing_extra_is_the_pip_line() -> None:
    error = MissingExtraError.for_extra("tensorboard", "TensorBoard logging")
    assert str(error) == 'TensorBoard logging needs an optional package (pip install "linnaea[tensorboard]")'


def test_suggest() -> None:
    names = ["textcnn", "fasttext", "CCAT"]
    assert suggest("textcn", names) == "did you mean 'textcnn'?"
    assert suggest("ccat", names) == "did you mean 'CCAT'?"
    assert suggest("zzz", names) is None
    assert suggest("zzz", []) is None
    assert suggest("textcnn", iter(names)) == "did you mean 'textcnn'?"
