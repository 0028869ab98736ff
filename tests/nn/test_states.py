"""Encoders under heads that read token states alone: no parameters for the document vector, no keys that act on it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from linnaea.config.config import Config
from linnaea.config.encoders import EncoderConfig
from linnaea.config.heads import ModelConfig
from linnaea.config.registry import encoders, heads
from linnaea.errors import ConfigError
from linnaea.nn.network import Encoded, Network, SequenceEncoder
from tests.nn.cases import REQUIRED, make_batch, make_documents, make_network
from tests.nn.test_textrnn import padded

ATTENTION = {"attention.project.weight", "attention.project.bias", "attention.query.weight"}
PERCEPTRON = {"perceptron.weight", "perceptron.bias"}
RELAY = {"relay_project.weight", "relay_merge.weight", "relay_norm.weight", "relay_norm.bias"}
FOR_THE_VECTOR = {
    "textrnn": ATTENTION,
    "gru_attention": ATTENTION,
    "drnn": PERCEPTRON,
    "rcnn_lai": PERCEPTRON,
    "star_transformer": {f"cycles.1.{name}" for name in RELAY},
    "textrcnn": set(),
    "transformer": set(),
    "attentive_convnet": set(),
}
"""Of an encoder that gives states, the parameters that serve its document vector alone."""
SETTINGS = {"star_transformer": {"layers": 2}}
HEADS = [name for name in heads if not heads.config(name).needs_vector]  # type: ignore[attr-defined]
KEYS = [(name, key) for name in encoders for key in encoders.config(name).vector_keys]  # type: ignore[attr-defined]


def network(encoder: str, head: str) -> Network:
    chosen = {"type": encoder, **SETTINGS.get(encoder, {})}
    parts = {"embedder": {"type": "lookup", "dimension": 8}, "encoder": chosen, "head": head}
    return make_network(ModelConfig.read(parts))


def test_all_of_them_are_tried():
    giving = {name for name in encoders if encoders.config(name).gives_states}  # type: ignore[attr-defined]
    assert giving - {"pretrained"} == set(FOR_THE_VECTOR)
    assert {"label_attention", "hiagm_la"} == set(HEADS)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("name", FOR_THE_VECTOR)
def test_nothing_is_built_for_the_document_vector(name, head):
    whole, bare = (network(name, one).encoder for one in ("linear", head))
    assert whole.state_dict().keys() - bare.state_dict().keys() == FOR_THE_VECTOR[name]
    assert bare.state_dict().keys() <= whole.state_dict().keys()


@pytest.mark.parametrize("name", [name for name in FOR_THE_VECTOR if FOR_THE_VECTOR[name]])
def test_states_are_the_same_and_the_document_vector_is_their_mean(name):
    config = encoders.config(name).read(SETTINGS.get(name, {}))
    whole = encoders.build(config, input_dim=4).double().eval()
    bare = encoders.build(config, input_dim=4, vector=False).double().eval()
    bare.load_state_dict({key: whole.state_dict()[key] for key in bare.state_dict()})
    vectors_BTE, mask_BT = padded([5, 0, 2])
    found, expected = (module.encode(vectors_BTE, mask_BT) for module in (bare, whole))
    torch.testing.assert_close(found.states_BSD, expected.states_BSD, rtol=0, atol=1e-12)
    assert bare.state_dim == whole.state_dim == bare.output_dim
    for pooled_D, states_SD, mask_S in zip(found.pooled_BD, found.states_BSD, mask_BT, strict=True):
        wanted = states_SD[mask_S].mean(0) if mask_S.any() else torch.zeros(bare.output_dim).double()
        torch.testing.assert_close(pooled_D, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize(("name", "key"), KEYS)
def test_keys_of_the_document_vector_are_refused(name, key, head):
    needed = REQUIRED.get(name, {})
    encoder = {"type": name, **needed, key: getattr(encoders.config(name).read(needed), key)}
    ModelConfig.read({"encoder": encoder}, "model")
    with pytest.raises(ConfigError) as caught:
        ModelConfig.read({"encoder": encoder, "head": head}, "model")
    told = f"does nothing under the head {head!r}, which reads token states alone"
    assert str(caught.value).startswith(f"model.encoder.{key}: {told}")


@pytest.mark.parametrize("name", FOR_THE_VECTOR)
def test_a_dumped_config_is_read_again(name):
    config = Config.build({"model": {"encoder": name, "head": "label_attention"}})
    again = Config.build(config.dump())
    assert again.model == config.model
    assert not set(config.model.encoder.vector_keys) & config.dump()["model"]["encoder"].keys()


class Plain(SequenceEncoder):
    """As plug-ins were written before heads read states alone."""

    def __init__(self, config: Any, *, input_dim: int) -> None:
        super().__init__()
        self.output_dim = self.state_dim = input_dim

    def encode(self, vectors_BTE: torch.Tensor, mask_BT: torch.Tensor) -> Encoded:
        return Encoded((vectors_BTE * mask_BT[..., None]).sum(1), vectors_BTE, mask_BT)


class Asking(Plain):
    """It asks what is read."""

    def __init__(self, config: Any, *, input_dim: int, vector: bool, states: bool) -> None:
        super().__init__(config, input_dim=input_dim)
        self.asked = vector, states


@pytest.mark.usefixtures("clean_registries")
@pytest.mark.parametrize("kind", [Plain, Asking])
def test_an_encoder_of_a_plug_in_is_told_what_it_asks_for(kind):
    space = {"__module__": __name__, "__qualname__": f"{kind.__name__}.Config", "gives_states": True}
    kind.Config = type("Config", (EncoderConfig,), space)
    encoders.register("own_4712")(kind)
    asked = []
    for head in ("linear", "label_attention"):
        made = network("own_4712", head)
        assert made(make_batch(make_documents(np.random.default_rng(0), [2, 4])))
        asked.append(getattr(made.encoder, "asked", None))
    assert asked == ([None, None] if kind is Plain else [(True, False), (False, True)])
