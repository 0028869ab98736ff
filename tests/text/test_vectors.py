"""Word vectors: formats, headers, words with blanks, and every way in which such a file is broken."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from linnaea.errors import DataError
from linnaea.text.vectors import read_vectors
from linnaea.text.vocabulary import Vocabulary

PLAIN = b"the 0.1 0.2 0.3\nwheat -1 2e-1 3\nCorn 4 5 6\n"


def written(folder: Path, data: bytes, name: str = "v.txt") -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def read(folder: Path, data: bytes, words: list[str], dimension: int = 3) -> dict[str, list[float]]:
    matrix, rows, _ = read_vectors(written(folder, data), words, dimension)
    assert matrix.dtype == np.float32 and rows.dtype == np.int64 and (np.diff(rows) > 0).all()
    return {
        words[row]: np.round(vector.astype(float), 5).tolist()
        for row, vector in zip(rows, matrix, strict=True)
    }


@pytest.mark.parametrize("name", ["v.txt", "v.vec", "v.txt.gz"])
def test_a_vocabulary_gets_rows_of_its_table(tmp_path: Path, name: str) -> None:
    vocabulary = Vocabulary(("corn", "unheard", "the"), np.array([5, 4, 1]), 2, True)
    matrix, rows, coverage = read_vectors(written(tmp_path, PLAIN, name), vocabulary, 3)
    assert rows.tolist() == [2, 4]
    assert np.allclose(matrix, [[4, 5, 6], [0.1, 0.2, 0.3]])
    assert (coverage.words, coverage.found, coverage.tokens, coverage.tokens_found, coverage.by_case) == (
        3,
        2,
        10,
        6,
        1,
    )
    assert str(coverage) == "2 of 3 words (66.7%), 60.0% of the tokens of train"


@pytest.mark.parametrize("ends", [b"\n", b"\r\n", b" \n"])
def test_line_ends_tabs_and_byte_order_mark(tmp_path: Path, ends: bytes) -> None:
    data = b"\xef\xbb\xbf" + PLAIN.replace(b"wheat -1", b"wheat\t-1").replace(b"\n", ends).removesuffix(ends)
    assert read(tmp_path, data, ["the", "wheat"]) == {"the": [0.1, 0.2, 0.3], "wheat": [-1, 0.2, 3]}


def test_exact_comes_before_other_case_and_the_first_before_repeats(tmp_path: Path) -> None:
    data = b"THE 1 1 1\nThe 2 2 2\nthe 3 3 3\nthe 4 4 4\nUS 5 5 5\nUs 6 6 6\n"
    assert read(tmp_path, data, ["the", "us"]) == {"the": [3, 3, 3], "us": [5, 5, 5]}
    assert read(tmp_path, data, ["The", "tHE", "Us"]) == {"The": [2, 2, 2], "tHE": [1, 1, 1], "Us": [6, 6, 6]}


def test_a_cased_vocabulary_is_served_by_a_lower_case_file(tmp_path: Path) -> None:
    words = ["Corn", "corn", "CORN"]
    assert read(tmp_path, b"corn 1 2 3\n", words) == {word: [1, 2, 3] for word in words}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"3 3\n" + PLAIN, {"the", "wheat"}),  # a header
        (b"5 7 8 9\n" + PLAIN, {"5", "the", "wheat"}),  # a word that is a number
        (
            b". . 1 2 3\nat name 4 5 6\n. . . 1 2 3\n12 5 1.5 2.5 3.5\n" + PLAIN,
            {". .", "at name", "12 5", "the"},
        ),
        (PLAIN + b"caf\xc3\xa9 1 2 3\nbad\xff\xfe 4 5 6\n", {"café", "the", "wheat"}),  # not UTF-8
        (b" 1 2 3\n\n" + PLAIN, {"the"}),  # a blank as a word; an empty line
    ],
)
def test_what_real_files_hold(tmp_path: Path, data: bytes, words: set[str]) -> None:
    assert set(read(tmp_path, data, sorted(words))) == words


def test_two_integers_are_a_header_only_if_the_next_line_is_that_wide(tmp_path: Path) -> None:
    assert read(tmp_path, b"5 3\nfour 4\nfive 5\n", ["5", "four"], 1) == {"5": [3], "four": [4]}
    assert read(tmp_path, b"2 1\nfour 4\nfive 5\n", ["2", "four"], 1) == {"four": [4]}
    assert read(tmp_path, b"5 3\n", ["5"], 1) == {"5": [3]}


@pytest.mark.parametrize(
    ("data", "dimension", "line", "seen"),
    [
        (PLAIN, 4, 1, 3),
        (PLAIN, 2, 1, 3),
        (b"3 3\n" + PLAIN, 4, 1, 3),
        (PLAIN + b"short 1 2\n", 3, 4, 2),
        (PLAIN + b"two words 1.0 2.0\n", 3, 4, 2),
        (PLAIN + b"long 0.1 0.2 0.3 0.4\n", 3, 4, 4),
        (PLAIN + b"word\n", 3, 4, 0),
        (PLAIN + b"two words\n", 3, 4, 1),
    ],
)
def test_a_wrong_width_names_line_and_both_widths(
    tmp_path: Path, data: bytes, dimension: int, line: int, seen: int
) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, data, ["nothing"], dimension)
    assert caught.value.where == f"{tmp_path / 'v.txt'}:{line}"
    assert f"{seen} numbers, expected {dimension}" in caught.value.message


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"the 1 2x 3\n", "not a number: '2x'"),
        (b"the 1 nan 3\n", "not finite"),
        (b"the 1 2 1e99\n", "not finite"),
        (b"", "no word vectors"),
        (b"\n \n", "no word vectors"),
        (b"3 300\nthe \x00\x01\x02\xff 1\n", "binary"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_other_broken_files(tmp_path: Path, data: bytes, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        read(tmp_path, data, ["the"])


def test_missing_and_broken_gzip(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_vectors(tmp_path / "none.txt", ["a"], 3)
    whole = gzip.compress(PLAIN * 500)
    for data in (whole[: len(whole) // 2], b"not gzip at all", whole[:40] + b"\xff" * 40 + whole[80:]):
        path = tmp_path / "broken.txt.gz"
        path.write_bytes(data)
        with pytest.raises(DataError, match="gzip"):
            read_vectors(path, ["a"], 3)


@pytest.mark.corpora
@pytest.mark.parametrize(
    ("name", "width", "lines"),
    [("glove.twitter.27B.25d.12k.txt", 25, 11925), ("word2vec.googlenews.300d.8k.txt.gz", 300, 8000)],
)
def test_the_real_files_are_read_whole(shared_data: Path, name: str, width: int, lines: int) -> None:
    path = shared_data / "vectors" / name
    data = gzip.decompress(path.read_bytes()) if name.endswith("gz") else path.read_bytes()
    expected = {}
    for line in data.decode("utf-8").splitlines():
        word, *numbers = line.split(" ")
        expected.setdefault(word, np.array(numbers, dtype=np.float32))
    matrix, rows, coverage = read_vectors(path, list(expected), width)
    assert coverage.found == len(expected) == lines
    assert np.array_equal(matrix, np.stack(list(expected.values())))
    assert rows.tolist() == list(range(lines))
