"""One network a category: the plan, the policies, inheritance, the searches, resuming, the scorer."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score, log_loss

from linnaea.commands.train import fit
from linnaea.config.config import Config
from linnaea.config.percategory import PerCategoryStrategyConfig
from linnaea.decision.asked import with_decoding
from linnaea.decision.decoding import violations
from linnaea.errors import ConfigError, InterruptedRun
from linnaea.model.folder import load
from linnaea.model.model import Model
from linnaea.ragged import Ragged
from linnaea.reporter import Silent
from linnaea.strategies.build import build_strategy
from linnaea.strategies.percategory.category import Beginning, CategoryWork
from linnaea.strategies.percategory.executors import one_by_one
from linnaea.strategies.percategory.finished import Finished
from linnaea.strategies.percategory.grouped import grouped
from linnaea.strategies.percategory.networks import CategoryScorer
from linnaea.strategies.percategory.plan import Examples, Plan, having, most_specific
from linnaea.taxonomy.taxonomy import Taxonomy
from linnaea.text.build import corpus_from_documents
from linnaea.text.store import Corpus

from .toys import WORDS, corpus, documents, joint_config, run_folder
from .toys import taxonomy as toy_taxonomy

ENCODER: dict[str, Any] = {"type": "gru_attention", "hidden": 6, "dropout": 0.0}


def config(strategy: dict[str, Any] | None = None, *, epochs: int = 3, **parts: Any) -> Config:
    """Small GRU-Att networks."""
    value = {
        "model": {"embedder": {"dimension": 8}, "encoder": ENCODER, "head": {"dropout": 0.0}},
        "training": {
            "strategy": {"type": "per_category", "workers": 1, **(strategy or {})},
            "epochs": epochs, "batch_size": 16, "optimizer": {"type": "adam", "learning_rate": 0.02},
        },
        "run": {"seed": 3, "device": "cpu", "threads": 1},
    }  # fmt: skip
    return joint_config(**{**value, **parts})


def plan_of(taxonomy: Taxonomy, support: list[int], documents: int = 50, **settings: Any) -> Plan:
    return Plan(taxonomy, PerCategoryStrategyConfig(**settings), np.array(support), documents)


def dag() -> Taxonomy:
    """Two tops; ``d`` below ``b`` and ``c``; ``e`` below ``d``."""
    return Taxonomy.build(
        ["a", "b", "c", "d", "e"], ["a", "b", "c", "d", "e"], [[], ["a"], [], ["b", "c"], ["d"]]
    )


def columns(taxonomy: Taxonomy, *ids: str) -> list[int]:
    return [taxonomy.index[id] for id in ids]


@pytest.fixture(scope="module")
def below_a_follower(tmp_path_factory) -> tuple[Model, Corpus]:
    """All of leisure is arts, so arts follows it under ``siblings``; opera and football lie below arts."""
    ids = ["science", "leisure", "physics", "arts", "opera", "football"]
    above = [[], [], ["science"], ["leisure"], ["arts"], ["arts"]]
    settings = config({"negatives": "siblings"}, decision={"decoding": "one_path"}, epochs=12)
    names = ("physics", "opera", "football")
    splits = [documents(n, seed, names) for seed, n in enumerate((60, 24, 40))]
    for made in splits:
        for document in made:
            document["labels"] = document["labels"][:1]
            document["text"] = " ".join(
                w for w in document["text"].split() if w in WORDS[document["labels"][0]]
            )
    corpus = corpus_from_documents(settings, Taxonomy.build(ids, ids, above), *splits)
    folder = tmp_path_factory.mktemp("follower")
    result = fit(settings, corpus, run_folder(folder))
    assert result.metrics["micro"]["f1"] > 0.8
    return load(folder), corpus


class TestPlan:
    def test_a_category_waits_for_its_parents(self):
        taxonomy = dag()
        plan = plan_of(taxonomy, [9] * 5)
        b, c, d = columns(taxonomy, "b", "c", "d")
        assert set(plan.waits_for(d)) == {b, c}
        assert not plan.ready(d, {b})
        assert plan.ready(d, {b, c})
        assert plan_of(taxonomy, [9] * 5, start_from="scratch").waits_for(d) == ()

    def test_of_several_parents_the_most_specific_counts(self):
        taxonomy = dag()
        a, b, c, d = columns(taxonomy, "a", "b", "c", "d")
        support = [0] * 5
        for column, count in zip((a, b, c, d, taxonomy.index["e"]), (30, 20, 10, 5, 3), strict=True):
            support[column] = count
        assert plan_of(taxonomy, support).inherits_from(d, {}) == c
        support[c] = 20
        plan = plan_of(taxonomy, support)
        assert plan.inherits_from(d, {b: 0.6, c: 0.5}) == b
        assert plan.inherits_from(d, {b: 0.5, c: 0.6}) == c
        assert plan.inherits_from(d, {b: 0.5, c: 0.5}) == b

    def test_below_a_category_without_a_network_the_nearest_ancestor_counts(self):
        taxonomy = Taxonomy.build(["a", "b", "c"], ["a", "b", "c"], [[], ["a"], ["b"]])
        plan = plan_of(taxonomy, [9, 0, 4])
        assert plan.kinds == ("network", "never", "network")
        assert plan.waits_for(2) == (0,)
        assert plan_of(taxonomy, [0, 0, 4]).inherits_from(2, {}) is None

    def test_what_gets_no_network(self):
        taxonomy = Taxonomy.build(["a", "b", "c"], ["a", "b", "c"], [[], ["a"], ["a"]])
        assert plan_of(taxonomy, [50, 3, 0]).kinds == ("always", "network", "never")
        asked = plan_of(taxonomy, [40, 3, 0], min_positives=4, without_network="parent")
        assert asked.kinds == ("network", "parent", "parent")
        assert plan_of(taxonomy, [2, 1, 0], without_network="parent", min_positives=3).kinds[0] == "never"

    def test_embeddings_are_frozen_below_a_level(self):
        taxonomy = dag()
        a, b, d = columns(taxonomy, "a", "b", "d")
        assert [plan_of(taxonomy, [9] * 5).frozen(c) for c in (a, b, d)] == [False, True, True]
        deeper = plan_of(taxonomy, [9] * 5, freeze_embedding_below_level=2)
        assert [deeper.frozen(c) for c in (a, b, d)] == [False, False, True]
        assert not plan_of(taxonomy, [9] * 5, freeze_embedding_below_level=None).frozen(d)


class TestPolicies:
    """Six documents over a tree: top a with b and c, b with d; top e."""

    @pytest.fixture
    def world(self) -> tuple[Taxonomy, Ragged, Ragged]:
        taxonomy = Taxonomy.build(list("abcde"), list("abcde"), [[], ["a"], ["a"], ["b"], []])
        written = ["b", "c", "d", "e", "a", "bc"]
        rows = [[taxonomy.index[letter] for letter in word] for word in written]
        labels = taxonomy.close(Ragged.from_rows(rows))
        return taxonomy, labels, most_specific(labels, taxonomy)

    def test_most_specific(self, world):
        taxonomy, _, specific = world
        found = ["".join(sorted(taxonomy.ids[c] for c in row)) for row in specific]
        assert found == ["b", "c", "d", "e", "a", "bc"]

    @pytest.mark.parametrize(
        ("policy", "positive", "negative"),
        [
            ("all", [0, 2, 5], [1, 3, 4]),
            ("siblings", [0, 2, 5], [1]),
            ("inclusive", [0, 2, 5], [1, 3]),
            ("exclusive", [0, 5], [1, 2, 3, 4]),
        ],
    )
    def test_documents_of_b(self, world, policy, positive, negative):
        taxonomy, labels, specific = world
        found = plan_of(taxonomy, [9] * 5, negatives=policy).examples(taxonomy.index["b"], labels, specific)
        assert found.rows[found.positive].tolist() == positive
        assert found.rows[~found.positive].tolist() == negative

    @pytest.mark.parametrize("policy", ["siblings", "inclusive", "exclusive"])
    def test_what_gets_a_network_is_for_the_policy_to_say(self, policy):
        taxonomy = Taxonomy.build(list("abefd"), list("abefd"), [[], ["a"], [], ["e"], ["f"]])
        ids = list(taxonomy.ids)
        labels = taxonomy.close(Ragged.from_rows([[ids.index(c)] for c in ["a", "b", "e", "d", "d", "b"]]))
        plan = Plan.of(taxonomy, PerCategoryStrategyConfig(search="threshold", negatives=policy), labels)
        named = dict(zip(ids, plan.kinds, strict=True))
        if policy == "siblings":
            # An only child has no sibling's documents to be told from.
            assert named == {"a": "network", "e": "network", "b": "parent", "f": "parent", "d": "parent"}
            assert plan.follows == tuple(sorted(ids.index(c) for c in "bfd"))
        elif policy == "inclusive":
            assert set(named.values()) == {"network"}
        else:
            # Nobody stops at e or at f, which have d below them.
            assert named == {"a": "network", "e": "network", "b": "network", "f": "below", "d": "network"}

    def test_without_negatives_among_all_documents_it_is_always(self):
        taxonomy = Taxonomy.build(["a", "b"], ["a", "b"], [[], ["a"]])
        labels = taxonomy.close(Ragged.from_rows([[0], [1], [1]]))
        for policy, kinds in (("all", ("always", "network")), ("siblings", ("always", "parent"))):
            settings = PerCategoryStrategyConfig(search="threshold", negatives=policy)
            assert Plan.of(taxonomy, settings, labels).kinds == kinds

    def test_a_sample_keeps_all_positives_and_is_drawn_once(self):
        taxonomy = Taxonomy.build(["a"], ["a"], [[]])
        plan = plan_of(taxonomy, [60], documents=2000, negatives_per_positive=5)
        labels = Ragged.from_lengths(
            np.zeros(60, np.int32), np.r_[np.ones(60, np.int64), np.zeros(1940, np.int64)]
        )
        everything = plan.examples(0, labels, labels)
        kept, share = plan.sampled(everything, 0, 7)
        assert kept.positive.sum() == 60
        assert (~kept.positive).sum() == 300
        assert share == 300 / 1940
        again, _ = plan.sampled(everything, 0, 7)
        np.testing.assert_array_equal(kept.rows, again.rows)
        few, _ = plan_of(taxonomy, [60], 2000, negatives_per_positive=1).sampled(everything, 0, 7)
        assert (~few.positive).sum() == 200


def work_of(settings: Config) -> CategoryWork:
    made = corpus(settings)
    support_C = made.train.labels.counts(len(made.taxonomy))
    return CategoryWork(
        settings, made, Plan(made.taxonomy, settings.training.strategy, support_C, len(made.train))
    )


class TestCategory:
    def test_a_child_starts_from_its_parent_with_a_fresh_head(self, monkeypatch):
        settings = config({"transferred_learning_rate": 1e-12})
        work = work_of(settings)
        parent, child = (work.plan.taxonomy.index[id] for id in ("science", "physics"))
        above = work.fit(parent, Beginning())
        inherited = {name: t for name, t in above.tensors.items() if not name.startswith("head.")}
        below = work.fit(child, Beginning(parent, inherited, parent))
        assert not any(name.startswith("embedder.") for name in below.tensors)
        for name, tensor in below.tensors.items():
            same = np.allclose(tensor, above.tensors[name], atol=1e-6)
            assert same == name.startswith("encoder."), name
        assert below.facts["parent"] == "science"
        assert below.facts["table"] == parent

    def test_without_a_lower_rate_and_freezing_all_of_it_learns(self):
        settings = config({"transferred_learning_rate": None, "freeze_embedding_below_level": None})
        work = work_of(settings)
        parent, child = (work.plan.taxonomy.index[id] for id in ("science", "physics"))
        above = work.fit(parent, Beginning())
        inherited = {name: t for name, t in above.tensors.items() if not name.startswith("head.")}
        below = work.fit(child, Beginning(parent, inherited, parent))
        assert below.facts["table"] == child
        for name, tensor in inherited.items():
            assert not np.allclose(below.tensors[name], tensor, atol=1e-4), name

    def test_the_search_takes_the_weight_with_the_highest_f1(self):
        work = work_of(config({"search": "weights", "class_weights": [1, 4, 20]}))
        facts = work.fit(work.plan.taxonomy.index["physics"], Beginning()).facts
        assert [one["weight"] for one in facts["tried"]] == [1, 4, 20]
        best = max(facts["tried"], key=lambda one: one["f1"])
        assert (facts["weight"], facts["f1"]) == (best["weight"], best["f1"])
        assert facts["threshold"] == pytest.approx(1 / (1 + best["weight"]))

    def test_weights_are_taken_out_of_the_scores(self):
        """At 1 / (1 + w) the network without its weight decides what the weighted one decides at one half."""
        work = work_of(config({"search": "weights", "class_weights": [9]}))
        column = work.plan.taxonomy.index["physics"]
        facts = work.fit(column, Beginning()).facts
        assert facts["threshold"] == pytest.approx(0.1)

    def test_a_sampled_prior_is_put_right(self, monkeypatch):
        """With a tenth of the negatives the logits come out lower by ln 10."""
        monkeypatch.setattr("linnaea.strategies.percategory.plan.LEAST_NEGATIVES", 1)
        plain = work_of(config({"negatives_per_positive": 0.5}, training=_one_step()))
        column = plain.plan.taxonomy.index["physics"]
        fitted = plain.fit(column, Beginning())
        facts = fitted.facts
        share = facts["negatives_read"] / facts["negatives"]
        assert share < 0.5
        train = plain.corpus.train
        positives = facts["positives"] / len(train)
        bias = float(fitted.tensors["head.linear.bias"][0])
        # One step of almost nothing: the bias is still the prior's, and that is the prior of all documents.
        assert bias == pytest.approx(np.log(positives / (1 - positives)), abs=0.15)

    @pytest.mark.parametrize("executor", [one_by_one, grouped], ids=["one by one", "grouped"])
    def test_the_dev_loss_is_that_of_the_network_as_it_is_shipped(self, executor, tmp_path, monkeypatch):
        monkeypatch.setattr("linnaea.strategies.percategory.plan.LEAST_NEGATIVES", 1)
        work = work_of(config({"negatives_per_positive": 0.5, "start_from": "scratch"}))
        finished = Finished(tmp_path, work.plan, resume=False)
        executor(work, finished, Silent())
        scorer = CategoryScorer.assembled(work.config, work.plan.taxonomy, work.corpus.featurizer, finished)
        dev = work.corpus.dev
        scores_NC = np.asarray(scorer.score(dev).scores, dtype=np.float64)
        for column in work.plan.trained:
            facts = finished.facts[column]
            assert facts["negatives_read"] < facts["negatives"]
            loss = log_loss(having(dev.labels, [column]), scores_NC[:, column], labels=[False, True])
            assert facts["loss"] == pytest.approx(loss, rel=1e-3)

    def test_what_is_drawn_for_a_category_is_its_own(self):
        """Another category beside it changes neither its negatives nor its dev."""
        few, more = Taxonomy.build(["b"], ["b"], [[]]), Taxonomy.build(["a", "b"], ["a", "b"], [[], []])
        everything = Examples(np.arange(2000), np.arange(2000) < 60)
        alone, _ = plan_of(few, [60], 2000, negatives_per_positive=1).sampled(everything, 0, 7)
        beside, _ = plan_of(more, [9, 60], 2000, negatives_per_positive=1).sampled(everything, 1, 7)
        np.testing.assert_array_equal(alone.rows, beside.rows)

    def test_the_dev_part_of_its_own(self):
        work = work_of(config({"dev": {"per_category": 0.25}}))
        column = work.plan.taxonomy.index["physics"]
        train, dev = work._documents(column)
        everything = len(work.corpus.train) + len(work.corpus.dev)
        assert len(train.rows) + len(dev.rows) == everything
        assert not set(train.rows) & set(dev.rows)
        assert abs(dev.positive.mean() - train.positive.mean()) < 0.05
        assert 0 < work.fit(column, Beginning()).facts["dev_positives"] < dev.positive.size


def _one_step() -> dict[str, Any]:
    return {
        "strategy": {"type": "per_category", "workers": 1, "negatives_per_positive": 0.5},
        "epochs": 1, "batch_size": 1000, "optimizer": {"type": "adam", "learning_rate": 1e-9},
    }  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    settings = config()
    run = run_folder(tmp_path_factory.mktemp("run"))
    made = corpus(settings)
    result = fit(settings, made, run, reporter=Silent())
    return settings, made, run, result


class TestRun:
    def test_the_model_is_one_folder_and_loads(self, trained):
        _, made, run, result = trained
        model = load(run.model)
        assert isinstance(model.scorer, CategoryScorer)
        again = model.scorer.score(made.test).scores
        written = [json.loads(line) for line in run.predictions.read_text().splitlines()]
        assert len(written) == len(made.test)
        assert result.metrics["micro"]["f1"] > 0.3
        assert np.asarray(again).shape == (len(made.test), len(made.taxonomy))
        rugby = made.taxonomy.index["rugby"]
        assert np.asarray(again)[:, rugby].max() == 0
        assert np.isinf(model.decider.thresholds_C[rugby])

    def test_scores_are_those_of_the_single_networks(self, trained):
        settings, made, run, _ = trained
        model = load(run.model)
        scores = np.asarray(model.scorer.score(made.test).scores)
        support_C = made.train.labels.counts(len(made.taxonomy))
        plan = Plan(made.taxonomy, settings.training.strategy, support_C, len(made.train))
        finished = Finished(run.checkpoints / "categories", plan, resume=True)
        work = CategoryWork(settings, made, plan)
        for column in plan.trained:
            tensors = dict(finished.tensors(column))
            home = finished.table(column)
            tensors |= {n: t for n, t in finished.tensors(home).items() if n.startswith("embedder.")}
            network = work.trainer.network(_job(made), np.zeros(1, np.int64))
            network.load_state_dict({name: torch.from_numpy(t) for name, t in tensors.items()})
            from linnaea.strategies.network import NetworkScorer

            single = NetworkScorer.of(work.trainer.config, work.trainer.taxonomy, network.eval())
            np.testing.assert_allclose(
                np.asarray(single.score(made.test).scores)[:, 0], scores[:, column], rtol=0, atol=1e-6
            )

    def test_the_table_tells_who_inherits_from_whom(self, trained):
        _, _, run, _ = trained
        rows = {
            row["id"]: row for row in json.loads((run.path / "categories.json").read_text())["categories"]
        }
        assert rows["physics"]["parent"] == "science"
        assert rows["physics"]["table"] == "science"
        assert rows["science"]["parent"] is None
        assert rows["rugby"] == {"id": "rugby", "network": False, "instead": "never", "positives": 0}

    def test_a_stopped_run_goes_on_and_ends_alike(self, trained, tmp_path, monkeypatch):
        settings, made, run, _ = trained
        other = run_folder(tmp_path / "other")
        put, calls = Finished.put, []

        def stops(self, fit):
            if len(calls) == 3:
                raise KeyboardInterrupt
            calls.append(fit.column)
            put(self, fit)

        monkeypatch.setattr(Finished, "put", stops)
        with pytest.raises(InterruptedRun, match=r"3 of 6 categories were done.*--resume"):
            build_strategy(settings).fit(made, other)
        monkeypatch.setattr(Finished, "put", put)
        fits = []
        whole = CategoryWork.fit
        monkeypatch.setattr(CategoryWork, "fit", lambda self, c, b: fits.append(c) or whole(self, c, b))
        resumed = build_strategy(settings).fit(made, other, resume=True)
        assert len(calls) + len(fits) == len(resumed.scorer.table_K)
        assert not set(calls) & set(fits)
        found = np.asarray(resumed.scorer.score(made.test).scores)
        np.testing.assert_array_equal(found, np.asarray(load(run.model).scorer.score(made.test).scores))

    def test_without_resume_nothing_of_before_counts(self, trained, tmp_path):
        settings, made, _, _ = trained
        run = run_folder(tmp_path / "again")
        build_strategy(settings).fit(made, run)
        plan = Plan.of(made.taxonomy, settings.training.strategy, made.train.labels)
        assert len(Finished(run.checkpoints / "categories", plan, resume=True)) == len(plan.trained)
        assert len(Finished(run.checkpoints / "categories", plan, resume=False)) == 0

    def test_any_encoder_will_do(self, tmp_path):
        model = {
            "embedder": {"dimension": 8}, "encoder": {"type": "textcnn", "filters": 5, "kernel_sizes": [1, 2]},
        }  # fmt: skip
        settings = config(model=model)
        fitted = build_strategy(settings).fit(corpus(settings), run_folder(tmp_path))
        assert fitted.found_C is not None

    @pytest.mark.parametrize("policy", ["siblings", "inclusive", "exclusive"])
    def test_scores_of_a_policy_never_rise_on_the_way_down_and_find_something(self, policy, tmp_path):
        settings = config({"negatives": policy}, epochs=8)
        made = corpus(settings)
        result = fit(settings, made, run_folder(tmp_path))
        assert result.metrics["micro"]["f1"] > 0.6
        scores = np.asarray(load(tmp_path).scorer.score(made.test).scores)
        for column in range(len(made.taxonomy)):
            for parent in made.taxonomy.parents[column]:
                assert (scores[:, column] <= scores[:, parent] + 1e-6).all()

    def test_a_category_may_follow_its_parent(self, tmp_path):
        settings = config({"min_positives": 14, "without_network": "parent"})
        made = corpus(settings)
        support_C = made.train.labels.counts(len(made.taxonomy))
        fitted = build_strategy(settings).fit(made, run_folder(tmp_path))
        scores = np.asarray(fitted.scorer.score(made.test).scores)
        rugby, leisure = (made.taxonomy.index[id] for id in ("rugby", "leisure"))
        assert support_C[rugby] == 0
        np.testing.assert_array_equal(scores[:, rugby], scores[:, leisure])
        assert fitted.found_C[rugby] == np.inf and rugby in fitted.follows

    @pytest.mark.parametrize(
        "rule", [{"type": "strategy"}, {"type": "fixed", "value": 0.5}, {"type": "per_category"}]
    )
    @pytest.mark.parametrize("decoding", ["none", "top_down", "ancestors", "max", "best"])
    def test_a_follower_is_decided_wherever_all_its_parents_are(self, rule, decoding, tmp_path):
        ids = ["science", "leisure", "physics", "chemistry", "opera", "football", "rugby", "chess"]
        above = [[], [], ["science"], ["science"], ["leisure"], ["leisure"], ["opera", "football"], ["rugby"]]
        taxonomy = Taxonomy.build(ids, ids, above)
        settings = config(
            {"without_network": "parent"}, decision={"threshold": rule, "decoding": decoding}, epochs=12
        )
        splits = (documents(n, s) for s, n in enumerate((48, 16, 60)))
        made = corpus_from_documents(settings, taxonomy, *splits)
        fit(settings, made, run_folder(tmp_path))
        model = load(tmp_path)
        chosen = [set(row.tolist()) for row in model.decide(model.scorer.score(made.test)).chosen]
        opera, football, rugby, chess = columns(made.taxonomy, "opera", "football", "rugby", "chess")
        both = [{opera, football} <= row for row in chosen]
        assert both == [rugby in row for row in chosen] == [chess in row for row in chosen]
        assert any(both) and not all(both)

    @pytest.mark.parametrize(
        "decoding",
        [
            "none",
            "top_down",
            "ancestors",
            "max",
            "best",
            "one_path",
            {"type": "one_path", "to": "leaf"},
            "one_per_level",
        ],
    )
    def test_what_lies_below_a_follower_is_found(self, decoding, below_a_follower):
        model, made = below_a_follower
        decider = with_decoding(model.decider, decoding)
        chosen = decider.decide(model.scorer.score(made.test)).chosen
        top, football, opera, arts = columns(made.taxonomy, "leisure", "football", "opera", "arts")
        assert arts in model.decider.follows
        gold = made.test.labels.dense(len(made.taxonomy))
        found = chosen.dense(len(made.taxonomy))
        for column in (football, opera):
            assert f1_score(gold[:, column], found[:, column]) > 0.7
        np.testing.assert_array_equal(found[:, arts], found[:, top])
        assert not violations(chosen, made.taxonomy).any()

    @pytest.mark.parametrize(
        ("parts", "where"),
        [
            ({"decision": {"decoding": "one_path"}}, "training.strategy.without_network"),
            ({"task": {"type": "hierarchical", "paths": "one"}}, "training.strategy.without_network"),
        ],
    )
    def test_what_stands_beside_the_one_path_is_refused_before_training(
        self, parts, where, tmp_path, monkeypatch
    ):
        settings = config({"without_network": "parent"}, **parts)
        single = [d | {"labels": d["labels"][:1]} for d in documents(48, 0)]
        made = corpus_from_documents(settings, toy_taxonomy(), single, single[:16])
        monkeypatch.setattr(CategoryWork, "fit", lambda *_: pytest.fail("it was trained"))
        with pytest.raises(ConfigError, match="one path a document, and 'rugby' has no network") as raised:
            build_strategy(settings).fit(made, run_folder(tmp_path))
        assert raised.value.where == where
        assert raised.value.hint == 'use "never", or let a document have several paths'

    def test_a_promise_that_rests_on_followers_is_refused_before_training(self, tmp_path, monkeypatch):
        rule = {"type": "conformal", "recall": 0.95}
        settings = config({"without_network": "parent", "min_positives": 40}, decision={"threshold": rule})
        made = corpus(settings, dev=30)
        monkeypatch.setattr(CategoryWork, "fit", lambda *_: pytest.fail("it was trained"))
        with pytest.raises(ConfigError, match=r"a recall of 0\.95 takes 19 .* there are 0"):
            build_strategy(settings).fit(made, run_folder(tmp_path))

    def test_always_is_for_all_documents_to_say(self, tmp_path):
        """With dev parts of their own train and dev are one: a category on all of train is not on all of them."""
        settings = config({"dev": {"per_category": 0.25}, "start_from": "scratch"})
        train, dev = documents(48, 0, ("physics", "chemistry")), documents(16, 1)
        made = corpus_from_documents(settings, toy_taxonomy(), train, dev, documents(20, 2))
        build_strategy(settings).fit(made, run_folder(tmp_path))
        rows = {r["id"]: r for r in json.loads((tmp_path / "categories.json").read_text())["categories"]}
        assert rows["science"]["network"]

    def test_documents_that_were_learned_from_are_not_measured_on(self, tmp_path):
        """Each category's own dev part is train for all others: without test documents there is nothing to measure."""
        settings = config({"dev": {"per_category": 0.25}, "start_from": "scratch"})
        made = corpus_from_documents(settings, toy_taxonomy(), documents(48, 0), documents(16, 1))
        result = fit(settings, made, run_folder(tmp_path))
        assert result.metrics == {}
        assert (tmp_path / "model" / "model.json").exists()

    @pytest.mark.parametrize("damage", ["truncated", "missing", "facts"])
    def test_a_category_whose_file_is_broken_is_trained_again(self, damage, trained, tmp_path):
        settings, made, _, _ = trained
        run = run_folder(tmp_path)
        build_strategy(settings).fit(made, run)
        place = run.checkpoints / "categories"
        weights = sorted(place.glob("*.safetensors"))[-1]
        whole = weights.read_bytes()
        if damage == "facts":
            weights.with_suffix(".json").write_text("{")
        elif damage == "missing":
            weights.unlink()
        else:
            weights.write_bytes(whole[:-5])
        build_strategy(settings).fit(made, run, resume=True)
        assert weights.read_bytes() == whole

    @pytest.mark.parametrize("change", ["labels", "texts", "taxonomy"])
    def test_other_documents_are_not_mixed_into_a_run(self, change, trained, tmp_path):
        settings, made, _, _ = trained
        run = run_folder(tmp_path / "first")
        build_strategy(settings).fit(made, run)
        (run.checkpoints / "categories" / f"{len(made.taxonomy) - 2}.json").unlink()
        train, tree = documents(48, 0), toy_taxonomy()
        if change == "labels":
            train[3]["labels"] = ["opera"] if train[3]["labels"] != ["opera"] else ["physics"]
        elif change == "texts":
            train[3]["text"] += " and an unknown wordling"
        else:
            tree = Taxonomy.build(tree.ids, tree.ids, [*([[], []]), *([["leisure"]] * 5)])
        other = corpus_from_documents(settings, tree, train, documents(16, 1), documents(20, 2))
        what = {"labels": "train", "texts": "input", "taxonomy": "taxonomy"}[change]
        with pytest.raises(ConfigError, match=f"the categories that are done are of another {what}"):
            build_strategy(settings).fit(other, run, resume=True)
        assert (run.checkpoints / "categories" / "0.json").exists(), "nothing is lost"
        build_strategy(settings).fit(made, run, resume=True)

    def test_a_dag_trains(self, tmp_path):
        ids = ["science", "leisure", "physics", "chemistry", "opera", "football"]
        above = [[], [], ["science"], ["science", "leisure"], ["leisure"], ["leisure"]]
        taxonomy = Taxonomy.build(ids, ids, above)
        settings = config()
        made = corpus_from_documents(
            settings, taxonomy, *(documents(n, s) for s, n in enumerate((48, 16, 20)))
        )
        fitted = build_strategy(settings).fit(made, run_folder(tmp_path))
        rows = {r["id"]: r for r in json.loads((tmp_path / "categories.json").read_text())["categories"]}
        support = dict(zip(made.taxonomy.ids, fitted.support_C.tolist(), strict=True))
        assert rows["chemistry"]["parent"] == min(("science", "leisure"), key=lambda id: (support[id], id))


def _job(made):
    from linnaea.strategies.trainer import Job

    return Job(made.train, None, None, config().training)


class TestSettings:
    @pytest.mark.parametrize(
        ("strategy", "where"),
        [
            ({"class_weights": [0]}, "class_weights"),
            ({"search": "weights", "class_weights": []}, "class_weights"),
            ({"search": "weights", "class_weights": [1, -3]}, "class_weights"),
            ({"search": "weights", "class_weights": [2, 2]}, "class_weights"),
            ({"class_weights": [1, 2]}, "class_weights"),
            ({"start_from": "scratch", "transferred_learning_rate": 0.1}, "transferred_learning_rate"),
            ({"start_from": "scratch", "freeze_embedding_below_level": 1}, "freeze_embedding_below_level"),
            ({"search": "weights", "negatives": "siblings"}, "search"),
            ({"negatives": "siblings", "dev": {"per_category": 0.1}}, "dev"),
            ({"executor": "grouped", "workers": 2}, "workers"),
        ],
    )
    def test_what_does_not_go_is_told(self, strategy, where):
        value = {"type": "per_category", **strategy}
        with pytest.raises(ConfigError) as caught:
            Config.build({"model": {"encoder": "gru_attention"}, "training": {"strategy": value}})
        assert f"training.strategy.{where}" in str(caught.value)

    @pytest.mark.parametrize(
        ("parts", "where"),
        [
            ({"model": {"encoder": "fasttext"}}, "training.strategy.start_from"),
            ({"objective": {"class_weights": "balanced"}}, "objective.class_weights"),
            (
                {"objective": {"recursive_penalty": 0.1}, "task": {"taxonomy": "x.tsv"}},
                "objective.recursive_penalty",
            ),
            ({"run": {"devices": 2}}, "run.devices"),
            ({"decision": {"threshold": {"type": "per_category", "on": "cross"}}}, "decision.threshold"),
        ],
    )
    def test_what_other_parts_ask_in_vain_is_told(self, parts, where):
        with pytest.raises(ConfigError) as caught:
            Config.build({"training": {"strategy": "per_category"}, **parts})
        assert where in str(caught.value)

    def test_metrics_of_several_categories_are_refused(self):
        training = {"strategy": "per_category", "early_stopping": {"metric": "macro_f1"}}
        with pytest.raises(ConfigError, match=r"training\.early_stopping\.metric"):
            Config.build({"training": training})

    def test_defaults_that_the_strategy_sets(self):
        built = Config.build({"training": {"strategy": "per_category"}})
        assert built.decision.threshold.type == "strategy"
        assert built.training.early_stopping.metric == "f1"
        assert Config.build(built.dump()) == built

    def test_strategy_thresholds_need_a_strategy_that_finds_them(self):
        with pytest.raises(ConfigError, match=r"decision\.threshold"):
            Config.build({"decision": {"threshold": "strategy"}})


class TestWeightsFromARun:
    """GRU-Att-Multi: the weights of a per-category run in one network."""

    def test_they_are_taken(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        settings = config({"search": "weights", "class_weights": [1, 5]})
        made = corpus(settings)
        build_strategy(settings).fit(made, run_folder(tmp_path / "weights"))
        table = json.loads((tmp_path / "weights" / "categories.json").read_text())
        multi = joint_config(
            objective={"class_weights": "from weights"},
            decision={"threshold": "strategy"},
            training={"epochs": 1, "early_stopping": {"metric": "weighted_f1"}},
        )
        fitted = build_strategy(multi).fit(made, run_folder(tmp_path / "multi"))
        for row in table["categories"]:
            column = made.taxonomy.index[row["id"]]
            wanted = 1 / (1 + row["weight"]) if row["network"] else np.inf
            assert fitted.found_C[column] == pytest.approx(wanted)

    def test_of_another_taxonomy_they_are_refused(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        run = tmp_path / "weights"
        run.mkdir()
        row = {"id": "physics", "network": True, "weight": 3, "tried": [1, 2]}
        (run / "categories.json").write_text(json.dumps({"taxonomy": "0" * 16, "categories": [row]}))
        multi = joint_config(objective={"class_weights": "from weights"})
        with pytest.raises(ConfigError, match="another taxonomy"):
            build_strategy(multi).fit(corpus(multi), run_folder(tmp_path / "multi"))

    def test_no_such_run(self, tmp_path):
        with pytest.raises(ConfigError, match=r"objective\.class_weights"):
            build_strategy(joint_config(objective={"class_weights": f"from {tmp_path}"}))


def test_one_by_one_tells_the_tree(trained, tmp_path):
    settings, made, _, _ = trained
    seen: list[str] = []

    class Hears(Silent):
        def progress(self, what: str, done: int, total: int | None = None, detail: str = "") -> None:
            seen.append(f"{what} {done}/{total} {detail}")

    support_C = made.train.labels.counts(len(made.taxonomy))
    plan = Plan(made.taxonomy, settings.training.strategy, support_C, len(made.train))
    finished = Finished(tmp_path / "categories", plan, resume=False)
    one_by_one(CategoryWork(settings, dataclasses.replace(made, test=None), plan), finished, Hears())
    total = len(plan.trained)
    assert seen[0].startswith(f"categories 0/{total} level 1: 0/2, level 2: 0/4")
    assert seen[-1].startswith(f"categories {total}/{total} level 1: 2/2, level 2: 4/4")
    assert Path(tmp_path / "categories").is_dir()
