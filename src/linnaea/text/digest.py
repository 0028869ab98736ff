"""What documents say, as one number: whether two runs were measured on the same texts, however these were cut.

Letters and digits alone count, in lower case, so that tokenizers agree; of many documents a sample looks the same whatever
their order.
"""

from __future__ import annotations

import hashlib
import heapq
import unicodedata
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from linnaea.config.task import PretrainedTokenizerConfig

if TYPE_CHECKING:
    from linnaea.text.store import Split

SAMPLE = 2000  # documents


def texts_digest(splits: Sequence[Split]) -> str | None:
    """SHA-256 (hex) of ids and texts; None where texts were cut into the pieces of a pretrained tokenizer, or not kept."""
    if any(isinstance(split.featurizer.config.tokenizer, PretrainedTokenizerConfig) for split in splits):
        return None
    named = ((id, split, row) for split in splits for row, id in enumerate(split.ids))
    told = []
    # By a hash of the id, so that the order of documents does not matter; ids may repeat.
    for id, split, row in heapq.nsmallest(SAMPLE, named, key=lambda item: (_number(item[0]), item[0])):
        text = _said(split, row)
        if text is None:
            return None
        told.append(hashlib.sha256(f"{id}\0{text}".encode("utf-8", "replace")).digest())
    return hashlib.sha256(b"".join(sorted(told))).hexdigest()


def _number(id: str) -> int:
    return zlib.crc32(id.encode("utf-8", "replace"))


def _said(split: Split, row: int) -> str | None:
    columns = split.columns
    at = row if split.rows_N is None else int(split.rows_N[row])
    for name in ("token", "character"):
        if name in columns.values:
            table = columns.tables[name]
            whole = "".join(table[number] for number in columns.values[name][at].tolist())
            # Accents apart: a tokenizer may compose them or not.
            return "".join(filter(str.isalnum, unicodedata.normalize("NFKD", whole))).casefold()
    return None
