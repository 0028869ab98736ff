"""GRU-Att against its float64 twin, and its size against the paper's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from linnaea.config.encoders_recurrent import GRUAttentionConfig
from linnaea.errors import ConfigError
from linnaea.nn.encoders.gru_attention import GRUAttention
from tests.nn.test_textrnn import layers_of, padded
from tests.references.gru_attention import gru_attention

E = 4


def encoder(seed: int = 0, **given) -> GRUAttention:
    torch.manual_seed(seed)
    return GRUAttention(GRUAttentionConfig(**{"hidden": 3, **given}), input_dim=E).double().eval()


@settings(max_examples=20, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 7), min_size=1, max_size=4),
    attention=st.one_of(st.none(), st.integers(1, 9)),
    extra=st.integers(0, 3),
    seed=st.integers(0, 1000),
)
def test_equals_the_twin(lengths, attention, extra, seed):
    module = encoder(seed, attention=attention)
    vectors_BTE, mask_BT = padded(lengths, seed, extra)
    project, query = module.attention.project, module.attention.query
    weights = project.weight.tolist(), project.bias.tolist(), query.weight[0].tolist()
    layers = layers_of(module.recurrent)
    wanted = [
        gru_attention(row[mask].tolist(), layers, weights)
        for row, mask in zip(vectors_BTE, mask_BT, strict=True)
    ]
    found = module.encode(vectors_BTE, mask_BT).pooled_BD.detach()
    assert found.shape == (len(lengths), module.output_dim)
    np.testing.assert_allclose(found, np.array(wanted), rtol=0, atol=1e-10)


def test_it_has_the_size_of_the_papers():
    """GRU 114,048 and attention 37,248 numbers over vectors of 100; the last layer reads 576."""
    module = GRUAttention(GRUAttentionConfig(), input_dim=100)
    assert sum(p.numel() for p in module.recurrent.parameters()) == 114_048
    assert sum(p.numel() for p in module.attention.parameters()) == 37_248
    assert module.output_dim == 576


def test_dropout_acts_on_states_before_they_are_read():
    module = encoder(dropout=0.5)
    given_batch = padded([6, 2])
    quiet = module.encode(*given_batch)
    module.train()
    torch.manual_seed(1)
    loud = module.encode(*given_batch)
    dropped = loud.states_BSD == 0
    kept = ~dropped
    torch.testing.assert_close(loud.states_BSD[kept], 2 * quiet.states_BSD[kept])
    assert dropped[0].any()


def test_zero_hidden_is_refused():
    with pytest.raises(ConfigError, match=r"model\.encoder\.hidden"):
        GRUAttentionConfig.read({"hidden": 0}, "model.encoder")
