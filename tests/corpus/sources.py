"""Small made files in the form in which owners of corpora hand theirs out, and a call of their readers."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from linnaea.corpus.sources import rcv1
from linnaea.corpus.sources.writer import Writer
from linnaea.taxonomy.readers import read_taxonomy

HIERARCHY = """\
parent: None  child: Root  child-description: Root
parent: Root  child: CCAT  child-description: CORPORATE/INDUSTRIAL
parent: Root  child: ECAT  child-description: ECONOMICS
parent: CCAT  child: C15  child-description: PERFORMANCE
parent: C15  child: C151  child-description: ACCOUNTS/EARNINGS
parent: ECAT  child: E11  child-description: ECONOMIC PERFORMANCE
"""
PARENTS = {"CCAT": None, "ECAT": None, "C15": "CCAT", "C151": "C15", "E11": "ECAT"}


def closed(code: str | None) -> set[str]:
    return set() if code is None else {code} | closed(PARENTS[code])


def tokens_folder(place: Path, count: int = 40, seed: int = 1, compress: bool = False) -> dict[int, set[str]]:
    """Write a small RCV1 distribution; the topics of each document."""
    chance = random.Random(seed)
    place.mkdir(parents=True, exist_ok=True)
    topics: dict[int, set[str]] = {}
    names = [rcv1.TRAIN, *rcv1.TESTS]
    blocks: dict[str, list[str]] = {name: [] for name in names}
    for i in range(count):
        name = names[i % 5]
        number = (2286 if name == rcv1.TRAIN else 26151) + i
        topics[number] = set().union(*map(closed, chance.sample(list(PARENTS), chance.choice([1, 1, 2, 3]))))
        words = [f"word{chance.randrange(30)}" for _ in range(chance.randrange(9))]
        lines = [" ".join(words[at : at + 4]) for at in range(0, len(words), 4)]
        blocks[name].append("\n".join([f".I {number}", ".W", *lines, ""]))
    pairs = [f"{code} {number} 1" for number, codes in topics.items() for code in sorted(codes)]
    files = {name: "\n".join(block) + "\n" for name, block in blocks.items()}
    files |= {rcv1.QRELS: "\n".join(pairs) + "\n", "rcv1.topics.hier.orig": HIERARCHY}
    for name, text in files.items():
        if compress:
            (place / f"{name}.gz").write_bytes(gzip.compress(text.encode(), mtime=0))
        else:
            (place / name).write_text(text, encoding="utf-8")
    return topics


def run(
    source: Callable[..., None], folder: Path, out: Path, **settings: Any
) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """Summary and documents of each split."""
    out.mkdir(exist_ok=True)
    with Writer(out) as writer:
        source(folder, writer, **settings)
        summary = writer.finish()
    splits = {
        split: [json.loads(line) for line in (out / f"{split}.jsonl").read_text("utf-8").split("\n") if line]
        for split in summary["documents"]
    }
    assert {split: len(rows) for split, rows in splits.items()} == summary["documents"]
    return summary, splits


def gold(out: Path, labels: list[str]) -> set[str]:
    """What labels mean to the package itself."""
    taxonomy = read_taxonomy(out / "taxonomy.tsv")
    return {
        taxonomy.ids[above]
        for label in labels
        for above in taxonomy.ancestors[taxonomy.index[label.split("--")[-1]]]
    }


CATEGORIES = [
    {"alias": "restaurants", "title": "Restaurants", "parents": []},
    {"alias": "shopping", "title": "Shopping", "parents": []},
    {"alias": "italian", "title": "Italian", "parents": ["restaurants"]},
    {"alias": "media", "title": "Books, Mags, Music & Video", "parents": ["shopping"]},
    {"alias": "books", "title": "Bookstores", "parents": ["media"]},
    {"alias": "cafes", "title": "Book Cafes", "parents": ["restaurants", "media"]},
    {"alias": "rare", "title": "Rare", "parents": ["italian"]},
]


def yelp_folder(place: Path, count: int = 60, prefix: str = "yelp_academic_dataset_") -> dict[str, list[str]]:
    chance = random.Random(3)
    place.mkdir(exist_ok=True)
    titles = [str(row["title"]) for row in CATEGORIES if row["alias"] != "rare"]
    businesses = {f"b{i}": chance.sample(titles, chance.choice([1, 2, 3])) for i in range(count)}
    businesses["b0"] = ["Rare"]
    rows: list[dict[str, Any]] = [
        {"business_id": key, "name": "x", "categories": ", ".join(names)} for key, names in businesses.items()
    ]
    rows += [{"business_id": "none", "categories": None}, {"business_id": "few", "categories": "Italian"}]
    reviews = [
        {"review_id": f"{key}-{n}", "business_id": key, "text": f"{key} review {n}\nline \ud83d"}
        for key in [*businesses, "none", "elsewhere"]
        for n in range(6)
    ]
    reviews.append({"review_id": "few", "business_id": "few", "text": "one"})
    chance.shuffle(reviews)
    (place / "categories.json").write_text(json.dumps(CATEGORIES))
    for name, values in (("business", rows), ("review", reviews)):
        (place / f"{prefix}{name}.json").write_text("".join(json.dumps(value) + "\n" for value in values))
    return businesses


def wos_folder(place: Path, count: int = 50) -> list[tuple[int, int]]:
    chance = random.Random(5)
    place.mkdir(exist_ok=True)
    pairs = [divmod(chance.randrange(7), 3) for _ in range(count)]
    numbers = {pair: number for number, pair in enumerate(sorted(set(pairs)))}
    (place / "X.txt").write_bytes(b"".join(b"text %d caf\xe9\x85\n" % i for i in range(count)))
    for name, values in (
        ("Y.txt", [numbers[pair] for pair in pairs]),
        ("YL1.txt", [pair[0] for pair in pairs]),
        ("YL2.txt", [pair[1] for pair in pairs]),
    ):
        (place / name).write_text("".join(f"{value}\n" for value in values))
    return pairs


MESSAGE = (
    "From: a@b.c (A B)\nSubject: Re: On cats\n and dogs\nLines: 9\n\n"
    + "In article <1> X writes:\n> old\nNew café.\n--\nA B\n"
)
GROUPS = (
    "alt.atheism", "comp.graphics", "comp.sys.ibm.pc.hardware", "comp.sys.mac.hardware", "comp.windows.x",
    "misc.forsale", "rec.autos", "rec.sport.baseball", "rec.sport.hockey", "soc.religion.christian",
    "talk.politics.guns", "talk.politics.misc", "talk.religion.misc",
)  # fmt: skip


def newsgroups_folder(place: Path) -> None:
    for split, count in (("train", 3), ("test", 2)):
        for group in GROUPS:
            folder = place / f"20news-bydate-{split}" / group
            folder.mkdir(parents=True)
            for number in range(count):
                (folder / str(9 + number + (split == "test") * 50)).write_bytes(MESSAGE.encode("latin-1"))
