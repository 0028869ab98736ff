"""Thresholds that come with a promise, beside the other parts: what would break it, and what it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linnaea.config.decoding import MaxConfig
from linnaea.config.outcome import CautiousConfig, ConformalConfig, PromisedConfig
from linnaea.errors import ConfigError

if TYPE_CHECKING:
    from linnaea.config.config import Config

ADDING = ("none", "ancestors", "max")
"""Decoders that never take a category away."""


def promises(config: Config) -> bool:
    """Whether the thresholds come with a promise."""
    return isinstance(config.decision.threshold, PromisedConfig)


def with_promise(config: Config) -> Config:
    """``config`` with the decoding that a promise needs.

    Raises:
        ConfigError: another part would break the promise.
    """
    threshold = config.decision.threshold
    if isinstance(threshold, ConformalConfig):
        _check_recall(config)
    if isinstance(threshold, CautiousConfig) and not config.task.flat:
        return _with_back_off(config, threshold)
    return config


def _check_recall(config: Config) -> None:
    decoding = config.decision.decoding
    if decoding.type not in ADDING:
        problem = f"{decoding.type!r} takes categories away, which breaks the recall that is promised"
        raise ConfigError(problem, where="decision.decoding", hint='use "ancestors" or "max"')
    if config.task.paths == "one":
        problem = "one path a document takes categories away, which breaks the recall that is promised"
        raise ConfigError(problem, where="decision.threshold", hint='use "cautious" or "per_category"')


def _with_back_off(config: Config, threshold: CautiousConfig) -> Config:
    decision = config.decision
    if config.task.closure == "none":
        problem = 'a parent in place of its child counts as wrong under "closure": "none"'
        raise ConfigError(problem, where="decision.threshold", hint='use "closure": "ancestors"')
    if config.task.paths == "one" and threshold.of == "categories":
        problem = "one path a document takes right decisions away, which breaks the share that is promised"
        hint = 'use "of": "documents"'
        raise ConfigError(problem, where="decision.threshold.of", hint=hint)
    if not decision.given("decoding"):
        return config.model_copy(update={"decision": decision.model_copy(update={"decoding": MaxConfig()})})
    if decision.decoding.type != "max":
        problem = f"'cautious' thresholds act on scores that fall from parent to child, not on {decision.decoding.type!r}"
        raise ConfigError(problem, where="decision.decoding", hint='use "max", or leave it out')
    return config
