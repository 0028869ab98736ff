"""Page: ``report.html`` of a run folder, made of what lies in it.

An older run, or one that was cut short, lacks some of it; the page then says what is missing instead of drawing it.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from linnaea import __version__
from linnaea.errors import ModelError, UsageError
from linnaea.files import atomic, read_json, read_object
from linnaea.report.categories import category_columns, details, surely_different
from linnaea.report.headline import headline
from linnaea.report.labels import label_statistics, support_statistics
from linnaea.report.majority import majority
from linnaea.report.shell import page
from linnaea.run_folder import RunFolder
from linnaea.taxonomy.taxonomy import Taxonomy

if TYPE_CHECKING:
    from linnaea.metrics.outcome import Outcome

PARTS = ("taxonomy", "panel", "headline", "progress", "belief")  # scripts in assets/
FLAT = ("binary", "multiclass", "multilabel")  # tasks


def write_report(run: RunFolder, output: Path | None = None) -> Path:
    """Write the page of a run and return where it lies.

    Args:
        output: in place of ``report.html`` in the run folder.

    Raises:
        UsageError: it is no run folder, or nothing was measured.
        DataError: a file of the run is damaged.
        RunError: the page cannot be written.
    """
    path = output or run.report
    html = page(f"Linnaea report: {_name(run)}", "report", report_data(run), PARTS)
    with atomic(path, "w") as file:
        file.write(html)
    return path


def report_data(run: RunFolder) -> dict[str, Any]:
    """All that the page shows, as JSON values."""
    metrics, about, config, taxonomy = _required(run)
    notes: list[str] = []
    outcome = _outcome(run, taxonomy, metrics, notes)
    support_C = _support(run, taxonomy) if outcome is None else outcome.support_C
    strategy = str(config.get("training", {}).get("strategy", {}).get("type", "joint"))
    # Where it is missing, what lies there all the same is not of this run.
    missing = (metrics.get("baseline") or {}).get("missing")
    baseline = None if missing or not run.baseline.metrics.is_file() else read_object(run.baseline.metrics)
    guess, surely = None, None
    single = config.get("task", {}).get("type") == "multiclass"
    if outcome is not None:
        guess = majority(outcome.gold, outcome.support_C, taxonomy, single=single)
        surely = None if missing else _surely(run, outcome)
    if "intervals" not in metrics:
        notes.append("These metrics were written without intervals; evaluate or train again for them.")
    tested_C = np.array([row["support"] for row in metrics["categories"]])
    return {
        "run": _run(run, metrics, about, config, strategy, outcome),
        "notes": notes,
        "headline": _headline(headline(metrics, baseline, guess, strategy), config),
        "majority": None if guess is None else list(guess.columns[:10]),
        "majority_count": None if guess is None else len(guess.columns),
        "taxonomy": {
            "separator": taxonomy.separator,
            "root": taxonomy.root,
            "tree": taxonomy.is_tree,
            "levels": taxonomy.depth,
        },
        "categories": category_columns(taxonomy, metrics, baseline, support_C, surely)
        | ({"threshold": None} if single else {}),
        "details": None if outcome is None else details(outcome, _quotes(run)),
        "levels": metrics.get("levels", []),
        "groups": metrics.get("groups"),
        "intervals": {
            key: (metrics.get("intervals") or {}).get(key) for key in ("levels", "groups", "calibration")
        },
        "beside": {key: (baseline or {}).get(key) for key in ("levels", "groups", "calibration")},
        "calibration": metrics.get("calibration"),
        "coherence": metrics.get("coherence"),
        "siblings": metrics.get("siblings"),
        "distance": metrics.get("distance"),
        "history": _history(run),
        "labels": None if outcome is None else label_statistics(outcome),
        "support": None if support_C is None else support_statistics(support_C, tested_C, taxonomy),
        "config": config,
        "metrics": {key: value for key, value in metrics.items() if key not in ("categories", "intervals")},
    }


def _flat(config: Mapping[str, Any]) -> bool:
    """Whether the task knows of no categories below others."""
    return config.get("task", {}).get("type") in FLAT


def _headline(found: dict[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Of flat tasks without hierarchical F1, which is micro-F1 there."""
    if not _flat(config):
        return found
    place = "hierarchical.f1"
    return found | {
        "rows": [row for row in found["rows"] if row["key"] != place],
        "cards": [card for card in found["cards"] if card != place],
    }


def _required(run: RunFolder) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any], Taxonomy]:
    place = str(run.path)
    if not run.path.is_dir():
        raise UsageError("no such run folder", where=place)
    if not run.config.is_file():
        hint = "give the run folder, not its model/ folder" if (run.path / "model.json").is_file() else None
        raise UsageError("is not a run folder (no config.json)", where=place, hint=hint)
    if not run.metrics.is_file():
        hint = "train it to its end, with documents to measure on (data.test)"
        raise UsageError("this run has no metrics.json: nothing was measured yet", where=place, hint=hint)
    metrics, about = read_object(run.metrics), read_object(run.model / "model.json", ModelError)
    where = run.model / "taxonomy.json"
    taxonomy = Taxonomy.from_json(read_json(where, ModelError), str(where))
    rows = metrics.get("categories")
    if not isinstance(rows, list) or [isinstance(row, dict) and row.get("id") for row in rows] != [
        *taxonomy.ids
    ]:
        hint = "train or evaluate again"
        raise ModelError("does not fit the categories of the model", where=str(run.metrics), hint=hint)
    return metrics, about, read_object(run.config), taxonomy


def _outcome(
    run: RunFolder, taxonomy: Taxonomy, metrics: Mapping[str, Any], notes: list[str]
) -> Outcome | None:
    from linnaea.metrics.outcome import Outcome

    if not run.outcome.is_file():
        notes.append(
            f"This run folder has no {run.outcome.name}, so there are no curves, mistakes, confusions or majority guess; "
            "train again for them."
        )
        return None
    outcome = Outcome.load(run.outcome, taxonomy)
    supports_C = [row.get("support") for row in metrics["categories"]]
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


def _surely(run: RunFolder, outcome: Outcome) -> list[bool] | None:
    from linnaea.metrics.outcome import Outcome

    if not run.baseline.outcome.is_file():
        return None
    return surely_different(outcome, Outcome.load(run.baseline.outcome, outcome.taxonomy))


def _support(run: RunFolder, taxonomy: Taxonomy) -> np.ndarray | None:
    path = run.model / "support.json"
    if not path.is_file():
        return None
    value = read_object(path, ModelError)
    return np.array([value.get(id, 0) for id in taxonomy.ids], dtype=np.int64)


def _quotes(run: RunFolder) -> dict[int, str]:
    return {line["row"]: line["text"] for line in _lines(run.quotes, "row", "text")}


def _history(run: RunFolder) -> list[dict[str, Any]]:
    return [
        {key: line.get(key) for key in ("epoch", "loss", "learning_rate", "dev", "best")}
        for line in _lines(run.history)
    ]


def _lines(path: Path, *keys: str) -> list[dict[str, Any]]:
    """The objects of a file, each with ``keys``."""
    if not path.is_file():
        return []
    found: list[dict[str, Any]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            value = json.loads(line)
        except ValueError:
            value = None
        if not isinstance(value, dict) or not all(key in value for key in keys):
            raise ModelError("is damaged", where=f"{path}:{number}")
        found.append(value)
    return found


def _name(run: RunFolder) -> str:
    return run.path.name or run.path.resolve().name


def _run(
    run: RunFolder,
    metrics: Mapping[str, Any],
    about: Mapping[str, Any],
    config: Mapping[str, Any],
    strategy: str,
    outcome: Outcome | None,
) -> dict[str, Any]:
    facts = {key: value for key, value in about.get("facts", {}).items() if _plain(value)}
    for number, member in enumerate(about.get("facts", {}).get("members", []), start=1):
        facts[f"member {number}"] = f"{member['name']}: share {member['share']:.2f}"
    model = config.get("model") or {}
    parts = [part.get("type") for key in ("encoder", "head") if isinstance(part := model.get(key), dict)]
    named = [str(part) for part in parts if part] if strategy != "linear" else []
    return {
        "name": _name(run),
        "split": metrics.get("split", "test"),
        "documents": metrics["documents"],
        "strategy": strategy,
        "parts": named,
        "task": config.get("task", {}).get("type"),
        "flat": _flat(config),
        "closure": config.get("task", {}).get("closure"),
        "threshold": (config.get("decision", {}).get("threshold") or {}).get("type"),
        "aim": (config.get("decision", {}).get("threshold") or {}).get("aim"),
        "decoding": (config.get("decision", {}).get("decoding") or {}).get("type"),
        "facts": {
            "Linnaea": about.get("linnaea"),
            "page made by": f"Linnaea {__version__}",
            **{key.replace("_", " "): value for key, value in facts.items()},
            "model digest": about.get("digest"),
            "documents digest": None if outcome is None else outcome.digest,
        },
        "commands": _commands(run, config),
    }


def _growing(run: RunFolder, config: Mapping[str, Any], again: str) -> str:
    """The command that a grown run came from."""
    record = read_object(run.growth)
    try:
        newest = record["generations"][-1]
        options = [("--taxonomy", config["task"]["taxonomy"])]
        for option, split in (("--data", "train"), ("--dev-data", "dev"), ("--test-data", "test")):
            options += [(option, file) for file in newest["files"][split]]
        options += [("--rename", f"{old}={new}") for old, new in newest["renames"].items()]
        words = [part for option in options for part in option]
        words += [f"--{key.replace('_', '-')}" for key in ("descendants", "train_all") if record[key]]
        words = ["linnaea", "grow", record["model"]["path"], *words]
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ModelError(f"does not hold what it should: {error}", where=str(run.growth)) from None
    return f"{shlex.join(words)} --out {again}"


def _plain(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _commands(run: RunFolder, config: Mapping[str, Any]) -> list[list[str]]:
    place = shlex.quote(str(run.path))
    again = shlex.quote(f"{run.path}-again")
    commands = []
    if run.growth.is_file():
        commands.append(["Grow it again, elsewhere", _growing(run, config, again)])
    elif config.get("data", {}).get("train"):
        line = f"linnaea train {shlex.quote(str(run.config))} --set run.dir={again}"
        commands.append(["Run it again, elsewhere", line])
    commands += [
        ["Measure the model on other documents", f"linnaea evaluate {place} FILE"],
        ["Use it", f"linnaea predict {place} FILE"],
        ["Compare with another run", f"linnaea compare {place} OTHER_RUN"],
        ["Make this page again", f"linnaea report {place}"],
    ]
    return commands
