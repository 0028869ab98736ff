"""What a run folder says of its measuring: whatever is damaged is one line with file and key, and what to do."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from linnaea.cli.display import further, headline, levels
from linnaea.commands.compare import compare
from linnaea.commands.report import report
from linnaea.errors import DataError
from linnaea.metrics.kept import read_metrics, read_outcome
from linnaea.metrics.paired import compare_outcomes
from linnaea.report.page import report_data
from linnaea.run_folder import RunFolder
from tests.references.worlds import flat
from tests.report.runs import made_outcome, made_run, nasty_taxonomy

AGAIN = r"\(remove metrics\.json, then: linnaea train CONFIG --resume\)"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run with a baseline, and with all that metrics.json may hold."""
    outcomes = [made_outcome(nasty_taxonomy(), 40, skill=skill) for skill in (3.0, 1.0)]
    made = made_run(tmp_path_factory.mktemp("runs") / "run", outcomes[0], baseline=outcomes[1])
    made_run(made.path.parent / "other", outcomes[1])
    metrics = json.loads(made.metrics.read_text())
    pair = compare_outcomes(outcomes[1], outcomes[0], resamples=50)
    metrics["baseline"]["difference"] = {name: one.to_json() for name, one in pair.measures.items()}
    metrics["further"] = {"neuralclassifier": {"documents": 40, "macro_f1": 0.5}}
    made.metrics.write_text(json.dumps(metrics))
    return made


@pytest.fixture
def damaged(run: RunFolder) -> Any:
    """Hands out a copy of what metrics.json holds, and writes it; afterwards all is as it was."""
    whole = {one.metrics: one.metrics.read_text() for one in (run, run.baseline)}

    def write(change: Callable[[dict[str, Any]], Any], one: RunFolder = run) -> None:
        value = json.loads(whole[one.metrics])
        change(value)
        one.metrics.write_text(json.dumps(value))

    yield write
    for path, text in whole.items():
        path.write_text(text)


def put(place: str, given: Any) -> Callable[[dict[str, Any]], Any]:
    def change(value: Any) -> None:
        *before, last = place.split(".")
        for key in before:
            value = value[int(key) if isinstance(value, list) else key]
        if given is ...:
            del value[last]
        else:
            value[int(last) if isinstance(value, list) else last] = given

    return change


BAD = [
    ("micro", "x", 'micro must be an object, not "x"'),
    ("micro", None, "micro must be an object, not null"),
    ("micro", ..., "has no micro"),
    ("micro.f1", "x", 'micro.f1 must be a finite number, not "x"'),
    ("micro.f1", float("nan"), "micro.f1 must be a finite number, not NaN"),
    ("macro", [], "macro must be an object, not []"),
    ("levels", "x", 'levels must be a list, not "x"'),
    ("levels", [1], "levels[0] must be an object, not 1"),
    ("baseline", "x", 'baseline must be an object, not "x"'),
    ("baseline.micro", ..., "has no baseline.micro"),
    ("baseline.difference.macro_f1.interval", None, "baseline.difference.macro_f1.interval must be two finite numbers"),
    ("intervals", "x", 'intervals must be an object, not "x"'),
    ("intervals.macro.f1", [0], "intervals.macro.f1 must be two finite numbers, not [0]"),
    ("categories.2.support", "x", 'categories[2].support must be a count, not "x"'),
    ("documents", "x", 'documents must be a count, not "x"'),
    ("groups", {"x": 1}, "groups must be a list"),
    ("calibration.bins", [{}], "has no calibration.bins[0].from"),
    ("further", {"mine": {"number": "x"}}, "further.mine.number must be a finite number"),
]  # fmt: skip


@pytest.mark.parametrize(("place", "given", "told"), BAD)
def test_damaged_metrics_are_one_line_everywhere(
    run: RunFolder, damaged: Any, place: str, given: Any, told: str
) -> None:
    damaged(put(place, given))
    for command in (
        lambda: report(run.path),
        lambda: compare([run.path, run.path.parent / "other"]),
        lambda: read_metrics(run),
    ):
        with pytest.raises(DataError, match=AGAIN) as caught:
            command()
        assert str(caught.value).startswith(f"{run.metrics}: {told}")
    assert not run.report.exists()


@pytest.mark.parametrize("text", ["", "[]", "null", '"x"', '{"micro', "\ufeff3"])
def test_what_is_no_object_is_told(run: RunFolder, damaged: Any, text: str) -> None:
    run.metrics.write_text(text)
    with pytest.raises(DataError, match=r"metrics\.json.*" + AGAIN):
        read_metrics(run)


def test_the_baseline_is_made_again_by_its_run(run: RunFolder, damaged: Any) -> None:
    damaged(put("micro.f1", "x"), run.baseline)
    told = (
        rf"^{run.baseline.metrics}: micro\.f1 must be .*"
        r"\(remove metrics\.json of the run that it stands beside, then: linnaea train CONFIG --resume\)$"
    )
    for command in (lambda: report(run.path), lambda: compare([run.baseline.path, run.path])):
        with pytest.raises(DataError, match=told):
            command()


def test_other_categories_and_levels_are_told(run: RunFolder, damaged: Any) -> None:
    for change in (put("categories.0.id", "strange"), lambda value: value["levels"].pop()):
        damaged(change)
        with pytest.raises(DataError, match="does not fit the categories of the model"):
            report(run.path)
        with pytest.raises(DataError, match="does not fit the categories of the model"):
            compare([run.path.parent / "other", run.path])


def test_what_older_runs_lack_may_be_missing(run: RunFolder, damaged: Any) -> None:
    older = ("split", "intervals", "groups", "calibration", "distance", "siblings", "baseline", "further")
    damaged(lambda value: [value.pop(key) for key in older])
    assert set(read_metrics(run)).isdisjoint(older)
    assert report_data(run)["headline"]["rows"]


def test_a_damaged_outcome_says_what_to_do(tmp_path: Path) -> None:
    outcome = made_outcome(flat(3), 20)
    run = made_run(tmp_path / "run", outcome, baseline=outcome)
    for one, gone in (
        (run, "outcome.safetensors and metrics.json"),
        (run.baseline, "metrics.json of the run that it stands beside"),
    ):
        one.outcome.write_bytes(one.outcome.read_bytes()[:-5])
        with pytest.raises(DataError) as caught:
            read_outcome(one, outcome.taxonomy)
        assert str(caught.value).startswith(f"{one.outcome}: cannot be read as safetensors")
        assert str(caught.value).endswith(f"(remove {gone}, then: linnaea train CONFIG --resume)")
    run.growth.write_text("{}")
    with pytest.raises(DataError, match=r"linnaea grow \.\.\. --resume"):
        read_outcome(run, outcome.taxonomy)


def places(value: Any, before: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands in a JSON value, but for long lists only at their beginning."""
    rows = enumerate(value[:2]) if isinstance(value, list) else ()
    items = value.items() if isinstance(value, dict) else rows
    return [before, *(place for key, inner in items for place in places(inner, (*before, key)))]


@given(data=st.data())
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_damaged_never_raises_anything_else(
    run: RunFolder, damaged: Any, data: st.DataObject
) -> None:
    """What passes the check can be shown: on the terminal, on the page."""

    def change(value: dict[str, Any]) -> None:
        *before, last = data.draw(st.sampled_from([place for place in places(value) if place]))
        at: Any = value
        for key in before:
            at = at[key]
        wrong = data.draw(st.sampled_from(["x", 3, -1.5, None, True, [], {}, [1], float("nan"), [0, 1], ...]))
        if wrong is ...:
            del at[last]
        else:
            at[last] = copy.deepcopy(wrong)

    damaged(change)
    try:
        metrics = read_metrics(run, nasty_taxonomy())
    except DataError as error:
        assert str(error).count("metrics.json") == 2
        return
    headline(metrics)
    levels({"": metrics})
    if "further" in metrics:
        further(metrics["further"])
    try:
        json.dumps(report_data(run), allow_nan=False)
    except DataError as error:
        assert "is of other documents" in str(error)
