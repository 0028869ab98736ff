"""What the tests of heads share: heads in float64 over any taxonomy, and the same head over reordered categories."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

import numpy as np
import torch

from linnaea.config.registry import heads
from linnaea.nn import build
from linnaea.nn.network import Encoded, Head, Sizes
from linnaea.taxonomy.taxonomy import Taxonomy

assert build  # it registers the heads
D, S = 5, 4
"""Widths of document vectors and token states."""


def sizes_of(taxonomy: Taxonomy, seed: int = 0) -> Sizes:
    support_C = np.random.default_rng(seed).integers(0, 20, len(taxonomy))
    return Sizes({"token": 9}, taxonomy, support_C, 30)


def head(
    name: str, taxonomy: Taxonomy, seed: int = 0, *, sizes: Sizes | None = None, **settings: Any
) -> Head:
    """With biases of its structure drawn, too, so that none of them is 0."""
    torch.manual_seed(seed)
    sizes = sizes or sizes_of(taxonomy, seed)
    config = heads.config(name).read(settings)
    made: Head = heads.build(config, input_dim=D, state_dim=S, sizes=sizes, scores="sigmoid")
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    return made.double().eval()


def texts(lengths: list[int], seed: int = 0, extra: int = 0) -> Encoded:
    """Document vectors, and token states with noise at padding; empty documents are zero vectors."""
    generator = torch.Generator().manual_seed(seed)
    mask_BS = torch.arange(max(1, *lengths) + extra) < torch.tensor(lengths)[:, None]
    states_BSD = torch.randn(*mask_BS.shape, S, generator=generator, dtype=torch.float64)
    pooled_BD = torch.randn(len(lengths), D, generator=generator, dtype=torch.float64)
    return Encoded(pooled_BD * mask_BS.any(1, keepdim=True), states_BSD, mask_BS)


def rows(encoded: Encoded) -> list[list[list[float]]]:
    """The real token states of each document."""
    assert encoded.states_BSD is not None and encoded.mask_BS is not None
    return [states[mask].tolist() for states, mask in zip(encoded.states_BSD, encoded.mask_BS, strict=True)]


def edges_of(taxonomy: Taxonomy) -> list[tuple[int, int]]:
    parents_E, children_E = taxonomy.edges
    return list(zip(parents_E.tolist(), children_E.tolist(), strict=True))


def reordered(taxonomy: Taxonomy, seed: int) -> tuple[Taxonomy, np.ndarray]:
    """The same taxonomy with its categories in another file order, and the old column of each new one."""
    order = np.random.default_rng(seed).permutation(len(taxonomy))
    ids = [taxonomy.ids[i] for i in order]
    above = [[taxonomy.ids[p] for p in taxonomy.parents[i]] for i in order]
    other = Taxonomy.build(ids, ids, above)
    return other, np.array([taxonomy.index[id] for id in other.ids])


def moved_to(one: Head, other: Head, old_C: np.ndarray, of_categories: Collection[str]) -> Head:
    """``other`` with the weights of ``one``, those named ``of_categories`` (layers of a structure without number) by
    their categories' columns."""
    index, state = torch.from_numpy(old_C), other.state_dict()
    for name, value in one.state_dict().items():
        if re.sub(r"structure\.\d+", "structure", name) in of_categories:
            state[name] = value[index]
        elif not name.endswith("prior_E"):
            state[name] = value
    other.load_state_dict(state)
    return other
