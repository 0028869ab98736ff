"""Growing scorers: what is kept is equal to the last bit, what is new begins where it should."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from linnaea.commands.former import _facts
from linnaea.commands.grow import _tell_lowered
from linnaea.config.config import Config
from linnaea.decision.decider import Decider
from linnaea.decision.decoding import violations
from linnaea.decision.predictions import Predictions
from linnaea.decision.thresholds import fit_decider
from linnaea.errors import InterruptedRun, UsageError
from linnaea.reporter import Silent
from linnaea.strategies.base import Fitted, Scorer
from linnaea.strategies.build import build_strategy
from linnaea.strategies.classweights import TABLE
from linnaea.strategies.grow import GrownPlan, Growth, growing, own_networks, plan_growth
from linnaea.strategies.growing.network import HeadOnly, grown_network
from linnaea.strategies.liblinear import fit_categories
from linnaea.strategies.linear import LinearScorer
from linnaea.strategies.network import NetworkScorer
from linnaea.strategies.percategory import executors
from linnaea.strategies.percategory.networks import FOLLOWS, CategoryScorer
from linnaea.strategies.percategory.plan import Kind
from linnaea.strategies.tfidf import count_features
from linnaea.taxonomy.change import Change
from linnaea.taxonomy.taxonomy import Taxonomy
from linnaea.text.build import corpus_from_documents
from linnaea.text.store import Corpus

from .toys import WORDS, corpus, documents, joint_config, linear_config, run_folder, taxonomy

TUNED = {"threshold": {"type": "per_category"}}
MORE = {**WORDS, "biology": "quark voice", "cooking": "metal goal", "rugby": "aria keeper acid"}
RENAMES = {"opera": "music"}


def new_taxonomy(parents: dict[str, list[str]] | None = None) -> Taxonomy:
    """Biology and a top category "home" with cooking come, football moves, opera is "music", chemistry goes."""
    parents = parents or {
        "science": [], "leisure": [], "home": [], "physics": ["science"], "biology": ["science"],
        "music": ["leisure"], "football": ["home"], "rugby": ["leisure"], "cooking": ["home"],
    }  # fmt: skip
    return Taxonomy.build(list(parents), list(parents), list(parents.values()))


def more(
    count: int, seed: int, names: tuple[str, ...] = ("biology", "cooking", "rugby")
) -> list[dict[str, Any]]:
    rng = np.random.default_rng([seed, 7])
    return [
        {
            "id": f"m{seed}-{i}",
            "text": " ".join(rng.choice(MORE[names[i % len(names)]].split(), 4)),
            "labels": [names[i % len(names)]],
        }
        for i in range(count)
    ]


def grown(config: Config, old: Corpus, change: Change) -> Corpus:
    """The old documents relabelled by hand, and new ones, as the old featurizer encodes them."""
    new = change.new

    def relabelled(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        names = (
            dict(change.renames) if "chemistry" in new.index else {"chemistry": "science", **change.renames}
        )
        return [{**row, "labels": [names.get(label, label) for label in row["labels"]]} for row in rows]

    parts, names = {}, tuple(name for name in ("biology", "cooking", "rugby") if name in new.index)
    for seed, (name, count) in enumerate({"train": 48, "dev": 16, "test": 20}.items()):
        rows = relabelled(documents(count, seed)) + more(count // 2 if names else 0, seed, names)
        made = corpus_from_documents(config, new, rows, rows)
        split = old.featurizer.split(made.train.columns)
        parts[name] = split.with_labels(made.train.labels)
    return Corpus(new, old.featurizer, **parts)


@dataclasses.dataclass
class Old:
    """A trained model, and the corpus that it is to grow on."""

    config: Config
    scorer: Any
    decider: Decider
    change: Change
    corpus: Corpus
    folder: Path

    def plan(self, **options: bool) -> Growth:
        return plan_growth(
            self.config, self.scorer, self.decider.thresholds_C, self.change, self.corpus, **options
        )

    def fit(self, growth: Growth, name: str = "new", **options: Any) -> tuple[Any, Fitted, Decider]:
        fitted = growing(self.config, growth).fit(self.corpus, run_folder(self.folder / name), **options)
        found = decided(self.config, fitted, self.change.new)
        return fitted.scorer, fitted, growth.keep_thresholds(found, self.config)


def decided(config: Config, fitted: Fitted, of: Taxonomy) -> Decider:
    decider = fit_decider(
        config.decision, config.task, fitted.tuning, fitted.tuning_gold, fitted.support_C, of, fitted.found_C
    )
    return decider.following(fitted.follows)


def trained(config: Config, folder: Path, new: Taxonomy | None = None, renames: Any = None) -> Old:
    made = corpus(config)
    fitted = build_strategy(config).fit(made, run_folder(folder / "old"))
    change = Change.between(taxonomy(), new or new_taxonomy(), RENAMES if renames is None else renames)
    return Old(
        config,
        fitted.scorer,
        decided(config, fitted, taxonomy()),
        change,
        grown(config, made, change),
        folder,
    )


def joint(decision: dict[str, Any] | None = None, **parts: Any) -> Config:
    return joint_config(**{"decision": decision or TUNED, **parts})


def category_config(strategy: dict[str, Any] | None = None) -> Config:
    settings = {"type": "per_category", "executor": "local", "workers": 1, **(strategy or {})}
    value = joint_config().dump()
    training = {"epochs": 2, "batch_size": 16, "strategy": settings}
    return Config.build(
        {
            "input": {"vocabulary": {"min_count": 1}},
            "model": value["model"],
            "training": training,
            "run": value["run"],
        }
    )


def state(scorer: Scorer) -> Mapping[str, np.ndarray]:
    assert isinstance(scorer, NetworkScorer)
    return {name: t.cpu().numpy().copy() for name, t in scorer.network.state_dict().items()}


def reasons(growth: Growth) -> dict[str, str]:
    return {growth.taxonomy.ids[c]: why for c, why in growth.reasons.items()}


WHY = {
    "home": "added",
    "biology": "added",
    "cooking": "added",
    "football": "moved",
    "rugby": "has documents now",
}


def test_the_plan(tmp_path: Path) -> None:
    old = trained(joint(), tmp_path)
    growth = old.plan()
    assert reasons(growth) == WHY
    value = growth.to_json()
    assert value["kept"] == 4
    assert value["removed"] == ["chemistry"]
    assert value["networks"] == 1
    assert value["disturbed"] == ["leisure"]
    assert {row["id"]: row["starts_from"] for row in value["fitted"]} == {
        "home": None, "biology": "science", "football": "football", "rugby": "leisure", "cooking": "home",
    }  # fmt: skip
    told = "\n".join(growth.lines())
    assert "to train: 5 rows of the head" in told
    assert "fit biology: added" in told


def test_new_rows_begin_as_their_parents(tmp_path: Path) -> None:
    old = trained(joint(), tmp_path)
    growth = old.plan()
    network = grown_network(old.config, old.scorer.network, growth, old.corpus)
    before, after = old.scorer.network.state_dict(), network.state_dict()
    new, was = old.change.new.index, old.change.old.index
    for name in ("head.linear.weight", "head.linear.bias"):
        rows, old_rows = after[name], before[name]
        assert torch.equal(rows[new["biology"]], old_rows[was["science"]])
        assert torch.equal(rows[new["rugby"]], old_rows[was["leisure"]])
        assert torch.equal(rows[new["music"]], old_rows[was["opera"]])
        assert torch.equal(rows[new["football"]], old_rows[was["football"]])
        tops = (old_rows[was["science"]] + old_rows[was["leisure"]]) / 2
        torch.testing.assert_close(rows[new["home"]], tops)
        assert torch.equal(rows[new["cooking"]], rows[new["home"]])
    assert all(torch.equal(t, after[name]) for name, t in before.items() if not name.startswith("head."))


OPTIMIZERS = {
    "adamw": {"type": "adamw", "learning_rate": 0.01, "weight_decay": 0.3},
    "sgd": {"type": "sgd", "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.1},
    "adadelta": {"type": "adadelta", "learning_rate": 1.0},
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(
    "encoder", [{"type": "textcnn", "filters": 8}, {"type": "dpcnn", "filters": 8}], ids=str
)
def test_only_the_rows_of_what_changed_train(tmp_path: Path, optimizer: str, encoder: dict[str, Any]) -> None:
    model = {"embedder": {"type": "lookup", "dimension": 8}, "encoder": encoder}
    training = {"epochs": 2, "batch_size": 8, "optimizer": OPTIMIZERS[optimizer], "gradient_clip": 1.0}
    objective = {"class_weights": "balanced", "recursive_penalty": 1e-4}
    old = trained(joint(model=model, training=training, objective=objective), tmp_path)
    growth = old.plan()
    start = grown_network(old.config, old.scorer.network, growth, old.corpus).state_dict()
    scorer, _, decider = old.fit(growth)
    after = state(scorer)
    kept, changed = np.flatnonzero(growth.kept_C), list(growth.fitted)
    for name, tensor in start.items():
        if name.startswith("head.linear"):
            assert (after[name][kept] == tensor.numpy()[kept]).all(), name
            assert (after[name][changed] != tensor.numpy()[changed]).any(), name
        else:
            assert (after[name] == tensor.numpy()).all(), name
    before = old.change.old_C[kept]
    assert (decider.thresholds_C[kept] == old.decider.thresholds_C[before]).all()
    assert np.isfinite(decider.thresholds_C[changed]).all()
    assert all(p.requires_grad for p in scorer.network.parameters())
    assert not isinstance(scorer.network, HeadOnly)


def test_new_rows_learn(tmp_path: Path) -> None:
    training = {"epochs": 30, "batch_size": 8, "optimizer": {"type": "adam", "learning_rate": 0.05}}
    old = trained(joint(training=training), tmp_path)
    scorer, _, decider = old.fit(old.plan())
    test = old.corpus.test
    assert test is not None and test.labels is not None
    chosen = decider.decide(scorer.score(test)).chosen.dense(9)
    gold = test.labels.dense(9)
    for id in ("rugby", "cooking", "biology"):
        # Pairs of words that the vocabulary knows from other categories.
        column = old.change.new.index[id]
        # Their words are unknown to the vocabulary: nothing but the lack of known ones tells them.
        assert (chosen[:, column] & gold[:, column]).sum() > gold[:, column].sum() / 2


def test_all_may_train(tmp_path: Path) -> None:
    old = trained(joint(), tmp_path)
    growth = old.plan(everything=True)
    before = state(old.scorer)
    scorer, _, _ = old.fit(growth)
    after = state(scorer)
    assert not growth.kept_C.any()
    assert all((after[n] != t).any() for n, t in before.items() if n.startswith(("embedder.", "encoder.")))


def test_fixed_and_global_thresholds_stay(tmp_path: Path) -> None:
    old = trained(joint({"threshold": {"type": "global"}}), tmp_path)
    _, _, decider = old.fit(old.plan())
    usual = old.decider.thresholds_C[np.isfinite(old.decider.thresholds_C)]
    assert set(decider.thresholds_C.tolist()) == set(usual.tolist())


def test_under_max_no_threshold_lies_below_a_parents(tmp_path: Path) -> None:
    decision = {**TUNED, "decoding": "max"}
    old = trained(joint(decision), tmp_path)
    _, _, decider = old.fit(old.plan())
    for parent, child in zip(*old.change.new.edges, strict=True):
        assert decider.thresholds_C[parent] <= decider.thresholds_C[child]


class TestThresholdsUnderMax:
    """What is kept bounds what is fitted between: thresholds never fall on the way down."""

    CONFIG = Config.build({"task": {"type": "hierarchical"}, "decision": {**TUNED, "decoding": "max"}})

    def _settled(
        self, change: Change, old_P: np.ndarray, found_C: np.ndarray, reasons: list[int]
    ) -> tuple[Growth, Decider]:
        """The decider of a growth that fits ``reasons`` again and finds ``found_C``."""
        any_scorer: Any = type("Some", (), {"kind": "network"})()
        growth = Growth(change, any_scorer, old_P, dict.fromkeys(reasons, "moved"), np.ones(len(change.new)))
        decoding = self.CONFIG.decision.decoding
        return growth, growth.keep_thresholds(Decider(change.new, found_C, decoding), self.CONFIG)

    @pytest.mark.parametrize(
        ("top", "found", "expected"),
        [
            (0.2, 0.7, [0.2, 0.4, 0.4]),  # below what is kept above its child
            (0.2, 0.1, [0.2, 0.2, 0.4]),
            (0.2, 0.3, [0.2, 0.3, 0.4]),
            (0.6, 0.5, [0.4, 0.4, 0.4]),  # the kept ones contradict each other: the upper one gives way
        ],
    )
    def test_by_hand(self, top: float, found: float, expected: list[float]) -> None:
        ids = ["old", "top", "middle", "low"]
        parents: list[list[list[str]]] = [[[], [], [above], ["middle"]] for above in ("old", "top")]
        change = Change.between(*(Taxonomy.build(ids, ids, one) for one in parents))
        assert [change.new.ids[c] for c in change.moved] == ["middle"]
        before = {"old": 0.1, "top": top, "middle": 0.3, "low": 0.4}
        fresh = {"old": 0.0, "top": 0.0, "middle": found, "low": 0.9}
        old_P = np.array([before[id] for id in change.old.ids])
        found_C = np.array([fresh[id] for id in change.new.ids])
        growth, decider = self._settled(change, old_P, found_C, list(change.moved))
        index, reporter = change.new.index, Silent()
        assert [decider.thresholds_C[index[id]] for id in ids] == [0.1, *expected]
        _tell_lowered(decider, growth, reporter)
        assert ["thresholds of top were lowered" in line for line in reporter.warnings] == [True] * (
            top > 0.4
        )

    @settings(max_examples=200, deadline=None)
    @given(data=st.data())
    def test_they_never_contradict_the_taxonomy(self, data: st.DataObject) -> None:
        old = data.draw(small_taxonomies(["a", "b", "c", "d", "e", "f"]))
        change = Change.between(old, data.draw(small_taxonomies(["f", "b", "x", "c", "a", "y", "d"])))
        levels = st.sampled_from([0.1, 0.2, 0.4, 0.5, 0.7, 0.9, np.inf])
        old_P, found_C = (
            lowered(np.array(data.draw(st.lists(levels, min_size=len(t), max_size=len(t)))), t)
            for t in (old, change.new)
        )
        again = data.draw(st.sets(st.sampled_from(range(len(change.new)))))
        growth, decider = self._settled(
            change, old_P, found_C, sorted({*change.added, *change.moved, *again})
        )
        new, thresholds_C = change.new, decider.thresholds_C
        edges = list(zip(*new.edges, strict=True))
        assert all(thresholds_C[parent] <= thresholds_C[child] for parent, child in edges)
        kept = {c: old_P[change.old_C[c]] for c in np.flatnonzero(growth.kept_C).tolist()}
        for column, before in kept.items():
            below = [kept[c] for c in new.descendants[column].tolist() if c in kept]
            assert thresholds_C[column] == min(below) or before == np.inf
        plain_C = np.array([kept.get(c, found_C[c]) for c in range(len(new))])
        if all(plain_C[parent] <= plain_C[child] for parent, child in edges):
            assert (thresholds_C == plain_C).all(), "nothing moves that need not"
        scores = np.random.default_rng(len(edges)).random((50, len(new))).astype(np.float32)
        decisions = decider.decide(Predictions([str(i) for i in range(50)], new, scores))
        assert not violations(decisions.chosen, new).any()

    def test_what_follows_its_parents_is_passed_through(self) -> None:
        """A follower is never decided by itself, and has no threshold: what stands below it looks beyond it."""
        ids = ["top", "follower", "low"]
        change = Change.between(*(Taxonomy.build(ids, ids, [[], ["top"], one]) for one in ([], ["follower"])))
        found_C, decoding = np.array([0.5, np.inf, 0.1]), self.CONFIG.decision.decoding
        growth, _ = self._settled(change, np.array([0.5, 0.3, np.inf]), found_C, [1, 2])
        found = Decider(change.new, found_C, decoding).following([1])
        settled = growth.keep_thresholds(found, self.CONFIG)
        assert settled.thresholds_C.tolist() == [0.5, np.inf, 0.5]
        assert settled.follows == (1,)


def test_a_category_decided_by_what_lies_below_it_keeps_its_threshold() -> None:
    """Once it has one: the second had no category below it that could be decided."""
    ids = ["first", "second", "low", "lower"]
    same = Taxonomy.build(ids, ids, [[], [], ["first"], ["second"]])
    config, ones = category_config(), np.ones(4, dtype=np.int64)
    kinds: tuple[Kind, ...] = ("below", "below", "network", "network")
    plan = GrownPlan(same, config.training.strategy, ones, 9, given=kinds)  # type: ignore[arg-type]
    any_scorer: Any = type("Some", (), {"kind": "categories"})()
    old_P, found_C = np.array([0.3, np.inf, 0.6, 0.7]), np.array([0.1, 0.2, 0.4, 0.5])
    growth = Growth(Change.between(same, same), any_scorer, old_P, {3: "has documents now"}, ones, plan=plan)
    decider = growth.keep_thresholds(Decider(same, found_C), config)
    assert decider.thresholds_C.tolist() == [0.3, 0.2, 0.6, 0.5]


@st.composite
def small_taxonomies(draw: st.DrawFn, ids: list[str]) -> Taxonomy:
    """A DAG of some of the ids, each below none, one or two that stand before it."""
    some = [id for id in ids if draw(st.booleans())] or ids[:2]
    above = [
        draw(st.lists(st.sampled_from(some[:i]), max_size=2, unique=True)) if i else []
        for i in range(len(some))
    ]
    return Taxonomy.build(some, some, above)


def lowered(thresholds_C: np.ndarray, of: Taxonomy) -> np.ndarray:
    """What decoding by ``max`` leaves of thresholds: of each category the least of its own and all below it."""
    return np.array([thresholds_C[of.descendants[column]].min() for column in range(len(of))])


def test_only_renamed_and_removed_trains_nothing(tmp_path: Path) -> None:
    parents = {
        "science": [],
        "leisure": [],
        "physics": ["science"],
        "music": ["leisure"],
        "football": ["leisure"],
    }
    old = trained(joint(), tmp_path, new_taxonomy(parents))
    growth = old.plan()
    assert growth.networks == 0 and growth.trains == "nothing" and not growth.empty
    scorer, _, decider = old.fit(growth)
    before = old.change.old_C
    assert (state(scorer)["head.linear.weight"] == state(old.scorer)["head.linear.weight"][before]).all()
    assert (decider.thresholds_C == old.decider.thresholds_C[before]).all()


# Linear models


@pytest.mark.parametrize("on", ["cross", "dev"])
def test_linear_columns(tmp_path: Path, on: str) -> None:
    config = linear_config(decision={"threshold": {"type": "per_category", "on": on}})
    old = trained(config, tmp_path)
    growth = old.plan()
    scorer, _, decider = old.fit(growth)
    assert isinstance(scorer, LinearScorer)
    kept, before = np.flatnonzero(growth.kept_C), old.change.old_C[np.flatnonzero(growth.kept_C)]
    dense, old_dense = scorer.weights.toarray(), old.scorer.weights.toarray()
    assert (dense[:, kept] == old_dense[:, before]).all()
    assert (scorer.intercept_C[kept] == old.scorer.intercept_C[before]).all()
    assert (decider.thresholds_C[kept] == old.decider.thresholds_C[before]).all()
    assert scorer.tfidf is old.scorer.tfidf
    # Independently: all columns fitted on the same vectors.
    splits = [old.corpus.train] if on == "dev" else [old.corpus.train, old.corpus.dev]
    sizes, features = old.corpus.featurizer.sizes, config.input.features
    counts = [
        count_features(s, features, sizes, np.arange(len(s))).toarray() for s in splits if s is not None
    ]
    from scipy.sparse import csr_array

    from linnaea.strategies.crossfit import join

    together = join([s for s in splits if s is not None])
    assert together.labels is not None
    vectors = scorer.tfidf.weigh(csr_array(np.concatenate(counts)))
    all_of_them = fit_categories(
        vectors, together.labels.transpose(9), config.training.strategy, config.run.seed
    )
    changed = list(growth.reasons)
    np.testing.assert_allclose(dense[:, changed], all_of_them.weights.toarray()[:, changed], atol=1e-6)


# One network a category


def kept_equal(old: Old, growth: Growth, scorer: CategoryScorer, decider: Decider) -> None:
    """What is kept has the network that it had, embedder and threshold included."""
    was: CategoryScorer = old.scorer
    for column in np.flatnonzero(growth.kept_C).tolist():
        before = int(old.change.old_C[column])
        k, k_old = int(scorer.network_C[column]), int(was.network_C[before])
        if k_old < 0:
            assert k == k_old
            continue
        for name in was.stacked:
            assert torch.equal(scorer.stacked[name][k], was.stacked[name][k_old]), name
        tables = scorer.tables[scorer.table_K[k]], was.tables[was.table_K[k_old]]
        assert tables[0].keys() == tables[1].keys()
        assert all(torch.equal(tables[0][name], tables[1][name]) for name in tables[0])
        assert decider.thresholds_C[column] == old.decider.thresholds_C[before]


def test_networks_of_kept_categories_stay(tmp_path: Path) -> None:
    old = trained(category_config(), tmp_path)
    growth = old.plan()
    assert reasons(growth) == WHY
    assert growth.networks == 5
    scorer, fitted, decider = old.fit(growth)
    kept_equal(old, growth, scorer, decider)
    assert own_networks(scorer.network_C).all(), "rugby has documents now"
    assert np.isfinite(decider.thresholds_C).all()
    assert fitted.facts["networks_kept"] == 4
    new = old.change.new.index
    tables = scorer.table_K[scorer.network_C]
    assert tables[new["biology"]] == tables[new["science"]], "the embedding of the top ancestor"
    assert tables[new["football"]] == tables[new["home"]]
    assert len(scorer.tables) == 3


def test_facts_of_kept_categories_name_their_parents_of_today(tmp_path: Path) -> None:
    parents = {"science": [], "fun": [], "physics": ["science"], "biology": ["science"], "opera": ["fun"],
               "football": ["fun"], "rugby": ["fun"]}  # fmt: skip
    old = trained(category_config(), tmp_path, new_taxonomy(parents), {"leisure": "fun"})
    former = _facts(tmp_path / "old" / TABLE)
    assert {former[id]["parent"] for id in ("opera", "football")} == {"leisure"}
    former["physics"]["parent"] = "chemistry"  # as if it had begun from a category that is gone now
    growing(old.config, old.plan(), former).fit(old.corpus, run_folder(tmp_path / "new"))
    after = _facts(tmp_path / "new" / TABLE)
    assert {id: facts["parent"] for id, facts in after.items() if facts.get("kept")} == {
        "science": None, "fun": None, "physics": None, "opera": "fun", "football": "fun",
    }  # fmt: skip
    assert after["opera"]["epochs"] == former["opera"]["epochs"] > 0


def test_what_is_kept_scores_as_before(tmp_path: Path) -> None:
    old = trained(category_config(), tmp_path)
    growth = old.plan()
    scorer, _, _ = old.fit(growth)
    kept = np.flatnonzero(growth.kept_C)
    before = old.scorer.score(old.corpus.test).scores[:, old.change.old_C[kept]]
    assert (scorer.score(old.corpus.test).scores[:, kept] == before).all()


def test_an_embedding_outlives_the_category_that_it_came_from(tmp_path: Path) -> None:
    parents = {"science": [], "sport": [], "physics": ["science"], "chemistry": ["science"], "opera": ["sport"],
               "football": ["opera"], "rugby": ["football"]}  # fmt: skip
    old = trained(category_config({"freeze_embedding_below_level": 1}), tmp_path, new_taxonomy(parents), {})
    growth = old.plan()
    assert set(reasons(growth)) == {"sport", "opera", "football", "rugby"}
    assert not growth.kept_C[old.change.new.index["opera"]]
    scorer, _, decider = old.fit(growth)
    kept_equal(old, growth, scorer, decider)
    parents = {"all": [], "science": ["all"], "leisure": [], "physics": ["science"], "chemistry": ["science"],
               "opera": ["leisure"], "football": ["leisure"], "rugby": ["leisure"]}  # fmt: skip
    old = trained(category_config(), tmp_path / "top", new_taxonomy(parents), {})
    growth = old.plan()
    assert set(reasons(growth)) >= {"all", "science"}
    scorer, _, decider = old.fit(growth)
    kept_equal(old, growth, scorer, decider)
    new = old.change.new.index
    tables = scorer.table_K[scorer.network_C]
    assert tables[new["physics"]] == tables[new["chemistry"]] != tables[new["science"]]


def test_descendants_are_fitted_again_when_asked(tmp_path: Path) -> None:
    parents = {"science": [], "leisure": [], "physics": ["leisure"], "chemistry": ["physics"], "opera": ["leisure"],
               "football": ["leisure"], "rugby": ["leisure"]}  # fmt: skip
    older = trained(category_config(), tmp_path, new_taxonomy(parents), {})
    assert set(reasons(older.plan())) == {"physics", "chemistry", "rugby"}
    moved = Change.between(older.change.new, new_taxonomy({**parents, "physics": ["science"]}), {})
    thresholds = np.full(7, 0.5)
    scorer, _, _ = older.fit(older.plan())
    options = {"config": older.config, "scorer": scorer, "thresholds_P": thresholds, "change": moved}
    assert set(reasons(plan_growth(**options, corpus=older.corpus))) == {"physics"}
    again = plan_growth(**options, corpus=older.corpus, descendants=True)
    assert reasons(again) == {"physics": "moved", "chemistry": "below one that is fitted again"}


def test_a_stopped_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = trained(category_config(), tmp_path)
    whole, _, whole_decider = old.fit(old.plan(), "whole")
    put, done = executors.Tree.put, []

    def put_two(self: executors.Tree, fit: Any) -> None:
        put(self, fit)
        done.append(fit.column)
        if len(done) == 2:
            raise InterruptedRun("stopped")

    monkeypatch.setattr(executors.Tree, "put", put_two)
    with pytest.raises(InterruptedRun):
        old.fit(old.plan(), "stopped")
    monkeypatch.setattr(executors.Tree, "put", lambda self, fit: (done.append(fit.column), put(self, fit))[1])
    scorer, _, decider = old.fit(old.plan(), "stopped", resume=True)
    assert len(done) == len(set(done)) == 5
    assert all(torch.equal(scorer.stacked[name], whole.stacked[name]) for name in whole.stacked)
    assert (decider.thresholds_C == whole_decider.thresholds_C).all()


def test_what_follows_its_parent_goes_on_following(tmp_path: Path) -> None:
    config = category_config({"without_network": "parent", "min_positives": 4})
    parents = {**{id: [] for id in ("science", "leisure")}, "physics": ["science"], "chemistry": ["science"],
               "opera": ["leisure"], "football": ["leisure"], "rugby": ["leisure"], "chess": ["leisure"]}  # fmt: skip
    old = trained(config, tmp_path, new_taxonomy(parents), {})
    growth = old.plan()
    assert [growth.taxonomy.ids[c] for c in growth.reasons if c not in growth.fitted] == ["chess"]
    scorer, _, decider = old.fit(growth)
    new = old.change.new.index
    assert scorer.network_C[new["chess"]] == FOLLOWS
    assert new["chess"] in decider.follows


def test_what_cannot_be_asked_of_a_scorer(tmp_path: Path) -> None:
    old = trained(linear_config(), tmp_path)
    with pytest.raises(UsageError, match="acts on one network for all categories only"):
        old.plan(everything=True)
    old.scorer = type("Other", (), {"kind": "ensemble"})()
    with pytest.raises(UsageError, match="'ensemble' cannot grow"):
        old.plan()
