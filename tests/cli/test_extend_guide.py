"""docs/extend.md: its files are written out, its commands given, its test run, its package installed."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from linnaea.config.registry import encoders, metrics
from linnaea.testing import check_embedder, check_head, check_loss, check_metric, check_tokenizer
from tests.cli.conftest import Outcome
from tests.cli.test_plugins import in_a_process, installed

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "extend.md").read_text(encoding="utf-8")
FILES = {
    name: block
    for name, _, block in re.findall(r"\*\*`([\w.]+)`\*\*\n\n```(\w+)\n(.*?)```", TEXT, flags=re.S)
}
COMMANDS = [
    line for block in re.findall(r"```bash\n(.*?)```", TEXT, flags=re.S) for line in block.splitlines()
]

pytestmark = pytest.mark.usefixtures("clean_registries")


@pytest.fixture
def guide(corpus: Path) -> Path:
    """A folder with everything that the page shows, and a corpus."""
    for name, text in FILES.items():
        (corpus / name).write_text(text)
    (corpus / "documents.txt").write_text("meow purr\noak leaf\n")
    return corpus


def test_the_page_shows_what_it_says() -> None:
    assert len(FILES["gated_mean.py"].splitlines()) <= 40
    assert {"gated.json", "test_gated_mean.py", "all.json"} <= set(FILES)
    assert len(COMMANDS) == 4
    assert set(re.findall(r"check_(\w+)", TEXT)) == {
        "encoder",
        "embedder",
        "head",
        "loss",
        "tokenizer",
        "metric",
    }


def test_the_encoder_is_listed_trained_evaluated_and_asked(
    guide: Path, linnaea: Callable[..., Outcome]
) -> None:
    answers = {}
    for command in COMMANDS:
        program, *arguments = shlex.split(command)
        assert program == "linnaea"
        answers[arguments[0]] = linnaea(*arguments)
    assert [(name, done.code) for name, done in answers.items()] == [
        ("list", 0), ("train", 0), ("evaluate", 0), ("predict", 0),
    ]  # fmt: skip
    assert re.search(r"gated_mean +The mean over time .*gated_mean\.py\]", answers["list"].out)
    assert [json.loads(line)["id"] for line in answers["predict"].out.splitlines()] == ["0", "1"]
    scores = json.loads((guide / "runs" / "gated" / "metrics.json").read_text())
    assert all(level["micro_f1"] > 0.5 for level in scores["levels"])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("model.encoder.width=0", "model.encoder.width: must be at least 1, not 0"),
        ('model.encoder={"type": "gated_mean", "widht": 16}', "unknown key (did you mean 'width'?)"),
    ],
)
def test_its_settings_are_checked(
    setting: str, message: str, guide: Path, linnaea: Callable[..., Outcome]
) -> None:
    outcome = linnaea("train", "gated.json", "--set", setting)
    assert outcome.code == 2
    assert message in outcome.err


def test_its_test_passes(guide: Path) -> None:
    place: dict[str, object] = {"__name__": "test_gated_mean", "__file__": str(guide / "test_gated_mean.py")}
    exec(compile(FILES["test_gated_mean.py"], "test_gated_mean.py", "exec"), place)
    test = place["test_gated_mean"]
    assert callable(test)
    test()
    assert encoders.origin("gated_mean") == str((guide / "gated_mean.py").resolve())


def test_the_other_kinds_work_together(guide: Path, linnaea: Callable[..., Outcome]) -> None:
    trained = linnaea("train", "all.json", "--json")
    assert trained.code == 0, trained.err
    assert set(trained.json()["further"]["rare_recall"]) == {"recall", "categories"}
    plugins = [flag for name in json.loads(FILES["all.json"])["plugins"] for flag in ("--plugin", name)]
    assert (
        linnaea("evaluate", "runs/all", "test.jsonl", "--json", *plugins).json()["further"]
        == trained.json()["further"]
    )


def test_the_other_kinds_hold_to_the_rules(guide: Path) -> None:
    from linnaea.testing import load_plugin

    for name in json.loads(FILES["all.json"])["plugins"]:
        load_plugin(name, guide)
    check_tokenizer("word_starts", {"letters": 2})
    check_metric("rare_recall", {"most": 5})
    check_loss("smoothed", {"by": 0.1})
    check_head("bottleneck")
    check_embedder("factored", {"inner": 4})
    assert metrics.origin("rare_recall") == str((guide / "rare_recall.py").resolve())


@pytest.mark.slow
def test_the_package_is_found(guide: Path) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", TEXT, flags=re.S)
    groups = tomllib.loads(block)["project"]["entry-points"]
    site = installed(guide / "site", "gated-mean", {"gated_mean": FILES["gated_mean.py"]}, groups)
    value = json.loads(FILES["gated.json"])
    del value["plugins"]
    (guide / "installed.json").write_text(json.dumps(value))
    trained = in_a_process("train", "installed.json", cwd=guide, python_path=site)
    assert trained.code == 0, trained.err
    listed = in_a_process("list", "encoders", cwd=guide, python_path=site)
    assert "[gated-mean 1.2]" in listed.out
