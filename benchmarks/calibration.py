"""What calibration and promises are worth on a corpus: ECE before and after, and what was promised beside what came.

One network (or linear model) is trained on train. On its scores of dev each calibration is fitted and each promise found;
test says how they hold.

    scripts/bench calibration --data ../shared/data --system textcnn
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality import CORPORA, config_for
from linnaea.config.config import Config
from linnaea.config.outcome import DecisionConfig
from linnaea.corpus.policy import ErrorPolicy
from linnaea.decision.decider import Decider, build_decoder, prepared
from linnaea.decision.predictions import Predictions
from linnaea.decision.thresholds import fit_decider
from linnaea.errors import ConfigError
from linnaea.metrics.calibration import reliability
from linnaea.ragged import Ragged
from linnaea.run_folder import RunFolder
from linnaea.strategies.build import build_strategy
from linnaea.text.build import build_corpus

CALIBRATIONS = (None, "temperature", "platt", "isotonic")
PROMISES: dict[str, dict[str, Any]] = {
    "fixed 0.5": {"threshold": "fixed", "decoding": "ancestors"},
    "recall 0.8": {"threshold": {"type": "conformal", "recall": 0.8, "on": "dev"}, "decoding": "ancestors"},
    "recall 0.9": {"threshold": {"type": "conformal", "recall": 0.9, "on": "dev"}, "decoding": "ancestors"},
    "recall 0.95": {"threshold": {"type": "conformal", "recall": 0.95, "on": "dev"}, "decoding": "ancestors"},
    "wrong categories 0.1": {"threshold": {"type": "cautious", "error": 0.1, "on": "dev"}, "decoding": "max"},
    "wrong categories 0.05": {
        "threshold": {"type": "cautious", "error": 0.05, "on": "dev"},
        "decoding": "max",
    },
    "wrong documents 0.1": {
        "threshold": {"type": "cautious", "error": 0.1, "of": "documents", "on": "dev"},
        "decoding": "max",
    },
}


def report(system: str, corpus: Path, folder: Path) -> str:
    """Both tables of a corpus, as Markdown."""
    config = config_for(system, corpus, "micro_f1", 1, folder)
    value = {**config.dump(), "decision": {"threshold": {"type": "global", "on": "dev"}}}
    config = Config.build_with(value, [])
    encoded = build_corpus(config, policy=ErrorPolicy("raise"))
    fitted = build_strategy(config).fit(encoded, RunFolder(folder))
    assert encoded.test is not None
    assert encoded.test.labels is not None
    assert fitted.tuning is not None
    scores, gold = fitted.scorer.score(encoded.test), encoded.test.labels

    def decider(decision: dict[str, Any]) -> Decider:
        return fit_decider(
            DecisionConfig.read(decision), config.task, fitted.tuning, fitted.tuning_gold, fitted.support_C,
            encoded.taxonomy,
        )  # fmt: skip

    lines = [
        f"{corpus.name}, {system}: {len(fitted.tuning):,} dev documents, {len(gold):,} of test\n",
        "| calibration | own curve | ECE | classwise ECE | Brier | seconds to fit |",
        "|---|---:|---:|---:|---:|---:|",
        *(_calibrated(name, scores, gold, decider) for name in CALIBRATIONS),
    ]
    lines += [
        "",
        "| promise | calibration | recall of those with their own threshold, mean | of documents with any that share one, "
        "all of these found | recall of those that share one, together | of a document's categories wrong "
        "| documents with a wrong one | categories a document |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for promise, decision in PROMISES.items():
        for name in (None, "platt"):
            try:
                made = decider({**decision, "calibration": name})
            except ConfigError as error:
                lines.append(f"| {promise} | {name or 'none'} | {error.message} |")
                continue
            lines.append(f"| {promise} | {name or 'none'} | {_kept(made, scores, gold)} |")
    return "\n".join(lines)


def _calibrated(name: str | None, scores: Predictions, gold: Ragged, decider: Any) -> str:
    start = time.perf_counter()
    made: Decider = decider({"calibration": name})
    seconds = time.perf_counter() - start
    plain = build_decoder(made.decoding, scores.taxonomy)
    found = reliability(prepared(scores, plain, None, made.calibration), gold)
    own = "" if made.calibration is None else f"{len(made.calibration.own)} of {len(scores.taxonomy)}"
    return (
        f"| {name or 'none'} | {own} | {found.ece:.4f} | {found.classwise_ece:.4f} | {found.brier:.4f} "
        f"| {seconds:.2f} |"
    )


def _kept(made: Decider, scores: Predictions, gold: Ragged) -> str:
    """What came of a promise on test."""
    columns = len(scores.taxonomy)
    chosen_NC, gold_NC = made.decide(scores).chosen.dense(columns), gold.dense(columns)
    hits_C, gold_C = (chosen_NC & gold_NC).sum(axis=0), gold_NC.sum(axis=0)
    shared_C = np.isin(scores.taxonomy.ids, made.promise.shared if made.promise is not None else ())
    own_C = (gold_C > 0) & np.isfinite(made.thresholds_C) & ~shared_C
    shared = "|"
    if shared_C.any():
        asked_NC = gold_NC[:, shared_C]
        missed_N = (asked_NC & ~chosen_NC[:, shared_C]).any(axis=1)
        whole = 1 - missed_N.sum() / asked_NC.any(axis=1).sum()
        shared = f"{whole:.3f} ({shared_C.sum()}) | {hits_C[shared_C].sum() / gold_C[shared_C].sum():.3f}"
    wrong_N, sizes_N = (chosen_NC & ~gold_NC).sum(axis=1), chosen_NC.sum(axis=1)
    return (
        f"{(hits_C[own_C] / gold_C[own_C]).mean():.3f} ({own_C.sum()}) | {shared} "
        f"| {(wrong_N / np.maximum(sizes_N, 1)).mean():.3f} | {(wrong_N > 0).mean():.3f} | {sizes_N.mean():.2f}"
    )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--corpora", nargs="*", default=list(CORPORA))
    parser.add_argument("--system", choices=("linear", "fasttext", "textcnn"), default="linear")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for corpus in arguments.corpora:
            print(report(arguments.system, arguments.data / corpus, Path(folder) / corpus) + "\n", flush=True)


if __name__ == "__main__":
    main()
