"""Region embedder and encoder against their float64 twins, and what the old toolkit got wrong about them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from linnaea.config.embedders import RegionConfig
from linnaea.config.encoders import RegionEncoderConfig
from linnaea.config.heads import ModelConfig
from linnaea.config.objective import ObjectiveConfig
from linnaea.nn.batch import Batch
from linnaea.nn.embedders import region
from linnaea.nn.embedders.region import Form, Region, across
from linnaea.nn.encoders.region import RegionSum
from linnaea.nn.objectives.objective import Objective
from tests.nn.cases import DEVICES, make_batch, make_documents, make_labels, make_network, sizes, taxonomy
from tests.references.region import merged, regions

KINDS = ["word_context", "context_word"]
every_kind = pytest.mark.parametrize("kind", KINDS)


def embedder(seed: int = 0, sparse: bool = False, **settings) -> Region:
    torch.manual_seed(seed)
    config = RegionConfig.read({"dimension": 6, **settings})
    return Region(config, features=["token"], sizes=sizes(), sparse=sparse)


def batch(lengths=(5, 0, 2, 9, 1), seed: int = 0, **options) -> Batch:
    return make_batch(make_documents(np.random.default_rng(seed), lengths), **options)


def tables(module: Region) -> tuple[list, list]:
    units = module.tables["unit"].weight.unflatten(1, (module.form.region_size, -1))
    return module.tables["token"].weight.tolist(), units.tolist()


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=4),
    size=st.sampled_from([1, 3, 5, 7]),
    kind=st.sampled_from(KINDS),
    original=st.booleans(),
    training=st.booleans(),
    padding=st.integers(0, 3),
    seed=st.integers(0, 1000),
)
def test_equals_the_twin(lengths, size, kind, original, training, padding, seed):
    module = embedder(seed, region_size=size, kind=kind, original=original).double()
    texts = batch(lengths, seed, padding=padding)
    with torch.set_grad_enabled(training):
        vectors = module(texts).vectors_BTE.detach()
    words, units = tables(module)
    for row, length in enumerate(lengths):
        expected = regions(
            texts.ids_BT[row, :length].tolist(), words, units, size=size, kind=kind, original=original
        )
        np.testing.assert_allclose(
            vectors[row, :length], np.reshape(expected, (length, 6)), rtol=0, atol=1e-10
        )
        assert (vectors[row, length:] == 0).all()


@pytest.mark.parametrize("merge", ["sum", "mean"])
def test_the_encoder_equals_the_twin(merge: str):
    module = embedder().double()
    texts = batch()
    encoder = RegionSum(RegionEncoderConfig.read({"merge": merge}), input_dim=6)
    words, units = tables(module)
    expected = [
        merged(regions(ids[mask].tolist(), words, units, size=5), 6, merge)
        for ids, mask in zip(texts.ids_BT, texts.mask_BT, strict=True)
    ]
    np.testing.assert_allclose(
        encoder(module(texts)).pooled_BD.detach(), np.array(expected), rtol=0, atol=1e-10
    )


def plain(module: Region, texts: Batch) -> torch.Tensor:
    """Region vectors by torch's own pieces, differentiated by torch."""
    size, reach = module.form.region_size, module.form.region_size // 2
    words = module.tables["token"].weight
    units = module.tables["unit"].weight.unflatten(1, (size, -1))
    ids_BT, lengths_B = texts.ids_BT, texts.mask_BT.sum(1)
    products = []
    for t in range(-reach, reach + 1):
        place_T = torch.arange(ids_BT.shape[1]) + t
        inside_BT = (place_T >= 0) & (place_T < lengths_B[:, None])
        others_BT = torch.where(inside_BT, ids_BT[:, place_T.clamp(0, ids_BT.shape[1] - 1)], 0)
        if module.form.context_word:
            product = units[others_BT, reach - t] * words[ids_BT]
        else:
            product = units[ids_BT, t + reach] * words[others_BT]
        outside = 0.0 if module.form.original else -torch.inf
        products.append(torch.where(inside_BT[..., None], product, outside))
    best = torch.stack(products).amax(0)
    return torch.where(texts.mask_BT[..., None], best, 0.0)


@every_kind
@pytest.mark.parametrize("original", [False, True])
@pytest.mark.parametrize("sparse", [False, True])
def test_gradients_are_those_of_autograd(kind: str, original: bool, sparse: bool):
    settings = {"kind": kind, "original": original}
    module, other = embedder(sparse=sparse, **settings).double(), embedder(**settings).double()
    texts = batch(padding=2)
    direction = torch.randn(*texts.ids_BT.shape, 6, dtype=torch.float64)
    (module(texts).vectors_BTE * direction).sum().backward()
    (plain(other, texts) * direction).sum().backward()
    for name, parameter in module.named_parameters():
        assert parameter.grad.is_sparse == sparse
        expected = other.get_parameter(name).grad
        torch.testing.assert_close(parameter.grad.to_dense(), expected, rtol=0, atol=1e-12)


@every_kind
def test_documents_in_several_parts_give_the_same(kind: str, monkeypatch: pytest.MonkeyPatch):
    def run() -> list[torch.Tensor]:
        module = embedder(kind=kind).double()
        vectors = module(batch(padding=1)).vectors_BTE
        vectors.square().sum().backward()
        return [vectors.detach(), *(p.grad for p in module.parameters())]

    whole = run()
    monkeypatch.setattr(region, "CPU_PRODUCTS", 1)
    assert all(torch.equal(a, b) for a, b in zip(run(), whole, strict=True))


def test_of_equal_products_the_earliest_learns():
    module = embedder(region_size=3)
    with torch.no_grad():
        for table in module.tables.values():
            table.weight[1:] = 1.0
    texts = make_batch(
        [{**document, "token": [5, 6, 7]} for document in make_documents(np.random.default_rng(0), [3])]
    )
    module(texts).vectors_BTE.sum().backward()
    slots = module.tables["unit"].weight.grad.unflatten(1, (3, 6))[[5, 6, 7], :, 0]
    # The first token has nothing on its left: its own slot comes first.
    assert slots.tolist() == [[0, 1, 0], [1, 0, 0], [1, 0, 0]]


@every_kind
def test_sparse_gradients_hold_each_row_once(kind: str):
    module = embedder(sparse=True, kind=kind)
    texts = [{**d, "token": [2, 5, 2, 2, 9]} for d in make_documents(np.random.default_rng(0), [5, 5])]
    module(make_batch(texts, padding=3)).vectors_BTE.sum().backward()
    for table in module.tables.values():
        assert table.weight.grad._indices().tolist() == [[2, 5, 9]]


def test_memory_holds_one_byte_a_number_until_the_backward_pass():
    module, saved = embedder(), []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        saved.append(tensor)
        return tensor

    texts = batch([9, 9])
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        module(texts)
    tables = {id(p) for p in module.parameters()}
    own = [t for t in saved if id(t) not in tables and t.ndim == 3]
    assert [(t.dtype, tuple(t.shape)) for t in own] == [(torch.uint8, (2, 9, 6))]


def test_pretrained_vectors_fill_the_words():
    module = embedder()
    before = module.tables["unit"].weight.clone()
    module.fill(np.array([3, 4]), np.ones((2, 6)))
    assert (module.tables["token"].weight[[3, 4]] == 1).all()
    assert torch.equal(module.tables["unit"].weight, before)


@pytest.mark.parametrize("sparse", [False, True])
def test_frozen_words_leave_the_units_learning(sparse: bool):
    module = embedder(sparse=sparse)
    module.freeze(True)
    module(batch()).vectors_BTE.sum().backward()
    assert module.tables["token"].weight.grad is None
    assert module.tables["unit"].weight.grad is not None


def test_the_slots_of_context_word():
    """Position i + t holds what it says about i in its slot c - t."""
    units_SR = torch.arange(15.0).view(1, 5, 3)  # position, slot; width 1
    assert across(units_SR, 3)[0, :, :, 0].tolist() == [[2, 4, 6], [5, 7, 9], [8, 10, 12]]
    assert Form(7, True, False, False).reach == 3


class TestWhatTheOldToolkitBroke:
    """Its region model trained the embedding alone, failed on lengths, and made masks on the wrong device."""

    CONFIG = ModelConfig.read({"embedder": {"type": "region", "dimension": 8}, "encoder": "region"})

    @pytest.mark.parametrize("sparse", [False, True])
    def test_the_output_layer_and_the_units_learn(self, sparse: bool):
        rng = np.random.default_rng(0)
        texts = make_batch(make_documents(rng, [6] * 8), labels=make_labels(rng, 8))
        network = make_network(self.CONFIG, sparse=sparse)
        before = {name: p.detach().clone() for name, p in network.named_parameters()}
        objective = Objective(
            ObjectiveConfig.read({"recursive_penalty": 1e-6}), taxonomy(), sizes().support_C, 8
        )
        objective(network(texts), texts, network).backward()
        torch.optim.SGD(network.parameters(), 1.0).step()
        changed = {name for name, p in network.named_parameters() if not torch.equal(p, before[name])}
        assert changed == set(before)
        assert {"embedder.tables.token.weight", "embedder.tables.unit.weight"} < changed
        assert any(name.startswith("head.") and name.endswith("weight") for name in changed)

    @every_kind
    @pytest.mark.parametrize("size", [1, 5, 9])
    @pytest.mark.parametrize("lengths", [[0], [1], [3, 2], [12, 5]], ids=str)
    def test_vectors_are_as_many_as_tokens(self, kind: str, size: int, lengths: list[int]):
        texts = batch(lengths)
        embedded = embedder(kind=kind, region_size=size)(texts)
        assert embedded.vectors_BTE.shape[:2] == embedded.mask_BT.shape == texts.ids_BT.shape

    @pytest.mark.parametrize("device", DEVICES)
    @every_kind
    def test_nothing_is_made_on_another_device(self, kind: str, device: str):
        module = embedder(kind=kind).to(device)
        texts = batch().to(device)
        vectors = module(texts).vectors_BTE
        vectors.sum().backward()
        assert vectors.device.type == device
        assert all(p.grad.device.type == device for p in module.parameters())

    @every_kind
    def test_no_device_is_assumed(self, kind: str):
        """On a device of its own without storage: any tensor made elsewhere would be refused."""
        module, texts = embedder(kind=kind).to("meta"), batch().to("meta")
        with torch.no_grad():
            assert module(texts).vectors_BTE.device.type == "meta"
