"""A pretrained transformer in training: its weights come in whole, what is frozen stays, rates act where they belong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from linnaea.config.config import Config
from linnaea.errors import DataError, ModelError
from linnaea.nn.encoders.pretrained import Pretrained
from linnaea.strategies.build import build_strategy, load_scorer
from linnaea.strategies.network import NetworkScorer
from linnaea.strategies.transformers import fill
from linnaea.text.pretrained import TransformerFolder
from tests.tiny_bert import make_folder

from .toys import FILLER, WORDS, corpus, joint_config, run_folder

transformers = pytest.importorskip("transformers", reason="transformers is not installed")


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "bert", [*" ".join(WORDS.values()).split(), *FILLER])


def config_of(bert: Path, training: dict[str, Any] | None = None, **encoder: Any) -> Config:
    return joint_config(
        input={},
        model={"encoder": {"type": "pretrained", "path": str(bert), **encoder}},
        training={"epochs": 2, "batch_size": 8, **(training or {})},
    )


def fitted(config: Config, folder: Path, **sizes: int) -> NetworkScorer:
    scorer = build_strategy(config).fit(corpus(config, **sizes), run_folder(folder)).scorer
    assert isinstance(scorer, NetworkScorer)
    return scorer


def transformer_of(scorer: NetworkScorer) -> dict[str, torch.Tensor]:
    return scorer.network.encoder.transformer.state_dict()  # type: ignore[union-attr, no-any-return]


def weights_in(bert: Path) -> dict[str, torch.Tensor]:
    """As the library itself reads them, without the pooler."""
    state = transformers.AutoModel.from_pretrained(bert).float().state_dict()
    return {name: tensor for name, tensor in state.items() if not name.startswith("pooler")}


def as_it_is(bert: Path) -> None:
    pass


def with_a_prefix(bert: Path) -> None:
    """As of a BERT that was saved with the head it was trained with."""
    state = load_file(bert / "model.safetensors")
    named = {f"bert.{name}": tensor for name, tensor in state.items()} | {"cls.bias": torch.zeros(3)}
    save_file(named, bert / "model.safetensors", {"format": "pt"})


def half(bert: Path) -> None:
    state = {name: tensor.half() for name, tensor in load_file(bert / "model.safetensors").items()}
    save_file(state, bert / "model.safetensors", {"format": "pt"})


def pickled(bert: Path) -> None:
    torch.save(load_file(bert / "model.safetensors"), bert / "pytorch_model.bin")
    (bert / "model.safetensors").unlink()


def in_shards(bert: Path) -> None:
    state = load_file(bert / "model.safetensors")
    (bert / "model.safetensors").unlink()
    names = sorted(state)
    parts = {"model-1.safetensors": names[::2], "model-2.safetensors": names[1::2]}
    for file, held in parts.items():
        save_file({name: state[name] for name in held}, bert / file, {"format": "pt"})
    index = {"metadata": {}, "weight_map": {name: file for file, held in parts.items() for name in held}}
    (bert / "model.safetensors.index.json").write_text(json.dumps(index))


FORMS = [as_it_is, with_a_prefix, half, pickled, in_shards]


@pytest.mark.parametrize("form", FORMS, ids=[form.__name__ for form in FORMS])
def test_frozen_weights_are_those_of_the_folder(form: Any, bert: Path, tmp_path: Path) -> None:
    form(bert)
    config = config_of(bert, train="none")
    scorer = fitted(config, tmp_path / "run")
    expected = weights_in(bert)
    found = transformer_of(scorer)
    assert set(found) == set(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == torch.float32
        assert torch.equal(found[name], tensor), name


def test_code_in_weights_is_not_run(bert: Path, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path(tmp_path / "ran").touch, ())

    (bert / "model.safetensors").unlink()
    torch.save({"embeddings.word_embeddings.weight": Evil()}, bert / "pytorch_model.bin")
    with pytest.raises(DataError, match="its weights cannot be read"):
        fitted(config_of(bert), tmp_path / "run")
    assert not (tmp_path / "ran").exists()


def test_only_the_top_learns(bert: Path, tmp_path: Path) -> None:
    found = transformer_of(fitted(config_of(bert, train="top", top_layers=1), tmp_path / "run"))
    changed = {name for name, tensor in weights_in(bert).items() if not torch.equal(found[name], tensor)}
    assert changed
    assert all(name.startswith("encoder.layer.1.") for name in changed)


def test_the_transformer_learns_at_its_own_rate(bert: Path, tmp_path: Path) -> None:
    before = weights_in(bert)
    optimizer = {"type": "sgd", "learning_rate": 0.1}
    moved = {}
    for rate in (1e-4, 1e-3):
        training = {"optimizer": optimizer, "epochs": 1, "early_stopping": None, "batch_size": 48}
        scorer = fitted(config_of(bert, training, learning_rate=rate), tmp_path / f"run{rate}")
        moved[rate] = {name: tensor - before[name] for name, tensor in transformer_of(scorer).items()}
    for name, change in moved[1e-3].items():
        # One step of SGD: ten times the rate, ten times as far.
        torch.testing.assert_close(moved[1e-4][name] * 10, change, rtol=0.05, atol=2e-6)
    assert max(change.abs().max() for change in moved[1e-3].values()) > 1e-5


def test_layer_decay_slows_the_lower_layers(bert: Path, tmp_path: Path) -> None:
    training = {"epochs": 1, "early_stopping": None, "batch_size": 48}
    far = {}
    for decay in (1.0, 0.1):
        found = transformer_of(fitted(config_of(bert, training, layer_decay=decay), tmp_path / f"run{decay}"))
        name = "encoder.layer.{}.output.dense.bias"
        before = weights_in(bert)
        far[decay] = [(found[name.format(i)] - before[name.format(i)]).abs().mean().item() for i in (0, 1)]
    # Adam's first step goes as far as the rate is high.
    assert far[0.1][0] == pytest.approx(0.1 * far[1.0][0], rel=0.05)
    assert far[0.1][1] == pytest.approx(far[1.0][1], rel=0.05)


@pytest.mark.parametrize("pooling", ["cls", "mean", "attention"])
@pytest.mark.parametrize("long_texts", ["cut", "chunks"])
def test_learns_and_is_loaded_again(pooling: str, long_texts: str, bert: Path, tmp_path: Path) -> None:
    chunks = {"window": 8, "overlap": 2} if long_texts == "chunks" else {}
    settings = {"pooling": pooling, "long_texts": long_texts, "learning_rate": 0.005, **chunks}
    config = config_of(bert, {"epochs": 5, "optimizer": {"type": "adam", "learning_rate": 0.02}}, **settings)
    made = corpus(config)
    scorer = build_strategy(config).fit(made, run_folder(tmp_path / "run")).scorer
    assert made.test is not None
    assert made.test.labels is not None
    scores = scorer.score(made.test).scores
    gold = np.zeros(scores.shape, dtype=bool)
    for row in range(len(gold)):
        gold[row, made.test.labels[row]] = True
    assert scores[gold].mean() > scores[~gold].mean() + 0.3
    folder = tmp_path / "model"
    folder.mkdir()
    scorer.save(folder)
    for file in bert.iterdir():
        file.unlink()
    loaded = load_scorer("network", folder, config, made.taxonomy, made.featurizer, device="cpu")
    assert (loaded.score(made.test).scores == scores).all()


def test_a_damaged_shape_is_told(bert: Path, tmp_path: Path) -> None:
    config = config_of(bert, {"epochs": 1})
    made = corpus(config)
    scorer = build_strategy(config).fit(made, run_folder(tmp_path / "run")).scorer
    scorer.save(tmp_path)
    shape = json.loads((tmp_path / "transformer.json").read_text())
    assert "_name_or_path" not in shape["architecture"]
    damaged = [
        ({}, "describes no transformer"),
        ({**shape, "before": ["x"]}, "describes no transformer"),
        ({**shape, "architecture": {"model_type": "gpt2"}}, "the architecture 'gpt2' is not among"),
        ({**shape, "architecture": {**shape["architecture"], "hidden_size": 30}}, "is float32 "),
    ]
    for value, message in damaged:
        (tmp_path / "transformer.json").write_text(json.dumps(value))
        with pytest.raises(ModelError, match=message):
            load_scorer("network", tmp_path, config, made.taxonomy, made.featurizer, device="cpu")
    (tmp_path / "transformer.json").unlink()
    with pytest.raises(ModelError, match=r"transformer\.json: no such file"):
        load_scorer("network", tmp_path, config, made.taxonomy, made.featurizer, device="cpu")


def test_cut_documents_are_told(bert: Path, tmp_path: Path) -> None:
    from tests.strategies.test_joint import Hearer

    short = make_folder(
        tmp_path / "short", [*" ".join(WORDS.values()).split(), *FILLER], max_position_embeddings=9
    )
    for path, told in ((bert, False), (short, True)):
        hearer, config = Hearer(), config_of(path, {"epochs": 1})
        build_strategy(config).fit(corpus(config), run_folder(tmp_path / f"run{told}"), reporter=hearer)
        assert any("train documents are cut at 7 pieces" in note for note in hearer.notes) == told


def test_weights_that_fit_no_shape(bert: Path) -> None:
    config = config_of(bert)
    from linnaea.nn.network import Sizes
    from linnaea.strategies.transformers import shape_of
    from linnaea.text.pretrained import Pieces

    folder = TransformerFolder.open(str(bert))
    shape = shape_of(folder, Pieces.read(bert / "tokenizer.json"))
    made = corpus(config)
    wide = {**shape, "architecture": {**shape["architecture"], "intermediate_size": 50}}
    sizes = Sizes({}, made.taxonomy, np.zeros(7), 1, wide)
    encoder = Pretrained(config.model.encoder, sizes=sizes)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"config.json, which asks for \S+ of shape \[50"):
        fill(encoder, folder)
    (bert / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(DataError, match="its weights cannot be read"):
        fill(Pretrained(config.model.encoder, sizes=Sizes({}, made.taxonomy, np.zeros(7), 1, shape)), folder)  # type: ignore[arg-type]
