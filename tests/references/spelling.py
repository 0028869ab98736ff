"""Spelling as plain loops: the characters of a token, and the vector that convolutions make of them."""

from __future__ import annotations

from collections import Counter

from tests.references.textcnn import textcnn


def composed(letters, table, weights, biases, activation="relu"):
    """The vector of one token.

    Args:
        letters: ids of its characters.
        table: ``[id][dimension]``.
    """
    return textcnn([table[letter] for letter in letters], weights, biases, activation=activation)


def character_ids(texts, asked, limit, spell, lowercase=True, min_count=1):
    """For each asked token its ids: counted over all tokens of ``texts``, each cut to ``limit`` characters."""
    counts = Counter()
    for text in texts:
        for token in text:
            counts.update(sign.lower() if lowercase else sign for sign in spell(token)[:limit])
    kept = sorted((-count, sign) for sign, count in counts.items() if count >= min_count)
    index = {sign: number for number, (_, sign) in enumerate(kept, start=2)}
    return [
        [index.get(sign.lower() if lowercase else sign, 1) for sign in spell(token)[:limit]]
        for token in asked
    ]
