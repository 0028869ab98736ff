"""What features, embedder and encoder ask of each other: combinations, and defaults that depend on another part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linnaea.config.embedders import (
    EmbedderConfig,
    LearnedPositionConfig,
    LookupConfig,
    RegionConfig,
    SinusoidConfig,
    TableConfig,
)
from linnaea.config.encoders import EncoderConfig
from linnaea.config.task import InputConfig
from linnaea.errors import ConfigError

if TYPE_CHECKING:
    from linnaea.config.config import Config

_SEQUENCES = ("token", "char", "spelling")
# Keys of an embedder that act on the table of tokens (or characters).
_OF_WORDS = ("dimension", "initializer", "pretrained", "freeze_epochs")


def with_vectors(config: Config) -> Config:
    """``config`` with the embedder and the positions that its encoder asks for.

    Raises:
        ConfigError: features, embedder and encoder do not go together, or a key does nothing.
    """
    config = _with_embedder(config)
    _check_features(config)
    _check_keys(config)
    return _with_position(config)


def _with_embedder(config: Config) -> Config:
    """The embedder that an encoder is made for, unless another is given."""
    model, encoder = config.model, config.model.encoder
    if encoder.embedder is None:
        return config
    if not model.given("embedder"):
        return config.model_copy(update={"model": model.model_copy(update={"embedder": RegionConfig()})})
    if isinstance(model.embedder, LookupConfig):
        raise ConfigError(
            f"the encoder {encoder.type!r} sums region vectors; over 'lookup' it would be a bag of words",
            where="model.embedder",
            hint=f'set "type": "{encoder.embedder}" there, or take the encoder "fasttext"',
        )
    return config


def _check_features(config: Config) -> None:
    encoder, features = config.model.encoder, config.input.features
    if encoder.reads == "bags":
        if config.model.embedder.serves == ("sequence",):
            problem = f"{config.model.embedder.type!r} makes sequences, and {encoder.type!r} reads bags"
            raise ConfigError(problem, where="model.embedder", hint='use "lookup"')
        for feature, what in (("char", "a sequence"), ("spelling", "composes the tokens of a sequence")):
            if feature in features:
                verb = "is " if feature == "char" else ""
                problem = f"the encoder {encoder.type!r} reads bags: {feature} {verb}{what}"
                raise ConfigError(problem, where="input.features", hint='use "char_ngram"')
        return
    idle = [f for f in features if f not in _SEQUENCES]
    if idle:
        problem = f"the encoder {encoder.type!r} reads a sequence: it cannot use {', '.join(idle)}"
        raise ConfigError(problem, where="input.features", hint='the encoder "fasttext" reads bags')
    if "char" in features and len(features) > 1:
        problem = "a sequence is made of tokens or of characters, not both"
        hint = '"spelling" composes tokens of their characters'
        raise ConfigError(problem, where="input.features", hint=hint)


def _check_keys(config: Config) -> None:
    """Refuse what an embedder cannot use, and keys of it that do nothing beside these features."""
    embedder, features = config.model.embedder, config.input.features
    if not isinstance(embedder, TableConfig):
        if "spelling" in features:
            problem = f"the embedder {embedder.type!r} composes no tokens of their characters"
            raise ConfigError(problem, where="input.features", hint='leave "spelling" out')
        return
    if features == ["spelling"] and not isinstance(embedder, LookupConfig):
        problem = f"the embedder {embedder.type!r} needs the tokens themselves"
        raise ConfigError(problem, where="input.features", hint='add "token"')
    for key in idle_keys(config):
        if embedder.given(key) and getattr(embedder, key) is not None:
            problem, hint = "does nothing here", f"leave {key} out"
            if key in ("spelling", "keyword_pretrained"):
                hint = f'add "{key.removesuffix("_pretrained")}" to input.features, or {hint}'
            elif key == "pretrained":
                hint = f'add "token" to input.features, or {hint}'
            raise ConfigError(problem, where=f"model.embedder.{key}", hint=hint)


def idle_keys(config: Config) -> list[str]:
    """The keys of the embedder that do nothing when the config's features are read."""
    embedder, features = config.model.embedder, config.input.features
    if not isinstance(embedder, TableConfig):
        return []
    idle = []
    if "spelling" not in features:
        idle.append("spelling")
    if features == ["spelling"]:
        idle += _OF_WORDS
    if "keyword" not in features:
        idle.append("keyword_pretrained")
    if config.model.encoder.reads == "bags" and "token" not in features:
        idle += ["pretrained", "freeze_epochs"]
    return [key for key in idle if key in type(embedder).model_fields]


def _with_position(config: Config) -> Config:
    """Encoders that do not know the order of tokens by themselves get positions unless told; a table fits the texts."""
    embedder, encoder = config.model.embedder, config.model.encoder
    if not isinstance(embedder, TableConfig):
        return config
    position = embedder.position
    if encoder.reads == "bags":
        if position is not None:
            problem = f"the encoder {encoder.type!r} reads bags, which have no positions"
            raise ConfigError(problem, where="model.embedder.position", hint="leave it out")
        return config
    if encoder.orderless and not embedder.given("position"):
        position = SinusoidConfig()
    if isinstance(position, SinusoidConfig):
        _check_even(embedder, encoder, config.input)
    elif isinstance(position, LearnedPositionConfig):
        position = _sized(position, config.input)
    if position is embedder.position:
        return config
    changed: EmbedderConfig = embedder.model_copy(update={"position": position})
    return config.model_copy(update={"model": config.model.model_copy(update={"embedder": changed})})


def _check_even(embedder: TableConfig, encoder: EncoderConfig, read: InputConfig) -> None:
    width = 0 if read.features == ["spelling"] else embedder.dimension
    composed = embedder.spelling.width if "spelling" in read.features else 0
    if (width + composed) % 2:
        why = "" if embedder.position is not None else f", the default under {encoder.type!r},"
        made = f" ({width} and {composed} of the spelling)" if composed else ""
        problem = f"the sinusoid{why} needs an even dimension, not {width + composed}{made}"
        hint = f"set dimension to {width + 1}, or another position" if width else "change spelling.filters"
        raise ConfigError(problem, where="model.embedder.position", hint=hint)


def _sized(position: LearnedPositionConfig, read: InputConfig) -> LearnedPositionConfig:
    """Learned positions for the longest text that can come."""
    key = "max_characters" if "char" in read.features else "max_tokens"
    limit, place = getattr(read, key), "model.embedder.position.max"
    if limit is None:
        problem = f"texts are never cut (input.{key} is null), and learned positions end somewhere"
        raise ConfigError(problem, where=place, hint=f"set input.{key}")
    if position.max is not None and position.max < limit:
        problem = f"{position.max} positions for texts of up to {limit} (input.{key})"
        raise ConfigError(problem, where=place, hint=f"set it to {limit}, or leave it out")
    return position if position.max is not None else position.model_copy(update={"max": limit})
