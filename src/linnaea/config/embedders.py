"""Settings of the embedders, of the initializers of their tables and of positions (modules: ``nn/embedders/``)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from linnaea.config.encoders import ODD, Activation, Positive
from linnaea.config.one_of import OneOf
from linnaea.config.part import Choice, Nested, Part, Span
from linnaea.config.registry import embedders, initializers, positions
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


class PositionConfig(Choice):
    """Base of the position embeddings."""


@positions.declare("sinusoid")
class SinusoidConfig(PositionConfig):
    """Sine and cosine waves of falling frequency; nothing is learned (Vaswani 2017)."""


@positions.declare("learned")
class LearnedPositionConfig(PositionConfig):
    """One learned vector a position (Gehring 2017)."""

    max: int | None = Field(
        None,
        ge=1,
        description="positions that are known; null: as many as texts are cut to (input.max_tokens, or "
        "max_characters under the feature char)",
    )


class SpellingConfig(Part):
    """How the feature spelling composes a token of its characters: convolutions, the largest responses."""

    dimension: Positive = Field(16, description="of the vectors of characters")
    filters: Positive = Field(50, description="per kernel size")
    kernel_sizes: list[Positive] = Field(
        [3], min_length=1, description="characters that a filter sees at a time"
    )
    activation: Activation = Field("relu", description="of the responses")

    @property
    def width(self) -> int:
        """Of the composed vectors."""
        return self.filters * len(self.kernel_sizes)

    @property
    def spans(self) -> dict[str, Span]:
        """The sizes, by key, that the longest token must reach."""
        return {"kernel_sizes": Span(max(self.kernel_sizes), "characters at a time")}


class EmbedderConfig(Choice):
    """Base of all embedders' settings. ``serves``: what encoders above it may read."""

    serves: ClassVar[tuple[Literal["sequence", "bags"], ...]] = ("sequence", "bags")

    @property
    def vector_files(self) -> dict[str, str]:
        """The files of pretrained vectors that were named, by key."""
        paths = {key: getattr(self, key, None) for key in ("pretrained", "keyword_pretrained")}
        return {key: path for key, path in paths.items() if path is not None}

    @property
    def row_width(self) -> int | None:
        """Numbers that the tables hold for a token; None: not known."""
        return getattr(self, "dimension", None)


class TableConfig(EmbedderConfig):
    """What embedders with a table of token vectors have in common."""

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
    position: Annotated[PositionConfig, OneOf(positions)] | None = Field(
        None,
        description="added to the vectors of a sequence; null: none. Unless given it is sinusoid under "
        "encoders that do not know the order of tokens by themselves (transformer, star_transformer)",
    )
    spelling: SpellingConfig = Field(
        SpellingConfig(),
        description="of the feature spelling; the composed vector stands behind that of the token, if both are read",
    )
    dropout: Rate = Field(0.0, description="on the vectors")


@embedders.declare("lookup")
class LookupConfig(TableConfig):
    """A table with one vector a token; the same table serves as bag (mean) under encoders that read bags."""

    keyword_pretrained: str | None = Field(
        None, min_length=1, description="the same for the table of the feature keyword"
    )


@embedders.declare("region")
class RegionConfig(TableConfig):
    """A token's vector is the largest of what its neighbours say through a local unit (Qiao 2018)."""

    serves: ClassVar[tuple[Literal["sequence", "bags"], ...]] = ("sequence",)

    kind: Literal["word_context", "context_word"] = Field(
        "word_context",
        description="word_context: the unit of the word in the middle meets the vectors of its neighbours; "
        "context_word: the neighbours' units meet the vector of the word in the middle",
    )
    region_size: int = Field(
        5,
        ge=1,
        le=255,
        description="tokens of a region, an odd number; the middle one is what it is a region of",
        json_schema_extra=ODD,
    )
    original: bool = Field(
        False,
        description="beyond both ends of a text a zero takes part in the maximum, as in the paper's code",
    )

    @property
    def row_width(self) -> int:
        return self.dimension * (1 + self.region_size)

    @property
    def spans(self) -> dict[str, Span]:
        return {"region_size": Span(self.region_size)}

    @model_validator(mode="after")
    def _fits(self) -> RegionConfig:
        if self.region_size % 2 == 0:
            problem = f"a region reaches equally far to both sides: it is odd, not {self.region_size}"
            hint = f"set it to {self.region_size - 1} or {self.region_size + 1}"
            raise Nested(ConfigError(problem, where="region_size", hint=hint))
        return self
