"""RCV1-v2 from token files and from XML, on small made files of the same form."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from linnaea.corpus.sources import rcv1
from linnaea.corpus.sources.newsitems import parse
from linnaea.errors import DataError, LinnaeaError, UsageError
from tests.corpus.sources import HIERARCHY, gold, run, tokens_folder


def newsitem(number: int, codes: list[str], text: str = "A\npara", heading: str = "Head &amp; tail") -> str:
    listed = "".join(f'<code code="{code}"><editdetail attribution="x"/></code>' for code in codes)
    return (
        f'<?xml version="1.0" encoding="iso-8859-1" ?>\n<newsitem itemid="{number}" id="root" xml:lang="en">\n'
        f"<title>USA: {heading}</title><headline>{heading}</headline>\n<text><p>{text}</p>\n<p>end é</p></text>\n"
        '<metadata><codes class="bip:countries:1.0"><code code="USA"/></codes>'
        f'<codes class="bip:topics:1.0">{listed}</codes></metadata></newsitem>\n'
    )


@pytest.mark.parametrize("compress", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_rcv1_tokens_lose_neither_document_nor_label(tmp_path: Path, seed: int, compress: bool) -> None:
    topics = tokens_folder(tmp_path / "in" / "deeper", seed=seed, compress=compress)
    summary, splits = run(rcv1.prepare, tmp_path / "in", tmp_path / "out")
    assert summary["left_out"] == {}
    assert summary["categories"] == 5
    found = {
        int(row["id"]): gold(tmp_path / "out", row["doc_label"]) for rows in splits.values() for row in rows
    }
    assert found == topics
    assert all(int(row["id"]) <= 26150 for row in splits["train"])
    assert all(int(row["id"]) > 26150 for row in splits["test"])
    for row in splits["train"] + splits["test"]:
        names = [label.split("--") for label in row["doc_label"]]
        assert not any(a != b and b[: len(a)] == a for a in names for b in names), (
            "only the most specific ones"
        )


def test_rcv1_tokens_keep_their_order(tmp_path: Path) -> None:
    tokens_folder(tmp_path / "in")
    text = ".I 2286\n.W\nb a b\nc\n\n.I 2290\n.W\n\n"
    (tmp_path / "in" / rcv1.TRAIN).write_text(text)
    (tmp_path / "in" / rcv1.QRELS).write_text("C15 2286 1\nCCAT 2286 1\nE11 2286 0\nE11 26152 1\n")
    summary, splits = run(rcv1.prepare, tmp_path / "in", tmp_path / "out")
    assert splits["train"] == [{"id": "2286", "doc_label": ["CCAT--C15"], "doc_token": ["b", "a", "b", "c"]}]
    assert summary["left_out"] == {"no topic in rcv1-v2.topics.qrels": 32}
    assert summary["documents"] == {"train": 1, "test": 1}


def test_rcv1_xml_uses_the_corrected_topics(tmp_path: Path) -> None:
    place = tmp_path / "in"
    tokens_folder(place, count=1)
    for name in (rcv1.TRAIN, *rcv1.TESTS):
        (place / name).unlink()
    (place / rcv1.QRELS).write_text(
        "C151 2286 1\nC15 2286 1\nCCAT 2286 1\nE11 26151 1\nECAT 26151 1\nECAT 9 1\n"
    )
    with zipfile.ZipFile(place / "19960820.zip", "w") as archive:
        for number in (2286, 2287, 26151):
            archive.writestr(f"{number}newsML.xml", newsitem(number, ["E11"]).encode("latin-1"))
        archive.writestr("other.xml", "<other/>")
        archive.writestr("codes.txt", "not XML")
    summary, splits = run(rcv1.prepare, place, tmp_path / "out")
    text = "Head & tail\nA para\nend é"
    assert splits["train"] == [{"id": "2286", "doc_label": ["CCAT--C15--C151"], "text": text}]
    assert [row["doc_label"] for row in splits["test"]] == [["ECAT--E11"]]
    assert summary["left_out"] == {"no topic in rcv1-v2.topics.qrels": 1, "XML that is no newsitem": 1}
    assert summary["notes"] == ["1 documents of rcv1-v2.topics.qrels were not among the files"]


def test_rcv1_xml_alone_uses_its_codes_and_says_so(tmp_path: Path) -> None:
    place = tmp_path / "in"
    place.mkdir()
    (place / "rcv1.topics.hier.orig").write_text(HIERARCHY)
    for number, codes in ((2286, ["E11", "GNEW"]), (2287, []), (30000, ["C15"])):
        (place / f"{number}newsML.xml").write_bytes(newsitem(number, codes).encode("latin-1"))
    summary, splits = run(rcv1.prepare, place, tmp_path / "out")
    assert [row["doc_label"] for row in splits["train"] + splits["test"]] == [["ECAT--E11"], ["CCAT--C15"]]
    assert summary["left_out"] == {"no topic in the XML": 1}
    assert "RCV1-v1" in summary["notes"][0]
    assert "GNEW" in summary["notes"][1]


def test_entities_are_refused() -> None:
    bomb = '<!DOCTYPE newsitem [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><newsitem itemid="1"><p>&b;</p></newsitem>'
    with pytest.raises(DataError, match="declares an entity"):
        parse(bomb.encode(), "x.xml")
    outside = (
        '<!DOCTYPE newsitem [<!ENTITY a SYSTEM "file:///etc/hostname">]><newsitem itemid="1">&a;</newsitem>'
    )
    with pytest.raises(DataError, match="declares an entity"):
        parse(outside.encode(), "x.xml")
    assert parse(b'<!DOCTYPE newsitem SYSTEM "newsML.dtd"><newsitem itemid="7"/>', "x.xml") is not None


def _write(name: str, text: str) -> Callable[[Path], None]:
    def change(place: Path) -> None:
        (place / name).write_bytes(text.encode("latin-1"))

    return change


def _drop(name: str) -> Callable[[Path], None]:
    def change(place: Path) -> None:
        (place / name).unlink()

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_drop(rcv1.TESTS[2]), r"lyrl2004_tokens_test_pt2.dat not found; found .* \(appendix 12"),
        (_drop(rcv1.QRELS), r"rcv1-v2.topics.qrels not found"),
        (_drop("rcv1.topics.hier.orig"), r"rcv1.topics.hier.orig or .* not found"),
        (_write(rcv1.TRAIN, "2286 1:0.5 2:0.1\n"), r"train.dat:1: expected '.I ID', got '2286 1:0.5"),
        (_write(rcv1.TRAIN, ".I 2286\nword\n"), r"train.dat:2: expected '.W'"),
        (_write(rcv1.TRAIN, ".I 2286\n"), r"cut off: the document 2286 has no '.W'"),
        (_write(rcv1.TRAIN, "\n"), r"no document in it"),
        (_write(rcv1.TRAIN, ".I 26152\n.W\na\n"), r"train.dat:1: the document 26152 belongs to test"),
        (_write(rcv1.TRAIN, ".I 2286\n.W\na\n\n.I 2286\n.W\nb\n"), r"train.dat:5: the document 2286 comes twice"),
        (_write(rcv1.QRELS, "CCAT 2286\n"), r"qrels:1: expected 'TOPIC ID 1', got 'CCAT 2286'"),
        (_write(rcv1.QRELS, "C155 2286 1\n"), r"qrels:1: the topic 'C155' is not in the hierarchy \(did you mean"),
        (_write("rcv1.topics.hier.orig", "Root\tCCAT\n"), r"hier.orig:1: expected 'parent: CODE child: CODE'"),
        (_write("rcv1.topics.hier.orig", "parent: B child: A\nparent: A child: B\n"), r"cycle|own"),
    ],
    ids=lambda value: None if callable(value) else str(value)[:24],
)  # fmt: skip
def test_rcv1_broken_files(tmp_path: Path, change: Callable[[Path], None], message: str) -> None:
    tokens_folder(tmp_path / "in")
    change(tmp_path / "in")
    with pytest.raises(LinnaeaError, match=message) as caught:
        run(rcv1.prepare, tmp_path / "in", tmp_path / "out")
    assert caught.value.exit_code == 3
    assert "\n" not in str(caught.value)


def test_rcv1_vector_files_are_told_from_token_files(tmp_path: Path) -> None:
    tokens_folder(tmp_path / "in")
    (tmp_path / "in" / rcv1.TRAIN).rename(tmp_path / "in" / "lyrl2004_vectors_train.dat")
    with pytest.raises(
        DataError, match=r"tokens_train.dat not found.*vector files of appendix 13 hold no words"
    ):
        run(rcv1.prepare, tmp_path / "in", tmp_path / "out")


def test_rcv1_both_forms_must_be_chosen_from(tmp_path: Path) -> None:
    tokens_folder(tmp_path / "in")
    (tmp_path / "in" / "a.xml").write_bytes(newsitem(2286, []).encode("latin-1"))
    with pytest.raises(UsageError, match="--documents tokens or --documents xml"):
        run(rcv1.prepare, tmp_path / "in", tmp_path / "out")
    summary, _ = run(rcv1.prepare, tmp_path / "in", tmp_path / "out", documents="tokens")
    assert summary["documents"] == {"train": 8, "test": 32}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.xml", b"<newsitem itemid='1'><p>", r"a.xml:1: broken XML: "),
        ("a.xml", b"<newsitem><p/></newsitem>", r"the newsitem has no itemid"),
        ("a.zip", b"PK\x03\x04 but no more", r"a.zip: broken zip file"),
    ],
    ids=["cut", "no id", "zip"],
)
def test_rcv1_broken_xml(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / "rcv1.topics.hier.orig").write_text(HIERARCHY)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        run(rcv1.prepare, tmp_path, tmp_path / "out")
