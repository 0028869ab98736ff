"""The objective: class weights, shares of a step, scores."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from linnaea.config.heads import ModelConfig
from linnaea.config.objective import ObjectiveConfig
from linnaea.errors import ConfigError
from linnaea.nn.batch import Batch
from linnaea.nn.network import Head, HeadOutput, Network
from linnaea.nn.objectives.objective import Objective, constraint_of, fold_class_weights, scores
from linnaea.taxonomy.taxonomy import Taxonomy
from tests.nn.cases import make_bag, make_batch, make_documents, make_labels, make_network, sizes, taxonomy
from tests.references import losses as reference

MODEL = ModelConfig.read({"embedder": {"type": "lookup", "dimension": 8}, "encoder": "fasttext"})


def objective(settings: dict, support_C=None, documents: int = 16) -> Objective:
    config = ObjectiveConfig.read(settings)
    return Objective(config, taxonomy(), sizes().support_C if support_C is None else support_C, documents)


def a_batch(documents: int = 12, seed: int = 0) -> Batch:
    rng = np.random.default_rng(seed)
    return make_batch(make_documents(rng, [4] * documents), labels=make_labels(rng, documents))


class TestSteps:
    def test_mean_over_documents_and_categories(self):
        network, batch = make_network(MODEL).eval(), a_batch()
        logits = network(batch).logits_BC
        gold = batch.labels.dense(logits.shape[1])
        expected = torch.nn.functional.binary_cross_entropy_with_logits(logits, gold)
        torch.testing.assert_close(objective({})(HeadOutput(logits), batch, network), expected)

    @pytest.mark.parametrize(
        "settings", [{}, {"recursive_penalty": 0.3, "class_weights": "balanced"}], ids=str
    )
    def test_shares_sum_to_the_whole(self, settings: dict):
        """Batches of different sizes, as over accumulation steps and processes; values and gradients."""
        network = make_network(MODEL).eval().double()
        goal = objective(settings)
        rng = np.random.default_rng(3)
        texts, labels = make_documents(rng, [4] * 11), make_labels(rng, 11)

        def share(rows: range) -> torch.Tensor:
            batch = make_batch([texts[i] for i in rows], labels=[labels[i] for i in rows])
            return goal(network(batch), batch, network, documents_in_step=11)

        results = []
        for parts in ([range(11)], [range(5), range(5, 6), range(6, 11)]):
            network.zero_grad()
            total = sum(share(rows) for rows in parts)
            total.backward()
            results.append([total.detach(), *[p.grad.clone() for p in network.parameters()]])
        torch.testing.assert_close(results[0], results[1], rtol=0, atol=1e-12)

    def test_readings_have_their_losses_added_in_place_of_the_logits(self):
        network, batch = make_network(MODEL).eval(), a_batch()
        logits = network(batch).logits_BC
        goal = objective({})
        once, other = goal(HeadOutput(logits), batch, network), goal(HeadOutput(logits / 3), batch, network)
        both = goal(HeadOutput(logits * 100, readings=(logits, logits / 3)), batch, network)
        torch.testing.assert_close(both, once + other)

    def test_a_penalty_is_a_share_of_each_document(self):
        network, batch = make_network(MODEL).eval(), a_batch()
        logits, goal = network(batch).logits_BC, objective({})
        penalty_B = torch.arange(len(batch), dtype=logits.dtype)
        found = goal(HeadOutput(logits, penalty_B=penalty_B), batch, network, 100)
        torch.testing.assert_close(
            found, goal(HeadOutput(logits), batch, network, 100) + penalty_B.sum() / 100
        )

    def test_a_shift_comes_off_every_reading(self):
        first, second, shift_C = torch.randn(2, 3), torch.randn(2, 3), torch.randn(3)
        alone = HeadOutput(first)
        torch.testing.assert_close(alone.less(shift_C), first - shift_C)
        blended = HeadOutput(first * second, (first, second), torch.mul)
        torch.testing.assert_close(blended.less(shift_C), (first - shift_C) * (second - shift_C))

    def test_unlabelled_documents_are_refused(self):
        network = make_network(MODEL)
        batch = make_batch(make_documents(np.random.default_rng(0), [3]))
        with pytest.raises(ValueError, match="no labels"):
            objective({})(network(batch), batch, network)

    def test_half_precision_logits_are_widened(self):
        network, batch = make_network(MODEL).eval(), a_batch()
        logits = network(batch).logits_BC.bfloat16()
        loss = objective({})(HeadOutput(logits), batch, network)
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, objective({})(HeadOutput(logits.float()), batch, network))

    def test_buffers_are_not_saved_but_move(self):
        goal = objective({"class_weights": {"B": 3.0}, "recursive_penalty": 0.1})
        assert not goal.state_dict()
        assert goal.to(torch.device("meta")).weights_C.is_meta
        assert goal.penalty.parents_E.is_meta


class TestClassWeights:
    def test_by_id(self):
        assert objective({"class_weights": {"C": 3.0, "G": 0.5}}).weights_C.tolist() == [
            1,
            1,
            3,
            1,
            1,
            1,
            0.5,
        ]

    def test_balanced(self):
        support_C = np.array([8, 4, 1, 0, 16, 2, 15])
        weights = objective({"class_weights": "balanced"}, support_C, 16).weights_C.tolist()
        assert weights == pytest.approx([1, 3, 15, 1, 0.01, 7, 1 / 15])

    def test_balanced_is_capped(self):
        support_C = np.array([1, 9, 0, 0, 0, 0, 0])
        weights = objective({"class_weights": "balanced"}, support_C, 10_000).weights_C.tolist()
        assert weights == [100, 100, 1, 1, 1, 1, 1]

    def test_unknown_category(self):
        ids = ["markets", "sports"]
        flat = Taxonomy.build(ids, ids, [[], []])
        config = ObjectiveConfig.read({"class_weights": {"market": 2.0}})
        with pytest.raises(ConfigError) as caught:
            Objective(config, flat, np.array([1, 1]), 2)
        message = "objective.class_weights: there is no category 'market' (did you mean 'markets'?)"
        assert str(caught.value) == message

    @pytest.mark.parametrize("loss", ["bce", "softmax"])
    def test_folding_gives_back_unweighted_scores(self, loss: str):
        """A network that sees nothing learns frequencies; weighted and folded it learns the same ones."""
        frequencies = [0.5, 0.25, 0.125, 0.125, 0, 0, 0]
        labels = [[0]] * 8 + [[1]] * 4 + [[2]] * 2 + [[3]] * 2
        batch = make_batch(make_documents(np.random.default_rng(0), [0] * 16), labels=labels)
        scored = []
        for weights in (None, {"A": 2.0, "C": 5.0, "B": 0.5}):
            network = make_network(MODEL, scores="softmax" if loss == "softmax" else "sigmoid").double()
            goal = objective({"loss": loss, "class_weights": weights})
            (bias_C,) = network.head.biases()
            optimizer = torch.optim.LBFGS(
                [bias_C], max_iter=200, tolerance_grad=1e-10, line_search_fn="strong_wolfe"
            )

            def closure(network=network, goal=goal, optimizer=optimizer):
                optimizer.zero_grad()
                value = goal(network(batch), batch, network)
                value.backward()
                return value

            optimizer.step(closure)
            if weights is not None:
                fold_class_weights(network, goal.weights_C)
            scored.append(scores(network(batch).logits_BC[0], goal.kind).detach())
        np.testing.assert_allclose(scored[0][:4], frequencies[:4], atol=1e-3)
        np.testing.assert_allclose(scored[1], scored[0], atol=1e-3)

    def test_folding_needs_a_bias(self):
        class Bare(Head):
            pass

        network = Network(None, make_network(MODEL).encoder, Bare())
        with pytest.raises(ConfigError, match=r"objective\.class_weights: this head has no bias"):
            fold_class_weights(network, np.ones(7))


def test_scores():
    logits = torch.tensor([[0.0, math.log(3)]], dtype=torch.bfloat16)
    assert scores(logits, "sigmoid").dtype == torch.float32
    torch.testing.assert_close(
        scores(logits.float(), "sigmoid"), torch.tensor([[0.5, 0.75]]), atol=2e-3, rtol=0
    )
    torch.testing.assert_close(
        scores(logits.float(), "softmax"), torch.tensor([[0.25, 0.75]]), atol=2e-3, rtol=0
    )
    extreme = torch.tensor([[1e4, -1e4]])
    assert scores(extreme, "sigmoid").tolist() == [[1, 0]]
    assert scores(extreme, "softmax").tolist() == [[1, 0]]


def test_scores_under_the_max_constraint():
    """Each is the largest among its category and the descendants of that."""
    logits = torch.randn(3, 7)
    constraint = constraint_of(ObjectiveConfig.read({"loss": "max_constraint"}).loss, taxonomy())
    found = scores(logits, "sigmoid", constraint)
    for c, below in enumerate(taxonomy().descendants):
        assert torch.equal(found[:, c], logits[:, below.astype(np.int64)].sigmoid().amax(1))
    assert constraint_of(ObjectiveConfig.read({"loss": "bce"}).loss, taxonomy()) is None


def test_a_loss_of_ones_own_needs_no_preparation():
    """Plug-ins know ``__init__(self, config)`` and ``forward`` only."""

    class Plain(torch.nn.Module):
        def forward(self, logits_BC, labels, weights_C=None):
            return logits_BC.mean(1)

    goal = objective({})
    goal.loss = Plain()
    network, batch = make_network(MODEL).eval(), a_batch()
    output = network(batch)
    torch.testing.assert_close(goal(output, batch, network), output.logits_BC.mean())


def test_kind_follows_the_loss():
    assert objective({}).kind == "sigmoid"
    assert objective({"loss": "focal_softmax"}).kind == "softmax"


def test_binary_task_has_one_category():
    single = Taxonomy.build(["spam"], ["spam"], [[]])
    goal = Objective(ObjectiveConfig(), single, np.array([1]), 3)
    batch = Batch(rows_B=torch.arange(3), labels=make_bag([[0], [], [0]]))
    logits = torch.tensor([[1.0], [2.0], [-1.0]])
    network = make_network(MODEL)
    p = [reference.sigmoid(z) for z in (1.0, 2.0, -1.0)]
    expected = -(math.log(p[0]) + math.log(1 - p[1]) + math.log(p[2])) / 3
    assert goal(HeadOutput(logits), batch, network).item() == pytest.approx(expected)
