"""build_network: settings and sizes to a Network.

Importing this module registers the built-in embedders, encoders and heads.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Literal

from linnaea.config.heads import ModelConfig
from linnaea.config.registry import embedders, encoders, heads
from linnaea.errors import ConfigError
from linnaea.nn.embedders import lookup
from linnaea.nn.embedders import region as region_embedder
from linnaea.nn.encoders import (
    attentive_convnet,
    dpcnn,
    drnn,
    fasttext,
    gru_attention,
    hr_dgcnn,
    pretrained,
    rcnn_lai,
    region,
    star_transformer,
    textcnn,
    textrcnn,
    textrnn,
    transformer,
    vdcnn,
)
from linnaea.nn.heads import hiagm_la, hiagm_tp, hmcn, label_attention, linear
from linnaea.nn.network import Embedder, Encoder, Head, Network, Sizes


def sequence_tables(features: Sequence[str]) -> list[str]:
    """What a sequence of ``input.features`` is made of, in the order in which vectors stand beside each other."""
    if "char" in features:
        return ["character"]
    return [name for name in ("token", "spelling") if name in features]


def _read(config: ModelConfig) -> dict[str, bool]:
    """What the head reads of the encoder, for encoders that ask: "vector", "states"."""
    read = {"vector": config.head.needs_vector, "states": config.head.needs_states}
    asked = inspect.signature(encoders.module(config.encoder.type)).parameters
    return {name: value for name, value in read.items() if name in asked}


def build_network(
    config: ModelConfig, features: Sequence[str], sizes: Sizes, sparse: bool = False,
    scores: Literal["sigmoid", "softmax"] = "sigmoid",
) -> Network:  # fmt: skip
    """A network with fresh weights from torch's global generator, on the CPU in float32.

    Args:
        config: embedder, encoder, head.
        features: ``input.features``. A sequence is of tokens, their spelling or both, or of characters under
            ["char"]; bags are of all.
        sizes: rows of the tables, the taxonomy, support.
        sparse: row-wise gradients of embedding tables.
        scores: how logits will become scores; the initial bias depends on it.

    Raises:
        ConfigError: ``sizes`` knows no such feature.
    """
    reads = config.encoder.reads
    tables = list(features) if reads == "bags" else sequence_tables(features)
    for name in tables:
        if name not in sizes.features:
            known = ", ".join(sizes.features) or "none"
            raise ConfigError(
                f"the input has no feature {name!r}", where="input.features", hint=f"known: {known}"
            )
    embedder: Embedder | None = None
    encoder: Encoder
    if config.encoder.embeds:
        encoder = encoders.build(config.encoder, sizes=sizes, **_read(config))
    else:
        embedder = embedders.build(config.embedder, features=tables, sizes=sizes, reads=reads, sparse=sparse)
        encoder = encoders.build(config.encoder, input_dim=embedder.output_dim, **_read(config))
    head: Head = heads.build(
        config.head, input_dim=encoder.output_dim, state_dim=encoder.state_dim, sizes=sizes, scores=scores
    )
    return Network(embedder, encoder, head)


__all__ = [
    "attentive_convnet",
    "build_network",
    "dpcnn",
    "drnn",
    "fasttext",
    "gru_attention",
    "hiagm_la",
    "hiagm_tp",
    "hmcn",
    "hr_dgcnn",
    "label_attention",
    "linear",
    "lookup",
    "pretrained",
    "rcnn_lai",
    "region",
    "region_embedder",
    "sequence_tables",
    "star_transformer",
    "textcnn",
    "textrcnn",
    "textrnn",
    "transformer",
    "vdcnn",
]
