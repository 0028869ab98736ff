"""Kept: what a run folder says of its measuring, read again: ``metrics.json``, checked as a whole, and the outcome.

Pages, comparisons and resumed runs read them here alone, so that none of them meets what it does not expect. Parts that
older runs lack may be missing.
"""

from __future__ import annotations

from typing import Any

from linnaea.errors import ModelError
from linnaea.files import read_json
from linnaea.metrics.outcome import Outcome
from linnaea.run_folder import RunFolder
from linnaea.shapes import COUNT, FLAG, INTERVAL, NUMBER, TEXT, check
from linnaea.taxonomy.taxonomy import Taxonomy

_RATES = {"precision": NUMBER, "recall": NUMBER, "f1": NUMBER}
_SCORES = {
    "micro": _RATES,
    "macro": {**_RATES, "f1_of_averages": NUMBER, "present_f1": NUMBER},
}
_BOTH = {"micro_f1": NUMBER, "macro_f1": NUMBER}
_SURELY = {"micro_f1": INTERVAL, "macro_f1": INTERVAL}
_INTERVALS = {
    "confidence": NUMBER,
    "resamples?": COUNT,
    "micro": {"f1": INTERVAL, "*": INTERVAL},
    "macro": {"f1": INTERVAL, "f1_of_averages": INTERVAL, "*": INTERVAL},
    "samples": {"f1": INTERVAL},
    "hierarchical": {"f1": INTERVAL, "*": INTERVAL},
    "subset_accuracy?": INTERVAL,
    "average_precision?": {"*": INTERVAL},
    "levels?": [_SURELY],
    "groups?": [{"group": TEXT, **_SURELY}],
    "calibration?": {
        "levels?": [{"ece?": INTERVAL, "brier?": INTERVAL}], "ece?": INTERVAL, "classwise_ece?": INTERVAL, "brier?": INTERVAL
    },
    "categories?": [{"id": TEXT, "*": INTERVAL}],
}  # fmt: skip
_CALIBRATION = {
    "ece": NUMBER,
    "brier": NUMBER,
    "classwise_ece?": NUMBER,
    "levels?": [{"level": COUNT, "ece": NUMBER, "brier": NUMBER}],
    "bins?": [{"from": NUMBER, "to": NUMBER, "pairs": COUNT, "mean_score": NUMBER, "share": NUMBER}],
}
_CONFUSION = {"category": TEXT, "taken_for": TEXT, "documents": COUNT, "siblings": FLAG}
_METRICS = {
    "split?": TEXT,
    "documents": COUNT,
    **_SCORES,
    "samples": {"f1": NUMBER},
    "subset_accuracy": NUMBER,
    "hierarchical": _RATES,
    "levels": [{"level": COUNT, "categories": COUNT, **_BOTH}],
    "average_precision": {"micro": NUMBER, "macro": NUMBER},
    "coherence": {"documents_with_violations": COUNT, "violations": COUNT},
    "further?": {"*": {"*": NUMBER}},
    "groups?": [
        {"group": TEXT, "categories": COUNT, "support_from": COUNT, "support_to": (COUNT, None), **_BOTH}
    ],
    "calibration?": _CALIBRATION,
    "distance?": {"error": NUMBER, "decided": NUMBER, "missed": NUMBER},
    "siblings?": {"confusions?": [_CONFUSION]},
    "intervals?": _INTERVALS,
    "categories": [{"id": TEXT, "support": COUNT, **_RATES, "threshold": (NUMBER, None)}],
    "baseline?": {"strategy": TEXT, "missing?": TEXT},
}
_DIFFERENCE = {"value": NUMBER, "interval": INTERVAL, "holm?": NUMBER, "winner?": (TEXT, None)}
_COMPARED = {
    **_SCORES,
    "difference": {
        "micro_f1": _DIFFERENCE,
        "macro_f1": _DIFFERENCE,
        "*": {**_DIFFERENCE, "interval": (INTERVAL, None)},
    },
}


def read_metrics(run: RunFolder, taxonomy: Taxonomy | None = None) -> dict[str, Any]:
    """The content of ``metrics.json``, with every part of it that is read as :meth:`Evaluation.to_json` wrote it.

    Args:
        taxonomy: of the run's model, whose categories and levels must be those of the metrics; None: not compared.

    Raises:
        DataError: missing, broken, of the wrong shape or of other categories; with what to do.
    """
    place, hint = str(run.metrics), _again(run, run.metrics.name)
    value: dict[str, Any] = check(read_json(run.metrics, hint=hint), _METRICS, place, hint=hint)
    if "difference" in value.get("baseline", {}):
        check(value, {"baseline": _COMPARED}, place, hint=hint)
    if taxonomy is not None:
        shape = [row["id"] for row in value["categories"]], len(value["levels"])
        if shape != ([*taxonomy.ids], taxonomy.depth):
            raise ModelError("does not fit the categories of the model", where=place, hint=hint)
    return value


def read_outcome(run: RunFolder, taxonomy: Taxonomy) -> Outcome:
    """As :meth:`Outcome.load`, of a run folder.

    Raises:
        ModelError: as there, with what to do.
    """
    try:
        return Outcome.load(run.outcome, taxonomy)
    except ModelError as error:
        hint = error.hint or _again(run, f"{run.outcome.name} and {run.metrics.name}")
        raise ModelError(error.message, where=error.where, hint=hint) from None


def _again(run: RunFolder, files: str) -> str:
    """How to have files of a run again: what is trained is not trained again, where a checkpoint is left."""
    above = RunFolder(run.path.parent)
    if run.path.name == above.baseline.path.name and above.config.is_file():
        whole, gone = above, f"{above.metrics.name} of the run that it stands beside"
    else:
        whole, gone = run, files
    command = "linnaea train CONFIG --resume"
    if whole.growth.is_file():
        command = "linnaea grow ... --resume, with all that it was called with"
    return f"remove {gone}, then: {command}"
