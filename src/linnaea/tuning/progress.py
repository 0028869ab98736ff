"""Progress: what is told of a study while it lasts, and the files that are written of it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from linnaea.config.reading import apply
from linnaea.files import write_json
from linnaea.reporter import Reporter
from linnaea.tuning.folder import About, StudyFolder
from linnaea.tuning.study import Study
from linnaea.tuning.worker import Stop

FINISHED = ("complete", "pruned", "failed")


class Told:
    """What is told of a study while it lasts, and written of it.

    Args:
        wanted: trials in all.
    """

    def __init__(
        self, about: About, folder: StudyFolder, study: Study, stop: Stop, wanted: int | None,
        processes: int, reporter: Reporter,
    ) -> None:  # fmt: skip
        self.about, self.folder, self.study, self.stop = about, folder, study, stop
        self.wanted, self.processes, self.reporter = wanted, processes, reporter
        finished = finished_of(study.trials())
        self._told = {trial["number"] for trial in finished}
        if finished:
            before = best_of(finished)
            best = "" if before is None else f", the best {before['value']:.4f} (trial {before['number']})"
            reporter.note(f"{len(finished)} trials were finished before{best}")

    def tell(self) -> None:
        """A line for every trial that was finished since the last call; then the files of the study are brought up to date."""
        finished = finished_of(self.study.trials())
        new = [trial for trial in finished if trial["number"] not in self._told]
        for trial in new:
            self._told.add(trial["number"])
            line = f"{_line(trial, best_of(finished))}  {self._left(finished)}  {_params(trial)}"
            self.reporter.note(line.rstrip())
        if new:
            self.write()

    def _left(self, finished: list[dict[str, Any]]) -> str:
        """How many are done, and how long it takes, if trials go on taking as long as they did."""
        times = []
        if self.wanted is not None:
            mean = sum(trial["seconds"] for trial in finished) / len(finished)
            times.append(mean * max(0, self.wanted - len(finished)) / self.processes)
        if self.stop.deadline is not None:
            times.append(max(0.0, self.stop.deadline - time.monotonic()))
        done = f"{len(self._told)}" if self.wanted is None else f"{len(self._told)} of {self.wanted}"
        return f"[{done}, {_clock(min(times))} left]"

    def write(self) -> dict[str, Any]:
        """``study.json`` and ``best.json``; the former's content."""
        trials = self.study.trials()
        best = best_of(trials)
        value = {
            "config": self.about.config,
            "metric": self.about.metric,
            "direction": "maximize",
            "space": self.about.candidates.space.to_json(),
            "best": None if best is None else best["number"],
            "trials": trials,
            "importance": self.study.importance(),
        }
        write_json(self.folder.study, value)
        if best is not None:
            config = self.about.candidates.value(best["params"])
            apply(config, f"run.dir={json.dumps(str(self.folder.path / 'best'))}")
            write_json(self.folder.best, config)
        return value


def finished_of(trials: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [trial for trial in trials if trial["state"] in FINISHED]


def best_of(trials: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The trial with the highest value, the first of equals."""
    return max((t for t in trials if t["value"] is not None), key=lambda t: t["value"], default=None)


def _line(trial: dict[str, Any], best: dict[str, Any] | None) -> str:
    number, epochs = trial["number"], trial["epochs"]
    if trial["state"] == "failed":
        said = f"failed: {trial['error']}"
    elif trial["state"] == "pruned":
        said = f"given up after epoch {epochs[-1]['epoch']}" if epochs else "given up"
    else:
        said = f"{trial['value']:.4f}"
    beside = (
        ""
        if best is None
        else "  best"
        if best is trial
        else f"  (best {best['value']:.4f}, trial {best['number']})"
    )
    return f"trial {number:>3}  {said}{beside}  {trial['seconds']:.1f} s"


def _params(trial: dict[str, Any]) -> str:
    """The values of a trial, by the ends of their keys where these are told apart by them."""
    last = [key.rpartition(".")[2] for key in trial["params"]]
    names = [name if last.count(name) == 1 else key for name, key in zip(last, trial["params"], strict=True)]
    return ", ".join(f"{n}={short(v)}" for n, v in zip(names, trial["params"].values(), strict=True))


def short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s" if minutes else f"{rest}s"


def summary(folder: Path, value: dict[str, Any]) -> Iterator[str]:
    """A study for the terminal: ``value`` is the content of ``study.json``."""
    trials, best = value["trials"], best_of(value["trials"])
    counts = {state: sum(trial["state"] == state for trial in trials) for state in (*FINISHED, "running")}
    yield f"{folder}: {', '.join(f'{count} {state}' for state, count in counts.items() if count)}"
    if best is None:
        return
    first = next((t for t in trials if t["number"] == 1 and t["value"] is not None), None)
    beside = "" if first is None or first is best else f"; trial 1: {first['value']:.4f}"
    yield f"best {value['metric']}: {best['value']:.4f} (trial {best['number']}{beside})"
    for key, chosen in best["params"].items():
        share = value["importance"].get(key)
        yield f"  {key} = {short(chosen)}" + ("" if share is None else f"  (importance {share:.2f})")
    yield f"config: {folder / 'best.json'}"
