"""Writer: a corpus in the package's own format, counted while it is written.

``train.jsonl``, ``dev.jsonl``, ``test.jsonl``: an object a line with ``id``, ``doc_label`` (the most specific categories
only, each by all its paths from the top) and ``text`` or ``doc_token``. ``taxonomy.tsv``: parent TAB child TAB child...
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from linnaea.errors import DataError
from linnaea.reporter import Reporter, Silent
from linnaea.taxonomy.taxonomy import Taxonomy

SPLITS = ("train", "dev", "test")
TAXONOMY = "taxonomy.tsv"
_EVERY = 1000  # documents between two signs of life


class Writer:
    """Writes splits and taxonomy into a folder, which is there.

    Attributes:
        documents: written, by split.
        left_out: documents that were read but not written, by reason.
        notes: what else the user should know.
    """

    def __init__(self, folder: Path, reporter: Reporter | None = None) -> None:
        self.folder, self.reporter = folder, reporter or Silent()
        self.documents: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        self.notes: list[str] = []
        self.taxonomy: Taxonomy | None = None
        self._labels = 0
        self._known: dict[tuple[str, ...], tuple[str, int]] = {}
        self._files: dict[str, IO[bytes]] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def set_taxonomy(self, parents: Mapping[str, Sequence[str]]) -> None:
        """Say once, before the first document, which categories there are.

        Args:
            parents: of each category by name, none for a top one; in the order they shall stand in.

        Raises:
            TaxonomyError: a cycle, an unknown parent, a separator in a name.
        """
        names = list(parents)
        taxonomy = self.taxonomy = Taxonomy.build(names, names, [parents[name] for name in names])
        below: dict[str, list[str]] = {taxonomy.root: []}
        for name in names:
            for parent in dict.fromkeys(parents[name]) or [taxonomy.root]:
                below.setdefault(parent, []).append(name)
        order = [taxonomy.root, *(name for name in taxonomy.ids if name in below)]
        text = "".join("\t".join([name, *below[name]]) + "\n" for name in order)
        (self.folder / TAXONOMY).write_bytes(text.encode())

    def add(self, split: str, document: str, content: str | Sequence[str], categories: Iterable[str]) -> None:
        """Write a document: its text, or its tokens; of its categories the most specific ones.

        Raises:
            KeyError: a category that :meth:`set_taxonomy` was not told of.
        """
        key = tuple(categories)
        if key not in self._known:
            self._known[key] = self._resolve(key)
        labels, count = self._known[key]
        field = "text" if isinstance(content, str) else "doc_token"
        line = f'{{"id": {_json(document)}, "doc_label": {labels}, "{field}": {_json(content)}}}\n'
        if split not in self._files:
            self._files[split] = self._stack.enter_context((self.folder / f"{split}.jsonl").open("wb"))
        # Half a surrogate pair, which JSON can hold, is no text.
        self._files[split].write(line.encode("utf-8", "replace"))
        self.documents[split] += 1
        self._labels += count
        if self.documents.total() % _EVERY == 0:
            self.progress("documents", self.documents.total())

    def progress(self, what: str, done: int, total: int | None = None) -> None:
        self.reporter.progress(what, done, total)

    def finish(self) -> dict[str, Any]:
        """Close the files and sum up.

        Raises:
            DataError: train or test got no document.
        """
        self._stack.close()
        self.progress("documents", self.documents.total(), self.documents.total())
        for split in ("train", "test"):
            if not self.documents[split]:
                left = "; ".join(f"{count:,} left out: {reason}" for reason, count in self.left_out.items())
                raise DataError(f"no document came out for {split}", hint=left or None)
        assert self.taxonomy is not None
        return {
            "documents": {split: self.documents[split] for split in SPLITS if self.documents[split]},
            "categories": len(self.taxonomy),
            "levels": self.taxonomy.depth,
            "categories_per_document": round(self._labels / self.documents.total(), 2),
            "left_out": dict(self.left_out),
            "notes": self.notes,
        }

    def _resolve(self, categories: tuple[str, ...]) -> tuple[str, int]:
        """The labels as JSON, and how many categories they are together with their ancestors."""
        taxonomy = self.taxonomy
        assert taxonomy is not None
        columns = {taxonomy.index[name] for name in categories}
        above = {int(a) for column in columns for a in taxonomy.ancestors[column]} - columns
        implied = {int(a) for column in columns for a in taxonomy.ancestors[column] if int(a) != column}
        paths = [path for column in sorted(columns - implied) for path in taxonomy.paths(column)]
        return _json(paths), len(columns | above)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def draw(seed: int, key: str) -> float:
    """A number in [0, 1) that follows from seed and key alone: on every machine, in any order of documents."""
    return int.from_bytes(sha256(f"{seed}:{key}".encode("utf-8", "replace")).digest()[:6], "big") / (1 << 48)
