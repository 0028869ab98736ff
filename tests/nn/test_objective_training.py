"""Trained through the commands: what the max constraint promises holds for the model that is shipped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from linnaea.commands.evaluate import evaluate
from linnaea.commands.train import train
from linnaea.model.folder import load
from linnaea.taxonomy.taxonomy import Taxonomy

IDS = ["science", "arts", "physics", "chemistry", "music", "opera", "acoustics"]
ABOVE: list[list[str]] = [
    [], [], ["science"], ["science"], ["arts"], ["music"], ["physics", "music"],
]  # fmt: skip
WORDS = {
    "physics": "quark field energy",
    "chemistry": "acid bond metal",
    "opera": "aria stage voice",
    "acoustics": "voice field echo",
    "arts": "stage metal echo",
}


def documents(count: int, seed: int) -> list[dict[str, Any]]:
    """Words that several topics share, so that a network is unsure."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        topic = str(rng.choice(list(WORDS)))
        words = rng.choice([*WORDS[topic].split(), "the", "of", "and", "one"], 5)
        made.append({"id": f"{seed}-{number}", "text": " ".join(words), "labels": [topic]})
    return made


def config(folder: Path, loss: Any, **objective: Any) -> dict[str, Any]:
    return {
        "task": {"type": "hierarchical"},
        "input": {"vocabulary": {"min_count": 1}},
        "model": {
            "embedder": {"type": "lookup", "dimension": 8},
            "encoder": "fasttext",
            "head": {"type": "linear", "bias": "zero"},
        },
        "objective": {"loss": loss, **objective},
        "training": {"epochs": 12, "batch_size": 8, "optimizer": {"type": "adam", "learning_rate": 0.02}},
        "run": {"dir": str(folder), "device": "cpu", "seed": 1},
    }


def trained(value: dict[str, Any]) -> Any:
    taxonomy = Taxonomy.build(IDS, IDS, ABOVE)
    parts = {
        name: documents(n, seed)
        for seed, (name, n) in enumerate({"train": 60, "dev": 30, "test": 40}.items())
    }
    return train(value, taxonomy=taxonomy, **parts)


THRESHOLDS = (0.3, 0.45, 0.5)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same network under cross-entropy and under the max constraint."""
    found = {}
    for loss in ("bce", "max_constraint"):
        found[loss] = tmp_path_factory.mktemp(loss) / "run"
        trained(config(found[loss], loss))
    return found


def test_no_single_threshold_contradicts_the_taxonomy(runs: dict[str, Path], tmp_path: Path):
    """Under cross-entropy some would: there a child is above its parent."""
    made, file = documents(40, 2), tmp_path / "test.jsonl"
    file.write_text("\n".join(map(json.dumps, made)), encoding="utf-8")
    inversions = {}
    for loss, run in runs.items():
        scores_NC = load(run, device="cpu").scores([row["text"] for row in made])
        parents_E, children_E = Taxonomy.build(IDS, IDS, ABOVE).edges
        inversions[loss] = int((scores_NC[:, children_E] > scores_NC[:, parents_E]).sum())
    assert inversions["bce"] > 0
    assert inversions["max_constraint"] == 0
    for at in THRESHOLDS:
        found = evaluate(runs["max_constraint"], str(file), threshold=at, device="cpu")
        assert found["coherence"]["violations"] == 0
        assert found["micro"]["recall"] > 0 or at > THRESHOLDS[0]


def test_scores_of_the_loaded_model_are_the_largest_below(runs: dict[str, Path]):
    model = load(runs["max_constraint"], device="cpu")
    texts = ["quark echo stage", "acid aria", "", "voice"]
    scores_NC = model.scores(texts)
    model.scorer.constraint = None
    own_NC = model.scores(texts)
    assert (scores_NC != own_NC).any()
    for c, below in enumerate(model.taxonomy.descendants):
        assert np.array_equal(scores_NC[:, c], own_NC[:, below].max(1))


def test_dev_is_measured_as_the_model_scores(runs: dict[str, Path], tmp_path: Path):
    """The best epoch's figure is that of the model in the folder."""
    file = tmp_path / "dev.jsonl"
    file.write_text("\n".join(map(json.dumps, documents(30, 1))), encoding="utf-8")
    lines = (runs["max_constraint"] / "history.jsonl").read_text(encoding="utf-8").splitlines()
    measured = [json.loads(line) for line in lines]
    found = evaluate(runs["max_constraint"], str(file), device="cpu")["micro"]["f1"]
    assert any(record["dev"]["micro_f1"] == pytest.approx(found, abs=1e-6) for record in measured)


@pytest.mark.parametrize(
    ("loss", "further"),
    [
        ("asymmetric", {}),
        ({"type": "class_balanced", "gamma": 1.0}, {"class_weights": "balanced"}),
        ("distribution_balanced", {"recursive_penalty": {"C": 0.5, "dag": "mean_parent", "root": True}}),
        ("zlpr", {"recursive_penalty": {"factor": 1e-4}}),
    ],
    ids=str,
)
def test_every_loss_trains_and_is_loaded(tmp_path: Path, loss: Any, further: dict[str, Any]):
    value = config(tmp_path / "run", loss, **further)
    trained(value)
    scores_NC = load(tmp_path / "run", device="cpu").scores(["quark energy field", "acid bond metal"])
    assert scores_NC[0, IDS.index("physics")] > scores_NC[1, IDS.index("physics")]
    assert scores_NC[1, IDS.index("chemistry")] > scores_NC[0, IDS.index("chemistry")]
