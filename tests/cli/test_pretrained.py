"""A pretrained transformer from the command line: train, predict without its folder, what is refused."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from linnaea.config.config import Config
from linnaea.config.encoders_pretrained import ARCHITECTURES
from linnaea.strategies import trainer
from linnaea.training.loop import fit
from tests.tiny_bert import change_config, make_folder

from .conftest import WORDS

Call = Callable[..., Any]


@pytest.fixture
def bert(corpus: Path) -> Path:
    """A tiny BERT beside the corpus, and a config that trains it."""
    folder = make_folder(corpus / "bert", " ".join(WORDS.values()).split())
    config = json.loads((corpus / "textcnn.json").read_text())
    config["model"] = {"encoder": {"type": "pretrained", "path": "bert", "learning_rate": 0.005}}
    config["training"]["epochs"] = 4
    (corpus / "bert.json").write_text(json.dumps(config))
    return folder


def test_train_and_predict_without_the_transformer(bert: Path, corpus: Path, linnaea: Call) -> None:
    checked = linnaea("check", "bert.json")
    assert checked.code == 0, checked.out
    assert "pretrained + linear" in checked.out
    trained = linnaea("train", "bert.json", "--json")
    assert trained.code == 0, trained.err
    assert trained.json()["micro"]["f1"] > 0.8
    resolved = json.loads((corpus / "run" / "config.json").read_text())
    assert resolved["input"]["tokenizer"] == {"type": "pretrained", "path": str(bert)}
    assert "embedder" not in resolved["model"] and "vocabulary" not in resolved["input"]
    predicted = linnaea("predict", "run", "test.jsonl")
    model = corpus / "elsewhere"
    shutil.copytree(corpus / "run" / "model", model)
    files = {path.relative_to(model).as_posix() for path in model.rglob("*") if path.is_file()}
    assert {"transformer.json", "input/tokenizer.json", "weights.safetensors"} <= files
    assert not any(file.endswith((".bin", ".pkl", ".py")) for file in files)
    assert str(corpus) not in "".join(p.read_text() for p in model.rglob("*.json"))
    shutil.rmtree(bert)
    shutil.rmtree(corpus / "run")
    alone = linnaea("predict", "elsewhere", "test.jsonl")
    assert alone.code == 0, alone.err
    assert alone.out == predicted.out
    assert len(alone.out.splitlines()) == 40
    evaluated = linnaea("evaluate", "elsewhere", "test.jsonl", "--json")
    assert evaluated.json() == {k: v for k, v in trained.json().items() if k not in ("split", "baseline")}


@pytest.mark.parametrize("rate", [0.0005, None])
def test_one_network_a_category(bert: Path, corpus: Path, linnaea: Call, rate: float | None) -> None:
    """What is inherited keeps the transformer's own rate, whatever the others have."""
    rates: list[dict[str, float]] = []
    strategy = {"type": "per_category", "executor": "local", "workers": 1, "transferred_learning_rate": rate}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "fit", lambda *a, **k: (rates.append(k["learning_rates"]), fit(*a, **k))[1])
        trained = linnaea("train", "bert.json", "--set", f"training.strategy={json.dumps(strategy)}")
    assert trained.code == 0, trained.err
    assert all(found["encoder.transformer"] == 0.005 for found in rates)
    assert sum("encoder" in found for found in rates) == (0 if rate is None else 3), "children, of four"
    assert linnaea("predict", "run", "test.jsonl").code == 0


def test_loading_touches_no_network(bert: Path, corpus: Path, linnaea: Call) -> None:
    assert linnaea("train", "bert.json", "--set", "training.epochs=1").code == 0
    shutil.rmtree(bert)
    script = """
import socket
def refused(*_, **__):
    raise AssertionError("a connection was tried")
socket.socket.connect = socket.socket.connect_ex = socket.create_connection = socket.getaddrinfo = refused
import linnaea
print(next(linnaea.load("run").predict(["purr meow"])).to_json()["categories"] is not None)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "True"


def test_a_resumed_run_equals_one_that_never_stopped(bert: Path, corpus: Path, linnaea: Call) -> None:
    whole = linnaea("train", "bert.json", "--set", "run.dir=whole", "--json")
    assert whole.code == 0, whole.err
    weights = (corpus / "whole" / "model" / "weights.safetensors").read_bytes()
    import linnaea.training.loop as loop

    kept, steps = loop._Training._step, []

    def interrupting(self: Any, documents: int) -> None:
        kept(self, documents)
        steps.append(documents)
        if len(steps) == 15:
            self._stop = True

    loop._Training._step = interrupting  # type: ignore[method-assign]
    try:
        stopped = linnaea("train", "bert.json")
    finally:
        loop._Training._step = kept  # type: ignore[method-assign]
    assert stopped.code == 130, stopped.err
    resumed = linnaea("train", "bert.json", "--resume", "--json")
    assert resumed.code == 0, resumed.err
    assert resumed.json() == whole.json()
    assert (corpus / "run" / "model" / "weights.safetensors").read_bytes() == weights


def without_weights(bert: Path) -> None:
    (bert / "model.safetensors").unlink()


def without_tokenizer(bert: Path) -> None:
    (bert / "tokenizer.json").unlink()


def broken_tokenizer(bert: Path) -> None:
    (bert / "tokenizer.json").write_text('{"model": 3}')


def without_config(bert: Path) -> None:
    (bert / "config.json").unlink()


def decoder(bert: Path) -> None:
    change_config(bert, model_type="gpt2")


def seq2seq(bert: Path) -> None:
    change_config(bert, model_type="t5", is_encoder_decoder=True)


def bert_as_decoder(bert: Path) -> None:
    change_config(bert, is_decoder=True)


def picture(bert: Path) -> None:
    change_config(bert, model_type="vit")


def no_transformer(bert: Path) -> None:
    (bert / "config.json").write_text('{"layers": 3}')


BROKEN: list[tuple[Callable[[Path], None], str]] = [
    (without_weights, "bert: holds no weights"),
    (without_tokenizer, "bert: holds no tokenizer.json"),
    (broken_tokenizer, "tokenizer.json: is no tokenizer that can be read"),
    (without_config, "config.json: no such file"),
    (decoder, "config.json: 'gpt2' is no encoder of texts that is read here"),
    (seq2seq, "config.json: 't5' is an encoder with a decoder; only encoders are read"),
    (bert_as_decoder, "config.json: this 'bert' is a decoder; only encoders are read"),
    (picture, "config.json: 'vit' is no encoder of texts"),
    (no_transformer, 'config.json: is no config.json of a transformer: it names no "model_type"'),
    (shutil.rmtree, "no such folder"),
]


@pytest.mark.parametrize(("damage", "message"), BROKEN, ids=[one.__name__ for one, _ in BROKEN])
def test_what_is_no_transformer_is_told_before_training(
    damage: Callable[[Path], None], message: str, bert: Path, corpus: Path, linnaea: Call
) -> None:
    damage(bert)
    path = ["--set", f"model.encoder.path={bert}"]
    config = json.loads((corpus / "bert.json").read_text())
    config["model"]["encoder"]["path"] = str(bert)
    (corpus / "bert.json").write_text(json.dumps(config))
    checked = linnaea("check", "bert.json")
    assert checked.code == 3
    assert message in checked.out
    trained = linnaea("train", "bert.json", *path)
    assert trained.code == 3
    assert message in trained.err
    assert len(trained.err.strip().splitlines()) == 1
    assert not (corpus / "run").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["model.encoder.top_layers=2"],
            'model.encoder.top_layers: acts only with "train": "top" (leave it out)',
        ),
        (["model.encoder.train=top"], 'model.encoder.top_layers: "train": "top" needs it'),
        (["model.encoder.train=top", "model.encoder.top_layers=9"], "this transformer has 2 layers, not 9"),
        (["model.encoder.train=none"], 'model.encoder.learning_rate: does nothing with "train": "none"'),
        (["model.encoder.overlap=2"], 'model.encoder.overlap: acts only with "long_texts": "chunks"'),
        (
            ["model.encoder.long_texts=chunks"],
            "model.encoder.overlap: must be below the window of 22, not 32",
        ),
        (
            ["model.encoder.long_texts=chunks", "model.encoder.window=23", "model.encoder.overlap=1"],
            "model.encoder.window: this transformer reads 22 pieces at once, not 23",
        ),
        (
            ["model.embedder=lookup"],
            "model.embedder: does nothing here: the encoder 'pretrained' embeds by itself",
        ),
        (["input.vocabulary.min_count=1"], "input.vocabulary: does nothing here"),
        (["input.tokenizer=word"], "input.tokenizer: the encoder 'pretrained' brings the tokenizer of"),
        (
            ['input.tokenizer={"type":"pretrained","path":"other"}'],
            "input.tokenizer: the encoder 'pretrained' brings",
        ),
        (
            ['input.features=["token", "keyword"]'],
            "input.features: the encoder 'pretrained' reads the pieces",
        ),
        (['model.encoder="pretrained"'], "model.encoder.path: this key is missing"),
    ],
)
def test_settings_that_do_nothing_are_refused(
    settings: list[str], message: str, bert: Path, corpus: Path, linnaea: Call
) -> None:
    outcome = linnaea("train", "bert.json", *(part for text in settings for part in ("--set", text)))
    assert outcome.code == 2
    assert message in outcome.err
    assert not (corpus / "run").exists()


def test_the_tokenizer_goes_with_its_encoder(bert: Path, corpus: Path, linnaea: Call) -> None:
    tokenizer = ["--set", 'input.tokenizer={"type": "pretrained", "path": "bert"}']
    for name in ("textcnn", "linear"):
        outcome = linnaea("train", f"{name}.json", *tokenizer)
        assert outcome.code == 2
        assert "input.tokenizer: 'pretrained' goes with the encoder 'pretrained', not with" in outcome.err


def test_weights_of_another_architecture_are_refused(bert: Path, corpus: Path, linnaea: Call) -> None:
    change_config(bert, num_hidden_layers=3)
    outcome = linnaea("train", "bert.json")
    assert outcome.code == 3
    assert "bert: its weights lack 16 that its config.json asks for" in outcome.err


def test_weights_of_another_size_are_refused_before_the_corpus_is_read(
    bert: Path, corpus: Path, linnaea: Call
) -> None:
    change_config(bert, intermediate_size=50)
    (corpus / "train.jsonl").write_text("never read")
    outcome = linnaea("train", "bert.json")
    assert outcome.code == 3
    assert "bert: its weights do not fit its config.json, which asks for " in outcome.err
    assert re.search(r"asks for encoder\.layer\.0\.\S+ of shape \[50(, \d+)?\], not \[", outcome.err)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("overlap=600", "model.encoder.overlap: must be below the window of"),
        ("window=600", "model.encoder.window: this transformer reads"),
        ("top_layers=9", "model.encoder.top_layers: this transformer has 2 layers, not 9"),
    ],
)
def test_what_the_transformer_refuses_is_told_with_the_config(
    setting: str, message: str, bert: Path, corpus: Path, linnaea: Call
) -> None:
    value = json.loads((corpus / "bert.json").read_text())
    key, _, number = setting.partition("=")
    value["model"]["encoder"] |= {key: int(number)}
    value["model"]["encoder"] |= {"train": "top"} if key == "top_layers" else {"long_texts": "chunks"}
    (corpus / "bert.json").write_text(json.dumps(value))
    outcome = linnaea("train", "bert.json")
    assert outcome.code == 2
    assert f"error: bert.json: {message}" in outcome.err


def test_a_path_that_is_no_folder_is_noted_as_a_name_on_the_hub(
    bert: Path, corpus: Path, linnaea: Call
) -> None:
    value = json.loads((corpus / "bert.json").read_text())
    value["model"]["encoder"]["path"] = "nowhere"
    (corpus / "bert.json").write_text(json.dumps(value))
    outcome = linnaea("check", "bert.json")
    assert outcome.code == 0, outcome.out
    assert "nowhere is no folder here: it is looked for on the hub when training begins" in outcome.out


def test_a_tokenizer_of_another_transformer_is_refused(bert: Path, corpus: Path, linnaea: Call) -> None:
    change_config(bert, vocab_size=20)
    outcome = linnaea("train", "bert.json")
    assert outcome.code == 3
    assert "and the transformer knows 20: it belongs to another one" in outcome.err


def test_the_page_holds() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "pretrained.md").read_text(encoding="utf-8")
    blocks = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", page, flags=re.S)]
    assert len(blocks) == 2
    for block in blocks:
        Config.build(block if "model" in block else {"model": {"encoder": block}})
    for name in ARCHITECTURES:
        assert re.search(rf"[ \n]{name}[,. ]", page), name
