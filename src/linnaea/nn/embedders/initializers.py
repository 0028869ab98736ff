"""Initial values of embedding tables.

A table is ``[rows, dimension]``; the fans of Glorot and He are those of a matrix from dimension to rows, as
in torch.nn.init: fan in = dimension, fan out = rows. Random numbers come from torch's global generator."""

from __future__ import annotations

from torch import Tensor, nn

from linnaea.config.embedders import (
    KaimingConfig,
    NormalConfig,
    OrthogonalConfig,
    UniformConfig,
    XavierConfig,
)
from linnaea.config.registry import initializers


@initializers.register("uniform")
def uniform(config: UniformConfig, *, table: Tensor) -> None:
    """Within ±bound, 1 / √dimension unless set."""
    bound = table.shape[1] ** -0.5 if config.bound is None else config.bound
    nn.init.uniform_(table, -bound, bound)


@initializers.register("normal")
def normal(config: NormalConfig, *, table: Tensor) -> None:
    """Mean 0, standard deviation 1 / √dimension unless set."""
    nn.init.normal_(table, 0.0, table.shape[1] ** -0.5 if config.std is None else config.std)


@initializers.register("xavier")
def xavier(config: XavierConfig, *, table: Tensor) -> None:
    """Variance 2 / (rows + dimension) (Glorot & Bengio 2010)."""
    (nn.init.xavier_uniform_ if config.distribution == "uniform" else nn.init.xavier_normal_)(table)


@initializers.register("kaiming")
def kaiming(config: KaimingConfig, *, table: Tensor) -> None:
    """Variance 2 / fan (He et al. 2015)."""
    fill = nn.init.kaiming_uniform_ if config.distribution == "uniform" else nn.init.kaiming_normal_
    fill(table, mode="fan_in" if config.fan == "in" else "fan_out", nonlinearity="relu")


@initializers.register("orthogonal")
def orthogonal(config: OrthogonalConfig, *, table: Tensor) -> None:
    """Orthogonal columns (rows, where there are fewer of them) of length ``gain`` (Saxe et al. 2013)."""
    nn.init.orthogonal_(table, config.gain)
