"""Settings of the encoders, one class each (modules: ``nn/encoders/``), with facts that checks need."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, JsonValue

from linnaea.config.part import Choice, Span
from linnaea.config.registry import encoders

Positive = Annotated[int, Field(ge=1)]
ODD: dict[str, JsonValue] = {"not": {"multipleOf": 2}}
"""What a JSON Schema says of an odd number."""
KEPT = "values a filter"
Activation = Literal["relu", "tanh", "gelu", "elu", "leaky_relu", "identity"]


class EncoderConfig(Choice):
    """Base of all encoders' settings.

    Class facts: ``reads`` says what the encoder consumes ("sequence": embedded tokens in order; "bags": one
    mean vector a document), ``gives_states`` whether it offers token states to a head, ``orderless`` that it
    knows the order of tokens through their position embeddings only (or needs them to know it well), ``embeds``
    that it reads ids itself, so that no embedder stands before it, ``inheritable`` that it has parameters which a
    category's network can take over from its parent's; ``vector_keys`` are the keys that act on the document vector
    alone, and so do nothing under a head that reads token states and nothing else.
    """

    reads: ClassVar[Literal["sequence", "bags"]] = "sequence"
    gives_states: ClassVar[bool] = False
    orderless: ClassVar[bool] = False
    embeds: ClassVar[bool] = False
    embedder: ClassVar[str | None] = None
    inheritable: ClassVar[bool] = True
    vector_keys: ClassVar[tuple[str, ...]] = ()


@encoders.declare("textcnn")
class TextCNNConfig(EncoderConfig):
    """Convolutions over tokens, the largest responses over time (Kim 2014)."""

    kernel_sizes: list[Positive] = Field(
        [2, 3, 4], min_length=1, description="tokens that a filter sees at a time"
    )
    filters: Positive = Field(100, description="per kernel size")
    top_k: Positive = Field(1, description="the k largest responses a filter, in temporal order")
    padding: Literal["wide", "narrow"] = Field(
        "wide",
        description="wide: windows may hang over both ends of the text; "
        "narrow: only where it is shorter than the kernel",
    )
    activation: Activation = Field("relu", description="of the responses")

    @property
    def spans(self) -> dict[str, Span]:
        return {"kernel_sizes": Span(max(self.kernel_sizes)), "top_k": Span(self.top_k, KEPT)}


@encoders.declare("fasttext")
class FastTextConfig(EncoderConfig):
    """The mean of the vectors of all features: tokens, n-grams, keywords, topics (Joulin 2016)."""

    reads: ClassVar[Literal["sequence", "bags"]] = "bags"
    inheritable: ClassVar[bool] = False


@encoders.declare("region")
class RegionEncoderConfig(EncoderConfig):
    """The sum of the region vectors of a text; the embedder is region unless another is given (Qiao 2018)."""

    embedder: ClassVar[str | None] = "region"
    inheritable: ClassVar[bool] = False

    merge: Literal["sum", "mean"] = Field("sum", description="of the vectors of all tokens")
