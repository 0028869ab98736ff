"""ErrorPolicy: what happens to a document that cannot be used: stop, skip, put aside, or collect."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import IO, Literal, Self

from linnaea.errors import DataError, LinnaeaError, RunError
from linnaea.files import Closing

Mode = Literal["raise", "skip", "quarantine", "collect"]


class DocumentError(DataError):
    """One document is broken; the others are not touched by it.

    Attributes:
        kind: a few words that group such problems when they are counted ("broken JSON", "no labels", ...).
        raw: the bytes of the record as they stand in the file, or None where there are none.
    """

    def __init__(
        self,
        message: str,
        *,
        where: str | None = None,
        hint: str | None = None,
        kind: str = "broken document",
        raw: bytes | None = None,
    ) -> None:
        super().__init__(message, where=where, hint=hint)
        self.kind, self.raw = kind, raw

    def at(self, where: str) -> Self:
        """The same error with its place."""
        return type(self)(self.message, where=where, hint=self.hint, kind=self.kind, raw=self.raw)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, self.where, self.hint, self.kind, self.raw)


def _rebuild(
    of: type[DocumentError], message: str, where: str | None, hint: str | None, kind: str, raw: bytes | None
) -> DocumentError:
    return of(message, where=where, hint=hint, kind=kind, raw=raw)


class ErrorPolicy(Closing):
    """Decides about broken documents, counts them, and says at the end how many were left out.

    Whoever iterates over documents calls ``handle`` for each broken one and adds every one, good or broken,
    to ``documents``.

    Args:
        mode: ``raise`` stops at the first; ``skip`` leaves out and counts; ``quarantine`` also writes each
            into a file as a JSON line ``{"where", "problem", "line"}``; ``collect`` keeps the errors, for
            ``linnaea check``.
        quarantine: that file. It holds the problems of this policy only: an old one is replaced at the first
            problem.
        limit: how many errors ``collect`` keeps; the rest is counted only.
    """

    def __init__(
        self, mode: Mode = "raise", quarantine: Path | str | None = None, *, limit: int = 1000
    ) -> None:
        if mode == "quarantine" and quarantine is None:
            raise ValueError("quarantine needs the name of a file")
        self.mode, self.limit = mode, limit
        self.path = Path(quarantine) if quarantine is not None else None
        self.counts: Counter[str] = Counter()
        self.documents = 0
        self.problems: list[LinnaeaError] = []
        self._file: IO[str] | None = None

    @property
    def left_out(self) -> int:
        """How many documents were left out so far."""
        return self.counts.total()

    def handle(self, error: DataError, raw: bytes | None = None) -> None:
        """Deal with one broken document.

        Args:
            error: what is wrong with it.
            raw: its line as it stands in the file; without it, what a ``DocumentError`` carries.

        Raises:
            DataError: ``error`` itself, under ``raise``.
            RunError: the quarantine file cannot be written.
        """
        if self.mode == "raise":
            raise error
        self.counts[getattr(error, "kind", "broken document")] += 1
        if self.mode == "collect" and len(self.problems) < self.limit:
            self.problems.append(error)
        elif self.mode == "quarantine":
            self._write(error, raw if raw is not None else getattr(error, "raw", None))

    def handle_file(self, error: DataError) -> None:
        """Deal with a file that cannot be read at all: an error, but ``collect`` goes on after it."""
        if self.mode != "collect":
            raise error
        self.problems.append(error)

    def _write(self, error: DataError, raw: bytes | None) -> None:
        assert self.path is not None
        problem = f"{error.message} ({error.hint})" if error.hint else error.message
        line = None if raw is None else raw.decode("utf-8", "backslashreplace")
        try:
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = open(self.path, "w", encoding="utf-8", newline="\n")  # noqa: SIM115 - closed in close()
            entry = json.dumps({"where": error.where, "problem": problem, "line": line}, ensure_ascii=False)
            self._file.write(entry.encode("utf-8", "backslashreplace").decode() + "\n")
            self._file.flush()  # a run that dies later still shows what was left out
        except OSError as bad:
            raise RunError(
                f"cannot write: {(bad.strerror or str(bad)).lower()}", where=str(self.path)
            ) from bad

    def message(self) -> str | None:
        """``left out 3 of 1,621 documents: 2 no labels, 1 broken JSON``; None where nothing was left out."""
        if not self.left_out:
            return None
        total = f" of {self.documents:,}" if self.documents >= self.left_out else ""
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in self.counts.most_common())
        aside = f"; they are in {self.path}" if self.mode == "quarantine" else ""
        plural = "" if self.left_out == 1 and not total else "s"
        return f"left out {self.left_out:,}{total} document{plural}: {kinds}{aside}"

    def close(self) -> None:
        """Close the quarantine file, if one was begun."""
        if self._file is not None:
            self._file.close()
            self._file = None
