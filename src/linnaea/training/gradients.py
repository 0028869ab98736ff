"""Gradients of one step: their common norm, clipping, and their sum over processes; dense ones and sparse
ones alike."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn

from linnaea.training.rowwise import coalesced


def clip(parameters: Sequence[nn.Parameter], limit: float) -> Tensor:
    """Scale all gradients so that their norm, taken together, is ``limit`` at most.

    Returns:
        the norm before, on the device (reading it would make a GPU wait).
    """
    for parameter in parameters:
        if parameter.grad is not None and parameter.grad.is_sparse:
            # Several backward passes leave rows twice, whose norm would be wrong.
            parameter.grad = coalesced(parameter.grad)
    gradients = [p.grad for p in parameters if p.grad is not None]
    values = [g._values() if g.is_sparse else g for g in gradients]
    if not values:
        return torch.zeros(())
    norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(values)))
    torch._foreach_mul_(values, (limit / (norm + 1e-6)).clamp(max=1.0))
    return norm


def add_over_processes(
    parameters: Sequence[nn.Parameter], sparse: Sequence[nn.Parameter], flags: Sequence[bool]
) -> list[bool]:
    """Replace every gradient by its sum over all processes; ``flags`` come back as "true in any process".

    Not left to DistributedDataParallel: parts of a batch are uneven or empty, parameters freeze and thaw, and
    its sparse gradients do not run on NCCL. All processes must call this with the same parameters.

    Args:
        parameters: with dense gradients; one without a gradient anywhere keeps none.
        sparse: with sparse gradients (or none).
    """
    present = [p.grad is not None for p in parameters]
    marks = torch.tensor([float(x) for x in (*present, *flags)], device=(*parameters, *sparse)[0].device)
    by_dtype: dict[torch.dtype, list[Tensor]] = {marks.dtype: [marks]}
    for parameter, here in zip(parameters, present, strict=True):
        gradient = parameter.grad if here and parameter.grad is not None else torch.zeros_like(parameter)
        by_dtype.setdefault(gradient.dtype, []).append(gradient.detach())
        parameter.grad = gradient
    for tensors in by_dtype.values():
        flat = torch.cat([t.reshape(-1) for t in tensors])
        dist.all_reduce(flat)
        for tensor, total in zip(tensors, torch.split(flat, [t.numel() for t in tensors]), strict=True):
            tensor.copy_(total.view_as(tensor))
    for table in sparse:
        table.grad = _add_sparse(table)
    anywhere = [mark > 0 for mark in marks.tolist()]
    for parameter, mark in zip(parameters, anywhere, strict=False):
        if not mark:
            parameter.grad = None
    return anywhere[len(present) :]


def _add_sparse(table: nn.Parameter) -> Tensor | None:
    """The sum of a table's sparse gradient over all processes: rows are gathered, not the table. None: no row
    anywhere."""
    if table.grad is None:
        rows = torch.zeros(0, dtype=torch.int64, device=table.device)
        values = torch.zeros(0, *table.shape[1:], dtype=table.dtype, device=table.device)
    else:
        gradient = coalesced(table.grad)
        rows, values = gradient.indices()[0], gradient.values()
    world = dist.get_world_size()
    counts = [torch.zeros(1, dtype=torch.int64, device=table.device) for _ in range(world)]
    dist.all_gather(counts, torch.tensor([len(rows)], device=table.device))
    sizes = [int(count) for count in counts]
    longest = max(sizes)
    if not longest:
        return None
    # Gathering wants equal shapes: the short ones are padded, the padding is cut off again.
    all_rows = [rows.new_zeros(longest) for _ in range(world)]
    all_values = [values.new_zeros(longest, *table.shape[1:]) for _ in range(world)]
    dist.all_gather(all_rows, _padded(rows, longest))
    dist.all_gather(all_values, _padded(values, longest))
    joined = torch.cat([part[:n] for part, n in zip(all_rows, sizes, strict=True)])
    summed = torch.cat([part[:n] for part, n in zip(all_values, sizes, strict=True)])
    return torch.sparse_coo_tensor(joined[None], summed, table.shape, check_invariants=False).coalesce()


def _padded(tensor: Tensor, length: int) -> Tensor:
    out = tensor.new_zeros(length, *tensor.shape[1:])
    out[: len(tensor)] = tensor
    return out
