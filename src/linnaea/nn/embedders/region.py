"""Region: a token's vector is the largest of what its neighbours say through a local unit, dimension by dimension.

Paper: Qiao et al. 2018, "A New Method of Region Embedding for Text Classification"
    (https://openreview.net/forum?id=BkSDMA36Z).
Formula: R = 2c + 1 is the region size. word_context: r_i = max over t = -c..c of K[w_i, t+c] ⊙ E[w_{i+t}];
    context_word: r_i = max over t of K[w_{i+t}, c-t] ⊙ E[w_i].
Differences: neighbours outside of the text take no part. In the paper's code they do, with a vector of padding, which
    is zero here: ``original`` lets that zero take part. The numbers of K begin evenly within ±1/E: the sum over a
    text begins small, since what larger ones add to every text alike hides at first what tells texts apart.
Shapes: [B, T] ids -> [B, T, E], E = dimension.
Cost: O(T·R·E) a document and (R+1)·V·E parameters. Products are made for a few documents at a time, and training
    keeps no more than which neighbour was the largest, one byte a number; the gradient of K holds B·T·R·E numbers
    before the rows of equal tokens are summed. With sparse gradients a step touches only the rows that occur.
When to use: under the encoder ``region`` as in the paper; under any other encoder that shall see words in context
    without a recurrence. Vocabularies should be small: the table K is R times as large as that of the words.

Shape letters: B documents, T tokens, E dimension, R region size, X = R·E, V rows, N = B·T.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from linnaea.config.embedders import RegionConfig
from linnaea.config.registry import embedders
from linnaea.nn.batch import Batch
from linnaea.nn.embedders.rows import row_gradient, spread
from linnaea.nn.embedders.tables import TableEmbedder
from linnaea.nn.network import Embedded, Sizes

# Products at a time: on a CPU they should stay in its cache, on a GPU there should be many.
CPU_PRODUCTS, GPU_PRODUCTS = 2**18, 2**27


@dataclass(frozen=True)
class Form:
    """Which units meet which words."""

    region_size: int
    context_word: bool
    original: bool
    sparse: bool

    @property
    def reach(self) -> int:
        """c: how many neighbours there are on either side."""
        return self.region_size // 2


class _Regions:
    """The products of a batch, some documents at a time."""

    def __init__(
        self, words_VE: Tensor, units_VX: Tensor, ids_BT: Tensor, mask_BT: Tensor, form: Form
    ) -> None:
        self.words_VE, self.units_VX, self.ids_BT, self.mask_BT = words_VE, units_VX, ids_BT, mask_BT
        self.form = form
        self.real_BT1 = mask_BT[..., None].to(words_VE.dtype)
        self.padded_BT = functional.pad(ids_BT, (form.reach, form.reach))
        self.closed_BTR1 = None if form.original else self._closed()

    def _closed(self) -> Tensor:
        """-inf where a token has no neighbour, else 0; 0 around padding, whose vectors nobody reads."""
        size, reach = self.form.region_size, self.form.reach
        inside_BTR = functional.pad(self.mask_BT, (reach, reach)).unfold(1, size, 1)
        closed_BTR = ~inside_BTR & self.mask_BT[..., None]
        return self.words_VE.new_zeros(closed_BTR.shape).masked_fill_(closed_BTR, -torch.inf)[..., None]

    def chunks(self) -> Iterator[slice]:
        """Documents that are worked on together."""
        limit = CPU_PRODUCTS if self.words_VE.device.type == "cpu" else GPU_PRODUCTS
        step = max(1, limit // (self.ids_BT.shape[1] * self.units_VX.shape[1]))
        for start in range(0, len(self.ids_BT), step):
            yield slice(start, start + step)

    def factors(self, part: slice) -> tuple[Tensor, Tensor]:
        """Units and words ``[b, T, R, E]`` whose products are the candidates; views of fresh tensors."""
        size, width = self.form.region_size, self.words_VE.shape[1]
        if self.form.context_word:
            units_bSX = functional.embedding(self.padded_BT[part], self.units_VX)
            words_bTE = functional.embedding(self.ids_BT[part], self.words_VE)
            return across(units_bSX, size), words_bTE[:, :, None]
        units_bTX = functional.embedding(self.ids_BT[part], self.units_VX)
        words_bSE = functional.embedding(self.padded_BT[part], self.words_VE)
        return units_bTX.view(*units_bTX.shape[:2], size, width), words_bSE.unfold(1, size, 1).mT

    def candidates(self, part: slice, factors: tuple[Tensor, Tensor]) -> Tensor:
        """``[b, T, R, E]``: the products, -inf where no neighbour is."""
        if self.closed_BTR1 is None:
            return factors[0] * factors[1]
        return torch.addcmul(self.closed_BTR1[part], *factors)


def across(units_bSX: Tensor, size: int) -> Tensor:
    """``[b, T, R, E]``, a view: element (i, t) is what position i + t keeps in its slot R - 1 - t; S = T + R - 1."""
    units_bSX = units_bSX.contiguous()
    documents, positions, numbers = units_bSX.shape
    width = numbers // size
    return units_bSX.as_strided(
        (documents, positions - size + 1, size, width),
        (positions * numbers, numbers, numbers - width, 1),
        (size - 1) * width,
    )


def largest(regions: _Regions) -> Tensor:
    """``[B, T, E]``: region vectors."""
    found = [regions.candidates(part, regions.factors(part)).amax(2) for part in regions.chunks()]
    return torch.cat(found).mul_(regions.real_BT1)


def largest_and_which(regions: _Regions) -> tuple[Tensor, Tensor]:
    """Region vectors, and as a byte each the earliest neighbour that gave the number."""
    found, which = [], []
    size = regions.form.region_size
    rank_R1 = torch.arange(size, 0, -1, dtype=regions.words_VE.dtype, device=regions.words_VE.device)[:, None]
    for part in regions.chunks():
        candidates = regions.candidates(part, regions.factors(part))
        best = candidates.amax(2)
        # Comparisons take ten times as long as arithmetic: the sign is 0 where a candidate is the best, else -1.
        lag = candidates.sub_(best[:, :, None]).sign_()
        which.append((size - lag.add_(1).mul_(rank_R1).amax(2)).to(torch.uint8))
        found.append(best)
    return torch.cat(found).mul_(regions.real_BT1), torch.cat(which)


def chosen_only(grad_bTE: Tensor, which_bTE: Tensor, size: int) -> Tensor:
    """``[b, T, R, E]``: the gradient at the neighbour that was chosen, 0 elsewhere."""
    slots_R1 = torch.arange(size, dtype=grad_bTE.dtype, device=grad_bTE.device)[:, None]
    other = (which_bTE.to(grad_bTE.dtype)[:, :, None] - slots_R1).abs_().clamp_(max=1)
    return torch.addcmul(grad_bTE[:, :, None], other, grad_bTE[:, :, None], value=-1)


class LargestProducts(torch.autograd.Function):
    """Region vectors with a gradient for the chosen products alone, by rows in both tables."""

    @staticmethod
    def forward(
        ctx: Any, words_VE: Tensor, units_VX: Tensor, ids_BT: Tensor, mask_BT: Tensor, form: Form
    ) -> Tensor:
        regions = _Regions(words_VE, units_VX, ids_BT, mask_BT, form)
        found_BTE, which_BTE = largest_and_which(regions)
        ctx.save_for_backward(words_VE, units_VX, ids_BT, mask_BT, which_BTE)
        ctx.form = form
        return found_BTE

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_BTE: Tensor) -> tuple[Tensor | None, Tensor | None, None, None, None]:
        words_VE, units_VX, ids_BT, mask_BT, which_BTE = ctx.saved_tensors
        regions = _Regions(words_VE, units_VX, ids_BT, mask_BT, ctx.form)
        grad_BTE = grad_BTE.to(words_VE.dtype) * regions.real_BT1
        into_words_BTE = torch.empty_like(grad_BTE)
        into_units_BTX = grad_BTE.new_empty(*ids_BT.shape, units_VX.shape[1])
        for part in regions.chunks():
            units, words = regions.factors(part)
            chosen = chosen_only(grad_BTE[part], which_BTE[part], ctx.form.region_size)
            _into_units(into_units_BTX[part], chosen, words, ctx.form)
            into_words_BTE[part] = _into_words(chosen.mul_(units), ctx.form)
        real_N = mask_BT.reshape(-1).nonzero()[:, 0]
        ids_N = ids_BT.reshape(-1)[real_N]
        gradients: list[Tensor | None] = []
        tables = ((words_VE, into_words_BTE), (units_VX, into_units_BTX))
        for needed, (table, into) in zip(ctx.needs_input_grad, tables, strict=False):
            gradient = row_gradient(ids_N, real_N, into.flatten(0, 1), None, table) if needed else None
            gradients.append(gradient if gradient is None or ctx.form.sparse else spread(gradient, table))
        return gradients[0], gradients[1], None, None, None


def _into_units(into_bTX: Tensor, chosen_bTRE: Tensor, words: Tensor, form: Form) -> None:
    """Write gradients times words where the units stand."""
    documents, positions, size, width = chosen_bTRE.shape
    if not form.context_word:
        torch.mul(chosen_bTRE, words, out=into_bTX.view(documents, positions, size, width))
        return
    units_bSX = chosen_bTRE.new_zeros(documents, positions + size - 1, size * width)
    torch.mul(chosen_bTRE, words, out=across(units_bSX, size))
    into_bTX.copy_(units_bSX[:, form.reach : form.reach + positions])


def _into_words(gradient_bTRE: Tensor, form: Form) -> Tensor:
    """``[b, T, E]``: gradients of products times units, summed where the words stand."""
    if form.context_word:
        return gradient_bTRE.sum(2)
    documents, positions, size, width = gradient_bTRE.shape
    words_bSE = gradient_bTRE.new_zeros(documents, positions + size - 1, width)
    for neighbour in range(size):
        words_bSE[:, neighbour : neighbour + positions] += gradient_bTRE[:, :, neighbour]
    return words_bSE[:, form.reach : form.reach + positions]


@embedders.register("region")
class Region(TableEmbedder):
    """Tables: that of the words, E, under the feature's name, and that of the units, K, ``tables.unit.weight``.

    Arguments are those of ``TableEmbedder``; ``reads`` is "sequence".
    """

    def __init__(
        self, config: RegionConfig, *, features: Sequence[str], sizes: Sizes,
        reads: Literal["sequence"] = "sequence", sparse: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(config, features=features, sizes=sizes, sparse=sparse)
        self.form = Form(config.region_size, config.kind == "context_word", config.original, sparse)
        (self.feature,) = self.tables
        numbers = config.region_size * config.dimension
        units = torch.zeros(sizes.features[self.feature], numbers)
        nn.init.uniform_(units[1:], -1 / config.dimension, 1 / config.dimension)
        self.tables["unit"] = nn.Embedding(len(units), numbers, padding_idx=0, sparse=sparse, _weight=units)

    def forward(self, batch: Batch) -> Embedded:
        if batch.ids_BT is None or batch.mask_BT is None:
            raise ValueError("the batch has no sequence; this network was built to read one")
        words, units = self._weight(self.feature), self._weight("unit")
        if torch.is_grad_enabled() and (words.requires_grad or units.requires_grad):
            vectors_BTE: Tensor = LargestProducts.apply(  # type: ignore[no-untyped-call]
                words, units, batch.ids_BT, batch.mask_BT, self.form
            )
        else:
            vectors_BTE = largest(_Regions(words, units, batch.ids_BT, batch.mask_BT, self.form))
        return self._sequence(batch, vectors_BTE, repeats=False)
