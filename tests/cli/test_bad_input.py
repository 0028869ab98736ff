"""Bad input: each case one clear line (what, where, received, suggestion), the right exit code, nothing written half."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import write_lines

Call = Callable[..., "object"]


def spoil(corpus: Path, line: bytes, at: int = 3) -> None:
    """Put ``line`` in place of line ``at`` of train."""
    path = corpus / "train.jsonl"
    lines = path.read_bytes().splitlines()
    lines[at - 1] = line
    path.write_bytes(b"\n".join(lines) + b"\n")


CASES = {
    "broken JSON": (b'{"text": "a", ', "train.jsonl:3"),
    "string for token list": (b'{"doc_token": "a b", "doc_label": []}', "train.jsonl:3"),
    "neither text nor tokens": (b'{"doc_label": []}', "train.jsonl:3"),
    "invalid UTF-8": (b'{"text": "\xff\xfe", "doc_label": []}', "train.jsonl:3"),
    "unknown label": (b'{"text": "a", "doc_label": ["animals--catz"]}', "train.jsonl:3"),
    "unlabelled training document": (b'{"text": "a"}', "train.jsonl:3"),
    "number in labels": (b'{"text": "a", "doc_label": [1]}', "train.jsonl:3"),
    "not an object": (b'["a"]', "train.jsonl:3"),
}


@pytest.mark.parametrize("case", CASES)
def test_documents(case: str, corpus: Path, linnaea: Call) -> None:
    line, place = CASES[case]
    spoil(corpus, line)
    outcome = linnaea("train", "linear.json")
    assert outcome.code == 3, outcome.err
    message = [row for row in outcome.err.splitlines() if row.startswith("error:")]
    assert len(message) == 1
    assert place in message[0]
    assert not (corpus / "run" / "model").exists()


@pytest.mark.parametrize("case", list(CASES))
def test_documents_left_out(case: str, corpus: Path, linnaea: Call) -> None:
    line, place = CASES[case]
    spoil(corpus, line)
    outcome = linnaea("train", "linear.json", "--set", "data.on_error=quarantine")
    assert outcome.code == 0, outcome.err
    assert "left out 1" in outcome.err
    kept = [json.loads(row) for row in (corpus / "run" / "quarantine.jsonl").read_text().splitlines()]
    assert len(kept) == 1
    assert place in kept[0]["where"]


def test_suggestion_for_a_label(corpus: Path, linnaea: Call) -> None:
    spoil(corpus, b'{"text": "a", "doc_label": ["animals--catz"]}')
    assert "cats" in linnaea("train", "linear.json").err


def test_empty_and_missing_files(corpus: Path, linnaea: Call) -> None:
    assert linnaea("train", "nothing.json").code == 2
    missing = linnaea("train", "linear.json", "--set", "data.train=nowhere.jsonl")
    assert missing.code == 3
    assert "nowhere.jsonl" in missing.err
    (corpus / "empty.jsonl").write_text("")
    empty = linnaea("train", "linear.json", "--set", "data.train=empty.jsonl", "--set", "run.dir=r2")
    assert empty.code == 3
    assert "empty.jsonl" in empty.err
    notax = linnaea("train", "linear.json", "--set", "task.taxonomy=no.tsv", "--set", "run.dir=r3")
    assert notax.code == 3
    assert "no.tsv" in notax.err


def test_config_typo_and_combination(corpus: Path, linnaea: Call) -> None:
    typo = linnaea("train", "textcnn.json", "--set", "training.epoch=3")
    assert typo.code == 2
    assert "training.epoch" in typo.err
    assert "epochs" in typo.err
    idle = linnaea("train", "linear.json", "--set", "training.epochs=3")
    assert idle.code == 2
    clash = linnaea("train", "textcnn.json", "--set", "objective.loss.type=softmax")
    assert clash.code == 2
    assert not (corpus / "run").exists()


def test_unwritable_folder(corpus: Path, linnaea: Call) -> None:
    (corpus / "file").write_text("x")
    outcome = linnaea("train", "linear.json", "--set", "run.dir=file/run")
    assert outcome.code == 2
    assert "file" in outcome.err
    foreign = corpus / "mine"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("years of work")
    assert linnaea("train", "linear.json", "--set", "run.dir=mine", "--overwrite").code == 2
    assert (foreign / "thesis.txt").read_text() == "years of work"


def test_a_run_that_never_began_leaves_its_place_free(corpus: Path, linnaea: Call) -> None:
    """After a data error the mended corpus trains under the very same command."""
    whole = (corpus / "train.jsonl").read_bytes()
    spoil(corpus, b'{"text": ')
    for config in ("linear.json", "fasttext.json"):
        assert linnaea("train", config).code == 3
        assert not (corpus / "run").exists()
    vectors = linnaea("train", "fasttext.json", "--set", "model.embedder.pretrained=none.txt")
    assert vectors.code == 3
    assert not (corpus / "run").exists()
    (corpus / "run").mkdir()
    assert linnaea("train", "linear.json").code == 3
    assert list((corpus / "run").iterdir()) == []
    (corpus / "train.jsonl").write_bytes(whole)
    assert linnaea("train", "linear.json").code == 0
    assert not (corpus / "run" / ".lock").exists()


def test_a_config_file_in_the_run_folder_is_not_lost(corpus: Path, linnaea: Call) -> None:
    """Whoever names the folder of their own config.json is refused, and the file stays."""
    mine = corpus / "mine"
    mine.mkdir()
    (mine / "config.json").write_bytes((corpus / "linear.json").read_bytes())
    outcome = linnaea("train", "linear.json", "--set", "run.dir=mine")
    assert outcome.code == 2
    assert (mine / "config.json").read_bytes() == (corpus / "linear.json").read_bytes()


def test_two_runs_in_one_folder(corpus: Path, linnaea: Call) -> None:
    from linnaea.run_folder import RunFolder

    with RunFolder.open(corpus / "run", resume=False, overwrite=False):
        outcome = linnaea("train", "linear.json")
    assert outcome.code == 2
    assert "another run is writing here" in outcome.err
    assert linnaea("train", "linear.json").code == 0


@pytest.mark.parametrize(
    "line", ["trian", "train", "train a.json --bogus", "train a.json --resume --overwrite", "predict"]
)
def test_usage_errors_are_one_line(line: str, linnaea: Call) -> None:
    outcome = linnaea(*line.split())
    assert outcome.code == 2
    assert len(outcome.err.splitlines()) == 1
    assert outcome.err.startswith("error: ")


def test_no_category_with_two_documents(corpus: Path, linnaea: Call) -> None:
    write_lines(
        corpus / "train.jsonl",
        [{"text": "a b", "doc_label": ["animals--cats"]}, {"text": "c d", "doc_label": ["plants"]}],
    )
    config = json.loads((corpus / "linear.json").read_text())
    del config["data"]["dev"]
    (corpus / "nodev.json").write_text(json.dumps(config))
    outcome = linnaea("train", "nodev.json")
    assert outcome.code == 3, outcome.err
    assert outcome.err.count("error:") == 1


def test_accepted_oddities(corpus: Path, linnaea: Call) -> None:
    """BOM, CRLF, gzip, an empty document, only unknown words, no labels, a label twice."""
    lines = (corpus / "train.jsonl").read_bytes().splitlines()
    odd = [
        b'{"text": "", "doc_label": ["plants"]}',
        b'{"text": "zzyzx qwrtp", "doc_label": []}',
        b'{"text": "meow purr", "doc_label": ["animals--cats", "cats", "animals--cats"]}',
        b'{"doc_token": [], "doc_label": []}',
    ]
    with gzip.open(corpus / "odd.jsonl.gz", "wb") as file:
        file.write(b"\xef\xbb\xbf" + b"\r\n".join(lines + odd) + b"\r\n")
    for config in ("linear.json", "textcnn.json", "fasttext.json"):
        outcome = linnaea(
            "train", config, "--set", "data.train=odd.jsonl.gz", "--set", f"run.dir=odd-{config}"
        )
        assert outcome.code == 0, outcome.err
    (corpus / "p.jsonl").write_text('{"text": ""}\n{"text": "zzyzx"}\n{"doc_token": []}\n')
    for config in ("linear.json", "textcnn.json", "fasttext.json"):
        predicted = linnaea("predict", f"odd-{config}", "p.jsonl", "--all")
        assert predicted.code == 0, predicted.err
        assert "NaN" not in predicted.out
        assert len(predicted.out.splitlines()) == 3


def test_one_category(corpus: Path, linnaea: Call) -> None:
    (corpus / "taxonomy.tsv").write_text("Root\tcats\n")
    for name in ("train", "dev", "test"):
        rows = [
            {"text": "meow purr" if i % 2 else "bark wag", "doc_label": ["cats"] if i % 2 else []}
            for i in range(20)
        ]
        write_lines(corpus / f"{name}.jsonl", rows)
    for kind in ("hierarchical", "binary"):
        outcome = linnaea(
            "train", "fasttext.json", "--set", f"task.type={kind}", "--set", f"run.dir={kind}", "--json"
        )
        assert outcome.code == 0, outcome.err
        assert outcome.json()["micro"]["f1"] == 1.0


@pytest.fixture
def model(corpus: Path, linnaea: Call) -> Path:
    assert linnaea("train", "fasttext.json", "--set", "training.epochs=1").code == 0
    return corpus / "run" / "model"


def test_model_folder_truncated_or_altered(model: Path, corpus: Path, linnaea: Call) -> None:
    files = [p for p in sorted(model.rglob("*")) if p.is_file() and p.name != "README.md"]
    assert {p.name for p in files} >= {"model.json", "taxonomy.json", "weights.safetensors", "decision.json"}
    for path in files:
        whole = path.read_bytes()
        flipped = bytearray(whole)
        flipped[len(whole) // 2] ^= 1
        for broken in (whole.rstrip()[:-1], whole[: len(whole) // 2], b"", bytes(flipped)):
            path.write_bytes(broken)
            outcome = linnaea("predict", "run", "test.jsonl")
            assert outcome.code == 3, (path, outcome.err)
            assert path.name in outcome.err or "model.json" in outcome.err
        path.unlink()
        assert linnaea("predict", "run", "test.jsonl").code == 3
        path.write_bytes(whole)
    assert linnaea("predict", "run", "test.jsonl").code == 0


def test_model_of_a_newer_format(model: Path, linnaea: Call) -> None:
    about = json.loads((model / "model.json").read_text())
    about["format"] = 99
    (model / "model.json").write_text(json.dumps(about))
    outcome = linnaea("predict", "run", "test.jsonl")
    assert outcome.code == 3
    assert "format 99" in outcome.err


def test_no_model(corpus: Path, linnaea: Call) -> None:
    assert linnaea("predict", "nowhere", "test.jsonl").code == 3
    assert linnaea("predict", corpus, "test.jsonl").code == 3


def test_vectors_of_the_wrong_width(corpus: Path, linnaea: Call) -> None:
    (corpus / "vectors.txt").write_text("meow " + " ".join(["0.1"] * 16) + "\npurr 0.1 0.2\n")
    outcome = linnaea("train", "textcnn.json", "--set", "model.embedder.pretrained=vectors.txt")
    assert outcome.code == 3, outcome.err
    assert "vectors.txt:2" in outcome.err


def test_disk_full_while_saving(corpus: Path, linnaea: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    from linnaea.text.featurizer import Featurizer

    def full(self: object, folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Featurizer, "save", full)
    outcome = linnaea("train", "linear.json")
    assert outcome.code == 1
    assert "no space left" in outcome.err
    assert not (corpus / "run" / "model").exists()
    assert not list((corpus / "run").glob(".model*"))


def test_help_and_check_stay_light(corpus: Path) -> None:
    """``--help`` and ``check`` load neither torch nor scikit-learn."""
    program = (
        "import sys; sys.argv = ['linnaea', *sys.argv[1:]]\n"
        "from linnaea.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit as leaving:\n    code = leaving.code\n"
        "heavy = [m for m in ('torch', 'sklearn', 'scipy', 'lightning_fabric', 'pandas') if m in sys.modules]\n"
        "sys.exit(f'{heavy}' if heavy else code)\n"
    )
    for arguments in (["--help"], ["check", "textcnn.json"], ["schema"], ["taxonomy", "taxonomy.tsv"]):
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments], capture_output=True, text=True, cwd=corpus
        )
        assert done.returncode == 0, done.stderr


def test_what_this_machine_lacks_is_told_before_reading(corpus: Path, linnaea: Call) -> None:
    (corpus / "train.jsonl").write_text("not even JSON")
    missing = linnaea("train", "fasttext.json", "--set", "model.embedder.pretrained=none.txt")
    assert missing.code == 3
    assert "none.txt" in missing.err
    assert "model.embedder.pretrained" in missing.err
    import torch

    if not torch.backends.mps.is_available():
        device = linnaea("train", "fasttext.json", "--set", "run.device=mps")
        assert device.code == 2
        assert "run.device" in device.err
    assert not (corpus / "run").exists()
