"""Large taxonomies: nothing of documents x categories or categories x categories is held; cut scores measure as dense ones.

Shape letters: N documents, C categories.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks import large
from linnaea.commands import fitting
from linnaea.commands.evaluate import evaluate
from linnaea.commands.predict import predict
from linnaea.commands.train import train
from linnaea.config.config import Config
from linnaea.config.outcome import DecisionConfig
from linnaea.config.task import TaskConfig
from linnaea.decision import conformal, decider
from linnaea.decision.cuts import Evidence
from linnaea.decision.predictions import Predictions
from linnaea.decision.thresholds import fit_decider
from linnaea.errors import ConfigError
from linnaea.metrics.calibration import reliability
from linnaea.metrics.evaluate import Gathered, training_metrics
from linnaea.metrics.ranking import average_precision, ranking
from linnaea.model import model as model_module
from linnaea.nn.heads.structure import MOST_WEIGHTS
from linnaea.ragged import Ragged
from linnaea.report import shell
from linnaea.report.page import write_report
from linnaea.run_folder import RunFolder
from linnaea.strategies import network
from linnaea.strategies.base import ScoreSheet
from linnaea.taxonomy.taxonomy import Taxonomy
from tests.nn.head_cases import head
from tests.references.worlds import flat, matrices, predictions, random_world, sets, taxonomies, tree

CATEGORIES, DOCUMENTS = 3000, 1000
KEEP, AT_ONCE, TOKENS = 20, 2**17, 8
# Documents, names and what stands in JSON take 12 MiB; a matrix of scores would take as much again, one over pairs of
# categories at a byte each 9.
MOST = 18 * 2**20
DECISION = {
    "threshold": {"type": "per_category", "aim": "both"},
    "decoding": "best",
    "calibration": "platt",
}


class Largest(TorchDispatchMode):
    """The most numbers that any one tensor holds which torch makes, on the way back too."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        for value in found if isinstance(found, (tuple, list)) else (found,):
            if isinstance(value, torch.Tensor):
                self.numbers = max(self.numbers, value.numel())
        return found


def config(corpus: Path, run: Path, **parts: Any) -> Config:
    return Config.build(
        {
            "task": {"type": "hierarchical", "taxonomy": str(corpus / "taxonomy.tsv")},
            "data": {name: str(corpus / f"{name}.jsonl") for name in ("train", "dev", "test")},
            "model": {"embedder": {"type": "lookup", "dimension": 8}, "encoder": "fasttext"},
            "training": {"epochs": 1, "early_stopping": None, "batch_size": 32},
            "evaluation": {"keep": KEEP, "baseline": None},  # which lays its weights out densely
            "run": {"dir": str(run), "device": "cpu", "threads": 1},
            **parts,
        }
    )


@pytest.mark.slow
def test_nothing_is_dense(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place, name, value in (
        (network, "LOGITS", AT_ONCE), (model_module, "SCORES", AT_ONCE), (decider, "MEGABYTES", 1),
        (large, "TOKENS", TOKENS), (shell, "_plotly", str),  # a script of 5 MB, in every page
        (fitting, "write_report", lambda run: None),  # a job of its own below
    ):  # fmt: skip
        monkeypatch.setattr(place, name, value)
    corpus, few, run = tmp_path, tmp_path / "few", tmp_path / "run"
    few.mkdir()
    parts = {"objective": {"loss": "max_constraint"}, "decision": DECISION}
    large.generate(few, 50, "dag", {"train": 40, "dev": 40, "test": 40})
    train(config(few, run, **parts))  # what is imported for it does not count
    large.generate(corpus, CATEGORIES, "dag", {"train": DOCUMENTS, "dev": DOCUMENTS, "test": DOCUMENTS})
    made, test = config(corpus, run, **parts), corpus / "test.jsonl"
    jobs: dict[str, Callable[[], object]] = {
        "train": lambda: train(made, overwrite=True),
        "evaluate": lambda: evaluate(run, str(test)),
        "report": lambda: write_report(RunFolder(run)),
        "predict": lambda: predict(run, str(test), output=tmp_path / "out.jsonl", top_k=5),
    }
    cells = CATEGORIES * DOCUMENTS  # fewer than CATEGORIES²
    for name, job in jobs.items():
        tracemalloc.start()
        with Largest() as made_by_torch:
            job()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert made_by_torch.numbers < cells / 8, name
        assert peak < MOST, f"{name}: {peak / 2**20:.1f} MiB"
    answers = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert len(answers) == DOCUMENTS


# Cut scores measure as dense ones with zeros in place of what was cut


def cut(scores_NC: np.ndarray, keep: int, taxonomy: Taxonomy) -> tuple[Predictions, Predictions]:
    """The best ``keep`` as CSR, and dense."""
    sheet = ScoreSheet(*scores_NC.shape, keep)
    sheet.put(slice(None), scores_NC)
    sparse = sheet.predictions([str(row) for row in range(len(scores_NC))], taxonomy)
    scores = sparse.scores
    dense = scores if isinstance(scores, np.ndarray) else scores.toarray()
    return sparse, predictions(dense, taxonomy)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_cut_scores_measure_as_dense_ones(data: st.DataObject) -> None:
    rows, columns = data.draw(st.integers(1, 8)), data.draw(st.integers(2, 7))
    scores_NC, gold = data.draw(matrices(rows, columns)), Ragged.from_dense(data.draw(sets(rows, columns)))
    sparse, dense = cut(scores_NC, data.draw(st.integers(1, columns)), flat(columns))
    assert ranking(sparse, gold, [1, 3]) == ranking(dense, gold, [1, 3])
    mine, whole = average_precision(sparse, gold), average_precision(dense, gold)
    assert (mine.micro, mine.macro) == pytest.approx((whole.micro, whole.macro), abs=1e-12)
    assert reliability(sparse, gold).__dict__ == pytest.approx(reliability(dense, gold).__dict__, abs=1e-12)
    support_C = np.array(data.draw(st.lists(st.integers(0, 1), min_size=columns, max_size=columns)))
    score = data.draw(st.floats(0, 1))
    lower = [Evidence(one, gold, support_C).next_below(score) for one in (sparse, dense)]
    assert lower[0] == lower[1]


def test_reliability_in_many_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    scores, gold = random_world(rng, 30, flat(5))
    whole = reliability(scores, Ragged.from_dense(gold))
    sparse = predictions(np.asarray(scores.scores), sparse=True)
    monkeypatch.setattr("linnaea.metrics.calibration.PAIRS", 7)
    monkeypatch.setattr("linnaea.metrics.ranking.PAIRS", 7)
    assert reliability(sparse, Ragged.from_dense(gold)).__dict__ == pytest.approx(whole.__dict__)
    every = ranking(sparse, Ragged.from_dense(gold), [2])
    assert every == ranking(scores, Ragged.from_dense(gold), [2])


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_caution_by_the_best_scores_is_caution_by_all(data: st.DataObject) -> None:
    taxonomy = data.draw(taxonomies(most=8))
    rows = data.draw(st.integers(3, 12))
    scores = predictions(data.draw(matrices(rows, len(taxonomy))), taxonomy)
    gold = taxonomy.close(Ragged.from_dense(data.draw(sets(rows, len(taxonomy)))))
    error, of = (
        data.draw(st.sampled_from([0.3, 0.5, 0.8])),
        data.draw(st.sampled_from(["categories", "documents"])),
    )
    rule = {"type": "cautious", "error": error, "of": of}
    made = DecisionConfig.model_validate({"threshold": rule, "decoding": "max"})
    found = []
    with pytest.MonkeyPatch.context() as patch:
        for best in (1, 2, 64):
            patch.setattr(conformal, "BEST", best)
            task = TaskConfig.read({"type": "hierarchical", "taxonomy": "x"})
            support_C = np.ones(len(taxonomy), dtype=np.int64)
            found.append(fit_decider(made, task, scores, gold, support_C, taxonomy).thresholds_C.tolist())
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("keep", [None, 2])
@pytest.mark.parametrize("threshold", [0.4, None])
def test_batches_are_watched_as_the_whole(keep: int | None, threshold: float | None) -> None:
    rng = np.random.default_rng(1)
    scores, marked = random_world(rng, 25, flat(6))
    gold, scores_NC = Ragged.from_dense(marked), np.asarray(scores.scores)
    gathered = Gathered(scores.taxonomy, threshold, keep)
    for rows in np.array_split(rng.permutation(25), 4):
        gathered.put(rows, scores_NC[rows])
    whole = scores if keep is None else cut(scores_NC, keep, scores.taxonomy)[0]
    assert gathered.metrics(gold) == training_metrics(whole, gold, threshold)


# Other things that grow


def test_answers_do_not_hang_on_how_many_are_worked_on_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large.generate(tmp_path, 60, "tree", {"train": 50, "dev": 20, "test": 20})
    monkeypatch.setenv("LINNAEA_CACHE", str(tmp_path / "cache"))
    model = train(config(tmp_path, tmp_path / "run")).model
    lines = (tmp_path / "test.jsonl").read_text().splitlines()
    texts = [" ".join(json.loads(line)["doc_token"]) for line in lines]
    given_out = {}
    for at_once in (2**23, 60 * 3):
        monkeypatch.setattr(model_module, "SCORES", at_once)
        every = [list(model.predict(texts, top_k=4, threshold=0.0, all_scores=a)) for a in (False, True)]
        given_out[at_once] = [
            [[(c.id, c.decided) for c in answer.categories[:10]] for answer in some] for some in every
        ]
        given_out[at_once].append(model.scores(texts).shape)
    one, other = given_out.values()
    assert one == other


def test_networks_without_recurrences_do_not_load_the_compiler() -> None:
    told = "import sys, linnaea.nn.build; sys.exit('torch._dynamo' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", told], check=False).returncode == 0


@pytest.mark.parametrize(("name", "each"), [("hiagm_tp", 4), ("hiagm_la", 4)])
def test_a_head_that_nobody_could_train_is_refused(
    name: str, each: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MOST_WEIGHTS == 2**31
    monkeypatch.setattr("linnaea.nn.heads.structure.MOST_WEIGHTS", 1000)
    with pytest.raises(ConfigError, match=rf"'{name}' would have [\d,]+ weights over 40 categories") as told:
        head(name, tree((), *[(0,)] * 39), 0, dimension=each, output="full")
    assert told.value.where == "model.head"
    assert "rows" in (told.value.hint or "")
    head(name, tree((), *[(0,)] * 3), 0, dimension=each)
