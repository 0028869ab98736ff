"""Batches: nothing lost or doubled, an order of (seed, epoch) alone, little padding, equal in every world."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from linnaea.config.training import TrainingConfig
from linnaea.corpus.document import Document
from linnaea.corpus.policy import ErrorPolicy
from linnaea.training.loader import POOL, Loader, Reads, ahead, collate, score_batches
from tests.training import toy

LENGTHS = st.lists(st.integers(0, 30), min_size=1, max_size=150)


def loader(
    lengths: list[int] | np.ndarray, *, reads: Reads = "sequence", seed: int = 1, **settings: object
) -> Loader:
    config = TrainingConfig.read({"batch_size": 8, **settings})
    return Loader(toy.split_of(lengths), ["token"], reads, config, seed)


@settings(max_examples=60, deadline=None)
@given(
    lengths=LENGTHS,
    size=st.integers(1, 20),
    budget=st.none() | st.integers(1, 80),
    reads=st.sampled_from(["sequence", "bags"]),
    epoch=st.integers(1, 3),
)
def test_a_plan_holds_every_document_once_within_its_limits(
    lengths: list[int], size: int, budget: int | None, reads: Reads, epoch: int
) -> None:
    made = loader(lengths, reads=reads, batch_size=size, batch_tokens=budget)
    plan = made.plan(epoch)
    assert sorted(np.concatenate(plan).tolist()) == list(range(len(lengths)))
    assert all(1 <= len(rows) <= size for rows in plan)
    assert len(plan) == made.count(epoch)
    if budget is not None:
        for rows in plan:
            taken = np.maximum(np.array(lengths)[rows], 1)
            used = len(rows) * taken.max() if reads == "sequence" else taken.sum()
            assert used <= budget or len(rows) == 1
    again = loader(lengths, reads=reads, batch_size=size, batch_tokens=budget).plan(epoch)
    assert all(np.array_equal(a, b) for a, b in zip(plan, again, strict=True))


@settings(max_examples=40, deadline=None)
@given(lengths=LENGTHS, world=st.integers(1, 5), size=st.integers(1, 9))
def test_a_world_shares_out_the_batches_of_one_process(lengths: list[int], world: int, size: int) -> None:
    one = loader(lengths, batch_size=size)
    parts = [one.share(rank, world) for rank in range(world)]
    for rows in one.plan(2):
        assert np.concatenate([p.part(rows) for p in parts]).tolist() == rows.tolist()
        assert max(len(p.part(rows)) for p in parts) <= -(-len(rows) // world)
    for part in parts:
        for rows, batch in zip(one.plan(2), part.batches(2), strict=True):
            own = part.part(rows)
            assert batch.rows_B.tolist() == (own if len(own) else rows[:1]).tolist()


def test_epochs_and_seeds_differ() -> None:
    lengths = np.random.default_rng(0).integers(1, 30, 200)
    plans = [loader(lengths, seed=seed).plan(epoch) for seed, epoch in ((1, 1), (1, 2), (2, 1))]
    flat = [np.concatenate(plan).tolist() for plan in plans]
    assert flat[0] != flat[1] != flat[2] != flat[0]
    members = [{frozenset(rows.tolist()) for rows in plan} for plan in plans]
    assert members[0] != members[1]


def test_the_order_does_not_change_between_releases() -> None:
    # A changed order would not resume older checkpoints: then the checkpoint's format number must rise.
    plan = loader([3, 1, 4, 1, 5, 9, 2, 6, 5, 3], batch_size=4, seed=7).plan(3)
    assert [rows.tolist() for rows in plan] == [[9, 2, 4, 8], [7, 5], [3, 1, 6, 0]]


def test_facts_tell_other_documents_and_other_labels() -> None:
    facts = loader([3, 1, 4]).facts()
    assert facts == loader([3, 1, 4]).facts()
    assert facts["lengths"] != loader([3, 4, 1]).facts()["lengths"]
    split = toy.split_of([3, 1, 4])
    assert split.labels is not None
    split.labels = split.labels.take(np.array([1, 0, 2]))
    other = Loader(split, ["token"], "sequence", TrainingConfig.read({"batch_size": 8}), 1).facts()
    assert {key for key in facts if facts[key] != other[key]} == {"labels"}


def test_a_later_start_gives_the_same_batches() -> None:
    made = loader(np.random.default_rng(0).integers(0, 30, 100))
    whole = list(made.batches(2))
    for start in (0, 1, 5, len(whole)):
        for batch, wanted in zip(made.batches(2, start), whole[start:], strict=True):
            assert torch.equal(batch.rows_B, wanted.rows_B)
            assert torch.equal(batch.ids_BT, wanted.ids_BT)


@pytest.mark.parametrize("budget", [None, 64 * 120])
def test_padding_is_below_a_tenth(budget: int | None) -> None:
    # Lengths like those of news: half below 100 tokens, a long tail cut at 256.
    lengths = np.clip(np.random.default_rng(0).lognormal(4.6, 0.8, 20_000), 1, 256).astype(int)
    plan = loader(lengths, batch_size=64, batch_tokens=budget).plan(1)
    padded = sum(len(rows) * lengths[rows].max() for rows in plan)
    assert padded / lengths.sum() < 1.1
    unsorted = loader(lengths, reads="bags", batch_size=64).plan(1)
    assert sum(len(rows) * lengths[rows].max() for rows in unsorted) / lengths.sum() > 1.5


def test_documents_mix_beyond_their_neighbours() -> None:
    # Pools are shuffled: two documents of one length seldom meet again in the next epoch.
    made = loader(np.full(POOL * 8 * 4, 5))
    first, second = ({frozenset(rows.tolist()) for rows in made.plan(epoch)} for epoch in (1, 2))
    assert not first & second


def test_without_shuffling_all_is_sorted_by_length() -> None:
    lengths = np.random.default_rng(0).integers(1, 99, 700)
    config = TrainingConfig.read({"batch_size": 8})
    plan = Loader(toy.split_of(lengths), ["token"], "sequence", config, 1, shuffle=False).plan(1)
    assert np.all(np.diff(lengths[np.concatenate(plan)]) >= 0)


def test_collate_against_a_plain_loop() -> None:
    split = toy.split_of([3, 0, 7, 1])
    rows = np.array([2, 1, 0])
    batch = collate(split, ["token"], "sequence", rows)
    assert batch.ids_BT.dtype == torch.int64
    assert batch.mask_BT.dtype == torch.bool
    assert batch.ids_BT.shape == (3, 7)
    for place, row in enumerate(rows):
        tokens = split.tokens[row].tolist()
        assert batch.ids_BT[place].tolist() == tokens + [0] * (7 - len(tokens))
        assert batch.mask_BT[place].tolist() == [True] * len(tokens) + [False] * (7 - len(tokens))
        bounds = batch.labels.offsets_B1[place : place + 2].tolist()
        assert batch.labels.values[slice(*bounds)].tolist() == split.labels[row].tolist()
    assert batch.rows_B.tolist() == [2, 1, 0]
    assert not batch.bags


def test_empty_documents_have_one_padded_token() -> None:
    batch = collate(toy.split_of([0, 0]), ["token"], "sequence", np.array([0, 1]))
    assert batch.ids_BT.tolist() == [[0], [0]]
    assert not batch.mask_BT.any()


def test_bags_of_all_features() -> None:
    split = toy.split_of([3, 0, 2])
    batch = collate(split, ["token", "ngram"], "bags", np.array([2, 0]))
    assert batch.ids_BT is None
    assert batch.bags["ngram"].values.tolist() == [*split.bags["ngram"][2], *split.bags["ngram"][0]]
    assert batch.bags["token"].offsets_B1.tolist() == [0, 2, 5]
    assert batch.bags["token"].values.dtype == torch.int64


@pytest.mark.parametrize("reads", ["sequence", "bags"])
def test_scoring_takes_every_document_within_the_budget(reads: Reads) -> None:
    lengths = np.random.default_rng(0).integers(0, 50, 300)
    batches = list(score_batches(toy.split_of(lengths), ["token"], reads, batch_size=40, batch_tokens=500))
    assert sorted(torch.cat([b.rows_B for b in batches]).tolist()) == list(range(300))
    assert all(len(b) <= 40 for b in batches)
    if reads == "sequence":
        assert all(b.ids_BT.numel() <= 500 for b in batches)
        longest = [b.ids_BT.shape[1] for b in batches]
        assert longest == sorted(longest, reverse=True)


def test_unlabelled_documents_are_scored() -> None:
    split = toy.split_of([3, 2])
    split.labels = None
    (batch,) = score_batches(split, ["token"], "sequence")
    assert batch.labels is None


def test_taking_ahead_keeps_order_and_ends() -> None:
    made = loader(np.random.default_rng(0).integers(0, 30, 100))
    threads = threading.active_count()
    plain, taken = list(made.batches(1)), list(made.share(0, 1, prefetch=3).batches(1))
    assert [b.rows_B.tolist() for b in plain] == [b.rows_B.tolist() for b in taken]
    early = made.share(0, 1, prefetch=2).batches(1)
    next(early)
    early.close()
    assert threading.active_count() == threads


def test_taking_ahead_raises_what_the_source_raised() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise KeyError("broken")

    taken = ahead(source(), 2)
    assert next(taken) == 1
    with pytest.raises(KeyError, match="broken"):
        next(taken)


def test_batches_of_a_real_split() -> None:
    from linnaea.config.config import Config
    from linnaea.text.build import corpus_from_documents

    texts = ["a b c a", "", "b c d e f a", "c", "f e"]
    documents = [Document(str(i), text, ("A",)) for i, text in enumerate(texts)]
    config = Config.build(
        {
            "task": {"type": "multilabel"},
            "input": {"features": ["token", "ngram"], "vocabulary": {"min_count": 1}},
            "model": {"encoder": "fasttext"},
        }
    )
    corpus = corpus_from_documents(
        config, None, documents, documents, None, policy=ErrorPolicy("raise", None)
    )
    made = Loader(corpus.train, ["token", "ngram"], "bags", TrainingConfig.read({"batch_size": 2}), 1)
    batches = list(made.batches(1))
    assert sorted(torch.cat([b.rows_B for b in batches]).tolist()) == list(range(len(corpus.train)))
    for batch in batches:
        for place, row in enumerate(batch.rows_B.tolist()):
            words = texts[int(corpus.train.ids[row])].split()
            assert int(batch.bags["token"].lengths_B[place]) == len(words)
            assert int(batch.bags["ngram"].lengths_B[place]) == max(0, len(words) - 1)
