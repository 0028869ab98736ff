"""Network = embedder, encoder, head as siblings; the values that pass between them.

JSON keys = attribute names = prefixes of the weights' names. The network returns logits; objective and device
belong to the training loop.

Shape letters: B documents, T tokens, S token states, E embedding, D encoded, C categories.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor, nn

from linnaea.errors import ConfigError
from linnaea.nn.batch import Batch
from linnaea.taxonomy.change import Change
from linnaea.taxonomy.taxonomy import Taxonomy


@dataclass(frozen=True)
class Sizes:
    """Sizes that settings never write: read off the data.

    Attributes:
        features: rows of each feature's table: "token" or "character" for the sequence, "ngram",
            "char_ngram", "keyword", "topic" for bags. Id 0 is padding, 1 the unknown token, for token and
            character; tables of other features have no reserved rows.
        support_C: documents of train in each category.
        documents: documents of train.
        transformer: of the encoder ``pretrained``: "architecture" (a config.json), and the ids of special tokens
            "before" and "after" a text.
    """

    features: dict[str, int]
    taxonomy: Taxonomy
    support_C: np.ndarray
    documents: int
    transformer: Mapping[str, Any] | None = None


@dataclass(frozen=True, eq=False)
class Embedded:
    """Vectors of a sequence; under encoders that read bags ``[B, 1, E]``, masked for empty documents.

    ``repeats``: equal ids have equal vectors here, so that work on one of them will do for all.
    """

    vectors_BTE: Tensor
    mask_BT: Tensor
    ids_BT: Tensor | None = None
    repeats: bool = False


@dataclass(frozen=True, eq=False)
class Encoded:
    """A document vector, and token states where the encoder gives them (S may be shorter than T)."""

    pooled_BD: Tensor
    states_BSD: Tensor | None = None
    mask_BS: Tensor | None = None


@dataclass(frozen=True, eq=False)
class HeadOutput:
    """Logits of all categories. They are scored; and trained, unless there are readings.

    Attributes:
        readings: logits ``[B, C]`` that are trained in their place, each with a loss of its own (HMCN's two).
        blend: from the readings to ``logits_BC``; there where they are.
        penalty_B: added to each document's loss.
    """

    logits_BC: Tensor
    readings: tuple[Tensor, ...] = ()
    blend: Callable[..., Tensor] | None = None
    penalty_B: Tensor | None = None

    def less(self, shift_C: Tensor) -> Tensor:
        """The logits as they would be with ``shift_C`` off every bias over categories."""
        if self.blend is None:
            return self.logits_BC - shift_C
        return self.blend(*(reading_BC - shift_C for reading_BC in self.readings))

    def moved(self, shift: float) -> HeadOutput:
        """All of it as it would be with ``shift`` added to every bias over categories."""
        logits_BC = self.less(self.logits_BC.new_tensor(-shift))
        return replace(self, logits_BC=logits_BC, readings=tuple(one + shift for one in self.readings))


class Embedder(nn.Module):
    """Batch -> Embedded. ``output_dim`` is E."""

    output_dim: int

    def forward(self, batch: Batch) -> Embedded:
        raise NotImplementedError


class Encoder(nn.Module):
    """Embedded -> Encoded. ``output_dim`` is D; ``state_dim`` the width of token states, None without."""

    output_dim: int
    state_dim: int | None = None

    def forward(self, embedded: Embedded) -> Encoded:
        raise NotImplementedError

    def learning_rates(self) -> dict[str, float]:
        """Full learning rates of its own, by the start of parameters' names; the others follow the optimiser's."""
        return {}


class SequenceEncoder(Encoder):
    """The usual encoder: one method over vectors and mask.

    An empty document (mask all False) gives the zero vector; numbers never depend on padding or neighbours.
    """

    def encode(self, vectors_BTE: Tensor, mask_BT: Tensor) -> Encoded:
        raise NotImplementedError

    def forward(self, embedded: Embedded) -> Encoded:
        return self.encode(embedded.vectors_BTE, embedded.mask_BT)


class Head(nn.Module):
    """Encoded -> HeadOutput. ``held``: numbers that it has at once for each document and category."""

    held: int = 1

    def forward(self, encoded: Encoded) -> HeadOutput:
        raise NotImplementedError

    def category_rows(self) -> list[Tensor]:
        """Parameters with one row a category, ``[C, ...]``: growth copies them."""
        raise NotImplementedError

    def tied_rows(self) -> list[Tensor]:
        """Those of ``category_rows`` in which a child and its parent read the same numbers: regularisation ties them."""
        return self.category_rows()

    def biases(self) -> list[Tensor]:
        """Biases over categories, each ``[C]``: what a correction of the prior is added to. None: it has none."""
        return []

    def growth_problem(self, change: Change) -> str | None:
        """Why this head, of ``change.new``, cannot take over the rows of one of ``change.old``; None: it can."""
        return None


class Network(nn.Module):
    """What is trained and shipped."""

    def __init__(self, embedder: Embedder | None, encoder: Encoder, head: Head) -> None:
        super().__init__()
        self.embedder, self.encoder, self.head = embedder, encoder, head

    def encoded(self, batch: Batch) -> Encoded:
        """Document vectors and token states of ``batch``.

        Raises:
            ConfigError: the encoder, one of a plug-in, gives something else.
        """
        source: Any = batch if self.embedder is None else self.embedder(batch)
        encoded = self.encoder(source)
        if not isinstance(encoded, Encoded):
            raise self._wrong(f"gives a {type(encoded).__name__}, not an Encoded")
        shape = (len(batch), self.encoder.output_dim)
        if encoded.pooled_BD.shape != shape:
            found = list(encoded.pooled_BD.shape)
            raise self._wrong(f"gives pooled_BD of shape {found}, not [B, output_dim] = {list(shape)}")
        return encoded

    def _wrong(self, problem: str) -> ConfigError:
        hint = "linnaea.testing.check_encoder tries an encoder on the rules"
        return ConfigError(f"{type(self.encoder).__name__} {problem}", where="model.encoder", hint=hint)

    def forward(self, batch: Batch) -> HeadOutput:
        """Logits of ``batch``."""
        return self.head(self.encoded(batch))  # type: ignore[no-any-return]
