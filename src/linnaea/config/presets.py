"""Presets: configs that were earned on corpora, fitted to what a corpus looks like.

``fast`` is one linear model a category over words and word pairs; ``balanced`` adds one over characters inside words;
``best`` adds networks. All are decided by thresholds of their own for each category and made coherent by the decoding
``best``. docs/presets.md tells how each setting was found, docs/results.md what they reach.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from linnaea.config.outcome import Aim

Preset = Literal["fast", "balanced", "best"]
PRESETS: tuple[str, ...] = get_args(Preset)
AIMS: tuple[str, ...] = get_args(Aim)

MANY = 10_000  # documents of train, from which on networks learn at the lower rate
PAIRS = 2**28  # held-out scores that an ensemble holds at most; beyond: one linear strategy
CHARACTERS = 300_000_000  # of train, beyond which character n-grams are too many to count here
UNSPACED = 0.3  # share of letters of scripts without blanks, from which on words are single characters
ENOUGH = 3_000  # documents, from which on a network that reads word order brings something
SHORTEST, LONGEST = 64, 512  # bounds of the tokens that it reads of a text
SHRINKAGE = 2.0  # how strongly thresholds of rare categories are drawn to the global one


@dataclass(frozen=True)
class CorpusFacts:
    """What a preset looks at.

    Attributes:
        documents: labelled documents of train, and of dev where there is one.
        characters: of all their texts together.
        median_tokens, long_tokens: tokens of a document, and of the longest twentieth.
        unspaced: share of letters that belong to scripts written without blanks.
        categories, levels: of the taxonomy, or of the labels of train where there is none.
        single: every document has exactly one most specific category.
        inner: documents whose most specific category has others below it.
        positives: documents that have the category, where it is the only one.
    """

    documents: int
    characters: int
    median_tokens: int
    long_tokens: int
    unspaced: float
    categories: int
    levels: int
    single: bool
    inner: int
    positives: int | None = None


@dataclass(frozen=True)
class Chosen:
    """The parts of a config, and why they are as they are, a line each."""

    parts: dict[str, Any]
    reasons: tuple[str, ...]


def preset_config(facts: CorpusFacts, preset: Preset, aim: Aim, task: str | None = None) -> Chosen:
    """What the preset chooses for a corpus: the parts task, input, training and decision.

    Args:
        task: its type, where the corpus need not tell.
    """
    reasons: list[str] = []
    kind = _task(facts, reasons) if task is None else {"type": task}
    parts: dict[str, Any] = {"task": kind, "training": _training(facts, preset, reasons)}
    if parts["task"]["type"] == "multiclass":
        reasons.append("no thresholds, and so no aim: each document gets its best category")
    else:
        decision: dict[str, Any] = {
            "threshold": {
                "type": "per_category",
                "aim": aim,
                "on": "cross",
                "folds": 5,
                "shrinkage": SHRINKAGE,
            }
        }
        if parts["task"]["type"] == "hierarchical":
            decision["decoding"] = _decoding(facts, reasons)
        parts["decision"] = decision
    return Chosen(parts, tuple(reasons))


def _task(facts: CorpusFacts, reasons: list[str]) -> dict[str, Any]:
    if facts.categories == 1:
        how = (
            ""
            if facts.positives is None
            else f", and {facts.positives:,} of {facts.documents:,} documents have it"
        )
        reasons.append(f"binary: there is one category{how}")
        return {"type": "binary"}
    if facts.levels > 1:
        return {"type": "hierarchical"}
    kind = "multiclass" if facts.single else "multilabel"
    how = "exactly one label on every document" if facts.single else "any number of labels on a document"
    reasons.append(f"{kind}: {how}, and no level below another")
    return {"type": kind}


def _decoding(facts: CorpusFacts, reasons: list[str]) -> str | dict[str, str]:
    if not facts.single:
        reasons.append("decoding best: no child without its parent, at no cost in F1 on the corpora tried")
        return "best"
    end = "any" if facts.inner else "leaf"
    where = "at any level" if facts.inner else "at a leaf"
    reasons.append(f"decoding one_path: every document of train has a single path, which ends {where}")
    return {"type": "one_path", "to": end}


def _training(facts: CorpusFacts, preset: Preset, reasons: list[str]) -> dict[str, Any]:
    if preset == "fast":
        return {"strategy": {"type": "linear"}}
    if facts.documents * facts.categories > PAIRS:
        pairs = f"{facts.documents:,} documents in {facts.categories:,} categories"
        reasons.append(f"linear alone: {pairs} are more scores than an ensemble holds")
        return {"strategy": {"type": "linear"}}
    members = _linear_members(facts, reasons)
    if preset == "best":
        members += _networks(facts, reasons)
    if len(members) == 1:
        return {"strategy": {"type": "linear"}}
    return {"strategy": {"type": "ensemble", "members": members}}


def _linear_members(facts: CorpusFacts, reasons: list[str]) -> list[dict[str, Any]]:
    members: list[dict[str, Any]] = [{"training": {"strategy": {"type": "linear"}}}]
    if facts.unspaced >= UNSPACED:
        reasons.append(
            f"word pairs and triples: {facts.unspaced:.0%} of letters belong to scripts without blanks, "
            "whose tokens are single characters"
        )
        grams = {"features": ["token", "ngram"], "ngram": {"n": 3, "buckets": 0}}
        return [{**members[0], "input": grams}]
    if facts.characters > CHARACTERS:
        reasons.append(f"no character n-grams: {facts.characters:,} characters are too many to count them")
        return members
    characters = {"features": ["char_ngram"], "char_ngram": {"min": 3, "max": 5, "buckets": 0}}
    return [*members, {"input": characters, "training": {"strategy": {"type": "linear"}}}]


def _networks(facts: CorpusFacts, reasons: list[str]) -> list[dict[str, Any]]:
    large = facts.documents >= MANY
    words = {
        "model": {
            "embedder": {"type": "lookup", "dimension": 64},
            "encoder": {"type": "fasttext"},
            "head": {"type": "linear", "dropout": 0.0},
        },
        "training": {"epochs": 50, "optimizer": {"type": "adam", "learning_rate": 0.01 if large else 0.03}},
    }
    if facts.documents < ENOUGH:
        reasons.append(f"no textcnn: {facts.documents:,} documents are too few for it to bring anything")
        return [words]
    limit = min(LONGEST, max(SHORTEST, facts.long_tokens))
    order = {
        "input": {"max_tokens": limit},
        "model": {
            "embedder": {"type": "lookup", "dimension": 64},
            "encoder": {"type": "textcnn"},
            "head": {"type": "linear", "dropout": 0.3},
        },
        "training": {"epochs": 25, "optimizer": {"type": "adam", "learning_rate": 0.002 if large else 0.008}},
    }
    return [words, order]
