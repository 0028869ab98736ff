"""GroupedNetwork: K networks of one kind read one batch together.

The encoder gru_attention has a form of its own (``gru_attention.py``). Other encoders run under ``torch.func.vmap`` where
they can: on a GPU, where K small kernels become a large one. On a CPU, and where an encoder's operations have no batched
form (it looks at numbers while it computes, or keeps running statistics), the networks read one after another; the batch,
its embedding where that is shared, and the optimiser are still common.

Shape letters: K networks, G embedders, B documents, T tokens, E embedding.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from linnaea.nn.batch import Batch
from linnaea.nn.grouped import gru_attention
from linnaea.nn.grouped.stack import Stack, State
from linnaea.nn.network import Embedded, Network


class GroupedNetwork(nn.Module):
    """K networks on the device of ``template``; see ``Stack`` for the arguments.

    Attributes:
        way: how they read: "written" by hand, "vmap", or "each" after the other.
    """

    def __init__(self, template: Network, states: Sequence[State], table_K: Sequence[int]) -> None:
        super().__init__()
        self.template = template
        self.stack = Stack(template, states, table_K)
        self.way = "each"
        if gru_attention.fits(template):
            self.way = "written"
        elif next(template.parameters()).device.type != "cpu" and template.embedder is not None:
            self.way = "vmap"

    def forward(self, batch: Batch) -> Tensor:
        """``[K, B]`` logits."""
        sources: list[Any] = [table(batch) for table in self.stack.embedder.values()] or [batch]
        if self.way == "written":
            vectors_GBTE = torch.stack([embedded.vectors_BTE for embedded in sources])
            return gru_attention.logits(
                self.template, self.stack.stacked(), vectors_GBTE, sources[0].mask_BT, self.stack.read_K
            )
        if self.way == "vmap":
            try:
                return self._mapped(sources)
            except (RuntimeError, NotImplementedError, ValueError):
                self.way = "each"
        return self._each(sources)

    def _each(self, sources: list[Any]) -> Tensor:
        read_K = self.stack.read_K if self.stack.embedder else [0] * len(self.stack.numbers)
        logits = [self._one(state, sources[g]) for state, g in zip(self.stack.slices(), read_K, strict=True)]
        return torch.stack(logits)

    def _mapped(self, sources: list[Embedded]) -> Tensor:
        read_K = torch.as_tensor(self.stack.read_K)
        shared = len(sources) == 1
        # A shared tensor is not copied.
        vectors = (
            sources[0].vectors_BTE
            if shared
            else torch.stack([source.vectors_BTE for source in sources])[read_K]
        )

        def one(state: dict[str, Tensor], vectors_BTE: Tensor) -> Tensor:
            return self._one(state, replace(sources[0], vectors_BTE=vectors_BTE))

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of operations that vmap takes one by one
            return vmap(one, in_dims=(0, None if shared else 0))(self.stack.stacked(), vectors)

    def _one(self, state: State, source: Any) -> Tensor:
        """``[B]`` logits of one network."""
        parts: list[dict[str, Tensor]] = [
            {name.removeprefix(start): tensor for name, tensor in state.items() if name.startswith(start)}
            for start in ("encoder.", "head.")
        ]
        encoded = functional_call(self.template.encoder, parts[0], (source,))
        return functional_call(self.template.head, parts[1], (encoded,)).logits_BC[:, 0]  # type: ignore[no-any-return]


def kept_bytes(network: Network, batch: Batch) -> int:
    """How much one network keeps for the backward pass of ``batch``, roughly, its parameters not counted."""
    if gru_attention.fits(network):
        assert batch.mask_BT is not None
        return 4 * gru_attention.numbers(network, batch.mask_BT.numel())
    own = {tensor.untyped_storage().data_ptr() for tensor in network.state_dict().values()}
    seen: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage() if not tensor.is_sparse else tensor._values().untyped_storage()
        if storage.data_ptr() not in own:
            seen[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        network(batch)
    # Gradients take about as much again.
    return 2 * sum(seen.values())
