"""HR-DGCNN: its graph of words by hand and against plain loops, and the encoder against its float64 twin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from linnaea.config.encoders_convolutional import HRDGCNNConfig
from linnaea.config.heads import ModelConfig
from linnaea.errors import ConfigError
from linnaea.nn.encoders.hr_dgcnn import HRDGCNN, first_places, neighbourhoods
from linnaea.nn.network import Embedded
from tests.nn.cases import make_batch, make_network, sizes
from tests.references import hr_dgcnn as reference

E = 4
SMALL = {"graph_size": 6, "neighbor_size": 3, "filters": [5, 6, 7], "kernel_size": 3, "hidden": [9, 8]}


def encoder(seed: int = 0, **options) -> HRDGCNN:
    torch.manual_seed(seed)
    chosen = {**SMALL, **options}
    if len(chosen["filters"]) == 1:
        del chosen["kernel_size"]
    module = HRDGCNN(HRDGCNNConfig(**chosen), input_dim=E).double()
    for name, parameter in module.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.uniform_(parameter, -0.2, 0.5)
    return module


def padded(documents: list[list[int]], extra: int = 0) -> tuple[Tensor, Tensor]:
    """Ids, with others than 0 at padding, which must not matter; and the mask."""
    T = max(1, *map(len, documents)) + extra
    ids_BT, mask_BT = (
        torch.full((len(documents), T), 3),
        torch.zeros(len(documents), T, dtype=torch.bool),
    )
    for row, ids in enumerate(documents):
        ids_BT[row, : len(ids)], mask_BT[row, : len(ids)] = torch.tensor(ids, dtype=torch.int64), True
    return ids_BT, mask_BT


def embedded(documents: list[list[int]], extra: int = 0, seed: int = 0) -> Embedded:
    """Each position with a vector of its own, padding too."""
    ids_BT, mask_BT = padded(documents, extra)
    generator = torch.Generator().manual_seed(seed)
    vectors_BTE = torch.randn(*ids_BT.shape, E, generator=generator, dtype=torch.float64)
    return Embedded(vectors_BTE, mask_BT, ids_BT)


def found(
    documents: list[list[int]], window: int, size: int, k: int, extra: int = 0
) -> list[list[list[int]]]:
    """``neighbourhoods`` as lists of ids."""
    ids_BT, mask_BT = padded(documents, extra)
    place_BNK = neighbourhoods(first_places(ids_BT, mask_BT), mask_BT, window, size, k)
    T, lists = ids_BT.shape[1], []
    for ids_T, place_NK in zip(ids_BT, place_BNK, strict=True):
        rows = [[int(ids_T[p]) for p in row if p < T] for row in place_NK.tolist()]
        assert all(row == sorted(row, key=lambda p: p == T) for row in place_NK.tolist())  # none comes last
        lists.append([row for row in rows if row])
        assert not any(rows[len(lists[-1]) :])  # those that are not there come last
    return lists


def twin(module: HRDGCNN, source: Embedded) -> np.ndarray:
    def of(layer) -> tuple[np.ndarray, np.ndarray]:
        return layer.weight.detach().numpy(), layer.bias.detach().numpy()

    assert source.ids_BT is not None
    documents = zip(source.vectors_BTE.detach(), source.ids_BT, source.mask_BT, strict=True)
    return np.array(
        [
            reference.hr_dgcnn(
                x[m].numpy(), ids[m].tolist(), module.window, module.size, module.k, of(module.neighbourhood),
                [of(layer) for layer in module.convolutions], module.rows, [of(layer) for layer in module.hidden],
            )
            for x, ids, m in documents
        ]
    )  # fmt: skip


class TestGraph:
    def test_by_hand(self):
        """a b a c d: pairs side by side a-b twice, a-c, c-d; degrees 3, 2, 2, 1 of a, b, c, d."""
        a, b, c, d = 9, 4, 7, 5
        text = [a, b, a, c, d]
        assert found([text], 2, 9, 3) == [[[a, b, c], [b, a, c], [c, a, d], [d, c, a]]]
        assert found([text], 2, 2, 9) == [[[a, b, c, d], [b, a, c, d]]]
        assert found([text], 2, 3, 1) == [[[a], [b], [c]]]

    def test_a_window_is_so_many_words(self):
        assert found([[1, 2, 3, 4]], 2, 1, 9) == [[[2, 1, 3, 4]]]
        assert found([[1, 2, 3, 4]], 3, 1, 9) == [[[2, 1, 3, 4]]]
        assert found([[1, 2, 3, 4]], 4, 9, 2) == [[[1, 2], [2, 1], [3, 1], [4, 1]]]

    def test_more_pairs_come_first_then_the_earlier_word(self):
        assert found([[1, 8, 1, 8, 1, 3]], 2, 1, 3) == [[[1, 8, 3]]]
        assert found([[3, 1, 8, 1, 8]], 2, 1, 3) == [[[1, 8, 3]]]
        assert found([[5, 2, 6]], 2, 1, 3) == [[[2, 5, 6]]]
        assert found([[6, 2, 5]], 2, 1, 3) == [[[2, 6, 5]]]

    def test_breadth_before_depth(self):
        """A chain: each step of the search is another level."""
        assert found([[1, 2, 3, 4, 5, 6]], 2, 6, 5)[0][-1] == [6, 5, 4, 3, 2]

    def test_a_word_alone(self):
        assert found([[4], [4, 4, 4], []], 3, 5, 4) == [[[4]], [[4]], []]

    @settings(max_examples=80, deadline=None)
    @given(
        st.lists(st.lists(st.integers(0, 9), max_size=24), min_size=1, max_size=4),
        st.integers(2, 6), st.integers(1, 12), st.integers(1, 7), st.integers(0, 5),
    )  # fmt: skip
    def test_equals_plain_loops(self, documents, window: int, size: int, k: int, extra: int):
        expected = [reference.neighbourhoods(ids, window, size, k) for ids in documents]
        assert found(documents, window, size, k, extra) == expected

    def test_what_words_are_called_does_not_matter(self):
        text = np.random.default_rng(0).integers(0, 30, 60)
        names = np.random.default_rng(1).permutation(2**40 + np.arange(30))
        one, other = (
            neighbourhoods(first_places(ids_BT, mask_BT), mask_BT, 3, 20, 5)
            for ids_BT, mask_BT in (padded([text.tolist()]), padded([names[text].tolist()]))
        )
        assert torch.equal(one, other)


DOCUMENTS = [[5, 2, 5, 7, 2, 9, 9, 1, 4, 3, 8, 6, 5, 2], [], [4], [4, 4], [1, 2, 3], [7, 1, 7, 2, 7, 3, 7]]


@pytest.mark.parametrize("extra", [0, 4])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"window": 5, "graph_size": 3},
        {"graph_size": 20, "kernel_size": 5, "hidden": [6]},
        {"neighbor_size": 1, "filters": [4]},
        {"neighbor_size": 7, "graph_size": 1, "filters": [3, 4]},
    ],
    ids=str,
)
def test_against_the_twin(options: dict, extra: int):
    module, source = encoder(**options), embedded(DOCUMENTS, extra)
    pooled_BD = module(source).pooled_BD.detach().numpy()
    expected = twin(module, source)
    np.testing.assert_allclose(pooled_BD, expected, rtol=0, atol=1e-10)
    assert (pooled_BD[1] == 0).all()
    assert (np.abs(np.delete(expected, 1, 0)).max(1) > 1e-3).all()


def test_padding_and_neighbours_never_leak():
    """Large biases would fill rows that are not there."""
    module = encoder(graph_size=16)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.endswith("bias"):
                parameter.fill_(2.0)
    source = embedded(DOCUMENTS, extra=9)
    together = module(source).pooled_BD
    for row, ids in enumerate(DOCUMENTS):
        cut = slice(0, max(1, len(ids)))
        alone = Embedded(
            source.vectors_BTE[row, None, cut], source.mask_BT[row, None, cut], source.ids_BT[row, None, cut]
        )
        torch.testing.assert_close(together[row], module(alone).pooled_BD[0], rtol=0, atol=1e-12)
    noisy = replace(source, vectors_BTE=source.vectors_BTE.masked_fill(~source.mask_BT[..., None], torch.nan))
    torch.testing.assert_close(module(noisy).pooled_BD, together, rtol=0, atol=0)


def test_gradients():
    """Those of the loops, by differences; and none but for the first place of each word."""
    module, source = encoder(), embedded(DOCUMENTS)
    vectors_BTE = source.vectors_BTE.requires_grad_()

    def pooled(vectors_BTE: Tensor) -> Tensor:
        return module(replace(source, vectors_BTE=vectors_BTE)).pooled_BD

    torch.autograd.gradcheck(pooled, (vectors_BTE,))
    pooled(vectors_BTE).square().sum().backward()
    reached = vectors_BTE.grad.abs().sum(2) > 0
    assert not reached[0, [2, 4, 6, 12, 13]].any()
    assert reached[0, 0]
    assert not reached[~source.mask_BT].any()


def test_it_needs_to_know_which_tokens_are_the_same():
    source = replace(embedded([[1, 2]]), ids_BT=None)
    with pytest.raises(ValueError, match="which tokens are the same"):
        encoder()(source)


def test_words_known_by_their_spelling_alone():
    model = {
        "embedder": {"type": "lookup", "dimension": 6, "spelling": {"filters": 6}},
        "encoder": "hr_dgcnn",
    }
    network = make_network(ModelConfig.read(model)).eval()
    batch = make_batch([{**{name: [] for name in sizes().features}, "token": [3, 5, 3]}])
    assert network(batch).logits_BC.isfinite().all()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"kernel_size": 4}, "encoder.kernel_size: must be odd, received 4"),
        ({"window": 1}, "encoder.window: must be at least 2, not 1"),
        ({"graph_size": 0}, "encoder.graph_size: must be at least 1, not 0"),
        ({"filters": []}, "encoder.filters: must name at least 1"),
        ({"hidden": []}, "encoder.hidden: must name at least 1"),
        ({"filters": [8], "kernel_size": 3}, "encoder.kernel_size: acts from the second of filters on"),
    ],
    ids=str,
)
def test_wrong_settings(options: dict, told: str):
    with pytest.raises(ConfigError) as caught:
        ModelConfig.read({"encoder": {"type": "hr_dgcnn", **options}})
    assert told in str(caught.value)
