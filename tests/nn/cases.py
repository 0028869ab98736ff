"""Settings under which parts are tried; networks and batches are those of linnaea.testing."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

import torch

from linnaea.config.encoders import EncoderConfig
from linnaea.config.heads import ModelConfig
from linnaea.config.registry import embedders, encoders, heads, losses
from linnaea.nn.network import Network, Sizes
from linnaea.testing import worlds
from linnaea.testing.worlds import (
    BAGS,
    RESERVED,
    ROWS,
    Document,
    make_bag,
    make_batch,
    make_documents,
    make_labels,
    spelled,
    taxonomy,
)

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
__all__ = [
    "BAGS", "DEVICES", "LEARNING_RATES", "MISSING", "RESERVED", "ROWS", "VARIANTS", "Document", "case_name", "cases",
    "loss_names", "make_bag", "make_batch", "make_documents", "make_labels", "make_network", "sizes", "spelled", "taxonomy",
]  # fmt: skip

# Settings under which a part is tried besides its defaults.
VARIANTS: dict[str, list[dict]] = {
    "textcnn": [
        {"padding": "narrow", "top_k": 3, "kernel_sizes": [2, 5], "filters": 7, "activation": "tanh"},
        {"kernel_sizes": [1, 3], "filters": 9, "activation": "gelu"},
    ],
    "lookup": [
        {"initializer": {"type": "normal", "std": 0.5}},
        {"position": {"type": "sinusoid"}},
        {"position": {"type": "learned", "max": 15}},
        {"spelling": {"dimension": 5, "filters": 8, "kernel_sizes": [2, 3], "activation": "tanh"}},
    ],
    "embedder.region": [
        {"kind": "context_word", "region_size": 3, "position": {"type": "sinusoid"}},
        {"original": True, "region_size": 7, "spelling": {"filters": 6}},
        {"kind": "context_word", "original": True, "region_size": 1},
    ],
    "encoder.region": [{"merge": "mean"}],
    "dpcnn": [
        {"filters": 7, "blocks": 1, "region_size": 5, "kernel_size": 1, "activation": "tanh"},
        {"filters": 9, "blocks": 4, "region_size": 1, "kernel_size": 5, "activation": "elu"},
    ],
    "vdcnn": [
        {"filters": 4, "hidden": 16, "top_k": 2, "downsampling": "convolution", "shortcuts": True},
        {"filters": 4, "hidden": 16, "downsampling": "kmax", "depth": 17},
    ],
    "linear": [{"dropout": 0.0, "bias": "zero"}],
    "hmcn": [
        {"hidden": 24, "local_hidden": 20, "beta": 0.3, "normalization": False, "dropout": 0.2},
        {"form": "recurrent", "hidden": 16, "local_hidden": 24, "violation_penalty": 0.0, "bias": "zero"},
    ],
    "label_attention": [{"output": "shared", "hidden": [24, 16], "dropout": 0.2}],
    "hiagm_tp": [
        {"structure": "tree_lstm", "dimension": 9, "dropout": 0.2},
        {"output": "full", "layers": 2, "dimension": 12, "structure_dropout": 0.0},
    ],
    "hiagm_la": [
        {"structure": "tree_lstm", "dimension": 11, "output": "full", "dropout": 0.2},
        {"layers": 2, "bias": "zero"},
    ],
    "textrnn": [
        {"cell": "lstm", "hidden": 12, "layers": 2, "dropout": 0.1, "pooling": "last"},
        {"cell": "rnn", "hidden": 16, "bidirectional": False, "pooling": "mean"},
        {"cell": "rnn", "nonlinearity": "relu", "hidden": 16, "attention": 5},
    ],
    "gru_attention": [{"hidden": 9, "attention": 5, "dropout": 0.0}],
    "rcnn_lai": [{"hidden": 9, "output": 12, "activation": "relu"}],
    "drnn": [
        {"cell": "lstm", "hidden": 9, "window": 3, "bidirectional": True, "output": 14},
        {"cell": "rnn", "hidden": 12, "window": 7, "dropout": 0.0},
        {"window": 2, "bidirectional": True, "hidden": 16, "dropout": 0.3},
    ],
    "textrcnn": [
        {"cell": "lstm", "hidden": 9, "filters": 7, "kernel_sizes": [2, 5], "padding": "narrow", "top_k": 2},
        {
            "cell": "rnn",
            "hidden": 12,
            "layers": 2,
            "dropout": 0.1,
            "bidirectional": False,
            "activation": "tanh",
        },
    ],
    "hr_dgcnn": [
        {"graph_size": 5, "neighbor_size": 3, "filters": [9, 8], "kernel_size": 3, "hidden": [16]},
        {"window": 5, "graph_size": 20, "neighbor_size": 1, "filters": [16], "hidden": [24, 20, 16]},
    ],
    "attentive_convnet": [
        {"kind": "light", "attention": "dot", "hidden": 9, "window": 5},
        {"kind": "light", "attention": "additive", "hidden": 16, "window": 1, "activation": "elu"},
        {"attention": "additive", "hidden": 10, "activation": "gelu"},
        {"attention": "dot", "hidden": 11, "activation": "relu"},
    ],
    "transformer": [
        {"layers": 2, "heads": 3, "key_dimension": 5, "inner": 20, "dropout": 0.0, "pooling": "max"},
        {"heads": 1, "key_dimension": 12, "inner": 7, "activation": "gelu"},
    ],
    "star_transformer": [
        {"layers": 3, "heads": 2, "key_dimension": 6, "dropout": 0.0},
        {"layers": 2, "heads": 3, "key_dimension": 5},
    ],
}

VARIANTS["pretrained"] = [
    {"pooling": "cls"},
    {"pooling": "attention", "long_texts": "chunks", "window": 3, "overlap": 1},
]
# Where Adam's usual rate in the tests is too much: dense layers of thousands of columns.
LEARNING_RATES = {"vdcnn": 0.002}
# What a part cannot do without. Only files are read by this path, never by a network.
REQUIRED: dict[str, dict] = {"pretrained": {"path": "tiny"}}
# The shape of a BERT of two layers, whose texts end after 20 pieces.
TINY_BERT = {
    "architecture": {
        "model_type": "bert", "vocab_size": ROWS["token"] + 2, "hidden_size": 16, "num_hidden_layers": 2,
        "num_attention_heads": 2, "intermediate_size": 24, "max_position_embeddings": 22, "hidden_dropout_prob": 0.0,
    },
    "before": [ROWS["token"]],
    "after": [ROWS["token"] + 1],
}  # fmt: skip
MISSING = {"pretrained"} if find_spec("transformers") is None else set()
"""Parts that cannot be tried here, for want of an optional package."""


def sizes() -> Sizes:
    return replace(worlds.sizes(), transformer=TINY_BERT)


def cases() -> list[ModelConfig]:
    """Every registered encoder, embedder and head, each with its defaults and its variants."""
    found: dict[str, ModelConfig] = {}
    for part, registry in (("encoder", encoders), ("embedder", embedders), ("head", heads)):
        for name in sorted({*registry} - MISSING):
            variants = [{}, *VARIANTS.get(f"{part}.{name}", VARIANTS.get(name, []))]
            models = [_model(part, {"type": name, **settings}) for settings in variants]
            found |= {model.model_dump_json(): model for model in models}
    return list(found.values())


def _model(part: str, choice: dict) -> ModelConfig:
    parts: dict = {"embedder": {"type": "lookup", "dimension": 12}}
    choice = {**REQUIRED.get(choice["type"], {}), **choice}
    if part == "embedder" and "dimension" in embedders.config(choice["type"]).model_fields:
        choice = {"dimension": 12, **choice}
    if part == "encoder" and (made_for := _config(choice["type"]).embedder):
        parts["embedder"]["type"] = made_for
    if part == "head" and heads.config(choice["type"]).needs_states:  # type: ignore[attr-defined]
        parts["encoder"] = next(
            name for name in encoders if _config(name).gives_states and name not in REQUIRED
        )
    return ModelConfig.read({**parts, part: choice})


def _config(name: str) -> type[EncoderConfig]:
    return encoders.config(name)  # type: ignore[return-value]


def case_name(config: ModelConfig) -> str:
    def one(part) -> str:
        given = ",".join(
            f"{key}={getattr(part, key)}" for key in sorted(part.model_fields_set - {"dimension", "path"})
        )
        return f"{part.type}({given})"

    return "-".join(one(part) for part in (config.embedder, config.encoder, config.head))


def make_network(config: ModelConfig, seed: int = 0, **options) -> Network:
    return worlds.make_network(config, seed, sizes(), **options)


def loss_names(scores: str) -> list[str]:
    return [name for name in losses if losses.config(name).scores == scores]  # type: ignore[attr-defined]
