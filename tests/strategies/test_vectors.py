"""Embedders and inputs from documents to a saved scorer: what is trained is what is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from linnaea.strategies.build import build_strategy, load_scorer
from linnaea.strategies.network import NetworkScorer
from linnaea.text.featurizer import Featurizer

from .toys import corpus, joint_config, run_folder

PARTS: dict[str, dict[str, Any]] = {
    "regions": {"model": {"embedder": {"type": "region", "dimension": 8}, "encoder": "region"}},
    "textcnn on regions": {
        "model": {
            "embedder": {"type": "region", "dimension": 8, "kind": "context_word", "position": "sinusoid"},
            "encoder": {"type": "textcnn", "filters": 6},
        }
    },
    "learned positions": {
        "model": {
            "embedder": {"dimension": 8, "position": "learned"},
            "encoder": {"type": "textcnn", "filters": 6},
        },
        "input": {"max_tokens": 12},
    },
    "characters": {
        "model": {"embedder": {"dimension": 8}, "encoder": {"type": "textcnn", "filters": 6}},
        "input": {"features": ["char"]},
    },
    "tokens and spelling": {
        "model": {"embedder": {"dimension": 8}, "encoder": {"type": "textcnn", "filters": 6}},
        "input": {"features": ["token", "spelling"], "spelling": {"max_characters": 5}},
    },
    "spelling": {
        "model": {"encoder": {"type": "textcnn", "filters": 6}},
        "input": {"features": ["spelling"]},
    },
}


@pytest.mark.parametrize("sparse", ["auto", True])
@pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS)
def test_trained_saved_and_loaded(tmp_path: Path, parts: dict[str, Any], sparse: bool | str) -> None:
    training = {"epochs": 2, "batch_size": 8, "sparse_gradients": sparse}
    config = joint_config(**parts, training=training)
    made = corpus(config)
    before = torch.get_rng_state()
    scorer = build_strategy(config).fit(made, run_folder(tmp_path / "run")).scorer
    assert isinstance(scorer, NetworkScorer)
    made.featurizer.save(tmp_path / "input")
    scorer.save(tmp_path)
    featurizer = Featurizer.load(tmp_path / "input", config.input)
    loaded = load_scorer("network", tmp_path, config, made.taxonomy, featurizer)
    assert made.test is not None
    expected = scorer.score(made.test).scores
    np.testing.assert_array_equal(loaded.score(made.test).scores, expected)
    # A document alone has the scores that it has among others.
    alone = [loaded.score(made.test.take(np.array([row]))).scores for row in range(5)]
    np.testing.assert_allclose(np.concatenate(alone), expected[:5], rtol=0, atol=1e-5)
    torch.set_rng_state(before)
