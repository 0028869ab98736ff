"""Outcome: what a run came to on a scored split; all that measuring, reports and comparisons of it need.

It lies in the run folder as one safetensors file: ids, scores, decisions, gold. Scores are those that the decider saw
(calibrated, decoded by ``max``), so that nothing of the model is needed to measure again. More than 2^26 scores are cut
to the best of each document when they are saved; decisions and gold are always whole.

Shape letters: N documents, C categories, M pairs of a document and a category.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import get_args

import numpy as np
import safetensors.numpy
from scipy.sparse import csr_array

from linnaea.config.decoding import Closure
from linnaea.config.outcome import EvaluationConfig
from linnaea.decision.decider import keep_best
from linnaea.decision.predictions import Decisions, Predictions
from linnaea.errors import ModelError
from linnaea.files import atomic
from linnaea.metrics.evaluate import Evaluation, evaluate
from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy
from linnaea.tensors import Tensors, read_about, read_all

FORMAT = "1"
MOST = 2**26  # scores that are saved as they are: 256 MB
LEAST = 20  # best scores of a document that are saved, however many documents there are


@dataclass(frozen=True, eq=False)
class Outcome:
    """Scores, decisions and gold of the same documents.

    Attributes:
        split: ``test``, ``dev`` or ``cross``.
        predictions: as the decider saw them.
        decisions: what it chose.
        gold: columns of each document, closed as the task says, without repeats.
        support_C: int64, documents of train in each category.
        closure: of gold.
        texts: digest of what the documents say (``text.digest``); None: not known.
    """

    split: str
    predictions: Predictions
    decisions: Decisions
    gold: Ragged
    support_C: np.ndarray
    closure: Closure
    texts: str | None = None

    def __post_init__(self) -> None:
        if not len(self.predictions) == len(self.decisions.chosen) == len(self.gold):
            raise ValueError(
                f"scores of {len(self.predictions)} documents, decisions for {len(self.decisions.chosen)}, "
                f"gold of {len(self.gold)}"
            )

    def __len__(self) -> int:
        return len(self.predictions)

    @property
    def taxonomy(self) -> Taxonomy:
        return self.predictions.taxonomy

    def take(self, rows_B: np.ndarray) -> Outcome:
        """Of the documents ``rows_B``, in that order."""
        chosen, rows_B = self.decisions.chosen, np.asarray(rows_B, dtype=np.int64)
        places = Ragged(np.arange(len(chosen.values)), chosen.offsets_N1).take(rows_B).values
        decisions = Decisions(chosen.take(rows_B), self.decisions.scores[places], self.decisions.thresholds_C)
        return replace(
            self, predictions=self.predictions.take(rows_B), decisions=decisions, gold=self.gold.take(rows_B)
        )

    def evaluate(self, config: EvaluationConfig | None = None) -> Evaluation:
        """All measures."""
        return evaluate(
            self.predictions, self.decisions, self.gold, config, closure=self.closure, support_C=self.support_C
        )  # fmt: skip

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of ids and gold, closed under ancestors, by category id: equal for the same documents.

        The order of documents and of columns does not matter.
        """
        taxonomy = self.taxonomy
        by_id = np.array(sorted(range(len(taxonomy)), key=taxonomy.ids.__getitem__), dtype=np.int64)
        rank_C = np.empty(len(by_id), dtype=np.int64)
        rank_C[by_id] = np.arange(len(by_id))
        closed = taxonomy.close(self.gold)
        used = np.unique(rank_C[closed.values])
        ranks = np.searchsorted(used, rank_C[closed.values])
        order = sorted(range(len(self)), key=self.predictions.ids.__getitem__)
        rows = Ragged.from_pairs(closed.rows, ranks, len(self)).take(np.array(order, dtype=np.int64))
        told = hashlib.sha256()
        for names in (
            [self.predictions.ids[row] for row in order],
            [taxonomy.ids[by_id[rank]] for rank in used],
        ):
            told.update(json.dumps(names).encode())
        for numbers in (rows.lengths_N, rows.values):
            told.update(numbers.astype("<i8").tobytes())
        return told.hexdigest()

    def save(self, path: Path) -> None:
        """Write it, whole or not at all.

        Raises:
            RunError: the folder cannot be written, or the disk is full.
        """
        chosen, gold = self.decisions.chosen, self.gold
        tensors = {
            **_packed(self.predictions.ids),
            **_saved_scores(self.predictions),
            "chosen": chosen.values.astype(np.int32),
            "chosen_offsets": chosen.offsets_N1.astype(np.int64),
            "chosen_scores": self.decisions.scores.astype(np.float32),
            "thresholds": self.decisions.thresholds_C.astype(np.float64),
            "gold": gold.values.astype(np.int32),
            "gold_offsets": gold.offsets_N1.astype(np.int64),
            "support": np.asarray(self.support_C, dtype=np.int64),
        }
        tensors = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
        about = {"split": self.split, "closure": self.closure, "taxonomy": self.taxonomy.digest}
        about |= {} if self.texts is None else {"texts": self.texts}
        about |= {"format": FORMAT, "documents": str(len(self)), "categories": str(len(self.taxonomy))}
        with atomic(path) as file:
            file.write(safetensors.numpy.save(tensors, {**about, "sha256": _sha256(about, tensors)}))

    @classmethod
    def load(cls, path: Path, taxonomy: Taxonomy) -> Outcome:
        """Read what :meth:`save` wrote.

        Raises:
            ModelError: missing, truncated, altered, of a newer format, or made under another taxonomy.
        """
        about, where = read_about(path), str(path)
        if about.get("format") != FORMAT:
            found = about.get("format")
            hint = None if found is None else "pip install --upgrade linnaea"
            raise ModelError(f"is no outcome of format {FORMAT}, but {found}", where=where, hint=hint)
        tensors = read_all(path)
        if about.pop("sha256", None) != _sha256(about, tensors):
            raise ModelError("was altered: its SHA-256 does not fit", where=where)
        if about.get("taxonomy") != taxonomy.digest:
            had, has = about.get("categories"), len(taxonomy)
            raise ModelError(f"was made under another taxonomy ({had} categories, not {has})", where=where)
        try:
            return cls._read(about, Tensors(path, tensors), taxonomy)
        except (ValueError, KeyError, IndexError) as error:
            raise ModelError(f"does not hold what it should: {error}", where=where) from None

    @classmethod
    def _read(cls, about: Mapping[str, str], tensors: Tensors, taxonomy: Taxonomy) -> Outcome:
        columns, documents = len(taxonomy), int(about["documents"])
        closures = {name: name for name in get_args(Closure)}
        ids = _unpacked(tensors, documents)
        if "scores" in tensors.names:
            scores = tensors.take("scores", np.float32, (documents, columns))
        else:
            kept = _ragged(tensors, "kept_columns", documents, columns)
            data = tensors.take("kept_scores", np.float32, (len(kept.values),))
            scores = csr_array((data, kept.values, kept.offsets_N1), shape=(documents, columns))
        chosen = _ragged(tensors, "chosen", documents, columns)
        decisions = Decisions(
            chosen,
            tensors.take("chosen_scores", np.float32, (len(chosen.values),)),
            tensors.take("thresholds", np.float64, (columns,), infinite=True),
        )
        gold = _ragged(tensors, "gold", documents, columns)
        support_C = tensors.take("support", np.int64, (columns,))
        tensors.end()
        predictions, texts = Predictions(ids, taxonomy, scores), about.get("texts")
        return cls(about["split"], predictions, decisions, gold, support_C, closures[about["closure"]], texts)


def _saved_scores(predictions: Predictions) -> dict[str, np.ndarray]:
    """The tensors that hold scores, cut to the best of each document where they are too many."""
    scores, documents = predictions.scores, len(predictions)
    if (scores.size if isinstance(scores, np.ndarray) else scores.nnz) > MOST:
        scores = best_scores(predictions, max(LEAST, MOST // (2 * documents)))
    if isinstance(scores, np.ndarray):
        return {"scores": scores.astype(np.float32, copy=False)}
    return {
        "kept_columns": scores.indices.astype(np.int32),
        "kept_columns_offsets": scores.indptr.astype(np.int64),
        "kept_scores": scores.data.astype(np.float32, copy=False),
    }


def best_scores(predictions: Predictions, keep: int) -> csr_array:
    """``[N, C]`` CSR: the ``keep`` best scores of each document; of equal ones the lower columns."""
    scores, parts = predictions.scores, []
    if not isinstance(scores, np.ndarray):
        rows = np.repeat(np.arange(len(predictions)), np.diff(scores.indptr))
        order = np.lexsort((scores.indices, -scores.data, rows))
        place = np.arange(len(rows)) - scores.indptr[rows].astype(np.int64)  # rows stay where they are
        kept = np.sort(order[place < keep])
        counts = np.bincount(rows[kept], minlength=len(predictions))
        whole = Ragged.from_lengths(scores.indices[kept], counts)
        return csr_array((scores.data[kept], whole.values, whole.offsets_N1), shape=scores.shape)
    keep = min(keep, len(predictions.taxonomy))
    for _, block_NC in predictions.blocks():
        kept_NC = keep_best(block_NC, keep)
        parts.append((block_NC[kept_NC], np.nonzero(kept_NC)[1].astype(np.int32)))
    data, columns = (np.concatenate([part[i] for part in parts]) for i in range(2))
    offsets = np.arange(len(predictions) + 1, dtype=np.int64) * keep
    return csr_array((data, columns, offsets), shape=scores.shape)


def _ragged(tensors: Tensors, name: str, documents: int, columns: int) -> Ragged:
    rows = Ragged(
        tensors.take(name, np.int32, (None,)), tensors.take(f"{name}_offsets", np.int64, (documents + 1,))
    )
    if (rows.lengths_N < 0).any() or ((rows.values < 0) | (rows.values >= columns)).any():
        raise ValueError(f"{name} names what is not there")
    return rows


def _packed(ids: object) -> dict[str, np.ndarray]:
    """Ids as one row of bytes; a lone surrogate, which JSON may bring, is kept."""
    encoded = [str(id).encode("utf-8", "surrogatepass") for id in ids]  # type: ignore[attr-defined]
    text = np.frombuffer(b"".join(encoded), dtype=np.uint8)
    return {"ids": text, "ids_ends": np.cumsum([len(one) for one in encoded], dtype=np.int64)}


def _unpacked(tensors: Tensors, documents: int) -> list[str]:
    encoded = tensors.take("ids", np.uint8, (None,)).tobytes()
    ends = tensors.take("ids_ends", np.int64, (documents,)).tolist()
    places = [slice(a, b) for a, b in pairwise([0, *ends])]
    if encoded.isascii():  # a letter is a byte: all at once
        text = encoded.decode()
        return [text[place] for place in places]
    return [encoded[place].decode("utf-8", "surrogatepass") for place in places]


def _sha256(about: Mapping[str, str], tensors: Mapping[str, np.ndarray]) -> str:
    told = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        told.update(f"{name} {tensor.dtype} {tensor.shape}".encode())
        told.update(tensor.reshape(-1).view(np.uint8).data)
    return told.hexdigest()
