"""Dropout: a document's mask follows from (seed, step, module, document, position, column), and from nothing else.

Srivastava et al. 2014 (https://jmlr.org/papers/v15/srivastava14a.html): in training a number is zero with
probability p, else divided by 1 - p. Difference: torch draws masks one after another from a generator, so they
depend on what else was drawn in the process. Here each number's fate is a hash of where it stands. A document has
the same mask alone or in a batch, with any padding, in any of several processes, on a CPU and on a GPU; and two
processes make the steps of one.

The hash is lowbias32 (https://nullprogram.com/blog/2018/07/31/) in 32-bit integers that wrap around.

Shape letters: B documents, T positions, E columns.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

# As signed numbers: torch has little arithmetic without a sign.
FIRST, SECOND = 0x7FEB352D, 0x846CA68B - (1 << 32)
GOLDEN = 0x9E3779B9 - (1 << 32)  # spreads counters over all 32 bits


def mixed(keys: Tensor) -> Tensor:
    """lowbias32 without its last step, which serves low bits alone. int32 of any shape."""
    # A shift repeats the sign: the mask takes that away.
    keys = keys ^ (keys >> 16).bitwise_and_(0xFFFF)
    keys = keys.mul_(FIRST)
    keys = keys.bitwise_xor_((keys >> 15).bitwise_and_(0x1FFFF))
    return keys.mul_(SECOND)


def counted(keys: Tensor, count: int) -> Tensor:
    """``[..., count]``: so many keys out of each."""
    numbers = torch.arange(count, dtype=torch.int32, device=keys.device) * GOLDEN
    return mixed(keys[..., None] ^ numbers)


class Dropout(nn.Dropout):
    """Dropout over ``[B, ..., E]``: the identity in eval mode, torch's own in training outside of ``drawn``.

    Each module has masks of its own, one for each step: applied twice in a step it draws the same again.

    Args:
        p: the share that becomes zero; 0 <= p < 1.
    """

    keys_B: Tensor | None = None
    """int32, one a document of the batch that is being read."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__(p)
        if p == 1:
            raise ValueError("dropout of 1 leaves nothing")
        # Hashes are spread evenly over all int32: those from here on are kept.
        self.kept_from = min(round(p * 2**32) - 2**31, 2**31 - 1)

    def forward(self, values: Tensor) -> Tensor:
        """``values``, some zero.

        Raises:
            ValueError: ``values`` are of other documents than the keys.
        """
        if not self.training or not self.p:
            return values
        keys = self.keys_B
        if keys is None:
            return super().forward(values)
        if len(keys) != len(values):
            raise ValueError(f"dropout has keys of {len(keys)} documents and values of {len(values)}")
        for count in values.shape[1:]:
            keys = counted(keys, count)
        return values * (keys >= self.kept_from).to(values.dtype).mul_(1 / (1 - self.p))


@contextlib.contextmanager
def drawn(network: nn.Module, seed: int, step: int, rows_B: Tensor) -> Iterator[None]:
    """While it is open, the network's dropout is that of these documents at this step.

    Args:
        seed, step: not negative.
        rows_B: ``Batch.rows_B`` of the batch that the network will read; on the CPU, whatever the network is on.
    """
    modules = [module for module in network.modules() if isinstance(module, Dropout)]
    if not any(module.p for module in modules):
        yield
        return
    device = next((parameter.device for parameter in network.parameters()), rows_B.device)
    words = np.random.SeedSequence([seed, step]).generate_state(1 + len(modules))
    keys_MB = (
        _hashed(rows_B.numpy().astype(np.uint32) * np.uint32(GOLDEN % 2**32) ^ words[0]) ^ words[1:, None]
    )
    try:
        for module, keys_B in zip(modules, keys_MB.view(np.int32), strict=True):
            module.keys_B = torch.from_numpy(keys_B).to(device, non_blocking=True)
        yield
    finally:
        for module in modules:
            module.keys_B = None


def _hashed(keys: np.ndarray) -> np.ndarray:
    """``mixed`` of uint32. For a few numbers on a CPU numpy takes a fifth of torch's time."""
    keys ^= keys >> 16
    keys *= np.uint32(FIRST)
    keys ^= keys >> 15
    keys *= np.uint32(SECOND % 2**32)
    return keys
