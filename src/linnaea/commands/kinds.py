"""What a file is, by its name and what it begins with."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Literal

from linnaea.config.config import Config
from linnaea.config.neuralclassifier import is_old
from linnaea.corpus.stream import Stream
from linnaea.taxonomy.draft import is_root_name

Kind = Literal["config", "taxonomy", "corpus", "run", "model", "folder"]

NAME_LENGTH = 200
"""Text with a line longer than this is no taxonomy, however it is indented."""


def kind_of(path: Path) -> Kind:
    """By the name, and where that leaves it open by what the file begins with."""
    name = path.name.removesuffix(".gz")
    if name.endswith(".parquet"):
        return "corpus"
    stream = Stream(str(path))
    try:
        start = stream.head()[: 1 << 16].decode("utf-8", "replace")
    finally:
        stream.close()
    if name.endswith(".txt"):
        return "taxonomy" if _tree(start) else "corpus"
    if name.endswith((".jsonl", ".ndjson")):
        return "corpus"
    if name.endswith(".json"):
        try:
            value = json.loads(start.splitlines()[0]) if start.strip() else {}
        except ValueError:
            value = None
        if isinstance(value, dict) and value and not (set(value) & set(Config.model_fields) or is_old(value)):
            return "corpus" if "\n" in start.strip() else "taxonomy"
        return "config" if start.lstrip().startswith("{") and '"nodes"' not in start else "taxonomy"
    if name.endswith((".csv", ".tsv")):
        delimiter = "," if name.endswith(".csv") else "\t"
        header = (
            {cell.strip().strip('"') for cell in start.splitlines()[0].split(delimiter)}
            if start.strip()
            else set()
        )
        return "corpus" if header & {"text", "doc_token", "labels", "doc_label"} else "taxonomy"
    return "taxonomy"


def _tree(text: str) -> bool:
    """Whether plain text shows a taxonomy: lines as short as names, some of them indented, or a root before a tab."""
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        return False
    if "\t" in lines[0] and is_root_name(lines[0].split("\t")[0]):
        return True
    indented = any(line[0] in " \t" for line in lines[1:])
    return indented and lines[0][0] not in " \t" and max(map(len, lines)) <= NAME_LENGTH


def split_of(path: Path) -> Literal["train", "dev", "test"] | None:
    """Which split a file is by its name; None: it does not say."""
    found = re.search(r"(?<![a-z])(train|dev|valid|test)", path.name.partition(".")[0].lower())
    names: dict[str, Literal["train", "dev", "test"]] = {"train": "train", "test": "test"}
    return names.get(found[1], "dev") if found else None
