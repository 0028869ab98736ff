"""Document: one text with what is written about it, and where it came from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Origin(NamedTuple):
    """The place of a document: every later message can say where."""

    file: str
    line: int  # from 1; in Parquet the row
    offset: int = -1  # byte offset of the line in the (uncompressed) file, -1 where unknown

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Document:
    """A document as read.

    Attributes:
        id: given; "" stands for the running number in its split (from 0) as a string, which readers and
            featurizer put in its place.
        text: the text; a tuple holds tokens that came ready.
        labels: as written (id, name or path); None = not labelled, () = belongs nowhere.
    """

    id: str
    text: str | tuple[str, ...]
    labels: tuple[str, ...] | None = None
    keywords: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    origin: Origin | None = None
