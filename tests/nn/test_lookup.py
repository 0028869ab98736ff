"""The lookup table: sequence and bag reading, row-wise gradients, padding, pretrained vectors, freezing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from linnaea.config.embedders import LookupConfig
from linnaea.config.encoders import FastTextConfig
from linnaea.errors import ConfigError
from linnaea.nn.batch import Bag, Batch
from linnaea.nn.embedders.lookup import Lookup
from linnaea.nn.encoders.fasttext import FastText
from tests.nn.cases import BAGS, make_bag, make_batch, make_documents, sizes
from tests.references.fasttext import fasttext


def lookup(
    features=("token",), seed: int = 0, sparse: bool = False, reads: str = "sequence", **settings
) -> Lookup:
    torch.manual_seed(seed)
    config = LookupConfig(**{"dimension": 6, **settings})
    return Lookup(config, features=features, sizes=sizes(), reads=reads, sparse=sparse)


def documents(seed: int = 0, lengths=(5, 0, 2, 9)) -> list[dict]:
    return make_documents(np.random.default_rng(seed), lengths)


@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(0, 6), min_size=1, max_size=5), seed=st.integers(0, 1000))
def test_bags_and_fasttext_equal_the_twin(lengths, seed):
    embedder = lookup(BAGS, seed, reads="bags").double()
    encoder = FastText(FastTextConfig(), input_dim=6)
    texts = documents(seed, lengths)
    tables = {name: embedder.tables[name].weight.tolist() for name in BAGS}
    expected = np.array([fasttext({name: text[name] for name in BAGS}, tables) for text in texts])
    vectors = encoder(embedder(make_batch(texts))).pooled_BD
    np.testing.assert_allclose(vectors.detach(), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("sparse", [False, True])
def test_weighted_bags_equal_the_twin(sparse: bool):
    embedder = lookup(["token"], reads="bags", sparse=sparse).double()
    rows, weights = [[3, 4, 3], [], [7]], [[0.5, 2.0, 1.5], [], [0.0]]
    flat = torch.tensor([0.5, 2.0, 1.5, 0.0], dtype=torch.float64)
    plain = make_bag(rows)
    bag = Bag(plain.values, plain.offsets_B1, flat)
    embedded = embedder(Batch(rows_B=torch.arange(3), bags={"token": bag}))
    table = {"token": embedder.tables["token"].weight.tolist()}
    expected = [fasttext({"token": r}, table, {"token": w}) for r, w in zip(rows, weights, strict=True)]
    np.testing.assert_allclose(embedded.vectors_BTE[:, 0].detach(), np.array(expected), rtol=0, atol=1e-10)
    assert embedded.mask_BT[:, 0].tolist() == [True, False, False]
    embedded.vectors_BTE.sum().backward()
    gradient = embedder.tables["token"].weight.grad.to_dense()
    assert gradient[3].tolist() == pytest.approx([2 / 4] * 6)
    assert gradient[4].tolist() == pytest.approx([2 / 4] * 6)
    assert gradient[7].abs().sum() == 0


def test_fasttext_over_a_sequence_is_the_mean_of_the_tokens():
    vectors = torch.randn(2, 4, 3)
    mask = torch.tensor([[True, True, False, False], [False] * 4])
    pooled = FastText(FastTextConfig(), input_dim=3).encode(vectors, mask).pooled_BD
    torch.testing.assert_close(pooled[0], vectors[0, :2].mean(0))
    assert (pooled[1] == 0).all()


def test_unknown_tokens_alone_have_their_learned_vector():
    embedder = lookup(reads="bags")
    embedded = embedder(Batch(rows_B=torch.arange(1), bags={"token": make_bag([[1, 1, 1]])}))
    torch.testing.assert_close(embedded.vectors_BTE[0, 0], embedder.tables["token"].weight[1])


def test_sequence_gives_the_rows():
    embedder = lookup()
    batch = make_batch(documents(), padding=2)
    embedded = embedder(batch)
    assert torch.equal(embedded.vectors_BTE, embedder.tables["token"].weight[batch.ids_BT])
    assert embedded.mask_BT is batch.mask_BT
    assert embedded.ids_BT is batch.ids_BT


@pytest.mark.parametrize("reads", ["sequence", "bags"])
def test_sparse_gradients_hold_each_row_once(reads: str):
    embedder = lookup(sparse=True, reads=reads)
    texts = [{**text, "token": [2, 5, 2, 2, 9]} for text in documents(lengths=[5, 5])]
    embedder(make_batch(texts, padding=3)).vectors_BTE.sum().backward()
    gradient = embedder.tables["token"].weight.grad
    assert gradient.is_sparse
    assert gradient._indices().tolist() == [[2, 5, 9]]
    each = 2.0 if reads == "sequence" else 2 / 5
    torch.testing.assert_close(gradient._values(), torch.tensor([3.0, 1.0, 1.0])[:, None].expand(3, 6) * each)


@pytest.mark.parametrize("reads", ["sequence", "bags"])
def test_sparse_gradients_of_empty_documents_are_empty(reads: str):
    embedder = lookup(sparse=True, reads=reads)
    embedder(make_batch(documents(lengths=[0, 0]))).vectors_BTE.sum().backward()
    assert embedder.tables["token"].weight.grad._nnz() == 0


@pytest.mark.parametrize("reads", ["sequence", "bags"])
@pytest.mark.parametrize(
    "optimizer",
    [
        lambda p: torch.optim.AdamW(p, 0.1, weight_decay=0.1),
        lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, weight_decay=0.1),
        lambda p: torch.optim.SparseAdam(p, 0.1),
    ],
    ids=["adamw", "sgd", "sparse_adam"],
)
def test_padding_stays_zero(reads: str, optimizer):
    sparse = "SparseAdam" in repr(optimizer(nn.Linear(1, 1).parameters()))
    embedder = lookup(reads=reads, sparse=sparse)
    weight = embedder.tables["token"].weight
    before = weight.detach().clone()
    stepper = optimizer([weight])
    for seed in range(3):
        stepper.zero_grad()
        embedder(make_batch(documents(seed), padding=4)).vectors_BTE.square().sum().backward()
        stepper.step()
    assert (weight[0] == 0).all()
    assert not torch.equal(weight, before)


def test_features_other_than_tokens_have_no_reserved_row():
    embedder = lookup(BAGS, reads="bags")
    assert (embedder.tables["token"].weight[0] == 0).all()
    assert (embedder.tables["keyword"].weight[0] != 0).any()
    assert [name for name, _ in embedder.named_parameters()] == [f"tables.{name}.weight" for name in BAGS]


def test_a_feature_without_any_id_is_legal():
    config = LookupConfig(dimension=4)
    empty = sizes()
    empty.features["keyword"] = 0
    embedder = Lookup(config, features=["token", "keyword"], sizes=empty, reads="bags", sparse=True)
    batch = Batch(rows_B=torch.arange(2), bags={"token": make_bag([[3], []]), "keyword": make_bag([[], []])})
    embedder(batch).vectors_BTE.sum().backward()
    assert embedder.tables["token"].weight.grad._nnz() == 1


class TestFill:
    def test_known_words_get_their_vectors(self):
        embedder = lookup()
        before = embedder.tables["token"].weight.detach().clone()
        matrix = np.random.default_rng(0).normal(size=(3, 6))
        embedder.fill(np.array([4, 2, 9]), matrix)
        after = embedder.tables["token"].weight.detach()
        torch.testing.assert_close(after[[4, 2, 9]], torch.from_numpy(matrix).float())
        others = [i for i in range(40) if i not in (2, 4, 9)]
        assert torch.equal(after[others], before[others])

    def test_other_dimension(self):
        with pytest.raises(
            ConfigError, match=r"model\.embedder\.dimension: .*\(2, 50\).* 6 columns.*set it to 50"
        ):
            lookup().fill(np.array([1, 2]), np.zeros((2, 50)))

    def test_no_word_table(self):
        with pytest.raises(ConfigError, match="need the feature 'token'; this network reads ngram"):
            lookup(["ngram"], reads="bags").fill(np.array([1]), np.zeros((1, 6)))

    def test_padding_is_not_a_word(self):
        with pytest.raises(ValueError, match="row 0 is padding"):
            lookup().fill(np.array([0, 3]), np.zeros((2, 6)))

    def test_character_table(self):
        embedder = lookup(["character"])
        embedder.fill(np.array([1]), np.ones((1, 6)))
        assert (embedder.tables["character"].weight[1] == 1).all()


@pytest.mark.parametrize("sparse", [False, True])
def test_freeze_holds_the_token_table_only(sparse: bool):
    embedder = lookup(BAGS, reads="bags", sparse=sparse)
    batch = make_batch(documents())
    embedder.freeze(True)
    embedder(batch).vectors_BTE.sum().backward()
    assert embedder.tables["token"].weight.grad is None
    assert embedder.tables["ngram"].weight.grad is not None
    embedder.freeze(False)
    embedder(batch).vectors_BTE.sum().backward()
    assert embedder.tables["token"].weight.grad is not None


def test_dropout_acts_in_training_only():
    embedder = lookup(dropout=0.5)
    batch = make_batch(documents())
    real = batch.mask_BT[..., None].expand(-1, -1, 6)
    assert (embedder.train()(batch).vectors_BTE[real] == 0).float().mean() > 0.2
    assert (embedder.eval()(batch).vectors_BTE[real] != 0).all()


def test_a_batch_without_sequence_is_refused():
    with pytest.raises(ValueError, match="no sequence"):
        lookup()(Batch(rows_B=torch.arange(1)))
