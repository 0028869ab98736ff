"""Settings of embedders, their initializers, and heads (modules: ``nn/embedders/``, ``nn/heads/``); the part "model"."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from linnaea.config.encoders import EncoderConfig, TextCNNConfig
from linnaea.config.part import Choice, Nested, Part
from linnaea.config.registry import OneOf, embedders, encoders, heads, initializers
from linnaea.errors import ConfigError

Rate = Annotated[float, Field(ge=0, lt=1)]


class InitializerConfig(Choice):
    """Base of the initializers of an embedding table."""


@initializers.declare("uniform")
class UniformConfig(InitializerConfig):
    bound: float | None = Field(None, gt=0, description="null: 1 / sqrt(dimension)")


@initializers.declare("normal")
class NormalConfig(InitializerConfig):
    std: float | None = Field(None, gt=0, description="null: 1 / sqrt(dimension)")


class FanConfig(InitializerConfig):
    distribution: Literal["uniform", "normal"] = "uniform"


@initializers.declare("xavier")
class XavierConfig(FanConfig):
    """Glorot: variance 2 / (rows + dimension)."""


@initializers.declare("kaiming")
class KaimingConfig(FanConfig):
    """He: variance 2 / fan."""

    fan: Literal["in", "out"] = "in"


@initializers.declare("orthogonal")
class OrthogonalConfig(InitializerConfig):
    gain: float = Field(1.0, gt=0)


class EmbedderConfig(Choice):
    """Base of all embedders' settings."""


@embedders.declare("lookup")
class LookupConfig(EmbedderConfig):
    """A table with one vector a token; the same table serves as bag (mean) under encoders that read bags."""

    dimension: int = Field(100, ge=1)
    initializer: Annotated[InitializerConfig, OneOf(initializers)] = UniformConfig()
    pretrained: str | None = Field(None, description="GloVe, word2vec or fastText text file (.gz too); unknown words: the initializer")
    freeze_epochs: int = Field(0, ge=0, description="the token vectors stay as they are for the first n epochs")
    dropout: Rate = 0.0


class HeadConfig(Choice):
    """Base of all heads' settings. ``needs_states``: the head reads token states, not only the document vector."""

    needs_states: ClassVar[bool] = False


@heads.declare("linear")
class LinearHeadConfig(HeadConfig):
    """One weight row and bias a category; dropout on the document vector, never on logits."""

    dropout: Rate = 0.5
    bias: Literal["zero", "prior"] = Field("prior", description="initial bias: 0, or the log-odds of the category's share of train")


class ModelConfig(Part):
    """The network: embedder, encoder, head."""

    embedder: Annotated[EmbedderConfig, OneOf(embedders)] = LookupConfig()
    encoder: Annotated[EncoderConfig, OneOf(encoders)] = TextCNNConfig()
    head: Annotated[HeadConfig, OneOf(heads)] = LinearHeadConfig()

    @model_validator(mode="after")
    def _fits(self) -> ModelConfig:
        if self.head.needs_states and not self.encoder.gives_states:
            message = f"the head {self.head.type!r} needs token states, which the encoder {self.encoder.type!r} does not give"
            raise Nested(ConfigError(message, where="head"))
        return self
