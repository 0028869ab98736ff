"""Reading what was saved with a model: numbers by category id, and where in a file something is wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from linnaea.config.part import shown
from linnaea.errors import ModelError, suggest
from linnaea.taxonomy.taxonomy import Taxonomy


def inside(where: str | None, key: str | None) -> str | None:
    """The place ``key`` in the place ``where``."""
    return f"{where}: {key}" if where and key else where or key


def by_id(value: object, taxonomy: Taxonomy, null: float | None, where: str | None) -> np.ndarray:
    """``[C]`` float64 from an object with one number (or null) for each category id.

    Raises:
        ModelError: it is no such object.
    """
    entries = of_all(value, taxonomy, where)
    numbers = np.empty(len(taxonomy))
    for column, id in enumerate(taxonomy.ids):
        numbers[column] = number(null if entries[id] is None else entries[id], inside(where, id))
    return numbers


def of_all(value: object, taxonomy: Taxonomy, where: str | None) -> Mapping[str, object]:
    """``value``, an object with an entry for each category id and no others.

    Raises:
        ModelError: it is no such object.
    """
    if not isinstance(value, Mapping):
        raise ModelError(f"must be an object, not {shown(value)}", where=where)
    for id in value:
        if id not in taxonomy.index:
            raise ModelError(
                f"no category {id!r} in the taxonomy", where=where, hint=suggest(str(id), taxonomy.ids)
            )
    for id in taxonomy.ids:
        if id not in value:
            raise ModelError(f"the category {id!r} is missing", where=where)
    return value


def columns_of(value: object, taxonomy: Taxonomy, where: str | None) -> tuple[int, ...]:
    """The columns of a list of category ids, ascending.

    Raises:
        ModelError: it is no such list.
    """
    if not isinstance(value, list):
        raise ModelError(f"must be a list of categories, not {shown(value)}", where=where)
    for id in value:
        if id not in taxonomy.index:
            raise ModelError(
                f"no category {shown(id)} in the taxonomy", where=where, hint=suggest(str(id), taxonomy.ids)
            )
    return tuple(sorted(taxonomy.index[id] for id in value))


def number(value: object, where: str | None) -> float:
    """``value``, a number.

    Raises:
        ModelError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise ModelError(f"must be a number, not {shown(value)}", where=where)
    return value


def finite(value: object, where: str | None, low: float = -math.inf, high: float = math.inf) -> float:
    """``value``, a finite number from ``low`` to ``high``.

    Raises:
        ModelError: it is none.
    """
    found = number(value, where)
    if not math.isfinite(found) or not low <= found <= high:
        raise ModelError(f"must be a finite number from {low:g} to {high:g}, not {shown(value)}", where=where)
    return float(found)
