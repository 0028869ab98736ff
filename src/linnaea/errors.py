"""The error tree: every failure that a user can cause or meet, each with its exit code.

An error says what is wrong, where, what was received and what was probably meant, on one line. The command
line prints ``str(error)`` and leaves with ``error.exit_code``; a traceback is for our own mistakes only.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Self


class LinnaeaError(Exception):
    """Base of all errors of this package.

    Args:
        message: what is wrong and what was received, without a final full stop.
        where: the place: ``file``, ``file:line`` or a dotted config path.
        hint: what was probably meant, or what to do.
    """

    exit_code = 1

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        self.message, self.where, self.hint = message, where, hint
        super().__init__(message)

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        return _one_line(f"{text} ({self.hint})" if self.hint else text)

    def at(self, where: str) -> Self:
        """The same error with its place."""
        return type(self)(self.message, where=where, hint=self.hint)

    def __reduce__(self) -> tuple[object, ...]:
        # Errors cross process borders (readers work in several processes), keyword arguments included.
        return _rebuild, (type(self), self.message, self.where, self.hint)


def _one_line(text: str) -> str:
    """``text`` without line breaks, and with control characters and lone surrogates escaped."""
    text = " ".join(part.strip() for part in text.splitlines())
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def _rebuild(kind: type[LinnaeaError], message: str, where: str | None, hint: str | None) -> LinnaeaError:
    return kind(message, where=where, hint=hint)


class RunError(LinnaeaError):
    """The run failed: disk full, a worker died, a loss that is not finite."""

    exit_code = 1


class UsageError(LinnaeaError):
    """The command or the call was not understood, or would overwrite something."""

    exit_code = 2


class ConfigError(UsageError):
    """The config does not hold; ``where`` is the dotted path."""


class MissingExtraError(UsageError):
    """An optional dependency is not installed; the message is the pip line."""

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, where=where, hint=hint)

    @classmethod
    def for_extra(cls, extra: str, what: str) -> MissingExtraError:
        return cls(f"{what} needs an optional package", hint=f'pip install "linnaea[{extra}]"')


class DataError(LinnaeaError):
    """A document, a corpus file or a word-vector file is broken; ``where`` is ``file:line``."""

    exit_code = 3


class TaxonomyError(DataError):
    """The taxonomy is broken, or a label is not in it."""


class ModelError(DataError):
    """A model folder is missing, truncated, altered or of another format."""


class InterruptedRun(LinnaeaError):
    """SIGINT or SIGTERM came; a checkpoint was written and ``--resume`` goes on from it."""

    exit_code = 130


def suggest(word: str, candidates: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """The "did you mean" clause for a misspelt ``word``, or None when nothing is near."""
    pool = list(dict.fromkeys(candidates))
    near = difflib.get_close_matches(word, pool, n=1, cutoff=cutoff)
    if not near:
        folded = {c.casefold(): c for c in pool}
        near = [folded[word.casefold()]] if word.casefold() in folded else []
    return f"did you mean {near[0]!r}?" if near else None
