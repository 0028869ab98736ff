"""Settings of the encoders that are built on attention (modules: ``nn/encoders/``)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from linnaea.config.embedders import Rate
from linnaea.config.encoders import ODD, Activation, EncoderConfig, Positive
from linnaea.config.part import Nested, Span
from linnaea.config.registry import encoders
from linnaea.errors import ConfigError


@encoders.declare("attentive_convnet")
class AttentiveConvNetConfig(EncoderConfig):
    """A convolution that sees, besides a token's neighbours, what the token attends to (Yin and Schütze 2018)."""

    gives_states: ClassVar[bool] = True

    kind: Literal["light", "advanced"] = Field(
        "advanced",
        description="what attends and is attended to: the token vectors (light), or gated convolutions of them",
    )
    attention: Literal["dot", "bilinear", "additive"] = Field(
        "bilinear", description="how two positions are matched"
    )
    hidden: Positive = Field(64, description="filters of the attentive convolution: the document vector")
    window: Positive = Field(
        3, description="tokens that a convolution sees around each token; odd", json_schema_extra=ODD
    )
    activation: Activation = Field(
        "tanh", description="of the convolutions; their gates are sigmoids whatever it is"
    )

    @model_validator(mode="after")
    def _centred(self) -> AttentiveConvNetConfig:
        if self.window % 2 == 0:
            hint = f"a window has a token in its middle: {self.window - 1} or {self.window + 1}"
            message = f"must be odd, received {self.window}"
            raise Nested(ConfigError(message, where="window", hint=hint))
        return self

    @property
    def spans(self) -> dict[str, Span]:
        return {"window": Span(self.window)}


@encoders.declare("transformer")
class TransformerConfig(EncoderConfig):
    """Layers in which every token attends to every other (Vaswani 2017)."""

    gives_states: ClassVar[bool] = True
    orderless: ClassVar[bool] = True
    vector_keys: ClassVar[tuple[str, ...]] = ("pooling",)

    layers: Positive = Field(1, description="of attention and a network at each position")
    heads: Positive = Field(4, description="attentions side by side in a layer")
    key_dimension: Positive = Field(32, description="of the queries, keys and values of a head")
    inner: Positive = Field(128, description="width of the network at each position")
    dropout: Rate = Field(0.1, description="on what attention and network add to a token")
    activation: Activation = Field("relu", description="of the network at each position")
    pooling: Literal["mean", "max"] = Field("mean", description="how tokens become the document vector")


@encoders.declare("star_transformer")
class StarTransformerConfig(EncoderConfig):
    """Tokens attend to their neighbours and to one relay, which attends to all tokens (Guo 2019)."""

    gives_states: ClassVar[bool] = True
    orderless: ClassVar[bool] = True

    layers: Positive = Field(1, description="cycles: the tokens are renewed, then the relay")
    heads: Positive = Field(4, description="attentions side by side")
    key_dimension: Positive = Field(32, description="of the queries, keys and values of a head")
    dropout: Rate = Field(0.1, description="on what each attention gives")
