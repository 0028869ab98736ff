"""Newsitems: documents of Reuters' XML, loose or in zip files, one at a time.

Entities are refused, so that a small file cannot grow in memory; nothing outside the file is ever read.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.parsers import expat

from linnaea.corpus.sources.writer import Writer
from linnaea.errors import DataError

TOPICS = "bip:topics:"
LARGEST = 64 << 20
"""A newsitem of more bytes than this is none."""

_KEPT = ("title", "headline", "p")


class Newsitem(NamedTuple):
    """A document; ``place`` is its file, in a zip file with the name inside."""

    id: int
    text: str
    topics: list[str]
    place: str


def newsitems(files: Sequence[Path], writer: Writer) -> Iterator[Newsitem]:
    """All newsitems in the order of the files; XML of other kinds is counted as left out.

    Raises:
        DataError: broken XML or zip, an entity, a newsitem without a number.
    """
    for file in files:
        for place, content in _contents(file):
            item = parse(content, place)
            if item is None:
                writer.left_out["XML that is no newsitem"] += 1
            else:
                yield item


def _contents(file: Path) -> Iterator[tuple[str, bytes]]:
    if file.suffix.lower() == ".xml":
        if file.stat().st_size > LARGEST:
            raise _too_large(str(file))
        yield str(file), file.read_bytes()
        return
    try:
        with zipfile.ZipFile(file) as archive:
            for entry in archive.infolist():
                if entry.filename.lower().endswith(".xml"):
                    place = f"{file}:{entry.filename}"
                    if entry.file_size > LARGEST:
                        raise _too_large(place)
                    yield place, archive.read(entry)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as bad:
        raise DataError(f"broken zip file: {bad}", where=str(file)) from None


def _too_large(place: str) -> DataError:
    return DataError(f"larger than {LARGEST >> 20} MB, so no newsitem", where=place)


def parse(content: bytes, place: str) -> Newsitem | None:
    """The newsitem in an XML file; None if it is something else.

    The text is the headline (else the title) and the paragraphs, a line each.
    """
    reading = _Reading()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reading.start
    parser.EndElementHandler = reading.end
    parser.CharacterDataHandler = reading.characters
    parser.EntityDeclHandler = reading.entity
    try:
        parser.Parse(content, True)
    except expat.ExpatError as bad:
        problem = f"broken XML: {expat.ErrorString(bad.code)}"
        raise DataError(problem, where=f"{place}:{bad.lineno}") from None
    except _Entity:
        raise DataError("declares an entity, which is refused", where=place) from None
    if reading.root != "newsitem":
        return None
    if not reading.id.isdecimal():
        raise DataError(f"the newsitem has no itemid, or {reading.id!r}", where=place)
    heading = reading.found["headline"] or reading.found["title"]
    text = "\n".join(part for part in heading[:1] + reading.found["p"] if part)
    return Newsitem(int(reading.id), text, list(dict.fromkeys(reading.topics)), place)


class _Entity(Exception):
    """Stops the parser."""


class _Reading:
    """What the parser has met so far."""

    def __init__(self) -> None:
        self.root, self.id = "", ""
        self.topics: list[str] = []
        self.found: dict[str, list[str]] = {name: [] for name in _KEPT}
        self._above: list[str] = []
        self._in_topics = False
        self._pieces: list[str] | None = None

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if not self._above:
            self.root, self.id = name, attributes.get("itemid", "")
        elif name == "codes":
            self._in_topics = attributes.get("class", "").startswith(TOPICS)
        elif name == "code" and self._in_topics:
            self.topics.append(attributes.get("code", ""))
        if name in _KEPT and (name != "p" or "text" in self._above):
            self._pieces = []
        self._above.append(name)

    def end(self, name: str) -> None:
        self._above.pop()
        if name == "codes":
            self._in_topics = False
        if name in _KEPT and self._pieces is not None:
            self.found[name].append(" ".join("".join(self._pieces).split()))
            self._pieces = None

    def characters(self, text: str) -> None:
        if self._pieces is not None:
            self._pieces.append(text)

    def entity(self, *_: object) -> None:
        raise _Entity
