"""Case: one part under one choice of settings, in a small network; and the words in which a broken rule is told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from linnaea.config.heads import ModelConfig
from linnaea.nn.batch import Batch
from linnaea.nn.network import Network, Sizes
from linnaea.testing.worlds import make_batch, make_documents, make_network, sizes

LENGTHS = (7, 0, 1, 12, 3, 2)
BATCHES = (LENGTHS, (5,), (1,), (0,), (0, 0))
"""Documents of so many tokens: among others, a batch of one, and nothing but empty ones."""


@dataclass(frozen=True)
class Case:
    """One part under one choice of settings, in a small network.

    ``learning_rate`` is Adam's when sixteen documents are learned by heart. At this one deep networks learn them in about
    as many steps as shallow ones; at 0.02 the deepest do not.
    """

    config: ModelConfig
    device: str = "cpu"
    sizes: Sizes = field(default_factory=sizes, compare=False)
    learning_rate: float = 0.005

    def network(self, seed: int = 0, **options: Any) -> Network:
        return make_network(self.config, seed, self.sizes, **options).to(self.device)

    def batch(self, lengths: Sequence[int] = LENGTHS, seed: int = 1, **options: Any) -> Batch:
        documents = make_documents(np.random.default_rng(seed), lengths)
        return make_batch(documents, device=self.device, **options)


def must(holds: object, sentence: str) -> None:
    """Raises ``AssertionError`` unless ``holds``; unlike ``assert`` under every way to start Python."""
    if not holds:
        raise AssertionError(sentence)


def close(found: Tensor, expected: Tensor, tolerance: float, sentence: str, relative: float = 0.0) -> None:
    """``found`` is ``expected`` to within ``tolerance``; else ``sentence`` with the largest difference."""
    if found.shape != expected.shape:
        raise AssertionError(f"{sentence} (shapes {list(found.shape)} and {list(expected.shape)})")
    if not torch.allclose(found, expected.to(found.dtype), rtol=relative, atol=tolerance):
        worst = (found - expected).abs().max().item() if found.numel() else 0.0
        raise AssertionError(f"{sentence} (by up to {worst:.3g})")


def logits(network: nn.Module, batch: Batch) -> Tensor:
    with torch.no_grad():
        result: Tensor = network(batch).logits_BC
        return result


def learning(network: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The parameters that learn, by name."""
    return ((name, value) for name, value in network.named_parameters() if value.requires_grad)
