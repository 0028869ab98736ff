"""``linnaea prepare``: the files that a corpus' owner hands out, as splits and taxonomy that ``train`` reads."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from linnaea.corpus.sources.writer import SPLITS, TAXONOMY, Writer
from linnaea.errors import DataError, LinnaeaError, RunError, UsageError
from linnaea.files import atomic_folder, sync_folder
from linnaea.reporter import Reporter

ABOUT = "prepared.json"
"""Says where the files beside it come from; written last."""

_OURS = (*(f"{split}.jsonl" for split in SPLITS), TAXONOMY, ABOUT)


def prepare(
    source: str,
    folder: Path,
    read: Callable[[Path, Writer], None],
    *,
    settings: dict[str, Any],
    output: Path | None = None,
    overwrite: bool = False,
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Read ``folder`` and write train, dev (where there is one), test and taxonomy, all of them or none.

    Args:
        source: its name.
        read: the reader of that source.
        settings: what the reader was told, for the record.
        output: where to; ``data/SOURCE`` when left out.

    Returns:
        The summary, which also lies in ``prepared.json``.

    Raises:
        DataError: files missing, of another layout, or broken; nothing was written then.
        UsageError: files are there already.
        RunError: the place cannot be written.
    """
    output = Path("data") / source if output is None else output
    if not folder.exists():
        raise DataError("no such folder", where=str(folder))
    _refuse(output, overwrite)
    with _whole(output) as building:
        with Writer(building, reporter) as writer:
            try:
                read(folder, writer)
                summary = writer.finish()
            except LinnaeaError as error:
                raise error if error.where else error.at(str(folder)) from None
        summary = {
            "source": source,
            "folder": str(folder),
            "output": str(output),
            "settings": settings,
            **summary,
        }
        (building / ABOUT).write_text(
            json.dumps(summary, ensure_ascii=False, indent=2) + "\n", encoding="utf-8"
        )
    return summary


def config_for(summary: dict[str, Any]) -> str:
    """Three lines of config that train on what was written."""
    place = Path(summary["output"]).as_posix()
    data = {split: f"{place}/{split}.jsonl" for split in summary["documents"]}
    task = {"type": "hierarchical", "taxonomy": f"{place}/{TAXONOMY}"}
    return (
        f'{{"task": {json.dumps(task, ensure_ascii=False)},\n'
        f' "data": {json.dumps(data, ensure_ascii=False)},\n'
        f' "model": {{"encoder": "textcnn"}}, "run": {{"dir": "runs/{summary["source"]}"}}}}\n'
    )


def lines(summary: dict[str, Any]) -> Iterator[str]:
    """The summary for the terminal."""
    documents = ", ".join(f"{count:,} {split}" for split, count in summary["documents"].items())
    several = "s" if summary["levels"] > 1 else ""
    yield f"{summary['output']}: {documents} documents"
    yield (
        f"{summary['categories']:,} categories on {summary['levels']} level{several}, "
        f"{summary['categories_per_document']:.2f} a document with ancestors"
    )
    for reason, count in summary["left_out"].items():
        yield f"left out: {count:,} ({reason})"
    for note in summary["notes"]:
        yield f"note: {note}"


def _refuse(output: Path, overwrite: bool) -> None:
    if output.exists() and not output.is_dir():
        raise UsageError("is a file, not a folder", where=str(output))
    there = [name for name in _OURS if (output / name).exists()]
    if there and not overwrite:
        hint = "give --overwrite to replace it, or another --output"
        raise UsageError(f"exists already: {', '.join(there)}", where=str(output), hint=hint)


@contextlib.contextmanager
def _whole(output: Path) -> Iterator[Path]:
    """A folder to build in, whose files come to stand in ``output`` when all is well; others there are left alone."""
    if not output.exists():
        made = [place for place in output.parents if not place.exists()]
        try:
            with atomic_folder(output) as building:
                yield building
        finally:
            # Only what is empty goes: nothing came to stand there.
            for place in made:
                with contextlib.suppress(OSError):
                    place.rmdir()
        return
    try:
        inside = TemporaryDirectory(dir=output, prefix=".prepare.")
    except OSError as bad:
        raise RunError(f"cannot write: {(bad.strerror or str(bad)).lower()}", where=str(output)) from None
    with inside as name:
        # What is there already stays as it is until everything new has been written.
        with atomic_folder(Path(name) / "new") as building:
            yield building
        (output / ABOUT).unlink(missing_ok=True)
        for old in _OURS:
            new = Path(name) / "new" / old
            if new.exists():
                os.replace(new, output / old)
            else:
                (output / old).unlink(missing_ok=True)
        sync_folder(output)
