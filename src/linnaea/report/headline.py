"""Headline: the numbers that people quote, with their intervals, beside the linear baseline and the majority guess.

Whatever ``metrics.json`` lacks (an older run, a baseline that was switched off) is left out here, and the page says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from linnaea.report.majority import Majority

Metrics = Mapping[str, Any]

# Place in metrics.json, name, meaning.
ROWS = (
    ("micro.f1", "micro-F1", "over all decisions together: frequent categories weigh most"),
    (
        "macro.f1",
        "macro-F1",
        "mean of the categories' own F1, over all categories: rare ones weigh as much as frequent ones",
    ),
    ("hierarchical.f1", "hierarchical F1", "both sides closed under ancestors: a near miss counts in part"),
    (
        "macro.f1_of_averages",
        "macro-F1 of averages",
        "F1 of mean precision and mean recall: another number under the same name, not comparable with the mean of F1",
    ),
    ("macro.present_f1", "macro-F1, present", "mean of F1 over the categories that have documents here"),
    ("micro.precision", "micro-precision", "share of decisions that are right"),
    ("micro.recall", "micro-recall", "share of labels that are found"),
    ("samples.f1", "samples F1", "mean over documents of the F1 of each one's set"),
    ("subset_accuracy", "subset accuracy", "share of documents whose set is exactly right"),
    ("average_precision.micro", "average precision, micro", "area under precision over recall, all pairs"),
    ("average_precision.macro", "average precision, macro", "the same, mean over categories"),
)
DIFFERENCES = {
    "micro.f1": "micro_f1",
    "macro.f1": "macro_f1",
    "hierarchical.f1": "hierarchical_f1",
    "macro.present_f1": "present_f1",
    "samples.f1": "samples_f1",
    "average_precision.micro": "average_precision_micro",
    "average_precision.macro": "average_precision_macro",
}
CARDS = ("micro.f1", "macro.f1", "hierarchical.f1")


def looked_up(value: Any, place: str) -> Any:
    """What stands at the dotted ``place``; None where there is nothing."""
    for key in place.split("."):
        if not isinstance(value, Mapping) or key not in value:
            return None
        value = value[key]
    return value


def headline(
    metrics: Metrics, baseline: Metrics | None, guess: Majority | None, strategy: str, *, grown: bool = False
) -> dict[str, Any]:
    """Rows for the table, the first ones for the cards, and the verdict.

    Args:
        baseline: the metrics of the linear yardstick on the same documents; None: there is none.
        grown: the run is one of ``linnaea grow``.
    """
    beside = {**(metrics.get("baseline") or {}), **(baseline or {})}
    guessed = {}
    if guess is not None:
        guessed = {
            "micro.f1": guess.micro.f1,
            "micro.precision": guess.micro.precision,
            "micro.recall": guess.micro.recall,
            "macro.f1": guess.macro_f1,
            "hierarchical.f1": guess.hierarchical_f1,
        }
    rows = []
    for place, name, meaning in ROWS:
        value = looked_up(metrics, place)
        if value is None:
            continue
        row = {"key": place, "name": name, "meaning": meaning, "value": value}
        row["interval"] = looked_up(metrics.get("intervals"), place)
        row["baseline"] = looked_up(beside, place)
        row["baseline_interval"] = looked_up(beside.get("intervals"), place)
        difference = looked_up(metrics, f"baseline.difference.{DIFFERENCES.get(place, '')}")
        row["difference"] = difference if difference and difference.get("interval") else None
        row["majority"] = guessed.get(place)
        rows.append(row)
    return {
        "rows": rows,
        "cards": [place for place in CARDS if looked_up(metrics, place) is not None],
        "confidence": looked_up(metrics, "intervals.confidence"),
        "resamples": looked_up(metrics, "intervals.resamples"),
        "baseline": looked_up(beside, "micro.f1") is not None,
        "verdict": verdict(rows, strategy, looked_up(metrics, "baseline.missing"), grown=grown),
        "better_than_guess": None if guess is None else metrics["micro"]["f1"] > guess.micro.f1,
    }


def verdict(
    rows: list[dict[str, Any]], strategy: str, missing: str | None = None, *, grown: bool = False
) -> dict[str, str]:
    """Whether the run is better than the linear baseline, in plain words: ``kind`` and ``text``.

    Args:
        missing: what kept a baseline from being trained.
        grown: the run is one of ``linnaea grow``.
    """
    if strategy == "linear" and grown:
        text = (
            "These linear models were grown, not fitted afresh to all documents; no linear baseline stands beside them "
            "(train the strategy linear on the same documents, and compare)."
        )
        return {"kind": "none", "text": text}
    if strategy == "linear":
        return {"kind": "none", "text": "This run is the linear strategy itself, the one to beat."}
    told, kinds = [], []
    for row in rows:
        difference = row["difference"]
        if row["key"] not in ("micro.f1", "macro.f1") or difference is None:
            continue
        kind = judged(difference)
        kinds.append(kind)
        words = {"better": "better", "worse": "worse", "same": "cannot be told apart"}[kind]
        low, high = difference["interval"]
        found = f"{_signed(difference['value'])}, interval {_signed(low)} to {_signed(high)}"
        if difference.get("holm") is not None:
            found += f", p {difference['holm']:.2g} after Holm"
        told.append(f"{row['name']}: {words} ({found})")
    if not told and missing:
        return {"kind": "none", "text": f"No linear baseline stands beside this run: {missing}"}
    if not told:
        there = any(row["baseline"] is not None for row in rows)
        text = (
            "The difference to the linear baseline was not tested."
            if there
            else "No linear baseline stands beside this run (evaluation.baseline)."
        )
        return {"kind": "none", "text": text}
    kind = kinds[0] if len(set(kinds)) == 1 else "mixed"
    opening = {
        "better": "Better than the linear baseline.",
        "worse": "Worse than the linear baseline.",
        "same": "Cannot be told apart from the linear baseline.",
        "mixed": "Against the linear baseline it depends on the measure.",
    }[kind]
    return {"kind": kind, "text": f"{opening} {'; '.join(told)}."}


def judged(difference: Mapping[str, Any]) -> str:
    """``better`` or ``worse`` by the test, corrected for several measures; without one by the interval; else ``same``."""
    if "winner" in difference:
        return {"second": "better", "first": "worse"}.get(difference["winner"], "same")
    low, high = difference["interval"]
    return "better" if low > 0 else "worse" if high < 0 else "same"


def _signed(value: float) -> str:
    return f"{round(value, 3) + 0.0:+.3f}".replace("-", "−")  # there is no −0
