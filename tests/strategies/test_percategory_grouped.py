"""The executor grouped: many networks as one learn what each would learn alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from linnaea.config.config import Config
from linnaea.config.percategory import PerCategoryStrategyConfig
from linnaea.errors import RunError
from linnaea.nn.grouped import gru_attention
from linnaea.nn.grouped.network import GroupedNetwork
from linnaea.nn.grouped.stack import norms
from linnaea.ragged import Ragged
from linnaea.reporter import Silent
from linnaea.strategies.percategory import grouped as module
from linnaea.strategies.percategory.category import Assignment, Beginning, CategoryWork, Tried
from linnaea.strategies.percategory.executors import one_by_one
from linnaea.strategies.percategory.finished import Finished
from linnaea.strategies.percategory.group import Group
from linnaea.strategies.percategory.grouped import grouped
from linnaea.strategies.percategory.plan import Plan
from linnaea.taxonomy.taxonomy import Taxonomy
from linnaea.testing import worlds
from linnaea.text.build import corpus_from_documents

from .toys import documents, joint_config, taxonomy

GRU: dict[str, Any] = {"type": "gru_attention", "hidden": 5, "dropout": 0.0}
TEXTCNN: dict[str, Any] = {"type": "textcnn", "filters": 4, "kernel_sizes": [1, 2]}


# Where a gradient is as small as its rounding error, Adam makes a whole step of either; this eps makes it a small one.
ADAM = {"type": "adam", "learning_rate": 0.02, "eps": 1e-5}


def config(strategy: dict[str, Any] | None = None, encoder: dict[str, Any] = GRU, **training: Any) -> Config:
    """Small networks without dropout."""
    return joint_config(
        model={"embedder": {"dimension": 6}, "encoder": encoder, "head": {"dropout": 0.0}},
        training={
            "strategy": {"type": "per_category", **(strategy or {})},
            "epochs": 3, "batch_size": 16, "optimizer": ADAM, **training,
        },
        run={"seed": 3, "device": "cpu", "threads": 1},
    )  # fmt: skip


def dag() -> Taxonomy:
    """The toys' tree, in which chemistry lies below leisure too, and has a category below itself."""
    ids = ["science", "leisure", "physics", "chemistry", "opera", "football", "rugby", "quark"]
    above: list[list[str]] = [
        [], [], ["science"], ["science", "leisure"], ["leisure"], ["leisure"], ["leisure"], ["physics", "chemistry"],
    ]  # fmt: skip
    return Taxonomy.build(ids, ids, above)


def made(config: Config, categories: Taxonomy | None = None, train: int = 60) -> CategoryWork:
    parts = [documents(n, seed) for seed, n in enumerate((train, 30))]
    if categories is not None and "quark" in categories.index:
        for part in parts:
            for number, document in enumerate(part):
                if "quark" in document["text"] and number % 2:
                    document["labels"] = [*document["labels"], "quark"]
    corpus = corpus_from_documents(config, categories or taxonomy(), *parts, None)
    strategy = config.training.strategy
    assert isinstance(strategy, PerCategoryStrategyConfig)
    support_C = corpus.train.labels.counts(len(corpus.taxonomy))
    return CategoryWork(config, corpus, Plan(corpus.taxonomy, strategy, support_C, len(corpus.train)))


def run(work: CategoryWork, folder: Path, executor: Any) -> Finished:
    finished = Finished(folder, work.plan, resume=True)
    executor(work, finished, Silent())
    return finished


def assert_equal(first: Finished, second: Finished, tolerance: float = 1e-5) -> None:
    assert set(first.facts) == set(second.facts) == set(first.plan.trained)
    for column in first.facts:
        one, other = first.tensors(column), second.tensors(column)
        assert one.keys() == other.keys()
        for name, tensor in one.items():
            np.testing.assert_allclose(tensor, other[name], atol=tolerance, err_msg=f"{column} {name}")
        facts, others = (dict(finished.facts[column]) for finished in (first, second))
        for each in (facts, others):
            each.pop("seconds")
            each["losses"] = [round(t.pop("loss"), 5) for t in map(dict, [each, *each.pop("tried")])]
            each.pop("loss")
            each["threshold"] = pytest.approx(each["threshold"], abs=1e-5)
        assert facts.pop("losses") == pytest.approx(others.pop("losses"), abs=2e-5)
        assert facts == others


class TestEqualsOneByOne:
    @pytest.mark.parametrize("encoder", [GRU, TEXTCNN], ids=["gru_attention", "textcnn"])
    @pytest.mark.parametrize("categories", [taxonomy, dag], ids=["tree", "dag"])
    @pytest.mark.parametrize(
        "strategy",
        [{}, {"search": "weights", "class_weights": [1, 3, 10]}],
        ids=["threshold", "weights"],
    )
    def test_without_dropout(self, encoder, categories, strategy, tmp_path):
        work = made(config(strategy, encoder), categories())
        first = run(work, tmp_path / "one", one_by_one)
        assert_equal(first, run(work, tmp_path / "grouped", grouped))

    @pytest.mark.parametrize(
        ("strategy", "training"),
        [
            ({}, {"early_stopping": {"metric": "f1", "patience": 1}, "epochs": 8}),
            ({}, {"early_stopping": {"metric": "loss", "patience": 1}, "epochs": 8}),
            ({}, {"early_stopping": {"metric": "average_precision", "patience": 1}, "epochs": 6}),
            ({}, {"early_stopping": None}),
            ({"transferred_learning_rate": None, "freeze_embedding_below_level": None}, {}),
            ({"start_from": "scratch", "search": "weights", "class_weights": [1, 5]}, {}),
            ({}, {"gradient_clip": 0.05, "accumulate": 2}),
            ({}, {"optimizer": {"type": "sgd", "learning_rate": 0.5, "momentum": 0.9}}),
            ({}, {"sparse_gradients": True, "gradient_clip": 0.1}),
            ({}, {"schedule": {"type": "linear"}, "warmup_steps": 3}),
        ],
        ids=["f1", "loss", "ap", "last", "thawed", "scratch", "clip", "sgd", "sparse", "schedule"],
    )
    def test_whatever_the_training(self, strategy, training, tmp_path):
        work = made(config(strategy, **training))
        first = run(work, tmp_path / "one", one_by_one)
        assert_equal(first, run(work, tmp_path / "grouped", grouped))

    def test_with_dropout_all_draw_the_masks_of_a_single_network(self, tmp_path):
        work = made(config(encoder={**GRU, "dropout": 0.4}))
        first = run(work, tmp_path / "one", one_by_one)
        assert_equal(first, run(work, tmp_path / "grouped", grouped))


class TestGroups:
    def test_as_many_at_a_time_as_there_is_room_for(self, tmp_path, monkeypatch):
        """One network at a time, several, or all: the same."""
        work = made(config({"search": "weights", "class_weights": [1, 3, 10]}))
        sizes: list[int] = []
        begin = Group.__init__

        def note(self: Group, work: Any, network: Any, candidates: Any, *rest: Any) -> None:
            sizes.append(len(candidates))
            begin(self, work, network, candidates, *rest)

        monkeypatch.setattr(Group, "__init__", note)
        whole = run(work, tmp_path / "whole", grouped)
        assert sizes == [6, 12]
        sizes.clear()
        monkeypatch.setattr(module, "_room", lambda *_: (2, 1024))
        assert_equal(whole, run(work, tmp_path / "two", grouped))
        assert sizes == [2, 1] * 6

    def test_memory_bounds_the_group(self, monkeypatch):
        work = made(config())
        assignment = work.assignment(work.plan.trained[0], Beginning())
        most, positions = module._room(work, assignment)
        monkeypatch.setattr(module, "BUDGET", module.BUDGET // 4)
        assert module._room(work, assignment)[0] == pytest.approx(most / 4, abs=1)
        assert positions >= 1024

    @pytest.mark.parametrize(
        "strategy",
        [
            {"negatives": "siblings"},
            {"negatives_per_positive": 1.0},
        ],
        ids=["siblings", "sampled"],
    )
    def test_documents_that_are_not_its_own_teach_a_network_nothing(self, strategy, tmp_path, monkeypatch):
        """Their words turned into others, it learns the same: all else is as before."""
        monkeypatch.setattr("linnaea.strategies.percategory.plan.LEAST_NEGATIVES", 10)
        work = made(config({**strategy, "start_from": "scratch"}, epochs=2))
        column = next(c for c in work.plan.trained if len(work.plan.taxonomy.parents[c]))
        assignment = work.assignment(column, Beginning())
        first = self._trained(work, assignment)
        others = np.setdiff1d(np.arange(len(work.pool)), assignment.kept.rows)
        assert len(others)
        work = made(config({**strategy, "start_from": "scratch"}, epochs=2))
        read, pool_ids = type(work.pool).sequence, work.pool.ids

        def changed(split: Any, rows: np.ndarray) -> Any:
            found = read(split, rows)
            if split.ids != pool_ids:
                return found
            values = np.array(found.values)
            values[np.isin(np.asarray(rows)[found.rows], others)] = 1
            return Ragged(values, found.offsets_N1)

        monkeypatch.setattr(type(work.pool), "sequence", changed)
        second = self._trained(work, work.assignment(column, Beginning()))
        for name, tensor in first.network().items():
            np.testing.assert_allclose(second.network()[name], tensor, atol=1e-5, err_msg=name)
        assert first.f1 == second.f1

    def _trained(self, work: CategoryWork, assignment: Assignment) -> Tried:
        network, candidates = module._candidates(work, [assignment])
        return Group(work, network, candidates, 1024, lambda epoch: None).run()[0]

    def test_a_dev_part_of_its_own(self, tmp_path):
        """Batches differ from those of single networks; what is judged, and by what, does not."""
        work = made(config({"dev": {"per_category": 0.3}}, epochs=2))
        first, second = run(work, tmp_path / "one", one_by_one), run(work, tmp_path / "grouped", grouped)
        for column, facts in first.facts.items():
            for key in ("parent", "table", "positives", "negatives_read", "dev_positives", "documents_read"):
                assert second.facts[column][key] == facts[key]

    def test_a_loss_that_is_not_finite_names_the_category(self, tmp_path):
        work = made(config(optimizer={"type": "sgd", "learning_rate": 1e30}))
        with pytest.raises(
            RunError, match=r"the loss of '\w+' is not finite at step \d+ .*learning rate below"
        ):
            run(work, tmp_path, grouped)


class TestGroupedNetwork:
    """K networks as one give the logits and gradients of each alone."""

    @pytest.mark.parametrize("way", ["written", "vmap", "each"])
    @pytest.mark.parametrize("encoder", ["gru_attention", "textcnn", "textrnn", "dpcnn"])
    @pytest.mark.parametrize("frozen", [False, True], ids=["own", "shared"])
    def test_logits_and_gradients(self, way, encoder, frozen):
        choice = {"type": "gru_attention", "hidden": 5} if encoder == "gru_attention" else {"type": encoder}
        single = [worlds.make_network(worlds.model_with("encoder", choice), seed).eval() for seed in range(4)]
        if way == "written" and not gru_attention.fits(single[0]):
            pytest.skip("has no form of its own")
        tables = [0, 0, 1, 1] if frozen else [0, 1, 2, 3]
        for k, network in enumerate(single):
            assert network.embedder is not None
            network.embedder.load_state_dict(single[tables.index(tables[k])].embedder.state_dict())  # type: ignore[union-attr]
            network.embedder.requires_grad_(not frozen)
        whole = GroupedNetwork(single[0], [network.state_dict() for network in single], tables).eval()
        whole.way = way
        batch = worlds.make_batch(worlds.make_documents(np.random.default_rng(5), [7, 0, 3, 12, 1]))
        with torch.no_grad():
            eager = whole(batch)
        logits_KB = whole(batch)
        torch.testing.assert_close(eager, logits_KB)
        columns = torch.stack([network(batch).logits_BC[:, 0] for network in single])
        torch.testing.assert_close(logits_KB, columns, atol=1e-5, rtol=1e-5)
        factor = torch.randn(columns.shape, generator=torch.Generator().manual_seed(2))
        (logits_KB * factor).sum().backward()
        (columns * factor).sum().backward()
        self._assert_gradients(whole, single)

    def _assert_gradients(self, whole: GroupedNetwork, single: list[Any]) -> None:
        stacked = whole.stack.stacked()
        for k, network in enumerate(single):
            for name, parameter in network.named_parameters():
                if name.startswith("embedder."):
                    if whole.stack.learns:
                        own = dict(whole.stack.embedder[str(k)].named_parameters())[
                            name.removeprefix("embedder.")
                        ]
                        torch.testing.assert_close(own.grad, parameter.grad, atol=1e-5, rtol=1e-4)
                    continue
                torch.testing.assert_close(stacked[name].grad[k], parameter.grad, atol=1e-5, rtol=1e-4)
            squares = [p.grad.square().sum() for p in network.parameters() if p.grad is not None]
            torch.testing.assert_close(norms(whole.stack)[k], torch.stack(squares).sum().sqrt())

    def test_a_batch_of_empty_documents(self):
        network = worlds.make_network(
            worlds.model_with("encoder", {"type": "gru_attention", "hidden": 5})
        ).eval()
        whole = GroupedNetwork(network, [network.state_dict()] * 2, [0, 1]).eval()
        batch = worlds.make_batch(worlds.make_documents(np.random.default_rng(5), [0, 0]))
        logits_KB = whole(batch)
        torch.testing.assert_close(logits_KB, network(batch).logits_BC[:, 0].expand(2, 2))
        logits_KB.sum().backward()
