"""Dropout: masks against a loop twin, their statistics, and that they follow from a document's place alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend

from linnaea.config.heads import ModelConfig
from linnaea.nn.layers.dropout import Dropout, drawn
from tests.nn.cases import DEVICES, make_batch, make_documents, make_network

every_device = pytest.mark.parametrize("device", DEVICES)
WORD = 1 << 32


def masks(
    rows: list[int] | Tensor, *shape: int, p: float = 0.5, seed: int = 1, step: int = 0, modules: int = 1,
    device: str = "cpu",
) -> list[Tensor]:  # fmt: skip
    """``[B, *shape]`` of each module: what becomes of ones."""
    network = nn.ModuleList(Dropout(p) for _ in range(modules)).train()
    network.register_parameter("place", nn.Parameter(torch.zeros(1, device=device)))
    rows_B = torch.as_tensor(rows)
    with drawn(network, seed, step, rows_B):
        return [module(torch.ones(len(rows_B), *shape, device=device)) for module in network]


def lowbias32(key: int) -> int:
    """In Python's own integers; without the last step."""
    key ^= key >> 16
    key = key * 0x7FEB352D % WORD
    key ^= key >> 15
    return key * 0x846CA68B % WORD


def twin(row: int, place: tuple[int, ...], seed: int, step: int, module: int, p: float) -> float:
    """What becomes of a one."""
    words = np.random.SeedSequence([seed, step]).generate_state(module + 2).tolist()
    key = lowbias32(row * 0x9E3779B9 % WORD ^ words[0]) ^ words[module + 1]
    for number in place:
        key = lowbias32(key ^ number * 0x9E3779B9 % WORD)
    signed = key - WORD if key >= WORD // 2 else key
    return 1 / (1 - p) if signed >= round(p * WORD) - WORD // 2 else 0.0


@every_device
@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**40), step=st.integers(0, 2**40), p=st.sampled_from([0.01, 0.3, 0.5, 0.9]),
    rows=st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=4),
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=2),
)  # fmt: skip
def test_against_a_loop(device: str, seed: int, step: int, p: float, rows: list[int], shape: list[int]):
    found = masks(rows, *shape, p=p, seed=seed, step=step, modules=2, device=device)
    for module, mask in enumerate(found):
        for place in np.ndindex(*mask.shape):
            wanted = twin(rows[place[0]], place[1:], seed, step, module, p)
            assert mask[place].item() == pytest.approx(wanted)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 99),
    rows=st.lists(st.integers(0, 10**6), min_size=2, max_size=8, unique=True),
    padding=st.integers(0, 5),
)
def test_order_neighbours_and_padding_change_no_mask(seed: int, rows: list[int], padding: int):
    (together,) = masks(rows, 4 + padding, 7, seed=seed)
    (turned,) = masks(rows[::-1], 4, 7, seed=seed)
    assert torch.equal(together[:, :4], turned.flip(0))
    for place, row in enumerate(rows):
        assert torch.equal(together[place, :4], masks([row], 4, 7, seed=seed)[0][0])


@pytest.mark.parametrize("encoder", ["fasttext", "textcnn"])
def test_a_network_in_training_reads_a_document_the_same_in_any_batch(encoder: str):
    model = {"embedder": {"type": "lookup", "dimension": 12, "dropout": 0.5}, "encoder": encoder}
    network = make_network(ModelConfig.read(model)).train()
    documents = make_documents(np.random.default_rng(0), [7, 1, 12, 3])

    def logits(chosen: list[int], padding: int = 0) -> Tensor:
        batch = make_batch([documents[i] for i in chosen], padding=padding)
        with torch.no_grad(), drawn(network, 5, 2, torch.tensor(chosen)):
            return network(batch).logits_BC

    together = logits([0, 1, 2, 3])
    torch.testing.assert_close(logits([3, 1, 0, 2], padding=4), together[[3, 1, 0, 2]], rtol=0, atol=1e-5)
    torch.testing.assert_close(logits([2]), together[2:3], rtol=0, atol=1e-5)
    assert not torch.allclose(network.eval()(make_batch(documents)).logits_BC, together)


def deviations(kept: Tensor, p: float) -> Tensor:
    """How many standard deviations the share of each row (last dimension) is off."""
    count = kept.shape[-1]
    return (kept.double().mean(-1) - (1 - p)).abs() / math.sqrt(p * (1 - p) / count)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_the_share_that_is_kept(p: float):
    """Fair binomial draws would pass each bound but once in a thousand; being a hash, it passes always."""
    kept_SBE = torch.stack([masks(torch.arange(200), 300, p=p, step=step)[0] > 0 for step in range(40)])
    for order in [(0, 1, 2), (1, 0, 2), (2, 0, 1)]:
        parts = kept_SBE.permute(order).flatten(1)
        assert deviations(parts, p).max() < 4.5
        assert 0.7 < deviations(parts, p).square().mean() < 1.4  # of the variance of fair draws
    assert deviations(kept_SBE.flatten(), p) < 3.3


def signs(rows: int = 100, columns: int = 100, **options) -> list[Tensor]:
    return [mask.flatten() - 1 for mask in masks(torch.arange(rows), columns, **options)]


def correlated(one: Tensor, other: Tensor) -> float:
    """In standard deviations of what independent fair draws give."""
    return abs((one * other).sum().item()) / math.sqrt(len(one))


def test_steps_modules_and_seeds_are_unrelated():
    drawn_once = signs(modules=3)
    others = [sign for step in (1, 2, 3, 10**6) for sign in signs(step=step, modules=3)]
    others += [sign for seed in (0, 2, 3, 10**12) for sign in signs(seed=seed, modules=3)]
    everything = [*drawn_once, *others]
    pairs = [correlated(a, b) for i, a in enumerate(everything) for b in everything[:i]]
    assert max(pairs) < 4.5
    assert 0.7 < np.mean(np.square(pairs)) < 1.4


def test_rows_columns_and_positions_are_unrelated():
    (mask,) = masks(torch.arange(60), 50, 40)
    for order in [(0, 1, 2), (1, 0, 2), (2, 0, 1)]:
        sign = (mask - 1).double().permute(order).flatten(1)
        relation = sign @ sign.T / math.sqrt(sign.shape[1])
        pairs = relation[tuple(torch.triu_indices(len(sign), len(sign), 1))]
        assert pairs.abs().max() < 4.8
        assert 0.8 < pairs.square().mean() < 1.2


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_numbers_are_zero_or_scaled_and_the_gradient_is_the_mask(dtype: torch.dtype):
    dropout = Dropout(0.2).train()
    values = torch.randn(30, 20, dtype=dtype, generator=torch.Generator().manual_seed(0)).requires_grad_()
    with drawn(dropout, 3, 4, torch.arange(30)):
        out = dropout(values)
    (gradient,) = torch.autograd.grad(out.sum(), values)
    assert out.dtype == gradient.dtype == dtype
    assert set(gradient.unique().tolist()) == {0.0, torch.tensor(1 / 0.8, dtype=dtype).item()}
    assert torch.equal(out, values * gradient)


def test_where_it_does_nothing():
    values = torch.randn(5, 4)
    with drawn(dropout := Dropout(0.5).eval(), 0, 0, torch.arange(5)):
        assert dropout(values) is values
    with drawn(dropout := Dropout(0.0).train(), 0, 0, torch.arange(5)):
        assert dropout(values) is values


def test_without_keys_it_is_that_of_torch():
    dropout, values = Dropout(0.3).train(), torch.randn(50, 40)
    with pytest.raises(ZeroDivisionError), drawn(dropout, 0, 0, torch.arange(50)):
        raise ZeroDivisionError
    found = []
    for module in (dropout, nn.Dropout(0.3)):
        torch.manual_seed(4)
        found.append(module(values))
    assert torch.equal(*found)


def test_drawing_leaves_the_generator_alone():
    before = torch.get_rng_state()
    masks([1, 2, 3], 10, modules=2)
    assert torch.equal(torch.get_rng_state(), before)


def test_keys_of_other_documents_are_refused():
    dropout = Dropout(0.5).train()
    with (
        drawn(dropout, 0, 0, torch.arange(1)),
        pytest.raises(ValueError, match="keys of 1 documents and values of 3"),
    ):
        dropout(torch.ones(3, 2))


@pytest.mark.parametrize("p", [-0.1, 1.0, 1.5])
def test_shares_that_make_no_sense(p: float):
    with pytest.raises(ValueError, match="dropout"):
        Dropout(p)


def test_compiled_it_draws_the_same_and_is_compiled_once():
    network = nn.Sequential(Dropout(0.5), nn.Linear(8, 3), Dropout(0.3)).train()
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(network, backend=counter, fullgraph=True)
    values = torch.randn(6, 8)
    for step in range(4):
        outs = []
        for form in (network, compiled):
            with drawn(form, 0, step, torch.arange(6)):
                outs.append(form(values))
        torch.testing.assert_close(outs[1], outs[0])
    assert counter.frame_count == 1
    torch.compiler.reset()
