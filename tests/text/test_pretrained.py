"""The tokenizer of a pretrained transformer, and its folder: pieces and ids, what is saved, what is fetched."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from linnaea.config.config import Config
from linnaea.config.task import DataConfig, InputConfig
from linnaea.corpus.document import Document
from linnaea.errors import DataError, MissingExtraError, ModelError
from linnaea.text import pretrained
from linnaea.text.cache import Source
from linnaea.text.featurizer import Featurizer
from linnaea.text.pretrained import Pieces, TransformerFolder, is_hub_name
from linnaea.text.workers import Job, encode_chunks
from tests.tiny_bert import SPECIAL, make_folder, write_tokenizer

tokenizers = pytest.importorskip("tokenizers", reason="tokenizers is not installed")

PIECES = [*SPECIAL, "the", "cat", "sat", "##s", "[", "]", "sep", "é", "mat"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_tokenizer(tmp_path / "bert", PIECES)
    return tmp_path / "bert"


def read(folder: Path, **settings: Any) -> InputConfig:
    return InputConfig.read({"tokenizer": {"type": "pretrained", "path": str(folder)}, **settings})


def document(text: Any) -> Document:
    return Document("", text, None)


def test_pieces_and_ids(folder: Path) -> None:
    pieces = Pieces.read(folder / "tokenizer.json")
    assert pieces("The cats sat, the cat") == ["the", "cat", "##s", "sat", "[UNK]", "the", "cat"]
    # Neither cut at 5 nor padded to 5, as the file would have it; no special token is made of a text.
    assert pieces("cat") == ["cat"]
    assert pieces("the [SEP] mat") == ["the", "[", "sep", "]", "mat"]
    assert pieces("") == []
    assert pieces("the \ud800 cat") == ["the", "cat"]
    assert pieces.rows([["The", "cats"], "sat"]) == [["the", "cat", "##s"], ["sat"]]
    assert pieces.special == ([2], [3])
    assert pieces.vocabulary.ids(PIECES).tolist() == list(range(len(PIECES)))
    assert len(pieces.vocabulary) == len(PIECES)


def test_ids_are_those_of_the_library(folder: Path) -> None:
    plain = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    plain.no_truncation()
    plain.no_padding()
    text = "the mats sat on the cat"
    pieces = Pieces.read(folder / "tokenizer.json")
    ours = pieces.vocabulary.ids(pieces(text)).tolist()
    assert [*pieces.special[0], *ours, *pieces.special[1]] == plain.encode(text).ids


def test_ids_may_have_gaps(tmp_path: Path) -> None:
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 3, "b": 7}, unk_token="a"))
    pieces = Pieces(made.to_str(), "here")
    assert len(pieces.vocabulary) == 8
    assert pieces.vocabulary.ids(["b", "a"]).tolist() == [7, 3]
    assert pieces.special == ([], [])


def test_featurizer_keeps_the_tokenizer(folder: Path, tmp_path: Path) -> None:
    config = read(folder, max_tokens=3)
    fitted = Featurizer.fit(config, [document("cat")])
    assert fitted.sizes == {"token": len(PIECES)}
    texts = [document("the cats sat"), document(""), document(["the", "mats"])]
    split = fitted.encode(texts)
    ids = split.sequence(np.arange(3))
    assert [ids[i].tolist() for i in range(3)] == [[5, 6, 8], [], [5, 13, 8]]
    assert split.count_truncated == 1
    fitted.save(tmp_path / "input")
    for file in folder.iterdir():
        file.unlink()
    loaded = Featurizer.load(tmp_path / "input", read(Path("bert"), max_tokens=3))
    assert loaded.digest == fitted.digest
    again = loaded.encode(texts).sequence(np.arange(3))
    assert again.values.tolist() == ids.values.tolist()
    with pytest.raises(ModelError, match="its digest does not fit"):
        Featurizer.load(tmp_path / "input", read(Path("bert"), max_tokens=4))
    (tmp_path / "input" / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match=r"tokenizer\.json: is no tokenizer that can be read"):
        Featurizer.load(tmp_path / "input", read(Path("bert"), max_tokens=3))


def test_the_cache_goes_by_what_the_tokenizer_holds(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "the cat", "labels": []}\n')

    def key(where: Path) -> str:
        job = Job(DataConfig(), read(where), ("token",), True)
        return Source((str(tmp_path / "a.jsonl"),), job).key()

    write_tokenizer(tmp_path / "copy", PIECES)
    write_tokenizer(tmp_path / "other", [*PIECES, "more"])
    assert key(folder) == key(tmp_path / "copy") != key(tmp_path / "other")


def test_other_processes_cut_the_same(folder: Path, tmp_path: Path) -> None:
    from linnaea.corpus.policy import ErrorPolicy
    from linnaea.corpus.readers import read_chunks

    file = tmp_path / "a.jsonl"
    file.write_text("".join(json.dumps({"text": f"the cat sat {i}", "labels": []}) + "\n" for i in range(50)))
    job = Job(DataConfig(), read(folder), ("token",), True)
    found = []
    for workers in (0, 1):
        chunks = encode_chunks(read_chunks([str(file)], job.data, ErrorPolicy("raise")), job, workers)
        found.append([[chunk.tables["token"], chunk.values["token"].values.tolist()] for chunk, _ in chunks])
    assert found[0] == found[1]


def test_without_the_library(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(
        MissingExtraError, match=r"the tokenizer 'pretrained' needs .*linnaea\[transformers\]"
    ):
        Pieces.read(folder / "tokenizer.json")


@pytest.mark.parametrize("name", ["bert-base-uncased", "sentence-transformers/all-MiniLM-L6-v2"])
def test_names_on_the_hub(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_hub_name(name)
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"model": {"encoder": {"type": "pretrained", "path": name}}}))
    config = Config.load(path)
    assert config.model.encoder.path == config.input.tokenizer.path == name  # type: ignore[attr-defined]
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir(parents=True)
    assert not is_hub_name(name)
    assert Config.load(path).model.encoder.path == str(tmp_path / name)  # type: ignore[attr-defined]
    for other in ("./x", "/x", "a/b/c", "..", "~/x"):
        assert not is_hub_name(other)


@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin"])
def test_a_name_is_fetched_once_and_only_what_is_needed(
    weights: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_folder(tmp_path / "source", ["cat"])
    (source / "model.safetensors").rename(source / weights)
    cache, calls = tmp_path / "cache", []

    def snapshot_download(name: str, *, allow_patterns: list[str], local_files_only: bool = False) -> str:
        calls.append((name, local_files_only))
        assert "*.py" not in allow_patterns
        if not local_files_only:
            cache.mkdir(exist_ok=True)
            for file in source.iterdir():
                if any(file.match(pattern) for pattern in allow_patterns):
                    (cache / file.name).write_bytes(file.read_bytes())
        elif not cache.exists():
            raise FileNotFoundError("not in the cache")
        return str(cache)

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(snapshot_download=snapshot_download))
    pretrained._fetched.cache_clear()
    for _ in range(2):
        opened = TransformerFolder.open("owner/model")
        assert opened.path == cache
        assert opened.architecture["model_type"] == "bert"
    times = 1 if weights == "model.safetensors" else 2
    assert calls == [("owner/model", True), *[("owner/model", False)] * times]
    pretrained._fetched.cache_clear()


def test_a_name_that_the_hub_does_not_give(monkeypatch: pytest.MonkeyPatch) -> None:
    def snapshot_download(*_: Any, **__: Any) -> str:
        raise OSError("offline mode is enabled\nand much more")

    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(snapshot_download=snapshot_download))
    pretrained._fetched.cache_clear()
    with pytest.raises(DataError) as caught:
        TransformerFolder.open("owner/model")
    said = "owner/model: is no folder here, and cannot be fetched from the hub: offline mode is enabled"
    assert str(caught.value) == f"{said} (model.encoder.path names it)"
