"""Both heads of HiAGM against their float64 twins, over trees and DAGs; priors, saving, cost, growth."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from linnaea.config.heads import HiAGMTextPropagationConfig
from linnaea.errors import ConfigError
from linnaea.nn.heads.hiagm_la import HiAGMLabelAttention
from linnaea.nn.heads.hiagm_tp import HiAGMTextPropagation
from linnaea.nn.heads.structure import GraphConvolution, Structure, TreeLSTM, priors
from linnaea.nn.network import Encoded, Sizes
from linnaea.taxonomy.change import Change
from linnaea.taxonomy.taxonomy import Taxonomy
from tests.nn.head_cases import S, edges_of, head, moved_to, reordered, rows, sizes_of, texts
from tests.references import hiagm as reference
from tests.references.label_attention import attended
from tests.references.textrnn import affine
from tests.references.worlds import flat, taxonomies, tree

STRUCTURES = ["gcn", "tree_lstm"]
HEADS = ["hiagm_tp", "hiagm_la"]
deep = taxonomies().filter(lambda graph: graph.depth > 1)
DAG = tree((), (), (0,), (0, 1), (2, 3), (4, 0))
F = 3

Built = HiAGMTextPropagation | HiAGMLabelAttention


def build(name: str, taxonomy: Taxonomy, seed: int = 0, **settings) -> Built:
    made = head(name, taxonomy, seed, **{"dimension": F, **settings})
    assert isinstance(made, Built)
    return made


def propagated(structure: Structure, taxonomy: Taxonomy, nodes: list, support: list[int]) -> list:
    """The structure encoder of one document as loops."""
    edges = edges_of(taxonomy)
    for layer in structure:
        if isinstance(layer, GraphConvolution):
            weights = layer.gate_weight, layer.gate_bias, layer.up_bias, layer.down_bias
            nodes = reference.gcn(nodes, edges, support, *(weight.tolist() for weight in weights))
        else:
            assert isinstance(layer, TreeLSTM)
            both = []
            for way in (0, 1):
                names = layer.input_weight, layer.bias, layer.hidden_weight, layer.forget_weight
                weights = [weight[way].tolist() for weight in names]
                both.append(reference.tree_lstm(nodes, edges, support, weights, down=way == 1))
            nodes = [up + down for up, down in zip(*both, strict=True)]
    return nodes


def twin(module: Built, taxonomy: Taxonomy, encoded: Encoded, sizes: Sizes) -> np.ndarray:
    support, output = sizes.support_C.tolist(), module.output
    out = reference.full_out if output.full else reference.rows_out
    found = []
    for x, states in zip(encoded.pooled_BD.tolist(), rows(encoded), strict=True):
        if isinstance(module, HiAGMTextPropagation):
            pairs = zip(module.weight.tolist(), module.bias.tolist(), strict=True)
            nodes = [affine(weight, x, bias) for weight, bias in pairs]
            vectors = propagated(module.structure, taxonomy, nodes, support)
        else:
            nodes = propagated(module.structure, taxonomy, module.embedding.tolist(), support)
            into = module.query.weight.tolist()
            vectors = [attended(states, affine(into, node, [0.0] * len(into))) for node in nodes]
        found.append(out(vectors, output.weight.tolist(), output.bias.tolist()))
    return np.array(found)


@pytest.mark.parametrize("output", ["rows", "full"])
@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("name", HEADS)
@settings(max_examples=12, deadline=None)
@given(
    taxonomy=deep,
    lengths=st.lists(st.integers(0, 4), min_size=1, max_size=3),
    extra=st.integers(0, 2),
    seed=st.integers(0, 1000),
)
def test_equals_the_twin(name, structure, output, taxonomy, lengths, extra, seed):
    chosen = {"structure": structure, "output": output, **({"layers": 2} if structure == "gcn" else {})}
    sizes = sizes_of(taxonomy, seed)
    module = exact(build(name, taxonomy, seed, sizes=sizes, **chosen), taxonomy, sizes)
    encoded = texts(lengths, seed, extra)
    found = module(encoded).logits_BC.detach()
    np.testing.assert_allclose(found, twin(module, taxonomy, encoded, sizes), rtol=0, atol=1e-10)


def exact(module: Built, taxonomy: Taxonomy, sizes: Sizes) -> Built:
    """``module`` with priors to the last digit of float64: they are kept in float32."""
    parents_E, children_E = taxonomy.edges
    support_C = sizes.support_C.astype(np.float64)
    share_E = np.minimum(support_C[children_E] / np.maximum(support_C[parents_E], 1), 1)
    for name, buffer in module.named_buffers():
        if name.endswith("prior_E"):
            buffer.copy_(torch.from_numpy(share_E))
    return module


def test_priors_by_hand():
    """Three of four; more than the parent's, as where ancestors are not gold; nothing of nothing."""
    graph = tree((), (), (0,), (0, 1), (2,))
    assert edges_of(graph) == [(0, 2), (0, 3), (1, 3), (2, 4)]
    assert priors(graph, np.array([4, 0, 3, 2, 5])).tolist() == [0.75, 0.5, 1.0, 1.0]
    assert priors(graph, np.zeros(5)).tolist() == [0.0] * 4


def test_convolution_equals_the_dense_one():
    """The authors' form: two matrices over all pairs of categories."""
    sizes = sizes_of(DAG)
    torch.manual_seed(0)
    layer = GraphConvolution(sizes, F, 0.0).double()
    with torch.no_grad():
        for bias in (layer.gate_bias, layer.up_bias, layer.down_bias):
            bias.normal_()
    up_CC, down_CC = torch.zeros(2, len(DAG), len(DAG), dtype=torch.float64)
    for (parent, child), share in zip(edges_of(DAG), layer.prior_E.tolist(), strict=True):
        up_CC[parent, child], down_CC[child, parent] = 1, share
    nodes_BCF = torch.randn(4, len(DAG), F, dtype=torch.float64)
    gates = [(nodes_BCF @ layer.gate_weight[i])[..., None] for i in range(3)]
    heard = (up_CC @ nodes_BCF + layer.up_bias) * (gates[0] + layer.gate_bias[:, :1]).sigmoid()
    heard = heard + (down_CC @ nodes_BCF + layer.down_bias) * (gates[1] + layer.gate_bias[:, 1:]).sigmoid()
    expected = (heard + nodes_BCF * gates[2].sigmoid()).relu()
    torch.testing.assert_close(layer(nodes_BCF), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", HEADS)
def test_every_number_is_set_before_training(name):
    """One gate's bias was whatever memory held."""
    poison = torch.full((1 << 16,), float("nan"))
    del poison
    torch.manual_seed(0)
    config = {"structure": "gcn", "dimension": F}
    made = head(name, DAG, **config)
    assert all(value.isfinite().all() for value in made.state_dict().values())
    layer = GraphConvolution(sizes_of(DAG), F, 0.0)
    assert not layer.gate_bias.any()


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("name", HEADS)
def test_priors_come_back_with_the_weights(name, structure):
    """A loaded model is built over a taxonomy without counts."""
    module, encoded = build(name, DAG, structure=structure), texts([3, 0, 2])
    blank = Sizes({"token": 9}, DAG, np.zeros(len(DAG), dtype=np.int64), 0)
    other = build(name, DAG, 1, sizes=blank, structure=structure)
    other.load_state_dict(module.state_dict())
    assert torch.equal(other(encoded).logits_BC, module(encoded).logits_BC)


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("name", HEADS)
def test_information_passes_along_edges_alone(name, structure):
    """Two trees beside each other: a gradient of one's logits never reaches the other's categories."""
    graph = tree((), (), (0,), (1,), (2,), (3,))
    module = build(name, graph, structure=structure, **({"layers": 3} if structure == "gcn" else {}))
    table = module.weight if isinstance(module, HiAGMTextPropagation) else module.embedding
    found = set()
    for column in range(len(graph)):
        module.zero_grad()
        module(texts([4])).logits_BC[0, column].backward()
        found |= {(row, column) for row in range(len(graph)) if table.grad[row].any()}
    assert all(row % 2 == column % 2 for row, column in found)
    # Up and down, and further than one edge.
    assert any(row > column for row, column in found) and any(row + 2 < column for row, column in found)


OF_CATEGORIES = [
    "embedding", "output.weight", "output.bias",
    "structure.gate_bias", "structure.up_bias", "structure.down_bias",
]  # fmt: skip


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("name", HEADS)
@settings(max_examples=10, deadline=None)
@given(taxonomy=deep, seed=st.integers(0, 1000))
def test_the_order_of_categories_does_not_matter(name, structure, taxonomy, seed):
    graph, old_C = reordered(taxonomy, seed)
    one, two = (build(name, g, seed, structure=structure) for g in (taxonomy, graph))
    own = [] if name == "hiagm_la" else ["weight", "bias"]
    two = moved_to(one, two, old_C, [*OF_CATEGORIES, *own])
    place = {edge: i for i, edge in enumerate(edges_of(taxonomy))}
    order = [place[int(old_C[p]), int(old_C[c])] for p, c in edges_of(graph)]
    buffers = dict(one.named_buffers())
    for key, buffer in two.named_buffers():
        if key.endswith("prior_E"):
            buffer.copy_(buffers[key][order])
    encoded = texts([2, 0, 3], seed)
    found, expected = two(encoded).logits_BC, one(encoded).logits_BC[:, old_C]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("name", HEADS)
def test_parameters_grow_with_the_categories(name, structure):
    """Linear under rows: twice as many categories add as many numbers again. Under full they grow with the square."""

    def count(categories: int, output: str) -> int:
        graph = tree((), *[(0,)] * (categories - 1))
        return sum(p.numel() for p in build(name, graph, structure=structure, output=output).parameters())

    assert count(40, "rows") - count(20, "rows") == count(20, "rows") - count(10, "rows") + (
        count(30, "rows") - count(20, "rows")
    )
    width = S if name == "hiagm_la" else F * (2 if structure == "tree_lstm" else 1)
    assert count(40, "full") - count(40, "rows") == 40 * 40 * width - 40 * width


@pytest.mark.parametrize("name", HEADS)
def test_dropout_is_not_on_logits(name):
    also = {"structure_dropout": 0.9} if name == "hiagm_tp" else {}
    module = build(name, DAG, dropout=0.9, **also).train()
    assert not (module(texts([3] * 60)).logits_BC == 0).any()


@pytest.mark.parametrize(("name", "other"), [("hiagm_tp", "linear"), ("hiagm_la", "label_attention")])
def test_one_level_is_refused(name, other):
    with pytest.raises(ConfigError) as caught:
        build(name, flat(3))
    told = f"model.head: {name!r} passes along the taxonomy, and the 3 categories are all on one level"
    assert str(caught.value).startswith(told)
    assert f'"{other}"' in str(caught.value.hint)


class TestGrowth:
    OLD = Taxonomy.build(list("abcd"), list("abcd"), [[], [], ["a"], ["b"]])

    def problem(
        self, ids: str, parents: list[list[str]], renames: dict[str, str] | None = None
    ) -> str | None:
        new = Taxonomy.build(list(ids), list(ids), parents)
        return build("hiagm_tp", new).growth_problem(Change.between(self.OLD, new, renames))

    def test_names_may_change(self):
        assert self.problem("abcx", [[], [], ["a"], ["b"]], {"d": "x"}) is None

    @pytest.mark.parametrize(
        ("ids", "parents"),
        [
            ("abcde", [[], [], ["a"], ["b"], ["b"]]),
            ("abcx", [[], [], ["a"], ["b"]]),
            ("abcd", [[], [], ["b"], ["a"]]),
            ("badc", [[], [], ["b"], ["a"]]),
        ],
        ids=["added", "another", "moved", "reordered"],
    )
    def test_the_graph_may_not(self, ids, parents):
        assert "any change of it reaches every category" in str(self.problem(ids, parents))


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ({"structure": "tree_lstm", "layers": 2}, 'layers: acts only with "structure": "gcn"'),
        ({"structure": "GCN"}, "structure: must be one of gcn, tree_lstm, not 'GCN'"),
        ({"structure_dropout": 1.0}, "structure_dropout: must be below 1"),
    ],
    ids=["layers", "structure", "dropout"],
)
def test_settings_that_cannot_be_are_refused(chosen, told):
    with pytest.raises(ConfigError) as caught:
        HiAGMTextPropagationConfig.read(chosen, "model.head")
    assert f"model.head.{told}" in str(caught.value)
