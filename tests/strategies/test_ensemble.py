"""The strategy ensemble: members through their own featurizers, blended, saved, resumed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from linnaea.commands.fitting import decided_model
from linnaea.config.config import Config
from linnaea.config.ensemble import member_configs
from linnaea.config.outcome import DecisionConfig
from linnaea.decision.enough import halves
from linnaea.decision.predictions import Predictions
from linnaea.decision.thresholds import fit_decider
from linnaea.errors import ConfigError, ModelError
from linnaea.ragged import Ragged
from linnaea.reporter import Silent
from linnaea.strategies.base import Fitted
from linnaea.strategies.blend import Blend
from linnaea.strategies.build import build_strategy, load_scorer
from linnaea.strategies.ensemble import EnsembleScorer
from linnaea.text.store import Corpus

from .toys import corpus, linear_config, run_folder

NETWORK = {
    "model": {
        "embedder": {"type": "lookup", "dimension": 12},
        "encoder": "fasttext",
        "head": {"type": "linear", "dropout": 0.0},
    },
    "training": {"epochs": 3, "batch_size": 8, "optimizer": {"type": "adam", "learning_rate": 0.05}},
}
WORDS = {"training": {"strategy": {"type": "linear"}}}
LETTERS = {
    "input": {"features": ["char_ngram"], "char_ngram": {"min": 2, "max": 3, "buckets": 0}},
    "training": {"strategy": "linear"},
}


def config(*members: dict[str, Any], blend: str = "equal", on: str = "cross", **parts: Any) -> Config:
    strategy = {"type": "ensemble", "members": list(members or (WORDS, LETTERS, NETWORK)), "blend": blend}
    threshold: dict[str, Any] = {"type": "per_category", "on": on} | ({"folds": 3} if on == "cross" else {})
    value: dict[str, Any] = {
        "training": {"strategy": strategy}, "decision": {"threshold": threshold}, "run": {"seed": 3, "device": "cpu"},
    }  # fmt: skip
    return Config.build({**value, **parts})


def fitted(settings: Config, parts: Corpus, folder: Path, **options: Any) -> tuple[EnsembleScorer, Fitted]:
    result = build_strategy(settings).fit(parts, run_folder(folder), **options)
    assert isinstance(result.scorer, EnsembleScorer)
    return result.scorer, result


@pytest.mark.parametrize("on", ["cross", "dev"])
def test_a_linear_member_scores_as_it_does_alone(tmp_path: Path, on: str) -> None:
    settings = config(WORDS, blend="equal", on=on)
    parts = corpus(settings)
    scorer, result = fitted(settings, parts, tmp_path / "many")
    threshold = {"type": "per_category", "on": on} | ({"folds": 3} if on == "cross" else {})
    alone = linear_config(decision={"threshold": threshold}, run={"seed": 3})
    single = build_strategy(alone).fit(corpus(alone), run_folder(tmp_path / "one"))
    assert parts.test is not None and result.tuning is not None and single.tuning is not None
    # The blend of one is its score with another scale and shift.
    for theirs, ours in (
        (single.tuning.scores, result.tuning.scores),
        (single.scorer.score(corpus(alone).test).scores, scorer.score(parts.test).scores),
    ):
        np.testing.assert_array_equal(scorer.blend([np.asarray(theirs)]), ours)
    assert result.fitted_on_dev == (on == "cross")


def test_members_see_documents_in_their_own_way_and_a_batch_changes_nothing(tmp_path: Path) -> None:
    settings = config()
    parts = corpus(settings)
    scorer, result = fitted(settings, parts, tmp_path)
    assert [sorted(m.featurizer.vocabularies) for m in scorer.members.values()] == [["token"], [], ["token"]]
    assert [m.featurizer.char_ngrams is not None for m in scorer.members.values()] == [False, True, False]
    assert parts.test is not None
    whole = np.asarray(scorer.score(parts.test).scores)
    order = np.random.default_rng(0).permutation(len(parts.test))
    np.testing.assert_allclose(
        np.asarray(scorer.score(parts.test.take(order)).scores), whole[order], atol=1e-5
    )
    for row in (0, 7):
        np.testing.assert_allclose(
            np.asarray(scorer.score(parts.test.take([row])).scores)[0], whole[row], atol=1e-5
        )
    kept = scorer.score(parts.test, keep=2)
    assert kept.sparse and kept.kept == 2
    assert [fact["share"] for fact in result.facts["members"]] == pytest.approx([1 / 3] * 3, abs=1e-3)


def test_seeds_of_a_member_are_members(tmp_path: Path) -> None:
    settings = config({**NETWORK, "seeds": 2})
    scorer, _ = fitted(settings, corpus(settings), tmp_path)
    assert [own.run.seed for own in member_configs(settings)] == [3, 1003]
    first, second = (dict(m.scorer.network.named_parameters()) for m in scorer.members.values())  # type: ignore[attr-defined]
    assert any(not np.array_equal(first[n].detach(), second[n].detach()) for n in first)


def test_it_is_loaded_as_it_was_saved(tmp_path: Path) -> None:
    settings = config(blend="selected")
    parts = corpus(settings)
    scorer, _ = fitted(settings, parts, tmp_path / "run")
    folder = tmp_path / "model"
    folder.mkdir()
    scorer.save(folder)
    assert sorted(p.name for p in (folder / "members").iterdir()) == [
        str(number) for number in scorer.blend.chosen
    ]
    again = load_scorer("ensemble", folder, settings, parts.taxonomy, parts.featurizer)
    assert parts.test is not None
    np.testing.assert_array_equal(again.score(parts.test).scores, scorer.score(parts.test).scores)


def test_damage_is_told(tmp_path: Path) -> None:
    settings = config(WORDS, LETTERS)
    parts = corpus(settings)
    scorer, _ = fitted(settings, parts, tmp_path / "run")
    folder = tmp_path / "model"
    folder.mkdir()
    scorer.save(folder)
    blend = folder / "ensemble.json"
    whole = blend.read_text()
    for text in (
        "{}",
        "[]",
        whole.replace("sigmoid", "tanh"),
        json.dumps({**json.loads(whole), "weights": [1], "shares": [1]}),
    ):
        blend.write_text(text)
        with pytest.raises(ModelError, match=r"ensemble\.json"):
            load_scorer("ensemble", folder, settings, parts.taxonomy, parts.featurizer)
    blend.write_text(whole)
    (folder / "members" / "1" / "weights.safetensors").unlink()
    with pytest.raises(ModelError, match=r"members.1"):
        load_scorer("ensemble", folder, settings, parts.taxonomy, parts.featurizer)


RECALL = {"threshold": {"type": "conformal", "recall": 0.75}}
CAUTION = {"threshold": {"type": "cautious", "error": 0.3}}


def with_dev(parts: Corpus, gold: np.ndarray) -> Corpus:
    assert parts.dev is not None
    return replace(parts, dev=parts.dev.with_labels(Ragged.from_dense(gold)))


@pytest.mark.parametrize("blend", ["selected", "equal"])
@pytest.mark.parametrize(
    "decision",
    [RECALL, CAUTION, {**CAUTION, "calibration": "platt"}],
    ids=["recall", "caution", "calibrated"],
)
def test_a_promise_rests_on_documents_that_the_blend_has_not_seen(
    blend: str, decision: dict[str, Any], tmp_path: Path
) -> None:
    settings = config(WORDS, LETTERS, blend=blend, decision=decision)
    parts = corpus(settings)
    assert parts.dev is not None and parts.dev.labels is not None
    gold, (first, second) = parts.dev.labels.dense(len(parts.taxonomy)), halves(len(parts.dev))
    scorer, result = fitted(settings, parts, tmp_path / "run")
    # Labels of the other half change nothing in the blend, those of its own do.
    for rows, stays in ((second, True), (first, False)):
        turned = gold.copy()
        turned[rows] = ~turned[rows]
        other, _ = fitted(settings, with_dev(parts, turned), tmp_path / f"{stays}")
        assert (other.blend == scorer.blend) is stays
    # The promise is what the other half says of the blended scores.
    assert result.half_seen
    assert result.tuning is not None and result.tuning_gold is not None
    made = decided_model(settings, parts, result, Silent()).decider
    assert made.promise is not None
    assert made.promise.documents == len(second) == 8
    assert made.promise.exact
    plain = settings.decision.model_copy(update={"calibration": None})
    scores = result.tuning.scores
    if made.calibration is not None:
        alone = fit_decider(
            DecisionConfig.read({"calibration": "platt"}), settings.task, result.tuning.take(first),
            result.tuning_gold.take(first), result.support_C, parts.taxonomy,
        )  # fmt: skip
        assert alone.calibration is not None
        scores = alone.calibration.dense(np.asarray(scores))
    wanted = fit_decider(
        plain, settings.task, Predictions(result.tuning.ids, parts.taxonomy, scores).take(second),
        result.tuning_gold.take(second), result.support_C, parts.taxonomy,
    )  # fmt: skip
    np.testing.assert_array_equal(made.thresholds_C, wanted.thresholds_C)


def test_without_a_promise_the_blend_sees_all(tmp_path: Path) -> None:
    settings = config(WORDS, LETTERS, on="dev")
    parts = corpus(settings)
    assert parts.dev is not None and parts.dev.labels is not None
    gold = parts.dev.labels.dense(len(parts.taxonomy))
    scorer, result = fitted(settings, parts, tmp_path / "run")
    assert not result.half_seen
    for number, rows in enumerate(halves(len(parts.dev))):
        turned = gold.copy()
        turned[rows] = ~turned[rows]
        assert (
            fitted(settings, with_dev(parts, turned), tmp_path / str(number))[0].blend.weights
            != scorer.blend.weights
        )


@pytest.mark.parametrize("decision", [None, RECALL], ids=["tuned", "promised"])
def test_a_finished_network_is_not_trained_again(
    decision: dict[str, Any] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(
        WORDS, NETWORK, blend="selected", **({} if decision is None else {"decision": decision})
    )
    parts = corpus(settings)
    scorer, _ = fitted(settings, parts, tmp_path)

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("a step was made")

    monkeypatch.setattr("linnaea.training.loop._Training._step", refuse)
    again, _ = fitted(settings, parts, tmp_path, resume=True)
    assert again.blend == scorer.blend
    assert parts.test is not None
    np.testing.assert_array_equal(again.score(parts.test).scores, scorer.score(parts.test).scores)


@pytest.mark.parametrize(
    ("shares", "epochs"),
    [((0.5, 0.1, 0.4), 2), ((0.5, 0.3, 0.2), 3), ((0.4, 0.0, 0.6), 2), ((1.0, 0.0, 0.0), None)],
)
def test_the_run_tells_of_what_is_in_it(
    shares: tuple[float, ...], epochs: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Epochs are those of the network that weighs most, parameters those of members that weigh anything."""
    shorter = {**NETWORK, "training": {**NETWORK["training"], "epochs": 2}}
    settings = config(WORDS, NETWORK, shorter)
    monkeypatch.setattr(Blend, "fit", lambda *_, **__: Blend(shares, 0.0, "sigmoid", shares))
    run = run_folder(tmp_path)
    run.history.write_text("of a run before\n")
    result = build_strategy(settings).fit(corpus(settings), run)
    if epochs is None:
        assert not run.history.exists()
    else:
        assert len(run.history.read_text().splitlines()) == epochs
    members = result.facts["members"]
    own = [member["parameters"] for member, share in zip(members, shares, strict=True) if share]
    assert result.facts["parameters"] == sum(own)
    assert [member["share"] for member in members] == list(shares)


def test_one_of_many(tmp_path: Path) -> None:
    settings = config(
        WORDS, {**NETWORK, "model": {**NETWORK["model"]}}, task={"type": "multiclass"}, decision={}
    )
    parts = corpus(linear_config())
    single = [
        Ragged.from_rows([row[-1:] for row in split.labels]) for _, split in parts.splits() if split.labels
    ]
    train, dev, test = (
        split.with_labels(gold) for (_, split), gold in zip(parts.splits(), single, strict=True)
    )
    whole = replace(parts, train=train, dev=dev, test=test)
    scorer, _ = fitted(settings, whole, tmp_path)
    np.testing.assert_allclose(np.asarray(scorer.score(test).scores).sum(1), 1, atol=1e-5)


class TestConfig:
    def test_what_is_resolved_reads_as_the_same(self) -> None:
        settings = config(run={"seed": 5}, input={"vocabulary": {"min_count": 1}})
        again = Config.build(json.loads(json.dumps(settings.dump())))
        assert again == settings
        assert again.dump() == settings.dump()

    def test_members_read_what_the_whole_says_unless_told(self) -> None:
        own = member_configs(config(input={"vocabulary": {"min_count": 1}, "max_tokens": 9}))
        assert [part.input.vocabulary.min_count for part in own] == [1, 1, 1]
        assert [part.input.max_tokens for part in own] == [9, 9, 9]
        own = member_configs(config())
        assert [part.input.max_tokens for part in own] == [None, None, 256]
        assert own[0].input.features == ["token", "ngram"]

    @pytest.mark.parametrize(
        ("member", "problem"),
        [
            ({"model": {"encoder": "textcn"}}, r"members\[0\]\.model\.encoder\.type: .*did you mean 'textcnn'"),
            ({"training": {"strategy": "per_category"}}, r"members\[0\]\.training\.strategy: 'per_category' cannot be"),
            ({"training": {"strategy": "ensemble"}}, r"members\[0\]\.training\.strategy: 'ensemble' cannot be a member"),
            ({"training": {"strategy": "linear", "epochs": 2}}, r"members\[0\]\.training\.epochs: does nothing"),
            ({"input": {"tokenizer": "whitespace"}}, r"members\[0\]\.input\.tokenizer: all members"),
            ({"input": {"features": ["char"]}}, r'members\[0\]\.input\.features: reads what .*add "char"'),
            ({"modell": {}}, r"members\[0\]\.modell: unknown key \(did you mean 'model'\?\)"),
        ],
    )  # fmt: skip
    def test_a_member_that_does_not_hold(self, member: dict[str, Any], problem: str) -> None:
        with pytest.raises(ConfigError, match=problem):
            config(member, WORDS)

    def test_what_the_whole_may_not_have(self) -> None:
        with pytest.raises(ConfigError, match=r"model.*does nothing under the strategy 'ensemble'"):
            config(model={"encoder": "textcnn"})
        with pytest.raises(ConfigError, match=r"evaluation\.keep: an ensemble adds up all scores"):
            config(evaluation={"keep": 5})
        with pytest.raises(ConfigError, match=r"members"):
            Config.build({"training": {"strategy": {"type": "ensemble", "members": []}}})

    def test_it_is_refused_under_torchrun(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WORLD_SIZE", "2")
        with pytest.raises(ConfigError, match="trains in one process"):
            build_strategy(config())

    def test_paths_of_members_are_relative_to_the_file(self, tmp_path: Path) -> None:
        vectors = {
            "model": {
                "embedder": {"type": "lookup", "dimension": 2, "pretrained": "v.txt"},
                "encoder": "fasttext",
            }
        }
        value = {
            "data": {"train": "a.jsonl"},
            "training": {"strategy": {"type": "ensemble", "members": [vectors]}},
        }
        (tmp_path / "c.json").write_text(json.dumps(value))
        loaded = Config.load(tmp_path / "c.json")
        assert member_configs(loaded)[0].model.embedder.vector_files == {
            "pretrained": str(tmp_path / "v.txt")
        }
