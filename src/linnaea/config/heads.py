"""The part "model", and the settings of the heads (modules: ``nn/heads/``)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from linnaea.config import (  # noqa: F401  # they declare their encoders
    encoders_attention,
    encoders_convolutional,
    encoders_recurrent,
)
from linnaea.config.embedders import EmbedderConfig, LookupConfig, Rate
from linnaea.config.encoders import EncoderConfig, TextCNNConfig
from linnaea.config.part import Choice, Nested, Part
from linnaea.config.registry import OneOf, embedders, encoders, heads
from linnaea.errors import ConfigError


class HeadConfig(Choice):
    """Base of all heads' settings. ``needs_states``: it reads token states, not only the document vector."""

    needs_states: ClassVar[bool] = False


@heads.declare("linear")
class LinearHeadConfig(HeadConfig):
    """One weight row and bias a category; dropout on the document vector, never on logits."""

    dropout: Rate = Field(0.5, description="on the document vector")
    bias: Literal["zero", "prior"] = Field(
        "prior", description="initial bias: 0, or the log-odds of the category's share of train"
    )


class ModelConfig(Part):
    """The network: embedder, encoder, head."""

    embedder: Annotated[EmbedderConfig, OneOf(embedders, "lookup")] = Field(
        LookupConfig(), description="ids to vectors"
    )
    encoder: Annotated[EncoderConfig, OneOf(encoders, "textcnn")] = Field(
        TextCNNConfig(), description="vectors to one document vector"
    )
    head: Annotated[HeadConfig, OneOf(heads, "linear")] = Field(
        LinearHeadConfig(), description="document vector to logits"
    )

    @model_validator(mode="after")
    def _fits(self) -> ModelConfig:
        if self.head.needs_states and not self.encoder.gives_states:
            names = f"the head {self.head.type!r} needs token states, which the encoder {self.encoder.type!r}"
            message = f"{names} does not give"
            raise Nested(ConfigError(message, where="head"))
        return self

    @property
    def names(self) -> str:
        """The names of its parts, as people are told them."""
        parts = [self.encoder, self.head] if self.encoder.embeds else [self.embedder, self.encoder, self.head]
        return " + ".join(part.type for part in parts)
