"""Recursive regularisation: rows of a category and its parents are pulled together.

Gopal & Yang 2013, "Recursive Regularization for Large-scale Classification with Hierarchical and Graphical
Dependencies" (KDD), in its graph form: ½ Σ over edges ‖w_parent − w_child‖². As in NeuralClassifier every
category has a loss of its own, biases stay out, and top categories are not pulled to 0. Under a mean over
documents and categories λ relates to the paper's C by λ = 1 / (C · documents · categories).

Shape letters: C categories, E edges.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def recursive_penalty(rows: Sequence[Tensor], parents_E: Tensor, children_E: Tensor) -> Tensor:
    """½ Σ_(p, c) ‖rows_p − rows_c‖² over all of ``rows``, each ``[C, ...]``; a scalar."""
    return torch.stack([0.5 * (w[parents_E] - w[children_E]).square().sum() for w in rows]).sum()
