"""Studies: who runs what, what becomes of trials whose process died, and that an interruption leaves no trace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from linnaea.config.space import Space
from linnaea.tuning.candidates import Candidates
from linnaea.tuning.folder import StudyFolder
from linnaea.tuning.study import TRIES, Claim, Study

SPACE = {
    "model.encoder": {"type": "choice", "values": ["textcnn", "fasttext"]},
    "model.encoder.filters": {"type": "int", "low": 10, "high": 300},
    "training.optimizer.learning_rate": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True},
}
BASE = {"data": {"train": "/train.jsonl"}}

Open = Callable[..., Study]


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """Opens a study, as another process would: every call a fresh one on the same folder."""

    def call(name: str = "study", seed: int = 1, epochs: int = 6) -> Study:
        folder = StudyFolder(tmp_path / name)
        folder.path.mkdir(exist_ok=True)
        return Study(folder, Candidates(BASE, tmp_path, Space.of(SPACE)), seed, epochs)

    return call


def worth(params: dict[str, Any]) -> float:
    return params["training.optimizer.learning_rate"] * 10 + params.get("model.encoder.filters", 100) / 1000


def taken(study: Study, wanted: int | None = None) -> Claim:
    claim = study.claim(wanted)
    assert claim is not None
    return claim


def died(claim: Claim) -> None:
    """What is left of a process that was killed: a trial that runs, and a lock that nobody holds."""
    claim.lock.release()


def told(study: Study) -> list[dict[str, Any]]:
    return [{key: value for key, value in trial.items() if key != "seconds"} for trial in study.trials()]


def test_the_first_trial_is_the_config_as_it_stands(opened: Open) -> None:
    claim = taken(opened())
    assert claim.params == {
        "model.encoder": "textcnn", "model.encoder.filters": 100, "training.optimizer.learning_rate": 0.001,
    }  # fmt: skip
    assert not claim.resume


def test_keys_of_another_encoder_are_left_out(opened: Open) -> None:
    study = opened()
    for _ in range(12):
        claim = taken(study)
        assert ("model.encoder.filters" in claim.params) == (claim.params["model.encoder"] == "textcnn")
        study.finish(claim, 1.0, value=worth(claim.params))
    encoders = {trial["params"]["model.encoder"] for trial in study.trials()}
    assert encoders == {"textcnn", "fasttext"}


def test_there_are_as_many_trials_as_were_wanted(opened: Open) -> None:
    study, other = opened(), opened()
    first, second = taken(study, 3), taken(other, 3)
    study.finish(first, 1.0, value=0.5)
    other.finish(second, 1.0, error="it diverged")
    third = taken(study, 3)
    assert other.claim(3) is None  # the third is being run
    study.finish(third, 1.0)
    assert study.claim(3) is None
    states = [(trial["number"], trial["state"], trial["value"], trial["error"]) for trial in study.trials()]
    assert states == [
        (1, "complete", 0.5, None),
        (2, "failed", None, "it diverged"),
        (3, "pruned", None, None),
    ]
    assert other.claim(4) is not None


@pytest.mark.slow
def test_a_stopped_study_goes_on_as_if_it_never_had_been(opened: Open) -> None:
    """14 trials, past the ten that are drawn blindly; one left, one whose process died, in between."""
    whole, broken = opened("whole"), opened("broken")
    for _ in range(14):
        claim = taken(whole, 14)
        whole.finish(claim, 1.0, value=worth(claim.params))
    for turn in range(14):
        claim = taken(broken, 14)
        if turn in (3, 11, 12):
            study = opened("broken")
            if turn == 11:
                died(claim)
            else:
                broken.leave(claim, 1.0)
            again = taken(study, 14)
            assert (again.place, again.params, again.resume) == (claim.place, claim.params, True)
            assert again.run == claim.run
            claim, broken = again, study
        broken.finish(claim, 1.0, value=worth(claim.params))
    assert told(whole) == told(broken)
    assert [trial["number"] for trial in told(whole)] == list(range(1, 15))


def test_another_seed_draws_other_trials(opened: Open) -> None:
    params = []
    for seed in (1, 2):
        study = opened(str(seed), seed)
        study.finish(taken(study), 1.0, value=0.0)
        params.append(taken(study).params)
    assert params[0] != params[1]


def test_what_a_stopped_trial_kept_is_there_until_it_is_finished(opened: Open) -> None:
    study = opened()
    claim = taken(study)
    (claim.run.path / "checkpoint").write_text("")
    study.leave(claim, 2.0)
    again = taken(opened())
    assert (again.run.path / "checkpoint").exists()
    study.finish(again, 3.0, value=0.5)
    assert not study.folder.trials.exists()
    assert study.trials()[0]["seconds"] == 5.0


def test_a_running_trial_is_left_to_its_process(opened: Open) -> None:
    claim = taken(opened())
    other = taken(opened())
    assert (claim.place, other.place) == (1, 2)
    assert [trial["state"] for trial in opened().trials()] == ["running", "running"]


def test_a_trial_that_kills_its_process_is_given_up(opened: Open) -> None:
    for _ in range(TRIES):
        claim = taken(opened(), 1)
        assert claim.place == 1
        died(claim)
    study = opened()
    assert study.claim(1) is None
    [trial] = study.trials()
    assert (trial["state"], trial["error"]) == ("failed", f"its process died {TRIES} times")


@pytest.mark.slow
def test_a_trial_that_others_left_behind_is_hopeless(opened: Open) -> None:
    study = opened(epochs=6)
    for number in range(6):
        claim = taken(study)
        for epoch in range(1, 7):
            assert not study.report(claim, epoch, 0.1 * epoch + 0.001 * number)
        study.finish(claim, 1.0, value=0.6)
    claim = taken(study)
    # A third of the epochs is left to everyone.
    assert [study.report(claim, epoch, 0.01 * epoch) for epoch in (1, 2, 3)] == [False, False, True]
    study.finish(claim, 1.0)
    last = study.trials()[-1]
    assert (last["state"], last["value"]) == ("pruned", None)
    assert last["epochs"] == [{"epoch": e, "value": 0.01 * e} for e in (1, 2, 3)]


@pytest.mark.slow
def test_it_is_said_which_keys_matter_once_there_are_enough_trials(opened: Open) -> None:
    study = opened()
    for number in range(16):
        assert (study.importance() == {}) == (number < 10)
        claim = taken(study)
        study.finish(claim, 1.0, value=claim.params["training.optimizer.learning_rate"])
    found = study.importance()
    assert sum(found.values()) == pytest.approx(1, abs=1e-4)
    assert max(found, key=found.__getitem__) == "training.optimizer.learning_rate"


def test_a_study_that_is_being_run_is_not_overwritten(opened: Open) -> None:
    study = opened()
    assert not study.folder._busy()
    claim = taken(study)
    assert study.folder._busy()
    died(claim)
    assert not study.folder._busy()
    assert FileLock(study.folder.lock).acquire(timeout=0)
