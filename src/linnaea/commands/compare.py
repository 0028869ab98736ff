"""``linnaea compare``: two or more runs on the same documents, each held against the first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from linnaea.errors import DataError, ModelError, UsageError
from linnaea.files import read_json
from linnaea.metrics.kept import read_metrics, read_outcome
from linnaea.metrics.outcome import Outcome
from linnaea.metrics.paired import Paired, compare_outcomes
from linnaea.report.compare import write_comparison
from linnaea.reporter import Reporter, Silent
from linnaea.run_folder import RunFolder
from linnaea.taxonomy.taxonomy import Taxonomy

SEEN = {
    "dev": "dev, which the runs have seen",
    "cross": "out-of-fold scores of train and dev, by which what was tuned was tuned",
}


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs side by side.

    Attributes:
        names: as they were asked for.
        metrics: the content of each one's ``metrics.json``.
        pairs: how each run but the first differs from the first.
    """

    names: Sequence[str]
    metrics: Sequence[dict[str, Any]]
    pairs: Sequence[Paired]

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        return {
            "documents": self.pairs[0].documents,
            "runs": [
                {"run": name, "metrics": value} for name, value in zip(self.names, self.metrics, strict=True)
            ],
            "comparisons": [
                {"first": self.names[0], "second": name, **pair.to_json()}
                for name, pair in zip(self.names[1:], self.pairs, strict=True)
            ],
        }


def compare(
    runs: Sequence[Path | str], *, output: Path | None = None, reporter: Reporter | None = None
) -> Comparison:
    """Compare run folders; the baseline of a run is one, too (``RUN/baseline``).

    Args:
        output: a page to write.

    Raises:
        UsageError: fewer than two runs, one that is none or named twice, or runs of other documents or categories.
        DataError: a file of a run is missing or damaged.
        RunError: the page cannot be written.
    """
    reporter, names = reporter or Silent(), [str(run) for run in runs]
    if len(names) < 2:
        raise UsageError(
            f"two runs are needed to compare, not {len(names)}", hint="linnaea compare RUN RUN..."
        )
    folders = [_folder(Path(run)) for run in runs]
    places = [folder.path.resolve() for folder in folders]
    for i, place in enumerate(places):
        if place in places[:i]:
            raise UsageError("is named twice", where=names[i])
    first, *others = (_outcome(folder) for folder in folders)
    metrics = [_metrics(folder, outcome) for folder, outcome in zip(folders, (first, *others), strict=True)]
    if first.split in SEEN:
        reporter.warn(f"compared on {SEEN[first.split]}: the numbers flatter")
    pairs = []
    for i, other in enumerate(others, start=1):
        reporter.progress("comparing", i - 1, len(others), names[i])
        try:
            pairs.append(compare_outcomes(first, other))
        except UsageError as error:
            raise error.at(f"{names[0]} and {names[i]}") from None
    reporter.progress("comparing", len(others), len(others))
    if output is not None:
        write_comparison(output, names, metrics, pairs)
    return Comparison(names, metrics, pairs)


def _folder(path: Path) -> RunFolder:
    """The run folder at ``path``, once it is sure that it is one and has what is compared."""
    run, place = RunFolder(path), str(path)
    if not path.is_dir():
        raise UsageError(
            "is a file, not a run folder" if path.exists() else "no such run folder", where=place
        )
    if (path / "model.json").is_file():
        hint = "give the run folder that it was trained in"
        raise UsageError("is a model folder: it has no decisions to compare", where=place, hint=hint)
    if not run.config.is_file():
        raise UsageError("is no run folder (no config.json)", where=place)
    if run.outcome.is_file() and not run.metrics.is_file():
        hint = "go on with it: linnaea train CONFIG --resume"
        raise UsageError("this run has not finished (no metrics.json)", where=place, hint=hint)
    if not run.outcome.is_file():
        if run.metrics.is_file():
            problem, hint = "its decisions were not kept (no outcome.safetensors)", "train it again"
        elif (run.model / "model.json").is_file():
            problem, hint = "nothing was measured in this run", "give it documents to test on (data.test)"
        else:
            problem, hint = "this run has not finished", "go on with it: linnaea train CONFIG --resume"
        raise UsageError(problem, where=place, hint=hint)
    return run


def _outcome(run: RunFolder) -> Outcome:
    path = run.model / "taxonomy.json"
    return read_outcome(run, Taxonomy.from_json(read_json(path, ModelError), str(path)))


def _metrics(run: RunFolder, outcome: Outcome) -> dict[str, Any]:
    metrics = read_metrics(run, outcome.taxonomy)
    if metrics["documents"] != len(outcome):
        told = f"is of {metrics['documents']} documents, {run.outcome.name} of {len(outcome)}"
        raise DataError(told, where=str(run.metrics), hint="train it again")
    return metrics
