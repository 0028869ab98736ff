"""Pages in a real browser: charts, clicks, keyboard, themes, paper; nothing asked for, nothing run that is not ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from linnaea.commands.train import train
from linnaea.metrics.paired import compare_outcomes
from linnaea.report.compare import write_comparison
from linnaea.report.page import write_report
from linnaea.report.study import write_study
from linnaea.run_folder import RunFolder
from tests.references.worlds import flat
from tests.report.conftest import until
from tests.report.runs import NASTY, STUDY, made_outcome, made_run, nasty_taxonomy

Open = Callable[..., Any]
DRAWN = "[...document.querySelectorAll('.chart')].map(node => Boolean(node.querySelector('.main-svg')))"
IN_VIEW = "document.documentElement.scrollWidth <= window.innerWidth"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    taxonomy = nasty_taxonomy()
    outcome, baseline = (made_outcome(taxonomy, 200, skill=skill) for skill in (3.0, 2.0))
    return write_report(made_run(tmp_path_factory.mktemp("runs") / "run", outcome, baseline=baseline))


@pytest.fixture(scope="module")
def whole(report: Path, opened: Open) -> Any:
    """The page of a run, open for several tests; loading takes longest."""
    return opened(report, color_scheme="light").page


@pytest.fixture
def page(whole: Any) -> Any:
    whole.fill("#search", "")
    whole.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    return whole


def panel(page: Any) -> str:
    return page.inner_text("#panel-title")


def click_slice(page: Any, name: str) -> None:
    """Click where the name stands: the middle of a ring's box may lie outside it."""
    text = page.locator("#map g.slice text", has_text=name).first
    text.scroll_into_view_if_needed()
    box = text.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


def test_charts_are_drawn(page: Any) -> None:
    drawn = page.evaluate(DRAWN)
    assert len(drawn) >= 7
    assert all(drawn)
    assert page.locator("#map g.slice").count() == len(nasty_taxonomy()) + 1
    assert page.locator("#cards .card").count() == 3
    assert "depends on the measure" in page.inner_text("#verdict")


def test_names_and_texts_stay_text(page: Any) -> None:
    names = page.eval_on_selector_all("#list button.link", "nodes => nodes.map(node => node.textContent)")
    assert set(names) == set(nasty_taxonomy().names)
    page.fill("#search", "alert(1)")
    page.click("#list tbody button >> nth=0")
    assert panel(page) == NASTY
    assert page.locator("#mistakes blockquote").first.inner_text().startswith(NASTY)
    assert page.locator("img").count() == 0
    assert page.locator("#panel b, #mistakes b, #list b").count() == 0


def test_click_in_the_sunburst_and_the_treemap(page: Any) -> None:
    click_slice(page, "leaf")
    until(page, "document.getElementById('panel-title').textContent === 'leaf'")
    assert "also below" in page.inner_text("#panel")
    assert page.locator("#list tr.chosen button").inner_text() == "leaf"
    page.click("#treemap")
    assert page.locator("#map .treemaplayer g.slice").count() > 0
    assert page.get_attribute("#treemap", "aria-pressed") == "true"
    click_slice(page, "cats")
    until(page, "document.getElementById('panel-title').textContent === 'cats & <b>dogs</b>'")
    page.select_option("#size", "equal")
    assert page.locator("#map g.slice").count() > 0
    page.click("#sunburst")


def test_a_treemap_opens_no_leaf_and_comes_back(page: Any) -> None:
    slices = "document.querySelectorAll('#map g.slice').length"
    whole = len(nasty_taxonomy()) + 1
    page.click("#treemap")
    assert "the bar on top goes back" in page.inner_text("#taxonomy-note")
    until(page, f"{slices} === {whole}")
    click_slice(page, "leaf")
    until(page, "document.getElementById('panel-title').textContent === 'leaf'")
    page.wait_for_timeout(900)  # longer than plotly takes to open one
    assert page.evaluate(slices) == whole
    for back in (
        lambda: page.locator("#map g.pathbar", has_text="Root").first.click(),
        lambda: page.click("#list tbody button >> nth=0"),
        lambda: page.select_option("#size", "test"),
    ):
        click_slice(page, "plants")
        until(page, f"{slices} < {whole}")
        page.wait_for_timeout(900)
        back()
        until(page, f"{slices} === {whole}")
    page.click("#sunburst")
    assert "the middle goes back" in page.inner_text("#taxonomy-note")


def test_flat_tasks_speak_of_no_taxonomy(tmp_path: Path, opened: Open) -> None:
    run = made_run(tmp_path / "run", made_outcome(flat(5), 60))
    config = json.loads(run.config.read_text())
    config["task"] = {"type": "multiclass"}
    run.config.write_text(json.dumps(config))
    page = opened(write_report(run)).page
    assert "hierarchical" not in page.inner_text("#headline").lower()
    assert page.locator("#cards .card").count() == 2
    assert "decided from" not in page.inner_text("#panel")
    assert "threshold" not in page.locator("#panel .annotation-text").all_inner_texts()
    assert "taxonomy" not in page.inner_text("#coherence-body")


def test_comparison_colours_what_a_test_tells_apart(tmp_path: Path, opened: Open) -> None:
    taxonomy = nasty_taxonomy()
    runs = [made_outcome(taxonomy, 40, skill=skill) for skill in (2.0, 2.2)]
    metrics = [{"split": "test", **run.evaluate().to_json(intervals=False)} for run in runs]
    pair = compare_outcomes(runs[0], runs[1], resamples=30)
    assert not any(one.winner for one in pair.categories)
    page = opened(write_comparison(tmp_path / "compared.html", ["a", "b"], metrics, [pair])).page
    assert page.locator("#list td:has-text('+0.')").count() > 0
    assert page.locator("#list .better-text, #list .worse-text").count() == 0
    assert "macro-F1 (present)" in page.inner_text("#verdicts")
    assert "average precision (micro)" in page.inner_text("#measures-body")
    tests = page.eval_on_selector_all(
        "#measures-body tr:has(td)",
        "rows => rows.map(row => [row.textContent, [...row.querySelectorAll('[title]')].map(one => one.title).join()])",
    )
    told = {row.split(")")[0]: test for row, test in tests if "p = " in row or "p < " in row}
    assert told["average precision (micro"] == told["average precision (macro"]
    assert told["average precision (micro"] == "by the bootstrap, corrected after Holm"
    others = {test for row, test in told.items() if not row.startswith("average precision")}
    assert others == {"by a randomisation test, corrected after Holm"}
    assert "of average precision by the bootstrap" in page.inner_text("#measures-body")


def test_only_what_is_more_than_chance_is_coloured(tmp_path: Path, opened: Open) -> None:
    taxonomy = nasty_taxonomy()
    outcome, baseline = (made_outcome(taxonomy, 400, skill=skill) for skill in (3.0, 1.0))
    run = made_run(tmp_path / "run", outcome, baseline=baseline)
    page = opened(write_report(run)).page
    surely = [category.winner is not None for category in compare_outcomes(baseline, outcome).categories]
    cells = "rows => rows.map(row => [Number(row.dataset.column), row.lastChild.textContent, row.lastChild.innerHTML])"
    for column, text, inner in page.eval_on_selector_all("#list tbody tr", cells):
        assert ("-text" in inner) == ("▲" in text or "▼" in text) == surely[column]
        assert "surely" in inner or "cannot be told apart" in inner
    assert "surely better" in page.inner_text("#beside")
    run.baseline.outcome.unlink()
    page = opened(write_report(run)).page
    assert page.locator("#list .better-text, #list .worse-text").count() == 0
    assert "not tested" in page.inner_text("#beside")


def test_by_keyboard(page: Any) -> None:
    focused = "document.activeElement.textContent"
    page.focus(".skip")
    assert page.locator(".skip").bounding_box()["x"] >= 0
    page.keyboard.press("Enter")
    for _ in range(20):  # on to the list, past the switches of the picture
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "search":
            break
    page.keyboard.type("o")
    page.keyboard.press("ArrowDown")
    first = page.evaluate(focused)
    page.keyboard.press("ArrowDown")
    second = page.evaluate(focused)
    assert second != first
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert panel(page) == second == page.evaluate(focused)
    assert page.inner_text(
        "#shown"
    ) == f"Shown: {page.evaluate('document.activeElement.textContent') and second}" or (
        second in page.inner_text("#shown")
    )
    page.keyboard.press("Escape")
    assert page.evaluate(focused) == second
    for _ in range(2):
        page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.id") == "search"


def test_everything_that_reacts_is_a_button_or_a_link(page: Any) -> None:
    assert page.locator("[onclick]").count() == 0
    pointing = "node => getComputedStyle(node).cursor === 'pointer' && !node.closest('.chart')"
    tags = page.evaluate(
        f"[...document.body.querySelectorAll('*')].filter({pointing}).map(node => node.tagName)"
    )
    assert set(tags) <= {"BUTTON", "A", "SUMMARY"}
    unnamed = "node => !(node.textContent.trim() || node.getAttribute('aria-label') || node.labels?.length)"
    assert (
        page.evaluate(f"[...document.querySelectorAll('button, a, input, select')].filter({unnamed}).length")
        == 0
    )
    assert page.evaluate(
        "[...document.querySelectorAll('.chart')].every(node => node.getAttribute('aria-label'))"
    )


def test_headers_sort_the_list(page: Any) -> None:
    page.click("#list thead button:has-text('F1')")
    shown = page.eval_on_selector_all(
        "#list tbody tr td:nth-child(4)", "nodes => nodes.map(n => n.textContent)"
    )
    values = [float(text) for text in shown if text != "–"]
    assert values == sorted(values, reverse=True)
    assert page.get_attribute("#list thead th >> nth=3", "aria-sort") == "descending"
    page.click("#list thead button:has-text('F1')")
    assert page.get_attribute("#list thead th >> nth=3", "aria-sort") == "ascending"


def test_dark_mode_is_switched_live(page: Any) -> None:
    colours = """() => [getComputedStyle(document.body).backgroundColor,
        document.querySelector('#levels .main-svg').style.background,
        getComputedStyle(document.querySelector('#levels .xtick text')).fill]"""
    light = page.evaluate(colours)
    page.emulate_media(color_scheme="dark")
    until(page, f"({colours})()[1] !== {json.dumps(light[1])}")
    dark = page.evaluate(colours)
    assert all(before != after for before, after in zip(light, dark, strict=True))
    assert light[0] == "rgb(255, 255, 255)"
    assert dark[0] == dark[1]
    page.emulate_media(color_scheme="light")


def test_print(page: Any) -> None:
    page.emulate_media(color_scheme="dark")
    closed = "document.querySelectorAll('details:not([open])').length"
    assert page.evaluate(closed) > 0
    page.emulate_media(media="print")
    until(page, f"{closed} === 0")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.is_visible("nav")
    assert not page.is_visible("#search")
    widths = "[...document.querySelectorAll('.chart .main-svg')].map(node => node.clientWidth)"
    assert max(page.evaluate(widths)) <= 640
    assert page.pdf(format="A4").startswith(b"%PDF")
    page.emulate_media(media="screen", color_scheme="light")
    until(page, f"{closed} > 0")


@pytest.mark.slow
def test_narrow_screens(report: Path, opened: Open) -> None:
    page = opened(report, width=360).page
    assert page.evaluate(IN_VIEW)
    page.click("summary >> nth=0")
    assert page.evaluate(IN_VIEW)
    click_slice(page, "leaf")
    until(page, "document.getElementById('panel').getBoundingClientRect().top < 100")


def test_only_our_scripts_run_and_nothing_connects(report: Path, opened: Open) -> None:
    found = opened(report)
    page = found.page
    page.evaluate(
        """() => { const node = document.createElement('script'); node.textContent = 'window.strange = 1';
        document.body.append(node); }"""
    )
    assert page.evaluate("window.strange") is None
    assert page.evaluate("fetch('https://example.org').then(() => 'reached', () => 'refused')") == "refused"
    assert len(found.errors) >= 2  # the browser says so
    found.errors.clear()
    found.requests.clear()


@pytest.mark.parametrize("missing", [("quotes",), ("outcome", "quotes", "history")])
def test_what_is_missing_is_said(tmp_path: Path, opened: Open, missing: tuple[str, ...]) -> None:
    run = made_run(tmp_path / "run", made_outcome(nasty_taxonomy(), 50))
    for name in missing:
        getattr(run, name).unlink()
    older = json.loads(run.metrics.read_text())
    for key in ("intervals", "groups", "calibration", "distance", "siblings"):
        older.pop(key, None)
    run.metrics.write_text(json.dumps(older))
    page = opened(write_report(run)).page
    notes = page.inner_text("#notes")
    assert "without intervals" in notes
    assert (f"no {run.outcome.name}" in notes) == ("outcome" in missing)
    assert (f"no {run.quotes.name}" in notes) == (missing == ("quotes",))
    assert "nothing of calibration" in page.inner_text("#calibration")
    assert all(page.evaluate(DRAWN))
    assert page.locator("#levels .chart").count() == 1
    if "history" in missing:
        assert "no epochs to draw" in page.inner_text("#learning")


@pytest.mark.slow
def test_study_page(tmp_path: Path, opened: Open) -> None:
    page = opened(write_study(tmp_path / "search" / "study.html", STUDY)).page
    assert all(page.evaluate(DRAWN))
    assert page.locator("#progress .chart").count() == 2
    assert page.locator("#settings .chart").count() == 4
    assert "0.8" in page.inner_text("#best .value")
    assert page.locator("#trials tbody tr").count() == 4
    assert NASTY in page.inner_text("#trials")
    nothing = {**STUDY, "best": None, "trials": [], "importance": {}}
    page = opened(write_study(tmp_path / "empty" / "study.html", nothing)).page
    assert "No trial has finished" in page.inner_text("#best")


@pytest.mark.slow
def test_comparison_page(tmp_path: Path, opened: Open) -> None:
    taxonomy = nasty_taxonomy()
    runs = [made_outcome(taxonomy, 150, skill=skill) for skill in (2.0, 3.0, 2.0)]
    metrics = [{"split": "test", **run.evaluate().to_json()} for run in runs]
    pairs = [compare_outcomes(runs[0], other, resamples=200) for other in runs[1:]]
    names = ["first", NASTY, "same"]
    page = opened(write_comparison(tmp_path / "compared.html", names, metrics, pairs)).page
    assert all(page.evaluate(DRAWN))
    told = page.eval_on_selector_all("#verdicts p", "nodes => nodes.map(node => node.textContent)")
    assert told[0].startswith(f"{NASTY} against first: better in micro-F1")
    assert told[1].startswith("same against first: the same decisions in all documents; equal in micro-F1")
    assert "−0.000" not in page.inner_text("#measures")
    page.focus("#search")
    page.keyboard.type("leaf")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert page.inner_text("#chosen").startswith("plants--oak--leaf: ")
    page.select_option("#pair", "1")
    assert "same has the higher F1 in 0" in page.inner_text("#wins")
    page.emulate_media(color_scheme="dark")
    until(page, "document.querySelector('#scatter .main-svg').style.background !== 'rgb(255, 255, 255)'")


@pytest.mark.slow
@pytest.mark.corpora
def test_a_run_on_reuters(shared_examples: Path, tmp_path: Path, opened: Open) -> None:
    fixed = 'decision={"threshold": {"type": "fixed", "value": 0.4}, "decoding": "max"}'
    result = train(shared_examples / "reuters-linear.json", [fixed, f"run.dir={tmp_path / 'run'}"])
    page = opened(write_report(RunFolder(tmp_path / "run"))).page
    assert all(page.evaluate(DRAWN))
    assert f"{result.metrics['micro']['f1']:.3f}" in page.inner_text("#cards")
    click_slice(page, "earn")
    until(page, "document.getElementById('panel-title').textContent === 'earn'")
    assert page.locator("#panel .main-svg").count() >= 2
    assert len(page.locator("#mistakes blockquote").first.inner_text()) > 100
