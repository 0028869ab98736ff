"""docs/reference: generated from docstrings and config classes, complete, in one shape, and up to date."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

from linnaea.commands.show import REGISTRIES

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    path = ROOT / "scripts" / "reference_pages.py"
    spec = importlib.util.spec_from_file_location("reference_pages", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_are_up_to_date(pages: ModuleType) -> None:
    assert pages.stale(pages.pages()) == [], "run scripts/docs"


def test_every_part_has_a_page_and_a_line(pages: ModuleType) -> None:
    assert set(pages.KEYS) == set(REGISTRIES)
    found = {str(path.relative_to(pages.FOLDER)): text for path, text in pages.pages().items()}
    for kind, parts in REGISTRIES.items():
        for name in pages.built_in(parts):
            assert f"[{name}]({kind}/{name}.md)" in found["README.md"]
            text = found[f"{kind}/{name}.md"]
            for key in parts.config(name).model_fields:
                assert f"| `{key}` |" in text
    assert len(found) == 1 + sum(len(pages.built_in(parts)) for parts in REGISTRIES.values())


def test_pages_of_networks_have_one_shape(pages: ModuleType) -> None:
    heads = ["Paper", "Formula", "Settings", "Shapes", "Cost", "When to use", "Differences", "Our result"]
    for path, text in pages.pages().items():
        if path.parent.name in pages.STRICT:
            shape = [head for head in re.findall(r"(?m)^## (.*)", text) if head != "Besides"]
            assert shape == heads, path.name


def test_keys_name_where_a_part_is_chosen(pages: ModuleType) -> None:
    from linnaea.config.config import Config

    for kind, key in pages.KEYS.items():
        part: object = Config()
        *steps, last = key.split(".")
        for step in steps:
            part = getattr(part, step)
        field = type(part).model_fields[last]  # type: ignore[attr-defined]
        assert pages.config_page.registry_of(field) is REGISTRIES[kind]


def test_sections_of_a_docstring(pages: ModuleType) -> None:
    text = """Mine: what it is,
    told at length.

    Paper: Somebody 2020,
        "A title" (https://example.org/a_b).
    Formula: y = a_1 * x
    Cost: O(T)

    A note about
    ``code``.

    Args:
        config: not for the page.

    Shape letters: B documents.
    """
    title, labelled, rest = pages.sections(text)
    assert title == "Mine: what it is, told at length."
    assert labelled == {
        "Paper": 'Somebody 2020, "A title" (https://example.org/a_b).',
        "Formula": "y = a_1 * x",
        "Cost": "O(T)",
        "Shape letters": "B documents.",
    }
    assert rest == ["A note about ``code``."]
    assert pages.prose(labelled["Paper"]) == 'Somebody 2020, "A title" (<https://example.org/a_b>).'
    assert pages.prose("of ``top_k`` and top_k [B, T].") == "Of `top_k` and top\\_k \\[B, T\\]."
    with pytest.raises(pages.Missing, match="says 'Cost' twice"):
        pages.sections("A.\n\nCost: 1\nCost: 2")


def test_a_missing_label_is_told(pages: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    from linnaea.nn.encoders import fasttext

    monkeypatch.setattr(fasttext, "__doc__", (fasttext.__doc__ or "").replace("Cost:", "Costs"))
    with pytest.raises(pages.Missing, match=r"encoders/fasttext \(fasttext\.py\): .* nothing about Cost$"):
        pages.pages()


def test_results_are_shown_as_measured(
    pages: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pages, "FOLDER", tmp_path)
    assert "Not measured by itself" in pages.pages()[tmp_path / "encoders" / "fasttext.md"]
    numbers = {"micro_f1": [0.7384, 0.004], "macro_f1": [0.41, None], "seeds": 3, "train docs/s": 12345.6}
    results = {
        "encoders": {"fasttext": {"rcv1-sample": numbers, "reuters21578": {"micro_f1": [0.887, 0.001]}}}
    }
    (tmp_path / "results.json").write_text(json.dumps(results))
    text = pages.pages()[tmp_path / "encoders" / "fasttext.md"]
    assert text.endswith(
        "## Our result\n\n"
        "| corpus | micro-F1 | macro-F1 | seeds | train docs/s |\n|---|---|---|---|---|\n"
        "| rcv1-sample | 0.738 ± 0.004 | 0.410 | 3 | 12,346 |\n| reuters21578 | 0.887 ± 0.001 |  |  |  |\n"
    )


def test_pages_of_parts_that_are_gone_are_stale(
    pages: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "FOLDER", tmp_path)
    monkeypatch.setattr("sys.argv", ["reference_pages.py"])
    assert pages.main() == 0
    assert pages.stale(pages.pages()) == []
    (tmp_path / "encoders" / "gone.md").write_text("old")
    (tmp_path / "README.md").write_text("changed")
    assert pages.stale(pages.pages()) == [tmp_path / "README.md", tmp_path / "encoders" / "gone.md"]
    monkeypatch.setattr("sys.argv", ["reference_pages.py", "--check"])
    assert pages.main() == 1
    monkeypatch.setattr("sys.argv", ["reference_pages.py"])
    assert pages.main() == 0
    assert pages.stale(pages.pages()) == []
    for page in tmp_path.rglob("*.md"):
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                outside = target in ("../config.md", "../../results.md")
                assert outside or (page.parent / target).exists(), f"{page.name}: {target}"
