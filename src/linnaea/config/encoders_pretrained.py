"""Settings of the encoder ``pretrained``, and which architectures of transformers it takes."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from linnaea.config.embedders import EmbedderConfig
from linnaea.config.encoders import EncoderConfig, Positive
from linnaea.config.part import Nested
from linnaea.config.registry import encoders
from linnaea.errors import ConfigError

# "model_type" of config.json. Each is tried in the tests: with padding and neighbours, frozen and trained.
ARCHITECTURES = (
    "albert", "bert", "camembert", "data2vec-text", "deberta", "deberta-v2", "distilbert", "electra", "ernie",
    "megatron-bert", "mobilebert", "modernbert", "mpnet", "nomic_bert", "rembert", "roberta",
    "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl",
)  # fmt: skip


class OwnEmbedding(EmbedderConfig):
    """Stands for the embedder where the encoder embeds by itself; never written."""

    type_name: ClassVar[str] = "none"


@encoders.declare("pretrained")
class PretrainedConfig(EncoderConfig):
    """A pretrained transformer with its own tokenizer (Devlin 2019 and its kin); needs the extra ``transformers``."""

    gives_states: ClassVar[bool] = True
    embeds: ClassVar[bool] = True
    vector_keys: ClassVar[tuple[str, ...]] = ("pooling",)

    path: str = Field(
        min_length=1,
        description="a folder with config.json, tokenizer.json and weights, or a name on the Hugging Face hub, "
        "which is fetched before training; a trained model needs neither",
    )
    pooling: Literal["cls", "mean", "attention"] = Field(
        "mean",
        description="cls: the state of the first special token; mean: of all states, special tokens included; "
        "attention: a learned weighting of them",
    )
    train: Literal["all", "none", "top"] = Field(
        "all",
        description="what of the transformer learns: everything, nothing, or its top_layers; what does not is "
        "never in training mode",
    )
    top_layers: Positive | None = Field(None, description='with "train": "top": how many')
    learning_rate: float = Field(
        2e-5, gt=0, description="of the transformer; all else learns at training.optimizer.learning_rate"
    )
    layer_decay: float = Field(
        1.0, gt=0, le=1, description="each layer learns at so much of the rate of the layer above it"
    )
    gradient_checkpointing: bool = Field(
        False, description="compute the layers again in the backward pass: slower, with much less memory"
    )
    long_texts: Literal["cut", "chunks"] = Field(
        "cut",
        description="texts of more pieces than the transformer reads at once: cut; or read in windows, whose "
        "document vectors are averaged",
    )
    window: Positive | None = Field(
        None, description="with chunks: pieces in a window; null: as many as the transformer reads"
    )
    overlap: int = Field(32, ge=0, description="with chunks: pieces that a window shares with the next")

    @model_validator(mode="after")
    def _fits(self) -> PretrainedConfig:
        if self.train == "top" and self.top_layers is None:
            raise Nested(ConfigError('"train": "top" needs it', where="top_layers"))
        for key, problem in self.idle.items():
            if self.given(key):
                raise Nested(ConfigError(problem, where=key, hint="leave it out"))
        if self.window is not None and self.overlap >= self.window:
            problem = f"must be below the window of {self.window}, not {self.overlap}"
            raise Nested(ConfigError(problem, where="overlap"))
        return self

    @property
    def idle(self) -> dict[str, str]:
        """The keys that do nothing beside the others, and why."""
        found = {} if self.train == "top" else {"top_layers": 'acts only with "train": "top"'}
        if self.train == "none":
            keys = ("learning_rate", "layer_decay", "gradient_checkpointing")
            found |= dict.fromkeys(keys, 'does nothing with "train": "none"')
        if self.long_texts == "cut":
            found |= dict.fromkeys(("window", "overlap"), 'acts only with "long_texts": "chunks"')
        return found
