"""The model folder: what is written comes back, and nothing altered is ever loaded in silence."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import linnaea
from linnaea.errors import ConfigError, LinnaeaError, ModelError
from linnaea.files import sha256

DOCUMENTS = [
    {"text": text, "labels": labels}
    for text, labels in [("meow purr", ["a--b"]), ("bark wag", ["a--c"]), ("oak leaf", ["d"]), ("rain", [])]
    * 6
]
CONFIGS: dict[str, dict[str, Any]] = {
    "linear": {"training": {"strategy": "linear"}, "input": {"vocabulary": {"min_count": 1}}},
    "fasttext": {
        "input": {
            "features": ["token", "ngram", "char_ngram"],
            "ngram": {"buckets": 50},
            "char_ngram": {"buckets": 50},
        },
        "model": {"embedder": {"type": "lookup", "dimension": 4}, "encoder": "fasttext"},
        "training": {"epochs": 1},
    },
    "textcnn": {
        "input": {"features": ["char"]},
        "model": {
            "embedder": {"type": "lookup", "dimension": 4},
            "encoder": {"type": "textcnn", "filters": 4},
        },
        "training": {"epochs": 1},
    },
}


def made(name: str, folder: Path, **more: Any) -> linnaea.Result:
    return linnaea.train(
        {**CONFIGS[name], **more, "run": {"dir": str(folder)}}, train=DOCUMENTS, dev=DOCUMENTS[:8]
    )


@pytest.mark.parametrize("name", CONFIGS)
def test_round_trip(name: str, tmp_path: Path) -> None:
    """Saved again, a loaded model gives the same files; its scores are bit-equal."""
    model = made(name, tmp_path / "run").model
    model.save(tmp_path / "again")
    other = linnaea.load(tmp_path / "again")
    texts = ["meow meow oak", "", "never seen words", "bark"]
    assert np.array_equal(model.scores(texts), other.scores(texts))
    assert list(model.predict(texts)) == list(other.predict(texts))
    for path in (tmp_path / "again").rglob("*"):
        if path.is_file():
            twin = tmp_path / "run" / "model" / path.relative_to(tmp_path / "again")
            assert sha256(path) == sha256(twin), path.name


@pytest.mark.parametrize("name", ["linear", "fasttext"])
def test_no_byte_is_altered_in_silence(name: str, tmp_path: Path) -> None:
    """A changed or missing byte anywhere but in the card is a ModelError, never another error, never a model."""
    made(name, tmp_path / "run")
    folder = tmp_path / "run" / "model"
    draw = random.Random(7)
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "README.md"):
        whole = path.read_bytes()
        places = {0, len(whole) // 2, len(whole) - 2, *(draw.randrange(len(whole) - 1) for _ in range(12))}
        for place in places:
            broken = bytearray(whole)
            broken[place] ^= 1 << draw.randrange(7)
            path.write_bytes(bytes(broken))
            with pytest.raises(ModelError):
                linnaea.load(folder)
        for length in {0, 1, len(whole) // 3, len(whole) - 2}:
            path.write_bytes(whole[:length])
            with pytest.raises(ModelError):
                linnaea.load(folder)
        path.write_bytes(whole)
    linnaea.load(folder)


def test_a_card_may_be_written_on(tmp_path: Path) -> None:
    made("linear", tmp_path / "run")
    card = tmp_path / "run" / "model" / "README.md"
    assert "4 categories" in card.read_text()
    card.write_text(card.read_text() + "\nReviewed by the medical board.\n")
    linnaea.load(tmp_path / "run")


def test_the_card_of_an_ensemble_names_its_members(tmp_path: Path) -> None:
    letters = {"features": ["char_ngram"], "char_ngram": {"min": 2, "max": 3, "buckets": 0}}
    linear = {"training": {"strategy": "linear"}}
    strategy = {"type": "ensemble", "members": [linear, {**linear, "input": letters}], "blend": "equal"}
    config = {"training": {"strategy": strategy}, "run": {"dir": str(tmp_path / "run")}}
    linnaea.train(config, train=DOCUMENTS, dev=DOCUMENTS[:8])
    card = (tmp_path / "run" / "model" / "README.md").read_text()
    assert "| member 1 | linear over token, ngram: share 0.50 |" in card
    assert "| member 2 | linear over char_ngram: share 0.50 |" in card


def test_nothing_of_the_training_machine_is_inside(tmp_path: Path) -> None:
    """No path of the run, corpus or word vectors goes into a model."""
    (tmp_path / "vectors.txt").write_text("meow 1 2 3 4\noak 4 3 2 1\n")
    files = {key: str(tmp_path / "vectors.txt") for key in ("pretrained", "keyword_pretrained")}
    model = {"embedder": {"type": "lookup", "dimension": 4, **files}, "encoder": "fasttext"}
    config = {
        "input": {"features": ["token", "keyword"]},
        "model": model,
        "training": {"epochs": 1},
        "run": {"dir": str(tmp_path / "run")},
    }
    linnaea.train(
        config,
        train=[{**document, "doc_keyword": ["oak"]} for document in DOCUMENTS],
        dev=DOCUMENTS[:8],
    )
    for path in (tmp_path / "run" / "model").rglob("*"):
        if path.is_file():
            assert str(tmp_path).encode() not in path.read_bytes(), path.name


def test_another_taxonomys_thresholds(tmp_path: Path) -> None:
    """A decision file of another taxonomy is refused even where hashes were made to fit."""
    made("linear", tmp_path / "run")
    folder = tmp_path / "run" / "model"
    decision = json.loads((folder / "decision.json").read_text())
    decision["taxonomy"] = "0" * 64
    (folder / "decision.json").write_text(json.dumps(decision))
    about = json.loads((folder / "model.json").read_text())
    about["files"]["decision.json"] = sha256(folder / "decision.json")
    del about["digest"]
    from linnaea.model.folder import _digest

    (folder / "model.json").write_text(json.dumps({**about, "digest": _digest(about)}))
    with pytest.raises(ModelError, match="taxonomy"):
        linnaea.load(folder)


PLUGIN = '''
from linnaea.config.encoders import EncoderConfig
from linnaea.config.registry import encoders
from linnaea.nn.network import Encoded, SequenceEncoder

@encoders.register("{name}")
class Mean(SequenceEncoder):
    class Config(EncoderConfig):
        """The mean of the token vectors."""

    def __init__(self, config, *, input_dim):
        super().__init__()
        self.output_dim = input_dim

    def encode(self, vectors_BTE, mask_BT):
        total = (vectors_BTE * mask_BT[..., None]).sum(1)
        return Encoded(total / mask_BT.sum(1, keepdim=True).clamp(min=1))
'''


def test_plugins_are_named_but_never_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import subprocess
    import sys

    (tmp_path / "mean_encoder.py").write_text(PLUGIN.format(name="mean_of_vectors"))
    monkeypatch.chdir(tmp_path)
    made("textcnn", tmp_path / "run", model={"encoder": "mean_of_vectors"}, plugins=["mean_encoder.py"])
    shutil.copytree(tmp_path / "run" / "model", tmp_path / "shipped")
    program = (
        "import sys, linnaea\nfrom linnaea.errors import ModelError\n"
        "try:\n    linnaea.load('shipped')\n    sys.exit('loaded without its plug-in')\n"
        "except ModelError as error:\n    assert 'plugins=[' in str(error), error\n"
        "assert not any('mean_encoder' in name for name in sys.modules)\n"
        "model = linnaea.load('shipped', plugins=['mean_encoder.py'])\n"
        "assert model.scores(['meow']).shape == (1, 4)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_predict_refuses_one_string(tmp_path: Path) -> None:
    model = made("linear", tmp_path / "run").model
    with pytest.raises(LinnaeaError, match="one string"):
        list(model.predict("meow"))
    with pytest.raises(ConfigError):
        linnaea.train({"training": {"strategy": "linear"}, "run": {"dir": str(tmp_path / "x")}})
    assert not (tmp_path / "x").exists()
