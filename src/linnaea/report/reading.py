"""Reading: the files of a run folder that its page is made of, each checked as it is opened."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from linnaea.errors import ModelError, UsageError
from linnaea.files import read_json, read_object
from linnaea.metrics.kept import read_metrics, read_outcome
from linnaea.metrics.outcome import Outcome
from linnaea.report.categories import surely_different
from linnaea.run_folder import RunFolder
from linnaea.shapes import COUNT, FLAG, NUMBER, OBJECT, TEXT, Shape, check
from linnaea.taxonomy.taxonomy import Taxonomy
from linnaea.text.grown import read_record

_NAMED = {"type?": TEXT}
_CONFIG = {
    "task?": {"type?": TEXT, "closure?": (TEXT, None)},
    "data?": OBJECT,
    "model?": OBJECT,
    "training?": {"strategy?": _NAMED},
    "decision?": {"threshold?": ({**_NAMED, "aim?": (TEXT, None)}, None), "decoding?": (_NAMED, None)},
}
_ABOUT = {
    "linnaea?": TEXT,
    "digest?": TEXT,
    "facts?": {"members?": [{"name": TEXT, "share": NUMBER}]},
}
_EPOCH = {"epoch": COUNT, "loss": NUMBER, "dev?": {"*": (NUMBER, None)}, "best?": FLAG}
_QUOTE = {"row": COUNT, "text": TEXT}


@dataclass(frozen=True)
class Required:
    """What every page needs.

    Attributes:
        about: the content of the model's ``model.json``.
        growth: the content of ``growth.json``; None: the run was not grown.
    """

    metrics: dict[str, Any]
    about: dict[str, Any]
    config: dict[str, Any]
    taxonomy: Taxonomy
    growth: dict[str, Any] | None


def required(run: RunFolder) -> Required:
    """What every page needs.

    Raises:
        UsageError: it is no run folder, or nothing was measured.
        DataError: a file is missing or damaged.
    """
    place = str(run.path)
    if not run.path.is_dir():
        raise UsageError("no such run folder", where=place)
    if not run.config.is_file():
        hint = "give the run folder, not its model/ folder" if (run.path / "model.json").is_file() else None
        raise UsageError("is not a run folder (no config.json)", where=place, hint=hint)
    if not run.metrics.is_file():
        hint = "train it to its end, with documents to measure on (data.test)"
        raise UsageError("this run has no metrics.json: nothing was measured yet", where=place, hint=hint)
    card, where = run.model / "model.json", run.model / "taxonomy.json"
    about = check(read_object(card, ModelError), _ABOUT, str(card), error=ModelError)
    taxonomy = Taxonomy.from_json(read_json(where, ModelError), str(where))
    metrics = read_metrics(run, taxonomy)
    hint = f'what {card} has under "config" will do for a page'
    config = check(read_json(run.config, hint=hint), _CONFIG, str(run.config), hint=hint)
    growth = read_record(run) if run.growth.is_file() else None
    if growth is not None:
        check(config, {"task": {"taxonomy": TEXT}}, str(run.config), hint=hint)
    return Required(metrics, about, config, taxonomy, growth)


def outcome_of(
    run: RunFolder, taxonomy: Taxonomy, metrics: Mapping[str, Any], notes: list[str]
) -> Outcome | None:
    """The outcome that the metrics are of; None: there is none, and ``notes`` has why that matters.

    Raises:
        ModelError: damaged, or of other documents.
    """
    if not run.outcome.is_file():
        notes.append(
            f"This run folder has no {run.outcome.name}, so there are no curves, mistakes, confusions or majority guess; "
            "train again for them."
        )
        return None
    outcome = read_outcome(run, taxonomy)
    supports_C = [row["support"] for row in metrics["categories"]]
    if supports_C != outcome.gold.counts(len(taxonomy)).tolist():
        hint = "train or evaluate again"
        raise ModelError(f"is of other documents than {run.metrics.name}", where=str(run.outcome), hint=hint)
    if outcome.predictions.sparse:
        notes.append(
            f"Only the best {outcome.predictions.kept} scores of each document were kept: curves end where they end, and the "
            "others stand at 0 in the histograms."
        )
    if not run.quotes.is_file():
        notes.append(f"This run folder has no {run.quotes.name}, so mistakes are shown without their texts.")
    return outcome


def surely(run: RunFolder, outcome: Outcome) -> list[bool] | None:
    """As :func:`surely_different`, from the baseline beside a run; None: its outcome was not kept."""
    if not run.baseline.outcome.is_file():
        return None
    return surely_different(outcome, read_outcome(run.baseline, outcome.taxonomy))


def support(run: RunFolder, taxonomy: Taxonomy) -> np.ndarray | None:
    """``[C]``: documents of train in each category, as the model tells them."""
    path = run.model / "support.json"
    if not path.is_file():
        return None
    value = check(read_object(path, ModelError), {"*": COUNT}, str(path), error=ModelError)
    return np.array([value.get(id, 0) for id in taxonomy.ids], dtype=np.int64)


def quotes(run: RunFolder) -> dict[int, str]:
    """Texts by row."""
    hint = "remove it, and the page shows mistakes without their texts"
    return {line["row"]: line["text"] for line in _lines(run.quotes, _QUOTE, hint)}


def history(run: RunFolder) -> list[dict[str, Any]]:
    """What is drawn of each epoch."""
    lines = _lines(run.history, _EPOCH, "remove it, and the page has no learning curves")
    return [
        {key: line.get(key) for key in ("epoch", "loss", "learning_rate", "dev", "best")} for line in lines
    ]


def _lines(path: Path, shape: Shape, hint: str) -> list[dict[str, Any]]:
    """The objects of a file, a line each."""
    if not path.is_file():
        return []
    found: list[dict[str, Any]] = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        where = f"{path}:{number}"
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            raise ModelError("is damaged", where=where, hint=hint) from None
        found.append(check(value, shape, where, hint=hint, error=ModelError))
    return found
