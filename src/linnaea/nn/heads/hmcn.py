"""HMCN: a layer a level with an output of its own, and one output over all levels.

Paper: Wehrmann, Cerri & Barros 2018, "Hierarchical Multi-Label Classification Networks"
(https://proceedings.mlr.press/v80/wehrmann18a.html).
Formula: A¹ = φ(W¹ x + b¹), Aˡ = φ(Wˡ [Aˡ⁻¹ ; x] + bˡ), φ = dropout(relu(normalization)); global p_G = σ(W_G A^L + b_G) over all
categories; local p_L of level l = σ(W_l φ(V_l Aˡ + c_l) + b_l); p = β p_L + (1 - β) p_G; loss = loss(p_L) + loss(p_G) +
λ / C · Σ over edges max(0, p_child - p_parent)². The recurrent form has one LSTM cell that reads x at every level, its
state Aˡ, and one V for all levels.
Differences: the recurrent form is not normalised, the other if wanted, and before the ReLU, in place of the bias: after it a
unit that hardly fires has hardly a variance, and by the running statistics a document that makes it fire was scaled
300-fold a level (dev loss 370,948 on rcv1-sample under textrcnn, micro-F1 .33 where it is .70 now). λ is divided by C,
since our losses are means over categories and the paper's are sums; level = longest way from the top, so that a DAG works.
NeuralClassifier blends logits, not probabilities, has no penalty on violations, as few units before a level's output as is
written by hand (4, 55, 43, 1), and needs a batch of two documents. Normalised, an empty document has its biases for logits.
Class weights are taken out of both outputs, before they are blended: 1 / (1 + w) is only near where the weighted network
decides at one half.
Shapes: [B, D] -> logits [B, C]; readings are the local and the global logits, each with a loss of its own.
Cost: O(L · (D + hidden) · hidden + L · hidden · local_hidden + C · (hidden + local_hidden)) a document, and for the penalty
one number an edge; the recurrent form has four times the first term, and parameters that do not grow with L.
When to use: where the upper levels are easy and guide the lower ones. It knows which level a category is on; which parent
it has, only by the penalty.

The logit of the blended probability is computed without it: ln p = logaddexp(ln β + ln σ(z_L), ln(1 - β) + ln σ(z_G)),
ln(1 - p) alike, z = ln p - ln(1 - p).

Shape letters: B documents, D encoded, L levels, H hidden, K local hidden, C categories, E edges.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from linnaea.config.heads import HMCNConfig
from linnaea.config.registry import heads
from linnaea.errors import ConfigError
from linnaea.nn.heads.parts import first_bias, uniform
from linnaea.nn.layers.dropout import Dropout
from linnaea.nn.layers.normalization import MaskedBatchNorm
from linnaea.nn.network import Encoded, Head, HeadOutput, Sizes
from linnaea.taxonomy.change import Change


class Layers(nn.Module):
    """``[B, D]`` to the L vectors ``[B, H]``, each from a layer of its own."""

    def __init__(self, input_dim: int, levels: int, config: HMCNConfig) -> None:
        super().__init__()
        self.levels, width = levels, config.hidden
        fan = input_dim + width
        self.input_weight = uniform(levels, width, input_dim, fan=fan)
        self.hidden_weight = uniform(levels - 1, width, width, fan=fan)
        self.bias = None if config.normalization else uniform(levels, width, fan=fan)
        self.dropouts = nn.ModuleList(Dropout(config.dropout) for _ in range(levels))
        norms = levels if config.normalization else 0
        self.normalizations = nn.ModuleList(MaskedBatchNorm(width) for _ in range(norms))

    def forward(self, vector_BD: Tensor, mask_B: Tensor) -> list[Tensor]:
        """``mask_B``: the documents that are not empty; others are left out of what normalises them."""
        bias = None if self.bias is None else self.bias.flatten()
        given_BLH = functional.linear(vector_BD, self.input_weight.flatten(0, 1), bias)
        found: list[Tensor] = []
        for level, given_BH in enumerate(given_BLH.chunk(self.levels, 1)):
            if found:
                given_BH = given_BH + functional.linear(found[-1], self.hidden_weight[level - 1])
            if self.normalizations:
                state_BH = self.normalizations[level](given_BH[:, None], mask_B[:, None], relu=True)[:, 0]
            else:
                state_BH = given_BH.relu()
            # The next level's running variance is that of the dropout, too; without it rcv1-sample lost 3 points (one seed).
            found.append(self.dropouts[level](state_BH))
        return found


class Cell(nn.Module):
    """``[B, D]`` to the L vectors ``[B, H]`` of an LSTM cell that goes down the levels and reads the same at each."""

    def __init__(self, input_dim: int, levels: int, config: HMCNConfig) -> None:
        super().__init__()
        self.levels, width = levels, config.hidden
        self.input_weight = uniform(4 * width, input_dim, fan=input_dim + width)
        self.hidden_weight = uniform(4 * width, width, fan=input_dim + width)
        self.bias = uniform(4 * width, fan=input_dim + width)
        self.dropouts = nn.ModuleList(Dropout(config.dropout) for _ in range(levels))

    def forward(self, vector_BD: Tensor, mask_B: Tensor) -> list[Tensor]:
        given = functional.linear(vector_BD, self.input_weight, self.bias)
        found: list[Tensor] = []
        gates, memory_BH = given, torch.zeros_like(given[:, : given.shape[1] // 4])
        for level in range(self.levels):
            if found:
                gates = given + functional.linear(found[-1], self.hidden_weight)
            i, f, g, o = gates.chunk(4, 1)
            memory_BH = f.sigmoid() * memory_BH + i.sigmoid() * g.tanh()
            found.append(self.dropouts[level](o.sigmoid() * memory_BH.tanh()))
        return found


@heads.register("hmcn")
class HMCN(Head):
    """``local_weight`` [C, K] and ``local_bias`` [C], by level; ``global_weight`` [C, H] and ``global_bias`` [C].

    Args:
        config: the settings.
        input_dim: D.
        sizes: the taxonomy, and the support (for the prior).
        scores: how logits become scores; probabilities are blended as under a sigmoid.
        state_dim: width of token states, which this head leaves unread.

    Raises:
        ConfigError: the taxonomy has one level.
    """

    parents_E: Tensor
    children_E: Tensor

    def __init__(
        self, config: HMCNConfig, *, input_dim: int, sizes: Sizes,
        scores: Literal["sigmoid", "softmax"] = "sigmoid", state_dim: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        taxonomy, width, local = sizes.taxonomy, config.hidden, config.local_hidden
        levels = taxonomy.depth
        if levels == 1:
            problem = f"'hmcn' goes from level to level, and the {len(taxonomy)} categories are all on one"
            raise ConfigError(problem, where="model.head", hint='use "linear"')
        self.beta, self.violation_penalty = config.beta, config.violation_penalty
        self.bounds = [(part.start, part.stop) for _, part in taxonomy.levels()]
        recurrent = config.form == "recurrent"
        self.layers: Layers | Cell = (Cell if recurrent else Layers)(input_dim, levels, config)
        self.transition_weight = uniform(1 if recurrent else levels, local, width, fan=width)
        normalized = config.normalization and not recurrent
        self.transition_bias = None if normalized else uniform(1 if recurrent else levels, local, fan=width)
        self.normalization = MaskedBatchNorm(levels * local) if normalized else None
        self.dropout = Dropout(config.dropout)
        self.local_weight = uniform(len(taxonomy), local, fan=local)
        self.local_bias = first_bias(config.bias, sizes, scores)
        self.global_weight = uniform(len(taxonomy), width, fan=width)
        self.global_bias = first_bias(config.bias, sizes, scores)
        for name, columns_E in zip(("parents_E", "children_E"), taxonomy.edges, strict=True):
            self.register_buffer(name, torch.from_numpy(columns_E.copy()), persistent=False)

    def forward(self, encoded: Encoded) -> HeadOutput:
        vector_BD = encoded.pooled_BD
        mask_B = (vector_BD != 0).any(1)
        states = self.layers(vector_BD, mask_B)
        local_BC = self._local(torch.stack(states, 1), mask_B)
        global_BC = functional.linear(states[-1], self.global_weight, self.global_bias)
        logits_BC = self.blend(local_BC, global_BC)
        penalty_B = self._violations(logits_BC) if self.violation_penalty else None
        return HeadOutput(logits_BC, (local_BC, global_BC), self.blend, penalty_B)

    def _local(self, states_BLH: Tensor, mask_B: Tensor) -> Tensor:
        """``[B, C]``: each level's categories from its own vector."""
        levels = states_BLH.shape[1]
        weight_LKH = self.transition_weight.expand(levels, -1, -1)
        local_BLK = torch.einsum("blh,lkh->blk", states_BLH, weight_LKH)
        if self.normalization is not None:
            flat_B1K = local_BLK.flatten(1)[:, None]
            local_BLK = self.normalization(flat_B1K, mask_B[:, None], relu=True).view_as(local_BLK)
        else:
            assert self.transition_bias is not None
            local_BLK = (local_BLK + self.transition_bias).relu()
        local_BLK = self.dropout(local_BLK)
        found = [
            functional.linear(local_BLK[:, level], self.local_weight[start:stop], self.local_bias[start:stop])
            for level, (start, stop) in enumerate(self.bounds)
        ]
        return torch.cat(found, 1)

    def blend(self, local_BC: Tensor, global_BC: Tensor) -> Tensor:
        """The log-odds of β σ(local) + (1 - β) σ(global); at least float32."""
        if local_BC.dtype != torch.float64:
            local_BC, global_BC = local_BC.float(), global_BC.float()
        local_part, global_part = math.log(self.beta), math.log1p(-self.beta)
        yes, no = (
            torch.logaddexp(
                functional.logsigmoid(sign * local_BC) + local_part,
                functional.logsigmoid(sign * global_BC) + global_part,
            )
            for sign in (1, -1)
        )
        return yes - no

    def _violations(self, logits_BC: Tensor) -> Tensor:
        """``[B]``: λ / C · Σ over edges of the squared excess of child over parent."""
        scores_BC = logits_BC.sigmoid()
        excess_BE = (scores_BC[:, self.children_E] - scores_BC[:, self.parents_E]).relu()
        return excess_BE.square().sum(1) * (self.violation_penalty / logits_BC.shape[1])

    def category_rows(self) -> list[Tensor]:
        return [self.local_weight, self.global_weight]

    def tied_rows(self) -> list[Tensor]:
        # Each level of the feed-forward form has a layer, and numbers, of its own.
        one_layer = isinstance(self.layers, Cell)
        return [self.local_weight, self.global_weight] if one_layer else [self.global_weight]

    def biases(self) -> list[Tensor]:
        return [self.local_bias, self.global_bias]

    def growth_problem(self, change: Change) -> str | None:
        old, new = change.old, change.new
        if old.depth != new.depth:
            return f"has a layer a level, and there are {new.depth} levels now, not {old.depth}"
        # What moved is fitted again; what only came to stand elsewhere with it is to stay as it was.
        for column, before in enumerate(change.old_C.tolist()):
            levels = int(new.level_C[column]), int(old.level_C[before])
            if before >= 0 and levels[0] != levels[1] and column not in change.moved:
                where = f"{new.ids[column]!r} is on level {levels[0]} now, not {levels[1]}"
                return f"has a layer a level, and {where}"
        return None
