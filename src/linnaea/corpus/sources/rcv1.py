"""RCV1-v2 (Lewis, Yang, Rose, Li 2004): the token files of its online appendices, or the licensed XML of Reuters.

Layout, plain or ``.gz``: ``rcv1.topics.hier.orig`` (or ``.expanded``), ``rcv1-v2.topics.qrels``, and either
``lyrl2004_tokens_train.dat`` with ``lyrl2004_tokens_test_pt0.dat`` to ``pt3``, or newsitems as XML, loose or in zip files.
Split LYRL2004: train are the ids up to 26150 (23,149 documents), test are those from 26151 on (781,265).
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from linnaea.corpus.sources.folder import SourceFolder, numbered_lines, shorten
from linnaea.corpus.sources.newsitems import Newsitem, newsitems
from linnaea.corpus.sources.writer import Writer
from linnaea.errors import DataError, UsageError, suggest

SOURCE = "rcv1"
LAST_TRAIN_ID = 26150
TRAIN = "lyrl2004_tokens_train.dat"
TESTS = tuple(f"lyrl2004_tokens_test_pt{part}.dat" for part in range(4))
QRELS = "rcv1-v2.topics.qrels"
HIERARCHIES = ("rcv1.topics.hier.orig", "rcv1.topics.hier.orig.txt", "rcv1.topics.hier.expanded")

Documents = Literal["auto", "tokens", "xml"]

_EDGE = re.compile(rb"parent:\s*(\S+)\s+child:\s*(\S+)")
_NEW = re.compile(rb"\.I\s+(\d+)\s*$")


def prepare(path: Path, writer: Writer, *, documents: Documents = "auto") -> None:
    """Read the folder.

    Args:
        documents: which form of the documents to read where both are there.

    Raises:
        DataError: files missing, of another layout, or broken.
        UsageError: both forms are there, and none was chosen.
    """
    folder = SourceFolder(path, SOURCE)
    form = _form(folder, documents)
    parents = read_hierarchy(folder.need(*HIERARCHIES, hint="appendix 2 of the distribution"))
    writer.set_taxonomy(parents)
    qrels = folder.find(QRELS)
    if form == "tokens":
        parts = [folder.need(name, hint=_vectors_hint(folder)) for name in (TRAIN, *TESTS)]
        _write_tokens(parts, Topics(folder.need(QRELS, hint="appendix 8"), parents, writer), writer)
        return
    topics = Topics(qrels, parents, writer) if qrels is not None else None
    if topics is None:
        note = f"no {QRELS}: categories are the codes in the XML (RCV1-v1), not the corrected ones of RCV1-v2"
        writer.notes.append(note)
    _write_newsitems(newsitems(folder.ending(".zip", ".xml"), writer), topics, parents, writer)


def _form(folder: SourceFolder, documents: Documents) -> Documents:
    """Whether tokens or XML are to be read."""
    tokens = [name for name in (TRAIN, *TESTS) if folder.find(name) is not None]
    xml = folder.ending(".zip", ".xml")
    if documents == "auto" and tokens and xml:
        hint = "say which: --documents tokens or --documents xml"
        raise UsageError("holds token files and XML", where=str(folder.path), hint=hint)
    if documents == "xml" and not xml:
        raise folder.missing(["*.zip", "*.xml"], "the XML comes from NIST, under an agreement")
    return "xml" if documents == "xml" or (documents == "auto" and xml and not tokens) else "tokens"


def _vectors_hint(folder: SourceFolder) -> str:
    if any(file.name.startswith("lyrl2004_vectors") for file in folder.files):
        return "the vector files of appendix 13 hold no words; get the token files of appendix 12"
    return "appendix 12 of the distribution: a train file and four test files"


def read_hierarchy(path: Path) -> dict[str, list[str]]:
    """Parents of each topic, none for a top one.

    Raises:
        DataError: no line of the form ``parent: X child: Y``, or one of another form.
    """
    parents: dict[str, list[str]] = {}
    for number, line in numbered_lines(path):
        if not line.strip():
            continue
        match = _EDGE.search(line)
        if match is None:
            shown = line[:60].decode("utf-8", "replace")
            problem = f"expected 'parent: CODE child: CODE', got {shown!r}"
            raise DataError(problem, where=f"{path}:{number}", hint=f"the layout of {HIERARCHIES[0]}")
        parent, child = match[1].decode("latin-1"), match[2].decode("latin-1")
        if child != "Root":
            parents.setdefault(child, []).extend([parent] if parent not in ("Root", "None") else [])
    if not parents:
        raise DataError("no topic in it", where=str(path), hint=f"the layout of {HIERARCHIES[0]}")
    return parents


class Topics:
    """The topics of every document: 2.6 million pairs in arrays of numbers.

    Args:
        known: the topics of the hierarchy.

    Raises:
        DataError: a line that is not ``TOPIC ID 1``; a topic that the hierarchy lacks.
    """

    def __init__(self, path: Path, known: dict[str, list[str]], writer: Writer) -> None:
        self.codes = list(known)
        numbers = {code.encode(): number for number, code in enumerate(self.codes)}
        pairs = array("q")
        for line, text in numbered_lines(path):
            fields = text.split()
            if not fields:
                continue
            if len(fields) != 3 or not fields[1].isdigit() or fields[2] not in (b"0", b"1"):
                shown = text[:60].decode("utf-8", "replace")
                problem = f"expected 'TOPIC ID 1', got {shown!r}"
                raise DataError(problem, where=f"{path}:{line}", hint=f"the layout of {QRELS}")
            if fields[0] not in numbers:
                code = fields[0].decode("latin-1")
                problem = f"the topic {code!r} is not in the hierarchy"
                raise DataError(problem, where=f"{path}:{line}", hint=suggest(code, self.codes))
            if fields[2] == b"1":
                pairs.append(int(fields[1]) << 16 | numbers[fields[0]])
            if line % 100_000 == 0:
                writer.progress("reading topics", line)
        writer.progress("reading topics", 1, 1)
        packed = np.unique(np.frombuffer(pairs, dtype=np.int64)) if pairs else np.zeros(0, dtype=np.int64)
        self._topic_P = packed & 0xFFFF
        self._id_N, starts_N = np.unique(packed >> 16, return_index=True)
        self._starts_N1 = np.append(starts_N, len(packed))
        self._seen_N = np.zeros(len(self._id_N), dtype=bool)

    def take(self, document: int, place: str) -> list[str] | None:
        """The topics of a document, or None where it has none.

        Raises:
            DataError: it was taken before.
        """
        row = int(np.searchsorted(self._id_N, document))
        if row == len(self._id_N) or self._id_N[row] != document:
            return None
        if self._seen_N[row]:
            raise DataError(f"the document {document} comes twice", where=place)
        self._seen_N[row] = True
        topics = self._topic_P[self._starts_N1[row] : self._starts_N1[row + 1]].tolist()
        return [self.codes[topic] for topic in topics]

    @property
    def untaken(self) -> int:
        """Documents with topics that never came."""
        return int((~self._seen_N).sum())


def split_of(document: int) -> str:
    return "train" if document <= LAST_TRAIN_ID else "test"


def _write_tokens(parts: list[Path], topics: Topics, writer: Writer) -> None:
    for part in parts:
        wanted = "train" if part.name.lower().startswith(TRAIN) else "test"
        for place, document, tokens in _token_blocks(part):
            split = split_of(document)
            if split != wanted:
                problem = f"the document {document} belongs to {split}, this is a file of {wanted}"
                raise DataError(problem, where=place, hint="were files renamed?")
            codes = topics.take(document, place)
            if codes is None:
                writer.left_out[f"no topic in {QRELS}"] += 1
            else:
                writer.add(split, str(document), tokens, codes)
    _note_untaken(topics, writer)


def _note_untaken(topics: Topics, writer: Writer) -> None:
    if topics.untaken:
        writer.notes.append(f"{topics.untaken:,} documents of {QRELS} were not among the files")


def _token_blocks(path: Path) -> Iterator[tuple[str, int, list[str]]]:
    """``file:line``, id and tokens of each block ``.I ID``, ``.W``, lines of tokens."""
    place, document, words, number = "", -1, False, 0
    tokens: list[str] = []
    for number, line in numbered_lines(path):
        text = line.strip()
        if text.startswith(b".I") and (match := _NEW.match(text)):
            if document >= 0:
                yield place, document, tokens
            place, document, tokens, words = f"{path}:{number}", int(match[1]), [], False
        elif text == b".W" and document >= 0 and not words:
            words = True
        elif text and words:
            tokens += text.decode("latin-1").split()
        elif text:
            wanted = "'.W'" if document >= 0 else "'.I ID'"
            shown = text[:60].decode("latin-1")
            problem = f"expected {wanted}, got {shown!r}"
            raise DataError(problem, where=f"{path}:{number}", hint=f"the layout of {TRAIN}")
    if document < 0:
        raise DataError("no document in it", where=str(path), hint=f"the layout of {TRAIN}")
    if not words:
        raise DataError(f"cut off: the document {document} has no '.W'", where=f"{path}:{number}")
    yield place, document, tokens


def _write_newsitems(
    items: Iterator[Newsitem], topics: Topics | None, known: dict[str, list[str]], writer: Writer
) -> None:
    foreign: dict[str, str] = {}
    seen: set[int] = set()
    for item in items:
        if topics is not None:
            codes = topics.take(item.id, item.place)
        else:
            if item.id in seen:
                raise DataError(f"the document {item.id} comes twice", where=item.place)
            seen.add(item.id)
            foreign |= {code: item.place for code in item.topics if code not in known}
            codes = [code for code in item.topics if code in known]
        if codes:
            writer.add(split_of(item.id), str(item.id), item.text, codes)
        else:
            writer.left_out[f"no topic in {QRELS if topics is not None else 'the XML'}"] += 1
    if foreign:
        told = shorten([f"{code} ({place})" for code, place in sorted(foreign.items())])
        writer.notes.append(f"codes that the hierarchy lacks were left out: {told}")
    if topics is not None:
        _note_untaken(topics, writer)
