"""The metric neuralclassifier against the old evaluator as it behaves, on label strings."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from linnaea.config.config import Config
from linnaea.config.metrics import NeuralClassifierConfig
from linnaea.corpus.labels import LabelResolver
from linnaea.decision.decider import Decider
from linnaea.decision.predictions import Decisions, Predictions
from linnaea.metrics.deepest import deepest
from linnaea.metrics.further import further_metrics
from linnaea.ragged import Ragged
from linnaea.taxonomy.taxonomy import Taxonomy
from tests.references.neuralclassifier import decided, evaluated

TREE = {"A": [], "B": [], "a": ["A"], "b": ["A"], "c": ["B"], "x": ["a"], "y": ["a"], "z": ["c"]}


def tree(edges: dict[str, list[str]] | None = None) -> Taxonomy:
    edges = edges or TREE
    return Taxonomy.build(list(edges), list(edges), list(edges.values()))


def measure(
    taxonomy: Taxonomy, chosen: Ragged, gold: Ragged, support_C: np.ndarray, **settings: Any
) -> dict[str, float]:
    """As a run calls it: by the registry."""
    scores_NC = chosen.dense(len(taxonomy)).astype(np.float32)
    predictions = Predictions([str(i) for i in range(len(gold))], taxonomy, scores_NC)
    decisions = Decisions(chosen, np.ones(len(chosen.values), dtype=np.float32), np.full(len(taxonomy), 0.5))
    metric = further_metrics([NeuralClassifierConfig(**settings)], taxonomy, support_C)["neuralclassifier"]
    return dict(metric(predictions, decisions, gold))


def path_labels(taxonomy: Taxonomy, draw: random.Random, count: int) -> list[set[str]]:
    """Documents with one to three path labels, inner ones among them, but none above another."""
    rows = []
    for _ in range(count):
        columns = draw.sample(range(len(taxonomy)), k=draw.choice([1, 1, 2, 3]))
        above = {a for c in columns for a in taxonomy.ancestors[c].tolist() if a != c}
        rows.append({taxonomy.path(c) for c in columns if c not in above})
    return rows


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("top_k", [1, 2, 100])
@pytest.mark.parametrize("over", ["train", "seen"])
def test_written_labels_are_counted_as_the_old_evaluator_counts_them(
    seed: int, top_k: int, over: str
) -> None:
    draw, taxonomy = random.Random(seed), tree()
    train, test = path_labels(taxonomy, draw, 6), path_labels(taxonomy, draw, 25)
    resolver = LabelResolver(taxonomy, "none")
    gold = resolver.rows([sorted(row) for row in test])
    support_C = resolver.rows([sorted(row) for row in train]).counts(len(taxonomy))
    known = set().union(*train)
    dictionary = sorted(known if over == "train" else known.union(*test))
    numbers = np.random.default_rng(seed)
    scores_NC = numbers.random((len(test), len(taxonomy)), dtype=np.float32)
    paths = [taxonomy.path(c) for c in range(len(taxonomy))]
    # What train lacks has no weight there and is never decided here: its scores are low in both.
    scores_NC[:, [path not in known for path in paths]] = 0.0
    rows = [dict(zip(paths, row, strict=True)) for row in scores_NC.tolist()]
    expected = evaluated(
        [decided({p: s for p, s in row.items() if p in dictionary}, 0.5, top_k) for row in rows],
        test,
        dictionary,
    )
    predictions = Predictions([str(i) for i in range(len(test))], taxonomy, scores_NC)
    thresholds_C = np.where(support_C > 0, 0.5, np.inf)
    decisions = Decider(taxonomy, thresholds_C, top_k=top_k, closure="none").decide(predictions)
    config = NeuralClassifierConfig(labels="written", over=over)  # type: ignore[arg-type]
    metric = further_metrics([config], taxonomy, support_C)["neuralclassifier"]
    assert metric(predictions, decisions, gold) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(8))
def test_closed_sets_are_reduced_to_the_deepest_paths(seed: int) -> None:
    """With closed gold and decisions the numbers are those of the path labels they came from."""
    draw, taxonomy = random.Random(seed), tree()
    gold_paths, chosen_paths = path_labels(taxonomy, draw, 30), path_labels(taxonomy, draw, 30)
    closed, plain = LabelResolver(taxonomy, "ancestors"), LabelResolver(taxonomy, "none")
    gold, chosen = (closed.rows([sorted(r) for r in rows]) for rows in (gold_paths, chosen_paths))
    dictionary = sorted(set().union(*gold_paths))
    expected = evaluated(
        [{p for p in row if p in dictionary} for row in chosen_paths], gold_paths, dictionary
    )
    support_C = closed.rows([sorted(row) for row in gold_paths]).counts(len(taxonomy))
    found = measure(taxonomy, chosen, gold, support_C, labels="deepest")
    assert found == pytest.approx(expected, abs=1e-12)
    written = plain.rows([sorted(row) for row in gold_paths])
    assert [row.tolist() for row in deepest(gold, taxonomy)] == [row.tolist() for row in written]


def test_a_near_miss_gets_no_credit() -> None:
    taxonomy = tree()
    closed = LabelResolver(taxonomy, "ancestors")
    gold, chosen = closed.rows([["A--a--x"]]), closed.rows([["A--a--y"]])
    found = measure(taxonomy, chosen, gold, gold.counts(len(taxonomy)))
    assert found["micro_f1"] == 0.0
    assert (found["right"], found["decided"], found["gold"]) == (0, 0, 1)  # y is no label of train


def test_in_a_dag_a_category_below_two_parents_hides_both() -> None:
    taxonomy = tree({"A": [], "B": [], "m": ["A", "B"], "n": ["m"]})
    rows = Ragged.from_rows([[0, 1, 2, 3], [2, 0, 1], [0, 1], [], [3, 0, 0]])
    assert [row.tolist() for row in deepest(rows, taxonomy)] == [[3], [2], [0, 1], [], [3]]


def test_labels_without_documents_are_in_the_mean_and_others_are_not() -> None:
    taxonomy = tree()
    index, both = taxonomy.index, Ragged.from_rows([[taxonomy.index["x"]]])
    support_C = np.zeros(len(taxonomy), dtype=np.int64)
    support_C[[index["x"], index["z"]]] = 3
    found = measure(taxonomy, both, both, support_C, labels="written")
    assert found["labels"] == 2
    assert found["macro_f1"] == pytest.approx(0.5)
    assert found["micro_f1"] == 1.0


def test_gold_that_train_lacks_counts_only_where_all_files_made_the_dictionary() -> None:
    taxonomy = tree()
    x, y = taxonomy.index["x"], taxonomy.index["y"]
    support_C = np.zeros(len(taxonomy), dtype=np.int64)
    support_C[x] = 1
    gold, chosen = Ragged.from_rows([[x, y]]), Ragged.from_rows([[x]])
    train = measure(taxonomy, chosen, gold, support_C, labels="written", over="train")
    seen = measure(taxonomy, chosen, gold, support_C, labels="written", over="seen")
    assert (train["micro_recall"], train["labels"]) == (1.0, 1)
    assert (seen["micro_recall"], seen["labels"]) == (0.5, 2)


def test_no_labels_at_all_is_zero_everywhere() -> None:
    taxonomy = tree()
    empty = Ragged.from_rows([[], []])
    found = measure(taxonomy, empty, empty, np.zeros(len(taxonomy), dtype=np.int64))
    assert set(found.values()) == {0}


def test_a_config_can_ask_for_it() -> None:
    config = Config.build({"evaluation": {"metrics": ["neuralclassifier"]}})
    assert config.evaluation.metrics == [NeuralClassifierConfig()]
