"""What coherence costs: the linear strategy's scores under each threshold rule and each decoding, on test.

scripts/bench decoding --data ../shared/data
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.quality import CORPORA, config_for
from linnaea.config.outcome import DecisionConfig
from linnaea.corpus.policy import ErrorPolicy
from linnaea.decision.thresholds import fit_decider
from linnaea.files import RunFolder
from linnaea.metrics.evaluate import evaluate
from linnaea.strategies.build import build_strategy
from linnaea.text.build import build_corpus

RULES: dict[str, dict[str, Any]] = {
    "global, micro_f1": {"type": "global", "aim": "micro_f1"},
    "per_category, micro_f1": {"type": "per_category", "aim": "micro_f1"},
    "per_category, macro_f1": {"type": "per_category", "aim": "macro_f1"},
    "per_category, both": {"type": "per_category", "aim": "both"},
}
DECODINGS = ("none", "ancestors", "top_down", "max")


def rows(corpus: Path, folder: Path) -> list[str]:
    """One Markdown row a threshold rule: micro-F1 / macro-F1 under each decoding."""
    config = config_for("linear", corpus, "micro_f1", 1, folder)
    encoded = build_corpus(config, policy=ErrorPolicy("raise"))
    fitted = build_strategy(config).fit(encoded, RunFolder(folder))
    assert encoded.test is not None
    assert encoded.test.labels is not None
    predictions = fitted.scorer.score(encoded.test)
    lines = []
    for name, rule in RULES.items():
        cells = []
        for decoding in DECODINGS:
            on = {"on": "cross"}
            decision = DecisionConfig.model_validate({"threshold": {**rule, **on}, "decoding": decoding})
            decider = fit_decider(
                decision, config.task, fitted.tuning, fitted.tuning_gold, fitted.support_C, encoded.taxonomy
            )
            decisions = decider.decide(predictions)
            value = evaluate(predictions, decisions, encoded.test.labels, config.evaluation).to_json()
            cells.append(f"{value['micro']['f1']:.3f} / {value['macro']['f1']:.3f}")
        lines.append(f"| {corpus.name} | {name} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--corpora", nargs="*", default=list(CORPORA))
    arguments = parser.parse_args()
    print(f"| corpus | thresholds | {' | '.join(DECODINGS)} |\n|---|---|{'---|' * len(DECODINGS)}")
    with tempfile.TemporaryDirectory() as folder:
        for corpus in arguments.corpora:
            print("\n".join(rows(arguments.data / corpus, Path(folder) / corpus)), flush=True)


if __name__ == "__main__":
    main()
