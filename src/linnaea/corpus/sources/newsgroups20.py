"""20 Newsgroups, version "bydate": folders of messages, or the archive itself.

Layout: ``20news-bydate-train/GROUP/NUMBER`` and ``20news-bydate-test/GROUP/NUMBER``, Latin-1.
Split: official, by date. Taxonomy: from the dotted names of the groups; what has a single group below it is no category.
"""

from __future__ import annotations

import re
import tarfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path

from linnaea.corpus.sources.folder import SourceFolder
from linnaea.corpus.sources.writer import Writer
from linnaea.errors import DataError

SOURCE = "newsgroups20"
PARTS = ("headers", "subject", "footers", "quotes")
ARCHIVE = "20news-bydate.tar.gz"

_MEMBER = re.compile(r"(?:^|/)20news-bydate-(train|test)/([^/]+)/(\d+)$")
_FOLDERS = ("20news-bydate-train", "20news-bydate-test")
_SUBJECT = re.compile(r"^subject:[ \t]*(.*(?:\n[ \t].*)*)", re.IGNORECASE | re.MULTILINE)
# A line that is somebody else's: it begins with a sign of quoting, or says who wrote what follows.
_QUOTED = re.compile(r"^(?:>|\||In article|Quoted from)|writes in|writes:|wrote:|says:|said:")


def prepare(path: Path, writer: Writer, *, strip: Collection[str] = ("headers",)) -> None:
    """Read folder or archive.

    Args:
        strip: of ``headers`` (all but the text of the subject), ``subject``, ``footers`` (what follows the last blank
            or dashed line), ``quotes``.

    Raises:
        DataError: of another layout, or broken.
    """
    messages: dict[tuple[str, str, int], bytes] = {}
    for split, group, name, content in _messages(path):
        if (split, group, int(name)) in messages:
            raise DataError(f"the message {group}/{name} comes twice in {split}", where=str(path))
        messages[split, group, int(name)] = content
        if len(messages) % 1000 == 0:
            writer.progress("reading", len(messages))
    writer.progress("reading", len(messages), len(messages))
    parents = taxonomy_of({group for _, group, _ in messages})
    writer.set_taxonomy(parents)
    for (split, group, number), content in sorted(messages.items()):
        text = clean(content.decode("latin-1").replace("\r\n", "\n"), strip)
        writer.add(split, f"{group}/{number}", text, [group])


def taxonomy_of(groups: Collection[str]) -> dict[str, list[str]]:
    """Parents of groups and of the beginnings that several groups share: ``comp``, ``comp.sys``, ..."""
    inner = {
        prefix
        for group in groups
        for prefix in _prefixes(group)
        if len({_child(other, prefix) for other in groups if other.startswith(prefix + ".")}) > 1
    }
    names = sorted(inner | set(groups))
    parents = {name: [p for p in _prefixes(name) if p in inner or p in groups][-1:] for name in names}
    return dict(sorted(parents.items(), key=lambda item: item[0].count(".")))


def _prefixes(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts))]


def _child(name: str, prefix: str) -> str:
    return name[len(prefix) + 1 :].split(".")[0]


def clean(text: str, strip: Collection[str]) -> str:
    """A message without the parts that are to go."""
    head, _, body = text.partition("\n\n")
    if "footers" in strip:
        body = _without_footer(body)
    if "quotes" in strip:
        body = "\n".join(line for line in body.split("\n") if not _QUOTED.search(line))
    subject = _SUBJECT.search(head)
    if "headers" in strip:
        if subject is None or "subject" in strip:
            return body
        return f"{' '.join(subject[1].split())}\n{body}"
    if subject is not None and "subject" in strip:
        head = (head[: subject.start()] + head[subject.end() :].removeprefix("\n")).strip("\n")
    return f"{head}\n\n{body}"


def _without_footer(body: str) -> str:
    """Without what follows the last line that is blank or dashes only: most likely a signature."""
    lines = body.strip().split("\n")
    for number in range(len(lines) - 1, 0, -1):
        if not lines[number].strip().strip("-"):
            return "\n".join(lines[:number])
    return body


def _messages(path: Path) -> Iterator[tuple[str, str, str, bytes]]:
    """Split, group, number and content of each."""
    if path.is_file():
        yield from _from_archive(path)
        return
    folder = SourceFolder(path, SOURCE)
    found = {item.name: item for item in reversed(folder.folders) if item.name in _FOLDERS}
    if not found and (archive := folder.find(ARCHIVE, ARCHIVE.removesuffix(".gz"))) is not None:
        yield from _from_archive(archive)
        return
    if len(found) < len(_FOLDERS):
        raise folder.missing([name for name in _FOLDERS if name not in found], _layout_hint(folder))
    for name in _FOLDERS:
        empty = True
        for file in sorted(found[name].glob("*/*")):
            if file.name.isdecimal() and file.is_file():
                empty = False
                yield name.rpartition("-")[2], file.parent.name, file.name, file.read_bytes()
        if empty:
            raise DataError("holds no message (GROUP/NUMBER)", where=str(found[name]))


def _layout_hint(folder: SourceFolder) -> str | None:
    if folder.path.name in _FOLDERS:
        return f"name the folder above: {folder.path.parent}"
    if any(item.name in ("alt.atheism", "20news-18828", "20_newsgroups") for item in folder.folders):
        return f"only the version bydate has an official split; get {ARCHIVE}"
    return f"{ARCHIVE} unpacks into these two"


def _from_archive(path: Path) -> Iterator[tuple[str, str, str, bytes]]:
    """Messages straight out of the archive; nothing is unpacked onto the disk."""
    count = 0
    try:
        with tarfile.open(path, "r|*") as archive:
            for member in archive:
                match = _MEMBER.search(member.name)
                if match and member.isfile() and (file := archive.extractfile(member)) is not None:
                    count += 1
                    yield match[1], match[2], match[3], file.read()
    except (tarfile.TarError, EOFError, zlib.error, OSError) as bad:
        raise DataError(f"broken or cut off archive: {bad}", where=str(path)) from None
    if not count:
        hint = f"{ARCHIVE} holds 20news-bydate-train/GROUP/NUMBER"
        raise DataError("the archive holds no message of the version bydate", where=str(path), hint=hint)
