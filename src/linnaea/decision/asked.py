"""Another decoding than the model's own, asked for at prediction."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

import numpy as np

from linnaea.config.decoding import DecodingConfig, PathConfig
from linnaea.config.one_of import OneOf
from linnaea.config.part import Part
from linnaea.config.registry import decoders
from linnaea.decision.decider import Decider, build_decoder
from linnaea.decision.followers import check_one_path
from linnaea.errors import ConfigError, UsageError

Asked = str | Mapping[str, Any] | DecodingConfig
"""A name, an object with a "type" (in a string: as JSON), or a decoder's settings."""


class _AskedConfig(Part):
    """Without a default: an object that names no decoding asks for none in particular."""

    decoding: Annotated[DecodingConfig, OneOf(decoders)]


def with_decoding(decider: Decider, asked: Asked | None, top_k: int | None = None) -> Decider:
    """``decider`` with the decoding that was asked for; its thresholds are brought into the order that this needs.

    Args:
        asked: None: the decider's own.
        top_k: the cap that was asked for beside it.

    Raises:
        UsageError: there is no such decoding, or it cannot act here.
    """
    try:
        decoding = decider.decoding if asked is None else _read(asked)
        decoding.check(decider.closure, top_k)
        if isinstance(decoding, PathConfig) or (asked is not None and decider.paths == "one"):
            _check_path(decider, decoding)
    except ConfigError as error:
        raise UsageError(error.message, where=error.where, hint=error.hint) from None
    if asked is None:
        return decider
    thresholds_C = build_decoder(decoding, decider.taxonomy).thresholds(decider.thresholds_C)
    asked_for = replace(decider, decoding=decoding, thresholds_C=thresholds_C, promise=None)
    return asked_for.following(decider.follows)


def _check_path(decider: Decider, decoding: DecodingConfig) -> None:
    """Refuse a single path beside which something would be decided."""
    never_C = np.isinf(decider.thresholds_C)
    never_C[list(decider.follows)] = False
    one = decider.paths == "one"
    hint = "leave it out: the model has its own" if one else 'use "max", "ancestors" or "top_down"'
    check_one_path(decider.taxonomy, decider.closure, decoding, never_C, decider.follows, "decoding", hint)


def _read(asked: Asked) -> DecodingConfig:
    value: object = asked
    if isinstance(asked, str) and asked.lstrip().startswith("{"):
        try:
            value = json.loads(asked)
        except ValueError as error:
            raise ConfigError(f"not JSON: {error}", where="decoding") from None
    elif isinstance(asked, Mapping):
        value = dict(asked)
    return _AskedConfig.read({"decoding": value}).decoding
