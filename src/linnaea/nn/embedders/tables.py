"""TableEmbedder: what embedders with tables have in common: pretrained vectors, spelling, positions, dropout.

Shape letters: B documents, T tokens, E embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from linnaea.config.embedders import TableConfig
from linnaea.config.registry import initializers, positions
from linnaea.errors import ConfigError
from linnaea.nn.batch import Batch
from linnaea.nn.embedders.position import Position
from linnaea.nn.embedders.spelling import Speller
from linnaea.nn.layers.dropout import Dropout
from linnaea.nn.network import Embedded, Embedder, Sizes

PADDED = ("token", "character")
"""Features whose tables keep row 0 for padding."""


class TableEmbedder(Embedder):
    """One table a feature; the names of the weights are ``tables.<feature>.weight``.

    Args:
        config: the settings.
        features: names of the tables. For a sequence "token" or "character", and "spelling" for vectors that are
            composed of a token's characters, which stand behind those of the table.
        sizes: rows of each table.
        sparse: row-wise gradients (coalesced sparse tensors) instead of dense ones.
    """

    def __init__(
        self, config: TableConfig, *, features: Sequence[str], sizes: Sizes, sparse: bool = False
    ) -> None:
        super().__init__()
        self.sparse = sparse
        names = [name for name in features if name != "spelling"]
        self.tables = nn.ModuleDict(
            {name: self._table(config, sizes.features[name], config.dimension, name) for name in names}
        )
        self.output_dim = config.dimension if names else 0
        self.spelling: Speller | None = None
        if "spelling" in features:
            self.spelling = Speller(config.spelling, rows=sizes.features["spelling"])
            self.output_dim += self.spelling.output_dim
        self.position: Position | None = None
        if config.position is not None:
            self.position = positions.build(
                config.position, dimension=self.output_dim, initializer=config.initializer
            )
        self.dropout = Dropout(config.dropout)

    def _table(self, config: TableConfig, rows: int, width: int, feature: str) -> nn.Embedding:
        padding = 0 if feature in PADDED else None
        weight = torch.zeros(rows, width)
        real = weight[1:] if feature in PADDED else weight
        if real.numel():
            initializers.build(config.initializer, table=real)
        # An nn.Embedding that says ``sparse`` is how data-parallel wrappers learn of sparse gradients.
        return nn.Embedding(rows, width, padding_idx=padding, sparse=self.sparse, _weight=weight)

    def _sequence(self, batch: Batch, vectors_BTE: Tensor | None, repeats: bool) -> Embedded:
        """The vectors of the table, if there is one, with all that comes on top of them.

        Args:
            repeats: equal ids have equal vectors.
        """
        if batch.mask_BT is None:
            raise ValueError("the batch has no sequence; this network was built to read one")
        ids_BT = batch.ids_BT
        if self.spelling is not None:
            if batch.spelling is None:
                raise ValueError("the batch has no spelling; this network was built to read it")
            # Tokens that are spelled alike have one id, and tokens without one are told apart.
            ids_BT = batch.spelling.place_BT
            composed_BTE = functional.embedding(ids_BT, self.spelling(batch.spelling))
            vectors_BTE = composed_BTE if vectors_BTE is None else torch.cat([vectors_BTE, composed_BTE], 2)
        assert vectors_BTE is not None
        if self.position is not None:
            vectors_BTE = self.position(vectors_BTE, batch.mask_BT)
        repeats = repeats and self.position is None and not (self.training and self.dropout.p)
        return Embedded(self.dropout(vectors_BTE), batch.mask_BT, ids_BT, repeats)

    def fill(self, rows: np.ndarray, matrix: np.ndarray, feature: str | None = None) -> None:
        """Put pretrained vectors into a table.

        Args:
            rows: ``[n]`` ids, never 0 (padding) for tokens and characters.
            matrix: ``[n, E]`` their vectors.
            feature: the name of the table; None: tokens, else characters.

        Raises:
            ConfigError: the vectors have another dimension than the table, or no table takes word vectors.
        """
        key = "pretrained" if feature is None else f"{feature}_pretrained"
        feature = feature or self._words()
        if feature is None or feature not in self.tables:
            wanted = feature or "token"
            message = f"word vectors need the feature {wanted!r}; this network reads {', '.join(self.tables)}"
            raise ConfigError(message, where=f"model.embedder.{key}")
        weight = self._weight(feature)
        if matrix.ndim != 2 or matrix.shape[1] != weight.shape[1]:
            raise ConfigError(
                f"word vectors of shape {tuple(matrix.shape)} for a table with {weight.shape[1]} columns",
                where="model.embedder.dimension",
                hint=f"set it to {matrix.shape[-1]}",
            )
        if feature in PADDED and len(rows) and int(np.min(rows)) < 1:
            raise ValueError("row 0 is padding and stays zero")
        with torch.no_grad():
            values = torch.as_tensor(matrix, dtype=weight.dtype, device=weight.device)
            weight.index_copy_(0, torch.as_tensor(rows, dtype=torch.int64, device=weight.device), values)

    def freeze(self, frozen: bool) -> None:
        """Keep the token (or character) table as it is, or let it learn again; all else always learns.

        A data-parallel wrapper remembers which parameters learn: wrap the network again after a change.
        """
        feature = self._words()
        if feature is not None:
            self._weight(feature).requires_grad_(not frozen)

    def _words(self) -> str | None:
        return next((feature for feature in PADDED if feature in self.tables), None)

    def _weight(self, feature: str) -> Tensor:
        return cast(nn.Embedding, self.tables[feature]).weight
