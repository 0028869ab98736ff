"""The part "model", and the settings of the heads (modules: ``nn/heads/``)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from linnaea.config import (  # noqa: F401  # they declare their encoders
    encoders_attention,
    encoders_convolutional,
    encoders_recurrent,
)
from linnaea.config.embedders import EmbedderConfig, LookupConfig, Rate
from linnaea.config.encoders import EncoderConfig, Positive, TextCNNConfig
from linnaea.config.one_of import OneOf
from linnaea.config.part import Choice, Nested, Part
from linnaea.config.registry import embedders, encoders, heads
from linnaea.errors import ConfigError

Bias = Literal["zero", "prior"]
START: Any = Field("prior", description="initial bias: 0, or the log-odds of the category's share of train")


class HeadConfig(Choice):
    """Base of all heads' settings.

    Class facts: ``needs_states`` says that it reads token states, ``needs_vector`` that it reads the document vector (the
    encoder has no parameters for it otherwise), ``needs_hierarchy`` that it is built along the edges of the taxonomy,
    so that a flat task has no use for it.
    """

    needs_states: ClassVar[bool] = False
    needs_vector: ClassVar[bool] = True
    needs_hierarchy: ClassVar[bool] = False

    @property
    def idle(self) -> dict[str, str]:
        """The keys that do nothing beside the others, and why."""
        return {}

    @model_validator(mode="after")
    def _acts(self) -> Self:
        for key, problem in self.idle.items():
            if self.given(key):
                raise Nested(ConfigError(problem, where=key, hint="leave it out"))
        return self


@heads.declare("linear")
class LinearHeadConfig(HeadConfig):
    """One weight row and bias a category; dropout on the document vector, never on logits."""

    dropout: Rate = Field(0.5, description="on the document vector")
    bias: Bias = START


@heads.declare("hmcn")
class HMCNConfig(HeadConfig):
    """A layer a level with a local output, one output over all levels; scores of both are blended (Wehrmann 2018)."""

    needs_hierarchy: ClassVar[bool] = True

    form: Literal["feed_forward", "recurrent"] = Field(
        "feed_forward", description="a layer of its own for each level, or one cell that goes down the levels"
    )
    hidden: Positive = Field(384, description="size of a level's layer")
    local_hidden: Positive = Field(384, description="size of the layer before a level's own output")
    beta: float = Field(
        0.5, gt=0, lt=1, description="weight of the local scores; the global ones have the rest"
    )
    violation_penalty: float = Field(
        0.1, ge=0, description="on the square by which a category's score exceeds that of a parent"
    )
    dropout: Rate = Field(0.5, description="on the vectors of both layers")
    normalization: bool = Field(
        True, description="batch normalisation of both layers; of the form feed_forward"
    )
    bias: Bias = START

    @property
    def idle(self) -> dict[str, str]:
        """The keys that do nothing beside the others, and why."""
        problem = 'acts only with "form": "feed_forward"'
        return {} if self.form == "feed_forward" else {"normalization": problem}


@heads.declare("label_attention")
class LabelAttentionConfig(HeadConfig):
    """One attention a category over the token states (Mullenbach 2018, You 2019)."""

    needs_states: ClassVar[bool] = True
    needs_vector: ClassVar[bool] = False

    output: Literal["rows", "shared"] = Field(
        "rows",
        description="rows: a weight row a category; shared: one network for what any category attends to",
    )
    hidden: list[Positive] = Field(
        [256], min_length=1, description="sizes of the layers of the shared network"
    )
    dropout: Rate = Field(0.5, description="on the token states")
    bias: Bias = START

    @property
    def idle(self) -> dict[str, str]:
        """The keys that do nothing beside the others, and why."""
        return {} if self.output == "shared" else {"hidden": 'acts only with "output": "shared"'}


class HiAGMConfig(HeadConfig):
    """Base of both heads of HiAGM (Zhou 2020)."""

    needs_hierarchy: ClassVar[bool] = True

    structure: Literal["gcn", "tree_lstm"] = Field(
        "gcn", description="what walks the taxonomy: a gated graph convolution, or a tree-LSTM up and down"
    )
    layers: Positive = Field(1, description="convolutions, each sees one edge further; of the structure gcn")
    dimension: Positive = Field(64, description="size of a category's vector")
    output: Literal["rows", "full"] = Field(
        "rows",
        description="rows: each category reads its own vector; full: each reads those of all, as in the paper, at a cost "
        "that grows with the square of their number",
    )
    dropout: Rate = Field(0.5, description="on what is read of the text")
    bias: Bias = START

    @property
    def idle(self) -> dict[str, str]:
        """The keys that do nothing beside the others, and why."""
        return {} if self.structure == "gcn" else {"layers": 'acts only with "structure": "gcn"'}


@heads.declare("hiagm_tp")
class HiAGMTextPropagationConfig(HiAGMConfig):
    """The text in a vector a category, passed along the taxonomy (Zhou 2020)."""

    dropout: Rate = Field(0.5, description="on the document vector")
    structure_dropout: Rate = Field(0.05, description="on what passes along the taxonomy")


@heads.declare("hiagm_la")
class HiAGMLabelAttentionConfig(HiAGMConfig):
    """One attention a category over the token states, its query passed along the taxonomy (Zhou 2020)."""

    needs_states: ClassVar[bool] = True
    needs_vector: ClassVar[bool] = False

    dropout: Rate = Field(0.5, description="on the token states")


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
            able = [name for name in encoders if getattr(encoders.config(name), "gives_states", False)]
            hint = f"these encoders give them: {', '.join(able)}"
            raise Nested(ConfigError(message, where="head", hint=hint))
        for key, problem in self.idle_encoder.items():
            if self.encoder.given(key):
                raise Nested(ConfigError(problem, where=f"encoder.{key}", hint="leave it out"))
        return self

    @property
    def idle_encoder(self) -> dict[str, str]:
        """The keys of the encoder that do nothing under this head, and why."""
        if self.head.needs_vector:
            return {}
        problem = f"does nothing under the head {self.head.type!r}, which reads token states alone"
        return dict.fromkeys(self.encoder.vector_keys, problem)

    @property
    def names(self) -> str:
        """The names of its parts, as people are told them."""
        parts = [self.encoder, self.head] if self.encoder.embeds else [self.embedder, self.encoder, self.head]
        return " + ".join(part.type for part in parts)
