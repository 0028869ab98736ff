"""Evaluation as a whole: the shape of metrics.json, its numbers, and the few that training watches."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score

from linnaea.config.outcome import DecisionConfig, EvaluationConfig
from linnaea.config.task import TaskConfig
from linnaea.decision.decider import Decider
from linnaea.decision.thresholds import fit_decider
from linnaea.errors import UsageError
from linnaea.metrics.evaluate import evaluate, training_metrics
from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy
from tests.references.worlds import flat, predictions, random_world, tree

TREE = tree((), (), (0,), (0,), (1,), (4,))


def made(taxonomy: Taxonomy = TREE, seed: int = 0, **decision: object) -> tuple:
    scores, gold = random_world(np.random.default_rng(seed), 40, taxonomy)
    config = DecisionConfig.read(decision)
    support = gold.sum(axis=0)
    rows = Ragged.from_dense(gold)
    decider = fit_decider(config, TaskConfig(), scores, rows, support, taxonomy)
    return scores, decider.decide(scores), rows, gold


def test_shape_of_metrics_json() -> None:
    scores, decisions, gold, _ = made()
    value = evaluate(scores, decisions, gold).to_json()
    assert list(value) == [
        "documents", "micro", "macro", "samples", "subset_accuracy", "hamming_loss", "hierarchical", "levels",
        "ranking", "average_precision", "coherence", "calibration", "distance", "siblings", "intervals", "categories",
    ]  # fmt: skip
    assert list(value["micro"]) == list(value["hierarchical"]) == ["precision", "recall", "f1"]
    assert list(value["macro"]) == ["precision", "recall", "f1", "f1_of_averages", "present_f1"]
    assert [list(row) for row in value["levels"]] == [["level", "categories", "micro_f1", "macro_f1"]] * 3
    assert list(value["ranking"]) == ["precision@1", "precision@3", "precision@5", "r_precision", "ndcg@5"]
    assert list(value["average_precision"]) == ["micro", "macro"]
    assert list(value["coherence"]) == ["documents_with_violations", "violations"]
    assert [row["id"] for row in value["categories"]] == list(TREE.ids)
    assert all(
        list(row) == ["id", "support", "precision", "recall", "f1", "threshold"]
        for row in value["categories"]
    )
    assert list(value["calibration"]) == ["ece", "classwise_ece", "brier", "levels", "bins"]
    assert list(value["calibration"]["bins"][0]) == ["from", "to", "pairs", "mean_score", "share"]
    assert list(value["distance"]) == ["error", "decided", "missed"]
    assert list(value["siblings"]) == ["pairs", "between_siblings", "confusions"]
    assert json.loads(json.dumps(value, allow_nan=False)) == value
    short = evaluate(scores, decisions, gold).to_json(intervals=False)
    assert short == {key: part for key, part in value.items() if key != "intervals"}
    support_C = np.array([200, 50, 30, 0, 3, 1])
    rows = evaluate(scores, decisions, gold, support_C=support_C).to_json(intervals=False)["groups"]
    assert [row["group"] for row in rows] == ["head", "middle", "tail", "unseen"]
    keys = ["group", "categories", "support_from", "support_to", "micro_f1", "macro_f1"]
    assert all(list(row) == keys for row in rows)


def test_numbers_come_from_the_right_sets() -> None:
    scores, decisions, gold, matrix = made(threshold={"type": "fixed", "value": 0.4})
    value = evaluate(scores, decisions, gold).to_json()
    chosen = scores.scores >= 0.4
    assert value["documents"] == 40
    assert value["micro"]["f1"] == pytest.approx(f1_score(matrix, chosen, average="micro"))
    assert value["macro"]["f1"] == pytest.approx(f1_score(matrix, chosen, average="macro"))
    closed = TREE.close(decisions.chosen).dense(6)
    assert closed.sum() > chosen.sum()
    assert value["hierarchical"]["f1"] == pytest.approx(f1_score(matrix, closed, average="micro"))
    assert value["average_precision"]["macro"] == pytest.approx(
        average_precision_score(matrix, scores.scores, average="macro")
    )
    missing = closed & ~chosen
    assert 0 < value["coherence"]["documents_with_violations"] <= missing.any(axis=1).sum()
    assert [row["support"] for row in value["categories"]] == matrix.sum(axis=0).tolist()
    assert {row["threshold"] for row in value["categories"]} == {0.4}


def test_coherent_decisions_have_no_violations() -> None:
    for decoding in ("ancestors", "top_down", "max"):
        scores, decisions, gold, _ = made(threshold="per_category", decoding=decoding)
        coherence = evaluate(scores, decisions, gold).to_json()["coherence"]
        assert coherence == {"documents_with_violations": 0, "violations": 0}


def test_closure_path_needs_one_parent_only() -> None:
    taxonomy = tree((), (), (0, 1))
    decisions = Decider(taxonomy, np.full(3, 0.5)).decide(predictions([[0.9, 0.1, 0.9]], taxonomy))
    gold = Ragged.from_rows([[0, 2]])
    scores = predictions([[0.9, 0.1, 0.9]], taxonomy)
    counted = {
        closure: evaluate(scores, decisions, gold, closure=closure).to_json()["coherence"]["violations"]  # type: ignore[arg-type]
        for closure in ("ancestors", "path")
    }
    assert counted == {"ancestors": 1, "path": 0}


def test_ranks_come_from_the_config() -> None:
    scores, decisions, gold, _ = made()
    value = evaluate(scores, decisions, gold, EvaluationConfig(ranks=[2, 100])).to_json()
    assert list(value["ranking"]) == ["precision@2", "precision@100", "r_precision", "ndcg@100"]


def test_a_category_that_is_never_decided_has_no_threshold() -> None:
    taxonomy = flat(2)
    scores = predictions([[0.9, 0.9]], taxonomy)
    decisions = Decider(taxonomy, np.array([0.5, np.inf])).decide(scores)
    rows = evaluate(scores, decisions, Ragged.from_rows([[0, 1]])).to_json()["categories"]
    assert [row["threshold"] for row in rows] == [0.5, None]
    assert [row["f1"] for row in rows] == [1.0, 0.0]


def test_sparse_is_dense_and_says_so() -> None:
    scores, decisions, gold, _ = made()
    sparse = predictions(scores.scores, TREE, sparse=True)
    dense, kept = (evaluate(s, decisions, gold).to_json() for s in (scores, sparse))
    assert kept["average_precision"].pop("kept") is True
    assert dense["average_precision"] == pytest.approx(kept["average_precision"])
    assert dense == {**kept, "average_precision": dense["average_precision"]}


def test_one_category_and_no_documents() -> None:
    taxonomy = flat(1)
    scores = predictions([[0.9], [0.2], [0.6]], taxonomy)
    decisions = Decider(taxonomy, np.array([0.5])).decide(scores)
    value = evaluate(scores, decisions, Ragged.from_rows([[0], [0], []])).to_json()
    assert value["micro"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5}
    assert value["ranking"]["precision@5"] == pytest.approx(2 / 3)
    nothing = predictions(np.zeros((0, 1)), taxonomy)
    empty = evaluate(
        nothing, Decider(taxonomy, np.array([0.5])).decide(nothing), Ragged.from_rows([])
    ).to_json()
    assert empty["documents"] == 0
    assert json.dumps(empty, allow_nan=False)


def test_different_documents_are_refused() -> None:
    scores, decisions, gold, _ = made()
    with pytest.raises(UsageError, match="scores of 40 documents, decisions for 40, labels of 39"):
        evaluate(scores, decisions, gold.take(np.arange(39)))


def test_level_table() -> None:
    scores, decisions, gold, matrix = made()
    evaluation = evaluate(scores, decisions, gold)
    table = evaluation.level_table()
    assert [row["categories"] for row in table] == [2, 3, 1]
    assert [row["support"] for row in table] == [
        int(matrix[:, TREE.level_C == level].sum()) for level in (1, 2, 3)
    ]
    short = evaluation.to_json()["levels"]
    assert all(row[key] == full[key] for row, full in zip(short, table, strict=True) for key in row)


# Training


def test_training_metrics_are_those_of_evaluate() -> None:
    scores, decisions, gold, _ = made()
    value = evaluate(scores, decisions, gold).to_json()
    watched = training_metrics(scores, gold)
    assert watched == pytest.approx(
        {
            "micro_f1": value["micro"]["f1"],
            "macro_f1": value["macro"]["f1"],
            "both_f1": (value["micro"]["f1"] + value["macro"]["f1"]) / 2,
            "hierarchical_f1": value["hierarchical"]["f1"],
            "weighted_f1": np.average(
                [one["f1"] for one in value["categories"]],
                weights=[one["support"] for one in value["categories"]],
            ),
            "samples_f1": value["samples"]["f1"],
        }
    )
    asked = training_metrics(scores, gold, names=["average_precision", "micro_f1"])
    assert asked == {
        "average_precision": value["average_precision"]["macro"],
        "micro_f1": value["micro"]["f1"],
    }


def test_training_metrics_follow_the_threshold() -> None:
    scores, _, gold, matrix = made()
    low = training_metrics(scores, gold, 0.25, names=["micro_f1"])["micro_f1"]
    assert low == pytest.approx(f1_score(matrix, scores.scores >= 0.25, average="micro"))
    one = training_metrics(predictions([[0.3, 0.4], [0.2, 0.1]]), Ragged.from_rows([[1], [1]]), None)
    assert one["micro_f1"] == 0.5


def test_training_metrics_of_cut_scores_decide_among_what_is_left() -> None:
    whole = np.array([[0.9, 0.8, 0.7], [0.6, 0.9, 0.8]], dtype=np.float32)
    cut = predictions(np.where(whole > 0.75, whole, 0), sparse=True)
    gold = Ragged.from_rows([[0, 2], [1]])
    assert cut.kept == 2
    # Decided: 0 and 1, 1 and 2; hits: 0 and 1; the lost 2 of the first document is missed.
    assert training_metrics(cut, gold, 0.5)["micro_f1"] == pytest.approx(2 * 2 / (4 + 3))


def test_binary_training_metrics() -> None:
    scores = predictions([[0.9], [0.6], [0.2], [0.1]])
    gold = Ragged.from_rows([[0], [], [0], []])
    assert training_metrics(scores, gold)["f1"] == 0.5
    with pytest.raises(UsageError, match='"f1" is for binary tasks, not for 2 categories'):
        training_metrics(predictions([[0.1, 0.2]]), Ragged.from_rows([[0]]), names=["f1"])


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UsageError, match=r"no metric 'mikro_f1' \(did you mean 'micro_f1'\?\)"):
        training_metrics(predictions([[0.1]]), Ragged.from_rows([[0]]), names=["mikro_f1"])
