"""What passes between categories along the edges of the taxonomy: the structure encoders of HiAGM.

Zhou et al. 2020, "Hierarchy-Aware Global Model for Hierarchical Text Classification"
(https://aclanthology.org/2020.acl-main.104/). An edge weighs 1 on its way up and, on its way down, the prior
P(child | parent) = support of the child / support of the parent, counted on train and kept as a buffer. Edges are index
tensors: memory and time grow with their number, never with its square.

Differences: the authors' code keeps both directions as dense matrices that learn, and leaves one gate's bias as whatever
was in memory.

Shape letters: B documents, C categories, F features of a category, H hidden, E edges; N categories of a level.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from linnaea.config.heads import HiAGMConfig
from linnaea.errors import ConfigError
from linnaea.nn.heads.parts import uniform
from linnaea.nn.layers.dropout import Dropout
from linnaea.nn.network import Sizes
from linnaea.taxonomy.change import Change
from linnaea.taxonomy.taxonomy import Taxonomy

MOST_WEIGHTS = 2**31
"""8 GB, and four times as much in training."""


def priors(taxonomy: Taxonomy, support_C: np.ndarray) -> np.ndarray:
    """``[E]`` float32: P(child | parent) on train; 1 where gold is not closed and the child has more, 0 if it has none."""
    parents_E, children_E = taxonomy.edges
    support_C = np.asarray(support_C, dtype=np.float64)
    share_E = support_C[children_E] / np.maximum(support_C[parents_E], 1)
    prior_E: np.ndarray = np.minimum(share_E, 1).astype(np.float32)
    return prior_E


def added_up(values_BEF: Tensor, places_E: Tensor, count: int) -> Tensor:
    """``[B, count, F]``: the sum of the values at each place."""
    zeros = values_BEF.new_zeros(len(values_BEF), count, values_BEF.shape[2])
    return zeros.index_add(1, places_E, values_BEF)


class GraphConvolution(nn.Module):
    """One step: each category hears its children, its parents and itself, each through a gate of its own.

    m_k = Σ_j∈children(k) h_j + b_k through σ(g_up · h_k + a_k); Σ_j∈parents(k) P(k | j) h_j + b'_k through
    σ(g_down · h_k + a'_k); h_k through σ(g_self · h_k); their sum through a ReLU.

    Args:
        sizes: the taxonomy, and the support (for the priors).
        features: F.
        dropout: on each of the three.
    """

    parents_E: Tensor
    children_E: Tensor
    prior_E: Tensor

    def __init__(self, sizes: Sizes, features: int, dropout: float) -> None:
        super().__init__()
        categories = len(sizes.taxonomy)
        self.gate_weight = uniform(3, features, fan=features)
        self.gate_bias = nn.Parameter(torch.zeros(categories, 2))
        self.up_bias = nn.Parameter(torch.zeros(categories, features))
        self.down_bias = nn.Parameter(torch.zeros(categories, features))
        self.dropouts = nn.ModuleList(Dropout(dropout) for _ in range(3))
        for name, columns_E in zip(("parents_E", "children_E"), sizes.taxonomy.edges, strict=True):
            self.register_buffer(name, torch.from_numpy(columns_E.copy()), persistent=False)
        self.register_buffer("prior_E", torch.from_numpy(priors(sizes.taxonomy, sizes.support_C)))

    def forward(self, nodes_BCF: Tensor) -> Tensor:
        """``[B, C, F]`` to the same."""
        count = nodes_BCF.shape[1]
        up_BCF = added_up(nodes_BCF[:, self.children_E], self.parents_E, count) + self.up_bias
        above_BEF = nodes_BCF[:, self.parents_E] * self.prior_E[:, None].to(nodes_BCF.dtype)
        down_BCF = added_up(above_BEF, self.children_E, count) + self.down_bias
        gates_BC3 = functional.linear(nodes_BCF, self.gate_weight)
        gates_BC3 = (gates_BC3 + functional.pad(self.gate_bias, (0, 1))).sigmoid()
        heard = [
            dropout(values_BCF * gates_BC3[..., place, None])
            for place, (dropout, values_BCF) in enumerate(
                zip(self.dropouts, (up_BCF, down_BCF, nodes_BCF), strict=True)
            )
        ]
        message_BCF: Tensor = (heard[0] + heard[1] + heard[2]).relu()
        return message_BCF


class TreeLSTM(nn.Module):
    """Two LSTMs along the taxonomy, from the deepest level up and from the top down, side by side.

    Tai et al. 2015, "Improved Semantic Representations From Tree-Structured Long Short-Term Memory Networks"
    (https://arxiv.org/abs/1503.00075), child-sum: h̃_k = Σ_j h_j, i, o, u = affine in x_k and h̃_k, a forget gate for
    each j from x_k and h_j, c_k = σ(i) tanh(u) + Σ_j σ(f_kj) c_j, h_k = σ(o) tanh(c_k). Up, the j are the children. Down,
    they are the parents, with P(k | j) h_j for h_j, and means over them for the sums: in a tree there is one.

    Args:
        sizes: the taxonomy, and the support (for the priors).
        features: F, also the size of each direction's state.
        dropout: on the states.
    """

    down_parents_E: Tensor
    down_children_E: Tensor
    down_count_E: Tensor
    up_parents_E: Tensor
    up_children_E: Tensor
    prior_E: Tensor

    def __init__(self, sizes: Sizes, features: int, dropout: float) -> None:
        super().__init__()
        taxonomy = sizes.taxonomy
        self.input_weight = uniform(2, 4 * features, features, fan=features)
        self.bias = uniform(2, 4 * features, fan=features)
        self.hidden_weight = uniform(2, 3 * features, features, fan=features)
        self.forget_weight = uniform(2, features, features, fan=features)
        self.dropout = Dropout(dropout)
        parents_E, children_E = taxonomy.edges
        upward = np.argsort(parents_E, kind="stable")
        count_E = taxonomy.parents.lengths_N[children_E].astype(np.float32)
        kept = {
            "down_parents_E": parents_E, "down_children_E": children_E, "down_count_E": count_E,
            "up_parents_E": parents_E[upward], "up_children_E": children_E[upward],
        }  # fmt: skip
        for name, values_E in kept.items():
            self.register_buffer(name, torch.from_numpy(values_E.copy()), persistent=False)
        self.register_buffer("prior_E", torch.from_numpy(priors(taxonomy, sizes.support_C)))
        self.levels = [part for _, part in taxonomy.levels()]
        ends = [0, *(part.stop for part in self.levels)]
        # A level's edges, as children from above and as parents from below, are a slice as well.
        down, up = (np.searchsorted(columns, ends).tolist() for columns in (children_E, parents_E[upward]))
        self.down = [slice(a, b) for a, b in itertools.pairwise(down)]
        self.up = [slice(a, b) for a, b in itertools.pairwise(up)]

    def forward(self, nodes_BCF: Tensor) -> Tensor:
        """``[B, C, F]`` to ``[B, C, 2 F]``."""
        both = (self._upward(nodes_BCF), self._downward(nodes_BCF))
        states_BCF: Tensor = self.dropout(torch.cat(both, 2))
        return states_BCF

    def _upward(self, nodes_BCF: Tensor) -> Tensor:
        given = self._given(nodes_BCF, 0)
        below: tuple[Tensor, Tensor] | None = None
        for level, edges in zip(reversed(self.levels), reversed(self.up), strict=True):
            places_E, sources_E = (
                self.up_parents_E[edges] - level.start,
                self.up_children_E[edges] - level.stop,
            )
            state = self._level(0, given[:, level], below, places_E, sources_E, None, None)
            below = state if below is None else _joined(state, below)
        assert below is not None  # there is a level
        return below[0]

    def _downward(self, nodes_BCF: Tensor) -> Tensor:
        given = self._given(nodes_BCF, 1)
        above: tuple[Tensor, Tensor] | None = None
        for level, edges in zip(self.levels, self.down, strict=True):
            places_E, sources_E = self.down_children_E[edges] - level.start, self.down_parents_E[edges]
            count_E1 = self.down_count_E[edges, None].to(given.dtype)
            prior_E1 = self.prior_E[edges, None].to(given.dtype)
            state = self._level(1, given[:, level], above, places_E, sources_E, count_E1, prior_E1)
            above = state if above is None else _joined(above, state)
        assert above is not None  # there is a level
        return above[0]

    def _given(self, nodes_BCF: Tensor, way: int) -> Tensor:
        """``[B, C, 4 F]``: what a category's own features say to its gates i, o, u, f."""
        return functional.linear(nodes_BCF, self.input_weight[way], self.bias[way])

    def _level(
        self, way: int, given: Tensor, done: tuple[Tensor, Tensor] | None, places_E: Tensor, sources_E: Tensor,
        count_E1: Tensor | None, prior_E1: Tensor | None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Hidden and memory ``[B, N, H]`` of a level.

        Args:
            given: of the level's categories.
            done: hidden and memory of what came before.
            places_E, sources_E: of each edge, its category in the level and its other one in ``done``.
            count_E1: of how many edges, for each, its category takes the mean; None: sums.
            prior_E1: factor on what is heard of ``done``; None: 1.
        """
        count, width = given.shape[1], given.shape[2] // 4
        iou, own_f = given[..., : 3 * width], given[..., 3 * width :]
        kept = None
        if done is not None and len(places_E):
            heard, memory = (values[:, sources_E] for values in done)
            if prior_E1 is not None:
                heard = heard * prior_E1
            forget = own_f[:, places_E] + functional.linear(heard, self.forget_weight[way])
            passed = forget.sigmoid() * memory
            if count_E1 is not None:
                heard, passed = heard / count_E1, passed / count_E1
            kept = added_up(passed, places_E, count)
            iou = iou + functional.linear(added_up(heard, places_E, count), self.hidden_weight[way])
        i, o, u = iou.chunk(3, 2)
        memory = i.sigmoid() * u.tanh()
        if kept is not None:
            memory = memory + kept
        return o.sigmoid() * memory.tanh(), memory


def _joined(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return torch.cat([one[0], other[0]], 1), torch.cat([one[1], other[1]], 1)


class Structure(nn.Sequential):
    """The structure encoder of these settings: ``[B, C, F]`` to ``[B, C, output_dim]``.

    Args:
        dropout: on what is passed, a document's own; 0 where it is the same for all documents.
    """

    def __init__(self, config: HiAGMConfig, sizes: Sizes, dropout: float) -> None:
        features = config.dimension
        if config.structure == "gcn":
            super().__init__(*(GraphConvolution(sizes, features, dropout) for _ in range(config.layers)))
        else:
            super().__init__(TreeLSTM(sizes, features, dropout))
        self.output_dim = features if config.structure == "gcn" else 2 * features


def check_edges(config: HiAGMConfig, taxonomy: Taxonomy) -> None:
    """Refuse a structure along which nothing passes.

    Raises:
        ConfigError: the taxonomy has no edges.
    """
    if taxonomy.depth == 1:
        problem = f"{config.type!r} passes along the taxonomy, and the {len(taxonomy)} categories are all on one level"
        hint = 'use "label_attention" or "linear"' if config.needs_states else 'use "linear"'
        raise ConfigError(problem, where="model.head", hint=hint)


def check_weights(config: HiAGMConfig, categories: int, each: int, width: int) -> None:
    """Refuse a head that no machine here could train.

    Args:
        each: weights that it has for a category, but for its output.
        width: of what the output reads of a category.

    Raises:
        ConfigError: its weights are more than ``MOST_WEIGHTS``.
    """
    full = config.output == "full"
    weights = categories * (each + width * (categories if full else 1))
    if weights > MOST_WEIGHTS:
        problem = f"{config.type!r} would have {weights:,} weights over {categories:,} categories"
        hint = (
            '"output": "rows"' if full else 'a smaller "dimension", or the head "label_attention" or "linear"'
        )
        raise ConfigError(problem, where="model.head", hint=f"choose {hint}")


class CategoryOutput(nn.Module):
    """Vectors of categories to logits: each reads its own ("rows"), or all of them ("full").

    Args:
        kind: see above.
        categories: C.
        features: F, of a category's vector.
        bias_C: what the bias begins as.
    """

    def __init__(self, kind: str, categories: int, features: int, bias_C: nn.Parameter) -> None:
        super().__init__()
        self.full = kind == "full"
        width = categories * features if self.full else features
        self.weight = uniform(categories, width, fan=width)
        self.bias = bias_C

    def forward(self, vectors_BCF: Tensor) -> Tensor:
        """``[B, C]``."""
        if self.full:
            return functional.linear(vectors_BCF.flatten(1), self.weight, self.bias)
        return torch.einsum("bcf,cf->bc", vectors_BCF, self.weight) + self.bias


def moved(change: Change) -> str | None:
    """Why a structure over the old taxonomy is none over the new one; None: they are the same but for names."""
    same = np.array_equal(change.old_C, np.arange(len(change.old))) and not change.moved
    return (
        None if same else "passes vectors along the taxonomy, so that any change of it reaches every category"
    )
