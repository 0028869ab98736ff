"""Compare: the page of two or more runs on the same documents; all of them are held against the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from linnaea import __version__
from linnaea.files import atomic
from linnaea.report.headline import DIFFERENCES, ROWS, looked_up
from linnaea.report.shell import page

if TYPE_CHECKING:
    from linnaea.metrics.difference import Difference
    from linnaea.metrics.paired import Paired


def write_comparison(
    path: Path, names: Sequence[str], metrics: Sequence[Mapping[str, Any]], pairs: Sequence[Paired]
) -> Path:
    """Write the page and return where it lies.

    Args:
        names: of the runs, as they were asked for.
        metrics: the content of each one's ``metrics.json``.
        pairs: how each run but the first differs from the first.

    Raises:
        RunError: the page cannot be written.
    """
    html = page("Linnaea comparison", "compare", comparison_data(names, metrics, pairs), ["taxonomy"])
    with atomic(path, "w") as file:
        file.write(html)
    return Path(path)


def comparison_data(
    names: Sequence[str], metrics: Sequence[Mapping[str, Any]], pairs: Sequence[Paired]
) -> dict[str, Any]:
    """All that the page shows, as JSON values."""
    if len(names) != len(metrics) or len(pairs) != len(names) - 1 or not pairs:
        raise ValueError(
            f"{len(names)} names, {len(metrics)} metrics and {len(pairs)} pairs do not fit together"
        )
    taxonomy = pairs[0].taxonomy
    parents = [above.tolist() for above in taxonomy.parents]
    return {
        "made_by": f"Linnaea {__version__}",
        "names": short_names(names),
        "places": list(names),
        "splits": [value.get("split") for value in metrics],
        "documents": pairs[0].documents,
        "resamples": pairs[0].resamples,
        "taxonomy": {"separator": taxonomy.separator, "root": taxonomy.root},
        "categories": {
            "id": list(taxonomy.ids),
            "name": list(taxonomy.names),
            "level": taxonomy.level_C.tolist(),
            "parent": [above[0] if above else -1 for above in parents],
            "test": pairs[0].support_C.tolist(),
        },
        "measures": [
            {
                "name": name,
                "meaning": meaning,
                "values": [looked_up(value, place) for value in metrics],
                "intervals": [looked_up(value.get("intervals"), place) for value in metrics],
                "ranked": place.startswith("average_precision"),
                "differences": [_difference(pair.measures.get(DIFFERENCES.get(place, ""))) for pair in pairs],
            }
            for place, name, meaning in ROWS
        ],
        "levels": [[level.get(key) for key in _LEVEL] for level in metrics[0].get("levels", [])],
        "pairs": [_pair(pair) for pair in pairs],
    }


def short_names(names: Sequence[str]) -> list[str]:
    """Paths without the folders that all of them share."""
    parts = [list(Path(name).parts) for name in names]
    while all(len(own) > 1 and own[0] == parts[0][0] for own in parts):
        parts = [own[1:] for own in parts]
    return [Path(*own).as_posix() if own else name for own, name in zip(parts, names, strict=True)]


_LEVEL = ("level", "categories", "micro_f1", "macro_f1")


def _pair(pair: Paired) -> dict[str, Any]:
    return {
        "differing": pair.differing,
        "levels": [
            {name: _difference(difference) for name, difference in level.items()} for level in pair.levels
        ],
        "first": [round(one.first, 4) for one in pair.categories],
        "second": [round(one.second, 4) for one in pair.categories],
        "interval": [_rounded(one.interval) for one in pair.categories],
        "holm": [round(one.holm, 5) for one in pair.categories],
        "winner": [one.winner for one in pair.categories],
    }


def _difference(difference: Difference | None) -> dict[str, Any] | None:
    return None if difference is None else difference.to_json()


def _rounded(interval: tuple[float, float] | None) -> list[float] | None:
    return None if interval is None else [round(end, 4) for end in interval]
