"""The main job from the command line: train, evaluate, predict, and what each leaves behind."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import linnaea as api
from linnaea import __version__

Call = Callable[..., "object"]
METRICS = {
    "documents", "micro", "macro", "samples", "subset_accuracy", "hamming_loss", "hierarchical", "levels", "ranking",
    "average_precision", "coherence", "categories",
}  # fmt: skip


@pytest.mark.parametrize("name", ["textcnn", "fasttext", "linear"])
def test_train_evaluate_predict(name: str, corpus: Path, linnaea: Call) -> None:
    trained = linnaea("train", f"{name}.json", "--json")
    assert trained.code == 0, trained.err
    metrics = trained.json()
    assert set(metrics) >= METRICS
    assert metrics["documents"] == 40
    assert metrics["micro"]["f1"] > 0.8
    run = corpus / "run"
    assert json.loads((run / "metrics.json").read_text()) == metrics
    assert json.loads((run / "config.json").read_text())["task"]["type"] == "hierarchical"

    evaluated = linnaea("evaluate", "run", "test.jsonl", "--json")
    assert evaluated.code == 0, evaluated.err
    of_the_run = ("split", "baseline")
    assert evaluated.json() == {key: value for key, value in metrics.items() if key not in of_the_run}

    (corpus / "lines.txt").write_text(
        "meow purr kitten meow\n\nbark fetch puppy wag leash\n", encoding="utf-8"
    )
    predicted = linnaea("predict", "run/model", "lines.txt")
    assert predicted.code == 0, predicted.err
    answers = [json.loads(line) for line in predicted.out.splitlines()]
    assert [a["id"] for a in answers] == ["0", "1", "2"]
    assert set(answers[0]) == {"id", "categories"}
    first = answers[0]["categories"]
    assert {"animals", "cats"} <= {c["id"] for c in first}
    assert {"id", "name", "path", "score"} <= set(first[0])
    assert {c["path"] for c in first} >= {"animals--cats"}
    assert all(0 <= c["score"] <= 1 for c in first)


def test_predictions_file_holds_every_test_document(corpus: Path, linnaea: Call) -> None:
    assert linnaea("train", "fasttext.json").code == 0
    rows = [json.loads(line) for line in (corpus / "run" / "predictions.jsonl").read_text().splitlines()]
    assert [r["id"] for r in rows] == [f"d{i}" for i in range(40)]
    told = [json.loads(line)["doc_label"] for line in (corpus / "test.jsonl").read_text().splitlines()]
    for row, labels in zip(rows, told, strict=True):
        assert set(row["gold"]) == {name for label in labels for name in label.split("--")}


def test_model_stands_alone(corpus: Path, linnaea: Call, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The model folder works without run, corpus or config."""
    assert linnaea("train", "textcnn.json").code == 0
    expected = linnaea("predict", "run", "test.jsonl").out
    away = tmp_path_factory.mktemp("away") / "m"
    shutil.copytree(corpus / "run" / "model", away)
    test = (corpus / "test.jsonl").read_bytes()
    for path in list(corpus.iterdir()):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (corpus / "t.jsonl").write_bytes(test)
    assert linnaea("predict", away, "t.jsonl").out == expected


def test_predict_options(corpus: Path, linnaea: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    assert linnaea("train", "linear.json").code == 0
    one = linnaea("predict", "run", "test.jsonl", "--top-k", "1")
    assert one.code == 0, one.err
    everything = [
        json.loads(line) for line in linnaea("predict", "run", "test.jsonl", "--all").out.splitlines()
    ]
    assert all(len(a["categories"]) == 5 for a in everything)
    assert all({"decided"} <= set(c) for a in everything for c in a["categories"])
    scores = [[c["score"] for c in a["categories"]] for a in everything]
    assert all(row == sorted(row, reverse=True) for row in scores)
    none = [
        json.loads(line)
        for line in linnaea("predict", "run", "test.jsonl", "--threshold", "1").out.splitlines()
    ]
    assert sum(len(a["categories"]) for a in none) < sum(len(a["categories"]) for a in everything)
    assert linnaea("predict", "run", "test.jsonl", "--output", "answers.jsonl").out == ""
    assert (corpus / "answers.jsonl").read_text() == linnaea("predict", "run", "test.jsonl").out
    assert linnaea("predict", "run", "test.jsonl", "--threshold", "1.5").code == 2
    assert linnaea("predict", "run", "test.jsonl", "--top-k", "0").code == 2

    stdin = io.TextIOWrapper(io.BytesIO((corpus / "test.jsonl").read_bytes()), encoding="utf-8")
    monkeypatch.setattr(sys, "stdin", stdin)
    assert linnaea("predict", "run", "-").out == (corpus / "answers.jsonl").read_text()


def test_a_broken_line_spoils_only_itself(corpus: Path, linnaea: Call) -> None:
    assert linnaea("train", "linear.json").code == 0
    (corpus / "mixed.jsonl").write_text(
        '{"text": "meow purr"}\n{"text": \n{"text": "bark wag"}\n', encoding="utf-8"
    )
    stopped = linnaea("predict", "run", "mixed.jsonl", "--output", "out.jsonl")
    assert stopped.code == 3
    assert "mixed.jsonl:2" in stopped.err
    assert not (corpus / "out.jsonl").exists()
    skipped = linnaea("predict", "run", "mixed.jsonl", "--on-error", "skip")
    assert skipped.code == 0
    assert len(skipped.out.splitlines()) == 2
    assert "left out 1" in skipped.err


def test_run_folder_is_not_overwritten(corpus: Path, linnaea: Call) -> None:
    assert linnaea("train", "linear.json").code == 0
    before = (corpus / "run" / "model" / "model.json").read_bytes()
    again = linnaea("train", "linear.json")
    assert again.code == 2
    assert "--overwrite" in again.err
    assert (corpus / "run" / "model" / "model.json").read_bytes() == before
    resumed = linnaea("train", "linear.json", "--resume", "--json")
    assert resumed.code == 0
    assert resumed.json() == json.loads((corpus / "run" / "metrics.json").read_text())
    other = linnaea("train", "linear.json", "--resume", "--set", "run.seed=5")
    assert other.code == 2
    assert "run" in other.err
    assert linnaea("train", "linear.json", "--overwrite").code == 0


def test_without_test_documents(corpus: Path, linnaea: Call) -> None:
    """Never a score on documents that the model was fitted on."""
    network = linnaea("train", "fasttext.json", "--set", "data.test=null", "--set", "run.dir=a", "--json")
    assert network.json()["split"] == "dev"
    assert network.json()["documents"] == 40
    crossed = linnaea("train", "linear.json", "--set", "data.test=null", "--set", "run.dir=b", "--json")
    assert crossed.json()["split"] == "cross"
    assert crossed.json()["documents"] == 200
    fixed = {"threshold": "fixed", "decoding": "none"}
    fixed_run = linnaea(
        "train",
        "linear.json",
        "--set",
        "data.test=null",
        "--set",
        "run.dir=c",
        "--set",
        f"decision={json.dumps(fixed)}",
    )
    assert fixed_run.code == 0, fixed_run.err
    measured = json.loads((corpus / "c" / "metrics.json").read_text())
    assert (measured["split"], measured["documents"]) == (
        "cross",
        200,
    )  # out of fold, though nothing is tuned
    assert json.loads((corpus / "c" / "model" / "model.json").read_text())["facts"]["fitted_documents"] == 200
    assert linnaea("predict", "c", "test.jsonl").code == 0


def test_set_and_resolved_config(corpus: Path, linnaea: Call) -> None:
    done = linnaea(
        "train",
        "fasttext.json",
        "--set",
        "training.epochs=1",
        "--set",
        "run.dir=other",
        "--set",
        "task.closure=none",
    )
    assert done.code == 0, done.err
    resolved = json.loads((corpus / "other" / "config.json").read_text())
    assert resolved["training"]["epochs"] == 1
    assert resolved["task"]["closure"] == "none"
    assert resolved["objective"]["loss"] == {"type": "bce"}
    assert Path(resolved["data"]["train"]).is_absolute()
    history = [json.loads(line) for line in (corpus / "other" / "history.jsonl").read_text().splitlines()]
    assert len(history) == 1
    assert (corpus / "other" / "config.json").exists()
    assert linnaea("train", corpus / "other" / "config.json", "--set", "run.dir=again").code == 0


def test_max_ranks_by_the_scores_it_decides_on(corpus: Path, linnaea: Call) -> None:
    """Average precision under ``max`` is that of the printed scores, as scikit-learn counts it."""
    import numpy as np
    from sklearn.metrics import average_precision_score

    metrics = linnaea("train", "linear.json", "--json").json()
    gold = [
        json.loads(line)["gold"] for line in (corpus / "run" / "predictions.jsonl").read_text().splitlines()
    ]
    model = api.load("run")
    answers = [json.loads(line) for line in linnaea("predict", "run", "test.jsonl", "--all").out.splitlines()]
    scores_NC = np.zeros((len(gold), len(model.taxonomy)))
    gold_NC = np.zeros_like(scores_NC)
    for row, answer in enumerate(answers):
        for category in answer["categories"]:
            scores_NC[row, model.taxonomy.index[category["id"]]] = category["score"]
        gold_NC[row, [model.taxonomy.index[name] for name in gold[row]]] = 1
    expected = average_precision_score(gold_NC.ravel(), scores_NC.ravel())
    assert metrics["average_precision"]["micro"] == pytest.approx(expected, abs=1e-4)
    parents = model.taxonomy.parents
    for column in range(len(model.taxonomy)):
        for parent in parents[column]:
            assert (scores_NC[:, parent] >= scores_NC[:, column]).all()


@pytest.mark.slow
def test_torchrun_leaves_one_run_folder(corpus: Path) -> None:
    """Two processes train together; the second neither writes nor refuses the first one's folder."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "linnaea",
    ]
    done = subprocess.run(
        [*command, "train", "fasttext.json", "--set", "training.epochs=2"],
        capture_output=True, text=True, cwd=corpus, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len((corpus / "run" / "history.jsonl").read_text().splitlines()) == 2
    assert done.stdout.count("\nmicro ") == 1
    again = subprocess.run(
        [*command, "train", "fasttext.json"], capture_output=True, text=True, cwd=corpus, env=environment
    )
    assert again.returncode != 0
    assert "exists already" in again.stderr


def test_table_and_tree(corpus: Path, linnaea: Call) -> None:
    trained = linnaea("train", "linear.json")
    assert "level" in trained.out
    assert "micro" in trained.out
    tree = linnaea("taxonomy", "linear.json")
    assert tree.code == 0
    assert "cats" in tree.out
    assert linnaea("taxonomy", "run").code == 0
    assert linnaea("taxonomy", "taxonomy.tsv", "--json").json()


def test_check(corpus: Path, linnaea: Call) -> None:
    good = linnaea("check", "textcnn.json")
    assert good.code == 0, good.err
    with (corpus / "train.jsonl").open("a") as file:
        file.write('{"text": "x", "doc_label": ["animals--horses"]}\n{"text": 3, "doc_label": []}\n')
    bad = linnaea("check", "textcnn.json")
    assert bad.code == 3
    told = bad.out + bad.err
    assert "train.jsonl:161" in told
    assert "train.jsonl:162" in told


def test_schema_list_version_help(linnaea: Call) -> None:
    assert linnaea("schema").json()["properties"]["model"]
    assert "textcnn" in linnaea("list", "encoders").out
    assert linnaea("list", "encoderz").code == 2
    assert linnaea("--version").out.strip() == f"linnaea {__version__}"
    told = linnaea("--help")
    assert told.code == 0
    assert "train" in told.out


def test_python_api(corpus: Path) -> None:
    rows = [json.loads(line) for line in (corpus / "train.jsonl").read_text().splitlines()]
    test = [json.loads(line) for line in (corpus / "test.jsonl").read_text().splitlines()]
    result = api.train(
        {
            "model": {"embedder": {"type": "lookup", "dimension": 16}, "encoder": "fasttext"},
            "training": {"epochs": 5, "optimizer": {"type": "adam", "learning_rate": 0.02}},
            "run": {"dir": "from-python"},
        },
        taxonomy=api.read_taxonomy(corpus / "taxonomy.tsv"),
        train=rows,
        test=test,
    )
    assert result.metrics["micro"]["f1"] > 0.7
    model = api.load("from-python")
    answers = list(model.predict(["meow purr kitten", {"text": "oak leaf branch"}]))
    assert "cats" in {c.id for c in answers[0].categories}
    assert list(api.predict(model, ["meow purr kitten"])) == [answers[0]]
    assert api.evaluate(model, test).to_json()["micro"] == result.metrics["micro"]
    scores = model.scores(["meow", "oak"])
    assert scores.shape == (2, 5)


def test_jobs_side_by_side_under_a_scheduler(
    corpus: Path, linnaea: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scheduler's task number alone makes no helper of a run: each is a run of its own."""
    monkeypatch.setenv("SLURM_PROCID", "3")
    assert linnaea("train", "linear.json").code == 0
    assert (corpus / "run" / "metrics.json").exists()


def test_threshold_means_nothing_where_the_best_is_taken(corpus: Path, linnaea: Call) -> None:
    rows = [
        {"text": "meow purr" if i % 2 else "oak leaf", "doc_label": ["cats" if i % 2 else "trees"]}
        for i in range(40)
    ]
    for name in ("train", "dev", "test"):
        (corpus / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    multiclass = ("--set", "task.type=multiclass", "--set", "training.epochs=2")
    assert linnaea("train", "fasttext.json", *multiclass).code == 0
    refused = linnaea("predict", "run", "test.jsonl", "--threshold", "0.9")
    assert refused.code == 2
    assert "multiclass" in refused.err


def test_scores_beyond_what_is_kept(corpus: Path, linnaea: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only the best scores fit, the run ends well, says so, and the model is there."""
    import linnaea.strategies.base as base

    monkeypatch.setattr(base, "DENSE_SCORES", 10)
    monkeypatch.setattr(base, "KEPT", 2)
    fixed = json.dumps({"threshold": {"type": "fixed", "value": 0.3}})
    done = linnaea("train", "linear.json", "--set", f"decision={fixed}", "--json")
    assert done.code == 0, done.err
    assert "only the best 2 scores" in done.err
    assert linnaea("evaluate", "run", "test.jsonl", "--json").json()["micro"] == done.json()["micro"]
