"""The rules for embedders, encoders and heads, each a function that raises ``AssertionError`` where it is broken.

Each part is tried in a small network around it. Shape letters: B documents, T tokens, S states, D encoded, C categories.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

from linnaea.config.heads import ModelConfig
from linnaea.config.objective import ObjectiveConfig
from linnaea.nn.batch import Batch
from linnaea.nn.network import Encoded, Network, SequenceEncoder
from linnaea.nn.objectives.objective import Objective
from linnaea.testing.cases import BATCHES, LENGTHS, Case, close, learning, logits, must
from linnaea.testing.learning import STEPS, learned
from linnaea.testing.worlds import make_batch, make_documents, make_labels, sizes, taxonomy


def encoded(network: Network, batch: Batch) -> Encoded:
    found = network.encoder(batch if network.embedder is None else network.embedder(batch))
    must(isinstance(found, Encoded), f"the encoder must give an Encoded, not {type(found).__name__}")
    return found  # type: ignore[no-any-return]


def shapes(case: Case) -> None:
    """Shapes are as told, for any number and length of documents; logits are finite float32."""
    _shapes(case)
    if case.config.encoder.gives_states:
        _shapes(_under_states(case))


def _under_states(case: Case) -> Case:
    """The same embedder and encoder under a head that reads token states and nothing else."""
    encoder = case.config.encoder
    given = encoder.model_dump(mode="json", exclude_unset=True)
    kept = {key: value for key, value in given.items() if key not in encoder.vector_keys}
    parts = {"embedder": case.config.embedder, "encoder": {"type": encoder.type, **kept}}
    return replace(case, config=ModelConfig.read({**parts, "head": "label_attention"}))


def _shapes(case: Case) -> None:
    for lengths in BATCHES:
        network, batch = case.network(), case.batch(lengths)
        told = f"for documents of {list(lengths)} tokens"
        found, encoder = encoded(network, batch), network.encoder
        pooled, shape = list(found.pooled_BD.shape), [len(lengths), encoder.output_dim]
        must(pooled == shape, f"{told} pooled_BD is {pooled}, not [B, output_dim] = {shape}")
        if case.config.head.needs_states:
            _states(found, encoder.state_dim, len(lengths), told)
        logits_BC = logits(network, batch)
        shape = [len(lengths), len(taxonomy())]
        must(
            list(logits_BC.shape) == shape,
            f"{told} logits_BC is {list(logits_BC.shape)}, not [B, C] = {shape}",
        )
        must(logits_BC.dtype == torch.float32, f"{told} logits are {logits_BC.dtype}, not float32")
        must(logits_BC.isfinite().all(), f"{told} logits are not finite")


def _states(found: Encoded, width: int | None, documents: int, told: str) -> None:
    states_BSD, mask_BS = found.states_BSD, found.mask_BS
    must(states_BSD is not None and mask_BS is not None, "gives_states, and states_BSD or mask_BS is None")
    if states_BSD is None or mask_BS is None:
        return
    ends = [states_BSD.shape[0], states_BSD.shape[-1]]
    must(ends == [documents, width], f"{told} states_BSD is {list(states_BSD.shape)}, not [B, S, {width}]")
    must(
        mask_BS.shape == states_BSD.shape[:2],
        f"{told} mask_BS is {list(mask_BS.shape)}, not [B, S] of states_BSD",
    )


def neighbours_order_and_padding_change_nothing(case: Case) -> None:
    """A document's logits are the same alone, in any batch, in any order, with any padding, to 1e-5."""
    for seed in range(8):
        rng = np.random.default_rng(seed)
        lengths = rng.integers(0, 10, rng.integers(1, 7)).tolist() if seed else list(LENGTHS)
        neighbours(case, lengths, int(rng.integers(0, 8)), seed)


def neighbours(case: Case, lengths: Sequence[int], padding: int, seed: int) -> None:
    """The same for documents of ``lengths`` with so much more padding."""
    network = case.network(seed).eval()
    rng = np.random.default_rng(seed)
    documents = make_documents(rng, lengths)
    alone_BC = torch.cat([logits(network, make_batch([d], device=case.device)) for d in documents])
    order = rng.permutation(len(documents))
    batch = make_batch([documents[i] for i in order], padding=padding, device=case.device)
    told = f"documents of {[lengths[i] for i in order]} tokens with {padding} more positions of padding"
    close(
        logits(network, batch), alone_BC[torch.from_numpy(order).to(case.device)], 1e-5,
        f"padding and neighbours must not change a number: {told} have other logits than each alone",
    )  # fmt: skip


def vectors_at_padding_are_not_read(case: Case) -> None:
    """What stands at padded positions does not matter, even where it is not zero."""
    network = case.network().eval()
    if not isinstance(network.encoder, SequenceEncoder) or network.embedder is None:
        return  # this encoder reads the batch itself
    embedded = network.embedder(case.batch(padding=3))
    noise = torch.randn_like(embedded.vectors_BTE) * ~embedded.mask_BT[..., None]
    plain = network.encoder.encode(embedded.vectors_BTE, embedded.mask_BT).pooled_BD
    noisy = network.encoder.encode(embedded.vectors_BTE + noise, embedded.mask_BT).pooled_BD
    close(noisy, plain, 1e-6, "vectors at padded positions are read: they change the document vector")


def an_empty_document_is_the_zero_vector(case: Case) -> None:
    """No token: the vector of zeros, and the linear head's bias alone. Others are not zero."""
    network = case.network().eval()
    found = encoded(network, case.batch()).pooled_BD
    empty = torch.tensor(LENGTHS, device=case.device) == 0
    must((found[empty] == 0).all(), "an empty document must be the vector of zeros")
    must((found[~empty] != 0).any(1).all(), "a document with tokens became the vector of zeros")
    if case.config.head.type == "linear":
        (bias_C,) = network.head.biases()
        alike = torch.equal(logits(network, case.batch())[empty], bias_C[None])
        must(alike, "an empty document must have the bias for its logits")


def empty_documents_give_finite_gradients(case: Case) -> None:
    """A document without tokens beside others, or nothing but such: all gradients are finite."""
    for lengths in ([0, 0, 4], [0]):
        network = case.network()
        network(case.batch(lengths)).logits_BC.square().sum().backward()
        for name, parameter in learning(network):
            finite = parameter.grad is None or parameter.grad.isfinite().all()
            must(finite, f"the gradient of {name!r} is not finite where documents are empty")


def gradients_reach_every_parameter(case: Case) -> None:
    """Every parameter learns, with dense and with row-wise gradients of the tables."""
    _reached(case, "it would never learn")


def _reached(case: Case, problem: str) -> None:
    for sparse in (False, True):
        network = case.network(sparse=sparse)
        network(case.batch([12] * 8)).logits_BC.square().sum().backward()
        for name, parameter in learning(network):
            reached = parameter.grad is not None and parameter.grad.to_dense().abs().sum() > 0
            must(reached, f"no gradient reaches {name!r}: {problem}")


def gradients_reach_every_parameter_through_states(case: Case) -> None:
    """So they do where the head reads token states alone, if the encoder gives them."""
    if case.config.encoder.gives_states:
        problem = (
            "under a head that reads token states alone; an encoder that takes 'vector' can leave it out"
        )
        _reached(_under_states(case), problem)


def sparse_gradients_equal_dense_ones(case: Case) -> None:
    """Row-wise gradients of the tables are the gradients."""
    batch, gradients = case.batch(padding=2), []
    for sparse in (False, True):
        network = case.network(sparse=sparse).eval()
        network(batch).logits_BC.square().sum().backward()
        gradients.append({n: p.grad.to_dense() for n, p in learning(network) if p.grad is not None})
    must(
        gradients[0].keys() == gradients[1].keys(), "other parameters have gradients where they are row-wise"
    )
    for name, dense in gradients[0].items():
        close(gradients[1][name], dense, 1e-6, f"the row-wise gradient of {name!r} is another", 1e-5)


def saved_weights_give_the_same_bits(case: Case) -> None:
    """All that a network has learned is in its ``state_dict``."""
    batch = case.batch()
    network, other = case.network(0).eval(), case.network(1).eval()
    alike = torch.equal(logits(network, batch), logits(other, batch))
    must(not alike, "networks from two seeds give the same logits: weights must come from torch's generator")
    other.load_state_dict(load(save(network.state_dict())))
    alike = torch.equal(logits(network, batch), logits(other, batch))
    must(alike, "loaded weights give other logits: something that acts is no parameter and no buffer")


def the_same_seed_gives_the_same_weights(case: Case) -> None:
    """Weights come from torch's generator and from nothing else."""
    one, two = case.network(3).state_dict(), case.network(3).state_dict()
    for name in one:
        must(torch.equal(one[name], two[name]), f"{name!r} has other values though the seed is the same")


def float64(case: Case) -> None:
    """In float64 everything is float64, and near to float32."""
    batch, network = case.batch(), case.network().eval()
    single_BC = logits(network, batch)
    double_BC = logits(network.double(), batch)
    must(double_BC.dtype == torch.float64, f"in float64 logits are {double_BC.dtype}")
    close(double_BC, single_BC, 1e-5, "logits in float64 and in float32 differ")


def bfloat16_autocast(case: Case) -> None:
    """Under bfloat16 autocast loss and gradients are finite float32, and logits roughly the same."""
    network = case.network()
    objective = Objective(ObjectiveConfig(), taxonomy(), sizes().support_C, 16).to(case.device)
    batch = case.batch(labels=make_labels(np.random.default_rng(0), len(LENGTHS)))
    with torch.autocast(case.device, dtype=torch.bfloat16):
        loss = objective(network(batch), batch, network)
    must(loss.dtype == torch.float32 and loss.isfinite(), "under autocast the loss is no finite float32")
    loss.backward()
    for name, parameter in learning(network):
        gradient = parameter.grad
        fine = gradient is not None and gradient.dtype == torch.float32 and gradient.isfinite().all()
        must(fine, f"under autocast the gradient of {name!r} is no finite float32")
    network.eval()
    with torch.autocast(case.device, dtype=torch.bfloat16):
        rough_BC = logits(network, batch).float()
    exact_BC = logits(network, batch)
    # Measured against the largest: normalisation may blow up the rounding of a single document.
    largest = max(1.0, exact_BC.abs().max().item())
    close(rough_BC, exact_BC, 0.1 * largest, "logits under bfloat16 autocast are far off")
    close(
        rough_BC.mean(), exact_BC.mean(), 0.02 * largest, "logits under bfloat16 autocast have another mean"
    )


def category_rows_have_one_row_a_category(case: Case) -> None:
    """``category_rows`` are parameters of the head with C rows."""
    head = case.network().head
    parameters, rows = {id(p) for p in head.parameters()}, head.category_rows()
    must(rows, "category_rows gives nothing")
    for tensor in rows:
        must(
            tensor.shape[0] == len(taxonomy()),
            f"category_rows gives {list(tensor.shape)}: not a row a category",
        )
        must(id(tensor) in parameters, "category_rows gives a tensor that is no parameter of the head")


def compiled_gives_the_same_numbers(case: Case) -> None:
    """``torch.compile`` changes neither logits nor gradients (it may break the graph)."""
    network = case.network().eval()
    compiled: Any = torch.compile(network, backend="aot_eager")
    try:
        for batch in (case.batch(), case.batch([4, 9], seed=2)):
            gradients: list[dict[str, Tensor]] = []
            for form in (network, compiled):
                network.zero_grad()
                form(batch).logits_BC.square().sum().backward()
                gradients.append({n: p.grad.clone() for n, p in learning(network) if p.grad is not None})
            for name, gradient in gradients[0].items():
                close(
                    gradients[1][name], gradient, 1e-5, f"compiled, the gradient of {name!r} is another", 1e-5
                )
            close(logits(compiled, batch), logits(network, batch), 1e-5, "compiled, logits are others")
    finally:
        torch.compiler.reset()


def learns_sixteen_documents_by_heart(case: Case) -> None:
    """After at most ``STEPS`` steps of Adam all decisions on 16 documents are right."""
    right = learned(case, "bce")
    must(right == 1.0, f"after {STEPS} steps only {right:.1%} of the decisions on 16 documents are right")


RULES: dict[str, Callable[[Case], None]] = {
    rule.__name__: rule
    for rule in (
        shapes,
        neighbours_order_and_padding_change_nothing,
        vectors_at_padding_are_not_read,
        an_empty_document_is_the_zero_vector,
        empty_documents_give_finite_gradients,
        gradients_reach_every_parameter,
        gradients_reach_every_parameter_through_states,
        sparse_gradients_equal_dense_ones,
        saved_weights_give_the_same_bits,
        the_same_seed_gives_the_same_weights,
        float64,
        bfloat16_autocast,
        category_rows_have_one_row_a_category,
        compiled_gives_the_same_numbers,
        learns_sixteen_documents_by_heart,
    )
}
