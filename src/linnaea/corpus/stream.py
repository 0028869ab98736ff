"""Stream: the bytes of a corpus file or of standard input, through gzip; what is wrong is a DataError."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from typing import Any

from linnaea.errors import DataError
from linnaea.files import STDIN, open_bytes

# Bytes read at once. Strings of such a block are numbered while they still are in the processor's cache: 1.4 times the
# speed of two megabytes.
BLOCK = 256 << 10
STDIN_NAME = "standard input"
BOM = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"


class Stream:
    """A file opened for reading.

    Attributes:
        name: for messages.

    Raises:
        DataError: it is missing or cannot be read.
    """

    def __init__(self, path: str) -> None:
        self.name = STDIN_NAME if path == STDIN else path
        file: Any = open_bytes(path)
        if path == STDIN:
            file = file if hasattr(file, "peek") else io.BufferedReader(file)
            if file.peek(2)[:2] == _GZIP:
                file = gzip.GzipFile(fileobj=file)
        self._file = file

    def close(self) -> None:
        """Close the file; standard input is not ours to close."""
        if self.name != STDIN_NAME:
            self._file.close()

    def read(self) -> bytes:
        """The next block, empty at the end.

        Raises:
            DataError: broken or cut off gzip, or a failing disk.
        """
        try:
            # A pipe is not waited for until a whole block is there: its first lines can be answered at once.
            block: bytes = self._file.read1(BLOCK) if self.name == STDIN_NAME else self._file.read(BLOCK)
            return block
        except EOFError:
            raise DataError("the gzip file is cut off: its end is missing", where=self.name) from None
        except gzip.BadGzipFile as bad:
            if "not a gzipped file" in str(bad).lower():
                hint = "rename it without .gz"
                raise DataError("is not compressed with gzip", where=self.name, hint=hint) from None
            raise DataError("broken gzip: its checksum does not fit", where=self.name) from None
        except zlib.error:
            raise DataError("broken gzip: its content is damaged", where=self.name) from None
        except OSError as bad:
            raise DataError(f"cannot read: {(bad.strerror or str(bad)).lower()}", where=self.name) from None

    def rest(self) -> bytes:
        """Everything to the end."""
        return b"".join(iter(self.read, b""))

    def head(self) -> bytes:
        """All up to the first block that holds more than white space, without a byte order mark.

        Raises:
            DataError: an encoding or compression that cannot be right.
        """
        head = b""
        while block := self.read():
            head += block
            if head.removeprefix(BOM).strip():
                break
        if head.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise DataError(
                "is UTF-16, not UTF-8", where=self.name, hint="convert it: iconv -f UTF-16 -t UTF-8"
            )
        if head.startswith(_GZIP):
            raise DataError("is compressed with gzip", where=self.name, hint="let its name end in .gz")
        if head.startswith(b"PAR1") and b"\0" in head[:1024]:
            raise DataError("is a Parquet file", where=self.name, hint='set data.format: "parquet"')
        self.marked = head.startswith(BOM)
        return head.removeprefix(BOM)

    def lines(self, head: bytes) -> Iterator[bytes]:
        """Lines with their ends, cut at line feeds only, from ``head`` on."""
        rest = head
        while block := self.read():
            *whole, rest = (rest + block).split(b"\n")
            for line in whole:
                yield line + b"\n"
        *whole, rest = rest.split(b"\n")
        for line in whole:
            yield line + b"\n"
        if rest:
            yield rest
