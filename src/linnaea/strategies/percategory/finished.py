"""Finished: the categories of a run that are done, on disk, from which a stopped run goes on.

``categories/<column>.safetensors`` holds a network, ``<column>.json`` its facts; the facts are written last. An embedding
that a category keeps as its top ancestor left it is stored there alone.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from linnaea.errors import ConfigError, DataError, ModelError
from linnaea.files import atomic, read_json, write_json
from linnaea.strategies.percategory.category import Beginning, CategoryFit
from linnaea.strategies.percategory.plan import Plan
from linnaea.tensors import read_about, read_all, write_tensors

if TYPE_CHECKING:
    from linnaea.text.store import Corpus

IDENTITY = "identity.json"


class Finished:
    """What is done.

    Args:
        folder: of the run's categories; made when the first is put.
        plan: of the run.
        resume: keep what is there; else it goes away.
        identity: of the documents, which those that are done have learned from; None: nobody asks.

    Raises:
        ConfigError: what is there learned from other documents, or under another taxonomy.
    """

    def __init__(
        self, folder: Path, plan: Plan, *, resume: bool, identity: dict[str, Any] | None = None
    ) -> None:
        self.folder, self.plan, self.identity = folder, plan, identity
        self.facts: dict[int, dict[str, Any]] = {}
        if resume and identity is not None and (folder / IDENTITY).is_file():
            before = read_json(folder / IDENTITY)
            changed = [key for key in identity if before.get(key) != identity[key]]
            if changed:
                problem = f"the categories that are done are of another {' and '.join(changed)}"
                hint = "resume with the data it began with, or begin again with --overwrite"
                raise ConfigError(problem, where=str(folder), hint=hint)
        for path in sorted(folder.glob("*.json")) if folder.is_dir() else ():
            if path.name == IDENTITY:
                continue
            if not resume:
                path.unlink()
                path.with_suffix(".safetensors").unlink(missing_ok=True)
                continue
            facts = self._read(path)
            if facts is not None:
                self.facts[int(path.stem)] = facts

    def _read(self, path: Path) -> dict[str, Any] | None:
        """The facts of a category; None where it must be trained again."""
        if not path.stem.isdigit() or not path.with_suffix(".safetensors").is_file():
            return None
        column = int(path.stem)
        try:
            facts = read_json(path)
            read_about(path.with_suffix(".safetensors"))
        except (ValueError, DataError, ModelError):
            return None
        fits = isinstance(facts, dict) and column in self.plan.trained
        return facts if fits and facts.get("id") == self.plan.taxonomy.ids[column] else None

    def __contains__(self, column: object) -> bool:
        return column in self.facts

    def __len__(self) -> int:
        return len(self.facts)

    def put(self, fit: CategoryFit) -> None:
        """Keep a finished category; what is not whole on disk does not count.

        Raises:
            RunError: it cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.identity is not None and not self.facts:
            write_json(self.folder / IDENTITY, self.identity)
        path = self._weights(fit.column)
        building = path.with_name(f".{path.name}")
        write_tensors(building, fit.tensors)
        building.replace(path)
        write_json(path.with_suffix(".json"), fit.facts)
        self.facts[fit.column] = fit.facts

    def tensors(self, column: int) -> dict[str, np.ndarray]:
        """The network of a category, without an embedder that is another's.

        Raises:
            ModelError: the file is missing or broken.
        """
        return read_all(self._weights(column))

    def table(self, column: int) -> int:
        """The column whose embedder the network of ``column`` reads by."""
        return int(self.facts[column]["table"])

    def beginning(self, column: int) -> Beginning:
        """What ``column`` starts from; its parents must be done."""
        parent = self.plan.inherits_from(column, self.f1)
        if parent is None:
            return Beginning()
        tensors, table = self.tensors(parent), self.table(parent)
        if table != parent:
            tensors |= {name: t for name, t in self.tensors(table).items() if name.startswith("embedder.")}
        kept = {name: t for name, t in tensors.items() if not name.startswith("head.")}
        return Beginning(parent, kept, table)

    @property
    def f1(self) -> dict[int, float]:
        """Dev F1 by column."""
        return {column: float(facts["f1"]) for column, facts in self.facts.items()}

    def rows(self) -> Iterator[dict[str, Any]]:
        """The facts of all categories, in the order of columns, also of those without a network."""
        for column, id in enumerate(self.plan.taxonomy.ids):
            kind = self.plan.kinds[column]
            row: dict[str, Any] = {"id": id, "network": kind == "network"}
            if kind != "network":
                row |= {"instead": kind, "positives": int(self.plan.support_C[column])}
            facts = dict(self.facts.get(column, {}))
            if "table" in facts:
                facts["table"] = self.plan.taxonomy.ids[facts["table"]]
            yield row | facts

    def write_table(self, path: Path) -> None:
        """``categories.json`` of the run: what became of each category, and the class weights that were best."""
        value = {"taxonomy": self.plan.taxonomy.digest, "categories": list(self.rows())}
        with atomic(path, "w") as file:
            json.dump(value, file, ensure_ascii=False, indent=1)

    def _weights(self, column: int) -> Path:
        return self.folder / f"{column}.safetensors"


def identity(corpus: Corpus) -> dict[str, Any]:
    """What the categories of a run learn from, in a few numbers."""
    found: dict[str, Any] = {"taxonomy": corpus.taxonomy.digest, "input": corpus.featurizer.digest}
    for name, split in (("train", corpus.train), ("dev", corpus.dev)):
        if split is not None:
            parts = [
                split.lengths_N,
                *((split.labels.offsets_N1, split.labels.values) if split.labels else ()),
            ]
            value = 0
            for part in parts:
                value = zlib.crc32(np.ascontiguousarray(part).tobytes(), value)
            found[name] = [len(split), value]
    return found
