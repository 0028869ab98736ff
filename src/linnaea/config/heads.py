"""The part "model": settings of embedders, initializers and heads (``nn/embedders/``, ``nn/heads/``)."""

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
    """Evenly between -bound and bound."""

    bound: float | None = Field(None, gt=0, description="null: 1 / sqrt(dimension)")


@initializers.declare("normal")
class NormalConfig(InitializerConfig):
    """Gaussian around 0."""

    std: float | None = Field(None, gt=0, description="standard deviation; null: 1 / sqrt(dimension)")


class FanConfig(InitializerConfig):
    """Base of the initializers whose variance goes by the table's shape."""

    distribution: Literal["uniform", "normal"] = Field("uniform", description="of the values")


@initializers.declare("xavier")
class XavierConfig(FanConfig):
    """Glorot: variance 2 / (rows + dimension)."""


@initializers.declare("kaiming")
class KaimingConfig(FanConfig):
    """He: variance 2 / fan."""

    fan: Literal["in", "out"] = Field("in", description="which side of the table sets the variance")


@initializers.declare("orthogonal")
class OrthogonalConfig(InitializerConfig):
    """Orthogonal rows or columns (Saxe 2014)."""

    gain: float = Field(1.0, gt=0, description="factor on the values")


class EmbedderConfig(Choice):
    """Base of all embedders' settings."""


@embedders.declare("lookup")
class LookupConfig(EmbedderConfig):
    """A table with one vector a token; the same table serves as bag (mean) under encoders that read bags."""

    dimension: int = Field(100, ge=1, description="of the vectors")
    initializer: Annotated[InitializerConfig, OneOf(initializers, "uniform")] = Field(
        UniformConfig(), description="first values of the vectors"
    )
    pretrained: str | None = Field(
        None,
        min_length=1,
        description="GloVe, word2vec or fastText text file (.gz too); unknown words: the initializer",
    )
    freeze_epochs: int = Field(
        0, ge=0, description="the token vectors stay as they are for the first n epochs"
    )
    dropout: Rate = Field(0.0, description="on the vectors")


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
