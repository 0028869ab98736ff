"""Stack: the parameters of K networks of one kind, ready for one optimiser.

Parameters and buffers of encoders and heads are stacked, ``[K, ...]``, under their names in a single network; an optimiser
that works element by element then trains each network as if it were alone. Embedders are not stacked: those that learn are
modules of their own, so that row-wise gradients of large tables work as ever; a frozen one is there once for all networks
that read by it.

Shape letters: K networks, G embedders.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from linnaea.nn.layers.dropout import Dropout
from linnaea.nn.network import Network

State = Mapping[str, Tensor]


class Stack(nn.Module):
    """K networks.

    Args:
        template: a network of this kind, on its device; its embedder's parameters show whether embedders learn.
        states: K networks' state, by the names in ``template``.
        table_K: the embedder that each network reads by, ascending from 0; those of one embedder have the same state.

    Attributes:
        numbers: which of the first K networks are still there, ascending.
        learns: embedders do, and each network has its own.
    """

    def __init__(self, template: Network, states: Sequence[State], table_K: Sequence[int]) -> None:
        super().__init__()
        # Dropout modules are the template's own: what ``drawn`` tells it, all know.
        memo = {id(module): module for module in template.modules() if isinstance(module, Dropout)}
        self.numbers = list(range(len(states)))
        self.table_K = list(table_K)
        source = template.embedder
        own = [] if source is None else list(source.parameters())
        self.learns = any(parameter.requires_grad for parameter in own)
        if self.learns and len(set(table_K)) < len(table_K):
            raise ValueError("networks that learn have an embedder each")
        self.embedder = nn.ModuleDict()
        if source is not None:
            for g in sorted(set(table_K)):
                table, state = copy.deepcopy(source, dict(memo)), states[self.table_K.index(g)]
                start = "embedder."
                table.load_state_dict(
                    {n.removeprefix(start): t for n, t in state.items() if n.startswith(start)}
                )
                self.embedder[str(g)] = table
        self.encoder = copy.deepcopy(template.encoder, dict(memo))
        self.head = copy.deepcopy(template.head, dict(memo))
        self._fill(lambda name, _: torch.stack([state[name] for state in states]))

    def _fill(self, value: Callable[[str, Tensor], Tensor]) -> None:
        for name, tensor in self.stacked().items():
            tensor.data = value(name, tensor.data).to(tensor.device)

    def stacked(self) -> dict[str, Tensor]:
        """What is stacked, by its name in a single network."""
        return {
            f"{part}.{name}": tensor
            for part, module in (("encoder", self.encoder), ("head", self.head))
            for name, tensor in (*module.named_parameters(), *module.named_buffers())
        }

    def slices(self) -> list[dict[str, Tensor]]:
        """Of each network what is stacked; gradients flow back into the stack."""
        each = {name: tensor.unbind(0) for name, tensor in self.stacked().items()}
        return [{name: parts[k] for name, parts in each.items()} for k in range(len(self.numbers))]

    def keep(self, places: Sequence[int]) -> None:
        """Let the networks go that stand at other places than these (ascending)."""
        chosen = torch.as_tensor(places, dtype=torch.int64)
        self._fill(lambda _, tensor: tensor.index_select(0, chosen.to(tensor.device)))
        self.numbers = [self.numbers[k] for k in places]
        self.table_K = [self.table_K[k] for k in places]
        for name in [name for name in self.embedder if int(name) not in self.table_K]:
            del self.embedder[name]
        for parameter in self.parameters():
            parameter.grad = None

    @property
    def read_K(self) -> list[int]:
        """Which of the embedders that are there each network reads by, by its place among them."""
        there = [int(name) for name in self.embedder]
        return [there.index(table) for table in self.table_K]


def narrowed(state: State, places: Sequence[int], count: int, names: Sequence[str]) -> dict[str, Tensor]:
    """The state of an optimiser (``Optimizers.state``) when of ``count`` stacked networks those at ``places`` stay.

    Args:
        names: of the parameters that are still there.
    """
    found = {}
    for name, tensor in state.items():
        parameter, key = name.rsplit("/", 1)
        if parameter not in names:
            continue
        stacked = not parameter.startswith("embedder.") and tensor.dim() and len(tensor) == count
        chosen = torch.as_tensor(places, dtype=torch.int64, device=tensor.device)
        found[f"{parameter}/{key}"] = tensor.index_select(0, chosen) if stacked else tensor
    return found


def norms(stack: Stack) -> Tensor:
    """``[K]``: of each network the norm of all its gradients together."""
    K, first = len(stack.numbers), next(iter(stack.encoder.parameters()), None)
    device = None if first is None else first.device
    squares_K = torch.zeros(K, device=device)
    for tensor in stack.stacked().values():
        if tensor.grad is not None:
            squares_K = squares_K + tensor.grad.reshape(K, -1).square().sum(1)
    if stack.learns:
        for k, table in enumerate(stack.embedder.values()):
            for parameter in table.parameters():
                if parameter.grad is not None:
                    gradient = parameter.grad
                    values = gradient.coalesce().values() if gradient.is_sparse else gradient
                    squares_K[k] += values.square().sum()
    return squares_K.sqrt()


def clip(stack: Stack, limit: float) -> None:
    """Scale the gradients of each network so that their norm, taken together, is ``limit`` at most."""
    factor_K = (limit / (norms(stack) + 1e-6)).clamp(max=1.0)
    for tensor in stack.stacked().values():
        if tensor.grad is not None:
            tensor.grad.mul_(factor_K.view(-1, *[1] * (tensor.grad.dim() - 1)))
    for k, table in enumerate(stack.embedder.values() if stack.learns else ()):
        for parameter in table.parameters():
            if parameter.grad is not None:
                parameter.grad.mul_(factor_K[k])
