"""Settings of the recurrent encoders (modules: ``nn/encoders/``)."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from linnaea.config.embedders import Rate
from linnaea.config.encoders import EncoderConfig, Positive, TextCNNConfig
from linnaea.config.part import Nested, Span
from linnaea.config.registry import encoders
from linnaea.errors import ConfigError


class RecurrentConfig(EncoderConfig):
    """Base of encoders with recurrent layers over tokens."""

    gives_states: ClassVar[bool] = True

    cell: Literal["rnn", "lstm", "gru"] = Field("gru", description="of the recurrent layers")
    hidden: Positive = Field(64, description="size of a state, per direction")
    layers: Positive = Field(1, description="recurrent layers, each over the states of the one before")
    bidirectional: bool = Field(True, description="read from both ends of the text")
    dropout: Rate = Field(0.0, description="on the states between layers; with two layers or more")
    nonlinearity: Literal["tanh", "relu"] = Field("tanh", description='of the cell "rnn"')

    @model_validator(mode="after")
    def _acts(self) -> Self:
        for key, problem in self.idle.items():
            if self.given(key):
                raise Nested(ConfigError(problem, where=key, hint="leave it out"))
        if self.layers == 1 and self.dropout:
            hint = 'set "layers" to 2 or more, or the dropout of embedder or head'
            raise Nested(ConfigError("acts between layers, and there is one", where="dropout", hint=hint))
        return self

    @property
    def idle(self) -> dict[str, str]:
        """The keys that do nothing beside the others, and why."""
        problem = f'acts only with "cell": "rnn", not with "{self.cell}"'
        return {} if self.cell == "rnn" else {"nonlinearity": problem}


@encoders.declare("textrnn")
class TextRNNConfig(RecurrentConfig):
    """Recurrent layers over tokens, their states pooled (Liu 2016)."""

    vector_keys: ClassVar[tuple[str, ...]] = ("pooling", "attention")

    pooling: Literal["mean", "attention", "last"] = Field(
        "attention",
        description="mean of the states; their mean weighted by learned attention; "
        "the state at each direction's end",
    )
    attention: Positive = Field(16, description="dimension in which attention compares states")

    @property
    def idle(self) -> dict[str, str]:
        """The keys that do nothing beside the others, and why."""
        problem = f'acts only with "pooling": "attention", not with "{self.pooling}"'
        return super().idle | ({} if self.pooling == "attention" else {"attention": problem})


@encoders.declare("textrcnn")
class TextRCNNConfig(TextCNNConfig, RecurrentConfig):
    """Recurrent layers over tokens, TextCNN over their states (what earlier toolkits call RCNN)."""

    vector_keys: ClassVar[tuple[str, ...]] = ("top_k", "padding")


@encoders.declare("rcnn_lai")
class RCNNLaiConfig(EncoderConfig):
    """Every token between recurrent contexts on its left and right, the largest values over time (Lai 2015)."""

    gives_states: ClassVar[bool] = True
    vector_keys: ClassVar[tuple[str, ...]] = ("output",)

    hidden: Positive = Field(64, description="size of each context")
    output: Positive = Field(100, description="size of the layer over token and contexts")
    activation: Literal["tanh", "relu"] = Field(
        "tanh", description="in the recurrences and of the layer over them"
    )


@encoders.declare("drnn")
class DRNNConfig(EncoderConfig):
    """A recurrent network over a window of tokens, for all windows at once (Wang 2018)."""

    gives_states: ClassVar[bool] = True
    vector_keys: ClassVar[tuple[str, ...]] = ("output",)

    cell: Literal["rnn", "lstm", "gru"] = Field("gru", description="of the recurrent network")
    hidden: Positive = Field(64, description="size of a state, per direction")
    window: int = Field(5, ge=2, description="tokens that a state has seen, its own among them")
    bidirectional: bool = Field(False, description="a second network over the window to the right")
    dropout: Rate = Field(0.1, description="on the state, after each step of the window")
    output: Positive | None = Field(None, description="size of the layer after the states; null: hidden")

    @property
    def spans(self) -> dict[str, Span]:
        return {"window": Span(self.window)}


@encoders.declare("gru_attention")
class GRUAttentionConfig(EncoderConfig):
    """Recurrent layers read as attention, maximum and mean side by side: the network of HTrans (Banerjee 2019)."""

    gives_states: ClassVar[bool] = True
    vector_keys: ClassVar[tuple[str, ...]] = ("attention",)

    hidden: Positive = Field(96, description="size of a state, per direction")
    dropout: Rate = Field(0.4, description="on the states")
    attention: Positive | None = Field(
        None, description="dimension in which attention compares states; null: twice hidden"
    )
