"""What was left out while corpus files were read: kept beside the columns, told to every run."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from linnaea.corpus.document import Origin
from linnaea.corpus.policy import DocumentError
from linnaea.corpus.stream import STDIN_NAME
from linnaea.errors import DataError
from linnaea.files import Closing, open_bytes


class RawLines(Closing):
    """Reads lines of corpus files again, by byte offset; cheapest in the order of the file."""

    def __init__(self) -> None:
        self._name = ""
        self._file: IO[bytes] | None = None

    def read(self, origin: Origin | None) -> bytes | None:
        """The line of a document as it stands in its file; None: it has none (standard input, Parquet)."""
        if origin is None or origin.offset < 0 or origin.file == STDIN_NAME:
            return None
        if not Path(origin.file).is_file():
            return None
        try:
            if self._file is None or self._name != origin.file:
                self.close()
                self._name, self._file = origin.file, open_bytes(origin.file)
            self._file.seek(origin.offset)
            return self._file.readline().rstrip(b"\r\n")
        except (OSError, EOFError, DataError):
            return None

    def close(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None


def record(error: DataError, files: Sequence[str], offset: int = -1) -> bytes:
    """``error`` as a line; names of files become numbers: the same content may lie elsewhere tomorrow.

    Args:
        offset: where its line begins; for an error that does not carry its line.
    """
    where, message = error.where or "", error.message
    number = next((i for i, file in enumerate(files) if where.startswith(f"{file}:")), -1)
    for i, file in enumerate(files):
        where, message = (text.replace(f"{file}:", f"\0{i}\0:") for text in (where, message))
    raw = getattr(error, "raw", None)
    value = {
        "message": message,
        "where": where,
        "hint": error.hint,
        "kind": getattr(error, "kind", "broken document"),
        "raw": None if raw is None else raw.decode("latin-1"),
        "file": number,
        "offset": offset,
    }
    return json.dumps(value).encode() + b"\n"


def records(lines: bytes, files: Sequence[str]) -> Iterator[tuple[DocumentError, Origin | None]]:
    """The errors again, and where the line of one stands that does not carry it."""
    for line in lines.splitlines():
        value = json.loads(line)
        where, message, raw = value["where"], value["message"], value["raw"]
        for i, file in enumerate(files):
            where, message = (text.replace(f"\0{i}\0:", f"{file}:") for text in (where, message))
        error = DocumentError(
            message,
            where=where or None,
            hint=value["hint"],
            kind=value["kind"],
            raw=None if raw is None else raw.encode("latin-1"),
        )
        known = value["file"] >= 0 and value["offset"] >= 0
        yield error, Origin(files[value["file"]], 0, value["offset"]) if known else None
