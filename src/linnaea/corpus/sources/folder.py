"""The files in a folder that the owner of a corpus handed out, and what to say when they are not there."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from linnaea.corpus.stream import Stream
from linnaea.errors import DataError

DEPTH = 3
"""Folders below the named one that are looked into: archives unpack into one or two of their own."""

_SHOWN = 6

# By what a folder of each source is known: the beginning of a file's or folder's name, in small letters.
_SIGNS = {
    "rcv1": ("lyrl2004_tokens", "rcv1-v2.topics", "rcv1.topics.hier"),
    "yelp": ("yelp_academic_dataset", "yelp_dataset"),
    "wos": ("yl1.txt", "wos5736", "wos11967", "wos46985"),
    "newsgroups20": ("20news-bydate",),
}


class SourceFolder:
    """What lies in a folder, three levels deep.

    Args:
        source: the corpus it should hold, for hints.

    Raises:
        DataError: there is no such folder.
    """

    def __init__(self, path: Path, source: str) -> None:
        if not path.is_dir():
            what = "is a file, not a folder" if path.exists() else "no such folder"
            hint = "name the folder that it lies in" if path.exists() else None
            raise DataError(what, where=str(path), hint=hint)
        self.path, self.source = path, source
        self.files: list[Path] = []
        self.folders: list[Path] = []
        for here, folders, names in os.walk(path):
            folders.sort()
            place = Path(here)
            if len(place.relative_to(path).parts) >= DEPTH:
                folders.clear()
            self.folders += [place / name for name in folders]
            self.files += [place / name for name in sorted(names)]

    def find(self, *names: str) -> Path | None:
        """The file of one of these names, plain or ``.gz``; the one nearest to the top, the first name first."""
        by_name: dict[str, Path] = {}
        for file in self.files:  # from the top down
            by_name.setdefault(file.name.lower(), file)
        wanted = [name.lower() + ending for name in names for ending in ("", ".gz")]
        return next((by_name[name] for name in wanted if name in by_name), None)

    def need(self, *names: str, hint: str | None = None) -> Path:
        """As :meth:`find`.

        Raises:
            DataError: it is not there.
        """
        file = self.find(*names)
        if file is None:
            raise self.missing(names, hint)
        return file

    def missing(self, names: Sequence[str], hint: str | None = None) -> DataError:
        """What was looked for, what is there, and what was probably meant."""
        looked = " or ".join(names)
        return DataError(
            f"{looked} not found; {self._found()}", where=str(self.path), hint=self._other_source() or hint
        )

    def ending(self, *endings: str) -> list[Path]:
        """Files whose names end so, sorted by path."""
        return sorted(file for file in self.files if file.name.lower().endswith(endings))

    def _found(self) -> str:
        names = [
            item.name + "/" * item.is_dir() for item in sorted(self.path.iterdir()) if item.name[0] != "."
        ]
        if not names:
            return "the folder is empty"
        more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
        return f"found {', '.join(names[:_SHOWN])}{more}"

    def _other_source(self) -> str | None:
        names = [item.name.lower() for item in self.files + self.folders]
        for source, signs in _SIGNS.items():
            if source != self.source and any(name.startswith(signs) for name in names):
                return f"these look like files of {source}: linnaea prepare {source} {self.path}"
        return None


def numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Lines of a file without their ends, counted from 1; through gzip.

    Raises:
        DataError: missing, unreadable, broken gzip, UTF-16.
    """
    stream = Stream(str(path))
    try:
        for number, line in enumerate(stream.lines(stream.head()), 1):
            yield number, line.rstrip(b"\r\n")
    finally:
        stream.close()


def shorten(values: Iterable[object], shown: int = 3) -> str:
    """The first few of them, for a message."""
    texts = [str(value) for value in values]
    more = f" and {len(texts) - shown:,} more" if len(texts) > shown else ""
    return ", ".join(texts[:shown]) + more
