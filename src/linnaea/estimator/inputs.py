"""What callers hand in: texts as documents, settings as a config, and errors that are also a ``ValueError``."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import issparse

from linnaea.config.config import Config
from linnaea.config.neuralclassifier import convert, is_old
from linnaea.config.reading import anchor, apply, read_config
from linnaea.config.task import DataConfig
from linnaea.corpus.document import Document
from linnaea.corpus.readers import documents_from
from linnaea.corpus.records import Fields, received
from linnaea.corpus.tables import plain
from linnaea.errors import ConfigError, DataError, MissingExtraError, UsageError


class InputError(DataError, ValueError):
    """X or y is not what the estimator can use."""


class SettingsError(ConfigError, ValueError):
    """A parameter of the estimator does not hold."""


@contextlib.contextmanager
def value_errors() -> Iterator[None]:
    """Errors of data and of settings as those of scikit-learn are: a ``ValueError``, too."""
    try:
        yield
    except (InputError, SettingsError, MissingExtraError):
        raise
    except UsageError as error:
        where = (error.where or "").replace("--set", "settings") or None
        raise SettingsError(error.message, where=where, hint=error.hint) from error
    except DataError as error:
        raise InputError(error.message, where=_place(error.where), hint=error.hint) from error


def _place(where: str | None) -> str | None:
    """``X[3]`` for what the rest of the house calls ``documents[3]``, ``y[3]`` for ``train[3]``."""
    for ours, theirs in (("documents", "X"), ("train", "y")):
        if where is not None and where.partition("[")[0] == ours:
            return theirs + where.removeprefix(ours)
    return where


def read_documents(X: Any, config: DataConfig) -> list[Document]:
    """Documents without ids and labels of their own.

    Args:
        X: texts, lists of tokens, dictionaries with the fields of a JSON line, or ``Document`` s, in a list, an array or
            a Series; or a DataFrame with such columns.

    Raises:
        DataError, UsageError: what was received instead, and where.
    """
    shape = getattr(X, "shape", None)
    fields = Fields.of(config.fields)
    if issparse(X):
        hint = "it reads the texts themselves: leave the vectorizer out"
        raise InputError("expected texts, received a sparse matrix", where="X", hint=hint)
    if hasattr(X, "columns") and hasattr(X, "iloc"):
        left_out = {fields.id, *fields.labels}
        X = X.iloc[:, 0] if X.shape[1] == 1 else X[[name for name in X.columns if name not in left_out]]
    elif shape is not None and len(shape) == 2 and shape[1] == 1:
        X = np.asarray(X)[:, 0]
    elif shape is not None and len(shape) != 1:
        hint = "it reads the texts themselves: leave a vectorizer out, and give one column of a table"
        raise InputError(
            f"expected one text a document, received an array of shape {shape}", where="X", hint=hint
        )
    if not hasattr(X, "columns"):
        X = [_item(item, fields) for item in listed(X, "X")]
    return [replace(document, id="", labels=None) for document in documents_from(X, config)]


def listed(value: Any, where: str) -> list[Any]:
    """The items of a list, a Series, an array or what can become one.

    Raises:
        InputError: it is none of these, or a single string.
    """
    if isinstance(value, str | bytes | Mapping):
        raise InputError(f"expected a list, received {received(value)}", where=where, hint="put it in a list")
    if not isinstance(value, Iterable) and hasattr(value, "__array__"):
        value = np.asarray(value)
    try:
        return list(value)
    except TypeError:
        raise InputError(f"expected a list, received {received(value)}", where=where) from None


def _item(item: Any, fields: Fields) -> Any:
    if isinstance(item, Mapping):
        left_out = {fields.id, *fields.labels}
        return {key: value for key, value in item.items() if key not in left_out}
    if isinstance(item, Document):
        return replace(item, id="", labels=None)
    return plain(item) if isinstance(item, np.ndarray) else item


_IDLE = {
    "evaluation.baseline": "a fit measures nothing",
    **dict.fromkeys(("data.train", "data.dev", "data.test"), "documents come from X"),
}


@dataclass(frozen=True)
class Written:
    """What a caller says of a config.

    Attributes:
        content: the config itself; ``folder``: of its plug-ins.
        over: values of dotted keys, which act over it.
    """

    content: dict[str, Any]
    folder: Path
    over: dict[Any, Any]

    def value(self, parts: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The config as a dictionary; ``parts`` stand in the place of those in the content.

        Raises:
            ConfigError: a key that leads nowhere; a value that is none of JSON's.
        """
        value = copy.deepcopy({**self.content, **(parts or {})})
        for key, item in self.over.items():
            apply(value, f"{key}={_json(key, item)}")
        return value


def written_config(
    config: Any, strategy: str | None, named: Mapping[str, Any], settings: Any, *, preset: bool
) -> Written:
    """A config, and what the estimator's parameters say over it.

    Args:
        config: None, a dictionary, a path or a ``Config``.
        strategy: its name; where neither it nor a config is given it is linear.
        named: values of dotted keys that have a parameter of their own; None: not given.
        settings: values of further dotted keys.
        preset: it chooses the strategy.

    Raises:
        ConfigError: a file that cannot be read; a key that is given twice, or does nothing here.
    """
    value, folder = _value(config)
    given = {key: item for key, item in named.items() if item is not None}
    taken = {*given, *(("training.strategy", "training.strategy.type") if strategy is not None else ())}
    if strategy is None and config is None and not preset:
        strategy = "linear"
    if strategy is not None and _type(value) != strategy:  # one that stands there with its settings stays
        given["training.strategy"] = strategy
    if settings is not None and not isinstance(settings, Mapping):
        hint = 'such as {"training.epochs": 5}'
        raise SettingsError(
            f"expected a dictionary, received {received(settings)}", where="settings", hint=hint
        )
    single = dict(_single_keys(settings or {}))
    for key in single:
        if key in taken:
            raise SettingsError("the estimator has a parameter for it, too", where=f"settings {key}")
        if key in _IDLE:
            raise SettingsError(
                f"does nothing here: {_IDLE[key]}", where=f"settings {key}", hint="leave it out"
            )
    return Written(value, folder, {**given, **single})


def _single_keys(settings: Mapping[Any, Any]) -> Iterator[tuple[Any, Any]]:
    """The settings, objects key by key all the way down: what parameters or a preset say of the part stays.

    An object with a type replaces the part.
    """
    for key, item in settings.items():
        if isinstance(key, str) and isinstance(item, Mapping) and item and "type" not in item:
            yield from _single_keys({f"{key}.{inner}": value for inner, value in item.items()})
        else:
            yield key, item


def _value(config: Any) -> tuple[dict[str, Any], Path]:
    here = Path.cwd()
    if config is None:
        return {}, here
    if isinstance(config, Config):
        return config.dump(), here
    if isinstance(config, Mapping):
        value = convert(dict(config)).config if is_old(dict(config)) else copy.deepcopy(dict(config))
        anchor(value, here)
        return value, here
    if isinstance(config, str | Path):
        value, folder = read_config(Path(config)), Path(config).resolve().parent
        return (copy.deepcopy(convert(value, folder).config) if is_old(value) else value), folder
    hint = "give a path, a dictionary or a Config"
    raise SettingsError(f"cannot be {received(config)}", where="config", hint=hint)


def _type(value: Mapping[str, Any]) -> Any:
    """The strategy that a config names, if any."""
    strategy = (
        value.get("training", {}).get("strategy") if isinstance(value.get("training", {}), dict) else None
    )
    return strategy.get("type") if isinstance(strategy, Mapping) else strategy


def _json(key: Any, value: Any) -> str:
    def other(item: Any) -> Any:
        if isinstance(item, np.generic | np.ndarray):
            return item.tolist()
        if isinstance(item, Path):
            return str(item)
        raise TypeError

    if not isinstance(key, str):
        raise SettingsError(f"a key is a dotted path, not {received(key)}", where="settings")
    try:
        return json.dumps(value, default=other, allow_nan=False)
    except (TypeError, ValueError):
        raise SettingsError(f"{received(value)} cannot stand in a config", where=f"settings {key}") from None


def texts_of(labels: Sequence[Any]) -> list[str]:
    """Labels or names as the strings that categories are called by.

    Raises:
        InputError: two of them are written alike, or one is empty.
    """
    texts = [str(label).strip() for label in labels]
    known: dict[str, Any] = {}
    for text, label in zip(texts, labels, strict=True):
        if not text:
            raise InputError(f"an empty label: {received(label)}", where="y")
        if text in known:
            raise InputError(f"two labels are written alike: {known[text]!r} and {label!r}", where="y")
        known[text] = label
    return texts
