"""A training's scores, kept in a file: thresholds, decodings and comparisons are laid over them without another training.

For ``benchmarks.hierarchy``. Shape letters: N documents of test, C categories.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score

from linnaea.config.config import Config
from linnaea.config.outcome import DecisionConfig
from linnaea.corpus.policy import ErrorPolicy
from linnaea.decision.decider import build_decoder, prepared
from linnaea.decision.predictions import Predictions
from linnaea.decision.thresholds import fit_decider
from linnaea.files import atomic, write_json
from linnaea.metrics.evaluate import evaluate
from linnaea.metrics.ranking import micro_average_precision
from linnaea.ragged import Ragged
from linnaea.reporter import Silent
from linnaea.run_folder import RunFolder
from linnaea.strategies.build import build_strategy
from linnaea.taxonomy.taxonomy import Taxonomy
from linnaea.text.build import build_corpus

THRESHOLDS: dict[str, dict[str, Any]] = {
    ".5": {"type": "fixed", "value": 0.5},
    "found": {"type": "per_category", "aim": "both"},
}
DRAWS, BLOCK = 2000, 500


@dataclass(frozen=True, eq=False)
class Run:
    """What is kept of a training: scores that thresholds may be found on, those of test, and gold of both."""

    tuning: Predictions
    tuning_gold: Ragged
    test: Predictions
    gold: Ragged
    support_C: np.ndarray
    seconds: float

    @classmethod
    def of(cls, config: Config, folder: Path) -> Run:
        """Train."""
        run = RunFolder.create(folder, resume=False, overwrite=False)
        write_json(run.config, config.dump())
        corpus = build_corpus(config, policy=ErrorPolicy("raise"))
        start = time.perf_counter()
        fitted = build_strategy(config).fit(corpus, run, reporter=Silent())
        seconds = time.perf_counter() - start
        assert corpus.test is not None
        assert corpus.test.labels is not None
        assert fitted.tuning is not None
        assert fitted.tuning_gold is not None
        test = fitted.scorer.score(corpus.test)
        return cls(
            fitted.tuning, fitted.tuning_gold, test, corpus.test.labels, np.asarray(fitted.support_C), seconds
        )

    def write(self, path: Path) -> None:
        """Whole or not at all."""
        sheets = {"tuning": self.tuning.scores, "test": self.test.scores}
        columns = len(self.test.taxonomy)
        golds = {"tuning_gold": self.tuning_gold.dense(columns), "gold": self.gold.dense(columns)}
        facts = {"support_C": self.support_C, "seconds": self.seconds, "taxonomy": self.test.taxonomy.digest}
        with atomic(path) as file:
            np.savez_compressed(file, **sheets, **golds, **facts)  # type: ignore[arg-type]

    @classmethod
    def read(cls, path: Path, taxonomy: Taxonomy) -> Run:
        """What was written; of the same taxonomy."""
        with np.load(path) as kept:
            if str(kept["taxonomy"]) != taxonomy.digest:
                raise SystemExit(f"{path}: of another taxonomy: remove it")
            tuning, test = (
                Predictions([str(i) for i in range(len(kept[name]))], taxonomy, kept[name])
                for name in ("tuning", "test")
            )
            golds = (Ragged.from_dense(kept[name]) for name in ("tuning_gold", "gold"))
            support_C, seconds = kept["support_C"], float(kept["seconds"])
            return cls(tuning, next(golds), test, next(golds), support_C, seconds)

    def chosen(self, config: Config, threshold: str, decoding: str) -> tuple[np.ndarray, dict[str, float]]:
        """``[N, C]`` bool, what is decided on test, and its figures."""
        decision = DecisionConfig.read({"threshold": THRESHOLDS[threshold], "decoding": decoding})
        taxonomy = self.test.taxonomy
        decider = fit_decider(decision, config.task, self.tuning, self.tuning_gold, self.support_C, taxonomy)
        decisions = decider.decide(self.test)
        figures = evaluate(self.test, decisions, self.gold, config.evaluation).to_json(intervals=False)
        broken = figures["coherence"]["documents_with_violations"] / figures["documents"]
        return decisions.chosen.dense(len(taxonomy)).astype(bool), {
            "micro-F1": figures["micro"]["f1"],
            "macro-F1": figures["macro"]["f1"],
            "macro, F1 of averages": figures["macro"]["f1_of_averages"],
            "hierarchical F1": figures["hierarchical"]["f1"],
            "contradictory": broken,
        }

    def areas(self) -> dict[str, float]:
        """AU(PRC) on test: of the scores as they are, and of the largest from each category down."""
        decoder = build_decoder(DecisionConfig.read({"decoding": "max"}).decoding, self.test.taxonomy)
        found, gold = {}, self.gold.dense(len(self.test.taxonomy))
        for name, predictions in (("raw", self.test), ("max", prepared(self.test, decoder, None))):
            ours = micro_average_precision(predictions, self.gold)
            found[name] = float(average_precision_score(gold, predictions.scores, average="micro"))
            assert abs(ours - found[name]) < 1e-6, f"{ours} is not scikit-learn's {found[name]}"
        return found


def differences(
    a: list[np.ndarray], b: list[np.ndarray], gold: np.ndarray, seed: int = 0
) -> list[tuple[float, float, float]]:
    """Micro-F1, then macro-F1 of ``a`` less that of ``b``, mean over seeds, each with a 95 % interval."""
    generator, drawn = np.random.default_rng(seed), []
    for _ in range(DRAWS // BLOCK):
        shares = np.full(len(gold), 1 / len(gold))
        weights = generator.multinomial(len(gold), shares, BLOCK).astype(np.float32)
        drawn.append(mean_f1(a, gold, weights) - mean_f1(b, gold, weights))
    once = np.ones((1, len(gold)), dtype=np.float32)
    means = (mean_f1(a, gold, once) - mean_f1(b, gold, once))[0]
    low, high = np.quantile(np.concatenate(drawn), [0.025, 0.975], axis=0)
    return [(float(means[i]), float(low[i]), float(high[i])) for i in range(2)]


def mean_f1(sets: list[np.ndarray], gold: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """``[draws, 2]``: micro-F1 and macro-F1 of documents counted ``weights`` ``[draws, N]`` times, mean over ``sets``."""
    of_gold = weights @ gold.astype(np.float32)
    found = []
    for chosen in sets:
        hits = weights @ (chosen & gold).astype(np.float32)
        sizes = of_gold + weights @ chosen.astype(np.float32)
        each = np.divide(2 * hits, sizes, out=np.zeros_like(sizes), where=sizes > 0)
        micro = 2 * hits.sum(1) / np.maximum(sizes.sum(1), 1)
        found.append(np.stack([micro, each.mean(1)], axis=1))
    return np.asarray(np.mean(found, axis=0))
