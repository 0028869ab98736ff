"""What the page of a grown run says of its growth, and records of growth that are damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from linnaea.commands.report import report
from linnaea.errors import DataError
from linnaea.report.page import report_data
from linnaea.run_folder import RunFolder
from tests.references.worlds import tree
from tests.report.runs import made_outcome, made_run

TAXONOMY = tree((), (0,), (0,))


def growth(**more: Any) -> dict[str, Any]:
    taxonomy = TAXONOMY.to_json()
    files = [{"train": [f"/home/me/{name}.jsonl"], "dev": [], "test": []} for name in ("old", "new")]
    parts = [{"taxonomy": taxonomy, "renames": {}, "files": one} for one in files]
    record = {
        "format": 1,
        "model": {"path": "/home/me/runs/first/model", "digest": "d"},
        "descendants": False,
    }
    return {**record, "train_all": False, "generations": parts, **more}


def grown(path: Path, strategy: str = "linear", **more: Any) -> RunFolder:
    run = made_run(path, made_outcome(TAXONOMY, 20), strategy=strategy)
    run.growth.write_text(json.dumps(growth(**more)))
    config = json.loads(run.config.read_text())
    config["task"]["taxonomy"] = "/home/me/tax.tsv"
    run.config.write_text(json.dumps(config))
    return run


def test_a_grown_run_says_that_it_was_grown(tmp_path: Path) -> None:
    data = report_data(grown(tmp_path / "run", fitted=["c1", "c2"]))
    told = "This run was grown from first (linnaea grow): taxonomy tax.tsv, new documents new.jsonl. "
    assert data["notes"][0] == f"{told}Fitted again: c1, c2; nothing else was trained."
    text = data["headline"]["verdict"]["text"]
    assert "itself" not in text and "grown, not fitted afresh" in text and "no linear baseline" in text
    assert report_data(grown(tmp_path / "older"))["notes"][0].endswith("was not recorded.")
    assert report_data(grown(tmp_path / "names", fitted=[]))["notes"][0].endswith(
        "No category was fitted again."
    )
    many = [f"c{i}" for i in range(30)]
    assert "c11 and 18 more;" in report_data(grown(tmp_path / "many", fitted=many))["notes"][0]
    whole = report_data(grown(tmp_path / "whole", "joint", train_all=True, fitted=many))
    assert "The whole network was trained on" in whole["notes"][0]
    assert "grown" not in whole["headline"]["verdict"]["text"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"generations": "x"}, 'generations must be a list, not "x"'),
        ({"generations": [1]}, "generations[0] must be an object, not 1"),
        ({"generations": []}, "generations must be two at least"),
        ({"model": "x"}, 'model must be an object, not "x"'),
        ({"fitted": "x"}, 'fitted must be a list, not "x"'),
        ({"train_all": 1}, "train_all must be true or false, not 1"),
    ],
)
def test_a_damaged_record_of_growth_is_told(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    run = grown(tmp_path / "run", **change)
    with pytest.raises(DataError) as caught:
        report(run.path)
    hint = "grow the older model once more: linnaea grow ... --overwrite"
    assert str(caught.value) == f"{run.growth}: {told} ({hint})"
