"""Word vectors from files: the text formats of GloVe, word2vec and fastText, plain or gzip.

A line is a word, blanks, and as many numbers as the vectors are wide. The first line may be a header of
word2vec and fastText, "number of words, width": it is one only if it holds two integers and the next line is
as wide as it says. Words may hold blanks (GloVe 840B has some), so numbers are counted from the right. The
file is streamed: only the rows of wanted words are kept.

A wanted word takes the vector of the file's word that is spelled the same; failing that, of the first whose
lower-case form is the wanted word's (so a cased file serves a lower-case vocabulary, and the other way
round). Of words that stand twice the first counts. Bytes that are not UTF-8 make a word that nobody asks for.
A line of the wrong width is an error, wanted or not.

Shape letters: E width of a vector, n rows found.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from linnaea.errors import DataError
from linnaea.files import open_bytes
from linnaea.text.vocabulary import Vocabulary

_SHOWN = 40


@dataclass(frozen=True)
class Coverage:
    """How many words of a vocabulary have a vector.

    Attributes:
        words: distinct words of the vocabulary; ``found`` of them have a vector.
        tokens: how often these words stand in train; ``tokens_found``: of those that have a vector. 0 where
            no counts are known.
        by_case: how many of ``found`` are there in another case only.
    """

    words: int
    found: int
    tokens: int
    tokens_found: int
    by_case: int

    def __str__(self) -> str:
        return self.told("words", "tokens")

    def told(self, distinct: str, all: str) -> str:
        """In words; ``distinct`` and ``all`` say of what."""
        share = f"{self.found:,} of {self.words:,} {distinct} ({_percent(self.found, self.words)})"
        tokens = f", {_percent(self.tokens_found, self.tokens)} of the {all} of train" if self.tokens else ""
        return share + tokens


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "0%"


def read_vectors(
    path: Path | str, words: Vocabulary | Sequence[str], dimension: int
) -> tuple[np.ndarray, np.ndarray, Coverage]:
    """Read the vectors of some words.

    Args:
        words: wanted: a vocabulary (rows are then its ids, rows of its embedding table) or distinct words
            (rows count from 0).
        dimension: E; the file must have vectors of that width.

    Returns:
        ``(matrix, rows, coverage)``: float32 ``[n, E]`` and int64 ``[n]``, by rising row.

    Raises:
        DataError: no such file, no vectors in it, broken gzip; with ``file:line``: wrong width, not a number.
    """
    if isinstance(words, Vocabulary):
        first, names, counts = words.reserved, words.words, words.counts
    else:
        first, names, counts = 0, tuple(words), np.zeros(len(words), dtype=np.int64)
    wanted = _Wanted(names)
    some = False
    for number, line in _vector_lines(path, dimension):
        some = True
        word, numbers = _cut(line, dimension, f"{path}:{number}")
        wanted.offer(word, numbers, f"{path}:{number}")
    if not some:
        raise DataError("holds no word vectors", where=str(path))
    rows = np.array(sorted(wanted.vectors), dtype=np.int64)
    matrix = np.zeros((len(rows), dimension), dtype=np.float32)
    for i, row in enumerate(rows.tolist()):
        matrix[i] = wanted.vectors[row]
    coverage = Coverage(
        len(names), len(rows), int(counts.sum()), int(counts[rows].sum()), len(wanted.by_case)
    )
    return matrix, rows + first, coverage


class _Wanted:
    """The words that are looked for, and the vectors that were found for them."""

    def __init__(self, words: Sequence[str]) -> None:
        self.vectors: dict[int, np.ndarray] = {}
        self.by_case: set[int] = set()  # found in another case only, so far
        self._exact = {word.encode("utf-8", "surrogatepass"): row for row, word in enumerate(words)}
        self._lower: dict[str, list[int]] = {}
        for row, word in enumerate(words):
            self._lower.setdefault(word.lower(), []).append(row)

    def offer(self, word: bytes, numbers: list[bytes], where: str) -> None:
        """Take the vector if anybody waits for it."""
        row = self._exact.get(word)
        if row is not None and (row not in self.vectors or row in self.by_case):
            self.by_case.discard(row)
            self.vectors[row] = _vector(numbers, where)
        waiting = self._lower.get(word.decode("utf-8", "surrogateescape").lower(), ())
        for other in waiting:
            if other not in self.vectors:
                self.vectors[other] = _vector(numbers, where)
                self.by_case.add(other)


def _vector(numbers: list[bytes], where: str) -> np.ndarray:
    try:
        vector = np.array([float(number) for number in numbers], dtype=np.float32)
    except ValueError:
        wrong = next(number for number in numbers if not _is_number(number))
        raise DataError(f"not a number: {_shown(wrong)}", where=where) from None
    if not np.isfinite(vector).all():
        raise DataError("a vector holds a number that is not finite", where=where)
    return vector


def _vector_lines(path: Path | str, dimension: int) -> Iterator[tuple[int, bytes]]:
    """The lines with vectors and their numbers, from 1; blank lines and a header are passed over."""
    lines = _lines(path)
    first = next(lines, None)
    if first is None:
        return
    second = next(lines, None)
    header = first[1].split()
    if second is not None and len(header) == 2 and all(field.isdigit() for field in header):
        width = int(header[1])
        if b"\0" in second[1] or _binary(second[1]):
            raise DataError("is word2vec's binary format, not text", where=str(path), hint="save it as text")
        if len(second[1].split()) > width:
            if width != dimension:
                raise _width(width, dimension, f"{path}:{first[0]}")
            first = None
    yield from chain(*([line] for line in (first, second) if line is not None), lines)


def _lines(path: Path | str) -> Iterator[tuple[int, bytes]]:
    with open_bytes(path) as file:
        try:
            for number, line in enumerate(file, 1):
                if number == 1:
                    line = line.removeprefix(b"\xef\xbb\xbf")
                if line.strip():
                    yield number, line
        except EOFError:
            raise DataError("the gzip file is cut off: its end is missing", where=str(path)) from None
        except (gzip.BadGzipFile, zlib.error) as bad:
            raise DataError(f"broken gzip: {str(bad).lower()}", where=str(path)) from None
        except OSError as bad:
            raise DataError(f"cannot read: {(bad.strerror or str(bad)).lower()}", where=str(path)) from None


def _binary(line: bytes) -> bool:
    return any(byte < 32 and byte not in b"\t\r\n\x0b\x0c" for byte in line)


def _cut(line: bytes, dimension: int, where: str) -> tuple[bytes, list[bytes]]:
    """The word and its numbers, still as text."""
    fields = line.rsplit(None, dimension)
    if len(fields) == dimension and line[:1].isspace() and _is_number(fields[0]):
        return b"", fields  # a word of blanks only: nobody asks for it
    if len(fields) <= dimension:
        raise _width(len(fields) - 1, dimension, where)
    word = fields[0].lstrip()
    if b" " in word or b"\t" in word:
        # Part of the word, or one number too many? Numbers of a vector have a point; those inside a word
        # hardly ever.
        more = 0
        for field in reversed(word.split()[1:]):
            if b"." not in field or not _is_number(field):
                break
            more += 1
        if more:
            raise _width(dimension + more, dimension, where)
    elif not _is_number(fields[1]):
        # A word with blanks in a vector that is too short reads like this, too.
        numbers = 0
        for field in reversed(fields[1:]):
            if not _is_number(field):
                break
            numbers += 1
        if numbers < dimension:
            raise _width(numbers, dimension, where)
    return word, fields[1:]


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _width(seen: int, expected: int, where: str) -> DataError:
    hint = f"set model.embedder.dimension to {seen} if all vectors are that wide" if seen > 0 else None
    return DataError(f"a vector of {seen} numbers, expected {expected}", where=where, hint=hint)


def _shown(field: bytes) -> str:
    text = field.decode("utf-8", "backslashreplace")
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
