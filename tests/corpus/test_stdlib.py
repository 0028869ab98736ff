"""The built-in corpus: made of this Python's own library, the same each time, harmless to make, learnable."""

from __future__ import annotations

import hashlib
import itertools
import subprocess
import sys
from pathlib import Path

import pytest

from linnaea.corpus.document import Document
from linnaea.corpus.labels import LabelResolver
from linnaea.corpus.sections import COMPILED, HOMES, SECTIONS
from linnaea.corpus.stdlib import LEAST, WORDS, builtin_corpus, stdlib_documents
from linnaea.taxonomy.taxonomy import Taxonomy

Corpus = tuple[Taxonomy, list[Document], list[Document], list[Document]]


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return builtin_corpus()


def test_the_table_of_sections() -> None:
    modules = list(itertools.chain(*SECTIONS.values()))
    assert len(modules) == len(set(modules))
    assert not set(modules) & set(SECTIONS)
    assert {home for home in HOMES.values() if home} <= set(modules)
    assert not COMPILED & {"antigravity", "this", "readline", "turtle", "tkinter", "idlelib"}
    known = sys.stdlib_module_names | {"distutils"}
    gone_or_new = {"asyncore", "asynchat", "smtpd", "string", "compression", "annotationlib", "concurrent"}
    gone = {"cgi", "cgitb", "chunk", "crypt", "aifc", "audioop", "imghdr", "mailcap", "nis", "nntplib"}
    gone |= {"pipes", "sndhdr", "spwd"}
    gone |= {"sunau", "telnetlib", "uu", "xdrlib"}
    assert {module.split(".")[0] for module in modules} <= known | gone_or_new | gone


def test_size_and_shares(corpus: Corpus) -> None:
    taxonomy, train, dev, test = corpus
    total = len(train) + len(dev) + len(test)
    assert 3_500 < total < 12_000
    for part, share in ((train, 0.7), (dev, 0.1), (test, 0.2)):
        assert len(part) / total == pytest.approx(share, abs=0.02)
    assert taxonomy.depth == 2
    assert 20 <= len(taxonomy.roots) <= len(SECTIONS)
    assert len(taxonomy) - len(taxonomy.roots) > 90
    resolver = LabelResolver(taxonomy)
    everything = [*train, *dev, *test]
    counts = resolver.rows(d.labels or () for d in everything).counts(len(taxonomy))
    assert counts[taxonomy.level_C == 2].min() >= LEAST
    for part in (train, dev, test):
        assert (resolver.rows(d.labels or () for d in part).counts(len(taxonomy)) > 0).sum() > 0.95 * len(
            taxonomy
        )
    assert sum(len(d.labels or ()) > 1 for d in everything) > 50
    assert all(d.labels for d in everything)


def test_documents(corpus: Corpus) -> None:
    _, *parts = corpus
    everything = [document for part in parts for document in part]
    assert len({d.id for d in everything}) == len(everything)
    assert len({d.text for d in everything}) == len(everything)  # no text stands in two splits
    by_id = {d.id: d for d in everything}
    compress = by_id["gzip.compress"]
    assert str(compress.text).startswith("compress\nCompress data in one shot")
    assert compress.labels is not None
    assert set(compress.labels) <= {"gzip", "Data Compression and Archiving"}
    assert by_id["gzip.GzipFile.read1"].text.split("\n")[0] == "read1"  # type: ignore[union-attr]
    for document in everything:
        assert isinstance(document.text, str)
        assert len(document.text.split()) >= WORDS
        if document.origin is not None:
            source = Path(document.origin.file).read_text(encoding="utf-8").splitlines()
            name = document.id.rpartition(".")[2]
            assert document.origin.line == 1 or name in source[document.origin.line - 1]
        assert not document.id.startswith(("test.", "idlelib.", "lib2to3.", "encodings."))


def test_what_is_offered_twice_has_two_labels(corpus: Corpus) -> None:
    taxonomy, *parts = corpus
    labels = {d.id: set(d.labels or ()) for part in parts for d in part}
    assert {"builtins", "io"} <= labels["_io.open"]
    assert "functools" in labels["functools.partial"]
    assert "collections" in labels["_collections.deque.rotate"]
    assert labels["socket.create_connection"] == {"socket"}
    assert labels["posixpath.join"] == {"os.path"}
    assert "itertools" in taxonomy.index
    assert labels["itertools.chain"] == {"itertools"}


def test_the_same_in_another_process(corpus: Corpus) -> None:
    program = (
        "import hashlib, sys\n"
        "from linnaea.corpus.stdlib import builtin_corpus\n"
        "taxonomy, *parts = builtin_corpus()\n"
        "harmful = {'antigravity', 'this', 'tkinter', 'turtle', 'idlelib', 'readline', 'torch', 'sklearn'}\n"
        "assert not harmful & set(sys.modules), harmful & set(sys.modules)\n"
        "print(taxonomy.digest, hashlib.sha256(repr(parts).encode()).hexdigest())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONHASHSEED": "7"},
    )
    assert done.returncode == 0, done.stderr
    # Nothing is printed but what was asked for: no poem, no web browser.
    digest, content = done.stdout.split()
    assert digest == corpus[0].digest
    assert content == hashlib.sha256(repr(list(corpus[1:])).encode()).hexdigest()


def test_a_library_without_some_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not there is left out; a file that does not parse too."""
    (tmp_path / "gzip.py").write_text(
        '"""Files in gzip."""\n'
        + "\n".join(f'def f{i}():\n    "Does a thing number {i}."\n' for i in range(12))
    )
    (tmp_path / "bz2.py").write_text("def broken(:\n")
    (tmp_path / "antigravity.py").write_text('def fly():\n    "Opens a web browser at once."\n')
    (tmp_path / "os.py").write_text('from gzip import f0, f1\n__all__ = ["f0"]\n')
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    monkeypatch.setattr("linnaea.corpus.stdlib.COMPILED", frozenset({"no_such_module"}))
    taxonomy, documents = stdlib_documents()
    assert taxonomy.ids == ("Data Compression and Archiving", "Generic Operating System Services", "gzip")
    assert [d.id for d in documents] == ["gzip.f0", *sorted(f"gzip.f{i}" for i in range(1, 12))]
    assert documents[0].labels == ("gzip", "Generic Operating System Services")  # os has too few documents
    assert documents[0].text == "f0\nDoes a thing number 0."
    assert documents[1].labels == ("gzip",)


@pytest.mark.slow
def test_it_can_be_learnt(corpus: Corpus) -> None:
    """tf-idf and a linear SVM: micro-F1 about .7, and the demo's questions find their sections."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.metrics import f1_score
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.svm import LinearSVC

    taxonomy, train, dev, test = corpus
    resolver = LabelResolver(taxonomy)
    vectors = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    known, unknown = [*train, *dev], test
    inputs = vectors.fit_transform([d.text for d in known])
    model = OneVsRestClassifier(LinearSVC()).fit(
        inputs, resolver.rows(d.labels or () for d in known).dense(len(taxonomy))
    )
    gold = resolver.rows(d.labels or () for d in unknown).dense(len(taxonomy))
    decided = model.decision_function(vectors.transform([d.text for d in unknown])) > 0
    assert 0.6 < f1_score(gold, decided, average="micro") < 0.85
    for question, answer in (
        ("compress a file with gzip", "Data Compression and Archiving"),
        ("open a network socket", "Networking and Interprocess Communication"),
    ):
        scores = model.decision_function(vectors.transform([question]))[0]
        assert taxonomy.ids[int(scores.argmax())] == answer
