"""build_network: which tables it makes, and how the linear head starts."""

from __future__ import annotations

import math

import pytest
import torch

from linnaea.config.heads import ModelConfig
from linnaea.config.registry import embedders, encoders, heads, losses
from linnaea.errors import ConfigError
from linnaea.nn.build import build_network
from linnaea.nn.network import Sizes
from tests.nn.cases import make_network, sizes, taxonomy


@pytest.mark.parametrize("registry", [embedders, encoders, heads, losses], ids=lambda r: r.kind)
def test_every_declared_part_has_a_module(registry):
    for name in registry:
        assert issubclass(registry.module(name), torch.nn.Module)


@pytest.mark.parametrize(
    ("encoder", "features", "tables"),
    [
        ("textcnn", ["token"], ["token"]),
        ("textcnn", ["char"], ["character"]),
        ("fasttext", ["token", "ngram", "topic"], ["token", "ngram", "topic"]),
        ("fasttext", ["char_ngram"], ["char_ngram"]),
    ],
)
def test_tables(encoder: str, features: list[str], tables: list[str]):
    network = build_network(ModelConfig.read({"encoder": encoder}), features, sizes())
    assert list(network.embedder.tables) == tables


def test_names_of_weights_follow_the_config():
    names = set(make_network(ModelConfig()).state_dict())
    assert {"embedder.tables.token.weight", "head.linear.weight", "head.linear.bias"} < names
    assert {name.partition(".")[0] for name in names} == {"embedder", "encoder", "head"}


def test_output_dim_of_textcnn():
    config = ModelConfig.read(
        {"encoder": {"type": "textcnn", "kernel_sizes": [2, 3], "filters": 5, "top_k": 4}}
    )
    assert make_network(config).encoder.output_dim == 40


def test_an_unknown_feature_is_named():
    small = Sizes({"token": 3}, taxonomy(), sizes().support_C, 16)
    with pytest.raises(
        ConfigError, match=r"input\.features: the input has no feature 'ngram' \(known: token\)"
    ):
        build_network(ModelConfig.read({"encoder": "fasttext"}), ["token", "ngram"], small)


class TestBias:
    """Support 9, 7, 5, 4, 6, 1, 0 of 16 documents."""

    def bias(self, bias: str, scores: str) -> list[float]:
        config = ModelConfig.read({"head": {"type": "linear", "bias": bias}})
        return make_network(config, scores=scores).head.biases()[0].tolist()

    def test_prior_log_odds(self):
        shares = [(n + 0.5) / 17 for n in (9, 7, 5, 4, 6, 1, 0)]
        expected = [math.log(p / (1 - p)) for p in shares]
        assert self.bias("prior", "sigmoid") == pytest.approx(expected, abs=1e-6)

    def test_prior_of_a_softmax(self):
        shares = [(n + 0.5) / 17 for n in (9, 7, 5, 4, 6, 1, 0)]
        assert self.bias("prior", "softmax") == pytest.approx([math.log(p) for p in shares], abs=1e-6)

    def test_zero(self):
        assert self.bias("zero", "sigmoid") == [0.0] * 7


def test_dropout_of_the_head_is_not_on_logits():
    """With the document vector dropped almost wholly, the logits fall back to the bias, never to 0."""
    network = make_network(ModelConfig.read({"head": {"type": "linear", "dropout": 0.999}})).train()
    from linnaea.nn.network import Encoded

    logits = network.head(Encoded(torch.ones(50, network.encoder.output_dim))).logits_BC
    near = (logits - network.head.biases()[0]).abs() < 1e-6
    assert near.float().mean() > 0.5
    assert not (logits == 0).any()
