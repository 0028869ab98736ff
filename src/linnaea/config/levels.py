"""What goes along a taxonomy's edges, where it has none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linnaea.config.ensemble import EnsembleStrategyConfig, member_configs
from linnaea.errors import ConfigError

if TYPE_CHECKING:
    from linnaea.config.config import Config


def check_levels(config: Config, levels: int, *, of_labels: bool = False) -> None:
    """Refuse parts that need edges under a taxonomy of a single level.

    Args:
        of_labels: the taxonomy was read off the labels of train.

    Raises:
        ConfigError: there is such a part.
    """
    if levels > 1:
        return
    if isinstance(config.training.strategy, EnsembleStrategyConfig):
        for number, member in enumerate(member_configs(config, once=True)):
            try:
                check_levels(member, levels, of_labels=of_labels)
            except ConfigError as error:
                raise error.at(f"training.strategy.members[{number}].{error.where}") from None
        return
    if not config.training.strategy.network:
        return
    found = "the labels of train are no paths" if of_labels else "this one has a single level"
    head, loss = config.model.head, config.objective.loss
    parts = (
        (config.objective.recursive is not None, "objective.recursive_penalty", "", "leave it out"),
        (head.needs_hierarchy, "model.head", f"{head.type!r} ", 'use "linear"'),
        (
            loss is not None and loss.coherent,
            "objective.loss",
            f"{loss.type!r} " if loss else "",
            'use "bce"',
        ),
    )
    for there, where, name, instead in parts:
        if there:
            hint = f"set task.taxonomy, or {instead}" if of_labels else instead
            raise ConfigError(f"{name}needs a taxonomy with edges; {found}", where=where, hint=hint)
