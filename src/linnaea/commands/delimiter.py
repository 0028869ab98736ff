"""Signs in labels: between the labels in one cell of a table, where it is not what ``data.label_delimiter`` says; and
between the names of a path, where it is not what ``task.separator`` says.

The first is told from whole cells. With a taxonomy: what cuts more of them into known labels. Without one: what cuts them
into parts that also stand in other cells, and at the beginning of some. A comma inside a name has parts that stand nowhere
else, and a sign between the names of a path has ends that never come first.
"""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass

from linnaea.config.task import DataConfig, TaskConfig
from linnaea.corpus.chunks import DELIMITERS, format_of
from linnaea.corpus.labels import LabelResolver
from linnaea.corpus.policy import ErrorPolicy
from linnaea.corpus.readers import read_documents
from linnaea.corpus.records import cell
from linnaea.errors import DataError, UsageError
from linnaea.taxonomy.taxonomy import Taxonomy

LOOKED_AT = 10_000  # documents of train
SIGNS = ("|", ",", "/", "\t", "+")  # beside the usual one; the first of equals
KNOWN_SIGNS = (*SIGNS, ";", "&", "#", "~", " ")  # where a taxonomy says what is a label
STEP = "/"  # where it makes known paths it stands between names
STEPS = (
    "->",
    "=>",
    "::",
    "__",
    " - ",
    ">",
    "/",
    "|",
    "\\",
    "→",
    "»",
    ":",
    ".",
)  # between names; the first of equals
PATHS, BELOW = 0.8, 2  # share of labels that are paths; what lies below a first name on average
SURE, MAYBE = 0.8, 0.5  # shares of the parts of cells that hold a sign
NONE = ((0.0, 0.0), "")
UNCUT = "\0"


@dataclass(frozen=True)
class Found:
    """Another delimiter.

    Attributes:
        sign: to be written into the config; None: it may be none.
        line: what was seen, for the user.
    """

    sign: str | None
    line: str


def find_delimiter(data: DataConfig, task: TaskConfig, taxonomy: Taxonomy | None) -> Found | None:
    """What stands between labels in the tables of train; None: what the config says, or nothing."""
    cells = _cells(data, data.files("train"))
    if not cells:
        return None
    usual = data.label_delimiter
    known = None if taxonomy is None else LabelResolver.for_task(taxonomy, task)

    def worth(sign: str) -> tuple[float, float]:
        """How sure it is, and how likely at all."""
        if known is None:
            return _shared(cells, sign)
        share = _known(cells, sign, known)
        return share, share

    signs = [
        sign for sign in (SIGNS if known is None else KNOWN_SIGNS) if sign not in (usual, *task.separator)
    ]
    there = [sign for sign in signs if any(sign in one for one in cells)]
    if known is not None and STEP in there and _all_paths(cells, known, task.separator):
        there.remove(STEP)
    (sure, likely), sign = max(((worth(sign), sign) for sign in there), key=lambda one: one[0], default=NONE)
    before, _ = worth(usual)
    if sure <= before or likely < MAYBE or (known is None and before >= SURE):
        return None
    example = max((one for one in cells if sign in one), key=lambda one: (cells[one], -len(one)))
    if known is not None or sure >= SURE:
        return Found(
            sign, f"{sign!r} stands between labels, as in {example!r}: it is data.label_delimiter now"
        )
    given = json.dumps(sign, ensure_ascii=False)
    hint = f"--label-delimiter {given} if it stands between labels, --separator {given} if between the names of a path"
    return Found(None, f"{example!r} counts as one label, with {sign!r} in its name: give {hint}")


def check_delimiter(data: DataConfig) -> None:
    """Refuse a delimiter that was given and does nothing.

    Raises:
        UsageError: no cell holds it, or there are no tables.
    """
    where, sign = "--label-delimiter", data.label_delimiter
    files = [*data.files("train"), *data.files("dev"), *data.files("test")]
    if not any(_is_table(path, data.format) for path in files):
        problem = f"stands between labels in the cells of a table, and {files[0]} is none"
        raise UsageError(problem, where=where, hint="there labels are lists")
    cells = _cells(data, files)
    usual = sign == DataConfig().label_delimiter
    if not usual and 0 < cells.total() < LOOKED_AT and not any(sign in one for one in cells):
        raise UsageError(f"{sign!r} stands in no label", where=where)


def _cells(data: DataConfig, files: Collection[str]) -> Counter[str]:
    """How many documents of ``files`` have which cell; empty: there are no tables, or their cells are lists."""
    files = [path for path in files if _is_table(path, data.format)]
    whole = data.model_copy(update={"label_delimiter": UNCUT})
    documents = read_documents(files, whole, ErrorPolicy("skip"), need_labels=True)
    cells: Counter[str] = Counter()
    try:
        for document in itertools.islice(documents, LOOKED_AT):
            if len(document.labels or ()) > 1:
                return Counter()
            cells.update(document.labels or ())
    except DataError:
        return Counter()  # told where the documents are read in earnest
    return cells


def _is_table(path: str, format: str) -> bool:
    try:
        kind = format_of(path, format)
    except DataError:
        return False  # the same
    return kind in DELIMITERS or kind == "parquet"


def _known(cells: Counter[str], sign: str, resolver: LabelResolver) -> float:
    """The share of documents all of whose labels are known."""
    good = sum(n for one, n in cells.items() if all(map(resolver.knows, cell(one, sign) or ())))
    return good / cells.total()


def _shared(cells: Counter[str], sign: str) -> tuple[float, float]:
    """Shares of the parts of cells with ``sign``: those that begin some cell and stand in several; that stand in several."""
    parts = {one: cell(one, sign) or () for one in cells}
    within: defaultdict[str, set[str]] = defaultdict(set)
    first: set[str] = set()
    for one, own in parts.items():
        first.update(own[:1])
        for part in own:
            within[part].add(one)
    seen, sure, likely = 0, 0, 0
    for one, own in parts.items():
        if len(own) > 1:
            again = [part for part in own if len(within[part]) > 1]
            seen += cells[one] * len(own)
            likely += cells[one] * len(again)
            sure += cells[one] * sum(part in first for part in again)
    return (sure / seen, likely / seen) if seen else (0.0, 0.0)


def _all_paths(cells: Counter[str], resolver: LabelResolver, separator: str) -> bool:
    return all(_is_path(one, resolver, separator) for one in cells if STEP in one)


def _is_path(label: str, resolver: LabelResolver, separator: str) -> bool:
    return resolver.knows(separator.join(part.strip() for part in label.split(STEP)))


def sign_between(label: str, task: TaskConfig, taxonomy: Taxonomy) -> str | None:
    """The sign that cuts ``label`` into labels that are known, if there is one."""
    resolver = LabelResolver.for_task(taxonomy, task)
    for sign in KNOWN_SIGNS:
        parts = [part.strip() for part in label.split(sign)]
        path = sign == STEP and _is_path(label, resolver, task.separator)
        if len(parts) > 1 and not path and all(map(resolver.knows, parts)):
            return sign
    return None


@dataclass(frozen=True)
class PathLike:
    """Labels that look like paths under another separator.

    Attributes:
        sign: between the names, with the spaces around it.
        levels: of the taxonomy that they make.
        ends: whether some labels begin or end with it.
        numbers: whether all labels are numbers, too.
    """

    sign: str
    levels: int
    ends: bool
    numbers: bool

    def told(self, option: str) -> str:
        """In one line; ``option``: how the separator is given, before its value."""
        sign = json.dumps(self.sign, ensure_ascii=False)
        do = f"take it away from the ends of labels, and give {option}" if self.ends else f"give {option}"
        task = f'{{"type": "hierarchical", "separator": {sign}}}'
        do = f'{do}{sign} (or set "task": {task}) to have {self.levels} levels'
        if self.numbers:
            return f"labels are numbers; if they are paths split by {sign}, {do}"
        return f"labels look like paths split by {sign}: {do}"


def find_paths(labels: Collection[str]) -> PathLike | None:
    """What ``labels`` look like; None: not like paths.

    Nearly all hold the sign, or are the beginning of one that does; and what comes first comes again, with several
    continuations.
    """
    best: tuple[float, str] | None = None
    for sign in STEPS:
        paths = [names for label in labels if len(names := _names(label, sign)) > 1]
        first = {names[0] for names in paths}
        inner = {tuple(names[:n]) for names in paths for n in range(1, len(names))}
        above = sum((names := _names(label, sign))[0] == label and tuple(names) in inner for label in labels)
        share = (len(paths) + above) / max(len(labels), 1)
        if share < PATHS or len(set(map(tuple, paths))) < BELOW * len(first) or not all(map(all, paths)):
            continue
        if best is None or share > best[0]:
            best = share, sign
    if best is None:
        return None
    sign = best[1]
    held = [label for label in labels if sign in label]
    return PathLike(
        sign=f" {sign} " if all(label.count(f" {sign} ") == label.count(sign) for label in held) else sign,
        levels=max(len(_names(label, sign)) for label in labels),
        ends=any(label != label.strip(f"{sign} ") for label in labels),
        numbers=all(re.fullmatch(r"\d+(\.\d+)?", label) for label in labels),
    )


def _names(label: str, sign: str) -> list[str]:
    """The names of a path, which may begin or end with its sign."""
    return [name.strip() for name in label.strip(f"{sign} ").split(sign)]
