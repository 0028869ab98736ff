"""TextRNN against its float64 twin, and what earlier code got wrong."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from linnaea.config.encoders_recurrent import TextRNNConfig
from linnaea.errors import ConfigError
from linnaea.nn.encoders.textrnn import TextRNN
from linnaea.nn.layers.recurrent import Recurrent
from tests.references.textrnn import textrnn

E = 4
KINDS = {
    "gru": {"cell": "gru"},
    "lstm": {"cell": "lstm"},
    "tanh": {"cell": "rnn"},
    "relu": {"cell": "rnn", "nonlinearity": "relu"},
}


def encoder(seed: int = 0, **settings) -> TextRNN:
    torch.manual_seed(seed)
    return TextRNN(TextRNNConfig(hidden=3, **settings), input_dim=E).double().eval()


def padded(lengths: list[int], seed: int = 0, extra: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    mask_BT = torch.arange(max(1, *lengths) + extra) < torch.tensor(lengths)[:, None]
    vectors_BTE = torch.randn(*mask_BT.shape, E, generator=generator, dtype=torch.float64)
    return vectors_BTE * mask_BT[..., None], mask_BT


def layers_of(module: Recurrent) -> list:
    """For each layer, for each direction, its four weights."""
    found = []
    for layer in module.layers:
        suffixes = ["", "_reverse"][: module.directions]
        names = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"]
        found.append([[getattr(layer, name + suffix).tolist() for name in names] for suffix in suffixes])
    return found


def twin(module: TextRNN, vectors_BTE: Tensor, mask_BT: Tensor, **settings) -> np.ndarray:
    if module.attention is not None:
        project, query = module.attention.project, module.attention.query
        settings["attention"] = project.weight.tolist(), project.bias.tolist(), query.weight[0].tolist()
    layers = layers_of(module.recurrent)
    return np.array(
        [
            textrnn(row[mask].tolist(), layers, **settings)
            for row, mask in zip(vectors_BTE, mask_BT, strict=True)
        ]
    )


@pytest.mark.parametrize("kind", list(KINDS))
@settings(max_examples=12, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 7), min_size=1, max_size=4),
    pooling=st.sampled_from(["mean", "attention", "last"]),
    bidirectional=st.booleans(),
    layers=st.integers(1, 3),
    extra=st.integers(0, 3),
    seed=st.integers(0, 1000),
)
def test_equals_the_twin(kind, lengths, pooling, bidirectional, layers, extra, seed):
    chosen = {**KINDS[kind], "pooling": pooling}
    module = encoder(seed, bidirectional=bidirectional, layers=layers, **chosen)
    given_batch = padded(lengths, seed, extra)
    pooled = module.encode(*given_batch).pooled_BD
    assert pooled.shape == (len(lengths), module.output_dim)
    np.testing.assert_allclose(pooled.detach(), twin(module, *given_batch, **chosen), rtol=0, atol=1e-10)


def test_the_dimension_of_attention_is_a_setting():
    module = encoder(attention=7)
    given_batch = padded([5, 0, 1])
    assert module.attention.project.out_features == 7
    np.testing.assert_allclose(
        module.encode(*given_batch).pooled_BD.detach(), twin(module, *given_batch), rtol=0, atol=1e-10
    )


@pytest.mark.parametrize("nonlinearity", ["tanh", "relu"])
def test_the_plain_cell_works(nonlinearity):
    """A misspelt argument made it crash in NeuralClassifier; the choice must also reach the cell."""
    chosen = {"cell": "rnn", "nonlinearity": nonlinearity, "pooling": "mean"}
    module, given_batch = encoder(**chosen), padded([6, 2])
    pooled = module.encode(*given_batch).pooled_BD
    assert ((pooled >= 0).all()) == (nonlinearity == "relu")
    np.testing.assert_allclose(pooled.detach(), twin(module, *given_batch, **chosen), rtol=0, atol=1e-10)


def test_dropout_between_layers_acts_and_learns():
    """NeuralClassifier took the setting and never handed it on."""
    torch.manual_seed(0)
    module = encoder(layers=2, dropout=0.5)
    given_batch = padded([6, 2])
    quiet = module.encode(*given_batch).pooled_BD
    module.train()
    torch.manual_seed(1)
    loud = [module.encode(*given_batch).pooled_BD for _ in range(2)]
    assert not torch.allclose(loud[0], quiet)
    assert not torch.allclose(loud[0], loud[1])
    loud[0].sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in module.parameters())


@pytest.mark.parametrize("pooling", ["mean", "attention", "last"])
@pytest.mark.parametrize("length", [0, 1, 4])
def test_a_batch_of_one(pooling, length):
    module = encoder(pooling=pooling)
    given_batch = padded([length])
    pooled = module.encode(*given_batch).pooled_BD
    assert pooled.shape == (1, 6)
    np.testing.assert_allclose(
        pooled.detach(), twin(module, *given_batch, pooling=pooling), rtol=0, atol=1e-10
    )


def test_attention_gives_padding_no_weight():
    """Zero states under padding used to take part in the softmax, so a score hung on the batch's longest text."""
    module, (vectors, mask) = encoder(), padded([3])
    longer, longer_mask = padded([3, 40])
    longer[0, :3] = vectors[0]
    alone = module.encode(vectors, mask).pooled_BD
    beside = module.encode(longer, longer_mask).pooled_BD[:1]
    torch.testing.assert_close(beside, alone, rtol=0, atol=1e-12)
    states = module.encode(vectors, mask).states_BSD
    # A mean with weights that sum to one lies among what it is the mean of.
    assert (alone <= states.amax(1) + 1e-12).all()
    assert (alone >= states.amin(1) - 1e-12).all()


@pytest.mark.parametrize(
    ("settings", "where", "says"),
    [
        ({"nonlinearity": "relu"}, "nonlinearity", 'acts only with "cell": "rnn"'),
        ({"dropout": 0.1}, "dropout", "acts between layers"),
        ({"pooling": "mean", "attention": 8}, "attention", 'acts only with "pooling": "attention"'),
        ({"hidden": 0}, "hidden", "1"),
        ({"cell": "GRU"}, "cell", "gru"),
    ],
    ids=["nonlinearity", "dropout", "attention", "hidden", "cell"],
)
def test_settings_that_do_nothing_are_refused(settings, where, says):
    with pytest.raises(ConfigError) as caught:
        TextRNNConfig.read(settings, "model.encoder")
    assert f"model.encoder.{where}" in str(caught.value)
    assert says in str(caught.value)
