"""The max constraint against its dense definition, and where its gradient goes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import structure
from linnaea.nn.objectives.constraint import MaxConstraint
from linnaea.taxonomy.taxonomy import Taxonomy
from tests.nn.cases import taxonomy
from tests.references import losses as reference

TREE = Taxonomy.build(["a", "b", "c"], ["a", "b", "c"], [[], ["a"], ["a"]])


@st.composite
def graphs(draw) -> Taxonomy:
    """Trees and DAGs of up to 24 categories, deep ones and broad ones."""
    count, seed = draw(st.integers(1, 24)), draw(st.integers(0, 10_000))
    reach, most = draw(st.sampled_from([1, 3, 24])), draw(st.integers(1, 3))
    rng, ids = np.random.default_rng(seed), [f"c{i}" for i in range(count)]
    parents = []
    for i in range(count):
        above = list(range(max(0, i - reach), i))
        chosen = (
            rng.choice(above, min(len(above), int(rng.integers(0, most + 1))), replace=False) if above else []
        )
        parents.append([ids[p] for p in chosen])
    return Taxonomy.build(ids, ids, parents)


class TestMaxConstraint:
    @settings(max_examples=60, deadline=None)
    @given(graphs(), st.integers(0, 100), st.booleans())
    def test_equals_the_dense_definition_bit_for_bit(self, graph: Taxonomy, seed: int, learning: bool):
        values = np.random.default_rng(seed).normal(size=(3, len(graph))).astype(np.float32)
        tensor = torch.from_numpy(values).requires_grad_(learning)
        found = MaxConstraint(graph)(tensor).detach().numpy()
        below = [row.tolist() for row in graph.descendants]
        expected = np.array([reference.largest_below(row, below) for row in values], dtype=np.float32)
        assert found.tobytes() == expected.tobytes()
        assert tensor.detach().numpy().tobytes() == values.tobytes()  # what came in is as it was

    @settings(max_examples=30, deadline=None)
    @given(graphs(), st.integers(0, 100))
    def test_the_gradient_goes_to_the_largest_alone(self, graph: Taxonomy, seed: int):
        rng = np.random.default_rng(seed)
        values = torch.from_numpy(
            rng.permutation(2 * len(graph)).reshape(2, -1).astype(float)
        ).requires_grad_()
        weights = torch.from_numpy(rng.normal(size=(2, len(graph))))
        (MaxConstraint(graph)(values) * weights).sum().backward()
        expected = np.zeros((2, len(graph)))
        for b in range(2):
            for c, below in enumerate(graph.descendants):
                best = max(below.tolist(), key=lambda d, b=b: values[b, d].item())
                expected[b, best] += weights[b, c].item()
        np.testing.assert_allclose(values.grad, expected, rtol=0, atol=1e-12)

    def test_of_equal_values_its_own_then_the_lowest_column_learns(self):
        values = torch.zeros(1, 3, requires_grad=True)
        MaxConstraint(TREE)(values)[0, 0].backward()
        assert values.grad.tolist() == [[1, 0, 0]]
        values = torch.tensor([[-1.0, 0.0, 0.0]], requires_grad=True)
        MaxConstraint(TREE)(values)[0, 0].backward()
        assert values.grad.tolist() == [[0, 1, 0]]

    def test_gradcheck(self):
        values = torch.randn(3, len(taxonomy()), dtype=torch.float64, requires_grad=True)
        torch.autograd.gradcheck(MaxConstraint(taxonomy()), (values,))

    def test_no_level_no_change(self):
        flat, values = Taxonomy.build(["a", "b"], ["a", "b"], [[], []]), torch.randn(4, 2)
        assert torch.equal(MaxConstraint(flat)(values), values)

    def test_it_is_not_saved_but_moves(self):
        module = MaxConstraint(TREE)
        assert not module.state_dict()
        assert module.to(torch.device("meta")).slots.is_meta

    def test_work_grows_with_edges(self):
        """A star of 1,000: what is looked at is a small multiple of the edges, whatever the pairs."""
        ids = [f"c{i}" for i in range(1000)]
        star = MaxConstraint(Taxonomy.build(ids, ids, [[], *[["c0"]] * 999]))
        chain = MaxConstraint(Taxonomy.build(ids, ids, [[], *[[before] for before in ids[:-1]]]))
        assert len(star.slots) <= 2 * 1000
        assert len(chain.slots) == 2 * 999


@pytest.mark.parametrize("kind", structure.PARENTS)
def test_the_benchmark_runs(kind: str):
    for job in structure.JOBS:
        found = structure.row(job, kind, categories=60, documents=5)
        assert found.documents == 5
        assert found.facts["edges"] >= 40
