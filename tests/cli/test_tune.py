"""``linnaea tune`` through the command line: the study folder, resuming, test documents left alone, bad calls."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from linnaea.commands import tune as command
from linnaea.errors import UsageError
from linnaea.tuning import worker
from linnaea.tuning.folder import StudyFolder
from linnaea.tuning.study import Study

from .conftest import Outcome

Call = Callable[..., Outcome]

C = {"type": "float", "low": 0.01, "high": 10, "log": True}
RATE = {"type": "float", "low": 0.001, "high": 0.05, "log": True}
OPENED: list[str] | None = None


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and OPENED is not None and isinstance(arguments[0], str | os.PathLike):
        OPENED.append(os.fspath(arguments[0]))


sys.addaudithook(_hear)  # for good: a hook cannot be taken away


@pytest.fixture
def opened() -> Iterator[list[str]]:
    """The names of all files that are opened while the test runs."""
    global OPENED
    OPENED = []
    yield OPENED
    OPENED = None


@pytest.fixture
def place(corpus: Path) -> Path:
    """The corpus with three spaces."""
    spaces = {
        "linear": {"training.strategy.C": C, "input.ngram.n": {"type": "int", "low": 2, "high": 3}},
        "joint": {
            "training.optimizer.learning_rate": RATE,
            "model.encoder": {"type": "choice", "values": [{"type": "textcnn", "filters": 8}, "fasttext"]},
        },
    }
    for name, value in spaces.items():
        (corpus / f"{name}-space.json").write_text(json.dumps(value))
    linear = json.loads((corpus / "linear.json").read_text())
    linear["input"] = {"features": ["token", "ngram"], "ngram": {"buckets": 0, "n": 2}}
    (corpus / "linear.json").write_text(json.dumps(linear))
    return corpus


def study(folder: str = "run-study") -> dict[str, Any]:
    value: dict[str, Any] = json.loads(Path(folder, "study.json").read_text())
    return value


def told(folder: str = "run-study") -> list[dict[str, Any]]:
    return [{**trial, "seconds": 0} for trial in study(folder)["trials"]]


def test_a_linear_config_is_tuned_and_its_best_trained(place: Path, linnaea: Call, opened: list[str]) -> None:
    outcome = linnaea("tune", "linear.json", "--space", "linear-space.json", "--trials", "4", "--json")
    assert outcome.code == 0, outcome.err
    assert any(name.endswith("dev.jsonl") for name in opened)
    assert not any(name.endswith("test.jsonl") for name in opened)
    value = outcome.json()
    assert value == study()
    assert (value["config"], value["metric"], value["direction"]) == ("linear.json", "both_f1", "maximize")
    assert value["space"] == json.loads((place / "linear-space.json").read_text())
    assert [t["number"] for t in value["trials"]] == [1, 2, 3, 4]
    assert all(t["state"] == "complete" and t["error"] is None and t["epochs"] == [] for t in value["trials"])
    assert value["trials"][0]["params"] == {"training.strategy.C": 1.0, "input.ngram.n": 2}
    best = max(value["trials"], key=lambda t: t["value"])
    assert value["best"] == best["number"]
    assert sorted(path.name for path in Path("run-study").iterdir()) == [
        ".lock", "best.json", "study.db", "study.html", "study.json", "tune.json",
    ]  # fmt: skip
    written = json.loads(Path("run-study/best.json").read_text())
    assert written["training"]["strategy"]["C"] == best["params"]["training.strategy.C"]
    trained = linnaea("train", "run-study/best.json", "--json")
    assert trained.code == 0, trained.err
    assert trained.json()["split"] == "test"
    assert Path("run-study/best/model").is_dir()


def test_a_network_is_tuned_epochs_are_told_and_the_terminal_sees_it(place: Path, linnaea: Call) -> None:
    outcome = linnaea(
        "tune", "textcnn.json", "--space", "joint-space.json", "--trials", "3", "--set", "training.epochs=2"
    )
    assert outcome.code == 0, outcome.err
    value = study()
    assert value["metric"] == "micro_f1"
    assert [e["epoch"] for e in value["trials"][0]["epochs"]] == [1, 2]
    # Nothing is tuned on dev here: the best epoch's decisions are those that are measured.
    for trial in value["trials"]:
        assert trial["value"] == pytest.approx(max(e["value"] for e in trial["epochs"]), abs=1e-12)
    assert "[3 of 3, 0s left]" in outcome.err
    assert f"best micro_f1: {max(t['value'] for t in value['trials']):.4f}" in outcome.out
    assert "config: run-study/best.json" in outcome.out


@pytest.mark.slow
def test_one_network_a_category_is_tuned(place: Path, linnaea: Call) -> None:
    (place / "space.json").write_text(json.dumps({"training.optimizer.learning_rate": RATE}))
    settings = [
        'training.strategy={"type":"per_category","executor":"local","workers":1}',
        "training.epochs=1",
    ]
    outcome = linnaea(
        "tune", "textcnn.json", "--space", "space.json", "--trials", "2", *(x for s in settings for x in ("--set", s))
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert study()["metric"] == "macro_f1"
    assert [trial["state"] for trial in study()["trials"]] == ["complete", "complete"]


def test_a_setting_of_an_ensembles_member_is_tuned(place: Path, linnaea: Call) -> None:
    """A linear model and a network, out of fold, each with a key of its own."""
    value = json.loads((place / "linear.json").read_text())
    network = {
        "model": json.loads((place / "fasttext.json").read_text())["model"],
        "training": {"epochs": 1, "optimizer": {"type": "adam", "learning_rate": 0.01}},
    }
    members = [{"training": {"strategy": {"type": "linear"}}}, network]
    value["training"] = {"strategy": {"type": "ensemble", "members": members}}
    value["decision"]["threshold"]["folds"] = 2
    del value["input"]
    (place / "ensemble.json").write_text(json.dumps(value))
    first, second = (f"training.strategy.members.{i}.training" for i in (0, 1))
    space = {f"{first}.strategy.C": C, f"{second}.optimizer.learning_rate": RATE}
    (place / "space.json").write_text(json.dumps(space))
    outcome = linnaea("tune", "ensemble.json", "--space", "space.json", "--trials", "2", "--json")
    assert outcome.code == 0, outcome.err
    trials = outcome.json()["trials"]
    assert [trial["state"] for trial in trials] == ["complete", "complete"]
    assert trials[0]["params"] == {f"{first}.strategy.C": 1.0, f"{second}.optimizer.learning_rate": 0.01}
    assert trials[1]["params"].keys() == space.keys()
    best = json.loads(Path("run-study/best.json").read_text())["training"]["strategy"]["members"]
    chosen = trials[outcome.json()["best"] - 1]["params"]
    assert best[0]["training"]["strategy"]["C"] == chosen[f"{first}.strategy.C"]
    rate = best[1]["training"]["optimizer"]["learning_rate"]
    assert rate == chosen[f"{second}.optimizer.learning_rate"]
    assert linnaea("check", "run-study/best.json").code == 0
    for key, line in (
        (f"{first}.strategy.D", f"{first}.strategy.D: unknown key"),
        (f"{second[:-10]}2.training.epochs", "there is no training.strategy.members.2 (they are 0 to 1)"),
    ):
        (place / "space.json").write_text(json.dumps({key: C}))
        outcome = linnaea("tune", "ensemble.json", "--space", "space.json", "--trials", "1", "--study", "s")
        assert outcome.code == 2
        assert outcome.err.startswith("error: space.json: ") and line in outcome.err


@pytest.mark.slow
def test_documents_are_encoded_once(place: Path, linnaea: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    built, build = [], worker.build_corpus

    def counted(config: Any, **more: Any) -> Any:
        built.append(config.input.ngram.n)
        return build(config, **more)

    monkeypatch.setattr(worker, "build_corpus", counted)
    outcome = linnaea("tune", "linear.json", "--space", "linear-space.json", "--trials", "6")
    assert outcome.code == 0, outcome.err
    assert sorted(built) == [2, 3]


@pytest.mark.slow
def test_a_study_goes_on_to_more_trials_and_equals_one_that_never_stopped(place: Path, linnaea: Call) -> None:
    call = ("tune", "linear.json", "--space", "linear-space.json")
    assert linnaea(*call, "--trials", "2", "--study", "a").code == 0
    assert linnaea(*call, "--trials", "4", "--study", "a", "--resume").code == 0
    assert linnaea(*call, "--trials", "4", "--study", "b").code == 0
    assert told("a") == told("b")
    more = linnaea(*call, "--trials", "3", "--study", "a", "--resume")
    assert "4 trials were finished before" in more.err
    assert told("a") == told("b")


@pytest.mark.slow
def test_an_interrupted_trial_goes_on_from_its_checkpoint(
    place: Path, linnaea: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = (
        "tune",
        "textcnn.json",
        "--space",
        "joint-space.json",
        "--trials",
        "2",
        "--set",
        "training.epochs=3",
    )
    assert linnaea(*call, "--study", "whole").code == 0
    seen: list[int] = []
    on_epoch = worker.Watch.on_epoch

    def interrupting(self: worker.Watch, record: Any) -> None:
        seen.append(record.epoch)
        if len(seen) == 2:
            signal.raise_signal(signal.SIGINT)
        on_epoch(self, record)

    monkeypatch.setattr(worker.Watch, "on_epoch", interrupting)
    stopped = linnaea(*call, "--study", "broken")
    assert stopped.code == 130
    assert "broken: interrupted (--resume goes on)" in stopped.err
    assert study("broken")["trials"] == []
    assert linnaea(*call, "--study", "broken", "--resume").code == 0
    assert seen[:5] == [1, 2, 1, 2, 3]  # told again from the checkpoint, then the last
    assert told("broken") == told("whole")


def test_a_hopeless_trial_ends_before_its_last_epoch(
    place: Path, linnaea: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = Study.report

    def harsh(self: Study, claim: Any, epoch: int, value: float) -> bool:
        report(self, claim, epoch, value)
        return (
            epoch == {1: 3, 2: 2}[claim.place]
        )  # the first in its last epoch, where nothing is saved any more

    monkeypatch.setattr(Study, "report", harsh)
    call = ("tune", "textcnn.json", "--space", "joint-space.json", "--trials", "2")
    outcome = linnaea(*call, "--set", "training.epochs=3")
    assert outcome.code == 0, outcome.err
    assert [(t["state"], len(t["epochs"])) for t in study()["trials"]] == [("complete", 3), ("pruned", 2)]
    assert "trial   2  given up after epoch 2" in outcome.err
    assert "1 complete, 1 pruned" in outcome.out


@pytest.mark.slow
def test_trials_that_fail_are_told_and_the_study_goes_on(
    place: Path, linnaea: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    values, value = [MemoryError("out of memory\nby far"), None, None], worker.Worker._value

    def failing(self: worker.Worker, claim: Any) -> float:
        error = values.pop(0)
        if error is not None:
            raise error
        return value(self, claim)

    monkeypatch.setattr(worker.Worker, "_value", failing)
    outcome = linnaea("tune", "linear.json", "--space", "linear-space.json", "--trials", "3")
    assert outcome.code == 0, outcome.err
    assert "failed: MemoryError: out of memory" in outcome.err
    assert [trial["state"] for trial in study()["trials"]] == ["failed", "complete", "complete"]
    values[:] = [MemoryError("out of memory")] * 2
    outcome = linnaea("tune", "linear.json", "--space", "linear-space.json", "--trials", "2", "--study", "s")
    assert outcome.code == 1
    assert "s: all 2 trials that were finished failed; the last: MemoryError: out of memory" in outcome.err
    assert not Path("s/best.json").exists()


@pytest.mark.slow
def test_a_bad_combination_that_is_found_late_fails_its_trial_alone(place: Path, linnaea: Call) -> None:
    values = {"model.encoder.kernel_sizes": [[2], [12]], "input.max_tokens": [8, 32]}
    space = {key: {"type": "choice", "values": both} for key, both in values.items()}
    (place / "space.json").write_text(json.dumps(space))
    call = ("tune", "textcnn.json", "--space", "space.json", "--trials", "8", "--set", "training.epochs=1")
    assert linnaea(*call).code == 0
    states = {
        (t["params"]["model.encoder.kernel_sizes"][0], t["params"]["input.max_tokens"]): t for t in told()
    }
    bad = states.pop((12, 8))
    assert "12 positions at a time for texts of up to 8" in bad["error"]
    assert {trial["state"] for trial in states.values()} <= {"complete", "pruned"}


def test_time_ends_a_study(place: Path, linnaea: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    run = worker.Worker._run

    def last(self: worker.Worker, claim: Any, stop: worker.Stop) -> None:
        run(self, claim, stop)
        if claim.place == 2:
            stop.deadline = time.monotonic()

    monkeypatch.setattr(worker.Worker, "_run", last)
    outcome = linnaea("tune", "linear.json", "--space", "linear-space.json", "--time", "1h")
    assert outcome.code == 0, outcome.err
    assert [trial["state"] for trial in study()["trials"]] == ["complete", "complete"]


def test_time_interrupts_the_trial_that_runs(place: Path, linnaea: Call) -> None:
    endless = ["training.epochs=1000000", "training.early_stopping=null"]
    call = [
        "tune",
        "textcnn.json",
        "--space",
        "joint-space.json",
        *(x for s in endless for x in ("--set", s)),
    ]
    outcome = linnaea(*call, "--time", "2s")
    assert (outcome.code, study()["trials"]) == (1, [])
    assert "run-study: no trial was finished (--resume goes on, with more --time)" in outcome.err


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("2h", 7200), ("1h30m", 5400), ("1.5h", 5400), ("1d", 86400)]
)  # fmt: skip
def test_times(text: str, seconds: float) -> None:
    assert command.seconds_of(text) == seconds


@pytest.mark.parametrize(
    ("text", "hint"), [("30", "did you mean 30s or 30m"), ("0s", "as 90s"), ("half an hour", "as 90s"), ("30min", "as 90s")]
)  # fmt: skip
def test_what_is_no_time(text: str, hint: str) -> None:
    with pytest.raises(UsageError, match=f"is no time .{hint}"):
        command.seconds_of(text)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "tune: for how long is not said (give --trials, --time or both)"),
        (["--trials", "0"], "--trials: must be 1 or more, not 0"),
        (["--trials", "1", "--processes", "0"], "--processes: must be 1 or more, not 0"),
        (["--trials", "1", "--metric", "micro"], "--metric: there is no measure 'micro' (did you mean 'micro_f1'?)"),
        (["--trials", "1", "--time", "5"], "--time: '5' is no time (did you mean 5s or 5m?)"),
        (["--trials", "1", "--resume"], "run-study: there is no study to resume (leave --resume out to begin one)"),
        (["--trials", "1", "--resume", "--overwrite"], "--resume and --overwrite exclude each other"),
        (["--trials", "1", "--study", "linear.json"], "linear.json: is a file, not a folder"),
        (["--trials", "1", "--study", "mine"], "mine: exists already"),
        (["--trials", "1", "--study", "mine", "--overwrite"], "mine: is not a study folder, so it is not overwritten"),
        (
            ["--trials", "1", "--set", "training.strategy.C=2"],
            "--set training.strategy.C: linear-space.json searches it, too (leave one out)",
        ),
        (["--trials", "1", "--set", "training.strategy.c=2"], "--set training.strategy.c: unknown key"),
    ],
)  # fmt: skip
def test_bad_calls_are_told_and_leave_nothing(
    place: Path, linnaea: Call, arguments: list[str], line: str
) -> None:
    (place / "mine").mkdir()
    (place / "mine" / "thesis.tex").write_text("")
    outcome = linnaea("tune", "linear.json", "--space", "linear-space.json", *arguments)
    assert outcome.code == 2
    assert line in outcome.err
    assert not Path("run-study").exists()


def test_a_bad_space_is_told_before_documents_are_read(place: Path, linnaea: Call, opened: list[str]) -> None:
    (place / "space.json").write_text(json.dumps({"training.strategy.D": C}))
    outcome = linnaea("tune", "linear.json", "--space", "space.json", "--trials", "1")
    assert outcome.code == 2
    assert (
        outcome.err
        == "error: space.json: training.strategy.D: unknown key (known here: C, balanced, model)\n"
    )
    assert not any(name.endswith(".jsonl") for name in opened)


def test_broken_documents_are_told_as_by_train(place: Path, linnaea: Call) -> None:
    with open("dev.jsonl", "a") as file:
        file.write("{\n")
    outcome = linnaea("tune", "linear.json", "--space", "linear-space.json", "--trials", "1")
    assert outcome.code == 3
    assert "dev.jsonl:41" in outcome.err
    assert not Path("run-study").exists()


def test_a_study_of_something_else_is_refused(place: Path, linnaea: Call) -> None:
    call = ("tune", "linear.json", "--space", "linear-space.json", "--trials", "1")
    assert linnaea(*call).code == 0
    before = Path("run-study/study.json").read_bytes()

    def refused(line: str, *more: str) -> None:
        outcome = linnaea(*call, "--resume", *more)
        assert (outcome.code, Path("run-study/study.json").read_bytes()) == (2, before)
        assert f"run-study: {line} (resume with what it began with, or give another --study)" in outcome.err

    other = ("--set", "run.seed=2", "--set", "input.vocabulary.min_count=3")
    refused("is a study of another config: input.vocabulary.min_count, run.seed", *other)
    refused("is a study of another measure (both_f1, not micro_f1)", "--metric", "micro_f1")
    space = json.loads(Path("linear-space.json").read_text())
    Path("linear-space.json").write_text(json.dumps({**space, "training.strategy.C": {**C, "high": 20}}))
    refused("is a study of another space: training.strategy.C")
    Path("linear-space.json").write_text(json.dumps(space))
    Path("dev.jsonl").write_text("".join(Path("dev.jsonl").read_text().splitlines(keepends=True)[:-1]))
    refused("is a study of other documents: dev")
    assert linnaea(*call).code == 2
    assert linnaea(*call, "--overwrite").code == 0


def test_without_optuna_the_line_that_brings_it_is_told(
    place: Path, linnaea: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    outcome = linnaea("tune", "linear.json", "--space", "linear-space.json", "--trials", "1")
    assert outcome.code == 2
    assert 'pip install "linnaea[tune]"' in outcome.err


@pytest.mark.slow
def test_several_processes_share_a_study(place: Path, linnaea: Call) -> None:
    call = (
        "tune",
        "textcnn.json",
        "--space",
        "joint-space.json",
        "--trials",
        "6",
        "--set",
        "training.epochs=2",
    )
    outcome = linnaea(*call, "--processes", "2")
    assert outcome.code == 0, outcome.err
    assert [trial["number"] for trial in study()["trials"]] == list(range(1, 7))
    assert "[6 of 6, 0s left]" in outcome.err


@pytest.mark.slow
def test_a_killed_study_goes_on_as_if_it_never_had_been(place: Path, linnaea: Call) -> None:
    call = (
        "tune",
        "textcnn.json",
        "--space",
        "joint-space.json",
        "--trials",
        "3",
        "--set",
        "training.epochs=12",
    )
    assert linnaea(*call, "--study", "whole").code == 0
    child = subprocess.Popen([sys.executable, "-m", "linnaea", *call, "--study", "broken"])
    folder = Path("broken/trials/2")
    while not (folder / "history.jsonl").exists():  # in the middle of the second
        assert child.poll() is None
        time.sleep(0.02)
    child.kill()
    child.wait()
    assert linnaea(*call, "--study", "broken", "--resume").code == 0
    assert told("broken") == told("whole")


@pytest.mark.slow
def test_processes_end_with_the_one_that_started_them(place: Path) -> None:
    call = ("tune", "textcnn.json", "--space", "joint-space.json", "--time", "1h", "--processes", "2")
    child = subprocess.Popen([sys.executable, "-m", "linnaea", *call, "--set", "training.epochs=1000"])
    locks = [Path(f"run-study/trials/{place}.lock") for place in (1, 2)]
    while not all(lock.exists() for lock in locks):
        assert child.poll() is None
        time.sleep(0.05)
    child.kill()
    child.wait()
    while StudyFolder(Path("run-study"))._busy():
        time.sleep(0.1)
