"""Yelp Open Dataset: a document is a business, its text are reviews of it, its labels its categories.

Layout, plain or ``.gz``: ``yelp_academic_dataset_business.json`` and ``yelp_academic_dataset_review.json`` (an object a
line; also without the beginning of the names), and ``categories.json``, Yelp's list of all categories with their parents.
What is kept follows Mao et al. 2019 (HiLAP), whose set NeuralClassifier uses: categories of 100 businesses or more,
businesses of 5 reviews or more, the first 10 reviews joined; 30 % of the businesses for test. They drew from the data set of
2018 with a generator; here a hash of seed and business decides, so it is the same recipe and not the same documents.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from linnaea.config.part import shown
from linnaea.corpus.sources.folder import SourceFolder, numbered_lines, shorten
from linnaea.corpus.sources.writer import Writer, draw
from linnaea.errors import DataError
from linnaea.files import read_json

SOURCE = "yelp"
TEST_SHARE = 0.3
BUSINESSES = ("yelp_academic_dataset_business.json", "yelp_business.json", "business.json")
REVIEWS = ("yelp_academic_dataset_review.json", "yelp_review.json", "review.json")
CATEGORIES = ("categories.json", "all_categories.json", "yelp_categories.json")

_BUCKETS = 64
_MISSING = {
    BUSINESSES: "yelp_dataset.tar unpacks into it",
    REVIEWS: "yelp_dataset.tar unpacks into it",
    CATEGORIES: "Yelp's list of all categories is a file of its own, see docs/corpora.md",
}


@dataclass(frozen=True)
class Choice:
    """What to keep.

    Attributes:
        min_businesses: a category of fewer is dropped; those below it count.
        min_reviews: a business of fewer is left out.
        reviews: so many are joined, in the order of the file.
        limit: take the first businesses only.
        seed: of the split.
    """

    min_businesses: int = 100
    min_reviews: int = 5
    reviews: int = 10
    limit: int | None = None
    seed: int = 1


def prepare(path: Path, writer: Writer, choice: Choice = Choice()) -> None:
    """Read the folder.

    Raises:
        DataError: files missing, of another layout, or broken.
    """
    folder = SourceFolder(path, SOURCE)
    files = [folder.need(*names, hint=hint) for names, hint in _MISSING.items()]
    parents = read_categories(files[2])
    closed = closure(parents)
    businesses = _read_businesses(files[0], parents, writer, choice.limit)
    kept = _frequent(businesses, closed, choice.min_businesses)
    if not kept:
        hint = "lower --min-businesses"
        problem = f"no category has {choice.min_businesses:,} businesses"
        raise DataError(problem, where=str(files[0]), hint=hint)
    if len(kept) < len(parents):
        dropped = f"{len(parents) - len(kept):,} of {len(parents):,} categories"
        writer.notes.append(
            f"{dropped} have fewer than {choice.min_businesses:,} businesses and were dropped"
        )
    writer.set_taxonomy({name: parents[name] for name in parents if name in kept})
    labels = {
        business: sorted({above for name in names for above in closed[name]} & kept)
        for business, names in businesses.items()
    }
    with TemporaryDirectory(dir=writer.folder, prefix="reviews.") as place:
        for business, texts, count in _reviews(files[1], labels, choice.reviews, Path(place), writer):
            if count < choice.min_reviews:
                writer.left_out[f"fewer than {choice.min_reviews:,} reviews"] += 1
            elif not labels[business]:
                writer.left_out["no category that is kept"] += 1
            else:
                split = "test" if draw(choice.seed, business) < TEST_SHARE else "train"
                writer.add(split, business, " ".join(texts), labels[business])


def read_categories(path: Path) -> dict[str, list[str]]:
    """Parents of each category, all by title (which is what businesses name); several parents make it a DAG.

    Raises:
        DataError: not a list of objects with ``alias``, ``title`` and ``parents`` (or ``parent_aliases``).
    """
    value = read_json(path)
    rows = value.get("categories") if isinstance(value, dict) else value
    if not isinstance(rows, list) or not rows:
        hint = "Yelp's list of all categories"
        raise DataError(f"expected a list of categories, not {shown(rows)}", where=str(path), hint=hint)
    titles: dict[str, str] = {}
    above: list[tuple[str, list[str]]] = []
    for number, row in enumerate(rows, 1):
        try:
            alias, title = row["alias"], " ".join(row["title"].split())
            parents = row["parents"] if "parents" in row else row["parent_aliases"]
            above.append((title, [parent for parent in parents if parent is not None]))
            titles[alias] = title
        except (TypeError, KeyError, AttributeError):
            problem = f"category {number} is not an object with alias, title and parents, but {shown(row)}"
            raise DataError(problem, where=str(path)) from None
    found: dict[str, list[str]] = {}
    for title, aliases in above:
        for alias in aliases:
            if alias not in titles:
                problem = f"the parent {alias!r} of {title!r} is not in the list"
                raise DataError(problem, where=str(path))
        mine = found.setdefault(title, [])
        mine += [titles[alias] for alias in aliases if titles[alias] not in (title, *mine)]
    return found


def closure(parents: dict[str, list[str]]) -> dict[str, set[str]]:
    """Each category with all its ancestors. A cycle ends the walk; the taxonomy refuses it later."""
    closed: dict[str, set[str]] = {}
    for name in parents:
        found, open_ = {name}, [name]
        while open_:
            more = [parent for parent in parents[open_.pop()] if parent not in found]
            found.update(more)
            open_ += more
        closed[name] = found
    return closed


def names_of(written: Any, known: dict[str, list[str]]) -> tuple[list[str], list[str]]:
    """Categories of a business and what is none: a list, or names joined by commas, some of which hold commas."""
    if isinstance(written, str):
        parts = [part.strip() for part in written.split(",")]
    else:
        parts = [str(part).strip() for part in written or ()]
    found, unknown, start = [], [], 0
    while start < len(parts):
        ends = range(len(parts), start, -1)
        end = next((end for end in ends if ", ".join(parts[start:end]) in known), None)
        if end is None:
            unknown += [parts[start]] if parts[start] else []
            start += 1
        else:
            found.append(", ".join(parts[start:end]))
            start = end
    return found, unknown


def _objects(path: Path, needed: Sequence[str]) -> Iterator[dict[str, Any]]:
    for number, line in numbered_lines(path):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            hint = "an object a line, as Yelp hands it out"
            received = shown(line.strip().decode("utf-8", "replace"))
            raise DataError(f"broken JSON: {received}", where=f"{path}:{number}", hint=hint) from None
        if not isinstance(value, dict) or any(not isinstance(value.get(name), str) for name in needed):
            received = (
                f"one with {shorten(list(value))}" if isinstance(value, dict) and value else shown(value)
            )
            problem = f"expected an object with {', '.join(needed)}, not {received}"
            raise DataError(problem, where=f"{path}:{number}", hint=f"is it Yelp's {path.name}?")
        yield value


def _read_businesses(
    path: Path, known: dict[str, list[str]], writer: Writer, limit: int | None
) -> dict[str, list[str]]:
    """Categories of each business that has any."""
    businesses: dict[str, list[str]] = {}
    strange: Counter[str] = Counter()
    for number, row in enumerate(_objects(path, ["business_id"])):
        if limit is not None and number >= limit:
            break
        if "categories" not in row:
            raise DataError("a business without the field categories", where=str(path))
        if row["business_id"] in businesses:
            raise DataError(f"the business {row['business_id']!r} comes twice", where=str(path))
        found, unknown = names_of(row["categories"], known)
        strange.update(unknown)
        businesses[row["business_id"]] = found
        if number % 1000 == 0:
            writer.progress("reading businesses", number)
    writer.progress("reading businesses", 1, 1)
    if strange:
        told = shorten([f"{name!r} ({count:,})" for name, count in strange.most_common()])
        writer.notes.append(f"names of businesses that the list of categories lacks were left out: {told}")
    return businesses


def _frequent(businesses: dict[str, list[str]], closed: dict[str, set[str]], least: int) -> set[str]:
    times: Counter[str] = Counter()
    for names in businesses.values():
        times.update({above for name in names for above in closed[name]})
    return {name for name, count in times.items() if count >= least}


def _reviews(
    path: Path, wanted: dict[str, list[str]], most: int, place: Path, writer: Writer
) -> Iterator[tuple[str, list[str], int]]:
    """Each wanted business with its first reviews and the number of all.

    Reviews come in any order and do not fit in memory: they are dealt out to files by business first.
    """
    counts: Counter[str] = Counter()
    bucket_of = {business: int(draw(0, business) * _BUCKETS) for business in wanted}
    names = [place / f"{bucket:02}" for bucket in range(_BUCKETS)]
    with ExitStack() as stack:
        buckets = [stack.enter_context(open(name, "w", encoding="utf-8")) for name in names]
        for number, row in enumerate(_objects(path, ["business_id", "text"])):
            business = row["business_id"]
            if business in wanted:
                counts[business] += 1
                if counts[business] <= most:
                    buckets[bucket_of[business]].write(json.dumps([business, row["text"]]) + "\n")
            if number % 10_000 == 0:
                writer.progress("reading reviews", number)
    writer.progress("reading reviews", 1, 1)
    if not counts:
        raise DataError("no review of any of the businesses", where=str(path), hint="of the same release?")
    for bucket, name in enumerate(names):
        texts: dict[str, list[str]] = {key: [] for key in wanted if bucket_of[key] == bucket}
        with open(name, encoding="utf-8") as file:
            for line in file:
                business, text = json.loads(line)
                texts[business].append(text)
        for business, found in texts.items():
            yield business, found, counts[business]
