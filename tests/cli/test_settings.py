"""Settings that act across parts, from the command line to the model folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import write_lines

Call = Callable[..., "object"]
TUNED = 'decision.threshold={"type": "per_category", "on": "%s"}'


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    ("name", "decision"),
    [
        ("textcnn", ["decision.threshold.value=0.001"]),
        ("fasttext", [TUNED % "dev"]),
        ("fasttext", [TUNED % "cross", "decision.threshold.folds=2", "training.epochs=2"]),
        ("linear", ["decision.threshold=fixed", "decision.threshold.value=0.001", "decision.decoding=none"]),
        ("linear", [TUNED % "dev", "decision.decoding=none"]),
        ("linear", [TUNED % "cross"]),
    ],
)
def test_scores_that_are_not_kept_are_not_decided(
    name: str, decision: list[str], corpus: Path, linnaea: Call
) -> None:
    settings = [part for text in ("evaluation.keep=2", *decision) for part in ("--set", text)]
    trained = linnaea("train", f"{name}.json", *settings, "--json")
    assert trained.code == 0, trained.err
    metrics = trained.json()
    resolved = json.loads((corpus / "run" / "config.json").read_text())
    assert resolved["decision"]["top_k"] == resolved["evaluation"]["keep"] == 2
    assert metrics["average_precision"]["kept"] is True
    decided = [len(row["categories"]) for row in lines(corpus / "run" / "predictions.jsonl")]
    if resolved["decision"]["decoding"]["type"] == "none":
        assert max(decided) == 2
    if name != "linear":
        epochs = lines(corpus / "run" / "history.jsonl")
        assert all(0 <= epoch["dev"]["micro_f1"] <= 1 for epoch in epochs if epoch.get("dev"))

    evaluated = linnaea("evaluate", "run", "test.jsonl", "--json")
    assert evaluated.code == 0, evaluated.err
    of_the_run = ("split", "baseline")
    assert evaluated.json() == {key: value for key, value in metrics.items() if key not in of_the_run}
    predicted = linnaea("predict", "run", "test.jsonl")
    assert predicted.code == 0, predicted.err
    assert [len(json.loads(line)["categories"]) for line in predicted.out.splitlines()] == decided


def test_a_cap_above_what_is_kept_is_refused(corpus: Path, linnaea: Call) -> None:
    outcome = linnaea("train", "linear.json", "--set", "evaluation.keep=2", "--set", "decision.top_k=3")
    assert outcome.code == 2
    assert "decision.top_k" in outcome.err and "evaluation.keep" in outcome.err
    assert not (corpus / "run").exists()


def test_the_ranks_of_a_run_are_those_of_its_model(corpus: Path, linnaea: Call) -> None:
    trained = linnaea("train", "linear.json", "--set", "evaluation.ranks=[4, 2]", "--json")
    ranking = trained.json()["ranking"]
    assert set(ranking) == {"precision@2", "precision@4", "r_precision", "ndcg@4"}
    assert linnaea("evaluate", "run", "test.jsonl", "--json").json()["ranking"] == ranking


def test_a_resolved_config_of_a_linear_run_is_read_again(corpus: Path, linnaea: Call) -> None:
    first = linnaea("train", "linear.json", "--json")
    again = linnaea("train", corpus / "run" / "config.json", "--set", "run.dir=again", "--json")
    assert again.code == 0, again.err
    assert again.json() == first.json()
    for setting in ("run.devices=2", "run.deterministic=true"):
        refused = linnaea("train", corpus / "run" / "config.json", "--set", setting, "--set", "run.dir=c")
        assert refused.code == 2
        assert f"{setting.split('=')[0]}: does nothing under the strategy 'linear'" in refused.err


def test_parts_without_a_type(corpus: Path, linnaea: Call) -> None:
    config = json.loads((corpus / "fasttext.json").read_text())
    del config["training"]["optimizer"]
    (corpus / "bare.json").write_text(json.dumps(config))
    settings = (
        "training.optimizer.learning_rate=0.02",
        "model.head.dropout=0",
        "decision.threshold.value=0.4",
    )
    done = linnaea("train", "bare.json", *(part for text in settings for part in ("--set", text)))
    assert done.code == 0, done.err
    resolved = json.loads((corpus / "run" / "config.json").read_text())
    assert resolved["model"]["head"] == {"type": "linear", "dropout": 0, "bias": "prior"}
    assert resolved["decision"]["threshold"] == {"type": "fixed", "value": 0.4}
    assert resolved["training"]["optimizer"]["type"] == "adam"
    assert resolved["training"]["optimizer"]["learning_rate"] == 0.02


def test_a_recursive_penalty_needs_edges(corpus: Path, linnaea: Call) -> None:
    penalty = ("--set", "objective.recursive_penalty=0.001")
    (corpus / "level.tsv").write_text("Root\tcats\tdogs\n")
    for name in ("train", "dev", "test"):
        rows = [{"text": f"{word} purr", "doc_label": [word]} for word in ("cats", "dogs") for _ in range(9)]
        write_lines(corpus / f"flat-{name}.jsonl", rows)
    flat = [f"data.{name}=flat-{name}.jsonl" for name in ("train", "dev", "test")]
    for taxonomy, told in (
        ("null", "the labels of train are no paths (set task.taxonomy"),
        ("level.tsv", "this one has a single level (leave it out)"),
    ):
        settings = [part for text in (*flat, f"task.taxonomy={taxonomy}") for part in ("--set", text)]
        refused = linnaea("train", "fasttext.json", *settings, *penalty)
        assert refused.code == 2, refused.err
        assert "objective.recursive_penalty: needs a taxonomy with edges; " + told in refused.err
    # Paths bring their edges along.
    paths = ("--set", "task.taxonomy=null", "--set", "run.dir=paths", "--set", "training.epochs=1")
    assert linnaea("train", "fasttext.json", *penalty, *paths).code == 0


def test_a_flat_model_with_a_recursive_penalty_can_be_loaded(corpus: Path, linnaea: Call) -> None:
    settings = ("task.type=multilabel", "objective.recursive_penalty=0.001", "training.epochs=1")
    flags = [part for text in settings for part in ("--set", text)]
    assert linnaea("train", "fasttext.json", *flags).code == 0
    predicted = linnaea("predict", "run", "test.jsonl")
    assert predicted.code == 0, predicted.err


def test_descriptions_are_plain_text(linnaea: Call) -> None:
    listed = linnaea("list").out
    assert "final" in listed
    assert "``" not in listed
    assert "``" not in linnaea("list", "--json").out
    assert "``" not in linnaea("schema").out
