"""A tiny corpus on disk, and the command line called in this process."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from linnaea.cli.main import main

TAXONOMY = "Root\tanimals\tplants\nanimals\tcats\tdogs\nplants\ttrees\n"
WORDS = {
    "animals--cats": "purr meow whiskers kitten claws",
    "animals--dogs": "bark wag fetch puppy leash",
    "plants--trees": "oak leaf branch bark root",
    "plants": "green garden soil water flower",
}


@dataclass
class Outcome:
    """What a command left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def linnaea(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Call ``linnaea ARGUMENTS`` in this process, as the installed command would."""

    def call(*arguments: str | Path) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["linnaea", *map(str, arguments)])
        code = 0
        capsys.readouterr()
        try:
            main()
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else 0 if leaving.code is None else 1
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return Outcome(code, out, err)

    return call


def documents(count: int, seed: int) -> list[dict[str, Any]]:
    """Documents whose words give their label away."""
    draw = random.Random(seed)
    rows = []
    for i in range(count):
        labels = draw.sample(list(WORDS), k=draw.choice([1, 1, 1, 2]))
        words = [w for label in labels for w in draw.choices(WORDS[label].split(), k=6)]
        draw.shuffle(words)
        rows.append({"id": f"d{i}", "text": " ".join(words), "doc_label": labels})
    return rows


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with taxonomy, splits and three configs; it is the current folder too."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taxonomy.tsv").write_text(TAXONOMY, encoding="utf-8")
    for name, count, seed in (("train", 160, 1), ("dev", 40, 2), ("test", 40, 3)):
        write_lines(tmp_path / f"{name}.jsonl", documents(count, seed))
    base: dict[str, Any] = {
        "task": {"type": "hierarchical", "taxonomy": "taxonomy.tsv"},
        "data": {name: f"{name}.jsonl" for name in ("train", "dev", "test")},
        "input": {"max_tokens": 32},
        "model": {
            "embedder": {"type": "lookup", "dimension": 16},
            "encoder": {"type": "textcnn", "filters": 16},
        },
        "training": {"epochs": 6, "batch_size": 16, "optimizer": {"type": "adam", "learning_rate": 0.01}},
        "run": {"dir": "run", "seed": 1, "device": "cpu"},
    }
    fasttext = {**base, "model": {"embedder": {"type": "lookup", "dimension": 16}, "encoder": "fasttext"}}
    linear = {key: base[key] for key in ("task", "data", "run")} | {
        "training": {"strategy": {"type": "linear"}},
        "decision": {"threshold": {"type": "per_category", "aim": "both", "on": "cross"}, "decoding": "max"},
    }
    for name, value in (("textcnn", base), ("fasttext", fasttext), ("linear", linear)):
        (tmp_path / f"{name}.json").write_text(json.dumps(value), encoding="utf-8")
    return tmp_path
