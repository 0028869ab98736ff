"""Small made worlds in which parts are tried: a taxonomy, documents as ids, batches, networks around one part.

Shape letters: B documents, T tokens, C categories.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from linnaea.config.heads import ModelConfig
from linnaea.config.registry import embedders, encoders, heads
from linnaea.nn.batch import Bag, Batch, Spelling
from linnaea.nn.build import build_network
from linnaea.nn.network import Network, Sizes
from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy

ROWS = {"token": 40, "character": 30, "spelling": 20, "ngram": 50, "char_ngram": 60, "keyword": 9, "topic": 5}
BAGS = ["token", "ngram", "keyword", "topic"]
RESERVED = {"token": 1, "character": 1}

Document = dict[str, list[int]]


def taxonomy() -> Taxonomy:
    """Seven categories, three levels, a DAG: G has two parents."""
    ids = ["A", "B", "C", "D", "E", "F", "G"]
    return Taxonomy.build(ids, ids, [[], [], ["A"], ["A"], ["B"], ["C"], ["D", "E"]])


def sizes() -> Sizes:
    support_C = np.array([9, 7, 5, 4, 6, 1, 0])
    return Sizes(features=dict(ROWS), taxonomy=taxonomy(), support_C=support_C, documents=16)


def model_with(part: str, choice: dict[str, Any], encoder: str = "textcnn") -> ModelConfig:
    """A small model around one part ("embedder", "encoder" or "head") with its settings."""
    parts: dict[str, Any] = {"embedder": {"type": "lookup", "dimension": 12}, "encoder": encoder}
    if part == "embedder" and "dimension" in embedders.config(choice["type"]).model_fields:
        choice = {"dimension": 12, **choice}
    chosen: Any = encoders.config(choice["type"]) if part == "encoder" else None
    if chosen is not None and chosen.embedder is not None:
        parts["embedder"]["type"] = chosen.embedder
    if part == "head":
        head: Any = heads.config(choice["type"])
        # Pooling without parameters, or none: they would not learn where the head reads states alone.
        pooling = {"pooling": "mean"} if head.needs_vector else {}
        parts["encoder"] = {"type": "textrnn", **pooling} if head.needs_states else encoder
    return ModelConfig.read({**parts, part: choice})


def make_network(config: ModelConfig, seed: int = 0, world: Sizes | None = None, **options: Any) -> Network:
    """A network of these settings with weights from ``seed``; options as ``build_network``."""
    torch.manual_seed(seed)
    features = BAGS if config.encoder.reads == "bags" else ["token"]
    if config.embedder.given("spelling"):
        features = [*features, "spelling"]
    return build_network(config, features, world or sizes(), **options)


def spelled(token: int) -> list[int]:
    """The characters of the token with this id: none up to seven."""
    return [2 + (token * 7 + place * 5) % 18 for place in range(token % 8)]


def make_spelling(ids_BT: torch.Tensor) -> Spelling:
    """That of a batch; padding is spelled with nothing."""
    distinct_U, place_BT = torch.unique(ids_BT, return_inverse=True)
    words = [spelled(token) for token in distinct_U.tolist()]
    letters_UW = torch.zeros(len(words), max(1, *map(len, words), 0), dtype=torch.int64)
    for row, word in enumerate(words):
        letters_UW[row, : len(word)] = torch.tensor(word, dtype=torch.int64)
    return Spelling(letters_UW, place_BT)


def make_documents(rng: np.random.Generator, lengths: Sequence[int]) -> list[Document]:
    """Documents of so many tokens; the other features have up to five ids, none under a length of 0."""
    found = []
    for length in lengths:
        document = {}
        for feature, rows in ROWS.items():
            if feature == "spelling":
                continue  # it follows from the tokens
            count = length if feature in RESERVED or length == 0 else int(rng.integers(0, 6))
            document[feature] = rng.integers(RESERVED.get(feature, 0), rows, count).tolist()
        found.append(document)
    return found


def make_bag(rows: Sequence[Sequence[int]]) -> Bag:
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    values = np.concatenate([np.asarray(row, dtype=np.int64) for row in rows])
    return Bag(torch.from_numpy(values), torch.from_numpy(offsets.astype(np.int64)))


def make_batch(
    documents: Sequence[Document], *, padding: int = 0, labels: Sequence[Sequence[int]] | None = None,
    sequence: str = "token", device: str = "cpu",
) -> Batch:  # fmt: skip
    """All that any network could read; ``padding`` empty positions more than the longest document needs."""
    longest = max(1, *(len(document[sequence]) for document in documents)) + padding
    ids_BT = torch.zeros(len(documents), longest, dtype=torch.int64)
    mask_BT = torch.zeros(len(documents), longest, dtype=torch.bool)
    for row, document in enumerate(documents):
        ids = torch.tensor(document[sequence], dtype=torch.int64)
        ids_BT[row, : len(ids)], mask_BT[row, : len(ids)] = ids, True
    return Batch(
        rows_B=torch.arange(len(documents)),
        ids_BT=ids_BT,
        mask_BT=mask_BT,
        spelling=make_spelling(ids_BT),
        bags={feature: make_bag([document[feature] for document in documents]) for feature in BAGS},
        labels=None if labels is None else make_bag(labels),
    ).to(device)


def make_labels(rng: np.random.Generator, documents: int, single: bool = False) -> list[list[int]]:
    """Columns of the taxonomy, ascending; under ``single`` exactly one a document."""
    columns = len(taxonomy())
    if single:
        return [[int(rng.integers(columns))] for _ in range(documents)]
    return [
        sorted(rng.choice(columns, int(rng.integers(0, 4)), replace=False).tolist()) for _ in range(documents)
    ]


def closed(labels: Sequence[Sequence[int]]) -> list[list[int]]:
    """``labels`` with all ancestors, ascending."""
    return [row.tolist() for row in taxonomy().close(Ragged.from_rows(labels))]
