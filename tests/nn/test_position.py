"""Position embeddings against their float64 twin."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from linnaea.config.embedders import LookupConfig
from linnaea.errors import ConfigError
from linnaea.nn.embedders.lookup import Lookup
from linnaea.nn.embedders.position import Learned
from tests.nn.cases import make_batch, make_documents, sizes
from tests.references.position import sinusoid, with_positions

LENGTHS = (5, 0, 1, 9)
CHOICES = [{"type": "sinusoid"}, {"type": "learned", "max": 9}]
every_choice = pytest.mark.parametrize("choice", CHOICES, ids=["sinusoid", "learned"])


def embedder(choice: dict | None, seed: int = 0, sparse: bool = False, **settings) -> Lookup:
    torch.manual_seed(seed)
    config = LookupConfig.read({"dimension": 6, "position": choice, **settings})
    return Lookup(config, features=["token"], sizes=sizes(), sparse=sparse)


def batch(lengths=LENGTHS, padding: int = 0):
    return make_batch(make_documents(np.random.default_rng(0), lengths), padding=padding)


@every_choice
@pytest.mark.parametrize("padding", [0, 4])
def test_equals_the_twin(choice: dict, padding: int):
    module, texts = embedder(choice).double(), batch(padding=padding)
    embedded = module(texts)
    table = module.position.table.weight.tolist() if isinstance(module.position, Learned) else sinusoid(9, 6)
    words = module.tables["token"].weight
    for row, length in enumerate(LENGTHS):
        expected = with_positions(words[texts.ids_BT[row, :length]].tolist(), table)
        actual = embedded.vectors_BTE[row, :length].detach()
        np.testing.assert_allclose(actual, np.reshape(expected, (length, 6)), rtol=0, atol=1e-10)


@every_choice
def test_padding_receives_no_position(choice: dict):
    vectors_BTE = embedder(choice)(batch(padding=3)).vectors_BTE
    assert (vectors_BTE[~batch(padding=3).mask_BT] == 0).all()


@every_choice
def test_equal_tokens_are_no_repeats_at_different_places(choice: dict):
    assert not embedder(choice).eval()(batch()).repeats
    assert embedder(None).eval()(batch()).repeats


def test_no_row_is_filled_by_a_loop(monkeypatch: pytest.MonkeyPatch):
    """The waves are worked out once a batch, whatever the number of its documents."""
    module, counted = embedder({"type": "sinusoid"}), []
    real = torch.Tensor.sin

    def sin(tensor: torch.Tensor) -> torch.Tensor:
        counted.append(tuple(tensor.shape))
        return real(tensor)

    monkeypatch.setattr(torch.Tensor, "sin", sin)
    module(batch([7] * 50))
    assert counted == [(7, 3)]


def test_a_sinusoid_of_odd_dimension_is_refused():
    with pytest.raises(ConfigError, match=r"model\.embedder\.position: .*even dimension, not 7"):
        embedder({"type": "sinusoid"}, dimension=7)


def test_learned_positions_learn_as_far_as_texts_reach():
    module = embedder({"type": "learned", "max": 12})
    module(batch([3, 5])).vectors_BTE.sum().backward()
    gradient = module.position.table.weight.grad
    assert gradient[:, 0].tolist() == [2, 2, 2, 1, 1, 0, 0, 0, 0, 0, 0, 0]


def test_padding_may_reach_beyond_the_learned_positions():
    module = embedder({"type": "learned", "max": 3}).eval()
    wide, narrow = module(batch([3, 2], padding=6)), module(batch([3, 2]))
    assert torch.equal(wide.vectors_BTE[:, :3], narrow.vectors_BTE)
    with pytest.raises(ValueError, match="longer than the 3 positions"):
        module(batch([4]))


def test_learned_positions_need_their_number():
    with pytest.raises(ConfigError, match=r"model\.embedder\.position\.max"):
        embedder({"type": "learned"})


def test_dropout_acts_on_the_sum():
    module = embedder({"type": "sinusoid"}, dropout=0.5).train()
    vectors = module(batch([9] * 4)).vectors_BTE
    assert 0.2 < (vectors == 0).float().mean() < 0.8
