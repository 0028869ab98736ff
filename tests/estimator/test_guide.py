"""The examples of docs/python.md, as they stand there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.mark.slow
def test_the_examples_of_the_guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "python.md").read_text()
    section = guide.partition("## With scikit-learn")[2].partition("\n## ")[0]
    first, second = (block.partition("```")[0] for block in section.split("```python\n")[1:])
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(first, names)
    classifier, asked = names["classifier"], ["a quark in a field"]
    assert f"# {classifier.predict(asked)}\n" in first
    assert f"# {list(classifier.predict_proba(asked).shape)}, columns as" in first
    assert (tmp_path / "model" / "model.json").is_file()
    exec(second, names)
    assert names["search"].best_score_ == 1
