"""The contract suite for parts of one's own: call these from your tests.

>>> from linnaea.testing import check_encoder, load_plugin
>>> load_plugin("top_mean.py")
>>> def test_top_mean():
...     check_encoder("top_mean")
...     check_encoder("top_mean", {"top": 1})

Each tries one part under one choice of settings on all rules that the built-in parts hold to, and raises
``AssertionError`` with a sentence that says which rule is broken and how. The rules are listed in :data:`RULES`;
``rules`` picks some of them. Neither pytest nor anything else besides Linnaea is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import torch

from linnaea.config.part import Choice
from linnaea.config.reading import load_plugin
from linnaea.config.registry import Registry, embedders, encoders, heads, losses, metrics, tokenizers
from linnaea.errors import ConfigError
from linnaea.testing import loss_rules, network_rules, other_rules
from linnaea.testing.cases import Case
from linnaea.testing.loss_rules import LossCase
from linnaea.testing.worlds import model_with

__all__ = [
    "LONG",
    "RULES",
    "check_embedder",
    "check_encoder",
    "check_head",
    "check_loss",
    "check_metric",
    "check_tokenizer",
    "load_plugin",
]

T = TypeVar("T")

Part = str | type | Choice
"""A registered name; the class that was registered; or its settings, ready made."""

Settings = Mapping[str, Any] | None

RULES: dict[str, tuple[str, ...]] = {
    "encoder": tuple(network_rules.RULES),
    "embedder": tuple(network_rules.RULES),
    "head": tuple(network_rules.RULES),
    "loss": tuple(loss_rules.RULES),
    "tokenizer": tuple(other_rules.TOKENIZER_RULES),
    "metric": tuple(other_rules.METRIC_RULES),
}
"""The names of the rules for each kind of part."""

LONG = ("compiled_gives_the_same_numbers",)
"""Rules that take seconds: they are tried where ``rules`` names them."""


def check_encoder(
    part: Part, settings: Settings = None, *, device: str = "cpu", rules: Iterable[str] | None = None
) -> None:
    """Try an encoder, on a table of vectors and below a linear head.

    Args:
        part: its name, its class or its settings.
        settings: keys of its config, as in JSON; None: the defaults.
        device: where it is tried.
        rules: names out of ``RULES["encoder"]``; None: all but those of ``LONG``.

    Raises:
        AssertionError: a rule is broken.
        ConfigError: there is no such part, or the settings do not hold.
    """
    _check_network("encoder", encoders, _config(encoders, part, settings), device, rules)


def check_embedder(
    part: Part, settings: Settings = None, *, device: str = "cpu", rules: Iterable[str] | None = None
) -> None:
    """Try an embedder below ``textcnn``, and below ``fasttext`` where it serves bags.

    Arguments as for :func:`check_encoder`.
    """
    config: Any = _config(embedders, part, settings)
    for reads, encoder in (("sequence", "textcnn"), ("bags", "fasttext")):
        if reads in config.serves:
            _check_network("embedder", embedders, config, device, rules, encoder)


def check_head(
    part: Part, settings: Settings = None, *, device: str = "cpu", rules: Iterable[str] | None = None
) -> None:
    """Try a head, above an encoder that gives what it reads; arguments as for :func:`check_encoder`."""
    _check_network("head", heads, _config(heads, part, settings), device, rules)


def check_loss(
    part: Part, settings: Settings = None, *, device: str = "cpu", rules: Iterable[str] | None = None
) -> None:
    """Try a loss; arguments as for :func:`check_encoder`."""
    config: Any = _config(losses, part, settings)
    _run(losses, config, loss_rules.RULES, LossCase(config, device), rules)


def check_tokenizer(part: Part, settings: Settings = None, *, rules: Iterable[str] | None = None) -> None:
    """Try a tokenizer; arguments as for :func:`check_encoder`."""
    config: Any = _config(tokenizers, part, settings)
    _run(tokenizers, config, other_rules.TOKENIZER_RULES, config, rules)


def check_metric(part: Part, settings: Settings = None, *, rules: Iterable[str] | None = None) -> None:
    """Try a metric; arguments as for :func:`check_encoder`."""
    config: Any = _config(metrics, part, settings)
    _run(metrics, config, other_rules.METRIC_RULES, config, rules)


def _check_network(
    key: str,
    registry: Registry,
    config: Choice,
    device: str,
    rules: Iterable[str] | None,
    encoder: str = "textcnn",
) -> None:
    choice = {"type": config.type, **config.model_dump(mode="json", exclude_unset=True)}
    model = model_with(key, choice, encoder)
    _run(registry, config, network_rules.RULES, Case(model, device), rules)


def _config(registry: Registry, part: Part, settings: Settings) -> Choice:
    """The settings of ``part``, checked as in a config."""
    if isinstance(part, Choice):
        if settings is not None:
            raise ValueError("give settings, or a config that holds them, not both")
        return part
    if isinstance(part, str):
        name = part
    else:
        own = getattr(part, "Config", part)
        name = own.type_name if isinstance(own, type) and issubclass(own, Choice) else ""
        if name not in registry.names() or registry.config(name) is not own:
            hint = f"@{registry.kind}s.register(NAME) above a class with a Config inside"
            raise ConfigError(f"{part.__name__} is no registered {registry.kind}", hint=hint)
    return registry.config(name).read(dict(settings or {}), where=name)


def _run(
    registry: Registry,
    config: Choice,
    known: Mapping[str, Callable[[T], None]],
    case: T,
    wanted: Iterable[str] | None,
) -> None:
    names = [name for name in known if name not in LONG] if wanted is None else list(wanted)
    for name in names:
        if name not in known:
            raise ValueError(f"there is no rule {name!r} of {registry.plural}: {', '.join(known)}")
    given = config.model_dump(mode="json", exclude_unset=True)
    about = f"the {registry.kind} {config.type!r}" + (f" with {given}" if given else "")
    for name in names:
        with torch.random.fork_rng():
            try:
                known[name](case)
            except AssertionError as error:
                raise AssertionError(f"{about} breaks {name!r}: {error}") from error
            except ConfigError:
                raise
            except Exception as error:
                problem = f"{about} fails in {name!r}: {type(error).__name__}: {error}"
                raise AssertionError(problem) from error
