"""Page: ``report.html`` of a run folder, made of what lies in it.

An older run, or one that was cut short, lacks some of it; the page then says what is missing instead of drawing it.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from linnaea import __version__
from linnaea.files import atomic
from linnaea.metrics.kept import read_metrics
from linnaea.report import reading
from linnaea.report.categories import category_columns, details
from linnaea.report.grown import command, told
from linnaea.report.headline import headline
from linnaea.report.labels import label_statistics, support_statistics
from linnaea.report.majority import majority
from linnaea.report.shell import page
from linnaea.run_folder import RunFolder

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
    found = reading.required(run)
    metrics, config, taxonomy = found.metrics, found.config, found.taxonomy
    notes: list[str] = []
    if found.growth is not None:
        notes.append(told(found.growth, config["task"]["taxonomy"]))
    outcome = reading.outcome_of(run, taxonomy, metrics, notes)
    support_C = reading.support(run, taxonomy) if outcome is None else outcome.support_C
    strategy = str(config.get("training", {}).get("strategy", {}).get("type", "joint"))
    # Where it is missing, what lies there all the same is not of this run.
    missing = metrics.get("baseline", {}).get("missing")
    baseline = None if missing or not run.baseline.metrics.is_file() else read_metrics(run.baseline, taxonomy)
    guess, surely = None, None
    single = config.get("task", {}).get("type") == "multiclass"
    if outcome is not None:
        guess = majority(outcome.gold, outcome.support_C, taxonomy, single=single)
        surely = None if missing else reading.surely(run, outcome)
    if "intervals" not in metrics:
        notes.append("These metrics were written without intervals; evaluate or train again for them.")
    tested_C = np.array([row["support"] for row in metrics["categories"]])
    return {
        "run": _run(run, found, strategy, outcome),
        "notes": notes,
        "headline": _headline(
            headline(metrics, baseline, guess, strategy, grown=found.growth is not None), config
        ),
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
        "details": None if outcome is None else details(outcome, reading.quotes(run)),
        "levels": metrics.get("levels", []),
        "groups": metrics.get("groups"),
        "intervals": {
            key: metrics.get("intervals", {}).get(key) for key in ("levels", "groups", "calibration")
        },
        "beside": {key: (baseline or {}).get(key) for key in ("levels", "groups", "calibration")},
        "calibration": metrics.get("calibration"),
        "coherence": metrics.get("coherence"),
        "siblings": metrics.get("siblings"),
        "distance": metrics.get("distance"),
        "history": reading.history(run),
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


def _name(run: RunFolder) -> str:
    return run.path.name or run.path.resolve().name


def _run(
    run: RunFolder,
    found: reading.Required,
    strategy: str,
    outcome: Outcome | None,
) -> dict[str, Any]:
    metrics, about, config = found.metrics, found.about, found.config
    facts = {key: value for key, value in about.get("facts", {}).items() if _plain(value)}
    for number, member in enumerate(about.get("facts", {}).get("members", []), start=1):
        facts[f"member {number}"] = f"{member['name']}: share {member['share']:.2f}"
    model = config.get("model", {})
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
        "commands": _commands(run, found),
    }


def _plain(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _commands(run: RunFolder, found: reading.Required) -> list[list[str]]:
    place = shlex.quote(str(run.path))
    again = shlex.quote(f"{run.path}-again")
    commands = []
    if found.growth is not None:
        line = command(found.growth, found.config["task"]["taxonomy"])
        commands.append(["Grow it again, elsewhere", f"{line} --out {again}"])
    elif found.config.get("data", {}).get("train"):
        line = f"linnaea train {shlex.quote(str(run.config))} --set run.dir={again}"
        commands.append(["Run it again, elsewhere", line])
    commands += [
        ["Measure the model on other documents", f"linnaea evaluate {place} FILE"],
        ["Use it", f"linnaea predict {place} FILE"],
        ["Compare with another run", f"linnaea compare {place} OTHER_RUN"],
        ["Make this page again", f"linnaea report {place}"],
    ]
    return commands
