"""Promises: by the definition, held over 1,000 random splits, refused where they cannot be, and shipped with a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.stats import binom

import linnaea
from linnaea.commands.train import train
from linnaea.config.config import Config
from linnaea.config.outcome import DecisionConfig
from linnaea.config.task import TaskConfig
from linnaea.corpus.policy import ErrorPolicy
from linnaea.decision.conformal import rank
from linnaea.decision.decider import Decider
from linnaea.decision.decoding import violations
from linnaea.decision.enough import halves, needed_for
from linnaea.decision.predictions import Predictions
from linnaea.decision.thresholds import fit_decider
from linnaea.errors import ConfigError, ModelError, RunError
from linnaea.metrics.calibration import reliability
from linnaea.model.model import Model
from linnaea.ragged import Ragged
from linnaea.strategies.build import build_strategy
from linnaea.taxonomy.taxonomy import Taxonomy
from linnaea.text.build import build_corpus
from tests.references import caution as reference
from tests.references.worlds import flat, matrices, predictions, sets, taxonomies, tree
from tests.strategies.toys import documents, run_folder, taxonomy

SPLITS = 1000
SURE = 1e-5  # chance that a bound below fails though the promise holds


def fit(
    decision: dict[str, Any], scores: Predictions, gold: np.ndarray, support: Any = None, **task: Any
) -> Decider:
    support = np.ones(gold.shape[1], dtype=int) if support is None else np.array(support)
    return fit_decider(
        DecisionConfig.read(decision), TaskConfig(**task), scores, Ragged.from_dense(gold), support, scores.taxonomy
    )  # fmt: skip


def conformal(recall: float, **more: Any) -> dict[str, Any]:
    return {"threshold": {"type": "conformal", "recall": recall}, **more}


def cautious(error: float, of: str = "categories", **more: Any) -> dict[str, Any]:
    return {"threshold": {"type": "cautious", "error": error, "of": of}, **more}


def as_sets(gold: np.ndarray) -> list[set[int]]:
    return [set(np.flatnonzero(row).tolist()) for row in gold]


# ---- by the definition ----------------------------------------------------------------------------------------------


def test_recall_by_hand() -> None:
    scores = predictions([[k / 16, 0.5, 0.25] for k in range(9)])
    gold = np.array([[True, k > 5, k < 2] for k in range(9)])
    made = fit(conformal(0.75), scores, gold)
    # k = ⌈10 · 0.75⌉ = 8: the eighth highest of 0, 1/16, ... The two of the third take ⌈3 · 0.75⌉ = 3 > 2, and those
    # of the second, with fewer than the first, join them: ⌈6 · 0.75⌉ = 5 of 0.25, 0.25, 0.5, 0.5 and 0.5.
    assert made.thresholds_C.tolist() == [1 / 16, 0.25, 0.25]
    assert made.promise is not None
    assert made.promise.shared == ("c1", "c2")
    assert made.table() == {"own": 1, "shared": 2, "never": 0}
    # Three are enough.
    gold[2, 2] = True
    assert fit(conformal(0.75), scores, gold).thresholds_C.tolist() == [1 / 16, 0.5, 0.25]


def test_documents_of_those_that_share_count_once() -> None:
    scores = np.full((12, 5), 0.875)
    gold = np.zeros((12, 5), dtype=bool)
    gold[:, 0] = True  # the first has documents enough
    # Four with two documents each, seven together: document 0 has two of them.
    places = [(0, 1, 1 / 16), (0, 2, 1 / 8), (1, 1, 3 / 16), (2, 2, 1 / 4), (3, 3, 1 / 2)]
    places += [(4, 3, 1 / 2), (5, 4, 3 / 4), (6, 4, 3 / 4)]
    for row, column, score in places:
        scores[row, column], gold[row, column] = score, True
    made = fit(conformal(0.75), predictions(scores), gold)
    # ⌈8 · 0.75⌉ = 6 of seven documents' lowest; of eight labels the seventh would be 1/8.
    assert made.thresholds_C.tolist() == [0.875] + [3 / 16] * 4
    assert made.promise is not None
    assert made.promise.shared == ("c1", "c2", "c3", "c4")


def test_another_category_joins_three_documents_of_three_labels() -> None:
    wide = np.zeros((12, 4), dtype=bool)
    wide[:3, :3], wide[3:, 3] = True, True
    made = fit(conformal(0.9), predictions(np.full((12, 4), 0.5)), wide)
    assert made.promise is not None
    assert made.promise.shared == ("c0", "c1", "c2", "c3")


def test_caution_by_hand() -> None:
    taxonomy = tree((), (0,), ())
    # The child is wrong in one document of nine: there its parent is sure.
    scores = predictions([[0.9, 0.8, 0.1]] * 8 + [[0.9, 0.6, 0.1]], taxonomy)
    gold = np.array([[True, True, False]] * 8 + [[True, False, False]])
    made = fit(cautious(0.1, decoding="max"), scores, gold)
    # n + 1 = 10: not one document may be wrong. The threshold lies just above 0.6.
    assert made.thresholds_C.tolist() == [float(np.nextafter(np.float32(0.6), np.float32(1)))] * 3
    decided = [row.tolist() for row in made.decide(scores).chosen]
    assert decided == [[0, 1]] * 8 + [[0]]  # unsure of the child: its parent
    # (1/2 + 1) / 10: one half of a document's two categories may be wrong, then the third of three is too much.
    made = fit(cautious(0.15, decoding="max"), scores, gold)
    assert made.thresholds_C.tolist() == [float(np.nextafter(np.float32(0.1), np.float32(1)))] * 3
    made = fit(cautious(0.15, "documents", decoding="max"), scores, gold)
    assert made.thresholds_C[0] > 0.6


@given(st.data())
@settings(max_examples=120, deadline=None)
def test_recall_by_plain_loops(data: st.DataObject) -> None:
    columns, documents = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 14))
    scores = predictions(data.draw(matrices(documents, columns)))
    gold = data.draw(sets(documents, columns))
    allowed = data.draw(st.lists(st.booleans(), min_size=columns, max_size=columns))
    recall = data.draw(st.sampled_from(["0.1", "0.5", "0.7", "0.75", "0.9"]))
    expected, sharing = reference.conformal(scores.scores.tolist(), as_sets(gold), recall, allowed)
    if any(t is None and on for t, on in zip(expected, allowed, strict=True)) or not any(allowed):
        with pytest.raises(ConfigError, match="held-out documents with labels, and there are"):
            fit(conformal(float(recall)), scores, gold, allowed)
        return
    made = fit(conformal(float(recall)), scores, gold, allowed)
    wanted = [t if on else np.inf for t, on in zip(expected, allowed, strict=True)]
    assert made.thresholds_C.tolist() == wanted
    assert made.promise is not None
    assert made.promise.shared == tuple(f"c{c}" for c in sorted(sharing))


@given(st.data())
@settings(max_examples=120, deadline=None)
def test_caution_by_plain_loops(data: st.DataObject) -> None:
    columns, count = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 12))
    scores = predictions(data.draw(matrices(count, columns)))
    gold = data.draw(sets(count, columns))
    allowed = data.draw(st.lists(st.booleans(), min_size=columns, max_size=columns))
    error = data.draw(st.sampled_from(["0.1", "0.2", "0.3", "0.5", "0.75"]))
    of = data.draw(st.sampled_from(["categories", "documents"]))
    if count < needed_for(float(error)):
        with pytest.raises(ConfigError, match="held-out documents, and there are"):
            fit(cautious(float(error), of), scores, gold, allowed)
        return
    made = fit(cautious(float(error), of), scores, gold, allowed)
    rows = [[float(score) for score in row] for row in scores.scores]
    place = reference.cautious(rows, as_sets(gold), error, allowed, of == "documents")
    expected = 0.0 if place is None else float(np.nextafter(np.float32(place), np.float32(np.inf)))
    assert made.thresholds_C.tolist() == [expected if on else np.inf for on in allowed]


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_caution_never_contradicts_the_taxonomy(data: st.DataObject) -> None:
    names = data.draw(taxonomies())
    scores = predictions(data.draw(matrices(12, len(names))), names)
    gold = names.close(Ragged.from_dense(data.draw(sets(12, len(names))))).dense(len(names))
    support = data.draw(st.lists(st.integers(0, 1), min_size=len(names), max_size=len(names)))
    made = fit(cautious(0.2, decoding="max"), scores, gold, support)
    chosen = made.decide(scores).chosen
    assert not violations(chosen, names).any()
    # What dev says of the set as it is decided, added parents without documents included, stays within the promise.
    wrong = chosen.dense(len(names)) & ~gold
    share_N = wrong.sum(axis=1) / np.maximum(chosen.lengths_N, 1)
    assert (share_N.sum() + 1) / 13 <= 0.2 + 1e-9


def test_ranks_do_not_hang_on_rounding() -> None:
    assert rank(np.array([9, 19, 99, 9]), 0.7).tolist() == [7, 14, 70, 7]
    assert rank(np.array([99]), 0.07).tolist() == [7]
    assert [needed_for(share) for share in (0.1, 1 - 0.9, 0.05, 1 - 0.95, 0.3)] == [9, 9, 19, 19, 3]


# ---- over random splits ---------------------------------------------------------------------------------------------


def population(seed: int, count: int = 3000) -> tuple[Taxonomy, np.ndarray, np.ndarray]:
    """Scores of a tree that are neither calibrated nor good, with ties, and closed gold; the last category is rare."""
    names = tree((), (), (0,), (0,), (1,), (1,))
    rng = np.random.default_rng(seed)
    odds = rng.normal([-0.5, -0.5, -1, -1, -1, -4.5], 1.5, (count, 6))
    marked = rng.random(odds.shape) < 1 / (1 + np.exp(-odds))
    gold = names.close(Ragged.from_dense(marked)).dense(6)
    noisy = 1 / (1 + np.exp(-(1.5 * odds + 1 + rng.normal(0, 1, odds.shape))))
    return names, np.round(noisy, 3).astype(np.float32), gold


def split(rng: np.random.Generator, count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    order = rng.permutation(count)
    return order[:size], order[size:]


@pytest.mark.parametrize("calibration", [None, "temperature"])
def test_the_promised_recall_is_kept_over_random_splits(calibration: str | None) -> None:
    names, scores, gold = population(1)
    rng, recall = np.random.default_rng(2), 0.9
    hits_C, tries_C, slack_C, shared = np.zeros(6), np.zeros(6), np.zeros(6), [0, 0]
    decision = conformal(recall, calibration=calibration)
    for _ in range(SPLITS):
        dev, test = split(rng, len(gold), 240)
        made = fit(decision, predictions(scores[dev], names), gold[dev])
        assert made.promise is not None
        # One document of each category a split: then tries are independent, and their sum is binomial.
        first_C = test[gold[test].argmax(axis=0)]
        shown = made.scored(predictions(scores[first_C], names)).scores
        found_C = np.diagonal(shown) >= made.thresholds_C
        pooled_C = np.isin(names.ids, made.promise.shared)
        hits_C += found_C & ~pooled_C
        tries_C += ~pooled_C
        held = gold[dev[halves(240)[1]] if calibration else dev].sum(axis=0)
        slack_C += np.where(pooled_C, 0, 1 / (held + 1))
        if pooled_C.any():
            # One of the documents with any of those that share: all that it has of them.
            row = test[int(rng.choice(np.flatnonzero((gold[test] & pooled_C).any(axis=1))))]
            shown = made.scored(predictions(scores[row : row + 1], names)).scores[0]
            shared[0] += int((shown >= made.thresholds_C)[gold[row] & pooled_C].all())
            shared[1] += 1
    often = tries_C > 100
    assert often[:5].all()
    least = binom.ppf(SURE, tries_C[often], recall)
    # Scores have ties, three decimals: they add a little to what one document of dev is worth.
    most = binom.ppf(1 - SURE, tries_C[often], np.minimum(recall + slack_C[often] / tries_C[often] + 0.01, 1))
    assert (hits_C[often] >= least).all(), (hits_C / tries_C, tries_C)
    assert (hits_C[often] <= most).all(), (hits_C / tries_C, tries_C)
    assert shared[1] > 100
    assert shared[0] >= binom.ppf(SURE, shared[1], recall)


def chain(seed: int) -> tuple[Taxonomy, np.ndarray, np.ndarray]:
    """Three rare categories in a chain, which come together and score alike, beside two that all others have."""
    rng, count = np.random.default_rng(seed), 3000
    names = tree((), (), (1,), (2,), ())
    rare = rng.random(count) < 0.06
    gold = np.stack([~rare, rare, rare, rare & (rng.random(count) < 0.7), ~rare], axis=1)
    alike = rng.random((count, 1)) + rng.normal(0, 0.02, (count, 5))
    return names, 1 / (1 + np.exp(-alike.astype(np.float32))), gold


def many(seed: int) -> tuple[Taxonomy, np.ndarray, np.ndarray]:
    """Sixty rare categories of which a document has ten or none, and all ten score alike."""
    rng, count = np.random.default_rng(seed), 3000
    gold = np.zeros((count, 61), dtype=bool)
    gold[:, 60] = True
    for row in np.flatnonzero(rng.random(count) < 0.1):
        gold[row, rng.choice(60, 10, replace=False)] = True
    alike = rng.random((count, 1)) + rng.normal(0, 0.02, (count, 61))
    return flat(61), 1 / (1 + np.exp(-alike.astype(np.float32))), gold


@pytest.mark.parametrize(("world", "size", "recall"), [(chain, 100, 0.9), (many, 150, 0.9), (many, 60, 0.8)])
def test_the_shared_promise_is_kept_where_labels_come_together(world: Any, size: int, recall: float) -> None:
    names, scores, gold = world(11)
    rng, kept, found, pairs = np.random.default_rng(12), [], [], []
    for _ in range(SPLITS):
        dev, test = split(rng, len(gold), size)
        made = fit(conformal(recall), predictions(scores[dev], names), gold[dev])
        assert made.promise is not None
        pooled_C = np.isin(names.ids, made.promise.shared)
        if not pooled_C.any():
            continue
        row = int(rng.choice(test[(gold[test] & pooled_C).any(axis=1)]))
        found_C = (scores[row] >= made.thresholds_C)[gold[row] & pooled_C]
        kept.append(bool(found_C.all()))
        found.append(int(found_C.sum()))
        pairs.append(len(found_C))
    assert len(kept) > 700
    assert sum(kept) >= binom.ppf(SURE, len(kept), recall), np.mean(kept)
    assert sum(found) / sum(pairs) >= recall - 0.03


@pytest.mark.parametrize("calibration", [None, "temperature"])
@pytest.mark.parametrize("of", ["categories", "documents"])
def test_the_promised_error_is_kept_over_random_splits(of: str, calibration: str | None) -> None:
    names, scores, gold = population(3)
    rng, error, size = np.random.default_rng(4), 0.15, 100
    losses = []
    decision = cautious(error, of, decoding="max", calibration=calibration)
    for _ in range(SPLITS):
        dev, test = split(rng, len(gold), size)
        made = fit(decision, predictions(scores[dev], names), gold[dev])
        one = test[:1]
        chosen = made.decide(predictions(scores[one], names)).chosen.dense(6)
        wrong = int((chosen & ~gold[one]).sum())
        losses.append(float(wrong > 0) if of == "documents" else wrong / max(int(chosen.sum()), 1))
    mean, deviation = float(np.mean(losses)), float(np.std(losses) / np.sqrt(SPLITS))
    assert mean <= error + 4.3 * deviation, mean
    if of == "documents":
        # Not more cautious than one document more or less makes it, and ties of three decimals.
        held = size if calibration is None else size // 2
        assert binom.cdf(sum(losses), SPLITS, error - 2 / (held + 1) - 0.02) > SURE, mean
    else:
        assert mean > error / 2


# ---- what they refuse -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sparse", [False, True])
def test_scores_that_are_no_numbers_are_refused(sparse: bool) -> None:
    rng = np.random.default_rng(0)
    gold = rng.random((40, 3)) < 0.5
    for decision in (conformal(0.9), cautious(0.3), cautious(0.3, "documents"), {"threshold": "global"}):
        for row in range(2):  # one that has the category, one that has not
            values = rng.random((40, 3)).astype(np.float32)
            values[row, 1], gold[row, 1] = np.nan, row == 0
            scores = predictions(values)
            if sparse:
                scores = Predictions(scores.ids, scores.taxonomy, csr_array(values))
            with pytest.raises(RunError, match=r"category c1: scores that are not numbers"):
                fit(decision, scores, gold)
            fit(decision, scores, gold, [1, 0, 1])  # nothing is decided by them


@pytest.mark.parametrize(
    "decision",
    [
        conformal(0.8, calibration="platt"),
        conformal(0.8, calibration="isotonic", decoding="ancestors"),
        cautious(0.2, calibration="temperature", decoding="max"),
        cautious(0.3, "documents", calibration="platt", decoding="max"),
    ],
    ids=["recall", "recall, isotonic", "caution", "caution of documents"],
)
def test_a_promise_rests_on_the_half_that_was_not_calibrated_on(decision: dict[str, Any]) -> None:
    names, scores, gold = population(7, 121)
    first, second = halves(121)
    assert sorted([*first.tolist(), *second.tolist()]) == list(range(121))
    made = fit(decision, predictions(scores, names), gold)
    alone = fit({"calibration": decision["calibration"]}, predictions(scores[first], names), gold[first])
    assert alone.calibration is not None
    bent = alone.calibration.dense(scores[second])
    if decision.get("decoding") == "max":
        for child, parent in ((2, 0), (3, 0), (4, 1), (5, 1)):
            bent[:, parent] = np.maximum(bent[:, parent], bent[:, child])
    rule, rows = decision["threshold"], [[float(score) for score in row] for row in bent]
    if rule["type"] == "conformal":
        wanted, _ = reference.conformal(rows, as_sets(gold[second]), str(rule["recall"]), [True] * 6)
        assert made.thresholds_C.tolist() == wanted
    else:
        place = reference.cautious(
            rows, as_sets(gold[second]), str(rule["error"]), [True] * 6, rule["of"] == "documents"
        )
        assert place is not None
        assert made.thresholds_C.tolist() == [float(np.nextafter(np.float32(place), np.float32(1)))] * 6
    assert made.promise is not None
    assert made.promise.documents == len(second) == 61


def test_scores_that_were_cut_are_told() -> None:
    scores = predictions([[0.9, 0.8], [0.8, 0.7], [0.6, 0.7], [0.9, 0.1]] * 3)
    gold = np.array([[True, True]] * 12)
    made = fit(conformal(0.6, top_k=1), scores, gold)
    assert made.promise is not None
    assert made.promise.cut == ("c1",)
    assert made.promise.told(2).endswith("not held for 1 of which too many scores are cut: c1")
    assert made.decide(scores).chosen.dense(2)[:, 1].mean() == 0.25  # all that is left of them
    assert Decider.from_json(json.loads(json.dumps(made.to_json())), made.taxonomy).promise == made.promise
    # A quarter of them are there.
    enough = fit(conformal(0.2, top_k=1), scores, gold)
    assert enough.promise is not None
    assert enough.promise.cut == ()
    assert enough.decide(scores).chosen.dense(2)[:, 1].mean() == 0.25
    # Without a cut, a threshold of 0 finds everything.
    everything = fit(conformal(0.6), predictions(np.zeros((12, 2))), gold)
    assert everything.promise is not None
    assert everything.promise.cut == ()
    assert everything.decide(scores).chosen.lengths_N.tolist() == [2] * 12


def test_nothing_to_promise_by() -> None:
    for decision in (conformal(0.9), cautious(0.1), {"calibration": "platt"}):
        with pytest.raises(ConfigError, match="scores of labelled documents"):
            fit_decider(DecisionConfig.read(decision), TaskConfig(), None, None, np.ones(2), flat(2))


NETWORK: dict[str, Any] = {"task": {"type": "hierarchical"}}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"decision": conformal(1.0)}, "decision.threshold.recall: must be below 1, not 1.0"),
        ({"decision": conformal(0)}, "decision.threshold.recall: must be above 0, not 0"),
        ({"decision": conformal(90)}, "decision.threshold.recall: must lie between 0 and 1, not 90 (90 % are 0.9)"),
        ({"decision": cautious(5)}, "decision.threshold.error: must lie between 0 and 1, not 5 (5 % are 0.05)"),
        ({"decision": cautious(-0.5)}, "decision.threshold.error: must be above 0, not -0.5"),
        ({"decision": cautious(0.1, "category")}, "decision.threshold.of: must be one of categories, documents"),
        ({"decision": conformal(0.9, decoding="top_down")}, "decision.decoding: 'top_down' takes categories away"),
        ({"decision": conformal(0.9, decoding="best")}, "decision.decoding: 'best' takes categories away"),
        ({"task": {"paths": "one"}, "decision": conformal(0.9)}, "decision.threshold: one path a document takes"),
        ({"task": {"paths": "one"}, "decision": cautious(0.1)}, "decision.threshold.of: one path a document takes"),
        ({"task": {"closure": "none"}, "decision": cautious(0.1)}, "decision.threshold: a parent in place of its child"),
        ({"decision": cautious(0.1, decoding="top_down")}, "decision.decoding: 'cautious' thresholds act on scores that fall"),
        (
            {"training": {"strategy": "per_category"}, "decision": {"threshold": {"type": "conformal", "on": "cross"}}},
            "decision.threshold: thresholds of one network a category are tuned on dev",
        ),
    ],
)  # fmt: skip
def test_configs_that_do_not_hold(value: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Config.build(value)
    assert message in str(raised.value)


def test_what_a_promise_sets() -> None:
    back_off = Config.build({"decision": cautious(0.1)})
    assert back_off.decision.decoding.type == "max"
    flat_task = Config.build({"task": {"type": "multilabel"}, "decision": cautious(0.1)})
    assert flat_task.decision.decoding.type == "none"
    one = Config.build({"task": {"paths": "one"}, "decision": cautious(0.1, "documents")})
    linear = Config.build({"training": {"strategy": "linear"}, "decision": conformal(0.9)})
    assert linear.decision.tuned is not None
    assert linear.decision.tuned.on == "dev"  # tuned thresholds of linear models look at scores out of fold
    for config in (back_off, flat_task, one, linear):
        assert Config.build(json.loads(json.dumps(config.dump()))) == config


# ---- shipped --------------------------------------------------------------------------------------------------------


def promised(decision: dict[str, Any]) -> Decider:
    names, scores, gold = population(5, 300)
    return fit(decision, predictions(scores, names), gold)


@pytest.mark.parametrize(
    "decision",
    [
        conformal(0.9),
        cautious(0.1, decoding="max"),
        {"threshold": {"type": "cautious", "of": "documents", "on": "cross"}, "decoding": "max"},
    ],
)
def test_saved_and_read(decision: dict[str, Any]) -> None:
    made = promised(decision)
    again = Decider.from_json(json.loads(json.dumps(made.to_json())), made.taxonomy)
    assert again.promise == made.promise
    assert again.promise is not None
    assert again.promise.exact is (decision["threshold"].get("on") != "cross")
    assert again.table() == made.table()
    assert (again.thresholds_C == made.thresholds_C).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("recall", "promise: not a promise: 'recall'"),
        ({"level": 2}, "promise: level: must be a finite number from 0 to 1"),
        ({"kind": "recal"}, "promise: kind: must be one of recall"),
        ({"documents": "many"}, "promise: documents: must be a number"),
        ({"shared": ["c17"]}, "promise: shared: must name categories"),
    ],
)
def test_broken_files(change: Any, message: str) -> None:
    made = promised(conformal(0.9))
    value = made.to_json()
    value["promise"] = change if isinstance(change, str) else {**value["promise"], **change}
    with pytest.raises(ModelError) as raised:
        Decider.from_json(value, made.taxonomy, "decision.json")
    assert message in str(raised.value)


class Heard:
    """A reporter that remembers."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.warnings: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def progress(self, what: str, done: int, total: int | None = None, detail: str = "") -> None:
        pass

    def listener(self, name: str = "") -> Any:
        return None


def trained(path: Path, decision: dict[str, Any], dev: int = 60) -> tuple[Any, Heard]:
    heard = Heard()
    value = {
        "training": {"strategy": "linear"},
        "input": {"features": ["token"]},
        "decision": decision,
        "run": {"dir": str(path / "run")},
    }
    parts = {
        name: documents(n, seed) for seed, (name, n) in enumerate((("train", 60), ("dev", dev), ("test", 40)))
    }
    return train(value, taxonomy=taxonomy(), reporter=heard, **parts), heard  # fmt: skip


@pytest.mark.parametrize(
    "decision",
    [
        {"calibration": "platt", **conformal(0.8, decoding="ancestors")},
        {"calibration": "isotonic", **cautious(0.2)},
        {"calibration": {"type": "temperature", "on": "dev"}},
        {"calibration": "platt", "threshold": "per_category"},
    ],
    ids=["conformal", "cautious", "fixed", "cross"],
)
def test_from_training_to_answers(decision: dict[str, Any], tmp_path: Path) -> None:
    result, heard = trained(tmp_path, decision)
    told = "\n".join(heard.notes)
    assert "categories are calibrated by themselves" in told
    assert "on test: ECE 0." in told
    assert ("promised: " in told) is isinstance(decision.get("threshold"), dict)
    model = linnaea.load(result.folder.model)
    assert isinstance(model, Model)
    assert model.decider.calibration is not None
    # What was written at the end of training is what the loaded model says, score by score.
    fresh = documents(40, 2)
    written = [json.loads(line) for line in result.folder.predictions.read_text().splitlines()]
    for answer, row in zip(model.predict([d["text"] for d in fresh]), written, strict=True):
        shown = [(c["id"], c["score"]) for c in row["categories"]]
        assert [(c.id, pytest.approx(c.score, abs=1e-6)) for c in answer.categories] == shown
    scores = model.scores([d["text"] for d in fresh])
    every = list(model.predict([d["text"] for d in fresh], all_scores=True))
    added = 0
    for row, answer in zip(scores, every, strict=True):
        decided = {model.taxonomy.index[c.id] for c in answer.categories if c.decided}
        assert len(answer.categories) == len(model.taxonomy)
        for category in answer.categories:
            column = model.taxonomy.index[category.id]
            expected = float(row[column])
            if category.decided and expected < model.decider.thresholds_C[column]:
                # An added ancestor: the largest score among itself and what is decided below it.
                below = [c for c in decided if column in model.taxonomy.ancestors[c]]
                expected, added = max(float(row[c]) for c in below), added + 1
            assert category.score == pytest.approx(expected, abs=2e-6)
    assert added == 0 or "ancestors" in str(decision)
    evaluated = model.evaluate(fresh).to_json()
    assert evaluated["micro"] == result.metrics["micro"]
    facts = model.facts["calibration"]
    assert facts["split"] == "test"
    assert facts["after"]["brier"] != facts["before"]["brier"]


def test_promises_end_where_a_user_decides_otherwise(tmp_path: Path) -> None:
    model = trained(tmp_path, conformal(0.8))[0].model
    assert model.decider.promise is not None
    assert model.decider_with().promise is not None
    assert model.decider_with(top_k=1).promise is None
    assert model.decider_with(threshold=0.3).promise is None
    for decoding in ("ancestors", "top_down", {"type": "one_path", "to": "leaf"}):
        assert model.decider_with(decoding=decoding).promise is None
    assert model.decider.promise is not None
    assert "promise | recall of 0.8" in (tmp_path / "run" / "model" / "README.md").read_text()


def test_out_of_fold_promises_are_told_to_be_rough(tmp_path: Path) -> None:
    rough = {"threshold": {"type": "cautious", "error": 0.2, "on": "cross", "folds": 2}}
    assert any("not exact" in message for message in trained(tmp_path, rough)[1].warnings)


def test_too_few_documents_are_told_before_training(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a recall of 0\.99 takes 99 held-out documents"):
        trained(tmp_path, conformal(0.99), dev=20)
    assert not (tmp_path / "run" / "model").exists()


@pytest.mark.corpora
@pytest.mark.slow
def test_reuters(shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "reuters21578"
    config = Config.build(
        {
            "task": {"type": "hierarchical", "taxonomy": str(folder / "taxonomy.tsv")},
            "data": {split: str(folder / f"{split}.jsonl") for split in ("train", "dev", "test")},
            "training": {"strategy": "linear"},
            "input": {"features": ["token"]},
            "decision": conformal(0.9, calibration="platt"),
        }
    )
    corpus = build_corpus(config, policy=ErrorPolicy("raise"))
    fitted = build_strategy(config).fit(corpus, run_folder(tmp_path))
    assert corpus.test is not None
    assert corpus.test.labels is not None
    scores, gold = fitted.scorer.score(corpus.test), corpus.test.labels
    made = fit_decider(
        config.decision, config.task, fitted.tuning, fitted.tuning_gold, fitted.support_C, corpus.taxonomy
    )
    assert reliability(made.scored(scores), gold).ece < reliability(scores, gold).ece / 20
    found, truth = made.decide(scores).chosen.dense(len(corpus.taxonomy)), gold.dense(len(corpus.taxonomy))
    assert made.promise is not None
    own = np.isfinite(made.thresholds_C) & ~np.isin(corpus.taxonomy.ids, made.promise.shared)
    recall_C = (found & truth).sum(axis=0)[own] / truth.sum(axis=0)[own]
    assert recall_C.mean() > 0.88
