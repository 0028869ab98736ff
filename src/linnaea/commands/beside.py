"""The baseline beside a run: tf-idf and linear models on the same documents, decided by the same rules.

It is a run of its own in the folder ``baseline`` of the run. Its thresholds are found out of fold, so that it is fitted on
train and dev, as the yardstick of ``docs/results.md`` is; where the run itself could only be measured on dev, the baseline
learns from train alone.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from linnaea.commands.fitting import Beside, fit
from linnaea.config.config import Config
from linnaea.config.task import PretrainedTokenizerConfig
from linnaea.errors import DataError, InterruptedRun, LinnaeaError
from linnaea.files import write_json
from linnaea.metrics.outcome import Outcome
from linnaea.metrics.paired import compare_outcomes
from linnaea.reporter import Muted, Reporter
from linnaea.run_folder import RunFolder
from linnaea.text.store import Corpus

MINUTE = 6.7e7  # tokens of train times categories that take a minute, on one core of 2026
MOST = 10  # minutes, beyond which nobody waits for a baseline that was not asked for
_OF_DOCUMENTS = ("keyword", "topic")  # features that are read beside the words of a text


def baseline_of(
    config: Config, run: RunFolder, corpus: Callable[[Config], Corpus], reporter: Reporter
) -> Beside | None:
    """What ``fit`` is handed to measure the baseline of a run; None: the config wants none.

    It never fails the run, whose own measures are made: what keeps it from being trained stands under "missing".

    Args:
        corpus: reads the documents of the run as another config says.
    """
    if config.evaluation.baseline is None:
        return None

    def beside(outcome: Outcome) -> dict[str, Any]:
        try:
            return _compared(config, run.baseline, corpus, outcome, reporter)
        except InterruptedRun:
            raise
        except Exception as error:
            # Whatever it is, it is not the run's: a library's worker may have been killed.
            why = str(error) if isinstance(error, LinnaeaError) else _told(error)
            reporter.warn(f"no baseline stands beside this run: {why}")
            shutil.rmtree(run.baseline.path, ignore_errors=True)
            return {"strategy": "linear", "missing": why}

    return beside


def _compared(
    config: Config, place: RunFolder, read: Callable[[Config], Corpus], outcome: Outcome, reporter: Reporter
) -> dict[str, Any]:
    if "-" in (file for split in ("train", "dev", "test") for file in config.data.files(split)):
        raise DataError("standard input cannot be read a second time", hint="keep the documents in a file")
    own = linear_beside(config, place)
    corpus = read(own)
    minutes = _minutes(corpus)
    reporter.note(
        "the linear baseline beside it" + (f": about {minutes:.0f} minutes" if minutes >= 1.5 else "")
    )
    if outcome.split == "dev":
        corpus = replace(corpus, dev=None, test=corpus.dev)
    # One of before, whole or not, may be of other documents: it takes seconds to make it again.
    shutil.rmtree(place.path, ignore_errors=True)
    with RunFolder.open(place.path, resume=False, overwrite=False):
        write_json(place.config, own.dump())
        found = fit(own, corpus, place, reporter=Muted(reporter), split=outcome.split)
    if not found.metrics:
        raise DataError("nothing is left to measure it on", hint="give test documents")
    other = Outcome.load(place.outcome, outcome.predictions.taxonomy)
    measures = compare_outcomes(other, outcome).measures
    return {
        "strategy": "linear",
        **{key: found.metrics[key] for key in ("micro", "macro")},
        "difference": {name: difference.to_json() for name, difference in measures.items()},
    }


def _told(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "not enough memory"
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _minutes(corpus: Corpus) -> float:
    """How long it takes, roughly.

    Raises:
        DataError: too long.
    """
    tokens = int(corpus.train.lengths_N.sum())
    minutes = tokens * len(corpus.taxonomy) / MINUTE
    if minutes > MOST:
        problem = f"{tokens:,} tokens in {len(corpus.taxonomy):,} categories would take it some {minutes:,.0f} minutes"
        raise DataError(problem, hint="train the strategy linear by itself to have it")
    return minutes


def linear_beside(config: Config, place: RunFolder) -> Config:
    """The linear strategy on the documents of ``config``, with its task and its rules of decision."""
    read, dumped = config.input, config.dump()
    words = not isinstance(read.tokenizer, PretrainedTokenizerConfig) and "tokenizer" in dumped["input"]
    given: dict[str, Any] = {"tokenizer": dumped["input"]["tokenizer"]} if words else {}
    if words and "vocabulary" in dumped["input"]:
        # What a network's memory asks for does not bind the baseline.
        given["vocabulary"] = {"lowercase": dumped["input"]["vocabulary"]["lowercase"]}
    further = [feature for feature in read.features if feature in _OF_DOCUMENTS]
    if further:
        given |= {"features": ["token", "ngram", *further], "ngram": {"n": 2, "buckets": 0}}
    decision = dumped["decision"]
    if decision.get("threshold", {}).get("type") == "strategy":  # the networks found them, one a category
        decision["threshold"] = {"type": "per_category"}
    for key in config.decision.held_out:
        if decision.get(key):
            decision[key].pop("folds", None)
            decision[key]["on"] = "cross"
    on_error = config.data.on_error  # what is wrong with a document was told, and kept, when the run read it
    return Config.build(
        {
            "task": dumped["task"],
            "data": {**dumped["data"], "on_error": "skip" if on_error == "quarantine" else on_error},
            "input": given,
            "training": {"strategy": {"type": "linear"}},
            "decision": decision,
            "evaluation": {"ranks": config.evaluation.ranks, "keep": config.evaluation.keep},
            "run": {"dir": str(place.path), "seed": config.run.seed, "threads": config.run.threads},
            "plugins": config.plugins,
        }
    )
