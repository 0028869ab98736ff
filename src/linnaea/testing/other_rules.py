"""The rules for tokenizers and metrics. Shape letters: N documents, C categories."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from linnaea.config.outcome import MetricConfig
from linnaea.config.registry import metrics, tokenizers
from linnaea.config.task import TokenizerConfig
from linnaea.decision.decider import Decider
from linnaea.decision.predictions import Decisions, Predictions
from linnaea.errors import LinnaeaError
from linnaea.metrics.further import numbers
from linnaea.ragged import Ragged
from linnaea.testing.cases import must
from linnaea.testing.worlds import sizes, taxonomy

TEXTS = (
    "",
    " \n\t ",
    "a",
    "The quick-brown fox's 3 dens, U.S. 1,024.5!",
    "Überfuß naïve e\u0301 Ελλάς Москва",
    "日本語のテキスト สวัสดี हिन्दी می\u200cخواهم 한국어",
    "👍🏽👩\u200d👩\u200d👧🇩🇪 €½\u00ad\x00\ufeff",
    "word " * 5000,
)


def tokens_are_strings(config: TokenizerConfig) -> None:
    """A list of strings for any text, none of them empty; nothing of nothing."""
    cut = tokenizers.build(config)
    for text in TEXTS:
        told = f"for the text {text[:30]!r}"
        tokens = cut(text)
        must(isinstance(tokens, list), f"{told} tokens must be a list, not {type(tokens).__name__}")
        for token in tokens:
            must(isinstance(token, str), f"{told} a token is {type(token).__name__}, not a string")
            must(token, f"{told} a token is empty")
        must(
            tokens or text.strip() == "" or len(text) < 2 or not text.isascii(), f"{told} there are no tokens"
        )
    must(cut("") == [], "an empty text must have no tokens")


def the_same_text_has_the_same_tokens(config: TokenizerConfig) -> None:
    """Always: a second time, after other texts, and by a second tokenizer of the same settings."""
    one, two = tokenizers.build(config), tokenizers.build(config)
    first = [one(text) for text in TEXTS]
    again = [one(text) for text in reversed(TEXTS)][::-1]
    must(first == again, "the same text has other tokens the second time: a tokenizer must not remember")
    must(
        first == [two(text) for text in TEXTS],
        "two tokenizers of the same settings cut the same text differently",
    )


TOKENIZER_RULES: dict[str, Callable[[TokenizerConfig], None]] = {
    rule.__name__: rule for rule in (tokens_are_strings, the_same_text_has_the_same_tokens)
}

World = tuple[Predictions, Decisions, Ragged]


def world(seed: int = 0, documents: int = 40, threshold: float = 0.5, *, sparse: bool = False) -> World:
    """Scores that have learned something, decisions at a threshold, and gold."""
    rng, places = np.random.default_rng(seed), taxonomy()
    gold_NC = places.close(Ragged.from_dense(rng.random((documents, len(places))) < 0.3)).dense(len(places))
    scores_NC = (1 / (1 + np.exp(-(rng.normal(-1, 1, gold_NC.shape) + 2 * gold_NC)))).astype(np.float32)
    return _decided(scores_NC, gold_NC, threshold, sparse)


def _decided(scores_NC: np.ndarray, gold_NC: np.ndarray, threshold: float, sparse: bool = False) -> World:
    places = taxonomy()
    ids = [str(i) for i in range(len(scores_NC))]
    predictions = Predictions(ids, places, csr_array(scores_NC) if sparse else scores_NC)
    decider = Decider(places, np.full(len(places), threshold))
    return predictions, decider.decide(predictions), Ragged.from_dense(gold_NC)


def _worlds() -> dict[str, World]:
    none_NC = np.zeros((5, len(taxonomy())), dtype=bool)
    scores_NC = np.full(none_NC.shape, 0.25, dtype=np.float32)
    return {
        "usual documents": world(),
        "one document": world(1, 1),
        "only the best scores kept": world(2, sparse=True),
        "nothing decided": world(3, threshold=np.inf),
        "no document with a label": _decided(scores_NC, none_NC, 0.2),
        "neither labels nor decisions": _decided(scores_NC, none_NC, 0.5),
        "scores that are all equal": _decided(scores_NC, ~none_NC, 0.2),
    }


def _measured(config: MetricConfig, given: World) -> dict[str, float]:
    built: Any = metrics.build(config, taxonomy=taxonomy(), support_C=sizes().support_C)
    return numbers(config.type, built, *given)


def numbers_are_finite(config: MetricConfig) -> None:
    """Finite numbers by name, also of one document, and where nothing is decided or nothing is gold."""
    for told, given in _worlds().items():
        try:
            _measured(config, given)
        except LinnaeaError as error:
            raise AssertionError(f"for {told}: {error}") from error


def the_order_of_documents_changes_nothing(config: MetricConfig) -> None:
    """The same documents in another order, or measured twice, have the same numbers."""
    predictions, _, gold = given = world()
    first = _measured(config, given)
    must(_measured(config, given) == first, "the same documents have other numbers the second time")
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(len(predictions))
        turned = _decided(np.asarray(predictions.scores)[order], gold.dense(len(taxonomy()))[order], 0.5)
        for name, value in _measured(config, turned).items():
            near = name in first and abs(value - first[name]) <= 1e-9 * max(1.0, abs(value))
            must(near, f"the order of documents must not count: {name!r} is {value}, was {first.get(name)}")


def what_is_given_stays_as_it_is(config: MetricConfig) -> None:
    """Scores, decisions and gold are read, never written."""
    given, kept = world(), world()
    _measured(config, given)
    for name, one, two in (
        ("scores", given[0].scores, kept[0].scores),
        ("decisions", given[1].chosen.values, kept[1].chosen.values),
        ("decisions' scores", given[1].scores, kept[1].scores),
        ("gold", given[2].values, kept[2].values),
    ):
        must(np.array_equal(one, two), f"the metric changed the {name} that it was given")


METRIC_RULES: dict[str, Callable[[MetricConfig], None]] = {
    rule.__name__: rule
    for rule in (numbers_are_finite, the_order_of_documents_changes_nothing, what_is_given_stays_as_it_is)
}
