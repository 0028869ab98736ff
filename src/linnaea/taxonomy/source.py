"""Source: the decoded text of a taxonomy file, with its name for ``file:line``."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from linnaea.errors import DataError, TaxonomyError
from linnaea.files import STDIN, open_bytes


@dataclass(frozen=True)
class Source:
    """A file's text; line ends are ``\\n``, a byte order mark is gone."""

    file: str
    text: str

    @cached_property
    def lines(self) -> list[str]:
        return self.text.split("\n")

    @property
    def suffix(self) -> str:
        """The file's kind by its name: ``.tsv`` for ``topics.tsv.gz``."""
        path = Path(self.file.removesuffix(".gz"))
        return path.suffix.casefold()

    @classmethod
    def read(cls, path: Path | str) -> Source:
        """Read a file, gzip or not (by content), or standard input for ``-``.

        Raises:
            TaxonomyError: missing, unreadable, empty, or not UTF-8 (with its line).
        """
        file = str(path) if str(path) != STDIN else "standard input"
        data = _bytes(path, file)
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as bad:
            raise _not_utf8(file, data, bad.start) from None
        if not text.strip():
            raise TaxonomyError("is empty", where=file)
        return cls(file, text.replace("\r\n", "\n").replace("\r", "\n"))


def _bytes(path: Path | str, file: str) -> bytes:
    try:
        stream = open_bytes(path)
        if str(path) == STDIN:
            data = stream.read()
        else:
            with stream:
                data = stream.read()
        return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
    except DataError as bad:
        raise TaxonomyError(bad.message, where=bad.where, hint=bad.hint) from None
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise TaxonomyError("is no whole gzip file", where=file) from None
    except OSError as bad:
        raise TaxonomyError(f"cannot read: {(bad.strerror or str(bad)).lower()}", where=file) from None


def _not_utf8(file: str, data: bytes, start: int) -> TaxonomyError:
    wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    message = "is UTF-16, not UTF-8" if wide else f"not UTF-8: byte 0x{data[start]:02x}"
    before = data[:start].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
    hint = f"byte {column} of the line; save the file as UTF-8"
    return TaxonomyError(message, where=f"{file}:{line}", hint=hint)
