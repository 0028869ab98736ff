"""Readers of Yelp, Web of Science and 20 Newsgroups, on small made files of the same form."""

from __future__ import annotations

import gzip
import io
import json
import random
import tarfile
from pathlib import Path

import pytest

from linnaea.corpus.sources import newsgroups20, rcv1, wos, yelp
from linnaea.corpus.sources.writer import draw
from linnaea.errors import DataError, TaxonomyError
from tests.corpus.sources import (
    CATEGORIES,
    GROUPS,
    MESSAGE,
    gold,
    newsgroups_folder,
    run,
    tokens_folder,
    wos_folder,
    yelp_folder,
)

# Yelp


def test_yelp_keeps_every_label_and_tells_what_it_leaves_out(tmp_path: Path) -> None:
    businesses = yelp_folder(tmp_path / "in")
    choice = yelp.Choice(min_businesses=2, min_reviews=5, reviews=3)
    summary, splits = run(yelp.prepare, tmp_path / "in", tmp_path / "out", choice=choice)
    assert summary["left_out"] == {"fewer than 5 reviews": 1, "no category that is kept": 1}
    assert summary["categories"] == 6
    found = {row["id"]: row for rows in splits.values() for row in rows}
    assert set(found) == set(businesses)
    above = yelp.closure(yelp.read_categories(tmp_path / "in" / "categories.json"))
    for key, names in businesses.items():
        wanted = set().union(*(above[name] for name in names)) - {"Rare"}
        assert gold(tmp_path / "out", found[key]["doc_label"]) == wanted
        assert found[key]["text"].count(f"{key} review") == 3
    cafe = next(row for row in found.values() if any("Book Cafes" in label for label in row["doc_label"]))
    assert {label for label in cafe["doc_label"] if "Book Cafes" in label} == {
        "Restaurants--Book Cafes", "Shopping--Books, Mags, Music & Video--Book Cafes",
    }  # fmt: skip
    assert all((draw(1, row["id"]) < 0.3) == (row in splits["test"]) for row in found.values())
    again, _ = run(yelp.prepare, tmp_path / "in", tmp_path / "out2", choice=choice)
    assert again == summary
    for name in ("train.jsonl", "test.jsonl", "taxonomy.tsv"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "out2" / name).read_bytes()


def test_yelp_limit_seed_and_short_names(tmp_path: Path) -> None:
    yelp_folder(tmp_path / "in", prefix="")
    few = yelp.Choice(min_businesses=1, limit=20)
    summary, splits = run(yelp.prepare, tmp_path / "in", tmp_path / "out", choice=few)
    assert sum(summary["documents"].values()) == 20
    other = yelp.Choice(min_businesses=1, limit=20, seed=2)
    _, otherwise = run(yelp.prepare, tmp_path / "in", tmp_path / "out", choice=other)
    assert {row["id"] for row in splits["test"]} != {row["id"] for row in otherwise["test"]}


def test_names_that_hold_commas_are_found() -> None:
    known: dict[str, list[str]] = {"Books, Mags, Music & Video": [], "Italian": []}
    written = "Italian, Books, Mags, Music & Video, Unheard Of"
    assert yelp.names_of(written, known) == (["Italian", "Books, Mags, Music & Video"], ["Unheard Of"])
    assert yelp.names_of(["Italian"], known) == (["Italian"], [])
    assert yelp.names_of(None, known) == ([], [])


def test_yelp_list_of_the_newer_form(tmp_path: Path) -> None:
    rows = [{"alias": r["alias"], "title": r["title"], "parent_aliases": r["parents"]} for r in CATEGORIES]
    (tmp_path / "new.json").write_text(json.dumps({"categories": rows}))
    (tmp_path / "old.json").write_text(json.dumps(CATEGORIES))
    assert yelp.read_categories(tmp_path / "new.json") == yelp.read_categories(tmp_path / "old.json")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("yelp_academic_dataset_business.json", '{"business_id": "a"', r"business.json:1: broken JSON"),
        ("yelp_academic_dataset_business.json", '{"id": "a"}', r"object with business_id, not one with id"),
        ("yelp_academic_dataset_business.json", '{"business_id": "a"}', r"without the field categories"),
        ("yelp_academic_dataset_review.json", "stars,text\n1,a\n", r"review.json:1: broken JSON: 'stars,text'"),
        (
            "yelp_academic_dataset_review.json",
            '{"business_id": "z", "text": "a"}',
            r"no review of any of the businesses",
        ),
        ("categories.json", "{}", r"expected a list of categories, not null"),
        ("categories.json", '[{"alias": "a"}]', r"category 1 is not an object with alias, title and parents"),
        ("categories.json", '[{"alias": "a", "title": "A", "parents": ["b"]}]', r"parent 'b' of 'A' is not in the list"),
    ],
    ids=["json", "no id", "no categories", "csv", "other release", "empty", "no title", "no parent"],
)  # fmt: skip
def test_yelp_broken_files(tmp_path: Path, name: str, content: str, message: str) -> None:
    yelp_folder(tmp_path / "in")
    (tmp_path / "in" / name).write_text(content)
    with pytest.raises(DataError, match=message):
        run(yelp.prepare, tmp_path / "in", tmp_path / "out", choice=yelp.Choice(min_businesses=1))


def test_yelp_categories_in_a_circle(tmp_path: Path) -> None:
    yelp_folder(tmp_path / "in")
    rows = [{**row, "parents": ["italian"]} if row["alias"] == "restaurants" else row for row in CATEGORIES]
    (tmp_path / "in" / "categories.json").write_text(json.dumps(rows))
    with pytest.raises(TaxonomyError, match="Italian"):
        run(yelp.prepare, tmp_path / "in", tmp_path / "out", choice=yelp.Choice(min_businesses=1))


# Web of Science


def test_wos_splits_as_papers_do_and_loses_nothing(tmp_path: Path) -> None:
    pairs = wos_folder(tmp_path / "in")
    summary, splits = run(wos.prepare, tmp_path / "in", tmp_path / "out")
    assert summary["documents"] == {"train": 32, "dev": 8, "test": 10}
    assert summary["levels"] == 2
    found = {int(row["id"]): row for rows in splits.values() for row in rows}
    assert [found[i + 1]["doc_label"] for i in range(50)] == [[f"domain {a}--area {a}.{b}"] for a, b in pairs]
    assert all(found[i + 1]["text"].startswith(f"text {i} café") for i in range(50))
    assert summary["notes"] == ["50 texts that are not UTF-8 were read as Windows-1252"]


def test_wos_tells_when_its_files_disagree(tmp_path: Path) -> None:
    wos_folder(tmp_path / "in")
    (tmp_path / "in" / "Y.txt").write_text("0\n" * 50)
    summary, _ = run(wos.prepare, tmp_path / "in", tmp_path / "out")
    assert any(note.startswith("Y.txt and the pairs of YL1.txt and YL2.txt") for note in summary["notes"])


def test_wos_shares_of_the_papers() -> None:
    splits = wos.split_of(46985, seed=1)
    assert [splits.count(name) for name in ("train", "dev", "test")] == [30070, 7518, 9397]
    assert splits == wos.split_of(46985, seed=1)
    assert splits != wos.split_of(46985, seed=2)


def test_wos_names_from_the_table(tmp_path: Path) -> None:
    pairs = wos_folder(tmp_path / "in")
    (tmp_path / "in" / "Meta-data").mkdir()
    rows = [
        f"{a},{b},0,{'CS ' if a == 0 else f'Domain{a}'},{'Vision' if b == 0 else f'Area{a}{b}'},k,t"
        for a, b in pairs
    ]
    table = "\n".join(["Y1,Y2,Y,Domain,area,keywords,Abstract", *rows]) + "\n"
    (tmp_path / "in" / "Meta-data" / "Data.csv").write_text(table)
    summary, splits = run(wos.prepare, tmp_path / "in", tmp_path / "out")
    found = {row["doc_label"][0] for rows in splits.values() for row in rows}
    domains = {0: "CS", 1: "Domain1", 2: "Domain2"}
    assert found == {
        f"{domains[a]}--" + (f"Vision ({domains[a]})" if b == 0 else f"Area{a}{b}") for a, b in pairs
    }
    assert len(summary["notes"]) == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("YL2.txt", "0\n1\n", r"YL2.txt: 2 lines, but YL1.txt has 50"),
        ("Y.txt", "0\n1\n", r"Y.txt: 2 lines, but YL1.txt has 50"),
        ("X.txt", "a\n" * 51, r"X.txt: 51 lines, but YL1.txt has 50"),
        ("X.txt", "a\n" * 49, r"X.txt: 49 lines, but YL1.txt has 50"),
        ("YL1.txt", "0\nCS\n", r"YL1.txt:2: expected a number, got 'CS'"),
    ],
    ids=["areas", "through", "long", "short", "words"],
)
def test_wos_broken_files(tmp_path: Path, name: str, content: str, message: str) -> None:
    wos_folder(tmp_path / "in")
    (tmp_path / "in" / name).write_text(content)
    with pytest.raises(DataError, match=message):
        run(wos.prepare, tmp_path / "in", tmp_path / "out")


def test_wos_the_folder_above_is_told_apart(tmp_path: Path) -> None:
    wos_folder(tmp_path / "WOS5736")
    with pytest.raises(
        DataError, match=r"X.txt not found; found WOS5736/, out/ \(did you mean .*WOS5736\?\)"
    ):
        run(wos.prepare, tmp_path, tmp_path / "out")
    (tmp_path / "WOS5736" / "YL2.txt").unlink()
    with pytest.raises(DataError, match=r"YL2.txt not found"):
        run(wos.prepare, tmp_path / "WOS5736", tmp_path / "out")


# 20 Newsgroups


def test_newsgroups_from_folder_and_archive(tmp_path: Path) -> None:
    newsgroups_folder(tmp_path / "in")
    summary, splits = run(newsgroups20.prepare, tmp_path / "in", tmp_path / "out")
    assert summary["documents"] == {"train": 39, "test": 26}
    first = splits["train"][0]
    text = "Re: On cats and dogs\nIn article <1> X writes:\n> old\nNew café.\n--\nA B\n"
    assert first == {"id": "alt.atheism/9", "doc_label": ["alt.atheism"], "text": text}
    assert {row["id"].split("/")[0]: row["doc_label"][0] for row in splits["test"]}[
        "comp.sys.mac.hardware"
    ] == ("comp--comp.sys--comp.sys.mac.hardware")
    packed = tmp_path / "packed"
    packed.mkdir()
    with tarfile.open(packed / newsgroups20.ARCHIVE, "w:gz") as archive:
        for name in ("20news-bydate-train", "20news-bydate-test"):
            archive.add(tmp_path / "in" / name, name)
    for place in (packed, packed / newsgroups20.ARCHIVE):
        assert run(newsgroups20.prepare, place, tmp_path / "out2")[1] == splits


def test_newsgroups_taxonomy_collapses_single_children() -> None:
    parents = newsgroups20.taxonomy_of(GROUPS)
    assert {name for name in parents if name not in GROUPS} == {
        "comp", "comp.sys", "rec", "rec.sport", "talk", "talk.politics",
    }  # fmt: skip
    assert parents["comp.sys.ibm.pc.hardware"] == ["comp.sys"]
    assert parents["talk.religion.misc"] == ["talk"]
    assert parents["misc.forsale"] == []


@pytest.mark.parametrize(
    ("strip", "text"),
    [
        ([], MESSAGE),
        (["headers", "subject"], "In article <1> X writes:\n> old\nNew café.\n--\nA B\n"),
        (["headers", "subject", "quotes"], "New café.\n--\nA B\n"),
        (["headers", "footers"], "Re: On cats and dogs\nIn article <1> X writes:\n> old\nNew café."),
        (
            ["subject"],
            "From: a@b.c (A B)\nLines: 9\n\nIn article <1> X writes:\n> old\nNew café.\n--\nA B\n",
        ),
    ],
    ids=["none", "all headers", "quotes", "footers", "subject"],
)
def test_newsgroups_strip(strip: list[str], text: str) -> None:
    assert newsgroups20.clean(MESSAGE, strip) == text


def test_strip_is_scikit_learns() -> None:
    theirs = pytest.importorskip("sklearn.datasets._twenty_newsgroups")
    chance = random.Random(7)
    lines = [
        "",
        "> a",
        "| b",
        "In article <1>",
        "he writes:",
        "she said: b",
        "--",
        "----",
        "text",
        " more",
        "x > y",
    ]
    for _ in range(300):
        body = "\n".join(chance.choices(lines, k=chance.randrange(12)))
        text = f"From: a\nSubject: b\n\n{body}"
        assert newsgroups20.clean(text, ["headers", "subject"]) == theirs.strip_newsgroup_header(text)
        ours = newsgroups20.clean(text, ["headers", "subject", "footers", "quotes"])
        bare = theirs.strip_newsgroup_footer(theirs.strip_newsgroup_header(text))
        assert ours == theirs.strip_newsgroup_quoting(bare)


def test_newsgroups_other_layouts(tmp_path: Path) -> None:
    newsgroups_folder(tmp_path / "in")
    with pytest.raises(DataError, match=r"20news-bydate-train.* not found.* \(name the folder above"):
        run(newsgroups20.prepare, tmp_path / "in" / "20news-bydate-train", tmp_path / "out")
    (tmp_path / "old" / "alt.atheism").mkdir(parents=True)
    with pytest.raises(DataError, match="only the version bydate has an official split"):
        run(newsgroups20.prepare, tmp_path / "old", tmp_path / "out")
    broken = tmp_path / newsgroups20.ARCHIVE
    broken.write_bytes(gzip.compress(b"x" * 5000, mtime=0)[:-9])
    with pytest.raises(DataError, match="broken or cut off archive"):
        run(newsgroups20.prepare, broken, tmp_path / "out")
    with tarfile.open(broken, "w:gz") as archive:
        entry = tarfile.TarInfo("20news-18828/alt.atheism/1")
        entry.size = 1
        archive.addfile(entry, io.BytesIO(b"x"))
    with pytest.raises(DataError, match="holds no message of the version bydate"):
        run(newsgroups20.prepare, broken, tmp_path / "out")


def test_a_folder_of_another_source_is_recognised(tmp_path: Path) -> None:
    tokens_folder(tmp_path / "in")
    with pytest.raises(DataError, match=r"files of rcv1: linnaea prepare rcv1"):
        run(wos.prepare, tmp_path / "in", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="the folder is empty"):
        run(yelp.prepare, tmp_path / "empty", tmp_path / "out")
    with pytest.raises(DataError, match="no such folder"):
        run(rcv1.prepare, tmp_path / "nowhere", tmp_path / "out")
