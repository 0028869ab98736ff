"""The linear strategy on real corpora: as good as tf-idf + LinearSVC with the best rule for each aim.

The figures were read once with scikit-learn alone: 1-2 grams, sublinear, one LinearSVC (C = 1) a category on
train and dev, thresholds by cross-validation; for each corpus the best of four rules, in either F1.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from linnaea.config.config import Config
from linnaea.corpus.policy import ErrorPolicy
from linnaea.decision.thresholds import fit_decider
from linnaea.metrics.evaluate import evaluate
from linnaea.strategies.build import build_strategy
from linnaea.text.build import build_corpus

from .toys import run_folder

BASELINES = {
    "enron-bow": (0.699, 0.221),
    "rcv1-sample": (0.777, 0.451),
    "reuters21578": (0.918, 0.460),
    "valueeval": (0.595, 0.421),
    "germeval2019": (0.488, 0.098),
    "newsgroups20": (0.877, 0.850),
    "goemotions": (0.579, 0.475),
}
QUICK = ("enron-bow", "rcv1-sample")


@pytest.mark.corpora
@pytest.mark.parametrize(
    "name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in BASELINES]
)
def test_within_a_point_for_each_aim(name: str, tmp_path: Path, shared_data: Path) -> None:
    folder = shared_data / name

    def config(aim: str) -> Config:
        return Config.build(
            {
                "task": {"taxonomy": str(folder / "taxonomy.tsv")},
                "data": {split: str(folder / f"{split}.jsonl") for split in ("train", "dev", "test")},
                "training": {"strategy": "linear"},
                "decision": {"threshold": {"type": "per_category", "aim": aim}},
            }
        )

    corpus = build_corpus(config("both"), policy=ErrorPolicy("raise"))
    assert corpus.test is not None and corpus.test.labels is not None
    fitted = build_strategy(config("both")).fit(corpus, run_folder(tmp_path))
    predictions = fitted.scorer.score(corpus.test)
    for aim, baseline in zip(("micro_f1", "macro_f1"), BASELINES[name], strict=True):
        part = config(aim)
        decider = fit_decider(
            part.decision, part.task, fitted.tuning, fitted.tuning_gold, fitted.support_C, corpus.taxonomy
        )
        counts = evaluate(predictions, decider.decide(predictions), corpus.test.labels).counts
        reached = counts.micro().f1 if aim == "micro_f1" else counts.macro().f1
        assert reached >= baseline - 0.01, (aim, reached)
