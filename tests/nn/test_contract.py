"""What every registered embedder, encoder, head and loss must hold to. To register is to be tried."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save

from linnaea.config.heads import ModelConfig
from linnaea.config.objective import ObjectiveConfig
from linnaea.config.registry import losses
from linnaea.nn.batch import Batch
from linnaea.nn.network import Network, SequenceEncoder
from linnaea.nn.objectives.objective import Objective, scores
from tests.nn.cases import (
    DEVICES,
    case_name,
    cases,
    loss_names,
    make_batch,
    make_documents,
    make_labels,
    make_network,
    sizes,
    taxonomy,
)  # fmt: skip

CASES = cases()
every_case = pytest.mark.parametrize("config", CASES, ids=[case_name(case) for case in CASES])
every_device = pytest.mark.parametrize("device", DEVICES)
LENGTHS = [7, 0, 1, 12, 3, 2]


def a_batch(lengths=LENGTHS, seed: int = 1, **options) -> Batch:
    return make_batch(make_documents(np.random.default_rng(seed), lengths), **options)


def logits(network: Network, batch: Batch) -> torch.Tensor:
    with torch.no_grad():
        return network(batch).logits_BC


@every_device
@every_case
@pytest.mark.parametrize("lengths", [LENGTHS, [5], [1], [0], [0, 0]], ids=str)
def test_shapes(config: ModelConfig, lengths: list[int], device: str):
    network = make_network(config).to(device)
    batch = a_batch(lengths, device=device)
    encoded = network.encoder(network.embedder(batch))
    assert encoded.pooled_BD.shape == (len(lengths), network.encoder.output_dim)
    if config.encoder.gives_states:
        assert encoded.states_BSD.shape[::2] == (len(lengths), network.encoder.state_dim)
        assert encoded.mask_BS.shape == encoded.states_BSD.shape[:2]
    output = network(batch)
    assert output.logits_BC.shape == (len(lengths), len(taxonomy()))
    assert output.logits_BC.dtype == torch.float32
    assert output.logits_BC.isfinite().all()


@every_device
@every_case
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=6),
    padding=st.integers(0, 7),
    seed=st.integers(0, 99),
)
def test_neighbours_order_and_padding_change_nothing(config, device, lengths, padding, seed):
    network = make_network(config, seed).eval().to(device)
    rng = np.random.default_rng(seed)
    documents = make_documents(rng, lengths)
    alone = torch.cat([logits(network, make_batch([d], device=device)) for d in documents])
    order = rng.permutation(len(documents))
    together = logits(network, make_batch([documents[i] for i in order], padding=padding, device=device))
    torch.testing.assert_close(together, alone[torch.from_numpy(order).to(device)], rtol=0, atol=1e-5)


@every_case
def test_vectors_at_padding_are_not_read(config: ModelConfig):
    network = make_network(config).eval()
    if not isinstance(network.encoder, SequenceEncoder):
        pytest.skip("this encoder reads the batch itself")
    embedded = network.embedder(a_batch(padding=3))
    noise = torch.randn_like(embedded.vectors_BTE) * ~embedded.mask_BT[..., None]
    plain = network.encoder.encode(embedded.vectors_BTE, embedded.mask_BT).pooled_BD
    noisy = network.encoder.encode(embedded.vectors_BTE + noise, embedded.mask_BT).pooled_BD
    torch.testing.assert_close(noisy, plain, rtol=0, atol=1e-6)


@every_case
def test_an_empty_document_is_the_zero_vector(config: ModelConfig):
    network = make_network(config).eval()
    encoded = network.encoder(network.embedder(a_batch()))
    empty = torch.tensor(LENGTHS) == 0
    assert (encoded.pooled_BD[empty] == 0).all()
    assert (encoded.pooled_BD[~empty] != 0).any(1).all()
    bias_C = network.head.bias_C()
    if config.head.type == "linear":
        assert torch.equal(network(a_batch()).logits_BC[empty], bias_C[None])


@every_case
def test_empty_documents_give_finite_gradients(config: ModelConfig):
    network = make_network(config)
    network(a_batch([0, 0, 4])).logits_BC.square().sum().backward()
    assert all(p.grad.isfinite().all() for p in network.parameters())


@every_case
@pytest.mark.parametrize("sparse", [False, True])
def test_gradients_reach_every_parameter(config: ModelConfig, sparse: bool):
    network = make_network(config, sparse=sparse)
    batch = a_batch([12] * 8)
    network(batch).logits_BC.square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.to_dense().abs().sum() > 0, name


@every_case
def test_sparse_gradients_equal_dense_ones(config: ModelConfig):
    batch = a_batch(padding=2)
    gradients = []
    for sparse in (False, True):
        network = make_network(config, sparse=sparse).eval()
        network(batch).logits_BC.square().sum().backward()
        gradients.append({name: p.grad.to_dense() for name, p in network.named_parameters()})
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-5, atol=1e-6)


@every_device
@every_case
def test_saved_weights_give_the_same_bits(config: ModelConfig, device: str):
    batch = a_batch(device=device)
    network = make_network(config, seed=0).eval().to(device)
    other = make_network(config, seed=1).eval().to(device)
    assert not torch.equal(logits(network, batch), logits(other, batch))
    other.load_state_dict(load(save(network.state_dict())))
    assert torch.equal(logits(network, batch), logits(other, batch))


@every_case
def test_the_same_seed_gives_the_same_weights(config: ModelConfig):
    one, two = make_network(config, seed=3).state_dict(), make_network(config, seed=3).state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)


@every_case
def test_float64(config: ModelConfig):
    batch = a_batch()
    network = make_network(config).eval()
    single = logits(network, batch)
    double = logits(network.double(), batch)
    assert double.dtype == torch.float64
    torch.testing.assert_close(single.double(), double, rtol=0, atol=1e-5)


@every_device
@every_case
def test_bfloat16_autocast(config: ModelConfig, device: str):
    network = make_network(config).to(device)
    objective = Objective(ObjectiveConfig(), taxonomy(), sizes().support_C, 16).to(device)
    batch = a_batch(labels=make_labels(np.random.default_rng(0), len(LENGTHS)), device=device)
    with torch.autocast(device, dtype=torch.bfloat16):
        loss = objective(network(batch), batch, network)
    assert loss.dtype == torch.float32
    loss.backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad.dtype == torch.float32, name
        assert parameter.grad.isfinite().all(), name
    network.eval()
    with torch.autocast(device, dtype=torch.bfloat16):
        rough = logits(network, batch).float()
    torch.testing.assert_close(rough, logits(network, batch), rtol=0.1, atol=0.1)


@every_case
def test_category_rows_have_one_row_a_category(config: ModelConfig):
    network = make_network(config)
    parameters = {id(p) for p in network.head.parameters()}
    rows = network.head.category_rows()
    assert rows
    for tensor in rows:
        assert tensor.shape[0] == len(taxonomy())
        assert id(tensor) in parameters


@every_case
def test_compiled_gives_the_same_numbers(config: ModelConfig):
    network = make_network(config).eval()
    compiled = torch.compile(network, backend="aot_eager")
    for batch in (a_batch(), a_batch([4, 9], seed=2)):
        gradients = []
        for form in (network, compiled):
            network.zero_grad()
            form(batch).logits_BC.square().sum().backward()
            gradients.append([p.grad.clone() for p in network.parameters()])
        torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(compiled(batch).logits_BC, network(batch).logits_BC, rtol=0, atol=1e-5)
    torch.compiler.reset()


def learn(config: ModelConfig, loss: str, sparse: bool = False, device: str = "cpu") -> float:
    """The share of right decisions on 16 documents after training on them."""
    rng = np.random.default_rng(7)
    single = losses.config(loss).scores == "softmax"
    labels = make_labels(rng, 16, single)
    batch = make_batch(make_documents(rng, rng.integers(4, 12, 16)), labels=labels, device=device)
    network = make_network(config, sparse=sparse, scores="softmax" if single else "sigmoid").to(device)
    objective = Objective(ObjectiveConfig.read({"loss": loss}), taxonomy(), sizes().support_C, 16).to(device)
    dense = [p for name, p in network.named_parameters() if not (sparse and "tables" in name)]
    rows = [p for name, p in network.named_parameters() if sparse and "tables" in name]
    optimizers = [torch.optim.Adam(dense, 0.02)] + ([torch.optim.SparseAdam(rows, 0.02)] if rows else [])
    gold = batch.labels.dense(len(taxonomy()))
    right = 0.0
    for step in range(1, 401):
        network.zero_grad()
        objective(network.train()(batch), batch, network).backward()
        for optimizer in optimizers:
            optimizer.step()
        if step % 25 == 0:
            scored = scores(logits(network.eval(), batch), objective.kind)
            decided = (
                torch.zeros_like(gold).scatter(1, scored.argmax(1, True), 1) if single else scored >= 0.5
            )
            right = (decided == gold).float().mean().item()
            if right == 1.0:
                break
    return right


@every_device
@every_case
def test_learns_sixteen_documents_by_heart(config: ModelConfig, device: str):
    assert learn(config, "bce", device=device) == 1.0


@every_device
@pytest.mark.parametrize("loss", [*loss_names("sigmoid"), *loss_names("softmax")])
@pytest.mark.parametrize("encoder", ["textcnn", "fasttext"])
def test_every_loss_learns_sixteen_documents_by_heart(encoder: str, loss: str, device: str):
    config = ModelConfig.read({"embedder": {"type": "lookup", "dimension": 12}, "encoder": encoder})
    assert learn(config, loss, sparse=True, device=device) == 1.0


@every_device
@pytest.mark.parametrize("name", [*loss_names("sigmoid"), *loss_names("softmax")])
class TestLosses:
    def given(self, name: str, documents: int = 6):
        rng = np.random.default_rng(3)
        single = losses.config(name).scores == "softmax"
        labels = make_labels(rng, documents, single)
        batch = make_batch(make_documents(rng, [1] * documents), labels=labels)
        loss = losses.build(losses.config(name)())
        return loss, torch.from_numpy(rng.normal(size=(documents, len(taxonomy())))), batch.labels

    def test_one_number_a_document(self, name: str, device: str):
        loss, logits_BC, labels = self.given(name)
        loss_B = loss.to(device)(logits_BC.to(device), labels.to(device))
        assert loss_B.shape == (6,)
        assert loss_B.dtype == torch.float64
        assert (loss_B > 0).all()

    def test_weights_of_one_change_nothing(self, name: str, device: str):
        loss, logits_BC, labels = self.given(name)
        logits_BC, labels = logits_BC.to(device), labels.to(device)
        ones_C = torch.ones(logits_BC.shape[1], dtype=torch.float64, device=device)
        torch.testing.assert_close(loss(logits_BC, labels, ones_C), loss(logits_BC, labels))

    @pytest.mark.parametrize("size", [0.0, 30.0, 1e4])
    def test_finite_for_extreme_logits(self, name: str, device: str, size: float):
        loss, logits_BC, labels = self.given(name)
        extreme_BC = (logits_BC.sign() * size).float().to(device).requires_grad_()
        loss_B = loss(extreme_BC, labels.to(device))
        loss_B.sum().backward()
        assert loss_B.isfinite().all()
        assert extreme_BC.grad.isfinite().all()

    def test_gradient(self, name: str, device: str):
        loss, logits_BC, labels = self.given(name)
        logits_BC, labels = logits_BC.to(device).requires_grad_(), labels.to(device)
        weights_C = torch.linspace(0.5, 3, logits_BC.shape[1], dtype=torch.float64, device=device)
        assert torch.autograd.gradcheck(lambda z: loss(z, labels, weights_C), (logits_BC,))
