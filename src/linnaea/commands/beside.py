"""The baseline beside a run: tf-idf and linear models on the same documents, decided by the same rules.

It is a run of its own in the folder ``baseline`` of the run. Its thresholds are found out of fold, so that it is fitted on
train and dev, as the yardstick of ``docs/results.md`` is; where the run itself could only be measured on dev, the baseline
learns from train alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from linnaea.commands.fitting import Beside, Result, fit
from linnaea.config.config import Config
from linnaea.config.task import PretrainedTokenizerConfig
from linnaea.files import RunFolder, read_json, write_json
from linnaea.metrics.outcome import Outcome
from linnaea.metrics.paired import compare_outcomes
from linnaea.reporter import Muted, Reporter
from linnaea.text.store import Corpus

SHOWN = ("micro_f1", "macro_f1", "hierarchical_f1")
_OF_DOCUMENTS = ("keyword", "topic")  # features that are read beside the words of a text


def baseline_of(
    config: Config, run: RunFolder, corpus: Callable[[Config], Corpus], reporter: Reporter
) -> Beside | None:
    """What ``fit`` is handed to measure the baseline of a run; None: the config wants none.

    Args:
        corpus: reads the documents of the run as another config says.
    """
    if config.evaluation.baseline is None:
        return None
    place = run.baseline

    def beside(outcome: Outcome) -> dict[str, Any]:
        reporter.note("the linear baseline beside it")
        found = _finished(place) or _measured(
            linear_beside(config, place), place, corpus, outcome.split, reporter
        )
        if not found.metrics:
            return {}
        other = Outcome.load(place.outcome, outcome.predictions.taxonomy)
        measures = compare_outcomes(other, outcome).measures
        return {
            "strategy": "linear",
            **{key: found.metrics[key] for key in ("micro", "macro")},
            "difference": {name: measures[name].to_json() for name in SHOWN},
        }

    return beside


def linear_beside(config: Config, place: RunFolder) -> Config:
    """The linear strategy on the documents of ``config``, with its task and its rules of decision."""
    read, dumped = config.input, config.dump()
    words = not isinstance(read.tokenizer, PretrainedTokenizerConfig) and "tokenizer" in dumped["input"]
    given: dict[str, Any] = {key: dumped["input"][key] for key in ("tokenizer", "vocabulary") if words}
    further = [feature for feature in read.features if feature in _OF_DOCUMENTS]
    if further:
        given |= {"features": ["token", "ngram", *further], "ngram": {"n": 2, "buckets": 0}}
        given |= {key: dumped["input"][key] for key in (f"{f}_vocabulary" for f in further)}
    decision = dumped["decision"]
    if decision.get("threshold", {}).get("type") == "strategy":  # the networks found them, one a category
        decision["threshold"] = {"type": "per_category"}
    for key in ("threshold", "calibration"):
        for idle in ("on", "folds"):
            (decision.get(key) or {}).pop(idle, None)
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


def _finished(place: RunFolder) -> Result | None:
    """What a run that was cut short had measured already."""
    if not (place.metrics.exists() and place.outcome.exists()):
        return None
    return Result(place, read_json(place.metrics))


def _measured(
    config: Config, place: RunFolder, read: Callable[[Config], Corpus], split: str, reporter: Reporter
) -> Result:
    corpus = read(config)
    if split == "dev":
        corpus = replace(corpus, dev=None, test=corpus.dev)
    with RunFolder.open(place.path, resume=False, overwrite=place.path.exists()):
        write_json(place.config, config.dump())
        return fit(config, corpus, place, reporter=Muted(reporter), split=split)
