"""Recursive regularisation: both readings of a DAG, the paper's root and C, closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from linnaea.config.heads import HMCNConfig
from linnaea.config.objective import RecursivePenaltyConfig
from linnaea.nn.objectives.recursive import RecursivePenalty, mean_parent_penalty, recursive_penalty
from linnaea.taxonomy.taxonomy import Taxonomy
from tests.nn.cases import make_network, taxonomy
from tests.nn.test_objective import MODEL, a_batch, objective
from tests.references import losses as reference

TREE = Taxonomy.build(list("abcde"), list("abcde"), [[], ["a"], ["a"], ["b"], []])


class TestRecursivePenalty:
    @pytest.mark.parametrize("graph", [TREE, taxonomy()], ids=["tree", "dag"])
    def test_equals_the_twin(self, graph: Taxonomy):
        rows = torch.randn(len(graph), 4, dtype=torch.float64)
        parents_E, children_E = map(torch.from_numpy, graph.edges)
        edges = [
            (graph.index[p], c) for c in range(len(graph)) for p in [graph.ids[i] for i in graph.parents[c]]
        ]
        expected = reference.recursive_penalty(rows.tolist(), edges)
        assert recursive_penalty([rows], parents_E, children_E).item() == pytest.approx(expected, abs=1e-10)

    @settings(max_examples=20, deadline=None)
    @given(st.integers(2, 12), st.integers(0, 1000))
    def test_is_the_quadratic_form_of_the_laplacian(self, columns: int, seed: int):
        """½ tr(Wᵀ L W), and its gradient L W, on random DAGs."""
        rng = np.random.default_rng(seed)
        pairs = [(p, c) for c in range(1, columns) for p in range(c) if rng.random() < 0.4]
        if not pairs:
            pairs = [(0, 1)]
        parents_E, children_E = (torch.tensor(side) for side in zip(*pairs, strict=True))
        adjacency = np.zeros((columns, columns))
        for p, c in pairs:
            adjacency[p, c] = adjacency[c, p] = 1
        laplacian = torch.from_numpy(scipy.sparse.csgraph.laplacian(adjacency))
        rows = torch.from_numpy(rng.normal(size=(columns, 3))).requires_grad_()
        penalty = recursive_penalty([rows], parents_E, children_E)
        penalty.backward()
        torch.testing.assert_close(penalty, 0.5 * torch.trace(rows.T @ laplacian @ rows))
        torch.testing.assert_close(rows.grad, laplacian @ rows)

    def test_a_category_without_loss_ends_at_the_mean_of_its_neighbours(self):
        """Gopal & Yang's closed form for an inner category: (parent + Σ children) / (1 + children)."""
        parents_E, children_E = map(torch.from_numpy, TREE.edges)
        rows = torch.randn(5, 3, dtype=torch.float64)
        inner = TREE.index["b"]
        middle = rows[inner].clone().requires_grad_()
        optimizer = torch.optim.LBFGS(
            [middle], max_iter=50, tolerance_grad=1e-12, line_search_fn="strong_wolfe"
        )

        def closure():
            optimizer.zero_grad()
            others = [rows[i] if i != inner else middle for i in range(5)]
            penalty = recursive_penalty([torch.stack(others)], parents_E, children_E)
            penalty.backward()
            return penalty

        optimizer.step(closure)
        expected = (rows[TREE.index["a"]] + rows[TREE.index["d"]]) / 2
        torch.testing.assert_close(middle.detach(), expected, rtol=0, atol=1e-8)

    @settings(max_examples=20, deadline=None)
    @given(st.integers(2, 12), st.integers(0, 1000))
    def test_the_mean_of_parents_is_a_quadratic_form_too(self, columns: int, seed: int):
        """½ ‖M W‖² with M the identity less the shares of parents, and its gradient MᵀM W; and the twin."""
        rng = np.random.default_rng(seed)
        parents = [[p for p in range(c) if rng.random() < 0.4] for c in range(columns)]
        edges = [(p, c) for c in range(columns) for p in parents[c]]
        parents_E, children_E = (torch.tensor([e[side] for e in edges], dtype=torch.int64) for side in (0, 1))
        form = np.zeros((columns, columns))
        for c, above in enumerate(parents):
            form[c, c] = 1.0 if above else 0.0
            form[c, above] = -1 / max(len(above), 1)
        rows = torch.from_numpy(rng.normal(size=(columns, 3))).requires_grad_()
        penalty = mean_parent_penalty([rows], parents_E, children_E)
        penalty.backward()
        assert penalty.item() == pytest.approx(
            reference.mean_parent_penalty(rows.tolist(), parents), abs=1e-10
        )
        torch.testing.assert_close(rows.grad, torch.from_numpy(form.T @ form) @ rows)

    def test_in_a_tree_both_readings_coincide(self):
        rows = [torch.randn(5, 4, dtype=torch.float64), torch.randn(5, 2, 3, dtype=torch.float64)]
        edges = list(map(torch.from_numpy, TREE.edges))
        torch.testing.assert_close(mean_parent_penalty(rows, *edges), recursive_penalty(rows, *edges))
        rows = [torch.randn(7, 4, dtype=torch.float64)]
        edges = list(map(torch.from_numpy, taxonomy().edges))
        assert mean_parent_penalty(rows, *edges) != recursive_penalty(rows, *edges)

    @pytest.mark.parametrize("dag", ["edges", "mean_parent"])
    def test_the_root_pulls_top_categories_to_zero(self, dag: str):
        """As an edge from a category of weight 0 to each of them."""
        rows = torch.randn(7, 3, dtype=torch.float64)
        config = RecursivePenaltyConfig(factor=2.0, dag=dag)
        without = RecursivePenalty(config, taxonomy(), 16)([rows])
        found = RecursivePenalty(config.model_copy(update={"root": True}), taxonomy(), 16)([rows])
        tops = rows[torch.from_numpy(taxonomy().roots)]
        torch.testing.assert_close(found - without, 2.0 * 0.5 * tops.square().sum())

    @pytest.mark.parametrize("name", ["a", "b"])
    def test_with_the_root_every_category_without_loss_ends_at_the_mean_of_its_neighbours(self, name: str):
        """The closed form, at the top too, where the parent is 0: (parent + Σ children) / (1 + children)."""
        penalty = RecursivePenalty(RecursivePenaltyConfig(factor=1.0, root=True), TREE, 16)
        rows, inner = torch.randn(5, 3, dtype=torch.float64), TREE.index[name]
        above = rows[TREE.parents[inner].astype(np.int64)].sum(0)
        below = rows[TREE.children[inner].astype(np.int64)]
        rows[inner] = (above + below.sum(0)) / (1 + len(below))
        rows.requires_grad_()
        penalty([rows]).backward()
        torch.testing.assert_close(rows.grad[inner], torch.zeros(3, dtype=torch.float64))

    def test_C_scales_it_with_the_data(self):
        rows = [torch.randn(5, 3)]
        by_C = RecursivePenalty(RecursivePenaltyConfig(C=0.5), TREE, documents=40)
        assert by_C.factor == pytest.approx(1 / (0.5 * 40 * 5))
        plain = recursive_penalty(rows, *map(torch.from_numpy, TREE.edges))
        torch.testing.assert_close(by_C(rows), plain * by_C.factor)
        # NeuralClassifier's factor on RCV1 is a C of 0.42.
        assert pytest.approx(0.42, abs=0.005) == 1 / (1e-6 * 23149 * 103)

    @pytest.mark.parametrize("loss", ["bce", "max_constraint", "zlpr", "softmax", "focal_softmax"])
    def test_C_goes_by_what_the_loss_sums(self, loss: str):
        """Under one loss a document the categories are no divisor: λ is what C times the sum of all losses asks."""
        found = objective({"loss": loss, "recursive_penalty": {"C": 0.5}}, documents=40).penalty.factor
        by_category = loss in ("bce", "max_constraint")
        assert found == pytest.approx(1 / (0.5 * 40 * (len(taxonomy()) if by_category else 1)))

    @pytest.mark.parametrize(("form", "tied"), [("feed_forward", 1), ("recurrent", 2)])
    def test_rows_that_read_different_numbers_are_not_tied(self, form: str, tied: int):
        """The local rows of two levels of hmcn read two layers, but for the recurrent form, which has one."""
        head = make_network(MODEL.model_copy(update={"head": HMCNConfig(form=form)})).head
        assert len(head.category_rows()) == 2
        assert [id(rows) for rows in head.tied_rows()] == [
            id(rows) for rows in head.category_rows()[2 - tied :]
        ]

    @pytest.mark.parametrize(
        "settings", [{"C": 0.1}, {"factor": 0.3, "dag": "mean_parent", "root": True}], ids=str
    )
    def test_the_objective_takes_every_form(self, settings: dict):
        network, batch = make_network(MODEL).eval(), a_batch()
        output = network(batch)
        plain = objective({})(output, batch, network)
        tied = objective({"recursive_penalty": settings})(output, batch, network)
        penalty = RecursivePenalty(RecursivePenaltyConfig(**settings), taxonomy(), 16)
        torch.testing.assert_close(tied - plain, penalty(network.head.category_rows()), rtol=1e-4, atol=1e-6)

    def test_no_edges_no_penalty(self):
        none = torch.zeros(0, dtype=torch.int64)
        assert recursive_penalty([torch.randn(3, 2)], none, none).item() == 0
        assert mean_parent_penalty([torch.randn(3, 2)], none, none).item() == 0

    def test_it_is_added_with_its_factor(self):
        network, batch = make_network(MODEL).eval(), a_batch()
        output = network(batch)
        plain = objective({})(output, batch, network)
        tied = objective({"recursive_penalty": 0.25})(output, batch, network)
        parents_E, children_E = map(torch.from_numpy, taxonomy().edges)
        penalty = recursive_penalty(network.head.category_rows(), parents_E, children_E)
        assert (tied - plain).item() == pytest.approx(0.25 * penalty.item(), rel=1e-4)

    def test_training_with_it_pulls_children_to_their_parents(self):
        distances = []
        parents_E, children_E = map(torch.from_numpy, taxonomy().edges)
        for factor in (0.0, 1.0):
            network, batch = make_network(MODEL).eval(), a_batch()
            goal = objective({"recursive_penalty": factor})
            optimizer = torch.optim.Adam(network.parameters(), 0.05)
            for _ in range(40):
                optimizer.zero_grad()
                goal(network(batch), batch, network).backward()
                optimizer.step()
            distances.append(recursive_penalty(network.head.category_rows(), parents_E, children_E).item())
        assert distances[1] < distances[0] / 10
