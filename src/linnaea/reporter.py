"""Reporter: what work tells while it lasts. The terminal shows it, a test or a notebook may keep it or drop it."""

from __future__ import annotations

from typing import Any, Protocol


class Reporter(Protocol):
    """Hears of progress; never changes anything."""

    def note(self, message: str) -> None:
        """Something worth a line."""

    def warn(self, message: str) -> None:
        """Something that the user should look at."""

    def progress(self, what: str, done: int, total: int | None = None, detail: str = "") -> None:
        """How far the present job is; ``done == total`` ends it."""

    def listener(self, name: str = "") -> Any:
        """A training listener that shows epochs, or None; ``name``: which of several trainings it will hear of."""


class Silent:
    """Drops everything but keeps the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def note(self, message: str) -> None:
        pass

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def progress(self, what: str, done: int, total: int | None = None, detail: str = "") -> None:
        pass

    def listener(self, name: str = "") -> Any:
        return None


class Part:
    """Passes everything on with the name of the part of the work that it comes from."""

    def __init__(self, reporter: Reporter, name: str) -> None:
        self._reporter, self._name = reporter, name

    def note(self, message: str) -> None:
        self._reporter.note(f"{self._name}: {message}")

    def warn(self, message: str) -> None:
        self._reporter.warn(f"{self._name}: {message}")

    def progress(self, what: str, done: int, total: int | None = None, detail: str = "") -> None:
        self._reporter.progress(f"{self._name}, {what}", done, total, detail)

    def listener(self, name: str = "") -> Any:
        return self._reporter.listener(f"{self._name}, {name}" if name else self._name)


class Muted(Silent):
    """Passes on how far a job is, and nothing else: what is said of the same documents was said before."""

    def __init__(self, reporter: Reporter) -> None:
        super().__init__()
        self._reporter = reporter

    def progress(self, what: str, done: int, total: int | None = None, detail: str = "") -> None:
        self._reporter.progress(what, done, total, detail)
