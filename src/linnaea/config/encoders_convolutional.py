"""Settings of the deep convolutional encoders (modules: ``nn/encoders/``)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from linnaea.config.encoders import KEPT, ODD, Activation, EncoderConfig, Positive
from linnaea.config.part import Nested, Span
from linnaea.config.registry import encoders
from linnaea.errors import ConfigError


def check_odd(key: str, size: int, what: str) -> None:
    """Refuse a window without a middle."""
    if size % 2 == 0:
        hint = f"a window has a {what} in its middle: {size - 1} or {size + 1}"
        raise Nested(ConfigError(f"must be odd, received {size}", where=key, hint=hint))


@encoders.declare("dpcnn")
class DPCNNConfig(EncoderConfig):
    """A pyramid of residual convolutions, the text halved at every block (Johnson and Zhang 2017)."""

    region_size: Positive = Field(
        3, description="tokens of the linear convolution that comes first; odd", json_schema_extra=ODD
    )
    filters: Positive = Field(100, description="the same in every convolution (the paper: 250)")
    kernel_size: Positive = Field(
        3, description="of the convolutions in the blocks; odd", json_schema_extra=ODD
    )
    blocks: Positive = Field(
        2, description="of two convolutions each (the paper: 7); between two of them time is halved"
    )
    activation: Activation = Field("relu", description="before each convolution but the very first")

    @model_validator(mode="after")
    def _centred(self) -> DPCNNConfig:
        for key in ("region_size", "kernel_size"):
            check_odd(key, getattr(self, key), "token")
        return self

    @property
    def spans(self) -> dict[str, Span]:
        return {"region_size": Span(self.region_size), "kernel_size": Span(self.kernel_size)}


@encoders.declare("vdcnn")
class VDCNNConfig(EncoderConfig):
    """A very deep stack of small convolutions with batch normalisation (Conneau 2016)."""

    depth: Literal[9, 17, 29, 49] = Field(
        9, description="number of convolutions; at least 8 tokens a text suit it"
    )
    filters: Positive = Field(
        64, description="of the first of four levels; each further level has twice as many"
    )
    shortcuts: bool = Field(
        False, description="add what goes into each pair of convolutions to what comes out"
    )
    downsampling: Literal["max", "convolution", "kmax"] = Field(
        "max",
        description="how time is halved between levels: the largest of three, a convolution of stride 2, or the "
        "larger half of each filter's values in temporal order",
    )
    top_k: Positive = Field(
        8, description="the k largest values a filter of the last level, in temporal order"
    )
    hidden: Positive = Field(
        2048, description="of each of two layers at the end, and so of the document vector"
    )

    @property
    def spans(self) -> dict[str, Span]:
        return {"top_k": Span(self.top_k, KEPT, per=8)}  # time is halved three times


@encoders.declare("hr_dgcnn")
class HRDGCNNConfig(EncoderConfig):
    """Convolutions over the neighbourhoods of a text's most central words in its graph of words (Peng 2018)."""

    window: int = Field(
        3, ge=2, description="words that stand so near are neighbours: 2 are those side by side"
    )
    graph_size: Positive = Field(64, description="words of the highest degree that are read of a text")
    neighbor_size: Positive = Field(
        5, description="words that are read around each of them, with the word itself"
    )
    filters: list[Positive] = Field(
        [64, 96, 96],
        min_length=1,
        description="of the convolution over neighbourhoods, and of those after it over the words in order of degree; "
        "the larger of two is taken after each",
    )
    kernel_size: Positive = Field(
        5, description="of the convolutions after the first; odd", json_schema_extra=ODD
    )
    hidden: list[Positive] = Field(
        [256, 96], min_length=1, description="of the dense layers at the end; the last is the document vector"
    )

    @model_validator(mode="after")
    def _acts(self) -> HRDGCNNConfig:
        for key, problem in self.idle.items():
            if self.given(key):
                raise Nested(ConfigError(problem, where=key, hint="leave it out"))
        check_odd("kernel_size", self.kernel_size, "word")
        return self

    @property
    def idle(self) -> dict[str, str]:
        """The keys that do nothing beside the others, and why."""
        only = len(self.filters) == 1
        return {"kernel_size": "acts from the second of filters on, and there is one"} if only else {}
