"""Batch normalisation under a mask: against torch's own layer on the real positions, in one process and in two."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
import torch
import torch.multiprocessing
from torch import Tensor, distributed, nn

from linnaea.nn.layers.normalization import MaskedBatchNorm
from tests.references.vdcnn import normalized

E = 4
LENGTHS = [7, 0, 1, 5, 2]


def layer(momentum: float = 0.1) -> MaskedBatchNorm:
    torch.manual_seed(0)
    norm = MaskedBatchNorm(E, momentum=momentum).double()
    for name, tensor in norm.state_dict().items():
        if name != "batches":
            nn.init.uniform_(tensor, 0.5, 2.0)
    norm.batches.fill_(1000)  # it has left its beginning behind
    return norm


def torchs(norm: MaskedBatchNorm) -> nn.BatchNorm1d:
    other = nn.BatchNorm1d(E, momentum=norm.momentum).double()
    other.load_state_dict(norm.state_dict(), strict=False)
    return other


def padded(lengths: list[int], seed: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    mask_BT = torch.arange(max(1, *lengths)) < torch.tensor(lengths)[:, None]
    values = torch.randn(2, *mask_BT.shape, E, generator=generator, dtype=torch.float64) * 3 + 2
    return values[0].requires_grad_(), values[1].requires_grad_(), mask_BT


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("addition", [True, False])
def test_against_torch_on_the_real_positions(training: bool, relu: bool, addition: bool):
    norm = layer().train(training)
    other = torchs(norm).train(training)
    values_BTE, more_BTE, mask_BT = padded(LENGTHS)
    found_BTE = norm(values_BTE, mask_BT, added_BTE=more_BTE if addition else None, relu=relu)
    expected_NE = other(values_BTE[mask_BT]) + (more_BTE[mask_BT] if addition else 0)
    expected_NE = expected_NE.relu() if relu else expected_NE
    torch.testing.assert_close(found_BTE[mask_BT], expected_NE, rtol=0, atol=1e-12)
    assert (found_BTE[~mask_BT] == 0).all()
    torch.testing.assert_close(norm.running_mean, other.running_mean, rtol=0, atol=1e-12)
    torch.testing.assert_close(norm.running_var, other.running_var, rtol=0, atol=1e-12)
    factor = torch.randn(found_BTE.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    inputs = [values_BTE, *([more_BTE] if addition else [])]
    ours = torch.autograd.grad((found_BTE * factor).sum(), [*inputs, norm.weight, norm.bias])
    theirs = torch.autograd.grad((expected_NE * factor[mask_BT]).sum(), [*inputs, other.weight, other.bias])
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-11)


def test_against_plain_loops():
    norm = layer()
    values_BTE, _, mask_BT = padded(LENGTHS)
    documents = [x[m].detach().numpy() for x, m in zip(values_BTE, mask_BT, strict=True)]
    before = norm.running_mean.clone()
    found_BTE = norm(values_BTE, mask_BT)
    expected, mean_E, _ = normalized(documents, norm.weight.detach().numpy(), norm.bias.detach().numpy())
    for row, document in enumerate(expected):
        torch.testing.assert_close(
            found_BTE[row, : len(document)], torch.from_numpy(document), rtol=0, atol=1e-12
        )
    torch.testing.assert_close(norm.running_mean, 0.9 * before + 0.1 * torch.from_numpy(mean_E))


def test_numerical_gradients():
    norm = layer()
    values_BTE, more_BTE, mask_BT = padded([3, 0, 2])

    def result(values: Tensor, more: Tensor, *_: Tensor) -> Tensor:
        return norm(values, mask_BT, added_BTE=more, relu=True)

    assert torch.autograd.gradcheck(result, (values_BTE, more_BTE, norm.weight, norm.bias))


@pytest.mark.parametrize("lengths", [[0], [0, 0], [1], [0, 1]], ids=str)
def test_fewer_than_two_positions_take_the_running_statistics(lengths: list[int]):
    norm = layer()
    values_BTE, _, mask_BT = padded(lengths)
    before = {name: tensor.clone() for name, tensor in norm.state_dict().items()}
    found_BTE = norm(values_BTE, mask_BT)
    torch.testing.assert_close(found_BTE, norm.eval()(values_BTE, mask_BT), rtol=0, atol=1e-12)
    assert all(torch.equal(tensor, before[name]) for name, tensor in norm.state_dict().items())
    (grad_BTE,) = torch.autograd.grad(found_BTE.sum(), values_BTE)
    scale_E = norm.affine()[0]
    torch.testing.assert_close(grad_BTE, mask_BT[..., None] * scale_E.detach(), rtol=0, atol=1e-12)


def test_running_statistics_begin_as_the_mean_over_batches():
    """As torch's layer with ``momentum=None``, until a batch has the share of the momentum."""
    norm, other = MaskedBatchNorm(E).double(), nn.BatchNorm1d(E, momentum=None).double()
    for seed in range(10):
        values_BTE, _, mask_BT = padded(LENGTHS, seed)
        norm(values_BTE, mask_BT)
        other(values_BTE[mask_BT])
        norm(values_BTE[:1, :1], mask_BT[:1, :1])  # of one position nothing is learnt
        torch.testing.assert_close(norm.running_mean, other.running_mean, rtol=0, atol=1e-12)
        torch.testing.assert_close(norm.running_var, other.running_var, rtol=0, atol=1e-12)
    before, (values_BTE, _, mask_BT) = norm.running_mean.clone(), padded(LENGTHS, 99)
    norm(values_BTE, mask_BT)
    expected = 0.9 * before + 0.1 * values_BTE[mask_BT].mean(0)
    torch.testing.assert_close(norm.running_mean, expected, rtol=0, atol=1e-12)
    assert norm.batches == 11


def test_padding_changes_no_statistics():
    (values_BTE, _, mask_BT), wide, narrow = padded(LENGTHS), layer(), layer()
    more_BTE = torch.cat([values_BTE, 1e3 * torch.ones_like(values_BTE)], dim=1)
    found_BTE = wide(more_BTE, torch.cat([mask_BT, torch.zeros_like(mask_BT)], dim=1))
    torch.testing.assert_close(
        found_BTE[:, : mask_BT.shape[1]], narrow(values_BTE, mask_BT), rtol=0, atol=1e-12
    )
    torch.testing.assert_close(wide.running_var, narrow.running_var, rtol=0, atol=1e-12)


def test_a_mean_far_from_zero_costs_no_precision():
    """In float32 mean of squares minus square of the mean would leave nothing of the variance."""
    norm = MaskedBatchNorm(E)
    values_BTE, _, mask_BT = padded([50, 60])
    values_BTE = (values_BTE + 1e4).detach()
    expected = torch.zeros_like(values_BTE)
    expected[mask_BT] = nn.functional.batch_norm(values_BTE[mask_BT], None, None, training=True)
    found = norm(values_BTE.float(), mask_BT)
    torch.testing.assert_close(found.double(), expected, rtol=0, atol=2e-3)


def test_float32_under_autocast():
    norm = MaskedBatchNorm(E)
    values_BTE, _, mask_BT = padded(LENGTHS)
    rough_BTE = values_BTE.detach().bfloat16().requires_grad_()
    plain = norm(rough_BTE.float(), mask_BT)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = norm(rough_BTE, mask_BT)
    assert found.dtype == norm.running_mean.dtype == torch.float32
    assert torch.equal(found, plain)
    found.square().sum().backward()
    assert norm.weight.grad.dtype == torch.float32


def test_buffers_are_saved():
    norm = layer()
    assert set(norm.state_dict()) == {"weight", "bias", "running_mean", "running_var", "batches"}
    values_BTE, _, mask_BT = padded(LENGTHS)
    norm(values_BTE, mask_BT)
    other = layer()
    other.load_state_dict(norm.state_dict())
    assert torch.equal(other.eval()(values_BTE, mask_BT), norm.eval()(values_BTE, mask_BT))


# The second process has five documents; in the last case it is only for company: all that it holds is masked.
PARTS = {"uneven": [slice(0, 2), slice(2, 5)], "one process has none": [slice(0, 5), slice(4, 5)]}


def results(part: slice, closed: bool = False) -> dict[str, Tensor]:
    """What a process finds for its documents: values, gradients, statistics."""
    norm = layer()
    values_BTE, more_BTE, mask_BT = padded(LENGTHS)
    mask_BT = mask_BT & (not closed)
    found_BTE = norm(values_BTE[part], mask_BT[part], added_BTE=more_BTE[part], relu=True)
    factor = torch.randn(values_BTE.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    (found_BTE * factor[part]).sum().backward()
    grads = {"values": values_BTE.grad[part], "more": more_BTE.grad[part]}
    weights = {"weight": norm.weight.grad, "bias": norm.bias.grad}
    return {"found": found_BTE.detach(), **grads, **weights, **dict(norm.named_buffers())}


def process(rank: int, name: str, folder: str) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    torch.save(results(PARTS[name][rank], closed=rank == 1 and name != "uneven"), f"{folder}/{rank}.saving")
    os.rename(f"{folder}/{rank}.saving", f"{folder}/{rank}.pt")
    while not all(Path(folder, f"{other}.pt").exists() for other in (0, 1)):
        time.sleep(0.01)
    # Both are done: leave at once, since gloo's threads now and then abort an interpreter that shuts down.
    os._exit(0)


@pytest.mark.slow
@pytest.mark.parametrize("name", PARTS)
def test_two_processes_are_one(name: str, tmp_path: Path):
    torch.multiprocessing.spawn(process, (name, str(tmp_path)), nprocs=2)
    one, two = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    expected = results(slice(0, 5))
    for key in ("running_mean", "running_var"):
        torch.testing.assert_close(one[key], expected[key], rtol=0, atol=1e-12)
        assert torch.equal(one[key], two[key])
    for key in ("weight", "bias"):
        torch.testing.assert_close(one[key] + two[key], expected[key], rtol=0, atol=1e-10)
    for key in ("found", "values", "more"):
        together = torch.cat([one[key], two[key]]) if name == "uneven" else one[key]
        torch.testing.assert_close(together, expected[key], rtol=0, atol=1e-10)
        assert name == "uneven" or (two[key] == 0).all()
