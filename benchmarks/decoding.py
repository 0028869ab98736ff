"""What coherence costs: the linear strategy's scores under each threshold rule and each decoding, on test.

scripts/bench decoding --data ../shared/data            F1
scripts/bench decoding --data ../shared/data --speed    how fast: on rcv1's tree, and on a tree and a DAG of 4,000
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import measure
from benchmarks.quality import CORPORA, config_for
from linnaea.config.outcome import DecisionConfig
from linnaea.corpus.policy import ErrorPolicy
from linnaea.decision.decider import Decider
from linnaea.decision.predictions import Predictions
from linnaea.decision.thresholds import fit_decider
from linnaea.metrics.evaluate import evaluate
from linnaea.run_folder import RunFolder
from linnaea.strategies.build import build_strategy
from linnaea.taxonomy.readers import read_taxonomy
from linnaea.taxonomy.taxonomy import Taxonomy
from linnaea.text.build import build_corpus

RULES: dict[str, dict[str, Any]] = {
    "global, micro_f1": {"type": "global", "aim": "micro_f1"},
    "per_category, micro_f1": {"type": "per_category", "aim": "micro_f1"},
    "per_category, macro_f1": {"type": "per_category", "aim": "macro_f1"},
    "per_category, both": {"type": "per_category", "aim": "both"},
}
DECODINGS = ("none", "ancestors", "top_down", "max", "best")
PATHS: tuple[str | dict[str, str], ...] = ("one_path", {"type": "one_path", "to": "leaf"}, "one_per_level")


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


def speeds(data: Path) -> list[str]:
    """One Markdown row a decoder: microseconds a document, scores and all; the fastest of five passes.

    Scores are drawn: around 0.02 for most, higher at upper levels, about as a trained model's; and evenly from 0 to 1, where
    nearly every document contradicts the taxonomy everywhere.
    """
    rcv1, generator = read_taxonomy(data / "rcv1-topics" / "taxonomy.tsv"), np.random.default_rng(0)
    cases = []
    for taxonomy, documents in ((rcv1, 20_000), (generated(4000, 1), 1000), (generated(4000, 2), 1000)):
        shape = documents, len(taxonomy)
        usual = 1 / (1 + np.exp(3 + taxonomy.level_C / 2 - 2 * generator.standard_normal(shape)))
        cases += [(taxonomy, usual.astype(np.float32)), (taxonomy, generator.random(shape, dtype=np.float32))]
    lines = []
    for name in (*DECODINGS, *PATHS):
        decoding = DecisionConfig.model_validate({"decoding": name}).decoding
        cells = []
        for taxonomy, scores in cases:
            given = Predictions([str(i) for i in range(len(scores))], taxonomy, scores)
            decider = Decider(taxonomy, np.full(len(taxonomy), 0.5), decoding)
            row = measure("", len(scores), lambda d=decider, g=given: d.decide(g), repeats=5)  # type: ignore[misc]
            cells.append(f"{1e6 * row.seconds / row.documents:.1f}")
        shown = name if isinstance(name, str) else "one_path, leaf"
        lines.append(f"| {shown} | {' | '.join(cells)} |")
    return lines


def generated(categories: int, parents: int) -> Taxonomy:
    """A tree (1 parent), or a DAG in which a third of the categories has another."""
    generator, ids = np.random.default_rng(1), [f"c{i}" for i in range(categories)]
    above: list[list[str]] = [[] for _ in range(8)]
    for i in range(8, categories):
        count = parents if generator.random() < 1 / 3 else 1
        above.append(sorted({ids[p] for p in generator.integers(0, max(8, i // 3), count)}))
    return Taxonomy.build(ids, ids, above)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--corpora", nargs="*", default=list(CORPORA))
    parser.add_argument("--speed", action="store_true", help="microseconds a document in place of F1")
    arguments = parser.parse_args()
    if arguments.speed:
        names = ("rcv1", "rcv1, even", "tree of 4,000", "even", "DAG of 4,000", "even")
        print(f"| µs a document | {' | '.join(names)} |\n|---|{'---:|' * len(names)}")
        print("\n".join(speeds(arguments.data)))
        return
    print(f"| corpus | thresholds | {' | '.join(DECODINGS)} |\n|---|---|{'---|' * len(DECODINGS)}")
    with tempfile.TemporaryDirectory() as folder:
        for corpus in arguments.corpora:
            print("\n".join(rows(arguments.data / corpus, Path(folder) / corpus)), flush=True)


if __name__ == "__main__":
    main()
