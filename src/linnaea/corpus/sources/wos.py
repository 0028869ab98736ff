"""Web of Science (Kowsari 2017, "HDLTex"): WOS-46985, WOS-11967 or WOS-5736.

Layout: ``X.txt`` (a text a line), ``YL1.txt`` (number of the domain), ``YL2.txt`` (number of the area within the domain),
``Y.txt`` (number of the area over all domains). Names stand in ``Meta-data/Data.xlsx`` only; saved as ``Data.csv`` they
are used, else categories are called ``domain 3`` and ``area 3.12``.
Split: the files have none. Papers draw 20 % for test, then 20 % of the rest for dev (30,070 / 7,518 / 9,397 of 46,985);
the same shares are drawn here, by a hash of seed and line, so not the very documents of any paper.
"""

from __future__ import annotations

import csv
import math
from collections import Counter, defaultdict
from pathlib import Path

from linnaea.corpus.sources.folder import SourceFolder, numbered_lines
from linnaea.corpus.sources.writer import Writer, draw
from linnaea.errors import DataError

SOURCE = "wos"
SHARE = 0.2

_HINT = "a folder of the distribution, such as WOS46985, holds X.txt, Y.txt, YL1.txt and YL2.txt"


def prepare(path: Path, writer: Writer, *, seed: int = 1) -> None:
    """Read the folder.

    Raises:
        DataError: files missing, of different length, or not numbers.
    """
    folder = SourceFolder(path, SOURCE)
    files = _files(folder)
    domains, areas = _numbers(files["YL1.txt"]), _numbers(files["YL2.txt"])
    if len(domains) != len(areas):
        raise _uneven(files["YL2.txt"], len(areas), files["YL1.txt"], len(domains))
    if "Y.txt" in files:
        _compare(files["Y.txt"], domains, areas, writer)
    names = _names(folder, set(zip(domains, areas, strict=True)), writer)
    parents: dict[str, list[str]] = {names[domain, None]: [] for domain in sorted(set(domains))}
    for domain, area in sorted(set(zip(domains, areas, strict=True))):
        parents[names[domain, area]] = [names[domain, None]]
    writer.set_taxonomy(parents)
    splits = split_of(len(domains), seed)
    count = foreign = 0
    for number, line in numbered_lines(files["X.txt"]):
        if number > len(domains) and not line.strip():
            continue
        count += 1
        if count > len(domains):
            continue  # counted for the message
        try:
            text = line.decode()
        except UnicodeDecodeError:
            text, foreign = line.decode("cp1252", "replace"), foreign + 1
        place = count - 1
        writer.add(splits[place], str(number), text, [names[domains[place], areas[place]]])
    if count != len(domains):
        raise _uneven(files["X.txt"], count, files["YL1.txt"], len(domains))
    if foreign:
        writer.notes.append(f"{foreign:,} texts that are not UTF-8 were read as Windows-1252")


def split_of(count: int, seed: int) -> list[str]:
    """The split of each document."""
    order = sorted(range(count), key=lambda place: draw(seed, str(place + 1)))
    test = math.ceil(SHARE * count - 1e-9)
    dev = math.ceil(SHARE * (count - test) - 1e-9)
    splits = ["train"] * count
    for rank, place in enumerate(order[: test + dev]):
        splits[place] = "test" if rank < test else "dev"
    return splits


def _files(folder: SourceFolder) -> dict[str, Path]:
    """The files by name, all from the folder itself: three corpora of one form may lie below it."""
    here = {file.name.lower(): file for file in folder.files if file.parent == folder.path}
    files = {}
    for name in ("X.txt", "YL1.txt", "YL2.txt", "Y.txt"):
        file = here.get(name.lower()) or here.get(name.lower() + ".gz")
        if file is not None:
            files[name] = file
        elif name != "Y.txt":
            below = [file.parent for file in folder.files if file.name.lower() == "x.txt"]
            hint = f"did you mean {below[0]}?" if below and name == "X.txt" else _HINT
            raise folder.missing([name], hint)
    return files


def _numbers(path: Path) -> list[int]:
    numbers: list[int] = []
    for line, text in numbered_lines(path):
        if not text.strip():
            continue
        try:
            numbers.append(int(text))
        except ValueError:
            shown = text[:40].decode("utf-8", "replace")
            problem = f"expected a number, got {shown!r}"
            raise DataError(problem, where=f"{path}:{line}", hint=_HINT) from None
    return numbers


def _uneven(one: Path, length: int, other: Path, other_length: int) -> DataError:
    hint = "each has a line for every document, in the same order"
    return DataError(f"{length:,} lines, but {other.name} has {other_length:,}", where=str(one), hint=hint)


def _compare(path: Path, domains: list[int], areas: list[int], writer: Writer) -> None:
    """Y.txt counts the areas through; that it agrees shows that the files belong together."""
    through = _numbers(path)
    if len(through) != len(domains):
        raise _uneven(path, len(through), path.with_name("YL1.txt"), len(domains))
    triples = set(zip(through, domains, areas, strict=True))
    if not len(triples) == len(set(through)) == len(set(zip(domains, areas, strict=True))):
        writer.notes.append(
            "Y.txt and the pairs of YL1.txt and YL2.txt name different areas; the pairs were used"
        )


def _names(
    folder: SourceFolder, pairs: set[tuple[int, int]], writer: Writer
) -> dict[tuple[int, int | None], str]:
    """What domains (area None) and areas are called."""
    names: dict[tuple[int, int | None], str] = {}
    for domain, area in pairs:
        names[domain, None], names[domain, area] = f"domain {domain}", f"area {domain}.{area}"
    table = folder.find("Data.csv")
    if table is None:
        return names
    known = _read_names(table)
    lacking = sum(key not in known for key in names)
    if lacking:
        writer.notes.append(f"{table.name} lacks the names of {lacking} categories: they are numbers")
    names.update({key: known[key] for key in names if key in known})
    times: dict[str, int] = defaultdict(int)
    for name in names.values():
        times[name] += 1
    # In the taxonomy a name is one category: the area of a domain that shares its name gets the domain's beside it.
    return {
        (domain, area): name if area is None or times[name] == 1 else f"{name} ({names[domain, None]})"
        for (domain, area), name in names.items()
    }


def _read_names(path: Path) -> dict[tuple[int, int | None], str]:
    """Columns ``Y1``, ``Y2``, ``Domain`` and ``area`` of the meta-data; of several spellings the most frequent one."""
    spellings: dict[tuple[int, int | None], Counter[str]] = defaultdict(Counter)
    with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
        table = csv.DictReader(file)
        try:
            columns = {(name or "").strip().lower(): name for name in table.fieldnames or ()}
            lacking = [name for name in ("Y1", "Y2", "Domain", "area") if name.lower() not in columns]
            if lacking:
                hint = "save Meta-data/Data.xlsx as CSV, with its header"
                raise DataError(f"no column {', '.join(lacking)}", where=str(path), hint=hint)
            for row in table:
                domain, area = int(row[columns["y1"]]), int(row[columns["y2"]])
                spellings[domain, None][" ".join((row[columns["domain"]] or "").split())] += 1
                spellings[domain, area][" ".join((row[columns["area"]] or "").split())] += 1
        except (ValueError, TypeError, csv.Error) as bad:
            raise DataError(
                f"not a table of the meta-data: {bad}", where=f"{path}:{table.line_num}"
            ) from None
    best = {key: names.most_common(1)[0][0] for key, names in spellings.items()}
    return {key: name for key, name in best.items() if name}
