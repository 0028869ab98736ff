"""Further metrics through the whole job: the same numbers in training, in evaluation and on the terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from linnaea.commands.evaluate import evaluate
from linnaea.commands.train import train
from linnaea.errors import LinnaeaError
from tests.cli.conftest import Outcome

MODULE = '''
from pydantic import Field

from linnaea.config.outcome import MetricConfig
from linnaea.config.registry import metrics


@metrics.register("sizes_4711")
class Sizes:
    class Config(MetricConfig):
        """How many categories are decided, and how common they are."""

        factor: float = Field(1.0, gt=0)

    def __init__(self, config, *, taxonomy, support_C):
        self.factor, self.support_C = config.factor, support_C

    def __call__(self, predictions, decisions, gold):
        chosen = decisions.chosen
        return {
            "decided": self.factor * len(chosen.values) / len(chosen),
            "support": int(self.support_C[chosen.values].sum()),
            "documents": len(gold),
        }
'''


pytestmark = pytest.mark.usefixtures("clean_registries")


def with_sizes(corpus: Path, name: str = "fasttext", **settings: Any) -> Path:
    (corpus / "sizes.py").write_text(MODULE)
    value = json.loads((corpus / f"{name}.json").read_text())
    value |= {"plugins": ["sizes.py"], "evaluation": {"metrics": [{"type": "sizes_4711", **settings}]}}
    (corpus / "sized.json").write_text(json.dumps(value))
    return corpus / "sized.json"


@pytest.mark.parametrize("name", ["fasttext", "linear"])
def test_training_and_evaluation_say_the_same(name: str, corpus: Path) -> None:
    result = train(with_sizes(corpus, name, factor=2.0), ["training.epochs=2"] if name == "fasttext" else [])
    numbers = result.metrics["further"]["sizes_4711"]
    lines = (corpus / "run" / "predictions.jsonl").read_text().splitlines()
    decided = [category for line in lines for category in json.loads(line)["categories"]]
    assert numbers["documents"] == 40
    assert numbers["decided"] == pytest.approx(2.0 * len(decided) / 40)
    support = json.loads((corpus / "run" / "model" / "support.json").read_text())
    assert numbers["support"] == sum(support[category["id"]] for category in decided) > 0
    later = evaluate(corpus / "run", "test.jsonl", plugins=["sizes.py"])
    assert later["further"] == result.metrics["further"]


def test_they_are_shown_in_the_terminal(corpus: Path, linnaea: Any) -> None:
    shown: Outcome = linnaea("train", with_sizes(corpus), "--set", "training.epochs=1")
    assert shown.code == 0
    assert "sizes_4711" in shown.out
    assert "decided" in shown.out
    asked: Outcome = linnaea("evaluate", "run", "test.jsonl", "--plugin", "sizes.py", "--json")
    assert set(asked.json()["further"]["sizes_4711"]) == {"decided", "support", "documents"}


def test_a_metric_that_fails_costs_no_trained_model(corpus: Path) -> None:
    path = with_sizes(corpus)
    (corpus / "sizes.py").write_text(MODULE.replace("len(gold),", "1 / 0,"))
    with pytest.raises(LinnaeaError, match="the metric 'sizes_4711': failed: ZeroDivisionError"):
        train(path, ["training.epochs=1"])
    assert (corpus / "run" / "model" / "model.json").exists()
    assert not (corpus / "run" / "metrics.json").exists()
