"""Plain-loop twins of what `linnaea.text` does with arrays: one document, one word, one byte at a time."""

from __future__ import annotations

from collections import Counter


def fnv1a(word):
    """`Dictionary::hash`: `h = h ^ uint32_t(int8_t(byte)); h = h * 16777619`."""
    h = 2166136261
    for byte in word.encode("utf-8", "surrogatepass"):
        signed = byte - 256 if byte > 127 else byte
        h = (h ^ (signed % 2**32)) % 2**32
        h = h * 16777619 % 2**32
    return h


def _int32(h):
    return h - 2**32 if h >= 2**31 else h


def word_ngrams(words, n, buckets):
    """`Dictionary::addWordNgrams` over `vector<int32_t>` hashes with a `uint64_t` chain."""
    hashes = [_int32(fnv1a(word)) for word in words]
    out = []
    for i in range(len(hashes)):
        h = hashes[i] % 2**64
        for j in range(i + 1, min(len(hashes), i + n)):
            h = (h * 116049371 + hashes[j]) % 2**64
            out.append(h % buckets)
    return out


def spelled(word, shortest, longest):
    """`Dictionary::computeSubwords` on characters."""
    text = "<" + word + ">"
    out = []
    for i in range(len(text)):
        for n in range(1, longest + 1):
            if i + n > len(text):
                break
            alone = n == 1 and (i == 0 or i + n == len(text))
            if n >= shortest and not alone:
                out.append(text[i : i + n])
    return out


def vocabulary(values, min_count, max_size, lowercase, reserved):
    """Value -> id, from the values as they stand in train."""
    counts = Counter(value.lower() if lowercase else value for value in values)
    ranked = sorted((w for w, c in counts.items() if c >= min_count), key=lambda w: (-counts[w], w))
    return {word: reserved + i for i, word in enumerate(ranked[:max_size])}


def dictionary_ngrams(documents, known, n, min_count):
    """The n-grams of 2..n known words that are frequent enough, and a function that lists a document's."""

    def grams(words):
        return [
            tuple(words[i : i + k])
            for i in range(len(words))
            for k in range(2, n + 1)
            if i + k <= len(words) and all(word in known for word in words[i : i + k])
        ]

    counts = Counter(gram for words in documents for gram in grams(words))
    chosen = {gram for gram, count in counts.items() if count >= min_count}
    return chosen, lambda words: [gram for gram in grams(words) if gram in chosen]
