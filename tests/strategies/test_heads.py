"""Heads that know the taxonomy, from training to a saved model and to one that grew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from linnaea.errors import ConfigError, UsageError
from linnaea.strategies.build import build_strategy
from linnaea.strategies.growing.network import grown_network
from linnaea.strategies.network import NetworkScorer
from linnaea.taxonomy.taxonomy import Taxonomy
from linnaea.text.build import corpus_from_documents

from .test_grow import joint, trained
from .toys import corpus, documents, joint_config, run_folder

HEADS: dict[str, dict[str, Any]] = {
    "hmcn": {"hidden": 12, "local_hidden": 9},
    "label_attention": {},
    "hiagm_tp": {"dimension": 8, "structure": "tree_lstm"},
    "hiagm_la": {"dimension": 8},
}


def model(name: str) -> dict[str, Any]:
    encoder = {"type": "textrnn", "hidden": 8}
    return {
        "embedder": {"type": "lookup", "dimension": 16},
        "encoder": encoder,
        "head": {"type": name, **HEADS[name]},
    }


@pytest.mark.parametrize("weights", [None, "balanced"])
@pytest.mark.parametrize("name", HEADS)
def test_a_loaded_scorer_scores_as_the_trained_one(name: str, weights: Any, tmp_path: Path) -> None:
    config = joint_config(model=model(name), objective={"class_weights": weights})
    made = corpus(config)
    scorer = build_strategy(config).fit(made, run_folder(tmp_path / "run")).scorer
    assert isinstance(scorer, NetworkScorer)
    scorer.save(tmp_path)
    loaded = NetworkScorer.load(tmp_path, config, made.taxonomy, made.featurizer, device="cpu")
    scores = np.asarray(scorer.score(made.test).scores)
    assert np.array_equal(np.asarray(loaded.score(made.test).scores), scores)
    assert np.isfinite(scores).all() and scores.std() > 0


@pytest.mark.parametrize("name", ["hmcn", "label_attention"])
def test_rows_of_categories_grow(name: str, tmp_path: Path) -> None:
    """What is kept has the logits that it had."""
    old = trained(joint(model=model(name)), tmp_path)
    before, growth = old.scorer.network.eval(), old.plan()
    after = grown_network(old.config, before, growth, old.corpus).eval()
    fitted = set(growth.reasons)
    for rows, old_rows in zip(after.head.category_rows(), before.head.category_rows(), strict=True):
        for column, place in enumerate(old.change.old_C.tolist()):
            if column not in fitted:
                assert torch.equal(rows[column], old_rows[place])
    scorer = old.fit(growth)[0]
    kept = [c for c in range(len(old.change.new)) if c not in fitted]
    places = old.change.old_C[kept]
    scores, were = (np.asarray(s.score(old.corpus.test).scores) for s in (scorer, old.scorer))
    np.testing.assert_allclose(scores[:, kept], were[:, places], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["hiagm_tp", "hiagm_la"])
def test_what_passes_along_the_taxonomy_does_not_grow(name: str, tmp_path: Path) -> None:
    old = trained(joint(model=model(name)), tmp_path)
    with pytest.raises(UsageError) as caught:
        grown_network(old.config, old.scorer.network, old.plan(), old.corpus)
    assert f"the head {name!r}" in str(caught.value)
    assert "linnaea train" in str(caught.value)


def test_another_level_does_not_grow(tmp_path: Path) -> None:
    parents = {
        "science": [], "leisure": [], "physics": ["science"], "chemistry": ["science"], "music": ["leisure"],
        "football": ["leisure"], "rugby": ["leisure"], "biology": ["chemistry"],
    }  # fmt: skip
    new = Taxonomy.build(list(parents), list(parents), list(parents.values()))
    old = trained(joint(model=model("hmcn")), tmp_path, new)
    with pytest.raises(UsageError) as caught:
        grown_network(old.config, old.scorer.network, old.plan(), old.corpus)
    assert "the head 'hmcn'" in str(caught.value)


def test_one_level_is_told_before_training(tmp_path: Path) -> None:
    ids = ["physics", "chemistry", "opera", "football"]
    flat = Taxonomy.build(ids, ids, [[]] * 4)
    config = joint_config(model=model("hmcn"))
    with pytest.raises(
        ConfigError,
        match=r"^model\.head: 'hmcn' needs a taxonomy with edges; the labels of train are no paths",
    ):
        corpus_from_documents(config, flat, documents(12, 0), documents(4, 1))
