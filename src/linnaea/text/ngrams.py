"""N-grams of words and characters: hashed like fastText (``src/dictionary.cc``) or from a dictionary.

A hash is FNV-1a over the UTF-8 bytes, 32 bits, each byte sign-extended as in fastText's C++
(``uint32_t(int8_t(byte))``). A word n-gram chains the hashes of its words: ``h = h * 116049371 + hash``
modulo 2^64, every 32-bit hash sign-extended to 64. Both then fall into one of ``buckets``. Bucket numbers
start at 0: the n-gram table is one of its own. Other than in fastText, no end-of-line token takes part, and
n-grams never cross from one document into the next.

Everything is done for all documents (or all distinct words) at once. Texts may hold lone surrogates (broken
input from Python): they are hashed as three bytes, as if they were characters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from linnaea.ragged import Ragged
from linnaea.text.vocabulary import UNKNOWN

_BASIS, _PRIME, _CHAIN = 0x811C9DC5, 0x01000193, 116049371
_MASK = 0xFFFFFFFF
# Positions hashed column by column; the few longer words are finished one by one.
_COLUMNS = 48
# Below so many words a plain loop is faster than starting up NumPy.
_FEW = 64
_BLOCK = 1 << 16
_WAITING = 1 << 20

BEGIN, END = "<", ">"


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _fnv1a(data: bytes, hash: int = _BASIS) -> int:
    for byte in data:
        hash = ((hash ^ (byte | 0xFFFFFF00 if byte > 127 else byte)) * _PRIME) & _MASK
    return hash


def fnv1a(words: Sequence[str]) -> np.ndarray:
    """uint32 ``[words]``: fastText's hash of each word."""
    if len(words) <= _FEW:
        return np.array([_fnv1a(_encoded(word)) for word in words], dtype=np.uint32)
    parts = [_fnv1a_block([_encoded(w) for w in words[i : i + _BLOCK]]) for i in range(0, len(words), _BLOCK)]
    return np.concatenate(parts)


def _fnv1a_block(words: list[bytes]) -> np.ndarray:
    lengths = np.fromiter(map(len, words), dtype=np.int64, count=len(words))
    signed = np.frombuffer(b"".join(words), dtype=np.int8)
    order = np.argsort(-lengths, kind="stable")
    lengths_sorted, starts = lengths[order], (np.cumsum(lengths) - lengths)[order]
    hashes = np.full(len(words), _BASIS, dtype=np.uint32)
    alive = np.searchsorted(-lengths_sorted, -np.arange(1, _COLUMNS + 1), side="right")
    for position in range(min(_COLUMNS, int(lengths.max(initial=0)))):
        count = alive[position]
        byte = signed[starts[:count] + position].astype(np.uint32)  # astype extends the sign
        hashes[:count] = (hashes[:count] ^ byte) * np.uint32(_PRIME)
    for i in range(int(np.count_nonzero(lengths > _COLUMNS))):
        hashes[i] = _fnv1a(words[order[i]][_COLUMNS:], int(hashes[i]))
    out = np.empty_like(hashes)
    out[order] = hashes
    return out


def word_ngrams(hashes: Ragged, n: int, buckets: int) -> Ragged:
    """Buckets of the word n-grams of length 2..n of each row.

    Args:
        hashes: uint32 ``fnv1a`` of the words of each document.

    Returns:
        int32 in [0, buckets): by first word, then by length, as fastText lists them.
    """
    total = len(hashes.values)
    words = hashes.values.astype(np.uint32, copy=False).view(np.int32).astype(np.int64).view(np.uint64)
    left = _left(hashes)
    inside = left[:, None] > np.arange(1, n)
    out = np.zeros((total, n - 1), dtype=np.int32)
    chained = words.copy()
    for k in range(1, min(n, total)):
        # Past the end of a row the chain runs into the next one; ``inside`` drops what comes of it.
        chained = chained[: total - k] * np.uint64(_CHAIN) + words[k:]
        out[: total - k, k - 1] = chained % np.uint64(buckets)
    return Ragged.from_lengths(out[inside], _ngram_counts(hashes.lengths_N, n))


def _left(ragged: Ragged) -> np.ndarray:
    """``[total]``: how many values of its row a value begins, itself included."""
    return np.repeat(ragged.offsets_N1[1:], ragged.lengths_N) - np.arange(len(ragged.values))


def _ngram_counts(lengths_N: np.ndarray, n: int) -> np.ndarray:
    counts = np.zeros_like(lengths_N)
    for k in range(2, n + 1):
        counts += np.maximum(lengths_N - k + 1, 0)
    return counts


@dataclass(frozen=True, eq=False)
class NgramDictionary:
    """The word n-grams of train that are frequent enough, each with a number of its own.

    An n-gram of length k is its first k-1 words (a word id, or the number of that shorter n-gram) and its
    last word. A frequent n-gram begins with a frequent one, so the dictionary of length k-1 is all that
    length k needs. N-grams with an unknown word are left out.

    Attributes:
        keys: for k = 2..n, sorted int64: ``prefix * span + last word id``; numbers run on from length to
            length.
        span: above every word id.
    """

    keys: tuple[np.ndarray, ...]
    span: int

    @classmethod
    def fit(
        cls, blocks: Iterable[Ragged] | Sequence[Ragged], span: int, n: int, min_count: int
    ) -> NgramDictionary:
        """Count the n-grams of train.

        Args:
            blocks: word ids of the documents; iterated over n-1 times, so give a sequence or an object that
                starts anew.
            span: rows of the vocabulary.
        """
        found = cls((), span)
        for _ in range(2, n + 1):
            counted = _Counts()
            for block in blocks:
                keys = found._extended(block)[-1]
                counted.add(keys[keys >= 0])
            keys, counts = counted.result()
            found = cls((*found.keys, keys[counts >= min_count]), span)
        return found

    def __len__(self) -> int:
        return sum(map(len, self.keys))

    def lookup(self, ids: Ragged) -> Ragged:
        """Numbers of the known n-grams of each row of word ids: by first word, then by length."""
        numbers = np.full((len(ids.values), len(self.keys)), -1, dtype=np.int64)
        for k, keys in enumerate(self._extended(ids)[:-1]):
            numbers[:, k] = self._numbers(k, keys)
        known = numbers >= 0
        lengths = np.bincount(ids.rows, weights=known.sum(axis=1), minlength=len(ids)).astype(np.int64)
        return Ragged.from_lengths(numbers[known].astype(np.int32), lengths)

    def _numbers(self, k: int, keys: np.ndarray) -> np.ndarray:
        """Numbers of n-grams of length k+2 given by their keys; -1 where unknown."""
        table = self.keys[k]
        if not len(table):
            return np.full(len(keys), -1, dtype=np.int64)
        place = np.minimum(np.searchsorted(table, keys), len(table) - 1)
        first = sum(map(len, self.keys[:k]))
        return np.where(table[place] == keys, first + place, -1)

    def _extended(self, ids: Ragged) -> list[np.ndarray]:
        """For each known length and the one above: the key of the n-gram beginning at each word, -1: none."""
        words = ids.values.astype(np.int64)
        known, left, total = words > UNKNOWN, _left(ids), len(words)
        prefix, lists = np.where(known, words, -1), []
        for k in range(len(self.keys) + 1):
            keys = np.full(total, -1, dtype=np.int64)
            fits = (left > k + 1) & (prefix >= 0)
            at = np.flatnonzero(fits)
            at = at[known[at + k + 1]]
            keys[at] = prefix[at] * self.span + words[at + k + 1]
            lists.append(keys)
            if k < len(self.keys):
                prefix = np.where(keys >= 0, self._numbers(k, keys), -1)
        return lists


class _Counts:
    """How often each int64 was added; the memory of the distinct ones, twice at most."""

    def __init__(self) -> None:
        self.keys, self.counts = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        self._waiting: list[tuple[np.ndarray, np.ndarray]] = []
        self._size = 0

    def add(self, keys: np.ndarray) -> None:
        found, counts = np.unique(keys, return_counts=True)
        self._waiting.append((found, counts.astype(np.int64)))
        self._size += len(found)
        # Merging costs as much as it holds: rarely enough to stay linear, often enough to stay small.
        if self._size > len(self.keys) + _WAITING:
            self._merge()

    def _merge(self) -> None:
        pairs = [(self.keys, self.counts), *self._waiting]
        self.keys, inverse = np.unique(np.concatenate([k for k, _ in pairs]), return_inverse=True)
        weights = np.concatenate([c for _, c in pairs])
        self.counts = np.bincount(inverse, weights=weights, minlength=len(self.keys)).astype(np.int64)
        self._waiting, self._size = [], 0

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        self._merge()
        return self.keys, self.counts


def char_ngrams(words: Sequence[str], shortest: int, longest: int, buckets: int) -> Ragged:
    """Buckets of the character n-grams of each ``<word>``, as fastText's ``computeSubwords`` lists them.

    A boundary mark alone is no n-gram.

    Returns:
        int32 in [0, buckets), one row a word: by first character, then by length.
    """
    blocks = [words[i : i + _BLOCK] for i in range(0, len(words), _BLOCK)]
    return Ragged.concatenate([_char_ngrams_block(block, shortest, longest, buckets) for block in blocks])


def _char_ngrams_block(words: Sequence[str], shortest: int, longest: int, buckets: int) -> Ragged:
    text = "".join(BEGIN + word + END for word in words)
    lengths = np.fromiter(map(len, words), dtype=np.int64, count=len(words)) + 2
    data, ascii = _encoded(text), text.isascii()
    signed = np.frombuffer(data, dtype=np.int8).astype(np.uint32)
    if ascii:
        first = np.arange(len(text))
        widths = None
    else:
        first = np.flatnonzero((np.frombuffer(data, dtype=np.uint8) & 0xC0) != 0x80)
        widths = np.diff(first, append=len(data))
    places = Ragged.from_lengths(np.arange(len(text)), lengths)
    left, total = _left(places), len(text)
    hashes = np.full(total, _BASIS, dtype=np.uint32)
    out = np.zeros((total, longest - shortest + 1), dtype=np.int32)
    inside = left[:, None] >= np.arange(shortest, longest + 1)
    for k in range(min(longest, total)):
        live = hashes[: total - k]
        live = (live ^ signed[first[k:]]) * np.uint32(_PRIME)
        if widths is not None:
            for byte in range(1, 4):
                more = np.flatnonzero(widths[k:] > byte)
                live[more] = (live[more] ^ signed[first[more + k] + byte]) * np.uint32(_PRIME)
        hashes = live
        if k + 1 >= shortest:
            out[: total - k, k + 1 - shortest] = live % np.uint32(buckets)
    if shortest == 1:
        inside[places.offsets_N1[:-1], 0] = inside[places.offsets_N1[1:] - 1, 0] = False
    counts = np.bincount(places.rows, weights=inside.sum(axis=1), minlength=len(words)).astype(np.int64)
    return Ragged.from_lengths(out[inside], counts)


def spelled(word: str, shortest: int, longest: int) -> Iterator[str]:
    """The character n-grams of ``<word>`` themselves, in the order of ``char_ngrams``."""
    text = BEGIN + word + END
    for start in range(len(text)):
        for end in range(start + shortest, min(start + longest, len(text)) + 1):
            if end - start > 1 or 0 < start < len(text) - 1:
                yield text[start:end]


@dataclass(frozen=True, eq=False)
class CharNgramDictionary:
    """The character n-grams of train that are frequent enough: by falling count, ties by the n-gram."""

    grams: tuple[str, ...]
    shortest: int
    longest: int

    @classmethod
    def fit(
        cls, words: Iterable[str], counts: np.ndarray, shortest: int, longest: int, min_count: int
    ) -> CharNgramDictionary:
        """Count the n-grams of distinct words, each as often as the word stood in train."""
        found: Counter[str] = Counter()
        for word, count in zip(words, counts.tolist(), strict=True):
            if count:
                for gram in spelled(word, shortest, longest):
                    found[gram] += count
        best = sorted((-count, gram) for gram, count in found.items() if count >= min_count)
        return cls(tuple(gram for _, gram in best), shortest, longest)

    @cached_property
    def index(self) -> dict[str, int]:
        return {gram: i for i, gram in enumerate(self.grams)}

    def __len__(self) -> int:
        return len(self.grams)

    def lookup(self, words: Iterable[str]) -> Ragged:
        """Numbers of the known n-grams of each word, one row a word."""
        index = self.index
        rows = [
            [index[gram] for gram in spelled(word, self.shortest, self.longest) if gram in index]
            for word in words
        ]
        values = np.fromiter((number for row in rows for number in row), dtype=np.int32)
        return Ragged.from_lengths(values, np.fromiter(map(len, rows), dtype=np.int64, count=len(rows)))
