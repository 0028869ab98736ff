"""Small networks and batches that the tests of nn share. Shapes are as in linnaea.nn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from linnaea.config.encoders import EncoderConfig
from linnaea.config.heads import ModelConfig
from linnaea.config.registry import embedders, encoders, heads, losses
from linnaea.nn.batch import Bag, Batch
from linnaea.nn.build import build_network
from linnaea.nn.network import Network, Sizes
from linnaea.taxonomy.taxonomy import Taxonomy

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
ROWS = {"token": 40, "character": 30, "ngram": 50, "char_ngram": 60, "keyword": 9, "topic": 5}
BAGS = ["token", "ngram", "keyword", "topic"]
RESERVED = {"token": 1, "character": 1}

# Settings under which a part is tried besides its defaults.
VARIANTS: dict[str, list[dict]] = {
    "textcnn": [
        {"padding": "narrow", "top_k": 3, "kernel_sizes": [2, 5], "filters": 7, "activation": "tanh"},
        {"kernel_sizes": [1, 3], "filters": 9, "activation": "gelu"},
    ],
    "lookup": [{"initializer": {"type": "normal", "std": 0.5}}],
    "linear": [{"dropout": 0.0, "bias": "zero"}],
}


def taxonomy() -> Taxonomy:
    """Seven categories, three levels, a DAG: G has two parents."""
    ids = ["A", "B", "C", "D", "E", "F", "G"]
    return Taxonomy.build(ids, ids, [[], [], ["A"], ["A"], ["B"], ["C"], ["D", "E"]])


def sizes() -> Sizes:
    support_C = np.array([9, 7, 5, 4, 6, 1, 0])
    return Sizes(features=dict(ROWS), taxonomy=taxonomy(), support_C=support_C, documents=16)


def cases() -> list[ModelConfig]:
    """Every registered encoder, embedder and head, each with its defaults and its variants."""
    found: dict[str, ModelConfig] = {}
    for part, registry in (("encoder", encoders), ("embedder", embedders), ("head", heads)):
        for name in registry:
            variants = [{}, *VARIANTS.get(name, [])]
            models = [_model(part, {"type": name, **settings}) for settings in variants]
            found |= {model.model_dump_json(): model for model in models}
    return list(found.values())


def _model(part: str, choice: dict) -> ModelConfig:
    parts: dict = {"embedder": {"type": "lookup", "dimension": 12}}
    if part == "embedder" and "dimension" in embedders.config(choice["type"]).model_fields:
        choice = {"dimension": 12, **choice}
    if part == "head" and heads.config(choice["type"]).needs_states:  # type: ignore[attr-defined]
        parts["encoder"] = next(name for name in encoders if _config(name).gives_states)
    return ModelConfig.read({**parts, part: choice})


def _config(name: str) -> type[EncoderConfig]:
    return encoders.config(name)  # type: ignore[return-value]


def case_name(config: ModelConfig) -> str:
    def one(part) -> str:
        given = ",".join(
            f"{key}={getattr(part, key)}" for key in sorted(part.model_fields_set - {"dimension"})
        )
        return f"{part.type}({given})"

    return "-".join(one(part) for part in (config.embedder, config.encoder, config.head))


def make_network(config: ModelConfig, seed: int = 0, **options) -> Network:
    torch.manual_seed(seed)
    features = BAGS if config.encoder.reads == "bags" else ["token"]
    return build_network(config, features, sizes(), **options)


Document = dict[str, list[int]]


def make_documents(rng: np.random.Generator, lengths: Sequence[int]) -> list[Document]:
    """Documents of so many tokens; the other features have up to five ids, none under a length of 0."""
    found = []
    for length in lengths:
        document = {}
        for feature, rows in ROWS.items():
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


def loss_names(scores: str) -> list[str]:
    return [name for name in losses if losses.config(name).scores == scores]  # type: ignore[attr-defined]
