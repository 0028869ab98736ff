"""Recursive regularisation: rows of a category and its parents are pulled together.

Gopal & Yang 2013, "Recursive Regularization for Large-scale Classification with Hierarchical and Graphical
Dependencies" (KDD), in its graph form: ½ Σ over edges ‖w_parent − w_child‖². As in NeuralClassifier every
category has a loss of its own and biases stay out. The paper's root, a parent of weight 0 for top categories, is there
under ``root`` only. The factor λ relates to the paper's C, a weight of the sum of all losses, by λ = 1 / (C · documents ·
categories) under a mean over documents and categories, and by λ = 1 / (C · documents) where a document has one loss for all
categories together (zlpr, softmax). In a DAG the paper's form pulls a child to each of its parents; ``mean_parent`` pulls
it to the mean of them: ½ Σ_c ‖w_c − mean_p w_p‖², as if the parents' mean were what the child is drawn around. In a tree
both are the same.

Shape letters: C categories, E edges, R top categories, D columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from linnaea.config.objective import RecursivePenaltyConfig
from linnaea.taxonomy.taxonomy import Taxonomy


def recursive_penalty(rows: Sequence[Tensor], parents_E: Tensor, children_E: Tensor) -> Tensor:
    """½ Σ_(p, c) ‖rows_p − rows_c‖² over all of ``rows``, each ``[C, ...]``; a scalar."""
    return torch.stack([0.5 * (w[parents_E] - w[children_E]).square().sum() for w in rows]).sum()


def mean_parent_penalty(rows: Sequence[Tensor], parents_E: Tensor, children_E: Tensor) -> Tensor:
    """½ Σ_c ‖rows_c − mean over its parents p of rows_p‖² over all of ``rows``, for c with parents; a scalar."""
    found = []
    for w in rows:
        flat_CD = w.flatten(1)
        count_C = flat_CD.new_zeros(len(w)).index_add(0, children_E, flat_CD.new_ones(len(children_E)))
        share_E = 1 / count_C[children_E]
        mean_CD = torch.zeros_like(flat_CD).index_add(0, children_E, flat_CD[parents_E] * share_E[:, None])
        apart_CD = (flat_CD - mean_CD) * count_C.clamp(max=1)[:, None]  # nothing at the top
        found.append(0.5 * apart_CD.square().sum())
    return torch.stack(found).sum()


class RecursivePenalty(nn.Module):
    """``λ · penalty`` of rows over the categories, as the settings ask for it.

    Args:
        documents: of train.
        by_category: the loss is a mean over categories.
    """

    parents_E: Tensor
    children_E: Tensor
    roots_R: Tensor

    def __init__(
        self, config: RecursivePenaltyConfig, taxonomy: Taxonomy, documents: int, *, by_category: bool = True
    ) -> None:
        super().__init__()
        losses = max(documents, 1) * (len(taxonomy) if by_category else 1)
        scaled = 1 / (config.C * losses) if config.C is not None else 0.0
        self.factor = scaled if config.factor is None else config.factor
        self.form = mean_parent_penalty if config.dag == "mean_parent" else recursive_penalty
        self.root = config.root
        parents_E, children_E = taxonomy.edges
        for name, columns in (
            ("parents_E", parents_E),
            ("children_E", children_E),
            ("roots_R", taxonomy.roots),
        ):
            tensor = torch.from_numpy(np.array(columns, dtype=np.int64))
            self.register_buffer(name, tensor, persistent=False)

    def forward(self, rows: Sequence[Tensor]) -> Tensor:
        """``rows``: parameters with a row a category, each ``[C, ...]``."""
        penalty = self.form(rows, self.parents_E, self.children_E)
        if self.root:
            penalty = penalty + torch.stack([0.5 * w[self.roots_R].square().sum() for w in rows]).sum()
        return self.factor * penalty
